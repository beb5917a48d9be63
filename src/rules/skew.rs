//! Which versions may run beside each other.
//!
//! Every rule is a pure function over versions; [`violations`] applies all of them to one instant of a cluster. Only
//! minors are compared, as the policy does. A component that goes through a load balancer may meet any API server, so it
//! is judged against every one of them; the controller manager and the scheduler of a kubeadm control plane use their own
//! instance's API server (kubernetes/kubernetes#94398) and are judged against that one.
//!
//! Source: kubernetes/website `content/en/releases/version-skew-policy.md`; for kubeadm
//! `content/en/docs/setup/production-environment/tools/kubeadm/create-cluster-kubeadm.md`, "Version skew policy".

use std::collections::BTreeMap;
use std::fmt;

use crate::cluster::model::NodeName;
use crate::rules::version::{Minor, Version};

/// The versions that run at one instant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Each control plane's instance, by node.
    pub instances: BTreeMap<NodeName, Instance>,
    /// Every node, control planes included.
    pub nodes: BTreeMap<NodeName, OnNode>,
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

/// A part of Kubernetes that the rules name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Component {
    /// kube-apiserver.
    ApiServer,
    /// kube-controller-manager.
    ControllerManager,
    /// kube-scheduler.
    Scheduler,
    /// The kubelet.
    Kubelet,
    /// kube-proxy.
    KubeProxy,
    /// kubectl.
    Kubectl,
    /// kubeadm.
    Kubeadm,
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
            Self::Kubelet => "kubelet",
            Self::KubeProxy => "kube-proxy",
            Self::Kubectl => "kubectl",
            Self::Kubeadm => "kubeadm",
        })
    }
}

/// The rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// API servers are within one minor of each other.
    ApiServersTogether,
    /// A kubelet is not newer than an API server, and at most 3 minors older (2 if it is older than 1.25).
    KubeletToApiServer,
    /// kube-proxy is not newer than an API server, and at most 3 minors older (2 if it is older than 1.25).
    KubeProxyToApiServer,
    /// kube-proxy is within 3 minors of its node's kubelet (2 if it is older than 1.25).
    KubeProxyToKubelet,
    /// Controller manager and scheduler are not newer than their API server, and at most one minor older.
    ControllersToApiServer,
    /// kubectl is within one minor of an API server.
    KubectlToApiServer,
    /// An API server moves by one minor at a time, forwards.
    ApiServerSkipsNothing,
    /// A node is drained before its kubelet changes minor.
    DrainedBeforeMinor,
    /// kubeadm manages a control plane of its own minor or the one before.
    KubeadmToControlPlane,
    /// kubeadm manages kubelets of its own minor and up to 3 before (1 if kubeadm is older than 1.29).
    KubeadmToKubelet,
    /// kubeadm on a node is of the same minor as the one last used there, or the next.
    KubeadmOnNode,
}

impl Rule {
    /// All of them, by number.
    pub const ALL: [Self; 11] = [
        Self::ApiServersTogether,
        Self::KubeletToApiServer,
        Self::KubeProxyToApiServer,
        Self::KubeProxyToKubelet,
        Self::ControllersToApiServer,
        Self::KubectlToApiServer,
        Self::ApiServerSkipsNothing,
        Self::DrainedBeforeMinor,
        Self::KubeadmToControlPlane,
        Self::KubeadmToKubelet,
        Self::KubeadmOnNode,
    ];

    /// The number by which plans cite it. Number 6 is how numbers 2 to 5 are judged: against every API server that the
    /// component can reach.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::ApiServersTogether => 1,
            Self::KubeletToApiServer => 2,
            Self::KubeProxyToApiServer | Self::KubeProxyToKubelet => 3,
            Self::ControllersToApiServer => 4,
            Self::KubectlToApiServer => 5,
            Self::ApiServerSkipsNothing | Self::DrainedBeforeMinor => 7,
            Self::KubeadmToControlPlane | Self::KubeadmToKubelet => 8,
            Self::KubeadmOnNode => 9,
        }
    }

    /// What it demands.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::ApiServersTogether => "API servers are within one minor of each other",
            Self::KubeletToApiServer => {
                "a kubelet is not newer than any API server it can reach, and at most 3 minors older (2 before 1.25)"
            }
            Self::KubeProxyToApiServer => {
                "kube-proxy is not newer than any API server it can reach, and at most 3 minors older (2 before 1.25)"
            }
            Self::KubeProxyToKubelet => {
                "kube-proxy is within 3 minors of its node's kubelet (2 before 1.25)"
            }
            Self::ControllersToApiServer => {
                "controller manager and scheduler are not newer than their API server, and at most one minor older"
            }
            Self::KubectlToApiServer => {
                "kubectl is within one minor of any API server it can reach"
            }
            Self::ApiServerSkipsNothing => "an API server moves by one minor at a time, forwards",
            Self::DrainedBeforeMinor => "a node is drained before its kubelet changes minor",
            Self::KubeadmToControlPlane => {
                "kubeadm manages a control plane of its own minor or the one before"
            }
            Self::KubeadmToKubelet => {
                "kubeadm manages kubelets of its own minor and up to 3 before (1 before kubeadm 1.29)"
            }
            Self::KubeadmOnNode => "kubeadm on a node is of the minor last used there, or the next",
        }
    }

    /// Where upstream says so.
    #[must_use]
    pub const fn source(self) -> &'static str {
        match self {
            Self::ApiServersTogether => {
                "https://kubernetes.io/releases/version-skew-policy/#kube-apiserver"
            }
            Self::KubeletToApiServer => {
                "https://kubernetes.io/releases/version-skew-policy/#kubelet"
            }
            Self::KubeProxyToApiServer | Self::KubeProxyToKubelet => {
                "https://kubernetes.io/releases/version-skew-policy/#kube-proxy"
            }
            Self::ControllersToApiServer => {
                "https://kubernetes.io/releases/version-skew-policy/#kube-controller-manager-kube-scheduler-and-cloud-controller-manager"
            }
            Self::KubectlToApiServer => {
                "https://kubernetes.io/releases/version-skew-policy/#kubectl"
            }
            Self::ApiServerSkipsNothing => {
                "https://kubernetes.io/releases/version-skew-policy/#kube-apiserver-1"
            }
            Self::DrainedBeforeMinor => {
                "https://kubernetes.io/releases/version-skew-policy/#kubelet-1"
            }
            Self::KubeadmToControlPlane | Self::KubeadmToKubelet | Self::KubeadmOnNode => {
                "https://kubernetes.io/docs/setup/production-environment/tools/kubeadm/create-cluster-kubeadm/#version-skew-policy"
            }
        }
    }
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

const fn minor(minor: u64) -> Minor {
    Minor { major: 1, minor }
}

/// How many minors an older kubelet or kube-proxy may lag.
#[must_use]
pub fn node_lag(component: &Version) -> i64 {
    // 3 since both sides allow it (KEP-3935): components from 1.25 on.
    if component.minor() < minor(25) { 2 } else { 3 }
}

/// How many minors a kubelet may lag behind the kubeadm that manages it (kubernetes/kubernetes#120825).
#[must_use]
pub fn kubeadm_lag(kubeadm: &Version) -> i64 {
    if kubeadm.minor() < minor(29) { 1 } else { 3 }
}

/// `version` is at most `ahead` minors newer and `behind` minors older than `other`.
fn within(version: &Version, other: &Version, ahead: i64, behind: i64) -> bool {
    (-behind..=ahead).contains(&version.minor().ahead_of(other.minor()))
}

/// Rule 1, for the oldest and the newest API server.
#[must_use]
pub fn api_servers_together(oldest: &Version, newest: &Version) -> bool {
    within(newest, oldest, 1, 0)
}

/// Rules 2 and 3, for one API server.
#[must_use]
pub fn node_component(component: &Version, api_server: &Version) -> bool {
    within(component, api_server, 0, node_lag(component))
}

/// Rule 3, on one node.
#[must_use]
pub fn kube_proxy_beside_kubelet(kube_proxy: &Version, kubelet: &Version) -> bool {
    let lag = node_lag(kube_proxy);
    within(kube_proxy, kubelet, lag, lag)
}

/// Rule 4, against the API server in the component's kubeconfig.
#[must_use]
pub fn controller(component: &Version, api_server: &Version) -> bool {
    within(component, api_server, 0, 1)
}

/// Rule 5, for one API server.
#[must_use]
pub fn kubectl(kubectl: &Version, api_server: &Version) -> bool {
    within(kubectl, api_server, 1, 1)
}

/// Rule 7: an API server's step from one release to another.
#[must_use]
pub fn api_server_step(from: &Version, to: &Version) -> bool {
    within(to, from, 1, 0)
}

/// Rule 7: whether a node must be empty for this kubelet step.
#[must_use]
pub fn needs_drain(from: &Version, to: &Version) -> bool {
    from.minor() != to.minor()
}

/// Rule 8, for a control plane.
#[must_use]
pub fn kubeadm_for_control_plane(kubeadm: &Version, control_plane: &Version) -> bool {
    within(control_plane, kubeadm, 0, 1)
}

/// Rule 8, for a kubelet.
#[must_use]
pub fn kubeadm_for_kubelet(kubeadm: &Version, kubelet: &Version) -> bool {
    within(kubelet, kubeadm, 0, kubeadm_lag(kubeadm))
}

/// Rule 9: the kubeadm to be used on a node, after the one last used there.
#[must_use]
pub fn kubeadm_on_node(next: &Version, last: &Version) -> bool {
    within(next, last, 1, 0)
}

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
    for (node, instance) in &now.instances {
        for (component, version) in [
            (Component::ControllerManager, &instance.controller_manager),
            (Component::Scheduler, &instance.scheduler),
        ] {
            if !controller(version, &instance.api_server) {
                found.push(Violation {
                    rule: Rule::ControllersToApiServer,
                    party: party(component, node, version),
                    against: party(Component::ApiServer, node, &instance.api_server),
                });
            }
        }
    }
    for node in now.nodes.keys() {
        found.extend(violations_on(now, servers, node));
    }
    found
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn v(text: &str) -> Version {
        text.parse().unwrap()
    }

    fn release(minor: u64) -> Version {
        Version::new(1, minor, 3)
    }

    /// (component, api server) pairs by minor that a rule allows, among `minors`.
    fn allowed(
        minors: std::ops::RangeInclusive<u64>,
        other: u64,
        rule: fn(&Version, &Version) -> bool,
    ) -> Vec<u64> {
        minors
            .filter(|minor| rule(&release(*minor), &release(other)))
            .collect()
    }

    #[test]
    fn rule_1_api_servers_are_within_one_minor() {
        assert!(api_servers_together(&v("1.34.4"), &v("1.34.9")));
        assert!(api_servers_together(&v("1.34.4"), &v("1.35.0")));
        assert!(!api_servers_together(&v("1.34.4"), &v("1.36.0")));
    }

    #[test]
    fn rules_2_and_3_node_components_are_not_newer_and_at_most_three_older() {
        assert_eq!(allowed(28..=37, 35, node_component), [32, 33, 34, 35]);
        assert_eq!(allowed(20..=30, 27, node_component), [25, 26, 27]);
        assert_eq!(allowed(20..=30, 28, node_component), [25, 26, 27, 28]);
        assert_eq!(allowed(20..=30, 25, node_component), [23, 24, 25]);
        // A newer patch of the same minor is no newer minor.
        assert!(node_component(&v("1.35.9"), &v("1.35.0")));
    }

    #[test]
    fn rule_3_kube_proxy_is_within_three_of_its_kubelet() {
        assert_eq!(
            allowed(28..=40, 34, kube_proxy_beside_kubelet),
            [31, 32, 33, 34, 35, 36, 37]
        );
        assert_eq!(
            allowed(20..=30, 25, kube_proxy_beside_kubelet),
            [23, 24, 25, 26, 27, 28]
        );
    }

    #[test]
    fn rule_4_controllers_are_not_newer_and_at_most_one_older() {
        assert_eq!(allowed(30..=37, 35, controller), [34, 35]);
    }

    #[test]
    fn rule_5_kubectl_is_within_one() {
        assert_eq!(allowed(30..=39, 35, kubectl), [34, 35, 36]);
    }

    #[test]
    fn rule_7_api_servers_skip_nothing_and_kubelets_change_minor_empty() {
        assert_eq!(
            allowed(30..=39, 35, |to, from| api_server_step(from, to)),
            [35, 36]
        );
        assert!(needs_drain(&v("1.34.4"), &v("1.35.0")));
        assert!(!needs_drain(&v("1.35.4"), &v("1.35.5")));
    }

    #[test]
    fn rule_8_kubeadm_manages_its_own_minor_and_some_before() {
        assert_eq!(
            allowed(30..=39, 35, |control_plane, kubeadm| {
                kubeadm_for_control_plane(kubeadm, control_plane)
            }),
            [34, 35]
        );
        assert_eq!(
            allowed(30..=39, 35, |kubelet, kubeadm| kubeadm_for_kubelet(
                kubeadm, kubelet
            )),
            [32, 33, 34, 35]
        );
        assert_eq!(
            allowed(20..=30, 28, |kubelet, kubeadm| kubeadm_for_kubelet(
                kubeadm, kubelet
            )),
            [27, 28]
        );
        assert_eq!(
            allowed(20..=30, 29, |kubelet, kubeadm| kubeadm_for_kubelet(
                kubeadm, kubelet
            )),
            [26, 27, 28, 29]
        );
    }

    #[test]
    fn rule_9_kubeadm_moves_by_one_on_a_node() {
        assert_eq!(allowed(30..=39, 35, kubeadm_on_node), [35, 36]);
    }

    fn snapshot(api_servers: &[&str], nodes: &[(&str, &str)]) -> Snapshot {
        let on = |kubelet: &str| OnNode {
            kubelet: v(kubelet),
            kubelet_is_local: false,
            kube_proxy: None,
            kubectl: None,
            kubeadm: None,
        };
        Snapshot {
            instances: api_servers
                .iter()
                .enumerate()
                .map(|(index, version)| {
                    let instance = Instance {
                        api_server: v(version),
                        controller_manager: v(version),
                        scheduler: v(version),
                    };
                    (NodeName::new(format!("cp{}", index + 1)), instance)
                })
                .collect(),
            nodes: nodes
                .iter()
                .map(|(name, kubelet)| (NodeName::new(*name), on(kubelet)))
                .collect(),
        }
    }

    fn texts(snapshot: &Snapshot) -> Vec<String> {
        violations(snapshot)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn rule_6_a_kubelet_is_judged_against_every_api_server() {
        let mixed = snapshot(
            &["1.35.4", "1.34.4"],
            &[("w1", "1.35.4"), ("w2", "1.34.4"), ("w3", "1.31.0")],
        );
        assert_eq!(
            texts(&mixed),
            [
                "kubelet 1.35.4 on w1 is one minor newer than kube-apiserver 1.34.4 on cp2",
                "kubelet 1.31.0 on w3 is 4 minors older than kube-apiserver 1.35.4 on cp1",
            ]
        );
    }

    #[test]
    fn rule_6_kube_proxy_and_kubectl_are_judged_against_every_api_server() {
        let at = |kube_proxy: &str, kubectl: &str| {
            let mut mixed = snapshot(&["1.35.4", "1.34.4"], &[("w1", "1.34.4")]);
            for on in mixed.nodes.values_mut() {
                on.kube_proxy = Some(v(kube_proxy));
                on.kubectl = Some(v(kubectl));
            }
            texts(&mixed)
        };
        // the boundaries: not newer than the older server, within one of both
        assert!(at("1.34.9", "1.35.0").is_empty());
        assert!(at("1.32.0", "1.34.0").is_empty());
        assert_eq!(
            at("1.35.4", "1.36.0"),
            [
                "kube-proxy 1.35.4 on w1 is one minor newer than kube-apiserver 1.34.4 on cp2",
                "kubectl 1.36.0 on w1 is 2 minors newer than kube-apiserver 1.34.4 on cp2",
            ]
        );
        assert_eq!(
            at("1.31.0", "1.33.0"),
            [
                "kube-proxy 1.31.0 on w1 is 4 minors older than kube-apiserver 1.35.4 on cp1",
                "kubectl 1.33.0 on w1 is 2 minors older than kube-apiserver 1.35.4 on cp1",
            ]
        );
    }

    #[test]
    fn rule_7_a_kubelet_at_the_limit_goes_before_its_control_plane() {
        assert!(violations(&snapshot(&["1.35.4"], &[("w1", "1.32.9")])).is_empty());
        assert_eq!(
            texts(&snapshot(&["1.36.0"], &[("w1", "1.32.9")])),
            ["kubelet 1.32.9 on w1 is 4 minors older than kube-apiserver 1.36.0 on cp1"]
        );
    }

    #[test]
    fn rules_7_to_9_name_what_moves() {
        let node = NodeName::new("w1");
        let told = |from: &str, to: &str| {
            let (from, to) = (v(from), v(to));
            let step = Move {
                node: &node,
                from: &from,
                to: &to,
            };
            [
                step.of_api_server(),
                step.of_kubelet(false),
                step.of_kubelet(true),
                step.of_kubeadm(),
            ]
            .map(|found| found.is_some())
        };
        assert_eq!(told("1.35.4", "1.35.5"), [false; 4]);
        assert_eq!(told("1.34.4", "1.35.0"), [false, true, false, false]);
        assert_eq!(told("1.33.4", "1.35.0"), [true, true, false, true]);
        assert_eq!(told("1.35.0", "1.34.4"), [true, true, false, true]);

        let now = snapshot(&["1.34.4", "1.33.0"], &[("w1", "1.31.9"), ("w2", "1.32.0")]);
        let managed: Vec<String> = kubeadm_manages(&v("1.35.4"), &now)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            managed,
            [
                "kubeadm 1.35.4 is 2 minors newer than kube-apiserver 1.33.0 on cp2",
                "kubeadm 1.35.4 is 4 minors newer than kubelet 1.31.9 on w1",
            ]
        );
    }

    #[test]
    fn a_local_kubelet_is_judged_against_its_own_api_server() {
        let mut mixed = snapshot(
            &["1.35.4", "1.34.4"],
            &[("cp1", "1.35.4"), ("cp2", "1.34.4")],
        );
        assert_eq!(violations(&mixed).len(), 1);
        for on in mixed.nodes.values_mut() {
            on.kubelet_is_local = true;
        }
        assert!(violations(&mixed).is_empty());
    }

    #[test]
    fn controllers_are_judged_against_their_own_api_server() {
        let mut mixed = snapshot(&["1.35.4", "1.34.4"], &[]);
        assert!(violations(&mixed).is_empty());
        mixed
            .instances
            .get_mut(&NodeName::new("cp2"))
            .unwrap()
            .scheduler = v("1.35.4");
        assert_eq!(
            texts(&mixed),
            ["kube-scheduler 1.35.4 on cp2 is one minor newer than kube-apiserver 1.34.4 on cp2"]
        );
    }

    #[test]
    fn api_servers_two_minors_apart_are_found() {
        assert_eq!(
            texts(&snapshot(&["1.36.0", "1.35.0", "1.34.0"], &[])),
            ["kube-apiserver 1.36.0 on cp1 is 2 minors newer than kube-apiserver 1.34.0 on cp3"]
        );
    }
}
