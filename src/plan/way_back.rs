//! The parts of a way back, as a plan has them: each with all its arguments.

use serde::{Deserialize, Serialize};

use crate::host::rollback::PutBack;
use crate::host::way_back::{Change, Member, Places};

/// A part of the way back on one control plane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Reads only: this is the member that the plan knows, of the snapshot's cluster, with room for what is restored.
    Check(CheckMember),
    /// The snapshot is sent there.
    Send(SendSnapshot),
    /// It is changed.
    Change(Change),
    /// Manifests that kubeadm replaced are put back, where its upgrade did not end well.
    PutBack(PutBack),
}

/// What a control plane must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckMember {
    /// Where things will be.
    pub at: Places,
    /// Its member of etcd.
    pub member: Member,
    /// SHA-256 of the cluster's authority, which is the snapshot's.
    pub authority_sha256: String,
    /// Bytes that must be free in etcd's data directory.
    pub free: u64,
}

/// A snapshot on its way to a control plane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SendSnapshot {
    /// Where things are there.
    pub at: Places,
    /// The file on this machine.
    pub from: String,
    /// A file of age identities on this machine that open it; none where it is in the clear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// SHA-256 of what it holds.
    pub sha256: String,
}
