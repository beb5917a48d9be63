//! A control plane whose upgrade by kubeadm did not end well, and the manifests that kubeadm kept.
//!
//! kubeadm replaces the manifests of static pods one after the other, and keeps what it replaces in a directory of its own. Where
//! it fails it puts them back itself; where it was cut off (a reboot, a power cut), some pods are of one release and some of another.
//! etcd's manifest is never put back: kubeadm itself leaves a member that was upgraded as it is, and with more members than one the
//! data of one of them must not go back alone.
//!
//! Source: kubernetes/kubernetes `cmd/kubeadm/app/phases/upgrade/staticpods.go`, `rollbackOldManifests` and
//! `rollbackEtcdData`; kubernetes/website `content/en/docs/tasks/administer-cluster/kubeadm/kubeadm-upgrade.md`, "Recovering from a
//! failure state".

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::command::script;
use super::op::{AnswerError, Command, Output, Standing};
use super::parse;

/// Manifests to put back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PutBack {
    /// Where kubeadm kept them.
    pub backup: String,
    /// Static pod (`kube-apiserver`) to the SHA-256 of its manifest there.
    pub manifests: BTreeMap<String, String>,
}

impl PutBack {
    pub(super) fn command(&self) -> Command {
        let pairs = self.manifests.iter();
        let pairs = pairs.flat_map(|(name, sha256)| [name.clone(), sha256.clone()]);
        script(
            "refit-put-back-manifests",
            &[include_str!("scripts/put-back-manifests.sh")],
            std::iter::once(self.backup.clone()).chain(pairs).collect(),
        )
    }

    pub(super) fn judge(&self, output: &Output) -> Result<Standing, AnswerError> {
        let found = parse::kubeadm_backups(output)?;
        let is = |(name, sha256): (&String, &String)| {
            let there = found.there.get(name);
            there.is_some_and(|manifest| manifest.sha256 == *sha256)
        };
        if self.manifests.iter().all(is) {
            return Ok(Standing::Done);
        }
        if found.busy {
            return Ok(Standing::Mismatch("kubeadm runs there".to_owned()));
        }
        Ok(Standing::Ready)
    }
}

/// What asks for them.
pub(super) fn query() -> Command {
    script(
        "refit-kubeadm-backups",
        &[include_str!("scripts/kubeadm-backups.sh")],
        Vec::new(),
    )
}
