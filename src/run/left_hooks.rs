//! Hooks of a run that is left behind, of which nobody knows how they ended.
//!
//! A new run has a journal of its own and operations of its own on the hosts, so it cannot find out what an older run's hook
//! has left half done. Whoever begins one has to hear of it before. What is known here is told by the older run's journal, by
//! its hosts, which keep how its operations ended, and by whoever has looked and said so.

use super::hook_step::BY_SIGNAL;
use super::state::{State, StepState};
use super::step::op_name;
use crate::cluster::model::{HostName, NodeName};
use crate::host::op::{OpRef, OpState};
use crate::plan::data::{Action, Plan, Rerun, StepId};
use crate::ports::{Approval, Hosts, People, Programs};

/// A hook that began, and of which the run that began it does not know how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftHook {
    /// Its step.
    pub step: StepId,
    /// Its name.
    pub name: String,
    /// Where it ran; none for this machine.
    pub host: Option<HostName>,
    /// The node that it was about, if any.
    pub node: Option<NodeName>,
    /// What is known of its end.
    pub end: LeftEnd,
}

/// What is known of such a hook's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeftEnd {
    /// It goes on still.
    GoesOn,
    /// It was cut off and left no outcome.
    CutShort,
    /// Its host was asked and did not tell; why.
    Untold(String),
    /// It was cut off, and since then somebody has said that it is done.
    SaidDone(Approval),
}

impl LeftHook {
    /// Whether this step would begin the same hook again at the same place though its declaration says that one which was cut
    /// short is never run again, or though it goes on still: two at once are kept apart by a host, and by nothing here.
    #[must_use]
    pub fn begins_again(&self, action: &Action) -> bool {
        let Action::Hook {
            name,
            host,
            node,
            rerun,
            ..
        } = action
        else {
            return false;
        };
        let same = *name == self.name && *host == self.host && *node == self.node;
        let beside = self.host.is_none() && self.end == LeftEnd::GoesOn;
        same && (beside || *rerun == Rerun::Never)
    }
}

/// The hooks of this run whose end it does not know, in its plan's order. Asks only.
pub async fn left_hooks(
    hosts: &dyn Hosts,
    people: &dyn People,
    programs: &dyn Programs,
    run: &str,
    plan: &Plan,
    state: &State,
) -> Vec<LeftHook> {
    let mut left = Vec::new();
    for step in &plan.steps {
        let Action::Hook {
            name, host, node, ..
        } = &step.action
        else {
            continue;
        };
        let (failed, tries, began) = match state.steps.get(&step.id) {
            Some(StepState::Started { attempt, began, .. }) => (false, *attempt, *began),
            Some(StepState::Failed { attempt, at, .. }) => (true, *attempt, *at),
            Some(StepState::Done { .. }) | None => continue,
        };
        // A hook on this machine that failed has ended; of one on a host the run may only have lost sight.
        let end = match (host, programs.goes_on(step.id.as_str())) {
            (Some(host), _) => asked(hosts, run, &step.id, host, tries).await,
            (None, Ok(Some(_))) => Some(LeftEnd::GoesOn),
            (None, Ok(None)) => (!failed).then_some(LeftEnd::CutShort),
            (None, Err(error)) => Some(LeftEnd::Untold(error.to_string())),
        };
        let Some(mut end) = end else { continue };
        match &end {
            LeftEnd::CutShort | LeftEnd::Untold(_) => {
                if let Ok(Some(given)) = people.approval(step.id.as_str())
                    && given.at >= began
                {
                    end = LeftEnd::SaidDone(given);
                }
            }
            LeftEnd::GoesOn | LeftEnd::SaidDone(_) => {}
        }
        left.push(LeftHook {
            step: step.id.clone(),
            name: name.clone(),
            host: host.clone(),
            node: node.clone(),
            end,
        });
    }
    left
}

/// What the host keeps of the newest of a step's tries that it knows; none where that one has ended or none ever began.
async fn asked(
    hosts: &dyn Hosts,
    run: &str,
    step: &StepId,
    host: &HostName,
    tries: u32,
) -> Option<LeftEnd> {
    for number in (1..=tries).rev() {
        let op = OpRef {
            run: run.to_owned(),
            op: op_name(step, None, number),
        };
        match hosts.operation(host, &op).await {
            Ok(OpState::Absent) => {}
            Ok(OpState::Ended(end)) if end.status < BY_SIGNAL => return None,
            Ok(OpState::Running) => return Some(LeftEnd::GoesOn),
            Ok(OpState::Lost | OpState::Ended(_)) => return Some(LeftEnd::CutShort),
            Err(failure) => return Some(LeftEnd::Untold(failure.to_string())),
        }
    }
    None
}
