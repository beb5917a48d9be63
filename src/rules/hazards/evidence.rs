//! What detectors look at: plain data, borrowed from whoever observed it.
//!
//! What could not be observed is an error with its reason, so that a detector cannot mistake it for "not there".

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::cluster::model::admission::Webhook;
use crate::cluster::model::api_use::ApiUse;
use crate::cluster::model::storage::Storage;
use crate::cluster::model::{HostName, NodeName, Role};

/// Something observed, or why it could not be.
pub type Seen<'a, T> = Result<T, &'a str>;

/// A cluster before one hop.
#[derive(Debug, Clone)]
pub struct Evidence<'a> {
    /// When it was observed.
    pub at: Timestamp,
    /// Members of stacked etcd; none where etcd is external.
    pub etcd: Option<Etcd<'a>>,
    /// The endpoints of external etcd, each with the release that answers there; none where etcd is not external.
    pub external_etcd: Option<Seen<'a, Vec<External<'a>>>>,
    /// The hosts that the hop touches.
    pub hosts: Vec<Host<'a>>,
    /// What kubeadm wrote down.
    pub config: Config<'a>,
    /// What the cluster's kubelet configuration (`kube-system/kubelet-config`) says.
    pub kubelet: Seen<'a, KubeletConfig<'a>>,
    /// Admission webhooks.
    pub webhooks: Seen<'a, Vec<Hook<'a>>>,
    /// Volumes of in-tree plugins, and CSI drivers.
    pub storage: Seen<'a, &'a Storage>,
    /// Plugins that the Corefile names.
    pub corefile_plugins: Seen<'a, &'a BTreeSet<String>>,
    /// The image of the Deployment `kube-system/coredns`; none where there is none.
    pub dns_image: Option<&'a str>,
    /// A DaemonSet `kube-system/kube-proxy` is there.
    pub kube_proxy: bool,
    /// What the declaration tells kubeadm.
    pub told: Told<'a>,
}

/// An admission webhook and who answers it.
#[derive(Debug, Clone)]
pub struct Hook<'a> {
    /// The webhook.
    pub webhook: &'a Webhook,
    /// The ready pods behind its Service.
    pub ready: Vec<Behind<'a>>,
}

/// A ready pod behind a Service.
#[derive(Debug, Clone)]
pub struct Behind<'a> {
    /// Its node.
    pub node: &'a NodeName,
    /// No drain of the hop evicts it.
    pub stays: bool,
    /// A budget lets no drain take the last pod of its kind.
    pub kept: bool,
}

/// Stacked etcd.
#[derive(Debug, Clone)]
pub struct Etcd<'a> {
    /// Its members.
    pub members: Vec<Member<'a>>,
    /// Alarms raised, such as `NOSPACE`.
    pub alarms: &'a [String],
}

/// An endpoint of external etcd, and the release that answers there.
pub type External<'a> = (&'a str, Seen<'a, &'a str>);

/// A member of etcd.
#[derive(Debug, Clone)]
pub struct Member<'a> {
    /// Its name; kubeadm uses the node's.
    pub name: &'a str,
    /// Its release, if it answered.
    pub release: Option<&'a str>,
    /// It does not vote.
    pub learner: bool,
}

/// A host.
#[derive(Debug, Clone)]
pub struct Host<'a> {
    /// Its name in the inventory.
    pub name: &'a HostName,
    /// The name that its kernel has.
    pub hostname: &'a str,
    /// Its node.
    pub node: &'a NodeName,
    /// What it is for.
    pub role: Role,
    /// Its container runtime as the node reports it, such as `containerd://1.7.2`.
    pub runtime: &'a str,
    /// It is on cgroup v1.
    pub cgroup_v1: bool,
    /// The kubelet's flags from kubeadm's flags file.
    pub kubelet_flags: Seen<'a, &'a [String]>,
    /// All flags of the kubelet that runs.
    pub kubelet_command: Seen<'a, &'a [String]>,
    /// SHA-256 of the kubelet's configuration.
    pub kubelet_config: Seen<'a, &'a str>,
    /// kubeadm's `instance-config.yaml` is there.
    pub instance_config: Seen<'a, bool>,
    /// kubeadm's patches that are declared; empty where none are.
    pub patches: Seen<'a, Vec<Patch<'a>>>,
    /// Only on control planes.
    pub control_plane: Option<ControlPlane<'a>>,
}

/// One of kubeadm's patches.
#[derive(Debug, Clone)]
pub struct Patch<'a> {
    /// Its file's name.
    pub file: &'a str,
    /// What it patches, such as `kube-apiserver` or `kubeletconfiguration`.
    pub target: &'a str,
    /// Flags in it.
    pub flags: &'a [String],
    /// Feature gates in it.
    pub feature_gates: BTreeMap<&'a str, bool>,
}

/// What only a control plane has.
#[derive(Debug, Clone)]
pub struct ControlPlane<'a> {
    /// Flags of each static pod, by component (`kube-apiserver`).
    pub static_pods: BTreeMap<&'a str, &'a [String]>,
    /// Files beside kubeadm's manifests.
    pub stray_files: &'a [String],
    /// When certificates end, by kubeadm's name of them.
    pub certificates: &'a BTreeMap<String, Timestamp>,
    /// What deprecated APIs its API server was asked for.
    pub api_use: Seen<'a, &'a ApiUse>,
    /// How its manifests differ from those that kubeadm writes for the same release, by file name.
    pub hand_edits: Seen<'a, &'a BTreeMap<String, Vec<String>>>,
}

/// `ClusterConfiguration`.
#[derive(Debug, Clone, Default)]
pub struct Config<'a> {
    /// `extraArgs` as flags, by component; none when the facts do not have them.
    pub extra_args: Option<&'a BTreeMap<String, Vec<String>>>,
    /// `featureGates`: kubeadm's own.
    pub feature_gates: BTreeMap<&'a str, bool>,
    /// `etcd.local.imageRepository` and `imageTag`, where set.
    pub etcd_image: Option<&'a str>,
    /// `dns.imageRepository` and `imageTag`, where set.
    pub dns_image: Option<&'a str>,
    /// `proxy.disabled`.
    pub proxy_disabled: bool,
}

/// `KubeletConfiguration`.
#[derive(Debug, Clone, Default)]
pub struct KubeletConfig<'a> {
    /// `failCgroupV1`, where set.
    pub fail_cgroup_v1: Option<bool>,
    /// `featureGates`.
    pub feature_gates: BTreeMap<&'a str, bool>,
}

/// What the declaration tells kubeadm.
#[derive(Debug, Clone, Default)]
pub struct Told<'a> {
    /// Preflight checks whose failure is ignored.
    pub ignored_checks: &'a [String],
    /// etcd is upgraded.
    pub upgrades_etcd: bool,
    /// kube-proxy is rolled.
    pub rolls_kube_proxy: bool,
    /// An earlier hop of the same plan comes before: it writes the manifests anew, and takes away what its release removes.
    pub later_hop: bool,
    /// So many workers are out of service at once, at most.
    pub nodes_at_once: usize,
}

impl Told<'_> {
    /// Whether kubeadm ignores the failure of a check.
    #[must_use]
    pub fn ignores(&self, check: &str) -> bool {
        self.ignored_checks
            .iter()
            .any(|ignored| ignored.eq_ignore_ascii_case(check))
    }
}
