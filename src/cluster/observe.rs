//! Observation: asks the API and every host, and writes down what they say.
//!
//! API and hosts are asked side by side. Whatever fails is recorded with its error in its own place, and the rest is
//! still observed. Changes nothing anywhere. Nothing secret is kept: of manifests and repositories only digests, images,
//! flags and addresses.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt as _;

use super::facts::{
    ClusterFacts, ControlPlaneFacts, EtcdFacts, FORMAT, Facts, HandEdits, HostFacts, Observed,
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

/// Through the first control plane whose member can be asked.
async fn observe_etcd(world: World<'_>, inventory: &Inventory) -> Observed<EtcdFacts> {
    let mut errors = Vec::new();
    for host in inventory.hosts.values() {
        match host.role {
            Role::Worker => continue,
            Role::ControlPlane => {}
        }
        match ask(world, &host.name, Query::Etcd, parse::etcd).await {
            Observed::Unknown(error) => errors.push(through(&host.name, &error)),
            known @ Observed::Known(_) => return known,
        }
    }
    if errors.is_empty() {
        errors.push("the inventory has no control plane to ask it through".to_owned());
    }
    Observed::Unknown(errors.join("; "))
}

/// The error with the host's name in front, once.
fn through(host: &HostName, error: &str) -> String {
    if error.starts_with(host.as_str()) {
        format!("through {error}")
    } else {
        format!("through {host}: {error}")
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
    // One after the other where nothing is gained by haste: a host bears only so many sessions at once.
    let of_the_api_server = async {
        let release = ask(world, host, Query::ApiServerVersion, parse::api_version).await;
        let api_use = ask(world, host, Query::ApiUse, parse::api_use).await;
        (release, api_use)
    };
    let of_kubeadm = async {
        let certificates = ask(world, host, Query::Certificates, parse::certificates).await;
        let edited =
            |output: &Output| parse::hand_edits(output).map(|files| HandEdits { patches, files });
        (certificates, ask(world, host, generated, edited).await)
    };
    let ((api_server, api_use), manifests, (certificates, hand_edits)) = futures::join!(
        of_the_api_server,
        ask(world, host, Query::Manifests, parse::manifests),
        of_kubeadm,
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
mod tests {
    use std::cell::RefCell;
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    use async_trait::async_trait;
    use base64::Engine as _;
    use jiff::Timestamp;

    use super::*;
    use crate::cluster::facts::{KubeadmConfig, KubeletConfig, Surroundings};
    use crate::cluster::model::{Budget, Node, NodeName, Pod, Workload};
    use crate::documents::settings::{
        Become, ControlPlaneStrategy, DrainPolicy, Kubeadm, Packages, Share, SnapshotPolicy, Ssh,
        UnmanagedPods, WorkerStrategy,
    };
    use crate::host::op::{Mutation, OpEnd, OpRef, OpState};
    use crate::ports::{Clock, ClusterApi, Eviction, Failure, Hosts, PodList};
    use crate::rules::version::Version;

    /// An API that is away.
    struct Away;

    fn away<T>() -> Result<T, Failure> {
        Err(Failure::NotSent("connection refused".to_owned()))
    }

    #[async_trait(?Send)]
    impl ClusterApi for Away {
        async fn cluster_uid(&self) -> Result<String, Failure> {
            Ok("uid".to_owned())
        }
        async fn version(&self) -> Result<Version, Failure> {
            away()
        }
        async fn ready(&self) -> Result<(), Failure> {
            away()
        }
        async fn nodes(&self) -> Result<Vec<Node>, Failure> {
            away()
        }
        async fn node(&self, _: &NodeName) -> Result<Node, Failure> {
            away()
        }
        async fn pods(&self) -> Result<Vec<Pod>, Failure> {
            away()
        }
        async fn pods_on(&self, _: &NodeName) -> Result<PodList, Failure> {
            away()
        }
        async fn budgets(&self) -> Result<Vec<Budget>, Failure> {
            away()
        }
        async fn workloads(&self) -> Result<Vec<Workload>, Failure> {
            away()
        }
        async fn kubeadm_config(&self) -> Result<KubeadmConfig, Failure> {
            away()
        }
        async fn kubelet_config(&self) -> Result<KubeletConfig, Failure> {
            away()
        }
        async fn surroundings(&self) -> Surroundings {
            Surroundings::default()
        }
        async fn cordon(&self, _: &NodeName, _: &str) -> Result<(), Failure> {
            away()
        }
        async fn uncordon(&self, _: &NodeName) -> Result<(), Failure> {
            away()
        }
        async fn evict(&self, _: &Pod, _: Option<Duration>) -> Result<Eviction, Failure> {
            away()
        }
        async fn pods_changed(&self, _: &NodeName, _: &PodList, _: Duration) {}
        async fn node_changed(&self, _: &NodeName, _: Duration) {}
    }

    #[async_trait(?Send)]
    impl Clock for Away {
        fn now(&self) -> Timestamp {
            Timestamp::from_millisecond(1_000_000).unwrap()
        }
        fn monotonic(&self) -> Duration {
            Duration::ZERO
        }
        async fn sleep(&self, _: Duration) {}
    }

    /// Hosts of which `w1` answers, `w2` is not root and the others are away.
    #[derive(Default)]
    struct Scattered {
        asked: RefCell<Vec<(HostName, Query)>>,
    }

    fn answer(sections: &[(&str, &str)]) -> Output {
        Output {
            stdout: sections
                .iter()
                .map(|(name, text)| {
                    format!(
                        "{name}\t0\t{}\n",
                        base64::engine::general_purpose::STANDARD.encode(text)
                    )
                })
                .collect(),
            ..Output::default()
        }
    }

    #[async_trait(?Send)]
    impl Hosts for Scattered {
        async fn query(&self, host: &HostName, query: &Query) -> Result<Output, Failure> {
            self.asked.borrow_mut().push((host.clone(), query.clone()));
            let uid = match host.as_str() {
                "w1" => "0",
                "w2" => "1000",
                other => return Err(Failure::NotSent(format!("{other}: no route to host"))),
            };
            Ok(match query {
                Query::Basics => answer(&[
                    ("uid", uid),
                    ("hostname", "w1"),
                    ("machine-id", "m"),
                    ("boot-id", "b"),
                    ("os", "Debian"),
                    ("cgroup", "cgroup2fs"),
                    ("disk", "/var/lib/etcd\t5"),
                    ("operation", ""),
                    ("clock-ms", "1007900"),
                ]),
                Query::Packages => answer(&[
                    ("manager", "apt"),
                    ("installed", "kubelet\t1.34.4-1.1\thi "),
                    ("audit", ""),
                    ("offered", ""),
                ]),
                _ => Output {
                    status: 1,
                    ..Output::default()
                },
            })
        }
        async fn mutate(
            &self,
            _: &HostName,
            _: &OpRef,
            _: &Mutation,
            _: Duration,
        ) -> Result<OpEnd, Failure> {
            unreachable!("observation changes nothing")
        }
        async fn operation(&self, _: &HostName, _: &OpRef) -> Result<OpState, Failure> {
            unreachable!("observation asks only")
        }
        async fn download(
            &self,
            _: &HostName,
            _: &str,
            _: &Path,
        ) -> Result<(u64, String), Failure> {
            unreachable!("observation copies nothing")
        }
    }

    fn host(name: &str, role: Role) -> (HostName, Host) {
        let host = Host {
            name: HostName::new(name),
            address: "10.0.0.1".to_owned(),
            node: NodeName::new(name),
            role,
            group: "g".to_owned(),
            labels: BTreeMap::new(),
            ssh: Ssh {
                user: "root".to_owned(),
                port: 22,
                identity_file: None,
                known_hosts: None,
                jump: None,
                become_root: Become::None,
            },
        };
        (host.name.clone(), host)
    }

    fn upgrade(key: KeySource) -> Upgrade {
        Upgrade {
            name: "u".to_owned(),
            inventory: PathBuf::from("i"),
            target: Version::new(1, 35, 4),
            via: BTreeMap::new(),
            windows: Vec::new(),
            accepted_risks: Vec::new(),
            own_hazards: Vec::new(),
            max_facts_age: Duration::from_secs(60),
            packages: Packages {
                repository: "https://pkgs.k8s.io/core:/stable:/v{minor}/{format}/".to_owned(),
                key,
                repo_file: None,
            },
            kubeadm: Kubeadm {
                ignore_preflight_errors: vec![],
                patches: None,
                skip_phases: vec![],
                etcd_upgrade: true,
                certificate_renewal: true,
            },
            control_plane: ControlPlaneStrategy { drain: true },
            workers: WorkerStrategy {
                max_unavailable: Share::Count(1),
                topology_key: None,
                order: vec![],
                skip_level: false,
            },
            drain: DrainPolicy {
                timeout: Duration::from_secs(60),
                grace_period: None,
                delete_empty_dir_data: true,
                unmanaged_pods: UnmanagedPods::Refuse,
            },
            snapshot: SnapshotPolicy {
                directory: PathBuf::from("s"),
                keep: 1,
                trial_restore: true,
            },
        }
    }

    async fn observed(upgrade: Option<&Upgrade>) -> (Facts, Vec<(HostName, Query)>) {
        let inventory = Inventory {
            name: "lab".to_owned(),
            kubeconfig: PathBuf::from("k"),
            context: None,
            hosts: BTreeMap::from([
                host("cp1", Role::ControlPlane),
                host("cp2", Role::ControlPlane),
                host("w1", Role::Worker),
                host("w2", Role::Worker),
            ]),
            ignore_nodes: vec![],
        };
        let hosts = Scattered::default();
        let world = World {
            api: &Away,
            hosts: &hosts,
            clock: &Away,
        };
        let facts = observe(world, &inventory, upgrade, None).await;
        (facts, hosts.asked.into_inner())
    }

    fn why<T: std::fmt::Debug>(observed: &Observed<T>) -> &str {
        match observed {
            Observed::Unknown(error) => error,
            Observed::Known(value) => unreachable!("{value:?} should be unknown"),
        }
    }

    #[tokio::test]
    async fn what_fails_is_recorded_in_its_place_and_the_rest_is_observed() {
        let (facts, _) = observed(None).await;
        assert_eq!(facts.cluster.uid.known().unwrap(), "uid");
        assert_eq!(why(&facts.cluster.nodes), "connection refused");
        assert_eq!(
            why(&facts.etcd),
            "through cp1: no route to host; through cp2: no route to host"
        );
        assert_eq!(
            why(&facts.hosts[&HostName::new("cp1")]),
            "cp1: no route to host"
        );
        assert!(why(&facts.hosts[&HostName::new("w2")]).contains("user id 1000"));
        let w1 = facts.hosts[&HostName::new("w1")].known().unwrap();
        assert_eq!(
            w1.packages.known().unwrap().installed["kubelet"],
            "1.34.4-1.1"
        );
        assert!(why(&w1.kubeadm).contains("exit status 1"));
        assert_eq!(w1.clock_offset_s, Observed::Known(7));
        assert!(w1.control_plane.is_none() && w1.offers.is_empty());
    }

    #[tokio::test]
    async fn a_host_where_we_are_not_root_is_asked_no_further() {
        let (_, asked) = observed(None).await;
        let of_w2 = asked
            .iter()
            .filter(|(host, _)| host.as_str() == "w2")
            .count();
        assert_eq!(of_w2, 1);
    }

    #[tokio::test]
    async fn the_target_minors_repository_is_looked_into() {
        let url = "https://pkgs.k8s.io/core:/stable:/v{minor}/{format}/Release.key".to_owned();
        let (facts, asked) = observed(Some(&upgrade(KeySource::Url(url)))).await;
        let wanted = Query::Offer {
            manager: crate::cluster::facts::PackageManager::Apt,
            url: "https://pkgs.k8s.io/core:/stable:/v1.35/deb/".to_owned(),
            key: KeyText::Url("https://pkgs.k8s.io/core:/stable:/v1.35/deb/Release.key".to_owned()),
        };
        assert!(asked.iter().any(|(_, query)| *query == wanted), "{asked:?}");
        let offers = &facts.hosts[&HostName::new("w1")].known().unwrap().offers;
        assert!(why(&offers[&Version::new(1, 35, 0).minor()]).contains("exit status 1"));

        let file = KeySource::File(PathBuf::from("key.asc"));
        let (facts, _) = observed(Some(&upgrade(file))).await;
        let offers = &facts.hosts[&HostName::new("w1")].known().unwrap().offers;
        assert!(why(&offers[&Version::new(1, 35, 0).minor()]).contains("key.asc was not read"));
    }

    #[test]
    fn a_clock_read_within_the_question_is_not_off() {
        assert_eq!(offset_s(5_000, 1_000, 9_000), 0);
        assert_eq!(offset_s(500, 3_000, 9_000), -2);
        assert_eq!(offset_s(15_000, 3_000, 9_000), 6);
    }
}
