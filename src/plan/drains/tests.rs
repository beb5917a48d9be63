//! What drains do to pods, which pods find another node, and the waves that come of it.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use super::*;
use crate::cluster::model::{
    Controller, LabelSelector, NodeTerm, Operator, Placement, PodPhase, PodTerm, Requirement,
};

const POLICY: Policy<'static> = Policy {
    delete_empty_dir_data: true,
    evict_unmanaged_pods: true,
    rules: &[],
};

/// Nodes of four cores and as many gibibytes in zones `a`, `b`, `a`…; pods of half a core.
#[derive(Default)]
struct World {
    nodes: Vec<Node>,
    pods: Vec<Pod>,
    budgets: Vec<Budget>,
}

impl World {
    fn new(nodes: usize) -> Self {
        let mut world = Self::default();
        for at in 1..=nodes {
            let name = format!("w{at}");
            let zone = if at % 2 == 1 { "a" } else { "b" };
            world.nodes.push(Node {
                labels: labels(&[("zone", zone), ("kubernetes.io/hostname", &name)]),
                uid: name.clone(),
                name: NodeName::new(name),
                unschedulable: false,
                cordoned_by: None,
                ready: true,
                kubelet_version: "1.34.4".into(),
                container_runtime: String::new(),
                machine_id: String::new(),
                not_ready_because: None,
                system_uuid: String::new(),
                internal_ips: vec![],
                taints: vec![],
                allocatable: Some(amounts(&[
                    ("cpu", 4_000),
                    ("memory", 4 << 30),
                    ("pods", 110),
                ])),
            });
        }
        world
    }

    fn pod(&mut self, app: &str, node: &str) -> &mut Pod {
        let at = self.pods.len();
        self.pods.push(Pod {
            namespace: "shop".into(),
            name: format!("{app}-{at}"),
            uid: at.to_string(),
            node: Some(NodeName::new(node)),
            labels: labels(&[("app", app)]),
            phase: PodPhase::Running,
            ready: true,
            deletion_timestamp: None,
            controller: Some(Controller {
                api_version: "apps/v1".into(),
                kind: "ReplicaSet".into(),
                name: app.into(),
            }),
            mirror: false,
            empty_dir: false,
            images: BTreeMap::new(),
            placement: Some(Placement {
                requests: amounts(&[("cpu", 500)]),
                ..Placement::default()
            }),
        });
        self.pods.last_mut().unwrap()
    }

    fn asks(&mut self, app: &str, node: &str) -> &mut Placement {
        self.pod(app, node).placement.as_mut().unwrap()
    }

    /// A budget over the app's pods as they are.
    fn budget(&mut self, app: &str, allowed: i32) -> &mut Budget {
        let count = self
            .pods
            .iter()
            .filter(|pod| pod.labels["app"] == app)
            .count();
        let count = i32::try_from(count).unwrap();
        self.budgets.push(Budget {
            namespace: "shop".into(),
            name: app.into(),
            selector: Some(LabelSelector {
                match_labels: labels(&[("app", app)]),
                match_expressions: vec![],
            }),
            min_available: Some((count - allowed).to_string()),
            max_unavailable: None,
            always_allow_unhealthy: false,
            disruptions_allowed: allowed,
            current_healthy: count,
            desired_healthy: count - allowed,
            expected_pods: count,
            up_to_date: true,
            sync_failed: None,
        });
        self.budgets.last_mut().unwrap()
    }

    fn drains(&self) -> Drains<'_> {
        let seen = Seen {
            nodes: self.nodes.iter().collect(),
            pods: &self.pods,
            budgets: &self.budgets,
            ours: self
                .nodes
                .iter()
                .filter(|node| node.cordoned_by.is_some())
                .map(|node| (&node.name, Back::First))
                .collect(),
        };
        let all: Vec<&NodeName> = self.nodes.iter().map(|node| &node.name).collect();
        Drains::of(seen, &all, &POLICY)
    }

    fn outcome(&self, pod: &str) -> Outcome {
        let drains = self.drains();
        let mut found = drains
            .forecasts
            .values()
            .filter_map(|forecast| forecast.pods.get(pod));
        found.next().unwrap().clone()
    }

    fn codes(&self) -> Vec<String> {
        let drains = self.drains();
        drains
            .reasons
            .iter()
            .map(|reason| reason.code().to_owned())
            .collect()
    }

    /// The waves as `w1 w3 | w2`.
    fn waves(&self, at_most: usize, topology_key: Option<&str>) -> (String, Vec<String>) {
        let drains = self.drains();
        let group = Group {
            nodes: self.nodes.iter().map(|node| &node.name).collect(),
        };
        let allowed = Allowed {
            at_most,
            topology_key,
        };
        let made = drains.waves(&[group], allowed);
        let text = |wave: &Wave<'_>| {
            let names: Vec<&str> = wave.nodes.iter().map(|node| node.as_str()).collect();
            names.join(" ")
        };
        let waves: Vec<String> = made.waves.iter().map(text).collect();
        (waves.join(" | "), made.notes)
    }
}

fn labels(of: &[(&str, &str)]) -> BTreeMap<String, String> {
    of.iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn amounts(of: &[(&str, u64)]) -> BTreeMap<String, u64> {
    of.iter()
        .map(|(name, amount)| ((*name).to_owned(), *amount))
        .collect()
}

fn within(key: &str, value: &str) -> NodeTerm {
    NodeTerm {
        labels: vec![Requirement {
            key: key.into(),
            operator: Operator::In,
            values: vec![value.into()],
        }],
        name: vec![],
    }
}

#[test]
fn every_outcome_has_its_name() {
    let mut world = World::new(2);
    world.pod("web", "w1");
    world.pod("data", "w1").empty_dir = true;
    world.pod("bare", "w1").controller = None;
    world.pod("mirror", "w1").mirror = true;
    world.pod("leaving", "w1").deletion_timestamp = Some(1);
    let own = world.pod("daemon", "w1").controller.as_mut().unwrap();
    own.kind = "DaemonSet".into();
    let evicted = |lost: &[Loss]| Outcome::Evicted {
        lost: lost.to_vec(),
    };
    assert_eq!(world.outcome("shop/web-0"), evicted(&[]));
    assert_eq!(world.outcome("shop/data-1"), evicted(&[Loss::EmptyDirData]));
    assert_eq!(world.outcome("shop/bare-2"), evicted(&[Loss::ThePod]));
    assert_eq!(
        world.outcome("shop/mirror-3"),
        Outcome::Kept(KeepReason::Mirror)
    );
    assert_eq!(world.outcome("shop/leaving-4"), Outcome::Leaving);
    assert_eq!(
        world.outcome("shop/daemon-5"),
        Outcome::Kept(KeepReason::DaemonSet)
    );
    assert_eq!(world.codes(), Vec::<String>::new());
    let drains = world.drains();
    let forecast = &drains.forecasts[&NodeName::new("w1")];
    assert_eq!(
        (
            forecast.evicted(),
            forecast.lose_data(),
            forecast.gone().count()
        ),
        (3, 1, 1)
    );
}

#[test]
fn a_budget_that_allows_none_now_is_waited_for() {
    let mut world = World::new(2);
    world.pod("web", "w1");
    world.pod("web", "w2");
    let budget = world.budget("web", 1);
    budget.current_healthy = 1;
    budget.disruptions_allowed = 0;
    assert!(matches!(world.outcome("shop/web-0"), Outcome::Waits { .. }));
    assert_eq!(world.codes(), Vec::<String>::new());
}

#[test]
fn what_never_leaves_is_a_reason() {
    let mut world = World::new(2);
    world.pod("web", "w1");
    world.pod("web", "w2");
    world.budget("web", 0);
    assert!(matches!(
        world.outcome("shop/web-0"),
        Outcome::Blocked(Block::Never { .. })
    ));
    assert_eq!(world.codes(), ["budget-never"]);

    world.budgets[0].sync_failed = Some("no controller".into());
    assert!(matches!(
        world.outcome("shop/web-0"),
        Outcome::Blocked(Block::SyncFailed { .. })
    ));
    assert_eq!(world.codes(), ["budget-sync"]);

    world.budget("web", 1);
    assert_eq!(
        world.outcome("shop/web-0"),
        Outcome::Blocked(Block::SeveralBudgets(vec!["web".into(), "web".into()]))
    );
    assert_eq!(world.codes(), ["several-budgets", "several-budgets"]);
}

/// P15: a budget that covers only some of its controller's replicas never allows anything.
#[test]
fn a_budget_over_a_part_of_the_replicas_never_allows() {
    let mut world = World::new(2);
    world.pod("web", "w1");
    world.pod("web", "w2");
    let budget = world.budget("web", 0);
    (budget.expected_pods, budget.desired_healthy) = (4, 3);
    assert_eq!(world.codes(), ["budget-never"]);
}

#[test]
fn pods_need_a_node_that_may_run_them() {
    for (change, why) in [
        (
            (|asks: &mut Placement| asks.node_selector = labels(&[("disk", "ssd")]))
                as fn(&mut Placement),
            "2 other than its node selector or affinity asks for",
        ),
        (
            |asks| asks.volumes = vec![vec![within("kubernetes.io/hostname", "w1")]],
            "2 out of reach of its volume",
        ),
        (
            |asks| asks.requests = amounts(&[("cpu", 4_001)]),
            "2 without room",
        ),
        (
            |asks| asks.requests = amounts(&[("example.com/gpu", 1)]),
            "2 without room",
        ),
    ] {
        let mut world = World::new(3);
        change(world.asks("web", "w1"));
        let drains = world.drains();
        let homeless = &drains.forecasts[&NodeName::new("w1")].homeless;
        assert_eq!(
            homeless["shop/web-0"].to_string(),
            format!("of the other nodes: {why}")
        );
        // It comes back with its node: nothing to stop for.
        assert_eq!(world.codes(), Vec::<String>::new());
    }
    let mut world = World::new(3);
    world.nodes[1].taints = vec!["dedicated=db:NoSchedule".into()];
    world.nodes[2].unschedulable = true;
    world.pod("web", "w1");
    let drains = world.drains();
    let homeless = &drains.forecasts[&NodeName::new("w1")].homeless;
    assert_eq!(
        homeless["shop/web-0"].to_string(),
        "of the other nodes: 1 cordoned, 1 tainted"
    );
}

/// Half way through a run that was given up: what the earlier run left cordoned is given back before any other is drained.
#[test]
fn a_node_that_an_earlier_run_left_cordoned_has_room_by_the_turn_of_the_others() {
    let mut world = World::new(3);
    for node in [0, 1] {
        world.nodes[node].unschedulable = true;
        world.nodes[node].cordoned_by = Some("r1".into());
        world.nodes[node].taints = vec!["node.kubernetes.io/unschedulable:NoSchedule".into()];
    }
    world.pod("web", "w2");
    world.pod("web", "w3");
    world.nodes[2].taints = vec!["dedicated=db:NoSchedule".into()];
    let drains = world.drains();
    let homeless = |node: &str| drains.forecasts[&NodeName::new(node)].homeless.clone();
    assert!(homeless("w3").is_empty(), "w1 is back by then");
    assert_eq!(
        homeless("w2")["shop/web-0"].to_string(),
        "of the other nodes: 1 cordoned, 1 tainted",
        "w1 may be out still"
    );
    world.nodes[0].cordoned_by = None;
    world.nodes[1].cordoned_by = None;
    let drains = world.drains();
    let homeless = &drains.forecasts[&NodeName::new("w3")].homeless;
    assert_eq!(
        homeless["shop/web-1"].to_string(),
        "of the other nodes: 2 cordoned",
        "what someone else cordoned stays so"
    );
}

/// More pods of a budget than it allows are away at once, and none can come back before the drain has ended.
#[test]
fn pinned_pods_beyond_their_budget_are_a_reason() {
    let mut world = World::new(2);
    for _ in 0..2 {
        world.asks("db", "w1").volumes = vec![vec![within("kubernetes.io/hostname", "w1")]];
    }
    world.pod("db", "w2");
    world.budget("db", 1);
    let drains = world.drains();
    assert_eq!(world.codes(), ["stranded"]);
    assert_eq!(
        drains.reasons[0].to_string(),
        "2 pod(s) of budget shop/db find no other node (of the other nodes: 1 out of reach of its volume), and it lets no \
         more than 1 be away, so that the drain would never end: shop/db-0, shop/db-1"
    );
    world.budgets.clear();
    world.budget("db", 2);
    assert_eq!(world.codes(), Vec::<String>::new());
}

#[test]
fn facts_that_do_not_say_enough_stop() {
    let mut world = World::new(2);
    world.pod("web", "w1").placement = None;
    assert_eq!(world.codes(), ["unknown"]);
    let mut world = World::new(2);
    world.pod("web", "w1");
    world.nodes[1].allocatable = None;
    assert_eq!(world.codes(), ["unknown"]);
    world.pods.clear();
    assert_eq!(world.codes(), Vec::<String>::new());
}

#[test]
fn budgets_part_waves() {
    let mut world = World::new(4);
    for node in ["w1", "w2", "w3"] {
        world.pod("web", node);
    }
    world.budget("web", 1);
    let (waves, notes) = world.waves(4, None);
    assert_eq!(waves, "w1 w4 | w2 | w3");
    assert_eq!(
        notes,
        [
            "workers go in 3 waves; no fewer are possible: budget shop/web lets no more than 1 of its pods go at once"
        ]
    );
    // A pod that does not serve costs nothing.
    world.pods[1].ready = false;
    world.budgets[0].current_healthy = 2;
    world.budgets[0].disruptions_allowed = 0;
    assert_eq!(world.waves(4, None).0, "w1 w2 w4 | w3");
}

#[test]
fn the_declaration_parts_waves() {
    let world = World::new(5);
    let (waves, notes) = world.waves(2, None);
    assert_eq!(waves, "w1 w2 | w3 w4 | w5");
    assert_eq!(
        notes,
        [
            "workers go in 3 waves; no fewer are possible: at most 2 worker(s) out of service at once (strategy.workers.maxUnavailable)"
        ]
    );
    let (waves, notes) = world.waves(5, Some("zone"));
    assert_eq!(waves, "w1 w3 w5 | w2 w4");
    assert_eq!(
        notes,
        ["workers go in 2 waves; no fewer are possible: never two values of zone in one wave"]
    );
    assert_eq!(world.waves(5, Some("absent")).0, "w1 w2 w3 w4 w5");
}

/// W6, in pods: six of ten places are taken on each of four nodes.
#[test]
fn room_parts_waves() {
    let mut world = World::new(4);
    for node in ["w1", "w2", "w3", "w4"] {
        for _ in 0..6 {
            world.asks("web", node).requests = amounts(&[("cpu", 400)]);
        }
    }
    let (waves, notes) = world.waves(4, None);
    assert_eq!(waves, "w1 | w2 | w3 | w4");
    assert_eq!(
        notes,
        [
            "workers go in 4 waves; no fewer are possible: the other nodes have no more room for evicted pods (cpu)"
        ]
    );
}

/// In the sum there is room, but only two nodes may run these pods.
#[test]
fn a_wave_leaves_every_pod_a_node_that_may_run_it() {
    let mut world = World::new(6);
    for node in ["w1", "w2"] {
        world
            .nodes
            .iter_mut()
            .find(|of| of.name.as_str() == node)
            .unwrap()
            .labels
            .insert("disk".into(), "ssd".into());
        world.asks("db", node).node_selector = labels(&[("disk", "ssd")]);
    }
    let (waves, notes) = world.waves(6, None);
    assert_eq!(waves, "w1 w3 w4 w5 | w2 w6");
    assert!(
        notes[0].contains("the pods of w2 would find no other node in a larger wave"),
        "{notes:?}"
    );
}

#[test]
fn pods_that_stay_apart_need_a_node_each() {
    let mut world = World::new(4);
    for node in ["w1", "w2", "w3"] {
        world.asks("db", node).apart_from = vec![PodTerm {
            topology_key: "kubernetes.io/hostname".into(),
            namespaces: vec!["shop".into()],
            selector: LabelSelector {
                match_labels: labels(&[("app", "db")]),
                match_expressions: vec![],
            },
        }];
    }
    // Only w4 is without one, so that it must be there for each of the others.
    assert_eq!(world.waves(4, None).0, "w1 | w2 | w3 | w4");
}
