//! What drains that can be in flight together take from each budget, and which workers can be out together.
//!
//! A node's pods are away from its drain on until it is back. For every budget, the heaviest set of
//! nodes that can be out together must leave it what it needs: its pods on them are no more than it allows when all is well,
//! or one node alone has any. A node's weight cut down to what is allowed says both in one sum.
//!
//! Every budget would need a flow of its own through the whole plan. So first each round is put between the barriers around
//! it, along one chain of them: rounds with a barrier between them cannot meet, and mostly that is all there is to show.
//! Only what remains is decided exactly.
//!
//! Pods move by themselves, so only the facts that the plan was made from are judged; with later ones the drains decide, who
//! ask the server about every pod.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::chain::Chain;
use super::cluster::Cluster;
use super::flight::{Item, heaviest};
use super::order::Order;
use super::rounds::{Round, Rounds, Stage};
use super::violation::Violation;
use crate::cluster::facts::Facts;
use crate::cluster::model::{NodeName, Pod, Role};
use crate::plan::data::{Action, Plan};
use crate::rules::eviction::{self, Allowance, Fate, Policy};

/// Budgets told of: a plan that breaks many is wrong as a whole.
const TOLD: usize = 20;
/// Pairs of rounds of different domains that are looked at.
const PAIRS: usize = 10_000;

/// A node's time out of service.
#[derive(Debug)]
struct Outage<'f> {
    node: &'f NodeName,
    /// None when it is out from the start.
    first: Option<usize>,
    /// None when it does not come back.
    last: Option<usize>,
    /// Its drain and what that may do, if there is one: from there on its pods are away.
    drained: Option<(usize, Policy<'f>)>,
    /// The slots between barriers that it may be in.
    slots: (usize, usize),
    /// Those that its pods may be away in.
    away: (usize, usize),
}

/// The budgets and domains that nodes out together would break.
pub fn judge(
    plan: &Plan,
    facts: &Facts,
    cluster: &Cluster<'_>,
    order: &Order<'_>,
    rounds: &Rounds<'_, '_>,
) -> Vec<Violation> {
    let rounds = outages(order, rounds);
    let mut wrong = Vec::new();
    if facts.observed_at == plan.facts_at {
        wrong.extend(budgets(facts, order, &rounds));
    }
    if let Some(key) = &plan.limits.topology_key {
        wrong.extend(domains(key, cluster, order, &rounds));
    }
    wrong
}

fn outages<'f, 'p: 'f>(order: &Order<'p>, rounds: &Rounds<'_, 'f>) -> Vec<Outage<'f>> {
    let slots = barriers(order);
    let mut outages = Vec::new();
    for of in rounds.iter() {
        let still_out = |index: usize| index == 0 && of.on.left_cordoned();
        let none = Round::default();
        let rounds = match of.rounds.as_slice() {
            [] if of.on.left_cordoned() => std::slice::from_ref(&none),
            rounds => rounds,
        };
        for (index, round) in rounds.iter().enumerate() {
            if !still_out(index) && round.out().is_none() {
                continue;
            }
            let first = round.out().filter(|_| !still_out(index));
            // Its pods come back before a control plane's static pods have settled.
            let last = round.at(Stage::Uncordon).or(round.at(Stage::Await));
            let drained = round
                .at(Stage::Drain)
                .and_then(|at| Some((at, policy(order, at)?)));
            outages.push(Outage {
                node: &of.on.node.name,
                first,
                last,
                drained,
                slots: slots.between(first, last),
                away: slots.between(drained.map(|(at, _)| at), last),
            });
        }
    }
    outages
}

fn policy<'p>(order: &Order<'p>, at: usize) -> Option<Policy<'p>> {
    let Action::Drain {
        delete_empty_dir_data,
        evict_unmanaged_pods,
        rules,
        ..
    } = &order.step(at).action
    else {
        return None;
    };
    Some(Policy {
        delete_empty_dir_data: *delete_empty_dir_data,
        evict_unmanaged_pods: *evict_unmanaged_pods,
        rules,
    })
}

/// The longest chain of barriers: for each step the barrier that most others come before, at or before it.
fn barriers(order: &Order<'_>) -> Chain {
    let barrier = |at: usize| matches!(order.step(at).action, Action::Barrier { .. });
    let mut longest: Vec<Option<(usize, usize)>> = vec![None; order.len()];
    let mut earlier: Vec<Option<usize>> = vec![None; order.len()];
    for at in 0..order.len() {
        if barrier(at) {
            earlier[at] = longest[at].map(|(_, barrier)| barrier);
            longest[at] = Some((longest[at].map_or(0, |(length, _)| length) + 1, at));
        }
        for &follower in order.followers(at) {
            longest[follower] = longest[follower].max(longest[at]);
        }
    }
    let mut chain = Vec::new();
    let mut next = longest.iter().flatten().max().map(|&(_, barrier)| barrier);
    while let Some(barrier) = next {
        chain.push(barrier);
        next = earlier[barrier];
    }
    chain.reverse();
    Chain::of(order, &chain)
}

/// The pods that the drain of each node takes from each budget, by budget and round.
fn charges(facts: &Facts, rounds: &[Outage<'_>]) -> BTreeMap<usize, (u64, BTreeMap<usize, u64>)> {
    let (Some(pods), Some(budgets)) = (facts.cluster.pods.known(), facts.cluster.budgets.known())
    else {
        return BTreeMap::new();
    };
    let mut by_namespace: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, budget) in budgets.iter().enumerate() {
        by_namespace
            .entry(&budget.namespace)
            .or_default()
            .push(index);
    }
    let mut drained: HashMap<&NodeName, Vec<(usize, Policy<'_>)>> = HashMap::new();
    for (index, round) in rounds.iter().enumerate() {
        if let Some((_, policy)) = round.drained {
            drained.entry(round.node).or_default().push((index, policy));
        }
    }
    let mut selected = vec![0_usize; budgets.len()];
    let mut taken: BTreeMap<usize, BTreeMap<usize, u64>> = BTreeMap::new();
    let mut same: HashMap<(&str, &BTreeMap<String, String>), Vec<usize>> = HashMap::new();
    for pod in pods.iter().filter(|pod| !eviction::finished(pod)) {
        let covering = same
            .entry((&pod.namespace, &pod.labels))
            .or_insert_with(|| {
                let near = by_namespace
                    .get(pod.namespace.as_str())
                    .into_iter()
                    .flatten();
                near.copied()
                    .filter(|&index| eviction::covers(&budgets[index], pod))
                    .collect()
            });
        for &budget in &*covering {
            selected[budget] += 1;
        }
        let &[budget] = covering.as_slice() else {
            continue;
        };
        let rounds = pod.node.as_ref().and_then(|node| drained.get(node));
        for &(round, policy) in rounds.into_iter().flatten() {
            if leaves(pod, policy) {
                *taken.entry(budget).or_default().entry(round).or_default() += 1;
            }
        }
    }
    taken
        .into_iter()
        .map(|(budget, of)| {
            let allowed = match eviction::allowance(&budgets[budget], selected[budget]) {
                Allowance::Pods(allowed) => u64::from(allowed),
                // No drain of these pods can end, so that the planner begins none.
                Allowance::Never | Allowance::SyncFailed => 0,
            };
            (budget, (allowed, of))
        })
        .collect()
}

fn leaves(pod: &Pod, policy: Policy<'_>) -> bool {
    let evicted = match eviction::fate(pod, &policy) {
        Fate::Evict { .. } => true,
        Fate::Await | Fate::Complete | Fate::Keep(_) | Fate::Refuse(_) => false,
    };
    evicted && eviction::counts(pod)
}

fn budgets(facts: &Facts, order: &Order<'_>, rounds: &[Outage<'_>]) -> Vec<Violation> {
    let mut wrong = Vec::new();
    for (budget, (allowed, taken)) in charges(facts, rounds) {
        let room = allowed.max(1);
        let weights: Vec<(usize, u64)> = taken
            .into_iter()
            .map(|(round, pods)| (round, pods.min(room)))
            .collect();
        if allowed > 0 && most(rounds, &weights) <= room {
            continue;
        }
        let items: Vec<Item> = weights
            .iter()
            .map(|&(round, weight)| Item {
                first: rounds[round].drained.map(|(at, _)| at),
                last: rounds[round].last,
                weight,
            })
            .collect();
        let heaviest = heaviest(order, &items);
        if allowed > 0 && heaviest.weight <= room {
            continue;
        }
        let out: Vec<&Outage<'_>> = heaviest
            .items
            .iter()
            .filter_map(|&item| rounds.get(weights.get(item)?.0))
            .collect();
        let known = facts.cluster.budgets.known();
        let name = known
            .and_then(|known| known.get(budget))
            .map(|budget| format!("{}/{}", budget.namespace, budget.name));
        wrong.push(Violation::BudgetExceeded {
            budget: name.unwrap_or_default(),
            allowed,
            nodes: out.iter().map(|round| round.node.clone()).collect(),
            steps: out
                .iter()
                .filter_map(|round| round.drained)
                .map(|(at, _)| order.id(at))
                .collect(),
        });
        if wrong.len() == TOLD {
            break;
        }
    }
    wrong
}

/// The most that the slots show: never less than what can really be out together.
fn most(rounds: &[Outage<'_>], weights: &[(usize, u64)]) -> u64 {
    let mut changes: BTreeMap<usize, (u64, u64)> = BTreeMap::new();
    for &(round, weight) in weights {
        let (from, to) = rounds[round].away;
        changes.entry(from).or_default().0 += weight;
        changes.entry(to + 1).or_default().1 += weight;
    }
    let (mut now, mut most) = (0, 0);
    for (coming, going) in changes.into_values() {
        now = now + coming - going;
        most = most.max(now);
    }
    most
}

/// Workers of two domains that can be out together.
fn domains(
    key: &str,
    cluster: &Cluster<'_>,
    order: &Order<'_>,
    rounds: &[Outage<'_>],
) -> Vec<Violation> {
    let domain = |round: &Outage<'_>| {
        let on = cluster.nodes.get(round.node)?;
        let worker = match on.role() {
            Role::Worker => true,
            Role::ControlPlane => false,
        };
        worker.then(|| on.node.labels.get(key).map_or("", String::as_str))
    };
    let mut slots: BTreeMap<usize, BTreeMap<&str, Vec<usize>>> = BTreeMap::new();
    for (index, round) in rounds.iter().enumerate() {
        if let Some(domain) = domain(round) {
            for slot in round.slots.0..=round.slots.1 {
                slots
                    .entry(slot)
                    .or_default()
                    .entry(domain)
                    .or_default()
                    .push(index);
            }
        }
    }
    let mut pairs: BTreeSet<(usize, usize)> = BTreeSet::new();
    for domains in slots.into_values().filter(|domains| domains.len() > 1) {
        let all: Vec<(&str, usize)> = domains
            .into_iter()
            .flat_map(|(domain, rounds)| rounds.into_iter().map(move |round| (domain, round)))
            .collect();
        for (at, &(domain, a)) in all.iter().enumerate() {
            for &(_, b) in all[at..].iter().filter(|(other, _)| *other != domain) {
                if pairs.len() < PAIRS {
                    pairs.insert((a, b));
                }
            }
        }
    }
    let before = |a: &Outage<'_>, b: &Outage<'_>| match (a.last, b.first) {
        (Some(last), Some(first)) => order.precedes(last, first),
        (None, _) | (_, None) => false,
    };
    let meeting = pairs
        .into_iter()
        .map(|(a, b)| (&rounds[a], &rounds[b]))
        // Those that were out before the plan began are nobody's doing any more.
        .filter(|(a, b)| a.first.is_some() || b.first.is_some())
        .find(|(a, b)| !before(a, b) && !before(b, a));
    meeting
        .into_iter()
        .map(|(a, b)| Violation::TwoDomains {
            key: key.to_owned(),
            nodes: vec![a.node.clone(), b.node.clone()],
            steps: [a.first, b.first]
                .into_iter()
                .flatten()
                .map(|at| order.id(at))
                .collect(),
        })
        .collect()
}
