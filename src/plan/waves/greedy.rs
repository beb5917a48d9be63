//! Waves by simple rules, in time near linear in the shares.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::Method;
use super::shares::Shares;

/// Meetings of nodes in a limit that DSATUR counts; limits that would exceed it are left out of the order, never of the
/// check. A limit that touches most nodes does not tell them apart anyway.
const MEETINGS: usize = 5_000_000;
/// Shares are compared in millionths of the room.
const MILLION: u128 = 1_000_000;

type Rule = fn(&Shares) -> Vec<Vec<usize>>;

/// The best of all rules, or the first that needs no more waves than `enough`.
pub fn best(shares: &Shares, enough: usize) -> (Vec<Vec<usize>>, Method) {
    let rules: [(Method, Rule); 4] = [
        (Method::BySum, |shares| first_fit(shares, &sums(shares))),
        (Method::ByLargest, |shares| {
            first_fit(shares, &largest(shares))
        }),
        (Method::ByDemand, |shares| {
            first_fit(shares, &demands(shares))
        }),
        (Method::Dsatur, dsatur),
    ];
    let mut best = (Vec::new(), Method::BySum);
    for (method, rule) in rules {
        let waves = rule(shares);
        if best.0.is_empty() || waves.len() < best.0.len() {
            best = (waves, method);
        }
        if best.0.len() <= enough {
            break;
        }
    }
    best
}

fn millionths(shares: &Shares, limit: usize, share: u64) -> u128 {
    u128::from(share) * MILLION / u128::from(shares.limits[limit].room)
}

fn measure(shares: &Shares, of: impl Fn(&[(usize, u64)]) -> u128) -> Vec<u128> {
    shares.of.iter().map(|own| of(own)).collect()
}

fn sums(shares: &Shares) -> Vec<u128> {
    measure(shares, |own| {
        own.iter()
            .map(|&(limit, share)| millionths(shares, limit, share))
            .sum()
    })
}

fn largest(shares: &Shares) -> Vec<u128> {
    measure(shares, |own| {
        own.iter()
            .map(|&(limit, share)| millionths(shares, limit, share))
            .max()
            .unwrap_or(0)
    })
}

/// A share of a limit that many want weighs more.
fn demands(shares: &Shares) -> Vec<u128> {
    let wanted: Vec<u128> = shares
        .limits
        .iter()
        .enumerate()
        .map(|(at, limit)| millionths(shares, at, limit.total()))
        .collect();
    measure(shares, |own| {
        own.iter()
            .map(|&(limit, share)| millionths(shares, limit, share) * wanted[limit])
            .sum()
    })
}

/// Each node, heaviest first, into the first wave that takes it.
fn first_fit(shares: &Shares, weights: &[u128]) -> Vec<Vec<usize>> {
    let mut nodes: Vec<usize> = (0..shares.nodes).collect();
    nodes.sort_by_key(|&node| (Reverse(weights[node]), node));
    let mut waves = Waves::new(shares);
    for node in nodes {
        let wave = waves.first(node);
        waves.put(node, wave);
    }
    waves.waves
}

/// The node that the most waves are closed to next; among equals the one that meets most others.
fn dsatur(shares: &Shares) -> Vec<Vec<usize>> {
    let mut by_size: Vec<usize> = (0..shares.limits.len()).collect();
    by_size.sort_by_key(|&limit| (shares.limits[limit].shares.len(), limit));
    let mut counted = vec![false; shares.limits.len()];
    let mut left = MEETINGS;
    for limit in by_size {
        let meetings = shares.limits[limit].shares.len().pow(2);
        if meetings > left {
            break;
        }
        left -= meetings;
        counted[limit] = true;
    }
    let meets: Vec<usize> = shares
        .of
        .iter()
        .map(|own| {
            own.iter()
                .filter(|(limit, _)| counted[*limit])
                .map(|(limit, _)| shares.limits[*limit].shares.len() - 1)
                .sum()
        })
        .collect();
    let mut waves = Waves::new(shares);
    let mut placed = vec![false; shares.nodes];
    let mut closed: Vec<Vec<bool>> = vec![Vec::new(); shares.nodes];
    let mut closed_count = vec![0_usize; shares.nodes];
    let mut next: BinaryHeap<(usize, usize, Reverse<usize>)> = (0..shares.nodes)
        .map(|node| (0, meets[node], Reverse(node)))
        .collect();
    while let Some((count, _, Reverse(node))) = next.pop() {
        if placed[node] || count != closed_count[node] {
            continue;
        }
        placed[node] = true;
        let wave = waves.first(node);
        waves.put(node, wave);
        for &(limit, _) in shares.of[node].iter().filter(|(limit, _)| counted[*limit]) {
            let used = waves.used(limit, wave);
            for &(other, share) in &shares.limits[limit].shares {
                if placed[other] || used + share <= shares.limits[limit].room {
                    continue;
                }
                let closed = &mut closed[other];
                if closed.len() <= wave {
                    closed.resize(wave + 1, false);
                }
                if !std::mem::replace(&mut closed[wave], true) {
                    closed_count[other] += 1;
                    next.push((closed_count[other], meets[other], Reverse(other)));
                }
            }
        }
    }
    waves.waves
}

/// Waves while they fill.
struct Waves<'s> {
    shares: &'s Shares,
    waves: Vec<Vec<usize>>,
    /// For each limit, what each wave uses of it; waves that use nothing are not there.
    used: Vec<BTreeMap<usize, u64>>,
    /// For each limit, its smallest share.
    least: Vec<u64>,
    /// For each limit, the waves before this one take none of its shares any more.
    open_from: Vec<usize>,
}

impl<'s> Waves<'s> {
    fn new(shares: &'s Shares) -> Self {
        let least =
            |limit: &super::shares::Limit| limit.shares.iter().map(|&(_, share)| share).min();
        Self {
            shares,
            waves: Vec::new(),
            used: vec![BTreeMap::new(); shares.limits.len()],
            least: shares
                .limits
                .iter()
                .map(|limit| least(limit).unwrap_or(0))
                .collect(),
            open_from: vec![0; shares.limits.len()],
        }
    }

    fn used(&self, limit: usize, wave: usize) -> u64 {
        self.used[limit].get(&wave).copied().unwrap_or(0)
    }

    /// The first wave that takes the node; a new one if none does.
    fn first(&self, node: usize) -> usize {
        let own = &self.shares.of[node];
        let open_from = own.iter().map(|&(limit, _)| self.open_from[limit]);
        let mut wave = open_from.max().unwrap_or(0);
        while wave < self.waves.len() {
            let full = own.iter().find(|&&(limit, share)| {
                self.used(limit, wave) + share > self.shares.limits[limit].room
            });
            let Some(&(limit, share)) = full else {
                return wave;
            };
            let room = self.shares.limits[limit].room;
            // Past the waves that this limit closes in a row.
            for (&at, &used) in self.used[limit].range(wave..) {
                if at != wave || used + share <= room {
                    break;
                }
                wave += 1;
            }
        }
        self.waves.len()
    }

    fn put(&mut self, node: usize, wave: usize) {
        if wave == self.waves.len() {
            self.waves.push(Vec::new());
        }
        self.waves[wave].push(node);
        for &(limit, share) in &self.shares.of[node] {
            *self.used[limit].entry(wave).or_default() += share;
            let room = self.shares.limits[limit].room;
            let mut from = self.open_from[limit];
            while self.used(limit, from) + self.least[limit] > room {
                from += 1;
            }
            self.open_from[limit] = from;
        }
    }
}
