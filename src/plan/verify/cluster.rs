//! The cluster that a plan is for, from its facts alone.
//!
//! Which host is which node is not taken from the plan: machine ids decide it, as they do when a plan is carried out. A node
//! that none of the hosts is was left out of the inventory, and the plan must say so by name. What was not observed is a
//! violation: a plan that rests on it rests on nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::violation::Violation;
use crate::cluster::drift::CONTROL_PLANE_LABEL;
use crate::cluster::facts::{
    ControlPlaneFacts, Facts, HostFacts, KubeadmConfig, Observed, Offer, PackageFacts,
};
use crate::cluster::model::{HostName, Node, NodeName, Role};
use crate::cluster::release::release_of_cloud_controller;
use crate::plan::view::{release_of_image, release_of_revision};
use crate::rules::skew::{Component, Instance};
use crate::rules::version::{Minor, Version};

/// The cluster.
#[derive(Debug)]
pub struct Cluster<'f> {
    /// UID of `kube-system`.
    pub uid: &'f str,
    /// The hosts that may be touched.
    pub hosts: BTreeMap<&'f HostName, Machine<'f>>,
    /// Every node, those left out included.
    pub nodes: BTreeMap<&'f NodeName, OnCluster<'f>>,
    /// What kubeadm wrote down.
    pub config: &'f KubeadmConfig,
    /// What the kube-proxy DaemonSet asks for, where there is one.
    pub kube_proxy: Option<Version>,
    /// Cloud controller managers that follow Kubernetes' releases, and where.
    pub cloud_controllers: Vec<(&'f NodeName, Version)>,
}

/// A node.
#[derive(Debug)]
pub struct OnCluster<'f> {
    /// As the API describes it.
    pub node: &'f Node,
    /// The host that it is; none when it is left out.
    pub host: Option<&'f HostName>,
    /// Its kubelet.
    pub kubelet: Version,
    /// kube-proxy, where it runs.
    pub kube_proxy: Option<Version>,
}

impl OnCluster<'_> {
    /// Control plane or worker.
    pub fn role(&self) -> Role {
        if self.node.labels.contains_key(CONTROL_PLANE_LABEL) {
            Role::ControlPlane
        } else {
            Role::Worker
        }
    }

    /// Cordoned, and not by refit: it stays so.
    pub const fn stays_cordoned(&self) -> bool {
        self.node.unschedulable && self.node.cordoned_by.is_none()
    }

    /// Cordoned by an earlier run.
    pub const fn left_cordoned(&self) -> bool {
        self.node.unschedulable && self.node.cordoned_by.is_some()
    }
}

/// A host.
#[derive(Debug)]
pub struct Machine<'f> {
    /// Its node's name.
    pub node: &'f NodeName,
    /// Control plane or worker.
    pub role: Role,
    /// `/etc/machine-id`.
    pub machine_id: &'f str,
    /// kubeadm.
    pub kubeadm: Version,
    /// Flags in kubeadm's file for the kubelet.
    pub kubelet_flags: &'f Observed<Vec<String>>,
    /// What is installed.
    pub packages: &'f PackageFacts,
    /// Releases of what is installed.
    pub installed: BTreeMap<&'f str, Version>,
    /// What the repositories offer.
    pub offers: &'f BTreeMap<Minor, Observed<Offer>>,
    /// A control plane's static pods.
    pub instance: Option<Instance>,
    /// Of these, controllers that may meet any API server.
    pub roaming: BTreeSet<Component>,
    /// The lease of its controller manager's leader.
    pub leader_lease: Option<String>,
}

/// Takes what is known and writes down what is not.
struct Reader {
    wrong: Vec<Violation>,
}

impl Reader {
    fn known<'f, T>(&mut self, what: &str, observed: &'f Observed<T>) -> Option<&'f T> {
        match observed {
            Observed::Known(known) => Some(known),
            Observed::Unknown(error) => {
                self.unknown(what, error);
                None
            }
        }
    }

    fn unknown(&mut self, what: &str, error: &str) {
        self.wrong.push(Violation::Unknown {
            what: what.to_owned(),
            error: error.to_owned(),
        });
    }

    fn release(&mut self, what: &str, found: Option<Version>) -> Option<Version> {
        if found.is_none() {
            self.unknown(what, "it holds no release");
        }
        found
    }

    fn instance(&mut self, host: &HostName, facts: &HostFacts) -> Option<Instance> {
        let Some(facts) = &facts.control_plane else {
            self.unknown(
                &format!("the static pods of {host}"),
                "the facts do not have them",
            );
            return None;
        };
        let running = self.known(&format!("the API server of {host}"), &facts.api_server);
        let manifests = self.known(&format!("the static pods of {host}"), &facts.manifests);
        self.known(
            &format!("which API server the controller manager and the scheduler of {host} use"),
            &facts.controller_servers,
        );
        let mut of = |component: &str| {
            let image = manifests?.get(&format!("{component}.yaml"));
            self.release(
                &format!("the release of {component} on {host}"),
                image.and_then(|manifest| release_of_image(&manifest.image)),
            )
        };
        let manifest = of("kube-apiserver");
        let (controller_manager, scheduler) = (of("kube-controller-manager"), of("kube-scheduler"));
        // Where the manifest is ahead of what runs, the kubelet is about to restart it: what counts is what runs.
        manifest?;
        Some(Instance {
            api_server: running?.clone(),
            controller_manager: controller_manager?,
            scheduler: scheduler?,
        })
    }
}

impl<'f> Cluster<'f> {
    /// The cluster that the facts describe, with these nodes left out of it.
    ///
    /// # Errors
    /// Everything that is not known.
    pub fn of(facts: &'f Facts, left_out: &[NodeName]) -> Result<Self, Vec<Violation>> {
        let mut reader = Reader { wrong: Vec::new() };
        let cluster = &facts.cluster;
        let uid = reader.known("the cluster's identity", &cluster.uid);
        let config = reader.known("kubeadm-config", &cluster.kubeadm_config);
        let workloads = reader.known("the cluster's workloads", &cluster.workloads);
        let mut nodes = Self::nodes(facts, &mut reader);
        let hosts = Self::hosts(facts, left_out, &mut nodes, &mut reader);
        let kube_proxy = workloads
            .into_iter()
            .flatten()
            .find(|workload| {
                (
                    workload.kind.as_str(),
                    workload.namespace.as_str(),
                    workload.name.as_str(),
                ) == ("DaemonSet", "kube-system", "kube-proxy")
            })
            .and_then(|workload| workload.images.get("kube-proxy"))
            .and_then(|image| release_of_image(image));
        match (uid, config) {
            (Some(uid), Some(config)) if reader.wrong.is_empty() => Ok(Self {
                uid,
                hosts,
                nodes,
                config,
                kube_proxy,
                cloud_controllers: cloud_controllers(facts),
            }),
            (_, _) => Err(reader.wrong),
        }
    }

    fn nodes(facts: &'f Facts, reader: &mut Reader) -> BTreeMap<&'f NodeName, OnCluster<'f>> {
        let nodes = reader.known("the cluster's nodes", &facts.cluster.nodes);
        let pods = reader.known("the cluster's pods", &facts.cluster.pods);
        let mut found = BTreeMap::new();
        for node in nodes.into_iter().flatten() {
            let what = format!("the kubelet's release on {}", node.name);
            let kubelet = reader.release(&what, node.kubelet_version.parse().ok());
            let Some(kubelet) = kubelet else { continue };
            let on = OnCluster {
                node,
                host: None,
                kubelet,
                kube_proxy: None,
            };
            found.insert(&node.name, on);
        }
        for pod in pods.into_iter().flatten() {
            let proxy = pod.namespace == "kube-system"
                && pod.deletion_timestamp.is_none()
                && pod
                    .labels
                    .get("k8s-app")
                    .is_some_and(|app| app == "kube-proxy");
            if !proxy {
                continue;
            }
            let on = pod.node.as_ref().and_then(|node| found.get_mut(node));
            if let (Some(on), Some(image)) = (on, pod.images.get("kube-proxy")) {
                let what = format!("kube-proxy's release on {}", on.node.name);
                on.kube_proxy = reader.release(&what, release_of_image(image));
            }
        }
        found
    }

    /// Facts may be older than the inventory: a host that was not seen, or is no node any more, is no host of the plan, and
    /// its node must be left out.
    fn hosts(
        facts: &'f Facts,
        left_out: &[NodeName],
        nodes: &mut BTreeMap<&'f NodeName, OnCluster<'f>>,
        reader: &mut Reader,
    ) -> BTreeMap<&'f HostName, Machine<'f>> {
        let mut by_machine: BTreeMap<&str, Vec<&NodeName>> = BTreeMap::new();
        for (name, on) in nodes.iter() {
            by_machine
                .entry(&on.node.machine_id)
                .or_default()
                .push(name);
        }
        let mut hosts = BTreeMap::new();
        let mut taken: BTreeSet<&NodeName> = BTreeSet::new();
        for (host, observed) in &facts.hosts {
            let Some(facts) = observed.known() else {
                continue;
            };
            let (Some(identity), Some(packages), Some(kubeadm)) = (
                facts.identity.known(),
                facts.packages.known(),
                facts.kubeadm.known(),
            ) else {
                continue;
            };
            let named = |name: &&&NodeName| name.as_str() == identity.hostname;
            // Nodes that report no id, and clones that share one, go by the host's name.
            let node = match by_machine
                .get(identity.machine_id.as_str())
                .map(Vec::as_slice)
            {
                Some([only]) => Some(*only),
                Some(several) => several.iter().find(named).copied(),
                None => {
                    let without = by_machine.get("");
                    without.and_then(|names| names.iter().find(named)).copied()
                }
            };
            let free = node.filter(|node| !left_out.contains(node) && taken.insert(node));
            let Some(on) = free.and_then(|node| nodes.get_mut(node)) else {
                continue;
            };
            on.host = Some(host);
            let mut installed = BTreeMap::new();
            for (package, revision) in &packages.installed {
                let what = format!("the release of {package} on {host}");
                let release = reader.release(&what, release_of_revision(revision));
                installed.extend(release.map(|release| (package.as_str(), release)));
            }
            let role = on.role();
            let instance = match role {
                Role::ControlPlane => reader.instance(host, facts),
                Role::Worker => None,
            };
            hosts.insert(
                host,
                Machine {
                    node: &on.node.name,
                    role,
                    machine_id: &identity.machine_id,
                    kubeadm: kubeadm.clone(),
                    kubelet_flags: &facts.kubelet_flags,
                    packages,
                    installed,
                    offers: &facts.offers,
                    roaming: facts
                        .control_plane
                        .as_ref()
                        .map(ControlPlaneFacts::roaming)
                        .unwrap_or_default(),
                    leader_lease: facts
                        .control_plane
                        .as_ref()
                        .and_then(ControlPlaneFacts::leader_lease),
                    instance,
                },
            );
        }
        hosts
    }

    /// Workers that the plan is to upgrade.
    pub fn workers(&self) -> impl Iterator<Item = &OnCluster<'f>> {
        self.nodes
            .values()
            .filter(|on| on.host.is_some())
            .filter(|on| match on.role() {
                Role::ControlPlane => false,
                Role::Worker => true,
            })
    }
}

fn cloud_controllers(facts: &Facts) -> Vec<(&NodeName, Version)> {
    let mut found = Vec::new();
    for pod in facts.cluster.pods.known().into_iter().flatten() {
        if pod.namespace != "kube-system" || pod.deletion_timestamp.is_some() {
            continue;
        }
        let mut images = pod.images.values();
        let release = images.find_map(|image| release_of_cloud_controller(image));
        found.extend(pod.node.as_ref().zip(release));
    }
    found
}
