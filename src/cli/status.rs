//! `refit status`: where a run stands, from what is on this disk.

use clap::{Args, ValueEnum};

use super::runs::Runs;
use super::{CommandError, Exit, Global, ui};
use crate::adapters::clock::RealClock;
use crate::ports::Clock as _;
use crate::report::status::{Around, Process, status};

/// Show where a run stands, without asking the network
///
/// Reads the plan and the journal only, during a run and after it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  refit status
  refit status 20261121-115702-3f2a -o json
  watch -n 2 refit status")]
pub struct StatusArgs {
    /// The run; the newest when none is given
    run: Option<String>,
    /// For people or for programs
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Output,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Output {
    Text,
    Json,
}

pub fn run(args: &StatusArgs, global: &Global) -> Result<Exit, CommandError> {
    let runs = Runs::of(global)?;
    let folder = runs.find(args.run.as_deref())?;
    // asked before the journal is read: a run that ends in between is then shown as running, not as cut off
    let process = runs
        .holder()?
        .flatten()
        .filter(|holder| holder.run.as_ref() == Some(&folder.id))
        .map(|holder| Process {
            pid: holder.pid,
            machine: holder.machine,
            since: holder.since,
        });
    let run = folder.read()?;
    let around = Around {
        refit: global.refit(),
        run: folder.id,
        process,
        put_aside: run.put_aside,
    };
    let status = status(&run.plan, &run.past.state, around);
    let text = match args.output {
        Output::Text => status.render(RealClock::new().now()),
        Output::Json => status
            .to_json()
            .map_err(|error| CommandError::new("cannot write the status").because(&error))?,
    };
    ui::data(&text)?;
    Ok(Exit::Done)
}
