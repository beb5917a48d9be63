//! L rows: a node drained through the real client, by id.
//!
//! refit does not offer what L7 (`--skip-wait-for-delete-timeout`), L15 and L16 (`--dry-run=server`) are about: a drain ends
//! when the pods are gone, and the plan is the dry run. L18 is in `kube_adapter`.
//!
//! After kubernetes/kubectl `pkg/drain/drain_test.go` and `pkg/cmd/drain/drain_test.go`.

use std::time::Duration;

use refit::cluster::model::{Budget, Controller, NodeName, Pod};
use refit::plan::data::{Action, Plan};
use refit::ports::World as Ports;
use refit::run::event::{Event, Halt, Stamped};
use refit::run::executor::Outcome;
use refit::run::journal::Memory;
use refit::sim::Sim;
use refit::sim::api::evict::Request;
use refit::sim::api::{Habit, Options, Timing};
use serde_json::json;

use super::{Asked, Reply, Wire};
use crate::sim::rules::{budget, pod, world, world_with};
use crate::world::plans::{Around, Nobody, drain, go_with, never, plan, step};

pub(super) const SECOND: Duration = Duration::from_secs(1);

/// How a plan has ended.
pub(super) struct Ended {
    pub(super) outcome: Outcome,
    pub(super) took: Duration,
    pub(super) waited_for: Vec<String>,
}

impl Ended {
    pub(super) fn well(&self) {
        assert!(
            matches!(self.outcome, Outcome::Finished { .. }),
            "{:?}",
            self.outcome
        );
    }

    /// The failures' texts.
    pub(super) fn badly(&self) -> String {
        let Outcome::Halted { failures, .. } = &self.outcome else {
            panic!("{:?}", self.outcome)
        };
        let told: Vec<String> = failures
            .iter()
            .map(|(step, why)| format!("{step}: {why}"))
            .collect();
        told.join("\n")
    }
}

pub(super) async fn carry_out(
    wire: &Wire<'_>,
    plan: &Plan,
    stop: impl Future<Output = ()>,
) -> Ended {
    let ports = Ports {
        api: &wire.kube,
        hosts: wire.sim,
        clock: wire.sim,
    };
    let around = Around {
        store: wire.sim,
        people: &Nobody,
        programs: &Nobody,
        metrics: &Nobody,
    };
    let mut file = Memory::default();
    let began = tokio::time::Instant::now();
    let run = go_with(plan, ports, around, &[], &mut file, stop);
    let (outcome, events) = wire.serve(run).await;
    Ended {
        outcome,
        took: began.elapsed(),
        waited_for: events.iter().filter_map(waiting).collect(),
    }
}

fn waiting(stamped: &Stamped) -> Option<String> {
    match &stamped.event {
        Event::StepWaiting { on, .. } => Some(on.clone()),
        _ => None,
    }
}

/// Drains `w1`, which this run has cordoned, within so many seconds.
pub(super) fn drain_w1(timeout_s: u64) -> Plan {
    let mut only = step("w1/drain", &[], drain("w1"));
    only.timeout_s = timeout_s;
    plan(vec![only])
}

pub(super) fn w1() -> NodeName {
    NodeName::new("w1")
}

pub(super) fn cordoned(world: refit::sim::World) -> Sim {
    let sim = Sim::new(world, 1);
    sim.act(|world| world.with_api(|api| api.cordon(&w1(), "r1").unwrap()));
    sim
}

pub(super) fn evictions(wire: &Wire<'_>) -> Vec<String> {
    let asked = wire.asked();
    let evicting = asked.iter().filter(|asked| asked.evicts());
    evicting
        .map(|asked| asked.body["metadata"]["name"].as_str().unwrap().to_owned())
        .collect()
}

/// Someone else deletes the pod, whatever its budget says.
fn delete(sim: &Sim, name: &str, grace: Duration) {
    let request = Request {
        namespace: "shop",
        name,
        body_name: name,
        uid: None,
        grace: Some(grace),
        dry_run: false,
    };
    sim.act(|world| {
        world.with_api(|api| {
            api.change_guard("shop", "web", |guard| guard.budget.selector = None);
            assert!(api.evict(&request).is_granted());
        });
    });
}

/// Pods whose name begins so never end.
pub(super) fn stuck(prefix: &str) -> Options {
    Options {
        timing: Timing {
            habits: vec![Habit {
                namespace: "shop".into(),
                prefix: prefix.into(),
                ends: None,
                serves: Some(SECOND),
            }],
            ..Timing::default()
        },
        ..Options::default()
    }
}

/// A budget of two pods, of which one does not serve.
fn one_is_missing() -> Budget {
    Budget {
        expected_pods: 2,
        ..budget(0, 1, 2)
    }
}

/// On `w1` one pod that serves, on `w2` one that does not; both are wanted to.
fn blocked() -> Sim {
    let elsewhere = Pod {
        node: Some(NodeName::new("w2")),
        ready: false,
        ..pod(2)
    };
    cordoned(world(vec![pod(1), elsewhere], vec![one_is_missing()], 2))
}

#[tokio::test(start_paused = true)]
async fn l1_l8_f20_every_pod_is_asked_to_go_once_and_the_list_comes_in_pages() {
    let sim = cordoned(world((1..=600).map(pod).collect(), vec![], 600));
    let wire = Wire::new(&sim);
    let ended = carry_out(&wire, &drain_w1(600), never()).await;
    ended.well();
    let mut names = evictions(&wire);
    names.sort();
    names.dedup();
    assert_eq!((names.len(), evictions(&wire).len()), (600, 600));
    let asked = wire.asked();
    let lists: Vec<&Asked> = asked
        .iter()
        .filter(|asked| asked.path == "/api/v1/pods")
        .collect();
    assert_eq!(lists[0].has("limit"), Some("500"));
    assert_eq!(lists[0].has("fieldSelector"), Some("spec.nodeName=w1"));
    assert_eq!(lists[1].has("continue"), Some("500"));
    println!("600 pods in {:?} with {} requests", ended.took, asked.len());
}

#[tokio::test(start_paused = true)]
async fn l2_a_pod_that_is_gone_when_it_is_asked_to_go_is_done() {
    let sim = cordoned(world(vec![pod(1)], vec![], 1));
    let wire = Wire::with(&sim, |sim, asked| {
        asked.evicts().then(|| {
            delete(sim, "web-1", Duration::ZERO);
            Reply::error(404, "pods \"web-1\" not found")
        })
    });
    carry_out(&wire, &drain_w1(60), never()).await.well();
    assert_eq!(evictions(&wire), ["web-1"]);
}

/// Of a StatefulSet, so that its like comes back under the same name.
fn of_stateful_set() -> Pod {
    Pod {
        controller: Some(Controller {
            api_version: "apps/v1".into(),
            kind: "StatefulSet".into(),
            name: "web".into(),
        }),
        ..pod(0)
    }
}

#[tokio::test(start_paused = true)]
async fn l3_another_pod_of_the_same_name_elsewhere_means_that_it_is_gone() {
    let sim = cordoned(world(vec![of_stateful_set()], vec![], 1));
    let wire = Wire::new(&sim);
    carry_out(&wire, &drain_w1(60), never()).await.well();
    assert_eq!(evictions(&wire), ["web-0"]);
    sim.sleep(5 * SECOND).await;
    let (uid, node) = sim.look(|world| {
        let pods = world.api.pods();
        let held = pods.get(pods.named("shop", "web-0").unwrap()).unwrap();
        (held.pod.uid.clone(), held.pod.node.clone())
    });
    assert_ne!((uid.as_str(), node), ("u0", Some(w1())));
}

#[tokio::test(start_paused = true)]
async fn l17_born_again_elsewhere_between_two_requests_it_is_left_alone() {
    let elsewhere = Pod {
        node: Some(NodeName::new("w2")),
        name: "web-1".into(),
        uid: "u1".into(),
        ready: false,
        ..of_stateful_set()
    };
    let sim = cordoned(world(
        vec![of_stateful_set(), elsewhere],
        vec![one_is_missing()],
        2,
    ));
    let mut asked_before = false;
    let wire = Wire::with(&sim, |sim, asked| {
        if asked.evicts() && asked_before {
            // it has gone, and its like is there, before the request arrives
            delete(sim, "web-0", Duration::ZERO);
            sim.act(|world| world.settle(world.now() + 2 * SECOND));
        }
        asked_before |= asked.evicts();
        None
    });
    carry_out(&wire, &drain_w1(60), never()).await.well();
    assert_eq!(evictions(&wire), ["web-0", "web-0"]);
    sim.look(|world| {
        let pods = world.api.pods();
        let held = pods.get(pods.named("shop", "web-0").unwrap()).unwrap();
        assert_ne!(held.pod.uid, "u0");
        assert_eq!(
            held.pod.deletion_timestamp, None,
            "the new one was not asked to go"
        );
    });
}

#[tokio::test(start_paused = true)]
async fn l4_an_error_while_the_end_is_awaited_is_not_the_end() {
    let sim = cordoned(world(vec![pod(1)], vec![], 1));
    let (mut evicted, mut errors) = (false, 0);
    let wire = Wire::with(&sim, |_, asked| {
        evicted |= asked.evicts();
        let fails = evicted && asked.path == "/api/v1/pods" && errors < 3;
        errors += u32::from(fails);
        fails.then(|| Reply::error(500, "etcdserver: leader changed"))
    });
    carry_out(&wire, &drain_w1(60), never()).await.well();
    drop(wire);
    assert_eq!(errors, 3);
}

#[tokio::test(start_paused = true)]
async fn l5_what_never_ends_is_named_when_the_time_is_over() {
    let sim = cordoned(world_with(
        (1..=3).map(pod).collect(),
        vec![],
        3,
        stuck("web-2"),
    ));
    let wire = Wire::new(&sim);
    let ended = carry_out(&wire, &drain_w1(10), never()).await;
    let told = ended.badly();
    assert!(
        told.contains("not drained after 10 s") && told.contains("shop/web-2"),
        "{told}"
    );
    assert!(!told.contains("web-1") && !told.contains("web-3"), "{told}");
    assert!(ended.took < 12 * SECOND, "{:?}", ended.took);
}

#[tokio::test(start_paused = true)]
async fn l6_asked_to_stop_it_does_not_wait_for_its_time() {
    let sim = cordoned(world_with(vec![pod(1)], vec![], 1, stuck("web")));
    let wire = Wire::new(&sim);
    let ended = carry_out(&wire, &drain_w1(600), tokio::time::sleep(2 * SECOND)).await;
    let Outcome::Halted { why, .. } = &ended.outcome else {
        panic!("{:?}", ended.outcome)
    };
    assert_eq!(*why, Halt::Interrupted);
    assert!(ended.took < 10 * SECOND, "{:?}", ended.took);
}

#[tokio::test(start_paused = true)]
async fn l8_a_budget_that_allows_it_later_is_waited_for_once() {
    let sim = blocked();
    let wire = Wire::new(&sim);
    let plan = drain_w1(60);
    let heals = async {
        tokio::time::sleep(7 * SECOND).await;
        sim.act(|world| {
            world.with_api(|api| {
                api.change_guard("shop", "web", |guard| guard.budget.disruptions_allowed = 1)
            });
        });
        std::future::pending::<()>().await;
    };
    let ended = tokio::select! {
        ended = carry_out(&wire, &plan, never()) => ended,
        () = heals => unreachable!(),
    };
    ended.well();
    let asked = evictions(&wire).len();
    assert!((2..=3).contains(&asked), "{asked} requests");
    // as soon as the budget allows, not with the next turn
    assert!(ended.took < 12 * SECOND, "{:?}", ended.took);
    assert!(
        ended.waited_for[0].contains("web"),
        "{:?}",
        ended.waited_for
    );
}

#[tokio::test(start_paused = true)]
async fn l9_a_budget_that_never_allows_is_named_with_its_pod() {
    let sim = blocked();
    let wire = Wire::new(&sim);
    let ended = carry_out(&wire, &drain_w1(10), never()).await;
    let told = ended.badly();
    for part in ["shop/web-1", "budget", "web", "needs 2", "has 1"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(ended.took <= 15 * SECOND, "{:?}", ended.took);
    let asked = evictions(&wire).len();
    assert!(asked <= 3, "{asked} requests within 10 s");
}

fn namespace_terminates() -> Reply {
    let mut reply = Reply::error(
        403,
        "pods \"web-1\" is forbidden: unable to create new content in namespace shop",
    );
    reply.body["details"] = json!({"causes": [{"reason": "NamespaceTerminating", "message": "namespace shop is being terminated"}]});
    reply
}

#[tokio::test(start_paused = true)]
async fn l10_in_a_namespace_that_is_being_deleted_its_end_is_awaited() {
    let sim = cordoned(world(vec![pod(1)], vec![], 1));
    let wire = Wire::with(&sim, |sim, asked| {
        asked.evicts().then(|| {
            delete(sim, "web-1", 5 * SECOND);
            namespace_terminates()
        })
    });
    carry_out(&wire, &drain_w1(60), never()).await.well();
    assert_eq!(evictions(&wire), ["web-1"]);
}

#[tokio::test(start_paused = true)]
async fn l11_should_it_not_be_deleted_that_is_told() {
    let sim = cordoned(world(vec![pod(1)], vec![], 1));
    let wire = Wire::with(&sim, |_, asked| asked.evicts().then(namespace_terminates));
    let ended = carry_out(&wire, &drain_w1(12), never()).await;
    let told = ended.badly();
    assert!(
        told.contains("shop/web-1") && told.contains("namespace is being deleted"),
        "{told}"
    );
    assert!(ended.took <= 17 * SECOND, "{:?}", ended.took);
}

#[tokio::test(start_paused = true)]
async fn l12_one_that_is_refused_does_not_hold_up_the_others() {
    let sim = cordoned(world((1..=3).map(pod).collect(), vec![], 3));
    let wire = Wire::with(&sim, |_, asked| {
        let refused = asked.evicts() && asked.body["metadata"]["name"] == "web-2";
        refused.then(|| Reply::error(403, "admission webhook \"guard\" denied the request"))
    });
    let ended = carry_out(&wire, &drain_w1(60), never()).await;
    let told = ended.badly();
    assert!(
        told.contains("shop/web-2") && told.contains("webhook"),
        "{told}"
    );
    let left = sim.look(|world| {
        let pods = world.api.pods();
        pods.on(&w1())
            .map(|(_, held)| held.pod.name.clone())
            .collect::<Vec<_>>()
    });
    assert_eq!(left, ["web-2"]);
}

/// Cordons the node, and drains it.
fn cordon_and_drain(node: &str) -> Vec<refit::plan::data::Step> {
    let (cordon, drained) = (format!("{node}/cordon"), format!("{node}/drain"));
    let cordoning = Action::Cordon {
        node: NodeName::new(node),
    };
    vec![
        step(&cordon, &[], cordoning),
        step(&drained, &[&cordon], drain(node)),
    ]
}

#[tokio::test(start_paused = true)]
async fn l19_what_is_cordoned_is_not_cordoned_again_and_a_missing_node_is_told() {
    let sim = cordoned(world(vec![pod(1)], vec![], 1));
    let wire = Wire::new(&sim);
    carry_out(&wire, &plan(cordon_and_drain("w1")), never())
        .await
        .well();
    assert!(!wire.asked().iter().any(Asked::patches));

    let wire = Wire::new(&sim);
    let ended = carry_out(&wire, &plan(cordon_and_drain("w9")), never()).await;
    assert!(
        ended.badly().contains("nodes \"w9\" not found"),
        "{}",
        ended.badly()
    );
    assert_eq!(evictions(&wire), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn l20_where_the_cordon_is_denied_nothing_is_evicted() {
    let sim = Sim::new(world(vec![pod(1)], vec![], 1), 1);
    let wire = Wire::with(&sim, |_, asked| {
        asked
            .patches()
            .then(|| Reply::error(403, "admission webhook \"guard\" denied the request"))
    });
    let ended = carry_out(&wire, &plan(cordon_and_drain("w1")), never()).await;
    assert!(
        ended.badly().contains("denied the request"),
        "{}",
        ended.badly()
    );
    assert_eq!(evictions(&wire), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn l21_a_node_that_cannot_be_drained_does_not_hold_up_another() {
    let elsewhere = Pod {
        node: Some(NodeName::new("w2")),
        ..pod(2)
    };
    let sim = cordoned(world(vec![pod(1), elsewhere], vec![], 2));
    let w2 = NodeName::new("w2");
    sim.act(|world| world.with_api(|api| api.cordon(&w2, "r1").unwrap()));
    let wire = Wire::with(&sim, |_, asked| {
        let refused = asked.evicts() && asked.body["metadata"]["name"] == "web-1";
        refused.then(|| Reply::error(403, "admission webhook \"guard\" denied the request"))
    });
    let both = ["w1", "w2"].map(|node| step(&format!("{node}/drain"), &[], drain(node)));
    let ended = carry_out(&wire, &plan(both.into()), never()).await;
    let told = ended.badly();
    assert!(
        told.contains("w1/drain") && !told.contains("w2/drain"),
        "{told}"
    );
    let left = sim.look(|world| world.api.pods().on(&w2).count());
    assert_eq!(left, 0);
}
