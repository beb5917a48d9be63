//! When the cluster may be changed: windows that come again and again, in the time zone of the people who keep them.
//!
//! A step that changes something starts only while a window is open, and the first step of a node, or of a control plane's
//! instance, only while what is left of the window is enough for all of them: a node that was begun is finished. Which step
//! needs how much is part of the plan ([`Windows::room_s`]), so that whoever carries it out compares two numbers and decides
//! nothing. Knows no clock: every question names its time.

mod calendar;
mod room;
mod schedule;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::data::{Plan, Step, StepId};
use crate::documents::settings::Window;

pub use calendar::{BadWindow, Calendar, Now};
pub use schedule::{NoRoom, Sitting, Trouble, fits, schedule};

/// The windows of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Windows {
    /// When they open, and for how long.
    pub declared: Vec<Window>,
    /// Seconds that must be left of a window when the step starts. Steps that are not named may always start: they change
    /// nothing, or finish what a step before them began.
    pub room_s: BTreeMap<StepId, u64>,
}

/// The windows of a plan with these steps.
#[must_use]
pub fn of(declared: &[Window], steps: &[Step]) -> Option<Windows> {
    let some = !declared.is_empty() && !steps.is_empty();
    some.then(|| Windows {
        declared: declared.to_vec(),
        room_s: room::room(steps),
    })
}

/// Steps that may start whenever those before them are done: they finish what one of these began, a node or a control plane's
/// instance.
#[must_use]
pub fn finishing(steps: &[Step]) -> HashSet<&StepId> {
    let stretches = room::stretches(steps);
    let begun = stretches.values().flat_map(|steps| steps.iter().skip(1));
    begun.map(|step| &step.id).collect()
}

/// The steps that must end within the window in which this one begins, itself included.
#[must_use]
pub fn stretch<'s>(steps: &'s [Step], first: &StepId) -> Vec<&'s Step> {
    room::stretches(steps).remove(first).unwrap_or_default()
}

/// A step for which a plan keeps less room than its own steps are expected to need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TooLittle {
    /// The step.
    pub step: StepId,
    /// The seconds that the plan keeps; none where it lets the step start at any time.
    pub kept_s: Option<u64>,
    /// The seconds that it and what must follow it at once are expected to take.
    pub needs_s: u64,
}

/// Where a plan keeps too little room, going by the durations that it was made with itself: what was learned since tells
/// nothing about what its reviewers saw.
#[must_use]
pub fn too_little(plan: &Plan) -> Vec<TooLittle> {
    let Some(windows) = &plan.windows else {
        return Vec::new();
    };
    let kept = |step: &StepId| windows.room_s.get(step).copied();
    room::room(&plan.steps)
        .into_iter()
        .map(|(step, needs_s)| TooLittle {
            kept_s: kept(&step),
            step,
            needs_s,
        })
        .filter(|found| found.kept_s.is_none_or(|kept_s| kept_s < found.needs_s))
        .collect()
}

/// What a plan's windows say about starting its steps.
#[derive(Debug)]
pub struct Guard<'p> {
    windows: &'p Windows,
    calendar: Calendar,
    /// The window that was seen last: many steps start in one, and to find its end may take many looks at the calendar.
    seen: Cell<Option<(Timestamp, Timestamp)>>,
}

impl<'p> Guard<'p> {
    /// The plan's; none where it may be carried out at any time.
    ///
    /// # Errors
    /// If a window cannot be understood.
    pub fn of(plan: &'p Plan) -> Result<Option<Self>, BadWindow> {
        let Some(windows) = &plan.windows else {
            return Ok(None);
        };
        let calendar = Calendar::of(&windows.declared)?;
        Ok(Some(Self {
            windows,
            calendar,
            seen: Cell::new(None),
        }))
    }

    /// Whether the step may start.
    #[must_use]
    pub fn allows(&self, step: &StepId, now: Timestamp) -> bool {
        let Some(&needs_s) = self.windows.room_s.get(step) else {
            return true;
        };
        let enough = |until: Timestamp| seconds_between(now, until) >= needs_s;
        let seen = self.seen.get();
        let seen = seen.filter(|(from, until)| *from <= now && now < *until);
        // Of windows that are joined for ever, a later look sees more.
        seen.is_some_and(|(_, until)| enough(until)) || self.closes(now).is_some_and(enough)
    }

    /// When the window that is open closes; none while all are closed.
    fn closes(&self, now: Timestamp) -> Option<Timestamp> {
        match self.calendar.at(now) {
            Now::Open { until } => {
                self.seen.set(Some((now, until)));
                Some(until)
            }
            Now::Closed { .. } => None,
        }
    }

    /// When the next window after the one that is open, or after now, opens.
    #[must_use]
    pub fn opens_next(&self, now: Timestamp) -> Option<Timestamp> {
        match self.calendar.at(self.closes(now).unwrap_or(now)) {
            Now::Open { .. } => None,
            Now::Closed { opens } => opens,
        }
    }
}

/// Whole seconds; none where `to` is before `from`.
fn seconds_between(from: Timestamp, to: Timestamp) -> u64 {
    to.duration_since(from).as_secs().try_into().unwrap_or(0)
}
