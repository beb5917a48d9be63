//! A command on this machine that must end with 0, perhaps for a while without a break.

use std::path::Path;

use super::hold::{self, Look};
use super::step::{Finished, Trouble, Try};
use crate::ports::Ended;

/// Lines of its output that an error shows.
const LINES_SHOWN: usize = 20;

/// Runs the command until it has ended with 0 for so long.
pub(super) async fn run(
    attempt: &Try<'_, '_>,
    words: &[String],
    directory: &str,
    for_s: u64,
) -> Result<Finished, Trouble> {
    let name = words.join(" ");
    let mut before: Option<String> = None;
    hold::until(attempt, for_s, async || {
        let ended = once(attempt, words, directory).await?;
        if ended.status == Some(0) {
            return Ok(Look::Holds {
                going_on: format!("`{name}` to go on ending with 0"),
                note: None,
            });
        }
        let whole = if ended.status.is_none() && attempt.left().is_zero() {
            cut(&name, &ended, before.as_deref())
        } else {
            failure(&name, &ended)
        };
        before = Some(whole.clone());
        let first = whole.lines().next().unwrap_or_default();
        let waiting = format!("another end than this: {first}");
        Ok(Look::Not { waiting, whole })
    })
    .await
}

/// One run of the command, given up when the run is to stop.
async fn once(attempt: &Try<'_, '_>, words: &[String], directory: &str) -> Result<Ended, Trouble> {
    let programs = attempt.cx.run.programs;
    let running = programs.run(Path::new(directory), words, attempt.left());
    attempt.unless_stopping(running).await?.map_err(|error| {
        Trouble::Hopeless(format!(
            "`{}` cannot be run in {directory}: {error}. Nothing that waits for it was begun; mend it, then `refit resume`",
            words.join(" ")
        ))
    })
}

/// How it ended, and the last lines of what it said.
fn failure(name: &str, ended: &Ended) -> String {
    said(
        match ended.status {
            Some(status) => format!("`{name}` ended with status {status}"),
            None => format!("`{name}` was killed by a signal"),
        },
        ended,
    )
}

/// That the last run had not ended when the time was over, what it had said by then, and how the one before it ended: that
/// is what tells most, as the last one may have had hardly any time.
fn cut(name: &str, ended: &Ended, before: Option<&str>) -> String {
    let how = format!("`{name}` had not ended then and was killed");
    let last = said(how, ended);
    match before {
        Some(before) => format!("{last}\nThe time before: {before}"),
        None => last,
    }
}

/// What came about, and the last lines of what was said, without anything that a terminal would obey.
fn said(how: String, ended: &Ended) -> String {
    let plain: String = ended
        .output
        .chars()
        .map(|c| if c.is_control() && c != '\n' { ' ' } else { c })
        .collect();
    let lines: Vec<&str> = plain.trim_end().lines().collect();
    match &lines[lines.len().saturating_sub(LINES_SHOWN)..] {
        [] => format!("{how} and said nothing"),
        [one] => format!("{how}: {one}"),
        shown => format!("{how}:\n{}", shown.join("\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_said_is_told_from_its_end_and_does_nothing_to_a_terminal() {
        let told = |status, output: &str| {
            let output = output.to_owned();
            failure("./smoke.sh", &Ended { status, output })
        };
        assert_eq!(
            told(Some(1), ""),
            "`./smoke.sh` ended with status 1 and said nothing"
        );
        assert_eq!(
            told(Some(1), "no \u{1b}[31mpods\n"),
            "`./smoke.sh` ended with status 1: no  [31mpods"
        );
        assert!(told(None, "").contains("killed by a signal"));
        let many: String = (1..=30).map(|line| format!("{line}\n")).collect();
        let told = told(Some(2), &many);
        assert!(told.contains("\n11\n") && told.ends_with("\n30") && !told.contains("\n10\n"));
    }

    #[test]
    fn one_that_was_cut_does_not_hide_how_the_one_before_ended() {
        let ended = Ended {
            status: None,
            output: "looking".to_owned(),
        };
        assert_eq!(
            cut(
                "./smoke.sh",
                &ended,
                Some("`./smoke.sh` ended with status 1: no pods")
            ),
            "`./smoke.sh` had not ended then and was killed: looking\n\
             The time before: `./smoke.sh` ended with status 1: no pods"
        );
        assert!(!cut("./smoke.sh", &ended, None).contains("before"));
    }
}
