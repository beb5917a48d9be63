//! Hosts and an API of which some are away: what is recorded, and what is asked.

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
    UnmanagedPods, WhenBlocked, WorkerStrategy,
};
use crate::host::op::{Mutation, OpEnd, OpRef, OpState};
use crate::ports::{
    AttachedList, Claim, Clock, ClusterApi, Eviction, Failure, Hosts, Lease, Permit, PodList, Token,
};
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
    async fn lease(&self, _: &str) -> Result<Lease, Failure> {
        away()
    }
    async fn surroundings(&self) -> Surroundings {
        Surroundings::default()
    }
    async fn claim(&self) -> Result<Option<Claim>, Failure> {
        away()
    }
    async fn put_claim(&self, _: &Claim, _: Duration) -> Result<(), Failure> {
        away()
    }
    async fn cordon(&self, _: Permit, _: &NodeName, _: &str) -> Result<(), Failure> {
        away()
    }
    async fn uncordon(&self, _: Permit, _: &NodeName) -> Result<(), Failure> {
        away()
    }
    async fn taint_outdated(&self, _: Permit, _: &NodeName, _: bool) -> Result<(), Failure> {
        away()
    }
    async fn evict(&self, _: Permit, _: &Pod, _: Option<Duration>) -> Result<Eviction, Failure> {
        away()
    }
    async fn pods_changed(&self, _: &NodeName, _: &PodList, _: Duration) {}
    async fn attached(&self, _: &NodeName) -> Result<AttachedList, Failure> {
        away()
    }
    async fn attached_changed(&self, _: &AttachedList, _: Duration) {}
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

/// Hosts of which `cp1` never says a word, and `cp2` tells of etcd.
struct Silent;

#[async_trait(?Send)]
impl Hosts for Silent {
    async fn query(&self, host: &HostName, _: &Query) -> Result<Output, Failure> {
        if host.as_str() == "cp1" {
            futures::future::pending::<()>().await;
        }
        let url = "https://10.0.0.2:2379";
        let member = r#""ID":1,"name":"cp2","clientURLs":["#;
        Ok(answer(&[
            (
                "members",
                &format!("{{\"members\":[{{{member}\"{url}\"]}}]}}"),
            ),
            (
                "health",
                &format!("[{{\"endpoint\":\"{url}\",\"health\":true}}]"),
            ),
            (
                "status",
                r#"[{"Status":{"header":{"member_id":1},"version":"3.6.0","dbSize":1}}]"#,
            ),
            ("alarms", "{}"),
        ]))
    }
    async fn mutate(
        &self,
        _: &HostName,
        _: &OpRef,
        _: &Mutation,
        _: Token,
        _: Duration,
    ) -> Result<OpEnd, Failure> {
        unreachable!("observation changes nothing")
    }
    async fn fence(&self, _: &HostName, _: Token) -> Result<Token, Failure> {
        unreachable!("observation tells nothing")
    }
    async fn operation(&self, _: &HostName, _: &OpRef) -> Result<OpState, Failure> {
        unreachable!("observation asks only")
    }
    async fn download(
        &self,
        _: &HostName,
        _: &str,
        _: &Path,
        _: &[String],
    ) -> Result<(u64, String), Failure> {
        unreachable!("observation copies nothing")
    }
    async fn upload(
        &self,
        _: &HostName,
        _: &Path,
        _: Option<&Path>,
        _: &str,
        _: &str,
    ) -> Result<(), Failure> {
        unreachable!("observation copies nothing")
    }
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
        _: Token,
        _: Duration,
    ) -> Result<OpEnd, Failure> {
        unreachable!("observation changes nothing")
    }
    async fn fence(&self, _: &HostName, _: Token) -> Result<Token, Failure> {
        unreachable!("observation tells nothing")
    }
    async fn operation(&self, _: &HostName, _: &OpRef) -> Result<OpState, Failure> {
        unreachable!("observation asks only")
    }
    async fn download(
        &self,
        _: &HostName,
        _: &str,
        _: &Path,
        _: &[String],
    ) -> Result<(u64, String), Failure> {
        unreachable!("observation copies nothing")
    }
    async fn upload(
        &self,
        _: &HostName,
        _: &Path,
        _: Option<&Path>,
        _: &str,
        _: &str,
    ) -> Result<(), Failure> {
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
        gates: Vec::new(),
        hooks: Vec::new(),
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
        control_plane: ControlPlaneStrategy {
            drain: true,
            pause: Duration::ZERO,
        },
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
            blocked: WhenBlocked::Halt,
            avoid_outdated: true,
            rules: vec![],
        },
        snapshot: SnapshotPolicy {
            directory: PathBuf::from("s"),
            keep: 1,
            trial_restore: true,
            encrypt_to: Vec::new(),
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

/// Hosts of which each is root and answers what it is, and everything else never.
#[derive(Default)]
struct Slow {
    asked: RefCell<Vec<Query>>,
}

#[async_trait(?Send)]
impl Hosts for Slow {
    async fn query(&self, host: &HostName, query: &Query) -> Result<Output, Failure> {
        self.asked.borrow_mut().push(query.clone());
        match query {
            Query::Basics => {
                let root = HostName::new("w1");
                Scattered::default().query(&root, query).await
            }
            _ => {
                futures::future::pending::<()>().await;
                Err(Failure::NotSent(host.to_string()))
            }
        }
    }
    async fn mutate(
        &self,
        _: &HostName,
        _: &OpRef,
        _: &Mutation,
        _: Token,
        _: Duration,
    ) -> Result<OpEnd, Failure> {
        unreachable!("observation changes nothing")
    }
    async fn fence(&self, _: &HostName, _: Token) -> Result<Token, Failure> {
        unreachable!("observation tells nothing")
    }
    async fn operation(&self, _: &HostName, _: &OpRef) -> Result<OpState, Failure> {
        unreachable!("observation asks only")
    }
    async fn download(
        &self,
        _: &HostName,
        _: &str,
        _: &Path,
        _: &[String],
    ) -> Result<(u64, String), Failure> {
        unreachable!("observation copies nothing")
    }
    async fn upload(
        &self,
        _: &HostName,
        _: &Path,
        _: Option<&Path>,
        _: &str,
        _: &str,
    ) -> Result<(), Failure> {
        unreachable!("observation copies nothing")
    }
}

/// What takes long does not wait for anything else, and there is a session for each: sshd allows ten.
#[test]
fn a_control_plane_is_asked_for_what_takes_long_at_once() {
    use futures::FutureExt as _;

    let inventory = Inventory {
        name: "lab".to_owned(),
        kubeconfig: PathBuf::from("k"),
        context: None,
        hosts: BTreeMap::from([host("cp1", Role::ControlPlane)]),
        ignore_nodes: vec![],
    };
    let hosts = Slow::default();
    let world = World {
        api: &Away,
        hosts: &hosts,
        clock: &Away,
    };
    assert!(
        observe(world, &inventory, None, None)
            .now_or_never()
            .is_none()
    );
    let asked = hosts.asked.into_inner();
    let generated = |query: &Query| matches!(query, Query::Generated { .. });
    for (what, is) in [
        ("certificates", asked.contains(&Query::Certificates)),
        ("manifests", asked.contains(&Query::Manifests)),
        ("what kubeadm would write", asked.iter().any(generated)),
        ("the API server", asked.contains(&Query::ApiServerVersion)),
        ("packages", asked.contains(&Query::Packages)),
        ("etcd", asked.contains(&Query::Etcd)),
    ] {
        assert!(is, "{what} is not asked for: {asked:?}");
    }
    assert!(asked.len() <= 1 + 8, "{asked:?}");
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

#[tokio::test]
async fn every_minor_passed_through_has_its_repository_looked_into() {
    let url = "https://pkgs.k8s.io/core:/stable:/v{minor}/{format}/Release.key".to_owned();
    let mut far = upgrade(KeySource::Url(url));
    let minors = async |upgrade: &Upgrade| {
        let (facts, _) = observed(Some(upgrade)).await;
        let w1 = facts.hosts[&HostName::new("w1")].known().unwrap();
        let minors = w1.offers.keys().map(ToString::to_string);
        minors.collect::<Vec<_>>()
    };
    // w1 has a kubelet of 1.34.
    assert_eq!(minors(&far).await, ["1.35"]);
    far.target = Version::new(1, 37, 1);
    assert_eq!(minors(&far).await, ["1.35", "1.36", "1.37"]);
    far.target = Version::new(1, 34, 9);
    assert_eq!(minors(&far).await, ["1.34"]);
    let named = Version::new(1, 34, 6);
    far.via.insert(named.minor(), named);
    far.target = Version::new(1, 35, 4);
    assert_eq!(minors(&far).await, ["1.34", "1.35"]);
}

#[test]
fn a_clock_read_within_the_question_is_not_off() {
    assert_eq!(offset_s(5_000, 1_000, 9_000), 0);
    assert_eq!(offset_s(500, 3_000, 9_000), -2);
    assert_eq!(offset_s(15_000, 3_000, 9_000), 6);
}

#[test]
fn etcd_is_asked_through_another_control_plane_where_the_first_is_silent() {
    use futures::FutureExt as _;

    let inventory = Inventory {
        name: "lab".to_owned(),
        kubeconfig: PathBuf::from("k"),
        context: None,
        hosts: BTreeMap::from([
            host("cp1", Role::ControlPlane),
            host("cp2", Role::ControlPlane),
        ]),
        ignore_nodes: vec![],
    };
    let world = World {
        api: &Away,
        hosts: &Silent,
        clock: &Away,
    };
    // this clock's time is always over
    let etcd = observe_etcd(world, &inventory).now_or_never().unwrap();
    assert_eq!(etcd.known().unwrap().members[0].name, "cp2", "{etcd:?}");
}
