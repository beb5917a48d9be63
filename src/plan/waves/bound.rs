//! How many waves there must be at least.
//!
//! The largest of: each limit's shares over its room; nodes over the most of the smallest shares that go together (for equal
//! nodes: over the number that fits); the largest set found of nodes of which no two go together.

use std::collections::BTreeSet;

use super::shares::{Limit, Shares};
use super::{Binds, Bound};

/// Pairs of nodes that are looked at for a set of which no two go together. Any such set gives a bound, so to miss the
/// largest makes the bound lower, never wrong.
const PAIRS: usize = 2_000_000;
/// Nodes from which such a set is grown.
const SEEDS: usize = 200;

/// The lower bound.
pub fn of(shares: &Shares) -> Bound {
    let mut waves = usize::from(shares.nodes > 0);
    let mut binds = Vec::new();
    let mut raise = |to: usize, by: Binds| {
        if to > waves {
            waves = to;
            binds.clear();
        }
        if to == waves && to > 1 {
            binds.push(by);
        }
    };
    for limit in &shares.limits {
        raise(of_limit(limit), limit.is.clone());
    }
    let apart = apart(shares);
    // Where one limit keeps them apart, it has been named already.
    if apart.len() > waves {
        waves = apart.len();
        binds = vec![Binds::Apart(apart)];
    }
    Bound { waves, binds }
}

fn of_limit(limit: &Limit) -> usize {
    let by_sum = limit.total().div_ceil(limit.room);
    let mut shares: Vec<u64> = limit.shares.iter().map(|&(_, share)| share).collect();
    shares.sort_unstable();
    let together = shares
        .iter()
        .scan(0_u64, |sum, share| {
            *sum += share;
            Some(*sum)
        })
        .take_while(|&sum| sum <= limit.room)
        .count();
    let by_count = shares.len().div_ceil(together.max(1));
    // Of those with more than half of the room no two go together; nor does any with one that leaves too little.
    let halves = shares
        .iter()
        .filter(|&&share| share > limit.room / 2)
        .count();
    let smaller = shares.len() - halves;
    let beside = smaller > 0
        && shares
            .get(smaller)
            .is_some_and(|least| shares[smaller - 1] + least > limit.room);
    usize::try_from(by_sum)
        .unwrap_or(usize::MAX)
        .max(by_count)
        .max(halves + usize::from(beside))
}

/// Nodes of which no two may go together, as many as are found: grown from each node along those that have the most others
/// to stay apart from.
fn apart(shares: &Shares) -> Vec<usize> {
    let mut others: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); shares.nodes];
    let mut limits: Vec<&Limit> = shares.limits.iter().collect();
    limits.sort_by_key(|limit| limit.shares.len());
    let mut left = PAIRS;
    for limit in limits {
        let pairs = limit.shares.len() * limit.shares.len();
        if pairs > left {
            break;
        }
        left -= pairs;
        for &(a, of_a) in &limit.shares {
            for &(b, of_b) in &limit.shares {
                if a != b && of_a + of_b > limit.room {
                    others[a].insert(b);
                }
            }
        }
    }
    let mut by_degree: Vec<usize> = (0..shares.nodes).collect();
    by_degree.sort_by_key(|&node| (usize::MAX - others[node].len(), node));
    let mut largest = Vec::new();
    for &seed in by_degree.iter().take(SEEDS) {
        if others[seed].len() < largest.len() {
            break;
        }
        let mut set = vec![seed];
        let mut open: Vec<usize> = others[seed].iter().copied().collect();
        while !open.is_empty() && set.len() + open.len() > largest.len() {
            let within = |node: usize| {
                open.iter()
                    .filter(|other| others[node].contains(other))
                    .count()
            };
            // Counting within what is left is better and dearer.
            let next = if open.len() <= 64 {
                open.iter()
                    .copied()
                    .max_by_key(|&node| (within(node), usize::MAX - node))
            } else {
                open.iter()
                    .copied()
                    .max_by_key(|&node| (others[node].len(), usize::MAX - node))
            };
            let Some(next) = next else { break };
            set.push(next);
            open.retain(|&node| others[next].contains(&node));
        }
        if set.len() > largest.len() {
            largest = set;
        }
    }
    largest.sort_unstable();
    largest
}
