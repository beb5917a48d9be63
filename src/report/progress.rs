//! A run as it happens: one line an event, for people or for programs.
//!
//! Says what the journal says, a moment later; decides nothing.

use std::collections::BTreeMap;

use anstyle::{AnsiColor, Style};

use super::words::{next_window, took};
use crate::plan::data::{Plan, StepId};
use crate::run::event::{Event, Halt, How, Stamped};
use crate::run::extent::progress;
use crate::run::state::State;

/// `gate/sign-off@1.35.4 is`, `2 steps are`.
fn waiting(steps: &[StepId]) -> String {
    match steps {
        [one] => format!("{one} is"),
        _ => format!("{} steps are", steps.len()),
    }
}

/// Writes the lines of a run.
#[derive(Debug)]
pub struct Progress {
    total: usize,
    done: usize,
    expected: BTreeMap<StepId, u64>,
    /// The run so far, other processes' part included.
    state: State,
    format: Format,
}

/// Who reads the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// People.
    Text,
    /// Programs: the event as JSON.
    Json,
}

impl Progress {
    /// For a plan whose run is in `state`.
    #[must_use]
    pub fn new(plan: &Plan, state: State, format: Format) -> Self {
        Self {
            total: plan.steps.len(),
            done: progress(&state, plan).all.done,
            state,
            expected: plan
                .steps
                .iter()
                .map(|step| (step.id.clone(), step.expected_s))
                .collect(),
            format,
        }
    }

    /// The event's line, with its line break.
    pub fn line(&mut self, stamped: &Stamped) -> String {
        // what comes from an executor makes sense, and a line that cannot follow is better shown than hidden
        let _ = self.state.apply(stamped);
        match self.format {
            Format::Text => self.text(stamped),
            // an event is made of strings and numbers only
            Format::Json => serde_json::to_string(stamped).unwrap_or_default() + "\n",
        }
    }

    fn text(&mut self, stamped: &Stamped) -> String {
        let green = AnsiColor::Green.on_default();
        let red = AnsiColor::Red.on_default().bold();
        let yellow = AnsiColor::Yellow.on_default();
        let dim = Style::new().dimmed();
        let words = match &stamped.event {
            Event::RunStarted { run, refit, .. } => {
                format!("run {run} begins, {} steps (refit {refit})", self.total)
            }
            Event::RunResumed { refit, .. } => {
                let left = self.total - self.done;
                format!(
                    "the run goes on, {left} of {} steps left (refit {refit})",
                    self.total
                )
            }
            Event::StepStarted { step, attempt } => {
                let mut words = format!("start {step}");
                if *attempt > 1 {
                    words.push_str(&format!(" (try {attempt})"));
                }
                if let Some(expected) = self.expected.get(step).filter(|seconds| **seconds >= 5) {
                    words.push_str(&format!("{dim}, about {}{dim:#}", took(expected * 1000)));
                }
                words
            }
            Event::StepWaiting { step, on } => format!("{yellow}wait{yellow:#}  {step}: {on}"),
            Event::StepDone {
                step,
                how,
                note,
                took_ms,
            } => {
                self.done += 1;
                let how = match how {
                    How::Acted => took(*took_ms),
                    How::Already => "was so already".to_owned(),
                    How::Recovered => "had been done; its end was found".to_owned(),
                };
                let mut words = format!("{green}done{green:#}  {step}, {how}");
                if let Some(note) = note {
                    words.push_str(&format!("; {note}"));
                }
                words
            }
            Event::StepDeferring { step, error, .. } => {
                format!("{yellow}put off{yellow:#} {step}: {error}")
            }
            Event::StepDeferred { step, anew } => {
                self.done = self.done.saturating_sub(anew.len());
                format!(
                    "{yellow}put off{yellow:#} {step}: its node is schedulable again, and is tried once more at the end of the hop"
                )
            }
            Event::StepTakenBack { step } => {
                self.done = self.done.saturating_sub(1);
                format!(
                    "{yellow}back{yellow:#}  {step}: taken back while the run rests; carried out again when it goes on"
                )
            }
            Event::StepFailed { step, error } => format!("{red}FAIL{red:#}  {step}: {error}"),
            Event::Halted { why, .. } => match why {
                Halt::Failed { .. } => format!("{red}halted{red:#}: a step failed"),
                Halt::Interrupted => format!("{yellow}stopped{yellow:#} on request"),
                Halt::Paused { by } => {
                    format!("{yellow}paused{yellow:#}: {by} asked for it; no node is half done")
                }
                Halt::Abandoned { by, .. } => {
                    format!("{yellow}abandoned{yellow:#}: {by} has ended the run for good")
                }
                Halt::Unapproved { steps } => format!(
                    "{yellow}stopped{yellow:#}: {} not approved yet",
                    waiting(steps)
                ),
                Halt::Overtaken { by } => {
                    format!("{red}halted{red:#}: another refit has taken the cluster over: {by}")
                }
                Halt::WindowOver { opens } => format!(
                    "{yellow}stopped{yellow:#}: what is left of the window is too short for the next step; {}",
                    next_window(*opens)
                ),
            },
            Event::Finished { wall_ms, own_ms } => {
                let mut words = format!(
                    "{green}finished{green:#} in {}, of which {} were refit's own",
                    took(*wall_ms),
                    took(*own_ms)
                );
                if self.state.sittings > 1 {
                    words.push_str(&format!(
                        "; {} since the run began, {} of it at work, in {} sittings",
                        took(self.state.elapsed_ms()),
                        took(self.state.worked_ms),
                        self.state.sittings
                    ));
                }
                words
            }
        };
        format!(
            "{dim}{}{dim:#} [{:>width$}/{}] {words}\n",
            stamped.at.strftime("%H:%M:%SZ"),
            self.done,
            self.total,
            width = self.total.to_string().len(),
        )
    }
}
