//! The way back as a plan: every member of stacked etcd from one snapshot.
//!
//! First everything is looked at; then, beside the data in use, the snapshot is sent to every control plane and restored there;
//! then every control plane stops; then every member is replaced; then every control plane starts, and all are awaited. Between
//! the stop and the start no API answers, and workloads go on. What is refused is refused before anything is touched.
//!
//! Sources: kubernetes/website `content/en/docs/tasks/administer-cluster/configure-upgrade-etcd.md`, "Restoring an etcd cluster":
//! stop all API server instances, restore state in all etcd instances, restart all API server instances; etcd-io/website
//! `content/en/docs/v3.6/op-guide/recovery.md`.

use std::collections::{BTreeMap, BTreeSet};

use super::data::{Action, FORMAT, Limits, Plan, Step, StepId};
use super::draft::{CLUSTER, Draft};
use super::graph;
use super::pace::{self, Pace};
use super::saved::Saved;
use super::way_back::{CheckMember, Part, SendSnapshot};
use crate::cluster::drift;
use crate::cluster::facts::Observed;
use crate::cluster::members::{MemberFacts, Members};
use crate::cluster::model::{HostName, NodeName};
use crate::host::way_back::{Change, Member, Places};

/// What the plan is made from.
#[derive(Debug)]
pub struct Inputs<'a> {
    /// The inventory's name.
    pub inventory: &'a str,
    /// SHA-256 of the documents' texts.
    pub declaration_sha256: &'a str,
    /// What was written beside the snapshot.
    pub saved: &'a Saved,
    /// The snapshot's file on this machine.
    pub from: &'a str,
    /// SHA-256 of that file as it is.
    pub kept_sha256: &'a str,
    /// A file of age identities.
    pub identity: Option<&'a str>,
    /// What the control planes say.
    pub members: &'a Members,
}

/// Why there is no way back from here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The inventory has no control plane.
    #[error("the inventory `{0}` has no control plane")]
    NoControlPlane(String),
    /// A control plane does not tell, and what it would do with another data than the others nobody knows.
    #[error(
        "control plane {host} is not known: {why}. Every control plane must stop before any member is replaced"
    )]
    NotKnown {
        /// Which.
        host: HostName,
        /// Why.
        why: String,
    },
    /// The snapshot is not what was written about it.
    #[error(
        "the snapshot has SHA-256 {found}, and when it was taken it had {said}: it was changed or is damaged"
    )]
    Changed {
        /// What it is.
        found: String,
        /// What it was.
        said: String,
    },
    /// It is encrypted, and nothing opens it.
    #[error("the snapshot is encrypted to {}: --identity names a file with an age identity of one of them", .0.join(", "))]
    Sealed(Vec<String>),
    /// It was taken of another cluster.
    #[error("the snapshot is of another cluster: {0}")]
    OtherCluster(String),
    /// It was taken by another etcd.
    #[error(
        "the snapshot was taken by etcd {saved}, and the member on {host} is {member}: a snapshot is restored by the minor that it was taken by"
    )]
    OtherEtcd {
        /// The snapshot's.
        saved: String,
        /// Where.
        host: HostName,
        /// The member's.
        member: String,
    },
    /// etcd has members that no control plane of the inventory is.
    #[error("etcd has members that no control plane of the inventory runs: {}. {why}", .names.join(", "))]
    ForeignMembers {
        /// Which.
        names: Vec<String>,
        /// How that is known.
        why: String,
    },
    /// Two control planes say that they are the same member.
    #[error("the control planes {0} and {1} have the same member name or peer URL")]
    SameMember(HostName, HostName),
    /// There is not room enough.
    #[error(
        "{host}: {data} has {free} bytes free, and {needed} are needed for the snapshot and what is restored"
    )]
    Room {
        /// Where.
        host: HostName,
        /// Its directory.
        data: String,
        /// What there is.
        free: u64,
        /// What is needed.
        needed: u64,
    },
    /// Something of refit is under way there.
    #[error("an operation of refit is under way on {host}: {operation}")]
    UnderWay {
        /// Where.
        host: HostName,
        /// Which.
        operation: String,
    },
}

/// Room beside the snapshot and what is restored from it.
const SPARE: u64 = 256 << 20;

/// A snapshot of up to 8 GiB over a slow line.
const SEND: Pace = Pace {
    timeout_s: 3600,
    expected_s: 5,
    retries: 2,
};
/// etcdutl reads and writes all of it.
const RESTORE: Pace = Pace {
    timeout_s: 1800,
    expected_s: 5,
    retries: 1,
};
/// The kubelet ends four static pods; an API server may take a minute over it.
const STOP: Pace = Pace {
    timeout_s: 600,
    expected_s: 40,
    retries: 2,
};
/// Renames.
const MOVE: Pace = Pace {
    timeout_s: 300,
    expected_s: 1,
    retries: 2,
};
/// The kubelet starts the static pods, etcd finds its members, the API server etcd; with its back-off after each failure.
const AWAIT: Pace = Pace {
    timeout_s: 1200,
    expected_s: 60,
    retries: 0,
};
/// Nodes report themselves once they have an API server again.
const LAST: Pace = Pace {
    timeout_s: 120,
    expected_s: 2,
    retries: 60,
};

/// The plan, or everything that keeps it from being made.
///
/// # Errors
/// If it is not safe, or that is not known.
pub fn plan(inputs: &Inputs<'_>) -> Result<Plan, Vec<Refusal>> {
    let known = refuse(inputs)?;
    let Some(target) = known.values().map(|facts| &facts.api_server).min() else {
        return Err(vec![Refusal::NoControlPlane(inputs.inventory.to_owned())]);
    };
    let saved = inputs.saved;
    let mut draft = Draft::new(target);
    let looked = look(&mut draft, saved, &known);
    let restored = restore(&mut draft, inputs, &known, &looked);
    let stopped = each(&mut draft, &known, &restored, &STOPPED, |at, _| {
        Change::Stop { at }
    });
    let replaced = each(&mut draft, &known, &stopped, &REPLACED, |at, _| {
        Change::Replace {
            at,
            sha256: saved.database.sha256.clone(),
        }
    });
    start(&mut draft, saved, &known, &replaced);
    let steps = sorted(draft.into_steps());
    let basis = basis(inputs, &known);
    Ok(Plan {
        format: FORMAT.to_owned(),
        upgrade: format!("restore of {}", saved.database.name),
        inventory: inputs.inventory.to_owned(),
        cluster_uid: saved.cluster_uid.clone(),
        target: target.clone(),
        declaration_sha256: inputs.declaration_sha256.to_owned(),
        limits: Limits::none(),
        windows: None,
        facts_at: inputs.members.observed_at,
        facts_fingerprint: drift::fingerprint(&basis),
        basis,
        notes: notes(inputs),
        steps,
    })
}

type Known<'a> = BTreeMap<&'a HostName, &'a MemberFacts>;

/// A graph of our own making has an order.
fn sorted(steps: Vec<Step>) -> Vec<Step> {
    let as_drafted = steps.clone();
    graph::sorted(steps).unwrap_or(as_drafted)
}

fn refuse<'a>(inputs: &Inputs<'a>) -> Result<Known<'a>, Vec<Refusal>> {
    let (saved, members) = (inputs.saved, inputs.members);
    let mut refusals = Vec::new();
    if members.hosts.is_empty() {
        refusals.push(Refusal::NoControlPlane(inputs.inventory.to_owned()));
    }
    if inputs.kept_sha256 != saved.database.kept_sha256 {
        refusals.push(Refusal::Changed {
            found: inputs.kept_sha256.to_owned(),
            said: saved.database.kept_sha256.clone(),
        });
    }
    if !saved.encrypted_to.is_empty() && inputs.identity.is_none() {
        refusals.push(Refusal::Sealed(saved.encrypted_to.clone()));
    }
    if let Observed::Known(uid) = &members.cluster_uid
        && *uid != saved.cluster_uid
    {
        refusals.push(Refusal::OtherCluster(format!(
            "kube-system has UID {uid}, and the snapshot's had {}",
            saved.cluster_uid
        )));
    }
    let mut known = Known::new();
    for (host, facts) in &members.hosts {
        match facts {
            Observed::Known(facts) => {
                on_host(&mut refusals, saved, host, facts);
                known.insert(host, facts);
            }
            Observed::Unknown(why) => refusals.push(Refusal::NotKnown {
                host: host.clone(),
                why: why.clone(),
            }),
        }
    }
    for (one, facts) in &known {
        for (other, its) in known.iter().filter(|(other, _)| *other > one) {
            if facts.member.name == its.member.name || facts.member.peer_url == its.member.peer_url
            {
                let (one, other) = ((*one).clone(), (*other).clone());
                refusals.push(Refusal::SameMember(one, other));
            }
        }
    }
    refusals.extend(foreign(members, &known));
    if refusals.is_empty() {
        Ok(known)
    } else {
        Err(refusals)
    }
}

fn on_host(refusals: &mut Vec<Refusal>, saved: &Saved, host: &HostName, facts: &MemberFacts) {
    if facts.authority_sha256 != saved.authority_sha256 {
        refusals.push(Refusal::OtherCluster(format!(
            "the authority on {host} (/etc/kubernetes/pki/ca.crt) is not the one that it was taken under"
        )));
    }
    if minor(&facts.etcd) != minor(&saved.etcd) {
        refusals.push(Refusal::OtherEtcd {
            saved: saved.etcd.clone(),
            host: host.clone(),
            member: facts.etcd.clone(),
        });
    }
    let needed = room(saved);
    if facts.free < needed {
        refusals.push(Refusal::Room {
            host: host.clone(),
            data: facts.data.clone(),
            free: facts.free,
            needed,
        });
    }
    if let Some(operation) = &facts.operation {
        refusals.push(Refusal::UnderWay {
            host: host.clone(),
            operation: operation.clone(),
        });
    }
}

/// A member that stays as it is would be of another cluster than the others, with data of its own.
fn foreign(members: &Members, known: &Known<'_>) -> Option<Refusal> {
    let ours: BTreeSet<&String> = known.values().map(|facts| &facts.member.name).collect();
    let (names, why): (BTreeSet<&String>, &str) = match &members.members {
        Observed::Known(names) => (names.iter().collect(), "So says etcd itself"),
        Observed::Unknown(_) => (
            known
                .values()
                .flat_map(|facts| &facts.initial_cluster)
                .collect(),
            "So say the manifests of its members (--initial-cluster), and no member answers that could know better: take those \
             that were removed since out of there",
        ),
    };
    let names: Vec<String> = names
        .difference(&ours)
        .map(|name| (*name).clone())
        .collect();
    // what is not known yet is told by itself
    let all = members.hosts.len() == known.len();
    (all && !names.is_empty()).then(|| Refusal::ForeignMembers {
        names,
        why: why.to_owned(),
    })
}

/// `3.6` of `3.6.5`.
fn minor(release: &str) -> String {
    let parts: Vec<&str> = release.trim_start_matches('v').splitn(3, '.').collect();
    parts.get(..2).unwrap_or(&parts).join(".")
}

/// The snapshot, and what is restored from it.
const fn room(saved: &Saved) -> u64 {
    saved.database.size.saturating_mul(2).saturating_add(SPARE)
}

fn look(draft: &mut Draft<'_>, saved: &Saved, known: &Known<'_>) -> StepId {
    let mut looked = Vec::new();
    for (host, facts) in known {
        let fit = draft.step(
            host,
            "check-host",
            Action::CheckHost {
                host: (*host).clone(),
                node: facts.node.clone(),
                machine_id: facts.machine_id.clone(),
                disk_free: BTreeMap::new(),
                patches: None,
            },
            &[],
            pace::LOOK,
            "this must be the machine that the plan was made for",
        );
        let check = Part::Check(CheckMember {
            at: Places::within(&facts.data),
            member: facts.member.clone(),
            authority_sha256: saved.authority_sha256.clone(),
            free: room(saved),
        });
        let because =
            "this must be a member of the snapshot's cluster, with room for what is restored";
        looked.push(part(
            draft,
            host,
            "check-member",
            check,
            &[&fit],
            pace::LOOK,
            because,
        ));
    }
    let looked: Vec<&StepId> = looked.iter().collect();
    draft.barrier(
        "preflight",
        "every control plane is known and fit",
        &looked,
        "nothing is sent before all were looked at",
    )
}

/// Adds a part.
fn part(
    draft: &mut Draft<'_>,
    host: &HostName,
    verb: &str,
    part: Part,
    after: &[&StepId],
    pace: Pace,
    because: &str,
) -> StepId {
    let action = Action::WayBack {
        host: host.clone(),
        part,
    };
    draft.step(host, verb, action, after, pace, because)
}

/// Beside the data in use.
fn restore(
    draft: &mut Draft<'_>,
    inputs: &Inputs<'_>,
    known: &Known<'_>,
    looked: &StepId,
) -> StepId {
    let saved = inputs.saved;
    let cluster: Vec<Member> = known.values().map(|facts| facts.member.clone()).collect();
    let mut ends = Vec::new();
    for (host, facts) in known {
        let at = Places::within(&facts.data);
        let send = Part::Send(SendSnapshot {
            at: at.clone(),
            from: inputs.from.to_owned(),
            identity: inputs.identity.map(str::to_owned),
            sha256: saved.database.sha256.clone(),
        });
        let because = "every member is restored from this one snapshot";
        let sent = part(draft, host, "send-snapshot", send, &[looked], SEND, because);
        let change = Part::Change(Change::Restore {
            at,
            member: facts.member.clone(),
            cluster: cluster.clone(),
            sha256: saved.database.sha256.clone(),
            etcd: minor(&saved.etcd),
        });
        let because = "what takes long or may fail is done before anything stops";
        ends.push(part(
            draft,
            host,
            "restore-member",
            change,
            &[&sent],
            RESTORE,
            because,
        ));
    }
    let ends: Vec<&StepId> = ends.iter().collect();
    draft.barrier(
        "restored",
        "every member is restored beside the data in use",
        &ends,
        "until here nothing has changed; from here on the API does not answer until all is done",
    )
}

/// One and the same change on every control plane, awaited by all.
struct Everywhere {
    verb: &'static str,
    pace: Pace,
    because: &'static str,
    barrier: &'static str,
    holds: &'static str,
    why: &'static str,
}

const STOPPED: Everywhere = Everywhere {
    verb: "stop-control-plane",
    pace: STOP,
    because: "an API server that still serves what etcd had would write it back",
    barrier: "stopped",
    holds: "no control plane runs anywhere",
    why: "no member is replaced while any API server may still write",
};

const REPLACED: Everywhere = Everywhere {
    verb: "replace-member",
    pace: MOVE,
    because: "the data in use is kept beside it",
    barrier: "replaced",
    holds: "every member has what was restored",
    why: "members with other data must not meet",
};

fn each(
    draft: &mut Draft<'_>,
    known: &Known<'_>,
    after: &StepId,
    what: &Everywhere,
    change: impl Fn(Places, &MemberFacts) -> Change,
) -> StepId {
    let mut ends = Vec::new();
    for (host, facts) in known {
        let change = Part::Change(change(Places::within(&facts.data), facts));
        ends.push(part(
            draft,
            host,
            what.verb,
            change,
            &[after],
            what.pace,
            what.because,
        ));
    }
    let ends: Vec<&StepId> = ends.iter().collect();
    draft.barrier(what.barrier, what.holds, &ends, what.why)
}

fn start(draft: &mut Draft<'_>, saved: &Saved, known: &Known<'_>, replaced: &StepId) {
    let mut started = Vec::new();
    for (host, facts) in known {
        let change = Part::Change(Change::Start {
            at: Places::within(&facts.data),
        });
        let because = "etcd needs most of its members, so all start side by side";
        let verb = "start-control-plane";
        started.push(part(draft, host, verb, change, &[replaced], MOVE, because));
    }
    let started: Vec<&StepId> = started.iter().collect();
    let mut ends = Vec::new();
    for (host, facts) in known {
        ends.push(draft.step(
            host,
            "await-control-plane",
            Action::AwaitControlPlane {
                host: (*host).clone(),
                node: facts.node.clone(),
                version: facts.api_server.clone(),
            },
            &started,
            AWAIT,
            "its API server, every member of etcd and the endpoint must answer again",
        ));
    }
    let ends: Vec<&StepId> = ends.iter().collect();
    let nodes: Vec<NodeName> = known.values().map(|facts| facts.node.clone()).collect();
    if let Some(host) = known.keys().next() {
        draft.step(
            CLUSTER,
            "check-cluster",
            Action::CheckCluster {
                cluster_uid: saved.cluster_uid.clone(),
                host: (*host).clone(),
                nodes,
            },
            &ends,
            LAST,
            "it must be the snapshot's cluster that answers, with etcd whole and its control planes ready",
        );
    }
}

/// What the plan rests on.
fn basis(inputs: &Inputs<'_>, known: &Known<'_>) -> BTreeMap<String, String> {
    let saved = inputs.saved;
    let mut basis = BTreeMap::from([
        ("snapshot/sha256".to_owned(), saved.database.sha256.clone()),
        ("snapshot/etcd".to_owned(), saved.etcd.clone()),
        ("snapshot/cluster".to_owned(), saved.cluster_uid.clone()),
    ]);
    for (host, facts) in known {
        let mut line = |what: &str, value: &str| {
            basis.insert(format!("host/{host}/{what}"), value.to_owned());
        };
        line("machine-id", &facts.machine_id);
        line("node", facts.node.as_str());
        line("member", &facts.member.name);
        line("peer", &facts.member.peer_url);
        line("data", &facts.data);
        line("etcd", &facts.etcd);
        line("api-server", &facts.api_server.to_string());
        line("authority", &facts.authority_sha256);
    }
    basis
}

fn notes(inputs: &Inputs<'_>) -> Vec<String> {
    let saved = inputs.saved;
    let mut notes = vec![
        format!(
            "everything written to the API since {} is lost: the snapshot was taken then, by run {}, from {}",
            saved.taken_at, saved.run, saved.host
        ),
        "between the stop and the start of all control planes no API answers; workloads go on".to_owned(),
        "what members have now is kept beside what they get, as member.before-RUN in etcd's data directory; whoever is content \
         removes it"
            .to_owned(),
    ];
    if let Observed::Unknown(why) = &inputs.members.cluster_uid {
        notes.push(format!(
            "no API answers now ({why}): which cluster this is, was told by its authority alone"
        ));
    }
    notes
}
