//! What happens in a run, as events.
//!
//! The journal holds these events and nothing else; what they add up to is [`super::state::State`].

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::plan::data::StepId;

/// Something that happened in a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The run began; always the first event.
    RunStarted {
        /// The run's id.
        run: String,
        /// SHA-256 of the plan file's text.
        plan_sha256: String,
        /// refit's version.
        refit: String,
        /// The process.
        pid: u32,
    },
    /// The run goes on in another process.
    RunResumed {
        /// refit's version.
        refit: String,
        /// The process.
        pid: u32,
    },
    /// The step is about to act; on disk before it does.
    StepStarted {
        /// The step.
        step: StepId,
        /// 1 for the first try.
        attempt: u32,
    },
    /// What the step is waiting for, when that has changed.
    StepWaiting {
        /// The step.
        step: StepId,
        /// Such as `web/web-7d9 (budget web: needs 3 healthy pods, has 3)`.
        on: String,
    },
    /// The step is done.
    StepDone {
        /// The step.
        step: StepId,
        /// How it came to be done.
        how: How,
        /// What the reader should know.
        note: Option<String>,
        /// Milliseconds from its start.
        took_ms: u64,
    },
    /// The drain is given up, and its node is about to be made schedulable again; on disk before it is.
    StepDeferring {
        /// The drain.
        step: StepId,
        /// What happened, and why.
        error: String,
        /// What holds the node up.
        blockers: Vec<Blocker>,
    },
    /// The drain's node is schedulable again; its steps are carried out at the end of the hop instead.
    StepDeferred {
        /// The drain.
        step: StepId,
        /// Of the node's steps those that were done and begin anew, besides the drain itself.
        anew: Vec<StepId>,
    },
    /// What the step did is about to be undone, because the run rests; on disk before it is. Whoever takes the run up carries
    /// the step out again.
    StepTakenBack {
        /// The step.
        step: StepId,
    },
    /// The step has failed for good: its retries are used up.
    StepFailed {
        /// The step.
        step: StepId,
        /// What happened, why, and what state things are in.
        error: String,
    },
    /// No new step is started any more, because one has failed or the operator asked to stop; running ones have ended.
    Halted {
        /// Why.
        why: Halt,
        /// refit's own time in this process, in milliseconds: neither a host nor Kubernetes was being waited for.
        own_ms: u64,
        /// Wall time of this process, in milliseconds.
        wall_ms: u64,
    },
    /// Every step is done; always the last event.
    Finished {
        /// As in `Halted`.
        own_ms: u64,
        /// As in `Halted`.
        wall_ms: u64,
    },
}

/// A pod that does not leave its node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocker {
    /// `namespace/name`.
    pub pod: String,
    /// The budget that does not let it go, as `namespace/name`; none where it is something else.
    pub budget: Option<String>,
    /// What holds it, in words.
    pub why: String,
}

/// How a step came to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// It acted.
    Acted,
    /// The world was already as the step would leave it.
    Already,
    /// It had been started before, and its end was found.
    Recovered,
}

/// Why a run stopped before its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Halt {
    /// Steps failed.
    Failed {
        /// Which.
        steps: Vec<StepId>,
    },
    /// The operator asked (Ctrl-C).
    Interrupted,
    /// Somebody asked it to pause (`refit pause`). No node is half done.
    Paused {
        /// Who.
        by: String,
    },
    /// Somebody ended it for good (`refit abandon`): nothing follows.
    Abandoned {
        /// Who.
        by: String,
        /// What of it could not be taken off.
        stays: Vec<String>,
    },
    /// Nothing is left to do but what waits for somebody's word, and nobody is here to wait for it. No node is half done.
    Unapproved {
        /// What waits.
        steps: Vec<StepId>,
    },
    /// The plan's window is over, or what is left of it is not enough for any step that is left. No node is half done.
    WindowOver {
        /// When the next one opens.
        opens: Option<Timestamp>,
    },
    /// Another refit has taken the cluster over.
    Overtaken {
        /// Which, in words.
        by: String,
    },
}

/// An event with its time, as a journal holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamped {
    /// Wall clock, for people.
    pub at: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

impl Event {
    /// Its name, as the journal writes it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::RunStarted { .. } => "run-started",
            Self::RunResumed { .. } => "run-resumed",
            Self::StepStarted { .. } => "step-started",
            Self::StepWaiting { .. } => "step-waiting",
            Self::StepDone { .. } => "step-done",
            Self::StepDeferring { .. } => "step-deferring",
            Self::StepDeferred { .. } => "step-deferred",
            Self::StepTakenBack { .. } => "step-taken-back",
            Self::StepFailed { .. } => "step-failed",
            Self::Halted { .. } => "halted",
            Self::Finished { .. } => "finished",
        }
    }
}
