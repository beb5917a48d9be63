//! etcd, asked through one control plane: the first that answers.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::{Either, select};
use futures::stream::{FuturesUnordered, StreamExt as _};

use super::ask;
use crate::cluster::facts::{EtcdFacts, ExternalEtcd, ExternalReleases, Observed};
use crate::cluster::model::{HostName, Role};
use crate::documents::settings::Inventory;
use crate::host::op::Query;
use crate::host::parse;
use crate::ports::World;

/// A control plane that has said nothing for so long may never answer: the next one is asked beside it.
const SILENT: Duration = Duration::from_secs(3);

/// Through the first control plane whose member answers, asked one after the other: the next one as soon as one has failed,
/// or has been silent for a while.
pub(super) async fn observe_etcd(world: World<'_>, inventory: &Inventory) -> Observed<EtcdFacts> {
    let control_planes = control_planes(inventory);
    let mut errors = BTreeMap::new();
    let mut asked = FuturesUnordered::new();
    let mut next = control_planes.iter().copied();
    while errors.len() < control_planes.len() {
        let last = match next.next() {
            Some(host) => {
                asked.push(async move { (host, ask(world, host, Query::Etcd, parse::etcd).await) });
                false
            }
            None => true,
        };
        let answered = if last {
            asked.next().await
        } else {
            match select(asked.next(), world.clock.sleep(SILENT)).await {
                Either::Left((answered, _)) => answered,
                Either::Right(((), _)) => None,
            }
        };
        match answered {
            Some((_, known @ Observed::Known(_))) => return known,
            Some((host, Observed::Unknown(error))) => {
                errors.insert(host, through(host, &error));
            }
            None => {}
        }
    }
    if errors.is_empty() {
        return Observed::Unknown(
            "the inventory has no control plane to ask it through".to_owned(),
        );
    }
    Observed::Unknown(errors.into_values().collect::<Vec<_>>().join("; "))
}

fn control_planes(inventory: &Inventory) -> Vec<&HostName> {
    let hosts = inventory.hosts.values().filter(|host| match host.role {
        Role::Worker => false,
        Role::ControlPlane => true,
    });
    hosts.map(|host| &host.name).collect()
}

/// The endpoints of external etcd, from the first control plane that can ask them, whatever they answer it.
pub(super) async fn observe_external(
    world: World<'_>,
    inventory: &Inventory,
    at: &ExternalEtcd,
) -> Observed<ExternalReleases> {
    let mut errors = Vec::new();
    for host in control_planes(inventory) {
        let query = Query::ExternalEtcd(at.clone());
        match ask(world, host, query, parse::external_etcd).await {
            known @ Observed::Known(_) => return known,
            Observed::Unknown(error) => errors.push(through(host, &error)),
        }
    }
    if errors.is_empty() {
        errors.push("the inventory has no control plane to ask it from".to_owned());
    }
    Observed::Unknown(errors.join("; "))
}

/// The error with the host's name in front, once.
fn through(host: &HostName, error: &str) -> String {
    if error.starts_with(host.as_str()) {
        format!("through {error}")
    } else {
        format!("through {host}: {error}")
    }
}
