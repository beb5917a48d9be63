//! What to do about each reason.

use super::{Reason, RepositoryTrouble, as_declared};
use crate::rules::eviction::RefuseReason;
use crate::rules::kubeadm_phases::{self, PhaseTrouble};
use crate::rules::skew::{Component, Violation, WORKER_JUMP};
use crate::rules::support;

/// A controller of one control plane against the API server of another.
fn roams(violation: &Violation) -> bool {
    let of_kubeadm = matches!(
        violation.party.component,
        Component::ControllerManager | Component::Scheduler
    );
    of_kubeadm && violation.party.node != violation.against.node
}

impl Reason {
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
            Self::UnsupportedMinor { .. } => format!(
                "choose a target from {} to {}, or a refit that knows it",
                support::OLDEST,
                support::NEWEST
            ),
            Self::UnsupportedSystem { host, .. } => format!(
                "upgrade {host} by other means and leave its node out by name under `ignoreNodes`; refit knows {}",
                support::SYSTEMS.join(", ")
            ),
            Self::NoRelease { minor, .. } => format!(
                "name the release in the declaration (`via: {{\"{minor}\": {minor}.X}}`), then run `refit inspect` with it"
            ),
            Self::AheadOfHop { from, release, .. } => format!(
                "name {from} or a later release in the declaration: `via: {{\"{}\": {from}}}`",
                release.minor()
            ),
            Self::KubeletTooFar {
                node,
                control_planes,
                to,
                may_skip,
                kubelet,
                ..
            } => {
                let lag = to.minor().ahead_of(kubelet.minor());
                if *may_skip && lag > WORKER_JUMP {
                    format!(
                        "choose a target at most {WORKER_JUMP} minors ahead of {node}'s kubelet first, or drain {node}, `kubeadm reset` it and join it again"
                    )
                } else if !may_skip && lag <= WORKER_JUMP {
                    format!(
                        "drain {node}, `kubeadm reset` it and join it again with kubeadm {control_planes}; a worker whose kubeadm is at most one minor behind may jump instead (`strategy.workers.skipLevel: true`)"
                    )
                } else {
                    format!(
                        "drain {node}, `kubeadm reset` it and join it again with kubeadm {control_planes}"
                    )
                }
            }
            Self::SkipLevel { node, .. } => format!(
                "mend /var/lib/kubelet/kubeadm-flags.env on {node} and restart its kubelet, or set `strategy.workers.skipLevel: false`"
            ),
            Self::Downgrade { from, .. } => format!("set `target` to {from} or later"),
            Self::Skew { violation, .. } if roams(violation) => format!(
                "let {} use its own API server: set `server:` in /etc/kubernetes/{}.conf there to that of its own instance and restart the static pod",
                violation.party,
                match violation.party.component {
                    Component::Scheduler => "scheduler",
                    _ => "controller-manager",
                }
            ),
            Self::Skew { violation, .. } => format!(
                "bring {} within the rule by hand, then plan again: {}",
                violation
                    .party
                    .node
                    .as_ref()
                    .map_or_else(|| violation.against.to_string(), |_| violation.party.to_string()),
                violation.rule.text()
            ),
            Self::Kubeadm { .. } => {
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
            Self::NoWindow { room, .. } => format!(
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
                RefuseReason::LocalStorageByRule => {
                    "move the data, or set `deleteEmptyDirData: true` in its rule of `drain.rules`".to_owned()
                }
                RefuseReason::Unmanaged => {
                    "give the pod a controller or remove it, or set `drain.unmanagedPods: evict`".to_owned()
                }
            },
            Self::SeveralBudgets { .. } => "let one budget cover the pod".to_owned(),
            Self::BudgetNever { .. } => {
                "add a replica, or loosen the budget until the upgrade is over".to_owned()
            }
            Self::BudgetSync { .. } => {
                "look at the budget with `kubectl describe pdb`: its pods need a controller that can be scaled".to_owned()
            }
            Self::Stranded { .. } => {
                "make room on another node for them, or loosen the budget until the upgrade is over".to_owned()
            }
            Self::Catalogue(_) | Self::Fault(_) => "report this as a bug of refit, with the facts".to_owned(),
        }
    }
}
