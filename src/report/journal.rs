//! A run's journal, line by line, and whether it can be trusted.
//!
//! Told from the journal alone; whether it belongs to its plan is the reader's to find out, and is given here.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use jiff::Timestamp;
use serde::Serialize;

use super::words::{clock, took};
use crate::run::event::{Event, Halt, How, Stamped};
use crate::run::state::{State, StepState};

/// The format of the JSON of [`Shown`] and [`Verified`].
pub const FORMAT: &str = "refit.journal-report/v1";

/// One record, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Record {
    /// Its line, from 1.
    pub line: usize,
    /// What happened, and when.
    #[serde(flatten)]
    pub stamped: Stamped,
}

/// All records that can be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// [`FORMAT`].
    pub format: &'static str,
    /// The run.
    pub run: String,
    /// In order, up to the first that cannot be trusted.
    pub records: Vec<Record>,
    /// Bytes of a last line that was never finished, on the strength of which nothing was done.
    pub torn_bytes: u64,
    /// Why nothing after these records is shown; none where all is.
    pub damage: Option<String>,
}

impl Shown {
    /// The records of a run.
    #[must_use]
    pub fn of(run: &str, events: &[Stamped], torn_bytes: u64, damage: Option<String>) -> Self {
        let record = |(index, stamped): (usize, &Stamped)| Record {
            line: index + 1,
            stamped: stamped.clone(),
        };
        Self {
            format: FORMAT,
            run: run.to_owned(),
            records: events.iter().enumerate().map(record).collect(),
            torn_bytes,
            damage,
        }
    }

    /// For people.
    #[must_use]
    pub fn render(&self) -> String {
        let bold = Style::new().bold();
        let steps = self
            .records
            .iter()
            .filter_map(|record| step(&record.stamped.event));
        let width = steps.map(|step| step.chars().count()).max().unwrap_or(0);
        let mut text = format!(
            "{bold}{:>5}  {:<20}  {:<12}  {:<width$}  WHAT{bold:#}\n",
            "LINE", "TIME", "EVENT", "STEP"
        );
        for Record { line, stamped } in &self.records {
            let row = format!(
                "{line:>5}  {:<20}  {:<12}  {:<width$}  {}",
                clock(stamped.at),
                stamped.event.name(),
                step(&stamped.event).unwrap_or_default(),
                one_line(&detail(&stamped.event)),
            );
            let _ = writeln!(text, "{}", row.trim_end());
        }
        text
    }
}

fn step(event: &Event) -> Option<&str> {
    match event {
        Event::StepStarted { step, .. }
        | Event::StepWaiting { step, .. }
        | Event::StepDone { step, .. }
        | Event::StepTakenBack { step }
        | Event::StepDeferring { step, .. }
        | Event::StepDeferred { step, .. }
        | Event::StepFailed { step, .. } => Some(step.as_str()),
        Event::RunStarted { .. }
        | Event::RunResumed { .. }
        | Event::Halted { .. }
        | Event::Finished { .. } => None,
    }
}

fn detail(event: &Event) -> String {
    match event {
        Event::RunStarted {
            plan_sha256,
            refit,
            pid,
            run: _,
        } => format!("by refit {refit}, process {pid}; plan {plan_sha256}"),
        Event::RunResumed { refit, pid } => format!("by refit {refit}, process {pid}"),
        Event::StepStarted { attempt: 1, .. } => String::new(),
        Event::StepStarted { attempt, .. } => format!("try {attempt}"),
        Event::StepWaiting { on, .. } => format!("for {on}"),
        Event::StepDone {
            how, note, took_ms, ..
        } => {
            let how = match how {
                How::Acted => "done",
                How::Already => "was done already",
                How::Recovered => "had been begun before, and is done",
            };
            let note = note.as_ref().map(|note| format!("; {note}"));
            format!("{how}, {}{}", took(*took_ms), note.unwrap_or_default())
        }
        Event::StepFailed { error, .. } | Event::StepDeferring { error, .. } => error.clone(),
        Event::StepTakenBack { .. } => {
            "taken back while the run rests; carried out again when it goes on".to_owned()
        }
        Event::StepDeferred { .. } => {
            "its node is schedulable again, and is tried once more at the end of the hop".to_owned()
        }
        Event::Halted { why, wall_ms, .. } => {
            let why = match why {
                Halt::Failed { .. } => "a step failed",
                Halt::Interrupted => "stopped on request",
                Halt::Paused { .. } => "asked to pause",
                Halt::Abandoned { .. } => "abandoned",
                Halt::Unapproved { .. } => "an approval is missing",
                Halt::WindowOver { .. } => "the window is over",
                Halt::Overtaken { .. } => "another refit has taken the cluster over",
            };
            format!("{why}, after {}", took(*wall_ms))
        }
        Event::Finished { wall_ms, .. } => format!("after {}", took(*wall_ms)),
    }
}

/// Nothing that a terminal would obey, and no second line.
fn one_line(text: &str) -> String {
    text.trim_end()
        .replace('\n', " | ")
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// What a journal adds up to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// [`FORMAT`].
    pub format: &'static str,
    /// The run.
    pub run: String,
    /// It can be gone on with: every finished record is as it was written, in its place, and follows the ones before it, and
    /// the plan is the one that the run began with.
    pub sound: bool,
    /// Records that can be trusted.
    pub records: usize,
    /// The first and the last of them.
    pub between: Option<(Timestamp, Timestamp)>,
    /// Bytes of a last line that was never finished: nothing was done on its strength, and `resume` removes it.
    pub torn_bytes: u64,
    /// What is wrong; none where it is sound.
    pub damage: Option<String>,
    /// Where the records leave the run.
    pub state: &'static str,
    /// Processes that carried it out, one after another.
    pub sittings: u32,
    /// Steps by where the records leave them.
    pub steps: Steps,
}

/// How many steps are where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Steps {
    /// Done.
    pub done: usize,
    /// Failed for good in the process that tried them.
    pub failed: usize,
    /// Started, without an outcome.
    pub open: usize,
    /// In the plan; none where that cannot be read.
    pub planned: Option<usize>,
}

impl Verified {
    /// What these records add up to.
    #[must_use]
    pub fn of(
        run: &str,
        events: &[Stamped],
        state: &State,
        torn_bytes: u64,
        planned: Option<usize>,
        damage: Option<String>,
    ) -> Self {
        let mut steps = Steps {
            planned,
            ..Steps::default()
        };
        for step in state.steps.values() {
            match step {
                StepState::Done { .. } => steps.done += 1,
                StepState::Failed { .. } => steps.failed += 1,
                StepState::Started { .. } => steps.open += 1,
            }
        }
        let times = events.first().zip(events.last());
        Self {
            format: FORMAT,
            run: run.to_owned(),
            sound: damage.is_none(),
            records: events.len(),
            between: times.map(|(first, last)| (first.at, last.at)),
            torn_bytes,
            damage,
            state: match (&state.run, &state.halted, state.finished) {
                (None, _, _) => "not begun",
                (Some(_), _, true) => "finished",
                (Some(_), Some(Halt::Abandoned { .. }), false) => "abandoned",
                (Some(_), Some(_), false) => "halted",
                (Some(_), None, false) => "under way or cut off",
            },
            sittings: state.sittings,
            steps,
        }
    }

    /// For people.
    #[must_use]
    pub fn render(&self) -> String {
        let (bold, red) = (Style::new().bold(), AnsiColor::Red.on_default());
        let mut text = format!("{bold}run {}{bold:#}\n", self.run);
        let mut row = |name: &str, what: &str| {
            let _ = writeln!(text, "  {name:<9} {what}");
        };
        let records = match &self.between {
            Some((first, last)) => format!("{}, from {first} to {last}", self.records),
            None => self.records.to_string(),
        };
        row("records", &records);
        match &self.damage {
            None => row(
                "chain",
                "whole: every record is as it was written, and in its place",
            ),
            Some(damage) => row("damage", &format!("{red}{damage}{red:#}")),
        }
        match self.torn_bytes {
            0 => row("end", "a whole line"),
            bytes => row(
                "end",
                &format!(
                    "{bytes} bytes of a line that was never finished; nothing was done on its strength, and `refit resume` removes it"
                ),
            ),
        }
        let sittings = match self.sittings {
            1 => "1 sitting".to_owned(),
            sittings => format!("{sittings} sittings"),
        };
        row("state", &format!("{}, in {sittings}", self.state));
        let Steps {
            done,
            failed,
            open,
            planned,
        } = self.steps;
        let of = planned.map_or_else(String::new, |planned| format!(" of {planned}"));
        let steps = format!("{done}{of} done, {failed} failed, {open} without an outcome");
        row("steps", &steps);
        text
    }
}
