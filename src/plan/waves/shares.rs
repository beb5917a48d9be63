//! Every limit as a sum: each node's share of it, none larger than the limit itself.
//!
//! "No more than d, or one node alone" is the sum of min(c, d) being at most d: a node with d or more fills it, and beside
//! it nobody has a place who has a share. The same holds for room: what a set of nodes needs must fit into what is free
//! outside of it, so what it needs and what it has free itself must fit into what is free everywhere.

use std::collections::BTreeMap;

use super::{Binds, Instance, KINDS};

/// A limit.
#[derive(Debug, Clone)]
pub struct Limit {
    /// What it is.
    pub is: Binds,
    /// What the shares in one wave may sum up to.
    pub room: u64,
    /// The shares of it, by node.
    pub shares: Vec<(usize, u64)>,
}

/// The nodes of one zone with their shares. Nodes are numbered by name.
#[derive(Debug, Clone)]
pub struct Shares {
    /// How many nodes there are.
    pub nodes: usize,
    /// The limits that can bind at all, those of every node first.
    pub limits: Vec<Limit>,
    /// Each node's shares, by limit.
    pub of: Vec<Vec<(usize, u64)>>,
}

impl Shares {
    /// The shares of these nodes, given in the order of their names.
    pub fn of(instance: &Instance, nodes: &[usize]) -> Self {
        let mut limits = vec![Limit {
            is: Binds::AtMost,
            room: instance.at_most.max(1) as u64,
            shares: (0..nodes.len()).map(|at| (at, 1)).collect(),
        }];
        limits.extend((0..KINDS).filter_map(|kind| room(instance, nodes, kind)));
        let mut budgets: BTreeMap<usize, Vec<(usize, u64)>> = BTreeMap::new();
        for (at, &node) in nodes.iter().enumerate() {
            for &(budget, pods) in &instance.nodes[node].pods {
                let allowed = instance.allowed[budget].max(1);
                if pods > 0 {
                    let share = u64::from(pods.min(allowed));
                    budgets.entry(budget).or_default().push((at, share));
                }
            }
        }
        limits.extend(budgets.into_iter().map(|(budget, shares)| Limit {
            is: Binds::Budget(budget),
            room: u64::from(instance.allowed[budget].max(1)),
            shares,
        }));
        // What all nodes together keep can be left out.
        limits.retain(|limit| limit.total() > limit.room);
        let mut of = vec![Vec::new(); nodes.len()];
        for (at, limit) in limits.iter().enumerate() {
            for &(node, share) in &limit.shares {
                of[node].push((at, share));
            }
        }
        Self {
            nodes: nodes.len(),
            limits,
            of,
        }
    }
}

fn room(instance: &Instance, nodes: &[usize], kind: usize) -> Option<Limit> {
    let all = &instance.nodes;
    if nodes.iter().all(|&node| all[node].needs[kind] == 0) {
        return None;
    }
    let free: u64 = all.iter().map(|node| node.free[kind]).sum();
    let room = (free + instance.spare[kind]).max(1);
    let share = |node: usize| (all[node].needs[kind] + all[node].free[kind]).min(room);
    Some(Limit {
        is: Binds::Room(kind),
        room,
        shares: nodes
            .iter()
            .enumerate()
            .map(|(at, &node)| (at, share(node)))
            .filter(|&(_, share)| share > 0)
            .collect(),
    })
}

impl Limit {
    /// All shares together.
    pub fn total(&self) -> u64 {
        self.shares.iter().map(|&(_, share)| share).sum()
    }
}
