//! Which steps should fall into which window.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::calendar::{BadWindow, Calendar, Now};
use super::{Windows, seconds_between};
use crate::plan::data::{Plan, Step, StepId};
use crate::plan::graph::{Frontier, GraphError};

/// Openings that are tried for one step before it is said to fit into none.
const TRIED: usize = 60;

/// What one opening of the windows should hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sitting {
    /// When the first step starts.
    pub from: Timestamp,
    /// When the window closes.
    pub closes: Timestamp,
    /// When the last step that was started should end.
    pub done: Timestamp,
    /// The steps, in the order in which they start.
    pub steps: Vec<StepId>,
}

/// A step that no window is long enough for, or that none is left for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoRoom {
    /// The step.
    pub step: StepId,
    /// The seconds it needs.
    pub needs_s: u64,
    /// The longest window seen, in seconds.
    pub longest_s: u64,
}

/// Whether every step fits into one of the windows to come from `at` on. A window that opens has room for every step that is
/// no longer than it, so that only the longest step has to be looked at.
///
/// # Errors
/// The first step that fits into none, or the window that cannot be understood.
pub fn fits(plan: &Plan, at: Timestamp) -> Result<(), Trouble> {
    plan.windows
        .as_ref()
        .map_or(Ok(()), |windows| all_fit(&plan.steps, windows, at))
}

pub(super) fn all_fit(steps: &[Step], windows: &Windows, at: Timestamp) -> Result<(), Trouble> {
    let Windows { declared, room_s } = windows;
    let most_s = room_s.values().max().copied().unwrap_or(0);
    let calendar = Calendar::of(declared)?;
    let mut now = at;
    let mut longest_s = 0;
    for _ in 0..=TRIED {
        let (from, closes) = match calendar.at(now) {
            Now::Open { until } => (now, until),
            Now::Closed { opens: None } => break,
            Now::Closed { opens: Some(opens) } => match calendar.at(opens) {
                Now::Open { until } => (opens, until),
                Now::Closed { .. } => break,
            },
        };
        longest_s = longest_s.max(seconds_between(from, closes));
        if longest_s >= most_s {
            return Ok(());
        }
        now = closes;
    }
    let mut needs = steps
        .iter()
        .filter_map(|step| room_s.get_key_value(&step.id));
    match needs.find(|(_, needs_s)| **needs_s > longest_s) {
        None => Ok(()),
        Some((step, &needs_s)) => Err(Trouble::NoRoom(NoRoom {
            step: step.clone(),
            needs_s,
            longest_s,
        })),
    }
}

/// Which steps should fall into which window, when the plan is begun at `at` or in the next window after it, every step
/// takes as long as expected, and whatever may run side by side does. None for a plan without windows.
///
/// # Errors
/// The first step that fits into none of the windows to come, or the window that cannot be understood.
pub fn schedule(plan: &Plan, at: Timestamp) -> Result<Option<Vec<Sitting>>, Trouble> {
    let Some(windows) = &plan.windows else {
        return Ok(None);
    };
    let calendar = Calendar::of(&windows.declared)?;
    Schedule::of(&plan.steps, &windows.room_s, &calendar)?
        .run(at)
        .map(Some)
}

/// Why steps cannot be laid into windows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// The steps make no plan.
    Steps(GraphError),
    /// A window cannot be understood.
    Window(BadWindow),
    /// A step fits into none.
    NoRoom(NoRoom),
}

impl From<BadWindow> for Trouble {
    fn from(bad: BadWindow) -> Self {
        Self::Window(bad)
    }
}

impl From<GraphError> for Trouble {
    fn from(error: GraphError) -> Self {
        Self::Steps(error)
    }
}

/// The plan, carried out in thought.
pub(super) struct Schedule<'p> {
    steps: &'p [Step],
    room_s: &'p BTreeMap<StepId, u64>,
    calendar: &'p Calendar,
    frontier: Frontier,
}

impl<'p> Schedule<'p> {
    pub(super) fn of(
        steps: &'p [Step],
        room_s: &'p BTreeMap<StepId, u64>,
        calendar: &'p Calendar,
    ) -> Result<Self, GraphError> {
        Ok(Self {
            steps,
            room_s,
            calendar,
            frontier: Frontier::new(steps, |_| false)?,
        })
    }

    pub(super) fn run(mut self, at: Timestamp) -> Result<Vec<Sitting>, Trouble> {
        let mut sittings: Vec<Sitting> = Vec::new();
        let mut now = at;
        let mut longest_s = 0;
        let mut in_vain = 0;
        while !self.frontier.is_done() {
            let (from, closes) = match self.calendar.at(now) {
                Now::Open { until } => (now, until),
                Now::Closed { opens: Some(opens) } => {
                    now = opens;
                    continue;
                }
                Now::Closed { opens: None } => return Err(self.no_room(longest_s)),
            };
            longest_s = longest_s.max(seconds_between(from, closes));
            let sitting = self.sit(from, closes);
            if sitting.steps.is_empty() {
                in_vain += 1;
                if in_vain > TRIED {
                    return Err(self.no_room(longest_s));
                }
            } else {
                in_vain = 0;
            }
            // What was begun may end after the window, and even in the next one.
            now = sitting.done.max(closes);
            if !sitting.steps.is_empty() {
                sittings.push(sitting);
            }
        }
        Ok(sittings)
    }

    fn no_room(&self, longest_s: u64) -> Trouble {
        let step = self.frontier.first().map(|place| &self.steps[place].id);
        Trouble::NoRoom(NoRoom {
            step: step.cloned().unwrap_or_else(|| StepId::new("")),
            needs_s: step
                .and_then(|id| self.room_s.get(id))
                .copied()
                .unwrap_or(0),
            longest_s,
        })
    }

    /// One window: whatever is ready and fits is started, until nothing is left that does.
    fn sit(&mut self, from: Timestamp, closes: Timestamp) -> Sitting {
        let mut sitting = Sitting {
            from,
            closes,
            done: from,
            steps: Vec::new(),
        };
        let length_s = seconds_between(from, closes);
        let mut now_s = 0;
        let mut running: BTreeSet<(u64, usize)> = BTreeSet::new();
        let mut kept_back = Vec::new();
        loop {
            while let Some(place) = self.frontier.take() {
                let step = &self.steps[place];
                let fits = self
                    .room_s
                    .get(&step.id)
                    .is_none_or(|needs| now_s + needs <= length_s);
                if fits {
                    sitting.steps.push(step.id.clone());
                    running.insert((now_s + step.expected_s, place));
                } else {
                    kept_back.push(place);
                }
            }
            let Some((end_s, place)) = running.pop_first() else {
                break;
            };
            now_s = end_s;
            self.frontier.done(place);
        }
        for place in kept_back {
            self.frontier.put_back(place);
        }
        let took = SignedDuration::from_secs(now_s.try_into().unwrap_or(i64::MAX));
        sitting.done = from.saturating_add(took).unwrap_or(closes);
        sitting
    }
}
