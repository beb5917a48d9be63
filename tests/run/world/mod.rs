//! A cluster in memory behind refit's ports, on tokio's paused time.
//!
//! It lives on when nobody looks: operations end on their hosts, pods leave and are replaced, whether or not the process
//! that asked for it still exists. What must never happen is written down as a violation when it does.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods
)]

pub mod killer;
pub mod plans;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use jiff::Timestamp;
use refit::cluster::facts::{KubeadmConfig, KubeletConfig, Surroundings};
use refit::cluster::model::{
    Budget, Controller, HostName, LabelSelector, Node, NodeName, OUTDATED, Pod, PodPhase, Role,
    Workload,
};
use refit::host::op::{Mutation, OpEnd, OpRef, OpState, Output, Query};
use refit::ports::{
    AttachedList, Claim, Clock, ClusterApi, Eviction, Failure, Hosts, Lease, Permit, PodList,
    Store, StoredFile, Token, World,
};
use refit::rules::eviction::{self, Admission};
use refit::rules::version::Version;
pub use refit::run::journal::Memory;

/// How long an operation takes on a host.
pub const OPERATION: Duration = Duration::from_secs(20);
/// How long a pod takes to end, and a new one to become ready.
pub const POD_ENDS: Duration = Duration::from_secs(2);
pub const POD_READY: Duration = Duration::from_secs(3);
/// A directory that every host has.
pub const PATCHES: &str = "/etc/kubernetes/patches";

/// How long a node is not ready after its kubelet was replaced.
const NODE_READY: Duration = Duration::from_secs(4);
const SNAPSHOT_SHA: &str = "d7adf89cbf90a86bdeea00ec08e74ec66acabc372d0cdc7ce2054b9da02b3fbe";
const SNAPSHOT_SIZE: u64 = 7_462_944;

pub const OLD: &str = "1.34.4";
pub const NEW: &str = "1.35.4";

#[derive(Debug, Clone)]
pub struct SimPod {
    pub pod: Pod,
    ready_at: Option<Duration>,
    gone_at: Option<Duration>,
    /// Never ends by itself.
    pub stuck: bool,
}

#[derive(Debug, Clone)]
pub struct SimBudget {
    pub name: String,
    pub app: String,
    pub min_available: i32,
    pub up_to_date: bool,
}

#[derive(Debug, Clone)]
struct Operation {
    mutation: Mutation,
    ends: Duration,
    status: i32,
    settled: bool,
    lost: bool,
}

#[derive(Debug, Clone)]
pub struct SimHost {
    pub role: Role,
    pub machine_id: String,
    pub revisions: BTreeMap<String, String>,
    pub held: BTreeSet<String>,
    pub static_pods: Version,
    pub prefetched: bool,
    pub images: bool,
    pub snapshot: bool,
    /// Snapshots of other runs, and their age in seconds.
    pub left: BTreeMap<String, u64>,
    operations: BTreeMap<OpRef, Operation>,
    /// A hook ran here to its good end, so often.
    pub hooked: u32,
    /// What the next checks of hooks end with; then 0 once one ran here, else 1.
    pub checks: VecDeque<i32>,
    /// The highest token it was told.
    pub token: u64,
    /// Another boot after each loss of power.
    boots: u32,
    /// Does not answer until then.
    down_until: Option<Duration>,
    /// The next operations end with these statuses.
    pub statuses: VecDeque<i32>,
}

impl SimHost {
    fn answers(&self, now: Duration) -> bool {
        self.down_until.is_none_or(|until| now >= until)
    }
}

/// What a scripted API server says to the next eviction of a pod.
#[derive(Debug, Clone)]
pub enum Says {
    Answer(Eviction),
    Fails(Failure),
    /// Granted, and the pod is replaced under its name on another node.
    Reborn,
}

#[derive(Debug, Default)]
pub struct Inner {
    pub nodes: BTreeMap<NodeName, Node>,
    node_ready_at: BTreeMap<NodeName, Duration>,
    pub pods: BTreeMap<String, SimPod>,
    pub budgets: Vec<SimBudget>,
    /// Wanted replicas, by app.
    pub sets: BTreeMap<String, usize>,
    pub hosts: BTreeMap<HostName, SimHost>,
    pub says: BTreeMap<String, VecDeque<Says>>,
    pub files: BTreeMap<PathBuf, (u64, String, i64)>,
    /// Changes of the API fail so often, with 403, as after an API server's restart.
    pub refusals: u32,
    /// How far the wall clock has jumped ahead.
    pub wall_ahead_s: i64,
    /// The API does not answer for refit's lease.
    pub api_down: bool,
    /// Writing refit's lease is refused so often, as after an API server's restart.
    pub claim_refusals: u32,
    /// refit's lease, and how often it was written.
    pub claim: Option<Claim>,
    pub claims: u32,
    /// Someone undoes each change of a cordon at once.
    pub stubborn: bool,
    /// What became of operations cannot be asked so often.
    pub silences: u32,
    /// The next calls for operations end like this, once the operation has begun.
    pub cuts: VecDeque<Failure>,
    /// When kube-controller-manager's leader dies: another leads from 16 s later on.
    pub leader_dies: Option<Duration>,
    pub evictions: Vec<(Duration, String)>,
    /// How long each pod was given, by those who asked.
    pub graces: Vec<(String, Option<Duration>)>,
    pub evictions_at_once: usize,
    pub changes: Vec<String>,
    pub violations: Vec<String>,
    uid: u32,
}

/// The cluster, and time.
pub struct Sim {
    pub inner: RefCell<Inner>,
    began: tokio::time::Instant,
}

impl Sim {
    pub fn new() -> Self {
        Self {
            inner: RefCell::default(),
            began: tokio::time::Instant::now(),
        }
    }

    /// A control plane `cp1`, workers `w1` to `w3` of which someone cordoned `w3`, `web` with four replicas and a budget of
    /// three, one replica of `db` without a budget.
    /// Makes a node not ready for a while.
    pub fn unready_for(&self, node: &NodeName, duration: Duration) {
        let back = self.now() + duration;
        let mut inner = self.inner.borrow_mut();
        inner.nodes.get_mut(node).unwrap().ready = false;
        inner.node_ready_at.insert(node.clone(), back);
    }

    pub fn usual() -> Self {
        let sim = Self::new();
        sim.host("cp1", Role::ControlPlane);
        for worker in ["w1", "w2", "w3"] {
            sim.host(worker, Role::Worker);
        }
        {
            let mut inner = sim.inner.borrow_mut();
            inner.sets.insert("web".into(), 4);
            inner.sets.insert("db".into(), 1);
        }
        for (app, node) in [
            ("web", "w1"),
            ("web", "w1"),
            ("web", "w2"),
            ("web", "w3"),
            ("db", "w1"),
        ] {
            sim.pod(app, node);
        }
        sim.budget("web", 3);
        sim.inner
            .borrow_mut()
            .nodes
            .get_mut(&NodeName::new("w3"))
            .unwrap()
            .unschedulable = true;
        sim
    }

    pub fn world(&self) -> World<'_> {
        World {
            api: self,
            hosts: self,
            clock: self,
        }
    }

    pub fn now(&self) -> Duration {
        self.began.elapsed()
    }

    pub fn host(&self, name: &str, role: Role) {
        let mut inner = self.inner.borrow_mut();
        let node = Node {
            name: NodeName::new(name),
            uid: format!("node-{name}"),
            labels: BTreeMap::new(),
            unschedulable: false,
            cordoned_by: None,
            ready: true,
            kubelet_version: OLD.into(),
            container_runtime: "containerd://2.0.0".into(),
            machine_id: format!("machine-{name}"),
            not_ready_because: None,
            system_uuid: String::new(),
            internal_ips: vec![],
            taints: match role {
                Role::ControlPlane => {
                    vec!["node-role.kubernetes.io/control-plane:NoSchedule".into()]
                }
                Role::Worker => vec![],
            },
            allocatable: None,
        };
        inner.nodes.insert(node.name.clone(), node);
        let packages = ["kubeadm", "kubelet", "kubectl"];
        inner.hosts.insert(
            HostName::new(name),
            SimHost {
                role,
                machine_id: format!("machine-{name}"),
                revisions: packages
                    .map(|p| (p.to_owned(), format!("{OLD}-1.1")))
                    .into(),
                held: packages.map(str::to_owned).into(),
                static_pods: OLD.parse().unwrap(),
                prefetched: false,
                images: false,
                snapshot: false,
                left: BTreeMap::new(),
                operations: BTreeMap::new(),
                hooked: 0,
                checks: VecDeque::new(),
                token: 0,
                boots: 0,
                down_until: None,
                statuses: VecDeque::new(),
            },
        );
    }

    /// A ready pod of a ReplicaSet; returns its name.
    pub fn pod(&self, app: &str, node: &str) -> String {
        let inner = &mut *self.inner.borrow_mut();
        inner.add(app, Some(NodeName::new(node)), None)
    }

    pub fn change_pod(&self, name: &str, change: impl FnOnce(&mut SimPod)) {
        let mut inner = self.inner.borrow_mut();
        let pod = inner
            .pods
            .values_mut()
            .find(|pod| pod.pod.name == name)
            .unwrap();
        change(pod);
    }

    pub fn budget(&self, app: &str, min_available: i32) {
        self.inner.borrow_mut().budgets.push(SimBudget {
            name: app.into(),
            app: app.into(),
            min_available,
            up_to_date: true,
        });
    }

    pub fn cordon_as(&self, node: &str, by: Option<&str>) {
        let mut inner = self.inner.borrow_mut();
        let node = inner.nodes.get_mut(&NodeName::new(node)).unwrap();
        node.unschedulable = true;
        node.cordoned_by = by.map(str::to_owned);
    }

    pub fn says(&self, pod: &str, answers: &[Says]) {
        self.inner
            .borrow_mut()
            .says
            .insert(pod.into(), answers.iter().cloned().collect());
    }

    pub fn pods_of(&self, node: &str) -> Vec<String> {
        let mut inner = self.inner.borrow_mut();
        inner.settle(self.now());
        inner
            .pods
            .values()
            .filter(|pod| pod.pod.node.as_ref().is_some_and(|on| on.as_str() == node))
            .map(|pod| pod.pod.name.clone())
            .collect()
    }

    /// Cuts the power of a host: what runs there is gone without an outcome.
    pub fn cut_power(&self, host: &str) {
        let mut inner = self.inner.borrow_mut();
        inner.settle(self.now());
        let host = inner.hosts.get_mut(&HostName::new(host)).unwrap();
        host.boots += 1;
        for operation in host.operations.values_mut() {
            if !operation.settled {
                operation.settled = true;
                operation.lost = true;
            }
        }
    }

    /// The host goes down and comes back; what ran there is gone without an outcome.
    pub fn reboot(&self, host: &str, takes: Duration) {
        self.cut_power(host);
        let back = self.now() + takes;
        let mut inner = self.inner.borrow_mut();
        inner
            .hosts
            .get_mut(&HostName::new(host))
            .unwrap()
            .down_until = Some(back);
    }

    pub fn change_host(&self, host: &str, change: impl FnOnce(&mut SimHost)) {
        change(
            self.inner
                .borrow_mut()
                .hosts
                .get_mut(&HostName::new(host))
                .unwrap(),
        );
    }

    /// What must be the same however a run went.
    pub fn outcome(&self) -> String {
        let mut inner = self.inner.borrow_mut();
        inner.settle(self.now());
        let mut text = String::new();
        for node in inner.nodes.values() {
            text += &format!(
                "{} unschedulable={} by={:?} ready={} kubelet={}\n",
                node.name, node.unschedulable, node.cordoned_by, node.ready, node.kubelet_version
            );
        }
        for (name, host) in &inner.hosts {
            text += &format!(
                "{name} {:?} held={:?} static={} snapshot={}\n",
                host.revisions, host.held, host.static_pods, host.snapshot
            );
        }
        for (app, wanted) in &inner.sets {
            let running = inner.pods.values().filter(|p| p.pod.labels["app"] == *app);
            text += &format!("{app}: {} of {wanted}\n", running.count());
        }
        for file in inner.files.keys() {
            text += &format!("{}\n", file.display());
        }
        text
    }
}

impl Inner {
    fn add(&mut self, app: &str, node: Option<NodeName>, ready_at: Option<Duration>) -> String {
        self.uid += 1;
        let name = format!("{app}-{}", self.uid);
        let uid = format!("uid-{:04}", self.uid);
        let pod = Pod {
            namespace: "shop".into(),
            name: name.clone(),
            uid: uid.clone(),
            phase: if node.is_some() {
                PodPhase::Running
            } else {
                PodPhase::Pending
            },
            node,
            labels: [("app".to_owned(), app.to_owned())].into(),
            ready: ready_at.is_none(),
            deletion_timestamp: None,
            controller: Some(Controller {
                api_version: "apps/v1".into(),
                kind: "ReplicaSet".into(),
                name: app.into(),
            }),
            mirror: false,
            empty_dir: false,
            images: BTreeMap::new(),
            placement: None,
        };
        let sim = SimPod {
            pod,
            ready_at,
            gone_at: None,
            stuck: false,
        };
        self.pods.insert(uid, sim);
        name
    }

    /// Lets everything happen that is due, in the order of its time.
    fn settle(&mut self, now: Duration) {
        loop {
            let due = |at: Option<Duration>| at.filter(|at| *at <= now);
            let mut next: Option<Duration> = None;
            let mut consider = |at: Option<Duration>| {
                if let Some(at) = due(at) {
                    next = Some(next.map_or(at, |next| next.min(at)));
                }
            };
            for pod in self.pods.values() {
                consider(pod.ready_at);
                consider(pod.gone_at);
            }
            for at in self.node_ready_at.values() {
                consider(Some(*at));
            }
            for host in self.hosts.values() {
                for operation in host.operations.values().filter(|op| !op.settled) {
                    consider(Some(operation.ends));
                }
            }
            let Some(at) = next else { break };
            self.happen(at);
        }
        self.control(now);
    }

    fn happen(&mut self, at: Duration) {
        self.pods.retain(|_, pod| pod.gone_at != Some(at));
        for pod in self.pods.values_mut() {
            if pod.ready_at == Some(at) {
                pod.ready_at = None;
                pod.pod.ready = true;
            }
        }
        let ready: Vec<NodeName> = self
            .node_ready_at
            .iter()
            .filter(|(_, when)| **when == at)
            .map(|(name, _)| name.clone())
            .collect();
        for name in ready {
            self.node_ready_at.remove(&name);
            self.nodes.get_mut(&name).unwrap().ready = true;
        }
        let ended: Vec<(HostName, OpRef)> = self
            .hosts
            .iter()
            .flat_map(|(name, host)| {
                host.operations
                    .iter()
                    .filter(|(_, operation)| !operation.settled && operation.ends == at)
                    .map(|(op, _)| (name.clone(), op.clone()))
            })
            .collect();
        for (name, op) in ended {
            self.end(&name, &op, at);
        }
        self.control(at);
    }

    /// The controllers: replaces pods that are leaving, places those that wait, and watches the budgets.
    fn control(&mut self, at: Duration) {
        for (app, wanted) in self.sets.clone() {
            let staying = self
                .pods
                .values()
                .filter(|pod| pod.pod.labels["app"] == app && pod.pod.deletion_timestamp.is_none())
                .count();
            for _ in staying..wanted {
                self.add(&app, None, Some(Duration::MAX));
            }
        }
        let waiting: Vec<String> = self
            .pods
            .iter()
            .filter(|(_, pod)| pod.pod.node.is_none())
            .map(|(uid, _)| uid.clone())
            .collect();
        for uid in waiting {
            let place = self
                .nodes
                .values()
                .filter(|node| !node.unschedulable && node.taints.is_empty())
                .map(|node| {
                    let here = |pod: &&SimPod| pod.pod.node.as_ref() == Some(&node.name);
                    (self.pods.values().filter(here).count(), node.name.clone())
                })
                .min();
            if let (Some((_, node)), Some(pod)) = (place, self.pods.get_mut(&uid)) {
                pod.pod.node = Some(node);
                pod.pod.phase = PodPhase::Running;
                pod.ready_at = Some(at + POD_READY);
            }
        }
        for budget in self.statuses() {
            if budget.current_healthy < budget.desired_healthy {
                self.violations.push(format!(
                    "budget {} broken at {at:?}: {} healthy",
                    budget.name, budget.current_healthy
                ));
            }
        }
    }

    fn statuses(&self) -> Vec<Budget> {
        self.budgets
            .iter()
            .map(|budget| {
                let healthy = self
                    .pods
                    .values()
                    .filter(|pod| {
                        pod.pod.labels["app"] == budget.app
                            && pod.pod.ready
                            && pod.pod.deletion_timestamp.is_none()
                    })
                    .count() as i32;
                Budget {
                    namespace: "shop".into(),
                    name: budget.name.clone(),
                    selector: Some(LabelSelector {
                        match_labels: [("app".to_owned(), budget.app.clone())].into(),
                        match_expressions: vec![],
                    }),
                    min_available: Some(budget.min_available.to_string()),
                    max_unavailable: None,
                    always_allow_unhealthy: false,
                    disruptions_allowed: (healthy - budget.min_available).max(0),
                    current_healthy: healthy,
                    desired_healthy: budget.min_available,
                    expected_pods: self.sets.get(&budget.app).map_or(0, |n| *n as i32),
                    up_to_date: budget.up_to_date,
                    sync_failed: None,
                }
            })
            .collect()
    }

    fn delete(&mut self, uid: &str, now: Duration) {
        if let Some(pod) = self.pods.get_mut(uid)
            && pod.pod.deletion_timestamp.is_none()
        {
            pod.pod.deletion_timestamp = Some(now.as_secs() as i64);
            if !pod.stuck {
                pod.gone_at = Some(now + POD_ENDS);
            }
        }
        self.control(now);
    }

    /// An operation ends and takes effect.
    fn end(&mut self, name: &HostName, op: &OpRef, at: Duration) {
        let host = self.hosts.get_mut(name).unwrap();
        let operation = host.operations.get_mut(op).unwrap();
        operation.settled = true;
        if operation.status != 0 {
            return;
        }
        let new: Version = NEW.parse().unwrap();
        match operation.mutation.clone() {
            Mutation::HoldPackages { packages, .. } => host.held.extend(packages),
            Mutation::ReleaseHolds { packages, .. } => {
                host.held.retain(|held| !packages.contains(held));
            }
            Mutation::PrefetchPackages { .. } => host.prefetched = true,
            Mutation::InstallPackages { packages, .. } => {
                for package in packages {
                    host.held.insert(package.name.clone());
                    host.revisions.insert(package.name, package.revision);
                }
            }
            Mutation::InstallKubelet { packages, .. } => {
                for package in packages {
                    host.held.insert(package.name.clone());
                    host.revisions.insert(package.name, package.revision);
                }
                let node = NodeName::new(name.as_str());
                let known = self.nodes.get_mut(&node).unwrap();
                if host.role == Role::Worker && !known.unschedulable {
                    self.violations
                        .push(format!("{name}: kubelet replaced on a schedulable node"));
                }
                known.kubelet_version = NEW.into();
                known.ready = false;
                self.node_ready_at.insert(node, at + NODE_READY);
            }
            Mutation::PullImages { .. } => host.images = true,
            Mutation::KubeadmApply { .. } => host.static_pods = new,
            Mutation::KubeadmNode { role, .. } => {
                if role == Role::ControlPlane {
                    host.static_pods = new;
                }
            }
            Mutation::SaveSnapshot { .. } => host.snapshot = true,
            Mutation::RemoveSnapshot { .. } => host.snapshot = false,
            Mutation::RemoveLeftSnapshots { files, .. } => {
                host.left.retain(|name, _| !files.contains(name));
            }
            Mutation::PutBack(_) | Mutation::WayBack(_) => panic!("no snapshot is restored here"),
            Mutation::Hook { .. } => host.hooked += 1,
            Mutation::SwitchRepository { .. } => {}
        }
    }

    fn refuse(&mut self) -> Result<(), Failure> {
        if self.refusals > 0 {
            self.refusals -= 1;
            return Err(Failure::Refused(
                "User \"kubernetes-admin\" cannot get resource \"nodes\"".into(),
            ));
        }
        Ok(())
    }

    fn mirrors(&self, name: &NodeName) -> Vec<Pod> {
        let Some(host) = self.hosts.get(&HostName::new(name.as_str())) else {
            return vec![];
        };
        if host.role == Role::Worker {
            return vec![];
        }
        images(&host.static_pods)
            .into_iter()
            .map(|(component, image)| Pod {
                namespace: "kube-system".into(),
                name: format!("{component}-{name}"),
                uid: format!("{component}-{name}-{}", host.static_pods),
                node: Some(name.clone()),
                labels: BTreeMap::new(),
                phase: PodPhase::Running,
                ready: true,
                deletion_timestamp: None,
                controller: None,
                mirror: true,
                empty_dir: false,
                images: [(component.to_owned(), image)].into(),
                placement: None,
            })
            .collect()
    }
}

fn images(version: &Version) -> Vec<(&'static str, String)> {
    let mut images: Vec<_> = [
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
    ]
    .map(|component| {
        (
            component,
            format!("registry.k8s.io/{component}:{}", version.tag()),
        )
    })
    .into();
    images.push(("etcd", "registry.k8s.io/etcd:3.6.5-0".into()));
    images
}

#[async_trait(?Send)]
impl ClusterApi for Sim {
    async fn cluster_uid(&self) -> Result<String, Failure> {
        Ok("cluster-1".into())
    }

    async fn version(&self) -> Result<Version, Failure> {
        Ok(OLD.parse().unwrap())
    }

    async fn ready(&self) -> Result<(), Failure> {
        tokio::task::yield_now().await;
        Ok(())
    }

    async fn nodes(&self) -> Result<Vec<Node>, Failure> {
        let mut inner = self.inner.borrow_mut();
        inner.settle(self.now());
        Ok(inner.nodes.values().cloned().collect())
    }

    async fn node(&self, name: &NodeName) -> Result<Node, Failure> {
        tokio::task::yield_now().await;
        let mut inner = self.inner.borrow_mut();
        inner.settle(self.now());
        inner
            .nodes
            .get(name)
            .cloned()
            .ok_or_else(|| Failure::NotFound(format!("nodes \"{name}\" not found")))
    }

    async fn pods(&self) -> Result<Vec<Pod>, Failure> {
        let mut inner = self.inner.borrow_mut();
        inner.settle(self.now());
        Ok(inner.pods.values().map(|pod| pod.pod.clone()).collect())
    }

    async fn pods_on(&self, node: &NodeName) -> Result<PodList, Failure> {
        tokio::task::yield_now().await;
        let mut inner = self.inner.borrow_mut();
        inner.settle(self.now());
        let mut pods = inner.mirrors(node);
        pods.extend(
            inner
                .pods
                .values()
                .filter(|pod| pod.pod.node.as_ref() == Some(node))
                .map(|pod| pod.pod.clone()),
        );
        Ok(PodList {
            pods,
            resource_version: "1".into(),
        })
    }

    async fn budgets(&self) -> Result<Vec<Budget>, Failure> {
        let mut inner = self.inner.borrow_mut();
        inner.settle(self.now());
        Ok(inner.statuses())
    }

    async fn workloads(&self) -> Result<Vec<Workload>, Failure> {
        let mut inner = self.inner.borrow_mut();
        inner.settle(self.now());
        let version = inner
            .hosts
            .values()
            .find(|host| host.role == Role::ControlPlane)
            .map(|host| host.static_pods.clone())
            .unwrap();
        let workload = |kind: &str, name: &str, image: String| Workload {
            kind: kind.into(),
            namespace: "kube-system".into(),
            name: name.into(),
            desired: 2,
            updated: 2,
            ready: 2,
            up_to_date: true,
            images: [(name.to_owned(), image)].into(),
        };
        Ok(vec![
            workload(
                "DaemonSet",
                "kube-proxy",
                format!("registry.k8s.io/kube-proxy:{}", version.tag()),
            ),
            workload(
                "Deployment",
                "coredns",
                "registry.k8s.io/coredns/coredns:v1.12.1".into(),
            ),
        ])
    }

    async fn kubeadm_config(&self) -> Result<KubeadmConfig, Failure> {
        Err(Failure::NotFound("not here".into()))
    }

    async fn kubelet_config(&self) -> Result<KubeletConfig, Failure> {
        Err(Failure::NotFound("not here".into()))
    }

    async fn lease(&self, name: &str) -> Result<Lease, Failure> {
        if name != "kube-system/kube-controller-manager" {
            return Err(Failure::NotFound(format!(
                "reading Lease {name}: not found"
            )));
        }
        let now = self.now();
        let dies = self.inner.borrow().leader_dies;
        let (holder, led) = match dies {
            Some(dies) if now >= dies + Duration::from_secs(16) => ("cp1_2", now),
            Some(dies) => ("cp1_1", now.min(dies)),
            None => ("cp1_1", now),
        };
        let renewed = i64::try_from(led.as_secs() / 2 * 2).unwrap();
        Ok(Lease {
            holder: holder.to_owned(),
            renewed: Some(Timestamp::from_second(renewed).unwrap()),
        })
    }

    async fn surroundings(&self) -> Surroundings {
        Surroundings::default()
    }

    async fn claim(&self) -> Result<Option<Claim>, Failure> {
        tokio::task::yield_now().await;
        let inner = self.inner.borrow();
        match inner.api_down {
            true => Err(Failure::NotSent("connection refused".into())),
            false => Ok(inner.claim.clone()),
        }
    }

    async fn put_claim(&self, claim: &Claim, _: Duration) -> Result<(), Failure> {
        tokio::task::yield_now().await;
        let inner = &mut *self.inner.borrow_mut();
        if inner.api_down {
            return Err(Failure::NotSent("connection refused".into()));
        }
        if inner.claim_refusals > 0 {
            inner.claim_refusals -= 1;
            return Err(Failure::Refused("cannot update resource \"leases\"".into()));
        }
        if inner.claim.as_ref().and_then(|known| known.version.clone()) != claim.version {
            return Err(Failure::Refused("somebody else wrote it meanwhile".into()));
        }
        inner.claims += 1;
        let version = Some(inner.claims.to_string());
        let claim = Claim {
            version,
            ..claim.clone()
        };
        inner.claim = Some(claim);
        Ok(())
    }

    async fn cordon(&self, _: Permit, name: &NodeName, run: &str) -> Result<(), Failure> {
        tokio::task::yield_now().await;
        let mut inner = self.inner.borrow_mut();
        inner.settle(self.now());
        inner.refuse()?;
        inner.changes.push(format!("cordon {name}"));
        if inner.stubborn {
            return Ok(());
        }
        let node = inner.nodes.get_mut(name).unwrap();
        let foreign = node.unschedulable && node.cordoned_by.is_none();
        node.unschedulable = true;
        node.cordoned_by = Some(run.into());
        if foreign {
            inner
                .violations
                .push(format!("{name}: took over a foreign cordon"));
        }
        Ok(())
    }

    async fn uncordon(&self, _: Permit, name: &NodeName) -> Result<(), Failure> {
        tokio::task::yield_now().await;
        let mut inner = self.inner.borrow_mut();
        inner.settle(self.now());
        inner.refuse()?;
        inner.changes.push(format!("uncordon {name}"));
        let node = inner.nodes.get_mut(name).unwrap();
        let foreign = node.unschedulable && node.cordoned_by.is_none();
        node.unschedulable = false;
        node.cordoned_by = None;
        if foreign {
            inner
                .violations
                .push(format!("{name}: removed a foreign cordon"));
        }
        let now = self.now();
        inner.control(now);
        Ok(())
    }

    async fn taint_outdated(
        &self,
        _: Permit,
        name: &NodeName,
        outdated: bool,
    ) -> Result<(), Failure> {
        tokio::task::yield_now().await;
        let mut inner = self.inner.borrow_mut();
        inner.settle(self.now());
        inner.refuse()?;
        inner.changes.push(format!("taint {name}: {outdated}"));
        let node = inner.nodes.get_mut(name).unwrap();
        node.taints.retain(|taint| taint != OUTDATED);
        if outdated {
            node.taints.push(OUTDATED.to_owned());
        }
        Ok(())
    }

    async fn evict(
        &self,
        _: Permit,
        pod: &Pod,
        grace: Option<Duration>,
    ) -> Result<Eviction, Failure> {
        self.inner.borrow_mut().evictions_at_once += 1;
        tokio::time::sleep(Duration::from_millis(5)).await;
        let now = self.now();
        let mut inner = self.inner.borrow_mut();
        let inner = &mut *inner;
        inner.evictions_at_once -= 1;
        inner.settle(now);
        inner.evictions.push((now, pod.name.clone()));
        inner.graces.push((pod.name.clone(), grace));
        match inner.says.get_mut(&pod.name).and_then(VecDeque::pop_front) {
            None => {}
            Some(Says::Answer(answer)) => return Ok(answer),
            Some(Says::Fails(failure)) => return Err(failure),
            Some(Says::Reborn) => {
                let mut reborn = inner.pods.remove(&pod.uid).unwrap();
                reborn.pod.uid = format!("{}-reborn", pod.uid);
                reborn.pod.node = Some(NodeName::new("elsewhere"));
                inner.pods.insert(reborn.pod.uid.clone(), reborn);
                return Ok(Eviction::Gone);
            }
        }
        let Some(known) = inner.pods.get(&pod.uid) else {
            return Ok(Eviction::Gone);
        };
        let budgets = inner.statuses();
        match eviction::admission(&known.pod, &budgets) {
            Admission::Bypassed
            | Admission::NoBudget
            | Admission::Unready(_)
            | Admission::Charged(_) => {
                inner.delete(&pod.uid, now);
                Ok(Eviction::Granted)
            }
            Admission::Exhausted(budget) => Ok(Eviction::Blocked {
                message: format!(
                    "The disruption budget {} needs {} healthy pods and has {} currently",
                    budget.name, budget.desired_healthy, budget.current_healthy
                ),
                retry_after: None,
            }),
            Admission::NotObserved(budget) => Ok(Eviction::Blocked {
                message: format!("budget {} is still being processed", budget.name),
                retry_after: Some(Duration::from_secs(10)),
            }),
            Admission::Negative(_) => Ok(Eviction::Denied("negative".into())),
            Admission::SeveralBudgets => Ok(Eviction::Denied(
                "This pod has more than one PodDisruptionBudget".into(),
            )),
        }
    }

    async fn pods_changed(&self, _: &NodeName, _: &PodList, at_most: Duration) {
        tokio::time::sleep(at_most.min(Duration::from_millis(700))).await;
    }

    async fn attached(&self, _: &NodeName) -> Result<AttachedList, Failure> {
        tokio::task::yield_now().await;
        let mut inner = self.inner.borrow_mut();
        inner.settle(self.now());
        inner.refuse()?;
        Ok(AttachedList {
            volumes: Vec::new(),
            resource_version: "1".to_owned(),
        })
    }

    async fn attached_changed(&self, _: &AttachedList, _: Duration) {}

    async fn node_changed(&self, _: &NodeName, at_most: Duration) {
        tokio::time::sleep(at_most.min(Duration::from_millis(700))).await;
    }
}

/// The answer of a host's script, from its sections.
fn answer(sections: &[(&str, &str)]) -> Output {
    let mut stdout = String::new();
    for (name, text) in sections {
        let encoded = base64::engine::general_purpose::STANDARD.encode(text);
        stdout += &format!("{name}\t0\t{encoded}\n");
    }
    Output {
        status: 0,
        stdout,
        stderr: String::new(),
    }
}

#[async_trait(?Send)]
impl Hosts for Sim {
    async fn query(&self, name: &HostName, query: &Query) -> Result<Output, Failure> {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let mut inner = self.inner.borrow_mut();
        inner.settle(self.now());
        let now = self.now();
        // clocks there go with the one here
        let clock_ms = 1_795_000_000_000 + inner.wall_ahead_s * 1000 + now.as_millis() as i64;
        let Some(host) = inner.hosts.get_mut(name).filter(|host| host.answers(now)) else {
            return Err(Failure::NotSent(format!("{name}: no route to host")));
        };
        Ok(match query {
            Query::HookCheck { .. } => {
                let usual = i32::from(host.hooked == 0);
                let status = host.checks.pop_front().unwrap_or(usual);
                Output {
                    status,
                    stdout: format!("{} hooks\n", host.hooked),
                    stderr: String::new(),
                }
            }
            Query::Basics => {
                let running = host.operations.iter().find(|(_, op)| !op.settled);
                answer(&[
                    ("uid", "0"),
                    ("hostname", name.as_str()),
                    ("machine-id", &host.machine_id),
                    ("boot-id", &format!("b{}", host.boots)),
                    ("os", "Debian"),
                    ("cgroup", "cgroup2fs"),
                    ("disk", "/var/lib/etcd\t5000"),
                    ("operation", running.map_or("", |(op, _)| &op.op)),
                    ("clock-ms", &clock_ms.to_string()),
                ])
            }
            Query::Installed { .. } => {
                let installed = host.revisions.iter().fold(String::new(), |text, (p, rev)| {
                    let state = if host.held.contains(p) { "hi " } else { "ii " };
                    text + &format!("{p}\t{rev}\t{state}\n")
                });
                answer(&[
                    ("manager", "apt"),
                    ("installed", installed.trim_end_matches('\n')),
                    ("kubelet", "installed"),
                ])
            }
            Query::Prefetched { .. } => {
                answer(&[("missing", if host.prefetched { "0" } else { "2" })])
            }
            Query::Images { version, .. } => {
                let wanted = format!("registry.k8s.io/kube-proxy:{}", version.tag());
                answer(&[
                    ("present-ctr", if host.images { &wanted } else { "x:1" }),
                    ("wanted", &wanted),
                ])
            }
            Query::Manifests => {
                let pods = images(&host.static_pods);
                let files: Vec<(String, String)> = pods
                    .iter()
                    .map(|(component, image)| {
                        let text = format!("spec:\n  containers:\n  - image: {image}\n");
                        (format!("{component}.yaml"), text)
                    })
                    .collect();
                let mut sections = vec![("all", "")];
                for (file, text) in &files {
                    sections.extend([
                        ("path", file.as_str()),
                        ("sha256", SNAPSHOT_SHA),
                        ("text", text.as_str()),
                    ]);
                }
                answer(&sections)
            }
            Query::ApiServerReady => answer(&[("ready", "[+]ping ok\nreadyz check passed\n")]),
            Query::ApiServerVersion => answer(&[(
                "version",
                &format!("{{\"gitVersion\":\"{}\"}}", host.static_pods.tag()),
            )]),
            Query::Etcd => answer(&[
                (
                    "members",
                    r#"{"members":[{"ID":7,"name":"cp1","clientURLs":["https://10.0.0.1:2379"]}]}"#,
                ),
                (
                    "health",
                    r#"[{"endpoint":"https://10.0.0.1:2379","health":true}]"#,
                ),
                (
                    "status",
                    r#"[{"Status":{"header":{"member_id":7},"version":"3.6.5","dbSize":45}}]"#,
                ),
                ("alarms", "{}"),
            ]),
            Query::Snapshot { .. } if host.snapshot => answer(&[
                ("sha256", SNAPSHOT_SHA),
                ("size", &SNAPSHOT_SIZE.to_string()),
                ("archive-sha256", SNAPSHOT_SHA),
                ("archive-size", &SNAPSHOT_SIZE.to_string()),
                ("verdict", r#"{"hash":1,"revision":42,"totalKey":8}"#),
                ("release", "etcdutl version: 3.6.5\nAPI version: 3.6"),
                ("authority", SNAPSHOT_SHA),
            ]),
            Query::Snapshot { .. } => answer(&[
                ("sha256", ""),
                ("size", ""),
                ("archive-sha256", ""),
                ("archive-size", ""),
                ("verdict", ""),
                ("release", ""),
                ("authority", SNAPSHOT_SHA),
            ]),
            Query::LeftSnapshots { .. } => {
                let lines = host.left.iter().map(|(name, age)| format!("{age}\t{name}"));
                answer(&[("left", &lines.collect::<Vec<_>>().join("\n"))])
            }
            Query::Directory { path } => Output {
                status: i32::from(path != PATCHES),
                ..Output::default()
            },
            other => panic!("the executor does not ask {other:?}"),
        })
    }

    async fn mutate(
        &self,
        name: &HostName,
        op: &OpRef,
        mutation: &Mutation,
        token: Token,
        timeout: Duration,
    ) -> Result<OpEnd, Failure> {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let now = self.now();
        let ends = {
            let inner = &mut *self.inner.borrow_mut();
            inner.settle(now);
            let Some(host) = inner.hosts.get_mut(name).filter(|host| host.answers(now)) else {
                return Err(Failure::NotSent(format!("{name}: no route to host")));
            };
            match host.operations.get(op) {
                Some(known) => known.ends,
                None if token.0 < host.token => {
                    let known = host.token;
                    return Err(Failure::Refused(format!("{name}: knows token {known}")));
                }
                None => {
                    host.token = token.0;
                    if let Some((other, _)) = host.operations.iter().find(|(_, op)| !op.settled) {
                        inner
                            .violations
                            .push(format!("{name}: {} beside {}", op.op, other.op));
                        return Err(Failure::Refused(format!("{} is under way", other.op)));
                    }
                    let again = host.operations.values().any(|before| {
                        before.mutation == *mutation
                            && before.settled
                            && !before.lost
                            && before.status == 0
                    });
                    if again {
                        let problem = format!("{name}: {} ran again after its success", op.op);
                        inner.violations.push(problem);
                    }
                    let status = host.statuses.pop_front().unwrap_or(0);
                    let ends = now + OPERATION;
                    host.operations.insert(
                        op.clone(),
                        Operation {
                            mutation: mutation.clone(),
                            ends,
                            status,
                            settled: false,
                            lost: false,
                        },
                    );
                    inner.changes.push(format!("{name} {}", op.op));
                    ends
                }
            }
        };
        let cut = self.inner.borrow_mut().cuts.pop_front();
        if let Some(failure) = cut {
            return Err(failure);
        }
        let left = ends.saturating_sub(self.now());
        tokio::time::sleep(left.min(timeout)).await;
        if left > timeout {
            return Err(Failure::MaybeDone("not ended in time".into()));
        }
        let mut inner = self.inner.borrow_mut();
        inner.settle(self.now());
        let known = &inner.hosts[name].operations[op];
        if known.lost {
            return Err(Failure::MaybeDone("connection closed".into()));
        }
        Ok(end(known))
    }

    async fn fence(&self, name: &HostName, token: Token) -> Result<Token, Failure> {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let now = self.now();
        let mut inner = self.inner.borrow_mut();
        let Some(host) = inner.hosts.get_mut(name).filter(|host| host.answers(now)) else {
            return Err(Failure::NotSent(format!("{name}: no route to host")));
        };
        host.token = host.token.max(token.0);
        Ok(Token(host.token))
    }

    async fn operation(&self, name: &HostName, op: &OpRef) -> Result<OpState, Failure> {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let mut inner = self.inner.borrow_mut();
        inner.settle(self.now());
        if inner.silences > 0 {
            inner.silences -= 1;
            return Err(Failure::NotSent(format!("{name}: connection refused")));
        }
        let now = self.now();
        let Some(host) = inner.hosts.get(name).filter(|host| host.answers(now)) else {
            return Err(Failure::NotSent(format!("{name}: no route to host")));
        };
        Ok(match host.operations.get(op) {
            None => OpState::Absent,
            Some(known) if known.lost => OpState::Lost,
            Some(known) if !known.settled => OpState::Running,
            Some(known) => OpState::Ended(end(known)),
        })
    }

    async fn download(
        &self,
        _: &HostName,
        _: &str,
        to: &Path,
        _: &[String],
    ) -> Result<(u64, String), Failure> {
        let file = (SNAPSHOT_SIZE, SNAPSHOT_SHA.to_owned());
        let partial = (SNAPSHOT_SIZE / 2, "partial".into(), 100);
        self.inner.borrow_mut().files.insert(to.into(), partial);
        tokio::time::sleep(Duration::from_secs(2)).await;
        let whole = (file.0, file.1.clone(), 100);
        self.inner.borrow_mut().files.insert(to.into(), whole);
        Ok(file)
    }

    async fn upload(
        &self,
        host: &HostName,
        _: &Path,
        _: Option<&Path>,
        _: &str,
        _: &str,
    ) -> Result<(), Failure> {
        panic!("nothing is copied to {host}")
    }
}

fn end(operation: &Operation) -> OpEnd {
    OpEnd {
        status: operation.status,
        output: if operation.status == 0 {
            "fine".into()
        } else {
            "E: something is wrong\u{1b}".into()
        },
        took_ms: 20_000,
    }
}

#[async_trait(?Send)]
impl Clock for Sim {
    fn now(&self) -> Timestamp {
        let ahead = self.inner.borrow().wall_ahead_s * 1000;
        Timestamp::from_millisecond(1_795_000_000_000 + ahead + Sim::now(self).as_millis() as i64)
            .unwrap()
    }

    fn monotonic(&self) -> Duration {
        Sim::now(self)
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

impl Store for Sim {
    fn list(&self, directory: &Path) -> std::io::Result<Vec<StoredFile>> {
        Ok(self
            .inner
            .borrow()
            .files
            .iter()
            .filter(|(path, _)| path.parent() == Some(directory))
            .map(|(path, (_, _, modified))| StoredFile {
                name: path.file_name().unwrap().to_str().unwrap().to_owned(),
                modified: Timestamp::from_second(*modified).unwrap(),
            })
            .collect())
    }

    fn digest(&self, file: &Path) -> std::io::Result<Option<(u64, String)>> {
        let inner = self.inner.borrow();
        let known = inner.files.get(file);
        Ok(known.map(|(size, sha256, _)| (*size, sha256.clone())))
    }

    fn write(&self, file: &Path, text: &str) -> std::io::Result<()> {
        let written = (text.len() as u64, "written".to_owned(), 100);
        self.inner.borrow_mut().files.insert(file.into(), written);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        let mut inner = self.inner.borrow_mut();
        let file = inner.files.remove(from).unwrap();
        inner.files.insert(to.into(), file);
        Ok(())
    }

    fn remove(&self, file: &Path) -> std::io::Result<()> {
        self.inner.borrow_mut().files.remove(file);
        Ok(())
    }
}
