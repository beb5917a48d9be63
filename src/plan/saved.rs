//! What is written beside a snapshot that was brought here: whose it is, when and by which etcd it was taken, and what its files
//! must be. Holds no secrets.
//!
//! A snapshot without this is not restored: nothing else tells of which cluster and of which etcd it is.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::cluster::model::HostName;

/// The format this build writes and reads.
pub const FORMAT: &str = "refit.snapshot/v1";

/// What a run has more than one snapshot for: the minor that one was taken before.
pub const BEFORE: &str = "-before-";

/// The names of a snapshot's files on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    stem: String,
    sealed: bool,
}

impl Names {
    /// `INVENTORY-RUN`; where the file on the host is one of several of this run, with the hop that it is for.
    #[must_use]
    pub fn of(inventory: &str, run: &str, file: &str, sealed: bool) -> Self {
        let hop = bare(file)
            .rsplit_once('/')
            .and_then(|(_, file)| Some(file.split_once(BEFORE)?.1))
            .map(|minor| format!("{BEFORE}{minor}"))
            .unwrap_or_default();
        Self {
            stem: format!("{inventory}-{run}{hop}"),
            sealed,
        }
    }

    fn named(&self, ending: &str) -> String {
        let sealed = if self.sealed { ".age" } else { "" };
        format!("{}{ending}{sealed}", self.stem)
    }

    /// The snapshot itself.
    #[must_use]
    pub fn database(&self) -> String {
        self.named(".db")
    }

    /// What it is nothing without.
    #[must_use]
    pub fn archive(&self) -> String {
        self.named(".tar")
    }

    /// This record.
    #[must_use]
    pub fn record(&self) -> String {
        format!("{}.json", self.stem)
    }
}

/// Whether a file is named as a snapshot itself is.
#[must_use]
pub fn is_database(name: &str) -> bool {
    name.strip_suffix(".age").unwrap_or(name).ends_with(".db")
}

/// The name of a snapshot's file without what tells it from the others; all of it where it is none.
#[must_use]
pub fn bare(name: &str) -> &str {
    let clear = name.strip_suffix(".age").unwrap_or(name);
    [".db", ".tar", ".json"]
        .iter()
        .find_map(|ending| clear.strip_suffix(ending))
        .unwrap_or(name)
}

/// A snapshot on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Saved {
    /// [`FORMAT`].
    pub format: String,
    /// The inventory's `metadata.name`.
    pub inventory: String,
    /// UID of the cluster's `kube-system`.
    pub cluster_uid: String,
    /// SHA-256 of the cluster's authority, `/etc/kubernetes/pki/ca.crt`: tells clusters apart while no API answers.
    pub authority_sha256: String,
    /// The run that took it.
    pub run: String,
    /// The control plane whose member gave it.
    pub host: HostName,
    /// When it was brought here.
    pub taken_at: Timestamp,
    /// The member's release: `3.6.5`.
    pub etcd: String,
    /// etcd's revision in it.
    pub revision: i64,
    /// How many keys it holds.
    pub keys: u64,
    /// age recipients that both files are encrypted to; none where they are in the clear.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub encrypted_to: Vec<String>,
    /// The snapshot itself.
    pub database: SavedFile,
    /// The archive of `/etc/kubernetes/pki`, and of the API server's encryption configuration where it has one.
    pub archive: SavedFile,
}

/// A file of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedFile {
    /// Its name, beside this.
    pub name: String,
    /// Bytes in the clear.
    pub size: u64,
    /// SHA-256 in the clear.
    pub sha256: String,
    /// SHA-256 of the file as it is kept, which is another one where it is encrypted.
    pub kept_sha256: String,
}

/// Why it cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SavedError {
    /// Not JSON, or not this.
    #[error("it does not tell of a snapshot: {0}")]
    Json(#[from] serde_json::Error),
    /// Written by another refit.
    #[error("its format is `{0}`, and this refit knows `{FORMAT}`")]
    Format(String),
}

impl Saved {
    /// Its text.
    ///
    /// # Errors
    /// Never in practice.
    pub fn to_json(&self) -> Result<String, SavedError> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        Ok(text)
    }

    /// From its text.
    ///
    /// # Errors
    /// If it tells of no snapshot, or another refit wrote it.
    pub fn from_json(text: &[u8]) -> Result<Self, SavedError> {
        /// Only the format, read first, so that another format gets a clear word.
        #[derive(Deserialize)]
        struct Peek {
            format: String,
        }
        let Peek { format } = serde_json::from_slice(text)?;
        if format != FORMAT {
            return Err(SavedError::Format(format));
        }
        Ok(serde_json::from_slice(text)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_hop_of_a_run_has_a_snapshot_of_its_own() {
        let names = |file, sealed| Names::of("lab", "20261121-101112-ab", file, sealed);
        let first = names("/var/lib/etcd/refit-20261121-101112-ab.db", false);
        let second = names(
            "/var/lib/etcd/refit-20261121-101112-ab-before-1.36.db",
            true,
        );
        assert_eq!(first.database(), "lab-20261121-101112-ab.db");
        assert_eq!(first.archive(), "lab-20261121-101112-ab.tar");
        assert_eq!(
            second.database(),
            "lab-20261121-101112-ab-before-1.36.db.age"
        );
        assert_eq!(second.record(), "lab-20261121-101112-ab-before-1.36.json");
        assert!(is_database("x.db.age") && !is_database("x.tar") && !is_database("x.json"));
        assert_eq!(bare("/a/x.db.partial"), "/a/x.db.partial");
    }
}
