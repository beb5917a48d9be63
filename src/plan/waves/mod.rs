//! Which nodes may be drained together: nodes packed into as few waves as their budgets, the room elsewhere and the
//! declared limits allow.
//!
//! Knows nothing of Kubernetes: an [`Instance`] is nodes with the pods that each has under each budget, what the rest of
//! the cluster has room for, and a most for one wave. A set of nodes is a wave if
//! - for every budget, the set's pods under it are no more than it allows, or one node of the set alone has any;
//! - what the nodes' pods need of each kind of room fits into what is free outside of the set, in the sum, or one node of
//!   the set alone needs or has any of it: with it go only nodes that change nothing of its lot;
//! - it is no larger than the most for one wave, and of one zone.
//!
//! A set that loses a node stays a wave, so that waves can be made smaller but never by chance larger. With a node's share
//! cut down to what is allowed at all, every one of these is a sum that must not exceed its room (`shares`), and packing is
//! vector bin packing; with budgets that allow one, it is graph colouring, which is NP-hard. So: first-fit decreasing by
//! three measures and DSATUR (`greedy`), the best of them, stopping at the lower bound (`bound`); where they miss it, every set
//! of nodes is looked at if they are few (`exact`), else one wave fewer is tried for a while (`search`). Nothing here grows
//! with the square of the nodes: shares are kept sparse. Ties go by name, so that the same cluster gives the same waves.
//!
//! Prior art: Ganeti `hroller` (ganeti/ganeti `src/Ganeti/HTools/Program/Hroller.hs`, colouring of reboot groups) and
//! kubernetes/autoscaler `cluster-autoscaler/proposals/parallel_drain.md`. D. Brélaz, "New methods to color the vertices of
//! a graph", Communications of the ACM 22 (1979), is DSATUR.

mod bound;
mod exact;
#[cfg(test)]
mod generator;
mod greedy;
mod search;
mod shares;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use search::Found;
use shares::Shares;

/// How many kinds of room there are.
pub const KINDS: usize = 3;

/// So much of each kind of room (processors, memory, places for pods), in units of the caller's choice.
pub type Amounts = [u64; KINDS];

/// What is to be packed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// The nodes.
    pub nodes: Vec<Candidate>,
    /// What each budget allows at once; none counts as one node after another.
    pub allowed: Vec<u32>,
    /// Nodes in one wave; none counts as one.
    pub at_most: usize,
    /// Room on nodes that are in no wave.
    pub spare: Amounts,
}

/// A node that is to be in a wave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Candidate {
    /// Its name; no two are the same.
    pub name: String,
    /// Nodes of different zones are never in one wave.
    pub zone: Option<String>,
    /// Pods under each budget, by the budget's index in [`Instance::allowed`], each once.
    pub pods: Vec<(usize, u32)>,
    /// What its pods need elsewhere while it is out.
    pub needs: Amounts,
    /// What it has left for others' pods.
    pub free: Amounts,
}

/// Nodes in waves, by their index in [`Instance::nodes`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Packing {
    /// The zones one after another, by name; each wave's nodes by name, waves by their first node's name.
    pub zones: Vec<Zone>,
}

/// The waves of one zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    /// Its name, if the instance has any.
    pub name: Option<String>,
    /// Its waves.
    pub waves: Vec<Vec<usize>>,
    /// No packing has fewer.
    pub bound: Bound,
    /// What found them.
    pub method: Method,
    /// There are no fewer waves: they are at the bound, or fewer were tried in vain.
    pub proven: bool,
}

/// The fewest waves that are possible, as far as can be told without trying.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// So many.
    pub waves: usize,
    /// Everything that by itself makes it so many; more of only one of them would not help.
    pub binds: Vec<Binds>,
}

/// What keeps the waves from being fewer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Binds {
    /// The most for one wave.
    AtMost,
    /// A budget, by its index.
    Budget(usize),
    /// Room for the evicted pods, by its kind.
    Room(usize),
    /// Nodes of which no two may be in one wave, for different reasons.
    Apart(Vec<usize>),
}

/// How the waves were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// First fit, by the sum of shares.
    BySum,
    /// First fit, by the largest share.
    ByLargest,
    /// First fit, by shares weighted with how wanted each budget is.
    ByDemand,
    /// The node with the fewest waves open to it next.
    Dsatur,
    /// Every set of nodes was looked at.
    Exact,
    /// One wave fewer than by any rule was tried.
    Search,
}

impl Packing {
    /// All waves, in their order.
    pub fn waves(&self) -> impl Iterator<Item = &Vec<usize>> {
        self.zones.iter().flat_map(|zone| &zone.waves)
    }

    /// How many waves there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.zones.iter().map(|zone| zone.waves.len()).sum()
    }

    /// The fewest that are possible.
    #[must_use]
    pub fn bound(&self) -> usize {
        self.zones.iter().map(|zone| zone.bound.waves).sum()
    }

    /// Whether there are no fewer waves for sure.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        self.zones.iter().all(|zone| zone.proven)
    }
}

/// Few waves that hold every node once.
#[must_use]
pub fn pack(instance: &Instance) -> Packing {
    let mut zones: BTreeMap<Option<&str>, Vec<usize>> = BTreeMap::new();
    for (index, node) in instance.nodes.iter().enumerate() {
        zones.entry(node.zone.as_deref()).or_default().push(index);
    }
    let zones = zones.into_iter().map(|(name, mut nodes)| {
        nodes.sort_by(|&a, &b| instance.nodes[a].name.cmp(&instance.nodes[b].name));
        zone(instance, name, &nodes)
    });
    Packing {
        zones: zones.collect(),
    }
}

/// The waves of one zone, whose nodes stand by name.
fn zone(instance: &Instance, name: Option<&str>, nodes: &[usize]) -> Zone {
    let shares = Shares::of(instance, nodes);
    let bound = bound::of(&shares);
    let (mut waves, mut method) = greedy::best(&shares, bound.waves);
    let mut proven = waves.len() == bound.waves;
    if !proven && let Some(fewest) = exact::fewest(&shares) {
        (waves, method, proven) = (fewest, Method::Exact, true);
    }
    while !proven {
        match search::with(&shares, waves.len() - 1) {
            Found::Waves(fewer) => {
                proven = fewer.len() == bound.waves;
                (waves, method) = (fewer, Method::Search);
            }
            Found::None => proven = true,
            Found::GaveUp => break,
        }
    }
    for wave in &mut waves {
        wave.sort_unstable();
    }
    waves.sort();
    let named = |wave: Vec<usize>| wave.into_iter().map(|at| nodes[at]).collect();
    Zone {
        name: name.map(str::to_owned),
        waves: waves.into_iter().map(named).collect(),
        bound: bound.with(|at| nodes[at]),
        method,
        proven,
    }
}

impl Bound {
    /// With nodes by another index.
    fn with(mut self, index: impl Fn(usize) -> usize) -> Self {
        for binds in &mut self.binds {
            match binds {
                Binds::Apart(nodes) => nodes.iter_mut().for_each(|at| *at = index(*at)),
                Binds::AtMost | Binds::Budget(_) | Binds::Room(_) => {}
            }
        }
        self
    }
}
