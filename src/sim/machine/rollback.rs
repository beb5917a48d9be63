//! Manifests that kubeadm replaced, put back (`scripts/put-back-manifests.sh`). What kubeadm kept outlives what it does with it.

use super::fail::Failing;
use super::{Machine, manifest};
use crate::cluster::facts::Observed;
use crate::host::rollback::PutBack;
use crate::sim::effect::Effect;
use crate::sim::seam::View;

/// Where kubeadm keeps them; the time in its name is of no account here.
pub(super) const BACKUP: &str = "/etc/kubernetes/tmp/kubeadm-backup-manifests-0";

impl Machine {
    pub(super) fn put_back(
        &mut self,
        view: &View<'_>,
        back: &PutBack,
    ) -> Result<Vec<Effect>, Failing> {
        let mut effects = Vec::new();
        for (component, sha256) in &back.manifests {
            let kept = self.kept.get(component).cloned();
            let Some(kept) = kept.filter(|kept| kept.sha256 == *sha256) else {
                let words = format!("refit: {BACKUP}/{component}.yaml is not as the plan has it");
                return Err(Failing::with(70, words));
            };
            let file = format!("{component}.yaml");
            let own = self.seen.control_plane.as_mut();
            if let Some(Observed::Known(manifests)) = own.map(|own| &mut own.manifests) {
                manifests.insert(file.clone(), kept);
            }
            effects.extend(self.stop_static_pod(manifest::component(&file)));
            effects.extend(self.start_static_pod(view, manifest::component(&file)));
        }
        Ok(effects)
    }
}
