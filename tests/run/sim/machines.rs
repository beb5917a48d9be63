//! Machines answer as true hosts did: what is observed of a simulation is what it was made from.

use std::collections::{BTreeMap, BTreeSet};

use refit::cluster::facts::{EtcdFacts, Facts, HostFacts, Observed, Offer};
use refit::cluster::model::{HostName, NodeName};
use refit::cluster::observe::observe;
use refit::documents::settings::{Inventory, Upgrade};
use refit::host::judge::sha256;
use refit::ports::World as Ports;
use refit::sim::api::Options;
use refit::sim::machine::{Durations, machines};
use refit::sim::{Sim, World};

use super::build;

fn simulation(facts: &Facts, inventory: &Inventory) -> Sim {
    let nodes: BTreeMap<HostName, NodeName> = inventory
        .hosts
        .values()
        .map(|host| (host.name.clone(), host.node.clone()))
        .collect();
    let machines = machines(facts, &nodes, Durations::default());
    Sim::new(World::of(facts, machines, Options::default()), 1)
}

fn digest(text: &mut String) {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        *text = sha256(text.as_bytes());
    }
}

fn known<T>(observed: &mut Observed<T>) -> Option<&mut T> {
    match observed {
        Observed::Known(value) => Some(value),
        // why something could not be seen is told in other words
        Observed::Unknown(why) => {
            *why = "unknown".to_owned();
            None
        }
    }
}

/// Without what the simulation is free to tell otherwise: words of errors, boots, clocks; and digests and ids that a test wrote
/// by hand become some.
fn comparable(facts: &mut Facts) {
    facts.durations = None;
    facts.format.clear();
    facts.observed_at = "2026-01-01T00:00:00Z".parse().unwrap();
    // static pods have mirror pods in the simulation, even where those who wrote facts by hand forgot them
    if let Some(pods) = known(&mut facts.cluster.pods) {
        pods.retain(|pod| !pod.mirror);
        pods.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    }
    if let Some(EtcdFacts { members, .. }) = known(&mut facts.etcd) {
        for member in members {
            member.id = member.id.trim_start_matches('0').to_owned();
        }
    }
    for host in facts.hosts.values_mut() {
        if let Some(host) = known(host) {
            comparable_host(host);
        }
    }
}

fn comparable_host(host: &mut HostFacts) {
    if let Some(identity) = known(&mut host.identity) {
        identity.boot_id.clear();
    }
    host.clock_offset_s = Observed::Known(0);
    if let Some(packages) = known(&mut host.packages) {
        for file in &mut packages.repositories {
            digest(&mut file.sha256);
        }
        let manager = packages.manager;
        if manager != refit::cluster::facts::PackageManager::Apt {
            packages.trouble = None;
        }
    }
    for offer in host.offers.values_mut() {
        if let Some(Offer { key_sha256, .. }) = known(offer) {
            digest(key_sha256);
        }
    }
    known(&mut host.kubeadm);
    known(&mut host.cgroup);
    known(&mut host.disk_free);
    known(&mut host.kubelet_flags);
    if let Some(sha256) = known(&mut host.kubelet_config) {
        digest(sha256);
    }
    known(&mut host.kubelet_command);
    known(&mut host.instance_config);
    if let Observed::Unknown(_) = host.patches {
        // recorded before patches were looked at; where none are declared there is nothing to ask
        host.patches = Observed::Known(refit::cluster::facts::Patches::default());
    }
    if let Some(patches) = known(&mut host.patches) {
        for patch in patches.files.values_mut() {
            digest(&mut patch.sha256);
        }
    }
    known(&mut host.operation);
    let Some(own) = &mut host.control_plane else {
        return;
    };
    known(&mut own.api_server);
    known(&mut own.endpoint);
    if let Some(manifests) = known(&mut own.manifests) {
        for manifest in manifests.values_mut() {
            digest(&mut manifest.sha256);
        }
    }
    known(&mut own.stray_files);
    if own.manifests.known().is_some() && own.controller_servers.known().is_none() {
        // recorded before they were looked at; without any in the facts there are no kubeconfigs here
        own.controller_servers = Observed::Known(BTreeMap::new());
    }
    known(&mut own.controller_servers);
    known(&mut own.certificates);
    known(&mut own.api_use);
    known(&mut own.hand_edits);
}

async fn observed(facts: &Facts, inventory: &Inventory, upgrade: &Upgrade) -> Facts {
    let sim = simulation(facts, inventory);
    let ports = Ports {
        api: &sim,
        hosts: &sim,
        clock: &sim,
    };
    observe(ports, inventory, Some(upgrade), None).await
}

/// Text by text, so that a difference can be read.
fn same(seen: Facts, made_from: &Facts) {
    let text = |mut facts: Facts| {
        comparable(&mut facts);
        serde_json::to_string_pretty(&facts).unwrap()
    };
    let (seen, made_from) = (text(seen), text(made_from.clone()));
    let differing: Vec<_> = seen
        .lines()
        .zip(made_from.lines())
        .filter(|(seen, made_from)| seen != made_from)
        .take(10)
        .collect();
    assert_eq!(seen, made_from, "{differing:#?}");
}

/// The declaration that the recorded facts were taken for.
fn declared(facts: &Facts) -> (Inventory, Upgrade) {
    let world = build::World::new(3, 6, "1.34.4", "1.35.4");
    let mut upgrade = world.upgrade;
    let mut inventory = world.inventory;
    inventory.name.clone_from(&facts.inventory);
    inventory
        .hosts
        .retain(|name, _| facts.hosts.contains_key(name));
    let offers = facts.hosts.values().filter_map(Observed::known);
    let offers = offers
        .flat_map(|host| host.offers.values())
        .filter_map(Observed::known);
    let urls: BTreeSet<&str> = offers.map(|offer| offer.url.as_str()).collect();
    if urls.iter().any(|url| url.contains("pkgs.lab")) {
        upgrade.packages.repository = "http://pkgs.lab/core:/stable:/v{minor}/{format}/".to_owned();
        let key = "http://pkgs.lab/core:/stable:/v{minor}/{format}/Release.key".to_owned();
        upgrade.packages.key = refit::documents::settings::KeySource::Url(key);
    }
    let minors = facts.hosts.values().filter_map(Observed::known);
    let newest = minors.flat_map(|host| host.offers.keys()).max().unwrap();
    upgrade.target = format!("{newest}.3").parse().unwrap();
    (inventory, upgrade)
}

#[tokio::test(start_paused = true)]
async fn a_recorded_cluster_is_inspected_as_it_was_recorded() {
    let shop = include_str!("../../../examples/facts/shop.facts.json");
    for text in [include_str!("lab.facts.json"), shop] {
        let facts: Facts = serde_json::from_str(text).unwrap();
        let (inventory, upgrade) = declared(&facts);
        assert_eq!(inventory.hosts.len(), facts.hosts.len());
        same(observed(&facts, &inventory, &upgrade).await, &facts);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cluster_of_today_is_inspected_as_it_was_recorded() {
    let text = include_str!("lab-of-five.facts.json");
    let facts: Facts = serde_json::from_str(text).unwrap();
    let (inventory, upgrade) = declared(&facts);
    assert_eq!(inventory.hosts.len(), facts.hosts.len());
    same(observed(&facts, &inventory, &upgrade).await, &facts);
}

/// A cluster in which every bit of `odd` makes something else odd.
fn oddity(odd: u32) -> build::World {
    let mut world = build::World::new(3, 3, "1.34.4", "1.35.4");
    let bit = |n: u32| odd & (1 << n) != 0;
    if bit(0) {
        world.packages("cp2").held.clear();
        world.packages("w1").installed.remove("kubectl");
        world.packages("w1").held.remove("kubectl");
        world.packages("w2").repositories[0].exclusive = false;
        world.packages("w2").offered = BTreeMap::from([(
            "kubeadm".to_owned(),
            vec!["1.34.5-1.1".to_owned(), "1.34.4-1.1".to_owned()],
        )]);
        world.packages("w3").trouble = Some("dpkg --audit: kubelet is half configured".to_owned());
    }
    if bit(1) {
        for host in ["w1", "w2"] {
            let packages = world.packages(host);
            packages.manager = refit::cluster::facts::PackageManager::Dnf;
            packages.repositories[0].path = "/etc/yum.repos.d/kubernetes.repo".to_owned();
        }
        world.packages("w2").held.clear();
        for host in ["w1", "w2"] {
            let offer = world.offer(host);
            offer.url = offer.url.replace("/deb/", "/rpm/");
            offer.key_url = offer
                .key_url
                .as_ref()
                .map(|url| url.replace("/deb/", "/rpm/"));
        }
    }
    if bit(2) {
        let etcd = world.etcd();
        let mut stranger = etcd.members[0].clone();
        stranger.name = "stranger".to_owned();
        stranger.id = "2a".to_owned();
        stranger.learner = true;
        etcd.members.push(stranger);
        etcd.members[2].healthy = false;
        etcd.members[2].version = None;
        etcd.members[2].db_size = None;
        etcd.alarms = vec!["NOSPACE on cp1".to_owned()];
    }
    if bit(3) {
        let own = world.control_plane("cp1");
        let edits = [
            "- --audit-log-maxage=30",
            "- --profiling=false",
            "+ --profiling=true",
            "- env[PROXY].name (its value is not shown)",
            "- env[PROXY].value (its value is not shown)",
            "- image: mirror.example.org:5000/kube-apiserver",
            "+ image: registry.k8s.io/kube-apiserver",
            "- resources.requests.cpu: 500m",
            "+ resources.requests.cpu: 250m",
            "+ spec.hostNetwork: true",
        ];
        own.hand_edits = Observed::Known(refit::cluster::facts::HandEdits {
            patches: None,
            files: [(
                "kube-apiserver.yaml".to_owned(),
                edits.iter().map(ToString::to_string).collect(),
            )]
            .into(),
        });
        own.stray_files = Observed::Known(vec![
            "etcd.yaml.backup".to_owned(),
            "kube-vip.yaml".to_owned(),
        ]);
    }
    if bit(4) {
        let unknown = || "it said nothing".to_owned();
        world.host("w1").packages = Observed::Unknown(unknown());
        for offer in world.host("w1").offers.values_mut() {
            *offer = Observed::Unknown(unknown());
        }
        world.host("w2").identity = Observed::Unknown(unknown());
        world.host("w2").kubelet_flags = Observed::Unknown(unknown());
        let own = world.control_plane("cp3");
        own.certificates = Observed::Unknown(unknown());
        own.api_use = Observed::Unknown(unknown());
    }
    if bit(5) {
        let host = HostName::new("w3");
        world
            .facts
            .hosts
            .insert(host, Observed::Unknown("w3: no route to host".to_owned()));
    }
    if bit(6) {
        world.host("cp1").kubelet_flags =
            Observed::Known(vec!["--node-ip=10.0.0.1".to_owned(), "--v=2".to_owned()]);
        world.host("w1").operation = Observed::Known(Some("r0 w1/hook".to_owned()));
        world.host("w1").cgroup = Observed::Known(refit::cluster::facts::CgroupMode::V1);
        world.upgrade.kubeadm.patches = Some("/etc/kubernetes/patches".to_owned());
        let patches = refit::cluster::facts::Patches {
            directory: Some("/etc/kubernetes/patches".to_owned()),
            files: [(
                "kube-apiserver+json.json".to_owned(),
                refit::cluster::facts::PatchFile {
                    sha256: sha256(b"patch"),
                    target: "kube-apiserver".to_owned(),
                    flags: vec!["--profiling=false".to_owned()],
                    feature_gates: [("NodeSwap".to_owned(), false)].into(),
                },
            )]
            .into(),
        };
        for facts in world.facts.hosts.values_mut() {
            if let Observed::Known(facts) = facts {
                facts.patches = Observed::Known(patches.clone());
                if let Some(own) = &mut facts.control_plane
                    && let Observed::Known(edits) = &mut own.hand_edits
                {
                    edits.patches.clone_from(&patches.directory);
                }
            }
        }
    }
    world
}

#[tokio::test(start_paused = true)]
async fn clusters_made_up_are_inspected_as_they_were_made_up() {
    for odd in 0..128 {
        let mut world = oddity(odd);
        world.inventory.name.clone_from(&world.facts.inventory);
        let seen = observed(&world.facts, &world.inventory, &world.upgrade).await;
        same(seen, &world.facts);
    }
}

mod one_unit {
    //! Operations on a host: `Hosts::mutate` and `Hosts::operation` say what they mean.

    use std::time::Duration;

    use refit::cluster::facts::PackageManager;
    use refit::host::op::{Mutation, OpRef, OpState};
    use refit::ports::{Failure, Hosts as _, Token};
    use refit::sim::setup::Setup;

    use super::*;

    const LONG: Duration = Duration::from_secs(600);

    fn op(name: &str) -> OpRef {
        OpRef {
            run: "r1".to_owned(),
            op: name.to_owned(),
        }
    }

    /// Takes 10 seconds.
    fn hook() -> Mutation {
        Mutation::Hook {
            argv: vec!["patch-os".to_owned()],
            env: BTreeMap::new(),
        }
    }

    fn with(faults: &[&str]) -> Sim {
        let world = build::World::new(1, 1, "1.34.4", "1.35.4");
        let world = World::set_up(Setup {
            facts: &world.facts,
            nodes: BTreeMap::new(),
            durations: Durations::default(),
            options: Options::default(),
            faults: faults.iter().map(|fault| fault.parse().unwrap()).collect(),
        });
        Sim::new(world.unwrap(), 1)
    }

    fn w1() -> HostName {
        HostName::new("w1")
    }

    async fn state(sim: &Sim, name: &str) -> OpState {
        sim.operation(&w1(), &op(name)).await.unwrap()
    }

    async fn mutate(sim: &Sim, name: &str, timeout: Duration) -> Result<i32, Failure> {
        let ended = sim
            .mutate(&w1(), &op(name), &hook(), Token(1), timeout)
            .await;
        ended.map(|end| end.status)
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_is_awaited_another_is_refused_and_what_ended_is_told() {
        let sim = with(&[]);
        assert_eq!(state(&sim, "a").await, OpState::Absent);
        let late = async {
            sim.sleep(Duration::from_secs(3)).await;
            let same = mutate(&sim, "a", LONG);
            let other = mutate(&sim, "b", LONG);
            assert_eq!(state(&sim, "a").await, OpState::Running);
            futures::join!(same, other)
        };
        let (first, (same, other)) = futures::join!(mutate(&sim, "a", LONG), late);
        assert_eq!((first, same), (Ok(0), Ok(0)));
        assert!(
            matches!(&other, Err(Failure::Refused(why)) if why.contains("under way there: r1 a")),
            "{other:?}"
        );
        let OpState::Ended(end) = state(&sim, "a").await else {
            panic!("it has ended")
        };
        assert_eq!((end.status, end.took_ms), (0, 10_000));
        // told, not done again
        let before = sim.look(World::now);
        assert_eq!(mutate(&sim, "a", LONG).await, Ok(0));
        assert!(sim.look(World::now) - before < Duration::from_secs(1));
        assert_eq!(state(&sim, "b").await, OpState::Absent);
        assert_eq!(mutate(&sim, "b", LONG).await, Ok(0));
    }

    #[tokio::test(start_paused = true)]
    async fn what_takes_too_long_goes_on() {
        let sim = with(&[]);
        let ended = mutate(&sim, "a", Duration::from_secs(4)).await;
        assert!(
            matches!(&ended, Err(Failure::MaybeDone(why)) if why.contains("has not ended within 4 s")),
            "{ended:?}"
        );
        assert_eq!(state(&sim, "a").await, OpState::Running);
        assert_eq!(mutate(&sim, "a", LONG).await, Ok(0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_cut_is_bridged_and_a_long_one_told() {
        let sim = with(&["ssh-drop=20s:w1@hook"]);
        assert_eq!(mutate(&sim, "a", LONG).await, Ok(0));
        let sim = with(&["ssh-drop=2m:w1@hook"]);
        let ended = mutate(&sim, "a", LONG).await;
        assert!(
            matches!(&ended, Err(Failure::MaybeDone(why)) if why.contains("no answer in time")),
            "{ended:?}"
        );
        // whether it goes on cannot be asked, and nothing else can be begun
        let unknown = sim.operation(&w1(), &op("a")).await;
        assert!(matches!(unknown, Err(Failure::NotSent(_))), "{unknown:?}");
        let ended = mutate(&sim, "b", Duration::from_secs(10)).await;
        assert!(matches!(ended, Err(Failure::NotSent(_))), "{ended:?}");
        sim.sleep(Duration::from_secs(60)).await;
        assert!(matches!(state(&sim, "a").await, OpState::Ended(_)));
        assert_eq!(state(&sim, "b").await, OpState::Absent);
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_power_cut_ends_is_lost_and_may_be_begun_anew() {
        let sim = with(&["power-cut=20s:w1@hook"]);
        let ended = mutate(&sim, "a", LONG).await;
        assert!(
            matches!(&ended, Err(Failure::MaybeDone(why)) if why.contains("cut off")),
            "{ended:?}"
        );
        assert_eq!(state(&sim, "a").await, OpState::Lost);
        assert_eq!(mutate(&sim, "a", LONG).await, Ok(0));
        let never = with(&["host-gone:w1@hook"]);
        let ended = mutate(&never, "a", LONG).await;
        assert!(
            matches!(&ended, Err(Failure::MaybeDone(why)) if why.contains("no route to host")),
            "{ended:?}"
        );
        assert!(matches!(
            mutate(&never, "b", LONG).await,
            Err(Failure::NotSent(_))
        ));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_an_end_and_dpkg_is_mended() {
        let sim = with(&["dpkg-interrupted:w1"]);
        let packages = vec![refit::host::op::PackageRevision {
            name: "kubeadm".to_owned(),
            revision: "1.35.4-1.1".to_owned(),
        }];
        let manager = PackageManager::Apt;
        let install = Mutation::InstallPackages {
            manager,
            packages: packages.clone(),
        };
        let ended = sim
            .mutate(&w1(), &op("early"), &install, Token(1), LONG)
            .await
            .unwrap();
        assert_eq!(ended.status, 70);
        assert!(
            ended
                .output
                .contains("E: Version '1.35.4-1.1' for 'kubeadm' was not found"),
            "{ended:?}"
        );
        let switch = Mutation::SwitchRepository {
            manager,
            minor: "1.35".parse().unwrap(),
            file: "/etc/apt/sources.list.d/kubernetes.list".to_owned(),
            content: "deb [signed-by=/k] https://pkgs.k8s.io/core:/stable:/v1.35/deb/ /\n"
                .to_owned(),
            key_file: "/k".to_owned(),
            key: refit::host::op::KeyText::Url("https://x".to_owned()),
            key_sha256: build::KEY.to_owned(),
        };
        assert_eq!(
            sim.mutate(&w1(), &op("switch"), &switch, Token(1), LONG)
                .await
                .unwrap()
                .status,
            0
        );
        let ended = sim
            .mutate(&w1(), &op("a"), &install, Token(1), LONG)
            .await
            .unwrap();
        assert!(
            ended.output.contains("/usr/bin/dpkg exited unexpectedly"),
            "{ended:?}"
        );
        assert_eq!(
            sim.mutate(&w1(), &op("a"), &install, Token(1), LONG)
                .await
                .unwrap(),
            ended
        );
        let ended = sim
            .mutate(&w1(), &op("a#2"), &install, Token(1), LONG)
            .await
            .unwrap();
        assert_eq!(ended.status, 0, "{ended:?}");
        let probe = install.probe().unwrap();
        let answer = sim.query(&w1(), &probe).await.unwrap();
        assert_eq!(install.judge(&answer), Ok(refit::host::op::Standing::Done));
    }
}
