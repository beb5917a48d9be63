//! A command of the user's own, on a host or on this machine.
//!
//! What it does nobody here knows, so nobody here guesses: only its exit status, its check and what the declaration says about
//! running it again count. On a host it is an operation like any other, in the host's one unit, so that its end is found
//! whoever asked for it; on this machine a process that is gone leaves nothing behind, and one that was under way then was cut
//! short. Cut short means that it began and left no outcome.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::drain;
use super::event::How;
use super::host_step::{self, LeftBehind, REACH_AGAIN, plain};
use super::look;
use super::state::StepState;
use super::step::{Finished, Trouble, Try};
use crate::cluster::model::{HostName, NodeName};
use crate::host::command::with_environment;
use crate::host::op::{Mutation, OpEnd, OpRef, OpState, Query};
use crate::host::unit;
use crate::plan::data::Rerun;
use crate::ports::Ended;

/// A check on a host that has not answered by then is asked again: the host may have gone down under it.
const CHECK_ANSWERS_S: u64 = 300;

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

/// On this machine.
pub(super) async fn here(
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

/// On a host.
pub(super) async fn on_host(
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
