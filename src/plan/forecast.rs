//! The versions after every step of a plan, judged by the rules of skew.
//!
//! Steps are followed in the plan's own order. Where the plan lets steps run beside each other, another order may happen;
//! what runs beside each other are kubelets and tools of different nodes, whose rules concern each node and the API servers
//! only, and no API server changes meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use super::data::{Action, Step, StepId};
use super::path;
use super::preconditions;
use super::reason::{Reason, When};
use super::view::{View, release_of_revision};
use crate::cluster::model::{HostName, NodeName, Role};
use crate::documents::settings::Upgrade;
use crate::host::op::PackageRevision;
use crate::rules::skew::{
    self, Component, Extremes, Instance, Move, Party, Rule, Snapshot, Violation,
};
use crate::rules::version::Version;

/// Every rule broken now or after any step, each told once, with the first moment it is broken.
#[must_use]
pub fn violations(view: &View<'_>, steps: &[Step], upgrade: &Upgrade) -> Vec<Reason> {
    let mut forecast = Forecast {
        now: view.snapshot(),
        nodes: view
            .hosts
            .iter()
            .map(|host| {
                (
                    host.name(),
                    (&host.node.name, path::skips(host.host.role, upgrade)),
                )
            })
            .collect(),
        rolls_kube_proxy: preconditions::rolls_kube_proxy(upgrade),
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
    /// Each host's node, and whether its kubelet may skip minors.
    nodes: BTreeMap<&'p HostName, (&'p NodeName, bool)>,
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
                let (Some(&(node, may_skip)), Some(to)) =
                    (self.nodes.get(host), release_of(packages, "kubelet"))
                else {
                    return;
                };
                let drained = self.drained.remove(node);
                let from = self.now.nodes.get(node).map(|on| on.kubelet.clone());
                let moved = from.into_iter().flat_map(|from| {
                    let step = Move {
                        node,
                        from: &from,
                        to: &to,
                    };
                    [step.of_kubelet(drained), step.of_kubelet_by(may_skip)]
                });
                self.tell(moved.flatten().collect(), Some(&step.id));
                if let Some(on) = self.now.nodes.get_mut(node) {
                    on.kubelet = to;
                }
                self.install(step, host, packages);
            }
            Action::KubeadmApply { host, version, .. } => {
                self.upgrade_instance(step, host, version);
            }
            Action::KubeadmNode {
                host,
                role,
                version,
                ..
            } => match role {
                Role::ControlPlane => self.upgrade_instance(step, host, version),
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
            | Action::TaintOutdated { .. }
            | Action::Cordon { .. }
            | Action::AwaitNode { .. }
            | Action::AwaitStaticPods { .. }
            | Action::Uncordon { .. }
            | Action::ReleaseHolds { .. }
            | Action::Verify { .. }
            | Action::Soak { .. }
            | Action::Gate { .. }
            | Action::Hook { .. }
            | Action::WayBack { .. }
            | Action::Barrier { .. } => {}
        }
    }

    fn install(&mut self, step: &Step, host: &HostName, packages: &[PackageRevision]) {
        let Some(&(node, _)) = self.nodes.get(host) else {
            return;
        };
        if let Some(on) = self.now.nodes.get_mut(node) {
            on.kubeadm = release_of(packages, "kubeadm").or(on.kubeadm.take());
            on.kubectl = release_of(packages, "kubectl").or(on.kubectl.take());
        }
        let found = Extremes::of(&self.now)
            .map(|servers| skew::violations_on(&self.now, servers, node))
            .unwrap_or_default();
        self.tell(found, Some(&step.id));
    }

    /// The API server first, then the controllers: kubeadm's order.
    fn upgrade_instance(&mut self, step: &Step, host: &HostName, to: &Version) {
        let Some(&(node, _)) = self.nodes.get(host) else {
            return;
        };
        let mut found = skew::kubeadm_manages(to, &self.now);
        if let Some(instance) = self.now.instances.get_mut(node) {
            let from = std::mem::replace(&mut instance.api_server, to.clone());
            found.extend(
                Move {
                    node,
                    from: &from,
                    to,
                }
                .of_api_server(),
            );
        }
        found.extend(skew::violations(&self.now));
        if let Some(instance) = self.now.instances.get_mut(node) {
            *instance = Instance {
                api_server: to.clone(),
                controller_manager: to.clone(),
                scheduler: to.clone(),
            };
        }
        let all = self
            .now
            .instances
            .values()
            .all(|instance| &instance.api_server == to);
        if all && self.rolls_kube_proxy {
            for on in self.now.nodes.values_mut() {
                if let Some(release) = &mut on.kube_proxy {
                    release.clone_from(to);
                }
            }
        }
        found.extend(skew::violations(&self.now));
        self.tell(found, Some(&step.id));
    }
}

/// The release of a package among those that are installed.
fn release_of(packages: &[PackageRevision], name: &str) -> Option<Version> {
    let package = packages.iter().find(|package| package.name == name)?;
    release_of_revision(&package.revision)
}
