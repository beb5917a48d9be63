//! `refit pause`: asks a run that is under way to stop where no node is half done, from another terminal.

use clap::Args;

use super::runs::Runs;
use super::{CommandError, Exit, Global, operator, ui};
use crate::adapters::clock::RealClock;
use crate::ports::Clock as _;

/// Ask a run that is under way to stop where no node is half done
///
/// From another terminal. Nodes, and control planes' instances, that the run has begun are finished and go back into service; no
/// other one is begun, and what only waits (a soak, a gate) is let go. The run then ends with 4, and `refit resume` goes on. This
/// command ends at once.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  refit pause
  refit pause 20261121-115702-3f2a && watch -n 2 refit status")]
pub struct PauseArgs {
    /// The run; the one that is under way when none is given
    run: Option<String>,
}

pub fn run(args: &PauseArgs, global: &Global) -> Result<Exit, CommandError> {
    let runs = Runs::of(global)?;
    let refit = runs.refit();
    let holder = runs.holder()?.flatten();
    let under_way = holder.as_ref().and_then(|holder| holder.run.clone());
    let folder = runs.find(args.run.as_deref().or(under_way.as_deref()))?;
    let id = &folder.id;
    let Some(holder) = holder.filter(|holder| holder.run.as_ref() == Some(id)) else {
        return Err(CommandError::new(format!(
            "run {id} is not under way: nothing is there to pause"
        ))
        .nothing_changed()
        .next(format!("`{refit} status {id}` shows where it stands")));
    };
    let by = operator();
    // whoever carries the run out has read its plan; its digest is of no concern here
    folder
        .approvals("", false)
        .ask_to_pause(&by, RealClock::new().now())
        .map_err(|error| {
            CommandError::new("the request could not be written")
                .because(&error)
                .nothing_changed()
                .next("ask as the user whose run it is, or as root")
        })?;
    ui::line(&format!(
        "run {id} (process {} on {}) is asked to pause: what it has begun on nodes is finished, and nothing else begins",
        holder.pid, holder.machine
    ));
    ui::line(&format!(
        "`{refit} status {id}` shows when it has; `{refit} resume {id}` goes on then"
    ));
    Ok(Exit::Done)
}
