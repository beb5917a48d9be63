//! Steps that wait until the world is as it should be, and change nothing.

use std::time::Duration;

use super::event::How;
use super::health;
use super::step::{Finished, Trouble, Try};
use crate::cluster::model::{HostName, NodeName};
use crate::rules::version::Version;

/// The least time between two looks, so that a node that changes all the time does not keep us asking.
const AT_LEAST: Duration = Duration::from_millis(500);

/// The most time between two looks while a watch may wake us earlier.
const AT_MOST: Duration = Duration::from_secs(5);

/// Between two looks where there is nothing to watch.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Waits for a control plane's instance.
pub(super) async fn control_plane(
    attempt: &Try<'_, '_>,
    host: &HostName,
    node: &NodeName,
    version: &Version,
) -> Result<Finished, Trouble> {
    let world = attempt.cx.world;
    until(attempt, None, async || {
        health::control_plane(world, host, node, version).await
    })
    .await
}

/// Waits for CoreDNS and kube-proxy.
pub(super) async fn addons(
    attempt: &Try<'_, '_>,
    kube_proxy: Option<&Version>,
) -> Result<Finished, Trouble> {
    let api = attempt.cx.world.api;
    until(attempt, None, async || match api.workloads().await {
        Ok(workloads) => health::addons(&workloads, kube_proxy),
        Err(failure) => vec![format!("the API: {failure}")],
    })
    .await
}

/// Waits for a node.
pub(super) async fn node(
    attempt: &Try<'_, '_>,
    name: &NodeName,
    version: &Version,
) -> Result<Finished, Trouble> {
    let api = attempt.cx.world.api;
    let ended = until(attempt, Some(name), async || match api.node(name).await {
        Ok(node) => health::node(&node, version),
        Err(failure) => vec![format!("{name}: {failure}")],
    })
    .await;
    match ended {
        Err(Trouble::Failed(why)) => Err(Trouble::Failed(format!(
            "{why}. On the node, `journalctl -u kubelet` tells what its kubelet meets"
        ))),
        Ok(_) | Err(Trouble::Hopeless(_) | Trouble::LetGo | Trouble::Unrecorded) => ended,
    }
}

/// Looks until nothing is missing or the time is over. Says what is missing whenever that changes.
async fn until(
    attempt: &Try<'_, '_>,
    watched: Option<&NodeName>,
    missing: impl AsyncFn() -> Vec<String>,
) -> Result<Finished, Trouble> {
    let mut waited = false;
    loop {
        let missing = attempt
            .within(missing())
            .await
            .ok_or_else(|| attempt.timed_out())?;
        if missing.is_empty() {
            let how = if waited {
                How::Acted
            } else {
                attempt.found_done()
            };
            return Ok(Finished { how, note: None });
        }
        waited = true;
        attempt.waiting(&missing.join("; "))?;
        if attempt.left().is_zero() {
            return Err(attempt.timed_out());
        }
        match watched {
            None => attempt.pause(LOOK_AGAIN).await,
            Some(node) => {
                attempt.pause(AT_LEAST).await;
                let at_most = AT_MOST.min(attempt.left());
                attempt.cx.world.api.node_changed(node, at_most).await;
            }
        }
    }
}
