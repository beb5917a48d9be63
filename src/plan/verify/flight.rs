//! How much can be in flight at once.
//!
//! An item (a node out of service) is in flight from the moment when its first step begins until its last step has ended.
//! The heaviest set of items that some order of the plan lets be in flight together is the heaviest antichain of the items,
//! one being before another when its last step comes before the other's first. By Dilworth's theorem it weighs as much as
//! the lightest flow through the plan that carries each item's weight through that item, so that it is found exactly,
//! without looking at pairs of items: every item begins with a flow of its own, and a flow that leaves one item goes on into
//! a later one for as long as any can.
//!
//! Source: R. P. Dilworth, "A Decomposition Theorem for Partially Ordered Sets", Annals of Mathematics 51 (1950); the flow
//! with lower bounds is that of L. R. Ford and D. R. Fulkerson, "Flows in Networks" (1962), II.3 and II.9.

use super::order::Order;

/// Something that is in flight for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item {
    /// The step with whose beginning it begins; none when it is in flight from the start.
    pub first: Option<usize>,
    /// The step with whose end it ends; none when it never does.
    pub last: Option<usize>,
    /// Its weight.
    pub weight: u64,
}

/// The most that is ever in flight, and which items these are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heaviest {
    /// The sum of their weights.
    pub weight: u64,
    /// Indices of the items.
    pub items: Vec<usize>,
}

const WITHOUT_END: u64 = u64::MAX / 4;

/// An arc and what it may still carry; the arc at `index ^ 1` is its way back.
#[derive(Debug, Clone, Copy)]
struct Arc {
    to: usize,
    room: u64,
}

#[derive(Debug, Default)]
struct Network {
    arcs: Vec<Arc>,
    from: Vec<Vec<usize>>,
}

impl Network {
    fn arc(&mut self, from: usize, to: usize, room: u64, back: u64) {
        self.from[from].push(self.arcs.len());
        self.arcs.push(Arc { to, room });
        self.from[to].push(self.arcs.len());
        self.arcs.push(Arc {
            to: from,
            room: back,
        });
    }

    /// How far each place is from `start`, over arcs with room.
    fn distances(&self, start: usize) -> Vec<Option<usize>> {
        let mut distance = vec![None; self.from.len()];
        distance[start] = Some(0);
        let mut queue = vec![(start, 0)];
        let mut next = 0;
        while let Some(&(at, far)) = queue.get(next) {
            next += 1;
            for &arc in &self.from[at] {
                let Arc { to, room } = self.arcs[arc];
                if room > 0 && distance[to].is_none() {
                    distance[to] = Some(far + 1);
                    queue.push((to, far + 1));
                }
            }
        }
        distance
    }

    /// As much as goes from `start` to `end` (Dinitz: along shortest ways, all of one length at once).
    fn push_all(&mut self, start: usize, end: usize) -> u64 {
        let mut total = 0;
        loop {
            let distance = self.distances(start);
            if distance[end].is_none() {
                return total;
            }
            let mut tried = vec![0; self.from.len()];
            let mut way: Vec<usize> = Vec::new();
            let mut at = start;
            loop {
                if at == end {
                    let least = way
                        .iter()
                        .map(|&arc| self.arcs[arc].room)
                        .min()
                        .unwrap_or(0);
                    for &arc in &way {
                        self.arcs[arc].room -= least;
                        self.arcs[arc ^ 1].room += least;
                    }
                    total += least;
                    way.clear();
                    at = start;
                    continue;
                }
                let onward = self.from[at][tried[at]..].iter().position(|&arc| {
                    let Arc { to, room } = self.arcs[arc];
                    room > 0
                        && distance[to].is_some()
                        && distance[to] == distance[at].map(|far| far + 1)
                });
                match onward {
                    Some(skipped) => {
                        tried[at] += skipped;
                        let arc = self.from[at][tried[at]];
                        way.push(arc);
                        at = self.arcs[arc].to;
                    }
                    None => {
                        tried[at] = self.from[at].len();
                        let Some(arc) = way.pop() else { break };
                        at = self.arcs[arc ^ 1].to;
                        tried[at] += 1;
                    }
                }
            }
        }
    }
}

/// The heaviest set of items that can be in flight together.
pub fn heaviest(order: &Order<'_>, items: &[Item]) -> Heaviest {
    let steps = order.len();
    let (source, sink) = (2 * steps, 2 * steps + 1);
    let begins = |step: usize| 2 * step;
    let ends = |step: usize| 2 * step + 1;
    let mut network = Network {
        arcs: Vec::new(),
        from: vec![Vec::new(); 2 * steps + 2],
    };
    for (at, _) in order.iter() {
        network.arc(begins(at), ends(at), WITHOUT_END, 0);
        for &follower in order.followers(at) {
            network.arc(ends(at), begins(follower), WITHOUT_END, 0);
        }
    }
    let mut alone = 0;
    for item in items {
        alone += item.weight;
        // What an item carries can go back to nowhere but itself; what comes in or leaves on its own can be taken back.
        if let Some(first) = item.first {
            network.arc(source, begins(first), WITHOUT_END, item.weight);
        }
        if let Some(last) = item.last {
            network.arc(ends(last), sink, WITHOUT_END, item.weight);
        }
        if let (Some(first), Some(last)) = (item.first, item.last) {
            network.arc(begins(first), ends(last), WITHOUT_END, 0);
        }
    }
    let weight = alone - network.push_all(sink, source);
    let later = network.distances(sink);
    let items = items
        .iter()
        .enumerate()
        .filter(|(_, item)| {
            let begun = item
                .first
                .is_none_or(|first| later[begins(first)].is_none());
            let ended = item.last.is_some_and(|last| later[ends(last)].is_none());
            begun && !ended
        })
        .map(|(index, _)| index)
        .collect();
    Heaviest { weight, items }
}
