//! The documents once validated: what the rest of refit reads.
//!
//! Every value here has been checked (names are valid host or node names, versions parse, ranges are expanded, SSH
//! settings are inherited, defaults are filled in). Fields whose behaviour does not exist yet have no place here:
//! reading refuses them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use super::comparison::{Comparison, NoComparison};
use crate::cluster::model::{HostName, LabelSelector, NodeName, Role};
use crate::rules::eviction::Exception;
use crate::rules::hazards::{Acceptance, Hazard};
use crate::rules::version::{Minor, Version};

pub use super::hook::{Filled, Hook, HookPlace, HookPoint, Rerun};

/// How to reach the cluster and its hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inventory {
    /// `metadata.name`.
    pub name: String,
    /// The kubeconfig, made absolute or relative to the working directory (the document's folder is already joined).
    pub kubeconfig: PathBuf,
    /// The kubeconfig's context; its current one when none is given.
    pub context: Option<String>,
    /// In the order of their names.
    pub hosts: BTreeMap<HostName, Host>,
    /// Nodes that are left alone, by name or selector.
    pub ignore_nodes: Vec<IgnoredNodes>,
}

/// A host and the node it carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// The inventory's name of the host.
    pub name: HostName,
    /// IP address or DNS name; never starts with `-`.
    pub address: String,
    /// The Kubernetes node that runs here.
    pub node: NodeName,
    /// Control plane or worker.
    pub role: Role,
    /// The group that lists it.
    pub group: String,
    /// The inventory's labels; the node's own win.
    pub labels: BTreeMap<String, String>,
    /// How to log in, inherited from the group and the inventory.
    pub ssh: Ssh,
}

/// How to log in to a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ssh {
    /// The login name.
    pub user: String,
    /// TCP port.
    pub port: u16,
    /// The private key; the agent's keys when none is given.
    pub identity_file: Option<PathBuf>,
    /// The only host keys that are trusted; the user's own file when none is given.
    pub known_hosts: Option<PathBuf>,
    /// The host to go through.
    pub jump: Option<Jump>,
    /// How the login becomes root.
    pub become_root: Become,
}

/// A host that connections go through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jump {
    /// IP address or DNS name.
    pub address: String,
    /// The login name there.
    pub user: String,
    /// TCP port.
    pub port: u16,
}

/// How the login becomes root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Become {
    /// The login is root.
    None,
    /// Through `sudo -n`.
    Sudo,
}

/// Nodes of the cluster that are not ours to upgrade.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IgnoredNodes {
    /// One node.
    Name(NodeName),
    /// All nodes with these labels.
    Selector(LabelSelector),
}

/// What the cluster should become, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgrade {
    /// `metadata.name`.
    pub name: String,
    /// Path of the inventory, the document's folder already joined.
    pub inventory: PathBuf,
    /// The release to reach.
    pub target: Version,
    /// The exact release at a minor.
    pub via: BTreeMap<Minor, Version>,
    /// How old recorded facts may be.
    pub max_facts_age: Duration,
    /// Where packages come from.
    pub packages: Packages,
    /// What kubeadm is told.
    pub kubeadm: Kubeadm,
    /// Between control planes.
    pub control_plane: ControlPlaneStrategy,
    /// Which workers at once, in which order.
    pub workers: WorkerStrategy,
    /// How pods leave a node.
    pub drain: DrainPolicy,
    /// The etcd snapshot before the first change.
    pub snapshot: SnapshotPolicy,
    /// When the cluster may be changed; at any time when there are none.
    pub windows: Vec<Window>,
    /// What must hold before the run goes on.
    pub gates: Vec<Gate>,
    /// Commands of the user's own.
    pub hooks: Vec<Hook>,
    /// Hazards that somebody answers for.
    pub accepted_risks: Vec<Acceptance>,
    /// The team's own hazards, out of the files that the document names; only a document read together with them has them.
    pub own_hazards: Vec<Hazard>,
}

/// Where packages come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packages {
    /// URL with `{minor}` and `{format}`.
    pub repository: String,
    /// Its signing key.
    pub key: KeySource,
    /// The repository's file on the hosts; found by looking when none is given.
    pub repo_file: Option<String>,
}

/// Where a repository's signing key comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// Fetched by the hosts; may hold `{minor}` and `{format}`.
    Url(String),
    /// A file beside the document.
    File(PathBuf),
}

/// What kubeadm is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kubeadm {
    /// Preflight checks whose failure is ignored, by name, sorted; never `all`.
    pub ignore_preflight_errors: Vec<String>,
    /// A directory of patches on the hosts.
    pub patches: Option<String>,
    /// Phases left out.
    pub skip_phases: Vec<String>,
    /// Whether etcd is upgraded.
    pub etcd_upgrade: bool,
    /// Whether certificates are renewed.
    pub certificate_renewal: bool,
}

/// Between control planes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlPlaneStrategy {
    /// Drained before their kubelet changes.
    pub drain: bool,
    /// What passes between one and the next, both when their static pods change and when their kubelets do.
    pub pause: Duration,
}

/// Which workers at once, in which order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerStrategy {
    /// Nodes out of service at once.
    pub max_unavailable: Share,
    /// Nodes with two values of this label are never out of service together.
    pub topology_key: Option<String>,
    /// Groups of nodes, first to last; nodes that match none come at the end.
    pub order: Vec<OrderGroup>,
    /// Kubelets may skip minors: up to three at once, in the last hop.
    pub skip_level: bool,
}

/// Workers that go together, before others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderGroup {
    /// Which.
    pub selector: LabelSelector,
    /// How long they are watched before the next ones go.
    pub soak: Duration,
}

/// A count, or a share of a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// So many.
    Count(u32),
    /// So many in a hundred.
    Percent(u32),
}

impl Share {
    /// Of `total`, rounded down, at least 1.
    #[must_use]
    pub fn of(self, total: usize) -> usize {
        match self {
            Self::Count(count) => (count as usize).max(1),
            Self::Percent(percent) => (total * percent as usize / 100).max(1),
        }
    }
}

/// How pods leave a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrainPolicy {
    /// For one node.
    pub timeout: Duration,
    /// Seconds for each pod; the pod's own when none is given.
    pub grace_period: Option<Duration>,
    /// Whether emptyDir data may go with the pod.
    pub delete_empty_dir_data: bool,
    /// Pods without a controller.
    pub unmanaged_pods: UnmanagedPods,
    /// What a node does to the run when its pods cannot leave in time.
    pub blocked: WhenBlocked,
    /// Whether workers that are yet to be drained carry a taint meanwhile.
    pub avoid_outdated: bool,
    /// What is different for some pods; the first that matches counts.
    pub rules: Vec<Exception>,
}

/// What a node does to the run when its pods cannot leave in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenBlocked {
    /// It goes back into service and is tried again at the end of its hop; so many nodes of a hop at most.
    Defer {
        /// `strategy.workers.maxDeferred`; at least 1.
        at_most: u32,
    },
    /// It stays cordoned, and the run halts.
    Halt,
}

/// When the cluster may be changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// Minute, hour, day, month and weekday as in crontab(5). Where clocks are put forward, a time that does not exist is
    /// the end of the gap; where they are put back, the first of two.
    pub start: String,
    /// Seconds for which it stays open, whatever clocks show meanwhile.
    pub duration_s: u64,
    /// The time zone of `start`, by its IANA name.
    pub timezone: String,
}

/// What must hold before the run goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// Its name; no other gate has it.
    pub name: String,
    /// Where in each hop.
    pub at: GatePoint,
    /// What must hold.
    pub condition: Condition,
}

impl Gate {
    /// That whoever is on the way to the server that it asks can read its token, if so.
    #[must_use]
    pub fn shows_its_token(&self) -> Option<String> {
        match &self.condition {
            Condition::Prometheus { server, .. } => {
                let host = server.shows_its_token_to_the_way()?;
                Some(format!(
                    "gate `{}` sends its token to {host} without encryption: whoever is on the way can read it (https does not \
                     show it)",
                    self.name
                ))
            }
            Condition::Approval { .. } | Condition::Command { .. } => None,
        }
    }
}

/// Where in a hop a gate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GatePoint {
    /// Nothing of it was looked at yet, so that what it begins with is fresh however long the gate takes.
    BeforeHop,
    /// After each control plane's static pods, before the next one's.
    AfterControlPlane,
    /// Before anything of a worker's own changes but its packages.
    BeforeWorkers,
    /// After each wave of workers.
    AfterEachWave,
    /// All of the hop is there, and its last look is left.
    AfterHop,
}

impl GatePoint {
    /// As the document has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BeforeHop => "before-hop",
            Self::AfterControlPlane => "after-control-plane",
            Self::BeforeWorkers => "before-workers",
            Self::AfterEachWave => "after-each-wave",
            Self::AfterHop => "after-hop",
        }
    }
}

/// What a gate waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Condition {
    /// Somebody's word.
    Approval {
        /// Who may give it.
        by: Vec<String>,
        /// Seconds for which it counts once given; what is used within them is used for good.
        expires_s: u64,
    },
    /// A command on this machine that ends with 0. It is run again and again until it does.
    Command {
        /// The command, word by word.
        run: Vec<String>,
        /// Where it runs: the document's folder.
        directory: String,
        /// Seconds for which it must go on ending with 0.
        for_s: u64,
        /// Seconds for which it is tried.
        timeout_s: u64,
    },
    /// An instant query of a Prometheus server whose every value must be as expected. It is asked again and again until then.
    Prometheus {
        /// Who is asked.
        server: PrometheusServer,
        /// PromQL.
        query: String,
        /// What must be true of every value.
        expect: Comparison,
        /// What an empty answer means.
        no_data: NoData,
        /// Seconds for which it must go on being so.
        for_s: u64,
        /// Seconds for which it is asked.
        timeout_s: u64,
    },
}

/// A server with Prometheus' HTTP API, and what it takes to ask it. Holds no secret: only where it is found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrometheusServer {
    /// `http` or `https`, without the API's own path and without a query.
    pub url: String,
    /// Where the bearer token comes from, if it takes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<SecretSource>,
    /// A file with the authorities of its certificate; this machine's when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
}

impl PrometheusServer {
    /// The host that anybody on the way to it could read the token of, because nothing encrypts it; none where there is no
    /// token, or it stays on this machine.
    #[must_use]
    pub fn shows_its_token_to_the_way(&self) -> Option<&str> {
        self.token.as_ref()?;
        let rest = self.url.strip_prefix("http://")?;
        let authority = rest
            .split_once('/')
            .map_or(rest, |(authority, _)| authority);
        let host = match authority.strip_prefix('[') {
            Some(six) => six.split_once(']').map_or(six, |(host, _)| host),
            None => authority
                .split_once(':')
                .map_or(authority, |(host, _)| host),
        };
        let here = match host.parse::<std::net::IpAddr>() {
            Ok(address) => address.is_loopback(),
            Err(_) => host.eq_ignore_ascii_case("localhost"),
        };
        (!here).then_some(host)
    }
}

/// Where a secret comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecretSource {
    /// An environment variable.
    Env(String),
    /// A file.
    File(String),
}

/// What an answer without any value means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoData {
    /// Nothing is known, so the run does not go on.
    Fail,
    /// There is nothing to complain of.
    Pass,
}

/// What happens to pods without a controller, which nothing brings back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnmanagedPods {
    /// The plan is blocked.
    Refuse,
    /// They are evicted and gone.
    Evict,
}

/// The etcd snapshot before the first change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotPolicy {
    /// Where it is kept on this machine, relative to the working directory.
    pub directory: PathBuf,
    /// How many are kept.
    pub keep: u32,
    /// Restored into a scratch directory before anything changes.
    pub trial_restore: bool,
    /// age recipients that it is encrypted to; none where it is kept in the clear.
    pub encrypt_to: Vec<String>,
}
