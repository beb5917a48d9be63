//! Every rule at its limits.
#![allow(clippy::unwrap_used)]

use super::pairs::*;
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
        ..Snapshot::default()
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

#[test]
fn a_controller_that_may_meet_any_api_server_is_judged_against_all() {
    let mut mixed = snapshot(&["1.35.4", "1.34.4"], &[]);
    mixed
        .roaming
        .insert((NodeName::new("cp1"), Component::ControllerManager));
    assert_eq!(
        texts(&mixed),
        [
            "kube-controller-manager 1.35.4 on cp1 is one minor newer than kube-apiserver 1.34.4 on cp2"
        ]
    );
    // One that is old enough for both is fine.
    let old = mixed.instances.get_mut(&NodeName::new("cp1")).unwrap();
    old.controller_manager = v("1.34.4");
    assert!(texts(&mixed).is_empty());
}

#[test]
fn a_cloud_controller_manager_is_judged_against_all() {
    let told = |release: &str| {
        let mut mixed = snapshot(&["1.35.4", "1.34.4"], &[]);
        mixed
            .cloud_controllers
            .insert(NodeName::new("cp2"), v(release));
        texts(&mixed)
    };
    assert!(told("1.34.0").is_empty());
    assert_eq!(
        told("1.35.0"),
        [
            "cloud-controller-manager 1.35.0 on cp2 is one minor newer than kube-apiserver 1.34.4 on cp2"
        ]
    );
    assert_eq!(
        told("1.33.0"),
        [
            "cloud-controller-manager 1.33.0 on cp2 is 2 minors older than kube-apiserver 1.35.4 on cp1"
        ]
    );
}

/// Every rule, row by row: its id, the rule, the component, what it is held against, and whether they may be together. For a
/// move the two are from and to.
const ROWS: [(&str, Rule, &str, &str, bool); 52] = [
    ("S1.1", Rule::ApiServersTogether, "1.35.4", "1.35.9", true),
    ("S1.2", Rule::ApiServersTogether, "1.34.4", "1.35.0", true),
    ("S1.3", Rule::ApiServersTogether, "1.34.4", "1.36.0", false),
    ("S2.1", Rule::KubeletToApiServer, "1.35.4", "1.35.0", true),
    ("S2.2", Rule::KubeletToApiServer, "1.32.0", "1.35.9", true),
    ("S2.3", Rule::KubeletToApiServer, "1.31.9", "1.35.0", false),
    ("S2.4", Rule::KubeletToApiServer, "1.36.0", "1.35.9", false),
    ("S2.5", Rule::KubeletToApiServer, "1.24.0", "1.26.0", true),
    ("S2.6", Rule::KubeletToApiServer, "1.24.0", "1.27.0", false),
    ("S2.7", Rule::KubeletToApiServer, "1.25.0", "1.28.0", true),
    ("S3.1", Rule::KubeProxyToApiServer, "1.35.4", "1.35.0", true),
    ("S3.2", Rule::KubeProxyToApiServer, "1.32.0", "1.35.9", true),
    (
        "S3.3",
        Rule::KubeProxyToApiServer,
        "1.31.9",
        "1.35.0",
        false,
    ),
    (
        "S3.4",
        Rule::KubeProxyToApiServer,
        "1.36.0",
        "1.35.9",
        false,
    ),
    (
        "S3.5",
        Rule::KubeProxyToApiServer,
        "1.24.0",
        "1.27.0",
        false,
    ),
    ("S3.6", Rule::KubeProxyToKubelet, "1.35.4", "1.32.0", true),
    ("S3.7", Rule::KubeProxyToKubelet, "1.35.4", "1.31.0", false),
    ("S3.8", Rule::KubeProxyToKubelet, "1.32.0", "1.35.4", true),
    ("S3.9", Rule::KubeProxyToKubelet, "1.31.0", "1.35.4", false),
    ("S3.10", Rule::KubeProxyToKubelet, "1.24.0", "1.26.0", true),
    ("S3.11", Rule::KubeProxyToKubelet, "1.24.0", "1.27.0", false),
    (
        "S4.1",
        Rule::ControllersToApiServer,
        "1.35.9",
        "1.35.0",
        true,
    ),
    (
        "S4.2",
        Rule::ControllersToApiServer,
        "1.34.0",
        "1.35.9",
        true,
    ),
    (
        "S4.3",
        Rule::ControllersToApiServer,
        "1.33.9",
        "1.35.0",
        false,
    ),
    (
        "S4.4",
        Rule::ControllersToApiServer,
        "1.36.0",
        "1.35.9",
        false,
    ),
    ("S5.1", Rule::KubectlToApiServer, "1.34.0", "1.35.9", true),
    ("S5.2", Rule::KubectlToApiServer, "1.36.9", "1.35.0", true),
    ("S5.3", Rule::KubectlToApiServer, "1.33.9", "1.35.0", false),
    ("S5.4", Rule::KubectlToApiServer, "1.37.0", "1.35.9", false),
    (
        "S7.1",
        Rule::ApiServerSkipsNothing,
        "1.35.0",
        "1.35.4",
        true,
    ),
    (
        "S7.2",
        Rule::ApiServerSkipsNothing,
        "1.35.9",
        "1.36.0",
        true,
    ),
    (
        "S7.3",
        Rule::ApiServerSkipsNothing,
        "1.34.9",
        "1.36.0",
        false,
    ),
    (
        "S7.4",
        Rule::ApiServerSkipsNothing,
        "1.35.0",
        "1.34.9",
        false,
    ),
    ("S7.5", Rule::DrainedBeforeMinor, "1.35.0", "1.35.4", true),
    ("S7.6", Rule::DrainedBeforeMinor, "1.34.9", "1.35.0", false),
    ("S7.7", Rule::KubeletSkipsNothing, "1.35.0", "1.36.0", true),
    ("S7.8", Rule::KubeletSkipsNothing, "1.34.0", "1.36.0", false),
    ("S7.9", Rule::KubeletSkipsNothing, "1.36.0", "1.35.9", false),
    (
        "S8.1",
        Rule::KubeadmToControlPlane,
        "1.35.4",
        "1.35.0",
        true,
    ),
    (
        "S8.2",
        Rule::KubeadmToControlPlane,
        "1.35.0",
        "1.34.9",
        true,
    ),
    (
        "S8.3",
        Rule::KubeadmToControlPlane,
        "1.35.0",
        "1.33.9",
        false,
    ),
    (
        "S8.4",
        Rule::KubeadmToControlPlane,
        "1.35.9",
        "1.36.0",
        false,
    ),
    ("S8.5", Rule::KubeadmToKubelet, "1.35.0", "1.32.0", true),
    ("S8.6", Rule::KubeadmToKubelet, "1.35.0", "1.31.9", false),
    ("S8.7", Rule::KubeadmToKubelet, "1.28.0", "1.27.0", true),
    ("S8.8", Rule::KubeadmToKubelet, "1.28.0", "1.26.9", false),
    ("S8.9", Rule::KubeadmToKubelet, "1.29.0", "1.26.0", true),
    ("S8.10", Rule::KubeadmToKubelet, "1.35.9", "1.36.0", false),
    ("S9.1", Rule::KubeadmOnNode, "1.35.0", "1.35.4", true),
    ("S9.2", Rule::KubeadmOnNode, "1.35.9", "1.36.0", true),
    ("S9.3", Rule::KubeadmOnNode, "1.34.9", "1.36.0", false),
    ("S9.4", Rule::KubeadmOnNode, "1.36.0", "1.35.9", false),
];

/// The rule's own function on a row.
fn holds(rule: Rule, one: &Version, other: &Version) -> bool {
    match rule {
        Rule::ApiServersTogether => api_servers_together(one, other),
        Rule::KubeletToApiServer | Rule::KubeProxyToApiServer => node_component(one, other),
        Rule::KubeProxyToKubelet => kube_proxy_beside_kubelet(one, other),
        Rule::ControllersToApiServer => controller(one, other),
        Rule::KubectlToApiServer => kubectl(one, other),
        Rule::ApiServerSkipsNothing => api_server_step(one, other),
        Rule::DrainedBeforeMinor => !needs_drain(one, other),
        Rule::KubeletSkipsNothing => kubelet_step(one, other, false),
        Rule::KubeadmToControlPlane => kubeadm_for_control_plane(one, other),
        Rule::KubeadmToKubelet => kubeadm_for_kubelet(one, other),
        Rule::KubeadmOnNode => kubeadm_on_node(other, one),
    }
}

#[test]
fn every_rule_has_rows_that_pass_and_rows_that_fail() {
    for (id, rule, one, other, may) in ROWS {
        assert_eq!(holds(rule, &v(one), &v(other)), may, "{id}");
        let number = id[1..].split('.').next().unwrap();
        assert_eq!(number, rule.number().to_string(), "{id}");
    }
    for rule in Rule::ALL {
        for may in [true, false] {
            assert!(
                ROWS.iter().any(|row| row.1 == rule && row.4 == may),
                "{rule:?} {may}"
            );
        }
    }
    // A worker's kubelet where the declaration lets it skip minors.
    assert!(kubelet_step(&v("1.33.0"), &v("1.36.9"), true));
    assert!(!kubelet_step(&v("1.32.9"), &v("1.36.0"), true));
}
