//! What kubeadm kept, and how its last operation ended.

use super::Said;
use crate::cluster::facts::Manifest;
use crate::host::op::{Mutation, Output};
use crate::sim::machine::{Machine, manifest, rollback};

impl Machine {
    /// `scripts/kubeadm-backups.sh`.
    pub(super) fn kubeadm_backups(&self) -> Output {
        let mut said = Said::default();
        let line = |name: &str, manifest: &Manifest| {
            format!("{name}\t{}\t{}\n", manifest.sha256, manifest.image)
        };
        let backup = if self.kept.is_empty() {
            ""
        } else {
            rollback::BACKUP
        };
        said.text("backup", backup);
        let kept = self.kept.iter().map(|(name, kept)| line(name, kept));
        said.text("kept", &kept.collect::<String>());
        let own = self.seen.control_plane.as_ref();
        let there = own.and_then(|own| own.manifests.known());
        let there = there
            .into_iter()
            .flatten()
            .map(|(file, there)| line(manifest::component(file), there));
        said.text("there", &there.collect::<String>());
        let of_kubeadm = |mutation: &Mutation| {
            matches!(
                mutation,
                Mutation::KubeadmApply { .. } | Mutation::KubeadmNode { .. }
            )
        };
        let last = self.unit.last(of_kubeadm).map(|(op, status)| match status {
            Some(status) => format!("-\tend\t{}\t{}\texit={status}", op.run, op.op),
            None => format!("-\tstart\t{}\t{}\trefit-kubeadm", op.run, op.op),
        });
        said.text("last", &last.unwrap_or_default());
        said.text("busy", "");
        said.done()
    }
}
