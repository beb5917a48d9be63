//! Where a run stands: what an on-call engineer must learn in ten seconds.
//!
//! Made from the plan, the journal's state and whether a process holds the run; asks neither the network nor the clock.

mod text;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use crate::cluster::model::NodeName;
use crate::host::way_back::Change;
use crate::plan::data::{Action, Condition, Plan, Step, StepId};
use crate::plan::purpose::Purpose;
use crate::plan::way_back;
use crate::run::event::{Blocker, Halt};
use crate::run::extent::{Count, progress, tainted};
use crate::run::state::{State, StepState};

/// What a run is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Doing {
    /// A process carries it out.
    Running,
    /// It stopped because a step failed.
    Halted,
    /// It stopped because the operator asked.
    Interrupted,
    /// It stopped because somebody asked it to pause.
    Paused,
    /// It stopped because what is left waits for somebody's word.
    Unapproved,
    /// It stopped because what was left of the window was too short for any step.
    OutsideWindow,
    /// It stopped because another refit took the cluster over.
    Overtaken,
    /// Its process is gone and left no word: killed, or the machine went down.
    CutOff,
    /// Every step is done.
    Finished,
    /// Somebody has ended it for good.
    Abandoned,
    /// Another run has taken its place.
    PutAside,
}

impl Doing {
    /// As text.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Halted => "halted: a step failed",
            Self::Interrupted => "stopped on request",
            Self::Paused => "paused: no node is half done",
            Self::Unapproved => "stopped: an approval is missing",
            Self::OutsideWindow => "stopped: the window is over",
            Self::Overtaken => "halted: another refit has taken the cluster over",
            Self::CutOff => "cut off: its process is gone",
            Self::Finished => "finished",
            Self::Abandoned => "abandoned",
            Self::PutAside => "put aside for a newer run",
        }
    }
}

/// Which part of the upgrade a step belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Hosts and cluster are looked at.
    Preflight,
    /// etcd is saved.
    Snapshot,
    /// Packages and images are made ready.
    Preparation,
    /// Control planes are upgraded.
    ControlPlanes,
    /// CoreDNS and kube-proxy roll out.
    Addons,
    /// Nodes are drained and get their kubelets.
    Nodes,
    /// Everything is looked at once more.
    Verification,
}

impl Phase {
    /// As text.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Preflight => "preflight",
            Self::Snapshot => "etcd snapshot",
            Self::Preparation => "preparation",
            Self::ControlPlanes => "control planes",
            Self::Addons => "addons",
            Self::Nodes => "nodes",
            Self::Verification => "verification",
        }
    }

    const fn of(action: &Action) -> Option<Self> {
        match action {
            Action::CheckHost { .. } | Action::CheckCluster { .. } => Some(Self::Preflight),
            Action::SnapshotEtcd { .. } => Some(Self::Snapshot),
            Action::HoldPackages { .. }
            | Action::SwitchRepository { .. }
            | Action::PrefetchPackages { .. }
            | Action::PullImages { .. } => Some(Self::Preparation),
            Action::KubeadmApply { .. } | Action::AwaitControlPlane { .. } => {
                Some(Self::ControlPlanes)
            }
            Action::KubeadmNode { role, .. } => match role {
                crate::cluster::model::Role::ControlPlane => Some(Self::ControlPlanes),
                crate::cluster::model::Role::Worker => Some(Self::Nodes),
            },
            Action::AwaitAddons { .. } => Some(Self::Addons),
            Action::TaintOutdated { .. }
            | Action::Cordon { .. }
            | Action::Drain { .. }
            | Action::InstallKubelet { .. }
            | Action::AwaitNode { .. }
            | Action::AwaitStaticPods { .. }
            | Action::Uncordon { .. } => Some(Self::Nodes),
            Action::Verify { .. } => Some(Self::Verification),
            Action::WayBack { part, .. } => Some(match part {
                way_back::Part::Check(_) => Self::Preflight,
                way_back::Part::Send(_) | way_back::Part::Change(Change::Restore { .. }) => {
                    Self::Preparation
                }
                way_back::Part::PutBack(_)
                | way_back::Part::Change(
                    Change::Stop { .. } | Change::Replace { .. } | Change::Start { .. },
                ) => Self::ControlPlanes,
            }),
            // of several phases
            Action::InstallKubeadm { .. }
            | Action::ReleaseHolds { .. }
            | Action::Soak { .. }
            | Action::Gate { .. }
            | Action::Hook { .. }
            | Action::Barrier { .. } => None,
        }
    }
}

/// A step that was started and has no outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Running {
    /// The step.
    pub step: StepId,
    /// Since when.
    pub since: Timestamp,
    /// 1 for the first try.
    pub attempt: u32,
    /// What it last said it waits for.
    pub waiting_on: Option<String>,
}

/// A step that has failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failed {
    /// The step.
    pub step: StepId,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub error: String,
}

/// A node that was put off and is not done yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PutOff {
    /// Its name.
    pub node: NodeName,
    /// Its drain.
    pub step: StepId,
    /// When the drain was given up.
    pub at: Timestamp,
    /// Why.
    pub error: String,
    /// What held it up.
    pub blockers: Vec<Blocker>,
    /// The barrier before which it is tried again.
    pub until: StepId,
}

/// A node in the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeStatus {
    /// Its name.
    pub node: NodeName,
    /// Its steps.
    #[serde(flatten)]
    pub steps: Count,
    /// The run has cordoned it and not uncordoned it yet.
    pub cordoned: bool,
    /// Its steps that were started and have no outcome.
    pub running: Vec<StepId>,
    /// Its steps that have failed.
    pub failed: Vec<StepId>,
}

/// The process that carries a run out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Its machine.
    pub machine: String,
    /// Since when.
    pub since: Timestamp,
}

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunStatus {
    /// The run's id.
    pub run: String,
    /// What it is for.
    pub purpose: Purpose,
    /// The declaration's name.
    pub upgrade: String,
    /// The inventory's name.
    pub inventory: String,
    /// The release to reach.
    pub target: String,
    /// What it is doing.
    pub doing: Doing,
    /// The part of the upgrade it is in; none once finished.
    pub phase: Option<Phase>,
    /// All steps.
    pub steps: Count,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When something last happened.
    pub last_at: Option<Timestamp>,
    /// From its beginning to its last event, in milliseconds.
    pub elapsed_ms: u64,
    /// The part of that in which a process was at work.
    pub worked_ms: u64,
    /// How many processes carried it out, one after the other.
    pub sittings: u32,
    /// The process, while there is one.
    pub process: Option<Process>,
    /// Steps under way, or cut off.
    pub running: Vec<Running>,
    /// Steps that have failed.
    pub failed: Vec<Failed>,
    /// Nodes that were put off to the end of their hop, and are not done yet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deferred: Vec<PutOff>,
    /// Workers that carry refit's taint for those that are yet to be drained from this run, or may.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tainted: Vec<NodeName>,
    /// What of a run that was abandoned could not be taken off.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stays: Vec<String>,
    /// Every node of the plan.
    pub nodes: Vec<NodeStatus>,
    /// The command, or what else comes next.
    pub next: String,
}

/// What is known besides plan and journal.
#[derive(Debug, Clone)]
pub struct Around {
    /// How a command begins that finds the run again, such as `refit --state-dir /srv/runs`.
    pub refit: String,
    /// The run's id.
    pub run: String,
    /// The process that holds it.
    pub process: Option<Process>,
    /// Another run has taken its place.
    pub put_aside: bool,
}

/// Where the run stands.
#[must_use]
pub fn status(plan: &Plan, state: &State, around: Around) -> RunStatus {
    let doing = match &state.halted {
        _ if state.finished => Doing::Finished,
        Some(Halt::Abandoned { .. }) => Doing::Abandoned,
        _ if around.process.is_some() => Doing::Running,
        _ if around.put_aside => Doing::PutAside,
        Some(Halt::Failed { .. }) => Doing::Halted,
        Some(Halt::Interrupted) => Doing::Interrupted,
        Some(Halt::Paused { .. }) => Doing::Paused,
        Some(Halt::Unapproved { .. }) => Doing::Unapproved,
        Some(Halt::WindowOver { .. }) => Doing::OutsideWindow,
        Some(Halt::Overtaken { .. }) => Doing::Overtaken,
        None => Doing::CutOff,
    };
    let mut running = Vec::new();
    let mut failed = Vec::new();
    for step in &plan.steps {
        match state.steps.get(&step.id) {
            Some(StepState::Started {
                at,
                attempt,
                waiting_on,
                ..
            }) => running.push(Running {
                step: step.id.clone(),
                since: *at,
                attempt: *attempt,
                waiting_on: waiting_on.clone(),
            }),
            Some(StepState::Failed { at, error, .. }) => failed.push(Failed {
                step: step.id.clone(),
                at: *at,
                error: error.clone(),
            }),
            Some(StepState::Done { .. }) | None => {}
        }
    }
    let left = || plan.steps.iter().filter(|step| !state.is_done(&step.id));
    let begun = |step: &&Step| state.steps.contains_key(&step.id);
    let phase = left()
        .filter(begun)
        .filter_map(|step| Phase::of(&step.action))
        .max()
        .or_else(|| left().find_map(|step| Phase::of(&step.action)));
    let count = progress(state, plan);
    let waiting = approvals(plan, &running);
    RunStatus {
        purpose: plan.purpose(),
        upgrade: plan.upgrade.clone(),
        inventory: plan.inventory.clone(),
        target: plan.target.to_string(),
        doing,
        phase,
        steps: count.all,
        started_at: state.started_at,
        last_at: state.last_at,
        elapsed_ms: state.elapsed_ms(),
        worked_ms: state.worked_ms,
        sittings: state.sittings,
        deferred: deferred(plan, state),
        tainted: match doing {
            Doing::Finished | Doing::Abandoned => Vec::new(),
            Doing::Running
            | Doing::PutAside
            | Doing::Halted
            | Doing::Interrupted
            | Doing::Paused
            | Doing::Unapproved
            | Doing::OutsideWindow
            | Doing::Overtaken
            | Doing::CutOff => tainted(plan, state).into_iter().cloned().collect(),
        },
        stays: match &state.halted {
            Some(Halt::Abandoned { stays, .. }) => stays.clone(),
            Some(_) | None => Vec::new(),
        },
        nodes: nodes(plan, state, count.nodes),
        running,
        failed,
        next: next(doing, &around, &waiting),
        process: around.process,
        run: around.run,
    }
}

fn deferred(plan: &Plan, state: &State) -> Vec<PutOff> {
    let put_off = plan.steps.iter().filter_map(|step| {
        let Action::Drain {
            node,
            deferral: Some(deferral),
            ..
        } = &step.action
        else {
            return None;
        };
        let deferred = state.deferred.get(&step.id)?;
        let done = deferral.steps.iter().all(|step| state.is_done(step));
        (!done).then(|| PutOff {
            node: node.clone(),
            step: step.id.clone(),
            at: deferred.at,
            error: deferred.error.clone(),
            blockers: deferred.blockers.clone(),
            until: deferral.until.clone(),
        })
    });
    put_off.collect()
}

fn nodes(plan: &Plan, state: &State, counts: BTreeMap<NodeName, Count>) -> Vec<NodeStatus> {
    let mut of_host = BTreeMap::new();
    for step in &plan.steps {
        if let (Some(host), Some(node)) = (step.action.host(), step.action.node()) {
            of_host.insert(host, node);
        }
    }
    let mut cordoned = BTreeSet::new();
    let mut running: BTreeMap<&NodeName, Vec<StepId>> = BTreeMap::new();
    let mut failed: BTreeMap<&NodeName, Vec<StepId>> = BTreeMap::new();
    for step in &plan.steps {
        let by_host = || {
            step.action
                .host()
                .and_then(|host| of_host.get(host).copied())
        };
        let Some(node) = step.action.node().or_else(by_host) else {
            continue;
        };
        match state.steps.get(&step.id) {
            Some(StepState::Started { .. }) => {
                running.entry(node).or_default().push(step.id.clone());
            }
            Some(StepState::Failed { .. }) => {
                failed.entry(node).or_default().push(step.id.clone());
            }
            Some(StepState::Done { note, .. }) => {
                if let Action::Cordon { node } = &step.action {
                    // The only note of such a step is that someone else's cordon was found there.
                    if note.is_none() {
                        cordoned.insert(node);
                    }
                } else if let Action::Uncordon { node, .. } = &step.action {
                    cordoned.remove(node);
                }
            }
            None => {}
        }
    }
    counts
        .into_iter()
        .map(|(node, steps)| NodeStatus {
            cordoned: cordoned.contains(&node),
            running: running.remove(&node).unwrap_or_default(),
            failed: failed.remove(&node).unwrap_or_default(),
            node,
            steps,
        })
        .collect()
}

/// The steps under way that wait for somebody's word.
fn approvals<'p>(plan: &'p Plan, running: &[Running]) -> Vec<&'p StepId> {
    let of = |step: &&Step| {
        let Action::Gate { gate } = &step.action else {
            return false;
        };
        match &gate.condition {
            Condition::Approval { .. } => running.iter().any(|running| running.step == step.id),
            Condition::Command { .. } | Condition::Prometheus { .. } => false,
        }
    };
    plan.steps.iter().filter(of).map(|step| &step.id).collect()
}

fn next(doing: Doing, around: &Around, waiting: &[&StepId]) -> String {
    let Around { refit, run, .. } = around;
    let approve = || {
        let commands: Vec<String> = waiting
            .iter()
            .map(|step| format!("`{refit} approve {run} {step} --by NAME`"))
            .collect();
        commands.join(", ")
    };
    match doing {
        Doing::Running if !waiting.is_empty() => {
            format!("{} lets it go on", approve())
        }
        Doing::Unapproved => format!("{}, then `{refit} resume {run}`", approve()),
        Doing::Running => {
            "wait; Ctrl-C in its terminal lets the running steps end and stops there".to_owned()
        }
        Doing::Halted => format!("remove the cause, then `{refit} resume {run}`"),
        Doing::Interrupted | Doing::Paused | Doing::CutOff => format!("`{refit} resume {run}`"),
        Doing::OutsideWindow => format!("`{refit} resume {run}` in the next window"),
        Doing::Overtaken => {
            format!("see what the other one does; `{refit} resume {run}` once it has ended")
        }
        Doing::Finished => "nothing; `refit plan` tells whether there is more to do".to_owned(),
        Doing::Abandoned => format!("`{refit} plan UPGRADE` tells what is left to do"),
        Doing::PutAside => format!("`{refit} status` shows the newest run"),
    }
}
