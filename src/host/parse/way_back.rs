//! How far a control plane is on the way back.

use super::Sections;
use crate::host::op::{AnswerError, Output};

/// Answer to `Query::WayBack`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WayBack {
    /// Static pods of kubeadm whose manifests are where the kubelet finds them.
    pub manifests: Vec<String>,
    /// Those whose manifests are put aside.
    pub aside: Vec<String>,
    /// Those of which containers run.
    pub running: Vec<String>,
    /// SHA-256 of the snapshot, where it is there.
    pub snapshot: Option<String>,
    /// SHA-256 of the snapshot that was restored beside the data in use, and is whole.
    pub restored: Option<String>,
    /// The member has data.
    pub member: bool,
    /// The data that it had before is kept.
    pub before: bool,
    /// SHA-256 of the cluster's authority, `/etc/kubernetes/pki/ca.crt`.
    pub authority_sha256: Option<String>,
    /// Bytes free in etcd's data directory.
    pub free: u64,
}

/// Reads the answer to `Query::WayBack`.
///
/// # Errors
/// If it is not the answer expected: then it is not known how far it is.
pub fn way_back(output: &Output) -> Result<WayBack, AnswerError> {
    let sections = Sections::read("way back", output)?;
    let names = |name: &str| -> Result<Vec<String>, AnswerError> {
        let text = sections.text(name)?;
        Ok(text.lines().map(|line| line.trim().to_owned()).collect())
    };
    let digest = |name: &str| -> Result<Option<String>, AnswerError> {
        match sections.text(name)? {
            "" => Ok(None),
            printed => sections.digest(printed).map(Some),
        }
    };
    let is = |name: &str| match sections.text(name)? {
        "yes" => Ok(true),
        "no" => Ok(false),
        other => Err(sections.wrong(format!("`{other}` is neither yes nor no"))),
    };
    let free = sections.text("free")?;
    Ok(WayBack {
        manifests: names("manifests")?,
        aside: names("aside")?,
        running: names("running")?,
        snapshot: digest("snapshot")?,
        restored: digest("restored")?,
        member: is("member")?,
        before: is("before")?,
        authority_sha256: digest("authority")?,
        free: free
            .parse()
            .map_err(|_| sections.wrong(format!("`{free}` is no number of bytes")))?,
    })
}
