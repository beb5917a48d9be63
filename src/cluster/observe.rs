//! Observation: asks the API and every host, and writes down what they say.
//!
//! API and hosts are asked side by side. Whatever fails is recorded with its error in its own place, and the rest is
//! still observed. Changes nothing anywhere. Nothing secret is kept: of manifests and repositories only digests, images,
//! flags and addresses.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt as _;

use super::facts::{
    ClusterFacts, ControlPlaneFacts, EtcdFacts, FORMAT, Facts, HostFacts, Observed, Offer,
    PackageFacts,
};
use super::model::{HostName, Role};
use crate::documents::settings::{Host, Inventory, KeySource, Upgrade};
use crate::host::op::{AnswerError, KeyText, Output, Query};
use crate::host::parse;
use crate::ports::World;
use crate::rules::version::Minor;

/// Hosts asked at once.
const AT_ONCE: usize = 20;

/// Observes everything that planning needs. With an upgrade, also what its repository offers on the way; `key_text` is the
/// repository's key where that is a file beside the declaration.
pub async fn observe(
    world: World<'_>,
    inventory: &Inventory,
    upgrade: Option<&Upgrade>,
    key_text: Option<String>,
) -> Facts {
    let observed_at = world.clock.now();
    let sources = upgrade.map(|upgrade| Sources {
        upgrade,
        key_text: key_text.as_deref(),
    });
    let hosts = futures::stream::iter(inventory.hosts.values())
        .map(|host| async {
            let facts = observe_host(world, host, sources.as_ref()).await;
            (host.name.clone(), facts)
        })
        .buffer_unordered(AT_ONCE)
        .collect::<BTreeMap<_, _>>();
    let (cluster, etcd, hosts) = futures::join!(
        observe_cluster(world),
        observe_etcd(world, inventory),
        hosts
    );
    Facts {
        format: FORMAT.to_owned(),
        observed_at,
        inventory: inventory.name.clone(),
        cluster,
        etcd,
        hosts,
    }
}

async fn observe_cluster(world: World<'_>) -> ClusterFacts {
    let api = world.api;
    let (uid, api_version, nodes, pods, budgets, workloads, kubeadm_config, kubelet_config) = futures::join!(
        api.cluster_uid(),
        api.version(),
        api.nodes(),
        api.pods(),
        api.budgets(),
        api.workloads(),
        api.kubeadm_config(),
        api.kubelet_config(),
    );
    ClusterFacts {
        uid: uid.into(),
        api_version: api_version.into(),
        nodes: nodes.into(),
        pods: pods.into(),
        budgets: budgets.into(),
        workloads: workloads.into(),
        kubeadm_config: kubeadm_config.into(),
        kubelet_config: kubelet_config.into(),
    }
}

/// Asks one host one question.
async fn ask<T>(
    world: World<'_>,
    host: &HostName,
    query: Query,
    read: impl FnOnce(&Output) -> Result<T, AnswerError>,
) -> Observed<T> {
    match world.hosts.query(host, &query).await {
        Ok(output) => read(&output).into(),
        Err(failure) => Observed::Unknown(failure.to_string()),
    }
}

/// Through the first control plane whose member can be asked.
async fn observe_etcd(world: World<'_>, inventory: &Inventory) -> Observed<EtcdFacts> {
    let mut errors = Vec::new();
    for host in inventory.hosts.values() {
        match host.role {
            Role::Worker => continue,
            Role::ControlPlane => {}
        }
        match ask(world, &host.name, Query::Etcd, parse::etcd).await {
            Observed::Unknown(error) => errors.push(format!("through {}: {error}", host.name)),
            known @ Observed::Known(_) => return known,
        }
    }
    if errors.is_empty() {
        errors.push("the inventory has no control plane to ask it through".to_owned());
    }
    Observed::Unknown(errors.join("; "))
}

async fn observe_host(
    world: World<'_>,
    host: &Host,
    sources: Option<&Sources<'_>>,
) -> Observed<HostFacts> {
    let sent = world.clock.now();
    let basics = match ask(world, &host.name, Query::Basics, parse::basics).await {
        Observed::Known(basics) => basics,
        Observed::Unknown(error) => return Observed::Unknown(error),
    };
    let received = world.clock.now();
    let middle = i64::midpoint(sent.as_millisecond(), received.as_millisecond());
    let clock_offset_s = basics
        .clock_ms
        .map(|host_ms| rounded_seconds(host_ms - middle));
    if let Err(why) = &basics.root {
        return Observed::Unknown(why.problem.clone());
    }
    let control_plane = async {
        match host.role {
            Role::Worker => None,
            Role::ControlPlane => Some(observe_control_plane(world, &host.name).await),
        }
    };
    let packages_and_offers = async {
        let packages = ask(world, &host.name, Query::Packages, parse::packages).await;
        let offers = match sources {
            Some(sources) => sources.offers(world, &host.name, &packages).await,
            None => BTreeMap::new(),
        };
        (packages, offers)
    };
    let ((packages, offers), kubeadm, kubelet, control_plane) = futures::join!(
        packages_and_offers,
        ask(
            world,
            &host.name,
            Query::KubeadmVersion,
            parse::kubeadm_version
        ),
        ask(world, &host.name, Query::Kubelet, parse::kubelet),
        control_plane,
    );
    let (kubelet_flags, kubelet_config) = match kubelet {
        Observed::Known(kubelet) => (kubelet.flags.into(), kubelet.config_sha256.into()),
        Observed::Unknown(error) => (Observed::Unknown(error.clone()), Observed::Unknown(error)),
    };
    Observed::Known(HostFacts {
        identity: basics.identity.into(),
        root: basics.root.into(),
        packages,
        offers,
        kubeadm,
        cgroup: basics.cgroup.into(),
        disk_free: basics.disk_free.into(),
        clock_offset_s: clock_offset_s.into(),
        kubelet_flags,
        kubelet_config,
        operation: basics.operation.into(),
        control_plane,
    })
}

/// To the nearest second, so that facts do not differ by noise.
const fn rounded_seconds(ms: i64) -> i64 {
    (ms + 500).div_euclid(1000)
}

async fn observe_control_plane(world: World<'_>, host: &HostName) -> ControlPlaneFacts {
    let (api_server, manifests, certificates) = futures::join!(
        ask(world, host, Query::ApiServerVersion, parse::api_version),
        ask(world, host, Query::Manifests, parse::manifests),
        ask(world, host, Query::Certificates, parse::certificates),
    );
    let (endpoint, manifests, stray_files) = match manifests {
        Observed::Known(read) => (
            read.endpoint
                .ok_or("kube-apiserver.yaml does not say where it listens")
                .into(),
            Observed::Known(read.files),
            Observed::Known(read.stray),
        ),
        Observed::Unknown(error) => (
            Observed::Unknown(error.clone()),
            Observed::Unknown(error.clone()),
            Observed::Unknown(error),
        ),
    };
    ControlPlaneFacts {
        api_server,
        endpoint,
        manifests,
        stray_files,
        certificates,
    }
}

/// Where the packages of an upgrade come from.
struct Sources<'a> {
    upgrade: &'a Upgrade,
    key_text: Option<&'a str>,
}

impl Sources<'_> {
    /// The minors whose packages the upgrade may install.
    fn minors(&self) -> BTreeSet<Minor> {
        let target = self.upgrade.target.minor();
        let passed = self.upgrade.via.keys().copied();
        passed
            .chain([target])
            .filter(|minor| *minor <= target)
            .collect()
    }

    async fn offers(
        &self,
        world: World<'_>,
        host: &HostName,
        packages: &Observed<PackageFacts>,
    ) -> BTreeMap<Minor, Observed<Offer>> {
        let mut offers = BTreeMap::new();
        for minor in self.minors() {
            let offer = match packages {
                Observed::Known(packages) => {
                    let manager = packages.manager;
                    let fill = |template: &str| {
                        template
                            .replace("{minor}", &minor.to_string())
                            .replace("{format}", manager.format())
                    };
                    let url = fill(&self.upgrade.packages.repository);
                    match self.key(fill) {
                        Ok(key) => {
                            let query = Query::Offer {
                                manager,
                                url: url.clone(),
                                key: key.clone(),
                            };
                            let read = |output: &Output| parse::offer(output, manager, &url, &key);
                            ask(world, host, query, read).await
                        }
                        Err(error) => Observed::Unknown(error),
                    }
                }
                Observed::Unknown(error) => Observed::Unknown(error.clone()),
            };
            offers.insert(minor, offer);
        }
        offers
    }

    fn key(&self, fill: impl Fn(&str) -> String) -> Result<KeyText, String> {
        match (&self.upgrade.packages.key, self.key_text) {
            (KeySource::Url(url), _) => Ok(KeyText::Url(fill(url))),
            (KeySource::File(_), Some(text)) => Ok(KeyText::Text(text.to_owned())),
            (KeySource::File(file), None) => {
                Err(format!("the key file {} was not read", file.display()))
            }
        }
    }
}
