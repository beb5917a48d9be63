//! What an upgrade does: a component's move from one release to another, and kubeadm at work on a cluster.

use super::pairs::{
    api_server_step, kubeadm_for_control_plane, kubeadm_for_kubelet, kubeadm_on_node, kubelet_step,
    needs_drain,
};
use super::{Component, Party, Rule, Snapshot, Violation, party};
use crate::cluster::model::NodeName;
use crate::rules::version::Version;

/// What an upgrade does to one component, judged by rules 7 to 9.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move<'a> {
    /// On which node.
    pub node: &'a NodeName,
    /// From this release.
    pub from: &'a Version,
    /// To that one.
    pub to: &'a Version,
}

impl Move<'_> {
    fn violation(&self, rule: Rule, component: Component) -> Violation {
        Violation {
            rule,
            party: Party {
                component,
                node: None,
                version: self.to.clone(),
            },
            against: Party {
                component,
                node: Some(self.node.clone()),
                version: self.from.clone(),
            },
        }
    }

    /// Rule 7 for an API server.
    #[must_use]
    pub fn of_api_server(&self) -> Option<Violation> {
        (!api_server_step(self.from, self.to))
            .then(|| self.violation(Rule::ApiServerSkipsNothing, Component::ApiServer))
    }

    /// Rule 7 for a kubelet.
    #[must_use]
    pub fn of_kubelet(&self, drained: bool) -> Option<Violation> {
        (needs_drain(self.from, self.to) && !drained)
            .then(|| self.violation(Rule::DrainedBeforeMinor, Component::Kubelet))
    }

    /// Rule 7 for how far a kubelet moves.
    #[must_use]
    pub fn of_kubelet_by(&self, may_skip: bool) -> Option<Violation> {
        (!kubelet_step(self.from, self.to, may_skip))
            .then(|| self.violation(Rule::KubeletSkipsNothing, Component::Kubelet))
    }

    /// Rule 9 for kubeadm.
    #[must_use]
    pub fn of_kubeadm(&self) -> Option<Violation> {
        (!kubeadm_on_node(self.to, self.from))
            .then(|| self.violation(Rule::KubeadmOnNode, Component::Kubeadm))
    }
}

/// Rule 8 for a kubeadm that manages this cluster: its oldest and newest control plane, and every kubelet.
#[must_use]
pub fn kubeadm_manages(kubeadm: &Version, now: &Snapshot) -> Vec<Violation> {
    let us = Party {
        component: Component::Kubeadm,
        node: None,
        version: kubeadm.clone(),
    };
    let control_planes = now
        .instances
        .iter()
        .filter(|(_, instance)| !kubeadm_for_control_plane(kubeadm, &instance.api_server))
        .map(|(node, instance)| Violation {
            rule: Rule::KubeadmToControlPlane,
            party: us.clone(),
            against: party(Component::ApiServer, node, &instance.api_server),
        });
    let kubelets = now
        .nodes
        .iter()
        .filter(|(_, on)| !kubeadm_for_kubelet(kubeadm, &on.kubelet))
        .map(|(node, on)| Violation {
            rule: Rule::KubeadmToKubelet,
            party: us.clone(),
            against: party(Component::Kubelet, node, &on.kubelet),
        });
    control_planes.chain(kubelets).collect()
}
