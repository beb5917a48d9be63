//! Workers that are put off: which of them may be, which of their steps begin anew at the end of the hop, and what then waits
//! for what.
//!
//! A drain that may be given up says so in the plan ([`Deferral`]), with the barrier that is not passed while the node is not
//! done and with every step that begins anew. How the order changes when that happens is told here, once, for whoever carries
//! the plan out: nobody waits for the node's steps any longer but its barrier; they wait for all that comes before the
//! barrier, so that no other worker is out of service then; and nodes that are put off follow one after another, in the
//! plan's order.
//!
//! A worker that is watched before others go (`strategy.workers.order[].soak`) is not put off: others would go first.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::data::{Action, Deferral, HookPoint, SoakingGroup, Step, StepId};
use super::draft::Draft;
use super::host_steps::Touched;
use crate::cluster::model::NodeName;
use crate::documents::settings::{Upgrade, WhenBlocked};

/// How many workers a hop may put off.
#[must_use]
pub fn at_most(upgrade: &Upgrade) -> usize {
    match upgrade.drain.blocked {
        WhenBlocked::Defer { at_most } => usize::try_from(at_most).unwrap_or(usize::MAX),
        WhenBlocked::Halt => 0,
    }
}

/// The workers that the hop may put off.
fn nodes<'t>(
    workers: &[&'t Touched<'_, '_>],
    soaks: &[SoakingGroup],
    upgrade: &Upgrade,
) -> BTreeSet<&'t NodeName> {
    if at_most(upgrade) == 0 {
        return BTreeSet::new();
    }
    let watched = |node: &NodeName| {
        let mut watching = soaks.iter().filter(|group| group.for_s > 0);
        watching.any(|group| group.nodes.contains(node))
    };
    workers
        .iter()
        // One that somebody else cordoned is out of service, put off or not.
        .filter(|on| on.drain.is_some() && !on.host.stays_cordoned())
        .map(|on| &on.host.node.name)
        .filter(|node| !watched(node))
        .collect()
}

/// Adds the barrier at which nodes that were put off are tried again, where one may be. Returns the last step.
pub fn barrier(
    draft: &mut Draft<'_>,
    workers: &[&Touched<'_, '_>],
    soaks: &[SoakingGroup],
    upgrade: &Upgrade,
    last: StepId,
) -> StepId {
    if nodes(workers, soaks, upgrade).is_empty() {
        return last;
    }
    let at_most = at_most(upgrade);
    draft.barrier(
        "deferred",
        "no node is left that was put off",
        &[&last],
        format!(
            "a worker whose pods cannot leave in time, or never, is made schedulable again and tried once more here, one after \
             another; {at_most} at most, else the run halts (drain.blocked, strategy.workers.maxDeferred)"
        ),
    )
}

/// Writes into the drains of a hop what becomes of their nodes when they are given up.
pub fn declare(
    steps: &mut [Step],
    workers: &[&Touched<'_, '_>],
    soaks: &[SoakingGroup],
    upgrade: &Upgrade,
) {
    let nodes = nodes(workers, soaks, upgrade);
    let barrier = steps.iter().rev().find(|step| {
        matches!(step.action, Action::Barrier { .. })
            && step.id.as_str().starts_with("barrier/deferred@")
    });
    let Some(until) = barrier.map(|step| step.id.clone()) else {
        return;
    };
    let mut parts: BTreeMap<NodeName, Vec<StepId>> = BTreeMap::new();
    let hosts: HashMap<_, _> = workers
        .iter()
        .map(|on| (on.host.name(), &on.host.node.name))
        .collect();
    for step in &*steps {
        let by_host = || hosts.get(step.action.host()?).copied();
        let node = step.action.node().or_else(by_host);
        if let Some(node) = node.filter(|node| nodes.contains(node))
            && begins_anew(&step.action)
        {
            parts.entry(node.clone()).or_default().push(step.id.clone());
        }
    }
    for step in steps {
        if let Action::Drain { node, deferral, .. } = &mut step.action
            && let Some(steps) = parts.remove(node)
        {
            *deferral = Some(Deferral {
                until: until.clone(),
                steps,
            });
        }
    }
}

/// Whether a worker's step is begun anew when its node was put off.
#[must_use]
pub fn begins_anew(action: &Action) -> bool {
    match action {
        Action::Cordon { .. }
        | Action::Drain { .. }
        | Action::InstallKubelet { .. }
        | Action::AwaitNode { .. }
        | Action::Uncordon { .. } => true,
        Action::Hook { at, .. } => match at {
            HookPoint::Drained | HookPoint::BeforeUncordon | HookPoint::AfterEachWave => true,
            HookPoint::BeforeHop
            | HookPoint::AfterControlPlane
            | HookPoint::BeforeWorkers
            | HookPoint::AfterHop => false,
        },
        Action::CheckHost { .. }
        | Action::CheckCluster { .. }
        | Action::SnapshotEtcd { .. }
        | Action::HoldPackages { .. }
        | Action::SwitchRepository { .. }
        | Action::PrefetchPackages { .. }
        | Action::InstallKubeadm { .. }
        | Action::PullImages { .. }
        | Action::KubeadmApply { .. }
        | Action::KubeadmNode { .. }
        | Action::AwaitControlPlane { .. }
        | Action::AwaitStaticPods { .. }
        | Action::AwaitAddons { .. }
        | Action::TaintOutdated { .. }
        | Action::ReleaseHolds { .. }
        | Action::Verify { .. }
        | Action::Soak { .. }
        | Action::Gate { .. }
        | Action::WayBack { .. }
        | Action::Barrier { .. } => false,
    }
}

/// What each step comes after once these nodes are put off, as the places of steps; steps that are not there are left out.
pub(super) fn order(
    steps: &[Step],
    places: &HashMap<&StepId, usize>,
    deferred: &[&Deferral],
) -> Vec<Vec<usize>> {
    let place = |id: &StepId| places.get(id).copied();
    let mut after: Vec<Vec<usize>> = steps
        .iter()
        .map(|step| step.after.iter().filter_map(place).collect())
        .collect();
    let mut parts: Vec<(usize, Vec<usize>)> = deferred
        .iter()
        .filter_map(|part| {
            let mut places: Vec<usize> = part.steps.iter().filter_map(place).collect();
            places.sort_unstable();
            Some((place(&part.until)?, places))
        })
        .collect();
    parts.sort();
    let of: HashMap<usize, usize> = parts
        .iter()
        .enumerate()
        .flat_map(|(part, (_, places))| places.iter().map(move |&place| (place, part)))
        .collect();
    for (place, after) in after.iter_mut().enumerate() {
        after.retain(|before| {
            let part = of.get(before);
            part.is_none() || part == of.get(&place)
        });
    }
    let mut last: HashMap<usize, usize> = HashMap::new();
    for (until, places) in parts {
        let (Some(&first), Some(&end)) = (places.first(), places.last()) else {
            continue;
        };
        let ahead = last.get(&until).copied();
        let gate: Vec<usize> = match ahead {
            Some(ahead) => vec![ahead],
            None => after[until].clone(),
        };
        after[first].extend(gate);
        for pair in places.windows(2) {
            if let [one, next] = *pair {
                after[next].push(one);
            }
        }
        last.insert(until, end);
    }
    for (until, end) in last {
        after[until].push(end);
    }
    for after in &mut after {
        after.sort_unstable();
        after.dedup();
    }
    after
}
