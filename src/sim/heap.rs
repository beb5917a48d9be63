//! What is due when, in one total order.
//!
//! Two events that are due at the same moment happen in the order in which they were scheduled, so that a run of the
//! simulation is reproducible. Knows nothing about what an event is.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::time::Duration;

/// Events by due time, then by the order in which they were scheduled.
#[derive(Debug, Clone)]
pub struct Heap<E> {
    waiting: BinaryHeap<Due<E>>,
    scheduled: u64,
}

#[derive(Debug, Clone)]
struct Due<E> {
    at: Duration,
    sequence: u64,
    event: E,
}

impl<E> Due<E> {
    const fn key(&self) -> (Duration, u64) {
        (self.at, self.sequence)
    }
}

impl<E> PartialEq for Due<E> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<E> Eq for Due<E> {}

impl<E> PartialOrd for Due<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Due<E> {
    /// The earliest is the greatest, because a [`BinaryHeap`] gives its greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        other.key().cmp(&self.key())
    }
}

impl<E> Default for Heap<E> {
    fn default() -> Self {
        Self {
            waiting: BinaryHeap::new(),
            scheduled: 0,
        }
    }
}

impl<E> Heap<E> {
    /// Lets an event happen at a time; one that is past already happens next.
    pub fn schedule(&mut self, at: Duration, event: E) {
        self.waiting.push(Due {
            at,
            sequence: self.scheduled,
            event,
        });
        self.scheduled += 1;
    }

    /// When the next event is due.
    #[must_use]
    pub fn next_due(&self) -> Option<Duration> {
        self.waiting.peek().map(|due| due.at)
    }

    /// The next event, if it is due by `now`, and when it was due.
    pub fn pop_due(&mut self, now: Duration) -> Option<(Duration, E)> {
        if self.next_due()? > now {
            return None;
        }
        self.waiting.pop().map(|due| (due.at, due.event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_happen_by_time_and_then_as_they_were_scheduled() {
        let at = Duration::from_secs;
        let mut heap = Heap::default();
        for (seconds, event) in [(3, "d"), (1, "a"), (2, "c"), (1, "b"), (9, "e")] {
            heap.schedule(at(seconds), event);
        }
        let mut happened = Vec::new();
        while let Some((_, event)) = heap.pop_due(at(3)) {
            happened.push(event);
        }
        assert_eq!(happened, ["a", "b", "c", "d"]);
        assert_eq!(heap.next_due(), Some(at(9)));
    }
}
