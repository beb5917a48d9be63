//! How much of a window a step needs: a node, and a control plane's instance, is only begun where all of its steps fit.

use std::collections::BTreeMap;

use crate::cluster::model::{HostName, NodeName, Role};
use crate::plan::data::{Action, HookPoint, Step, StepId};

/// What must be left of a window for each step of a plan that may only start within one.
pub fn room(steps: &[Step]) -> BTreeMap<StepId, u64> {
    stretches(steps)
        .into_iter()
        .map(|(first, steps)| {
            let needs_s = steps.iter().map(|step| step.expected_s).sum();
            (first.clone(), needs_s)
        })
        .collect()
}

/// The steps that may only start within a window, each with all that must then end within it, itself included.
pub fn stretches(steps: &[Step]) -> BTreeMap<&StepId, Vec<&Step>> {
    let hosts: BTreeMap<&NodeName, &HostName> = steps
        .iter()
        .filter_map(|step| match &step.action {
            Action::CheckHost { host, node, .. } => Some((node, host)),
            _ => None,
        })
        .collect();
    let mut stretches = BTreeMap::new();
    let mut bound: BTreeMap<&str, Vec<&Step>> = BTreeMap::new();
    for step in steps {
        match part(&step.action) {
            Part::Always => {}
            Part::Alone => {
                stretches.insert(&step.id, vec![step]);
            }
            Part::OfInstance(host) => bound.entry(host.as_str()).or_default().push(step),
            Part::OfNode(node) => {
                let place = hosts.get(node).map_or(node.as_str(), |host| host.as_str());
                bound.entry(place).or_default().push(step);
            }
        }
    }
    for steps in bound.values() {
        let mut first: Option<&StepId> = None;
        for (at, &step) in steps.iter().enumerate() {
            let opener = *first.get_or_insert(&step.id);
            stretches.entry(opener).or_default().push(step);
            if ends(step, steps.get(at + 1).copied()) {
                first = None;
            }
        }
    }
    stretches
}

/// How a step is bound to others in time.
enum Part<'a> {
    /// It changes nothing.
    Always,
    /// It leaves nothing half done.
    Alone,
    /// A control plane's instance is being replaced.
    OfInstance(&'a HostName),
    /// A node is being taken out of service, changed and brought back; steps of a host that carries it are named by it.
    OfNode(&'a NodeName),
}

fn part(action: &Action) -> Part<'_> {
    match action {
        Action::CheckHost { .. }
        | Action::CheckCluster { .. }
        | Action::AwaitAddons { .. }
        | Action::Verify { .. }
        | Action::Soak { .. }
        | Action::Gate { .. }
        | Action::WayBack { .. }
        | Action::Barrier { .. } => Part::Always,
        Action::SnapshotEtcd { .. }
        | Action::HoldPackages { .. }
        | Action::SwitchRepository { .. }
        | Action::PrefetchPackages { .. }
        | Action::InstallKubeadm { .. }
        | Action::PullImages { .. }
        | Action::TaintOutdated { .. }
        | Action::ReleaseHolds { .. } => Part::Alone,
        Action::KubeadmApply { host, .. }
        | Action::KubeadmNode { host, .. }
        | Action::AwaitControlPlane { host, .. }
        | Action::AwaitStaticPods { host, .. }
        | Action::InstallKubelet { host, .. } => Part::OfInstance(host),
        Action::Cordon { node }
        | Action::Drain { node, .. }
        | Action::AwaitNode { node, .. }
        | Action::Uncordon { node, .. } => Part::OfNode(node),
        Action::Hook { at, node, .. } => match (at, node) {
            (HookPoint::Drained | HookPoint::BeforeUncordon, Some(node)) => Part::OfNode(node),
            (
                HookPoint::BeforeHop
                | HookPoint::AfterControlPlane
                | HookPoint::BeforeWorkers
                | HookPoint::AfterEachWave
                | HookPoint::AfterHop,
                _,
            )
            | (HookPoint::Drained | HookPoint::BeforeUncordon, None) => Part::Alone,
        },
    }
}

/// Whether nothing is half done after this step of a host, `next` being the one that follows.
fn ends(step: &Step, next: Option<&Step>) -> bool {
    let next = next.map(|next| &next.action);
    match &step.action {
        Action::AwaitControlPlane { .. } | Action::Uncordon { .. } => true,
        Action::AwaitNode { .. }
        | Action::AwaitStaticPods { .. }
        | Action::Hook {
            at: HookPoint::BeforeUncordon,
            ..
        } => !matches!(
            next,
            Some(
                Action::AwaitStaticPods { .. }
                    | Action::Uncordon { .. }
                    | Action::Hook {
                        at: HookPoint::BeforeUncordon,
                        ..
                    }
            )
        ),
        // Where the kubelet does not follow, only its configuration was written.
        Action::KubeadmNode {
            role: Role::Worker, ..
        } => !matches!(
            next,
            Some(Action::Cordon { .. } | Action::Drain { .. } | Action::InstallKubelet { .. })
        ),
        _ => false,
    }
}
