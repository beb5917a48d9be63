//! `refit resume`: goes on with a run that was stopped, halted or killed.

use clap::Args;

use super::carry_out::{Job, Output, carry_out, confirm, refuse_outside};
use super::connect::{Connection, block_on};
use super::inputs::{environment, read_document};
use super::runs::{ReadRun, RunFolder, Runs};
use super::{CommandError, Exit, Global, gates, lease, ui};
use crate::adapters::clock::RealClock;
use crate::documents::settings::Inventory;
use crate::documents::{Style, read_inventory};
use crate::plan::data::Plan;
use crate::plan::purpose::Purpose;
use crate::ports::{Clock as _, World};
use crate::run::extent::progress;

/// Go on with a run that was stopped, halted or killed
///
/// Carries out what is left of the run's own plan, with the inventory that it began with. A step that was started and whose
/// end is not known is looked at before anything is done.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  refit resume
  refit resume 20261121-115702-3f2a --yes")]
pub struct ResumeArgs {
    /// The run; the newest that is not finished when none is given
    run: Option<String>,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// How progress is told
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Output,
}

pub fn run(args: &ResumeArgs, global: &Global) -> Result<Exit, CommandError> {
    let runs = Runs::of(global)?;
    // before the state directory is made where there is none
    runs.find(args.run.as_deref())?;
    let mut lock = runs.lock("refit resume", RealClock::new().now())?;
    let folder = choose(&runs, args.run.as_deref())?;
    let id = &folder.id;
    // before anything else of it is read: another refit may have written it
    if folder.is_finished()? {
        ui::line(&format!("run {id} is finished: nothing is left to do"));
        return Ok(Exit::Done);
    }
    let run = folder.read()?;
    if run.past.state.is_abandoned() {
        return Err(CommandError::new(format!("run {id} was abandoned"))
            .nothing_changed()
            .next(format!(
                "`{} plan UPGRADE` tells what is left to do",
                runs.refit()
            )));
    }
    if run.put_aside {
        return Err(
            CommandError::new(format!("run {id} was put aside for a newer one"))
                .nothing_changed()
                .next(format!("`{} resume` goes on with the newest", runs.refit())),
        );
    }
    let again = format!("{} resume {id}", runs.refit());
    if let Some(windows) = &run.plan.windows {
        refuse_outside(&windows.declared, RealClock::new().now(), &again)?;
    }
    if run.past.torn > 0 {
        ui::line(&format!(
            "the journal's last line was cut off in the middle ({} bytes); nothing was done on its strength, and it is removed",
            run.past.torn
        ));
    }
    let inventory = inventory(&folder, &run)?;
    run.record.go_there()?;
    gates::refuse_unready(&run.plan, |step| run.past.state.is_done(step), &again)?;
    let done = progress(&run.past.state, &run.plan).all;
    let question = format!(
        "Go on with run {id} of `{}` to {}: {} of {} steps are left?",
        run.plan.inventory,
        run.plan.target,
        done.total - done.done,
        done.total
    );
    if !confirm(&question, args.yes)? {
        return Err(CommandError::new("not confirmed").nothing_changed());
    }
    lock.name_run(id)
        .map_err(|error| CommandError::new("cannot write the lock").because(&error))?;
    block_on(async {
        let connection = Connection::open(&inventory).await?;
        same_cluster(connection.world(), &run.plan, &again).await?;
        let lease =
            lease::take_again(&connection, &runs, &folder, &run.plan, &inventory, &again).await?;
        let file = folder.go_on(&run.past)?;
        let people = folder.approvals(&run.plan_sha256, ui::interactive());
        people.forget_pause().map_err(|error| {
            CommandError::new("what asked the run to pause cannot be removed")
                .because(&error)
                .state("nothing was changed now")
        })?;
        let job = Job {
            id,
            refit: runs.refit(),
            plan: &run.plan,
            plan_sha256: &run.plan_sha256,
            people: &people,
            programs: &folder.programs(),
            past: run.past,
            file,
            lease,
        };
        let end = carry_out(job, &connection, args.output).await;
        connection.close().await;
        end
    })
}

pub(super) fn choose(runs: &Runs, id: Option<&str>) -> Result<RunFolder, CommandError> {
    if id.is_none()
        && let Some((unfinished, _)) = runs.unfinished(&|_| true)?
    {
        return Ok(unfinished);
    }
    runs.find(id)
}

/// The inventory that the run began with; its paths are those of the file that it was read from.
pub(super) fn inventory(folder: &RunFolder, run: &ReadRun) -> Result<Inventory, CommandError> {
    let text = folder.inventory()?;
    let path = &run.record.inventory;
    if read_document(path).ok().as_ref() != Some(&text) {
        ui::line(&format!(
            "{} has changed since the run began; the run goes on with the inventory that it began with",
            path.display()
        ));
    }
    read_inventory(path, &text, &environment())
        .map_err(|errors| CommandError::documents(&errors.render(Style::Coloured)))
}

/// A kubeconfig may have come to mean another cluster.
pub(super) async fn same_cluster(
    world: World<'_>,
    plan: &Plan,
    resume: &str,
) -> Result<(), CommandError> {
    let asked = world.api.cluster_uid().await;
    if asked.is_err() && plan.purpose() == Purpose::Restore {
        // No API answers while control planes are stopped; that they are those of the snapshot's cluster, the run's own first steps
        // have seen, and its last one looks at it again.
        return Ok(());
    }
    let uid = asked.map_err(|failure| {
        CommandError::new("the cluster's API could not be asked")
            .detail(failure.to_string())
            .state("nothing was changed now")
            .next(format!("mend what it says, then `{resume}`"))
    })?;
    if uid == plan.cluster_uid {
        return Ok(());
    }
    Err(
        CommandError::new("this is another cluster than the run began with")
            .detail(format!(
                "kube-system has UID {uid}, and the run's plan was made where it has {}",
                plan.cluster_uid
            ))
            .exits(Exit::Blocked)
            .state("nothing was changed now")
            .next(format!(
                "check the kubeconfig that the inventory names, then `{resume}`"
            )),
    )
}
