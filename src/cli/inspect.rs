//! `refit inspect`: what the cluster is, as a file.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

use super::connect::{Connection, block_on, cluster_uid, look};
use super::inputs::inventory_of;
use super::{CommandError, Exit, ui};
use crate::adapters::disk::{self, Access};
use crate::report::facts::summary;

/// Look at the cluster and its hosts, and write down what planning needs
///
/// Reads only. The facts hold no secrets; what could not be observed is recorded with the reason. Given an upgrade, what
/// its package repositories offer is looked at as well.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  refit inspect plans/to-1.35.yaml --out lab.facts.json
  refit plan plans/to-1.35.yaml --facts lab.facts.json    # needs no credentials
  refit inspect inventories/lab.yaml -o text              # a summary, and what could not be seen
  refit inspect inventories/lab.yaml | jq .cluster.nodes")]
pub struct InspectArgs {
    /// An upgrade or an inventory
    #[arg(value_name = "UPGRADE_OR_INVENTORY", value_hint = ValueHint::FilePath)]
    file: PathBuf,
    /// Where to write the facts instead of to stdout
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    out: Option<PathBuf>,
    /// What stdout gets: the facts, or only a summary for people
    #[arg(short, long, value_name = "FORMAT", default_value = "json")]
    output: Output,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Output {
    Json,
    Text,
}

pub fn run(args: &InspectArgs) -> Result<Exit, CommandError> {
    let (inventory, upgrade) = inventory_of(&args.file)?;
    let facts = block_on(async {
        let connection = Connection::open(&inventory).await?;
        let facts = look(connection.world(), &inventory, upgrade.as_ref()).await;
        connection.close().await;
        facts
    })?;
    let mut text = serde_json::to_string_pretty(&facts)
        .map_err(|error| CommandError::new("cannot write the facts").because(&error))?;
    text.push('\n');
    if let Some(path) = &args.out {
        disk::write(path, text.as_bytes(), Access::Shared).map_err(|error| {
            CommandError::new(format!("cannot write {}", path.display()))
                .because(&error)
                .nothing_changed()
                .next("make room there, or name another file with --out")
        })?;
    }
    match (args.output, &args.out) {
        (Output::Json, None) => {
            ui::data(&text)?;
            ui::say(&summary(&facts));
        }
        (Output::Json, Some(_)) => ui::say(&summary(&facts)),
        (Output::Text, _) => ui::data(&summary(&facts))?,
    }
    cluster_uid(&facts).map_err(|error| error.exits(Exit::Error))?;
    Ok(Exit::Done)
}
