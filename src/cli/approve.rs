//! `refit approve`: somebody's word that a run may go on, from another terminal.

use std::path::Path;

use clap::{Args, ValueHint};

use super::runs::{ReadRun, RunFolder, Runs};
use super::{CommandError, Exit, Global, ui};
use crate::adapters::clock::RealClock;
use crate::adapters::disk;
use crate::documents::settings::Condition;
use crate::plan::data::{Action, Rerun, Step};
use crate::ports::Clock as _;
use crate::report::words::{any_of, duration};

/// Approve a step that a run waits for, or will come to; or say that a hook is done that was cut short
///
/// Writes the approval into the run's folder, bound to the run's plan and the step. A run that waits goes on within a second;
/// one that stopped for want of it goes on with `refit resume`. It counts from now for as long as the declaration says, so
/// that it may be given ahead. Whoever may write the state directory is taken at their word.
///
/// A hook that is declared with `rerun: never` and was cut short halts its run; anybody who has looked may say that it is done,
/// and `refit resume` goes on with what comes after it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  refit approve 20261121-115702-3f2a gate/sign-off@1.35.4 --by alice
  refit approve plans/to-1.35.yaml gate/sign-off@1.35.4 --by alice    # its newest unfinished run
  refit approve 20261121-115702-3f2a w1/hook/os-patches@1.35.4 --by alice    # it is done")]
pub struct ApproveArgs {
    /// The run's id, or the upgrade's file
    #[arg(value_name = "RUN|UPGRADE", value_hint = ValueHint::FilePath)]
    run: String,
    /// The step, as the plan and `refit status` name it
    step: String,
    /// Who approves: for a gate one of those whom the declaration names
    #[arg(long, value_name = "NAME")]
    by: String,
}

pub fn run(args: &ApproveArgs, global: &Global) -> Result<Exit, CommandError> {
    let runs = Runs::of(global)?;
    let (folder, run) = find(&runs, &args.run)?;
    let id = &folder.id;
    let Approvable { step, word } = approvable(&run, &args.step, id, runs.refit())?;
    if run.past.state.is_done(&step.id) {
        ui::line(&format!(
            "{} of run {id} is behind it already: nothing waits for it",
            step.id
        ));
        return Ok(Exit::Done);
    }
    if let Word::OfSome { by, .. } = word
        && !by.contains(&args.by)
    {
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
                .next("give it as the user whose run it is, or as root")
        })?;
    match word {
        Word::OfSome { expires_s, .. } => {
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
        }
        Word::OfAnybody => {
            ui::line(&format!(
                "{} says that {} of run {id} is done",
                args.by, step.id
            ));
            ui::line(&format!(
                "the run goes on with `{} resume {id}`",
                runs.refit()
            ));
        }
    }
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

/// A step that somebody's word lets go on.
struct Approvable<'r> {
    step: &'r Step,
    word: Word<'r>,
}

/// Whose word.
#[derive(Clone, Copy)]
enum Word<'r> {
    /// A gate asks for that of one of these.
    OfSome {
        by: &'r [String],
        /// Seconds for which it counts.
        expires_s: u64,
    },
    /// A hook was cut short, and whoever looks sees whether it is done.
    OfAnybody,
}

fn word<'r>(run: &'r ReadRun, step: &'r Step) -> Option<Word<'r>> {
    match &step.action {
        Action::Gate { gate } => match &gate.condition {
            Condition::Approval { by, expires_s } => Some(Word::OfSome {
                by,
                expires_s: *expires_s,
            }),
            Condition::Command { .. } | Condition::Prometheus { .. } => None,
        },
        Action::Hook {
            rerun: Rerun::Never,
            ..
        } => {
            // While its run is not halted it may still be under way, and nobody can say how it ends.
            run.past
                .state
                .was_cut_short(&step.id)
                .then_some(Word::OfAnybody)
        }
        Action::Hook {
            rerun: Rerun::Safe | Rerun::Check,
            ..
        }
        | Action::CheckHost { .. }
        | Action::CheckCluster { .. }
        | Action::SnapshotEtcd { .. }
        | Action::HoldPackages { .. }
        | Action::SwitchRepository { .. }
        | Action::PrefetchPackages { .. }
        | Action::InstallKubeadm { .. }
        | Action::PullImages { .. }
        | Action::KubeadmApply { .. }
        | Action::KubeadmNode { .. }
        | Action::AwaitControlPlane { .. }
        | Action::AwaitAddons { .. }
        | Action::TaintOutdated { .. }
        | Action::Cordon { .. }
        | Action::Drain { .. }
        | Action::InstallKubelet { .. }
        | Action::AwaitNode { .. }
        | Action::AwaitStaticPods { .. }
        | Action::Uncordon { .. }
        | Action::ReleaseHolds { .. }
        | Action::Verify { .. }
        | Action::Soak { .. }
        | Action::WayBack { .. }
        | Action::Barrier { .. } => None,
    }
}

/// The step, and whose word it needs.
fn approvable<'r>(
    run: &'r ReadRun,
    named: &str,
    id: &str,
    refit: &str,
) -> Result<Approvable<'r>, CommandError> {
    let mut known = Vec::new();
    for step in &run.plan.steps {
        let Some(word) = word(run, step) else {
            continue;
        };
        if step.id.as_str() == named {
            return Ok(Approvable { step, word });
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
