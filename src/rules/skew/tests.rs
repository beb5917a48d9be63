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
