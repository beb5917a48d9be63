//! What a machine does to the cluster: the one way from [`Machine`](super::machine) to the API's objects.
//!
//! A machine knows nothing of nodes and pods, and the API nothing of packages and files; what happens on the one and is
//! seen in the other is one of these.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::rules::version::Version;

/// Something that happened on a machine and that the cluster sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// The kubelet stopped. Containers go on; the node is taken for not ready when its lease has aged.
    KubeletStopped,
    /// The kubelet runs, at this release, and says so.
    KubeletStarted {
        /// Its release.
        version: Version,
        /// After this long it reports the node as ready.
        ready_after: Duration,
    },
    /// The network plugin does not answer the kubelet: the node is not ready, and what runs there goes on.
    NetworkDown,
    /// The network plugin answers the kubelet.
    NetworkUp,
    /// All containers of the machine ended at once: its power is gone, or it reboots. Includes that of the kubelet.
    ContainersStopped,
    /// A static pod's containers ended.
    StaticPodStopped {
        /// Such as `kube-apiserver`.
        component: String,
    },
    /// The kubelet runs a static pod, perhaps from another manifest than before, and mirrors it.
    StaticPodStarted {
        /// Such as `kube-apiserver`.
        component: String,
        /// Its image.
        image: String,
        /// After this long its mirror pod is ready.
        ready_after: Duration,
    },
    /// The machine's API server stopped to answer.
    ApiServerDown,
    /// The machine's API server answers.
    ApiServerUp {
        /// Its release.
        version: Version,
    },
    /// The machine's member of etcd stopped to answer. Without a majority of members, no API server answers.
    EtcdDown,
    /// The machine's member of etcd answers.
    EtcdUp,
    /// The machine's member gave a snapshot of what etcd holds.
    EtcdSaved {
        /// The snapshot's SHA-256.
        sha256: String,
    },
    /// The machine's member has what a snapshot held.
    EtcdRestored {
        /// The snapshot's SHA-256.
        sha256: String,
    },
    /// kubeadm wrote `kube-system/kubeadm-config` for this release.
    KubeadmConfigWritten {
        /// `kubernetesVersion`.
        version: Version,
    },
    /// kubeadm wrote `kube-system/kubelet-config`.
    KubeletConfigWritten {
        /// SHA-256 of its text.
        sha256: String,
    },
    /// kubeadm applied an addon; its pods roll.
    AddonApplied {
        /// `DaemonSet` or `Deployment`.
        kind: String,
        /// In `kube-system`.
        name: String,
        /// Its images by container.
        images: BTreeMap<String, String>,
    },
    /// Something happened that must never happen.
    Violation(String),
}
