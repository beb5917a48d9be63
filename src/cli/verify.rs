//! `refit verify`: whether a plan keeps what every plan must keep.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum, ValueHint};

use super::plan::read_facts;
use super::{CommandError, Exit, ui};
use crate::adapters::disk;
use crate::cluster::facts::Facts;
use crate::plan::data::Plan;
use crate::plan::purpose::Purpose;
use crate::plan::verify::{verify, way_back};
use crate::report::plan::Look;
use crate::report::verify::{violations, violations_json};

/// Violations that an error tells one by one; the rest is counted.
const SHOWN: usize = 20;

/// Check a plan against the facts that it was made from, by other means than those by which it was made
///
/// A plan lets many things happen beside each other. Whatever order they come to be done in: versions must stay within the
/// skew policy at every instant, etcd is saved before anything changes, control planes go one at a time, each node is
/// cordoned, drained, upgraded, awaited and made schedulable again, no more nodes are out of service than allowed, and
/// everything ends at the target. `plan` and `apply` check this of every plan. Needs neither network nor credentials.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  refit verify lab.plan.json --facts lab.facts.json
  refit verify lab.plan.json --facts lab.facts.json -o json | jq '.violations[].text'

Exits with 0 when nothing is wrong, and with 1 when something is.")]
pub struct VerifyArgs {
    /// The plan that `refit plan --out` wrote
    #[arg(value_hint = ValueHint::FilePath)]
    plan: PathBuf,
    /// The facts that it was made from; none for a plan of `refit restore`, which is judged by itself
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    facts: Option<PathBuf>,
    /// Lines for people or JSON
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Output,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Output {
    Text,
    Json,
}

pub fn run(args: &VerifyArgs) -> Result<Exit, CommandError> {
    let plan = read_plan(&args.plan)?;
    let found = match (plan.purpose(), &args.facts) {
        (Purpose::Restore, _) => way_back::judge(&plan),
        (Purpose::Upgrade | Purpose::Snapshot | Purpose::Rollback, Some(facts)) => {
            verify(&plan, &read_facts(facts)?)
        }
        (Purpose::Upgrade | Purpose::Snapshot | Purpose::Rollback, None) => {
            return Err(
                CommandError::new("which facts the plan was made from is not said")
                    .exits(Exit::Usage)
                    .nothing_changed()
                    .next("name them with `--facts FILE`; `refit inspect --out FILE` records them"),
            );
        }
    };
    let text = match args.output {
        Output::Json => violations_json(&plan, &found)
            .map_err(|error| CommandError::new("cannot write").because(&error))?,
        Output::Text if found.is_empty() => format!(
            "nothing is wrong with `{}` for `{}`: {} steps, in whatever order they come to be done\n",
            plan.upgrade,
            plan.inventory,
            plan.steps.len()
        ),
        Output::Text => violations(&found, &Look::TERMINAL),
    };
    ui::data(&text)?;
    Ok(if found.is_empty() {
        Exit::Done
    } else {
        Exit::Error
    })
}

/// A plan that `refit plan --out` wrote.
///
/// # Errors
/// If it cannot be read, or is not such a plan.
pub fn read_plan(path: &Path) -> Result<Plan, CommandError> {
    let wrong = |error: &(dyn std::error::Error + 'static)| {
        CommandError::new(format!("{} cannot be used", path.display()))
            .because(error)
            .nothing_changed()
            .next("`refit plan UPGRADE --facts FACTS --out FILE` makes a plan")
    };
    let text = disk::read(path).map_err(|error| wrong(&error))?;
    Plan::from_json(&String::from_utf8_lossy(&text)).map_err(|error| wrong(&error))
}

/// Refuses a plan that was just made and breaks what every plan must keep.
///
/// # Errors
/// If it does.
pub fn refuse_unsound(plan: &Plan, facts: &Facts) -> Result<(), CommandError> {
    refuse(plan, facts, "this is a defect of refit").map_err(|error| {
        error.next("report it with the documents and the facts of `refit inspect`; nothing can be carried out until then")
    })
}

/// Refuses a given plan that does not keep, on these facts, what every plan must keep.
///
/// # Errors
/// If it does not.
pub fn refuse_unfit(plan: &Plan, facts: &Facts, again: String) -> Result<(), CommandError> {
    let why = "it does not fit what was seen now, or was not made by this refit";
    refuse(plan, facts, why).map_err(|error| error.exits(Exit::Blocked).next(again))
}

fn refuse(plan: &Plan, facts: &Facts, why: &str) -> Result<(), CommandError> {
    let found = verify(plan, facts);
    if found.is_empty() {
        return Ok(());
    }
    let mut error = CommandError::new(format!(
        "the plan breaks what every plan must keep, in {} place(s): {why}",
        found.len()
    ))
    .nothing_changed();
    for violation in found.iter().take(SHOWN) {
        error = error.detail(format!("{}: {violation}", violation.code()));
    }
    if found.len() > SHOWN {
        error = error.detail(format!("and {} more", found.len() - SHOWN));
    }
    Err(error)
}
