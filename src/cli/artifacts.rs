//! `refit artifacts`: what a plan needs from outside.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

use super::plan::read_facts;
use super::verify::read_plan;
use super::{CommandError, Exit, ui};
use crate::plan::artifacts::Artifacts;
use crate::report::artifacts::{artifacts, artifacts_json};
use crate::report::look::Look;

/// List what a plan needs from outside: repositories, packages at exact revisions, images
///
/// Hop by hop, for mirrors and air-gapped sites. Images have the digests that the facts name, else tags. The tags of etcd,
/// CoreDNS and pause are built into kubeadm; where they are not known for the very release, the command that tells is shown.
/// Needs neither network nor credentials.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  refit artifacts lab.plan.json
  refit artifacts lab.plan.json --facts lab.facts.json -o json | jq -r '.hops[].images[].reference'")]
pub struct ArtifactsArgs {
    /// The plan that `refit plan --out` wrote
    #[arg(value_hint = ValueHint::FilePath)]
    plan: PathBuf,
    /// Facts in which digests of images are looked up
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    facts: Option<PathBuf>,
    /// A table for people or JSON
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Output,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Output {
    Table,
    Json,
}

pub fn run(args: &ArtifactsArgs) -> Result<Exit, CommandError> {
    let plan = read_plan(&args.plan)?;
    let facts = args.facts.as_deref().map(read_facts).transpose()?;
    let needed = Artifacts::of(&plan, facts.as_ref());
    ui::data(&match args.output {
        Output::Table => artifacts(&needed, ui::width(), &Look::TERMINAL),
        Output::Json => artifacts_json(&needed)
            .map_err(|error| CommandError::new("cannot write").because(&error))?,
    })?;
    Ok(Exit::Done)
}
