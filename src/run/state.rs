//! What a run's events add up to.
//!
//! One function owns the transitions and refuses every event that cannot follow, so that a journal which does not make sense
//! is found when it is read.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::event::{Blocker, Event, Halt, How, Stamped};
use crate::plan::data::StepId;

/// Where a step is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepState {
    /// Started, no outcome yet; if its process is gone, nobody knows until the world is asked.
    Started {
        /// When, by the process that last took it up.
        at: Timestamp,
        /// When this try first began, by whatever process.
        began: Timestamp,
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

/// A node that was put off to the end of its hop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deferred {
    /// When its drain was given up.
    pub at: Timestamp,
    /// Why.
    pub error: String,
    /// What held it up.
    pub blockers: Vec<Blocker>,
    /// It was seen schedulable again, and its steps begin anew; else that may not have happened yet.
    pub back: bool,
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
    /// Nodes that were put off, by their drain; what became of them since is told by their steps.
    pub deferred: BTreeMap<StepId, Deferred>,
    /// Stopped before its end, and why; `None` again once resumed.
    pub halted: Option<Halt>,
    /// Every step is done.
    pub finished: bool,
    /// Own time over all its processes, in milliseconds.
    pub own_ms: u64,
    /// How many processes carried it out, one after the other.
    pub sittings: u32,
    /// From each process's first event to its last, added up, in milliseconds. The time in between, when nobody was at
    /// work, is not in it; a wall clock that went back adds nothing.
    pub worked_ms: u64,
}

/// An event that cannot follow what came before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransitionError {
    /// Anything before the run began.
    #[error("`{0}` before the run began")]
    NotBegun(&'static str),
    /// A second beginning.
    #[error("the run begins a second time")]
    BegunTwice,
    /// Anything after the run's end.
    #[error("`{0}` after the run had ended")]
    AfterTheEnd(&'static str),
    /// Anything but a resumption after a halt.
    #[error("`{0}` while the run was halted and not resumed")]
    WhileHalted(&'static str),
    /// A step's event that does not follow its state.
    #[error("step `{step}`: `{event}` cannot follow {state}")]
    Step {
        /// The step.
        step: StepId,
        /// The event's name.
        event: &'static str,
        /// Where the step was, in words.
        state: String,
    },
    /// The run's end while a step is not done.
    #[error("the run finished while step `{0}` was not done")]
    Unfinished(StepId),
}

impl State {
    /// Takes in one event. The one place that knows which event may follow which.
    ///
    /// # Errors
    /// If the event cannot follow; the state is unchanged then.
    pub fn apply(&mut self, stamped: &Stamped) -> Result<(), TransitionError> {
        let at = stamped.at;
        let event = &stamped.event;
        if self.finished || self.is_abandoned() {
            return Err(TransitionError::AfterTheEnd(event.name()));
        }
        match event {
            Event::RunStarted { .. } | Event::RunResumed { .. } => {}
            Event::StepStarted { .. }
            | Event::StepWaiting { .. }
            | Event::StepDone { .. }
            | Event::StepDeferring { .. }
            | Event::StepDeferred { .. }
            | Event::StepTakenBack { .. }
            | Event::StepFailed { .. }
            | Event::Halted { .. }
            | Event::Finished { .. } => {
                if self.run.is_none() {
                    return Err(TransitionError::NotBegun(event.name()));
                }
                if self.halted.is_some() {
                    return Err(TransitionError::WhileHalted(event.name()));
                }
            }
        }
        match event {
            Event::RunStarted {
                run,
                plan_sha256,
                pid,
                ..
            } => {
                if self.run.is_some() {
                    return Err(TransitionError::BegunTwice);
                }
                self.run = Some(run.clone());
                self.plan_sha256 = Some(plan_sha256.clone());
                self.started_at = Some(at);
                self.pid = Some(*pid);
            }
            Event::RunResumed { pid, .. } => {
                if self.run.is_none() {
                    return Err(TransitionError::NotBegun(event.name()));
                }
                self.halted = None;
                self.pid = Some(*pid);
            }
            Event::StepStarted { step, attempt } => {
                let follows = match self.steps.get(step) {
                    None => *attempt == 1,
                    // Again with the same number: taken up by another process.
                    Some(StepState::Started { attempt: last, .. }) => {
                        *attempt == *last || *attempt == last + 1
                    }
                    Some(StepState::Failed { attempt: last, .. }) => *attempt == last + 1,
                    Some(StepState::Done { .. }) => false,
                };
                if !follows {
                    return Err(self.misplaced(step, event));
                }
                let began = match self.steps.get(step) {
                    Some(StepState::Started {
                        began,
                        attempt: last,
                        ..
                    }) if attempt == last => *began,
                    None
                    | Some(
                        StepState::Started { .. }
                        | StepState::Failed { .. }
                        | StepState::Done { .. },
                    ) => at,
                };
                self.steps.insert(
                    step.clone(),
                    StepState::Started {
                        at,
                        began,
                        attempt: *attempt,
                        waiting_on: None,
                    },
                );
            }
            Event::StepWaiting { step, on } => match self.steps.get_mut(step) {
                Some(StepState::Started { waiting_on, .. }) => *waiting_on = Some(on.clone()),
                None | Some(StepState::Done { .. } | StepState::Failed { .. }) => {
                    return Err(self.misplaced(step, event));
                }
            },
            Event::StepDone {
                step,
                how,
                note,
                took_ms,
            } => {
                let follows = match self.steps.get(step) {
                    None => *how == How::Already,
                    Some(StepState::Failed { .. }) => *how != How::Acted,
                    Some(StepState::Started { .. }) => true,
                    Some(StepState::Done { .. }) => false,
                };
                if !follows || self.is_deferring(step) {
                    return Err(self.misplaced(step, event));
                }
                self.steps.insert(
                    step.clone(),
                    StepState::Done {
                        at,
                        how: *how,
                        note: note.clone(),
                        took_ms: *took_ms,
                    },
                );
            }
            Event::StepFailed { step, error } => {
                let attempt = match self.steps.get(step) {
                    // Refused before its first try.
                    None => 0,
                    Some(
                        StepState::Started { attempt, .. } | StepState::Failed { attempt, .. },
                    ) => *attempt,
                    Some(StepState::Done { .. }) => return Err(self.misplaced(step, event)),
                };
                self.steps.insert(
                    step.clone(),
                    StepState::Failed {
                        at,
                        error: error.clone(),
                        attempt,
                    },
                );
            }
            Event::StepDeferring {
                step,
                error,
                blockers,
            } => {
                let started = matches!(self.steps.get(step), Some(StepState::Started { .. }));
                if !started || self.deferred.contains_key(step) {
                    return Err(self.misplaced(step, event));
                }
                let deferred = Deferred {
                    at,
                    error: error.clone(),
                    blockers: blockers.clone(),
                    back: false,
                };
                self.deferred.insert(step.clone(), deferred);
            }
            Event::StepDeferred { step, anew } => {
                let undone = anew.iter().find(|step| !self.is_done(step));
                if let Some(undone) = undone {
                    return Err(self.misplaced(undone, event));
                }
                let started = matches!(self.steps.get(step), Some(StepState::Started { .. }));
                match self.deferred.get_mut(step) {
                    Some(deferred) if started && !deferred.back => deferred.back = true,
                    Some(_) | None => return Err(self.misplaced(step, event)),
                }
                self.steps.remove(step);
                for step in anew {
                    self.steps.remove(step);
                }
            }
            Event::StepTakenBack { step } => {
                if !self.is_done(step) {
                    return Err(self.misplaced(step, event));
                }
                self.steps.remove(step);
            }
            Event::Halted { why, own_ms, .. } => {
                self.halted = Some(why.clone());
                self.own_ms += own_ms;
            }
            Event::Finished { own_ms, .. } => {
                for (step, state) in &self.steps {
                    match state {
                        StepState::Done { .. } => {}
                        StepState::Started { .. } | StepState::Failed { .. } => {
                            return Err(TransitionError::Unfinished(step.clone()));
                        }
                    }
                }
                self.finished = true;
                self.own_ms += own_ms;
            }
        }
        match event {
            Event::RunStarted { .. } | Event::RunResumed { .. } => self.sittings += 1,
            Event::StepStarted { .. }
            | Event::StepWaiting { .. }
            | Event::StepDone { .. }
            | Event::StepDeferring { .. }
            | Event::StepDeferred { .. }
            | Event::StepTakenBack { .. }
            | Event::StepFailed { .. }
            | Event::Halted { .. }
            | Event::Finished { .. } => {
                let since = self
                    .last_at
                    .map_or(0, |last| at.duration_since(last).as_millis());
                self.worked_ms += u64::try_from(since).unwrap_or(0);
            }
        }
        self.last_at = Some(at);
        Ok(())
    }

    /// From the run's beginning to its last event, in milliseconds; 0 before it began and where the wall clock went back.
    #[must_use]
    pub fn elapsed_ms(&self) -> u64 {
        let (Some(began), Some(last)) = (self.started_at, self.last_at) else {
            return 0;
        };
        u64::try_from(last.duration_since(began).as_millis()).unwrap_or(0)
    }

    /// Whether the step is done.
    #[must_use]
    pub fn is_done(&self, step: &StepId) -> bool {
        match self.steps.get(step) {
            Some(StepState::Done { .. }) => true,
            None | Some(StepState::Started { .. } | StepState::Failed { .. }) => false,
        }
    }

    /// A step began, and its run halted without a word of how it ended. While the run is not halted it may be under way.
    #[must_use]
    pub fn was_cut_short(&self, step: &StepId) -> bool {
        self.halted.is_some() && matches!(self.steps.get(step), Some(StepState::Started { .. }))
    }

    /// Whether somebody has ended it for good.
    #[must_use]
    pub const fn is_abandoned(&self) -> bool {
        matches!(self.halted, Some(Halt::Abandoned { .. }))
    }

    /// Whether the drain was given up and its node may still have to be made schedulable again.
    #[must_use]
    pub fn is_deferring(&self, step: &StepId) -> bool {
        self.deferred
            .get(step)
            .is_some_and(|deferred| !deferred.back)
    }

    fn misplaced(&self, step: &StepId, event: &Event) -> TransitionError {
        let state = match self.steps.get(step) {
            None => "nothing: it had not begun".to_owned(),
            Some(StepState::Started { attempt, .. }) => format!("the start of try {attempt}"),
            Some(StepState::Done { .. }) => "its end".to_owned(),
            Some(StepState::Failed { attempt, .. }) => format!("its failure at try {attempt}"),
        };
        TransitionError::Step {
            step: step.clone(),
            event: event.name(),
            state,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn apply(state: &mut State, event: Event) -> Result<(), TransitionError> {
        state.apply(&Stamped { at: at(1), event })
    }

    fn begin() -> Event {
        Event::RunStarted {
            run: "r1".into(),
            plan_sha256: "p".into(),
            refit: "0.1.0".into(),
            pid: 1,
        }
    }

    fn resume() -> Event {
        Event::RunResumed {
            refit: "0.1.0".into(),
            pid: 2,
        }
    }

    fn started(attempt: u32) -> Event {
        Event::StepStarted {
            step: StepId::new("s"),
            attempt,
        }
    }

    fn done(how: How) -> Event {
        Event::StepDone {
            step: StepId::new("s"),
            how,
            note: None,
            took_ms: 1,
        }
    }

    fn failed() -> Event {
        Event::StepFailed {
            step: StepId::new("s"),
            error: "no".into(),
        }
    }

    fn deferring() -> Event {
        Event::StepDeferring {
            step: StepId::new("s"),
            error: "no".into(),
            blockers: vec![],
        }
    }

    fn deferred() -> Event {
        Event::StepDeferred {
            step: StepId::new("s"),
            anew: vec![],
        }
    }

    fn waiting() -> Event {
        Event::StepWaiting {
            step: StepId::new("s"),
            on: "it".into(),
        }
    }

    fn halted() -> Event {
        Event::Halted {
            why: Halt::Interrupted,
            own_ms: 5,
            wall_ms: 10,
        }
    }

    fn finished() -> Event {
        Event::Finished {
            own_ms: 7,
            wall_ms: 10,
        }
    }

    /// Whether the last event may follow the others, which must be legal.
    fn follows(events: Vec<Event>) -> bool {
        let mut state = State::default();
        let (last, before) = events.split_last().unwrap();
        for event in before {
            apply(&mut state, event.clone()).unwrap();
        }
        let unchanged = state.clone();
        let result = apply(&mut state, last.clone());
        if result.is_err() {
            assert_eq!(state, unchanged, "a refused event must change nothing");
        }
        result.is_ok()
    }

    #[test]
    fn a_run_begins_once_and_nothing_comes_before() {
        assert!(follows(vec![begin()]));
        assert!(!follows(vec![begin(), begin()]));
        for early in [
            resume(),
            started(1),
            done(How::Already),
            halted(),
            finished(),
        ] {
            assert!(!follows(vec![early]));
        }
    }

    #[test]
    fn only_a_resumption_follows_a_halt_and_nothing_follows_the_end() {
        assert!(follows(vec![begin(), halted(), resume()]));
        assert!(follows(vec![begin(), resume()]));
        assert!(!follows(vec![begin(), halted(), started(1)]));
        assert!(!follows(vec![begin(), halted(), halted()]));
        assert!(!follows(vec![begin(), finished(), resume()]));
        assert!(!follows(vec![begin(), started(1), finished()]));
        assert!(!follows(vec![begin(), failed(), finished()]));
    }

    #[test]
    fn tries_are_counted_upwards_without_a_gap() {
        assert!(!follows(vec![begin(), started(2)]));
        assert!(follows(vec![begin(), started(1), started(1)]));
        assert!(follows(vec![begin(), started(1), started(2)]));
        assert!(!follows(vec![begin(), started(1), started(3)]));
        assert!(follows(vec![begin(), started(1), failed(), started(2)]));
        assert!(!follows(vec![begin(), started(1), failed(), started(1)]));
        assert!(!follows(vec![begin(), done(How::Already), started(1)]));
    }

    #[test]
    fn only_a_started_step_can_have_acted_or_wait() {
        assert!(follows(vec![begin(), done(How::Already)]));
        assert!(!follows(vec![begin(), done(How::Acted)]));
        assert!(!follows(vec![begin(), done(How::Recovered)]));
        assert!(follows(vec![begin(), started(1), done(How::Acted)]));
        assert!(follows(vec![begin(), failed(), done(How::Already)]));
        assert!(follows(vec![begin(), failed(), done(How::Recovered)]));
        assert!(!follows(vec![begin(), failed(), done(How::Acted)]));
        assert!(!follows(vec![
            begin(),
            done(How::Already),
            done(How::Already)
        ]));
        assert!(!follows(vec![begin(), waiting()]));
        assert!(follows(vec![begin(), started(1), waiting()]));
        assert!(!follows(vec![begin(), done(How::Already), failed()]));
    }

    #[test]
    fn nothing_follows_once_a_run_is_abandoned() {
        let abandoned = Event::Halted {
            why: Halt::Abandoned {
                by: "alice".into(),
                stays: vec![],
            },
            own_ms: 0,
            wall_ms: 0,
        };
        assert!(!follows(vec![begin(), halted(), abandoned.clone()]));
        assert!(follows(vec![
            begin(),
            halted(),
            resume(),
            abandoned.clone()
        ]));
        assert!(!follows(vec![begin(), abandoned, resume()]));
    }

    #[test]
    fn a_drain_is_put_off_once_and_only_once_it_was_started() {
        assert!(!follows(vec![begin(), deferring()]));
        assert!(!follows(vec![begin(), started(1), deferred()]));
        assert!(follows(vec![begin(), started(1), deferring(), deferred()]));
        let off = || vec![begin(), started(1), deferring()];
        let then = |events: Vec<Event>| [off(), events].concat();
        assert!(!follows(then(vec![deferring()])));
        assert!(!follows(then(vec![done(How::Acted)])));
        assert!(follows(then(vec![resume(), started(1), deferred()])));
        assert!(follows(then(vec![failed(), started(2), deferred()])));
        // from then on it is as if it had never begun
        assert!(follows(then(vec![
            deferred(),
            started(1),
            done(How::Acted)
        ])));
        assert!(!follows(then(vec![deferred(), started(2)])));
        assert!(!follows(then(vec![deferred(), deferred()])));
        assert!(!follows(then(vec![deferred(), started(1), deferring()])));
        // what was done for it must have been
        let undone = Event::StepDeferred {
            step: StepId::new("s"),
            anew: vec![StepId::new("cordon")],
        };
        assert!(!follows(then(vec![undone])));
    }

    #[test]
    fn a_runs_time_is_told_with_and_without_the_time_when_nobody_was_at_work() {
        let mut state = State::default();
        assert_eq!(state.elapsed_ms(), 0);
        for (second, event) in [
            (100, begin()),
            (130, started(1)),
            // killed here, and taken up an hour later
            (3700, resume()),
            (3710, done(How::Recovered)),
            // the clock is set back
            (3705, halted()),
            (4000, resume()),
            (4002, finished()),
        ] {
            let at = at(second);
            state.apply(&Stamped { at, event }).unwrap();
        }
        assert_eq!(state.elapsed_ms(), 3_902_000);
        assert_eq!(state.worked_ms, 42_000);
        assert_eq!(state.sittings, 3);
    }

    #[test]
    fn own_time_adds_up_over_processes() {
        let mut state = State::default();
        for event in [begin(), halted(), resume(), finished()] {
            apply(&mut state, event).unwrap();
        }
        assert_eq!(state.own_ms, 12);
        assert_eq!(state.sittings, 2);
        assert_eq!(state.pid, Some(2));
        assert!(state.finished);
    }
}
