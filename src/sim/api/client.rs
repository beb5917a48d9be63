//! What clients do with nodes: cordon and uncordon, taint, and look.

use super::{Api, Known};
use crate::cluster::model::{Node, NodeName, OUTDATED};

/// Why a client's change was not made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such object.
    NotFound(String),
}

impl Api {
    /// All nodes, by name.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values().map(|known| &known.node)
    }

    /// refit cordons a node and marks it.
    ///
    /// # Errors
    /// If there is no such node.
    pub fn cordon(&mut self, name: &NodeName, run: &str) -> Result<(), Refusal> {
        let known = self.find(name)?;
        let foreign = known.node.unschedulable && known.node.cordoned_by.is_none();
        known.node.unschedulable = true;
        known.node.cordoned_by = Some(run.to_owned());
        self.node_touched(name);
        if foreign {
            self.violation(format!("{name}: took over the cordon of someone else"));
        }
        Ok(())
    }

    /// refit makes a node schedulable again and takes its mark off.
    ///
    /// # Errors
    /// If there is no such node.
    pub fn uncordon(&mut self, name: &NodeName) -> Result<(), Refusal> {
        let known = self.find(name)?;
        let foreign = known.node.unschedulable && known.node.cordoned_by.is_none();
        known.node.unschedulable = false;
        known.node.cordoned_by = None;
        self.node_touched(name);
        if foreign {
            self.violation(format!("{name}: lifted the cordon of someone else"));
        }
        self.schedule_soon();
        Ok(())
    }

    /// refit puts its taint on a node that is yet to be drained, or takes it off.
    ///
    /// # Errors
    /// If there is no such node.
    pub fn taint_outdated(&mut self, name: &NodeName, outdated: bool) -> Result<(), Refusal> {
        let mut taints = self.find(name)?.node.taints.clone();
        taints.retain(|taint| taint != OUTDATED);
        if outdated {
            taints.push(OUTDATED.to_owned());
        }
        self.set_taints(name, taints)
    }

    /// A node's taints become these.
    ///
    /// # Errors
    /// If there is no such node.
    pub fn set_taints(&mut self, name: &NodeName, mut taints: Vec<String>) -> Result<(), Refusal> {
        taints.sort();
        self.find(name)?.node.taints = taints;
        self.node_touched(name);
        self.schedule_soon();
        Ok(())
    }

    /// Someone else cordons or uncordons a node.
    ///
    /// # Errors
    /// If there is no such node.
    pub fn cordon_by_hand(&mut self, name: &NodeName, cordoned: bool) -> Result<(), Refusal> {
        let known = self.find(name)?;
        known.node.unschedulable = cordoned;
        known.node.cordoned_by = None;
        self.node_touched(name);
        if !cordoned {
            self.schedule_soon();
        }
        Ok(())
    }

    /// Someone scales a workload or a set without one.
    ///
    /// # Errors
    /// If there is no such object.
    pub fn scale_to(
        &mut self,
        kind: &str,
        namespace: &str,
        name: &str,
        replicas: usize,
    ) -> Result<(), Refusal> {
        if self.set_scale(kind, namespace, name, replicas) {
            Ok(())
        } else {
            Err(Refusal::NotFound(format!(
                "{kind} {namespace}/{name} not found"
            )))
        }
    }

    fn find(&mut self, name: &NodeName) -> Result<&mut Known, Refusal> {
        self.nodes
            .get_mut(name)
            .ok_or_else(|| Refusal::NotFound(format!("nodes \"{name}\" not found")))
    }

    /// A number that grows with every change of the node's object; none when there is no such node.
    #[must_use]
    pub fn node_version(&self, name: &NodeName) -> Option<u64> {
        self.nodes.get(name).map(|known| known.changed)
    }

    /// A number that grows with every change of a pod of the node; zero when there is no such node.
    #[must_use]
    pub fn pods_version(&self, name: &NodeName) -> u64 {
        self.nodes.get(name).map_or(0, |known| known.pods_changed)
    }

    /// The newest resource version.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }
}
