//! Where gates stand.

use std::time::Duration;

use super::declared::group;
use crate::build::World;
use refit::documents::settings::{
    Condition, Gate, GatePoint, NoData, PrometheusServer, SecretSource, Share,
};
use refit::plan::data::{Action, Plan, StepId};
use refit::report::parts::hops;
use refit::report::plan::{Look, table};

fn gate(name: &str, at: GatePoint) -> Gate {
    Gate {
        name: name.to_owned(),
        at,
        condition: Condition::Approval {
            by: vec!["alice".to_owned(), "bob".to_owned()],
            expires_s: 12 * 3600,
        },
    }
}

fn everywhere() -> Vec<Gate> {
    vec![
        gate("begin", GatePoint::BeforeHop),
        gate("one", GatePoint::AfterControlPlane),
        gate("workers", GatePoint::BeforeWorkers),
        gate("wave", GatePoint::AfterEachWave),
        gate("end", GatePoint::AfterHop),
    ]
}

/// Each gate with what it waits for and what waits for it.
fn gates(plan: &Plan) -> Vec<String> {
    let ids = |ids: Vec<&StepId>| {
        let stems: Vec<&str> = ids.into_iter().map(StepId::stem).collect();
        stems.join(" ")
    };
    plan.steps
        .iter()
        .filter(|step| matches!(step.action, Action::Gate { .. }))
        .map(|step| {
            let then = plan
                .steps
                .iter()
                .filter(|then| then.after.contains(&step.id));
            format!(
                "{} > {} > {}",
                ids(step.after.iter().collect()),
                step.id,
                ids(then.map(|then| &then.id).collect())
            )
        })
        .collect()
}

#[test]
fn each_place_has_its_gate_in_each_hop() {
    let mut world = World::new(2, 3, "1.34.4", "1.35.4");
    world.upgrade.workers.max_unavailable = Share::Count(2);
    world.upgrade.gates = everywhere();
    let plan = world.planned();
    assert_eq!(
        gates(&plan),
        [
            " > gate/begin@1.35.4 > cluster/check-cluster cp1/check-host cp2/check-host w1/check-host w2/check-host w3/check-host",
            "cp1/await-control-plane > gate/one/cp1@1.35.4 > cp2/kubeadm-node",
            "cp2/await-control-plane > gate/one/cp2@1.35.4 > barrier/control-planes",
            "cp2/uncordon > gate/workers@1.35.4 > cluster/taint-outdated",
            "barrier/wave-1 > gate/wave/wave-1@1.35.4 > w3/kubeadm-node",
            "barrier/wave-2 > gate/wave/wave-2@1.35.4 > barrier/nodes",
            "barrier/nodes > gate/end@1.35.4 > cluster/verify",
        ]
    );
    // Reports tell them in the part in which they are met.
    let told: Vec<String> = hops(&plan)
        .iter()
        .flat_map(|hop| &hop.sections)
        .flat_map(|section| {
            let gates = section
                .steps
                .iter()
                .filter(|step| step.id.place() == "gate");
            gates.map(move |step| format!("{}: {}", section.part.short(), step.id.verb()))
        })
        .collect();
    assert_eq!(
        told,
        [
            "preflight: begin",
            "control planes: one/cp1",
            "control planes: one/cp2",
            "wave 1: workers",
            "wave 1: wave/wave-1",
            "wave 2: wave/wave-2",
            "end: end",
        ]
    );
    let shown = table(&plan, 120, &Look::PLAIN);
    assert!(
        shown.contains("waits for the word of alice or bob"),
        "{shown}"
    );
    let mut two = World::new(2, 3, "1.34.4", "1.36.3");
    two.upgrade.gates = everywhere();
    assert_eq!(gates(&two.planned()).len(), 16);
}

/// A soak is told with the wave that it watches, whatever else stands between; one that nothing of the plan comes before, with
/// the first workers that it keeps back.
#[test]
fn a_soak_behind_a_gate_is_told_with_its_wave() {
    let mut world = World::new(1, 3, "1.34.4", "1.35.4");
    world.upgrade.gates = everywhere();
    let labels = &mut world.node("w2").labels;
    labels.insert("pool".to_owned(), "canary".to_owned());
    world.upgrade.workers.order = vec![group("canary", 600)];
    let told = |plan: &Plan| -> Vec<String> {
        let hops = hops(plan);
        let sections = hops.iter().flat_map(|hop| &hop.sections);
        sections
            .flat_map(|section| {
                let soaks = section.steps.iter();
                soaks
                    .filter(|step| matches!(step.action, Action::Soak { .. }))
                    .map(|step| format!("{}: {}", section.part.short(), step.id.verb()))
            })
            .collect()
    };
    let plan = world.planned();
    assert_eq!(told(&plan), ["wave 1: soak-group-1"]);
    let soak = plan
        .steps
        .iter()
        .find(|step| matches!(step.action, Action::Soak { .. }));
    assert_eq!(soak.unwrap().after[0].place(), "gate");
    let target = plan.target.clone();
    for host in ["w2", "cp1"] {
        world.install_kubeadm(host, &target);
        world.install_kubelet(host, &target);
    }
    world.upgrade_instance("cp1", &target);
    world.config().kubernetes_version = target.clone();
    world.roll_kube_proxy(&target);
    let plan = world.planned();
    assert_eq!(told(&plan), ["wave 1: soak-group-1"]);
    assert!(
        plan.step(&StepId::new("w2/install-kubelet@1.35.4"))
            .is_none()
    );
}

#[test]
fn gates_of_one_place_follow_each_other_and_pauses_follow_them() {
    let mut world = World::new(2, 1, "1.34.4", "1.35.4");
    world.upgrade.control_plane.pause = Duration::from_secs(60);
    world.upgrade.gates = vec![
        gate("zebra", GatePoint::AfterControlPlane),
        gate("apple", GatePoint::AfterControlPlane),
    ];
    assert_eq!(
        gates(&world.planned()),
        [
            "cp1/await-control-plane > gate/zebra/cp1@1.35.4 > gate/apple/cp1",
            "gate/zebra/cp1 > gate/apple/cp1@1.35.4 > cp1/pause",
            "cp2/await-control-plane > gate/zebra/cp2@1.35.4 > gate/apple/cp2",
            "gate/zebra/cp2 > gate/apple/cp2@1.35.4 > barrier/control-planes",
        ]
    );
}

#[test]
fn where_no_worker_goes_nobody_is_asked_about_workers() {
    let mut world = World::new(2, 0, "1.34.4", "1.35.4");
    world.upgrade.gates = everywhere();
    let left = gates(&world.planned());
    assert!(!left.is_empty());
    assert!(
        left.iter()
            .all(|gate| !gate.contains("/workers@") && !gate.contains("/wave")),
        "{left:?}"
    );
}

#[test]
fn workers_that_skip_a_minor_wait_for_the_gate_before_workers() {
    let mut world = World::new(1, 2, "1.33.5", "1.35.4");
    world.upgrade.workers.skip_level = true;
    world.upgrade.gates = vec![gate("workers", GatePoint::BeforeWorkers)];
    for host in ["cp1", "w1", "w2"] {
        let flags = refit::cluster::facts::Observed::Known(Vec::new());
        world.host(host).kubelet_flags = flags;
    }
    let gates = gates(&world.planned());
    assert_eq!(gates.len(), 2, "{gates:?}");
    assert!(
        gates[0].ends_with("> w1/kubeadm-node w2/kubeadm-node"),
        "{gates:?}"
    );
}

#[test]
fn a_query_is_told_in_the_plan_and_by_hand_and_its_token_is_only_named() {
    use refit::report::runbook::{Logins, runbook};
    let mut world = World::new(1, 1, "1.34.4", "1.35.4");
    let asks = |url: &str, token| Gate {
        name: "error-rate".to_owned(),
        at: GatePoint::AfterHop,
        condition: Condition::Prometheus {
            server: PrometheusServer {
                url: url.to_owned(),
                token,
                ca_file: Some("plans/ca.pem".to_owned()),
            },
            query: "sum(rate(x{code=~'5..'}[5m]))".to_owned(),
            expect: "< 1".parse().unwrap(),
            no_data: NoData::Fail,
            for_s: 120,
            timeout_s: 600,
        },
    };
    let token = Some(SecretSource::Env("PROM_TOKEN".to_owned()));
    world.upgrade.gates = vec![asks("http://prom.example.org", token)];
    let plan = world.planned();
    let step = plan.steps.iter().find(|step| step.id.place() == "gate");
    let step = step.unwrap();
    assert_eq!((step.timeout_s, step.expected_s), (600, 120));
    let shown = table(&plan, 400, &Look::PLAIN);
    for words in [
        "asks http://prom.example.org for `sum(rate(x{code=~'5..'}[5m]))` until every value is < 1 and goes on being so for 2 min; no data is not enough",
        "gate `error-rate` sends its token to prom.example.org without encryption",
    ] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    let by_hand = runbook(&plan, &Logins::new(), jiff::Timestamp::UNIX_EPOCH);
    let line = r#"printf 'Authorization: Bearer %s\n' "$PROM_TOKEN" | curl --silent --show-error --max-time 30 --cacert plans/ca.pem --header @- --data-urlencode 'query=sum(rate(x{code=~'\''5..'\''}[5m]))' http://prom.example.org/api/v1/query"#;
    assert!(by_hand.contains(line), "{by_hand}");

    let file = Some(SecretSource::File("/run/my token".to_owned()));
    world.upgrade.gates = vec![asks("https://prom.example.org", file)];
    let plan = world.planned();
    assert!(plan.notes.iter().all(|note| !note.contains("token")));
    let by_hand = runbook(&plan, &Logins::new(), jiff::Timestamp::UNIX_EPOCH);
    assert!(
        by_hand.contains(r#""$(cat '/run/my token')" | curl"#),
        "{by_hand}"
    );
}
