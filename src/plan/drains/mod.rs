//! What each drain will do to each pod, and why; and which nodes may be drained together.
//!
//! From facts alone, by the client's rules and the server's (`rules::eviction`) and by what keeps a pod from a node
//! (`rules::placement`). The parts: this one tells each pod's outcome, `place` whether evicted pods find another node while
//! some are out, `together` packs nodes into waves by both. Facts are of one instant: the drain reads everything afresh, and
//! the server's answer counts. What cannot pass by waiting is a reason not to begin.

mod place;
#[cfg(test)]
mod tests;
mod together;

use std::collections::{BTreeMap, BTreeSet, HashMap};

pub use place::Want;
pub use together::{Allowed, Group, Wave, Waves};

use super::reason::Reason;
use super::view::View;
use crate::cluster::model::{Budget, Node, NodeName, Pod};
use crate::rules::eviction::{
    self, Admission, Allowance, Fate, KeepReason, Loss, Policy, RefuseReason,
};
use place::Places;

/// The cluster as far as drains need it.
#[derive(Debug, Clone)]
pub struct Seen<'a> {
    /// All nodes.
    pub nodes: Vec<&'a Node>,
    /// All pods.
    pub pods: &'a [Pod],
    /// All budgets.
    pub budgets: &'a [Budget],
    /// Workers that an earlier run of refit left cordoned, and which the plan gives back.
    pub ours: BTreeMap<&'a NodeName, Back>,
}

/// When a node comes back that an earlier run left cordoned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Back {
    /// In an earlier hop.
    Earlier,
    /// In this one: these nodes go first, and before any other is drained.
    First,
}

impl<'a> Seen<'a> {
    /// What planning sees.
    #[must_use]
    pub fn of(view: &View<'a>) -> Self {
        Self {
            nodes: view.nodes.values().map(|(node, _)| *node).collect(),
            pods: view.pods,
            budgets: view.budgets,
            ours: view
                .hosts
                .iter()
                .filter(|host| host.instance.is_none())
                .filter(|host| host.node.unschedulable && !host.stays_cordoned())
                .map(|host| {
                    let back = match host.left_cordoned {
                        true => Back::First,
                        false => Back::Earlier,
                    };
                    (&host.node.name, back)
                })
                .collect(),
        }
    }
}

/// What becomes of a pod when its node is drained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is evicted.
    Evicted {
        /// What is lost with it.
        lost: Vec<Loss>,
    },
    /// It is evicted once its budget allows it, which it does not at present.
    Waits {
        /// What is lost with it.
        lost: Vec<Loss>,
        /// The budget and what it has, in words.
        budget: String,
    },
    /// It stays.
    Kept(KeepReason),
    /// It is being deleted already.
    Leaving,
    /// A rule leaves it to end by itself, and the drain waits for that.
    Completes,
    /// The declaration does not let it go.
    Refused(RefuseReason),
    /// No waiting lets it go.
    Blocked(Block),
}

/// Why a pod can never be evicted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    /// Several budgets cover it: the server refuses to choose. Their names.
    SeveralBudgets(Vec<String>),
    /// Its budget allows none even when all its pods are well.
    Never {
        /// In words.
        budget: String,
    },
    /// Its budget allows none because its pods cannot be counted.
    SyncFailed {
        /// `namespace/name`.
        budget: String,
        /// The disruption controller's words.
        why: String,
    },
}

/// What a drain of one node would do, as far as can be told now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forecast {
    /// Every pod of the node, by `namespace/name`.
    pub pods: BTreeMap<String, Outcome>,
    /// Evicted pods that no other node has a place for while this one is out, and what they would need.
    pub homeless: BTreeMap<String, Want>,
}

impl Forecast {
    fn lost(&self) -> impl Iterator<Item = (&String, &Vec<Loss>)> {
        self.pods.iter().filter_map(|(pod, outcome)| match outcome {
            Outcome::Evicted { lost } | Outcome::Waits { lost, .. } => Some((pod, lost)),
            Outcome::Kept(_)
            | Outcome::Leaving
            | Outcome::Completes
            | Outcome::Refused(_)
            | Outcome::Blocked(_) => None,
        })
    }

    /// How many pods are evicted.
    #[must_use]
    pub fn evicted(&self) -> usize {
        self.lost().count()
    }

    /// Of them, those that take emptyDir data with them.
    #[must_use]
    pub fn lose_data(&self) -> usize {
        self.lost()
            .filter(|(_, lost)| lost.contains(&Loss::EmptyDirData))
            .count()
    }

    /// Of them, those that nothing brings back.
    pub fn gone(&self) -> impl Iterator<Item = &String> {
        self.lost()
            .filter(|(_, lost)| lost.contains(&Loss::ThePod))
            .map(|(pod, _)| pod)
    }

    /// The pods that a rule lets stay.
    pub fn skipped(&self) -> impl Iterator<Item = &String> {
        self.with(&Outcome::Kept(KeepReason::Rule))
    }

    /// The pods that a rule leaves to end by themselves.
    pub fn completing(&self) -> impl Iterator<Item = &String> {
        self.with(&Outcome::Completes)
    }

    fn with(&self, wanted: &Outcome) -> impl Iterator<Item = &String> {
        self.pods
            .iter()
            .filter(move |(_, outcome)| *outcome == wanted)
            .map(|(pod, _)| pod)
    }

    /// The budgets that allow none at present, in words.
    #[must_use]
    pub fn waits_for(&self) -> BTreeSet<&String> {
        self.pods
            .values()
            .filter_map(|outcome| match outcome {
                Outcome::Waits { budget, .. } => Some(budget),
                Outcome::Evicted { .. }
                | Outcome::Kept(_)
                | Outcome::Leaving
                | Outcome::Completes
                | Outcome::Refused(_)
                | Outcome::Blocked(_) => None,
            })
            .collect()
    }
}

/// What drains of some nodes would do.
#[derive(Debug)]
pub struct Drains<'a> {
    seen: Seen<'a>,
    /// By node that is drained.
    pub forecasts: BTreeMap<&'a NodeName, Forecast>,
    /// Everything that would keep a drain from its end.
    pub reasons: Vec<Reason>,
    /// Pods that a drain takes from each budget, by node and the budget's index.
    charges: BTreeMap<&'a NodeName, BTreeMap<usize, u32>>,
    /// What each budget allows when all is well.
    allowed: Vec<u32>,
    places: Places<'a>,
}

/// The budgets that match a pod: many pods have the same labels.
#[derive(Debug)]
struct Matching<'a> {
    budgets: &'a [Budget],
    by_namespace: HashMap<&'a str, Vec<usize>>,
    known: HashMap<(&'a str, &'a BTreeMap<String, String>), Vec<usize>>,
}

impl<'a> Matching<'a> {
    fn new(budgets: &'a [Budget]) -> Self {
        let mut by_namespace: HashMap<&str, Vec<usize>> = HashMap::new();
        for (index, budget) in budgets.iter().enumerate() {
            by_namespace
                .entry(&budget.namespace)
                .or_default()
                .push(index);
        }
        Self {
            budgets,
            by_namespace,
            known: HashMap::new(),
        }
    }

    fn of(&mut self, pod: &'a Pod) -> &[usize] {
        let Self {
            budgets,
            by_namespace,
            known,
        } = self;
        known
            .entry((&pod.namespace, &pod.labels))
            .or_insert_with(|| {
                let near = by_namespace.get(pod.namespace.as_str());
                near.into_iter()
                    .flatten()
                    .copied()
                    .filter(|&index| eviction::covers(&budgets[index], pod))
                    .collect()
            })
    }
}

impl<'a> Drains<'a> {
    /// What drains of these nodes would do, each on its own, and what would stop one.
    #[must_use]
    pub fn of(seen: Seen<'a>, drained: &[&'a NodeName], policy: &Policy<'_>) -> Self {
        let mut matching = Matching::new(seen.budgets);
        let allowances = allowances(&seen, &mut matching);
        // Asked for once a pod.
        let mut of_node: HashMap<&NodeName, (Forecast, BTreeMap<usize, u32>)> = drained
            .iter()
            .map(|node| (*node, Default::default()))
            .collect();
        let mut leaving: Vec<(&Pod, Option<usize>)> = Vec::new();
        let mut told = Told::default();
        for pod in seen.pods {
            let Some(node) = &pod.node else { continue };
            let Some((forecast, charges)) = of_node.get_mut(node) else {
                continue;
            };
            let matched = matching.of(pod);
            let outcome = outcome(pod, policy, seen.budgets, matched, &allowances);
            told.add(node, pod, &outcome);
            match &outcome {
                Outcome::Evicted { .. } | Outcome::Waits { .. } => {
                    let charged = eviction::counts(pod)
                        .then(|| matched.first().copied())
                        .flatten();
                    if let Some(budget) = charged {
                        *charges.entry(budget).or_default() += 1;
                    }
                    leaving.push((pod, charged));
                }
                Outcome::Kept(_)
                | Outcome::Leaving
                | Outcome::Completes
                | Outcome::Refused(_)
                | Outcome::Blocked(_) => {}
            }
            forecast.pods.insert(full_name(pod), outcome);
        }
        let (mut forecasts, mut charges) = (BTreeMap::new(), BTreeMap::new());
        for (node, (forecast, charged)) in of_node {
            forecasts.insert(node, forecast);
            charges.insert(node, charged);
        }
        let mut drains = Self {
            places: Places::of(&seen, &leaving),
            reasons: told.reasons(),
            allowed: allowances.into_iter().map(pods_of).collect(),
            seen,
            forecasts,
            charges,
        };
        drains.strand();
        drains
    }

    /// Pods that find no other node: told, and a reason where their budget would never let the last of them go, because
    /// those before it cannot come back.
    fn strand(&mut self) {
        if let Some(reason) = self.places.unknown() {
            self.reasons.push(reason);
            return;
        }
        for (&node, forecast) in &mut self.forecasts {
            let homeless = self.places.homeless(&BTreeSet::from([node]));
            let mut by_budget: BTreeMap<usize, Vec<String>> = BTreeMap::new();
            for lost in homeless {
                let name = full_name(lost.pod);
                if let Some(budget) = lost.budget {
                    by_budget.entry(budget).or_default().push(name.clone());
                }
                forecast.homeless.insert(name, lost.want);
            }
            for (budget, pods) in by_budget {
                let allowed = self.allowed[budget] as usize;
                if pods.len() <= allowed {
                    continue;
                }
                let want = pods.first().and_then(|pod| forecast.homeless.get(pod));
                self.reasons.push(Reason::Stranded {
                    node: node.clone(),
                    budget: budget_name(&self.seen.budgets[budget]),
                    allowed,
                    why: want.map_or_else(String::new, ToString::to_string),
                    pods,
                });
            }
        }
    }
}

const fn pods_of(allowance: Allowance) -> u32 {
    match allowance {
        Allowance::Pods(pods) => pods,
        Allowance::Never | Allowance::SyncFailed => 0,
    }
}

fn allowances<'a>(seen: &Seen<'a>, matching: &mut Matching<'a>) -> Vec<Allowance> {
    let mut selected = vec![0_usize; seen.budgets.len()];
    for pod in seen.pods.iter().filter(|pod| !eviction::finished(pod)) {
        for &budget in matching.of(pod) {
            selected[budget] += 1;
        }
    }
    seen.budgets
        .iter()
        .zip(selected)
        .map(|(budget, selected)| eviction::allowance(budget, selected))
        .collect()
}

/// The client's rules first, then the server's.
fn outcome(
    pod: &Pod,
    policy: &Policy<'_>,
    budgets: &[Budget],
    matched: &[usize],
    allowances: &[Allowance],
) -> Outcome {
    let lost = match eviction::fate(pod, policy) {
        Fate::Evict { warnings } => warnings,
        Fate::Await => return Outcome::Leaving,
        Fate::Complete => return Outcome::Completes,
        Fate::Keep(reason) => return Outcome::Kept(reason),
        Fate::Refuse(reason) => return Outcome::Refused(reason),
    };
    let covering: Vec<&Budget> = matched.iter().map(|&index| &budgets[index]).collect();
    let asked = match eviction::admission_by(pod, &covering) {
        Admission::Bypassed | Admission::NoBudget | Admission::Unready(_) => {
            return Outcome::Evicted { lost };
        }
        Admission::SeveralBudgets => {
            let names = covering.iter().map(|budget| budget.name.clone());
            return Outcome::Blocked(Block::SeveralBudgets(names.collect()));
        }
        asked @ (Admission::Charged(_)
        | Admission::NotObserved(_)
        | Admission::Exhausted(_)
        | Admission::Negative(_)) => asked,
    };
    let (Some(&index), Some(&budget)) = (matched.first(), covering.first()) else {
        return Outcome::Evicted { lost };
    };
    match allowances[index] {
        Allowance::Never => Outcome::Blocked(Block::Never {
            budget: eviction::describe(budget),
        }),
        Allowance::SyncFailed => Outcome::Blocked(Block::SyncFailed {
            budget: budget_name(budget),
            why: budget.sync_failed.clone().unwrap_or_default(),
        }),
        Allowance::Pods(_) if asked.granted() => Outcome::Evicted { lost },
        Allowance::Pods(_) => Outcome::Waits {
            lost,
            budget: eviction::describe(budget),
        },
    }
}

/// Reasons so far: those of budgets once, with all nodes.
#[derive(Debug, Default)]
struct Told {
    of_pods: Vec<Reason>,
    never: BTreeMap<String, BTreeSet<NodeName>>,
    failed: BTreeMap<(String, String), BTreeSet<NodeName>>,
}

impl Told {
    fn add(&mut self, node: &NodeName, pod: &Pod, outcome: &Outcome) {
        match outcome {
            Outcome::Evicted { .. }
            | Outcome::Waits { .. }
            | Outcome::Kept(_)
            | Outcome::Leaving
            | Outcome::Completes => {}
            Outcome::Refused(reason) => self.of_pods.push(Reason::PodRefuses {
                node: node.clone(),
                pod: full_name(pod),
                reason: *reason,
            }),
            Outcome::Blocked(Block::SeveralBudgets(budgets)) => {
                self.of_pods.push(Reason::SeveralBudgets {
                    node: node.clone(),
                    pod: full_name(pod),
                    budgets: budgets.clone(),
                });
            }
            Outcome::Blocked(Block::Never { budget }) => {
                self.never
                    .entry(budget.clone())
                    .or_default()
                    .insert(node.clone());
            }
            Outcome::Blocked(Block::SyncFailed { budget, why }) => {
                let key = (budget.clone(), why.clone());
                self.failed.entry(key).or_default().insert(node.clone());
            }
        }
    }

    fn reasons(self) -> Vec<Reason> {
        let never = self
            .never
            .into_iter()
            .map(|(budget, nodes)| Reason::BudgetNever {
                budget,
                nodes: nodes.into_iter().collect(),
            });
        let failed = self
            .failed
            .into_iter()
            .map(|((budget, why), nodes)| Reason::BudgetSync {
                budget,
                why,
                nodes: nodes.into_iter().collect(),
            });
        self.of_pods
            .into_iter()
            .chain(never)
            .chain(failed)
            .collect()
    }
}

fn full_name(pod: &Pod) -> String {
    format!("{}/{}", pod.namespace, pod.name)
}

fn budget_name(budget: &Budget) -> String {
    format!("{}/{}", budget.namespace, budget.name)
}
