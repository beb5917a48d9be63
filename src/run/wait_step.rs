//! Steps that wait until the world is as it should be, and change nothing.

use std::cell::RefCell;
use std::time::Duration;

use super::event::How;
use super::health;
use super::step::{Finished, Trouble, Try};
use crate::cluster::model::{HostName, NodeName};
use crate::ports::{Failure, Lease};
use crate::rules::static_pods::RENEWED_WITHIN_S;
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
    until(attempt, &AT_ONCE, async || {
        health::control_plane(world, host, node, version).await
    })
    .await
}

/// What a control plane is awaited to be once its kubelet was replaced.
pub(super) struct Settled<'s> {
    /// The host.
    pub(super) host: &'s HostName,
    /// Its node.
    pub(super) node: &'s NodeName,
    /// The release.
    pub(super) version: &'s Version,
    /// How long without a break.
    pub(super) steady: Duration,
    /// The lease that a leader must renew meanwhile.
    pub(super) lease: Option<&'s str>,
}

/// Waits until the static pods that a new kubelet restarts are behind a control plane, and a leader is there.
pub(super) async fn static_pods(
    attempt: &Try<'_, '_>,
    settled: &Settled<'_>,
) -> Result<Finished, Trouble> {
    let world = attempt.cx.world;
    let leader = RefCell::new(Leader::default());
    let until_then = Until {
        watched: None,
        steady: settled.steady,
    };
    until(attempt, &until_then, async || {
        let Settled {
            host,
            node,
            version,
            ..
        } = *settled;
        let mut missing = health::control_plane(world, host, node, version).await;
        if let Some(name) = settled.lease {
            let lease = world.api.lease(name).await;
            let now = world.clock.monotonic();
            missing.extend(leader.borrow_mut().missing(name, lease, now));
        }
        missing
    })
    .await
}

/// What was seen of a leader's lease. The leader's clock may be another than ours, so what counts is when we saw the lease
/// change.
#[derive(Debug, Default)]
struct Leader {
    seen: Option<Lease>,
    /// When the holder was last seen to have renewed it.
    renewed: Option<Duration>,
}

impl Leader {
    /// Why nobody can be said to lead, if so.
    fn missing(
        &mut self,
        name: &str,
        lease: Result<Lease, Failure>,
        now: Duration,
    ) -> Option<String> {
        let lease = match lease {
            Ok(lease) => lease,
            Err(failure) => return Some(format!("lease {name}: {failure}")),
        };
        match &self.seen {
            Some(seen) if seen.holder == lease.holder => {
                if seen.renewed != lease.renewed {
                    self.renewed = Some(now);
                }
            }
            None | Some(_) => self.renewed = None,
        }
        let holder = lease.holder.clone();
        self.seen = Some(lease);
        let fresh = Duration::from_secs(RENEWED_WITHIN_S);
        match self.renewed {
            Some(then) if now.saturating_sub(then) <= fresh => None,
            Some(_) => Some(format!("lease {name}: {holder} does not renew it")),
            None => Some(format!("lease {name}: no leader has renewed it yet")),
        }
    }
}

/// Waits for CoreDNS and kube-proxy.
pub(super) async fn addons(
    attempt: &Try<'_, '_>,
    kube_proxy: Option<&Version>,
) -> Result<Finished, Trouble> {
    let api = attempt.cx.world.api;
    until(attempt, &AT_ONCE, async || match api.workloads().await {
        Ok(workloads) => {
            let mut missing = health::addons(&workloads, kube_proxy);
            if !missing.is_empty()
                && let Ok(nodes) = api.nodes().await
            {
                // a pod does not become ready where its node is not
                missing.extend(nodes.iter().flat_map(health::not_ready));
            }
            missing
        }
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
    let at_once = Until {
        watched: Some(name),
        ..AT_ONCE
    };
    let ended = until(attempt, &at_once, async || match api.node(name).await {
        Ok(node) => health::node(&node, version),
        Err(failure) => vec![format!("{name}: {failure}")],
    })
    .await;
    match ended {
        Err(Trouble::Failed(why)) => Err(Trouble::Failed(format!(
            "{why}. On the node, `journalctl -u kubelet` tells what its kubelet meets"
        ))),
        Ok(_)
        | Err(
            Trouble::Hopeless(_)
            | Trouble::Stuck(_)
            | Trouble::Deferred
            | Trouble::CutShort(_)
            | Trouble::LetGo
            | Trouble::Unrecorded,
        ) => ended,
    }
}

/// Since when all has been well, which it is now. Reads are asked again while an API server restarts, so a look that took long
/// may hide a break: then it counts from now on only.
fn since(well: &mut Option<Duration>, asked: Duration, now: Duration) -> Duration {
    if now.saturating_sub(asked) > Duration::from_secs(RENEWED_WITHIN_S) {
        *well = None;
    }
    *well.get_or_insert(now)
}

/// When waiting is over, besides that nothing is missing.
struct Until<'u> {
    /// A node whose changes wake us.
    watched: Option<&'u NodeName>,
    /// How long nothing must have been missing, without a break.
    steady: Duration,
}

const AT_ONCE: Until<'static> = Until {
    watched: None,
    steady: Duration::ZERO,
};

/// Looks until nothing is missing or the time is over. Says what is missing whenever that changes.
async fn until(
    attempt: &Try<'_, '_>,
    until: &Until<'_>,
    missing: impl AsyncFn() -> Vec<String>,
) -> Result<Finished, Trouble> {
    let mut waited = false;
    let mut well_since: Option<Duration> = None;
    loop {
        let asked = attempt.cx.world.clock.monotonic();
        let missing = attempt
            .within(missing())
            .await
            .ok_or_else(|| attempt.timed_out())?;
        let now = attempt.cx.world.clock.monotonic();
        if !missing.is_empty() {
            well_since = None;
            attempt.waiting(&missing.join("; "))?;
        } else if now.saturating_sub(since(&mut well_since, asked, now)) >= until.steady {
            let how = if waited {
                How::Acted
            } else {
                attempt.found_done()
            };
            return Ok(Finished { how, note: None });
        } else {
            let steady = until.steady.as_secs();
            attempt.waiting(&format!("{steady} s without a break; all is well so far"))?;
        }
        waited = true;
        if attempt.left().is_zero() {
            return Err(attempt.timed_out());
        }
        match until.watched {
            None => attempt.pause(LOOK_AGAIN).await,
            Some(node) => {
                attempt.pause(AT_LEAST).await;
                let at_most = AT_MOST.min(attempt.left());
                attempt.cx.world.api.node_changed(node, at_most).await;
            }
        }
    }
}
