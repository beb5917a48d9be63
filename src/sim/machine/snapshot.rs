//! Snapshots of etcd on the machine.

use std::time::Duration;

use super::Machine;
use crate::host::judge::sha256;
use crate::sim::seam::View;

/// A snapshot file, without its content: no one reads it, and its digest is that of what made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Snapshot {
    pub(super) size: u64,
    pub(super) sha256: String,
    /// etcdutl's own hash.
    pub(super) hash: u32,
    pub(super) revision: i64,
    pub(super) keys: u64,
    /// When it was last written, since the world's beginning.
    pub(super) written: Duration,
}

impl Snapshot {
    /// What etcd gives at this moment.
    pub(super) fn of(file: &str, size: u64, now: Duration) -> Self {
        let digest = sha256(format!("{file}/{size}/{}", now.as_millis()).as_bytes());
        let hash = u32::from_str_radix(digest.get(..8).unwrap_or("0"), 16).unwrap_or(0);
        Self {
            size,
            sha256: digest,
            hash,
            revision: 1000 + i64::try_from(now.as_secs()).unwrap_or(0),
            keys: 834,
            written: now,
        }
    }

    /// Size and SHA-256 of the archive beside it.
    pub(super) fn archive(&self) -> (u64, String) {
        let digest = sha256(format!("archive of {}", self.sha256).as_bytes());
        (61_440, digest)
    }
}

impl Machine {
    /// Takes in a file of this digest, which was sent here.
    pub fn receive(&mut self, view: &View<'_>, file: &str, sha256: &str) {
        let received = Snapshot {
            sha256: sha256.to_owned(),
            ..Snapshot::of(file, 0, view.now)
        };
        self.snapshots.insert(file.to_owned(), received);
    }

    /// SHA-256 of the cluster's authority, the same on each of its control planes.
    pub(super) fn authority(&self) -> String {
        sha256(format!("authority of {}", self.cluster).as_bytes())
    }

    /// The release of this machine's member of etcd, where it is known.
    pub(super) fn etcd_release(&self) -> Option<String> {
        let members = &self.etcd.known()?.members;
        let own = members.iter().find(|member| self.has(member))?;
        own.version.clone()
    }
}
