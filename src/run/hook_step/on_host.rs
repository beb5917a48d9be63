//! A hook on a host: an operation in its one unit, which may reboot it.

use std::time::Duration;

use super::{Hook, Verdict, cut_short, finished, first_line, not_done, once_done};
use crate::cluster::model::HostName;
use crate::host::op::{Mutation, OpEnd, OpRef, OpState, Query};
use crate::host::unit;
use crate::plan::data::Rerun;
use crate::run::event::How;
use crate::run::host_step::{self, LeftBehind, REACH_AGAIN};
use crate::run::look;
use crate::run::step::{Finished, Trouble, Try};

/// A check on a host that has not answered by then is asked again: the host may have gone down under it.
const CHECK_ANSWERS_S: u64 = 300;

/// On a host.
pub(in crate::run) async fn on_host(
    attempt: &Try<'_, '_>,
    host: &HostName,
    hook: &Hook<'_>,
) -> Result<Finished, Trouble> {
    let mutation = Mutation::Hook {
        argv: hook.run.to_vec(),
        env: hook.env.clone(),
    };
    if let Some(left) = left_behind(attempt, host, hook).await? {
        let LeftBehind { op, state, own } = left;
        match state {
            OpState::Running => {
                attempt.start()?;
                let end = host_step::await_outcome(attempt, host, &op, &mutation, true).await?;
                return match end {
                    Some(end) if end.status == 0 => {
                        confirmed(attempt, host, hook, How::Recovered).await
                    }
                    Some(end) => ended_badly(attempt, host, hook, &op, &end).await,
                    None => lost(attempt, host, hook, How::Recovered).await,
                };
            }
            // After an earlier try's good end its check may have said no: it is asked below.
            OpState::Ended(end) if end.status == 0 && (own || hook.check.is_none()) => {
                return confirmed(attempt, host, hook, attempt.found_done()).await;
            }
            OpState::Ended(end) if hook.cut_off(&end) => {
                if let Some(done) = cut_off(attempt, host, hook, &op).await? {
                    return Ok(done);
                }
            }
            OpState::Ended(end) if own => {
                return ended_badly(attempt, host, hook, &op, &end).await;
            }
            // Whoever resumes has seen that it failed.
            OpState::Ended(_) | OpState::Absent => {}
            OpState::Lost => {
                if let Some(done) = cut_off(attempt, host, hook, &op).await? {
                    return Ok(done);
                }
                if own {
                    attempt.next_number();
                }
            }
        }
    }
    if ask(attempt, host, hook).await?.told()?.is_none() {
        return Ok(finished(attempt.found_done()));
    }
    let before = boot(attempt, host).await.map_err(|trouble| match trouble {
        Trouble::Failed(why) => Trouble::Failed(format!(
            "host {host} cannot be asked; nothing was started: {why}"
        )),
        other @ (Trouble::Hopeless(_)
        | Trouble::Stuck(_)
        | Trouble::Deferred
        | Trouble::CutShort(_)
        | Trouble::LetGo
        | Trouble::Unrecorded) => other,
    })?;
    hook.still_drained(attempt).await?;
    attempt.start()?;
    let op = attempt.op(None, attempt.number());
    let end = host_step::await_outcome(attempt, host, &op, &mutation, false).await?;
    let Some(end) = end else {
        return lost(attempt, host, hook, How::Acted).await;
    };
    let now = once_answered(attempt, host, async || boot(attempt, host).await).await?;
    let rebooted = now != before;
    match (rebooted, hook.reboots) {
        (_, false) if hook.cut_off(&end) => Err(badly(attempt, host, hook, &op, &end)),
        (true, false) => Err(Trouble::Failed(format!(
            "host {host} rebooted meanwhile, and the hook is not declared with `reboots: true`; it ended with status {}. \
             Look whether the host is well, then `refit resume`",
            end.status
        ))),
        // What the shutdown did to it says nothing; its check does.
        (true, true) => confirmed(attempt, host, hook, How::Acted).await,
        (false, _) if end.status != 0 => Err(badly(attempt, host, hook, &op, &end)),
        (false, _) => confirmed(attempt, host, hook, How::Acted).await,
    }
}

/// What an earlier try left on the host. One that may reboot its host may be about it still.
async fn left_behind(
    attempt: &Try<'_, '_>,
    host: &HostName,
    hook: &Hook<'_>,
) -> Result<Option<LeftBehind>, Trouble> {
    match hook.reboots {
        true => {
            let left = async || host_step::left_behind(attempt, host, None).await;
            once_answered(attempt, host, left).await
        }
        false => host_step::left_behind(attempt, host, None).await,
    }
}

/// It was cut off on its host while nobody looked: done all the same, or what may be done now.
async fn cut_off(
    attempt: &Try<'_, '_>,
    host: &HostName,
    hook: &Hook<'_>,
    op: &OpRef,
) -> Result<Option<Finished>, Trouble> {
    let Some(left) = settled(attempt, host, hook).await?.told()? else {
        return Ok(Some(finished(How::Recovered)));
    };
    let look = format!(
        "on host {host} how far it came; what it said is in {}",
        unit::log_file(op)
    );
    cut_short(attempt, hook, &look, &left)
}

/// It was cut off on its host in front of our eyes.
async fn lost(
    attempt: &Try<'_, '_>,
    host: &HostName,
    hook: &Hook<'_>,
    how: How,
) -> Result<Finished, Trouble> {
    if hook.reboots {
        return confirmed(attempt, host, hook, how).await;
    }
    let next = match hook.rerun {
        Rerun::Never => format!(
            "and how far the hook came: its declaration says `rerun: never`. {}",
            once_done(attempt, "")
        ),
        Rerun::Safe | Rerun::Check => format!(
            "then `refit resume`, which goes by `rerun: {}`",
            hook.rerun.as_str()
        ),
    };
    Err(Trouble::CutShort(format!(
        "host {host}: the hook was cut off and left no outcome, as when the host reboots, and it is not declared with \
         `reboots: true`. Look whether the host is well, {next}"
    )))
}

/// It ended otherwise than with 0 while nobody looked: where it may reboot its host, the shutdown may have ended it.
async fn ended_badly(
    attempt: &Try<'_, '_>,
    host: &HostName,
    hook: &Hook<'_>,
    op: &OpRef,
    end: &OpEnd,
) -> Result<Finished, Trouble> {
    if hook.reboots
        && let Verdict::Done = settled(attempt, host, hook).await?
    {
        return Ok(finished(How::Recovered));
    }
    Err(badly(attempt, host, hook, op, end))
}

/// It ended otherwise than with 0: it has failed, or was cut short.
fn badly(
    attempt: &Try<'_, '_>,
    host: &HostName,
    hook: &Hook<'_>,
    op: &OpRef,
    end: &OpEnd,
) -> Trouble {
    match host_step::ended_badly(host, op, end) {
        Trouble::Failed(why) if hook.cut_off(end) => Trouble::CutShort(format!(
            "{why}\nA status from 128 on tells of a signal, as when the host shuts down; its declaration says `rerun: never`. \
             Look how far it came. {}",
            once_done(attempt, "")
        )),
        other => other,
    }
}

/// Asks the check after the hook: it must say that nothing is left to do, after a reboot in the end.
async fn confirmed(
    attempt: &Try<'_, '_>,
    host: &HostName,
    hook: &Hook<'_>,
    how: How,
) -> Result<Finished, Trouble> {
    if hook.check.is_none() {
        return Ok(finished(how));
    }
    match polled(attempt, host, hook, Duration::ZERO).await?.told()? {
        None => Ok(finished(how)),
        Some(why) => Err(not_done(hook, &why)),
    }
}

/// What the check says of a hook that nobody has seen end: its host may still be on its way up. The second half of the time is
/// for running it again.
async fn settled(
    attempt: &Try<'_, '_>,
    host: &HostName,
    hook: &Hook<'_>,
) -> Result<Verdict, Trouble> {
    polled(attempt, host, hook, attempt.left() / 2).await
}

/// The check's verdict once the host answers; where it may reboot, asked until it is the good one, or so much time is left.
async fn polled(
    attempt: &Try<'_, '_>,
    host: &HostName,
    hook: &Hook<'_>,
    until_left: Duration,
) -> Result<Verdict, Trouble> {
    loop {
        match reached(attempt, host, hook).await? {
            Verdict::Left(why) | Verdict::Untold(why)
                if hook.reboots && attempt.left() > until_left =>
            {
                attempt.waiting(&format!("its check to end with 0: {}", first_line(&why)))?;
                attempt.pause(REACH_AGAIN).await;
            }
            verdict => return Ok(verdict),
        }
    }
}

/// The check's verdict, once the host answers.
async fn reached(
    attempt: &Try<'_, '_>,
    host: &HostName,
    hook: &Hook<'_>,
) -> Result<Verdict, Trouble> {
    once_answered(attempt, host, async || ask(attempt, host, hook).await).await
}

/// What a host is asked, once it answers; for as long as there is time.
async fn once_answered<T>(
    attempt: &Try<'_, '_>,
    host: &HostName,
    ask: impl AsyncFn() -> Result<T, Trouble>,
) -> Result<T, Trouble> {
    loop {
        match ask().await {
            Err(Trouble::Failed(why)) if !attempt.left().is_zero() => {
                attempt.waiting(&format!("host {host} to answer again: {why}"))?;
                attempt.pause(REACH_AGAIN).await;
            }
            other => return other,
        }
    }
}

/// What the check says, if there is one; else something is left to do.
async fn ask(attempt: &Try<'_, '_>, host: &HostName, hook: &Hook<'_>) -> Result<Verdict, Trouble> {
    let Some(words) = hook.check else {
        return Ok(Verdict::Left(String::new()));
    };
    let query = Query::HookCheck {
        argv: words.to_vec(),
        env: hook.env.clone(),
        within_s: attempt.left().as_secs().clamp(1, CHECK_ANSWERS_S),
    };
    let asked = look::hook_check(attempt.cx.world, host, &query);
    match attempt.within(asked).await {
        None => Err(attempt.timed_out()),
        Some(Ok((status, output))) => Ok(Verdict::of(words, Some(status), &output)),
        Some(Err(problem)) => Err(Trouble::Failed(format!(
            "whether it is done on host {host} cannot be asked: {problem}"
        ))),
    }
}

/// The host's boot.
async fn boot(attempt: &Try<'_, '_>, host: &HostName) -> Result<String, Trouble> {
    match attempt.within(look::boot(attempt.cx.world, host)).await {
        None => Err(attempt.timed_out()),
        Some(boot) => boot.map_err(|problem| Trouble::Failed(problem.to_string())),
    }
}
