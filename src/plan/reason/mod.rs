//! Why there is no plan: each reason typed, in the operator's words (`text`), with its source (`source`) and what to do next
//! (`next`).

mod finding;
mod next;
mod source;
mod text;

pub(super) use text::as_declared;
pub use text::bytes;

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;

use super::data::StepId;
use super::earlier::LearnedStep;
use super::hazards::Threat;
use super::windows::NoRoom;
use crate::cluster::model::{HostName, NodeName, Role};
use crate::rules::eviction::RefuseReason;
use crate::rules::kubeadm_phases::PhaseTrouble;
use crate::rules::kubeadm_policy::Objection;
use crate::rules::skew::Violation;
use crate::rules::version::{Minor, Version};

/// There is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("blocked for {} reason(s)", reasons.len())]
pub struct Blocked {
    /// Why, in the order of the checks; never empty.
    pub reasons: Vec<Reason>,
}

/// When versions are together that may not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum When {
    /// As observed.
    Now,
    /// Once this step is done.
    After(StepId),
}

/// What is wrong with a host's repository file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RepositoryTrouble {
    /// No file configures a Kubernetes repository.
    NoneFound,
    /// Several files do, and which one is meant cannot be told.
    Several(Vec<String>),
    /// The file configures other repositories too, so that it cannot be replaced as a whole.
    Shared(String),
}

/// One reason why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The facts are of another format.
    FactsFormat {
        /// Theirs.
        found: String,
    },
    /// The facts are older than the declaration allows.
    FactsTooOld {
        /// When they were observed.
        observed_at: Timestamp,
        /// When they are used.
        at: Timestamp,
        /// Seconds allowed.
        max_s: u64,
    },
    /// The facts are of another inventory.
    OtherInventory {
        /// The facts'.
        facts: String,
        /// The declaration's.
        inventory: String,
    },
    /// Something that planning needs could not be observed.
    Unknown {
        /// Where: `cluster`, or a host.
        place: String,
        /// What.
        what: String,
        /// The error.
        error: String,
    },
    /// Root is not to be had.
    NotRoot {
        /// Where.
        host: HostName,
        /// The error.
        error: String,
    },
    /// The inventory has no control plane.
    NoControlPlane,
    /// A node of the cluster is not in the inventory.
    NodeNotListed {
        /// The node.
        node: NodeName,
    },
    /// A host's node is not in the cluster.
    NodeMissing {
        /// The host.
        host: HostName,
        /// The node that it should be.
        node: NodeName,
    },
    /// A host is another node than the inventory says.
    OtherNode {
        /// The host.
        host: HostName,
        /// The node that it should be.
        node: NodeName,
        /// What it is, as far as is known.
        is: String,
    },
    /// Two hosts have the same machine id.
    SameMachine {
        /// The machine id.
        machine_id: String,
        /// The hosts.
        hosts: Vec<HostName>,
    },
    /// A node's role is not the inventory's.
    RoleDiffers {
        /// The host.
        host: HostName,
        /// Its node.
        node: NodeName,
        /// What the inventory says.
        listed: Role,
    },
    /// A control plane is left out by `ignoreNodes`: nobody could upgrade its API server.
    IgnoredControlPlane {
        /// The node.
        node: NodeName,
    },
    /// This refit does not know the target's minor.
    UnsupportedMinor {
        /// The minor.
        minor: Minor,
    },
    /// This refit does not know a host's operating system.
    UnsupportedSystem {
        /// The host.
        host: HostName,
        /// Its `PRETTY_NAME`.
        os: String,
    },
    /// Which release of a minor to go through cannot be told.
    NoRelease {
        /// The minor.
        minor: Minor,
        /// The host that keeps it from being told, if it is one.
        host: Option<HostName>,
        /// Why not.
        why: String,
    },
    /// Something is newer than a release that the plan goes through.
    AheadOfHop {
        /// What, such as `kubelet on w1`.
        what: String,
        /// Its release.
        from: Version,
        /// The release.
        release: Version,
    },
    /// A node's kubelet is too far behind for any kubeadm to take it along.
    KubeletTooFar {
        /// The node.
        node: NodeName,
        /// Its kubelet.
        kubelet: Version,
        /// Its kubeadm.
        kubeadm: Version,
        /// The newest minor that the control planes have come to.
        control_planes: Minor,
        /// The target.
        to: Version,
        /// The declaration lets it skip minors.
        may_skip: bool,
    },
    /// A kubelet is to skip minors, and the facts do not show that it would start after that.
    SkipLevel {
        /// The node.
        node: NodeName,
        /// Why not.
        why: String,
    },
    /// Something is newer than the target.
    Downgrade {
        /// What, such as `kube-apiserver on cp1`.
        what: String,
        /// Its release.
        from: Version,
        /// The target.
        to: Version,
    },
    /// Versions that may not be together.
    Skew {
        /// Which.
        violation: Box<Violation>,
        /// When.
        when: When,
    },
    /// kubeadm would refuse.
    Kubeadm {
        /// Why.
        objection: Objection,
        /// It would let `--force` pass that.
        forceable: bool,
    },
    /// A phase of kubeadm is to be left out that cannot be.
    SkipPhase {
        /// The phase.
        phase: String,
        /// The target's minor.
        minor: Minor,
        /// Why not.
        trouble: PhaseTrouble,
    },
    /// No window is long enough for a step, or none comes.
    NoWindow {
        /// The step, and what it needs.
        room: NoRoom,
        /// What of that earlier runs have shown; the longest first.
        learned: Vec<LearnedStep>,
    },
    /// A static pod's image has no release for a tag.
    ImageTag {
        /// The host.
        host: HostName,
        /// The manifest.
        file: String,
        /// The image.
        image: String,
    },
    /// A control plane has no manifest for a component.
    ManifestMissing {
        /// The host.
        host: HostName,
        /// The manifest.
        file: String,
    },
    /// A package was not installed by the package manager.
    NotPackaged {
        /// The host.
        host: HostName,
        /// The package.
        package: String,
    },
    /// The repository does not offer the target.
    NotOffered {
        /// The host.
        host: HostName,
        /// The package.
        package: String,
        /// The target.
        version: Version,
        /// The repository.
        url: String,
        /// The nearest revisions offered.
        nearest: Vec<String>,
    },
    /// The facts were observed with another repository than the declaration's.
    OtherRepository {
        /// The host.
        host: HostName,
        /// The facts'.
        facts: String,
        /// The declaration's.
        wanted: String,
    },
    /// A host's repository file cannot be replaced.
    Repository {
        /// The host.
        host: HostName,
        /// Why.
        trouble: RepositoryTrouble,
    },
    /// Hosts see different signing keys under one URL.
    KeysDiffer {
        /// The repository.
        url: String,
        /// Hosts by the key's SHA-256.
        keys: BTreeMap<String, Vec<HostName>>,
    },
    /// The key beside the declaration was not read.
    KeyNotRead,
    /// The key beside the declaration is not the one that the facts were observed with.
    KeyChanged {
        /// The host.
        host: HostName,
    },
    /// A package manager is in trouble.
    PackageTrouble {
        /// The host.
        host: HostName,
        /// What it says.
        trouble: String,
    },
    /// etcd is external.
    EtcdExternal,
    /// A member of etcd does not answer its health check.
    EtcdMember {
        /// Its name.
        name: String,
    },
    /// etcd has fewer members than there are control planes.
    EtcdTooFew {
        /// Members.
        members: usize,
        /// Control planes.
        control_planes: usize,
    },
    /// A node is not ready.
    NodeNotReady {
        /// The node.
        node: NodeName,
    },
    /// An operation of refit is under way on a host.
    OperationUnderWay {
        /// The host.
        host: HostName,
        /// The operation.
        operation: String,
    },
    /// A directory has too little room.
    DiskTooSmall {
        /// The host.
        host: HostName,
        /// The directory.
        directory: String,
        /// Bytes free.
        free: u64,
        /// Bytes needed.
        needed: u64,
        /// What for.
        why: &'static str,
    },
    /// A host's clock is off.
    ClockOff {
        /// The host.
        host: HostName,
        /// Seconds ahead of ours.
        offset_s: i64,
    },
    /// A hazard is there, or could not be ruled out.
    Hazard(Box<Threat>),
    /// The catalogue of hazards cannot be read: a fault of refit.
    Catalogue(String),
    /// A pod stops its node's drain.
    PodRefuses {
        /// The node.
        node: NodeName,
        /// `namespace/name`.
        pod: String,
        /// Why.
        reason: RefuseReason,
    },
    /// A pod is covered by several budgets, which the eviction API refuses.
    SeveralBudgets {
        /// The node.
        node: NodeName,
        /// `namespace/name`.
        pod: String,
        /// The budgets' names.
        budgets: Vec<String>,
    },
    /// A budget can never allow an eviction.
    BudgetNever {
        /// In words.
        budget: String,
        /// Nodes to be drained that have pods of it.
        nodes: Vec<NodeName>,
    },
    /// A budget allows nothing because the disruption controller cannot count its pods.
    BudgetSync {
        /// `namespace/name`.
        budget: String,
        /// The controller's words.
        why: String,
        /// Nodes to be drained that have pods of it.
        nodes: Vec<NodeName>,
    },
    /// More pods of one budget find no other node than it allows to be away.
    Stranded {
        /// The node.
        node: NodeName,
        /// `namespace/name`.
        budget: String,
        /// What the budget allows at once.
        allowed: usize,
        /// `namespace/name` of the pods.
        pods: Vec<String>,
        /// Why they find none.
        why: String,
    },
    /// The planner has made steps without an order: a fault of refit.
    Fault(String),
}

fn names<T: fmt::Display>(names: &[T]) -> String {
    names
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}
