//! The versions after every step of a plan, judged by the rules of skew.
//!
//! Steps are followed in the plan's own order. Where the plan lets steps run beside each other, another order may happen;
//! what runs beside each other are kubelets and tools of different nodes, whose rules concern each node and the API servers
//! only, and no API server changes meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use super::data::{Action, Step, StepId};
use super::reason::{Reason, When};
use super::view::View;
use crate::cluster::model::{HostName, NodeName, Role};
use crate::host::op::PackageRevision;
use crate::rules::skew::{
    self, Component, Extremes, Instance, Move, Party, Rule, Snapshot, Violation,
};
use crate::rules::version::Version;

/// Every rule broken now or after any step, each told once, with the first moment it is broken.
#[must_use]
pub fn violations(
    view: &View<'_>,
    steps: &[Step],
    target: &Version,
    rolls_kube_proxy: bool,
) -> Vec<Reason> {
    let mut forecast = Forecast {
        now: view.snapshot(),
        nodes: view
            .hosts
            .iter()
            .map(|host| (host.name(), &host.node.name))
            .collect(),
        target,
        rolls_kube_proxy,
        drained: BTreeSet::new(),
        told: BTreeSet::new(),
        reasons: Vec::new(),
    };
    let found = skew::violations(&forecast.now);
    forecast.tell(found, None);
    for step in steps {
        forecast.follow(step);
    }
    forecast.reasons
}

struct Forecast<'p> {
    now: Snapshot,
    nodes: BTreeMap<&'p HostName, &'p NodeName>,
    target: &'p Version,
    rolls_kube_proxy: bool,
    drained: BTreeSet<&'p NodeName>,
    told: BTreeSet<(Rule, Party, Component)>,
    reasons: Vec<Reason>,
}

impl<'p> Forecast<'p> {
    fn tell(&mut self, found: Vec<Violation>, after: Option<&StepId>) {
        for violation in found {
            let key = (
                violation.rule,
                violation.party.clone(),
                violation.against.component,
            );
            if self.told.insert(key) {
                let when = after.map_or(When::Now, |step| When::After(step.clone()));
                self.reasons.push(Reason::Skew {
                    violation: Box::new(violation),
                    when,
                });
            }
        }
    }

    fn follow(&mut self, step: &'p Step) {
        match &step.action {
            Action::InstallKubeadm { host, packages, .. } => self.install(step, host, packages),
            Action::InstallKubelet { host, packages, .. } => {
                let Some(&node) = self.nodes.get(host) else {
                    return;
                };
                let drained = self.drained.contains(node);
                let from = self.now.nodes.get(node).map(|on| on.kubelet.clone());
                let moved = from.and_then(|from| {
                    Move {
                        node,
                        from: &from,
                        to: self.target,
                    }
                    .of_kubelet(drained)
                });
                self.tell(moved.into_iter().collect(), Some(&step.id));
                if let Some(on) = self.now.nodes.get_mut(node) {
                    on.kubelet = self.target.clone();
                }
                self.install(step, host, packages);
            }
            Action::KubeadmApply { host, .. } => self.upgrade_instance(step, host),
            Action::KubeadmNode { host, role, .. } => match role {
                Role::ControlPlane => self.upgrade_instance(step, host),
                Role::Worker => {}
            },
            Action::Drain { node, .. } => {
                self.drained.insert(node);
            }
            Action::CheckHost { .. }
            | Action::CheckCluster { .. }
            | Action::SnapshotEtcd { .. }
            | Action::HoldPackages { .. }
            | Action::SwitchRepository { .. }
            | Action::PrefetchPackages { .. }
            | Action::PullImages { .. }
            | Action::AwaitControlPlane { .. }
            | Action::AwaitAddons { .. }
            | Action::Cordon { .. }
            | Action::AwaitNode { .. }
            | Action::Uncordon { .. }
            | Action::ReleaseHolds { .. }
            | Action::Verify { .. }
            | Action::Barrier { .. } => {}
        }
    }

    fn install(&mut self, step: &Step, host: &HostName, packages: &[PackageRevision]) {
        let Some(&node) = self.nodes.get(host) else {
            return;
        };
        if let Some(on) = self.now.nodes.get_mut(node) {
            for package in packages {
                match package.name.as_str() {
                    "kubeadm" => on.kubeadm = Some(self.target.clone()),
                    "kubectl" => on.kubectl = Some(self.target.clone()),
                    _ => {}
                }
            }
        }
        let found = Extremes::of(&self.now)
            .map(|servers| skew::violations_on(&self.now, servers, node))
            .unwrap_or_default();
        self.tell(found, Some(&step.id));
    }

    /// The API server first, then the controllers: kubeadm's order.
    fn upgrade_instance(&mut self, step: &Step, host: &HostName) {
        let Some(&node) = self.nodes.get(host) else {
            return;
        };
        let mut found = skew::kubeadm_manages(self.target, &self.now);
        if let Some(instance) = self.now.instances.get_mut(node) {
            let from = std::mem::replace(&mut instance.api_server, self.target.clone());
            found.extend(
                Move {
                    node,
                    from: &from,
                    to: self.target,
                }
                .of_api_server(),
            );
        }
        found.extend(skew::violations(&self.now));
        if let Some(instance) = self.now.instances.get_mut(node) {
            *instance = Instance {
                api_server: self.target.clone(),
                controller_manager: self.target.clone(),
                scheduler: self.target.clone(),
            };
        }
        let all = self
            .now
            .instances
            .values()
            .all(|instance| &instance.api_server == self.target);
        if all && self.rolls_kube_proxy {
            for on in self.now.nodes.values_mut() {
                if let Some(release) = &mut on.kube_proxy {
                    release.clone_from(self.target);
                }
            }
        }
        found.extend(skew::violations(&self.now));
        self.tell(found, Some(&step.id));
    }
}
