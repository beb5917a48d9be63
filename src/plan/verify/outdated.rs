//! The taint of workers that are yet to be drained: on them before the first of the hop is, off each with its return.

use std::collections::BTreeMap;

use super::hops::Hops;
use super::order::Order;
use super::rounds::{OfNode, Rounds, Stage};
use super::violation::{Invariant, Needed, Violation};
use crate::cluster::model::{NodeName, Role};
use crate::plan::data::{Action, Plan};

const INVARIANT: Invariant = Invariant::Outdated;

/// A worker that is drained and brought back in a hop.
struct Turn<'f> {
    node: &'f NodeName,
    drain: usize,
    /// Its return takes a taint off: somebody else's cordon stays, and keeps pods out by itself.
    comes_back: bool,
    /// The step that taints it.
    taint: Option<usize>,
}

/// Every taint is put on before any worker of its hop is drained, and taken off with its worker's uncordon.
pub fn judge(
    plan: &Plan,
    order: &Order<'_>,
    hops: &Hops<'_>,
    rounds: &Rounds<'_, '_>,
) -> Vec<Violation> {
    let mut taints: BTreeMap<&NodeName, Vec<usize>> = BTreeMap::new();
    let mut wrong = Vec::new();
    for (at, step) in order.iter() {
        if let Action::TaintOutdated { nodes } = &step.action {
            for node in nodes {
                taints.entry(node).or_default().push(at);
            }
            if !plan.limits.outdated_avoided {
                wrong.push(needless(
                    order,
                    at,
                    "drain.avoidOutdated is false".to_owned(),
                ));
            }
        }
    }
    let mut turns: BTreeMap<Option<usize>, Vec<Turn<'_>>> = BTreeMap::new();
    for of in rounds.iter() {
        let own = taints.remove(&of.on.node.name).unwrap_or_default();
        node(order, hops, of, own, &mut turns, &mut wrong);
    }
    for (node, taints) in taints {
        let told = |at: usize| needless(order, at, format!("{node} is not this plan's to drain"));
        wrong.extend(taints.into_iter().map(told));
    }
    for turns in turns.values() {
        hop(plan, order, turns, &mut wrong);
    }
    wrong
}

fn needless(order: &Order<'_>, at: usize, why: String) -> Violation {
    Violation::Needless {
        invariant: INVARIANT,
        step: order.id(at),
        why,
    }
}

/// Each of a node's taints is for a drain of its own, and its return takes it off.
fn node<'f>(
    order: &Order<'_>,
    hops: &Hops<'_>,
    of: &OfNode<'_, 'f>,
    mut taints: Vec<usize>,
    turns: &mut BTreeMap<Option<usize>, Vec<Turn<'f>>>,
    wrong: &mut Vec<Violation>,
) {
    let node = &of.on.node.name;
    let mut is_on = of.on.node.is_outdated();
    for round in &of.rounds {
        let Some(back) = round.at(Stage::Uncordon) else {
            if let (Role::Worker, Some(drain)) = (of.on.role(), round.at(Stage::Drain)) {
                let install = round.at(Stage::Install).map(|at| &order.step(at).action);
                let hop = install.and_then(|action| hops.hop_of(action));
                turns.entry(hop).or_default().push(Turn {
                    node,
                    drain,
                    comes_back: false,
                    taint: None,
                });
            }
            continue;
        };
        let before = taints.iter().position(|&at| order.precedes(at, back));
        let taint = before.map(|place| taints.remove(place));
        is_on |= taint.is_some();
        let off = matches!(
            order.step(back).action,
            Action::Uncordon { outdated: true, .. }
        );
        if off && !is_on {
            wrong.push(needless(
                order,
                back,
                format!("{node} is not tainted then, and it takes the taint off"),
            ));
        } else if is_on && !off {
            wrong.push(Violation::Missing {
                invariant: INVARIANT,
                needed: Needed::Untaint,
                place: node.to_string(),
                steps: taint
                    .into_iter()
                    .chain([back])
                    .map(|at| order.id(at))
                    .collect(),
            });
        }
        is_on = false;
        let Some(drain) = round.at(Stage::Drain) else {
            let told = |at| needless(order, at, format!("{node} is not drained after it"));
            wrong.extend(taint.map(told));
            continue;
        };
        match of.on.role() {
            Role::Worker => {
                let install = round.at(Stage::Install).map(|at| &order.step(at).action);
                let hop = install.and_then(|action| hops.hop_of(action));
                let turn = Turn {
                    node,
                    drain,
                    comes_back: true,
                    taint,
                };
                turns.entry(hop).or_default().push(turn);
            }
            Role::ControlPlane => {
                let told = |at| needless(order, at, format!("{node} is a control plane"));
                wrong.extend(taint.map(told));
            }
        }
    }
    let told = |at| needless(order, at, format!("{node} does not come back after it"));
    wrong.extend(taints.into_iter().map(told));
}

/// With two workers or more there is a next one, which pods could avoid.
fn hop(plan: &Plan, order: &Order<'_>, turns: &[Turn<'_>], wrong: &mut Vec<Violation>) {
    let own = || turns.iter().filter(|turn| turn.comes_back);
    if plan.limits.outdated_avoided && own().count() > 1 {
        for turn in own().filter(|turn| turn.taint.is_none()) {
            wrong.push(Violation::Missing {
                invariant: INVARIANT,
                needed: Needed::Taint,
                place: turn.node.to_string(),
                steps: vec![order.id(turn.drain)],
            });
        }
    }
    let mut taints: Vec<usize> = turns.iter().filter_map(|turn| turn.taint).collect();
    taints.sort_unstable();
    taints.dedup();
    let pairs: Vec<(usize, usize)> = taints
        .iter()
        .flat_map(|&taint| turns.iter().map(move |turn| (taint, turn.drain)))
        .collect();
    let unordered = order.unordered(&pairs).into_iter();
    wrong.extend(unordered.map(|(first, then)| Violation::Unordered {
        invariant: INVARIANT,
        first: order.id(first),
        then: order.id(then),
    }));
}
