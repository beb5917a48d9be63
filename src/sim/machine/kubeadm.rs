//! kubeadm by its steps.
//!
//! Source: kubernetes/kubernetes `cmd/kubeadm/app/cmd/phases/upgrade/` and `cmd/kubeadm/app/phases/upgrade/staticpods.go`: etcd
//! first, then API server, controller manager and scheduler, each moved, awaited and, where that fails, moved back; addons
//! only once every API server is at this node's release.

use std::collections::{BTreeMap, VecDeque};

use super::fail::{Failing, preflight_errors};
use super::phase::Phase;
use super::{EXPIRED, Machine, manifest};
use crate::cluster::facts::{Manifest, Observed};
use crate::cluster::model::Node;
use crate::host::judge::sha256;
use crate::host::op::KubeadmOptions;
use crate::rules::kubeadm_files;
use crate::rules::kubeadm_images::Companions;
use crate::rules::version::Version;
use crate::sim::effect::Effect;
use crate::sim::seam::View;

const CONTROL_PLANE: &str = "node-role.kubernetes.io/control-plane";

impl Machine {
    /// The phases of `kubeadm upgrade apply` or `node`.
    pub(super) fn kubeadm_phases(
        &self,
        version: &Version,
        options: &KubeadmOptions,
        apply: bool,
        control_plane: bool,
    ) -> VecDeque<Phase> {
        let have = self.seen.kubeadm.known();
        if have != Some(version) {
            let have = have.map_or_else(|| "missing".to_owned(), Version::tag);
            let words = format!(
                "refit: kubeadm here is {have}, the plan is for {}: install the planned kubeadm first",
                version.tag()
            );
            return [Phase::GiveUp(words)].into();
        }
        let skipped = |phase: &str| options.skip_phases.iter().any(|skip| skip == phase);
        let mut phases = VecDeque::new();
        phases.push_back(Phase::Preflight {
            version: version.clone(),
            cluster: apply,
            control_plane,
            ignored: options.ignore_preflight_errors.clone(),
        });
        if control_plane {
            let images = self.missing_images(version, &self.image_repository);
            if !images.is_empty() {
                phases.push_back(Phase::Pull {
                    images,
                    kubeadm: true,
                });
            }
            if !skipped("control-plane") {
                let moves = self.moves(version, options);
                if moves.iter().any(|(component, _)| component == "etcd") {
                    phases.push_back(Phase::Backup);
                }
                for (component, image) in moves {
                    phases.push_back(Phase::Move {
                        component: component.clone(),
                        image,
                    });
                    phases.push_back(Phase::Start(component.clone()));
                    phases.push_back(Phase::Settle(component));
                }
            }
        }
        if apply {
            phases.push_back(Phase::UploadConfig(version.clone()));
        }
        if !skipped("kubelet-config") {
            phases.push_back(Phase::KubeletConfig(version.clone()));
        }
        if control_plane {
            let of = |name: &str| !skipped("addon") && !skipped(&format!("addon/{name}"));
            phases.push_back(Phase::Addons {
                version: version.clone(),
                proxy: of("kube-proxy"),
                dns: of("coredns"),
            });
        }
        phases
    }

    /// The static pods that get another image, in kubeadm's order.
    fn moves(&self, version: &Version, options: &KubeadmOptions) -> Vec<(String, String)> {
        let present: BTreeMap<String, String> = self.static_pods().collect();
        let etcd = Companions::of(version.minor())
            .filter(|_| options.etcd_upgrade && !self.custom_etcd)
            .map(|companions| format!("{}/etcd:{}", self.image_repository, companions.etcd));
        let of_the_release = [
            "kube-apiserver",
            "kube-controller-manager",
            "kube-scheduler",
        ]
        .map(|name| {
            (
                name,
                Some(format!(
                    "{}/{name}:{}",
                    self.image_repository,
                    version.tag()
                )),
            )
        });
        std::iter::once(("etcd", etcd))
            .chain(of_the_release)
            .filter_map(|(name, image)| {
                let (now, image) = (present.get(name)?, image?);
                let newer = name != "etcd" || etcd_release(&image) > etcd_release(now);
                (*now != image && newer).then(|| (name.to_owned(), image))
            })
            .collect()
    }

    /// kubeadm's checks before it changes anything.
    pub(super) fn preflight(
        &self,
        view: &View<'_>,
        cluster: bool,
        control_plane: bool,
        ignored: &[String],
    ) -> Result<(), Failing> {
        if control_plane && !self.api_server_answers(view) {
            let api = self
                .seen
                .control_plane
                .as_ref()
                .and_then(|own| own.endpoint.known());
            let api = api.map_or("https://127.0.0.1:6443", String::as_str);
            let why = if self.expired(view.now) {
                EXPIRED.to_owned()
            } else {
                let address = api.trim_start_matches("https://");
                format!("dial tcp {address}: connect: connection refused")
            };
            return Err(Failing::with(
                1,
                format!(
                    "error: error execution phase preflight: couldn't create a Kubernetes client from file \
                     \"/etc/kubernetes/admin.conf\": Get \"{api}/api/v1/namespaces/kube-system/configmaps/kubeadm-config\": {why}"
                ),
            ));
        }
        let not_ready: Vec<&str> = nodes(view)
            .filter(|node| node.labels.contains_key(CONTROL_PLANE) && !node.ready)
            .map(|node| node.name.as_str())
            .collect();
        let is_ignored = ignored
            .iter()
            .any(|name| name == "all" || name.eq_ignore_ascii_case("ControlPlaneNodesReady"));
        if cluster && !not_ready.is_empty() && !is_ignored {
            return Err(Failing::with(
                2,
                preflight_errors(&format!(
                    "ControlPlaneNodesReady]: there are NotReady control-planes in the cluster: [{}]",
                    not_ready.join(" ")
                )),
            ));
        }
        Ok(())
    }

    /// etcd must be healthy as a whole before its member here is touched; kubeadm waits 10 times 15 s for it.
    pub(super) fn etcd_healthy(&self, view: &View<'_>) -> Result<(), Failing> {
        let Observed::Known(etcd) = &self.etcd else {
            return Ok(());
        };
        match etcd
            .members
            .iter()
            .find(|member| !self.healthy(member, view))
        {
            None => Ok(()),
            Some(member) => Err(Failing {
                after: None,
                ..Failing::with(
                    1,
                    format!(
                        "error: error execution phase control-plane: fatal error when trying to upgrade the etcd cluster: etcd \
                         cluster is not healthy: failed to dial endpoint https://{}:2379 with maintenance client: context \
                         deadline exceeded",
                        member.name
                    ),
                )
            }),
        }
    }

    /// Moves the new manifest in, and keeps the old one.
    pub(super) fn move_manifest(&mut self, component: &str, image: &str) {
        let file = format!("{component}.yaml");
        let Some(own) = &mut self.seen.control_plane else {
            return;
        };
        if let Observed::Known(edits) = &mut own.hand_edits {
            edits.files.remove(&file);
        }
        let endpoint = own.endpoint.known().cloned();
        let Observed::Known(manifests) = &mut own.manifests else {
            return;
        };
        if let Some(old) = manifests.get_mut(&file) {
            let mut new = Manifest {
                image: image.to_owned(),
                ..old.clone()
            };
            new.sha256 = sha256(manifest::text(&file, &new, endpoint.as_deref()).as_bytes());
            let old = std::mem::replace(old, new);
            self.kept.insert(component.to_owned(), old.clone());
            self.backups.insert(component.to_owned(), old);
        }
    }

    /// kubeadm moves back what it has moved; etcd only where it was etcd that failed.
    pub(super) fn move_back(&mut self, failed: &str) {
        let backups = std::mem::take(&mut self.backups);
        let Some(own) = &mut self.seen.control_plane else {
            return;
        };
        let Observed::Known(manifests) = &mut own.manifests else {
            return;
        };
        for (component, manifest) in backups {
            if component != "etcd" || failed == "etcd" {
                manifests.insert(format!("{component}.yaml"), manifest);
            }
        }
    }

    /// What kubeadm writes of the kubelet on this machine.
    pub(super) fn write_kubelet_config(&mut self, version: &Version) {
        let minor = version.minor();
        self.seen.kubelet_config = Observed::Known(kubelet_config(version));
        if let Observed::Known(flags) = &mut self.seen.kubelet_flags {
            let (gone, kept) = std::mem::take(flags)
                .into_iter()
                .partition(|flag| kubeadm_files::removes(minor, flag));
            *flags = kept;
            let gone: Vec<String> = gone;
            self.removed_flags.extend(gone);
        }
        if let Observed::Known(there) = &mut self.seen.instance_config {
            *there |= kubeadm_files::writes_instance_config(minor);
        }
    }

    /// The addons, or why it is not their turn.
    pub(super) fn addons(
        &self,
        view: &View<'_>,
        version: &Version,
        proxy: bool,
        dns: bool,
    ) -> Result<Vec<Effect>, String> {
        let behind: Vec<&str> = view
            .others
            .values()
            .filter(|other| {
                let own = other.seen.control_plane.as_ref();
                own.is_some_and(|own| own.api_server.known() != Some(version))
            })
            .map(|other| other.node.as_str())
            .collect();
        if !behind.is_empty() {
            return Err(format!(
                "[upgrade/addon] Skipping upgrade of addons because control plane instances [{}] have not been upgraded",
                behind.join(" ")
            ));
        }
        let repository = &self.image_repository;
        let mut effects = Vec::new();
        if let Some(companions) = Companions::of(version.minor()).filter(|_| dns) {
            let [image, ..] = companions.images(repository);
            effects.push(Effect::AddonApplied {
                kind: "Deployment".to_owned(),
                name: "coredns".to_owned(),
                images: [("coredns".to_owned(), image)].into(),
            });
        }
        if proxy {
            let image = format!("{repository}/kube-proxy:{}", version.tag());
            effects.push(Effect::AddonApplied {
                kind: "DaemonSet".to_owned(),
                name: "kube-proxy".to_owned(),
                images: [("kube-proxy".to_owned(), image)].into(),
            });
        }
        Ok(effects)
    }

    /// Whether the kubelet that is installed starts with the flags that are in its file.
    pub(super) fn refused_flag(&self) -> Option<String> {
        let minor = self.installed("kubelet")?.minor();
        let flags = self.seen.kubelet_flags.known()?;
        let refused = flags
            .iter()
            .find(|flag| kubeadm_files::refused(minor, flag));
        refused.cloned()
    }
}

fn nodes<'w>(view: &View<'w>) -> impl Iterator<Item = &'w Node> + use<'w> {
    view.api.nodes()
}

/// SHA-256 of the cluster's kubelet configuration of a release.
pub(super) fn kubelet_config(version: &Version) -> String {
    sha256(format!("kubelet-config of {}", version.minor()).as_bytes())
}

/// `3.6.5-0` as numbers.
fn etcd_release(image: &str) -> Vec<u64> {
    let tag = image.rsplit_once(':').map_or("", |(_, tag)| tag);
    tag.trim_start_matches('v')
        .split(['.', '-'])
        .map_while(|part| part.parse().ok())
        .collect()
}
