//! Workers in waves, as a plan has them: budgets, room and the declaration's limits. Every plan here passes `verify`.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use refit::cluster::model::{
    Budget, LabelSelector, NodeTerm, Operator, Placement, Pod, Requirement,
};
use refit::documents::settings::{OrderGroup, Share};
use refit::plan::data::{Action, Plan};

use crate::build::{World, budget, pod};

/// The workers of each wave, as `w1 w3 | w2`.
fn waves(plan: &Plan) -> String {
    let mut waves: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
    for step in &plan.steps {
        let Action::Barrier { .. } = step.action else {
            continue;
        };
        let Some(number) = step.id.as_str().strip_prefix("barrier/wave-") else {
            continue;
        };
        let number = number.split('@').next().unwrap().parse().unwrap();
        let nodes = step
            .after
            .iter()
            .map(|id| id.as_str().split('/').next().unwrap());
        waves.insert(number, nodes.collect());
    }
    let waves: Vec<String> = waves.values().map(|nodes| nodes.join(" ")).collect();
    waves.join(" | ")
}

fn because(plan: &Plan, barrier: &str) -> String {
    let found = plan
        .steps
        .iter()
        .find(|step| step.id.as_str().starts_with(barrier));
    found.unwrap().because.clone()
}

fn note<'p>(plan: &'p Plan, with: &str) -> &'p str {
    let found = plan.notes.iter().find(|note| note.contains(with));
    found.unwrap_or_else(|| panic!("{:#?}", plan.notes))
}

fn world(workers: usize) -> World {
    let mut world = World::new(1, workers, "1.34.4", "1.35.4");
    world.upgrade.workers.max_unavailable = Share::Percent(100);
    world
}

#[test]
fn budgets_part_workers() {
    let mut world = world(4);
    assert_eq!(waves(&world.planned()), "w1 w2 w3 w4");
    world.budgets().push(budget("web", 2, 4));
    let plan = world.planned();
    assert_eq!(waves(&plan), "w1 w2 | w3 w4");
    assert_eq!(
        because(&plan, "barrier/wave-1@"),
        "budget shop/web lets no more than 2 of its pods go at once"
    );
    note(
        &plan,
        "workers go in 2 waves; no fewer are possible: budget shop/web lets no more than 2",
    );
    world.upgrade.workers.max_unavailable = Share::Count(1);
    let plan = world.planned();
    assert_eq!(waves(&plan), "w1 | w2 | w3 | w4");
    assert!(because(&plan, "barrier/wave-1@").contains("maxUnavailable"));
}

#[test]
fn domains_and_groups_part_workers() {
    let mut world = world(5);
    for (node, zone) in [
        ("w1", "a"),
        ("w2", "b"),
        ("w3", "a"),
        ("w4", "b"),
        ("w5", "a"),
    ] {
        world
            .node(node)
            .labels
            .insert("zone".to_owned(), zone.to_owned());
    }
    world.upgrade.workers.topology_key = Some("zone".to_owned());
    let plan = world.planned();
    assert_eq!(waves(&plan), "w1 w3 w5 | w2 w4");
    note(&plan, "never two values of zone in one wave");
    world.upgrade.workers.order = vec![OrderGroup {
        selector: LabelSelector {
            match_labels: BTreeMap::from([("kubernetes.io/hostname".to_owned(), "w4".to_owned())]),
            match_expressions: Vec::new(),
        },
        soak: Duration::ZERO,
    }];
    assert_eq!(waves(&world.planned()), "w4 | w1 w3 w5 | w2");
}

#[test]
fn what_a_drain_waits_for_and_what_finds_no_other_node_is_told() {
    let mut world = world(2);
    let mut budget = budget("web", 1, 2);
    (budget.current_healthy, budget.disruptions_allowed) = (1, 0);
    world.budgets().push(budget);
    let mut pinned = pod("shop", "cache-0", "w1");
    pinned.labels.clear();
    pinned.placement.as_mut().unwrap().volumes = vec![vec![NodeTerm {
        labels: vec![Requirement {
            key: "kubernetes.io/hostname".to_owned(),
            operator: Operator::In,
            values: vec!["w1".to_owned()],
        }],
        name: Vec::new(),
    }]];
    world.pods().push(pinned);
    let plan = world.planned();
    note(
        &plan,
        "budget shop/web: needs 1 healthy pod, has 1: it allows nothing at present, and drains wait until it does",
    );
    note(
        &plan,
        "1 pod(s) find no other node while theirs is out, and come back with it: shop/cache-0 of w1 (of the other nodes: 2 out of reach of its volume)",
    );
}

/// What the scheduler will ask and no forecast did is told for the pods that leave, in a few lines whatever there is.
#[test]
fn what_was_not_judged_of_evicted_pods_is_told() {
    let odd = |namespace: &str, name: &str, node: &str, kinds: &[&str]| {
        let mut pod = pod(namespace, name, node);
        let placement = pod.placement.get_or_insert_default();
        placement.not_judged = kinds.iter().map(|kind| (*kind).to_owned()).collect();
        pod
    };
    let mut world = world(2);
    world.pods().push(odd(
        "shop",
        "beside-0",
        "w1",
        &["pod affinity", "host ports"],
    ));
    let mut agent = odd("kube-system", "agent", "w1", &["host ports"]);
    agent.controller.as_mut().unwrap().kind = "DaemonSet".to_owned();
    world.pods().push(agent);
    let plan = world.planned();
    let told: Vec<&String> = plan
        .notes
        .iter()
        .filter(|note| note.starts_with("not judged"))
        .collect();
    assert_eq!(
        told,
        [
            "not judged: host ports of 1 evicted pod(s) (shop/beside-0); see that the port is free on a node that may run them",
            "not judged: pod affinity of 1 evicted pod(s) (shop/beside-0); see that the pods which they must be beside stay on another node that has room, or move first",
        ]
    );
    for at in 0..40 {
        let name = format!("crowd-{at:02}");
        world.pods().push(odd(
            "shop",
            &name,
            "w2",
            &["topology spread", &format!("rule {at}")],
        ));
    }
    let notes = world.planned().notes;
    let told: Vec<&String> = notes
        .iter()
        .filter(|note| note.contains("not judged"))
        .collect();
    assert!(told.len() <= 7, "{told:#?}");
    assert!(told.iter().all(|note| note.len() < 400), "{told:#?}");
    assert!(
        told.last()
            .unwrap()
            .ends_with("more kinds of rules were not judged either"),
        "{told:#?}"
    );
}

#[test]
fn facts_that_do_not_say_what_pods_need_stop() {
    let mut world = world(2);
    for pod in world.pods() {
        pod.placement = None;
    }
    let told = world.told();
    assert_eq!(
        told,
        [
            "unknown: could not observe what pod shop/web-w1 needs of a node: the facts do not have it: run `refit inspect` again"
        ]
    );
}

/// Some applications' pods on some nodes: node, application, thousandths of a processor, ready, pinned to its node.
type Pods = Vec<(usize, usize, u64, bool, bool)>;

fn crowded(control_planes: usize, workers: usize, pods: Pods, budgets: &[(usize, i32)]) -> World {
    let mut world = World::new(control_planes, workers, "1.34.4", "1.35.4");
    let names: Vec<String> = world
        .inventory
        .hosts
        .keys()
        .map(ToString::to_string)
        .collect();
    world.pods().retain(|pod| pod.namespace == "kube-system");
    for (at, (node, app, cpu, ready, pinned)) in pods.into_iter().enumerate() {
        let node = &names[node % names.len()];
        let here = NodeTerm {
            labels: vec![Requirement {
                key: "kubernetes.io/hostname".to_owned(),
                operator: Operator::In,
                values: vec![node.clone()],
            }],
            name: Vec::new(),
        };
        let made = Pod {
            labels: BTreeMap::from([("app".to_owned(), format!("app-{app}"))]),
            ready,
            placement: Some(Placement {
                requests: BTreeMap::from([("cpu".to_owned(), cpu)]),
                volumes: if pinned { vec![vec![here]] } else { Vec::new() },
                ..Placement::default()
            }),
            ..pod("shop", &format!("app-{app}-{at}"), node)
        };
        world.pods().push(made);
    }
    for &(app, allowed) in budgets {
        let labels = BTreeMap::from([("app".to_owned(), format!("app-{app}"))]);
        let covered = |pod: &&mut Pod| pod.labels == labels;
        let pods = world
            .pods()
            .iter_mut()
            .filter(covered)
            .map(|pod| pod.ready)
            .collect::<Vec<_>>();
        let count = |ready: usize| i32::try_from(ready).unwrap();
        let (all, healthy) = (
            count(pods.len()),
            count(pods.iter().filter(|ready| **ready).count()),
        );
        let needs = (all - allowed).max(0);
        world.budgets().push(Budget {
            selector: Some(LabelSelector {
                match_labels: labels,
                match_expressions: Vec::new(),
            }),
            current_healthy: healthy,
            disruptions_allowed: (healthy - needs).max(0),
            ..budget(&format!("app-{app}"), needs, all)
        });
    }
    world
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever runs where: a plan passes `verify` (which `plan` asks), or the drains' own reasons are all there is.
    #[test]
    fn plans_keep_budgets_and_domains_or_say_why_not(
        control_planes in 1..4_usize,
        workers in 1..8_usize,
        pods in prop::collection::vec((0..11_usize, 0..5_usize, 0..1_500_u64, prop::bool::weighted(0.9), prop::bool::weighted(0.1)), 0..25),
        budgets in prop::collection::btree_map(0..5_usize, 1..4_i32, 0..5),
        at_most in 1..9_u32,
        zones in prop::option::of(prop::collection::vec(0..3_u8, 11)),
        cordoned in prop::collection::vec(0..12_u8, 11),
    ) {
        let budgets: Vec<(usize, i32)> = budgets.into_iter().collect();
        let mut world = crowded(control_planes, workers, pods, &budgets);
        world.upgrade.workers.max_unavailable = Share::Count(at_most);
        for (node, state) in world.nodes().iter_mut().zip(cordoned) {
            node.unschedulable = state < 2;
            node.cordoned_by = (state == 1).then(|| "earlier".to_owned());
        }
        if let Some(zones) = zones {
            world.upgrade.workers.topology_key = Some("zone".to_owned());
            for (node, zone) in world.nodes().iter_mut().zip(zones) {
                node.labels.insert("zone".to_owned(), zone.to_string());
            }
        }
        match world.plan() {
            Ok(plan) => prop_assert_eq!(plan, world.planned()),
            Err(blocked) => {
                for reason in blocked.reasons {
                    prop_assert!(["budget-never", "stranded"].contains(&reason.code()), "{:?}", reason);
                }
            }
        }
    }
}
