//! `refit schema`: the documents' JSON Schemas, for editors.

use clap::{Args, ValueEnum};

use super::{CommandError, Exit, ui};
use crate::documents::{Kind, json_schema};

/// Print the JSON Schema of a document, for editors
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  refit schema inventory > inventory.schema.json
  # then, as the first line of an inventory:
  # yaml-language-server: $schema=inventory.schema.json")]
pub struct SchemaArgs {
    /// Which document
    document: Document,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Document {
    Inventory,
    Upgrade,
}

pub fn run(args: &SchemaArgs) -> Result<Exit, CommandError> {
    let kind = match args.document {
        Document::Inventory => Kind::Inventory,
        Document::Upgrade => Kind::Upgrade,
    };
    ui::data(&json_schema(kind))?;
    Ok(Exit::Done)
}
