//! A process that is killed at its N-th call to the world: before it, in its middle or after it.

use std::cell::Cell;
use std::future::Future;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use refit::cluster::facts::{KubeadmConfig, KubeletConfig, Surroundings};
use refit::cluster::model::{Budget, HostName, Node, NodeName, Pod, Workload};
use refit::host::op::{Mutation, OpEnd, OpRef, OpState, Output, Query};
use refit::plan::data::Plan;
use refit::ports::{
    AttachedList, Claim, Clock, ClusterApi, Eviction, Failure, Hosts, JournalFile, Lease, Permit,
    PodList, Token, World,
};
use refit::rules::version::Version;
use refit::run::executor::Outcome;
use tokio::sync::Notify;

use super::plans::go;
use super::{Memory, Sim};

/// Where in its last call the process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    Before,
    Midway,
    After,
    /// Counts lines written to the journal only.
    AfterAppend,
}

pub struct Killer<'s> {
    sim: &'s Sim,
    at: u32,
    when: When,
    calls: Cell<u32>,
    dead: Cell<bool>,
    died: Notify,
}

impl<'s> Killer<'s> {
    pub fn new(sim: &'s Sim, at: u32, when: When) -> Self {
        Self {
            sim,
            at,
            when,
            calls: Cell::new(0),
            dead: Cell::new(false),
            died: Notify::new(),
        }
    }

    fn die(&self) {
        self.dead.set(true);
        self.died.notify_one();
    }

    async fn call<T>(&self, call: impl Future<Output = T>) -> T {
        if self.dead.get() {
            return std::future::pending().await;
        }
        if self.when == When::AfterAppend {
            return call.await;
        }
        self.calls.set(self.calls.get() + 1);
        if self.calls.get() != self.at {
            return call.await;
        }
        match self.when {
            When::Before | When::AfterAppend => {}
            When::Midway => {
                let _ = tokio::time::timeout(Duration::from_secs(1), call).await;
            }
            When::After => {
                call.await;
            }
        }
        self.die();
        std::future::pending().await
    }

    fn world(&self) -> World<'_> {
        World {
            api: self,
            hosts: self,
            clock: self,
        }
    }
}

/// A journal whose appends count as calls.
struct Doomed<'k, 's> {
    killer: &'k Killer<'s>,
    memory: &'k mut Memory,
}

impl JournalFile for Doomed<'_, '_> {
    fn append(&mut self, line: &str) -> std::io::Result<()> {
        let killer = self.killer;
        let gone = || std::io::Error::other("the process is dead");
        if killer.dead.get() {
            return Err(gone());
        }
        killer.calls.set(killer.calls.get() + 1);
        if killer.calls.get() != killer.at {
            return self.memory.append(line);
        }
        match killer.when {
            When::Before => {}
            When::Midway => {
                let half = &line.as_bytes()[..line.len() / 2];
                self.memory.text.extend_from_slice(half);
            }
            When::After | When::AfterAppend => self.memory.append(line)?,
        }
        killer.die();
        Err(gone())
    }
}

/// Carries the plan out in a process that dies at call `at`; none when it has died.
pub async fn until_killed(
    plan: &Plan,
    sim: &Sim,
    memory: &mut Memory,
    at: u32,
    when: When,
) -> Option<Outcome> {
    let killer = Killer::new(sim, at, when);
    let past = refit::run::journal::read(&memory.text).unwrap();
    memory.text.truncate(past.valid_len as usize);
    let text = memory.text.clone();
    let mut file = Doomed {
        killer: &killer,
        memory,
    };
    let run = go(
        plan,
        killer.world(),
        sim,
        &text,
        &mut file,
        std::future::pending(),
    );
    tokio::select! {
        biased;
        () = killer.died.notified() => None,
        (outcome, _) = run => (!killer.dead.get()).then_some(outcome),
    }
}

#[async_trait(?Send)]
impl ClusterApi for Killer<'_> {
    async fn cluster_uid(&self) -> Result<String, Failure> {
        self.call(self.sim.cluster_uid()).await
    }
    async fn version(&self) -> Result<Version, Failure> {
        self.call(self.sim.version()).await
    }
    async fn ready(&self) -> Result<(), Failure> {
        self.call(self.sim.ready()).await
    }
    async fn nodes(&self) -> Result<Vec<Node>, Failure> {
        self.call(self.sim.nodes()).await
    }
    async fn node(&self, name: &NodeName) -> Result<Node, Failure> {
        self.call(self.sim.node(name)).await
    }
    async fn pods(&self) -> Result<Vec<Pod>, Failure> {
        self.call(self.sim.pods()).await
    }
    async fn pods_on(&self, node: &NodeName) -> Result<PodList, Failure> {
        self.call(self.sim.pods_on(node)).await
    }
    async fn budgets(&self) -> Result<Vec<Budget>, Failure> {
        self.call(self.sim.budgets()).await
    }
    async fn workloads(&self) -> Result<Vec<Workload>, Failure> {
        self.call(self.sim.workloads()).await
    }
    async fn kubeadm_config(&self) -> Result<KubeadmConfig, Failure> {
        self.call(self.sim.kubeadm_config()).await
    }
    async fn kubelet_config(&self) -> Result<KubeletConfig, Failure> {
        self.call(self.sim.kubelet_config()).await
    }
    async fn lease(&self, name: &str) -> Result<Lease, Failure> {
        self.call(self.sim.lease(name)).await
    }
    async fn surroundings(&self) -> Surroundings {
        self.sim.surroundings().await
    }
    async fn claim(&self) -> Result<Option<Claim>, Failure> {
        self.call(self.sim.claim()).await
    }
    async fn put_claim(&self, claim: &Claim, lasts: Duration) -> Result<(), Failure> {
        self.call(self.sim.put_claim(claim, lasts)).await
    }
    async fn cordon(&self, permit: Permit, node: &NodeName, run: &str) -> Result<(), Failure> {
        self.call(self.sim.cordon(permit, node, run)).await
    }
    async fn uncordon(&self, permit: Permit, node: &NodeName) -> Result<(), Failure> {
        self.call(self.sim.uncordon(permit, node)).await
    }
    async fn taint_outdated(
        &self,
        permit: Permit,
        node: &NodeName,
        outdated: bool,
    ) -> Result<(), Failure> {
        self.call(self.sim.taint_outdated(permit, node, outdated))
            .await
    }
    async fn evict(
        &self,
        permit: Permit,
        pod: &Pod,
        grace: Option<Duration>,
    ) -> Result<Eviction, Failure> {
        self.call(self.sim.evict(permit, pod, grace)).await
    }
    async fn pods_changed(&self, node: &NodeName, list: &PodList, at_most: Duration) {
        self.call(self.sim.pods_changed(node, list, at_most)).await;
    }
    async fn attached(&self, node: &NodeName) -> Result<AttachedList, Failure> {
        self.call(self.sim.attached(node)).await
    }
    async fn attached_changed(&self, list: &AttachedList, at_most: Duration) {
        self.call(self.sim.attached_changed(list, at_most)).await;
    }
    async fn node_changed(&self, node: &NodeName, at_most: Duration) {
        self.call(self.sim.node_changed(node, at_most)).await;
    }
}

#[async_trait(?Send)]
impl Hosts for Killer<'_> {
    async fn query(&self, host: &HostName, query: &Query) -> Result<Output, Failure> {
        self.call(self.sim.query(host, query)).await
    }
    async fn mutate(
        &self,
        host: &HostName,
        op: &OpRef,
        mutation: &Mutation,
        token: Token,
        timeout: Duration,
    ) -> Result<OpEnd, Failure> {
        self.call(self.sim.mutate(host, op, mutation, token, timeout))
            .await
    }
    async fn fence(&self, host: &HostName, token: Token) -> Result<Token, Failure> {
        self.call(self.sim.fence(host, token)).await
    }
    async fn operation(&self, host: &HostName, op: &OpRef) -> Result<OpState, Failure> {
        self.call(self.sim.operation(host, op)).await
    }
    async fn download(
        &self,
        host: &HostName,
        file: &str,
        to: &Path,
        seal_to: &[String],
    ) -> Result<(u64, String), Failure> {
        self.call(self.sim.download(host, file, to, seal_to)).await
    }
    async fn upload(
        &self,
        host: &HostName,
        from: &Path,
        identity: Option<&Path>,
        file: &str,
        sha256: &str,
    ) -> Result<(), Failure> {
        self.call(self.sim.upload(host, from, identity, file, sha256))
            .await
    }
}

#[async_trait(?Send)]
impl Clock for Killer<'_> {
    fn now(&self) -> Timestamp {
        Clock::now(self.sim)
    }
    fn monotonic(&self) -> Duration {
        self.sim.monotonic()
    }
    async fn sleep(&self, duration: Duration) {
        if self.dead.get() {
            return std::future::pending().await;
        }
        self.sim.sleep(duration).await;
    }
}
