//! Why there is no plan: each reason typed, in the operator's words, with its source and what to do next.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::data::StepId;
use super::hazards::Threat;
use super::windows::NoRoom;
use crate::cluster::model::{HostName, NodeName, Role};
use crate::rules::eviction::RefuseReason;
use crate::rules::kubeadm_phases::{self, PhaseTrouble};
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
    /// The target is more than one minor away.
    TooFar {
        /// The oldest API server.
        from: Version,
        /// The target.
        to: Version,
        /// The minor to go to first.
        first: Minor,
    },
    /// A node's kubelet is more than one minor behind the target.
    KubeletTooFar {
        /// The node.
        node: NodeName,
        /// Its kubelet.
        kubelet: Version,
        /// The target.
        to: Version,
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
    Kubeadm(Objection),
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
    NoWindow(NoRoom),
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
    /// The planner has made steps without an order: a fault of refit.
    Fault(String),
}

impl Reason {
    /// A short name for machines.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::FactsFormat { .. } => "facts-format",
            Self::FactsTooOld { .. } => "facts-too-old",
            Self::OtherInventory { .. } => "other-inventory",
            Self::Unknown { .. } => "unknown",
            Self::NotRoot { .. } => "not-root",
            Self::NoControlPlane => "no-control-plane",
            Self::NodeNotListed { .. } => "node-not-listed",
            Self::NodeMissing { .. } => "node-missing",
            Self::OtherNode { .. } => "other-node",
            Self::SameMachine { .. } => "same-machine",
            Self::RoleDiffers { .. } => "role-differs",
            Self::IgnoredControlPlane { .. } => "ignored-control-plane",
            Self::TooFar { .. } => "too-far",
            Self::KubeletTooFar { .. } => "kubelet-too-far",
            Self::Downgrade { .. } => "downgrade",
            Self::Skew { .. } => "skew",
            Self::Kubeadm(_) => "kubeadm-policy",
            Self::SkipPhase { .. } => "skip-phase",
            Self::NoWindow(_) => "no-window",
            Self::ImageTag { .. } => "image-tag",
            Self::ManifestMissing { .. } => "manifest-missing",
            Self::NotPackaged { .. } => "not-packaged",
            Self::NotOffered { .. } => "not-offered",
            Self::OtherRepository { .. } => "other-repository",
            Self::Repository { .. } => "repository-file",
            Self::KeysDiffer { .. } => "keys-differ",
            Self::KeyNotRead => "key-not-read",
            Self::KeyChanged { .. } => "key-changed",
            Self::PackageTrouble { .. } => "package-trouble",
            Self::EtcdExternal => "etcd-external",
            Self::EtcdMember { .. } => "etcd-member",
            Self::EtcdTooFew { .. } => "etcd-too-few",
            Self::NodeNotReady { .. } => "node-not-ready",
            Self::OperationUnderWay { .. } => "operation-under-way",
            Self::DiskTooSmall { .. } => "disk-too-small",
            Self::ClockOff { .. } => "clock-off",
            Self::Hazard(threat) => &threat.id,
            Self::Catalogue(_) => "catalogue",
            Self::PodRefuses { .. } => "pod-refuses",
            Self::SeveralBudgets { .. } => "several-budgets",
            Self::BudgetNever { .. } => "budget-never",
            Self::Fault(_) => "fault",
        }
    }

    /// Where: a host, a node, or `cluster`.
    #[must_use]
    pub fn place(&self) -> String {
        match self {
            Self::Unknown { place, .. } => place.clone(),
            Self::NotRoot { host, .. }
            | Self::NodeMissing { host, .. }
            | Self::OtherNode { host, .. }
            | Self::RoleDiffers { host, .. }
            | Self::ImageTag { host, .. }
            | Self::ManifestMissing { host, .. }
            | Self::NotPackaged { host, .. }
            | Self::NotOffered { host, .. }
            | Self::OtherRepository { host, .. }
            | Self::Repository { host, .. }
            | Self::KeyChanged { host }
            | Self::PackageTrouble { host, .. }
            | Self::OperationUnderWay { host, .. }
            | Self::DiskTooSmall { host, .. }
            | Self::ClockOff { host, .. } => host.to_string(),
            Self::Hazard(threat) => threat.place(),
            Self::NodeNotListed { node }
            | Self::IgnoredControlPlane { node }
            | Self::KubeletTooFar { node, .. }
            | Self::NodeNotReady { node }
            | Self::PodRefuses { node, .. }
            | Self::SeveralBudgets { node, .. } => node.to_string(),
            Self::SameMachine { hosts, .. } => names(hosts),
            Self::BudgetNever { nodes, .. } => names(nodes),
            Self::Skew { violation, .. } => violation
                .party
                .node
                .as_ref()
                .or(violation.against.node.as_ref())
                .map_or_else(|| "cluster".to_owned(), ToString::to_string),
            Self::FactsFormat { .. } | Self::FactsTooOld { .. } | Self::OtherInventory { .. } => {
                "facts".to_owned()
            }
            Self::NoControlPlane => "inventory".to_owned(),
            Self::KeyNotRead | Self::SkipPhase { .. } | Self::NoWindow(_) => {
                "declaration".to_owned()
            }
            Self::TooFar { .. }
            | Self::Downgrade { .. }
            | Self::Kubeadm(_)
            | Self::KeysDiffer { .. }
            | Self::EtcdExternal
            | Self::EtcdMember { .. }
            | Self::Catalogue(_)
            | Self::EtcdTooFew { .. }
            | Self::Fault(_) => "cluster".to_owned(),
        }
    }

    /// The rule's source: upstream's, or refit's own reason.
    #[must_use]
    pub fn source(&self) -> &str {
        const OWN: &str = "refit: unknown means stop";
        const REPOSITORY: &str = "https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/change-package-repository/";
        const UPGRADE: &str =
            "https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-upgrade/";
        const DRAIN: &str = "kubernetes/kubectl pkg/drain/filters.go";
        const EVICTION: &str = "kubernetes/kubernetes pkg/registry/core/pod/storage/eviction.go";
        match self {
            Self::FactsFormat { .. }
            | Self::FactsTooOld { .. }
            | Self::OtherInventory { .. }
            | Self::Unknown { .. }
            | Self::Catalogue(_)
            | Self::Fault(_) => OWN,
            Self::NotRoot { .. } => {
                "kubernetes/kubernetes cmd/kubeadm/app/preflight/checks.go, IsPrivilegedUser"
            }
            Self::NoControlPlane
            | Self::NodeNotListed { .. }
            | Self::NodeMissing { .. }
            | Self::RoleDiffers { .. }
            | Self::IgnoredControlPlane { .. } => "refit: nodes and inventory must agree",
            Self::OtherNode { .. } | Self::SameMachine { .. } => {
                "https://kubernetes.io/docs/setup/production-environment/tools/kubeadm/install-kubeadm/#verify-mac-address"
            }
            Self::TooFar { .. } | Self::KubeletTooFar { .. } => {
                "https://kubernetes.io/releases/version-skew-policy/#supported-component-upgrade-order"
            }
            Self::Downgrade { .. } => "refit: upgrades only go forward",
            Self::Skew { violation, .. } => violation.rule.source(),
            Self::Kubeadm(_) => "kubernetes/kubernetes cmd/kubeadm/app/phases/upgrade/policy.go",
            Self::SkipPhase { .. } => {
                "kubernetes/kubernetes cmd/kubeadm/app/cmd/upgrade/apply.go and node.go (phases)"
            }
            Self::ImageTag { .. } | Self::ManifestMissing { .. } => {
                "kubernetes/kubernetes cmd/kubeadm/app/phases/controlplane/manifests.go"
            }
            Self::NotPackaged { .. } | Self::NotOffered { .. } | Self::PackageTrouble { .. } => {
                UPGRADE
            }
            Self::OtherRepository { .. }
            | Self::Repository { .. }
            | Self::KeysDiffer { .. }
            | Self::KeyChanged { .. }
            | Self::KeyNotRead => REPOSITORY,
            Self::EtcdExternal => {
                "kubernetes/kubernetes cmd/kubeadm/app/phases/upgrade/staticpods.go"
            }
            Self::EtcdMember { .. } | Self::EtcdTooFew { .. } => {
                "https://kubernetes.io/docs/tasks/administer-cluster/configure-upgrade-etcd/"
            }
            Self::NodeNotReady { .. } => {
                "kubernetes/kubernetes cmd/kubeadm/app/phases/upgrade/health.go, ControlPlaneNodesReady"
            }
            Self::NoWindow(_) => {
                "refit: what was begun is finished, so nothing is begun that a window cannot hold"
            }
            Self::OperationUnderWay { .. } => "refit: one operation on a host at a time",
            Self::DiskTooSmall { .. } => {
                "kubernetes/kubernetes cmd/kubeadm/app/phases/upgrade/staticpods.go (backups in /etc/kubernetes/tmp)"
            }
            Self::ClockOff { .. } => {
                "https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-certs/"
            }
            Self::Hazard(threat) => &threat.source,
            Self::PodRefuses { .. } => DRAIN,
            Self::SeveralBudgets { .. } | Self::BudgetNever { .. } => EVICTION,
        }
    }

    /// What to do next.
    #[must_use]
    pub fn next(&self) -> String {
        match self {
            Self::FactsFormat { .. } | Self::FactsTooOld { .. } | Self::OtherInventory { .. } => {
                "run `refit inspect` again".to_owned()
            }
            Self::Unknown { .. } => {
                "remove the cause, then run `refit plan` again (with recorded facts: `refit inspect` first)".to_owned()
            }
            Self::NotRoot { host, .. } => {
                format!("let the login on {host} use `sudo -n`, or set `ssh.become`")
            }
            Self::NoControlPlane => "list the control planes in the inventory".to_owned(),
            Self::NodeNotListed { node } => format!(
                "add {node} to the inventory, or leave it out by name under `ignoreNodes`"
            ),
            Self::NodeMissing { host, .. } => {
                format!("correct {host}'s `nodeName` in the inventory, or remove the host")
            }
            Self::OtherNode { host, .. } => {
                format!("correct {host}'s address or `nodeName` in the inventory")
            }
            Self::SameMachine { .. } => {
                "if they are one machine, list it once; if they are clones, give each its own /etc/machine-id and reboot".to_owned()
            }
            Self::RoleDiffers { host, .. } => {
                format!("list {host} in a group of the role its node has")
            }
            Self::IgnoredControlPlane { node } => {
                format!("list {node} in the inventory: every API server must be upgraded")
            }
            Self::TooFar { first, .. } => format!(
                "upgrade to {first} first: several minors in one plan are not supported yet"
            ),
            Self::KubeletTooFar { node, to, .. } => format!(
                "upgrade {node}'s kubelet one minor at a time until it is one behind {to}; skipping minors is not supported yet"
            ),
            Self::Downgrade { from, .. } => format!("set `target` to {from} or later"),
            Self::Skew { violation, .. } => format!(
                "bring {} within the rule by hand, then plan again: {}",
                violation
                    .party
                    .node
                    .as_ref()
                    .map_or_else(|| violation.against.to_string(), |_| violation.party.to_string()),
                violation.rule.text()
            ),
            Self::Kubeadm(_) => {
                "choose a target that kubeadm accepts; refit never passes `--force`".to_owned()
            }
            Self::SkipPhase { trouble, .. } => match trouble {
                PhaseTrouble::Unknown => format!(
                    "correct `kubeadm.skipPhases`: it can hold {}",
                    kubeadm_phases::names().join(", ")
                ),
                PhaseTrouble::NoneCanBe | PhaseTrouble::Needed => {
                    "remove it from `kubeadm.skipPhases`".to_owned()
                }
            },
            Self::NoWindow(room) => format!(
                "make a window of at least {} (`windows`)",
                as_declared(room.needs_s)
            ),
            Self::ImageTag { .. } => {
                "run the release's own image, whose tag is its version".to_owned()
            }
            Self::ManifestMissing { .. } => {
                "find out who removed it: kubeadm moves a manifest away while it upgrades, and puts it back".to_owned()
            }
            Self::NotPackaged { host, package } => {
                format!("install {package} on {host} from the package repository")
            }
            Self::NotOffered { nearest, .. } => nearest.first().map_or_else(
                || "publish the release in the repository, or correct `packages.repository`".to_owned(),
                |nearest| {
                    format!("publish the release in the repository, or choose a target that it offers: nearest is {nearest}")
                },
            ),
            Self::OtherRepository { .. } | Self::KeyChanged { .. } => "run `refit inspect` with this declaration".to_owned(),
            Self::Repository { trouble, .. } => match trouble {
                RepositoryTrouble::NoneFound | RepositoryTrouble::Several(_) => {
                    "set `packages.repoFile` to the file that is to hold the repository".to_owned()
                }
                RepositoryTrouble::Shared(_) => {
                    "move the Kubernetes repository to a file of its own".to_owned()
                }
            },
            Self::KeysDiffer { .. } => {
                "find out which key is the repository's own before trusting any".to_owned()
            }
            Self::KeyNotRead => "check `packages.key`".to_owned(),
            Self::PackageTrouble { host, .. } => {
                format!("repair the package database on {host} (`dpkg --configure -a`, or wait for the other package manager)")
            }
            Self::EtcdExternal => {
                "external etcd is not supported yet".to_owned()
            }
            Self::EtcdMember { name } => format!("repair member {name} first"),
            Self::EtcdTooFew { .. } => {
                "let every control plane have its member before upgrading".to_owned()
            }
            Self::NodeNotReady { node } => format!("make {node} ready (`kubectl describe node {node}`)"),
            Self::OperationUnderWay { .. } => {
                "see `refit status`; wait for its end, or `refit resume` the run that started it".to_owned()
            }
            Self::DiskTooSmall { host, directory, .. } => format!("make room in {directory} on {host}"),
            Self::ClockOff { host, .. } => format!("synchronise the clock of {host}"),
            Self::Hazard(threat) => threat.remedy.clone(),
            Self::PodRefuses { reason, .. } => match reason {
                RefuseReason::LocalStorage => {
                    "move the data, or set `drain.deleteEmptyDirData: true`".to_owned()
                }
                RefuseReason::Unmanaged => {
                    "give the pod a controller or remove it, or set `drain.unmanagedPods: evict`".to_owned()
                }
            },
            Self::SeveralBudgets { .. } => "let one budget cover the pod".to_owned(),
            Self::BudgetNever { .. } => {
                "add a replica, or loosen the budget until the upgrade is over".to_owned()
            }
            Self::Catalogue(_) | Self::Fault(_) => "report this as a bug of refit, with the facts".to_owned(),
        }
    }
}

fn names<T: fmt::Display>(names: &[T]) -> String {
    names
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

/// Seconds in the two units that matter (`2 d 3 h`).
fn age_of(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

/// Seconds as a declaration would say them (`24h`).
pub(super) fn as_declared(seconds: u64) -> String {
    match seconds {
        seconds if seconds > 0 && seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        seconds if seconds > 0 && seconds % 60 == 0 => format!("{}m", seconds / 60),
        seconds => format!("{seconds}s"),
    }
}

/// Bytes in the unit that people compare (`1.5 GiB`).
#[must_use]
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut value = count as f64;
    let mut unit = "B";
    for next in UNITS {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if unit == "B" {
        format!("{count} B")
    } else {
        format!("{value:.1} {unit}")
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FactsFormat { found } => write!(
                f,
                "the facts' format is `{found}`, and this refit reads `{}`",
                crate::cluster::facts::FORMAT
            ),
            Self::FactsTooOld {
                observed_at,
                at,
                max_s,
            } => {
                let age = at.as_second().saturating_sub(observed_at.as_second());
                write!(
                    f,
                    "the facts are {} old at {} (observed {}), and `maxFactsAge` allows {}",
                    age_of(age.unsigned_abs()),
                    at.strftime("%Y-%m-%dT%H:%M:%SZ"),
                    observed_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
                    as_declared(*max_s),
                )
            }
            Self::OtherInventory { facts, inventory } => write!(
                f,
                "the facts are of inventory `{facts}`, the declaration is for `{inventory}`"
            ),
            Self::Unknown { what, error, .. } => write!(f, "could not observe {what}: {error}"),
            Self::NotRoot { host, error } => write!(f, "not root on {host}: {error}"),
            Self::NoControlPlane => write!(f, "the inventory lists no control plane"),
            Self::NodeNotListed { node } => {
                write!(f, "node {node} of the cluster is not in the inventory")
            }
            Self::NodeMissing { host, node } => {
                write!(
                    f,
                    "host {host} should be node {node}, which the cluster does not have"
                )
            }
            Self::OtherNode { host, node, is } => {
                write!(f, "host {host} is not node {node}: {is}")
            }
            Self::SameMachine { machine_id, hosts } => {
                write!(
                    f,
                    "hosts {} have the same machine id {machine_id}",
                    names(hosts)
                )
            }
            Self::RoleDiffers { node, listed, .. } => match listed {
                Role::Worker => write!(
                    f,
                    "node {node} is a control plane, and the inventory lists it as a worker"
                ),
                Role::ControlPlane => write!(
                    f,
                    "node {node} is a worker, and the inventory lists it as a control plane"
                ),
            },
            Self::IgnoredControlPlane { node } => write!(
                f,
                "node {node} is a control plane and is left out by `ignoreNodes`"
            ),
            Self::TooFar { from, to, .. } => write!(
                f,
                "{to} is {} minors ahead of the cluster's {from}; kubeadm goes one minor at a time",
                to.minor().ahead_of(from.minor())
            ),
            Self::KubeletTooFar { node, kubelet, to } => write!(
                f,
                "the kubelet of {node} is {kubelet}, {} minors behind {to}",
                to.minor().ahead_of(kubelet.minor())
            ),
            Self::Downgrade { what, from, to } => {
                write!(f, "{what} is {from}, newer than the target {to}")
            }
            Self::Skew { violation, when } => {
                match when {
                    When::Now => write!(f, "now, ")?,
                    When::After(step) => write!(f, "after {step}, ")?,
                }
                write!(
                    f,
                    "{violation} (rule {}: {})",
                    violation.rule.number(),
                    violation.rule.text()
                )
            }
            Self::Kubeadm(objection) => write!(f, "kubeadm would refuse: {objection}"),
            Self::SkipPhase {
                phase,
                minor,
                trouble,
            } => write!(
                f,
                "phase `{phase}` is to be left out (kubeadm.skipPhases): kubeadm {minor} {trouble}"
            ),
            Self::NoWindow(room) => write!(
                f,
                "no window is long enough for {}: it and what must follow it at once take about {} s, and the longest window that \
                 comes has {} s",
                room.step, room.needs_s, room.longest_s
            ),
            Self::ImageTag { host, file, image } => write!(
                f,
                "{file} on {host} runs `{image}`, whose tag is no release: its version cannot be told"
            ),
            Self::ManifestMissing { host, file } => {
                write!(f, "{host} has no /etc/kubernetes/manifests/{file}")
            }
            Self::NotPackaged { host, package } => {
                write!(f, "{package} on {host} was not installed from a package")
            }
            Self::NotOffered {
                host,
                package,
                version,
                url,
                nearest,
            } => {
                write!(f, "{url} offers {host} no {package} {version}")?;
                if nearest.is_empty() {
                    write!(f, "; it offers none at all")
                } else {
                    write!(f, "; nearest: {}", nearest.join(", "))
                }
            }
            Self::OtherRepository {
                host,
                facts,
                wanted,
            } => write!(
                f,
                "the facts of {host} are about {facts}, the declaration wants {wanted}"
            ),
            Self::Repository { host, trouble } => match trouble {
                RepositoryTrouble::NoneFound => {
                    write!(f, "no file on {host} configures a Kubernetes repository")
                }
                RepositoryTrouble::Several(files) => write!(
                    f,
                    "several files on {host} configure a Kubernetes repository: {}",
                    files.join(", ")
                ),
                RepositoryTrouble::Shared(file) => write!(
                    f,
                    "{file} on {host} configures other repositories too, and cannot be replaced as a whole"
                ),
            },
            Self::KeysDiffer { url, keys } => {
                write!(f, "hosts see different keys for {url}:")?;
                for (key, hosts) in keys {
                    let short = key.get(..12).unwrap_or(key);
                    write!(f, " {short}… on {};", names(hosts))?;
                }
                Ok(())
            }
            Self::KeyNotRead => write!(f, "the signing key beside the declaration was not read"),
            Self::KeyChanged { host } => write!(
                f,
                "the signing key beside the declaration is not the one that {host}'s facts were observed with"
            ),
            Self::PackageTrouble { host, trouble } => {
                write!(f, "the package manager on {host} is not fit: {trouble}")
            }
            Self::EtcdExternal => write!(f, "etcd is external"),
            Self::EtcdMember { name } => write!(f, "etcd member {name} is not healthy"),
            Self::EtcdTooFew {
                members,
                control_planes,
            } => write!(
                f,
                "etcd has {members} member(s) for {control_planes} control planes"
            ),
            Self::NodeNotReady { node } => write!(f, "node {node} is not ready"),
            Self::OperationUnderWay { host, operation } => {
                write!(f, "operation {operation} is under way on {host}")
            }
            Self::DiskTooSmall {
                host,
                directory,
                free,
                needed,
                why,
            } => write!(
                f,
                "{directory} on {host} has {} free and needs {} ({why})",
                bytes(*free),
                bytes(*needed)
            ),
            Self::ClockOff { host, offset_s } => {
                let side = if *offset_s < 0 { "behind" } else { "ahead" };
                write!(
                    f,
                    "the clock of {host} is {} s {side}",
                    offset_s.unsigned_abs()
                )
            }
            Self::Hazard(threat) => threat.fmt(f),
            Self::Catalogue(error) => write!(f, "the catalogue of hazards cannot be read: {error}"),
            Self::PodRefuses { pod, reason, .. } => write!(f, "pod {pod} {reason}"),
            Self::SeveralBudgets { pod, budgets, .. } => write!(
                f,
                "pod {pod} is covered by several budgets ({}), and the API server refuses to evict it",
                budgets.join(", ")
            ),
            Self::BudgetNever { budget, .. } => {
                write!(f, "{budget}: it can never allow an eviction")
            }
            Self::Fault(what) => write!(f, "the planner contradicts itself: {what}"),
        }
    }
}

/// A reason as machines read it.
#[derive(Serialize)]
struct Finding<'a> {
    code: &'a str,
    place: String,
    what: String,
    source: &'a str,
    next: String,
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Finding {
            code: self.code(),
            place: self.place(),
            what: self.to_string(),
            source: self.source(),
            next: self.next(),
        }
        .serialize(serializer)
    }
}
