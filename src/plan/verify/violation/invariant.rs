//! What must hold of every plan, and what a step may lack.

use std::fmt;

use crate::rules::skew::Rule;

/// What every plan keeps, whatever order its steps come to be done in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// Ids are unique, edges lead somewhere, nothing waits for itself.
    Graph,
    /// The plan is for this cluster as its facts describe it.
    Facts,
    /// Every argument of every action is what the facts say.
    Arguments,
    /// A rule of version skew, at every instant.
    Skew(Rule),
    /// Checks come before the snapshot, the snapshot before any change.
    SnapshotFirst,
    /// What kubeadm works with is there when it runs.
    Kubeadm,
    /// Control planes go one at a time, each awaited before the next.
    ControlPlanes,
    /// A node is cordoned, drained, upgraded, awaited and made schedulable again, in this order and once.
    NodeOrder,
    /// No more nodes are out of service at once than allowed, nor of two domains.
    OutOfService,
    /// Drains that can be in flight together leave every budget what it needs.
    Budgets,
    /// Workers that are yet to be drained are tainted before the first of them is, until each is back.
    Outdated,
    /// Repository, holds and downloads come before what is installed; one operation at a time on a host.
    Packages,
    /// A hop to another release begins once the hop before it is over and was looked at.
    Hops,
    /// Pauses, soaks, gates and hooks are where the declaration wants them.
    Declared,
    /// Everything ends at the target, and this is looked at last.
    Target,
    /// No member is replaced while any control plane runs, and all get the same.
    WayBack,
}

const KUBEADM_UPGRADE: &str =
    "https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-upgrade/";

impl Invariant {
    /// What it demands.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Graph => "ids are unique, edges lead to steps, and nothing waits for itself",
            Self::Facts => "a plan is for one cluster, as its facts describe it",
            Self::Arguments => "every argument of every action is what the facts say",
            Self::Skew(rule) => rule.text(),
            Self::SnapshotFirst => {
                "checks come before the snapshot, and the snapshot before any change"
            }
            Self::Kubeadm => {
                "kubeadm runs at its own release, after `apply` wrote that release down"
            }
            Self::ControlPlanes => {
                "control planes go one at a time, each awaited before the next, and all before any node"
            }
            Self::NodeOrder => {
                "a node is configured, cordoned, drained, upgraded, awaited and made schedulable again, in this order and once"
            }
            Self::OutOfService => {
                "no more nodes are out of service at once than allowed, nor of two domains"
            }
            Self::Budgets => {
                "drains that can be in flight together leave every budget what it needs"
            }
            Self::Outdated => {
                "workers that a hop has yet to drain are tainted before the first of them is drained, and each until it is back"
            }
            Self::Packages => {
                "one operation at a time on a host: holds, repository, download, installation; holds end last"
            }
            Self::Hops => {
                "a hop to another release begins once the one before it is over and was looked at"
            }
            Self::Declared => "pauses, soaks, gates and hooks are where the declaration wants them",
            Self::Target => "everything ends at the target, and this is looked at last",
            Self::WayBack => {
                "every control plane stops before any member is replaced, every member is restored from one snapshot with all the \
                 others, and every control plane starts after all are replaced"
            }
        }
    }

    /// Where upstream says so; none where it is refit's own promise.
    #[must_use]
    pub const fn source(self) -> Option<&'static str> {
        match self {
            Self::Skew(rule) => Some(rule.source()),
            Self::Hops => Some(
                "https://kubernetes.io/releases/version-skew-policy/#supported-component-upgrade-order",
            ),
            Self::SnapshotFirst => Some(
                "https://kubernetes.io/docs/tasks/administer-cluster/configure-upgrade-etcd/#backing-up-an-etcd-cluster",
            ),
            Self::Kubeadm | Self::ControlPlanes | Self::NodeOrder => Some(KUBEADM_UPGRADE),
            Self::Packages => Some(
                "https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/change-package-repository/",
            ),
            Self::OutOfService | Self::Budgets => {
                Some("https://kubernetes.io/docs/tasks/administer-cluster/safely-drain-node/")
            }
            Self::WayBack => Some(
                "https://kubernetes.io/docs/tasks/administer-cluster/configure-upgrade-etcd/#restoring-an-etcd-cluster",
            ),
            Self::Graph
            | Self::Facts
            | Self::Arguments
            | Self::Outdated
            | Self::Declared
            | Self::Target => None,
        }
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Skew(rule) => write!(f, "rule {}: {}", rule.number(), rule.text()),
            Self::Graph
            | Self::Facts
            | Self::Arguments
            | Self::SnapshotFirst
            | Self::Kubeadm
            | Self::ControlPlanes
            | Self::NodeOrder
            | Self::OutOfService
            | Self::Budgets
            | Self::Outdated
            | Self::Packages
            | Self::Hops
            | Self::Declared
            | Self::Target
            | Self::WayBack => f.write_str(self.text()),
        }
    }
}

/// A step that a plan must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Needed {
    /// The cluster is looked at.
    CheckCluster,
    /// The host is looked at.
    CheckHost,
    /// etcd is saved.
    Snapshot,
    /// kubeadm writes the kubelet's configuration.
    Kubeadm,
    /// `kubeadm upgrade apply`.
    Apply,
    /// The control plane is awaited.
    AwaitControlPlane,
    /// The addons are awaited.
    AwaitAddons,
    /// The node is cordoned.
    Cordon,
    /// The node is drained.
    Drain,
    /// The kubelet is installed.
    InstallKubelet,
    /// The node is awaited.
    AwaitNode,
    /// The static pods are awaited that a new kubelet restarts.
    AwaitStaticPods,
    /// The node is made schedulable again.
    Uncordon,
    /// The node is tainted as one that is yet to be drained.
    Taint,
    /// That taint is taken off.
    Untaint,
    /// The package is downloaded ahead.
    Prefetch,
    /// The packages are held.
    Hold,
    /// Holds that were not there are taken off.
    ReleaseHolds,
    /// The repository is switched.
    SwitchRepository,
    /// Time passes while nodes are watched.
    Soak,
    /// What was declared as a condition is waited for.
    Gate,
    /// A declared command is run.
    Hook,
    /// Everything is looked at in the end.
    Verify,
    /// The member is looked at.
    CheckMember,
    /// The snapshot is sent.
    SendSnapshot,
    /// The snapshot is restored beside the data in use.
    RestoreMember,
    /// The control plane stops.
    StopControlPlane,
    /// The member gets what was restored.
    ReplaceMember,
    /// The control plane starts.
    StartControlPlane,
}

impl fmt::Display for Needed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::CheckCluster => "check-cluster",
            Self::CheckHost => "check-host",
            Self::Snapshot => "snapshot-etcd",
            Self::Kubeadm => "kubeadm upgrade",
            Self::Apply => "kubeadm-apply",
            Self::AwaitControlPlane => "await-control-plane",
            Self::AwaitAddons => "await-addons",
            Self::Cordon => "cordon",
            Self::Drain => "drain",
            Self::InstallKubelet => "install-kubelet",
            Self::AwaitNode => "await-node",
            Self::AwaitStaticPods => "await-static-pods",
            Self::Uncordon => "uncordon",
            Self::Taint => "taint-outdated",
            Self::Untaint => "uncordon that takes the taint off",
            Self::Prefetch => "prefetch-packages",
            Self::Hold => "hold-packages",
            Self::ReleaseHolds => "release-holds",
            Self::SwitchRepository => "switch-repository",
            Self::Soak => "soak",
            Self::Gate => "gate",
            Self::Hook => "hook",
            Self::Verify => "verify",
            Self::CheckMember => "check-member",
            Self::SendSnapshot => "send-snapshot",
            Self::RestoreMember => "restore-member",
            Self::StopControlPlane => "stop-control-plane",
            Self::ReplaceMember => "replace-member",
            Self::StartControlPlane => "start-control-plane",
        })
    }
}
