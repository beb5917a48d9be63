//! `refit diff`: what changed from one plan to another.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

use super::verify::read_plan;
use super::{CommandError, Exit, ui};
use crate::plan::diff::PlanDiff;
use crate::report::diff::{differences, differences_json};
use crate::report::look::Look;
use crate::report::markdown;

/// Room for a comment of its own.
const ROOM: usize = 60_000;

/// Show what changed from one plan to another
///
/// Steps gone, new and changed, with what is different; observations that the plans rest on; limits and notes. Steps find
/// each other by what they do to whom in which hop. When the facts were observed is told, and is no difference by itself.
/// Needs neither network nor credentials.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  refit diff main.plan.json branch.plan.json
  refit diff old.plan.json new.plan.json -o json | jq '.changed[].id'
  refit diff old.plan.json new.plan.json --detailed-exitcode >/dev/null || echo 'to be reviewed again'

Exits with 0, and with --detailed-exitcode with 2 when the plans differ.")]
pub struct DiffArgs {
    /// The earlier plan that `refit plan --out` wrote
    #[arg(value_hint = ValueHint::FilePath)]
    old: PathBuf,
    /// The later one
    #[arg(value_hint = ValueHint::FilePath)]
    new: PathBuf,
    /// Lines for people, JSON, or Markdown for a comment
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Output,
    /// Exit with 2 when the plans differ
    #[arg(long)]
    detailed_exitcode: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Output {
    Text,
    Json,
    Markdown,
}

pub fn run(args: &DiffArgs) -> Result<Exit, CommandError> {
    let diff = PlanDiff::of(&read_plan(&args.old)?, &read_plan(&args.new)?);
    ui::data(&match args.output {
        Output::Text => differences(&diff, ui::width(), &Look::TERMINAL),
        Output::Json => differences_json(&diff)
            .map_err(|error| CommandError::new("cannot write").because(&error))?,
        Output::Markdown => markdown::changes(&diff, ROOM),
    })?;
    Ok(if args.detailed_exitcode && !diff.is_empty() {
        Exit::Changes
    } else {
        Exit::Done
    })
}
