//! Workers that a hop has yet to drain, and the taint that tells the scheduler to prefer others.
//!
//! Without it a pod that is evicted from one outdated worker may well land on the next one, and is evicted again. The taint is
//! a preference ([`OUTDATED`]) and keeps no pod out, so it takes no room from anybody, and what drains are judged by
//! (`plan::drains`) is the same with it and without. Control planes are not tainted: kubeadm keeps ordinary pods off them, and
//! while they go every worker is outdated alike.
//!
//! [`OUTDATED`]: crate::cluster::model::OUTDATED

use std::collections::BTreeSet;

use super::data::{Action, StepId};
use super::draft::{CLUSTER, Draft};
use super::drains::Drains;
use super::host_steps::Touched;
use super::pace;
use super::view::HostView;
use super::work::Work;
use crate::cluster::model::NodeName;
use crate::documents::settings::Upgrade;

/// With fewer there is no next one that pods could avoid.
const AT_LEAST: usize = 2;

/// The workers that the hop taints: those that it cordons, drains and brings back, where there is more than one.
#[must_use]
pub fn nodes<'v>(
    works: &[(&'v HostView<'_>, Work)],
    drains: &Drains<'_>,
    upgrade: &Upgrade,
) -> BTreeSet<&'v NodeName> {
    let nodes: BTreeSet<&NodeName> = works
        .iter()
        .filter(|(host, work)| {
            // One that somebody else cordoned takes no pods, before or after.
            host.instance.is_none() && work.kubelet && !host.stays_cordoned()
        })
        .map(|(host, _)| &host.node.name)
        .filter(|node| drains.forecasts.contains_key(node))
        .collect();
    if upgrade.drain.avoid_outdated && nodes.len() >= AT_LEAST {
        nodes
    } else {
        BTreeSet::new()
    }
}

/// Adds the step that taints the workers, where any are. Returns the step to go on from.
pub fn taint(draft: &mut Draft<'_>, workers: &[&Touched<'_, '_>], after: &StepId) -> StepId {
    let mut nodes: Vec<NodeName> = workers
        .iter()
        .filter(|on| on.tainted)
        .map(|on| on.host.node.name.clone())
        .collect();
    if nodes.is_empty() {
        return after.clone();
    }
    nodes.sort();
    draft.step(
        CLUSTER,
        "taint-outdated",
        Action::TaintOutdated { nodes },
        &[after],
        pace::TAINT,
        "evicted pods prefer workers that are done, so that fewer are evicted twice; it keeps no pod out, and goes with each worker's \
         uncordon. While the run is paused, outside its windows or waits for an approval with nobody at work it is off, and on again \
         before the next worker is cordoned; `refit abandon` takes it off (drain.avoidOutdated)",
    )
}
