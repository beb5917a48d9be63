//! One run's directory: what it was made from, how far it is, and whether this refit can go on with it.
//!
//! Whether a run is finished is told by its journal alone, so that a finished one is nobody's concern whatever refit wrote it.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::approvals::{APPROVALS, Approvals};
use super::{FORMAT, HOOKS, JOURNAL, PLAN, PUT_ASIDE, RECORD};
use crate::adapters::disk::{self, Access, AppendFile};
use crate::adapters::program::LocalPrograms;
use crate::cli::CommandError;
use crate::plan::data::Plan;
use crate::plan::file::{Label, PlanError, sha256};
use crate::run::journal::{self, DamageKind, Outline, Past};

/// What a run was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// `refit.run/v1`.
    pub format: String,
    /// When it was made.
    pub made_at: Timestamp,
    /// The upgrade, absolute; the inventory where none was given.
    pub upgrade: PathBuf,
    /// The inventory, absolute.
    pub inventory: PathBuf,
    /// The working directory, which relative paths of the plan (the snapshots' directory) are relative to.
    pub working_directory: PathBuf,
}

/// Why a record is not read.
#[derive(Debug, thiserror::Error)]
pub(super) enum RecordError {
    #[error("it does not tell what a run was made from: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the run's format is `{0}`, and this refit knows `{FORMAT}`")]
    Format(String),
}

impl Record {
    pub(super) fn from_json(text: &[u8]) -> Result<Self, RecordError> {
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

    /// Makes the directory where the run began this process's own, as the plan's relative paths want it.
    ///
    /// # Errors
    /// If it cannot be entered.
    pub fn go_there(&self) -> Result<(), CommandError> {
        let directory = &self.working_directory;
        std::env::set_current_dir(directory).map_err(|error| {
            CommandError::new(format!(
                "cannot go to {}, where the run began",
                directory.display()
            ))
            .because(&error)
            .nothing_changed()
        })
    }
}

/// A run's directory.
#[derive(Debug, Clone)]
pub struct RunFolder {
    /// The run's id.
    pub id: String,
    pub(super) path: PathBuf,
    /// How a command begins that finds it.
    pub(super) refit: String,
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
        let state = &self.past.state;
        state.run.is_some() && !state.finished && !state.is_abandoned() && !self.put_aside
    }
}

impl RunFolder {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How a command begins that finds it.
    #[must_use]
    pub fn refit(&self) -> &str {
        &self.refit
    }

    /// The journal's text.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn journal_text(&self) -> Result<Vec<u8>, CommandError> {
        disk::read(&self.journal()).map_err(|error| self.unusable(JOURNAL, &error))
    }

    /// The plan's text.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn plan_text(&self) -> io::Result<Vec<u8>> {
        disk::read(&self.path.join(PLAN))
    }

    fn journal(&self) -> PathBuf {
        self.path.join(JOURNAL)
    }

    pub(super) fn began(&self) -> bool {
        disk::read_up_to(&self.journal(), 1).is_ok_and(|bytes| !bytes.is_empty())
    }

    pub fn is_put_aside(&self) -> bool {
        disk::read_up_to(&self.path.join(PUT_ASIDE), 1).is_ok()
    }

    /// Whom the plan is for, as far as it tells.
    pub(super) fn label(&self) -> Label {
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
        disk::write(&self.path.join(PUT_ASIDE), text.as_bytes(), Access::Private).map_err(|error| {
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
        // Only what another refit wrote is told by its outline, for which all of the journal is read.
        let foreign =
            |name: &str, error: &(dyn Error + 'static)| match journal::outline(&journal_text) {
                Ok(outline) => self.foreign(name, error, &outline),
                Err(damage) => self.unusable(JOURNAL, &damage),
            };
        let record = Record::from_json(&file(RECORD)?).map_err(|error| match error {
            RecordError::Json(error) => self.unusable(RECORD, &error),
            RecordError::Format(_) => foreign(RECORD, &error),
        })?;
        let plan_text = file(PLAN)?;
        let plan_sha256 = sha256(&plan_text);
        let plan =
            Plan::from_json(&String::from_utf8_lossy(&plan_text)).map_err(|error| match error {
                PlanError::Format(_) | PlanError::Fields(_) => foreign(PLAN, &error),
                PlanError::Json(_)
                | PlanError::Digest { .. }
                | PlanError::Fingerprint
                | PlanError::Graph(_) => self.unusable(PLAN, &error),
            })?;
        let past = journal::read(&journal_text).map_err(|error| match error.kind {
            DamageKind::Foreign(_) => foreign(JOURNAL, &error),
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

    /// What people say to the run; `present` where somebody is here to be waited for.
    #[must_use]
    pub fn approvals(&self, plan_sha256: &str, present: bool) -> Approvals {
        Approvals {
            folder: self.path.join(APPROVALS),
            run: self.id.clone(),
            plan_sha256: plan_sha256.to_owned(),
            refit: self.refit.clone(),
            present,
        }
    }

    /// Makes the journal's file: from now on the run has begun.
    ///
    /// # Errors
    /// If it is not on disk.
    pub fn begin(&self) -> Result<AppendFile, CommandError> {
        AppendFile::create(&self.journal()).map_err(|error| {
            CommandError::new(format!("run {}: cannot make its journal", self.id))
                .because(&error)
                .nothing_changed()
        })
    }

    /// This machine's programs, of which the run's hooks must not run beside themselves.
    #[must_use]
    pub fn programs(&self) -> LocalPrograms {
        LocalPrograms::new(self.path.join(HOOKS))
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
