//! The runs on disk: `runs/ID/` in the state directory, and the lock beside them.
//!
//! ```text
//! .refit/.gitignore                  nothing of this belongs in Git
//! .refit/lock                        held by whoever carries a run out
//! .refit/place                       the state directory's own name, wherever it is mounted
//! .refit/runs/ID/run.json            what the run was made from
//!                inventory.yaml      as it was then
//!                upgrade.yaml        as it was then, where one was given
//!                facts.json          what the plan was made from
//!                plan.json           what is carried out
//!                journal.jsonl       what has happened; made last
//!                approvals/          what people have said of its steps, a file each
//!                hooks/              locked by hooks on this machine while they run, whatever has become of refit
//!                put-aside           there when a newer run has taken its place
//! ```
//!
//! A run without a journal never began: nothing was done in its name.

mod approvals;
mod folder;

pub use approvals::Approvals;
pub use folder::{ReadRun, Record, RunFolder};

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;

use super::inputs::Origin;
use super::{CommandError, Exit, Global};
use crate::adapters::disk::{self, Access, Holder, Lock, LockError};
use crate::cluster::durations::Durations;
use crate::plan::data::Plan;
use crate::plan::file::{Label, sha256};
use crate::plan::purpose::Purpose;
use crate::report::words::clock;
use crate::run::earlier;

const FORMAT: &str = "refit.run/v1";
const RECORD: &str = "run.json";
const PLAN: &str = "plan.json";
const JOURNAL: &str = "journal.jsonl";
const PUT_ASIDE: &str = "put-aside";
const PLACE: &str = "place";
/// A state directory's name is shorter.
const PLACE_LIMIT: u64 = 64;
const HOOKS: &str = "hooks";

/// The state directory.
#[derive(Debug, Clone)]
pub struct Runs {
    state: PathBuf,
    /// How a command begins that finds them.
    refit: String,
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

    /// The state directory's own name, given to it when it is first needed. To be called with the lock held.
    ///
    /// # Errors
    /// If it can neither be read nor written.
    pub fn place(&self) -> Result<String, CommandError> {
        let path = self.state.join(PLACE);
        let cannot = |error: &io::Error| {
            CommandError::new(format!("cannot use {}", path.display()))
                .because(error)
                .nothing_changed()
        };
        match disk::read_up_to(&path, PLACE_LIMIT) {
            Ok(bytes) => {
                let name = String::from_utf8_lossy(&bytes).trim().to_owned();
                if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                    return Err(cannot(&io::Error::other("it does not hold a name"))
                        .next("remove it: the state directory is given another name then"));
                }
                Ok(name)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let name = disk::new_name().map_err(|error| cannot(&error))?;
                disk::write(&path, format!("{name}\n").as_bytes(), Access::Private)
                    .map_err(|error| cannot(&error))?;
                Ok(name)
            }
            Err(error) => Err(cannot(&error)),
        }
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
            // a snapshot that was not taken to its end keeps nobody from anything
            if run.unfinished() && run.plan.purpose() != Purpose::Snapshot {
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

    /// How long steps took in the newest runs of a cluster that have ended. A run that cannot be read any more tells nothing.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn durations(&self, cluster_uid: &str) -> Result<Option<Durations>, CommandError> {
        let of_cluster = |label: Label| label.cluster_uid.as_deref() == Some(cluster_uid);
        let mut all = self.all()?;
        all.reverse();
        let runs: Vec<ReadRun> = all
            .into_iter()
            .filter(|folder| of_cluster(folder.label()) && folder.is_finished().unwrap_or(false))
            .filter_map(|folder| folder.read().ok())
            .filter(|run| run.plan.purpose() == Purpose::Upgrade)
            .take(earlier::RUNS)
            .collect();
        let runs = runs
            .iter()
            .map(|run| (&run.plan, run.past.events.as_slice()));
        Ok(earlier::durations(runs))
    }

    /// Makes a run's directory with everything in it; the journal comes last.
    ///
    /// # Errors
    /// If it is not on disk.
    pub fn make(
        &self,
        now: Timestamp,
        origin: &Origin<'_>,
        facts: &impl Serialize,
        plan: &Plan,
    ) -> Result<(RunFolder, String), CommandError> {
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
        let write = || -> io::Result<()> {
            let record = Record {
                format: FORMAT.to_owned(),
                made_at: now,
                upgrade: disk::absolute(&origin.upgrade.unwrap_or(origin.inventory).path)?,
                inventory: disk::absolute(&origin.inventory.path)?,
                working_directory: disk::absolute(Path::new("."))?,
            };
            disk::make_folders(&self.runs_path())?;
            disk::make_new_folder(&path)?;
            let put =
                |name: &str, bytes: &[u8]| disk::write(&path.join(name), bytes, Access::Private);
            put(RECORD, &serde_json::to_vec_pretty(&record)?)?;
            put("inventory.yaml", &origin.inventory.bytes)?;
            if let Some(upgrade) = origin.upgrade {
                put("upgrade.yaml", &upgrade.bytes)?;
            }
            for (index, text) in origin.hazards.iter().enumerate() {
                put(&format!("hazards-{}.yaml", index + 1), &text.bytes)?;
            }
            disk::make_new_folder(&path.join(approvals::APPROVALS))?;
            put("facts.json", &serde_json::to_vec_pretty(facts)?)?;
            put(PLAN, plan_text.as_bytes())
        };
        write().map_err(|error| {
            CommandError::new(format!("cannot write the run to {}", path.display()))
                .because(&error)
                .nothing_changed()
        })?;
        let refit = self.refit.clone();
        Ok((RunFolder { id, path, refit }, plan_sha256))
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
                clock(holder.since),
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
