//! The plan as plain data: steps, their order and the reason for each.
//!
//! A plan is what reviewers read and the executor obeys. It holds every argument of every action, so that nothing is left
//! to decide, and it is saved in topological order with ties by id. It knows neither how it was computed nor how it is
//! carried out.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::way_back::Part;
use super::windows::Windows;
use crate::cluster::facts::PackageManager;
use crate::cluster::model::{HostName, NodeName, Role};
use crate::host::op::{KeyText, KubeadmOptions, PackageRevision};
use crate::rules::eviction::Exception;
use crate::rules::version::{Minor, Version};

/// A gate is in a plan as it is declared, and so are the words that a hook is told by.
pub use crate::documents::settings::{
    Comparison, Condition, Gate, GatePoint, Hook, HookPlace, HookPoint, NoData, PrometheusServer,
    Rerun, SecretSource,
};

/// The format this build writes and reads.
pub const FORMAT: &str = "refit.plan/v1";

/// An ordered upgrade.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// [`FORMAT`].
    pub format: String,
    /// The declaration's `metadata.name`.
    pub upgrade: String,
    /// The inventory's `metadata.name`.
    pub inventory: String,
    /// UID of the cluster's `kube-system`: the plan is for this cluster only.
    pub cluster_uid: String,
    /// The release to reach.
    pub target: Version,
    /// SHA-256 of both documents' texts.
    pub declaration_sha256: String,
    /// What the declaration lets the steps do.
    pub limits: Limits,
    /// When it may be carried out; none where that is at any time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub windows: Option<Windows>,
    /// When the facts were observed.
    pub facts_at: Timestamp,
    /// SHA-256 of `basis`.
    pub facts_fingerprint: String,
    /// What the plan rests on, observed: one line a fact (`node/w1/kubelet` = `1.34.4`). A difference when the plan is
    /// applied is drift, and is refused with the lines that differ.
    pub basis: BTreeMap<String, String>,
    /// What the reader should know, and no step shows.
    pub notes: Vec<String>,
    /// In topological order, ties by id.
    pub steps: Vec<Step>,
}

/// What the declaration lets a plan's steps do, resolved for this cluster, so that a plan can be judged without it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// `strategy.workers.maxUnavailable`, in nodes.
    pub workers_out_of_service: usize,
    /// `strategy.controlPlane.drain`.
    pub control_planes_drained: bool,
    /// `strategy.workers.skipLevel`.
    pub workers_skip_minors: bool,
    /// `strategy.workers.topologyKey`: workers with two values of this label are never out of service together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topology_key: Option<String>,
    /// `strategy.controlPlane.pause`, in seconds.
    #[serde(default, skip_serializing_if = "is_none")]
    pub control_planes_pause_s: u64,
    /// `strategy.workers.order` as far as its last group that soaks; all other workers come after these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub soaks: Vec<SoakingGroup>,
    /// `gates`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Gate>,
    /// `hooks`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<Hook>,
    /// How many workers a hop may put off to its end: `strategy.workers.maxDeferred` where `drain.blocked` is `defer`, else none.
    #[serde(default, skip_serializing_if = "is_no_node")]
    pub workers_deferred: usize,
    /// `drain.avoidOutdated`.
    #[serde(default, skip_serializing_if = "is_no")]
    pub outdated_avoided: bool,
    /// Nodes that `ignoreNodes` leaves as they are, sorted.
    pub left_out: Vec<NodeName>,
}

impl Limits {
    /// Those of a plan that takes no node out of service, and that no declaration limits.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            workers_out_of_service: 0,
            control_planes_drained: false,
            workers_skip_minors: false,
            topology_key: None,
            control_planes_pause_s: 0,
            soaks: Vec::new(),
            gates: Vec::new(),
            hooks: Vec::new(),
            workers_deferred: 0,
            outdated_avoided: false,
            left_out: Vec::new(),
        }
    }
}

/// Workers that go before others, and how long they are watched before these go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SoakingGroup {
    /// The workers, sorted.
    pub nodes: Vec<NodeName>,
    /// Seconds; 0 where the next ones follow at once.
    pub for_s: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as serde calls it
const fn is_none(seconds: &u64) -> bool {
    *seconds == 0
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as serde calls it
const fn is_no(flag: &bool) -> bool {
    !*flag
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as serde calls it
const fn is_no_node(count: &usize) -> bool {
    *count == 0
}

/// What becomes of a node whose drain cannot be finished: it is made schedulable again, nobody waits for it any longer, and
/// these steps are carried out at the end of the hop instead, one node after another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deferral {
    /// The barrier that is not passed while the node is not done. Its steps begin once all that comes before it is done.
    pub until: StepId,
    /// The node's steps that begin anew, from its cordon to its last before the barrier, in their order.
    pub steps: Vec<StepId>,
}

/// A step's id: what it does to whom, such as `w3/install-kubelet@1.35.4`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepId(String);

impl StepId {
    /// From its text.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Stable: the same declaration and facts give the same id.
    pub id: StepId,
    /// What is done, with all its arguments.
    pub action: Action,
    /// The steps that must be done before, sorted.
    pub after: Vec<StepId>,
    /// Seconds until the step has failed.
    pub timeout_s: u64,
    /// How often it is tried again after a failure.
    pub retries: u32,
    /// Why it is here, for the reader.
    pub because: String,
    /// How long it should take, in seconds.
    pub expected_s: u64,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Action {
    /// Reads only: the host is the node it should be, we are root, nothing of ours is under way there, disk and package
    /// database are fit.
    CheckHost {
        /// The host.
        host: HostName,
        /// Its node.
        node: NodeName,
        /// The machine id seen when the plan was made.
        machine_id: String,
        /// Bytes that must be free, by directory.
        disk_free: BTreeMap<String, u64>,
        /// The directory of patches that kubeadm will read there; none where it reads none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        patches: Option<String>,
    },
    /// Reads only: the API answers, this is the plan's cluster, etcd is whole, every node of the plan is ready.
    CheckCluster {
        /// UID of `kube-system`.
        cluster_uid: String,
        /// A control plane to ask etcd through.
        host: HostName,
        /// The nodes that must be ready.
        nodes: Vec<NodeName>,
    },
    /// A snapshot of etcd: saved on the host, checked, copied to this machine, its digest compared, removed there; with it, in an
    /// archive, `/etc/kubernetes/pki` and the API server's encryption configuration. What killed runs left of theirs, there
    /// and here, is removed with it.
    SnapshotEtcd {
        /// The control plane whose member is asked.
        host: HostName,
        /// The file on the host; `{run}` stands for the run's id.
        file: String,
        /// Where it is kept on this machine.
        directory: String,
        /// How many are kept there.
        keep: u32,
        /// Restored into a scratch directory as well.
        trial_restore: bool,
        /// age recipients that both files are encrypted to before they reach this machine's disk; none where they are kept in
        /// the clear.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        encrypt_to: Vec<String>,
    },
    /// Holds packages that were not held before.
    HoldPackages {
        /// The host.
        host: HostName,
        /// What installs packages.
        manager: PackageManager,
        /// Their names.
        packages: Vec<String>,
    },
    /// Points a host at the target minor's repository.
    SwitchRepository {
        /// The host.
        host: HostName,
        /// What installs packages.
        manager: PackageManager,
        /// The minor.
        minor: Minor,
        /// The repository file, replaced as a whole.
        file: String,
        /// Its new text.
        content: String,
        /// Where the key goes.
        key_file: String,
        /// The key.
        key: KeyText,
        /// What the key's SHA-256 must be.
        key_sha256: String,
    },
    /// Downloads packages ahead of time.
    PrefetchPackages {
        /// The host.
        host: HostName,
        /// What installs packages.
        manager: PackageManager,
        /// Exact revisions.
        packages: Vec<PackageRevision>,
    },
    /// Installs kubeadm.
    InstallKubeadm {
        /// The host.
        host: HostName,
        /// What installs packages.
        manager: PackageManager,
        /// Exact revisions.
        packages: Vec<PackageRevision>,
    },
    /// Pulls kubeadm's images ahead of time.
    PullImages {
        /// The host.
        host: HostName,
        /// The release.
        version: Version,
        /// The repository of images.
        image_repository: String,
    },
    /// `kubeadm upgrade apply`.
    KubeadmApply {
        /// The first control plane.
        host: HostName,
        /// The release.
        version: Version,
        /// What else kubeadm is told.
        options: KubeadmOptions,
    },
    /// `kubeadm upgrade node`.
    KubeadmNode {
        /// The host.
        host: HostName,
        /// Control plane or worker.
        role: Role,
        /// The release.
        version: Version,
        /// What else kubeadm is told.
        options: KubeadmOptions,
    },
    /// Waits until a control plane's instance is at the release and healthy: its API server's `/readyz` and version,
    /// controller manager and scheduler, every etcd member, the balancer.
    AwaitControlPlane {
        /// The host.
        host: HostName,
        /// Its node.
        node: NodeName,
        /// The release.
        version: Version,
    },
    /// Waits until CoreDNS and kube-proxy are rolled out.
    AwaitAddons {
        /// What kube-proxy's image tag must be; none where there is no kube-proxy.
        kube_proxy: Option<Version>,
    },
    /// Marks a node unschedulable and writes that it was us.
    Cordon {
        /// The node.
        node: NodeName,
    },
    /// Evicts the node's pods within their budgets, and waits until their volumes are detached.
    Drain {
        /// The node.
        node: NodeName,
        /// Seconds for each pod's end; the pod's own when none is given.
        grace_period_s: Option<u64>,
        /// emptyDir data may go with the pod.
        delete_empty_dir_data: bool,
        /// Pods without a controller are evicted too, and are gone.
        evict_unmanaged_pods: bool,
        /// What is different for some pods; the first that matches counts.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        rules: Vec<Exception>,
        /// Seconds for the pods without a time of their own, where a rule gives one to others; the step's when none is given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        others_timeout_s: Option<u64>,
        /// What becomes of the node when its pods cannot leave in time; the run halts when none is given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deferral: Option<Deferral>,
    },
    /// Installs kubelet and kubectl and restarts the kubelet.
    InstallKubelet {
        /// The host.
        host: HostName,
        /// What installs packages.
        manager: PackageManager,
        /// Exact revisions.
        packages: Vec<PackageRevision>,
    },
    /// Waits until the node is ready with its kubelet at the release.
    AwaitNode {
        /// The node.
        node: NodeName,
        /// The release.
        version: Version,
    },
    /// Waits until a control plane's instance has been healthy without a break for so long that the static pods which its new
    /// kubelet restarts are behind it, and kube-controller-manager has a leader: endpoints and budgets stand still without.
    AwaitStaticPods {
        /// The host.
        host: HostName,
        /// Its node.
        node: NodeName,
        /// The release.
        version: Version,
        /// Seconds without a break.
        steady_s: u64,
        /// The lease that kube-controller-manager's leader renews, as `namespace/name`; none where none is elected.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lease: Option<String>,
    },
    /// Taints these workers ([`crate::cluster::model::OUTDATED`]), so that pods which are evicted from others prefer nodes that
    /// need not be drained any more. It is taken off each with its own [`Action::Uncordon`]; from all of them while the run is
    /// paused, outside its windows or waits for somebody's word with nobody at work, and put on again before the next one is
    /// cordoned; and when the run is abandoned.
    TaintOutdated {
        /// The workers that the hop has yet to drain, sorted.
        nodes: Vec<NodeName>,
    },
    /// Makes the node schedulable again, if it was us who cordoned it.
    Uncordon {
        /// The node.
        node: NodeName,
        /// It is outdated no more: its taint goes first ([`Action::TaintOutdated`]).
        #[serde(default, skip_serializing_if = "is_no")]
        outdated: bool,
    },
    /// Ends the holds that were not there before.
    ReleaseHolds {
        /// The host.
        host: HostName,
        /// What installs packages.
        manager: PackageManager,
        /// Their names.
        packages: Vec<String>,
    },
    /// Reads only: every component is at the release, every node ready and schedulable as before. Ends each hop; nodes whose
    /// kubelets skip its minor are left to the last.
    Verify {
        /// The release.
        version: Version,
        /// Control planes.
        control_planes: BTreeMap<HostName, NodeName>,
        /// All nodes of the plan that are at the release.
        nodes: Vec<NodeName>,
        /// Nodes that were cordoned by others and stay so.
        cordoned: Vec<NodeName>,
        /// What kube-proxy's image tag must be; none where there is no kube-proxy, or its release is not kubeadm's to choose.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kube_proxy: Option<Version>,
    },
    /// Time passes, and these nodes stay ready: one that turns not ready fails the step. Counted from the step's first
    /// beginning, whatever process carries it out by then.
    Soak {
        /// Seconds.
        for_s: u64,
        /// The nodes that are watched.
        nodes: Vec<NodeName>,
    },
    /// Waits until what the declaration makes a condition holds.
    Gate {
        /// As declared.
        gate: Gate,
    },
    /// Runs a command of the user's own, unless its check says that nothing is left to do.
    Hook {
        /// The hook's name.
        name: String,
        /// Where in the hop.
        at: HookPoint,
        /// Where it runs; none for this machine.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        host: Option<HostName>,
        /// The node that it is about, if any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        node: Option<NodeName>,
        /// The command.
        run: Vec<String>,
        /// Ends with 0 when nothing is left to do.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        check: Option<Vec<String>>,
        /// Environment variables of both.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        env: BTreeMap<String, String>,
        /// Where on this machine; none on a host.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        directory: Option<String>,
        /// The host may reboot meanwhile.
        reboots: bool,
        /// What may be done when it was cut short.
        rerun: Rerun,
    },
    /// A part of the way back from a snapshot, on one control plane.
    WayBack {
        /// The host.
        host: HostName,
        /// Which part, with its arguments.
        part: Part,
    },
    /// Nothing: many steps meet here, so that edges stay few.
    Barrier {
        /// What holds once it is passed.
        holds: String,
    },
}

impl Action {
    /// The host acted upon, if any; a hook on this machine acts upon none.
    #[must_use]
    pub const fn host(&self) -> Option<&HostName> {
        match self {
            Self::CheckHost { host, .. }
            | Self::CheckCluster { host, .. }
            | Self::SnapshotEtcd { host, .. }
            | Self::HoldPackages { host, .. }
            | Self::SwitchRepository { host, .. }
            | Self::PrefetchPackages { host, .. }
            | Self::InstallKubeadm { host, .. }
            | Self::PullImages { host, .. }
            | Self::KubeadmApply { host, .. }
            | Self::KubeadmNode { host, .. }
            | Self::AwaitControlPlane { host, .. }
            | Self::AwaitStaticPods { host, .. }
            | Self::InstallKubelet { host, .. }
            | Self::WayBack { host, .. }
            | Self::ReleaseHolds { host, .. } => Some(host),
            Self::Hook { host, .. } => host.as_ref(),
            Self::AwaitAddons { .. }
            | Self::Cordon { .. }
            | Self::Drain { .. }
            | Self::AwaitNode { .. }
            | Self::TaintOutdated { .. }
            | Self::Uncordon { .. }
            | Self::Verify { .. }
            | Self::Soak { .. }
            | Self::Gate { .. }
            | Self::Barrier { .. } => None,
        }
    }

    /// The node named, if any; steps that name only a host are on the node of that host's [`Action::CheckHost`].
    #[must_use]
    pub const fn node(&self) -> Option<&NodeName> {
        match self {
            Self::CheckHost { node, .. }
            | Self::AwaitControlPlane { node, .. }
            | Self::AwaitStaticPods { node, .. }
            | Self::Cordon { node }
            | Self::Drain { node, .. }
            | Self::AwaitNode { node, .. }
            | Self::Uncordon { node, .. } => Some(node),
            Self::Hook { node, .. } => node.as_ref(),
            Self::CheckCluster { .. }
            | Self::SnapshotEtcd { .. }
            | Self::HoldPackages { .. }
            | Self::SwitchRepository { .. }
            | Self::PrefetchPackages { .. }
            | Self::InstallKubeadm { .. }
            | Self::PullImages { .. }
            | Self::KubeadmApply { .. }
            | Self::KubeadmNode { .. }
            | Self::AwaitAddons { .. }
            | Self::TaintOutdated { .. }
            | Self::InstallKubelet { .. }
            | Self::ReleaseHolds { .. }
            | Self::Verify { .. }
            | Self::Soak { .. }
            | Self::Gate { .. }
            | Self::WayBack { .. }
            | Self::Barrier { .. } => None,
        }
    }
}
