//! What reviewers get: Markdown, and the difference between two plans.

use crate::desk::Desk;

#[test]
fn a_comment_states_the_age_of_the_facts_and_what_changed() {
    let desk = Desk::new();
    desk.plan(&["--out", "old.plan.json"])
        .ends(0, &["facts observed at", "1 h 0 min before"]);
    let upgrade = std::fs::read_to_string(desk.path("upgrade.yaml")).unwrap();
    desk.write(
        "upgrade.yaml",
        &format!("{upgrade}strategy: {{workers: {{maxUnavailable: 2}}}}\n"),
    );
    let more = ["-o", "markdown", "--against", "old.plan.json"];
    let ran = desk.plan(&more).ends(
        0,
        &[
            "observed at 2026-11-21T10:00:00Z, 1 h 0 min before 2026-11-21T11:00:00Z",
            "workers_out_of_service: 1 -> 2",
            "```mermaid",
        ],
    );
    assert_eq!(
        ran.out,
        desk.plan(&more).out,
        "the same input gives the same bytes"
    );
    desk.plan(&["-o", "markdown", "--against", "facts.json"])
        .ends(1, &["facts.json cannot be used", "nothing was changed"]);
}

#[test]
fn without_a_plan_nothing_is_compared_and_that_is_said() {
    let desk = Desk::new();
    desk.plan(&["--out", "old.plan.json"]).ends(0, &[]);
    let upgrade = std::fs::read_to_string(desk.path("upgrade.yaml")).unwrap();
    desk.write("upgrade.yaml", &upgrade.replace("1.35.4", "1.35.99"));
    for format in ["markdown", "table", "json", "mermaid"] {
        let against = ["-o", format, "--against", "old.plan.json"];
        let ran = desk
            .plan(&against)
            .ends(3, &["Not compared with the earlier plan (to 1.35.4, "]);
        let told = ran.out.contains("Not compared");
        assert_eq!(told, format == "markdown", "{format}: {ran:#?}");
        desk.plan(&[
            "-o",
            format,
            "--against",
            "old.plan.json",
            "--detailed-exitcode",
        ])
        .ends(3, &[]);
    }
    let ran = desk.plan(&["-o", "markdown"]).ends(3, &["1.35.99"]);
    assert!(!ran.out.contains("Not compared"), "{ran:#?}");
}

#[test]
fn two_plans_are_compared() {
    let desk = Desk::new();
    desk.plan(&["--out", "old.plan.json"]).ends(0, &[]);
    desk.refit(&[
        "diff",
        "old.plan.json",
        "old.plan.json",
        "--detailed-exitcode",
    ])
    .ends(0, &["nothing changed"]);
    let upgrade = std::fs::read_to_string(desk.path("upgrade.yaml")).unwrap();
    desk.write("upgrade.yaml", &upgrade.replace("1.35.4", "1.35.4 # soon"));
    desk.plan(&["--out", "new.plan.json"]).ends(0, &[]);
    desk.refit(&["diff", "old.plan.json", "new.plan.json"])
        .ends(0, &["the same steps in the same order", "declaration: "]);
    let ran = desk
        .refit(&[
            "diff",
            "old.plan.json",
            "new.plan.json",
            "--detailed-exitcode",
            "-o",
            "json",
        ])
        .ends(2, &[]);
    let diff: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(diff["purpose"][0]["what"], "declaration");
    desk.write("edited.plan.json", "{}");
    desk.refit(&["diff", "old.plan.json", "edited.plan.json"])
        .ends(1, &["edited.plan.json cannot be used"]);
}

#[test]
fn a_plan_is_shown_in_every_form_and_needs_nothing_for_it() {
    let desk = Desk::new();
    for (form, says) in [
        ("dot", "digraph"),
        ("mermaid", "flowchart TD"),
        ("html", "<!doctype html>"),
        ("runbook", "ssh -p 1 ops@127.0.0.21 sudo"),
    ] {
        let first = desk.plan(&["-o", form]).ends(0, &[says]);
        assert_eq!(first.out, desk.plan(&["-o", form]).out, "{form}");
    }
    desk.plan(&["--out", "plan.json"]).ends(0, &[]);
    desk.refit(&["artifacts", "plan.json", "--facts", "facts.json"])
        .ends(0, &["image       registry.k8s.io/kube-apiserver:v1.35.4"]);
    desk.refit(&["artifacts", "plan.json", "-o", "json"])
        .ends(0, &["refit.artifacts/v1"]);
}

/// Facts in which every name of the cluster says so.
fn of_zebra() -> String {
    let mut facts = crate::build::World::new(3, 2, "1.34.4", "1.35.4");
    let mut image = crate::build::pod("zebra-shop", "zebra-0", "w1");
    image
        .labels
        .insert("zebra.example/team".to_owned(), "zebra".to_owned());
    image
        .images
        .insert("zebra".to_owned(), "zebra.example/shop:v7".to_owned());
    for node in ["w1", "w2"] {
        let labels = &mut facts.node(node).labels;
        labels.insert("zebra.example/zone".to_owned(), "zebra-a".to_owned());
    }
    let selector = [("zebra.example/zone".to_owned(), "zebra-a".to_owned())];
    image.placement = Some(refit::cluster::model::Placement {
        node_selector: selector.into(),
        ..Default::default()
    });
    facts.pods().push(image);
    facts.budgets().push(crate::build::budget("zebra", 1, 2));
    facts.node("w1").internal_ips.push("10.99.1.7".to_owned());
    facts.host("w1").kubelet_flags = refit::cluster::facts::Observed::Known(vec![
        "--node-ip=10.99.1.7".to_owned(),
        "--v=2".to_owned(),
    ]);
    let mut text = serde_json::to_string_pretty(&facts.facts).unwrap();
    for name in ["cp1", "cp2", "cp3", "w1", "w2"] {
        text = text.replace(name, &format!("zebra-{name}"));
    }
    text.replace("example.org", "zebra.example")
        .replace("uid-", "uid-zebra-")
        .replace("b0a4", "b0a4-zebra")
}

#[test]
fn redacted_facts_tell_nothing_and_give_a_plan_of_the_same_shape() {
    let desk = Desk::new();
    desk.write("facts.json", &of_zebra());
    let inventory = std::fs::read_to_string(desk.path("inventory.yaml")).unwrap();
    let inventory = inventory
        .replace("name: cp", "name: zebra-cp")
        .replace("name: w", "name: zebra-w");
    desk.write("inventory.yaml", &inventory);
    let plan = |args: &[&str]| -> refit::plan::data::Plan {
        let ran = desk.refit(args).ends(0, &[]);
        refit::plan::data::Plan::from_json(&ran.out).unwrap()
    };
    let at = crate::desk::AT;
    let open = plan(&[
        "plan",
        "upgrade.yaml",
        "--facts",
        "facts.json",
        "--at",
        at,
        "-o",
        "json",
    ]);
    desk.refit(&[
        "inspect",
        "upgrade.yaml",
        "--facts",
        "facts.json",
        "--redact",
        "--out",
        "public.json",
        "--inventory-out",
        "public.yaml",
    ])
    .ends(0, &[]);
    for file in ["public.json", "public.yaml"] {
        let text = std::fs::read_to_string(desk.path(file)).unwrap();
        for secret in ["zebra", "10.99.1", "machine-", "b0a4", "c0ff"] {
            let line = text
                .lines()
                .find(|line| line.contains(secret) && !line.contains("\"machine-"));
            assert!(line.is_none(), "{file} tells: {line:?}");
        }
    }
    let upgrade = std::fs::read_to_string(desk.path("upgrade.yaml")).unwrap();
    desk.write(
        "upgrade.yaml",
        &upgrade.replace("inventory.yaml", "public.yaml"),
    );
    let hidden = plan(&[
        "plan",
        "upgrade.yaml",
        "--facts",
        "public.json",
        "--at",
        at,
        "-o",
        "json",
    ]);
    let shape = |plan: &refit::plan::data::Plan| -> Vec<(String, usize, u64)> {
        plan.steps
            .iter()
            .map(|step| (step.id.verb().to_owned(), step.after.len(), step.expected_s))
            .collect()
    };
    assert_eq!(shape(&open), shape(&hidden));
    assert!(
        hidden
            .step(&refit::plan::data::StepId::new(
                "node-1/kubeadm-apply@1.35.4"
            ))
            .is_some()
    );
}

#[test]
fn a_changed_declaration_waits_for_the_run_to_end() {
    let desk = Desk::new();
    desk.record(crate::desk::cut_off);
    let unchanged = desk
        .refit(&["apply", "upgrade.yaml", "--yes"])
        .ends(1, &["is not finished"]);
    assert!(!unchanged.err.contains("a change counts"), "{unchanged:#?}");
    let upgrade = std::fs::read_to_string(desk.path("upgrade.yaml")).unwrap();
    desk.write("upgrade.yaml", &upgrade.replace("1.35.4", "1.35.5"));
    desk.refit(&["apply", "upgrade.yaml", "--yes"]).ends(
        1,
        &[
            "is not finished",
            "a change counts once the run has ended or was put aside",
            "nothing was changed",
        ],
    );
}
