//! Kubelets: control planes one at a time, and after them workers in waves.
//!
//! Workers wait for the last control plane's kubelet: it takes its static pods with it, maybe kube-controller-manager's leader
//! among them (`rules::static_pods`), and without a leader evicted pods stay in their Services and budgets stand still.
//!
//! A wave holds at most `maxUnavailable` workers, and no more than budgets and the other nodes' room let go together
//! (`plan::drains`); the next one begins when all of it is back in service. Groups of
//! `strategy.workers.order` come one after another and never share a wave. A worker that someone else cordoned is out of
//! service before, during and after, so it counts: waves are smaller by the number of such workers, but never smaller than
//! one node. Workers that an earlier run left out of service are out already, so they come before every group: no other one
//! goes while they would still count.

use std::collections::{BTreeMap, BTreeSet};

use super::data::{Action, Limits, SoakingGroup, StepId};
use super::deferral;
use super::draft::Draft;
use super::drains::{Allowed, Drains, Group, Waves};
use super::gates;
use super::hooks::{Hooks, Wave};
use super::host_steps::{self, Touched};
use super::pace;
use super::soaks::{self, Change, Soaks};
use super::view::{HostView, View};
use crate::cluster::model::{HostName, NodeName, Role};
use crate::documents::settings::{GatePoint, HookPoint, Upgrade};
use crate::rules::kubeadm_phases::Command;

/// Where kubelets begin.
#[derive(Debug)]
pub struct Start<'p, 'a> {
    /// The step after which nodes may be taken out of service.
    pub gate: &'p StepId,
    /// Each host's last step so far.
    pub prepared: &'p BTreeMap<&'p HostName, StepId>,
    /// Workers that are watched before others go.
    pub soaks: &'p [SoakingGroup],
    /// What is declared between waves.
    pub hooks: &'p Hooks<'p, 'a>,
}

/// Adds the kubelets of control planes, one after another. Returns the last step, if any.
pub fn control_planes(
    draft: &mut Draft<'_>,
    touched: &[&Touched<'_, '_>],
    start: &Start<'_, '_>,
    upgrade: &Upgrade,
) -> Option<StepId> {
    let mut last: Option<(StepId, &Touched<'_, '_>)> = None;
    for &on in touched {
        if !(on.work.kubelet || on.work.uncordon) {
            continue;
        }
        let paused = last
            .as_ref()
            .map(|(last, on)| soaks::pause(draft, upgrade, Change::Kubelet, on.host, last));
        let before = paused.as_ref().unwrap_or(start.gate);
        // Where kubeadm ran before the gate, its packages came before it too.
        let mut after = vec![before];
        if !on.work.through_kubeadm() {
            after.extend(start.prepared.get(on.host.name()));
        }
        last = Some((host_steps::node(draft, on, upgrade, &after), on));
    }
    last.map(|(last, _)| last)
}

/// What the declaration lets the steps do.
#[must_use]
pub fn limits(view: &View<'_>, upgrade: &Upgrade) -> Limits {
    let listed: BTreeSet<&NodeName> = view.hosts.iter().map(|host| &host.node.name).collect();
    let left_out = view.nodes.keys().filter(|name| !listed.contains(**name));
    Limits {
        workers_out_of_service: upgrade.workers.max_unavailable.of(view.workers().count()),
        control_planes_drained: upgrade.control_plane.drain,
        workers_skip_minors: upgrade.workers.skip_level,
        topology_key: upgrade.workers.topology_key.clone(),
        control_planes_pause_s: upgrade.control_plane.pause.as_secs(),
        soaks: soaks::declared(view, upgrade),
        gates: upgrade.gates.clone(),
        hooks: upgrade.hooks.clone(),
        workers_deferred: deferral::at_most(upgrade),
        outdated_avoided: upgrade.drain.avoid_outdated,
        left_out: left_out.map(|name| (*name).clone()).collect(),
    }
}

/// How many workers may be out of service at once.
#[must_use]
pub fn wave_size(view: &View<'_>, upgrade: &Upgrade) -> usize {
    let workers = view.workers().count();
    let out_of_service = view.workers().filter(|host| host.stays_cordoned()).count();
    upgrade
        .workers
        .max_unavailable
        .of(workers)
        .saturating_sub(out_of_service)
        .max(1)
}

/// The place of a worker's group in the declared order; those that match none come last.
pub fn group(host: &HostView<'_>, upgrade: &Upgrade) -> usize {
    let mut labels = host.host.labels.clone();
    labels.extend(host.node.labels.clone());
    let order = &upgrade.workers.order;
    order
        .iter()
        .position(|group| group.selector.matches(&labels))
        .unwrap_or(order.len())
}

/// The workers in waves.
#[must_use]
pub fn waves<'a>(
    view: &View<'a>,
    drains: &Drains<'a>,
    touched: &[Touched<'_, 'a>],
    upgrade: &Upgrade,
) -> Waves<'a> {
    let mut groups: BTreeMap<Option<usize>, Vec<&'a NodeName>> = BTreeMap::new();
    let going = touched
        .iter()
        .filter(|on| on.work.kubelet || on.work.uncordon);
    for on in going.filter(|on| on.host.instance.is_none()) {
        let place = (!on.work.uncordon).then(|| group(on.host, upgrade));
        groups.entry(place).or_default().push(&on.host.node.name);
    }
    let groups: Vec<Group<'_>> = groups.into_values().map(|nodes| Group { nodes }).collect();
    let allowed = Allowed {
        at_most: wave_size(view, upgrade),
        topology_key: upgrade.workers.topology_key.as_deref(),
    };
    drains.waves(&groups, allowed)
}

/// Adds the workers, wave by wave. Returns the last barrier, if any.
pub fn workers<'a>(
    draft: &mut Draft<'_>,
    touched: &[&Touched<'_, 'a>],
    start: &Start<'_, 'a>,
    waves: &Waves<'_>,
    upgrade: &Upgrade,
) -> Option<StepId> {
    let by_node: BTreeMap<&NodeName, &Touched<'_, 'a>> =
        touched.iter().map(|on| (&on.host.node.name, *on)).collect();
    let count = waves.waves.len();
    let mut soaks = Soaks::of(start.soaks);
    let mut gate: Option<StepId> = None;
    for (index, wave) in waves.waves.iter().enumerate() {
        let before = gate.as_ref().unwrap_or(start.gate);
        let in_turn = wave.nodes.iter().filter(|node| {
            let left_cordoned = by_node.get(*node).is_some_and(|on| on.work.uncordon);
            !left_cordoned
        });
        let soaked = soaks.before(draft, in_turn.copied(), before);
        let before = soaked.as_ref().unwrap_or(before);
        let going: Vec<&Touched<'_, 'a>> = wave
            .nodes
            .iter()
            .filter_map(|node| by_node.get(node).copied())
            .collect();
        let ends: Vec<StepId> = going
            .iter()
            .map(|on| worker(draft, on, before, start, upgrade))
            .collect();
        let ends: Vec<&StepId> = ends.iter().collect();
        let name = format!("wave-{}", index + 1);
        let done = draft.barrier(
            &name,
            format!("workers of wave {} of {count} are done", index + 1),
            &ends,
            &wave.because,
        );
        let workers: Vec<&HostView<'a>> = going.iter().map(|on| on.host).collect();
        let of = Wave {
            name: &name,
            workers: &workers,
        };
        let point = HookPoint::AfterEachWave;
        let done = start
            .hooks
            .of_hop(draft, point, Some(of), start.prepared, &done);
        gate = Some(gates::at(
            draft,
            upgrade,
            GatePoint::AfterEachWave,
            Some(&name),
            &done,
        ));
    }
    gate
}

fn worker(
    draft: &mut Draft<'_>,
    on: &Touched<'_, '_>,
    before: &StepId,
    start: &Start<'_, '_>,
    upgrade: &Upgrade,
) -> StepId {
    let host = on.host.name();
    let prepared = start.prepared.get(host).unwrap_or(start.gate);
    let because = if on.work.kubelet {
        "writes the new kubelet's configuration; with its own wave, so that a halt leaves no other node half configured"
    } else if on.work.configure {
        PASSING
    } else {
        return host_steps::node(draft, on, upgrade, &[before, prepared]);
    };
    let configured = configure(draft, on, &[before, prepared], upgrade, because);
    host_steps::node(draft, on, upgrade, &[&configured])
}

fn configure(
    draft: &mut Draft<'_>,
    on: &Touched<'_, '_>,
    after: &[&StepId],
    upgrade: &Upgrade,
    because: &str,
) -> StepId {
    let host = on.host.name();
    let version = draft.target().clone();
    draft.step(
        host,
        "kubeadm-node",
        Action::KubeadmNode {
            host: host.clone(),
            role: Role::Worker,
            version,
            options: super::control_plane::options(upgrade, Command::Node),
        },
        after,
        pace::KUBEADM_WORKER,
        because,
    )
}

const PASSING: &str = "the kubelet skips this minor and stays as it is, but what kubeadm does to its files must not be skipped (strategy.workers.skipLevel)";

/// Adds `kubeadm upgrade node` on workers whose kubelets skip this hop's minor. Nothing is drained and no kubelet restarts,
/// so they go side by side. Returns their steps.
pub fn passing(
    draft: &mut Draft<'_>,
    touched: &[&Touched<'_, '_>],
    start: &Start<'_, '_>,
    upgrade: &Upgrade,
) -> Vec<StepId> {
    touched
        .iter()
        .filter(|on| on.work.configure && !on.work.uncordon)
        .map(|on| {
            let prepared = start.prepared.get(on.host.name()).unwrap_or(start.gate);
            configure(draft, on, &[start.gate, prepared], upgrade, PASSING)
        })
        .collect()
}
