//! When each step should begin and end, in seconds from the plan's start, were nothing to wait for but the steps before.

use std::collections::HashMap;

use crate::plan::data::{Plan, Step, StepId};

/// The predicted times of a plan's steps.
#[derive(Debug)]
pub struct Timeline<'p>(HashMap<&'p StepId, (u64, u64)>);

impl<'p> Timeline<'p> {
    /// Of a plan in its order.
    #[must_use]
    pub fn of(plan: &'p Plan) -> Self {
        let mut times: HashMap<&StepId, (u64, u64)> = HashMap::with_capacity(plan.steps.len());
        for step in &plan.steps {
            let start = step
                .after
                .iter()
                .filter_map(|before| times.get(before))
                .map(|(_, end)| *end)
                .max()
                .unwrap_or(0);
            times.insert(&step.id, (start, start + step.expected_s));
        }
        Self(times)
    }

    /// When a step should begin and end.
    #[must_use]
    pub fn step(&self, id: &StepId) -> (u64, u64) {
        self.0.get(id).copied().unwrap_or_default()
    }

    /// From the first beginning to the last end of these steps.
    #[must_use]
    pub fn span(&self, steps: &[&Step]) -> (u64, u64) {
        let times = || steps.iter().map(|step| self.step(&step.id));
        (
            times().map(|(start, _)| start).min().unwrap_or(0),
            times().map(|(_, end)| end).max().unwrap_or(0),
        )
    }
}
