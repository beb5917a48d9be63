//! What the declaration wants to happen between steps, and the plan carries in its limits: pauses between control planes, and
//! soaks between groups of workers. Each is looked for by what comes before it and what comes after it, not by its name.

use std::collections::BTreeMap;

use super::cluster::{Cluster, OnCluster};
use super::hops::Hops;
use super::order::Order;
use super::timeline::control_plane_upgrades;
use super::violation::{Invariant, Needed, Violation};
use crate::cluster::model::{HostName, NodeName, Role};
use crate::plan::data::{Action, Plan, SoakingGroup};
use crate::plan::view::release_of_revision;
use crate::rules::version::Version;

/// A kubelet's change: the step that takes the node out, the installation, the step after which the node is back.
pub struct Change<'p> {
    /// The host.
    pub host: &'p HostName,
    /// What takes the node out of service.
    pub out: usize,
    /// What changes its kubelet.
    pub install: usize,
    /// After which it is back.
    pub back: usize,
    /// What its kubelet comes to.
    pub release: Version,
}

/// A soak.
struct Soak<'p> {
    at: usize,
    for_s: u64,
    nodes: &'p [NodeName],
}

/// Everything declared that is not there.
pub fn judge(
    plan: &Plan,
    cluster: &Cluster<'_>,
    order: &Order<'_>,
    hops: &Hops<'_>,
) -> Vec<Violation> {
    let limits = &plan.limits;
    if limits.control_planes_pause_s == 0 && limits.soaks.is_empty() {
        return Vec::new();
    }
    let judge = Judge {
        cluster,
        order,
        hops,
        soaks: soaks(order),
        changes: changes(cluster, order),
    };
    let mut wrong = Vec::new();
    if limits.control_planes_pause_s > 0 {
        wrong.extend(judge.pauses(limits.control_planes_pause_s));
    }
    for (index, group) in limits.soaks.iter().enumerate() {
        if group.for_s > 0 && !group.nodes.is_empty() {
            wrong.extend(judge.soaks(group, &limits.soaks[..=index]));
        }
    }
    wrong
}

struct Judge<'o, 'p, 'f> {
    cluster: &'o Cluster<'f>,
    order: &'o Order<'p>,
    hops: &'o Hops<'p>,
    soaks: Vec<Soak<'p>>,
    /// Of each node, in order.
    changes: BTreeMap<&'f NodeName, Vec<Change<'p>>>,
}

impl<'p> Judge<'_, 'p, '_> {
    /// Between the static pods of any two control planes, and between their kubelets.
    fn pauses(&self, for_s: u64) -> Vec<Violation> {
        let order = self.order;
        let mut wrong = Vec::new();
        let upgrades = control_plane_upgrades(order);
        for pair in upgrades.windows(2) {
            let [(_, host, release), (then, next, same)] = pair else {
                continue;
            };
            if release != same {
                continue;
            }
            let awaited = order.iter().find(|(_, step)| {
                matches!(&step.action, Action::AwaitControlPlane { host: of, version, .. } if of == *host && version == *release)
            });
            let Some((awaited, _)) = awaited else {
                continue;
            };
            wrong.extend(self.pause(for_s, host, awaited, *then, next));
        }
        let mut kubelets: Vec<&Change<'_>> = self
            .changes
            .iter()
            .filter(|(name, _)| self.role(name) == Some(Role::ControlPlane))
            .flat_map(|(_, changes)| changes)
            .collect();
        kubelets.sort_by_key(|change| change.install);
        for pair in kubelets.windows(2) {
            let [one, other] = pair else { continue };
            if one.release == other.release {
                wrong.extend(self.pause(for_s, one.host, one.back, other.out, other.host));
            }
        }
        wrong
    }

    fn pause(
        &self,
        for_s: u64,
        host: &HostName,
        after: usize,
        before: usize,
        next: &HostName,
    ) -> Option<Violation> {
        let node = self.cluster.hosts.get(host)?.node;
        let order = self.order;
        let there = self.soaks.iter().any(|soak| {
            soak.for_s >= for_s
                && soak.nodes.contains(node)
                && order.precedes(after, soak.at)
                && order.precedes(soak.at, before)
        });
        (!there).then(|| self.missing(next, before))
    }

    fn missing(&self, place: impl ToString, at: usize) -> Violation {
        Violation::Missing {
            invariant: Invariant::Declared,
            needed: Needed::Soak,
            place: place.to_string(),
            steps: vec![self.order.id(at)],
        }
    }

    fn role(&self, node: &NodeName) -> Option<Role> {
        self.cluster.nodes.get(node).map(OnCluster::role)
    }

    /// Before any worker of a later group goes in a hop, what the group's own nodes do in that hop is over, and then its time
    /// has passed. What an earlier run left out of service goes first of all, whatever its group.
    fn soaks(&self, group: &SoakingGroup, upto: &[SoakingGroup]) -> Vec<Violation> {
        let order = self.order;
        let mut of_release: BTreeMap<&Version, Vec<usize>> = BTreeMap::new();
        let mut wrong = Vec::new();
        for (name, changes) in &self.changes {
            let earlier = upto.iter().any(|group| group.nodes.contains(name));
            if earlier || self.role(name) != Some(Role::Worker) {
                continue;
            }
            let left = self
                .cluster
                .nodes
                .get(*name)
                .is_some_and(|on| on.left_cordoned());
            for (index, change) in changes.iter().enumerate() {
                if left && index == 0 {
                    continue;
                }
                let soaks = of_release
                    .entry(&change.release)
                    .or_insert_with(|| self.soaks_of(group, change));
                if !soaks.iter().any(|&at| order.precedes(at, change.out)) {
                    wrong.push(self.missing(name, change.out));
                }
            }
        }
        wrong
    }

    /// The soaks of the group after what its nodes do in the hop of this change.
    fn soaks_of(&self, group: &SoakingGroup, change: &Change<'_>) -> Vec<usize> {
        let order = self.order;
        let mut before: Vec<usize> = group
            .nodes
            .iter()
            .filter_map(|name| self.changes.get(name))
            .flatten()
            .filter(|own| own.release == change.release)
            .map(|own| own.back)
            .collect();
        let hop = self.hops.hop_of(&order.step(change.install).action);
        before.extend(self.hops.floor(hop.unwrap_or(0)));
        self.soaks
            .iter()
            .filter(|soak| soak.for_s >= group.for_s)
            .filter(|soak| {
                group
                    .nodes
                    .iter()
                    .all(|node| soak.nodes.binary_search(node).is_ok())
            })
            .map(|soak| soak.at)
            .filter(|&at| before.iter().all(|&end| order.precedes(end, at)))
            .collect()
    }
}

fn soaks<'p>(order: &Order<'p>) -> Vec<Soak<'p>> {
    let mut soaks = Vec::new();
    for (at, step) in order.iter() {
        if let Action::Soak { for_s, nodes } = &step.action {
            soaks.push(Soak {
                at,
                for_s: *for_s,
                nodes,
            });
        }
    }
    soaks
}

/// The kubelets' changes, by node.
pub fn changes<'f, 'p>(
    cluster: &Cluster<'f>,
    order: &Order<'p>,
) -> BTreeMap<&'f NodeName, Vec<Change<'p>>> {
    let mut out: BTreeMap<&NodeName, usize> = BTreeMap::new();
    let mut changes: BTreeMap<&'f NodeName, Vec<Change<'p>>> = BTreeMap::new();
    for (at, step) in order.iter() {
        match &step.action {
            Action::Cordon { node } | Action::Drain { node, .. } => {
                out.entry(node).or_insert(at);
            }
            Action::InstallKubelet { host, packages, .. } => {
                let kubelet = packages.iter().find(|package| package.name == "kubelet");
                let release = kubelet.and_then(|package| release_of_revision(&package.revision));
                let (Some(machine), Some(release)) = (cluster.hosts.get(host), release) else {
                    continue;
                };
                changes.entry(machine.node).or_default().push(Change {
                    host,
                    out: out.remove(machine.node).unwrap_or(at),
                    install: at,
                    back: at,
                    release,
                });
            }
            Action::AwaitNode { node, .. }
            | Action::AwaitStaticPods { node, .. }
            | Action::Uncordon { node } => {
                if let Some(change) = changes.get_mut(node).and_then(|of| of.last_mut()) {
                    change.back = at;
                }
            }
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
            | Action::AwaitAddons { .. }
            | Action::ReleaseHolds { .. }
            | Action::Verify { .. }
            | Action::Soak { .. }
            | Action::Gate { .. }
            | Action::Barrier { .. } => {}
        }
    }
    changes
}
