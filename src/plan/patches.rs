//! Which hosts must have the directory of patches that kubeadm is told to read.
//!
//! kubeadm fails when the directory is not there, in the middle of an upgrade. The check of each host where kubeadm runs says
//! the directory, so that its absence is found before anything changes.
//!
//! Source: kubernetes/kubernetes `cmd/kubeadm/app/util/patches/patches.go`, `getPatchSetsFromPath`.

use std::collections::BTreeMap;

use super::data::{Action, Step};
use crate::cluster::model::HostName;

/// The steps, each host's check with the directory that kubeadm's steps there name.
#[must_use]
pub fn told_to_checks(mut steps: Vec<Step>) -> Vec<Step> {
    let read: BTreeMap<HostName, String> = steps
        .iter()
        .filter_map(|step| match &step.action {
            Action::KubeadmApply { host, options, .. }
            | Action::KubeadmNode { host, options, .. } => {
                Some((host.clone(), options.patches.clone()?))
            }
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
            | Action::Cordon { .. }
            | Action::Drain { .. }
            | Action::InstallKubelet { .. }
            | Action::AwaitNode { .. }
            | Action::AwaitStaticPods { .. }
            | Action::Uncordon { .. }
            | Action::ReleaseHolds { .. }
            | Action::Verify { .. }
            | Action::Soak { .. }
            | Action::Gate { .. }
            | Action::Hook { .. }
            | Action::WayBack { .. }
            | Action::Barrier { .. } => None,
        })
        .collect();
    for step in &mut steps {
        if let Action::CheckHost { host, patches, .. } = &mut step.action {
            *patches = read.get(host).cloned();
            if patches.is_some() {
                step.because
                    .push_str(", and with the patches that kubeadm is told to apply");
            }
        }
    }
    steps
}
