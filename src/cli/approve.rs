//! `refit approve`: somebody's word that a run may go on, from another terminal.

use std::path::Path;

use clap::{Args, ValueHint};

use super::runs::{ReadRun, RunFolder, Runs};
use super::{CommandError, Exit, Global, ui};
use crate::adapters::clock::RealClock;
use crate::adapters::disk;
use crate::documents::settings::Condition;
use crate::plan::data::{Action, Step};
use crate::ports::Clock as _;
use crate::report::words::{any_of, duration};

/// Approve a step that a run waits for, or will come to
///
/// Writes the approval into the run's folder, bound to the run's plan and the step. A run that waits goes on within a second;
/// one that stopped for want of it goes on with `refit resume`. It counts from now for as long as the declaration says, so
/// that it may be given ahead. Whoever may write the state directory is taken at their word.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  refit approve 20261121-115702-3f2a gate/sign-off@1.35.4 --by alice
  refit approve plans/to-1.35.yaml gate/sign-off@1.35.4 --by alice    # its newest unfinished run")]
pub struct ApproveArgs {
    /// The run's id, or the upgrade's file
    #[arg(value_name = "RUN|UPGRADE", value_hint = ValueHint::FilePath)]
    run: String,
    /// The step, as the plan and `refit status` name it
    step: String,
    /// Who approves; one of those whom the declaration names
    #[arg(long, value_name = "NAME")]
    by: String,
}

pub fn run(args: &ApproveArgs, global: &Global) -> Result<Exit, CommandError> {
    let runs = Runs::of(global)?;
    let (folder, run) = find(&runs, &args.run)?;
    let id = &folder.id;
    let (step, by, expires_s) = approvable(&run, &args.step, id, runs.refit())?;
    if run.past.state.is_done(&step.id) {
        ui::line(&format!(
            "{} of run {id} is behind it already: nothing waits for it",
            step.id
        ));
        return Ok(Exit::Done);
    }
    if !by.contains(&args.by) {
        return Err(CommandError::new(format!(
            "{} may not approve {}: the declaration names {}",
            args.by,
            step.id,
            any_of(by)
        ))
        .nothing_changed()
        .next(format!(
            "one of them runs `{} approve {id} {} --by NAME`",
            runs.refit(),
            step.id
        )));
    }
    folder
        .approvals(&run.plan_sha256, false)
        .give(step.id.as_str(), &args.by, RealClock::new().now())
        .map_err(|error| {
            CommandError::new("the approval could not be written")
                .because(&error)
                .nothing_changed()
        })?;
    ui::line(&format!(
        "{} of run {id} is approved by {}; this counts for {}",
        step.id,
        args.by,
        duration(i64::try_from(expires_s).unwrap_or(i64::MAX))
    ));
    ui::line(&format!(
        "a run that waits goes on by itself; one that has stopped goes on with `{} resume {id}`",
        runs.refit()
    ));
    Ok(Exit::Done)
}

/// The run of this id, or the newest unfinished one of this upgrade.
fn find(runs: &Runs, named: &str) -> Result<(RunFolder, ReadRun), CommandError> {
    let all = runs.all()?;
    if let Some(folder) = all.iter().find(|folder| folder.id == named) {
        let run = folder.read()?;
        return unfinished(folder.clone(), run, runs.refit());
    }
    let file = disk::absolute(Path::new(named)).ok();
    for folder in all.into_iter().rev() {
        if folder.is_put_aside() || folder.is_finished()? {
            continue;
        }
        let run = folder.read()?;
        if run.unfinished() && Some(&run.record.upgrade) == file.as_ref() {
            return Ok((folder, run));
        }
    }
    Err(CommandError::new(format!(
        "`{named}` is neither a run nor an upgrade of which one is unfinished"
    ))
    .nothing_changed()
    .next(format!("`{} status` shows the newest run", runs.refit()))
    .next("an approval belongs to a run: `refit apply` begins one and says what to approve"))
}

fn unfinished(
    folder: RunFolder,
    run: ReadRun,
    refit: &str,
) -> Result<(RunFolder, ReadRun), CommandError> {
    if run.unfinished() {
        return Ok((folder, run));
    }
    Err(CommandError::new(format!(
        "run {} is finished or was put aside: nothing of it waits for an approval",
        folder.id
    ))
    .nothing_changed()
    .next(format!("`{refit} status` shows the newest run")))
}

/// The step, who may approve it, and for how long that counts.
fn approvable<'r>(
    run: &'r ReadRun,
    named: &str,
    id: &str,
    refit: &str,
) -> Result<(&'r Step, &'r [String], u64), CommandError> {
    let mut known = Vec::new();
    for step in &run.plan.steps {
        let Action::Gate { gate } = &step.action else {
            continue;
        };
        let Condition::Approval { by, expires_s } = &gate.condition else {
            continue;
        };
        if step.id.as_str() == named {
            return Ok((step, by, *expires_s));
        }
        if !run.past.state.is_done(&step.id) {
            known.push(step.id.to_string());
        }
    }
    let mut error = CommandError::new(format!(
        "no step `{named}` of run {id} waits for an approval"
    ))
    .nothing_changed();
    for step in &known {
        error = error.next(format!("`{refit} approve {id} {step} --by NAME`"));
    }
    if known.is_empty() {
        error = error.detail("none of its steps that are left does".to_owned());
    }
    Err(error)
}
