//! A cluster to be upgraded, the ports of its simulation, and a process that may die at any of its calls.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use refit::cluster::facts::{Facts, KubeadmConfig, KubeletConfig, Observed, Surroundings};
use refit::cluster::model::{Budget, Controller, HostName, Node, NodeName, Pod, Workload};
use refit::cluster::observe::observe;
use refit::documents::settings::{Hook, HookPlace, HookPoint, Rerun};
use refit::host::op::{Mutation, OpEnd, OpRef, OpState, Output, Query};
use refit::plan::data::Plan;
use refit::ports::{
    Approval, AttachedList, Claim, Clock, ClusterApi, Ended, Eviction, Failure, Hosts, JournalFile,
    Lease, People, Permit, PodList, Programs, Token, World as Ports,
};
use refit::rules::version::Version;
use refit::run::abandon::{Abandoned, Left, Refused, take_off};
use refit::run::executor::Outcome;
use refit::run::journal::read;
use refit::run::lease::Refusal;
use refit::sim::api::Options;
use refit::sim::machine::{Durations, machines};
use refit::sim::{Sim, World};
use tokio::sync::Notify;

use super::build;
use crate::world::plans::{Around, Nobody, RUN, go_holding, held, try_held};

/// A plan, and the world that it is for.
pub struct Stage {
    pub built: build::World,
    pub plan: Plan,
    pub world: World,
    /// What somebody else does to the cluster, asked at each moment with what the journal says.
    pub meddle: fn(&Sim, &[u8]),
}

/// Control planes and workers at 1.34.4, to become `target`: `web` with a pod on each worker of which one may be away,
/// CoreDNS on two control planes, a single `db`; the last worker was cordoned by someone else.
pub fn stage(control_planes: usize, workers: usize, target: &str) -> Stage {
    staged(control_planes, workers, target, |_| ())
}

/// The same, declared or observed otherwise.
pub fn staged(
    control_planes: usize,
    workers: usize,
    target: &str,
    otherwise: impl FnOnce(&mut build::World),
) -> Stage {
    let mut built = build::World::new(control_planes, workers, "1.34.4", target);
    let owned = |namespace: &str, name: &str, set: &str, node: &str| Pod {
        controller: Some(Controller {
            api_version: "apps/v1".into(),
            kind: "ReplicaSet".into(),
            name: set.into(),
        }),
        labels: [("app".to_owned(), set.to_owned())].into(),
        ..build::pod(namespace, name, node)
    };
    let replicas = i32::try_from(workers).unwrap();
    let dns = ["coredns-5f-a", "coredns-5f-b"];
    let image = || {
        BTreeMap::from([(
            "coredns".to_owned(),
            "registry.k8s.io/coredns/coredns:v1.12.1".to_owned(),
        )])
    };
    for (name, node) in dns.iter().zip(["cp1", "w1"]) {
        let pod = Pod {
            images: image(),
            ..owned("kube-system", name, "coredns-5f", node)
        };
        built.pods().push(pod);
    }
    built.pods().push(owned("shop", "db-0", "db", "w2"));
    built
        .pods()
        .sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    built
        .budgets()
        .push(build::budget("web", replicas - 1, replicas));
    let coredns = Workload {
        kind: "Deployment".into(),
        namespace: "kube-system".into(),
        name: "coredns".into(),
        desired: 2,
        updated: 2,
        ready: 2,
        up_to_date: true,
        images: image(),
    };
    build::known(&mut built.facts.cluster.workloads).insert(0, coredns);
    let last = format!("w{workers}");
    built.node(&last).unschedulable = true;
    built.upgrade.workers.max_unavailable =
        refit::documents::settings::Share::Count(u32::try_from(workers / 3).unwrap().max(1));
    otherwise(&mut built);
    let plan = built.planned();
    let nodes: BTreeMap<HostName, NodeName> = built
        .inventory
        .hosts
        .values()
        .map(|host| (host.name.clone(), host.node.clone()))
        .collect();
    let machines = machines(&built.facts, &nodes, Durations::default());
    let world = World::of(&built.facts, machines, Options::default());
    Stage {
        built,
        plan,
        world,
        meddle: |_, _| (),
    }
}

/// A hook that may run again at any time.
pub fn hook(name: &str, at: HookPoint, on: HookPlace) -> Hook {
    Hook {
        name: name.to_owned(),
        at,
        on,
        run: vec!["do".to_owned()],
        check: None,
        env: BTreeMap::new(),
        directory: "plans".to_owned(),
        timeout_s: 600,
        expected_s: None,
        reboots: false,
        rerun: Rerun::Safe,
    }
}

/// The cluster as it is, without what may differ between two runs that went well: names and places of pods, times, boots.
pub async fn outcome(sim: &Sim, built: &build::World) -> String {
    let ports = Ports {
        api: sim,
        hosts: sim,
        clock: sim,
    };
    // what still rolls or starts has its time
    Sim::sleep(sim, Duration::from_secs(120)).await;
    let mut facts = observe(ports, &built.inventory, Some(&built.upgrade), None).await;
    facts.observed_at = Timestamp::UNIX_EPOCH;
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    if let Observed::Known(pods) = &mut facts.cluster.pods {
        for pod in pods.drain(..) {
            let of = match &pod.controller {
                // each of these has its place
                Some(_) if pod.mirror => pod.name.clone(),
                Some(controller) => format!("{} {}", controller.kind, controller.name),
                None => pod.name.clone(),
            };
            let what = format!(
                "{}/{of} ready={} {:?}",
                pod.namespace, pod.ready, pod.images
            );
            *counts.entry(what).or_default() += 1;
        }
    }
    for host in facts.hosts.values_mut() {
        if let Observed::Known(host) = host {
            host.clock_offset_s = Observed::Known(0);
            // how much a run that was killed has left of its downloads
            host.disk_free = Observed::Known(BTreeMap::new());
        }
    }
    comparable(&mut facts);
    format!("{facts:#?}\n{counts:#?}\n{:#?}", files(sim))
}

fn comparable(facts: &mut Facts) {
    if let Observed::Known(etcd) = &mut facts.etcd {
        for member in &mut etcd.members {
            member.db_size = None;
        }
    }
    for host in facts.hosts.values_mut() {
        let own = match host {
            Observed::Known(host) => host.control_plane.as_mut(),
            Observed::Unknown(_) => None,
        };
        if let Some(own) = own {
            // renewed, and restarted, at whatever time
            own.certificates = Observed::Known(BTreeMap::new());
            if let Observed::Known(api_use) = &mut own.api_use {
                api_use.since = Timestamp::UNIX_EPOCH;
            }
        }
    }
}

/// Names of the snapshots on this machine.
fn files(sim: &Sim) -> Vec<String> {
    use refit::ports::Store as _;
    let listed = sim.list(Path::new(".refit/snapshots")).unwrap();
    listed.into_iter().map(|file| file.name).collect()
}

/// At each call and each line of the journal, before and after it: whether the process dies here.
pub type At<'s> = dyn FnMut(&Sim, &[u8], &'static str) -> bool + 's;

/// A process that may die at any call.
pub struct Process<'s> {
    sim: &'s Sim,
    at: RefCell<Box<At<'s>>>,
    journal: RefCell<Vec<u8>>,
    dead: Cell<bool>,
    died: Notify,
    meddle: fn(&Sim, &[u8]),
    pause_once: Option<&'static str>,
    programs: &'static dyn Programs,
}

impl<'s> Process<'s> {
    pub fn new(sim: &'s Sim, journal: Vec<u8>, at: Box<At<'s>>) -> Self {
        Self {
            meddle: |_, _| (),
            pause_once: None,
            programs: &Nobody,
            sim,
            at: RefCell::new(at),
            journal: RefCell::new(journal),
            dead: Cell::new(false),
            died: Notify::new(),
        }
    }

    /// With somebody else beside it.
    pub fn beside(self, meddle: fn(&Sim, &[u8])) -> Self {
        Self { meddle, ..self }
    }

    /// Somebody asks it to pause once the journal says this.
    pub fn asked_to_pause(self, once: &'static str) -> Self {
        Self {
            pause_once: Some(once),
            ..self
        }
    }

    /// With programs on this machine.
    pub fn with_programs(self, programs: &'static dyn Programs) -> Self {
        Self { programs, ..self }
    }

    fn dies(&self, what: &'static str) -> bool {
        if !self.dead.get() {
            (self.meddle)(self.sim, &self.journal.borrow());
            let dies = (self.at.borrow_mut())(self.sim, &self.journal.borrow(), what);
            if dies {
                self.dead.set(true);
                self.died.notify_one();
            }
        }
        self.dead.get()
    }

    async fn call<T>(&self, what: &'static str, call: impl Future<Output = T>) -> T {
        if self.dies(what) {
            return std::future::pending().await;
        }
        let answer = call.await;
        if self.dies(what) {
            return std::future::pending().await;
        }
        answer
    }

    /// Takes off what the journal's run has put on the cluster; none when the process has died.
    pub async fn abandon(self, plan: &Plan) -> Option<Result<Left, Refused>> {
        let past = read(&self.journal.borrow()).unwrap();
        let world = Ports {
            api: &self,
            hosts: &self,
            clock: &self,
        };
        let take_off = async {
            let lease = held(world, plan).await;
            let run = Abandoned {
                id: RUN,
                plan,
                state: &past.state,
                lease: &lease,
            };
            take_off(world, &run).await
        };
        tokio::select! {
            biased;
            () = self.died.notified() => None,
            left = take_off => Some(left),
        }
    }

    /// Carries the plan out; none when the process has died. Gives the journal.
    pub async fn run(self, plan: &Plan) -> (Option<Outcome>, Vec<u8>) {
        let (ended, journal) = self.try_run(plan).await;
        let ended = ended.map(|ended| ended.unwrap_or_else(|refusal| panic!("{refusal}")));
        (ended, journal)
    }

    /// The same, or why the lease is not to be had.
    pub async fn try_run(self, plan: &Plan) -> (Option<Result<Outcome, Refusal>>, Vec<u8>) {
        let text = self.journal.borrow().clone();
        let ended = {
            let ports = Ports {
                api: &self,
                hosts: &self,
                clock: &self,
            };
            let around = Around {
                store: self.sim,
                people: &self,
                programs: self.programs,
                metrics: &Nobody,
            };
            let mut file = Written(&self);
            let run = async {
                let lease = try_held(ports, plan).await?;
                let stop = std::future::pending();
                let run = go_holding(plan, ports, &lease, around, &text, &mut file, stop);
                let (outcome, _) = run.await;
                Ok(outcome)
            };
            tokio::select! {
                biased;
                () = self.died.notified() => None,
                ended = run => (!self.dead.get()).then_some(ended),
            }
        };
        (ended, self.journal.into_inner())
    }
}

/// Programs that end well.
pub struct Fine;

#[async_trait(?Send)]
impl Programs for Fine {
    async fn run(&self, _: &Path, _: &[String], _: Duration) -> std::io::Result<Ended> {
        Ok(Ended {
            status: Some(0),
            output: String::new(),
        })
    }
    async fn run_alone(
        &self,
        _: &str,
        directory: &Path,
        words: &[String],
        at_most: Duration,
    ) -> std::io::Result<Ended> {
        self.run(directory, words, at_most).await
    }
    fn goes_on(&self, _: &str) -> std::io::Result<Option<std::path::PathBuf>> {
        Ok(None)
    }
}

impl People for Process<'_> {
    fn approval(&self, _: &str) -> std::io::Result<Option<Approval>> {
        Ok(None)
    }
    fn present(&self) -> bool {
        false
    }
    fn pause(&self) -> std::io::Result<Option<Approval>> {
        let journal = self.journal.borrow();
        let said = |once: &str| String::from_utf8_lossy(&journal).contains(once);
        Ok(self.pause_once.filter(|once| said(once)).map(|_| Approval {
            by: "alice".into(),
            at: Timestamp::UNIX_EPOCH,
        }))
    }
    fn refit(&self) -> &str {
        "refit"
    }
}

struct Written<'p, 's>(&'p Process<'s>);

impl JournalFile for Written<'_, '_> {
    fn append(&mut self, line: &str) -> std::io::Result<()> {
        let gone = || std::io::Error::other("the process is dead");
        if self.0.dies("before a line of the journal") {
            return Err(gone());
        }
        self.0.sim.room_here()?;
        {
            let mut journal = self.0.journal.borrow_mut();
            journal.extend_from_slice(line.as_bytes());
            journal.push(b'\n');
        }
        if self.0.dies("after a line of the journal") {
            return Err(gone());
        }
        Ok(())
    }
}

#[async_trait(?Send)]
impl ClusterApi for Process<'_> {
    async fn cluster_uid(&self) -> Result<String, Failure> {
        self.call("cluster_uid", self.sim.cluster_uid()).await
    }
    async fn version(&self) -> Result<Version, Failure> {
        self.call("version", self.sim.version()).await
    }
    async fn ready(&self) -> Result<(), Failure> {
        self.call("ready", self.sim.ready()).await
    }
    async fn nodes(&self) -> Result<Vec<Node>, Failure> {
        self.call("nodes", self.sim.nodes()).await
    }
    async fn node(&self, name: &NodeName) -> Result<Node, Failure> {
        self.call("node", self.sim.node(name)).await
    }
    async fn pods(&self) -> Result<Vec<Pod>, Failure> {
        self.call("pods", self.sim.pods()).await
    }
    async fn pods_on(&self, node: &NodeName) -> Result<PodList, Failure> {
        self.call("pods_on", self.sim.pods_on(node)).await
    }
    async fn budgets(&self) -> Result<Vec<Budget>, Failure> {
        self.call("budgets", self.sim.budgets()).await
    }
    async fn workloads(&self) -> Result<Vec<Workload>, Failure> {
        self.call("workloads", self.sim.workloads()).await
    }
    async fn kubeadm_config(&self) -> Result<KubeadmConfig, Failure> {
        self.call("kubeadm_config", self.sim.kubeadm_config()).await
    }
    async fn kubelet_config(&self) -> Result<KubeletConfig, Failure> {
        self.call("kubelet_config", self.sim.kubelet_config()).await
    }
    async fn lease(&self, name: &str) -> Result<Lease, Failure> {
        self.call("lease", self.sim.lease(name)).await
    }
    async fn surroundings(&self) -> Surroundings {
        self.call("surroundings", self.sim.surroundings()).await
    }
    async fn claim(&self) -> Result<Option<Claim>, Failure> {
        self.call("claim", self.sim.claim()).await
    }
    async fn put_claim(&self, claim: &Claim, lasts: Duration) -> Result<(), Failure> {
        self.call("put_claim", self.sim.put_claim(claim, lasts))
            .await
    }
    async fn cordon(&self, permit: Permit, node: &NodeName, run: &str) -> Result<(), Failure> {
        self.call("cordon", self.sim.cordon(permit, node, run))
            .await
    }
    async fn uncordon(&self, permit: Permit, node: &NodeName) -> Result<(), Failure> {
        self.call("uncordon", self.sim.uncordon(permit, node)).await
    }
    async fn taint_outdated(
        &self,
        permit: Permit,
        node: &NodeName,
        outdated: bool,
    ) -> Result<(), Failure> {
        self.call("taint", self.sim.taint_outdated(permit, node, outdated))
            .await
    }
    async fn evict(
        &self,
        permit: Permit,
        pod: &Pod,
        grace: Option<Duration>,
    ) -> Result<Eviction, Failure> {
        self.call("evict", self.sim.evict(permit, pod, grace)).await
    }
    async fn pods_changed(&self, node: &NodeName, list: &PodList, at_most: Duration) {
        self.call("pods_changed", self.sim.pods_changed(node, list, at_most))
            .await;
    }
    async fn attached(&self, node: &NodeName) -> Result<AttachedList, Failure> {
        self.call("attached", self.sim.attached(node)).await
    }
    async fn attached_changed(&self, list: &AttachedList, at_most: Duration) {
        self.call("attached_changed", self.sim.attached_changed(list, at_most))
            .await;
    }
    async fn node_changed(&self, node: &NodeName, at_most: Duration) {
        self.call("node_changed", self.sim.node_changed(node, at_most))
            .await;
    }
}

#[async_trait(?Send)]
impl Hosts for Process<'_> {
    async fn query(&self, host: &HostName, query: &Query) -> Result<Output, Failure> {
        self.call("query", self.sim.query(host, query)).await
    }
    async fn mutate(
        &self,
        host: &HostName,
        op: &OpRef,
        mutation: &Mutation,
        token: Token,
        timeout: Duration,
    ) -> Result<OpEnd, Failure> {
        self.call(
            "mutate",
            self.sim.mutate(host, op, mutation, token, timeout),
        )
        .await
    }
    async fn fence(&self, host: &HostName, token: Token) -> Result<Token, Failure> {
        self.call("fence", self.sim.fence(host, token)).await
    }
    async fn operation(&self, host: &HostName, op: &OpRef) -> Result<OpState, Failure> {
        self.call("operation", self.sim.operation(host, op)).await
    }
    async fn download(
        &self,
        host: &HostName,
        file: &str,
        to: &Path,
        seal_to: &[String],
    ) -> Result<(u64, String), Failure> {
        self.call("download", self.sim.download(host, file, to, seal_to))
            .await
    }
    async fn upload(
        &self,
        host: &HostName,
        from: &Path,
        identity: Option<&Path>,
        file: &str,
        sha256: &str,
    ) -> Result<(), Failure> {
        let upload = self.sim.upload(host, from, identity, file, sha256);
        self.call("upload", upload).await
    }
}

#[async_trait(?Send)]
impl Clock for Process<'_> {
    fn now(&self) -> Timestamp {
        Clock::now(self.sim)
    }
    fn monotonic(&self) -> Duration {
        Clock::monotonic(self.sim)
    }
    async fn sleep(&self, duration: Duration) {
        if self.dead.get() {
            return std::future::pending().await;
        }
        Clock::sleep(self.sim, duration).await;
    }
}
