//! The facts beside the inventory: the one place where the unknown is met.

use std::collections::BTreeMap;

use super::{HostView, InstanceView, View, release_of_image, release_of_revision};
use crate::cluster::facts::{
    ControlPlaneFacts, FORMAT, Facts, HostFacts, Manifest, Observed, PackageFacts,
};
use crate::cluster::model::{Node, NodeName, Pod, Role, Workload};
use crate::cluster::release::release_of_cloud_controller;
use crate::documents::settings::{Host, Inventory};
use crate::plan::reason::Reason;
use crate::rules::skew::Instance;
use crate::rules::version::Version;

/// Takes what is known and writes down what is not.
pub(super) struct Gather {
    pub(super) reasons: Vec<Reason>,
}

impl Gather {
    fn need<'a, T>(&mut self, place: &str, what: &str, observed: &'a Observed<T>) -> Option<&'a T> {
        match observed {
            Observed::Known(known) => Some(known),
            Observed::Unknown(error) => {
                self.unknown(place, what, error.clone());
                None
            }
        }
    }

    fn unknown(&mut self, place: &str, what: &str, error: String) {
        self.reasons.push(Reason::Unknown {
            place: place.to_owned(),
            what: what.to_owned(),
            error,
        });
    }

    fn release(&mut self, place: &str, what: &str, text: &str) -> Option<Version> {
        match text.parse() {
            Ok(version) => Some(version),
            Err(error) => {
                self.unknown(place, what, format!("{error}"));
                None
            }
        }
    }
}

impl<'a> View<'a> {
    /// The facts beside the inventory.
    ///
    /// # Errors
    /// Everything that is unknown or does not agree.
    pub fn of(inventory: &'a Inventory, facts: &'a Facts) -> Result<Self, Vec<Reason>> {
        if facts.format != FORMAT {
            return Err(vec![Reason::FactsFormat {
                found: facts.format.clone(),
            }]);
        }
        if facts.inventory != inventory.name {
            return Err(vec![Reason::OtherInventory {
                facts: facts.inventory.clone(),
                inventory: inventory.name.clone(),
            }]);
        }
        let mut gather = Gather {
            reasons: Vec::new(),
        };
        let cluster = &facts.cluster;
        let place = "cluster";
        let uid = gather.need(place, "the cluster's identity", &cluster.uid);
        let nodes = gather.need(place, "its nodes", &cluster.nodes);
        let pods = gather.need(place, "its pods", &cluster.pods);
        let budgets = gather.need(place, "its PodDisruptionBudgets", &cluster.budgets);
        let workloads = gather.need(place, "its workloads", &cluster.workloads);
        let config = gather.need(place, "kubeadm-config", &cluster.kubeadm_config);
        gather.need(place, "the API's version", &cluster.api_version);
        gather.need(place, "kubelet-config", &cluster.kubelet_config);
        let external = config.is_some_and(|config| config.external_etcd);
        let etcd = if external {
            None
        } else {
            gather.need("etcd", "its members", &facts.etcd)
        };

        let mut by_name = BTreeMap::new();
        for node in nodes.into_iter().flatten() {
            let kubelet = gather.release(
                node.name.as_str(),
                "its kubelet's release",
                &node.kubelet_version,
            );
            by_name.extend(kubelet.map(|kubelet| (&node.name, (node, kubelet))));
        }
        let all_nodes_known = nodes.is_some_and(|nodes| nodes.len() == by_name.len());

        let mut hosts = Vec::new();
        for host in inventory.hosts.values() {
            let observed = facts.hosts.get(&host.name);
            let Some(observed) = observed else {
                let error = "the facts do not have it: run `refit inspect` again".to_owned();
                gather.unknown(host.name.as_str(), "the host", error);
                continue;
            };
            let Some(known) = gather.need(host.name.as_str(), "the host", observed) else {
                continue;
            };
            let found = by_name.get(&host.node);
            if all_nodes_known && found.is_none() {
                gather.reasons.push(Reason::NodeMissing {
                    host: host.name.clone(),
                    node: host.node.clone(),
                });
            }
            let view = gather.host(host, known, found);
            hosts.extend(view);
        }
        let kube_proxy = pods.map_or_else(BTreeMap::new, |pods| gather.kube_proxy(pods));
        if all_nodes_known {
            gather.agreement(inventory, &hosts, &by_name);
        }
        match (uid, pods, budgets, workloads, config) {
            (Some(uid), Some(pods), Some(budgets), Some(workloads), Some(kubeadm_config))
                if gather.reasons.is_empty() =>
            {
                Ok(Self {
                    uid,
                    hosts,
                    nodes: by_name,
                    pods,
                    budgets,
                    workloads,
                    kubeadm_config,
                    config_release: kubeadm_config.kubernetes_version.clone(),
                    kube_proxy_wanted: kube_proxy_wanted(workloads),
                    etcd,
                    kube_proxy,
                    cloud_controllers: cloud_controllers(pods),
                })
            }
            _ => Err(gather.reasons),
        }
    }
}

impl Gather {
    fn host<'a>(
        &mut self,
        host: &'a Host,
        facts: &'a HostFacts,
        node: Option<&(&'a Node, Version)>,
    ) -> Option<HostView<'a>> {
        let place = host.name.as_str();
        if let Observed::Unknown(error) = &facts.root {
            // Nearly everything else is unknown for this one reason.
            self.reasons.push(Reason::NotRoot {
                host: host.name.clone(),
                error: error.clone(),
            });
            return None;
        }
        let identity = self.need(place, "which machine it is", &facts.identity);
        let packages = self.need(place, "its packages", &facts.packages);
        let kubeadm = self.need(place, "kubeadm's version", &facts.kubeadm);
        let cgroup = self.need(place, "its cgroup hierarchy", &facts.cgroup);
        let disk_free = self.need(place, "its free disk", &facts.disk_free);
        let clock = self.need(place, "its clock", &facts.clock_offset_s);
        let operation = self.need(place, "whether an operation is under way", &facts.operation);
        let installed = packages.and_then(|packages| self.installed(host, packages));
        let instance = match (host.role, &facts.control_plane) {
            (Role::Worker, _) => None,
            (Role::ControlPlane, Some(facts)) => Some(self.instance(host, facts)?),
            (Role::ControlPlane, None) => {
                let error = "the facts do not have them: run `refit inspect` again".to_owned();
                self.unknown(place, "its static pods", error);
                return None;
            }
        };
        let (node, kubelet) = node?;
        Some(HostView {
            host,
            node,
            kubelet: kubelet.clone(),
            kubeadm: kubeadm?.clone(),
            identity: identity?,
            held: packages?.held.iter().map(String::as_str).collect(),
            switched: None,
            packages: packages?,
            installed: installed?,
            offers: &facts.offers,
            kubelet_flags: facts.kubelet_flags.clone(),
            instance_config: facts.instance_config.clone(),
            left_cordoned: node.unschedulable && node.cordoned_by.is_some(),
            left_tainted: node.is_outdated(),
            cgroup: *cgroup?,
            disk_free: disk_free?,
            clock_offset_s: *clock?,
            operation: operation?.as_deref(),
            instance,
        })
    }

    fn installed<'a>(
        &mut self,
        host: &Host,
        packages: &'a PackageFacts,
    ) -> Option<BTreeMap<&'a str, Version>> {
        let mut releases = BTreeMap::new();
        let before = self.reasons.len();
        for package in ["kubeadm", "kubelet"] {
            if !packages.installed.contains_key(package) {
                self.reasons.push(Reason::NotPackaged {
                    host: host.name.clone(),
                    package: package.to_owned(),
                });
            }
        }
        for (package, revision) in &packages.installed {
            match release_of_revision(revision) {
                Some(release) => {
                    releases.insert(package.as_str(), release);
                }
                None => self.unknown(
                    host.name.as_str(),
                    &format!("the release of the installed {package}"),
                    format!("revision `{revision}` holds no release"),
                ),
            }
        }
        (self.reasons.len() == before).then_some(releases)
    }

    fn instance<'a>(
        &mut self,
        host: &Host,
        facts: &'a ControlPlaneFacts,
    ) -> Option<InstanceView<'a>> {
        let place = host.name.as_str();
        let running = self.need(place, "its API server's version", &facts.api_server);
        let manifests = self.need(place, "its static pods", &facts.manifests);
        let stray_files = self.need(place, "files beside its static pods", &facts.stray_files);
        let certificates = self.need(place, "its certificates", &facts.certificates);
        let servers = "which API server its controller manager and its scheduler use";
        let servers = self.need(place, servers, &facts.controller_servers);
        let mut release = |file: &str| {
            let Some(manifest) = manifests?.get(file) else {
                self.reasons.push(Reason::ManifestMissing {
                    host: host.name.clone(),
                    file: file.to_owned(),
                });
                return None;
            };
            let release = release_of_image(&manifest.image);
            if release.is_none() {
                self.reasons.push(Reason::ImageTag {
                    host: host.name.clone(),
                    file: file.to_owned(),
                    image: manifest.image.clone(),
                });
            }
            release
        };
        let api_server = release("kube-apiserver.yaml");
        let controller_manager = release("kube-controller-manager.yaml");
        let scheduler = release("kube-scheduler.yaml");
        servers?;
        Some(InstanceView {
            running: running?.clone(),
            manifests: Instance {
                api_server: api_server?,
                controller_manager: controller_manager?,
                scheduler: scheduler?,
            },
            roaming: facts.roaming(),
            leader_lease: facts.leader_lease(),
            etcd_data: etcd_data(manifests?),
            stray_files: stray_files?,
            certificates: certificates?,
        })
    }

    fn kube_proxy<'a>(&mut self, pods: &'a [Pod]) -> BTreeMap<&'a NodeName, Version> {
        let mut found = BTreeMap::new();
        for pod in pods {
            let Some(node) = &pod.node else { continue };
            let ours = pod.namespace == "kube-system"
                && pod
                    .labels
                    .get("k8s-app")
                    .is_some_and(|app| app == "kube-proxy")
                && pod.deletion_timestamp.is_none();
            let Some(image) = pod.images.get("kube-proxy").filter(|_| ours) else {
                continue;
            };
            match release_of_image(image) {
                Some(release) => {
                    found.insert(node, release);
                }
                None => self.unknown(
                    node.as_str(),
                    "kube-proxy's release",
                    format!("image `{image}` has no release for a tag"),
                ),
            }
        }
        found
    }
}

/// etcd's data directory, from its manifest; kubeadm's default otherwise.
fn etcd_data(manifests: &BTreeMap<String, Manifest>) -> String {
    manifests
        .get("etcd.yaml")
        .into_iter()
        .flat_map(|manifest| &manifest.flags)
        .find_map(|flag| flag.strip_prefix("--data-dir="))
        .unwrap_or("/var/lib/etcd")
        .trim_end_matches('/')
        .to_owned()
}

/// The release that the kube-proxy DaemonSet asks for; none where there is none.
fn kube_proxy_wanted(workloads: &[Workload]) -> Option<Version> {
    workloads
        .iter()
        .find(|workload| {
            workload.kind == "DaemonSet"
                && workload.namespace == "kube-system"
                && workload.name == "kube-proxy"
        })
        .and_then(|workload| workload.images.get("kube-proxy"))
        .and_then(|image| release_of_image(image))
}

/// Cloud controller managers, as static pods or as a workload's.
fn cloud_controllers(pods: &[Pod]) -> BTreeMap<NodeName, Version> {
    pods.iter()
        .filter(|pod| pod.namespace == "kube-system" && pod.deletion_timestamp.is_none())
        .filter_map(|pod| {
            let release = pod
                .images
                .values()
                .find_map(|image| release_of_cloud_controller(image))?;
            Some((pod.node.clone()?, release))
        })
        .collect()
}
