//! What a plan needs from outside: repositories, packages at exact revisions and images, hop by hop, for mirrors and
//! air-gapped sites.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::data::{Action, Plan};
use crate::cluster::facts::{Facts, Observed, PackageManager};
use crate::host::op::PackageRevision;
use crate::rules::kubeadm_images::{COMPONENTS, Companions};
use crate::rules::version::{Minor, Version};

/// The format of the JSON of [`Artifacts`].
pub const FORMAT: &str = "refit.artifacts/v1";

/// Everything to be had from outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Artifacts {
    /// [`FORMAT`].
    pub format: &'static str,
    /// The plan's upgrade.
    pub upgrade: String,
    /// By hop, in order.
    pub hops: Vec<HopArtifacts>,
}

/// What one hop needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HopArtifacts {
    /// The minor that the hop leads to.
    pub minor: String,
    /// Repositories, as the hosts saw them: `URL with key SHA-256`.
    pub repositories: Vec<String>,
    /// Packages, by package manager, name and revision.
    pub packages: Vec<Package>,
    /// Images, by reference.
    pub images: Vec<Image>,
    /// What is not known, and what tells.
    pub unknown: Vec<String>,
}

/// A package at an exact revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Package {
    /// `apt`, `dnf` or `yum`.
    pub manager: PackageManager,
    /// Its name.
    pub name: String,
    /// Its revision.
    pub revision: String,
    /// How many hosts install it.
    pub hosts: usize,
}

/// An image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Image {
    /// Repository and tag.
    pub reference: String,
    /// `sha256:…`, where the facts name it.
    pub digest: Option<String>,
    /// Where the tag comes from, when that is not the release itself.
    pub tag_from: Option<String>,
}

#[derive(Default)]
struct Hop {
    repositories: BTreeSet<String>,
    packages: BTreeMap<(PackageManager, String, String), BTreeSet<String>>,
    images: BTreeSet<(Version, String)>,
}

impl Artifacts {
    /// What a plan needs; digests from facts, if given.
    #[must_use]
    pub fn of(plan: &Plan, facts: Option<&Facts>) -> Self {
        let mut hops: BTreeMap<Option<Minor>, Hop> = BTreeMap::new();
        for step in &plan.steps {
            let minor = step.id.minor();
            let hop = hops.entry(minor).or_default();
            match &step.action {
                Action::SwitchRepository { host, minor, .. } => {
                    let key = format!("host/{host}/offer/{minor}");
                    hop.repositories.extend(plan.basis.get(&key).cloned());
                }
                Action::PrefetchPackages {
                    host,
                    manager,
                    packages,
                }
                | Action::InstallKubeadm {
                    host,
                    manager,
                    packages,
                }
                | Action::InstallKubelet {
                    host,
                    manager,
                    packages,
                } => {
                    for PackageRevision { name, revision } in packages {
                        hop.packages
                            .entry((*manager, name.clone(), revision.clone()))
                            .or_default()
                            .insert(host.to_string());
                    }
                }
                Action::PullImages {
                    version,
                    image_repository,
                    ..
                } => {
                    hop.images
                        .insert((version.clone(), image_repository.clone()));
                }
                Action::CheckHost { .. }
                | Action::CheckCluster { .. }
                | Action::SnapshotEtcd { .. }
                | Action::HoldPackages { .. }
                | Action::KubeadmApply { .. }
                | Action::KubeadmNode { .. }
                | Action::AwaitControlPlane { .. }
                | Action::AwaitAddons { .. }
                | Action::TaintOutdated { .. }
                | Action::Cordon { .. }
                | Action::Drain { .. }
                | Action::AwaitNode { .. }
                | Action::AwaitStaticPods { .. }
                | Action::Uncordon { .. }
                | Action::ReleaseHolds { .. }
                | Action::Verify { .. }
                | Action::Soak { .. }
                | Action::Gate { .. }
                | Action::Hook { .. }
                | Action::WayBack { .. }
                | Action::Barrier { .. } => {}
            }
        }
        let digests = facts.map(digests).unwrap_or_default();
        Self {
            format: FORMAT,
            upgrade: plan.upgrade.clone(),
            hops: hops
                .into_iter()
                .map(|(minor, hop)| hop.told(minor, plan, &digests))
                .collect(),
        }
    }
}

impl Hop {
    fn told(
        self,
        minor: Option<Minor>,
        plan: &Plan,
        digests: &BTreeMap<String, String>,
    ) -> HopArtifacts {
        let mut images = BTreeSet::new();
        let mut unknown = Vec::new();
        let mut add = |reference: String, tag_from: Option<String>| {
            images.insert(Image {
                digest: digests.get(&reference).cloned(),
                reference,
                tag_from,
            });
        };
        for (version, repository) in &self.images {
            for component in COMPONENTS {
                add(format!("{repository}/{component}:{}", version.tag()), None);
            }
            let ask = format!(
                "`kubeadm config images list --kubernetes-version {} --image-repository {repository}`, with kubeadm {version}, tells",
                version.tag()
            );
            match Companions::of(version.minor()) {
                Some(known) => {
                    let from = (known.release() != *version)
                        .then(|| format!("kubeadm {}; {ask}", known.release()));
                    for image in known.images(repository) {
                        add(image, from.clone());
                    }
                }
                None => unknown.push(format!("CoreDNS, etcd and pause for {version}: {ask}")),
            }
        }
        for (key, what) in [
            ("kubeadm-config/custom-etcd-image", "etcd"),
            ("kubeadm-config/custom-dns-image", "CoreDNS"),
        ] {
            if let Some(image) = plan.basis.get(key) {
                unknown.push(format!(
                    "kubeadm-config sets an image of its own for {what}, {image}: it takes the place of the one listed"
                ));
            }
        }
        HopArtifacts {
            minor: minor.map_or_else(String::new, |minor| minor.to_string()),
            repositories: self.repositories.into_iter().collect(),
            packages: self
                .packages
                .into_iter()
                .map(|((manager, name, revision), hosts)| Package {
                    manager,
                    name,
                    revision,
                    hosts: hosts.len(),
                })
                .collect(),
            images: images.into_iter().collect(),
            unknown,
        }
    }
}

/// Digests by reference, of everything in the facts that is named with both.
fn digests(facts: &Facts) -> BTreeMap<String, String> {
    let pods = facts
        .cluster
        .pods
        .known()
        .into_iter()
        .flatten()
        .flat_map(|pod| pod.images.values());
    let workloads = facts
        .cluster
        .workloads
        .known()
        .into_iter()
        .flatten()
        .flat_map(|workload| workload.images.values());
    let manifests = facts
        .hosts
        .values()
        .filter_map(Observed::known)
        .filter_map(|host| host.control_plane.as_ref()?.manifests.known())
        .flat_map(|manifests| manifests.values().map(|manifest| &manifest.image));
    pods.chain(workloads)
        .chain(manifests)
        .filter_map(|image| image.split_once('@'))
        .map(|(reference, digest)| (reference.to_owned(), digest.to_owned()))
        .collect()
}
