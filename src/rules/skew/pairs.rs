//! Each rule as a pure function over two versions. Only minors are compared, as the policy does.

use crate::rules::version::{Minor, Version};

/// How many minors a kubelet may skip at once: as many as it may lag behind (rule 2). KEP-3935 describes this flow.
pub const WORKER_JUMP: i64 = 3;

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

/// Rule 7: how far a kubelet may move at once. `may_skip`: it is a worker's, and the declaration lets workers skip minors.
#[must_use]
pub fn kubelet_step(from: &Version, to: &Version, may_skip: bool) -> bool {
    within(to, from, if may_skip { WORKER_JUMP } else { 1 }, 0)
}
