//! A control plane on the way back: manifests put aside, members restored beside the data in use and replaced
//! (`scripts/{restore-member,stop-control-plane,replace-member,start-control-plane}.sh`).

use std::collections::BTreeMap;

use super::fail::Failing;
use super::{Machine, manifest};
use crate::cluster::facts::{Manifest, Observed};
use crate::host::way_back::{COMPONENTS, Change};
use crate::sim::effect::Effect;
use crate::sim::seam::View;

/// What a machine has of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct WayBack {
    /// Manifests that are put aside, by their file's name.
    pub(super) aside: BTreeMap<String, Manifest>,
    /// By directory, SHA-256 of the snapshot that was restored into it.
    pub(super) restored: BTreeMap<String, String>,
    /// Where data lies that was in use before.
    pub(super) before: Vec<String>,
    /// The snapshot that the member's data comes from, where it was replaced, and the members that it was restored with.
    pub(super) data: Option<(String, Vec<String>)>,
    /// The members that what is restored was restored with.
    members: Vec<String>,
}

impl Machine {
    /// The manifests where the kubelet finds them.
    fn manifests_mut(&mut self) -> Option<&mut BTreeMap<String, Manifest>> {
        match &mut self.seen.control_plane.as_mut()?.manifests {
            Observed::Known(manifests) => Some(manifests),
            Observed::Unknown(_) => None,
        }
    }

    /// Whether a static pod's containers run.
    pub(super) fn runs(&self, component: &str) -> bool {
        let there = self.static_pods().any(|(name, _)| name == component);
        there && !self.off && !self.stopped.contains(component)
    }

    /// What a change does as it begins.
    pub(super) fn begin_way_back(&mut self, change: &Change) -> Vec<Effect> {
        match change {
            Change::Stop { .. } => self.put_aside(),
            Change::Start { .. } => {
                let aside = std::mem::take(&mut self.way_back.aside);
                if let Some(manifests) = self.manifests_mut() {
                    manifests.extend(aside);
                }
                Vec::new()
            }
            Change::Restore { .. } | Change::Replace { .. } => Vec::new(),
        }
    }

    fn put_aside(&mut self) -> Vec<Effect> {
        let files: Vec<String> = COMPONENTS
            .iter()
            .map(|name| format!("{name}.yaml"))
            .collect();
        let mut effects = Vec::new();
        for file in files {
            let component = manifest::component(&file).to_owned();
            if self.runs(&component) {
                effects.extend(self.stop_static_pod(&component));
            }
            let taken = self.manifests_mut().and_then(|all| all.remove(&file));
            if let Some(taken) = taken {
                self.stopped.insert(component);
                self.way_back.aside.insert(file, taken);
            }
        }
        effects
    }

    /// What it has done at its end.
    pub(super) fn end_way_back(
        &mut self,
        view: &View<'_>,
        change: &Change,
    ) -> Result<Vec<Effect>, Failing> {
        let gives_up = |words: String| Err(Failing::with(70, format!("refit: {words}")));
        match change {
            Change::Restore {
                at,
                cluster,
                sha256,
                ..
            } => {
                let found = self.snapshots.get(&at.snapshot);
                if found.is_none_or(|snapshot| snapshot.sha256 != *sha256) {
                    return gives_up(format!("{} cannot be read", at.snapshot));
                }
                let names = cluster.iter().map(|member| member.name.clone());
                self.way_back.members = names.collect();
                self.way_back
                    .restored
                    .insert(at.restored.clone(), sha256.clone());
                Ok(Vec::new())
            }
            Change::Stop { .. } => Ok(Vec::new()),
            Change::Replace { at, sha256 } => {
                if COMPONENTS.iter().any(|name| self.runs(name)) {
                    return gives_up("the control plane of this host runs: stop it first".into());
                }
                let mut effects = Vec::new();
                if self.way_back.restored.remove(&at.restored).as_ref() == Some(sha256) {
                    effects.extend(self.others_run(view));
                    if !self.way_back.before.contains(&at.before) {
                        self.way_back.before.push(at.before.clone());
                    }
                    let members = std::mem::take(&mut self.way_back.members);
                    self.way_back.data = Some((sha256.clone(), members));
                } else if !self.way_back.before.contains(&at.before) {
                    return gives_up(format!("{} holds nothing that was restored", at.restored));
                }
                self.snapshots.remove(&at.snapshot);
                Ok(effects)
            }
            Change::Start { .. } => {
                let mut effects = Vec::new();
                let all: Vec<String> = self.static_pods().map(|(name, _)| name).collect();
                for name in all {
                    if !self.runs(&name) {
                        effects.extend(self.start_static_pod(view, &name));
                    }
                }
                Ok(effects)
            }
        }
    }

    /// A member is replaced while another control plane may still write.
    fn others_run(&self, view: &View<'_>) -> Vec<Effect> {
        let up = |other: &&Machine| COMPONENTS.iter().any(|name| other.runs(name));
        let up: Vec<&str> = view
            .others
            .values()
            .filter(up)
            .map(|other| other.node.as_str())
            .collect();
        if up.is_empty() {
            return Vec::new();
        }
        vec![Effect::Violation(format!(
            "its member was replaced while {} still ran",
            up.join(", ")
        ))]
    }

    /// What its member of etcd brings up that was restored; members of other snapshots, or restored with other members, must
    /// never meet.
    pub(super) fn restored_member(&self, view: &View<'_>) -> Vec<Effect> {
        let Some((sha256, _)) = &self.way_back.data else {
            return Vec::new();
        };
        let mut effects: Vec<Effect> = view
            .others
            .values()
            .filter(|other| other.runs("etcd") && other.way_back.data != self.way_back.data)
            .map(|other| {
                Effect::Violation(format!(
                    "its member has other data than that of {}",
                    other.node
                ))
            })
            .collect();
        effects.push(Effect::EtcdRestored {
            sha256: sha256.clone(),
        });
        effects
    }
}
