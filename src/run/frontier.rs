//! Which steps of a plan may start now: those after whose last predecessor nothing is missing.
//!
//! Knows the plan's edges and what is done, and nothing of how steps are carried out. Each edge is looked at twice in a run,
//! however many steps the plan has.

use std::collections::{BTreeMap, BTreeSet};

use crate::plan::data::{Plan, Step, StepId};

/// The steps of a plan that are not done, by what they wait for. Steps are known by their place in the plan.
pub(super) struct Frontier<'p> {
    steps: &'p [Step],
    /// How many of the steps before each are not done.
    missing: Vec<usize>,
    followers: Vec<Vec<usize>>,
    ready: BTreeSet<usize>,
    left: usize,
}

impl<'p> Frontier<'p> {
    /// The frontier where `done` tells what is done already.
    ///
    /// # Errors
    /// If an id stands twice, or a step comes after one that the plan does not have before it.
    pub(super) fn new(plan: &'p Plan, done: impl Fn(&StepId) -> bool) -> Result<Self, String> {
        let steps = plan.steps.as_slice();
        let mut places: BTreeMap<&StepId, usize> = BTreeMap::new();
        let mut frontier = Self {
            steps,
            missing: vec![0; steps.len()],
            followers: vec![Vec::new(); steps.len()],
            ready: BTreeSet::new(),
            left: 0,
        };
        for (place, step) in steps.iter().enumerate() {
            let is_done = done(&step.id);
            for before in &step.after {
                let Some(&before_place) = places.get(before) else {
                    return Err(format!(
                        "step `{}` comes after `{before}`, which the plan does not have before it",
                        step.id
                    ));
                };
                if !is_done && !done(before) {
                    frontier.missing[place] += 1;
                    frontier.followers[before_place].push(place);
                }
            }
            if places.insert(&step.id, place).is_some() {
                return Err(format!("the plan has step `{}` twice", step.id));
            }
            if !is_done {
                frontier.left += 1;
                if frontier.missing[place] == 0 {
                    frontier.ready.insert(place);
                }
            }
        }
        Ok(frontier)
    }

    /// The first step in the plan's order that may start and was not handed out yet.
    pub(super) fn next(&mut self) -> Option<(usize, &'p Step)> {
        self.ready
            .pop_first()
            .map(|place| (place, &self.steps[place]))
    }

    /// Takes note that the step handed out is done.
    pub(super) fn done(&mut self, place: usize) {
        self.left -= 1;
        for follower in std::mem::take(&mut self.followers[place]) {
            self.missing[follower] -= 1;
            if self.missing[follower] == 0 {
                self.ready.insert(follower);
            }
        }
    }

    /// Whether every step is done.
    pub(super) fn is_done(&self) -> bool {
        self.left == 0
    }
}
