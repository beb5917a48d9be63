//! A plan's steps as a partial order: what must come before what.
//!
//! Steps are renumbered so that each stands after everything that it waits for; the rest of `verify` speaks of them by
//! this number. Whether one comes before another is asked far more often than there are steps, so it must not cost a
//! walk through the plan each time, and a table of all pairs would grow with the square of the plan. Three things keep it
//! cheap: for a few *pivots* (the control planes' steps, the snapshot) everything before and after them is marked at once;
//! a *strait*, a step that everything earlier leads to and everything later comes from, puts all of the one side before
//! all of the other; and what remains is near in practice. Whatever is left is decided for 64 pairs in one walk.

use std::collections::{BTreeMap, BTreeSet};

use super::violation::Violation;
use crate::plan::data::{Step, StepId};

/// How many steps are looked at for a pair before it is left to the common walk.
const NEAR: usize = 64;

/// Steps in an order that respects what each waits for.
#[derive(Debug)]
pub struct Order<'p> {
    steps: Vec<&'p Step>,
    before: Vec<Vec<usize>>,
    after: Vec<Vec<usize>>,
    /// How many straits there are at or before each step.
    straits: Vec<usize>,
    pivots: BTreeMap<usize, usize>,
    /// For each step, the pivots at or before it.
    behind: Marks,
    /// For each step, the pivots at or after it.
    ahead: Marks,
}

/// A set of few for each step.
#[derive(Debug)]
struct Marks {
    words: usize,
    bits: Vec<u64>,
}

impl Marks {
    fn new(steps: usize, kinds: usize) -> Self {
        let words = kinds.div_ceil(64);
        Self {
            words,
            bits: vec![0; steps * words],
        }
    }

    fn put(&mut self, step: usize, kind: usize) {
        self.bits[step * self.words + kind / 64] |= 1 << (kind % 64);
    }

    fn has(&self, step: usize, kind: usize) -> bool {
        self.bits[step * self.words + kind / 64] >> (kind % 64) & 1 == 1
    }

    fn copy(&mut self, from: usize, to: usize) {
        for word in 0..self.words {
            self.bits[to * self.words + word] |= self.bits[from * self.words + word];
        }
    }
}

impl<'p> Order<'p> {
    /// The steps' order, with those marked that `pivot` picks.
    ///
    /// # Errors
    /// Every id that is there twice, every edge from nowhere, and the steps that wait for each other.
    pub fn of(steps: &'p [Step], pivot: fn(&Step) -> bool) -> Result<Self, Vec<Violation>> {
        let mut index: BTreeMap<&StepId, usize> = BTreeMap::new();
        let mut wrong = Vec::new();
        for (at, step) in steps.iter().enumerate() {
            if index.insert(&step.id, at).is_some() {
                wrong.push(Violation::SameId(step.id.clone()));
            }
        }
        let mut waits = vec![0_usize; steps.len()];
        let mut followers = vec![Vec::new(); steps.len()];
        for (at, step) in steps.iter().enumerate() {
            let unique: BTreeSet<&StepId> = step.after.iter().collect();
            for id in unique {
                match index.get(id) {
                    Some(&before) => {
                        waits[at] += 1;
                        followers[before].push(at);
                    }
                    None => wrong.push(Violation::UnknownStep {
                        step: step.id.clone(),
                        unknown: id.clone(),
                    }),
                }
            }
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let mut sorted: Vec<usize> = (0..steps.len()).filter(|&at| waits[at] == 0).collect();
        let mut next = 0;
        while let Some(&at) = sorted.get(next) {
            next += 1;
            for &follower in &followers[at] {
                waits[follower] -= 1;
                if waits[follower] == 0 {
                    sorted.push(follower);
                }
            }
        }
        if sorted.len() < steps.len() {
            return Err(vec![Violation::Cycle(
                waiting(&waits, &followers)
                    .into_iter()
                    .map(|at| steps[at].id.clone())
                    .collect(),
            )]);
        }
        let mut number = vec![0; steps.len()];
        for (place, &at) in sorted.iter().enumerate() {
            number[at] = place;
        }
        let mut before = vec![Vec::new(); steps.len()];
        let mut after = vec![Vec::new(); steps.len()];
        for (at, followers) in followers.iter().enumerate() {
            for &follower in followers {
                after[number[at]].push(number[follower]);
                before[number[follower]].push(number[at]);
            }
        }
        Ok(Self::with_marks(
            sorted.into_iter().map(|at| &steps[at]).collect(),
            before,
            after,
            pivot,
        ))
    }

    fn with_marks(
        steps: Vec<&'p Step>,
        before: Vec<Vec<usize>>,
        after: Vec<Vec<usize>>,
        pivot: fn(&Step) -> bool,
    ) -> Self {
        let pivots: BTreeMap<usize, usize> = (0..steps.len())
            .filter(|&at| pivot(steps[at]))
            .enumerate()
            .map(|(kind, at)| (at, kind))
            .collect();
        let mut behind = Marks::new(steps.len(), pivots.len());
        let mut ahead = Marks::new(steps.len(), pivots.len());
        for (&at, &kind) in &pivots {
            behind.put(at, kind);
            ahead.put(at, kind);
        }
        for (at, followers) in after.iter().enumerate() {
            for &follower in followers {
                behind.copy(at, follower);
            }
        }
        for (at, before) in before.iter().enumerate().rev() {
            for &earlier in before {
                ahead.copy(at, earlier);
            }
        }
        Self {
            straits: straits(&before, &after),
            steps,
            before,
            after,
            pivots,
            behind,
            ahead,
        }
    }

    /// How many steps there are.
    pub const fn len(&self) -> usize {
        self.steps.len()
    }

    /// A step by its number.
    pub fn step(&self, at: usize) -> &'p Step {
        self.steps[at]
    }

    /// A step's id by its number.
    pub fn id(&self, at: usize) -> StepId {
        self.steps[at].id.clone()
    }

    /// The steps with their numbers.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (usize, &'p Step)> {
        self.steps.iter().copied().enumerate()
    }

    /// What waits for a step directly.
    pub fn followers(&self, at: usize) -> &[usize] {
        &self.after[at]
    }

    /// Whether `first` has ended whenever `then` begins.
    pub fn precedes(&self, first: usize, then: usize) -> bool {
        self.unordered(&[(first, then)]).is_empty()
    }

    /// Of these pairs those whose first does not always end before the second begins.
    pub fn unordered(&self, pairs: &[(usize, usize)]) -> Vec<(usize, usize)> {
        let mut far = Vec::new();
        let mut wrong = Vec::new();
        for &(first, then) in pairs {
            match self.quickly(first, then) {
                Some(true) => {}
                Some(false) => wrong.push((first, then)),
                None => far.push((first, then)),
            }
        }
        for pairs in far.chunks(64) {
            wrong.extend(self.walk(pairs));
        }
        wrong
    }

    fn quickly(&self, first: usize, then: usize) -> Option<bool> {
        if first >= then {
            return Some(false);
        }
        if let Some(&kind) = self.pivots.get(&first) {
            return Some(self.behind.has(then, kind));
        }
        if let Some(&kind) = self.pivots.get(&then) {
            return Some(self.ahead.has(first, kind));
        }
        let earlier = first.checked_sub(1).map_or(0, |at| self.straits[at]);
        if self.straits[then] > earlier {
            return Some(true);
        }
        let mut seen = BTreeSet::from([then]);
        let mut queue = vec![then];
        let mut next = 0;
        while let Some(&at) = queue.get(next) {
            next += 1;
            for &earlier in &self.before[at] {
                if earlier == first {
                    return Some(true);
                }
                if earlier > first && seen.insert(earlier) {
                    queue.push(earlier);
                }
            }
            if queue.len() > NEAR {
                return None;
            }
        }
        Some(false)
    }

    /// Of at most 64 pairs those that are not ordered, by one walk through all steps.
    pub(super) fn walk(&self, pairs: &[(usize, usize)]) -> Vec<(usize, usize)> {
        let mut behind = Marks::new(self.len(), pairs.len());
        for (kind, &(first, _)) in pairs.iter().enumerate() {
            behind.put(first, kind);
        }
        for at in 0..self.len() {
            for &follower in &self.after[at] {
                behind.copy(at, follower);
            }
        }
        pairs
            .iter()
            .enumerate()
            .filter(|(kind, (first, then))| first == then || !behind.has(*then, *kind))
            .map(|(_, &pair)| pair)
            .collect()
    }
}

/// Of the steps that still wait those that wait for each other, without what only waits for them.
fn waiting(waits: &[usize], followers: &[Vec<usize>]) -> BTreeSet<usize> {
    let mut left: BTreeSet<usize> = (0..waits.len()).filter(|&at| waits[at] > 0).collect();
    let mut earlier = vec![Vec::new(); waits.len()];
    let mut open = vec![0_usize; waits.len()];
    for &at in &left {
        for &follower in &followers[at] {
            earlier[follower].push(at);
            open[at] += 1;
        }
    }
    let mut idle: Vec<usize> = left.iter().copied().filter(|&at| open[at] == 0).collect();
    while let Some(at) = idle.pop() {
        left.remove(&at);
        for &before in &earlier[at] {
            open[before] -= 1;
            if open[before] == 0 {
                idle.push(before);
            }
        }
    }
    left
}

/// How many straits there are at or before each step.
///
/// All earlier steps lead to a step when none of them has all of its followers beyond it: from each, one can go on to a
/// follower that is not beyond, until one is there. The same holds backwards.
fn straits(before: &[Vec<usize>], after: &[Vec<usize>]) -> Vec<usize> {
    let count = before.len();
    let mut strait = vec![0; count];
    // The farthest of the nearest followers of all earlier steps.
    let mut reach = 0;
    for (at, followers) in after.iter().enumerate() {
        strait[at] = usize::from(reach <= at);
        reach = reach.max(followers.iter().min().copied().unwrap_or(usize::MAX));
    }
    // The nearest of the latest predecessors of all later steps, counted from 1: 0 where a step waits for nothing.
    let mut reach = usize::MAX;
    for (at, earlier) in before.iter().enumerate().rev() {
        if reach <= at {
            strait[at] = 0;
        }
        reach = reach.min(earlier.iter().max().map_or(0, |latest| latest + 1));
    }
    let mut sum = 0;
    for strait in &mut strait {
        sum += *strait;
        *strait = sum;
    }
    strait
}
