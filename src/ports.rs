//! What the rest of refit needs from the world, as traits: the cluster's API, the hosts, the clock, the disk.
//!
//! Adapters implement them for the real world; tests and simulations implement them in memory. Operations are typed, so
//! that neither a URL nor a shell string crosses this line. A failed change says whether it may have happened
//! ([`Failure`]), because resuming depends on it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::cluster::facts::{KubeadmConfig, KubeletConfig, Surroundings};
use crate::cluster::model::{Budget, HostName, Node, NodeName, Pod, Workload};
use crate::host::op::{Mutation, OpEnd, OpRef, OpState, Output, Query};
use crate::rules::version::Version;

/// Why a call did not do what it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// It never left: nothing has changed.
    #[error("{0}")]
    NotSent(String),
    /// It left and no answer came: it may have happened.
    #[error("{0}")]
    MaybeDone(String),
    /// The other side said no: nothing has changed.
    #[error("{0}")]
    Refused(String),
    /// What was asked for does not exist.
    #[error("{0}")]
    NotFound(String),
}

/// What became of a request to evict a pod.
///
/// Source: kubernetes/kubernetes `pkg/registry/core/pod/storage/eviction.go`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Eviction {
    /// Granted: the pod is being deleted.
    Granted,
    /// The pod is gone (404), or another pod has its name (409 on the UID precondition).
    Gone,
    /// 429: a budget does not allow it now. The server's words, which name the budget.
    Blocked {
        /// The server's message and causes.
        message: String,
        /// What `Retry-After` said.
        retry_after: Option<Duration>,
    },
    /// 403 because the namespace is being deleted.
    NamespaceTerminating,
    /// Any other refusal; it will not pass by waiting.
    Denied(String),
}

/// Pods of one node at one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodList {
    /// The pods, by namespace and name.
    pub pods: Vec<Pod>,
    /// The list's resource version: where a watch continues.
    pub resource_version: String,
}

/// A volume that is attached to a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    /// The PersistentVolume's name.
    pub volume: String,
    /// The claim that it is bound to, as `namespace/name`; none where that is not known.
    pub claim: Option<String>,
    /// The node's pods that use the claim, as `namespace/name`.
    pub pods: Vec<String>,
}

/// What is attached to a node at one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachedList {
    /// The volumes, by name.
    pub volumes: Vec<Attached>,
    /// The list's resource version: where a watch continues.
    pub resource_version: String,
}

/// A leader's lease. Times are those of the leader's clock, so they say only whether it was renewed since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Who holds it; another one after each start of the same program.
    pub holder: String,
    /// When it was last renewed, by the holder's clock.
    pub renewed: Option<Timestamp>,
}

/// A number that grows with each process that takes a cluster over. Hosts remember the highest that they were told, and begin
/// no operation for a lower one: a process that slept while another took over cannot act late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Token(pub u64);

/// Leave to send one change to the API; only the lease's keeper ([`crate::run::lease`]) gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permit {
    /// The change is given up when it takes longer: the lease may be another's then.
    pub within: Duration,
}

/// refit's own lease on a cluster, as the API has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Who holds it; nobody once it was given back.
    pub holder: Option<String>,
    /// The holder's token, or that of the last one.
    pub token: Token,
    /// What it must still be when it is written again; none where it does not exist yet.
    pub version: Option<String>,
}

/// The cluster's API, through the kubeconfig's endpoint.
///
/// Reads are retried inside while an API server restarts (within a bounded time); changes never are.
#[async_trait(?Send)]
pub trait ClusterApi {
    /// UID of the namespace `kube-system`.
    async fn cluster_uid(&self) -> Result<String, Failure>;
    /// `/version` of whichever instance answers.
    async fn version(&self) -> Result<Version, Failure>;
    /// `/readyz` through the endpoint (the balancer): an error names what is not ready.
    async fn ready(&self) -> Result<(), Failure>;
    /// All nodes, by name.
    async fn nodes(&self) -> Result<Vec<Node>, Failure>;
    /// One node.
    async fn node(&self, name: &NodeName) -> Result<Node, Failure>;
    /// All pods, by namespace and name.
    async fn pods(&self) -> Result<Vec<Pod>, Failure>;
    /// Pods bound to a node.
    async fn pods_on(&self, node: &NodeName) -> Result<PodList, Failure>;
    /// All budgets.
    async fn budgets(&self) -> Result<Vec<Budget>, Failure>;
    /// All Deployments, StatefulSets and DaemonSets.
    async fn workloads(&self) -> Result<Vec<Workload>, Failure>;
    /// `kube-system/kubeadm-config`.
    async fn kubeadm_config(&self) -> Result<KubeadmConfig, Failure>;
    /// `kube-system/kubelet-config`.
    async fn kubelet_config(&self) -> Result<KubeletConfig, Failure>;
    /// A lease, by `namespace/name`.
    async fn lease(&self, name: &str) -> Result<Lease, Failure>;
    /// refit's own lease; none where no refit has ever changed the cluster.
    async fn claim(&self) -> Result<Option<Claim>, Failure>;
    /// Writes refit's own lease, which must still be as `claim.version` says. [`Failure::Refused`] when somebody else wrote it
    /// meanwhile. `lasts` is for those who read it.
    async fn put_claim(&self, claim: &Claim, lasts: Duration) -> Result<(), Failure>;
    /// Webhooks, storage and DNS, each with its own error.
    async fn surroundings(&self) -> Surroundings;
    /// Cordons a node and writes who did, in one change that fails if the node has changed meanwhile
    /// (`resourceVersion` or `uid` precondition).
    async fn cordon(&self, permit: Permit, node: &NodeName, run: &str) -> Result<(), Failure>;
    /// Uncordons a node and removes our mark.
    async fn uncordon(&self, permit: Permit, node: &NodeName) -> Result<(), Failure>;
    /// Puts [`crate::cluster::model::OUTDATED`] on a node or takes it off, in one change that fails if the node has changed
    /// meanwhile; other taints stay as they are.
    async fn taint_outdated(
        &self,
        permit: Permit,
        node: &NodeName,
        outdated: bool,
    ) -> Result<(), Failure>;
    /// Asks for a pod's eviction, with its UID as precondition. Never retried.
    async fn evict(
        &self,
        permit: Permit,
        pod: &Pod,
        grace: Option<Duration>,
    ) -> Result<Eviction, Failure>;
    /// Returns when a pod of the node has changed since `list`, or after `at_most`. Only wakes; proves nothing.
    async fn pods_changed(&self, node: &NodeName, list: &PodList, at_most: Duration);
    /// Volumes attached to a node (VolumeAttachments whose `status.attached` is true).
    async fn attached(&self, node: &NodeName) -> Result<AttachedList, Failure>;
    /// Returns when an attachment has changed since `list`, of whatever node, or after `at_most`. Only wakes; proves nothing.
    async fn attached_changed(&self, list: &AttachedList, at_most: Duration);
    /// Returns when the node has changed, or after `at_most`. Only wakes; proves nothing.
    async fn node_changed(&self, node: &NodeName, at_most: Duration);
}

/// The hosts, by their name in the inventory.
#[async_trait(?Send)]
pub trait Hosts {
    /// Asks; retried inside when the connection fails. A command that exits non-zero is an answer, not a failure.
    async fn query(&self, host: &HostName, query: &Query) -> Result<Output, Failure>;
    /// Starts the mutation in the host's one unit and waits until it has ended. If that very operation is already under
    /// way, or has ended before, it is not started again: its end is awaited or returned.
    /// [`Failure::Refused`] when another operation is under way, or the host knows of a higher token. [`Failure::MaybeDone`] when the connection broke and did not
    /// come back within half a minute, or `timeout` passed; the operation goes on at the host.
    async fn mutate(
        &self,
        host: &HostName,
        op: &OpRef,
        mutation: &Mutation,
        token: Token,
        timeout: Duration,
    ) -> Result<OpEnd, Failure>;
    /// Tells the host a token; returns the highest that it knows, which is this one unless it was told a higher one before.
    async fn fence(&self, host: &HostName, token: Token) -> Result<Token, Failure>;
    /// What the host knows of an operation.
    async fn operation(&self, host: &HostName, op: &OpRef) -> Result<OpState, Failure>;
    /// Copies a root-owned file from the host to a new local file (0600, fsync'd), and returns its size and SHA-256 as
    /// received. Where there are age recipients to seal it to, only what is encrypted to them reaches this machine's disk. An
    /// existing partial file is replaced.
    async fn download(
        &self,
        host: &HostName,
        file: &str,
        to: &Path,
        seal_to: &[String],
    ) -> Result<(u64, String), Failure>;
    /// Copies a local file to the host (0600, root's, in a directory that is there). One that is sealed is opened with the age
    /// identities of a file; what it holds does not touch this machine's disk. It has its name there only once all of it is on
    /// the host's disk and has this SHA-256.
    async fn upload(
        &self,
        host: &HostName,
        from: &Path,
        identity: Option<&Path>,
        file: &str,
        sha256: &str,
    ) -> Result<(), Failure>;
}

/// Real time, or a test's.
#[async_trait(?Send)]
pub trait Clock {
    /// The wall clock, for records only: it may jump.
    fn now(&self) -> Timestamp;
    /// Time since some fixed instant; never goes back. Deadlines are measured with it.
    fn monotonic(&self) -> Duration;
    /// Returns after `duration`.
    async fn sleep(&self, duration: Duration);
}

/// The durable file behind a journal.
pub trait JournalFile {
    /// Appends a line, which comes without its newline, and returns once both are on disk.
    ///
    /// # Errors
    /// If the line may not be on disk.
    fn append(&mut self, line: &str) -> std::io::Result<()>;
}

/// A file of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFile {
    /// Its name in the directory.
    pub name: String,
    /// When it was last written.
    pub modified: Timestamp,
}

/// Files that a run keeps on this machine besides its journal: snapshots of etcd.
pub trait Store {
    /// The files of a directory; none when it does not exist.
    ///
    /// # Errors
    /// If the directory cannot be read.
    fn list(&self, directory: &Path) -> std::io::Result<Vec<StoredFile>>;
    /// Size and SHA-256 of a file; none when it does not exist.
    ///
    /// # Errors
    /// If the file cannot be read.
    fn digest(&self, file: &Path) -> std::io::Result<Option<(u64, String)>>;
    /// Writes a file (0600), replacing what is there, and returns once it is on disk.
    ///
    /// # Errors
    /// If it may not be there.
    fn write(&self, file: &Path, text: &str) -> std::io::Result<()>;
    /// Renames a file within its directory, replacing what has the new name, and returns once that is on disk.
    ///
    /// # Errors
    /// If the file may not have its new name.
    fn rename(&self, from: &Path, to: &Path) -> std::io::Result<()>;
    /// Removes a file; fine when it does not exist.
    ///
    /// # Errors
    /// If the file is still there.
    fn remove(&self, file: &Path) -> std::io::Result<()>;
}

/// Somebody's word that a run may go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// Whose, as they say.
    pub by: String,
    /// When it was given.
    pub at: Timestamp,
}

/// The people around a run: what they have said to it, from whichever terminal, and whether one is here.
pub trait People {
    /// What was said of a step of the run's own plan; none where nobody has said anything.
    ///
    /// # Errors
    /// If what was said cannot be read, or was said of another plan or step.
    fn approval(&self, step: &str) -> std::io::Result<Option<Approval>>;
    /// Whether somebody is here, so that waiting makes sense.
    fn present(&self) -> bool;
    /// Who has asked the run to pause since it was last taken up, from whichever terminal; none where nobody has.
    ///
    /// # Errors
    /// If what was asked cannot be read.
    fn pause(&self) -> std::io::Result<Option<Approval>> {
        Ok(None)
    }
    /// How a command begins that finds the run's own state: `refit`, perhaps with a state directory.
    fn refit(&self) -> &str;
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Its exit status; none where it was killed, by a signal or because its time was over.
    pub status: Option<i32>,
    /// The end of what it said, on either stream.
    pub output: String,
}

/// Programs on this machine.
#[async_trait(?Send)]
pub trait Programs {
    /// Runs one in a directory, word by word and without a shell, and waits for its end, but not longer than `at_most`. It
    /// is killed when the time is over or nobody waits any longer.
    ///
    /// # Errors
    /// If it cannot be started.
    async fn run(
        &self,
        directory: &Path,
        words: &[String],
        at_most: Duration,
    ) -> std::io::Result<Ended>;
    /// As [`Programs::run`], and never beside itself: what is started under a name is known by it for as long as it lives,
    /// also where whoever has started it was killed.
    ///
    /// # Errors
    /// If it cannot be started, or one that was started under this name goes on.
    async fn run_alone(
        &self,
        name: &str,
        directory: &Path,
        words: &[String],
        at_most: Duration,
    ) -> std::io::Result<Ended>;
    /// The file that a program holds open which was started under this name and goes on; none where there is none.
    ///
    /// # Errors
    /// If that cannot be told.
    fn goes_on(&self, name: &str) -> std::io::Result<Option<PathBuf>>;
}

/// A server that keeps measurements, and what it takes to ask it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetricsServer<'a> {
    /// Its URL, to which the API's path is added.
    pub url: &'a str,
    /// Where its bearer token comes from, if it takes one.
    pub token: Option<SecretFrom<'a>>,
    /// The authorities of its certificate, in PEM; this machine's when there is none.
    pub ca_file: Option<&'a Path>,
}

/// Where a secret comes from. The secret itself does not cross this line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretFrom<'a> {
    /// An environment variable.
    Variable(&'a str),
    /// A file.
    File(&'a Path),
}

impl fmt::Display for SecretFrom<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(name) => write!(f, "the environment variable {name}"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// A series' newest value.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Its labels, as they are written in a query; empty where it has none.
    pub series: String,
    /// Its value, which may be no number or infinite.
    pub value: f64,
}

/// Why there are no values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetricsError {
    /// No answer, or none that tells anything: it may come with time.
    #[error("{0}")]
    Unanswered(String),
    /// The server does not want us, or is not who it should be: it hardly passes by waiting.
    #[error("{0}")]
    Refused(String),
    /// What is asked, or what it takes to ask it, is wrong: it never passes by waiting.
    #[error("{0}")]
    Unusable(String),
}

/// Servers that keep measurements, with Prometheus' API.
#[async_trait(?Send)]
pub trait Metrics {
    /// What an instant query gives now: a value for each series, or a single one.
    async fn query(
        &self,
        server: MetricsServer<'_>,
        query: &str,
        at_most: Duration,
    ) -> Result<Vec<Sample>, MetricsError>;
}

/// The world a run acts in.
#[derive(Clone, Copy)]
pub struct World<'a> {
    /// The cluster's API.
    pub api: &'a dyn ClusterApi,
    /// The hosts.
    pub hosts: &'a dyn Hosts,
    /// Time.
    pub clock: &'a dyn Clock,
}
