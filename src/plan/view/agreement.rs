//! Nodes and inventory agree, one to one, and each host is the machine that its node is.

use std::collections::{BTreeMap, BTreeSet};

use super::gather::Gather;
use super::{HostView, is_control_plane};
use crate::cluster::facts::Identity;
use crate::cluster::model::{HostName, Node, NodeName, Role};
use crate::documents::settings::{IgnoredNodes, Inventory};
use crate::plan::reason::Reason;
use crate::rules::version::Version;

impl Gather {
    /// Nodes and inventory agree, one to one.
    pub(super) fn agreement(
        &mut self,
        inventory: &Inventory,
        hosts: &[HostView<'_>],
        nodes: &BTreeMap<&NodeName, (&Node, Version)>,
    ) {
        if !inventory
            .hosts
            .values()
            .any(|host| host.role == Role::ControlPlane)
        {
            self.reasons.push(Reason::NoControlPlane);
        }
        let listed: BTreeSet<&NodeName> = inventory.hosts.values().map(|host| &host.node).collect();
        for (name, (node, _)) in nodes {
            if listed.contains(*name) {
                continue;
            }
            if !ignored(inventory, node) {
                self.reasons.push(Reason::NodeNotListed {
                    node: (*name).clone(),
                });
            } else if is_control_plane(node) {
                self.reasons.push(Reason::IgnoredControlPlane {
                    node: (*name).clone(),
                });
            }
        }
        let mut machines: BTreeMap<&str, Vec<HostName>> = BTreeMap::new();
        for host in hosts {
            machines
                .entry(&host.identity.machine_id)
                .or_default()
                .push(host.name().clone());
            let role = if is_control_plane(host.node) {
                Role::ControlPlane
            } else {
                Role::Worker
            };
            if role != host.host.role {
                self.reasons.push(Reason::RoleDiffers {
                    host: host.name().clone(),
                    node: host.node.name.clone(),
                    listed: host.host.role,
                });
            }
            if let Some(is) = other_machine(host, nodes) {
                self.reasons.push(Reason::OtherNode {
                    host: host.name().clone(),
                    node: host.node.name.clone(),
                    is,
                });
            }
        }
        for (machine_id, hosts) in machines {
            if hosts.len() > 1 {
                self.reasons.push(Reason::SameMachine {
                    machine_id: machine_id.to_owned(),
                    hosts,
                });
            }
        }
    }
}

/// Why a host is not its node, if so. The machine id decides; the host's name only where ids cannot (clones, nodes that
/// report none), because a node's name may differ from its host's (kubeadm's `nodeRegistration.name`).
fn other_machine(
    host: &HostView<'_>,
    nodes: &BTreeMap<&NodeName, (&Node, Version)>,
) -> Option<String> {
    let Identity {
        hostname,
        machine_id,
        ..
    } = host.identity;
    let node = host.node;
    if node.machine_id.is_empty() {
        return (hostname != node.name.as_str())
            .then(|| format!("its name is {hostname}, and the node reports no machine id"));
    }
    if &node.machine_id != machine_id {
        let owner = nodes
            .values()
            .find(|(other, _)| &other.machine_id == machine_id)
            .map_or_else(
                || format!("its name is {hostname}"),
                |(other, _)| format!("it is node {}", other.name),
            );
        return Some(format!(
            "its machine id is {machine_id}, the node's is {}; {owner}",
            node.machine_id
        ));
    }
    let named_as_another =
        hostname != node.name.as_str() && nodes.keys().any(|other| other.as_str() == hostname);
    named_as_another.then(|| format!("its name is {hostname}, which is another node"))
}

fn ignored(inventory: &Inventory, node: &Node) -> bool {
    inventory.ignore_nodes.iter().any(|ignored| match ignored {
        IgnoredNodes::Name(name) => name == &node.name,
        IgnoredNodes::Selector(selector) => selector.matches(&node.labels),
    })
}
