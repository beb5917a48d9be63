//! `refit validate`: documents, offline.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

use super::inputs::{environment, read_document};
use super::{CommandError, Exit, ui};
use crate::documents::{Style, to_json, validate};

/// Check documents, offline: every error of each at once
///
/// An upgrade is checked together with the inventory that it names.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  refit validate plans/to-1.35.yaml
  refit validate inventories/*.yaml plans/*.yaml
  refit validate plans/to-1.35.yaml -o json | jq .errors")]
pub struct ValidateArgs {
    /// Inventories and upgrades
    #[arg(required = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    files: Vec<PathBuf>,
    /// For people or for programs
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Output,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Output {
    Text,
    Json,
}

pub fn run(args: &ValidateArgs) -> Result<Exit, CommandError> {
    let validation = validate(&args.files, &environment(), &read_document, Style::Coloured);
    match args.output {
        Output::Text => {
            ui::data(&validation.valid)?;
            ui::say(&validation.errors);
        }
        Output::Json => ui::data(
            &to_json(&validation)
                .map_err(|error| CommandError::new("cannot write the errors").because(&error))?,
        )?,
    }
    Ok(if validation.is_valid() {
        Exit::Done
    } else {
        Exit::Error
    })
}
