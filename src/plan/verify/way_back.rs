//! What a way back keeps: no member is replaced while any control plane runs, and all get the same.
//!
//! Judged from the plan alone: what it rests on was observed where it was made, and its first steps look at all of it again.

use std::collections::{BTreeMap, BTreeSet};

use super::order::Order;
use super::{Invariant, Needed, Violation};
use crate::cluster::model::HostName;
use crate::host::way_back::{Change, Member};
use crate::plan::data::{Action, Plan, Step, StepId};
use crate::plan::way_back::Part;

/// The steps of a way back by what they do.
#[derive(Default)]
struct Found<'p> {
    checks: BTreeMap<&'p HostName, usize>,
    sends: BTreeMap<&'p HostName, usize>,
    restores: BTreeMap<&'p HostName, usize>,
    stops: BTreeMap<&'p HostName, usize>,
    replaces: BTreeMap<&'p HostName, usize>,
    starts: BTreeMap<&'p HostName, usize>,
    awaits: BTreeMap<&'p HostName, usize>,
    last: Option<usize>,
    members: BTreeMap<&'p HostName, &'p Member>,
    digests: BTreeSet<&'p str>,
}

/// Everything that is wrong with a plan that restores a snapshot.
#[must_use]
pub fn judge(plan: &Plan) -> Vec<Violation> {
    let order = match Order::of(&plan.steps, |_: &Step| true) {
        Ok(order) => order,
        Err(wrong) => return wrong,
    };
    let mut wrong = Vec::new();
    let found = gather(plan, &order, &mut wrong);
    let all: BTreeSet<&HostName> = found.members.keys().copied().collect();
    let kinds = [
        (&found.checks, Needed::CheckMember),
        (&found.sends, Needed::SendSnapshot),
        (&found.restores, Needed::RestoreMember),
        (&found.stops, Needed::StopControlPlane),
        (&found.replaces, Needed::ReplaceMember),
        (&found.starts, Needed::StartControlPlane),
        (&found.awaits, Needed::AwaitControlPlane),
    ];
    for (steps, needed) in kinds {
        for host in all.iter().filter(|host| !steps.contains_key(**host)) {
            wrong.push(Violation::Missing {
                invariant: Invariant::WayBack,
                needed,
                place: host.to_string(),
                steps: Vec::new(),
            });
        }
    }
    for (earlier, later) in [
        (&found.checks, &found.sends),
        (&found.restores, &found.stops),
        (&found.stops, &found.replaces),
        (&found.replaces, &found.starts),
        (&found.starts, &found.awaits),
    ] {
        let pairs: Vec<(usize, usize)> = earlier
            .values()
            .flat_map(|first| later.values().map(|then| (*first, *then)))
            .collect();
        wrong.extend(unordered(&order, &pairs));
    }
    // on each host, what is restored is what was sent there
    let own = |one: &BTreeMap<&HostName, usize>, other: &BTreeMap<&HostName, usize>| {
        let pair = |(host, first): (&&HostName, &usize)| Some((*first, *other.get(*host)?));
        one.iter().filter_map(pair).collect::<Vec<_>>()
    };
    wrong.extend(unordered(&order, &own(&found.sends, &found.restores)));
    match found.last {
        Some(last) => {
            let pairs: Vec<(usize, usize)> =
                found.awaits.values().map(|first| (*first, last)).collect();
            wrong.extend(unordered(&order, &pairs));
        }
        None => wrong.push(Violation::Missing {
            invariant: Invariant::WayBack,
            needed: Needed::CheckCluster,
            place: "cluster".to_owned(),
            steps: Vec::new(),
        }),
    }
    if found.digests.len() > 1 {
        let digests: Vec<&str> = found.digests.iter().copied().collect();
        wrong.push(argument(
            None,
            "sha256",
            digests.join(", "),
            "one snapshot for all members".to_owned(),
        ));
    }
    wrong
}

fn argument(
    step: Option<&StepId>,
    argument: &'static str,
    is: String,
    should: String,
) -> Violation {
    Violation::Argument {
        step: step.cloned(),
        argument,
        is,
        should,
    }
}

fn unordered(order: &Order<'_>, pairs: &[(usize, usize)]) -> Vec<Violation> {
    order
        .unordered(pairs)
        .into_iter()
        .map(|(first, then)| Violation::Unordered {
            invariant: Invariant::WayBack,
            first: order.id(first),
            then: order.id(then),
        })
        .collect()
}

fn gather<'p>(plan: &'p Plan, order: &Order<'p>, wrong: &mut Vec<Violation>) -> Found<'p> {
    let mut found = Found::default();
    for (_, step) in order.iter() {
        if let Action::WayBack {
            host,
            part: Part::Check(check),
        } = &step.action
        {
            found.members.insert(host, &check.member);
        }
    }
    for (at, step) in order.iter() {
        let twice = match &step.action {
            Action::WayBack { host, part } => of_part(&mut found, host, part, at, step, wrong),
            Action::AwaitControlPlane { host, .. } => found.awaits.insert(host, at),
            Action::CheckCluster { cluster_uid, .. } => {
                if *cluster_uid != plan.cluster_uid {
                    wrong.push(argument(
                        Some(&step.id),
                        "cluster_uid",
                        cluster_uid.clone(),
                        plan.cluster_uid.clone(),
                    ));
                }
                found.last.replace(at)
            }
            Action::CheckHost { .. } | Action::Barrier { .. } => None,
            Action::SnapshotEtcd { .. }
            | Action::HoldPackages { .. }
            | Action::SwitchRepository { .. }
            | Action::PrefetchPackages { .. }
            | Action::InstallKubeadm { .. }
            | Action::PullImages { .. }
            | Action::KubeadmApply { .. }
            | Action::KubeadmNode { .. }
            | Action::AwaitAddons { .. }
            | Action::TaintOutdated { .. }
            | Action::Cordon { .. }
            | Action::Drain { .. }
            | Action::InstallKubelet { .. }
            | Action::AwaitNode { .. }
            | Action::AwaitStaticPods { .. }
            | Action::Uncordon { .. }
            | Action::ReleaseHolds { .. }
            | Action::Verify { .. }
            | Action::Soak { .. }
            | Action::Gate { .. }
            | Action::Hook { .. } => {
                wrong.push(needless(step, "a way back does nothing else"));
                None
            }
        };
        if twice.is_some() {
            wrong.push(needless(step, "it is there twice"));
        }
    }
    found
}

fn needless(step: &Step, why: &str) -> Violation {
    Violation::Needless {
        invariant: Invariant::WayBack,
        step: step.id.clone(),
        why: why.to_owned(),
    }
}

/// Notes a part; the step of the same kind that its host had before, if any.
fn of_part<'p>(
    found: &mut Found<'p>,
    host: &'p HostName,
    part: &'p Part,
    at: usize,
    step: &Step,
    wrong: &mut Vec<Violation>,
) -> Option<usize> {
    match part {
        Part::Check(_) => found.checks.insert(host, at),
        Part::Send(send) => {
            found.digests.insert(&send.sha256);
            found.sends.insert(host, at)
        }
        Part::Change(Change::Restore {
            member,
            cluster,
            sha256,
            ..
        }) => {
            found.digests.insert(sha256);
            let own = found.members.get(host).copied();
            if own != Some(member) {
                wrong.push(argument(
                    Some(&step.id),
                    "member",
                    member.name.clone(),
                    own.map_or_else(
                        || "one that was looked at".to_owned(),
                        |own| own.name.clone(),
                    ),
                ));
            }
            let all: BTreeSet<(&str, &str)> = found
                .members
                .values()
                .map(|member| (member.name.as_str(), member.peer_url.as_str()))
                .collect();
            let told: BTreeSet<(&str, &str)> = cluster
                .iter()
                .map(|member| (member.name.as_str(), member.peer_url.as_str()))
                .collect();
            if all != told || told.len() != cluster.len() {
                let names = |set: &BTreeSet<(&str, &str)>| {
                    let names: Vec<&str> = set.iter().map(|(name, _)| *name).collect();
                    names.join(", ")
                };
                wrong.push(argument(
                    Some(&step.id),
                    "cluster",
                    names(&told),
                    names(&all),
                ));
            }
            found.restores.insert(host, at)
        }
        Part::PutBack(_) => {
            wrong.push(needless(
                step,
                "nothing of kubeadm's goes back with a snapshot",
            ));
            None
        }
        Part::Change(Change::Stop { .. }) => found.stops.insert(host, at),
        Part::Change(Change::Replace { sha256, .. }) => {
            found.digests.insert(sha256);
            found.replaces.insert(host, at)
        }
        Part::Change(Change::Start { .. }) => found.starts.insert(host, at),
    }
}
