//! What kubeadm kept, and how its last operation ended.

use std::collections::BTreeMap;

use super::Sections;
use crate::host::op::{AnswerError, Output};

/// Answer to `Query::KubeadmBackups`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubeadmBackups {
    /// The newest directory of manifests that kubeadm replaced.
    pub backup: Option<String>,
    /// What is in it, by static pod.
    pub kept: BTreeMap<String, KeptManifest>,
    /// What is where the kubelet finds it, by static pod.
    pub there: BTreeMap<String, KeptManifest>,
    /// How refit's last operation of kubeadm there ended; none where it began none.
    pub last: Option<LastKubeadm>,
    /// kubeadm runs there now.
    pub busy: bool,
}

/// A static pod's manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptManifest {
    /// SHA-256 of its text.
    pub sha256: String,
    /// Its first image.
    pub image: String,
}

/// An operation of kubeadm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastKubeadm {
    /// Its name: `cp1/kubeadm-node@1.35.4`.
    pub op: String,
    /// Its exit status; none where it was cut off.
    pub status: Option<i32>,
}

/// Reads the answer to `Query::KubeadmBackups`.
///
/// # Errors
/// If it is not the answer expected: then it is not known what there is to go back to.
pub fn kubeadm_backups(output: &Output) -> Result<KubeadmBackups, AnswerError> {
    let sections = Sections::read("kubeadm's backups", output)?;
    let manifests = |name: &str| -> Result<BTreeMap<String, KeptManifest>, AnswerError> {
        sections
            .text(name)?
            .lines()
            .map(|line| match line.split('\t').collect::<Vec<_>>()[..] {
                [pod, sha256, image] if !image.is_empty() => {
                    let sha256 = sections.digest(sha256)?;
                    let image = image.to_owned();
                    Ok((pod.to_owned(), KeptManifest { sha256, image }))
                }
                _ => Err(sections.wrong(format!("`{line}` is no manifest"))),
            })
            .collect()
    };
    let backup = sections.text("backup")?;
    let last = match sections.text("last")?.split('\t').collect::<Vec<_>>()[..] {
        [""] => None,
        [_, "end", _, op, exit] => {
            let status = exit
                .strip_prefix("exit=")
                .and_then(|exit| exit.parse().ok());
            let status = status.ok_or_else(|| sections.wrong(format!("`{exit}` is no end")))?;
            Some(LastKubeadm {
                op: op.to_owned(),
                status: Some(status),
            })
        }
        [_, "start" | "lost", _, op, ..] => Some(LastKubeadm {
            op: op.to_owned(),
            status: None,
        }),
        ref other => return Err(sections.wrong(format!("`{}` is no operation", other.join(" ")))),
    };
    Ok(KubeadmBackups {
        backup: (!backup.is_empty()).then(|| backup.to_owned()),
        kept: manifests("kept")?,
        there: manifests("there")?,
        last,
        busy: !sections.text("busy")?.is_empty(),
    })
}
