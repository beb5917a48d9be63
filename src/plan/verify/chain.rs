//! Where steps lie between the steps of a chain, each of which comes before the next.
//!
//! One walk forwards and one backwards tell it for all steps, however long the chain is.

use super::order::Order;

/// A chain of steps.
#[derive(Debug)]
pub struct Chain {
    /// For each step, how many of the chain are at or before it.
    behind: Vec<usize>,
    /// For each step, the first of the chain that is at or after it.
    ahead: Vec<usize>,
    length: usize,
}

impl Chain {
    /// Of steps that come one after another.
    pub fn of(order: &Order<'_>, steps: &[usize]) -> Self {
        let mut behind = vec![0; order.len()];
        let mut ahead = vec![steps.len(); order.len()];
        for (place, &at) in steps.iter().enumerate() {
            behind[at] = place + 1;
            ahead[at] = place;
        }
        for at in 0..order.len() {
            for &follower in order.followers(at) {
                behind[follower] = behind[follower].max(behind[at]);
            }
        }
        for at in (0..order.len()).rev() {
            for &follower in order.followers(at) {
                ahead[at] = ahead[at].min(ahead[follower]);
            }
        }
        Self {
            behind,
            ahead,
            length: steps.len(),
        }
    }

    /// How many of its steps have always ended when this one begins, or are this one.
    pub fn behind(&self, at: usize) -> usize {
        self.behind[at]
    }

    /// The first of its steps that never begins before this one has ended, or is this one; its length where none is.
    pub fn ahead(&self, at: usize) -> usize {
        self.ahead[at]
    }

    /// Its stretches that lie between a step's end and another's beginning, first to last.
    pub fn between(&self, first: Option<usize>, last: Option<usize>) -> (usize, usize) {
        let from = first.map_or(0, |at| self.behind[at]);
        let to = last.map_or(self.length, |at| self.ahead[at]);
        (from, to.max(from))
    }
}
