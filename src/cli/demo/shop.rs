//! The cluster of the demonstration: documents and facts that are built in, with workloads and budgets on six workers.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use crate::cli::CommandError;
use crate::cli::inputs::Declaration;
use crate::cluster::facts::{Facts, Observed};
use crate::cluster::model::{
    Budget, Controller, LabelSelector, NodeName, Placement, Pod, PodPhase, Workload,
};

/// Where the upgrade would be.
pub const UPGRADE: &str = "plans/to-1.35.yaml";
/// Its text.
pub const UPGRADE_TEXT: &str = include_str!("to-1.35.yaml");
const INVENTORY_TEXT: &str = include_str!("../../../examples/inventories/shop.yaml");
/// Three control planes and six workers at 1.34.4.
const FACTS: &str = include_str!("../../../examples/facts/shop.facts.json");
const WORKERS: usize = 6;

/// What runs on the workers.
struct App {
    namespace: &'static str,
    name: &'static str,
    replicas: i32,
    /// What its budget keeps available; none has no budget.
    keeps: Option<i32>,
}

/// Some with budgets, one so small that nothing guards it.
const APPS: [App; 4] = [
    App {
        namespace: "shop",
        name: "web",
        replicas: 6,
        keeps: Some(4),
    },
    App {
        namespace: "shop",
        name: "cart",
        replicas: 3,
        keeps: Some(2),
    },
    App {
        namespace: "search",
        name: "index",
        replicas: 4,
        keeps: Some(3),
    },
    LEDGER,
];

const LEDGER: App = App {
    namespace: "payments",
    name: "ledger",
    replicas: 1,
    keeps: None,
};

/// The two documents.
///
/// # Errors
/// If what is built in is not what this refit reads.
pub fn declaration() -> Result<Declaration, CommandError> {
    Declaration::read(Path::new(UPGRADE), &|path| match path.file_name() {
        Some(name) if name == "to-1.35.yaml" => Ok(UPGRADE_TEXT.into()),
        Some(name) if name == "shop.yaml" => Ok(INVENTORY_TEXT.into()),
        Some(_) | None => Err(io::ErrorKind::NotFound.into()),
    })
}

/// What the simulation begins with.
///
/// # Errors
/// If what is built in is not what this refit reads.
pub fn facts() -> Result<Facts, CommandError> {
    let mut facts: Facts = serde_json::from_str(FACTS)
        .map_err(|error| CommandError::new("the demonstration's facts").because(&error))?;
    let cluster = &mut facts.cluster;
    if let (Observed::Known(pods), Observed::Known(workloads), Observed::Known(budgets)) = (
        &mut cluster.pods,
        &mut cluster.workloads,
        &mut cluster.budgets,
    ) {
        pods.retain(|pod| pod.namespace == "kube-system");
        for app in &APPS {
            pods.extend((0..app.replicas).map(|index| app.pod(pods_before(app) + index)));
            workloads.push(app.workload());
            budgets.extend(app.keeps.map(|keeps| app.budget(keeps)));
        }
        pods.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    }
    Ok(facts)
}

/// The ledger's team wants it to stay where it is: a budget that lets nobody go.
pub fn freeze() -> Budget {
    LEDGER.budget(LEDGER.replicas)
}

/// How many pods the apps before this one have, so that all are spread over the workers.
fn pods_before(app: &App) -> i32 {
    let before = APPS.iter().take_while(|other| other.name != app.name);
    before.map(|other| other.replicas).sum()
}

impl App {
    fn labels(&self) -> BTreeMap<String, String> {
        [("app".to_owned(), self.name.to_owned())].into()
    }

    fn images(&self) -> BTreeMap<String, String> {
        let image = format!("registry.shop.example.org/{}:1", self.name);
        [(self.name.to_owned(), image)].into()
    }

    fn pod(&self, place: i32) -> Pod {
        let worker = usize::try_from(place).unwrap_or(0) % WORKERS + 1;
        let name = format!("{}-5d8f7-{place}", self.name);
        Pod {
            namespace: self.namespace.to_owned(),
            uid: format!("uid-{name}"),
            node: Some(NodeName::new(format!("w{worker}"))),
            labels: self.labels(),
            phase: PodPhase::Running,
            ready: true,
            deletion_timestamp: None,
            controller: Some(Controller {
                api_version: "apps/v1".to_owned(),
                kind: "ReplicaSet".to_owned(),
                name: format!("{}-5d8f7", self.name),
            }),
            mirror: false,
            empty_dir: false,
            images: self.images(),
            placement: Some(Placement::default()),
            name,
        }
    }

    fn workload(&self) -> Workload {
        Workload {
            kind: "Deployment".to_owned(),
            namespace: self.namespace.to_owned(),
            name: self.name.to_owned(),
            desired: self.replicas,
            updated: self.replicas,
            ready: self.replicas,
            up_to_date: true,
            images: self.images(),
        }
    }

    fn budget(&self, keeps: i32) -> Budget {
        Budget {
            namespace: self.namespace.to_owned(),
            name: self.name.to_owned(),
            selector: Some(LabelSelector {
                match_labels: self.labels(),
                match_expressions: Vec::new(),
            }),
            min_available: Some(keeps.to_string()),
            max_unavailable: None,
            always_allow_unhealthy: false,
            disruptions_allowed: self.replicas - keeps,
            current_healthy: self.replicas,
            desired_healthy: keeps,
            expected_pods: self.replicas,
            up_to_date: true,
            sync_failed: None,
        }
    }
}
