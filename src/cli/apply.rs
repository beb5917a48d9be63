//! `refit apply`: carries an upgrade out.

use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};

use super::begin::{Beginning, Claim};
use super::carry_out::{Output, confirm, refuse_outside};
use super::connect::{Connection, block_on, cluster_uid, look};
use super::inputs::Declaration;
use super::runs::{ReadRun, RunFolder, Runs};
use super::verify::refuse_unfit;
use super::{CommandError, Exit, Global, gates, lease, left_hooks, plan as planning, ui};
use crate::adapters::clock::RealClock;
use crate::adapters::disk;
use crate::cluster::drift::{basis, drift};
use crate::cluster::facts::Facts;
use crate::plan::data::Plan;
use crate::plan::diff::PlanDiff;
use crate::plan::file::Label;
use crate::plan::windows;
use crate::ports::Clock as _;
use crate::report::diff::lines;
use crate::report::plan::{Look, blocked, summary, table};

/// Differences that are told one by one; the rest is counted.
const DIFFERENCES_SHOWN: usize = 20;

/// Carry an upgrade out
///
/// Looks at the cluster afresh, makes the plan or checks the given one against what it sees, shows it and asks. From then
/// on nothing is done that the plan does not say. Killed at any instant, `refit resume` goes on. Ctrl-C lets the steps under
/// way end and stops; a drain asks no other pod to go, and is left where it is.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  refit apply plans/to-1.35.yaml
  refit apply plans/to-1.35.yaml --plan lab.plan.json --yes    # exactly what was reviewed, unattended")]
pub struct ApplyArgs {
    /// The upgrade
    #[arg(value_hint = ValueHint::FilePath)]
    upgrade: PathBuf,
    /// Carry out exactly this plan of `refit plan --out`; refused when the cluster is not as it was then
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    plan: Option<PathBuf>,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// Put an unfinished run of this cluster aside and begin a new one from what the cluster is now
    #[arg(long)]
    new_run: bool,
    /// How progress is told
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Output,
}

pub fn run(args: &ApplyArgs, global: &Global) -> Result<Exit, CommandError> {
    let declaration = Declaration::load(&args.upgrade)?;
    let given = match &args.plan {
        Some(path) => Some(read_plan(path, &declaration, &args.upgrade)?),
        None => None,
    };
    let clock = RealClock::new();
    let again = match &args.plan {
        Some(plan) => format!(
            "refit apply {} --plan {}",
            args.upgrade.display(),
            plan.display()
        ),
        None => format!("refit apply {}", args.upgrade.display()),
    };
    refuse_outside(&declaration.upgrade.windows, clock.now(), &again)?;
    // What was reviewed as a file tells before the cluster is looked at what this machine lacks.
    if let Some(given) = &given {
        gates::refuse_unready(given, |_| false, &again)?;
    }
    let runs = Runs::of(global)?;
    let mut lock = runs.lock("refit apply", clock.now())?;
    let of_inventory = |label: &Label| {
        let same = |name: &String| *name == declaration.inventory.name;
        label.inventory.as_ref().is_none_or(same)
    };
    if !args.new_run {
        refuse_second(&runs, runs.unfinished(&of_inventory)?, &declaration, args)?;
    }
    block_on(async {
        let connection = Connection::open(&declaration.inventory).await?;
        let seen = lease::look(&connection, &runs, &again).await?;
        let facts = look(
            connection.world(),
            &declaration.inventory,
            Some(&declaration.upgrade),
            &runs,
        )
        .await?;
        let uid = cluster_uid(&facts)?;
        let of_cluster = |label: &Label| {
            label
                .cluster_uid
                .as_ref()
                .is_none_or(|cluster| cluster == uid)
        };
        let displaced = if args.new_run {
            runs.displaced(&|label| of_cluster(label) || of_inventory(label))?
        } else {
            refuse_second(&runs, runs.unfinished(&of_cluster)?, &declaration, args)?;
            Vec::new()
        };
        let Some(plan) = decide(&declaration, &facts, uid, given, args)? else {
            connection.close().await;
            return Ok(Exit::Blocked);
        };
        // what was reviewed as a file needs no second look, and where nobody is asked nobody reads
        let shown = if args.plan.is_some() || args.yes {
            summary(&plan, &Look::TERMINAL)
        } else {
            table(&plan, ui::width(), &Look::TERMINAL)
        };
        ui::say(&shown);
        if plan.is_empty() {
            connection.close().await;
            return Ok(Exit::Done);
        }
        gates::refuse_unready(&plan, |_| false, &again)?;
        let (hosts, upgrade) = (connection.world().hosts, args.upgrade.to_string_lossy());
        left_hooks::refuse_begun(&plan, &displaced, hosts, &upgrade, runs.refit()).await?;
        let question = format!(
            "Carry out these {} steps on `{}`?",
            plan.steps.len(),
            plan.inventory
        );
        if !confirm(&question, args.yes)? {
            connection.close().await;
            return Err(CommandError::new("not confirmed").nothing_changed());
        }
        let begun = Beginning {
            runs: &runs,
            lock: &mut lock,
            connection: &connection,
            inventory: &declaration.inventory,
            origin: declaration.origin(),
            facts: &facts,
            plan: &plan,
            displaced,
            claim: Claim::Seen(seen),
            again: &again,
        };
        let end = begun.go(args.output).await;
        connection.close().await;
        end.map(|(_, exit)| exit)
    })
}

/// The plan to carry out; none when it is blocked, which has then been told.
fn decide(
    declaration: &Declaration,
    facts: &Facts,
    uid: &str,
    given: Option<Plan>,
    args: &ApplyArgs,
) -> Result<Option<Plan>, CommandError> {
    let mut fresh = planning::make(declaration, facts)?;
    if let Some(given) = given {
        if fresh.is_err() && facts.durations.is_some() {
            // What was learned since about how long steps take keeps no reviewed plan from its windows.
            let without = Facts {
                durations: None,
                ..facts.clone()
            };
            fresh = planning::make(declaration, &without)?;
        }
        refuse_other_cluster(&given, uid, args)?;
        refuse_drift(&given, facts, args)?;
        refuse_unfit(&given, facts, plan_again(args))?;
        // what a plan does not rest on, such as what budgets allow right now, may still forbid it
        return Ok(match fresh {
            Ok(fresh) => {
                refuse_other_steps(&given, &fresh, args)?;
                Some(given)
            }
            Err(reasons) => {
                ui::say(&blocked(&reasons, ui::width(), &Look::TERMINAL));
                None
            }
        });
    }
    match fresh {
        Ok(plan) => Ok(Some(plan)),
        Err(reasons) => {
            ui::say(&blocked(&reasons, ui::width(), &Look::TERMINAL));
            Ok(None)
        }
    }
}

fn plan_again(args: &ApplyArgs) -> String {
    let out = match &args.plan {
        Some(path) => format!(" --out {}", path.display()),
        None => String::new(),
    };
    format!(
        "`refit plan {}{out}`, review it, apply it",
        args.upgrade.display()
    )
}

fn read_plan(path: &Path, declaration: &Declaration, upgrade: &Path) -> Result<Plan, CommandError> {
    let again = format!(
        "`refit plan {} --out {}`, review it, apply it",
        upgrade.display(),
        path.display()
    );
    let wrong = |error: &(dyn std::error::Error + 'static)| {
        CommandError::new(format!("{} cannot be used", path.display()))
            .because(error)
            .nothing_changed()
            .next(again.clone())
    };
    let text = disk::read(path).map_err(|error| wrong(&error))?;
    let plan = Plan::from_json(&String::from_utf8_lossy(&text))
        .map_err(|error| wrong(&error).exits(Exit::Blocked))?;
    if plan.declaration_sha256 == declaration.sha256() {
        return Ok(plan);
    }
    Err(CommandError::new(format!(
        "{} was made from other texts of {} and its inventory",
        path.display(),
        upgrade.display()
    ))
    .exits(Exit::Blocked)
    .nothing_changed()
    .next(again))
}

fn refuse_other_cluster(plan: &Plan, uid: &str, args: &ApplyArgs) -> Result<(), CommandError> {
    if plan.cluster_uid == uid {
        return Ok(());
    }
    Err(CommandError::new("the plan is for another cluster")
        .detail(format!(
            "kube-system has UID {uid}, and the plan was made where it has {}",
            plan.cluster_uid
        ))
        .exits(Exit::Blocked)
        .nothing_changed()
        .next("check the inventory's kubeconfig and context")
        .next(plan_again(args)))
}

fn refuse_drift(plan: &Plan, facts: &Facts, args: &ApplyArgs) -> Result<(), CommandError> {
    let differences = drift(&plan.basis, &basis(facts));
    if differences.is_empty() {
        return Ok(());
    }
    let what = format!(
        "the cluster is not as it was when the plan was made: {} difference(s)",
        differences.len()
    );
    let lines: Vec<String> = differences.iter().map(ToString::to_string).collect();
    Err(differing(what, &lines, args))
}

/// Refuses a plan unless the one that would be made now does exactly the same, and says what else is not as it was.
fn refuse_other_steps(given: &Plan, fresh: &Plan, args: &ApplyArgs) -> Result<(), CommandError> {
    let short: Vec<String> = windows::too_little(given)
        .into_iter()
        .map(|found| {
            let kept = found
                .kept_s
                .map_or_else(|| "nothing".to_owned(), |kept_s| format!("{kept_s} s"));
            format!(
                "{}: it keeps {kept} of a window, and by its own durations {} s are needed",
                found.step, found.needs_s
            )
        })
        .collect();
    if !short.is_empty() {
        let what = "the plan keeps too little room in its windows";
        return Err(differing(what.to_owned(), &short, args));
    }
    let (binding, rest) = PlanDiff::of(given, fresh).split();
    if !binding.is_empty() {
        let lines = lines(&binding);
        let what = format!(
            "the plan is not the one that would be made now: {} difference(s)",
            lines.len()
        );
        return Err(differing(what, &lines, args));
    }
    let lines = lines(&rest);
    if !lines.is_empty() {
        ui::line("not as it was when the plan was made, and no hindrance:");
    }
    for line in lines.iter().take(DIFFERENCES_SHOWN) {
        ui::line(&format!("  {line}"));
    }
    if lines.len() > DIFFERENCES_SHOWN {
        ui::line(&format!("  and {} more", lines.len() - DIFFERENCES_SHOWN));
    }
    Ok(())
}

fn differing(what: String, lines: &[String], args: &ApplyArgs) -> CommandError {
    let mut error = CommandError::new(what)
        .exits(Exit::Blocked)
        .nothing_changed()
        .next(plan_again(args));
    for line in lines.iter().take(DIFFERENCES_SHOWN) {
        error = error.detail(line.clone());
    }
    if lines.len() > DIFFERENCES_SHOWN {
        error = error.detail(format!("and {} more", lines.len() - DIFFERENCES_SHOWN));
    }
    error
}

fn refuse_second(
    runs: &Runs,
    unfinished: Option<(RunFolder, ReadRun)>,
    declaration: &Declaration,
    args: &ApplyArgs,
) -> Result<(), CommandError> {
    let Some((folder, run)) = unfinished else {
        return Ok(());
    };
    let done = crate::run::extent::progress(&run.past.state, &run.plan).all;
    let mut error = CommandError::new(format!(
        "run {} of `{}` is not finished: {} of {} steps are done",
        folder.id, run.plan.inventory, done.done, done.total
    ));
    if run.plan.declaration_sha256 != declaration.sha256() {
        error = error.detail(format!(
            "{} or its inventory is not what the run was made from: a change counts once the run has ended or was put aside",
            args.upgrade.display()
        ));
    }
    Err(error
        .nothing_changed()
        .next(format!(
            "`{} resume {}` goes on with it",
            runs.refit(),
            folder.id
        ))
        .next(format!(
            "`{} apply {} --new-run` puts it aside and plans afresh from what the cluster is now",
            runs.refit(),
            args.upgrade.display()
        )))
}
