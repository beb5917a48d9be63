//! A hook on this machine: never beside itself, and cut short where its process is gone without an outcome.

use std::path::Path;

use super::{Hook, Verdict, cut_short, ended, finished, not_done, once_done};
use crate::host::command::with_environment;
use crate::plan::data::Rerun;
use crate::ports::Ended;
use crate::run::event::How;
use crate::run::host_step::REACH_AGAIN;
use crate::run::step::{Finished, Trouble, Try};

/// On this machine.
pub(in crate::run) async fn here(
    attempt: &Try<'_, '_>,
    directory: &str,
    hook: &Hook<'_>,
) -> Result<Finished, Trouble> {
    older_has_ended(attempt, hook)
        .await
        .map_err(|trouble| still_cut_short(attempt, hook, trouble))?;
    let asked = check_here(attempt, directory, hook).await;
    let Some(left) = asked
        .and_then(Verdict::told)
        .map_err(|trouble| still_cut_short(attempt, hook, trouble))?
    else {
        return Ok(finished(attempt.found_done()));
    };
    if attempt.taken_up {
        let look = format!(
            "on this machine how far `{}` came; it does not run any more",
            hook.run.join(" ")
        );
        if let Some(said_done) = cut_short(attempt, hook, &look, &left)? {
            return Ok(said_done);
        }
    }
    hook.still_drained(attempt).await?;
    attempt.start()?;
    let end = program(
        attempt,
        directory,
        hook.run,
        hook,
        Some(attempt.step.id.as_str()),
    )
    .await?;
    if end.status != Some(0) {
        let why = format!(
            "on this machine, {}",
            ended(hook.run, end.status, &end.output)
        );
        return Err(match (end.status, hook.rerun) {
            // Killed in its midst, be it by refit when its time was over: nobody knows how far it came.
            (None, Rerun::Never) => Trouble::CutShort(format!(
                "{why}. Its declaration says `rerun: never`. Look how far it came. {}",
                once_done(attempt, "")
            )),
            (None, Rerun::Safe | Rerun::Check) | (Some(_), _) => Trouble::Failed(why),
        });
    }
    if hook.check.is_none() {
        return Ok(finished(How::Acted));
    }
    match check_here(attempt, directory, hook).await?.told()? {
        None => Ok(finished(How::Acted)),
        Some(how) => Err(not_done(hook, &how)),
    }
}

/// A refit that was killed leaves the hook running that it has started here. It is neither asked about nor started beside itself
/// before it has ended, which takes of the earlier try's time and not of this one's.
async fn older_has_ended(attempt: &Try<'_, '_>, hook: &Hook<'_>) -> Result<(), Trouble> {
    let name = hook.run.join(" ");
    let mut waited = false;
    loop {
        let goes_on = attempt.cx.run.programs.goes_on(attempt.step.id.as_str());
        let held = goes_on.map_err(|error| {
            Trouble::Failed(format!(
                "whether `{name}` still runs on this machine cannot be told: {error}"
            ))
        })?;
        let Some(held) = held else {
            if waited {
                attempt.all_time_anew();
            }
            return Ok(());
        };
        if attempt.left().is_zero() {
            return Err(Trouble::Failed(format!(
                "`{name}` goes on still on this machine; an earlier refit started it, and nothing was started now. \
                 `fuser -v {}` tells its processes. Once it has ended, by itself or by your hand, `refit resume`",
                held.display()
            )));
        }
        attempt.waiting(&format!(
            "the end of `{name}` on this machine, which an earlier refit started"
        ))?;
        waited = true;
        attempt.idle(REACH_AGAIN).await?;
    }
}

/// A check that does not answer changes nothing about a hook that was cut short: were that recorded as a failure, nobody would
/// know any more that it was.
fn still_cut_short(attempt: &Try<'_, '_>, hook: &Hook<'_>, trouble: Trouble) -> Trouble {
    match (hook.rerun, trouble) {
        (Rerun::Never, Trouble::Failed(why) | Trouble::Hopeless(why)) if attempt.taken_up => {
            Trouble::CutShort(format!("it was cut short, and {why}"))
        }
        (Rerun::Never | Rerun::Safe | Rerun::Check, trouble) => trouble,
    }
}

/// What the check says, if there is one; else something is left to do.
async fn check_here(
    attempt: &Try<'_, '_>,
    directory: &str,
    hook: &Hook<'_>,
) -> Result<Verdict, Trouble> {
    let Some(words) = hook.check else {
        return Ok(Verdict::Left(String::new()));
    };
    let end = program(attempt, directory, words, hook, None).await?;
    Ok(Verdict::of(words, end.status, &end.output))
}

/// One program on this machine, to its end; never beside itself where it has a name.
async fn program(
    attempt: &Try<'_, '_>,
    directory: &str,
    words: &[String],
    hook: &Hook<'_>,
    alone: Option<&str>,
) -> Result<Ended, Trouble> {
    let all = with_environment(words, hook.env);
    let (programs, folder, left) = (
        attempt.cx.run.programs,
        Path::new(directory),
        attempt.left(),
    );
    let ended = match alone {
        Some(name) => programs.run_alone(name, folder, &all, left).await,
        None => programs.run(folder, &all, left).await,
    };
    ended.map_err(|error| {
        Trouble::Hopeless(format!(
            "`{}` cannot be run in {directory}: {error}. Mend it, then `refit resume`",
            words.join(" ")
        ))
    })
}
