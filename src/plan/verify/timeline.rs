//! Which versions may run when.
//!
//! For each component the releases that it goes through, each from the step that brings it until the step that takes it
//! away. While a step is under way both the old and the new may run. Two releases meet in some order of the plan unless one
//! has always gone before the other comes; nothing is simulated, and no one order is followed.

use std::collections::BTreeMap;

use super::cluster::Cluster;
use super::order::Order;
use crate::cluster::model::{HostName, NodeName, Role};
use crate::host::op::PackageRevision;
use crate::plan::data::{Action, Step};
use crate::plan::view::release_of_revision;
use crate::rules::version::Version;

/// A moment within a step. Steps of kubeadm change several components one after another.
///
/// Source: kubernetes/kubernetes `cmd/kubeadm/app/phases/upgrade/staticpods.go`, `performUpgrade`: the API server first,
/// then the controllers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// It begins.
    Begin,
    /// The API server changes.
    ApiServer,
    /// Controller manager and scheduler change.
    Controllers,
    /// kube-proxy begins to change on every node.
    Addons,
    /// It ends.
    End,
}

/// When something changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The step's number.
    pub step: usize,
    /// Where in the step.
    pub phase: Phase,
}

impl Moment {
    const fn new(step: usize, phase: Phase) -> Self {
        Self { step, phase }
    }

    /// Whether this has always passed when the other comes.
    pub fn before(self, other: Self, order: &Order<'_>) -> bool {
        if self.step == other.step {
            self.phase <= other.phase
        } else {
            order.precedes(self.step, other.step)
        }
    }
}

/// A release and when it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The release.
    pub version: Version,
    /// Since when; none for what runs now.
    pub from: Option<Moment>,
    /// Until when; none for what stays.
    pub until: Option<Moment>,
}

impl Span {
    /// As long as a step is under way.
    pub fn during(step: usize, version: &Version) -> Self {
        Self {
            version: version.clone(),
            from: Some(Moment::new(step, Phase::Begin)),
            until: Some(Moment::new(step, Phase::End)),
        }
    }

    /// Whether some order lets both be there at one instant.
    pub fn meets(&self, other: &Self, order: &Order<'_>) -> bool {
        let gone = |one: &Self, other: &Self| match (one.until, other.from) {
            (Some(until), Some(from)) => until.before(from, order),
            (_, _) => false,
        };
        !gone(self, other) && !gone(other, self)
    }
}

/// The releases of one component, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeline(Vec<Span>);

impl Timeline {
    /// What runs now.
    pub fn now(version: Version) -> Self {
        Self(vec![Span {
            version,
            from: None,
            until: None,
        }])
    }

    /// Another release comes while the last one goes, at once or over some time.
    fn change(&mut self, version: &Version, from: Moment, until: Moment) {
        if self.end() == Some(version) {
            return;
        }
        if let Some(last) = self.0.last_mut() {
            last.until = Some(until);
        }
        self.0.push(Span {
            version: version.clone(),
            from: Some(from),
            until: None,
        });
    }

    fn change_at(&mut self, version: &Version, at: Moment) {
        self.change(version, at, at);
    }

    /// The releases.
    pub fn spans(&self) -> &[Span] {
        &self.0
    }

    /// What it comes to.
    pub fn end(&self) -> Option<&Version> {
        self.0.last().map(|span| &span.version)
    }

    /// The first release other than `version` that may be there while the step is under way.
    pub fn other_during(&self, step: usize, version: &Version, order: &Order<'_>) -> Option<&Span> {
        let during = Span::during(step, version);
        self.0
            .iter()
            .find(|span| &span.version != version && span.meets(&during, order))
    }
}

/// One control plane's static pods.
#[derive(Debug)]
pub struct ControlPlane {
    /// kube-apiserver.
    pub api_server: Timeline,
    /// kube-controller-manager.
    pub controller_manager: Timeline,
    /// kube-scheduler.
    pub scheduler: Timeline,
}

/// What is on a node.
#[derive(Debug)]
pub struct OnNode {
    /// The kubelet.
    pub kubelet: Timeline,
    /// Where kube-proxy runs.
    pub kube_proxy: Option<Timeline>,
    /// Where kubectl is installed.
    pub kubectl: Option<Timeline>,
    /// Where the node is one of the plan's hosts.
    pub kubeadm: Option<Timeline>,
}

/// Every component's releases.
#[derive(Debug)]
pub struct Timelines<'f> {
    /// Control planes, by node.
    pub control_planes: BTreeMap<&'f NodeName, ControlPlane>,
    /// All nodes.
    pub nodes: BTreeMap<&'f NodeName, OnNode>,
    /// `kubernetesVersion` in kubeadm-config.
    pub config: Timeline,
}

/// A plan's steps of kubeadm on control planes: their number, host and release.
pub fn control_plane_upgrades<'p>(order: &Order<'p>) -> Vec<(usize, &'p HostName, &'p Version)> {
    let mut upgrades = Vec::new();
    for (at, step) in order.iter() {
        if let Action::KubeadmApply { host, version, .. }
        | Action::KubeadmNode {
            host,
            version,
            role: Role::ControlPlane,
            ..
        } = &step.action
        {
            upgrades.push((at, host, version));
        }
    }
    upgrades
}

/// Whether kubeadm is told to leave kube-proxy alone.
pub fn leaves_kube_proxy(step: &Step) -> bool {
    let (Action::KubeadmApply { options, .. } | Action::KubeadmNode { options, .. }) = &step.action
    else {
        return false;
    };
    let mut phases = options.skip_phases.iter();
    phases.any(|phase| phase == "addon" || phase == "addon/kube-proxy")
}

impl<'f> Timelines<'f> {
    /// What the plan makes of the cluster.
    pub fn of(cluster: &Cluster<'f>, order: &Order<'_>) -> Self {
        let mut all = Self::now(cluster);
        for (at, step) in order.iter() {
            all.follow(cluster, at, step);
        }
        all.roll_kube_proxy(order);
        all
    }

    fn now(cluster: &Cluster<'f>) -> Self {
        let mut control_planes = BTreeMap::new();
        for machine in cluster.hosts.values() {
            if let Some(instance) = &machine.instance {
                let one = ControlPlane {
                    api_server: Timeline::now(instance.api_server.clone()),
                    controller_manager: Timeline::now(instance.controller_manager.clone()),
                    scheduler: Timeline::now(instance.scheduler.clone()),
                };
                control_planes.insert(machine.node, one);
            }
        }
        let nodes = cluster
            .nodes
            .iter()
            .map(|(&name, on)| {
                let machine = on.host.and_then(|host| cluster.hosts.get(host));
                let on = OnNode {
                    kubelet: Timeline::now(on.kubelet.clone()),
                    kube_proxy: on.kube_proxy.clone().map(Timeline::now),
                    kubectl: machine
                        .and_then(|machine| machine.installed.get("kubectl").cloned())
                        .map(Timeline::now),
                    kubeadm: machine.map(|machine| Timeline::now(machine.kubeadm.clone())),
                };
                (name, on)
            })
            .collect();
        Self {
            control_planes,
            nodes,
            config: Timeline::now(cluster.config.kubernetes_version.clone()),
        }
    }

    fn follow(&mut self, cluster: &Cluster<'f>, at: usize, step: &Step) {
        match &step.action {
            Action::InstallKubeadm { host, packages, .. }
            | Action::InstallKubelet { host, packages, .. } => {
                let node = cluster.hosts.get(host).map(|machine| machine.node);
                if let Some(on) = node.and_then(|node| self.nodes.get_mut(node)) {
                    for package in packages {
                        on.install(at, package);
                    }
                }
            }
            Action::KubeadmApply { host, version, .. } => {
                let written = Moment::new(at, Phase::Controllers);
                self.config.change_at(version, written);
                self.upgrade(cluster, at, host, version);
            }
            Action::KubeadmNode {
                host,
                version,
                role,
                ..
            } => match role {
                Role::ControlPlane => self.upgrade(cluster, at, host, version),
                Role::Worker => {}
            },
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
            | Action::Drain { .. }
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

    fn upgrade(&mut self, cluster: &Cluster<'f>, at: usize, host: &HostName, version: &Version) {
        let node = cluster.hosts.get(host).map(|machine| machine.node);
        if let Some(one) = node.and_then(|node| self.control_planes.get_mut(node)) {
            one.api_server
                .change_at(version, Moment::new(at, Phase::ApiServer));
            for controller in [&mut one.controller_manager, &mut one.scheduler] {
                controller.change_at(version, Moment::new(at, Phase::Controllers));
            }
        }
    }

    /// kubeadm changes kube-proxy's DaemonSet once no control plane is behind any more: with the last control plane that it
    /// upgrades to a release. The nodes have it when its rollout was awaited.
    ///
    /// Source: kubernetes/kubernetes `cmd/kubeadm/app/phases/upgrade/postupgrade.go`, `PerformAddonsUpgrade`, and
    /// `cmd/kubeadm/app/cmd/phases/upgrade/addons.go`.
    fn roll_kube_proxy(&mut self, order: &Order<'_>) {
        let mut last: BTreeMap<&Version, usize> = BTreeMap::new();
        for (at, _, version) in control_plane_upgrades(order) {
            if !leaves_kube_proxy(order.step(at)) {
                last.insert(version, at);
            }
        }
        let mut rolls: Vec<(usize, &Version)> = last
            .into_iter()
            .map(|(version, at)| (at, version))
            .collect();
        rolls.sort_unstable();
        for (at, version) in rolls {
            let awaited = order.iter().find(|(_, step)| {
                matches!(&step.action, Action::AwaitAddons { kube_proxy } if kube_proxy.as_ref() == Some(version))
            });
            let begins = Moment::new(at, Phase::Addons);
            for on in self.nodes.values_mut() {
                let Some(kube_proxy) = &mut on.kube_proxy else {
                    continue;
                };
                let ends = awaited.map_or(Moment::new(at, Phase::End), |(awaited, _)| {
                    Moment::new(awaited, Phase::End)
                });
                kube_proxy.change(version, begins, ends);
            }
        }
    }
}

impl OnNode {
    fn install(&mut self, at: usize, package: &PackageRevision) {
        let Some(release) = release_of_revision(&package.revision) else {
            return;
        };
        let timeline = match package.name.as_str() {
            "kubelet" => Some(&mut self.kubelet),
            "kubectl" => self.kubectl.as_mut(),
            "kubeadm" => self.kubeadm.as_mut(),
            _ => None,
        };
        if let Some(timeline) = timeline {
            timeline.change_at(&release, Moment::new(at, Phase::Begin));
        }
    }
}
