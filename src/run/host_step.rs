//! One operation on a host: looked at before, run in the host's one unit, confirmed by the same look.
//!
//! What a process that is gone has begun is found by the operation's name: a running one is awaited, one that has ended is
//! judged, and only one that has left no outcome is done again, and that only when the host shows it undone.

use std::time::Duration;

use super::event::How;
use super::look;
use super::step::{Finished, Trouble, Try};
use crate::cluster::model::HostName;
use crate::host::op::{Mutation, OpEnd, OpRef, OpState, Standing};
use crate::host::{known, unit};
use crate::ports::Failure;

/// Between two attempts to reach a host again while an operation goes on there.
pub(super) const REACH_AGAIN: Duration = Duration::from_secs(2);

/// Lines of an operation's output that an error shows; the host keeps all of it.
const LINES_SHOWN: usize = 20;

/// Carries one operation out. `part` names it when a step has several.
pub(super) async fn run(
    attempt: &Try<'_, '_>,
    host: &HostName,
    part: Option<&str>,
    mutation: &Mutation,
) -> Result<Finished, Trouble> {
    run_if(attempt, host, part, mutation, async || Ok(())).await
}

/// As [`run`], where the operation is begun only if it is safe at that moment. One that has begun is awaited in any case.
pub(super) async fn run_if(
    attempt: &Try<'_, '_>,
    host: &HostName,
    part: Option<&str>,
    mutation: &Mutation,
    safe: impl AsyncFnOnce() -> Result<(), Trouble>,
) -> Result<Finished, Trouble> {
    if let Some(left) = left_behind(attempt, host, part).await? {
        match left.state {
            OpState::Running => {
                attempt.start()?;
                let end = await_end(attempt, host, &left.op, mutation, true).await?;
                return conclude(attempt, host, &left.op, mutation, end, How::Recovered).await;
            }
            OpState::Ended(end) if end.status == 0 => {
                match look::standing(attempt, host, mutation).await? {
                    Standing::Done | Standing::Untold => {
                        return Ok(finished(attempt.found_done()));
                    }
                    Standing::Mismatch(problem) => return Err(mismatch(host, &problem)),
                    // It was undone since: its name is used up, so it is done again under the next one.
                    Standing::Ready if left.own => attempt.next_number(),
                    Standing::Ready => {}
                }
            }
            OpState::Ended(end) if left.own => return Err(ended_badly(host, &left.op, &end)),
            OpState::Lost if left.own => attempt.next_number(),
            OpState::Ended(_) | OpState::Lost | OpState::Absent => {}
        }
    }
    let op = attempt.op(part, attempt.number());
    match look::standing(attempt, host, mutation).await? {
        Standing::Done => return Ok(finished(attempt.found_done())),
        Standing::Ready | Standing::Untold => {}
        Standing::Mismatch(problem) => return Err(mismatch(host, &problem)),
    }
    safe().await?;
    attempt.start()?;
    let end = await_end(attempt, host, &op, mutation, false).await?;
    conclude(attempt, host, &op, mutation, end, How::Acted).await
}

/// An operation of this step that an earlier try, or an earlier process, has begun.
pub(super) struct LeftBehind {
    pub(super) op: OpRef,
    pub(super) state: OpState,
    /// It has this try's own number: a process that is gone began it, and its end was not recorded.
    pub(super) own: bool,
}

/// The latest operation of this step that the host knows. A try may have joined the operation of one before it, so all
/// numbers are looked up until one is known.
pub(super) async fn left_behind(
    attempt: &Try<'_, '_>,
    host: &HostName,
    part: Option<&str>,
) -> Result<Option<LeftBehind>, Trouble> {
    let newest = attempt.number();
    let first_unused = if attempt.taken_up { newest + 1 } else { newest };
    for number in (1..first_unused).rev() {
        let op = attempt.op(part, number);
        match known(attempt, host, &op).await? {
            OpState::Absent => {}
            state @ (OpState::Running | OpState::Lost | OpState::Ended(_)) => {
                let own = number == newest;
                return Ok(Some(LeftBehind { op, state, own }));
            }
        }
    }
    Ok(None)
}

/// What the host knows of an operation.
async fn known(attempt: &Try<'_, '_>, host: &HostName, op: &OpRef) -> Result<OpState, Trouble> {
    attempt
        .within(attempt.cx.world.hosts.operation(host, op))
        .await
        .ok_or_else(|| attempt.timed_out())?
        .map_err(|failure| {
            Trouble::Failed(format!(
                "host {host}: whether `{}` was begun there, and how it ended, cannot be asked: {failure}. Nothing else is begun on \
                 it until that is known",
                op.op
            ))
        })
}

/// Starts the operation, or joins it when it is under way, and waits for its end. Once it is known to have `begun`, a host that
/// cannot be told is one that cannot be asked.
async fn await_end(
    attempt: &Try<'_, '_>,
    host: &HostName,
    op: &OpRef,
    mutation: &Mutation,
    begun: bool,
) -> Result<OpEnd, Trouble> {
    await_outcome(attempt, host, op, mutation, begun)
        .await?
        .ok_or_else(|| {
            Trouble::Failed(format!(
                "host {host}: `{}` was cut off and left no outcome, as when the host reboots",
                op.op
            ))
        })
}

/// As [`await_end`]; none where the operation was cut off and left no outcome.
pub(super) async fn await_outcome(
    attempt: &Try<'_, '_>,
    host: &HostName,
    op: &OpRef,
    mutation: &Mutation,
    mut begun: bool,
) -> Result<Option<OpEnd>, Trouble> {
    let hosts = attempt.cx.world.hosts;
    loop {
        let lease = attempt.cx.run.lease;
        let sent = hosts.mutate(host, op, mutation, lease.token(), attempt.left());
        let lost = match sent.await {
            Ok(end) => return Ok(Some(end)),
            Err(Failure::NotSent(why)) if begun => why,
            Err(Failure::NotSent(why)) => {
                return Err(Trouble::Failed(format!(
                    "host {host} could not be told; nothing was started: {why}"
                )));
            }
            // as a host does that knows of a higher token
            Err(Failure::Refused(_)) if lease.is_lost().await => return Err(Trouble::LetGo),
            Err(Failure::Refused(why)) => {
                return Err(Trouble::Failed(format!("host {host} refused: {why}")));
            }
            Err(Failure::NotFound(why)) => {
                return Err(Trouble::Hopeless(format!("host {host}: {why}")));
            }
            Err(Failure::MaybeDone(why)) => why,
        };
        // It may be going on: look until that is known or the time is over.
        loop {
            if attempt.left().is_zero() {
                return Err(Trouble::Failed(format!(
                    "host {host}: `{}` has not ended after {} s and may be going on there ({lost}); `refit resume` finds its \
                     end",
                    op.op, attempt.step.timeout_s
                )));
            }
            match attempt.within(hosts.operation(host, op)).await {
                Some(Ok(OpState::Running)) => {
                    begun = true;
                    break;
                }
                Some(Ok(OpState::Ended(end))) => return Ok(Some(end)),
                Some(Ok(OpState::Lost)) => return Ok(None),
                Some(Ok(OpState::Absent)) => {
                    return Err(Trouble::Failed(format!(
                        "host {host}: `{}` was not started: {lost}",
                        op.op
                    )));
                }
                Some(Err(failure)) => {
                    attempt.waiting(&format!("host {host} to answer again: {failure}"))?;
                    attempt.pause(REACH_AGAIN).await;
                }
                None => {}
            }
        }
        attempt.pause(REACH_AGAIN).await;
    }
}

/// Judges an end, and looks whether the host is as it should be.
async fn conclude(
    attempt: &Try<'_, '_>,
    host: &HostName,
    op: &OpRef,
    mutation: &Mutation,
    end: OpEnd,
    how: How,
) -> Result<Finished, Trouble> {
    if end.status != 0 {
        return Err(ended_badly(host, op, &end));
    }
    match look::standing(attempt, host, mutation).await? {
        Standing::Done | Standing::Untold => Ok(finished(how)),
        Standing::Ready => Err(Trouble::Failed(format!(
            "host {host}: the operation ended well, but what it should have done is not there"
        ))),
        Standing::Mismatch(problem) => Err(mismatch(host, &problem)),
    }
}

const fn finished(how: How) -> Finished {
    Finished { how, note: None }
}

fn mismatch(host: &HostName, problem: &str) -> Trouble {
    Trouble::Hopeless(format!("host {host} is not as the plan expects: {problem}"))
}

/// What a command said, without anything that a terminal would obey.
pub(super) fn plain(said: &str) -> String {
    said.chars()
        .map(|c| if c.is_control() && c != '\n' { ' ' } else { c })
        .collect()
}

pub(super) fn ended_badly(host: &HostName, op: &OpRef, end: &OpEnd) -> Trouble {
    let said = plain(&end.output);
    let lines: Vec<&str> = said.trim_end().lines().collect();
    let shown = &lines[lines.len().saturating_sub(LINES_SHOWN)..];
    let known = known::of_operation(&said).map_or_else(String::new, |known| format!("{known} "));
    Trouble::Failed(format!(
        "host {host}: {known}{} ended with status {} (all of what it said is there in {}):\n{}",
        if known.is_empty() {
            "the operation"
        } else {
            "The operation"
        },
        end.status,
        unit::log_file(op),
        shown.join("\n")
    ))
}
