//! What a rehearsal has shown.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::plan::data::{Plan, StepId};
use crate::report::words::{clock, duration};
use crate::run::event::{Event, Halt, Stamped};
use crate::run::executor::Outcome;
use crate::sim::Sim;

/// Slow steps that are told one by one.
const SHOWN: usize = 10;

/// A rehearsal's result.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct Told {
    upgrade: String,
    inventory: String,
    /// `finished`, or why not.
    end: String,
    steps: usize,
    steps_done: usize,
    /// Seconds of the simulation's time in which the run was at work.
    took_s: i64,
    /// Seconds that the plan expects, were nothing to wait for but the steps before.
    expected_s: u64,
    /// One for each window that it took.
    sittings: Vec<Sitting>,
    /// What failed and why.
    failures: Vec<Failed>,
    /// What took much longer than the plan expects, and what it waited for last.
    slow: Vec<Slow>,
    /// Faults that were asked for and did not strike.
    faults_left: Vec<String>,
    /// What must never happen and did.
    violations: Vec<String>,
    #[serde(skip)]
    expected: BTreeMap<StepId, u64>,
    #[serde(skip)]
    waiting: BTreeMap<StepId, String>,
}

#[derive(Debug, Serialize)]
struct Sitting {
    from: Timestamp,
    to: Timestamp,
    steps_done: usize,
}

#[derive(Debug, Serialize)]
struct Failed {
    step: String,
    why: String,
}

#[derive(Debug, Serialize)]
struct Slow {
    step: String,
    took_s: u64,
    expected_s: u64,
    waited_for: Option<String>,
}

impl Told {
    pub(in crate::cli) fn new(plan: &Plan) -> Self {
        Self {
            upgrade: plan.upgrade.clone(),
            inventory: plan.inventory.clone(),
            end: String::new(),
            steps: plan.steps.len(),
            steps_done: 0,
            took_s: 0,
            expected_s: plan.expected_s(),
            sittings: Vec::new(),
            failures: Vec::new(),
            slow: Vec::new(),
            faults_left: Vec::new(),
            violations: Vec::new(),
            expected: plan
                .steps
                .iter()
                .map(|step| (step.id.clone(), step.expected_s))
                .collect(),
            waiting: BTreeMap::new(),
        }
    }

    pub(in crate::cli) fn happened(&mut self, stamped: &Stamped) {
        match &stamped.event {
            Event::StepWaiting { step, on } => {
                self.waiting.insert(step.clone(), on.clone());
            }
            Event::StepDone { step, took_ms, .. } => {
                self.steps_done += 1;
                let took_s = took_ms / 1000;
                let expected_s = self.expected.get(step).copied().unwrap_or(0);
                if took_s >= expected_s * 2 && took_s >= expected_s + 15 {
                    self.slow.push(Slow {
                        step: step.to_string(),
                        took_s,
                        expected_s,
                        waited_for: self.waiting.remove(step),
                    });
                }
            }
            // what the worker's steps had done before is done once more
            Event::StepDeferred { anew, .. } => {
                self.steps_done = self.steps_done.saturating_sub(anew.len());
            }
            Event::RunStarted { .. }
            | Event::RunResumed { .. }
            | Event::StepStarted { .. }
            | Event::StepTakenBack { .. }
            | Event::StepDeferring { .. }
            | Event::StepFailed { .. }
            | Event::Halted { .. }
            | Event::Finished { .. } => {}
        }
    }

    /// A sitting is over.
    pub(in crate::cli) fn sat(&mut self, from: Timestamp, to: Timestamp) {
        let before: usize = self.sittings.iter().map(|sitting| sitting.steps_done).sum();
        self.took_s += to.duration_since(from).as_secs();
        self.sittings.push(Sitting {
            from,
            to,
            steps_done: self.steps_done - before,
        });
    }

    pub(in crate::cli) const fn sittings(&self) -> usize {
        self.sittings.len()
    }

    pub(in crate::cli) fn end(&mut self, outcome: &Outcome, sim: &Sim) {
        self.end = match outcome {
            Outcome::Finished { .. } => "finished".to_owned(),
            Outcome::Halted { why, failures, .. } => {
                self.failures = failures
                    .iter()
                    .map(|(step, why)| Failed {
                        step: step.to_string(),
                        why: why.clone(),
                    })
                    .collect();
                match why {
                    Halt::Failed { .. } => "halted: a step failed".to_owned(),
                    Halt::Interrupted => "halted on request".to_owned(),
                    Halt::Paused { .. } => "halted: asked to pause".to_owned(),
                    Halt::Abandoned { .. } => "abandoned".to_owned(),
                    Halt::Unapproved { .. } => "halted: an approval is missing".to_owned(),
                    Halt::WindowOver { .. } => "halted: no window is left for the rest".to_owned(),
                    Halt::Overtaken { by } => format!("halted: overtaken by {by}"),
                }
            }
            Outcome::Unrecorded(error) => format!("stopped: {error}"),
            Outcome::BadPlan(problem) => format!("cannot be carried out: {problem}"),
        };
        self.faults_left = sim.look(|world| {
            let left = world.pending_faults();
            left.iter().map(ToString::to_string).collect()
        });
        self.violations = sim.look(|world| world.violations().to_vec());
    }

    pub(in crate::cli) fn finished(&self) -> bool {
        self.end == "finished" && self.violations.is_empty()
    }

    pub(in crate::cli) fn json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self).map(|text| text + "\n")
    }

    /// For people: what it was, and what its sittings are called.
    pub(in crate::cli) fn text(&self, what: &str, sittings: &str) -> String {
        let expected = i64::try_from(self.expected_s).unwrap_or(i64::MAX);
        let mut text = format!(
            "{what} of `{}` for `{}`: {}\n{} of {} steps were done in {}; the plan expects {} for all of them\n",
            self.upgrade,
            self.inventory,
            self.end,
            self.steps_done,
            self.steps,
            duration(self.took_s),
            duration(expected),
        );
        if self.sittings.len() > 1 {
            text.push_str(&format!("it took {} {sittings}:\n", self.sittings.len()));
            for sitting in &self.sittings {
                text.push_str(&format!(
                    "  {} to {}: {} steps\n",
                    clock(sitting.from),
                    clock(sitting.to),
                    sitting.steps_done
                ));
            }
        }
        for Failed { step, why } in &self.failures {
            text.push_str(&format!("failed: {step}: {why}\n"));
        }
        if !self.slow.is_empty() {
            text.push_str("took much longer than the plan expects:\n");
        }
        for slow in self.slow.iter().take(SHOWN) {
            text.push_str(&format!(
                "  {}: {} instead of {} s",
                slow.step,
                duration(i64::try_from(slow.took_s).unwrap_or(i64::MAX)),
                slow.expected_s
            ));
            if let Some(on) = &slow.waited_for {
                text.push_str(&format!(", waiting for {on}"));
            }
            text.push('\n');
        }
        if self.slow.len() > SHOWN {
            text.push_str(&format!("  and {} more\n", self.slow.len() - SHOWN));
        }
        for fault in &self.faults_left {
            text.push_str(&format!("did not strike: {fault}\n"));
        }
        for violation in &self.violations {
            text.push_str(&format!("must never happen: {violation}\n"));
        }
        text
    }
}
