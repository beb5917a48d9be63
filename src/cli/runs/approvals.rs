//! What people have said of a run's steps: a file for each, written whole by `refit approve` in whichever process.
//!
//! The folder is made with the run, and is the run's user's. What is in it holds no secret and may be read by whoever may enter
//! it, so that the run reads what another user, such as root through sudo, has written there.
//!
//! A record names the run, the digest of its plan and the step, so that a word given for one plan is never taken for another's.

use std::io;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::adapters::disk::{self, Access};
use crate::plan::file::sha256;
use crate::ports::{Approval, People, Store as _};

pub(super) const APPROVALS: &str = "approvals";

const FORMAT: &str = "refit.approval/v1";
const PAUSE: &str = "pause.json";
const PAUSE_FORMAT: &str = "refit.pause/v1";

/// A run's approvals, and whether somebody is here.
#[derive(Debug, Clone)]
pub struct Approvals {
    pub(super) folder: PathBuf,
    pub(super) run: String,
    pub(super) plan_sha256: String,
    pub(super) refit: String,
    pub(super) present: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    format: String,
    run: String,
    plan_sha256: String,
    step: String,
    by: String,
    at: Timestamp,
}

/// That the run is to pause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pause {
    format: String,
    run: String,
    by: String,
    at: Timestamp,
}

impl Approvals {
    /// Writes down that `by` approves the step. A later word takes the place of an earlier one.
    ///
    /// # Errors
    /// If it is not on disk.
    pub fn give(&self, step: &str, by: &str, at: Timestamp) -> io::Result<()> {
        let record = Record {
            format: FORMAT.to_owned(),
            run: self.run.clone(),
            plan_sha256: self.plan_sha256.clone(),
            step: step.to_owned(),
            by: by.to_owned(),
            at,
        };
        disk::make_folders(&self.folder)?;
        let text = serde_json::to_vec_pretty(&record)?;
        disk::write(&self.file(step), &text, Access::AsItsFolder)
    }

    /// Writes down that `by` asks the run to pause.
    ///
    /// # Errors
    /// If it is not on disk.
    pub fn ask_to_pause(&self, by: &str, at: Timestamp) -> io::Result<()> {
        let record = Pause {
            format: PAUSE_FORMAT.to_owned(),
            run: self.run.clone(),
            by: by.to_owned(),
            at,
        };
        disk::make_folders(&self.folder)?;
        let text = serde_json::to_vec_pretty(&record)?;
        disk::write(&self.folder.join(PAUSE), &text, Access::AsItsFolder)
    }

    /// Forgets that anybody asked: whoever takes the run up has heard it.
    ///
    /// # Errors
    /// If it is still there.
    pub fn forget_pause(&self) -> io::Result<()> {
        match disk::LocalStore.remove(&self.folder.join(PAUSE)) {
            // not even the folder is there
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }

    /// Step ids hold slashes.
    fn file(&self, step: &str) -> PathBuf {
        let digest = sha256(step.as_bytes());
        self.folder.join(format!("{}.json", &digest[..16]))
    }
}

impl People for Approvals {
    fn approval(&self, step: &str) -> io::Result<Option<Approval>> {
        let path = self.file(step);
        let text = match disk::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(io::Error::new(
                    error.kind(),
                    format!("{} cannot be read: {error}", path.display()),
                ));
            }
        };
        let wrong = |why: String| io::Error::other(format!("{}: {why}", path.display()));
        let record: Record =
            serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
        if record.format != FORMAT {
            return Err(wrong(format!(
                "its format is `{}`, not `{FORMAT}`",
                record.format
            )));
        }
        if record.run != self.run || record.step != step || record.plan_sha256 != self.plan_sha256 {
            return Err(wrong(
                "it was given for another run, plan or step".to_owned(),
            ));
        }
        Ok(Some(Approval {
            by: record.by,
            at: record.at,
        }))
    }

    fn present(&self) -> bool {
        self.present
    }

    fn pause(&self) -> io::Result<Option<Approval>> {
        let path = self.folder.join(PAUSE);
        let text = match disk::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let Pause {
            format,
            run,
            by,
            at,
        } = serde_json::from_slice(&text)?;
        if format != PAUSE_FORMAT || run != self.run {
            let why = format!("{} was not written for this run", path.display());
            return Err(io::Error::other(why));
        }
        Ok(Some(Approval { by, at }))
    }

    fn refit(&self) -> &str {
        &self.refit
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const STEP: &str = "gate/sign-off@1.35.4";

    fn approvals(folder: &std::path::Path) -> Approvals {
        Approvals {
            folder: folder.join(APPROVALS),
            run: "r1".to_owned(),
            plan_sha256: "p".to_owned(),
            refit: "refit".to_owned(),
            present: false,
        }
    }

    #[test]
    fn who_may_enter_the_folder_may_read_what_another_user_has_given() {
        let state = tempfile::tempdir().unwrap();
        let approvals = approvals(state.path());
        assert_eq!(approvals.approval(STEP).unwrap(), None);
        approvals
            .give(STEP, "alice", Timestamp::UNIX_EPOCH)
            .unwrap();
        assert_eq!(approvals.approval(STEP).unwrap().unwrap().by, "alice");
        let mode = |path: &std::path::Path| {
            let found = std::fs::metadata(path).unwrap();
            found.permissions().mode() & 0o777
        };
        assert_eq!(mode(&approvals.file(STEP)), 0o644);
        assert_eq!(mode(&approvals.folder), 0o700);
    }

    #[test]
    fn a_request_to_pause_is_heard_until_the_run_is_taken_up() {
        let state = tempfile::tempdir().unwrap();
        let approvals = approvals(state.path());
        assert_eq!(approvals.pause().unwrap(), None);
        approvals.forget_pause().unwrap();
        approvals
            .ask_to_pause("alice@desk", Timestamp::UNIX_EPOCH)
            .unwrap();
        assert_eq!(approvals.pause().unwrap().unwrap().by, "alice@desk");
        let other = Approvals {
            run: "r2".to_owned(),
            ..approvals.clone()
        };
        assert!(other.pause().is_err());
        approvals.forget_pause().unwrap();
        assert_eq!(approvals.pause().unwrap(), None);
    }

    #[test]
    fn one_that_cannot_be_read_is_not_one_that_is_missing() {
        let state = tempfile::tempdir().unwrap();
        let approvals = approvals(state.path());
        // Root may read whatever has no rights; a directory nobody reads as a file.
        std::fs::create_dir_all(approvals.file(STEP)).unwrap();
        let why = approvals.approval(STEP).unwrap_err().to_string();
        assert!(
            why.contains("approvals/") && why.contains("cannot be read"),
            "{why}"
        );
    }
}
