//! What is decided by order agrees with what happens in some interleaving, on graphs of up to 12 steps: every state that
//! beginning and ending steps can lead to is visited.

#![allow(clippy::unwrap_used)]

use std::collections::HashSet;

use proptest::prelude::*;

use super::flight::{Item, heaviest};
use super::order::Order;
use super::timeline::{Moment, Phase, Span};
use crate::plan::data::{Action, Step, StepId};
use crate::rules::version::Version;

/// At most 12 steps and the edges between them, a strategy of where the pivots are, and numbers to choose with.
fn graphs() -> impl Strategy<Value = (Vec<Step>, Vec<usize>)> {
    (
        2_usize..=12,
        prop::collection::vec(prop::bool::weighted(0.3), 66),
        prop::collection::vec(prop::bool::weighted(0.3), 12),
        prop::collection::vec(any::<prop::sample::Index>(), 24),
    )
        .prop_map(|(count, edges, pivots, numbers)| {
            let mut edges = edges.into_iter();
            let steps = (0..count)
                .map(|at| Step {
                    // Against the order of numbers, so that these must be found.
                    id: StepId::new(format!("s{:02}", count - at)),
                    action: Action::Barrier {
                        holds: String::new(),
                    },
                    after: (0..at)
                        .filter(|_| edges.next().unwrap_or(false))
                        .map(|earlier| StepId::new(format!("s{:02}", count - earlier)))
                        .collect(),
                    timeout_s: 1,
                    retries: u32::from(pivots[at]),
                    because: String::new(),
                    expected_s: 1,
                })
                .collect();
            let numbers = numbers
                .into_iter()
                .map(|number| number.index(count))
                .collect();
            (steps, numbers)
        })
}

/// A state: which steps have begun, which have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct State {
    begun: u16,
    ended: u16,
}

impl State {
    fn begun(self, step: Option<usize>) -> bool {
        step.is_none_or(|step| self.begun >> step & 1 == 1)
    }

    fn ended(self, step: Option<usize>) -> bool {
        step.is_some_and(|step| self.ended >> step & 1 == 1)
    }
}

/// Every state that some interleaving passes through, by the order's numbers.
fn states(order: &Order<'_>) -> Vec<State> {
    let number = |id: &StepId| {
        order
            .iter()
            .find(|(_, step)| &step.id == id)
            .map_or(0, |(at, _)| at)
    };
    let before: Vec<u16> = order
        .iter()
        .map(|(_, step)| step.after.iter().map(|id| 1 << number(id)).sum())
        .collect();
    let start = State { begun: 0, ended: 0 };
    let mut seen = HashSet::from([start]);
    let mut found = vec![start];
    let mut next = 0;
    while let Some(&State { begun, ended }) = found.get(next) {
        next += 1;
        for (step, before) in before.iter().enumerate() {
            let bit = 1 << step;
            let after = if begun & bit == 0 && before & !ended == 0 {
                State {
                    begun: begun | bit,
                    ended,
                }
            } else if begun & bit != 0 && ended & bit == 0 {
                State {
                    begun,
                    ended: ended | bit,
                }
            } else {
                continue;
            };
            if seen.insert(after) {
                found.push(after);
            }
        }
    }
    found
}

fn always_before(states: &[State], first: usize, then: usize) -> bool {
    first != then
        && states
            .iter()
            .filter(|state| state.begun(Some(then)))
            .all(|state| state.ended(Some(first)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_comes_before_what((steps, _) in graphs()) {
        let order = Order::of(&steps, |step| step.retries == 1).unwrap();
        let states = states(&order);
        for first in 0..steps.len() {
            for then in 0..steps.len() {
                let truth = always_before(&states, first, then);
                prop_assert_eq!(order.precedes(first, then), truth, "{} {}", first, then);
                prop_assert_eq!(order.walk(&[(first, then)]).is_empty(), truth, "{} {}", first, then);
            }
        }
    }

    #[test]
    fn the_most_in_flight((steps, numbers) in graphs()) {
        let order = Order::of(&steps, |_| false).unwrap();
        let states = states(&order);
        let items: Vec<Item> = numbers
            .chunks(4)
            .map(|pick| Item {
                first: (pick[2] > 0).then_some(pick[0]),
                last: (pick[3] > 0).then_some(pick[1]),
                weight: 1 + pick[2] as u64 % 3,
            })
            .filter(|item| match (item.first, item.last) {
                (Some(first), Some(last)) => first == last || always_before(&states, first, last),
                (_, _) => true,
            })
            .collect();
        let in_flight = |state: &State, item: &Item| state.begun(item.first) && !state.ended(item.last);
        let weight = |state: &State| -> u64 {
            items.iter().filter(|item| in_flight(state, item)).map(|item| item.weight).sum()
        };
        let most = heaviest(&order, &items);
        prop_assert_eq!(most.weight, states.iter().map(weight).max().unwrap_or(0));
        // The items that are named can be in flight at one instant, and weigh as much.
        let named = |state: &&State| most.items.iter().all(|&index| in_flight(state, &items[index]));
        prop_assert!(states.iter().any(|state| named(&state)));
        let sum: u64 = most.items.iter().map(|&index| items[index].weight).sum();
        prop_assert_eq!(sum, most.weight);
    }

    #[test]
    fn which_releases_meet((steps, numbers) in graphs()) {
        let order = Order::of(&steps, |step| step.retries == 1).unwrap();
        let states = states(&order);
        let span = |from: Option<usize>, until: Option<usize>| Span {
            version: Version::new(1, 35, 4),
            from: from.map(|step| Moment { step, phase: Phase::Begin }),
            until: until.map(|step| Moment { step, phase: Phase::End }),
        };
        for pick in numbers.chunks(4) {
            let ends: Vec<Option<usize>> =
                pick.iter().enumerate().map(|(place, &at)| (at % 5 > 0 || place % 2 == 1).then_some(at)).collect();
            let named: Vec<usize> = ends.iter().copied().flatten().collect();
            let distinct = named.iter().collect::<HashSet<_>>().len() == named.len();
            let sane = |from: Option<usize>, until: Option<usize>| match (from, until) {
                (Some(from), Some(until)) => always_before(&states, from, until),
                (_, _) => true,
            };
            if !distinct || !sane(ends[0], ends[1]) || !sane(ends[2], ends[3]) {
                continue;
            }
            let there = |state: &State, from, until| state.begun(from) && !state.ended(until);
            let truth = states
                .iter()
                .any(|state| there(state, ends[0], ends[1]) && there(state, ends[2], ends[3]));
            let meets = span(ends[0], ends[1]).meets(&span(ends[2], ends[3]), &order);
            prop_assert_eq!(meets, truth, "{:?}", ends);
        }
    }
}
