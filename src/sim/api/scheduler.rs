//! The scheduler: finds a node for each pod that has none.
//!
//! Good enough to place evicted pods as the true one would: what a node must be (`rules::placement`), room, anti-affinity in
//! both directions; of those that fit, the one with the fewest taints that the pod would rather avoid, with the fewest of
//! the pod's own kind, with the fewest pods. As the true one it stops looking when it has found enough.
//!
//! Sources: kubernetes/kubernetes `pkg/scheduler/schedule_one.go` (`numFeasibleNodesToFind`),
//! `pkg/scheduler/framework/plugins`.

use super::{Api, Event, Held, PodId};
use crate::cluster::model::{LabelSelector, Node, NodeName, Placement, Pod};
use crate::rules::placement::{misfit, unwelcome};

/// Of how many nodes that fit the best is taken (`minFeasibleNodesToFind`).
const ENOUGH: usize = 100;

impl Api {
    /// The scheduler looks soon.
    pub(super) fn schedule_soon(&mut self) {
        if !self.pods.unbound().is_empty() && !std::mem::replace(&mut self.scheduling, true) {
            self.later(self.timing.reaction, Event::Schedule);
        }
    }

    pub(super) fn schedule(&mut self) {
        self.scheduling = false;
        let waiting = self.pods.unbound();
        if waiting.is_empty() {
            return;
        }
        let names: Vec<NodeName> = self.nodes.keys().cloned().collect();
        // pods of one controller are alike: where one does not fit the next does not either
        let mut hopeless = std::collections::BTreeSet::new();
        for id in waiting {
            let Some(held) = self.pods.get(id) else {
                continue;
            };
            if held.pod.deletion_timestamp.is_some() {
                continue;
            }
            let owner = held.owner.clone();
            if owner.as_ref().is_some_and(|owner| hopeless.contains(owner)) {
                continue;
            }
            match self.place(id, &names) {
                Some(node) => self.bind(id, &node),
                None => hopeless.extend(owner),
            }
        }
    }

    /// The node for a pod.
    fn place(&mut self, id: PodId, names: &[NodeName]) -> Option<NodeName> {
        let held = self.pods.get(id)?;
        let pod = &held.pod;
        let anything = Placement::default();
        let wanted = pod.placement.as_ref().unwrap_or(&anything);
        let avoided = self.domains_to_avoid(pod, wanted);
        let mut best: Option<(usize, usize, usize, &NodeName)> = None;
        let mut found = 0;
        let mut looked = 0;
        for step in 0..names.len() {
            let Some(name) = names.get((self.next_node + step) % names.len()) else {
                continue;
            };
            looked = step + 1;
            let Some(known) = self.nodes.get(name) else {
                continue;
            };
            let node = &known.node;
            let apart = avoided
                .iter()
                .all(|(key, value)| domain(node, key) != Some(value));
            if !apart || misfit(wanted, node).is_some() || !self.pods.room(pod, node) {
                continue;
            }
            let alike = held
                .owner
                .as_ref()
                .map_or(0, |owner| self.pods.together(owner, name));
            let candidate = (
                unwelcome(wanted, node),
                alike,
                self.pods.count_on(name),
                name,
            );
            best = Some(best.map_or(candidate, |other| other.min(candidate)));
            found += 1;
            if found == ENOUGH {
                break;
            }
        }
        let node = best.map(|(_, _, _, node)| node.clone());
        if found == ENOUGH {
            self.next_node = (self.next_node + looked) % names.len().max(1);
        }
        node
    }

    /// Domains where the pod must not be: of pods that it wants apart from itself, and of pods that want it apart.
    fn domains_to_avoid(&self, pod: &Pod, wanted: &Placement) -> Vec<(String, String)> {
        let mut avoided = Vec::new();
        let mut avoid = |key: &str, of: &Held| {
            let node = of.pod.node.as_ref().and_then(|node| self.nodes.get(node));
            if let Some(value) = node.and_then(|known| domain(&known.node, key)) {
                avoided.push((key.to_owned(), value.to_owned()));
            }
        };
        for term in &wanted.apart_from {
            for namespace in &term.namespaces {
                for (_, other) in self.pods.within(namespace) {
                    if matches(&term.selector, &other.pod) && other.pod.uid != pod.uid {
                        avoid(&term.topology_key, other);
                    }
                }
            }
        }
        for (_, guard) in self.pods.guarding(&pod.namespace) {
            let terms = guard
                .pod
                .placement
                .iter()
                .flat_map(|asked| &asked.apart_from);
            for term in terms {
                let meant = term.namespaces.contains(&pod.namespace)
                    && term.selector.matches(&pod.labels)
                    && guard.pod.uid != pod.uid;
                if meant {
                    avoid(&term.topology_key, guard);
                }
            }
        }
        avoided.sort();
        avoided.dedup();
        avoided
    }
}

fn matches(selector: &LabelSelector, pod: &Pod) -> bool {
    selector.matches(&pod.labels)
}

/// Which domain a node belongs to. A node is its own, labelled or not.
fn domain<'n>(node: &'n Node, key: &str) -> Option<&'n String> {
    node.labels.get(key)
}
