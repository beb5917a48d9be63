//! The runs on disk: `runs/ID/` in the state directory, and the lock beside them.
//!
//! ```text
//! .refit/.gitignore                  nothing of this belongs in Git
//! .refit/lock                        held by whoever carries a run out
//! .refit/runs/ID/run.json            what the run was made from
//!                inventory.yaml      as it was then
//!                upgrade.yaml        as it was then
//!                facts.json          what the plan was made from
//!                plan.json           what is carried out
//!                journal.jsonl       what has happened; made last
//!                put-aside           there when a newer run has taken its place
//! ```
//!
//! A run without a journal never began: nothing was done in its name.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::inputs::Declaration;
use super::{CommandError, Exit, Global};
use crate::adapters::disk::{self, Access, AppendFile, Holder, Lock, LockError};
use crate::cluster::facts::Facts;
use crate::plan::data::Plan;
use crate::plan::file::{Label, PlanError, sha256};
use crate::run::journal::{self, DamageKind, Outline, Past};

const FORMAT: &str = "refit.run/v1";
const RECORD: &str = "run.json";
const PLAN: &str = "plan.json";
const JOURNAL: &str = "journal.jsonl";

/// What a run was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// `refit.run/v1`.
    pub format: String,
    /// When it was made.
    pub made_at: Timestamp,
    /// The upgrade, absolute.
    pub upgrade: PathBuf,
    /// The inventory, absolute.
    pub inventory: PathBuf,
    /// The working directory, which relative paths of the plan (the snapshots' directory) are relative to.
    pub working_directory: PathBuf,
}

/// Why a record is not read.
#[derive(Debug, thiserror::Error)]
enum RecordError {
    #[error("it does not tell what a run was made from: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the run's format is `{0}`, and this refit knows `{FORMAT}`")]
    Format(String),
}

impl Record {
    fn from_json(text: &[u8]) -> Result<Self, RecordError> {
        /// Only the format, read first, so that another format gets a clear word rather than a list of unknown fields.
        #[derive(Deserialize)]
        struct Peek {
            format: String,
        }
        let Peek { format } = serde_json::from_slice(text)?;
        if format != FORMAT {
            return Err(RecordError::Format(format));
        }
        Ok(serde_json::from_slice(text)?)
    }
}

/// The state directory.
#[derive(Debug, Clone)]
pub struct Runs {
    state: PathBuf,
    /// How a command begins that finds them.
    refit: String,
}

/// A run's directory.
#[derive(Debug, Clone)]
pub struct RunFolder {
    /// The run's id.
    pub id: String,
    path: PathBuf,
    /// How a command begins that finds it.
    refit: String,
}

/// A run, read.
#[derive(Debug)]
pub struct ReadRun {
    /// What it was made from.
    pub record: Record,
    /// What is carried out.
    pub plan: Plan,
    /// SHA-256 of the plan file's text.
    pub plan_sha256: String,
    /// What has happened.
    pub past: Past,
    /// A newer run has taken its place.
    pub put_aside: bool,
}

impl ReadRun {
    /// It began, is not finished, and nothing has taken its place.
    #[must_use]
    pub fn unfinished(&self) -> bool {
        self.past.state.run.is_some() && !self.past.state.finished && !self.put_aside
    }
}

impl Runs {
    /// The runs of a state directory, which need not exist.
    ///
    /// # Errors
    /// If there is no working directory for a relative one.
    pub(super) fn of(global: &Global) -> Result<Self, CommandError> {
        let state = disk::absolute(&global.state_dir)
            .map_err(|error| CommandError::new("there is no working directory").because(&error))?;
        Ok(Self {
            state,
            refit: global.refit(),
        })
    }

    /// How a command begins that finds these runs: `refit`, perhaps with a state directory.
    #[must_use]
    pub fn refit(&self) -> &str {
        &self.refit
    }

    fn lock_path(&self) -> PathBuf {
        self.state.join("lock")
    }

    fn runs_path(&self) -> PathBuf {
        self.state.join("runs")
    }

    /// Takes the lock, making the state directory where there is none.
    ///
    /// # Errors
    /// If another process has it.
    pub fn lock(&self, command: &str, now: Timestamp) -> Result<Lock, CommandError> {
        let cannot = |error: &io::Error| {
            CommandError::new(format!(
                "cannot use the state directory {}",
                self.state.display()
            ))
            .because(error)
            .nothing_changed()
            .next("make it writable, or name another with --state-dir")
        };
        disk::make_folders(&self.state).map_err(|error| cannot(&error))?;
        let ignore = self.state.join(".gitignore");
        if disk::read_up_to(&ignore, 1).is_err() {
            disk::write(&ignore, b"*\n", Access::Shared).map_err(|error| cannot(&error))?;
        }
        let holder = Holder {
            pid: std::process::id(),
            machine: disk::machine(),
            since: now,
            command: command.to_owned(),
            run: None,
        };
        Lock::take(&self.lock_path(), holder).map_err(|error| match error {
            LockError::Held(holder) => held(holder.as_ref(), &self.refit),
            LockError::Io(error) => cannot(&error),
        })
    }

    /// Who holds the lock.
    ///
    /// # Errors
    /// If it cannot be asked.
    pub fn holder(&self) -> Result<Option<Option<Holder>>, CommandError> {
        Lock::holder(&self.lock_path())
            .map(|held| held.map(|held| held.0))
            .map_err(|error| CommandError::new("cannot read the lock").because(&error))
    }

    /// All runs that began, oldest first.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn all(&self) -> Result<Vec<RunFolder>, CommandError> {
        let path = self.runs_path();
        let names = disk::names(&path).map_err(|error| {
            CommandError::new(format!("cannot read {}", path.display())).because(&error)
        })?;
        Ok(names
            .into_iter()
            .map(|id| RunFolder {
                path: path.join(&id),
                id,
                refit: self.refit.clone(),
            })
            .filter(RunFolder::began)
            .collect())
    }

    /// A run by its id; the newest when none is given.
    ///
    /// # Errors
    /// If there is none.
    pub fn find(&self, id: Option<&str>) -> Result<RunFolder, CommandError> {
        let mut runs = self.all()?;
        let Some(id) = id else {
            return runs.pop().ok_or_else(|| {
                CommandError::new(format!("there is no run in {}", self.state.display()))
                    .next("`refit apply UPGRADE` begins one; --state-dir names another directory")
            });
        };
        let known: Vec<_> = runs.iter().map(|run| run.id.clone()).collect();
        runs.into_iter().find(|run| run.id == id).ok_or_else(|| {
            let known = if known.is_empty() {
                "there is none".to_owned()
            } else {
                format!("there are {}", known.join(", "))
            };
            CommandError::new(format!(
                "there is no run `{id}` in {}: {known}",
                self.state.display()
            ))
            .next(format!("`{} status` shows the newest", self.refit))
        })
    }

    /// The newest run that began, is not finished, was not put aside and is one of those meant. A run whose plan does not
    /// tell whom it is for counts as meant, and a finished one is not looked at any further, whatever refit wrote it.
    ///
    /// # Errors
    /// If such a run cannot be gone on with, or its journal does not tell whether it is finished.
    pub fn unfinished(
        &self,
        meant: &dyn Fn(&Label) -> bool,
    ) -> Result<Option<(RunFolder, ReadRun)>, CommandError> {
        for folder in self.all()?.into_iter().rev() {
            if folder.is_put_aside() || !meant(&folder.label()) || folder.is_finished()? {
                continue;
            }
            let run = folder.read()?;
            if run.unfinished() {
                return Ok(Some((folder, run)));
            }
        }
        Ok(None)
    }

    /// The runs that a new one takes the place of: those meant that are unfinished, or whose end cannot be read.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn displaced(
        &self,
        meant: &dyn Fn(&Label) -> bool,
    ) -> Result<Vec<RunFolder>, CommandError> {
        let displaced = |folder: &RunFolder| {
            !folder.is_put_aside()
                && meant(&folder.label())
                && !folder.is_finished().unwrap_or(false)
        };
        Ok(self.all()?.into_iter().filter(displaced).collect())
    }

    /// Makes a run's directory with everything in it; the journal comes last.
    ///
    /// # Errors
    /// If it is not on disk.
    pub fn make(
        &self,
        now: Timestamp,
        declaration: &Declaration,
        facts: &Facts,
        plan: &Plan,
    ) -> Result<(RunFolder, AppendFile, String), CommandError> {
        let plan_text = plan
            .to_json()
            .map_err(|error| CommandError::new("cannot write the plan").because(&error))?;
        let plan_sha256 = sha256(plan_text.as_bytes());
        let seed = format!(
            "{now} {} {} {plan_sha256}",
            std::process::id(),
            disk::machine()
        );
        let id = format!(
            "{}-{}",
            now.strftime("%Y%m%d-%H%M%S"),
            &sha256(seed.as_bytes())[..4]
        );
        let path = self.runs_path().join(&id);
        let write = || -> io::Result<AppendFile> {
            let record = Record {
                format: FORMAT.to_owned(),
                made_at: now,
                upgrade: disk::absolute(&declaration.upgrade_text.path)?,
                inventory: disk::absolute(&declaration.inventory_text.path)?,
                working_directory: disk::absolute(Path::new("."))?,
            };
            disk::make_folders(&self.runs_path())?;
            disk::make_new_folder(&path)?;
            let put =
                |name: &str, bytes: &[u8]| disk::write(&path.join(name), bytes, Access::Private);
            put(RECORD, &serde_json::to_vec_pretty(&record)?)?;
            put("inventory.yaml", &declaration.inventory_text.bytes)?;
            put("upgrade.yaml", &declaration.upgrade_text.bytes)?;
            for (index, text) in declaration.hazard_texts.iter().enumerate() {
                put(&format!("hazards-{}.yaml", index + 1), &text.bytes)?;
            }
            put("facts.json", &serde_json::to_vec_pretty(facts)?)?;
            put(PLAN, plan_text.as_bytes())?;
            AppendFile::create(&path.join(JOURNAL))
        };
        let journal = write().map_err(|error| {
            CommandError::new(format!("cannot write the run to {}", path.display()))
                .because(&error)
                .nothing_changed()
        })?;
        let refit = self.refit.clone();
        Ok((RunFolder { id, path, refit }, journal, plan_sha256))
    }
}

impl RunFolder {
    fn journal(&self) -> PathBuf {
        self.path.join(JOURNAL)
    }

    fn began(&self) -> bool {
        disk::read_up_to(&self.journal(), 1).is_ok_and(|bytes| !bytes.is_empty())
    }

    fn is_put_aside(&self) -> bool {
        disk::read_up_to(&self.path.join("put-aside"), 1).is_ok()
    }

    /// Whom the plan is for, as far as it tells.
    fn label(&self) -> Label {
        disk::read(&self.path.join(PLAN)).map_or_else(
            |_| Label::default(),
            |text| Label::of(&String::from_utf8_lossy(&text)),
        )
    }

    /// Whether nothing is left of it, from its journal alone: neither its plan nor the refit that wrote it matters.
    ///
    /// # Errors
    /// If the journal does not tell.
    pub fn is_finished(&self) -> Result<bool, CommandError> {
        let name = JOURNAL;
        let text = disk::read(&self.journal()).map_err(|error| self.unusable(name, &error))?;
        let outline = journal::outline(&text).map_err(|error| self.unusable(name, &error))?;
        Ok(outline.finished)
    }

    /// Says that a newer run takes this one's place.
    ///
    /// # Errors
    /// If it is not on disk.
    pub fn put_aside(&self, now: Timestamp) -> Result<(), CommandError> {
        let text = format!("{now}\n");
        disk::write(
            &self.path.join("put-aside"),
            text.as_bytes(),
            Access::Private,
        )
        .map_err(|error| {
            CommandError::new(format!("cannot put run {} aside", self.id))
                .because(&error)
                .nothing_changed()
        })
    }

    /// Reads the run.
    ///
    /// # Errors
    /// If a file is missing, was changed, is of another refit, or does not belong to the others.
    pub fn read(&self) -> Result<ReadRun, CommandError> {
        let file = |name: &str| {
            disk::read(&self.path.join(name)).map_err(|error| self.unusable(name, &error))
        };
        let journal_text = file(JOURNAL)?;
        let outline =
            journal::outline(&journal_text).map_err(|error| self.unusable(JOURNAL, &error))?;
        let record = Record::from_json(&file(RECORD)?).map_err(|error| match error {
            RecordError::Json(error) => self.unusable(RECORD, &error),
            RecordError::Format(_) => self.foreign(RECORD, &error, &outline),
        })?;
        let plan_text = file(PLAN)?;
        let plan_sha256 = sha256(&plan_text);
        let plan =
            Plan::from_json(&String::from_utf8_lossy(&plan_text)).map_err(|error| match error {
                PlanError::Format(_) | PlanError::Fields(_) => self.foreign(PLAN, &error, &outline),
                PlanError::Json(_)
                | PlanError::Digest { .. }
                | PlanError::Fingerprint
                | PlanError::Graph(_) => self.unusable(PLAN, &error),
            })?;
        let past = journal::read(&journal_text).map_err(|error| match error.kind {
            DamageKind::Foreign(_) => self.foreign(JOURNAL, &error, &outline),
            DamageKind::NotARecord
            | DamageKind::Changed
            | DamageKind::Chain
            | DamageKind::Transition(_) => self.unusable(JOURNAL, &error),
        })?;
        if let Some(began_with) = &past.state.plan_sha256
            && *began_with != plan_sha256
        {
            let error = io::Error::other(format!(
                "its digest is {plan_sha256}, and the journal says that the run began with {began_with}"
            ));
            return Err(self.unusable(PLAN, &error));
        }
        Ok(ReadRun {
            record,
            plan,
            plan_sha256,
            past,
            put_aside: self.is_put_aside(),
        })
    }

    /// A file of the run is missing or damaged.
    fn unusable(&self, name: &str, error: &(dyn Error + 'static)) -> CommandError {
        let (path, refit) = (&self.path, &self.refit);
        CommandError::new(format!(
            "run {}: {} cannot be used",
            self.id,
            path.join(name).display()
        ))
        .because(error)
        .state("nothing was changed now; what the run did before is not known from here")
        .next(format!(
            "restore {} from a copy and `{refit} resume` again",
            path.display()
        ))
        .next(format!("or leave this run: `refit inspect` shows what the cluster is now, `{refit} apply UPGRADE --new-run` goes on from there"))
    }

    /// A file of the run is sound, and of a refit that writes it otherwise.
    fn foreign(
        &self,
        name: &str,
        error: &(dyn Error + 'static),
        outline: &Outline,
    ) -> CommandError {
        let (id, refit) = (&self.id, &self.refit);
        let file = format!("{}:", self.path.join(name).display());
        let this = env!("CARGO_PKG_VERSION");
        if outline.finished {
            return CommandError::new(format!("run {id} is finished, and another refit wrote it"))
                .detail(file)
                .because(error)
                .state("nothing is left of it to do");
        }
        let which = match &outline.refit {
            Some(version) if version != this => {
                format!("with refit {version}, which began it (this is {this})")
            }
            Some(_) | None => "with the build of refit that began it".to_owned(),
        };
        CommandError::new(format!(
            "run {id} is not finished, and this refit cannot go on with it"
        ))
        .detail(file)
        .because(error)
        .state("nothing was changed now; what the run did stays as it is")
        .next(format!("finish it {which}: `{refit} resume {id}`"))
        .next(format!(
            "or put it aside: `{refit} apply UPGRADE --new-run` plans afresh from what the cluster is now"
        ))
    }

    /// The inventory's text as it was when the run was made.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn inventory(&self) -> Result<Vec<u8>, CommandError> {
        let path = self.path.join("inventory.yaml");
        disk::read(&path).map_err(|error| {
            CommandError::new(format!("run {}: cannot read {}", self.id, path.display()))
                .because(&error)
                .nothing_changed()
        })
    }

    /// The journal's file, cut to what was read and ready to go on.
    ///
    /// # Errors
    /// If it cannot be opened or cut.
    pub fn go_on(&self, past: &Past) -> Result<AppendFile, CommandError> {
        AppendFile::go_on(&self.journal(), past.valid_len).map_err(|error| {
            CommandError::new(format!("run {}: cannot go on with its journal", self.id))
                .because(&error)
                .nothing_changed()
        })
    }
}

fn held(holder: Option<&Holder>, refit: &str) -> CommandError {
    let what = match holder {
        Some(holder) => {
            let run = match &holder.run {
                Some(run) => format!(" (run {run})"),
                None => String::new(),
            };
            format!(
                "`{}`{run} is under way: process {} on {}, since {}",
                holder.command,
                holder.pid,
                holder.machine,
                holder.since.strftime("%Y-%m-%d %H:%M:%SZ"),
            )
        }
        None => "another refit is under way here".to_owned(),
    };
    CommandError::new(what)
        .exits(Exit::Error)
        .nothing_changed()
        .next(format!(
            "`{refit} status` shows how far it is; one at a time changes a cluster"
        ))
}
