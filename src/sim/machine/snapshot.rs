//! Snapshots of etcd on the machine.

use std::time::Duration;

use crate::host::judge::sha256;

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
}
