//! Deployments, StatefulSets and DaemonSets: how many pods they want, of which images, and how far their rollout is.
//!
//! Until a pod of a workload changes its status is the observed one; from then on it is counted. A workload whose pods the
//! facts do not have is rolled out at once.
//!
//! Sources: kubernetes/kubernetes `pkg/controller/deployment/rolling.go`; `maxSurge` and `maxUnavailable` as
//! `pkg/apis/apps/v1/defaults.go` sets them, but one pod may always be away, as kubeadm sets it for CoreDNS.

use std::collections::BTreeMap;

use super::sets::{Keeps, Set, active};
use super::{Api, Event, Owner};
use crate::cluster::model::{Controller, Workload};

/// Kind, namespace, name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkloadKey {
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) name: String,
}

/// A workload and those sets that carry it.
#[derive(Debug, Clone)]
pub(super) struct Rollout {
    observed: Workload,
    /// Its sets, the newest last.
    sets: Vec<Owner>,
    /// Something of it has changed since it was observed.
    touched: bool,
    due: bool,
}

impl Api {
    pub(super) fn add_workload(&mut self, workload: Workload) {
        let key = WorkloadKey {
            kind: workload.kind.clone(),
            namespace: workload.namespace.clone(),
            name: workload.name.clone(),
        };
        let rollout = Rollout {
            observed: workload,
            sets: Vec::new(),
            touched: false,
            due: false,
        };
        self.workloads.insert(key, rollout);
    }

    /// The workload that a controller of pods belongs to: itself, or for a ReplicaSet the Deployment that named it.
    pub(super) fn workload_of(&mut self, owner: &Owner) -> Option<WorkloadKey> {
        if !owner.api_version.starts_with("apps/") {
            return None;
        }
        let (kind, name) = match owner.kind.as_str() {
            "ReplicaSet" => ("Deployment", owner.name.rsplit_once('-')?.0),
            kind => (kind, owner.name.as_str()),
        };
        let key = WorkloadKey {
            kind: kind.to_owned(),
            namespace: owner.namespace.clone(),
            name: name.to_owned(),
        };
        self.workloads.get_mut(&key)?.sets.push(owner.clone());
        Some(key)
    }

    /// A Deployment with a single ReplicaSet wants as many as it says, however many there were. With several, which one is the
    /// newest is not in the facts: the largest is taken for it.
    pub(super) fn want_as_deployments_say(&mut self) {
        for (key, rollout) in &mut self.workloads {
            if key.kind != "Deployment" {
                continue;
            }
            let replicas =
                |owner: &Owner| self.sets.get(owner).map_or(0, super::sets::Set::replicas);
            rollout.sets.sort_by_key(replicas);
            if let [only] = rollout.sets.as_slice()
                && let Some(set) = self.sets.get_mut(only)
                && let Ok(wanted) = usize::try_from(rollout.observed.desired)
            {
                set.keeps = Keeps::Replicas(wanted);
            }
        }
    }

    /// How many pods the workload wants; none where it is not known.
    pub(super) fn scale(&self, key: &WorkloadKey) -> Option<i32> {
        self.workloads
            .get(key)
            .map(|rollout| rollout.observed.desired)
    }

    /// Gives a Deployment's newest set, or a set, another number; whether there is one.
    pub(super) fn set_scale(
        &mut self,
        kind: &str,
        namespace: &str,
        name: &str,
        replicas: usize,
    ) -> bool {
        let key = WorkloadKey {
            kind: kind.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        let owner = match self.workloads.get_mut(&key) {
            Some(rollout) => {
                rollout.observed.desired = i32::try_from(replicas).unwrap_or(i32::MAX);
                rollout.sets.last().cloned()
            }
            None => {
                let named = |owner: &&Owner| {
                    owner.namespace == namespace && owner.kind == kind && owner.name == name
                };
                self.sets.keys().find(named).cloned()
            }
        };
        let Some(set) = owner.as_ref().and_then(|owner| self.sets.get_mut(owner)) else {
            return false;
        };
        set.keeps = Keeps::Replicas(replicas);
        if let Some(owner) = owner {
            let sample = self.pods.of(&owner).next().map(|(id, _)| id);
            self.sync_soon(&owner);
            // the disruption controller watches scales too
            if let Some(id) = sample {
                self.pod_changed(id);
            }
        }
        true
    }

    pub(super) fn workload_touched(&mut self, key: &WorkloadKey) {
        let Some(rollout) = self.workloads.get_mut(key) else {
            return;
        };
        rollout.touched = true;
        if rollout.sets.len() > 1 && !std::mem::replace(&mut rollout.due, true) {
            self.later(self.timing.reaction, Event::Roll(key.clone()));
        }
    }

    /// Gives a workload other images; its pods are replaced step by step.
    pub(super) fn set_images(
        &mut self,
        kind: &str,
        namespace: &str,
        name: &str,
        images: BTreeMap<String, String>,
    ) {
        let key = WorkloadKey {
            kind: kind.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        let Some(rollout) = self.workloads.get_mut(&key) else {
            return;
        };
        if rollout.observed.images == images {
            return;
        }
        rollout.observed.images.clone_from(&images);
        let Some(newest) = rollout.sets.last().cloned() else {
            return;
        };
        rollout.touched = true;
        let generation = rollout.sets.len();
        if kind != "Deployment" {
            if let Some(set) = self.sets.get_mut(&newest) {
                set.template.images = images;
            }
            self.sync_soon(&newest);
            return;
        }
        let owner = Owner {
            name: format!("{name}-{}", hash(&images, generation)),
            ..newest.clone()
        };
        if let Some(old) = self.sets.get(&newest) {
            let mut template = old.template.clone();
            template.images = images;
            template.controller = Some(Controller {
                api_version: owner.api_version.clone(),
                kind: owner.kind.clone(),
                name: owner.name.clone(),
            });
            if let Some(label) = template.labels.get_mut("pod-template-hash") {
                *label = owner.name.rsplit('-').next().unwrap_or_default().to_owned();
            }
            let set = Set::new(Keeps::Replicas(0), template, Some(key.clone()));
            self.sets.insert(owner.clone(), set);
        }
        if let Some(rollout) = self.workloads.get_mut(&key) {
            rollout.sets.push(owner);
        }
        self.workload_touched(&key);
    }

    /// A step of a Deployment's rollout: at most a quarter more pods than wanted, at most one fewer that serve.
    pub(super) fn roll(&mut self, key: &WorkloadKey) {
        let Some(rollout) = self.workloads.get_mut(key) else {
            return;
        };
        rollout.due = false;
        let wanted = usize::try_from(rollout.observed.desired).unwrap_or_default();
        let Some((newest, older)) = rollout
            .sets
            .clone()
            .split_last()
            .map(|(last, rest)| (last.clone(), rest.to_vec()))
        else {
            return;
        };
        let of = |owner: &Owner| self.sets.get(owner).map_or(0, Set::replicas);
        let serving = |owner: &Owner| {
            let ready = |(_, held): &(_, &super::Held)| active(held) && held.pod.ready;
            self.pods.of(owner).filter(ready).count()
        };
        let old: usize = older.iter().map(of).sum();
        let most = wanted + wanted.div_ceil(4).max(1);
        let new = most
            .saturating_sub(old)
            .clamp(of(&newest), wanted.max(of(&newest)));
        let ready: usize = older.iter().chain([&newest]).map(serving).sum();
        let mut spare = ready.saturating_sub(wanted.saturating_sub(1));
        let mut changes = vec![(newest, new)];
        for owner in older {
            let has = of(&owner);
            // those that do not serve cost nothing
            let idle = has.saturating_sub(serving(&owner));
            let gone = (idle + spare).min(has);
            spare -= gone.saturating_sub(idle).min(spare);
            changes.push((owner, has - gone));
        }
        for (owner, replicas) in changes {
            if let Some(set) = self.sets.get_mut(&owner)
                && set.replicas() != replicas
            {
                set.keeps = Keeps::Replicas(replicas);
                self.sync_soon(&owner);
            }
        }
    }

    /// A workload as the API shows it now.
    pub(super) fn workload(&self, key: &WorkloadKey) -> Workload {
        let Some(rollout) = self.workloads.get(key) else {
            return Workload {
                kind: key.kind.clone(),
                namespace: key.namespace.clone(),
                name: key.name.clone(),
                desired: 0,
                updated: 0,
                ready: 0,
                up_to_date: false,
                images: BTreeMap::new(),
            };
        };
        let mut shown = rollout.observed.clone();
        if !rollout.touched {
            return shown;
        }
        let (mut updated, mut ready, mut older) = (0, 0, 0);
        for (_, held) in rollout.sets.iter().flat_map(|owner| self.pods.of(owner)) {
            if !active(held) {
                continue;
            }
            ready += i32::from(held.pod.ready);
            if held.pod.images == shown.images {
                updated += 1;
            } else {
                older += 1;
            }
        }
        if key.kind == "DaemonSet" {
            let wanted = rollout.sets.last().and_then(|owner| self.sets.get(owner));
            shown.desired =
                wanted.map_or(0, |set| i32::try_from(set.replicas()).unwrap_or(i32::MAX));
        }
        (shown.updated, shown.ready) = (updated, ready);
        shown.up_to_date = older == 0 || key.kind != "Deployment";
        shown
    }
}

/// Ten characters for a template, the same in each run.
fn hash(images: &BTreeMap<String, String>, generation: usize) -> String {
    let text = images.values().flat_map(|image| image.bytes());
    let hash = text.fold(generation as u64 + 0xcbf2_9ce4, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}").chars().take(10).collect()
}
