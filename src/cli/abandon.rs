//! `refit abandon`: ends a run for good.

use clap::Args;

use super::carry_out::confirm;
use super::connect::{Connection, block_on};
use super::resume::{inventory, same_cluster};
use super::runs::{ReadRun, RunFolder, Runs};
use super::{CommandError, Exit, Global, lease, operator, ui};
use crate::adapters::clock::RealClock;
use crate::cluster::model::OUTDATED;
use crate::ports::Clock as _;
use crate::run::abandon::{Abandoned, Cordon, Left, NodeEnd, Refused, record, take_off};
use crate::run::event::Halt;
use crate::run::extent::progress;
use crate::run::journal::Journal;

/// End a run for good: take its cordons, taints, holds and lease off
///
/// Nothing of the upgrade is undone, and nothing half done is finished: every node keeps the release that it has, and is named
/// with the state that it is left in. A node that is not ready, or where a change was begun and has no end, stays cordoned. From
/// then on the run cannot be resumed, and `apply` takes a changed declaration. A run that is under way is to be paused first.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  refit abandon
  refit abandon 20261121-115702-3f2a --yes")]
pub struct AbandonArgs {
    /// The run; the newest that is not finished when none is given
    run: Option<String>,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// End it also where something of it cannot be taken off: that is named, and stays
    #[arg(long)]
    leave: bool,
}

pub fn run(args: &AbandonArgs, global: &Global) -> Result<Exit, CommandError> {
    let runs = Runs::of(global)?;
    runs.find(args.run.as_deref())?;
    let clock = RealClock::new();
    let mut lock = runs.lock("refit abandon", clock.now())?;
    let folder = super::resume::choose(&runs, args.run.as_deref())?;
    let id = folder.id.clone();
    if folder.is_finished()? {
        ui::line(&format!(
            "run {id} is finished: nothing of it is left to take off"
        ));
        return Ok(Exit::Done);
    }
    let run = folder.read()?;
    if let Some(Halt::Abandoned { .. }) = &run.past.state.halted {
        folder.put_aside(clock.now())?;
        ui::line(&format!("run {id} is abandoned already"));
        return Ok(Exit::Done);
    }
    if run.put_aside {
        return Err(
            CommandError::new(format!("run {id} was put aside for a newer one"))
                .nothing_changed()
                .next(format!("`{} abandon` ends the newest", runs.refit())),
        );
    }
    let done = progress(&run.past.state, &run.plan).all;
    let question = format!(
        "End run {id} of `{}` to {} for good? {} of {} steps are done, and stay so; it cannot be resumed",
        run.plan.inventory, run.plan.target, done.done, done.total
    );
    if !confirm(&question, args.yes)? {
        return Err(CommandError::new("not confirmed").nothing_changed());
    }
    let inventory = inventory(&folder, &run)?;
    run.record.go_there()?;
    lock.name_run(&id)
        .map_err(|error| CommandError::new("cannot write the lock").because(&error))?;
    let again = format!("{} abandon {id}", runs.refit());
    block_on(async {
        let connection = Connection::open(&inventory).await?;
        let world = connection.world();
        same_cluster(world, &run.plan, &again).await?;
        let lease =
            lease::take_again(&connection, &runs, &folder, &run.plan, &inventory, &again).await?;
        let abandoned = Abandoned {
            id: &id,
            plan: &run.plan,
            state: &run.past.state,
            lease: &lease,
        };
        let taken = take_off(world, &abandoned).await;
        let ended = match taken {
            Err(refused) => Err(told(&refused, &again, runs.refit(), &id)),
            Ok(left) => end(&folder, &run, &left, args.leave, &again, &connection),
        };
        lease.give_back().await;
        connection.close().await;
        ended
    })
}

/// Ends the journal, unless something of the run is left that nobody wants to leave.
fn end(
    folder: &RunFolder,
    run: &ReadRun,
    left: &Left,
    leave: bool,
    again: &str,
    connection: &Connection,
) -> Result<Exit, CommandError> {
    for node in &left.nodes {
        ui::line(&words(node));
    }
    for node in &left.untainted {
        ui::line(&format!("{node}: {OUTDATED} is taken off"));
    }
    for host in &left.released {
        ui::line(&format!("{host}: packages are held no longer"));
    }
    let id = &folder.id;
    if !left.stays.is_empty() && !leave {
        let what = format!("run {id} is not abandoned: something of it stays");
        let mut error = CommandError::new(what).exits(Exit::Halted);
        for stays in &left.stays {
            error = error.detail(stays.clone());
        }
        return Err(error
            .state("the rest was taken off; nothing is under way")
            .next(format!("mend what it says, then `{again}`"))
            .next(format!(
                "or `{again} --leave`: it is left as it is; `kubectl uncordon NODE` makes a node schedulable"
            )));
    }
    for stays in &left.stays {
        ui::line(&format!("stays: {stays}"));
    }
    let mut file = folder.go_on(&run.past)?;
    let mut journal = Journal::after(&run.past, &mut file);
    let refit = (env!("CARGO_PKG_VERSION"), std::process::id());
    record(
        connection.world(),
        &mut journal,
        refit,
        (operator(), left.stays.clone()),
    )
    .map_err(|error| {
        CommandError::new("that the run has ended could not be written down")
            .because(&error)
            .state("what it had put on the cluster was taken off")
            .next(format!("make room on the disk; then `{again}`"))
    })?;
    folder.put_aside(RealClock::new().now())?;
    ui::line(&format!(
        "run {id} is abandoned; `{} plan UPGRADE` tells what is left to do",
        folder.refit()
    ));
    Ok(Exit::Done)
}

fn words(end: &NodeEnd) -> String {
    let NodeEnd {
        node,
        kubelet,
        ready,
        cordon,
        open,
    } = end;
    let Some(kubelet) = kubelet else {
        return format!("{node}: does not exist any more");
    };
    let mut words = format!("{node}: kubelet {kubelet}");
    if !ready {
        words.push_str(", not ready");
    }
    match cordon {
        Cordon::None => {}
        Cordon::Lifted => words.push_str(", schedulable again"),
        Cordon::Foreign => words.push_str(", cordoned by someone else"),
        Cordon::Left(_) => words.push_str(", STAYS CORDONED"),
    }
    if !open.is_empty() {
        words.push_str(&format!("; begun and without an end: {}", open.join(", ")));
    }
    words
}

fn told(refused: &Refused, again: &str, refit: &str, id: &str) -> CommandError {
    let error = CommandError::new(format!("run {id} is not abandoned: {refused}"))
        .exits(Exit::Halted)
        .nothing_changed();
    match refused {
        Refused::UnderWay { .. } => error
            .next(format!("wait for its end, then `{again}`"))
            .next(format!("or `{refit} resume {id}` awaits it and goes on")),
        Refused::Unseen(_) => error.next(format!("mend what it says, then `{again}`")),
    }
}
