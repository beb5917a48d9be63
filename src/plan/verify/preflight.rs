//! Nothing changes before everything was looked at and etcd was saved, in each hop anew.

use std::collections::{BTreeMap, BTreeSet};

use super::cluster::Cluster;
use super::hops::Hops;
use super::order::Order;
use super::violation::{Invariant, Needed, Violation};
use crate::cluster::model::HostName;
use crate::plan::data::Action;

const INVARIANT: Invariant = Invariant::SnapshotFirst;

/// What a hop changes.
#[derive(Default)]
struct Changes<'p> {
    steps: Vec<usize>,
    hosts: BTreeSet<&'p HostName>,
}

/// Looks and snapshots, wherever they are.
#[derive(Default)]
struct Looks<'p> {
    snapshots: Vec<(usize, &'p HostName)>,
    cluster: Vec<usize>,
    hosts: BTreeMap<&'p HostName, Vec<usize>>,
}

/// Checks before the snapshot, and the snapshot before every change. The snapshot itself changes nothing: it is what the
/// changes wait for. What an earlier hop looked at and saved counts for no later one.
pub fn judge(cluster: &Cluster<'_>, order: &Order<'_>, hops: &Hops<'_>) -> Vec<Violation> {
    let mut looks = Looks::default();
    let mut changes: Vec<Changes<'_>> = Vec::new();
    changes.resize_with(hops.len().max(1), Changes::default);
    for (at, step) in order.iter() {
        match &step.action {
            Action::SnapshotEtcd { host, .. } => looks.snapshots.push((at, host)),
            Action::CheckCluster { .. } => looks.cluster.push(at),
            Action::CheckHost { host, .. } => looks.hosts.entry(host).or_default().push(at),
            Action::AwaitControlPlane { .. }
            | Action::AwaitAddons { .. }
            | Action::AwaitNode { .. }
            | Action::AwaitStaticPods { .. }
            | Action::Verify { .. }
            | Action::Soak { .. }
            | Action::Gate { .. }
            | Action::WayBack { .. }
            | Action::Barrier { .. } => {}
            action @ (Action::HoldPackages { .. }
            | Action::SwitchRepository { .. }
            | Action::PrefetchPackages { .. }
            | Action::InstallKubeadm { .. }
            | Action::PullImages { .. }
            | Action::KubeadmApply { .. }
            | Action::KubeadmNode { .. }
            | Action::Cordon { .. }
            | Action::Drain { .. }
            | Action::InstallKubelet { .. }
            | Action::TaintOutdated { .. }
            | Action::Uncordon { .. }
            | Action::Hook { .. }
            | Action::ReleaseHolds { .. }) => {
                // What brings no release may be in any hop: it comes after the first one's snapshot.
                let hop = hops.hop_of(action).unwrap_or(0);
                let by_node = action.node().and_then(|node| cluster.nodes.get(node)?.host);
                if let Some(changes) = changes.get_mut(hop) {
                    changes.steps.push(at);
                    changes.hosts.extend(action.host().or(by_node));
                }
            }
        }
    }
    let mut wrong = Vec::new();
    for (hop, changes) in changes.iter().enumerate() {
        judge_hop(order, hops.floor(hop), &looks, changes, &mut wrong);
    }
    wrong
}

fn judge_hop(
    order: &Order<'_>,
    floor: Option<usize>,
    looks: &Looks<'_>,
    changes: &Changes<'_>,
    wrong: &mut Vec<Violation>,
) {
    let fresh = |at: usize| floor.is_none_or(|floor| order.precedes(floor, at));
    let snapshots: Vec<(usize, &HostName)> = looks
        .snapshots
        .iter()
        .copied()
        .filter(|(at, _)| fresh(*at))
        .collect();
    let Some(&(first, _)) = snapshots.first() else {
        if let Some(&change) = changes.steps.first() {
            wrong.push(Violation::Missing {
                invariant: INVARIANT,
                needed: Needed::Snapshot,
                place: "cluster".to_owned(),
                steps: vec![order.id(change)],
            });
        }
        return;
    };
    for &change in &changes.steps {
        if !snapshots.iter().any(|&(at, _)| order.precedes(at, change)) {
            wrong.push(Violation::Unordered {
                invariant: INVARIANT,
                first: order.id(first),
                then: order.id(change),
            });
        }
    }
    let mut looked = |needed, place: String, looks: &[usize]| {
        let mut looks = looks.iter().copied().filter(|&look| fresh(look));
        let Some(look) = looks.next() else {
            wrong.push(Violation::Missing {
                invariant: INVARIANT,
                needed,
                place,
                steps: vec![order.id(first)],
            });
            return;
        };
        let all: Vec<usize> = looks.chain([look]).collect();
        for &(snapshot, _) in &snapshots {
            if !all.iter().any(|&look| order.precedes(look, snapshot)) {
                wrong.push(Violation::Unordered {
                    invariant: INVARIANT,
                    first: order.id(look),
                    then: order.id(snapshot),
                });
            }
        }
    };
    looked(Needed::CheckCluster, "cluster".to_owned(), &looks.cluster);
    let saved_on = snapshots.iter().map(|(_, host)| *host);
    let hosts: BTreeSet<&HostName> = saved_on.chain(changes.hosts.iter().copied()).collect();
    for host in hosts {
        let looks = looks.hosts.get(host).map_or(&[][..], Vec::as_slice);
        looked(Needed::CheckHost, host.to_string(), looks);
    }
}
