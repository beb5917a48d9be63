//! Where a hop's gates stand: between what must be done before and what must wait.
//!
//! Gates of one place follow each other in the order in which they are declared, so that a person who is asked last knows that
//! everything before held.

use super::data::{Action, StepId};
use super::draft::Draft;
use super::pace::{self, Pace};
use crate::documents::settings::{Condition, Gate, GatePoint, Upgrade};

/// The place of gates.
const GATE: &str = "gate";

/// Adds the gates of a place after this step; `of` tells it from other such places of the hop. Returns the step that what
/// comes next waits for.
pub fn at(
    draft: &mut Draft<'_>,
    upgrade: &Upgrade,
    point: GatePoint,
    of: Option<&str>,
    after: &StepId,
) -> StepId {
    let last = chain(draft, upgrade, point, of, Some(after.clone()));
    last.unwrap_or_else(|| after.clone())
}

/// Adds the gates before a hop, which comes after `start` where it is not the first. They come before everything is looked at:
/// people take days, and what was seen before that is not what is there after it. Returns what the looks wait for.
pub fn before_hop(
    draft: &mut Draft<'_>,
    upgrade: &Upgrade,
    start: Option<&StepId>,
) -> Option<StepId> {
    chain(draft, upgrade, GatePoint::BeforeHop, None, start.cloned())
}

fn chain(
    draft: &mut Draft<'_>,
    upgrade: &Upgrade,
    point: GatePoint,
    of: Option<&str>,
    after: Option<StepId>,
) -> Option<StepId> {
    let mut last = after;
    for gate in upgrade.gates.iter().filter(|gate| gate.at == point) {
        let verb = match of {
            None => gate.name.clone(),
            Some(of) => format!("{}/{of}", gate.name),
        };
        let waits_for: Vec<&StepId> = last.iter().collect();
        let added = draft.step(
            GATE,
            &verb,
            Action::Gate { gate: gate.clone() },
            &waits_for,
            pace(gate),
            format!("gate `{}`, declared at {}", gate.name, point.as_str()),
        );
        last = Some(added);
    }
    last
}

const fn pace(gate: &Gate) -> Pace {
    match gate.condition {
        Condition::Approval { .. } => pace::APPROVAL,
        Condition::Command {
            for_s, timeout_s, ..
        }
        | Condition::Prometheus {
            for_s, timeout_s, ..
        } => Pace {
            timeout_s,
            expected_s: for_s,
            retries: 0,
        },
    }
}
