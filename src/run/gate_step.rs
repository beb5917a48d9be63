//! Conditions that the declaration sets before the run goes on.

use std::time::Duration;

use jiff::Timestamp;

use super::event::How;
use super::step::{Finished, Trouble, Try};
use super::{command_step, metrics_step};
use crate::plan::data::{Condition, Gate};
use crate::ports::Approval;

/// Between two looks for an approval.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// So far an approval may be ahead of the clock: the clock was set back by a little meanwhile.
const AHEAD_S: i64 = 300;

/// Waits until the gate's condition holds.
pub(super) async fn run(attempt: &Try<'_, '_>, gate: &Gate) -> Result<Finished, Trouble> {
    match &gate.condition {
        Condition::Approval { by, expires_s } => approval(attempt, by, *expires_s).await,
        Condition::Command {
            run,
            directory,
            for_s,
            timeout_s: _,
        } => command_step::run(attempt, run, directory, *for_s).await,
        Condition::Prometheus {
            server,
            query,
            expect,
            no_data,
            for_s,
            timeout_s: _,
        } => {
            let asked = metrics_step::Asked {
                server,
                query,
                expect: *expect,
                no_data: *no_data,
            };
            metrics_step::run(attempt, &asked, *for_s).await
        }
    }
}

/// Waits for somebody's word as long as somebody is here; else lets the step go, and the run with it.
async fn approval(
    attempt: &Try<'_, '_>,
    by: &[String],
    expires_s: u64,
) -> Result<Finished, Trouble> {
    let cx = attempt.cx;
    let step = &attempt.step.id;
    let people = cx.run.people;
    let command = format!(
        "`{} approve {} {step} --by NAME`, NAME being one of {}",
        people.refit(),
        cx.run.id,
        by.join(", ")
    );
    attempt.start()?;
    loop {
        let why_not = match people.approval(step.as_str()) {
            Ok(None) => None,
            Ok(Some(given)) => match counts(&given, by, expires_s, cx.world.clock.now()) {
                Ok(()) => {
                    return Ok(Finished {
                        how: How::Acted,
                        note: Some(format!("approved by {} at {}", given.by, given.at)),
                    });
                }
                Err(why) => Some(why),
            },
            Err(error) => Some(format!("the approval does not count: {error}")),
        };
        attempt.waiting(&match why_not {
            None => format!("an approval: {command}"),
            Some(why) => format!("an approval ({why}): {command}"),
        })?;
        if cx.resting() {
            return Err(Trouble::LetGo);
        }
        if !people.present() {
            cx.unapproved(step);
            return Err(Trouble::LetGo);
        }
        if attempt.left().is_zero() {
            return Err(attempt.timed_out());
        }
        attempt.pause(LOOK_AGAIN).await;
    }
}

/// Whether an approval counts now.
fn counts(given: &Approval, by: &[String], expires_s: u64, now: Timestamp) -> Result<(), String> {
    let Approval { by: who, at } = given;
    if !by.contains(who) {
        return Err(format!("that of {who} does not count"));
    }
    let age = now.duration_since(*at).as_secs();
    if age < -AHEAD_S {
        return Err(format!("that of {who} is of {at}, which is yet to come"));
    }
    if age > i64::try_from(expires_s).unwrap_or(i64::MAX) {
        return Err(format!("that of {who} of {at} has expired"));
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_approval_counts_from_when_it_was_given_until_it_expires() {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let by = ["alice".to_owned(), "bob".to_owned()];
        let told = |who: &str, given: i64, now: i64| {
            let given = Approval {
                by: who.to_owned(),
                at: at(given),
            };
            counts(&given, &by, 100, at(now))
                .map_err(|why| why.split(' ').next_back().unwrap().to_owned())
        };
        assert_eq!(told("alice", 1000, 1000), Ok(()));
        assert_eq!(told("bob", 1000, 1100), Ok(()));
        assert_eq!(told("bob", 1000, 1101), Err("expired".to_owned()));
        assert_eq!(told("carol", 1000, 1000), Err("count".to_owned()));
        assert_eq!(told("alice", 1010, 1000), Ok(()));
        assert_eq!(told("alice", 2000, 1000), Err("come".to_owned()));
    }
}
