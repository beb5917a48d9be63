//! `refit plan`: what will happen, in which order and why.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum, ValueHint};
use jiff::Timestamp;
use serde::Deserialize;

use super::connect::{Connection, block_on, cluster_uid, key_text, look};
use super::inputs::Declaration;
use super::login::logins;
use super::runs::Runs;
use super::verify::{read_plan, refuse_unsound};
use super::{CommandError, Exit, Global, ui};
use crate::adapters::clock::RealClock;
use crate::adapters::disk::{self, Access};
use crate::cluster::facts::{self, Facts};
use crate::documents::settings::Inventory;
use crate::plan::data::Plan;
use crate::plan::diff::PlanDiff;
use crate::plan::planner::{self, Inputs};
use crate::plan::reason::Blocked;
use crate::plan::too_old;
use crate::ports::Clock as _;
use crate::report::plan::{Look, blocked, blocked_json, table};
use crate::report::runbook::runbook;
use crate::report::schedule::windows;
use crate::report::words::{not_compared, observed};
use crate::report::{drawing, html, markdown};

/// Show what an upgrade would do: every step, its order and its reason
///
/// Looks at the cluster and its hosts, and changes nothing. With recorded facts it needs neither network nor credentials,
/// and the same documents, facts and time give the same bytes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  refit plan plans/to-1.35.yaml
  refit plan plans/to-1.35.yaml --out lab.plan.json && refit apply plans/to-1.35.yaml --plan lab.plan.json
  refit plan plans/to-1.35.yaml --facts lab.facts.json -o json    # for a reviewer without credentials
  refit plan plans/to-1.35.yaml --facts lab.facts.json -o markdown --against main.plan.json > comment.md")]
pub struct PlanArgs {
    /// The upgrade
    #[arg(value_hint = ValueHint::FilePath)]
    upgrade: PathBuf,
    /// Facts that `refit inspect` recorded, instead of looking now
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    facts: Option<PathBuf>,
    /// Judge the age of facts, and what falls into which window, as at this time, such as 2026-11-21T02:00:00Z; now when
    /// none is given
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// How stdout shows the plan, or why there is none
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Output,
    /// An earlier plan; what changed since is told in Markdown, unless what is blocked gives no plan to compare
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    against: Option<PathBuf>,
    /// Write the plan to a file as well, for `refit apply --plan`
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    out: Option<PathBuf>,
    /// Exit with 2 when there are steps to do
    #[arg(long)]
    detailed_exitcode: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Output {
    /// A table for a terminal
    Table,
    /// The plan's own JSON, as `--out` writes it
    Json,
    /// For a comment on a pull request: summary on top, the rest folded, never too long for one
    Markdown,
    /// The graph for Graphviz
    Dot,
    /// The graph for Mermaid
    Mermaid,
    /// A page that needs nothing else
    Html,
    /// The plan as a document that a person carries out by hand, with the way back
    Runbook,
}

pub fn run(args: &PlanArgs, global: &Global) -> Result<Exit, CommandError> {
    let declaration = Declaration::load(&args.upgrade)?;
    let against = args.against.as_deref().map(read_plan).transpose()?;
    let facts = match &args.facts {
        Some(path) => read_facts(path)?,
        None => block_on(async {
            let runs = Runs::of(global)?;
            let connection = Connection::open(&declaration.inventory).await?;
            let facts = look(
                connection.world(),
                &declaration.inventory,
                Some(&declaration.upgrade),
                &runs,
            )
            .await;
            connection.close().await;
            let facts = facts?;
            cluster_uid(&facts)?;
            Ok(facts)
        })?,
    };
    let at = args.at.unwrap_or_else(|| RealClock::new().now());
    let made = match too_old(&facts, at, declaration.upgrade.max_facts_age) {
        Some(reason) => Err(Blocked {
            reasons: vec![reason],
        }),
        None => make(&declaration, &facts)?,
    };
    match made {
        Ok(plan) => show(args, &plan, &declaration.inventory, against.as_ref(), at),
        Err(reasons) => {
            if let Some(earlier) = &against {
                ui::line(&not_compared(earlier));
            }
            let text = match args.output {
                Output::Table => blocked(&reasons, ui::width(), &Look::TERMINAL),
                Output::Json => blocked_json(&reasons).map_err(unwritten)?,
                Output::Markdown => {
                    let name = &declaration.upgrade.name;
                    markdown::blocked(name, &reasons, facts.observed_at, at, against.as_ref())
                }
                Output::Html => {
                    let name = &declaration.upgrade.name;
                    html::blocked(name, &reasons, facts.observed_at, at)
                }
                Output::Dot | Output::Mermaid | Output::Runbook => {
                    ui::say(&blocked(&reasons, ui::width(), &Look::TERMINAL));
                    return Ok(Exit::Blocked);
                }
            };
            ui::data(&text)?;
            Ok(Exit::Blocked)
        }
    }
}

fn unwritten(error: serde_json::Error) -> CommandError {
    CommandError::new("cannot write").because(&error)
}

/// The plan for a declaration and facts, verified, or why there is none.
///
/// # Errors
/// If the signing key cannot be read, or the plan breaks what every plan must keep.
pub fn make(
    declaration: &Declaration,
    facts: &Facts,
) -> Result<Result<Plan, Blocked>, CommandError> {
    let made = planner::plan(&Inputs {
        inventory: &declaration.inventory,
        upgrade: &declaration.upgrade,
        declaration_sha256: &declaration.sha256(),
        facts,
        key_text: key_text(&declaration.upgrade)?,
    });
    if let Ok(plan) = &made {
        refuse_unsound(plan, facts)?;
    }
    Ok(made)
}

fn show(
    args: &PlanArgs,
    plan: &Plan,
    inventory: &Inventory,
    against: Option<&Plan>,
    at: Timestamp,
) -> Result<Exit, CommandError> {
    let json = plan
        .to_json()
        .map_err(|error| CommandError::new("cannot write the plan").because(&error))?;
    if let Some(path) = &args.out {
        disk::write(path, json.as_bytes(), Access::Shared).map_err(|error| {
            CommandError::new(format!("cannot write {}", path.display())).because(&error)
        })?;
    }
    match args.output {
        Output::Table => {
            ui::data(&table(plan, ui::width(), &Look::TERMINAL))?;
            ui::data(&windows(plan, at))?;
            if args.facts.is_some() {
                ui::data(&format!("\nfacts {}\n", observed(plan.facts_at, at)))?;
            }
        }
        Output::Json => ui::data(&json)?,
        Output::Markdown => {
            let diff = against.map(|old| PlanDiff::of(old, plan));
            ui::data(&markdown::plan(plan, at, diff.as_ref()))?;
        }
        Output::Dot => ui::data(&drawing::dot(plan))?,
        Output::Mermaid => ui::data(&drawing::mermaid(plan))?,
        Output::Html => ui::data(&html::page(plan, at))?,
        Output::Runbook => ui::data(&runbook(plan, &logins(inventory), at))?,
    }
    if !plan.is_empty() {
        let given = match &args.out {
            Some(path) => format!(" --plan {}", path.display()),
            None => String::new(),
        };
        ui::line(&format!(
            "nothing was changed; `refit apply {}{given}` carries it out",
            args.upgrade.display()
        ));
    }
    Ok(if args.detailed_exitcode && !plan.is_empty() {
        Exit::Changes
    } else {
        Exit::Done
    })
}

/// Only the format, read first, so that another format gets a clear word.
#[derive(Deserialize)]
struct Peek {
    format: String,
}

/// Facts that `refit inspect` recorded.
///
/// # Errors
/// If they cannot be read.
pub fn read_facts(path: &Path) -> Result<Facts, CommandError> {
    let wrong = |what: &str, error: &(dyn std::error::Error + 'static)| {
        CommandError::new(format!("{} {what}", path.display()))
            .because(error)
            .nothing_changed()
            .next("`refit inspect UPGRADE --out FILE` records facts")
    };
    let bytes = disk::read(path).map_err(|error| wrong("cannot be read", &error))?;
    let peek: Peek = serde_json::from_slice(&bytes)
        .map_err(|error| wrong("does not hold facts of refit", &error))?;
    if peek.format != facts::FORMAT {
        let error = std::io::Error::other(format!(
            "its format is `{}`, and this refit reads `{}`",
            peek.format,
            facts::FORMAT
        ));
        return Err(wrong("does not hold facts that this refit reads", &error));
    }
    serde_json::from_slice(&bytes).map_err(|error| wrong("does not hold facts of refit", &error))
}
