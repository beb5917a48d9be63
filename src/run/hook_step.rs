//! A command of the user's own, on a host or on this machine.
//!
//! What it does nobody here knows, so nobody here guesses: only its exit status, its check and what the declaration says about
//! running it again count. On a host it is an operation like any other, in the host's one unit, so that its end is found
//! whoever asked for it; on this machine a process that is gone leaves nothing behind, and one that was under way then was cut
//! short. Cut short means that it began and left no outcome.

mod here;
mod on_host;

pub(super) use here::here;
pub(super) use on_host::on_host;

use std::collections::BTreeMap;

use super::drain;
use super::event::How;
use super::host_step::plain;
use super::state::StepState;
use super::step::{Finished, Trouble, Try};
use crate::cluster::model::NodeName;
use crate::host::op::OpEnd;
use crate::plan::data::Rerun;

/// Lines of what a command said that an error shows.
const LINES_SHOWN: usize = 20;

/// What is run, and on which conditions.
pub(super) struct Hook<'p> {
    pub(super) run: &'p [String],
    pub(super) check: Option<&'p [String]>,
    pub(super) env: &'p BTreeMap<String, String>,
    pub(super) reboots: bool,
    pub(super) rerun: Rerun,
    /// The node that has to be out of service still when it begins.
    pub(super) drained: Option<&'p NodeName>,
}

/// From this status on a shell tells of a signal (POSIX.1-2024, Shell Command Language, 2.8.2); the unit's runner tells by 255
/// of what ended without a status.
pub(super) const BY_SIGNAL: i32 = 128;

impl Hook<'_> {
    /// It ended in its midst on a host, and nobody knows how far it came, which counts where it must never be run again.
    const fn cut_off(&self, end: &OpEnd) -> bool {
        match self.rerun {
            Rerun::Never => end.status >= BY_SIGNAL,
            Rerun::Safe | Rerun::Check => false,
        }
    }

    /// Right before it begins.
    async fn still_drained(&self, attempt: &Try<'_, '_>) -> Result<(), Trouble> {
        match self.drained {
            Some(node) => drain::still_cordoned(attempt, node).await,
            None => Ok(()),
        }
    }
}

/// What a check says.
enum Verdict {
    /// Nothing is left to do.
    Done,
    /// Something is; how the check ended, or nothing where there is no check.
    Left(String),
    /// The check did not come to say it; how it ended.
    Untold(String),
}

impl Verdict {
    /// By its status. 126 and 127 are of a program that cannot be run, 125 of env(1), timeout(1) and their like, those from 128
    /// on of a signal, as shells tell it (POSIX.1-2024, Shell Command Language, 2.8.2, and the utilities `env` and `timeout`).
    fn of(words: &[String], status: Option<i32>, output: &str) -> Self {
        let how = ended(words, status, output);
        match status {
            Some(0) => Self::Done,
            None | Some(..0 | 125..) => Self::Untold(how),
            Some(1..125) => Self::Left(how),
        }
    }

    /// Whether nothing is left to do; else what the check said, which is nothing where there is none.
    fn told(self) -> Result<Option<String>, Trouble> {
        match self {
            Self::Done => Ok(None),
            Self::Left(how) => Ok(Some(how)),
            Self::Untold(how) => Err(Trouble::Failed(format!(
                "whether it is done cannot be told: {how}. Mend the check: it has to end with 0 when nothing is left to do, and \
                 with 1 to 124 when something is. Then `refit resume`"
            ))),
        }
    }
}

/// What may be done with a hook that was cut short and is not known to be done: none where it may be run again, else what
/// somebody says of it, or a halt until somebody does.
fn cut_short(
    attempt: &Try<'_, '_>,
    hook: &Hook<'_>,
    look: &str,
    left: &str,
) -> Result<Option<Finished>, Trouble> {
    match hook.rerun {
        // Its check was asked, and says that something is left to do.
        Rerun::Safe | Rerun::Check => return Ok(None),
        Rerun::Never => {}
    }
    let cx = attempt.cx;
    let step = &attempt.step.id;
    let began = match cx.step_state(step) {
        Some(StepState::Started { began: at, .. } | StepState::Failed { at, .. }) => Some(at),
        None | Some(StepState::Done { .. }) => None,
    };
    let people = cx.run.people;
    let not_read = match people.approval(step.as_str()) {
        // What was said before it began cannot be about how it ended.
        Ok(Some(given)) if began.is_none_or(|began| given.at >= began) => {
            let check = match left {
                "" => String::new(),
                left => format!("; its check said: {}", first_line(left)),
            };
            return Ok(Some(Finished {
                how: How::Recovered,
                note: Some(format!(
                    "it was cut short; {} said at {} that it is done{check}",
                    given.by, given.at
                )),
            }));
        }
        Ok(_) => String::new(),
        Err(error) => format!(" (what was said of it does not count: {error})"),
    };
    attempt.waiting("somebody to look whether it is done: it was cut short")?;
    Err(Trouble::CutShort(format!(
        "it was cut short: it began, and nobody knows how it ended; its declaration says `rerun: never`. Look {look}. {}",
        once_done(attempt, &not_read)
    )))
}

/// How somebody says that a hook is done that must never be run again.
fn once_done(attempt: &Try<'_, '_>, not_read: &str) -> String {
    let (run, step) = (attempt.cx.run.id, &attempt.step.id);
    let refit = attempt.cx.run.people.refit();
    format!(
        "Once it is done, by itself or by your hand, `{refit} approve {run} {step} --by NAME` says so{not_read}; then \
         `{refit} resume {run}`"
    )
}

fn finished(how: How) -> Finished {
    Finished { how, note: None }
}

fn not_done(hook: &Hook<'_>, how: &str) -> Trouble {
    Trouble::Failed(format!(
        "`{}` has ended, and its check does not say that it is done: {how}",
        hook.run.join(" ")
    ))
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// How a command ended, and the last lines of what it said, without anything that a terminal would obey.
fn ended(words: &[String], status: Option<i32>, output: &str) -> String {
    let name = words.join(" ");
    let how = match status {
        Some(status) => format!("`{name}` ended with status {status}"),
        None => format!("`{name}` was killed: by a signal, or because its time was over"),
    };
    let plain = plain(output);
    let lines: Vec<&str> = plain.trim_end().lines().collect();
    match &lines[lines.len().saturating_sub(LINES_SHOWN)..] {
        [] => format!("{how} and said nothing"),
        [one] => format!("{how}: {one}"),
        shown => format!("{how}:\n{}", shown.join("\n")),
    }
}
