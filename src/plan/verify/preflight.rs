//! Nothing changes before everything was looked at and etcd was saved.

use std::collections::{BTreeMap, BTreeSet};

use super::cluster::Cluster;
use super::order::Order;
use super::violation::{Invariant, Needed, Violation};
use crate::cluster::model::HostName;
use crate::plan::data::Action;

/// Checks before the snapshot, and the snapshot before every change. The snapshot itself changes nothing: it is what the
/// changes wait for.
pub fn judge(cluster: &Cluster<'_>, order: &Order<'_>) -> Vec<Violation> {
    let mut wrong = Vec::new();
    let mut snapshots = Vec::new();
    let mut looks = Vec::new();
    let mut hosts: BTreeMap<&HostName, Vec<usize>> = BTreeMap::new();
    let mut changing = Vec::new();
    let mut touched: BTreeSet<&HostName> = BTreeSet::new();
    for (at, step) in order.iter() {
        match &step.action {
            Action::SnapshotEtcd { host, .. } => {
                snapshots.push(at);
                touched.insert(host);
            }
            Action::CheckCluster { .. } => looks.push(at),
            Action::CheckHost { host, .. } => hosts.entry(host).or_default().push(at),
            Action::AwaitControlPlane { .. }
            | Action::AwaitAddons { .. }
            | Action::AwaitNode { .. }
            | Action::Verify { .. }
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
            | Action::Uncordon { .. }
            | Action::ReleaseHolds { .. }) => {
                changing.push(at);
                let by_node = action.node().and_then(|node| cluster.nodes.get(node)?.host);
                touched.extend(action.host().or(by_node));
            }
        }
    }
    let invariant = Invariant::SnapshotFirst;
    let Some(&first) = snapshots.first() else {
        if let Some(&change) = changing.first() {
            wrong.push(Violation::Missing {
                invariant,
                needed: Needed::Snapshot,
                place: "cluster".to_owned(),
                steps: vec![order.id(change)],
            });
        }
        return wrong;
    };
    for change in changing {
        if !snapshots
            .iter()
            .any(|&snapshot| order.precedes(snapshot, change))
        {
            wrong.push(Violation::Unordered {
                invariant,
                first: order.id(first),
                then: order.id(change),
            });
        }
    }
    let mut looked = |needed, place: String, looks: &[usize]| {
        let Some(&look) = looks.first() else {
            wrong.push(Violation::Missing {
                invariant,
                needed,
                place,
                steps: vec![order.id(first)],
            });
            return;
        };
        for &snapshot in &snapshots {
            if !looks.iter().any(|&look| order.precedes(look, snapshot)) {
                wrong.push(Violation::Unordered {
                    invariant,
                    first: order.id(look),
                    then: order.id(snapshot),
                });
            }
        }
    };
    looked(Needed::CheckCluster, "cluster".to_owned(), &looks);
    for host in touched {
        let looks = hosts.get(host).map_or(&[][..], Vec::as_slice);
        looked(Needed::CheckHost, host.to_string(), looks);
    }
    wrong
}
