//! The facts: everything observed that planning needs, and nothing secret.
//!
//! Facts are written by `refit inspect` and read by the planner, which needs nothing else of the cluster. What could not
//! be observed is recorded as such with the error, because "unknown" must stop a plan and must never look like "fine".
//! Maps are sorted, so that two recordings diff well.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::durations::Durations;
use super::model::admission::Webhook;
use super::model::api_use::ApiUse;
use super::model::storage::Storage;
use super::model::{Budget, HostName, Node, Pod, Workload};
use crate::rules::skew::Component;
use crate::rules::static_pods;
use crate::rules::version::{Minor, Version};

/// The format this build writes and reads.
pub const FORMAT: &str = "refit.facts/v1";

/// Something observed, or why it could not be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Observed<T> {
    /// Seen.
    Known(T),
    /// Not seen; the text says why.
    Unknown(String),
}

impl<T> Observed<T> {
    /// The value, if it was seen.
    #[must_use]
    pub const fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unknown(_) => None,
        }
    }
}

impl<T, E: std::fmt::Display> From<Result<T, E>> for Observed<T> {
    fn from(result: Result<T, E>) -> Self {
        match result {
            Ok(value) => Self::Known(value),
            Err(error) => Self::Unknown(error.to_string()),
        }
    }
}

/// Everything observed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// [`FORMAT`].
    pub format: String,
    /// When observation began.
    pub observed_at: Timestamp,
    /// The inventory's name.
    pub inventory: String,
    /// What the API says.
    pub cluster: ClusterFacts,
    /// What the members of stacked etcd say.
    pub etcd: Observed<EtcdFacts>,
    /// What the endpoints of external etcd say; none where etcd is not external, and in facts that an earlier refit recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_etcd: Option<Observed<ExternalReleases>>,
    /// What each host of the inventory says.
    pub hosts: BTreeMap<HostName, Observed<HostFacts>>,
    /// How long steps took before, where runs of this cluster have ended in the state directory of whoever looked. Not
    /// observed, and no plan rests on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub durations: Option<Durations>,
}

/// What the API says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterFacts {
    /// `kube-system`'s UID: tells one cluster from another.
    pub uid: Observed<String>,
    /// The release of whichever API server answered.
    pub api_version: Observed<Version>,
    /// All nodes, by name.
    pub nodes: Observed<Vec<Node>>,
    /// All pods, by namespace and name.
    pub pods: Observed<Vec<Pod>>,
    /// All budgets, by namespace and name.
    pub budgets: Observed<Vec<Budget>>,
    /// Deployments, StatefulSets, DaemonSets, by kind, namespace and name.
    pub workloads: Observed<Vec<Workload>>,
    /// `kube-system/kubeadm-config`.
    pub kubeadm_config: Observed<KubeadmConfig>,
    /// `kube-system/kubelet-config`: SHA-256 of its text.
    pub kubelet_config: Observed<String>,
    /// What that says.
    #[serde(default = "not_asked")]
    pub kubelet_settings: Observed<KubeletSettings>,
    /// What stands around nodes and workloads.
    #[serde(default)]
    pub surroundings: Surroundings,
}

/// What stands around nodes and workloads and may break when they change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Surroundings {
    /// Admission webhooks, by kind, configuration and name.
    pub webhooks: Observed<Vec<Webhook>>,
    /// Volumes of in-tree plugins, and CSI drivers.
    pub storage: Observed<Storage>,
    /// Plugins that the Corefile in `kube-system/coredns` names.
    pub corefile_plugins: Observed<BTreeSet<String>>,
}

/// For facts that an earlier refit recorded.
impl Default for Surroundings {
    fn default() -> Self {
        Self {
            webhooks: not_asked(),
            storage: not_asked(),
            corefile_plugins: not_asked(),
        }
    }
}

/// For facts that an earlier refit recorded.
fn not_asked<T>() -> Observed<T> {
    Observed::Unknown(
        "the facts do not have it: run `refit inspect` again, with this build of refit".to_owned(),
    )
}

/// What the cluster's `KubeletConfiguration` says, as far as hazards need it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KubeletSettings {
    /// `failCgroupV1`, where set.
    pub fail_cgroup_v1: Option<bool>,
    /// `featureGates`.
    pub feature_gates: BTreeMap<String, bool>,
}

/// `kube-system/kubelet-config`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubeletConfig {
    /// SHA-256 of its text.
    pub sha256: String,
    /// What it says.
    pub settings: Observed<KubeletSettings>,
}

/// What kubeadm wrote down about the cluster (`ClusterConfiguration`), less anything secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KubeadmConfig {
    /// `apiVersion`, such as `kubeadm.k8s.io/v1beta4`.
    pub api_version: String,
    /// `kubernetesVersion`: what kubeadm last set up or upgraded to.
    pub kubernetes_version: Version,
    /// `imageRepository`.
    pub image_repository: String,
    /// `controlPlaneEndpoint`.
    pub control_plane_endpoint: Option<String>,
    /// `clusterName`.
    pub cluster_name: String,
    /// etcd is external (`etcd.external`): kubeadm never upgrades it.
    pub external_etcd: bool,
    /// What it says of that; none in facts that an earlier refit recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<ExternalEtcd>,
    /// `etcd.local.imageRepository` or `imageTag` is set: kubeadm may skip the etcd upgrade (kubernetes/kubeadm#3247).
    pub custom_etcd_image: Option<String>,
    /// `featureGates`.
    #[serde(default)]
    pub feature_gates: BTreeMap<String, bool>,
    /// `dns.imageRepository` or `imageTag`, where set.
    #[serde(default)]
    pub custom_dns_image: Option<String>,
    /// `proxy.disabled`.
    #[serde(default)]
    pub proxy_disabled: bool,
    /// `extraArgs` as flags, by static pod (`kube-apiserver`); none in facts that an earlier refit recorded.
    #[serde(default)]
    pub extra_args: Option<BTreeMap<String, Vec<String>>>,
}

/// `etcd.external` of kubeadm-config: where it is, and what a control plane shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExternalEtcd {
    /// URLs.
    pub endpoints: Vec<String>,
    /// Path of the authority's certificate; empty without TLS.
    pub ca_file: String,
    /// Path of the client's certificate; empty without one.
    pub cert_file: String,
    /// Path of the client's key; empty without one.
    pub key_file: String,
}

/// By endpoint, the release of the member that answers there.
pub type ExternalReleases = BTreeMap<String, Observed<String>>;

/// What the members of stacked etcd say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EtcdFacts {
    /// By name.
    pub members: Vec<EtcdMember>,
    /// Alarms raised, such as `NOSPACE`.
    pub alarms: Vec<String>,
}

/// A member of etcd.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EtcdMember {
    /// Its name; kubeadm uses the node's.
    pub name: String,
    /// Its id, in hexadecimal.
    pub id: String,
    /// A learner does not vote.
    pub learner: bool,
    /// Answers a health check.
    pub healthy: bool,
    /// Its release, if it answered.
    pub version: Option<String>,
    /// Size of its database in bytes, if it answered.
    pub db_size: Option<u64>,
}

/// What a host says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostFacts {
    /// Which machine this is.
    pub identity: Observed<Identity>,
    /// Whether we are root there, or may become it.
    pub root: Observed<()>,
    /// The package manager and what it knows.
    pub packages: Observed<PackageFacts>,
    /// What the repository of each minor on the way offers, and its key.
    pub offers: BTreeMap<Minor, Observed<Offer>>,
    /// `kubeadm version`.
    pub kubeadm: Observed<Version>,
    /// cgroup hierarchy.
    pub cgroup: Observed<CgroupMode>,
    /// Bytes free where kubeadm and etcd write, by directory.
    pub disk_free: Observed<BTreeMap<String, u64>>,
    /// Seconds that the host's clock is ahead of ours (negative: behind).
    pub clock_offset_s: Observed<i64>,
    /// The kubelet's flags from `/var/lib/kubelet/kubeadm-flags.env`, one by one.
    pub kubelet_flags: Observed<Vec<String>>,
    /// SHA-256 of `/var/lib/kubelet/config.yaml`.
    pub kubelet_config: Observed<String>,
    /// All flags of the kubelet that runs, one by one.
    #[serde(default = "not_asked")]
    pub kubelet_command: Observed<Vec<String>>,
    /// kubeadm's `/var/lib/kubelet/instance-config.yaml` is there.
    #[serde(default = "not_asked")]
    pub instance_config: Observed<bool>,
    /// kubeadm's patches there.
    #[serde(default = "not_asked")]
    pub patches: Observed<Patches>,
    /// The operation of refit that is under way there, if any.
    pub operation: Observed<Option<String>>,
    /// Only on control planes.
    pub control_plane: Option<ControlPlaneFacts>,
}

/// kubeadm's patches on a host, as the declaration names their directory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patches {
    /// The directory; none where the declaration names none.
    pub directory: Option<String>,
    /// Those that kubeadm applies, by file name.
    pub files: BTreeMap<String, PatchFile>,
}

/// One of kubeadm's patches, without secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PatchFile {
    /// SHA-256 of its text.
    pub sha256: String,
    /// What it patches, such as `kube-apiserver` or `kubeletconfiguration`.
    pub target: String,
    /// Flags in it.
    pub flags: Vec<String>,
    /// Feature gates in it.
    pub feature_gates: BTreeMap<String, bool>,
}

/// Which machine a host is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The kernel's host name.
    pub hostname: String,
    /// `/etc/machine-id`; equals the node's `machineID` (unless the node has a DMI-based one).
    pub machine_id: String,
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
    /// `PRETTY_NAME` of `/etc/os-release`.
    pub os: String,
}

/// Which packages a host has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageFacts {
    /// What installs packages.
    pub manager: PackageManager,
    /// Installed revisions of kubeadm, kubelet, kubectl.
    pub installed: BTreeMap<String, String>,
    /// Which of them are held.
    pub held: BTreeSet<String>,
    /// Files that configure a Kubernetes repository.
    pub repositories: Vec<RepositoryFile>,
    /// Revisions offered by what is configured, newest first, by package.
    pub offered: BTreeMap<String, Vec<String>>,
    /// The package database is locked or half-configured: says how.
    pub trouble: Option<String>,
}

/// What installs packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PackageManager {
    /// Debian and its kin.
    Apt,
    /// Fedora, RHEL 8 and later and their kin.
    Dnf,
    /// RHEL 7 and Amazon Linux 2.
    Yum,
}

impl PackageManager {
    /// `deb` or `rpm`: `{format}` in a repository's URL.
    #[must_use]
    pub const fn format(self) -> &'static str {
        match self {
            Self::Apt => "deb",
            Self::Dnf | Self::Yum => "rpm",
        }
    }
}

/// A file that configures a Kubernetes repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryFile {
    /// Its path.
    pub path: String,
    /// The repository's URL.
    pub url: String,
    /// It configures nothing else, so that it may be replaced as a whole.
    pub exclusive: bool,
    /// SHA-256 of its text.
    pub sha256: String,
}

/// What the repository of one minor offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// Its URL.
    pub url: String,
    /// Where its key was fetched; none when it is a file beside the declaration.
    pub key_url: Option<String>,
    /// SHA-256 of the key.
    pub key_sha256: String,
    /// Revisions, newest first, by package.
    pub revisions: BTreeMap<String, Vec<String>>,
}

/// cgroup hierarchy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CgroupMode {
    /// Legacy or hybrid.
    V1,
    /// Unified.
    V2,
}

/// What only a control plane has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlPlaneFacts {
    /// The release of the API server that runs here, asked directly.
    pub api_server: Observed<Version>,
    /// This API server's own address, such as `https://10.77.0.11:6443`.
    pub endpoint: Observed<String>,
    /// Files of `/etc/kubernetes/manifests`, by file name.
    pub manifests: Observed<BTreeMap<String, Manifest>>,
    /// Files there that are not kubeadm's.
    pub stray_files: Observed<Vec<String>>,
    /// The API server in the kubeconfig of controller manager and scheduler, by component.
    #[serde(default = "not_asked")]
    pub controller_servers: Observed<BTreeMap<String, String>>,
    /// When certificates end, by kubeadm's name of them.
    pub certificates: Observed<BTreeMap<String, Timestamp>>,
    /// What deprecated APIs this API server was asked for.
    #[serde(default = "not_asked")]
    pub api_use: Observed<ApiUse>,
    /// How its manifests differ from those that kubeadm writes for the same release.
    #[serde(default = "not_asked")]
    pub hand_edits: Observed<HandEdits>,
}

/// How static pods' manifests differ from those that the installed kubeadm writes from kubeadm-config for the same release:
/// what was changed by hand, and is lost when kubeadm writes them anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandEdits {
    /// The directory of patches that kubeadm was told.
    pub patches: Option<String>,
    /// By file name, the lines that only the manifest has (`- `) or only kubeadm's (`+ `), without secrets. Files that are as
    /// kubeadm writes them are left out.
    pub files: BTreeMap<String, Vec<String>>,
}

/// A static pod's manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// SHA-256 of its text.
    pub sha256: String,
    /// The first container's image.
    pub image: String,
    /// The first container's command, without the program.
    pub flags: Vec<String>,
}

impl ControlPlaneFacts {
    /// Of controller manager and scheduler those that may meet any API server. kubeadm points them at their own instance's;
    /// where the facts do not show that, any may answer.
    ///
    /// Source: kubernetes/kubernetes#94398, which does not change what clusters of before 1.20 have.
    #[must_use]
    pub fn roaming(&self) -> BTreeSet<Component> {
        let servers = self.controller_servers.known();
        let own = self.endpoint.known();
        let is_own = |server: &String| {
            let host = server.strip_prefix("https://").unwrap_or(server);
            Some(server) == own
                || ["127.0.0.1:", "localhost:", "[::1]:"]
                    .iter()
                    .any(|local| host.starts_with(local))
        };
        [Component::ControllerManager, Component::Scheduler]
            .into_iter()
            .filter(|component| {
                let server = servers.and_then(|servers| servers.get(&component.to_string()));
                !server.is_some_and(is_own)
            })
            .collect()
    }

    /// The lease that kube-controller-manager's leader renews, as `namespace/name`; none where its manifest elects none.
    #[must_use]
    pub fn leader_lease(&self) -> Option<String> {
        let manifests = self.manifests.known();
        let manifest = manifests.and_then(|all| all.get("kube-controller-manager.yaml"));
        static_pods::leader_lease(manifest.map_or(&[], |manifest| &manifest.flags))
    }
}
