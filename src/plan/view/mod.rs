//! The facts as planning sees them: nothing unknown any more, each host beside its node.
//!
//! [`View::of`] (`gather`) is the one place where the unknown is met. Whatever planning needs and was not observed becomes a
//! reason, as does every disagreement between inventory and cluster (`agreement`), and then nothing else is judged: a
//! judgement over half of the facts could be wrong. A plan may go through several minors, so a view can also be moved on to
//! what steps leave behind (`follow`), from where the next hop is planned as if it had been observed.

mod agreement;
mod follow;
mod gather;

pub use crate::cluster::release::{release_of_image, release_of_revision};

use std::collections::{BTreeMap, BTreeSet};

use crate::cluster::drift::CONTROL_PLANE_LABEL;
use crate::cluster::facts::{
    CgroupMode, EtcdFacts, Identity, KubeadmConfig, Observed, Offer, PackageFacts,
};
use crate::cluster::model::{Budget, HostName, Node, NodeName, Pod, Workload};
use crate::documents::settings::Host;
use crate::rules::skew::{Component, Instance, OnNode, Snapshot};
use crate::rules::version::{Minor, Version};

/// The cluster, all known.
#[derive(Debug, Clone)]
pub struct View<'a> {
    /// `kube-system`'s UID.
    pub uid: &'a str,
    /// The inventory's hosts, by name.
    pub hosts: Vec<HostView<'a>>,
    /// All nodes of the cluster with their kubelet's release, ignored ones included.
    pub nodes: BTreeMap<&'a NodeName, (&'a Node, Version)>,
    /// All pods.
    pub pods: &'a [Pod],
    /// All budgets.
    pub budgets: &'a [Budget],
    /// All workloads.
    pub workloads: &'a [Workload],
    /// What kubeadm wrote down, but for its release.
    pub kubeadm_config: &'a KubeadmConfig,
    /// The release that kubeadm wrote down.
    pub config_release: Version,
    /// What the kube-proxy DaemonSet asks for; none where there is none.
    pub kube_proxy_wanted: Option<Version>,
    /// etcd's members.
    pub etcd: Option<&'a EtcdFacts>,
    /// kube-proxy's release on each node that runs it.
    pub kube_proxy: BTreeMap<&'a NodeName, Version>,
    /// Cloud controller managers that follow Kubernetes' releases, by the node on which they run.
    pub cloud_controllers: BTreeMap<NodeName, Version>,
}

/// A host, all known.
#[derive(Debug, Clone)]
pub struct HostView<'a> {
    /// The inventory's.
    pub host: &'a Host,
    /// Its node.
    pub node: &'a Node,
    /// The kubelet that runs.
    pub kubelet: Version,
    /// kubeadm.
    pub kubeadm: Version,
    /// Which machine it is.
    pub identity: &'a Identity,
    /// Packages.
    pub packages: &'a PackageFacts,
    /// Releases of the installed packages.
    pub installed: BTreeMap<&'a str, Version>,
    /// Which packages are held.
    pub held: BTreeSet<&'a str>,
    /// The repository that an earlier hop of the plan has switched to, by its URL.
    pub switched: Option<String>,
    /// What the repositories of minors on the way offer. Only where packages are to be installed does that matter.
    pub offers: &'a BTreeMap<Minor, Observed<Offer>>,
    /// Flags in `/var/lib/kubelet/kubeadm-flags.env`.
    pub kubelet_flags: Observed<Vec<String>>,
    /// kubeadm's `/var/lib/kubelet/instance-config.yaml` is there.
    pub instance_config: Observed<bool>,
    /// An earlier run of refit left it cordoned.
    pub left_cordoned: bool,
    /// It carries refit's taint for workers that are yet to be drained; an earlier run left it there.
    pub left_tainted: bool,
    /// cgroup hierarchy.
    pub cgroup: CgroupMode,
    /// Bytes free, by directory.
    pub disk_free: &'a BTreeMap<String, u64>,
    /// Seconds ahead of our clock.
    pub clock_offset_s: i64,
    /// The operation under way there.
    pub operation: Option<&'a str>,
    /// Only on control planes.
    pub instance: Option<InstanceView<'a>>,
}

/// A control plane's static pods.
#[derive(Debug, Clone)]
pub struct InstanceView<'a> {
    /// The API server that runs.
    pub running: Version,
    /// The releases in the manifests.
    pub manifests: Instance,
    /// Controller manager and scheduler, where they may meet any API server.
    pub roaming: BTreeSet<Component>,
    /// The lease that kube-controller-manager's leader renews; none where none is elected.
    pub leader_lease: Option<String>,
    /// etcd's data directory.
    pub etcd_data: String,
    /// Files beside the manifests.
    pub stray_files: &'a [String],
    /// When certificates end.
    pub certificates: &'a BTreeMap<String, jiff::Timestamp>,
}

impl HostView<'_> {
    /// The host's name.
    #[must_use]
    pub const fn name(&self) -> &HostName {
        &self.host.name
    }

    /// Cordoned by someone else: it stays so.
    #[must_use]
    pub const fn stays_cordoned(&self) -> bool {
        self.node.unschedulable && self.node.cordoned_by.is_none()
    }
}

impl<'a> View<'a> {
    /// The control planes, by host's name.
    pub fn control_planes(&self) -> impl Iterator<Item = (&HostView<'a>, &InstanceView<'a>)> {
        self.hosts
            .iter()
            .filter_map(|host| host.instance.as_ref().map(|instance| (host, instance)))
    }

    /// The workers, by host's name.
    pub fn workers(&self) -> impl Iterator<Item = &HostView<'a>> {
        self.hosts.iter().filter(|host| host.instance.is_none())
    }

    /// The versions that run now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let instances = self
            .control_planes()
            .map(|(host, instance)| {
                let running = Instance {
                    api_server: instance.running.clone(),
                    ..instance.manifests.clone()
                };
                (host.node.name.clone(), running)
            })
            .collect();
        // Beta and on by default from 1.33; only a cluster that was made with it has kubelets that are local, so it counts
        // only where kubeadm-config names it (kubernetes/kubernetes cmd/kubeadm/app/features/features.go).
        let local = self
            .kubeadm_config
            .feature_gates
            .get("ControlPlaneKubeletLocalMode")
            .is_some_and(|on| *on);
        let by_node: BTreeMap<&NodeName, &HostView<'_>> = self
            .hosts
            .iter()
            .map(|host| (&host.node.name, host))
            .collect();
        let nodes = self
            .nodes
            .iter()
            .map(|(name, (_, kubelet))| {
                let host = by_node.get(name);
                let on = OnNode {
                    kubelet: kubelet.clone(),
                    kubelet_is_local: local,
                    kube_proxy: self.kube_proxy.get(*name).cloned(),
                    kubectl: host.and_then(|host| host.installed.get("kubectl").cloned()),
                    kubeadm: host.map(|host| host.kubeadm.clone()),
                };
                ((*name).clone(), on)
            })
            .collect();
        let roaming = self.control_planes().flat_map(|(host, instance)| {
            let components = instance.roaming.iter();
            components.map(|component| (host.node.name.clone(), *component))
        });
        Snapshot {
            instances,
            nodes,
            roaming: roaming.collect(),
            cloud_controllers: self.cloud_controllers.clone(),
        }
    }
}

/// Whether a node carries the control plane's label.
#[must_use]
pub fn is_control_plane(node: &Node) -> bool {
    node.labels.contains_key(CONTROL_PLANE_LABEL)
}
