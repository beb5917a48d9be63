//! Which nodes are out of service together: control planes one at a time, workers apart from them and no more than the plan
//! allows.
//!
//! A worker is out of service from the first step of a round that takes it out until the last; what someone else cordoned
//! stays so and counts as out throughout, and what an earlier run left cordoned is out from the start.

use std::collections::BTreeSet;

use super::cluster::Cluster;
use super::flight::{Item, heaviest};
use super::order::Order;
use super::rounds::{Rounds, Stage};
use super::violation::{Invariant, Violation};
use crate::cluster::model::{NodeName, Role};
use crate::plan::data::Plan;

/// Nodes that must not be out together, and can be.
pub fn judge(
    plan: &Plan,
    cluster: &Cluster<'_>,
    order: &Order<'_>,
    rounds: &Rounds<'_, '_>,
) -> Vec<Violation> {
    let mut wrong = control_planes(order, rounds);
    wrong.extend(apart(order, rounds));
    wrong.extend(workers(plan, cluster, order, rounds));
    wrong
}

/// One control plane's kubelet at a time.
fn control_planes(order: &Order<'_>, rounds: &Rounds<'_, '_>) -> Vec<Violation> {
    let mut all: Vec<(usize, usize)> = rounds
        .of_role(Role::ControlPlane)
        .filter_map(|round| Some((round.out()?, round.back().or(round.at(Stage::Install))?)))
        .collect();
    all.sort_unstable();
    // One after another: each only once the one before is back.
    all.windows(2)
        .filter(|pair| !order.precedes(pair[0].1, pair[1].0))
        .map(|pair| Violation::Unordered {
            invariant: Invariant::OutOfService,
            first: order.id(pair[0].1),
            then: order.id(pair[1].0),
        })
        .collect()
}

/// No worker is out while a control plane's kubelet changes: with its static pods kube-controller-manager's leader may go,
/// and without one nothing takes an evicted pod off its Service.
fn apart(order: &Order<'_>, rounds: &Rounds<'_, '_>) -> Vec<Violation> {
    let mut met = Vec::new();
    for instance in rounds.of_role(Role::ControlPlane) {
        // That it is missing where a kubelet changes is told for itself.
        let Some(settled) = instance.at(Stage::Settle) else {
            continue;
        };
        for worker in rounds.of_role(Role::Worker) {
            let (Some(drained), Some(back)) = (worker.out(), worker.back()) else {
                continue;
            };
            if !order.precedes(settled, drained) {
                // One that an earlier run left cordoned may have its new kubelet already: no worker goes before it.
                met.push((instance.out().map(|out| (back, out)), (settled, drained)));
            }
        }
    }
    let earlier: Vec<(usize, usize)> = met.iter().filter_map(|(earlier, _)| *earlier).collect();
    let meeting: BTreeSet<(usize, usize)> = order.unordered(&earlier).into_iter().collect();
    met.into_iter()
        .filter(|(earlier, _)| earlier.is_none_or(|pair| meeting.contains(&pair)))
        .map(|(_, (settled, drained))| Violation::Unordered {
            invariant: Invariant::OutOfService,
            first: order.id(settled),
            then: order.id(drained),
        })
        .collect()
}

/// Workers out of service together, against what the plan allows.
fn workers(
    plan: &Plan,
    cluster: &Cluster<'_>,
    order: &Order<'_>,
    rounds: &Rounds<'_, '_>,
) -> Vec<Violation> {
    let mut items: Vec<(&NodeName, Item)> = Vec::new();
    let (mut stay, mut left) = (0_usize, 0_usize);
    for on in cluster.workers() {
        stay += usize::from(on.stays_cordoned());
        left += usize::from(on.left_cordoned());
        let rounds = rounds.get(&on.node.name);
        if on.left_cordoned() && rounds.iter().all(|round| round.back().is_none()) {
            items.push((&on.node.name, item(None, None)));
        }
        for (index, round) in rounds.iter().enumerate() {
            let still_out = index == 0 && on.left_cordoned();
            let first = if still_out { None } else { round.out() };
            if still_out || first.is_some() {
                items.push((&on.node.name, item(first, round.back())));
            }
        }
    }
    // What others cordoned is out as well; but one at a time always goes, and no fewer than were out to begin with.
    let allowed = plan
        .limits
        .workers_out_of_service
        .saturating_sub(stay)
        .max(1)
        .max(left);
    let flights: Vec<Item> = items.iter().map(|(_, item)| *item).collect();
    let most = heaviest(order, &flights);
    if most.weight <= allowed as u64 {
        return Vec::new();
    }
    let out = most.items.iter().filter_map(|&index| items.get(index));
    let (nodes, steps): (Vec<NodeName>, Vec<Option<usize>>) = out
        .map(|(name, item)| ((*name).clone(), item.first))
        .unzip();
    vec![Violation::TooManyOut {
        nodes,
        steps: steps.into_iter().flatten().map(|at| order.id(at)).collect(),
        allowed,
    }]
}

const fn item(first: Option<usize>, last: Option<usize>) -> Item {
    Item {
        first,
        last,
        weight: 1,
    }
}
