//! How much of a run's time is refit's own.
//!
//! Own time is wall time during which no call to a port is in flight: neither a host nor Kubernetes nor a deliberate pause is
//! being waited for. Calls of concurrent steps are taken together, so own time is what a faster refit could save.

use std::cell::RefCell;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::cluster::facts::{KubeadmConfig, KubeletConfig, Surroundings};
use crate::cluster::model::{Budget, HostName, Node, NodeName, Pod, Workload};
use crate::host::op::{Mutation, OpEnd, OpRef, OpState, Output, Query};
use crate::ports::{
    AttachedList, Claim, Clock, ClusterApi, Eviction, Failure, Hosts, Lease, Permit, PodList,
    Token, World,
};
use crate::rules::version::Version;

/// The ports of a world, with a watch on how long nobody waits for them.
pub(super) struct Meter<'w> {
    world: World<'w>,
    began: Duration,
    counted: RefCell<Counted>,
}

struct Counted {
    /// Calls under way.
    calls: usize,
    /// Since when there is none.
    idle_since: Duration,
    /// Own time until then.
    own: Duration,
}

/// A call under way. Ends when dropped, so that a call which is given up is counted as well; nothing but the measure
/// depends on it.
struct Call<'m, 'w>(&'m Meter<'w>);

impl Drop for Call<'_, '_> {
    fn drop(&mut self) {
        let now = self.0.world.clock.monotonic();
        let mut counted = self.0.counted.borrow_mut();
        counted.calls -= 1;
        counted.idle_since = now;
    }
}

impl<'w> Meter<'w> {
    /// Begins to measure.
    pub(super) fn new(world: World<'w>) -> Self {
        let began = world.clock.monotonic();
        Self {
            world,
            began,
            counted: RefCell::new(Counted {
                calls: 0,
                idle_since: began,
                own: Duration::ZERO,
            }),
        }
    }

    /// The same world, measured.
    pub(super) fn world(&self) -> World<'_> {
        World {
            api: self,
            hosts: self,
            clock: self,
        }
    }

    /// Own time and wall time so far, in milliseconds.
    pub(super) fn read_ms(&self) -> (u64, u64) {
        let now = self.world.clock.monotonic();
        let counted = self.counted.borrow();
        let mut own = counted.own;
        if counted.calls == 0 {
            own += now.saturating_sub(counted.idle_since);
        }
        (millis(own), millis(now.saturating_sub(self.began)))
    }

    fn call(&self) -> Call<'_, 'w> {
        let now = self.world.clock.monotonic();
        let mut counted = self.counted.borrow_mut();
        if counted.calls == 0 {
            let idle = now.saturating_sub(counted.idle_since);
            counted.own += idle;
        }
        counted.calls += 1;
        Call(self)
    }
}

/// In milliseconds, as the journal has them.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[async_trait(?Send)]
impl ClusterApi for Meter<'_> {
    async fn cluster_uid(&self) -> Result<String, Failure> {
        let _call = self.call();
        self.world.api.cluster_uid().await
    }

    async fn version(&self) -> Result<Version, Failure> {
        let _call = self.call();
        self.world.api.version().await
    }

    async fn ready(&self) -> Result<(), Failure> {
        let _call = self.call();
        self.world.api.ready().await
    }

    async fn nodes(&self) -> Result<Vec<Node>, Failure> {
        let _call = self.call();
        self.world.api.nodes().await
    }

    async fn node(&self, name: &NodeName) -> Result<Node, Failure> {
        let _call = self.call();
        self.world.api.node(name).await
    }

    async fn pods(&self) -> Result<Vec<Pod>, Failure> {
        let _call = self.call();
        self.world.api.pods().await
    }

    async fn pods_on(&self, node: &NodeName) -> Result<PodList, Failure> {
        let _call = self.call();
        self.world.api.pods_on(node).await
    }

    async fn budgets(&self) -> Result<Vec<Budget>, Failure> {
        let _call = self.call();
        self.world.api.budgets().await
    }

    async fn workloads(&self) -> Result<Vec<Workload>, Failure> {
        let _call = self.call();
        self.world.api.workloads().await
    }

    async fn kubeadm_config(&self) -> Result<KubeadmConfig, Failure> {
        let _call = self.call();
        self.world.api.kubeadm_config().await
    }

    async fn kubelet_config(&self) -> Result<KubeletConfig, Failure> {
        let _call = self.call();
        self.world.api.kubelet_config().await
    }

    async fn lease(&self, name: &str) -> Result<Lease, Failure> {
        let _call = self.call();
        self.world.api.lease(name).await
    }

    async fn claim(&self) -> Result<Option<Claim>, Failure> {
        let _call = self.call();
        self.world.api.claim().await
    }

    async fn put_claim(&self, claim: &Claim, lasts: Duration) -> Result<(), Failure> {
        let _call = self.call();
        self.world.api.put_claim(claim, lasts).await
    }

    async fn surroundings(&self) -> Surroundings {
        let _call = self.call();
        self.world.api.surroundings().await
    }

    async fn cordon(&self, permit: Permit, node: &NodeName, run: &str) -> Result<(), Failure> {
        let _call = self.call();
        self.world.api.cordon(permit, node, run).await
    }

    async fn uncordon(&self, permit: Permit, node: &NodeName) -> Result<(), Failure> {
        let _call = self.call();
        self.world.api.uncordon(permit, node).await
    }

    async fn taint_outdated(
        &self,
        permit: Permit,
        node: &NodeName,
        outdated: bool,
    ) -> Result<(), Failure> {
        let _call = self.call();
        self.world.api.taint_outdated(permit, node, outdated).await
    }

    async fn evict(
        &self,
        permit: Permit,
        pod: &Pod,
        grace: Option<Duration>,
    ) -> Result<Eviction, Failure> {
        let _call = self.call();
        self.world.api.evict(permit, pod, grace).await
    }

    async fn pods_changed(&self, node: &NodeName, list: &PodList, at_most: Duration) {
        let _call = self.call();
        self.world.api.pods_changed(node, list, at_most).await;
    }

    async fn attached(&self, node: &NodeName) -> Result<AttachedList, Failure> {
        let _call = self.call();
        self.world.api.attached(node).await
    }

    async fn attached_changed(&self, list: &AttachedList, at_most: Duration) {
        let _call = self.call();
        self.world.api.attached_changed(list, at_most).await;
    }

    async fn node_changed(&self, node: &NodeName, at_most: Duration) {
        let _call = self.call();
        self.world.api.node_changed(node, at_most).await;
    }
}

#[async_trait(?Send)]
impl Hosts for Meter<'_> {
    async fn query(&self, host: &HostName, query: &Query) -> Result<Output, Failure> {
        let _call = self.call();
        self.world.hosts.query(host, query).await
    }

    async fn mutate(
        &self,
        host: &HostName,
        op: &OpRef,
        mutation: &Mutation,
        token: Token,
        timeout: Duration,
    ) -> Result<OpEnd, Failure> {
        let _call = self.call();
        self.world
            .hosts
            .mutate(host, op, mutation, token, timeout)
            .await
    }

    async fn fence(&self, host: &HostName, token: Token) -> Result<Token, Failure> {
        let _call = self.call();
        self.world.hosts.fence(host, token).await
    }

    async fn operation(&self, host: &HostName, op: &OpRef) -> Result<OpState, Failure> {
        let _call = self.call();
        self.world.hosts.operation(host, op).await
    }

    async fn download(
        &self,
        host: &HostName,
        file: &str,
        to: &Path,
        seal_to: &[String],
    ) -> Result<(u64, String), Failure> {
        let _call = self.call();
        self.world.hosts.download(host, file, to, seal_to).await
    }

    async fn upload(
        &self,
        host: &HostName,
        from: &Path,
        identity: Option<&Path>,
        file: &str,
        sha256: &str,
    ) -> Result<(), Failure> {
        let _call = self.call();
        let hosts = self.world.hosts;
        hosts.upload(host, from, identity, file, sha256).await
    }
}

#[async_trait(?Send)]
impl Clock for Meter<'_> {
    fn now(&self) -> Timestamp {
        self.world.clock.now()
    }

    fn monotonic(&self) -> Duration {
        self.world.clock.monotonic()
    }

    async fn sleep(&self, duration: Duration) {
        let _call = self.call();
        self.world.clock.sleep(duration).await;
    }
}
