//! Observation: asks the API and every host, and writes down what they say.
//!
//! API and hosts are asked side by side. Whatever fails is recorded with its error in its own place, and the rest is
//! still observed. Changes nothing anywhere. Nothing secret is kept: of manifests and repositories only digests, images,
//! flags and addresses.

mod etcd;

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt as _;

use self::etcd::{observe_etcd, observe_external};
use super::facts::{
    ClusterFacts, ControlPlaneFacts, FORMAT, Facts, HandEdits, HostFacts, KubeadmConfig, Observed,
    Offer, PackageFacts, Patches,
};
use super::model::{HostName, Role};
use super::release::release_of_revision;
use crate::documents::settings::{Host, Inventory, KeySource, Upgrade};
use crate::host::op::{AnswerError, KeyText, Output, Query};
use crate::host::parse;
use crate::ports::World;
use crate::rules::support;
use crate::rules::version::Minor;

/// Hosts asked at once: as many as this machine can carry, because those that do not answer take their time.
const AT_ONCE: usize = 128;

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
    let external_etcd = match &cluster.kubeadm_config {
        Observed::Known(KubeadmConfig {
            external: Some(at), ..
        }) => Some(observe_external(world, inventory, at).await),
        Observed::Known(_) | Observed::Unknown(_) => None,
    };
    Facts {
        format: FORMAT.to_owned(),
        observed_at,
        inventory: inventory.name.clone(),
        cluster,
        etcd,
        external_etcd,
        hosts,
        // Not the cluster's to tell.
        durations: None,
    }
}

async fn observe_cluster(world: World<'_>) -> ClusterFacts {
    let api = world.api;
    let (
        uid,
        api_version,
        nodes,
        pods,
        budgets,
        workloads,
        kubeadm_config,
        kubelet_config,
        surroundings,
    ) = futures::join!(
        api.cluster_uid(),
        api.version(),
        api.nodes(),
        api.pods(),
        api.budgets(),
        api.workloads(),
        api.kubeadm_config(),
        api.kubelet_config(),
        api.surroundings(),
    );
    let (kubelet_config, kubelet_settings) = match kubelet_config {
        Ok(config) => (Observed::Known(config.sha256), config.settings),
        Err(failure) => {
            let error = failure.to_string();
            (Observed::Unknown(error.clone()), Observed::Unknown(error))
        }
    };
    ClusterFacts {
        uid: uid.into(),
        api_version: api_version.into(),
        nodes: nodes.into(),
        pods: pods.into(),
        budgets: budgets.into(),
        workloads: workloads.into(),
        kubeadm_config: kubeadm_config.into(),
        kubelet_config,
        kubelet_settings,
        surroundings,
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
    let clock_offset_s = basics
        .clock_ms
        .map(|host_ms| offset_s(host_ms, sent.as_millisecond(), received.as_millisecond()));
    if let Err(why) = &basics.root {
        return Observed::Unknown(why.problem.clone());
    }
    let control_plane = async {
        match host.role {
            Role::Worker => None,
            Role::ControlPlane => {
                let patches = sources.and_then(|sources| sources.upgrade.kubeadm.patches.clone());
                Some(observe_control_plane(world, host, patches).await)
            }
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
    let kubelet_and_patches = async {
        let kubelet = ask(world, &host.name, Query::Kubelet, parse::kubelet).await;
        (kubelet, observe_patches(world, host, sources).await)
    };
    let ((packages, offers), kubeadm, (kubelet, patches), control_plane) = futures::join!(
        packages_and_offers,
        ask(
            world,
            &host.name,
            Query::KubeadmVersion,
            parse::kubeadm_version
        ),
        kubelet_and_patches,
        control_plane,
    );
    let (kubelet_flags, kubelet_config, kubelet_command, instance_config) = match kubelet {
        Observed::Known(kubelet) => (
            kubelet.flags.into(),
            kubelet.config_sha256.into(),
            kubelet.command.into(),
            kubelet.instance_config.into(),
        ),
        Observed::Unknown(error) => (
            Observed::Unknown(error.clone()),
            Observed::Unknown(error.clone()),
            Observed::Unknown(error.clone()),
            Observed::Unknown(error),
        ),
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
        kubelet_command,
        instance_config,
        patches,
        operation: basics.operation.into(),
        control_plane,
    })
}

async fn observe_patches(
    world: World<'_>,
    host: &Host,
    sources: Option<&Sources<'_>>,
) -> Observed<Patches> {
    let Some(directory) = sources.and_then(|sources| sources.upgrade.kubeadm.patches.clone())
    else {
        return Observed::Known(Patches::default());
    };
    let query = Query::Patches {
        directory: directory.clone(),
    };
    let read = |output: &Output| {
        Ok(Patches {
            directory: Some(directory),
            files: parse::patches(output)?,
        })
    };
    ask(world, &host.name, query, read).await
}

/// How far a clock is off, at least, that was read at some moment between `sent` and `received` of ours (milliseconds). The
/// first question to a host includes its connection, so that the moment itself is not known.
const fn offset_s(host: i64, sent: i64, received: i64) -> i64 {
    if host < sent {
        (host - sent) / 1000
    } else if host > received {
        (host - received) / 1000
    } else {
        0
    }
}

async fn observe_control_plane(
    world: World<'_>,
    on: &Host,
    patches: Option<String>,
) -> ControlPlaneFacts {
    let host = &on.name;
    let generated = Query::Generated {
        node: on.node.to_string(),
        patches: patches.clone(),
    };
    // Both of these are quick, and a host bears only so many sessions at once; the adapter holds how many.
    let of_the_api_server = async {
        let release = ask(world, host, Query::ApiServerVersion, parse::api_version).await;
        let api_use = ask(world, host, Query::ApiUse, parse::api_use).await;
        (release, api_use)
    };
    let edited =
        |output: &Output| parse::hand_edits(output).map(|files| HandEdits { patches, files });
    let ((api_server, api_use), manifests, certificates, hand_edits) = futures::join!(
        of_the_api_server,
        ask(world, host, Query::Manifests, parse::manifests),
        ask(world, host, Query::Certificates, parse::certificates),
        ask(world, host, generated, edited),
    );
    let (endpoint, manifests, stray_files, controller_servers) = match manifests {
        Observed::Known(read) => (
            read.endpoint
                .ok_or("kube-apiserver.yaml does not say where it listens")
                .into(),
            Observed::Known(read.files),
            Observed::Known(read.stray),
            Observed::Known(read.servers),
        ),
        Observed::Unknown(error) => (
            Observed::Unknown(error.clone()),
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
        controller_servers,
        certificates,
        api_use,
        hand_edits,
    }
}

/// Where the packages of an upgrade come from.
struct Sources<'a> {
    upgrade: &'a Upgrade,
    key_text: Option<&'a str>,
}

impl Sources<'_> {
    /// The minors whose packages the upgrade may install on a host: the target's, those that the declaration names, and
    /// every one between what is installed there and the target.
    fn minors(&self, packages: &Observed<PackageFacts>) -> BTreeSet<Minor> {
        let target = self.upgrade.target.minor();
        let named = self.upgrade.via.keys().copied();
        let installed = packages.known().into_iter().flat_map(|packages| {
            let revisions = ["kubeadm", "kubelet"].map(|name| packages.installed.get(name));
            revisions.into_iter().flatten()
        });
        let oldest = installed
            .filter_map(|revision| release_of_revision(revision))
            .map(|release| release.minor())
            .min();
        let mut minors: BTreeSet<Minor> = named.chain([target]).collect();
        let mut passed = oldest.map_or(target, Minor::next).max(support::OLDEST);
        while passed < target {
            minors.insert(passed);
            passed = passed.next();
        }
        minors.retain(|minor| *minor <= target);
        minors
    }

    async fn offers(
        &self,
        world: World<'_>,
        host: &HostName,
        packages: &Observed<PackageFacts>,
    ) -> BTreeMap<Minor, Observed<Offer>> {
        let mut offers = BTreeMap::new();
        for minor in self.minors(packages) {
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
