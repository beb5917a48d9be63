//! What a snapshot of etcd holds, and how the cluster goes back to it.
//!
//! Of all objects those are kept that tell whether it went back: refit's own lease, and how many pods each workload wants. Nodes
//! and pods are reported by kubelets, which tell what is.

use std::collections::BTreeMap;

use super::Api;
use crate::ports::Claim;

/// What snapshots hold, by their digest.
#[derive(Debug, Clone, Default)]
pub(super) struct Saved {
    snapshots: BTreeMap<String, Content>,
    /// The snapshot that the cluster has gone back to last.
    in_use: Option<String>,
}

#[derive(Debug, Clone)]
struct Content {
    claim: Option<Claim>,
    /// Kind, namespace, name, and how many pods it wants.
    scales: Vec<(String, String, String, i32)>,
}

impl Api {
    /// A snapshot is taken.
    pub(super) fn save(&mut self, sha256: String) {
        let scales = self
            .workloads
            .keys()
            .filter_map(|key| {
                let wanted = self.scale(key)?;
                let (kind, namespace, name) =
                    (key.kind.clone(), key.namespace.clone(), key.name.clone());
                Some((kind, namespace, name, wanted))
            })
            .collect();
        let claim = self.claim.0.clone();
        self.saved
            .snapshots
            .insert(sha256, Content { claim, scales });
    }

    /// A member comes up that holds what a snapshot held: the first of them takes the cluster back.
    pub(super) fn rewind(&mut self, sha256: &str) {
        if self.saved.in_use.as_deref() == Some(sha256) {
            return;
        }
        let Some(content) = self.saved.snapshots.get(sha256).cloned() else {
            self.violation(format!("the snapshot {sha256} was never taken"));
            return;
        };
        self.saved.in_use = Some(sha256.to_owned());
        self.claim.0 = content.claim;
        for (kind, namespace, name, wanted) in content.scales {
            let now = self
                .workloads()
                .iter()
                .find(|one| one.kind == kind && one.namespace == namespace && one.name == name)
                .map(|one| one.desired);
            if now != Some(wanted) {
                let wanted = usize::try_from(wanted).unwrap_or(0);
                self.set_scale(&kind, &namespace, &name, wanted);
            }
        }
        self.bump();
    }

    /// The snapshot that the cluster has gone back to last; none where it never has.
    #[must_use]
    pub fn went_back_to(&self) -> Option<&str> {
        self.saved.in_use.as_deref()
    }
}
