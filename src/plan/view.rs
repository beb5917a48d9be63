//! The facts as planning sees them: nothing unknown any more, each host beside its node.
//!
//! [`View::of`] is the one place where the unknown is met. Whatever planning needs and was not observed becomes a reason,
//! as does every disagreement between inventory and cluster, and then nothing else is judged: a judgement over half of the
//! facts could be wrong.

use std::collections::{BTreeMap, BTreeSet};

use super::reason::Reason;
use crate::cluster::drift::CONTROL_PLANE_LABEL;
use crate::cluster::facts::{
    CgroupMode, ControlPlaneFacts, EtcdFacts, FORMAT, Facts, HostFacts, Identity, KubeadmConfig,
    Manifest, Observed, Offer, PackageFacts,
};
use crate::cluster::model::{Budget, HostName, Node, NodeName, Pod, Role, Workload};
use crate::documents::settings::{Host, IgnoredNodes, Inventory};
use crate::rules::skew::{Instance, OnNode, Snapshot};
use crate::rules::version::{Minor, Version};

/// The cluster, all known.
#[derive(Debug)]
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
    /// What kubeadm wrote down.
    pub kubeadm_config: &'a KubeadmConfig,
    /// etcd's members.
    pub etcd: Option<&'a EtcdFacts>,
    /// kube-proxy's release on each node that runs it.
    pub kube_proxy: BTreeMap<&'a NodeName, Version>,
}

/// A host, all known.
#[derive(Debug)]
pub struct HostView<'a> {
    /// The inventory's.
    pub host: &'a Host,
    /// Its node.
    pub node: &'a Node,
    /// The kubelet that runs.
    pub kubelet: Version,
    /// kubeadm.
    pub kubeadm: &'a Version,
    /// Which machine it is.
    pub identity: &'a Identity,
    /// Packages.
    pub packages: &'a PackageFacts,
    /// Releases of the installed packages.
    pub installed: BTreeMap<&'a str, Version>,
    /// What the target minor's repository offers; none where the facts were observed for another target. Only where
    /// packages are to be installed does that matter.
    pub offer: Option<&'a Observed<Offer>>,
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
#[derive(Debug)]
pub struct InstanceView<'a> {
    /// The API server that runs.
    pub running: &'a Version,
    /// The releases in the manifests.
    pub manifests: Instance,
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

/// Takes what is known and writes down what is not.
struct Gather {
    reasons: Vec<Reason>,
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

/// The release in a package's revision: `1.35.4-1.1`, `0:1.35.4-150500.1.1`.
#[must_use]
pub fn release_of_revision(revision: &str) -> Option<Version> {
    let without_epoch = revision.split_once(':').map_or(revision, |(_, rest)| rest);
    let upstream = without_epoch
        .rsplit_once('-')
        .map_or(without_epoch, |(upstream, _)| upstream);
    // Debian writes a pre-release as `1.36.0~rc.1`, so that it sorts before the release.
    upstream.replace('~', "-").parse().ok()
}

/// The release in an image's tag: `registry.k8s.io/kube-proxy:v1.35.4@sha256:…`.
#[must_use]
pub fn release_of_image(image: &str) -> Option<Version> {
    let name = image.split_once('@').map_or(image, |(name, _)| name);
    let (_, tag) = name.rsplit_once(':')?;
    tag.strip_prefix('v')?.parse().ok()
}

impl<'a> View<'a> {
    /// The facts beside the inventory.
    ///
    /// # Errors
    /// Everything that is unknown or does not agree.
    pub fn of(
        inventory: &'a Inventory,
        facts: &'a Facts,
        minor: Minor,
    ) -> Result<Self, Vec<Reason>> {
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
            let view = gather.host(host, known, found, minor);
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
                    etcd,
                    kube_proxy,
                })
            }
            _ => Err(gather.reasons),
        }
    }

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
        Snapshot { instances, nodes }
    }
}

impl Gather {
    fn host<'a>(
        &mut self,
        host: &'a Host,
        facts: &'a HostFacts,
        node: Option<&(&'a Node, Version)>,
        minor: Minor,
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
            kubeadm: kubeadm?,
            identity: identity?,
            packages: packages?,
            installed: installed?,
            offer: facts.offers.get(&minor),
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
        Some(InstanceView {
            running: running?,
            manifests: Instance {
                api_server: api_server?,
                controller_manager: controller_manager?,
                scheduler: scheduler?,
            },
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

    /// Nodes and inventory agree, one to one.
    fn agreement(
        &mut self,
        inventory: &Inventory,
        hosts: &[HostView<'_>],
        nodes: &BTreeMap<&NodeName, (&Node, Version)>,
    ) {
        if !inventory
            .hosts
            .values()
            .any(|host| host.role == Role::ControlPlane)
        {
            self.reasons.push(Reason::NoControlPlane);
        }
        let listed: BTreeSet<&NodeName> = inventory.hosts.values().map(|host| &host.node).collect();
        for (name, (node, _)) in nodes {
            if listed.contains(*name) {
                continue;
            }
            if !ignored(inventory, node) {
                self.reasons.push(Reason::NodeNotListed {
                    node: (*name).clone(),
                });
            } else if is_control_plane(node) {
                self.reasons.push(Reason::IgnoredControlPlane {
                    node: (*name).clone(),
                });
            }
        }
        let mut machines: BTreeMap<&str, Vec<HostName>> = BTreeMap::new();
        for host in hosts {
            machines
                .entry(&host.identity.machine_id)
                .or_default()
                .push(host.name().clone());
            let role = if is_control_plane(host.node) {
                Role::ControlPlane
            } else {
                Role::Worker
            };
            if role != host.host.role {
                self.reasons.push(Reason::RoleDiffers {
                    host: host.name().clone(),
                    node: host.node.name.clone(),
                    listed: host.host.role,
                });
            }
            if let Some(is) = other_machine(host, nodes) {
                self.reasons.push(Reason::OtherNode {
                    host: host.name().clone(),
                    node: host.node.name.clone(),
                    is,
                });
            }
        }
        for (machine_id, hosts) in machines {
            if hosts.len() > 1 {
                self.reasons.push(Reason::SameMachine {
                    machine_id: machine_id.to_owned(),
                    hosts,
                });
            }
        }
    }
}

/// Why a host is not its node, if so. The machine id decides; the host's name only where ids cannot (clones, nodes that
/// report none), because a node's name may differ from its host's (kubeadm's `nodeRegistration.name`).
fn other_machine(
    host: &HostView<'_>,
    nodes: &BTreeMap<&NodeName, (&Node, Version)>,
) -> Option<String> {
    let Identity {
        hostname,
        machine_id,
        ..
    } = host.identity;
    let node = host.node;
    if node.machine_id.is_empty() {
        return (hostname != node.name.as_str())
            .then(|| format!("its name is {hostname}, and the node reports no machine id"));
    }
    if &node.machine_id != machine_id {
        let owner = nodes
            .values()
            .find(|(other, _)| &other.machine_id == machine_id)
            .map_or_else(
                || format!("its name is {hostname}"),
                |(other, _)| format!("it is node {}", other.name),
            );
        return Some(format!(
            "its machine id is {machine_id}, the node's is {}; {owner}",
            node.machine_id
        ));
    }
    let named_as_another =
        hostname != node.name.as_str() && nodes.keys().any(|other| other.as_str() == hostname);
    named_as_another.then(|| format!("its name is {hostname}, which is another node"))
}

/// Whether a node carries the control plane's label.
#[must_use]
pub fn is_control_plane(node: &Node) -> bool {
    node.labels.contains_key(CONTROL_PLANE_LABEL)
}

fn ignored(inventory: &Inventory, node: &Node) -> bool {
    inventory.ignore_nodes.iter().any(|ignored| match ignored {
        IgnoredNodes::Name(name) => name == &node.name,
        IgnoredNodes::Selector(selector) => selector.matches(&node.labels),
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_read_from_revisions_and_images() {
        let text = |version: Option<Version>| version.map(|version| version.to_string());
        for (revision, release) in [
            ("1.35.4-1.1", Some("1.35.4")),
            ("1.28.14-2.1", Some("1.28.14")),
            ("0:1.35.4-150500.1.1", Some("1.35.4")),
            ("1.36.0~rc.1-1.1", Some("1.36.0-rc.1")),
            ("now", None),
        ] {
            assert_eq!(
                text(release_of_revision(revision)).as_deref(),
                release,
                "{revision}"
            );
        }
        for (image, release) in [
            ("registry.k8s.io/kube-proxy:v1.35.4", Some("1.35.4")),
            (
                "localhost:5000/kube-proxy:v1.35.4@sha256:aa",
                Some("1.35.4"),
            ),
            ("localhost:5000/kube-proxy", None),
            ("kube-proxy:latest", None),
        ] {
            assert_eq!(text(release_of_image(image)).as_deref(), release, "{image}");
        }
    }
}
