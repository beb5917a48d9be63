//! The pods, found by name, node, owner and namespace without a search.
//!
//! Owns the indices and what is summed up over them (room taken on a node, ready pods of an owner); knows no rule about
//! pods. Every change of a pod goes through here, so that no index can be wrong.

use std::collections::{BTreeMap, BTreeSet};

use crate::cluster::model::{Node, NodeName, Pod, Quantities};
use crate::rules::eviction;

/// A pod, for as long as it exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodId(u64);

/// Who brings pods back: their controller.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner {
    /// Its namespace.
    pub namespace: String,
    /// Its API group and version; told apart because foreign groups have kinds of the same name.
    pub api_version: String,
    /// Such as `ReplicaSet`.
    pub kind: String,
    /// Its name.
    pub name: String,
}

impl Owner {
    /// The pod's controller.
    #[must_use]
    pub fn of(pod: &Pod) -> Option<Self> {
        let controller = pod.controller.as_ref()?;
        Some(Self {
            namespace: pod.namespace.clone(),
            api_version: controller.api_version.clone(),
            kind: controller.kind.clone(),
            name: controller.name.clone(),
        })
    }
}

/// A pod, and what its node knows of it.
#[derive(Debug, Clone)]
pub struct Held {
    /// As the API shows it.
    pub pod: Pod,
    /// Its controller.
    pub owner: Option<Owner>,
    /// Its containers run and would pass their probes, whether or not the API knows.
    pub serves: bool,
    /// Counts what happened to it, so that what was scheduled for an earlier state does not happen.
    pub turn: u32,
}

/// All pods.
#[derive(Debug, Clone, Default)]
pub struct Pods {
    held: BTreeMap<PodId, Held>,
    by_name: BTreeMap<(String, String), PodId>,
    by_node: BTreeMap<NodeName, BTreeSet<PodId>>,
    by_owner: BTreeMap<Owner, BTreeSet<PodId>>,
    by_namespace: BTreeMap<String, BTreeSet<PodId>>,
    /// Pods that want others kept apart, by the namespaces of those others.
    guards: BTreeMap<String, BTreeSet<PodId>>,
    unbound: BTreeSet<PodId>,
    taken: BTreeMap<NodeName, Quantities>,
    together: BTreeMap<(Owner, NodeName), usize>,
    made: u64,
}

impl Pods {
    /// Adds a pod; one of the same name must not be there.
    pub fn add(&mut self, pod: Pod, serves: bool) -> PodId {
        let id = PodId(self.made);
        self.made += 1;
        let owner = Owner::of(&pod);
        let name = (pod.namespace.clone(), pod.name.clone());
        self.by_name.insert(name, id);
        let near = self.by_namespace.entry(pod.namespace.clone());
        near.or_default().insert(id);
        if let Some(owner) = &owner {
            let siblings = self.by_owner.entry(owner.clone());
            siblings.or_default().insert(id);
        }
        for term in pod.placement.iter().flat_map(|asked| &asked.apart_from) {
            for namespace in &term.namespaces {
                let guards = self.guards.entry(namespace.clone());
                guards.or_default().insert(id);
            }
        }
        let held = Held {
            pod,
            owner,
            serves,
            turn: 0,
        };
        match held.pod.node.clone() {
            Some(node) => self.settle_on(id, &held, &node),
            None => {
                self.unbound.insert(id);
            }
        }
        self.held.insert(id, held);
        id
    }

    /// Binds a pod to a node.
    pub fn bind(&mut self, id: PodId, node: &NodeName) {
        if !self.unbound.remove(&id) {
            return;
        }
        if let Some(held) = self.held.get(&id).cloned() {
            self.settle_on(id, &held, node);
        }
        if let Some(held) = self.held.get_mut(&id) {
            held.pod.node = Some(node.clone());
        }
    }

    /// Removes a pod, and gives what it was.
    pub fn remove(&mut self, id: PodId) -> Option<Held> {
        let held = self.held.remove(&id)?;
        let pod = &held.pod;
        let name = (pod.namespace.clone(), pod.name.clone());
        if self.by_name.get(&name) == Some(&id) {
            self.by_name.remove(&name);
        }
        forget(&mut self.by_namespace, &pod.namespace, id);
        if let Some(owner) = &held.owner {
            forget(&mut self.by_owner, owner, id);
        }
        for term in pod.placement.iter().flat_map(|asked| &asked.apart_from) {
            for namespace in &term.namespaces {
                forget(&mut self.guards, namespace, id);
            }
        }
        self.unbound.remove(&id);
        if let Some(node) = pod.node.clone() {
            self.leave(id, &held, &node);
        }
        Some(held)
    }

    /// Changes what neither an index nor a sum depends on: readiness, deletion, images. Gives the pod afterwards.
    pub fn change(&mut self, id: PodId, change: impl FnOnce(&mut Held)) -> Option<&Held> {
        let held = self.held.get_mut(&id)?;
        change(held);
        Some(held)
    }

    fn settle_on(&mut self, id: PodId, held: &Held, node: &NodeName) {
        let here = self.by_node.entry(node.clone());
        here.or_default().insert(id);
        if !eviction::finished(&held.pod) {
            let taken = self.taken.entry(node.clone()).or_default();
            for (resource, amount) in needs(&held.pod) {
                *taken.entry(resource.to_owned()).or_default() += amount;
            }
        }
        if let Some(owner) = &held.owner {
            let together = self.together.entry((owner.clone(), node.clone()));
            *together.or_default() += 1;
        }
    }

    fn leave(&mut self, id: PodId, held: &Held, node: &NodeName) {
        forget(&mut self.by_node, node, id);
        if !eviction::finished(&held.pod)
            && let Some(taken) = self.taken.get_mut(node)
        {
            for (resource, amount) in needs(&held.pod) {
                if let Some(sum) = taken.get_mut(resource) {
                    *sum = sum.saturating_sub(amount);
                }
            }
        }
        if let Some(owner) = &held.owner {
            let key = (owner.clone(), node.clone());
            if let Some(count) = self.together.get_mut(&key) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    self.together.remove(&key);
                }
            }
        }
    }

    /// A pod.
    #[must_use]
    pub fn get(&self, id: PodId) -> Option<&Held> {
        self.held.get(&id)
    }

    /// The pod of this name.
    #[must_use]
    pub fn named(&self, namespace: &str, name: &str) -> Option<PodId> {
        // the key is owned, and a look-up by name is rare
        let key = (namespace.to_owned(), name.to_owned());
        self.by_name.get(&key).copied()
    }

    /// All pods, by namespace and name.
    pub fn all(&self) -> impl Iterator<Item = (PodId, &Held)> {
        self.by_name
            .values()
            .filter_map(|id| Some((*id, self.held.get(id)?)))
    }

    /// Pods bound to the node, by age.
    pub fn on(&self, node: &NodeName) -> impl Iterator<Item = (PodId, &Held)> {
        self.of_index(self.by_node.get(node))
    }

    /// Pods of a controller, by age.
    pub fn of(&self, owner: &Owner) -> impl Iterator<Item = (PodId, &Held)> {
        self.of_index(self.by_owner.get(owner))
    }

    /// Pods of a namespace, by age.
    pub fn within(&self, namespace: &str) -> impl Iterator<Item = (PodId, &Held)> {
        self.of_index(self.by_namespace.get(namespace))
    }

    /// Pods that want some pods of a namespace kept apart from themselves.
    pub fn guarding(&self, namespace: &str) -> impl Iterator<Item = (PodId, &Held)> {
        self.of_index(self.guards.get(namespace))
    }

    /// Pods without a node, by age.
    #[must_use]
    pub fn unbound(&self) -> Vec<PodId> {
        self.unbound.iter().copied().collect()
    }

    /// How many pods of the controller the node has.
    #[must_use]
    pub fn together(&self, owner: &Owner, node: &NodeName) -> usize {
        let key = (owner.clone(), node.clone());
        self.together.get(&key).copied().unwrap_or(0)
    }

    /// Whether the node has room for the pod. Where it is not known how much there is, there is room.
    #[must_use]
    pub fn room(&self, pod: &Pod, node: &Node) -> bool {
        let Some(allocatable) = &node.allocatable else {
            return true;
        };
        let taken = self.taken.get(&node.name);
        needs(pod).all(|(resource, amount)| {
            let there = allocatable.get(resource).copied().unwrap_or(0);
            let taken = taken.and_then(|taken| taken.get(resource)).copied();
            amount == 0 || taken.unwrap_or(0) + amount <= there
        })
    }

    /// How many pods the node has.
    #[must_use]
    pub fn count_on(&self, node: &NodeName) -> usize {
        self.by_node.get(node).map_or(0, BTreeSet::len)
    }

    fn of_index<'p>(
        &'p self,
        ids: Option<&'p BTreeSet<PodId>>,
    ) -> impl Iterator<Item = (PodId, &'p Held)> {
        ids.into_iter()
            .flatten()
            .filter_map(|id| Some((*id, self.held.get(id)?)))
    }
}

fn forget<K: Ord>(index: &mut BTreeMap<K, BTreeSet<PodId>>, key: &K, id: PodId) {
    if let Some(ids) = index.get_mut(key) {
        ids.remove(&id);
        if ids.is_empty() {
            index.remove(key);
        }
    }
}

/// What the pod takes of a node, its own place included.
fn needs(pod: &Pod) -> impl Iterator<Item = (&str, u64)> {
    pod.placement
        .iter()
        .flat_map(|placement| &placement.requests)
        .map(|(resource, amount)| (resource.as_str(), *amount))
        .chain([("pods", 1)])
}
