//! Volumes that are attached to nodes: the attach/detach controller detaches one some time after its pod has left the node.
//!
//! Facts do not tell of claims, so a world has none but those that it is given.
//!
//! Source: kubernetes/kubernetes `pkg/controller/volume/attachdetach/reconciler/reconciler.go`.

use super::{Api, Event};
use crate::cluster::model::{NodeName, Pod};
use crate::ports::Attached;

/// A volume that is attached to a node, and the pod for which it is.
#[derive(Debug, Clone)]
pub(super) struct Attachment {
    node: NodeName,
    volume: String,
    claim: String,
    /// The pod's uid.
    uid: String,
}

/// All of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Attachments {
    all: Vec<Attachment>,
    /// Resource version of the last change.
    changed: u64,
}

impl Api {
    /// A pod that is on a node uses a volume there, by a claim of its namespace. Nothing where there is no such pod.
    pub fn attach(&mut self, volume: &str, claim: &str, (namespace, pod): (&str, &str)) {
        let held = self
            .pods
            .named(namespace, pod)
            .and_then(|id| self.pods.get(id));
        let Some((node, uid)) =
            held.and_then(|held| Some((held.pod.node.clone()?, held.pod.uid.clone())))
        else {
            return;
        };
        self.attachments.all.push(Attachment {
            node,
            volume: volume.to_owned(),
            claim: format!("{namespace}/{claim}"),
            uid,
        });
        self.attachments.changed = self.bump();
    }

    /// What is attached to a node, by volume.
    #[must_use]
    pub fn attached(&self, node: &NodeName) -> Vec<Attached> {
        let of_node = self.attachments.all.iter().filter(|one| one.node == *node);
        let mut found: Vec<Attached> = of_node
            .map(|one| {
                let pods = self
                    .pods
                    .on(node)
                    .filter(|(_, held)| held.pod.uid == one.uid);
                Attached {
                    volume: one.volume.clone(),
                    claim: Some(one.claim.clone()),
                    pods: pods
                        .map(|(_, held)| format!("{}/{}", held.pod.namespace, held.pod.name))
                        .collect(),
                }
            })
            .collect();
        found.sort_by(|a, b| a.volume.cmp(&b.volume));
        found
    }

    /// A number that grows with every change of what is attached anywhere.
    #[must_use]
    pub const fn attachments_version(&self) -> u64 {
        self.attachments.changed
    }

    /// A pod is gone from its node: what it used is detached, where its kubelet unmounts it.
    pub(super) fn unused(&mut self, pod: &Pod) {
        let of_pod = self.attachments.all.iter().filter(|one| one.uid == pod.uid);
        let volumes: Vec<String> = of_pod.map(|one| one.volume.clone()).collect();
        for volume in volumes {
            if let Some(after) = self.timing.detaches {
                self.later(after, Event::Detached(volume));
            }
        }
    }

    pub(super) fn detached(&mut self, volume: &str) {
        let unmounted = |node: &NodeName| self.nodes.get(node).is_none_or(|known| known.kubelet);
        let gone: Vec<bool> = self
            .attachments
            .all
            .iter()
            .map(|one| one.volume == volume && unmounted(&one.node))
            .collect();
        let mut gone = gone.into_iter();
        self.attachments
            .all
            .retain(|_| !gone.next().unwrap_or_default());
        self.attachments.changed = self.bump();
    }
}
