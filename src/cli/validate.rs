//! `refit validate`: documents, offline.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::inputs::{environment, read_document};
use super::{CommandError, Exit, ui};
use crate::documents::{Style, validate};

/// Check documents, offline: every error of each at once
///
/// An upgrade is checked together with the inventory that it names.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  refit validate plans/to-1.35.yaml
  refit validate inventories/*.yaml plans/*.yaml")]
pub struct ValidateArgs {
    /// Inventories and upgrades
    #[arg(required = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    files: Vec<PathBuf>,
}

pub fn run(args: &ValidateArgs) -> Result<Exit, CommandError> {
    let validation = validate(&args.files, &environment(), &read_document, Style::Coloured);
    ui::data(&validation.valid)?;
    ui::say(&validation.errors);
    Ok(if validation.is_valid() {
        Exit::Done
    } else {
        Exit::Error
    })
}
