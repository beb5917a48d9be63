//! The order of a plan's steps, as a graph.
//!
//! The graph is never stored: it is rebuilt from each step's `after` whenever a plan is read, and a plan whose steps do
//! not make a graph, or are not in its order, is refused.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::graph::{DiGraph, NodeIndex};

use super::data::{Plan, Step, StepId};

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

fn index_of(steps: &[Step]) -> Result<BTreeMap<&StepId, usize>, GraphError> {
    let mut index = BTreeMap::new();
    for (position, step) in steps.iter().enumerate() {
        if index.insert(&step.id, position).is_some() {
            return Err(GraphError::Duplicate(step.id.clone()));
        }
    }
    Ok(index)
}

/// Kahn's algorithm, always taking the ready step with the least id.
fn order(steps: &[Step]) -> Result<Vec<usize>, GraphError> {
    let index = index_of(steps)?;
    let mut open = vec![0_usize; steps.len()];
    let mut followers = vec![Vec::new(); steps.len()];
    for (position, step) in steps.iter().enumerate() {
        for before in &step.after {
            let &before = index.get(before).ok_or_else(|| GraphError::UnknownStep {
                step: step.id.clone(),
                unknown: before.clone(),
            })?;
            open[position] += 1;
            followers[before].push(position);
        }
    }
    let mut ready: BTreeSet<(&StepId, usize)> = steps
        .iter()
        .enumerate()
        .filter(|(position, _)| open[*position] == 0)
        .map(|(position, step)| (&step.id, position))
        .collect();
    let mut order = Vec::with_capacity(steps.len());
    while let Some((_, position)) = ready.pop_first() {
        order.push(position);
        for &follower in &followers[position] {
            open[follower] -= 1;
            if open[follower] == 0 {
                ready.insert((&steps[follower].id, follower));
            }
        }
    }
    if order.len() < steps.len() {
        let done: BTreeSet<usize> = order.into_iter().collect();
        let mut waiting: Vec<StepId> = steps
            .iter()
            .enumerate()
            .filter(|(position, _)| !done.contains(position))
            .map(|(_, step)| step.id.clone())
            .collect();
        waiting.sort();
        return Err(GraphError::Cycle(waiting));
    }
    Ok(order)
}

impl Plan {
    /// The steps as a graph, an edge from each step to those that wait for it. Node `i` is `steps[i]`.
    ///
    /// # Errors
    /// If the steps do not make a graph, or are not in its order.
    pub fn graph(&self) -> Result<DiGraph<&Step, ()>, GraphError> {
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
        let index = index_of(&self.steps)?;
        let edges: usize = self.steps.iter().map(|step| step.after.len()).sum();
        let mut graph = DiGraph::with_capacity(self.steps.len(), edges);
        let nodes: Vec<NodeIndex> = self.steps.iter().map(|step| graph.add_node(step)).collect();
        for (position, step) in self.steps.iter().enumerate() {
            for before in &step.after {
                if let Some(&before) = index.get(before) {
                    graph.add_edge(nodes[before], nodes[position], ());
                }
            }
        }
        Ok(graph)
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
        let mut ends: BTreeMap<&StepId, u64> = BTreeMap::new();
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
    use crate::plan::data::Action;

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
    }
}
