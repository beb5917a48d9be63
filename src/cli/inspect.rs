//! `refit inspect`: what the cluster is, as a file.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum, ValueHint};

use super::connect::{Connection, block_on, cluster_uid, look};
use super::inputs::inventory_of;
use super::plan::read_facts;
use super::runs::Runs;
use super::{CommandError, Exit, Global, ui};
use crate::adapters::disk::{self, Access};
use crate::cluster::model::Role;
use crate::cluster::redact::{INVENTORY, Redacted, redact};
use crate::documents::settings::Inventory;
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
  refit inspect inventories/lab.yaml | jq .cluster.nodes
  refit inspect plans/to-1.35.yaml --redact --inventory-out public.yaml --out public.facts.json    # to show to others")]
pub struct InspectArgs {
    /// An upgrade or an inventory
    #[arg(value_name = "UPGRADE_OR_INVENTORY", value_hint = ValueHint::FilePath)]
    file: PathBuf,
    /// Where to write the facts instead of to stdout
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    out: Option<PathBuf>,
    /// Facts recorded earlier, instead of looking now
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    facts: Option<PathBuf>,
    /// Replace names, addresses, ids and images by pseudonyms, the same everywhere. A plan made from such facts has the shape
    /// of the true one; texts of errors are withheld, and a package repository other than Kubernetes' own is replaced
    #[arg(long)]
    redact: bool,
    /// Write an inventory that fits the redacted facts, for an upgrade to name
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "redact")]
    inventory_out: Option<PathBuf>,
    /// What stdout gets: the facts, or only a summary for people
    #[arg(short, long, value_name = "FORMAT", default_value = "json")]
    output: Output,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Output {
    Json,
    Text,
}

pub fn run(args: &InspectArgs, global: &Global) -> Result<Exit, CommandError> {
    let (inventory, upgrade) = inventory_of(&args.file)?;
    let facts = match &args.facts {
        Some(path) => read_facts(path)?,
        None => block_on(async {
            let runs = Runs::of(global)?;
            let connection = Connection::open(&inventory).await?;
            let facts = look(connection.world(), &inventory, upgrade.as_ref(), &runs).await;
            connection.close().await;
            facts
        })?,
    };
    let facts = if args.redact {
        let redacted = redact(&facts).map_err(|error| {
            CommandError::new("the facts cannot be redacted")
                .because(&error)
                .nothing_changed()
        })?;
        if let Some(path) = &args.inventory_out {
            write(path, &public_inventory(&inventory, &redacted))?;
        }
        redacted.facts
    } else {
        facts
    };
    let mut text = serde_json::to_string_pretty(&facts)
        .map_err(|error| CommandError::new("cannot write the facts").because(&error))?;
    text.push('\n');
    if let Some(path) = &args.out {
        write(path, &text)?;
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

fn write(path: &Path, text: &str) -> Result<(), CommandError> {
    disk::write(path, text.as_bytes(), Access::Shared).map_err(|error| {
        CommandError::new(format!("cannot write {}", path.display()))
            .because(&error)
            .nothing_changed()
            .next("make room there, or name another file")
    })
}

/// The inventory under its pseudonyms: roles and nodes, and nothing that leads anywhere.
fn public_inventory(inventory: &Inventory, redacted: &Redacted) -> String {
    let mut text = format!(
        "apiVersion: refit/v1alpha1\nkind: Inventory\nmetadata: {{name: {INVENTORY}}}\nkubernetes: {{kubeconfig: ./none}}\n\
         ssh: {{user: none}}\ngroups:\n"
    );
    for (group, role) in [
        ("control-plane", Role::ControlPlane),
        ("worker", Role::Worker),
    ] {
        let mut hosts: Vec<(String, String)> = inventory
            .hosts
            .values()
            .filter(|host| host.role == role)
            .map(|host| (redacted.host(&host.name), redacted.node(&host.node)))
            .collect();
        if hosts.is_empty() {
            continue;
        }
        hosts.sort();
        text.push_str(&format!("  {group}:\n    role: {group}\n    hosts:\n"));
        for (host, node) in hosts {
            text.push_str(&format!(
                "      - {{name: {host}, address: {host}.invalid, nodeName: {node}}}\n"
            ));
        }
    }
    text
}
