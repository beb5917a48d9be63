//! Controllers that keep a number of pods: ReplicaSets, StatefulSets, DaemonSets, and whatever else owns pods.
//!
//! Facts do not have these objects, only their pods and, for most, the workload: a set is founded on what its pods show, with
//! one of them as its template. Mirror pods belong to their node's kubelet, not to a set.
//!
//! Sources: kubernetes/kubernetes `pkg/controller/{replicaset,statefulset,daemon}`.

use std::collections::{BTreeMap, BTreeSet};

use super::workloads::WorkloadKey;
use super::{Api, Event, Held, Owner, PodId};
use crate::cluster::model::{NodeName, Pod, PodPhase};
use crate::rules::eviction;

/// How a controller brings pods back.
#[derive(Debug, Clone)]
pub(super) enum Keeps {
    /// So many, anywhere, each of a new name.
    Replicas(usize),
    /// One of each of these names, and only once the one before is gone.
    Named(BTreeMap<String, Pod>),
    /// One on each of these nodes, and only once the one before is gone.
    OnNodes(BTreeSet<NodeName>),
}

/// A controller and what it keeps.
#[derive(Debug, Clone)]
pub(super) struct Set {
    pub(super) keeps: Keeps,
    /// What a new pod is like.
    pub(super) template: Pod,
    /// The workload it belongs to, which says how many it wants.
    pub(super) workload: Option<WorkloadKey>,
    /// It is looked after soon.
    due: bool,
    made: u32,
}

impl Set {
    pub(super) const fn new(keeps: Keeps, template: Pod, workload: Option<WorkloadKey>) -> Self {
        Self {
            keeps,
            template,
            workload,
            due: false,
            made: 0,
        }
    }

    /// How many pods it wants.
    pub(super) fn replicas(&self) -> usize {
        match &self.keeps {
            Keeps::Replicas(count) => *count,
            Keeps::Named(names) => names.len(),
            Keeps::OnNodes(nodes) => nodes.len(),
        }
    }
}

/// A pod of a controller that counts for it: not ending, not finished.
pub(super) fn active(held: &Held) -> bool {
    held.pod.deletion_timestamp.is_none() && !eviction::finished(&held.pod)
}

impl Api {
    /// Founds a set for each controller that has pods.
    pub(super) fn found_sets(&mut self) {
        let mut owners: BTreeMap<Owner, Pod> = BTreeMap::new();
        for (_, held) in self.pods.all() {
            if let Some(owner) = held.owner.as_ref().filter(|_| !held.pod.mirror) {
                let template = owners.entry(owner.clone());
                template.or_insert_with(|| held.pod.clone());
            }
        }
        for (owner, template) in owners {
            let workload = self.workload_of(&owner);
            let there = self.pods.of(&owner);
            let of_apps = owner.api_version.starts_with("apps/");
            let keeps = match owner.kind.as_str() {
                "DaemonSet" if of_apps => Keeps::OnNodes(
                    there
                        .filter_map(|(_, held)| held.pod.node.clone())
                        .collect(),
                ),
                "StatefulSet" if of_apps => {
                    let named =
                        |(_, held): (PodId, &Held)| (held.pod.name.clone(), held.pod.clone());
                    Keeps::Named(there.map(named).collect())
                }
                _ => Keeps::Replicas(there.filter(|(_, held)| active(held)).count()),
            };
            let set = Set::new(keeps, template, workload);
            self.sets.insert(owner, set);
        }
        self.want_as_deployments_say();
    }

    /// A controller looks after its pods soon.
    pub(super) fn sync_soon(&mut self, owner: &Owner) {
        let Some(set) = self.sets.get_mut(owner) else {
            return;
        };
        if !std::mem::replace(&mut set.due, true) {
            self.later(self.timing.reaction, Event::Sync(owner.clone()));
        }
    }

    pub(super) fn sync(&mut self, owner: &Owner) {
        let Some(set) = self.sets.get_mut(owner) else {
            return;
        };
        set.due = false;
        match set.keeps.clone() {
            Keeps::Replicas(wanted) => self.keep_replicas(owner, wanted),
            Keeps::Named(names) => self.keep_named(owner, &names),
            Keeps::OnNodes(nodes) => self.keep_on_nodes(owner, &nodes),
        }
    }

    fn keep_replicas(&mut self, owner: &Owner, wanted: usize) {
        let mut there: Vec<(bool, bool, PodId)> = self
            .pods
            .of(owner)
            .filter(|(_, held)| active(held))
            .map(|(id, held)| (held.pod.ready, held.pod.node.is_some(), id))
            .collect();
        for _ in there.len()..wanted {
            let Some(set) = self.sets.get_mut(owner) else {
                return;
            };
            set.made += 1;
            let name = format!("{}-{}", owner.name, suffix(&owner.name, set.made));
            let pod = set.template.clone();
            self.create(pod, name, None);
        }
        // those that serve least go first
        there.sort();
        for (_, _, id) in there.iter().take(there.len().saturating_sub(wanted)) {
            self.delete(*id, None);
        }
    }

    fn keep_named(&mut self, owner: &Owner, names: &BTreeMap<String, Pod>) {
        for (name, template) in names {
            if self.pods.named(&owner.namespace, name).is_none() {
                self.create(template.clone(), name.clone(), None);
            }
        }
    }

    /// Brings pods back where none is, and replaces outdated ones, of which at most one may be away at a time
    /// (`maxUnavailable: 1`, the default).
    fn keep_on_nodes(&mut self, owner: &Owner, nodes: &BTreeSet<NodeName>) {
        let mut there: BTreeSet<&NodeName> = BTreeSet::new();
        let mut outdated: Option<(bool, PodId)> = None;
        let mut away = 0;
        let images = self.sets.get(owner).map(|set| set.template.images.clone());
        for (id, held) in self.pods.of(owner) {
            there.extend(&held.pod.node);
            if !held.pod.ready || held.pod.deletion_timestamp.is_some() {
                away += 1;
            }
            if active(held) && images.as_ref() != Some(&held.pod.images) {
                // one that does not serve costs nothing
                let candidate = (held.pod.ready, id);
                outdated = Some(outdated.map_or(candidate, |other| other.min(candidate)));
            }
        }
        let missing: Vec<NodeName> = nodes
            .iter()
            .filter(|node| !there.contains(node) && self.nodes.contains_key(node))
            .cloned()
            .collect();
        away += missing.len();
        for node in missing {
            let Some(set) = self.sets.get_mut(owner) else {
                return;
            };
            set.made += 1;
            let name = format!("{}-{}", owner.name, suffix(&owner.name, set.made));
            let pod = set.template.clone();
            self.create(pod, name, Some(node));
        }
        if let Some((ready, id)) = outdated
            && (!ready || away == 0)
        {
            self.delete(id, None);
        }
    }

    /// Makes a pod like another one.
    fn create(&mut self, like: Pod, name: String, node: Option<NodeName>) {
        let pod = Pod {
            uid: self.uid(),
            name,
            node: None,
            phase: PodPhase::Pending,
            ready: false,
            deletion_timestamp: None,
            ..like
        };
        let id = self.pods.add(pod, false);
        self.pods_touched(None);
        self.pod_changed(id);
        self.cover(id);
        match node {
            Some(node) => self.bind(id, &node),
            None => self.schedule_soon(),
        }
    }

    /// Whoever watches a pod looks at it soon: its controller, its workload's and its budgets'.
    pub(super) fn pod_changed(&mut self, id: PodId) {
        let Some(held) = self.pods.get(id) else {
            return;
        };
        let pod = held.pod.clone();
        let owner = held.owner.clone();
        self.pod_changed_of(&pod, owner.as_ref());
    }

    /// As [`Self::pod_changed`], of a pod that may be gone.
    pub(super) fn pod_changed_of(&mut self, pod: &Pod, owner: Option<&Owner>) {
        if let Some(owner) = owner {
            self.sync_soon(owner);
            let workload = self.sets.get(owner).and_then(|set| set.workload.clone());
            if let Some(key) = workload {
                self.workload_touched(&key);
            }
        }
        self.recount_of(pod);
    }
}

/// Five characters that look like those of a true pod's name, the same in each run.
fn suffix(seed: &str, count: u32) -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut state = seed
        .bytes()
        .fold(0x9e37_79b9_u64 ^ u64::from(count), |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    let base = LETTERS.len() as u64;
    let mut text: String = (0..3)
        .filter_map(|_| {
            let letter = usize::try_from(state % base).ok()?;
            state /= base;
            LETTERS.get(letter).map(|letter| char::from(*letter))
        })
        .collect();
    // the count itself, so that two never have the same name
    let mut count = u64::from(count);
    loop {
        let letter = usize::try_from(count % base).unwrap_or_default();
        text.extend(LETTERS.get(letter).map(|letter| char::from(*letter)));
        count /= base;
        if count == 0 {
            return text;
        }
    }
}
