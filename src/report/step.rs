//! One step in words: what it does, after what, and how long it may take.

use super::runbook::command_line;
use super::words::{self, any_of};
use crate::cluster::model::{NodeName, OUTDATED};
use crate::host::command::with_environment;
use crate::host::op::PackageRevision;
use crate::host::way_back::Change;
use crate::plan::data::{Action, Condition, NoData, Rerun, Step, StepId};
use crate::plan::way_back::Part;

pub(super) fn duration(seconds: u64) -> String {
    words::duration(i64::try_from(seconds).unwrap_or(i64::MAX))
}

/// What a step does, in one line.
#[must_use]
pub fn what(action: &Action) -> String {
    match action {
        Action::CheckHost { node, patches, .. } => {
            let patches = match patches {
                Some(directory) => format!(", and that {directory} is there"),
                None => String::new(),
            };
            format!("checks that it is node {node}, idle and with room{patches}")
        }
        Action::CheckCluster { nodes, .. } => {
            format!("checks API, etcd and {} node(s)", nodes.len())
        }
        Action::SnapshotEtcd {
            host,
            directory,
            trial_restore,
            encrypt_to,
            ..
        } => {
            let trial = if *trial_restore {
                ", restores etcd for trial"
            } else {
                ""
            };
            let sealed = match encrypt_to.len() {
                0 => String::new(),
                1 => ", encrypted to 1 recipient".to_owned(),
                many => format!(", encrypted to {many} recipients"),
            };
            format!(
                "saves etcd and /etc/kubernetes/pki on {host}{trial}, copies both to {directory}{sealed}"
            )
        }
        Action::HoldPackages { packages, .. } => format!("holds {}", packages.join(", ")),
        Action::SwitchRepository { minor, .. } => {
            format!("switches to the repository of {minor}")
        }
        Action::PrefetchPackages { packages, .. } => format!("downloads {}", revisions(packages)),
        Action::InstallKubeadm { packages, .. } => format!("installs {}", revisions(packages)),
        Action::PullImages {
            version,
            image_repository,
            ..
        } => format!("pulls images of {version} from {image_repository}"),
        Action::KubeadmApply { version, .. } => format!("kubeadm upgrade apply {}", version.tag()),
        Action::KubeadmNode { .. } => "kubeadm upgrade node".to_owned(),
        Action::AwaitControlPlane { .. } => {
            "waits for its API server, etcd and the balancer".to_owned()
        }
        Action::AwaitStaticPods {
            steady_s, lease, ..
        } => {
            let leader = if lease.is_some() {
                ", kube-controller-manager with a leader"
            } else {
                ""
            };
            format!(
                "waits until its instance has been healthy for {}{leader}",
                duration(*steady_s)
            )
        }
        Action::AwaitAddons { kube_proxy } => match kube_proxy {
            Some(version) => format!("waits for CoreDNS and kube-proxy {version} everywhere"),
            None => "waits for CoreDNS".to_owned(),
        },
        Action::TaintOutdated { nodes } => {
            const FEW: usize = 12;
            let names: Vec<&str> = nodes.iter().map(NodeName::as_str).collect();
            let who = match names.len() {
                ..=FEW => names.join(", "),
                many => format!("{many} workers"),
            };
            format!("taints {who} with {OUTDATED}")
        }
        Action::Cordon { .. } => "marks it unschedulable".to_owned(),
        Action::Drain {
            grace_period_s,
            evict_unmanaged_pods,
            rules,
            deferral,
            ..
        } => {
            let unmanaged = if *evict_unmanaged_pods {
                ", those without a controller too"
            } else {
                ""
            };
            let grace = match grace_period_s {
                Some(seconds) => format!(", {} for each to end", duration(*seconds)),
                None => String::new(),
            };
            let told: Vec<String> = rules
                .iter()
                .zip(1..)
                .map(|(rule, at)| format!("; rule {at}: {rule}"))
                .collect();
            let put_off = match deferral {
                Some(deferral) => format!("; put off to {} if they cannot leave", deferral.until),
                None => String::new(),
            };
            format!(
                "evicts its pods within their budgets{unmanaged}{grace}, awaits the detaching of their volumes{}{put_off}",
                told.concat()
            )
        }
        Action::InstallKubelet { packages, .. } => {
            format!("installs {}, restarts it", revisions(packages))
        }
        Action::AwaitNode { version, .. } => format!("waits until it is ready at {version}"),
        Action::Uncordon { outdated: true, .. } => {
            "takes the taint off, makes it schedulable again".to_owned()
        }
        Action::Uncordon { .. } => "makes it schedulable again".to_owned(),
        Action::ReleaseHolds { packages, .. } => format!("releases {}", packages.join(", ")),
        Action::Verify { nodes, .. } => {
            format!("checks every component of {} node(s)", nodes.len())
        }
        Action::Soak { for_s, nodes } => {
            format!(
                "lets {} pass; halts the run where {} not ready meanwhile",
                duration(*for_s),
                soaking(nodes)
            )
        }
        Action::Gate { gate } => match &gate.condition {
            Condition::Approval { by, expires_s } => format!(
                "waits for the word of {}, which counts for {}",
                any_of(by),
                duration(*expires_s)
            ),
            Condition::Prometheus {
                server,
                query,
                expect,
                no_data,
                for_s,
                ..
            } => {
                let on = match for_s {
                    0 => String::new(),
                    seconds => format!(" and goes on being so for {}", duration(*seconds)),
                };
                let none = match no_data {
                    NoData::Fail => "no data is not enough",
                    NoData::Pass => "no data passes",
                };
                format!(
                    "asks {} for `{query}` until every value is {expect}{on}; {none}",
                    server.url
                )
            }
            Condition::Command {
                run,
                directory,
                for_s,
                ..
            } => {
                let on = match for_s {
                    0 => String::new(),
                    seconds => format!(" and goes on doing so for {}", duration(*seconds)),
                };
                format!(
                    "runs `{}` on this machine, in {directory}, until it ends with 0{on}",
                    shell(run)
                )
            }
        },
        Action::Hook {
            host,
            run,
            check,
            env,
            directory,
            reboots,
            rerun,
            ..
        } => {
            let place = match (host, directory) {
                (Some(host), _) => format!("on {host}"),
                (None, Some(directory)) => format!("on this machine, in {directory}"),
                (None, None) => "on this machine".to_owned(),
            };
            let check = match check {
                Some(check) => format!(", unless `{}` ends with 0", shell(check)),
                None => String::new(),
            };
            let reboots = if *reboots { "; it may reboot" } else { "" };
            let rerun = match rerun {
                Rerun::Never => "the run halts",
                Rerun::Safe => "it is run again",
                Rerun::Check => "its check decides",
            };
            format!(
                "runs `{}` {place}{check}{reboots}; when cut short, {rerun}",
                shell(&with_environment(run, env))
            )
        }
        Action::WayBack { part, .. } => way_back(part),
        Action::Barrier { holds } => holds.clone(),
    }
}

/// A part of the way back.
fn way_back(part: &Part) -> String {
    match part {
        Part::Check(check) => format!(
            "checks that it is member {} of the snapshot's cluster, with {} MiB free in {}",
            check.member.name,
            check.free >> 20,
            check.at.data
        ),
        Part::Send(send) => {
            let opened = match &send.identity {
                Some(identity) => format!(", opened with {identity}"),
                None => String::new(),
            };
            format!("sends {}{opened}", send.from)
        }
        Part::Change(Change::Restore { at, cluster, .. }) => {
            let names: Vec<&str> = cluster.iter().map(|member| member.name.as_str()).collect();
            format!(
                "restores it into {} as one of {}, with raised revisions; nothing uses it yet",
                at.restored,
                names.join(", ")
            )
        }
        Part::Change(Change::Stop { at }) => format!(
            "stops its control plane: its static pods' manifests go to {}",
            at.aside
        ),
        Part::Change(Change::Replace { at, .. }) => format!(
            "puts what was restored in place; what was in use is kept as {}",
            at.before
        ),
        Part::PutBack(back) => {
            let names: Vec<&str> = back.manifests.keys().map(String::as_str).collect();
            format!(
                "puts the manifests of {} back, from {}",
                names.join(", "),
                back.backup
            )
        }
        Part::Change(Change::Start { .. }) => {
            "starts its control plane again, from the same manifests".to_owned()
        }
    }
}

/// As a shell would take it, so that words with spaces stay apart.
fn shell(words: &[String]) -> String {
    command_line(words.iter().map(String::as_str))
}

/// How many nodes of a soak are named; more are counted.
const SOAKING_NAMED: usize = 8;

fn soaking(nodes: &[NodeName]) -> String {
    match nodes {
        [one] => format!("{one} is"),
        _ if nodes.len() <= SOAKING_NAMED => {
            let names: Vec<&str> = nodes.iter().map(NodeName::as_str).collect();
            format!("any of {} is", names.join(", "))
        }
        _ => format!("any of {} nodes is", nodes.len()),
    }
}

pub(super) fn revisions(packages: &[PackageRevision]) -> String {
    let same = packages
        .windows(2)
        .all(|pair| pair[0].revision == pair[1].revision);
    match packages {
        [first, ..] if same => {
            let names: Vec<&str> = packages
                .iter()
                .map(|package| package.name.as_str())
                .collect();
            format!("{} {}", names.join(", "), first.revision)
        }
        _ => packages
            .iter()
            .map(|package| format!("{} {}", package.name, package.revision))
            .collect::<Vec<_>>()
            .join(", "),
    }
}

/// How many steps before are named; the rest is counted.
const AFTER_NAMED: usize = 2;

/// The steps before, without the release that all ids end with.
pub(super) fn after(step: &Step) -> String {
    let short = |id: &StepId| {
        id.as_str()
            .split_once('@')
            .map_or(id.as_str(), |(short, _)| short)
            .to_owned()
    };
    let mut named: Vec<String> = step.after.iter().take(AFTER_NAMED).map(short).collect();
    if step.after.len() > AFTER_NAMED {
        named.push(format!("{} more", step.after.len() - AFTER_NAMED));
    }
    named.join(", ")
}

/// How long a step may take and how often it is tried again; none for barriers, which do nothing.
pub(super) fn limits(step: &Step) -> Option<String> {
    if let Action::Barrier { .. } = step.action {
        return None;
    }
    let again = match step.retries {
        0 => "not tried again".to_owned(),
        1 => "tried again once".to_owned(),
        2 => "tried again twice".to_owned(),
        many => format!("tried again {many} times"),
    };
    Some(format!("within {}, {again}", duration(step.timeout_s)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_told_for_what_does_something() {
        let step = |action, timeout_s, retries| Step {
            id: StepId::new("w1/drain@1.35.4"),
            action,
            after: Vec::new(),
            timeout_s,
            retries,
            because: String::new(),
            expected_s: 1,
        };
        let cordon = || Action::Cordon {
            node: crate::cluster::model::NodeName::new("w1"),
        };
        let barrier = Action::Barrier {
            holds: String::new(),
        };
        for (step, told) in [
            (
                step(cordon(), 900, 0),
                Some("within 15 min, not tried again"),
            ),
            (
                step(cordon(), 90, 1),
                Some("within 1 min 30 s, tried again once"),
            ),
            (
                step(cordon(), 7200, 3),
                Some("within 2 h 0 min, tried again 3 times"),
            ),
            (step(barrier, 10, 0), None),
        ] {
            assert_eq!(limits(&step).as_deref(), told);
        }
    }
}
