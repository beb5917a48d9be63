//! Plans for the world in memory, and how they are carried out.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;

use jiff::Timestamp;
use refit::cluster::facts::PackageManager;
use refit::cluster::model::{HostName, NodeName, Role};
use refit::host::op::{KubeadmOptions, PackageRevision};
use refit::plan::data::{Action, HookPoint, Limits, Plan, Rerun, Step, StepId};
use refit::plan::purpose::Purpose;
use refit::ports::{
    Approval, Ended, JournalFile, Metrics, MetricsError, MetricsServer, People, Programs, Sample,
    Store, World,
};
use refit::rules::version::Version;
use refit::run::event::Stamped;
use refit::run::executor::{Outcome, Run, execute};
use refit::run::journal::{Journal, read};
use refit::run::lease::{self, Claimant, Lease, Refusal};

use super::{Memory, NEW, Sim};

pub const RUN: &str = "r1";

pub fn plan(steps: Vec<Step>) -> Plan {
    Plan {
        format: "refit.plan/v1".into(),
        upgrade: "to-1.35".into(),
        inventory: "lab".into(),
        cluster_uid: "cluster-1".into(),
        target: new(),
        declaration_sha256: String::new(),
        windows: None,
        limits: Limits {
            workers_out_of_service: 1,
            control_planes_drained: true,
            workers_skip_minors: false,
            topology_key: None,
            control_planes_pause_s: 0,
            soaks: vec![],
            gates: vec![],
            hooks: vec![],
            workers_deferred: 0,
            outdated_avoided: false,
            left_out: vec![],
        },
        facts_at: Timestamp::UNIX_EPOCH,
        facts_fingerprint: String::new(),
        basis: BTreeMap::new(),
        notes: vec![],
        steps,
    }
}

pub fn step(id: &str, after: &[&str], action: Action) -> Step {
    Step {
        id: StepId::new(id),
        action,
        after: after.iter().map(|id| StepId::new(*id)).collect(),
        timeout_s: 300,
        retries: 0,
        because: String::new(),
        expected_s: 1,
    }
}

pub fn new() -> Version {
    NEW.parse().unwrap()
}

fn packages(names: &[&str]) -> Vec<PackageRevision> {
    names
        .iter()
        .map(|name| PackageRevision {
            name: (*name).into(),
            revision: format!("{NEW}-1.1"),
        })
        .collect()
}

pub fn install_kubeadm(host: &str) -> Action {
    Action::InstallKubeadm {
        host: HostName::new(host),
        manager: PackageManager::Apt,
        packages: packages(&["kubeadm"]),
    }
}

pub fn apply() -> Action {
    Action::KubeadmApply {
        host: HostName::new("cp1"),
        version: new(),
        options: KubeadmOptions::default(),
    }
}

pub fn install_kubelet(host: &str) -> Action {
    Action::InstallKubelet {
        host: HostName::new(host),
        manager: PackageManager::Apt,
        packages: packages(&["kubelet", "kubectl"]),
    }
}

pub fn drain(node: &str) -> Action {
    Action::Drain {
        node: NodeName::new(node),
        grace_period_s: None,
        delete_empty_dir_data: true,
        evict_unmanaged_pods: false,
        rules: vec![],
        others_timeout_s: None,
        deferral: None,
    }
}

/// A hook on a host while its node is drained, without a check.
pub fn hook(host: &str, rerun: Rerun) -> Action {
    Action::Hook {
        name: "patch".into(),
        at: HookPoint::Drained,
        host: Some(HostName::new(host)),
        node: Some(NodeName::new(host)),
        run: vec!["patch-os".into(), "a b".into()],
        check: None,
        env: BTreeMap::new(),
        directory: None,
        reboots: false,
        rerun,
    }
}

/// A patch of the whole usual cluster: control plane, `w1` and then `w2`, with `w3` beside `w1`.
pub fn whole() -> Plan {
    let manager = PackageManager::Apt;
    let node = NodeName::new;
    let host = HostName::new;
    let all = ["cp1", "w1", "w2", "w3"];
    let mut steps = vec![step(
        "check-cluster",
        &[],
        Action::CheckCluster {
            cluster_uid: "cluster-1".into(),
            host: host("cp1"),
            nodes: all.map(NodeName::new).into(),
        },
    )];
    for name in all {
        steps.push(step(
            &format!("{name}/check"),
            &[],
            Action::CheckHost {
                host: host(name),
                node: node(name),
                machine_id: format!("machine-{name}"),
                disk_free: [("/var/lib/etcd".to_owned(), 1000)].into(),
                patches: None,
            },
        ));
    }
    steps.push(step(
        "checked",
        &[
            "check-cluster",
            "cp1/check",
            "w1/check",
            "w2/check",
            "w3/check",
        ],
        Action::Barrier {
            holds: "all is fit".into(),
        },
    ));
    steps.push(step(
        "cp1/snapshot",
        &["checked"],
        Action::SnapshotEtcd {
            host: host("cp1"),
            file: "/var/lib/etcd/refit-{run}.db".into(),
            directory: "snapshots".into(),
            keep: 2,
            trial_restore: true,
            encrypt_to: Vec::new(),
        },
    ));
    steps.push(step(
        "w1/prefetch",
        &["cp1/snapshot"],
        Action::PrefetchPackages {
            host: host("w1"),
            manager,
            packages: packages(&["kubelet", "kubectl"]),
        },
    ));
    steps.push(step(
        "cp1/kubeadm",
        &["cp1/snapshot"],
        install_kubeadm("cp1"),
    ));
    steps.push(step(
        "cp1/images",
        &["cp1/kubeadm"],
        Action::PullImages {
            host: host("cp1"),
            version: new(),
            image_repository: "registry.k8s.io".into(),
        },
    ));
    steps.push(step("cp1/apply", &["cp1/images"], apply()));
    steps.push(step(
        "cp1/await",
        &["cp1/apply"],
        Action::AwaitControlPlane {
            host: host("cp1"),
            node: node("cp1"),
            version: new(),
        },
    ));
    steps.push(step(
        "addons",
        &["cp1/await"],
        Action::AwaitAddons {
            kube_proxy: Some(new()),
        },
    ));
    let mut last = String::from("addons");
    for name in ["cp1", "w1", "w3", "w2"] {
        let before = match name {
            "w3" => "cp1/uncordon".to_owned(),
            "w2" => "w1/uncordon".to_owned(),
            _ => last.clone(),
        };
        let id = |part: &str| format!("{name}/{part}");
        if name != "cp1" {
            steps.push(step(&id("kubeadm"), &[&before], install_kubeadm(name)));
            steps.push(step(
                &id("node"),
                &[&id("kubeadm")],
                Action::KubeadmNode {
                    host: host(name),
                    role: Role::Worker,
                    version: new(),
                    options: KubeadmOptions::default(),
                },
            ));
        }
        let ready = if name == "cp1" { before } else { id("node") };
        steps.push(step(
            &id("cordon"),
            &[&ready],
            Action::Cordon { node: node(name) },
        ));
        steps.push(step(&id("drain"), &[&id("cordon")], drain(name)));
        let mut empty = id("drain");
        if name == "w1" {
            steps.push(step(&id("hook"), &[&empty], hook(name, Rerun::Safe)));
            empty = id("hook");
        }
        steps.push(step(&id("kubelet"), &[&empty], install_kubelet(name)));
        steps.push(step(
            &id("await-node"),
            &[&id("kubelet")],
            Action::AwaitNode {
                node: node(name),
                version: new(),
            },
        ));
        let mut ready = id("await-node");
        if name == "cp1" {
            steps.push(step(&id("settle"), &[&ready], settle(1, None)));
            ready = id("settle");
        }
        steps.push(step(
            &id("uncordon"),
            &[&ready],
            Action::Uncordon {
                node: node(name),
                outdated: false,
            },
        ));
        last = id("uncordon");
    }
    steps.push(step(
        "w1/release",
        &["w1/prefetch", "w2/uncordon", "w3/uncordon"],
        Action::ReleaseHolds {
            host: host("w1"),
            manager,
            packages: vec!["kubectl".into()],
        },
    ));
    steps.push(step(
        "verify",
        &["w1/release"],
        Action::Verify {
            version: new(),
            control_planes: [(host("cp1"), node("cp1"))].into(),
            nodes: all.map(NodeName::new).into(),
            cordoned: vec![node("w3")],
            kube_proxy: Some(new()),
        },
    ));
    plan(steps)
}

/// Waits for the static pods of `cp1` after its kubelet was replaced, so many seconds without a break.
pub fn settle(steady_s: u64, lease: Option<&str>) -> Action {
    Action::AwaitStaticPods {
        host: HostName::new("cp1"),
        node: NodeName::new("cp1"),
        version: new(),
        steady_s,
        lease: lease.map(str::to_owned),
    }
}

/// Carries the plan out from what `text` tells, and goes on writing there.
pub async fn go(
    plan: &Plan,
    world: World<'_>,
    store: &dyn Store,
    text: &[u8],
    file: &mut dyn JournalFile,
    stop: impl Future<Output = ()>,
) -> (Outcome, Vec<Stamped>) {
    let around = Around {
        store,
        people: &Nobody,
        programs: &Nobody,
        metrics: &Nobody,
    };
    go_with(plan, world, around, text, file, stop).await
}

/// Nobody is here, and nobody has said anything.
pub struct Nobody;

impl People for Nobody {
    fn approval(&self, _: &str) -> std::io::Result<Option<Approval>> {
        Ok(None)
    }

    fn present(&self) -> bool {
        false
    }

    fn refit(&self) -> &str {
        "refit"
    }
}

#[async_trait(?Send)]
impl Programs for Nobody {
    async fn run(&self, _: &Path, words: &[String], _: Duration) -> std::io::Result<Ended> {
        unreachable!("{words:?}")
    }

    async fn run_alone(
        &self,
        name: &str,
        _: &Path,
        _: &[String],
        _: Duration,
    ) -> std::io::Result<Ended> {
        unreachable!("{name} is no hook")
    }

    fn goes_on(&self, _: &str) -> std::io::Result<Option<std::path::PathBuf>> {
        Ok(None)
    }
}

#[async_trait(?Send)]
impl Metrics for Nobody {
    async fn query(
        &self,
        _: MetricsServer<'_>,
        query: &str,
        _: Duration,
    ) -> Result<Vec<Sample>, MetricsError> {
        unreachable!("{query}")
    }
}

/// What is around a run besides its world.
#[derive(Clone, Copy)]
pub struct Around<'a> {
    pub store: &'a dyn Store,
    pub people: &'a dyn People,
    pub programs: &'a dyn Programs,
    pub metrics: &'a dyn Metrics,
}

/// The same, with these people and programs.
pub async fn go_with(
    plan: &Plan,
    world: World<'_>,
    around: Around<'_>,
    text: &[u8],
    file: &mut dyn JournalFile,
    stop: impl Future<Output = ()>,
) -> (Outcome, Vec<Stamped>) {
    let lease = held(world, plan).await;
    go_holding(plan, world, &lease, around, text, file, stop).await
}

/// The same, with a lease that was taken.
pub async fn go_holding(
    plan: &Plan,
    world: World<'_>,
    lease: &Lease<'_>,
    around: Around<'_>,
    text: &[u8],
    file: &mut dyn JournalFile,
    stop: impl Future<Output = ()>,
) -> (Outcome, Vec<Stamped>) {
    let past = read(text).unwrap();
    let mut seen = Vec::new();
    let run = Run {
        id: RUN,
        plan,
        plan_sha256: "p",
        refit: "0.1.0",
        pid: 1,
        world,
        store: around.store,
        people: around.people,
        programs: around.programs,
        metrics: around.metrics,
        lease,
    };
    let mut journal = Journal::after(&past, file);
    let mut events = |event: &Stamped| seen.push(event.clone());
    let outcome = execute(&run, past.state.clone(), &mut journal, &mut events, stop).await;
    (outcome, seen)
}

/// The lease, taken as a run in the same state directory takes it.
pub async fn held<'w>(world: World<'w>, plan: &Plan) -> Lease<'w> {
    try_held(world, plan)
        .await
        .unwrap_or_else(|refusal| panic!("{refusal}"))
}

/// The same, or why not.
pub async fn try_held<'w>(world: World<'w>, plan: &Plan) -> Result<Lease<'w>, Refusal> {
    let me = Claimant {
        run: RUN.into(),
        who: "ops@desk".into(),
        place: "here".into(),
    };
    let mut tell = |_: &str| {};
    // where a snapshot is restored, hosts know more than the lease does, and for a while there is none
    let hosts: BTreeSet<&HostName> = match plan.purpose() {
        Purpose::Restore => plan
            .steps
            .iter()
            .filter_map(|step| step.action.host())
            .collect(),
        Purpose::Upgrade | Purpose::Snapshot | Purpose::Rollback => BTreeSet::new(),
    };
    let seen = match lease::look(world, &me.place, &mut tell).await {
        Ok(seen) => seen,
        Err(Refusal::Unknown(_)) if !hosts.is_empty() => {
            return Lease::take_by_hosts(world, &me, &hosts).await;
        }
        Err(refusal) => return Err(refusal),
    };
    Lease::take(world, &me, seen, &hosts, &mut tell).await
}

/// Nobody asks it to stop.
pub fn never() -> impl Future<Output = ()> {
    std::future::pending()
}

/// A run that nobody stops; it takes up what its journal holds.
pub async fn go_on(plan: &Plan, sim: &Sim, memory: &mut Memory) -> (Outcome, Vec<Stamped>) {
    let text = memory.text.clone();
    go(plan, sim.world(), sim, &text, memory, never()).await
}

/// A run with a journal of its own.
pub async fn once(plan: &Plan, sim: &Sim) -> (Outcome, Vec<Stamped>) {
    go_on(plan, sim, &mut Memory::default()).await
}

/// Such a run, which ends well; its events.
pub async fn finishes(plan: &Plan, sim: &Sim) -> Vec<Stamped> {
    let (outcome, events) = once(plan, sim).await;
    assert!(matches!(outcome, Outcome::Finished { .. }), "{outcome:?}");
    events
}

/// Such a run, which halts; its failures.
pub async fn fails(plan: &Plan, sim: &Sim) -> Vec<(StepId, String)> {
    let (outcome, _) = once(plan, sim).await;
    let Outcome::Halted { failures, .. } = outcome else {
        unreachable!("{outcome:?}")
    };
    failures
}
