//! `refit schema`: the documents' JSON Schemas, for editors.

use clap::{Args, ValueEnum};

use super::{CommandError, Exit, ui};
use crate::documents::{Kind, hazards_schema, json_schema};

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
    Hazards,
}

pub fn run(args: &SchemaArgs) -> Result<Exit, CommandError> {
    ui::data(&match args.document {
        Document::Inventory => json_schema(Kind::Inventory),
        Document::Upgrade => json_schema(Kind::Upgrade),
        Document::Hazards => hazards_schema(),
    })?;
    Ok(Exit::Done)
}
