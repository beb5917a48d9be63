//! The order of a plan's steps, as a graph: what each step comes `after`.
//!
//! A plan whose steps do not make a graph, or are not in its order, is refused whenever it is read. Whoever goes through the
//! steps in their order (the planner, who sorts them; the windows, who lay them out in time; a run, which carries them out)
//! asks a [`Frontier`] which may be next.

use std::collections::{BTreeSet, HashMap};

use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};

use super::data::{Action, Deferral, Plan, Step, StepId};
use super::deferral;

/// Why steps do not make a plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// Two steps have this id.
    #[error("step {0} is there twice")]
    Duplicate(StepId),
    /// A step waits for one that is not there.
    #[error("step {step} comes after {unknown}, which is not in the plan")]
    UnknownStep {
        /// The step.
        step: StepId,
        /// What it names.
        unknown: StepId,
    },
    /// A step's `after` is not sorted, or names a step twice.
    #[error("step {0}: `after` is not sorted")]
    UnsortedAfter(StepId),
    /// Steps wait for each other.
    #[error("steps wait for each other: {}", list(.0))]
    Cycle(Vec<StepId>),
    /// The steps are not in topological order with ties by id.
    #[error("step {found} stands where {expected} belongs")]
    Order {
        /// What is there.
        found: StepId,
        /// What belongs there.
        expected: StepId,
    },
}

fn list(ids: &[StepId]) -> String {
    ids.iter()
        .map(StepId::as_str)
        .collect::<Vec<_>>()
        .join(", ")
}

/// The steps in topological order, ties by id.
///
/// # Errors
/// If an id is there twice, a step waits for an unknown one, or steps wait for each other.
pub fn sorted(steps: Vec<Step>) -> Result<Vec<Step>, GraphError> {
    let order: Vec<usize> = order(&steps)?;
    let mut slots: Vec<Option<Step>> = steps.into_iter().map(Some).collect();
    Ok(order
        .into_iter()
        .filter_map(|index| slots.get_mut(index).and_then(Option::take))
        .collect())
}

/// Every step that another one names.
fn named(step: &Step) -> impl Iterator<Item = &StepId> {
    let deferral = match &step.action {
        Action::Drain { deferral, .. } => deferral.as_ref(),
        _ => None,
    };
    let deferred = deferral
        .into_iter()
        .flat_map(|part| part.steps.iter().chain([&part.until]));
    step.after.iter().chain(deferred)
}

/// Where each step stands.
fn places<'s>(steps: &[&'s Step]) -> Result<HashMap<&'s StepId, usize>, GraphError> {
    let mut places = HashMap::with_capacity(steps.len());
    for (place, step) in steps.iter().enumerate() {
        if places.insert(&step.id, place).is_some() {
            return Err(GraphError::Duplicate(step.id.clone()));
        }
    }
    Ok(places)
}

/// Kahn's algorithm, always taking the ready step with the least id.
fn order(steps: &[Step]) -> Result<Vec<usize>, GraphError> {
    let mut by_id: Vec<usize> = (0..steps.len()).collect();
    by_id.sort_by(|&a, &b| steps[a].id.cmp(&steps[b].id));
    let sorted: Vec<&Step> = by_id.iter().map(|&at| &steps[at]).collect();
    let mut frontier = Frontier::of(&sorted, &places(&sorted)?, |_| false)?;
    let mut order = Vec::with_capacity(steps.len());
    while let Some(place) = frontier.take() {
        order.push(by_id[place]);
        frontier.done(place);
    }
    if !frontier.is_done() {
        let graph = &frontier.graph;
        let mut waiting: Vec<&StepId> = kosaraju_scc(graph)
            .into_iter()
            .find(|nodes| nodes.len() > 1 || graph.contains_edge(nodes[0], nodes[0]))
            .into_iter()
            .flatten()
            .map(|node| &sorted[node.index()].id)
            .collect();
        waiting.sort();
        return Err(GraphError::Cycle(waiting.into_iter().cloned().collect()));
    }
    Ok(order)
}

/// The steps that are not done, by what they wait for. Steps are known by their place in the list.
///
/// Each edge is looked at twice, however many steps there are.
#[derive(Debug, Clone)]
pub struct Frontier {
    /// How many of the steps before each are not done.
    missing: Vec<usize>,
    /// From each step to those that wait for it, both not done when the frontier was made. Node `i` is the step at place `i`.
    graph: DiGraph<(), ()>,
    ready: BTreeSet<usize>,
    left: usize,
}

impl Frontier {
    /// The frontier where `done` tells what is done already.
    ///
    /// # Errors
    /// If an id stands twice, or a step comes after one that does not stand before it.
    pub fn new(steps: &[Step], done: impl Fn(&StepId) -> bool) -> Result<Self, GraphError> {
        Self::deferring(steps, done, &[])
    }

    /// As [`Frontier::new`], with these nodes put off to the end of their hop (`plan::deferral`).
    ///
    /// # Errors
    /// As [`Frontier::new`], or if what is put off is not in the plan.
    pub fn deferring(
        steps: &[Step],
        done: impl Fn(&StepId) -> bool,
        deferred: &[&Deferral],
    ) -> Result<Self, GraphError> {
        let listed: Vec<&Step> = steps.iter().collect();
        let places = places(&listed)?;
        for (place, step) in steps.iter().enumerate() {
            let later = |before: &&StepId| places.get(before).is_some_and(|&at| at >= place);
            if let Some(before) = step.after.iter().find(later) {
                return Err(GraphError::Order {
                    found: step.id.clone(),
                    expected: before.clone(),
                });
            }
            let unknown = |id: &&StepId| !places.contains_key(id);
            if let Some(unknown) = named(step).find(unknown) {
                return Err(GraphError::UnknownStep {
                    step: step.id.clone(),
                    unknown: unknown.clone(),
                });
            }
        }
        Ok(Self::with(
            &listed,
            &deferral::order(steps, &places, deferred),
            done,
        ))
    }

    fn of(
        steps: &[&Step],
        places: &HashMap<&StepId, usize>,
        done: impl Fn(&StepId) -> bool,
    ) -> Result<Self, GraphError> {
        let mut after = Vec::with_capacity(steps.len());
        for step in steps {
            let known = |before: &StepId| {
                places
                    .get(before)
                    .copied()
                    .ok_or_else(|| GraphError::UnknownStep {
                        step: step.id.clone(),
                        unknown: before.clone(),
                    })
            };
            after.push(
                step.after
                    .iter()
                    .map(known)
                    .collect::<Result<Vec<_>, _>>()?,
            );
        }
        Ok(Self::with(steps, &after, done))
    }

    fn with(steps: &[&Step], after: &[Vec<usize>], done: impl Fn(&StepId) -> bool) -> Self {
        let mut frontier = Self {
            missing: vec![0; steps.len()],
            graph: DiGraph::with_capacity(steps.len(), steps.len()),
            ready: BTreeSet::new(),
            left: 0,
        };
        let nodes: Vec<NodeIndex> = steps.iter().map(|_| frontier.graph.add_node(())).collect();
        for (place, step) in steps.iter().enumerate() {
            let is_done = done(&step.id);
            for &earlier in &after[place] {
                if !is_done && !done(&steps[earlier].id) {
                    frontier.missing[place] += 1;
                    frontier.graph.add_edge(nodes[earlier], nodes[place], ());
                }
            }
            if !is_done {
                frontier.left += 1;
                if frontier.missing[place] == 0 {
                    frontier.ready.insert(place);
                }
            }
        }
        frontier
    }

    /// The first step that may start and was not handed out yet.
    #[must_use]
    pub fn first(&self) -> Option<usize> {
        self.ready.first().copied()
    }

    /// Hands out the first step that may start.
    pub fn take(&mut self) -> Option<usize> {
        self.ready.pop_first()
    }

    /// Takes note that a step is under way which this frontier has not handed out.
    pub fn begun(&mut self, place: usize) {
        self.ready.remove(&place);
    }

    /// Takes note that a step that was handed out is done.
    pub fn done(&mut self, place: usize) {
        self.left -= 1;
        for follower in self.graph.neighbors(NodeIndex::new(place)) {
            let follower = follower.index();
            self.missing[follower] -= 1;
            if self.missing[follower] == 0 {
                self.ready.insert(follower);
            }
        }
    }

    /// Takes back a step that was handed out and has not begun.
    pub fn put_back(&mut self, place: usize) {
        self.ready.insert(place);
    }

    /// Whether every step is done.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.left == 0
    }
}

impl Plan {
    /// Whether the steps make a graph and stand in its order.
    ///
    /// # Errors
    /// If they do not.
    pub fn in_order(&self) -> Result<(), GraphError> {
        for step in &self.steps {
            if !step.after.is_sorted_by(|a, b| a < b) {
                return Err(GraphError::UnsortedAfter(step.id.clone()));
            }
        }
        for (position, &belongs) in order(&self.steps)?.iter().enumerate() {
            if position != belongs {
                return Err(GraphError::Order {
                    found: self.steps[position].id.clone(),
                    expected: self.steps[belongs].id.clone(),
                });
            }
        }
        Ok(())
    }

    /// Nothing is to be done.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The step with this id.
    #[must_use]
    pub fn step(&self, id: &StepId) -> Option<&Step> {
        self.steps.iter().find(|step| &step.id == id)
    }

    /// How long the plan should take, in seconds: the longest way through it.
    #[must_use]
    pub fn expected_s(&self) -> u64 {
        let mut ends: HashMap<&StepId, u64> = HashMap::with_capacity(self.steps.len());
        for step in &self.steps {
            let start = step
                .after
                .iter()
                .filter_map(|before| ends.get(before))
                .max()
                .copied()
                .unwrap_or(0);
            ends.insert(&step.id, start + step.expected_s);
        }
        ends.into_values().max().unwrap_or(0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn step(id: &str, after: &[&str]) -> Step {
        Step {
            id: StepId::new(id),
            action: Action::Barrier {
                holds: String::new(),
            },
            after: after.iter().map(|id| StepId::new(*id)).collect(),
            timeout_s: 1,
            retries: 0,
            because: String::new(),
            expected_s: 1,
        }
    }

    fn ids(steps: &[Step]) -> Vec<&str> {
        steps.iter().map(|step| step.id.as_str()).collect()
    }

    #[test]
    fn sorts_by_order_then_by_id() {
        let steps = vec![
            step("d", &["b", "c"]),
            step("c", &["a"]),
            step("b", &["a"]),
            step("a", &[]),
        ];
        assert_eq!(ids(&sorted(steps).unwrap()), ["a", "b", "c", "d"]);
    }

    #[test]
    fn a_frontier_hands_out_what_waits_for_nothing_more() {
        let steps = [
            step("a", &[]),
            step("b", &["a"]),
            step("c", &["a"]),
            step("d", &["b", "c"]),
        ];
        let mut frontier = Frontier::new(&steps, |id| id.as_str() == "a").unwrap();
        assert_eq!((frontier.take(), frontier.take()), (Some(1), Some(2)));
        assert_eq!(frontier.take(), None);
        frontier.put_back(2);
        assert_eq!((frontier.first(), frontier.take()), (Some(2), Some(2)));
        frontier.done(1);
        assert_eq!(frontier.first(), None);
        frontier.done(2);
        assert!(!frontier.is_done());
        assert_eq!(frontier.take(), Some(3));
        frontier.done(3);
        assert!(frontier.is_done());
    }

    #[test]
    fn a_frontier_is_made_of_steps_in_their_order_only() {
        let swapped = [step("b", &["a"]), step("a", &[])];
        assert!(matches!(
            Frontier::new(&swapped, |_| false),
            Err(GraphError::Order { .. })
        ));
    }

    #[test]
    fn refuses_what_is_no_order() {
        assert_eq!(
            sorted(vec![step("a", &[]), step("a", &[])]),
            Err(GraphError::Duplicate(StepId::new("a")))
        );
        assert!(matches!(
            sorted(vec![step("a", &["x"])]),
            Err(GraphError::UnknownStep { .. })
        ));
        assert_eq!(
            sorted(vec![step("a", &["b"]), step("b", &["a"]), step("c", &[])]),
            Err(GraphError::Cycle(vec![StepId::new("a"), StepId::new("b")]))
        );
        // Who waits for such steps is not one of them.
        let after = step("c", &["a"]);
        assert_eq!(
            sorted(vec![step("a", &["b"]), step("b", &["a"]), after]),
            Err(GraphError::Cycle(vec![StepId::new("a"), StepId::new("b")]))
        );
        assert_eq!(
            sorted(vec![step("a", &["a"])]),
            Err(GraphError::Cycle(vec![StepId::new("a")]))
        );
    }
}
