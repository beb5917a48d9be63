//! Large clusters as facts: applications with a budget each, whose pods are spread over the workers.

use std::collections::BTreeMap;

use refit::cluster::model::{Budget, Controller, LabelSelector, Pod};
use refit::documents::settings::Share;

use crate::build::{World, budget, pod};

/// Pods of applications on each worker; with kube-proxy's, a node has 30.
const ON_EACH: usize = 29;

/// Three control planes and `nodes - 3` workers, some 30 pods a node, a budget for every 29 of them that lets a tenth go.
pub fn large(nodes: usize) -> World {
    let workers = nodes - 3;
    let mut world = World::new(3, workers, "1.34.4", "1.35.4");
    world.upgrade.workers.max_unavailable = Share::Percent(20);
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
        ..pod(
            &format!("team-{}", app % 50),
            &name,
            &format!("w{}", worker + 1),
        )
    }
}

fn covering(app: usize) -> Budget {
    let has = i32::try_from(ON_EACH).unwrap();
    Budget {
        namespace: format!("team-{}", app % 50),
        name: format!("app-{app}"),
        selector: Some(LabelSelector {
            match_labels: labels(app),
            match_expressions: Vec::new(),
        }),
        ..budget("", has - has / 10, has)
    }
}
