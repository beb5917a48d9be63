//! A run in this process: progress, Ctrl-C, and its end in words.

use std::path::Path;

use clap::ValueEnum;
use futures::future::{Either, select};
use jiff::Timestamp;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

use super::connect::Connection;
use super::runs::Approvals;
use super::{CommandError, Exit, ui};
use crate::adapters::disk::{self, AppendFile, LocalStore};
use crate::adapters::program::LocalPrograms;
use crate::adapters::prometheus::Prometheus;
use crate::documents::settings::{Condition, Window};
use crate::plan::data::{Action, Plan, StepId};
use crate::plan::windows::{Calendar, Now};
use crate::ports::People as _;
use crate::report::progress::{Format, Progress};
use crate::report::status::{Around, status};
use crate::report::words::{any_of, next_window};
use crate::run::event::{Halt, Stamped};
use crate::run::executor::{Outcome, Run, execute};
use crate::run::journal::{Journal, Past};
use crate::run::lease::Lease;

/// So many of the pods that hold a node up are named with it.
const PODS_NAMED: usize = 3;

/// Who reads the progress.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Output {
    /// Lines for people, on stderr
    Text,
    /// The run's events as JSON, a line each, on stdout
    Json,
}

/// What is carried out.
pub struct Job<'a> {
    /// The run's id.
    pub id: &'a str,
    /// How a command begins that finds the run again.
    pub refit: &'a str,
    /// Its plan.
    pub plan: &'a Plan,
    /// SHA-256 of the plan file's text.
    pub plan_sha256: &'a str,
    /// Who may be waited for, and what they have said.
    pub people: &'a Approvals,
    /// This machine's programs.
    pub programs: &'a LocalPrograms,
    /// What has happened.
    pub past: Past,
    /// The journal's file, which ends where `past` ends.
    pub file: AppendFile,
    /// What makes this the one run that may change the cluster.
    pub lease: Lease<'a>,
}

/// Carries the job out as far as it goes.
///
/// # Errors
/// If it does not come to its end.
pub async fn carry_out(
    mut job: Job<'_>,
    connection: &Connection,
    output: Output,
) -> Result<Exit, CommandError> {
    for step in &job.plan.steps {
        if let Action::SnapshotEtcd { directory, .. } = &step.action {
            disk::make_folders(directory.as_ref()).map_err(|error| {
                CommandError::new(format!("cannot make the snapshots' directory {directory}"))
                    .because(&error)
                    .state("nothing was changed now")
                    .next(format!("make it, then `{} resume {}`", job.refit, job.id))
            })?;
        }
    }
    let run = Run {
        id: job.id,
        plan: job.plan,
        plan_sha256: job.plan_sha256,
        refit: env!("CARGO_PKG_VERSION"),
        pid: std::process::id(),
        world: connection.world(),
        store: &LocalStore,
        people: job.people,
        programs: job.programs,
        metrics: &Prometheus,
        lease: &job.lease,
    };
    let mut state = job.past.state.clone();
    let mut lines = Progress::new(
        job.plan,
        state.clone(),
        match output {
            Output::Text => Format::Text,
            Output::Json => Format::Json,
        },
    );
    let mut now = state.clone();
    let mut tell = |stamped: &Stamped| {
        // the executor has applied it already, so that this cannot fail
        let _ = now.apply(stamped);
        let line = lines.line(stamped);
        match output {
            Output::Text => ui::say(&line),
            // a reader that has gone is no reason to stop
            Output::Json => drop(ui::data(&line)),
        }
    };
    let asked = Notify::new();
    let mut signals = Signals::new()?;
    let watcher = async {
        signals.next().await;
        ui::line(
            "stopping: the steps under way end, no other begins, and drains are left where they are. Ctrl-C again \
             leaves at once; what is under way on hosts then goes on there, and `refit resume` finds it",
        );
        asked.notify_one();
        signals.next().await;
    };
    let mut journal = Journal::after(&job.past, &mut job.file);
    let outcome = {
        let work = execute(
            &run,
            std::mem::take(&mut state),
            &mut journal,
            &mut tell,
            asked.notified(),
        );
        futures::pin_mut!(work, watcher);
        match select(work, watcher).await {
            Either::Left((outcome, _)) => Some(outcome),
            Either::Right(((), _)) => None,
        }
    };
    // whoever leaves at once is found again by its place, and waits for no answer now
    if outcome.is_some() {
        job.lease.give_back().await;
    }
    let how_far = || {
        let around = Around {
            run: job.id.to_owned(),
            refit: job.refit.to_owned(),
            process: None,
            put_aside: false,
        };
        let status = status(job.plan, &now, around);
        let cordoned: Vec<_> = status
            .nodes
            .iter()
            .filter(|node| node.cordoned)
            .map(|node| node.node.to_string())
            .collect();
        let mut words = format!(
            "{} of {} steps are done",
            status.steps.done, status.steps.total
        );
        if !cordoned.is_empty() {
            words.push_str(&format!("; cordoned by this run: {}", cordoned.join(", ")));
        }
        if !status.deferred.is_empty() {
            let nodes = status.deferred.iter().map(|node| {
                let pods = node.blockers.iter().map(|blocker| &*blocker.pod);
                let pods: Vec<&str> = pods.take(PODS_NAMED).collect();
                if pods.is_empty() {
                    return node.node.to_string();
                }
                format!("{} (for {})", node.node, pods.join(", "))
            });
            let nodes: Vec<String> = nodes.collect();
            words.push_str(&format!(
                "; put off to the end of the hop: {}",
                nodes.join(", ")
            ));
        }
        words
    };
    let resume = format!("`{} resume {}` goes on", job.refit, job.id);
    match outcome {
        Some(Outcome::Finished { .. }) => Ok(Exit::Done),
        Some(Outcome::Halted {
            why: Halt::Failed { .. },
            failures,
            ..
        }) => Err(failed(&failures)
            .state(how_far())
            .next(format!("remove the cause; then {resume}"))
            .next(format!(
                "`{} status {}` shows where each node stands",
                job.refit, job.id
            ))),
        Some(Outcome::Halted {
            why: Halt::Interrupted,
            ..
        }) => Err(CommandError::new("stopped on request")
            .exits(Exit::Halted)
            .state(format!("{}; nothing is under way", how_far()))
            .next(resume)),
        Some(Outcome::Halted {
            why: Halt::Paused { by },
            ..
        }) => Err(CommandError::new(format!("paused: {by} asked for it"))
            .exits(Exit::Halted)
            .state(format!(
                "{}; no node is half done, and nothing is under way",
                how_far()
            ))
            .next(resume)),
        // only `refit abandon` says so, and carries nothing out
        Some(Outcome::Halted {
            why: Halt::Abandoned { by, .. },
            ..
        }) => Err(
            CommandError::new(format!("abandoned: {by} has ended the run for good"))
                .exits(Exit::Halted)
                .state(how_far()),
        ),
        Some(Outcome::Halted {
            why: Halt::Unapproved { steps },
            ..
        }) => Err(unapproved(&job, &steps)
            .state(format!(
                "{}; no node is half done, and nothing is under way",
                how_far()
            ))
            .next(format!("then {resume}"))),
        Some(Outcome::Halted {
            why: Halt::WindowOver { opens },
            ..
        }) => Err(CommandError::new("the window is over")
            .exits(Exit::OutsideWindow)
            .state(format!(
                "{}; no node is half done, and nothing is under way",
                how_far()
            ))
            .next(format!("{resume}; {}", next_window(opens)))),
        Some(Outcome::Halted {
            why: Halt::Overtaken { by },
            ..
        }) => Err(CommandError::new(format!(
            "another refit has taken the cluster over: {by}"
        ))
        .exits(Exit::Halted)
        .state(format!(
            "{}; this run does nothing any more, and what it had begun on hosts goes on there",
            how_far()
        ))
        .next("see what the other one does before anything else")
        .next(format!("{resume} once it has ended; or put this run aside with `apply --new-run`"))),
        Some(Outcome::Unrecorded(error)) => Err(CommandError::new(
            "the run stopped: its journal could not be written",
        )
        .because(&error)
        .exits(Exit::Halted)
        .state(format!(
            "at least {}; nothing is under way any more",
            how_far()
        ))
        .next(format!("make room on the disk; then {resume}"))),
        Some(Outcome::BadPlan(problem)) => Err(CommandError::new(format!(
            "the plan cannot be carried out: {problem}"
        ))
        .nothing_changed()
        .next("`refit plan` makes a new one")),
        None => Err(CommandError::new("left at once, on request")
            .exits(Exit::Halted)
            .state(format!(
                "{}; what was under way on hosts goes on there",
                how_far()
            ))
            .next(resume)),
    }
}

/// What waits for somebody's word, and how it is given.
fn unapproved(job: &Job<'_>, steps: &[StepId]) -> CommandError {
    let (refit, run) = (job.refit, job.id);
    let what = match steps {
        [step] => format!("{step} is not approved yet, and nobody is here to wait for it"),
        _ => format!(
            "{} steps are not approved yet, and nobody is here to wait for it",
            steps.len()
        ),
    };
    let mut error = CommandError::new(what).exits(Exit::Halted);
    for step in job
        .plan
        .steps
        .iter()
        .filter(|step| steps.contains(&step.id))
    {
        // One that was given and cannot be read is not one that is missing.
        if let Err(why) = job.people.approval(step.id.as_str()) {
            error = error.detail(format!("{}: an approval does not count: {why}", step.id));
        }
        if let Action::Gate { gate } = &step.action
            && let Condition::Approval { by, .. } = &gate.condition
        {
            error = error.next(format!(
                "`{refit} approve {run} {} --by NAME`, NAME being {}",
                step.id,
                any_of(by)
            ));
        }
    }
    error
}

fn failed(failures: &[(StepId, String)]) -> CommandError {
    let what = match failures {
        [(step, _)] => format!("step {step} failed"),
        _ => format!("{} steps failed", failures.len()),
    };
    failures.iter().fold(
        CommandError::new(what).exits(Exit::Halted),
        |error, (step, why)| error.detail(format!("{step}: {why}")),
    )
}

/// Ctrl-C, a service manager's request to stop, or a terminal that is closed.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// None where whoever started refit had it ignored, as nohup(1) does.
    hang_up: Option<Signal>,
}

impl Signals {
    fn new() -> Result<Self, CommandError> {
        let listen = |kind| {
            signal(kind).map_err(|error| {
                CommandError::new("cannot listen for signals")
                    .because(&error)
                    .nothing_changed()
            })
        };
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hang_up: match hang_up_is_ignored() {
                true => None,
                false => Some(listen(SignalKind::hangup())?),
            },
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            () = async {
                match &mut self.hang_up {
                    Some(signal) => drop(signal.recv().await),
                    None => std::future::pending().await,
                }
            } => {}
        }
    }
}

/// Whether this process was started with SIGHUP ignored (proc_pid_status(5), `SigIgn`: a mask of which SIGHUP is the first).
fn hang_up_is_ignored() -> bool {
    let status = disk::read(Path::new("/proc/self/status")).unwrap_or_default();
    let status = String::from_utf8_lossy(&status);
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & 1 == 1)
}

/// Outside of its windows a cluster is not even looked at.
///
/// # Errors
/// If there are windows and none is open.
pub fn refuse_outside(windows: &[Window], now: Timestamp, again: &str) -> Result<(), CommandError> {
    if windows.is_empty() {
        return Ok(());
    }
    let calendar = Calendar::of(windows)
        .map_err(|bad| CommandError::new(bad.to_string()).nothing_changed())?;
    match calendar.at(now) {
        Now::Open { .. } => Ok(()),
        Now::Closed { opens } => Err(CommandError::new(format!(
            "no window is open; {}",
            next_window(opens)
        ))
        .exits(Exit::OutsideWindow)
        .nothing_changed()
        .next(format!("`{again}` then"))),
    }
}

/// Asks before anything changes. Where nobody can be asked, `yes` must have been given.
///
/// # Errors
/// If there is nobody to ask, or the answer is no.
pub fn confirm(question: &str, yes: bool) -> Result<bool, CommandError> {
    if yes {
        return Ok(true);
    }
    if !ui::interactive() {
        return Err(
            CommandError::new("nobody is here to confirm: this is not a terminal")
                .exits(Exit::Usage)
                .nothing_changed()
                .next("give --yes where what it does has been reviewed"),
        );
    }
    ui::ask(question)
}
