//! Each reason in the operator's words.

use std::fmt;

use super::{Reason, RepositoryTrouble, When, names};
use crate::cluster::model::Role;
use crate::rules::skew::WORKER_JUMP;

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
pub fn as_declared(seconds: u64) -> String {
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
            Self::UnsupportedMinor { minor } => {
                write!(f, "this refit was not built for Kubernetes {minor}")
            }
            Self::UnsupportedSystem { host, os } => {
                write!(f, "{host} runs `{os}`, which this refit was not built for")
            }
            Self::NoRelease { minor, host, why } => {
                write!(
                    f,
                    "the plan goes through {minor}, and which release of it cannot be told"
                )?;
                match host {
                    Some(host) => write!(f, ": what {host} is offered is not known ({why})"),
                    None => write!(f, ": {why}"),
                }
            }
            Self::AheadOfHop {
                what,
                from,
                release,
            } => write!(
                f,
                "{what} is {from}, newer than {release}, which the plan goes through"
            ),
            Self::KubeletTooFar {
                node,
                kubelet,
                kubeadm,
                control_planes,
                to,
                may_skip,
            } => {
                write!(
                    f,
                    "the kubelet of {node} is {kubelet}, {} minors behind {to}",
                    to.minor().ahead_of(kubelet.minor())
                )?;
                if *may_skip && to.minor().ahead_of(kubelet.minor()) > WORKER_JUMP {
                    write!(f, ", and a kubelet skips at most {WORKER_JUMP}")
                } else {
                    write!(
                        f,
                        ", and no kubeadm can take it along: its own is {kubeadm}, the control planes are at {control_planes} (rules 8 and 9)"
                    )
                }
            }
            Self::SkipLevel { node, why } => {
                write!(f, "the kubelet of {node} cannot skip minors: {why}")
            }
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
            Self::Kubeadm {
                objection,
                forceable: _,
            } => write!(f, "kubeadm would refuse: {objection}"),
            Self::SkipPhase {
                phase,
                minor,
                trouble,
            } => write!(
                f,
                "phase `{phase}` is to be left out (kubeadm.skipPhases): kubeadm {minor} {trouble}"
            ),
            Self::NoWindow { room, learned } => {
                write!(
                    f,
                    "no window is long enough for {}: it and what must follow it at once take about {} s, and the longest window \
                     that comes has {} s",
                    room.step, room.needs_s, room.longest_s
                )?;
                learned.iter().try_for_each(|of| write!(f, "; {of}"))
            }
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
            Self::BudgetSync { budget, why, .. } => write!(
                f,
                "budget {budget} allows no eviction while its pods cannot be counted: {why}"
            ),
            Self::Stranded {
                budget,
                allowed,
                pods,
                why,
                ..
            } => write!(
                f,
                "{} pod(s) of budget {budget} find no other node ({why}), and it lets no more than {allowed} be away, so that the drain would never end: {}",
                pods.len(),
                pods.join(", ")
            ),
            Self::Fault(what) => write!(f, "the planner contradicts itself: {what}"),
        }
    }
}
