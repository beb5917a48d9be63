//! Whether the target can be reached from here in one hop: a patch, or one minor up.

use super::reason::Reason;
use super::view::View;
use crate::documents::settings::Upgrade;
use crate::rules::kubeadm_phases;
use crate::rules::kubeadm_policy::{self, Request};
use crate::rules::skew::{Extremes, Move};
use crate::rules::version::Version;

/// Every reason why the target is not one hop away. With one of these, versions along the way are not worth judging.
#[must_use]
pub fn distance(view: &View<'_>, target: &Version) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let snapshot = view.snapshot();
    let Some(servers) = Extremes::of(&snapshot) else {
        return reasons;
    };
    if target.minor().ahead_of(servers.oldest().minor()) > 1 {
        reasons.push(Reason::TooFar {
            from: servers.oldest().clone(),
            to: target.clone(),
            first: servers.oldest().minor().next(),
        });
    }
    let mut newer = |what: String, release: &Version| {
        if release > target {
            reasons.push(Reason::Downgrade {
                what,
                from: release.clone(),
                to: target.clone(),
            });
        }
    };
    for (host, instance) in view.control_planes() {
        let name = &host.node.name;
        newer(format!("kube-apiserver on {name}"), instance.running);
        if &instance.manifests.api_server != instance.running {
            newer(
                format!("kube-apiserver's manifest on {name}"),
                &instance.manifests.api_server,
            );
        }
        newer(
            format!("kube-controller-manager on {name}"),
            &instance.manifests.controller_manager,
        );
        newer(
            format!("kube-scheduler on {name}"),
            &instance.manifests.scheduler,
        );
    }
    for host in &view.hosts {
        let name = &host.node.name;
        newer(format!("kubelet on {name}"), &host.kubelet);
        newer(format!("kubeadm on {name}"), host.kubeadm);
        for (package, release) in &host.installed {
            let named_already = match *package {
                "kubeadm" => release == host.kubeadm,
                "kubelet" => release == &host.kubelet,
                _ => false,
            };
            if !named_already {
                newer(format!("the installed {package} on {name}"), release);
            }
        }
    }
    newer(
        "kubeadm-config".to_owned(),
        &view.kubeadm_config.kubernetes_version,
    );
    for host in &view.hosts {
        // Further behind than a plan of several minors would be anyway: the control planes decide that case.
        let behind_cluster = servers.oldest().minor().ahead_of(host.kubelet.minor()) > 0;
        if behind_cluster && target.minor().ahead_of(host.kubelet.minor()) > 1 {
            reasons.push(Reason::KubeletTooFar {
                node: host.node.name.clone(),
                kubelet: host.kubelet.clone(),
                to: target.clone(),
            });
        }
    }
    reasons
}

/// Phases that the declaration leaves out and the target's kubeadm cannot.
#[must_use]
pub fn phases(upgrade: &Upgrade) -> Vec<Reason> {
    let minor = upgrade.target.minor();
    let phases = upgrade.kubeadm.skip_phases.iter();
    phases
        .filter_map(|phase| {
            let trouble = kubeadm_phases::can_be_left_out(phase, minor).err()?;
            Some(Reason::SkipPhase {
                phase: phase.clone(),
                minor,
                trouble,
            })
        })
        .collect()
}

/// What kubeadm would say, and rule 9 for the kubeadm to be installed. kubeadm asks whichever API server answers, so it
/// is judged for each.
#[must_use]
pub fn kubeadm(view: &View<'_>, target: &Version) -> Vec<Reason> {
    let kubelets: Vec<Version> = view
        .nodes
        .values()
        .map(|(_, kubelet)| kubelet.clone())
        .collect();
    let mut reasons: Vec<Reason> = Vec::new();
    for (_, instance) in view.control_planes() {
        let verdict = kubeadm_policy::judge(&Request {
            cluster: instance.running,
            kubelets: &kubelets,
            kubeadm: target,
            new: target,
            allow_experimental: false,
            allow_rc: false,
        });
        for objection in verdict.mandatory.into_iter().chain(verdict.skippable) {
            let reason = Reason::Kubeadm(objection);
            if !reasons.contains(&reason) {
                reasons.push(reason);
            }
        }
    }
    for host in &view.hosts {
        let step = Move {
            node: &host.node.name,
            from: host.kubeadm,
            to: target,
        };
        reasons.extend(step.of_kubeadm().map(|violation| Reason::Skew {
            violation: Box::new(violation),
            when: super::reason::When::Now,
        }));
    }
    reasons
}
