//! `refit verify`.

use crate::desk::{AT, Desk};
use refit::plan::data::{Plan, StepId};

#[test]
fn a_plan_is_verified_against_its_facts() {
    let desk = Desk::new();
    let facts = "facts.json";
    desk.refit(&[
        "plan",
        "upgrade.yaml",
        "--facts",
        facts,
        "--at",
        AT,
        "--out",
        "plan.json",
    ])
    .ends(0, &[]);
    let verify = ["verify", "plan.json", "--facts", facts];
    desk.refit(&verify)
        .ends(0, &["nothing is wrong with `to-1.35` for `test`"]);

    // Sealed again after two workers were put into one wave.
    let mut plan =
        Plan::from_json(&std::fs::read_to_string(desk.path("plan.json")).unwrap()).unwrap();
    for step in &mut plan.steps {
        if step.id.as_str() == "w2/kubeadm-node@1.35.4" {
            step.after = vec![
                StepId::new("cp3/uncordon@1.35.4"),
                StepId::new("w2/install-kubeadm@1.35.4"),
            ];
        }
    }
    plan.steps = refit::plan::graph::sorted(plan.steps).unwrap();
    desk.write("plan.json", &plan.to_json().unwrap());
    desk.refit(&verify).ends(
        1,
        &[
            "too-many-out: 2 nodes can be out of service at once, and 1 may be: w1, w2",
            "https://kubernetes.io/docs/tasks/administer-cluster/safely-drain-node/",
        ],
    );
    let told = desk
        .refit(&["verify", "plan.json", "--facts", facts, "-o", "json"])
        .ends(1, &[]);
    let told: serde_json::Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!(told["violations"][0]["code"], "too-many-out");
    assert_eq!(told["violations"][0]["steps"][0], "w1/cordon@1.35.4");

    desk.write("plan.json", "{}");
    desk.refit(&verify).ends(1, &["cannot be used"]);
}
