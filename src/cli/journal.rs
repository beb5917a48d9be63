//! `refit journal`: what a run has written down, and whether it can be trusted.

use clap::{Args, Subcommand, ValueEnum};

use super::runs::{RunFolder, Runs};
use super::{CommandError, Exit, Global, ui};
use crate::plan::data::Plan;
use crate::plan::file::sha256;
use crate::report::journal::{Shown, Verified};
use crate::run::journal::{DamageKind, walk};

/// Show or verify what a run has written down
///
/// Reads this disk only, and changes nothing on it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  refit journal show
  refit journal show 20261121-115702-3f2a -o json | jq '.records[] | select(.event == \"step-failed\")'
  refit journal verify 20261121-115702-3f2a")]
pub struct JournalArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show every record, in order
    ///
    /// Of a damaged journal those before the damage are shown, and the command ends with 1.
    Show(Of),
    /// Tell whether the journal is as it was written, and what it adds up to
    ///
    /// Looks at each record's text and place, at its sense after the ones before it, and at the plan that the run began with.
    /// Ends with 1 where one of these is wrong. A last line that was cut off in the middle is no damage.
    Verify(Of),
}

#[derive(Debug, Args)]
struct Of {
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

pub fn run(args: &JournalArgs, global: &Global) -> Result<Exit, CommandError> {
    let runs = Runs::of(global)?;
    match &args.what {
        What::Show(of) => show(of, &runs),
        What::Verify(of) => verify(of, &runs),
    }
}

fn show(of: &Of, runs: &Runs) -> Result<Exit, CommandError> {
    let folder = runs.find(of.run.as_deref())?;
    let (past, damage) = walk(&folder.journal_text()?);
    let told = damage.as_ref().map(ToString::to_string);
    let shown = Shown::of(&folder.id, &past.events, past.torn, told.clone());
    ui::data(&match of.output {
        Output::Text => shown.render(),
        Output::Json => json(&shown)?,
    })?;
    if past.torn > 0 {
        ui::line(&format!(
            "the last line was cut off in the middle ({} bytes); nothing was done on its strength",
            past.torn
        ));
    }
    match (told, damage) {
        (Some(told), Some(damage)) => Err(wrong(&folder, &told, &damage.kind)),
        (_, _) => Ok(Exit::Done),
    }
}

fn verify(of: &Of, runs: &Runs) -> Result<Exit, CommandError> {
    let folder = runs.find(of.run.as_deref())?;
    let (past, damage) = walk(&folder.journal_text()?);
    let plan = folder.plan_text();
    let planned = plan
        .as_ref()
        .ok()
        .and_then(|text| Plan::from_json(&String::from_utf8_lossy(text)).ok())
        .map(|plan| plan.steps.len());
    let other_plan = match (&plan, &past.state.plan_sha256) {
        (Ok(text), Some(began_with)) if sha256(text) != *began_with => Some(format!(
            "plan.json is not the one that the run began with: its digest is {}, and the journal says {began_with}",
            sha256(text)
        )),
        (Err(error), _) => Some(format!("plan.json cannot be read: {error}")),
        (Ok(_), _) => None,
    };
    let told = damage.as_ref().map(ToString::to_string).or(other_plan);
    let verified = Verified::of(
        &folder.id,
        &past.events,
        &past.state,
        past.torn,
        planned,
        told.clone(),
    );
    ui::data(&match of.output {
        Output::Text => verified.render(),
        Output::Json => json(&verified)?,
    })?;
    let Some(told) = told else {
        return Ok(Exit::Done);
    };
    let kind = damage.map_or(DamageKind::Changed, |damage| damage.kind);
    Err(wrong(&folder, &told, &kind))
}

fn json(report: &impl serde::Serialize) -> Result<String, CommandError> {
    serde_json::to_string_pretty(report)
        .map(|text| text + "\n")
        .map_err(|error| CommandError::new("cannot write the report").because(&error))
}

/// What is wrong with a run's files, and what may be done.
fn wrong(folder: &RunFolder, told: &str, kind: &DamageKind) -> CommandError {
    let (id, refit, place) = (&folder.id, folder.refit(), folder.path().display());
    match kind {
        DamageKind::Foreign(_) => CommandError::new(format!(
            "run {id} was carried out by another refit: {told}"
        ))
        .nothing_changed()
        .next("read it with the build of refit that began it"),
        DamageKind::NotARecord
        | DamageKind::Changed
        | DamageKind::Chain
        | DamageKind::Transition(_) => CommandError::new(format!(
            "run {id} cannot be gone on with: {told}"
        ))
        .state("nothing was changed now; what the run did after that is not known from here")
        .next(format!(
            "restore {place} from a copy, then `{refit} journal verify {id}` again"
        ))
        .next(format!(
            "or leave this run: `refit inspect` shows what the cluster is now, `{refit} apply UPGRADE --new-run` goes on from there"
        )),
    }
}
