//! How far a run is: what of its plan is done, in all and by node, and which workers it has tainted.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::state::State;
use crate::cluster::model::NodeName;
use crate::plan::data::{Action, Plan, Step, StepId};

/// The steps of the plan that are not done, in the plan's order.
#[must_use]
pub fn remaining<'p>(state: &State, plan: &'p Plan) -> Vec<&'p Step> {
    plan.steps
        .iter()
        .filter(|step| !state.is_done(&step.id))
        .collect()
}

/// How many steps are done, of how many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Done.
    pub done: usize,
    /// In all.
    pub total: usize,
}

/// How far a run is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// All steps.
    pub all: Count,
    /// The steps of each node; those of no node (the snapshot's host included) count in `all` only.
    pub nodes: BTreeMap<NodeName, Count>,
}

/// How far the run is, in all and by node. A host's steps count for its node, which `CheckHost` names.
#[must_use]
pub fn progress(state: &State, plan: &Plan) -> Progress {
    let mut of_host = BTreeMap::new();
    for step in &plan.steps {
        if let Action::CheckHost { host, node, .. } | Action::AwaitControlPlane { host, node, .. } =
            &step.action
        {
            of_host.insert(host, node);
        }
    }
    let mut progress = Progress::default();
    for step in &plan.steps {
        let node = match &step.action {
            Action::CheckHost { node, .. }
            | Action::AwaitControlPlane { node, .. }
            | Action::AwaitStaticPods { node, .. }
            | Action::Cordon { node }
            | Action::Drain { node, .. }
            | Action::AwaitNode { node, .. }
            | Action::Uncordon { node, .. } => Some(node),
            Action::Hook { node, .. } => node.as_ref(),
            Action::HoldPackages { host, .. }
            | Action::SwitchRepository { host, .. }
            | Action::PrefetchPackages { host, .. }
            | Action::InstallKubeadm { host, .. }
            | Action::PullImages { host, .. }
            | Action::KubeadmApply { host, .. }
            | Action::KubeadmNode { host, .. }
            | Action::InstallKubelet { host, .. }
            | Action::WayBack { host, .. }
            | Action::ReleaseHolds { host, .. } => of_host.get(host).copied(),
            Action::CheckCluster { .. }
            | Action::SnapshotEtcd { .. }
            | Action::AwaitAddons { .. }
            | Action::TaintOutdated { .. }
            | Action::Verify { .. }
            | Action::Soak { .. }
            | Action::Gate { .. }
            | Action::Barrier { .. } => None,
        };
        let done = usize::from(state.is_done(&step.id));
        progress.all.total += 1;
        progress.all.done += done;
        if let Some(node) = node {
            let count = progress.nodes.entry(node.clone()).or_default();
            count.total += 1;
            count.done += done;
        }
    }
    progress
}

/// A step that taints workers, and what takes the taint off each of them.
pub(super) struct Taint<'p> {
    pub(super) step: &'p Step,
    /// Its place in the plan.
    pub(super) place: usize,
    /// The workers that it is put on.
    pub(super) nodes: &'p [NodeName],
    uncordons: BTreeMap<&'p NodeName, &'p StepId>,
}

/// Those of a plan, in its order. A worker's taint is taken off by its next uncordon.
pub(super) fn taints(plan: &Plan) -> Vec<Taint<'_>> {
    let mut taints: Vec<Taint<'_>> = Vec::new();
    for (place, step) in plan.steps.iter().enumerate() {
        if let Action::TaintOutdated { nodes } = &step.action {
            taints.push(Taint {
                step,
                place,
                nodes,
                uncordons: BTreeMap::new(),
            });
        } else if let Action::Uncordon {
            node,
            outdated: true,
        } = &step.action
            && let Some(last) = taints.last_mut()
        {
            last.uncordons.entry(node).or_insert(&step.id);
        }
    }
    taints
}

impl<'p> Taint<'p> {
    /// The workers that are yet to be brought back.
    pub(super) fn left(&self, state: &State) -> Vec<&'p NodeName> {
        let back = |node: &NodeName| {
            let uncordon = self.uncordons.get(node);
            uncordon.is_some_and(|step| state.is_done(step))
        };
        self.nodes.iter().filter(|node| !back(node)).collect()
    }
}

/// The workers that a run in `state` has tainted, or may have, and has not taken the taint off again; by name.
#[must_use]
pub fn tainted<'p>(plan: &'p Plan, state: &State) -> BTreeSet<&'p NodeName> {
    taints(plan)
        .iter()
        .filter(|taint| state.steps.contains_key(&taint.step.id))
        .flat_map(|taint| taint.left(state))
        .collect()
}
