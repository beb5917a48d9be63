//! Steps while they are being put together: ids, edges, times.

use super::data::{Action, Step, StepId};
use super::pace::Pace;
use crate::rules::version::{Minor, Version};

/// The place of steps that concern the cluster as a whole.
pub const CLUSTER: &str = "cluster";
/// The place of barriers.
pub const BARRIER: &str = "barrier";

/// Steps so far.
#[derive(Debug)]
pub struct Draft<'a> {
    target: &'a Version,
    steps: Vec<Step>,
}

impl<'a> Draft<'a> {
    /// No steps yet.
    #[must_use]
    pub const fn new(target: &'a Version) -> Self {
        Self {
            target,
            steps: Vec::new(),
        }
    }

    /// The release to reach.
    #[must_use]
    pub const fn target(&self) -> &'a Version {
        self.target
    }

    /// The minor to reach.
    #[must_use]
    pub const fn minor(&self) -> Minor {
        self.target.minor()
    }

    /// Adds `PLACE/VERB@RELEASE`.
    pub fn step(
        &mut self,
        place: impl std::fmt::Display,
        verb: &str,
        action: Action,
        after: &[&StepId],
        pace: Pace,
        because: impl Into<String>,
    ) -> StepId {
        let id = StepId::new(format!("{place}/{verb}@{}", self.target));
        self.push(id, action, after, pace, because.into())
    }

    /// Adds `barrier/NAME@MINOR`, where steps meet.
    pub fn barrier(
        &mut self,
        name: &str,
        holds: impl Into<String>,
        after: &[&StepId],
        because: impl Into<String>,
    ) -> StepId {
        let id = StepId::new(format!("{BARRIER}/{name}@{}", self.minor()));
        let action = Action::Barrier {
            holds: holds.into(),
        };
        self.push(id, action, after, super::pace::BARRIER, because.into())
    }

    fn push(
        &mut self,
        id: StepId,
        action: Action,
        after: &[&StepId],
        pace: Pace,
        because: String,
    ) -> StepId {
        let mut after: Vec<StepId> = after.iter().map(|id| (*id).clone()).collect();
        after.sort();
        after.dedup();
        self.steps.push(Step {
            id: id.clone(),
            action,
            after,
            timeout_s: pace.timeout_s,
            retries: pace.retries,
            because,
            expected_s: pace.expected_s,
        });
        id
    }

    /// The steps, in the order in which they were added.
    #[must_use]
    pub fn into_steps(self) -> Vec<Step> {
        self.steps
    }
}
