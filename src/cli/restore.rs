//! `refit restore`: the state of a cluster, from a snapshot.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum, ValueHint};

use super::begin::{Beginning, Claim};
use super::carry_out::Output;
use super::connect::{Connection, block_on};
use super::inputs::Given;
use super::login::logins;
use super::runs::Runs;
use super::{CommandError, Exit, Global, ui};
use crate::adapters::clock::RealClock;
use crate::adapters::disk::{self, Access, LocalStore};
use crate::cluster::members::{self, Members};
use crate::plan::data::Plan;
use crate::plan::file::Label;
use crate::plan::restore::{self, Refusal};
use crate::plan::saved::{Saved, bare};
use crate::plan::verify::way_back;
use crate::ports::{Clock as _, Store as _};
use crate::report::markdown;
use crate::report::plan::{Look, table};
use crate::report::runbook::runbook;

/// Bring a cluster's state back from a snapshot
///
/// A plan like any other: looked at, shown, saved, journaled, resumed. The snapshot is sent to every control plane and restored
/// there beside the data in use, with the member's own etcdutl; then every control plane stops, every member gets what was
/// restored (what it had is kept beside it), every control plane starts and is awaited. Everything written since the snapshot is
/// lost. Works while no API answers; refused unless every control plane of the inventory can be reached.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  refit restore .refit/snapshots/lab-20261121-101112-3f2a.db inventories/lab.yaml --show markdown   # only shows the plan
  refit restore .refit/snapshots/lab-20261121-101112-3f2a.db inventories/lab.yaml
  refit restore lab-20261121-101112-3f2a.db.age inventories/lab.yaml --identity key.txt --confirm lab")]
pub struct RestoreArgs {
    /// The snapshot, with what was written beside it (its `.json`)
    #[arg(value_hint = ValueHint::FilePath)]
    snapshot: PathBuf,
    /// The inventory, or an upgrade that names it
    #[arg(value_hint = ValueHint::FilePath)]
    document: PathBuf,
    /// A file of age identities that opens an encrypted snapshot
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    identity: Option<PathBuf>,
    /// Only show the plan, in this form, and change nothing
    #[arg(long, value_name = "FORMAT")]
    show: Option<Form>,
    /// Write the plan to a file as well, for `--plan`
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    out: Option<PathBuf>,
    /// Carry out exactly this plan; refused when it is not the one that would be made now
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    plan: Option<PathBuf>,
    /// The inventory's name, instead of typing it
    #[arg(long, value_name = "NAME")]
    confirm: Option<String>,
    /// Put an unfinished run of this cluster aside
    #[arg(long)]
    new_run: bool,
    /// How progress is told
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Output,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Form {
    /// A table for a terminal
    Table,
    /// The plan's own JSON, as `--out` writes it
    Json,
    /// For a comment on a pull request
    Markdown,
    /// The plan as a document that a person carries out by hand
    Runbook,
}

pub fn run(args: &RestoreArgs, global: &Global) -> Result<Exit, CommandError> {
    let given = Given::load(&args.document)?;
    let saved = Snapshot::read(&args.snapshot)?;
    let clock = RealClock::new();
    let runs = Runs::of(global)?;
    let again = again(args, runs.refit());
    if args.show.is_some() {
        return block_on(async {
            let connection = Connection::open(&given.inventory).await?;
            let members = look(&connection, &given).await;
            connection.close().await;
            let plan = decide(args, &given, &saved, &members)?;
            show(args, &plan, &given)
        });
    }
    let mut lock = runs.lock("refit restore", clock.now())?;
    block_on(async {
        let connection = Connection::open(&given.inventory).await?;
        let members = look(&connection, &given).await;
        let plan = decide(args, &given, &saved, &members)?;
        let meant = |label: &Label| {
            let same = |name: &String| *name == plan.inventory;
            label.inventory.as_ref().is_none_or(same)
                || label.cluster_uid.as_ref() == Some(&plan.cluster_uid)
        };
        let displaced = if args.new_run {
            runs.displaced(&meant)?
        } else {
            if let Some((folder, _)) = runs.unfinished(&meant)? {
                return Err(unfinished(&folder.id, runs.refit(), &again));
            }
            Vec::new()
        };
        ui::say(&table(&plan, ui::width(), &Look::TERMINAL));
        write_out(args, &plan)?;
        confirm(args, &plan)?;
        let begun = Beginning {
            runs: &runs,
            lock: &mut lock,
            connection: &connection,
            inventory: &given.inventory,
            origin: given.origin(),
            facts: &members,
            plan: &plan,
            displaced,
            claim: Claim::TakeOver,
            again: &again,
        };
        let end = begun.go(args.output).await;
        connection.close().await;
        end.map(|(_, exit)| exit)
    })
}

fn again(args: &RestoreArgs, refit: &str) -> String {
    format!(
        "{refit} restore {} {}",
        args.snapshot.display(),
        args.document.display()
    )
}

async fn look(connection: &Connection, given: &Given) -> Members {
    ui::line(&format!(
        "looking at the control planes of `{}`; nothing is changed",
        given.inventory.name
    ));
    members::look(connection.world(), &given.inventory).await
}

/// A snapshot on this machine, and what is written about it.
struct Snapshot {
    saved: Saved,
    /// Absolute: a resumed run finds it wherever it is resumed.
    file: String,
    sha256: String,
}

impl Snapshot {
    fn read(path: &Path) -> Result<Self, CommandError> {
        let wrong = |what: String| {
            CommandError::new(what).nothing_changed().next(
                "name the snapshot that `refit snapshot` or an upgrade has taken (`.db` or `.db.age`), with its `.json` beside it",
            )
        };
        let text = path.to_string_lossy();
        let record = PathBuf::from(format!("{}.json", bare(&text)));
        let bytes = disk::read(&record).map_err(|error| {
            wrong(format!(
                "whose snapshot {} is, is not known: {} cannot be read",
                path.display(),
                record.display()
            ))
            .because(&error)
        })?;
        let saved = Saved::from_json(&bytes).map_err(|error| {
            wrong(format!("{} cannot be used", record.display())).because(&error)
        })?;
        let file = record.with_file_name(&saved.database.name);
        let cannot = |error: &std::io::Error| {
            wrong(format!("{} cannot be read", file.display())).because(error)
        };
        let (_, sha256) = LocalStore
            .digest(&file)
            .map_err(|error| cannot(&error))?
            .ok_or_else(|| cannot(&std::io::ErrorKind::NotFound.into()))?;
        let file = disk::absolute(&file).map_err(|error| cannot(&error))?;
        Ok(Self {
            saved,
            file: file.to_string_lossy().into_owned(),
            sha256,
        })
    }
}

/// The plan that is carried out.
fn decide(
    args: &RestoreArgs,
    given: &Given,
    snapshot: &Snapshot,
    members: &Members,
) -> Result<Plan, CommandError> {
    let identity = args
        .identity
        .as_deref()
        .map(|path| disk::absolute(path).map(|path| path.to_string_lossy().into_owned()))
        .transpose()
        .map_err(|error| CommandError::new("there is no working directory").because(&error))?;
    let fresh = restore::plan(&restore::Inputs {
        inventory: &given.inventory.name,
        declaration_sha256: &given.sha256(),
        saved: &snapshot.saved,
        from: &snapshot.file,
        kept_sha256: &snapshot.sha256,
        identity: identity.as_deref(),
        members,
    })
    .map_err(|refusals| refused(&refusals))?;
    let found = way_back::judge(&fresh);
    if !found.is_empty() {
        let error = CommandError::new(
            "the plan breaks what every way back must keep: this is a defect of refit",
        )
        .nothing_changed();
        return Err(found.iter().fold(error, |error, violation| {
            error.detail(violation.to_string())
        }));
    }
    let Some(path) = &args.plan else {
        return Ok(fresh);
    };
    let plan = super::verify::read_plan(path)?;
    if plan.steps == fresh.steps && plan.basis == fresh.basis {
        return Ok(plan);
    }
    Err(CommandError::new(format!(
        "{} is not the plan that would be made now",
        path.display()
    ))
    .exits(Exit::Blocked)
    .nothing_changed()
    .next("look at it again with `--show table`, review it, give it with `--plan`"))
}

fn refused(refusals: &[Refusal]) -> CommandError {
    let error = CommandError::new("the snapshot is not restored")
        .exits(Exit::Blocked)
        .nothing_changed();
    refusals
        .iter()
        .fold(error, |error, refusal| error.detail(refusal.to_string()))
        .next("mend what it says; unknown means stop")
}

fn show(args: &RestoreArgs, plan: &Plan, given: &Given) -> Result<Exit, CommandError> {
    write_out(args, plan)?;
    let at = RealClock::new().now();
    let text = match args.show {
        Some(Form::Json) => json(plan)?,
        Some(Form::Markdown) => markdown::plan(plan, at, None),
        Some(Form::Runbook) => runbook(plan, &logins(&given.inventory), at),
        Some(Form::Table) | None => table(plan, ui::width(), &Look::TERMINAL),
    };
    ui::data(&text)?;
    Ok(Exit::Done)
}

fn json(plan: &Plan) -> Result<String, CommandError> {
    plan.to_json()
        .map_err(|error| CommandError::new("cannot write the plan").because(&error))
}

fn write_out(args: &RestoreArgs, plan: &Plan) -> Result<(), CommandError> {
    let Some(path) = &args.out else {
        return Ok(());
    };
    disk::write(path, json(plan)?.as_bytes(), Access::Shared).map_err(|error| {
        CommandError::new(format!("cannot write {}", path.display())).because(&error)
    })
}

/// A restore is confirmed by the name of what is restored.
fn confirm(args: &RestoreArgs, plan: &Plan) -> Result<(), CommandError> {
    let name = &plan.inventory;
    let other = |given: &str| {
        CommandError::new(format!("not confirmed: `{given}` is not `{name}`"))
            .exits(Exit::Usage)
            .nothing_changed()
    };
    match &args.confirm {
        Some(given) if given == name => return Ok(()),
        Some(given) => return Err(other(given)),
        None => {}
    }
    if !ui::interactive() {
        return Err(
            CommandError::new("nobody is here to confirm: this is not a terminal")
                .exits(Exit::Usage)
                .nothing_changed()
                .next(format!(
                    "give `--confirm {name}` where what it does has been reviewed"
                )),
        );
    }
    let typed = ui::answer(&format!(
        "Everything written since the snapshot is lost, and no API answers meanwhile. Type the inventory's name to go on ({name}):"
    ))?;
    if typed == *name {
        Ok(())
    } else {
        Err(other(&typed))
    }
}

fn unfinished(run: &str, refit: &str, again: &str) -> CommandError {
    CommandError::new(format!("run {run} of this cluster is not finished"))
        .nothing_changed()
        .next(format!("`{refit} resume {run}` goes on with it"))
        .next(format!("`{again} --new-run` puts it aside"))
}
