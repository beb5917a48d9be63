//! Whether the versions that run may run beside each other, judged at every change of one of them.
//!
//! The rules are `rules::skew`'s. What the API does not show (kubectl, kubeadm, a controller's kubeconfig) is not judged
//! here.

use super::{Api, PodId};
use crate::cluster::facts::{Facts, Observed};
use crate::cluster::model::{HostName, NodeName};
use crate::cluster::release::release_of_image;
use crate::rules::skew::{Extremes, Instance, OnNode, Snapshot, violations, violations_on};
use std::collections::BTreeMap;

/// What runs now.
#[derive(Debug, Clone, Default)]
pub(super) struct Running {
    snapshot: Snapshot,
    /// What was wrong already when the facts were taken.
    before: std::collections::BTreeSet<String>,
}

impl Api {
    /// What runs when the world begins.
    pub(super) fn see_versions(&mut self, facts: &Facts, nodes: &BTreeMap<HostName, NodeName>) {
        let mut snapshot = Snapshot::default();
        for (host, node) in nodes {
            let known = facts.hosts.get(host).and_then(Observed::known);
            let Some(control_plane) = known.and_then(|known| known.control_plane.as_ref()) else {
                continue;
            };
            let roaming = control_plane.roaming().into_iter();
            snapshot
                .roaming
                .extend(roaming.map(|component| (node.clone(), component)));
        }
        let local = self
            .kubeadm_config()
            .and_then(|config| config.feature_gates.get("ControlPlaneKubeletLocalMode"))
            .copied();
        for (name, known) in &self.nodes {
            let Ok(kubelet) = known.node.kubelet_version.parse() else {
                continue;
            };
            let on = OnNode {
                kubelet,
                kubelet_is_local: local.unwrap_or(false),
                kube_proxy: None,
                kubectl: None,
                kubeadm: None,
            };
            snapshot.nodes.insert(name.clone(), on);
        }
        self.running.snapshot = snapshot;
        self.see_instances();
        let proxies: Vec<PodId> = self
            .pods
            .within("kube-system")
            .filter(|(_, held)| held.pod.images.contains_key("kube-proxy"))
            .map(|(id, _)| id)
            .collect();
        for id in proxies {
            self.see_proxy(id);
        }
        self.running.before = violations(&self.running.snapshot)
            .iter()
            .map(ToString::to_string)
            .collect();
        self.violations.clear();
    }

    fn see_instances(&mut self) {
        let release = |component: &str, node: &NodeName| {
            let id = self
                .pods
                .named("kube-system", &format!("{component}-{node}"))?;
            let held = self.pods.get(id)?;
            held.pod
                .images
                .values()
                .find_map(|image| release_of_image(image))
        };
        let mut instances = BTreeMap::new();
        for (node, api_server) in self.servers.releases() {
            let instance = Instance {
                api_server: api_server.clone(),
                controller_manager: release("kube-controller-manager", node)
                    .unwrap_or_else(|| api_server.clone()),
                scheduler: release("kube-scheduler", node).unwrap_or_else(|| api_server.clone()),
            };
            instances.insert(node.clone(), instance);
        }
        self.running.snapshot.instances = instances;
    }

    /// An API server or a controller is another one.
    pub(super) fn judge_instances(&mut self) {
        self.see_instances();
        let found = violations(&self.running.snapshot);
        self.tell(found.iter().map(ToString::to_string).collect());
    }

    /// A node's kubelet is another one.
    pub(super) fn judge_kubelet(&mut self, node: &NodeName) {
        let version = self
            .nodes
            .get(node)
            .and_then(|known| known.node.kubelet_version.parse().ok());
        if let (Some(on), Some(version)) = (self.running.snapshot.nodes.get_mut(node), version) {
            on.kubelet = version;
        }
        self.judge_node(node);
    }

    /// A pod serves that may be a kube-proxy.
    pub(super) fn see_proxy(&mut self, id: PodId) {
        let Some(held) = self.pods.get(id) else {
            return;
        };
        if held.pod.namespace != "kube-system" {
            return;
        }
        let (Some(image), Some(node)) = (held.pod.images.get("kube-proxy"), held.pod.node.clone())
        else {
            return;
        };
        let release = release_of_image(image);
        let Some(on) = self.running.snapshot.nodes.get_mut(&node) else {
            return;
        };
        if on.kube_proxy != release {
            on.kube_proxy = release;
            self.judge_node(&node);
        }
    }

    fn judge_node(&mut self, node: &NodeName) {
        let now = &self.running.snapshot;
        let found: Vec<String> = Extremes::of(now)
            .map(|servers| violations_on(now, servers, node))
            .into_iter()
            .flatten()
            .map(|violation| violation.to_string())
            .collect();
        self.tell(found);
    }

    fn tell(&mut self, found: Vec<String>) {
        for text in found {
            if !self.running.before.contains(&text) {
                self.violation(format!("skew: {text}"));
            }
        }
    }
}
