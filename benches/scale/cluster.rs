//! Large clusters as facts: applications with a budget each, whose pods are spread over the workers.

use std::collections::BTreeMap;
use std::time::Duration;

use refit::cluster::model::{Budget, Controller, LabelSelector, Placement, Pod, PodTerm};
use refit::documents::settings::{Condition, Gate, GatePoint, OrderGroup, Share};

use crate::build::{World, budget, pod};

/// Pods of applications on each worker; with kube-proxy's, a node has 30.
const ON_EACH: usize = 29;

/// What the pods of one application ask for: thousandths of a processor and MiB. All together fill a node by three fifths.
const SIZES: [(u64, u64); 3] = [(40, 128), (80, 256), (120, 512)];

/// Three control planes and `nodes - 3` workers in three zones, some 30 pods a node, a budget for every 29 of them that lets
/// a tenth go. The pods of every tenth application must be on different nodes.
pub fn large(nodes: usize) -> World {
    let workers = nodes - 3;
    let mut world = World::new(3, workers, "1.34.4", "1.35.4");
    world.upgrade.workers.max_unavailable = Share::Percent(20);
    for (at, node) in world.nodes().iter_mut().enumerate() {
        let zone = format!("zone-{}", at % 3);
        node.labels
            .insert("topology.kubernetes.io/zone".to_owned(), zone);
    }
    let pods = world.pods();
    pods.retain(|pod| pod.namespace == "kube-system");
    for app in 0..workers {
        // An application's pods start at its own place and go on in strides, so that no two budgets cover the same nodes.
        let stride = 1 + app % 97;
        pods.extend((0..ON_EACH).map(|at| replica(app, at, (app + at * stride) % workers)));
    }
    let budgets = (0..workers).map(covering).collect::<Vec<_>>();
    world.budgets().extend(budgets);
    world
}

/// A gate after each wave, and five groups of workers, a tenth of them each, that are watched before the next ones go.
pub fn asking(world: &mut World) {
    world.upgrade.gates = vec![Gate {
        name: "wave".to_owned(),
        at: GatePoint::AfterEachWave,
        condition: Condition::Approval {
            by: vec!["alice".to_owned()],
            expires_s: 3600,
        },
    }];
    for (at, node) in world.nodes().iter_mut().enumerate() {
        node.labels
            .insert("tenth".to_owned(), (at % 10).to_string());
    }
    world.upgrade.workers.order = (0..5)
        .map(|tenth: u8| OrderGroup {
            selector: LabelSelector {
                match_labels: BTreeMap::from([("tenth".to_owned(), tenth.to_string())]),
                match_expressions: Vec::new(),
            },
            soak: Duration::from_secs(600),
        })
        .collect();
}

fn team(app: usize) -> String {
    format!("team-{}", app % 50)
}

fn of(app: usize) -> LabelSelector {
    LabelSelector {
        match_labels: labels(app),
        match_expressions: Vec::new(),
    }
}

fn labels(app: usize) -> BTreeMap<String, String> {
    BTreeMap::from([("app".to_owned(), format!("app-{app}"))])
}

fn replica(app: usize, at: usize, worker: usize) -> Pod {
    let name = format!("app-{app}-{at}");
    Pod {
        labels: labels(app),
        controller: Some(Controller {
            api_version: "apps/v1".to_owned(),
            kind: "ReplicaSet".to_owned(),
            name: format!("app-{app}"),
        }),
        placement: Some(placement(app)),
        ..pod(&team(app), &name, &format!("w{}", worker + 1))
    }
}

fn placement(app: usize) -> Placement {
    let (cpu, mebibytes) = SIZES[app % SIZES.len()];
    let apart = PodTerm {
        topology_key: "kubernetes.io/hostname".to_owned(),
        namespaces: vec![team(app)],
        selector: of(app),
    };
    Placement {
        requests: [("cpu", cpu), ("memory", mebibytes << 20)]
            .map(|(name, amount)| (name.to_owned(), amount))
            .into(),
        apart_from: app
            .is_multiple_of(10)
            .then_some(apart)
            .into_iter()
            .collect(),
        ..Placement::default()
    }
}

fn covering(app: usize) -> Budget {
    let has = i32::try_from(ON_EACH).unwrap();
    Budget {
        namespace: team(app),
        name: format!("app-{app}"),
        selector: Some(of(app)),
        ..budget("", has - has / 10, has)
    }
}
