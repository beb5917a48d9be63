//! The rounds that nodes go through, gathered once for everything that judges them.
//!
//! A node goes through rounds, one for each release of its kubelet: configured by kubeadm, cordoned, drained, upgraded,
//! awaited, made schedulable again. A round ends when the node is back. Nothing is judged here: a round may lack steps, and
//! its steps may be ordered by nothing.

use std::collections::BTreeMap;

use super::cluster::{Cluster, OnCluster};
use super::order::Order;
use super::violation::Needed;
use crate::cluster::model::{HostName, NodeName, Role};
use crate::plan::data::Action;
use crate::plan::view::release_of_revision;
use crate::rules::version::Version;

/// What a node goes through, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// kubeadm writes the kubelet's configuration.
    Configure,
    /// It is marked unschedulable.
    Cordon,
    /// Its pods leave.
    Drain,
    /// Its kubelet changes.
    Install,
    /// It is ready with it.
    Await,
    /// A control plane's static pods have restarted.
    Settle,
    /// It is schedulable again.
    Uncordon,
}

impl Stage {
    /// What is missing where the stage is.
    pub const fn needed(self) -> Needed {
        match self {
            Self::Configure => Needed::Kubeadm,
            Self::Cordon => Needed::Cordon,
            Self::Drain => Needed::Drain,
            Self::Install => Needed::InstallKubelet,
            Self::Await => Needed::AwaitNode,
            Self::Settle => Needed::AwaitStaticPods,
            Self::Uncordon => Needed::Uncordon,
        }
    }
}

/// The node and stage of a step, if it is one.
fn stage<'a>(cluster: &Cluster<'a>, action: &Action) -> Option<(&'a NodeName, Stage)> {
    let node_of = |host| cluster.hosts.get(host).map(|machine| machine.node);
    let known = |node: &NodeName| cluster.nodes.get_key_value(node).map(|(name, _)| *name);
    match action {
        Action::KubeadmApply { host, .. } | Action::KubeadmNode { host, .. } => {
            Some((node_of(host)?, Stage::Configure))
        }
        Action::InstallKubelet { host, .. } => Some((node_of(host)?, Stage::Install)),
        Action::Cordon { node } => Some((known(node)?, Stage::Cordon)),
        Action::Drain { node, .. } => Some((known(node)?, Stage::Drain)),
        Action::AwaitNode { node, .. } => Some((known(node)?, Stage::Await)),
        Action::AwaitStaticPods { node, .. } => Some((known(node)?, Stage::Settle)),
        Action::Uncordon { node, .. } => Some((known(node)?, Stage::Uncordon)),
        Action::CheckHost { .. }
        | Action::CheckCluster { .. }
        | Action::SnapshotEtcd { .. }
        | Action::HoldPackages { .. }
        | Action::SwitchRepository { .. }
        | Action::PrefetchPackages { .. }
        | Action::InstallKubeadm { .. }
        | Action::PullImages { .. }
        | Action::AwaitControlPlane { .. }
        | Action::AwaitAddons { .. }
        | Action::TaintOutdated { .. }
        | Action::ReleaseHolds { .. }
        | Action::Verify { .. }
        | Action::Soak { .. }
        | Action::Gate { .. }
        | Action::Hook { .. }
        | Action::WayBack { .. }
        | Action::Barrier { .. } => None,
    }
}

/// One round of a node.
#[derive(Debug, Default)]
pub struct Round {
    /// Its steps, one for each stage.
    pub steps: BTreeMap<Stage, usize>,
    /// Steps of a stage that it has had already, with the one that was there before.
    pub again: Vec<(usize, usize)>,
}

impl Round {
    /// The step of a stage.
    pub fn at(&self, stage: Stage) -> Option<usize> {
        self.steps.get(&stage).copied()
    }

    /// The step that takes the node out of service.
    pub fn out(&self) -> Option<usize> {
        let mut taking = self.steps.range(Stage::Cordon..=Stage::Install);
        taking.next().map(|(_, &at)| at)
    }

    /// The first step that is not kubeadm's: it takes the node out, or waits for one that is out already.
    pub fn begins(&self) -> Option<usize> {
        let mut stages = self.steps.range(Stage::Cordon..);
        stages.next().map(|(_, &at)| at)
    }

    /// The step after which it is back.
    pub fn back(&self) -> Option<usize> {
        let last = [Stage::Uncordon, Stage::Settle, Stage::Await];
        last.into_iter().find_map(|stage| self.at(stage))
    }

    /// kubeadm was there, and the kubelet did not follow.
    fn is_passing(&self) -> bool {
        self.steps.len() == 1 && self.at(Stage::Configure).is_some()
    }
}

/// A node's rounds.
#[derive(Debug)]
pub struct OfNode<'c, 'f> {
    /// The node.
    pub on: &'c OnCluster<'f>,
    /// Its host.
    pub host: &'f HostName,
    /// All of its steps, in order.
    pub steps: Vec<usize>,
    /// What they make.
    pub rounds: Vec<Round>,
}

impl OfNode<'_, '_> {
    fn follow(&mut self, stage: Stage, at: usize, open: bool) {
        let passing =
            stage == Stage::Configure && self.rounds.last().is_some_and(Round::is_passing);
        if !open || passing {
            self.rounds.push(Round::default());
        }
        self.steps.push(at);
        let Some(round) = self.rounds.last_mut() else {
            return;
        };
        match round.steps.get(&stage) {
            Some(&other) => round.again.push((other, at)),
            None => {
                round.steps.insert(stage, at);
            }
        }
    }
}

/// A kubelet's change.
#[derive(Debug)]
pub struct Change<'f> {
    /// The node.
    pub node: &'f NodeName,
    /// Its host.
    pub host: &'f HostName,
    /// Control plane or worker.
    pub role: Role,
    /// The node was out of service before, and the round takes it out no more.
    pub out_before: bool,
    /// What takes the node out of service.
    pub out: usize,
    /// What changes its kubelet.
    pub install: usize,
    /// After which it is back.
    pub back: usize,
    /// What its kubelet comes to.
    pub release: Version,
}

/// The rounds of all nodes that the plan may touch.
#[derive(Debug)]
pub struct Rounds<'c, 'f>(BTreeMap<&'f NodeName, OfNode<'c, 'f>>);

impl<'c, 'f> Rounds<'c, 'f> {
    /// Those of a plan.
    pub fn of(cluster: &'c Cluster<'f>, order: &Order<'_>) -> Self {
        let mut all: BTreeMap<&NodeName, OfNode<'_, '_>> = BTreeMap::new();
        for (&name, on) in &cluster.nodes {
            if let Some(host) = on.host {
                let none = OfNode {
                    on,
                    host,
                    steps: Vec::new(),
                    rounds: Vec::new(),
                };
                all.insert(name, none);
            }
        }
        let mut open: BTreeMap<&NodeName, bool> = BTreeMap::new();
        for (at, step) in order.iter() {
            let Some((name, stage)) = stage(cluster, &step.action) else {
                continue;
            };
            let Some(of) = all.get_mut(name) else {
                continue;
            };
            let open = open.entry(name).or_default();
            of.follow(stage, at, *open);
            *open = stage != last(of.on);
        }
        Self(all)
    }

    /// By node.
    pub fn iter(&self) -> impl Iterator<Item = &OfNode<'c, 'f>> {
        self.0.values()
    }

    /// Of all nodes.
    pub fn all(&self) -> impl Iterator<Item = &Round> {
        self.iter().flat_map(|of| &of.rounds)
    }

    /// A node's.
    pub fn get(&self, node: &NodeName) -> &[Round] {
        self.0.get(node).map_or(&[], |of| &of.rounds)
    }

    /// Of nodes of a role.
    pub fn of_role(&self, role: Role) -> impl Iterator<Item = &Round> {
        let nodes = self.iter().filter(move |of| of.on.role() == role);
        nodes.flat_map(|of| &of.rounds)
    }

    /// The kubelets' changes, by node and in order.
    pub fn changes(&self, order: &Order<'_>) -> Vec<Change<'f>> {
        let mut changes = Vec::new();
        for of in self.iter() {
            for (index, round) in of.rounds.iter().enumerate() {
                let Some(install) = round.at(Stage::Install) else {
                    continue;
                };
                let Some(release) = installed(order, install) else {
                    continue;
                };
                changes.push(Change {
                    node: &of.on.node.name,
                    host: of.host,
                    role: of.on.role(),
                    out_before: index == 0 && of.on.left_cordoned(),
                    out: round.out().unwrap_or(install),
                    install,
                    back: round.back().unwrap_or(install),
                    release,
                });
            }
        }
        changes
    }
}

/// The stage that a node's rounds end with.
fn last(on: &OnCluster<'_>) -> Stage {
    match on.role() {
        _ if !on.stays_cordoned() => Stage::Uncordon,
        Role::ControlPlane => Stage::Settle,
        Role::Worker => Stage::Await,
    }
}

/// The kubelet's release that a step installs.
pub fn installed(order: &Order<'_>, at: usize) -> Option<Version> {
    let Action::InstallKubelet { packages, .. } = &order.step(at).action else {
        return None;
    };
    let kubelet = packages.iter().find(|package| package.name == "kubelet")?;
    release_of_revision(&kubelet.revision)
}
