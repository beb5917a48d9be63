//! Which versions may run beside each other.
//!
//! Every rule is a pure function over versions; [`violations`] applies all of them to one instant of a cluster. Only
//! minors are compared, as the policy does. A component that goes through a load balancer may meet any API server, so it
//! is judged against every one of them; the controller manager and the scheduler of a kubeadm control plane use their own
//! instance's API server (kubernetes/kubernetes#94398) and are judged against that one, unless their kubeconfig names another.
//!
//! Source: kubernetes/website `content/en/releases/version-skew-policy.md`; for kubeadm
//! `content/en/docs/setup/production-environment/tools/kubeadm/create-cluster-kubeadm.md`, "Version skew policy".

//!
//! The parts: `rule` (what each demands, and its source), `pairs` (each rule over two versions), `moves` (what an upgrade
//! does), and here all of them over one instant of a cluster.

mod moves;
mod pairs;
mod rule;
#[cfg(test)]
mod tests;

pub use moves::{Move, kubeadm_manages};
pub use pairs::{
    WORKER_JUMP, api_server_step, api_servers_together, controller, kube_proxy_beside_kubelet,
    kubeadm_for_control_plane, kubeadm_for_kubelet, kubeadm_lag, kubeadm_on_node, kubectl,
    kubelet_step, needs_drain, node_component, node_lag,
};
pub use rule::{Component, Rule};

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::cluster::model::NodeName;
use crate::rules::version::Version;

/// The versions that run at one instant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Each control plane's instance, by node.
    pub instances: BTreeMap<NodeName, Instance>,
    /// Every node, control planes included.
    pub nodes: BTreeMap<NodeName, OnNode>,
    /// Controller managers and schedulers whose kubeconfig does not name their own instance's API server.
    pub roaming: BTreeSet<(NodeName, Component)>,
    /// Cloud controller managers, by the node on which they run.
    pub cloud_controllers: BTreeMap<NodeName, Version>,
}

/// One control plane's static pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// kube-apiserver.
    pub api_server: Version,
    /// kube-controller-manager.
    pub controller_manager: Version,
    /// kube-scheduler.
    pub scheduler: Version,
}

/// What runs on a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnNode {
    /// The kubelet.
    pub kubelet: Version,
    /// The kubelet talks to its own node's API server only (feature `ControlPlaneKubeletLocalMode`).
    pub kubelet_is_local: bool,
    /// kube-proxy, where there is one.
    pub kube_proxy: Option<Version>,
    /// The installed kubectl, if any.
    pub kubectl: Option<Version>,
    /// The installed kubeadm, if any.
    pub kubeadm: Option<Version>,
}

/// A component at a place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Party {
    /// Which.
    pub component: Component,
    /// On which node; none when it is the one that is to come.
    pub node: Option<NodeName>,
    /// Its version.
    pub version: Version,
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.node {
            Some(node) => write!(f, "{} {} on {node}", self.component, self.version),
            None => write!(f, "{} {}", self.component, self.version),
        }
    }
}

/// Two versions that may not be together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// The rule.
    pub rule: Rule,
    /// Who breaks it.
    pub party: Party,
    /// Against whom.
    pub against: Party,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ahead = self
            .party
            .version
            .minor()
            .ahead_of(self.against.version.minor());
        let (distance, side) = (
            ahead.unsigned_abs(),
            if ahead < 0 { "older" } else { "newer" },
        );
        match distance {
            0 => write!(f, "{}, {}", self.party, self.against),
            1 => write!(
                f,
                "{} is one minor {side} than {}",
                self.party, self.against
            ),
            _ => write!(
                f,
                "{} is {distance} minors {side} than {}",
                self.party, self.against
            ),
        }
    }
}

fn party(component: Component, node: &NodeName, version: &Version) -> Party {
    Party {
        component,
        node: Some(node.clone()),
        version: version.clone(),
    }
}

/// The API servers that matter when any of them may answer: rules are about distance, so the oldest and the newest
/// stand for all.
#[derive(Debug, Clone, Copy)]
pub struct Extremes<'a> {
    oldest: (&'a NodeName, &'a Version),
    newest: (&'a NodeName, &'a Version),
}

impl<'a> Extremes<'a> {
    /// None when there is no API server. Of equals, the first by node's name.
    #[must_use]
    pub fn of(now: &'a Snapshot) -> Option<Self> {
        let mut servers = now
            .instances
            .iter()
            .map(|(node, instance)| (node, &instance.api_server));
        let first = servers.next()?;
        Some(servers.fold(
            Self {
                oldest: first,
                newest: first,
            },
            |found, server| Self {
                oldest: if server.1 < found.oldest.1 {
                    server
                } else {
                    found.oldest
                },
                newest: if server.1 > found.newest.1 {
                    server
                } else {
                    found.newest
                },
            },
        ))
    }

    /// The oldest API server's release.
    #[must_use]
    pub const fn oldest(&self) -> &'a Version {
        self.oldest.1
    }

    /// The newest API server's release.
    #[must_use]
    pub const fn newest(&self) -> &'a Version {
        self.newest.1
    }
}

/// Everything that breaks a rule at this instant, in a stable order.
#[must_use]
pub fn violations(now: &Snapshot) -> Vec<Violation> {
    let Some(servers) = Extremes::of(now) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    if !api_servers_together(servers.oldest(), servers.newest()) {
        found.push(Violation {
            rule: Rule::ApiServersTogether,
            party: party(Component::ApiServer, servers.newest.0, servers.newest.1),
            against: party(Component::ApiServer, servers.oldest.0, servers.oldest.1),
        });
    }
    let any = [servers.oldest, servers.newest];
    for (node, instance) in &now.instances {
        for (component, version) in [
            (Component::ControllerManager, &instance.controller_manager),
            (Component::Scheduler, &instance.scheduler),
        ] {
            let own = [(node, &instance.api_server)];
            let meets = if now.roaming.contains(&(node.clone(), component)) {
                &any[..]
            } else {
                &own
            };
            found.extend(controller_among(component, (node, version), meets));
        }
    }
    for (node, version) in &now.cloud_controllers {
        let component = Component::CloudControllerManager;
        found.extend(controller_among(component, (node, version), &any));
    }
    for node in now.nodes.keys() {
        found.extend(violations_on(now, servers, node));
    }
    found
}

/// Rule 4 for one component and the API servers that it can reach.
fn controller_among(
    component: Component,
    (node, version): (&NodeName, &Version),
    servers: &[(&NodeName, &Version)],
) -> Option<Violation> {
    let &(server, release) = servers
        .iter()
        .find(|(_, release)| !controller(version, release))?;
    Some(Violation {
        rule: Rule::ControllersToApiServer,
        party: party(component, node, version),
        against: party(Component::ApiServer, server, release),
    })
}

/// What breaks a rule on one node, its static pods aside.
#[must_use]
pub fn violations_on(now: &Snapshot, servers: Extremes<'_>, node: &NodeName) -> Vec<Violation> {
    let Some(on) = now.nodes.get(node) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let local = now
        .instances
        .get(node)
        .filter(|_| on.kubelet_is_local)
        .map(|instance| (node, &instance.api_server));
    let any = [servers.oldest, servers.newest];
    let kubelet_meets = local.map_or_else(|| any.to_vec(), |own| vec![own]);
    let mut judge = |rule,
                     component,
                     version: &Version,
                     servers: &[(&NodeName, &Version)],
                     ok: fn(&Version, &Version) -> bool| {
        // One line a component: the farthest API server says enough.
        if let Some((server, release)) = servers
            .iter()
            .filter(|(_, release)| !ok(version, release))
            .max_by_key(|(_, release)| version.minor().ahead_of(release.minor()).abs())
        {
            found.push(Violation {
                rule,
                party: party(component, node, version),
                against: party(Component::ApiServer, server, release),
            });
        }
    };
    judge(
        Rule::KubeletToApiServer,
        Component::Kubelet,
        &on.kubelet,
        &kubelet_meets,
        node_component,
    );
    if let Some(version) = &on.kube_proxy {
        judge(
            Rule::KubeProxyToApiServer,
            Component::KubeProxy,
            version,
            &any,
            node_component,
        );
    }
    if let Some(version) = &on.kubectl {
        judge(
            Rule::KubectlToApiServer,
            Component::Kubectl,
            version,
            &any,
            kubectl,
        );
    }
    if let Some(version) = &on.kube_proxy
        && !kube_proxy_beside_kubelet(version, &on.kubelet)
    {
        found.push(Violation {
            rule: Rule::KubeProxyToKubelet,
            party: party(Component::KubeProxy, node, version),
            against: party(Component::Kubelet, node, &on.kubelet),
        });
    }
    found
}

/// The order that the policy advises and kubeadm does not keep: kubeadm rolls kube-proxy with the last control plane,
/// before any kubelet. Allowed (rule 3), and worth a word to the reader.
///
/// Source: kubernetes/kubernetes `cmd/kubeadm/app/phases/upgrade/postupgrade.go`, `PerformAddonsUpgrade`.
#[must_use]
pub fn kube_proxy_before_kubelet(now: &Snapshot, to: &Version) -> bool {
    now.nodes
        .values()
        .any(|on| on.kube_proxy.is_some() && on.kubelet.minor() < to.minor())
}
