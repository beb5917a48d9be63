//! What happens in a run, as events, and the state they add up to.
//!
//! The journal holds these events and nothing else; [`State`] is a fold over them. One function owns the transitions and
//! refuses every event that cannot follow, so that a journal which does not make sense is found when it is read.

use std::collections::BTreeMap;

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

/// Where a step is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepState {
    /// Started, no outcome yet; if its process is gone, nobody knows until the world is asked.
    Started {
        /// When.
        at: Timestamp,
        /// Which try.
        attempt: u32,
        /// What it last said it waits for.
        waiting_on: Option<String>,
    },
    /// Done.
    Done {
        /// When.
        at: Timestamp,
        /// How.
        how: How,
        /// What the reader should know.
        note: Option<String>,
        /// Milliseconds from its start.
        took_ms: u64,
    },
    /// Failed for good in the process that tried it; a resumed run tries again.
    Failed {
        /// When.
        at: Timestamp,
        /// Why.
        error: String,
        /// The last attempt's number.
        attempt: u32,
    },
}

/// What the events of a run add up to. Steps without an entry have not begun.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// The run's id, once it has begun.
    pub run: Option<String>,
    /// The plan's digest.
    pub plan_sha256: Option<String>,
    /// When the run began.
    pub started_at: Option<Timestamp>,
    /// The last event's time.
    pub last_at: Option<Timestamp>,
    /// The process that last took it up.
    pub pid: Option<u32>,
    /// By step.
    pub steps: BTreeMap<StepId, StepState>,
    /// Stopped before its end, and why; `None` again once resumed.
    pub halted: Option<Halt>,
    /// Every step is done.
    pub finished: bool,
    /// Own time over all its processes, in milliseconds.
    pub own_ms: u64,
}
