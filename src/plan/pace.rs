//! How long each kind of step may take, how long it should take, and how often it is tried again.
//!
//! Expected durations were measured on clusters of 3 control planes and 2 workers, 1.34 to 1.35 (2 cores for all nodes);
//! they order nothing and limit nothing, they tell the reader what to expect.

/// A step's times, in seconds, and its retries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Until it has failed.
    pub timeout_s: u64,
    /// How long it should take.
    pub expected_s: u64,
    /// Tries after a failure.
    pub retries: u32,
}

/// Looking only: some queries over SSH. A second try for a lost connection.
pub const LOOK: Pace = Pace {
    timeout_s: 120,
    expected_s: 1,
    retries: 1,
};
/// Beyond a soak's own time, for a look at its nodes at the end, while API servers may be restarting.
pub const SOAK_LOOK_S: u64 = 600;
/// Somebody's word: waited for as long as somebody waits, but not for ever. How long it takes nobody can tell.
pub const APPROVAL: Pace = Pace {
    timeout_s: 7 * 24 * 3600,
    expected_s: 0,
    retries: 0,
};
/// A command that nobody here knows, within the declaration's own timeout: assumed, not measured.
pub const HOOK_EXPECTED_S: u64 = 10;
/// One during which its host may reboot, physical machines included: assumed, not measured.
pub const HOOK_WITH_REBOOT_EXPECTED_S: u64 = 300;
/// Nothing is done.
pub const BARRIER: Pace = Pace {
    timeout_s: 10,
    expected_s: 0,
    retries: 0,
};
/// A snapshot of up to 8 GiB (etcd's advised limit), checked, copied over a slow line. Measured: 2 s for a small one.
pub const SNAPSHOT: Pace = Pace {
    timeout_s: 1800,
    expected_s: 5,
    retries: 1,
};
/// Marks in the package database; it may be locked by the system's own updates for a while.
pub const HOLD: Pace = Pace {
    timeout_s: 300,
    expected_s: 1,
    retries: 2,
};
/// A file, a key and one repository's lists.
pub const SWITCH_REPOSITORY: Pace = Pace {
    timeout_s: 300,
    expected_s: 3,
    retries: 2,
};
/// Some 60 MB from a repository.
pub const PREFETCH: Pace = Pace {
    timeout_s: 900,
    expected_s: 5,
    retries: 2,
};
/// From the package cache. Measured: 7 s.
pub const INSTALL_KUBEADM: Pace = Pace {
    timeout_s: 600,
    expected_s: 7,
    retries: 1,
};
/// Some 250 MB from a registry.
pub const PULL_IMAGES: Pace = Pace {
    timeout_s: 1200,
    expected_s: 20,
    retries: 2,
};
/// kubeadm waits up to 5 minutes for each of four static pods and 150 s for etcd
/// (kubernetes/kubernetes `cmd/kubeadm/app/constants/constants.go`). Running it again after a failure is what upstream
/// advises. Measured: 165 s.
pub const KUBEADM_APPLY: Pace = Pace {
    timeout_s: 1800,
    expected_s: 165,
    retries: 1,
};
/// As [`KUBEADM_APPLY`]. Measured: 170 s.
pub const KUBEADM_NODE: Pace = Pace {
    timeout_s: 1800,
    expected_s: 170,
    retries: 1,
};
/// As [`KUBEADM_NODE`], where the static pods are upgraded already: their manifests are compared and left as they are.
pub const KUBEADM_AGAIN: Pace = Pace {
    timeout_s: 1800,
    expected_s: 20,
    retries: 1,
};
/// Only the kubelet's configuration is written. Measured: 0.4 s.
pub const KUBEADM_WORKER: Pace = Pace {
    timeout_s: 300,
    expected_s: 1,
    retries: 1,
};
/// An instance that has restarted answers within a minute; etcd's members may elect meanwhile.
pub const AWAIT_CONTROL_PLANE: Pace = Pace {
    timeout_s: 600,
    expected_s: 5,
    retries: 0,
};
/// kube-proxy's DaemonSet rolls node by node: kubeadm leaves `maxUnavailable` at its default of one
/// (kubernetes/kubernetes `cmd/kubeadm/app/phases/addons/proxy/manifests.go`, `pkg/apis/apps/v1/defaults.go`). Measured: 4 s each.
#[must_use]
pub fn await_addons(nodes: usize) -> Pace {
    let nodes = nodes as u64;
    Pace {
        timeout_s: (nodes * 30).max(1800),
        expected_s: (nodes * 4).max(20),
        retries: 0,
    }
}
/// One change at the API, while its servers may still be restarting.
pub const CORDON: Pace = Pace {
    timeout_s: 120,
    expected_s: 1,
    retries: 3,
};
/// One change at the API for each of many nodes.
pub const TAINT: Pace = Pace {
    timeout_s: 600,
    expected_s: 1,
    retries: 3,
};
/// The timeout is the declaration's. A drain waits within its own time; a second try would only double it.
pub const DRAIN_EXPECTED_S: u64 = 20;
/// From the package cache, and a restart of the kubelet. Measured: 11 s.
pub const INSTALL_KUBELET: Pace = Pace {
    timeout_s: 900,
    expected_s: 11,
    retries: 1,
};
/// The kubelet reports within seconds of its start; kubeadm itself allows it 4 minutes.
pub const AWAIT_NODE: Pace = Pace {
    timeout_s: 600,
    expected_s: 5,
    retries: 0,
};
/// The static pods restart and all is well again without a break for `rules::static_pods::SETTLED_S`. Measured: 43 to 47 s.
pub const AWAIT_STATIC_PODS: Pace = Pace {
    timeout_s: 600,
    expected_s: 45,
    retries: 0,
};
/// Everything is looked at once more.
pub const VERIFY: Pace = Pace {
    timeout_s: 600,
    expected_s: 5,
    retries: 1,
};
