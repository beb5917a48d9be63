//! The cluster's objects, and those that keep them as they should be: controllers, the scheduler, kubelets, the disruption
//! controller, the eviction subresource.

use std::collections::BTreeMap;

use crate::cluster::facts::ClusterFacts;
use crate::cluster::model::{Node, NodeName};

/// The API's objects.
#[derive(Debug, Clone)]
pub struct Api {
    /// The nodes.
    pub nodes: BTreeMap<NodeName, Node>,
}

/// Something that is due in the API's part of the world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {}

impl Api {
    /// From what was observed; what was not observed is not there.
    #[must_use]
    pub fn of(facts: &ClusterFacts) -> Self {
        let nodes = facts.nodes.known().into_iter().flatten();
        Self {
            nodes: nodes
                .map(|node| (node.name.clone(), node.clone()))
                .collect(),
        }
    }
}
