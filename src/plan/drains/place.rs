//! Whether evicted pods find another node while some nodes are out of service.
//!
//! A simulation, not the scheduler: pods with the fewest nodes open to them go first, large ones before small ones, each to
//! the first node from a place of its own on that may run it and has room. What it places can be placed; what it does not
//! might be by a cleverer order. Anti-affinity is judged from the evicted pod's side. What is not judged at all (affinity to
//! other pods, spread, host ports) is in the facts by name.
//!
//! Source: kubernetes/kubernetes `pkg/scheduler/framework/plugins/{noderesources/fit.go,interpodaffinity}`.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use super::{Back, Seen};
use crate::cluster::model::{LabelSelector, Node, NodeName, NodeTerm, Placement, Pod, Toleration};
use crate::plan::reason::Reason;
use crate::plan::waves::{Amounts, KINDS};
use crate::rules::eviction;
use crate::rules::placement::{Misfit, misfit, misfit_uncordoned};

/// The kinds of room that waves are packed by; others are looked at pod by pod only.
pub const PACKED: [&str; KINDS] = ["cpu", "memory", "pods"];

/// What a pod would need to find another node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Want {
    /// Nodes that may not run it whatever room they have, by why.
    pub misfits: BTreeMap<Misfit, usize>,
    /// Nodes that have no room for it, or a pod that it must stay apart from.
    pub full: usize,
}

impl fmt::Display for Want {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<String> = self
            .misfits
            .iter()
            .map(|(misfit, nodes)| format!("{nodes} {misfit}"))
            .collect();
        if self.full > 0 {
            parts.push(format!("{} without room", self.full));
        }
        if parts.is_empty() {
            parts.push("none is there".to_owned());
        }
        write!(f, "of the other nodes: {}", parts.join(", "))
    }
}

/// A pod that finds no node.
#[derive(Debug)]
pub struct Homeless<'a> {
    /// The pod.
    pub pod: &'a Pod,
    /// The index of the budget that its eviction is charged to.
    pub budget: Option<usize>,
    /// What it would need.
    pub want: Want,
}

/// What pods ask of a node besides room; many pods ask the same.
#[derive(Debug)]
struct Class {
    /// Nodes that may run them, by index.
    open: Vec<usize>,
    misfits: BTreeMap<Misfit, usize>,
}

/// An evicted pod.
#[derive(Debug)]
struct Evicted<'a> {
    pod: &'a Pod,
    budget: Option<usize>,
    from: usize,
    class: usize,
    /// Pods of one class that need the same are alike.
    need: Vec<(usize, u64)>,
    size: usize,
    /// The rules that keep it apart from others.
    apart: Vec<usize>,
    /// The rules that others are kept apart from it by.
    counted: Vec<usize>,
}

/// "No two in one domain", asked for by some pods.
#[derive(Debug)]
struct Rule<'a> {
    key: &'a str,
    namespaces: &'a [String],
    selector: &'a LabelSelector,
    /// Pods that match, by domain.
    there: HashMap<&'a str, i64>,
}

/// The nodes, and the pods that leave some of them.
#[derive(Debug)]
pub struct Places<'a> {
    nodes: Vec<&'a Node>,
    /// Which of them an earlier run left cordoned, and when they are given back.
    ours: Vec<Option<Back>>,
    index: HashMap<&'a NodeName, usize>,
    /// By node and resource.
    free: Vec<Vec<u64>>,
    classes: Vec<Class>,
    evicted: Vec<Evicted<'a>>,
    by_node: Vec<Vec<usize>>,
    rules: Vec<Rule<'a>>,
    resources: Vec<&'a str>,
    unknown: Option<String>,
}

/// A pod's demands but for room, which tell the classes apart.
type Demands<'a> = (
    &'a BTreeMap<String, String>,
    Option<&'a [NodeTerm]>,
    &'a [Toleration],
    &'a [Vec<NodeTerm>],
);

fn demands(placement: &Placement) -> Demands<'_> {
    let Placement {
        requests: _,
        node_selector,
        node_affinity,
        tolerations,
        apart_from: _,
        volumes,
        not_judged: _,
    } = placement;
    (
        node_selector,
        node_affinity.as_deref(),
        tolerations,
        volumes,
    )
}

/// A pod's need, with the place that it takes itself.
fn needs(placement: &Placement) -> impl Iterator<Item = (&str, u64)> {
    placement
        .requests
        .iter()
        .map(|(name, amount)| (name.as_str(), *amount))
        .chain([("pods", 1)])
}

impl<'a> Places<'a> {
    /// The nodes as they are, and the evicted pods with the budget that each is charged to.
    pub fn of(seen: &Seen<'a>, leaving: &[(&'a Pod, Option<usize>)]) -> Self {
        let mut nodes = seen.nodes.clone();
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        let index: HashMap<&NodeName, usize> = nodes
            .iter()
            .enumerate()
            .map(|(at, node)| (&node.name, at))
            .collect();
        let ours = nodes.iter().map(|node| seen.ours.get(&node.name).copied());
        let mut places = Self {
            by_node: vec![Vec::new(); nodes.len()],
            ours: ours.collect(),
            nodes,
            index,
            free: Vec::new(),
            classes: Vec::new(),
            evicted: Vec::new(),
            rules: Vec::new(),
            resources: PACKED.to_vec(),
            unknown: None,
        };
        places.look_for_unknown(leaving);
        if places.unknown.is_none() && !leaving.is_empty() {
            places.count_room(seen);
            places.classify(leaving);
            places.keep_apart(seen);
        }
        places
    }

    fn look_for_unknown(&mut self, leaving: &[(&'a Pod, Option<usize>)]) {
        let pod = leaving
            .iter()
            .find(|(pod, _)| pod.placement.is_none())
            .map(|(pod, _)| format!("what pod {} needs of a node", super::full_name(pod)));
        let node = || {
            let node = self.nodes.iter().find(|node| node.allocatable.is_none())?;
            Some(format!("what node {} has for pods", node.name))
        };
        if !leaving.is_empty() {
            self.unknown = pod.or_else(node);
        }
    }

    /// What keeps the rest from being judged.
    pub fn unknown(&self) -> Option<Reason> {
        self.unknown.as_ref().map(|what| Reason::Unknown {
            place: "cluster".to_owned(),
            what: what.clone(),
            error: "the facts do not have it: run `refit inspect` again".to_owned(),
        })
    }

    fn resource(&mut self, name: &'a str) -> usize {
        if let Some(at) = self.resources.iter().position(|known| *known == name) {
            return at;
        }
        self.resources.push(name);
        self.resources.len() - 1
    }

    fn count_room(&mut self, seen: &Seen<'a>) {
        for at in 0..self.nodes.len() {
            let node = self.nodes[at];
            let mut free = Vec::new();
            for (name, amount) in node.allocatable.iter().flatten() {
                let resource = self.resource(name);
                if free.len() <= resource {
                    free.resize(resource + 1, 0);
                }
                free[resource] = *amount;
            }
            self.free.push(free);
        }
        for pod in seen.pods.iter().filter(|pod| !eviction::finished(pod)) {
            let Some(&at) = pod.node.as_ref().and_then(|node| self.index.get(node)) else {
                continue;
            };
            // A pod that stays and whose needs are not known takes its place only.
            for (name, amount) in pod.placement.iter().flat_map(needs) {
                let resource = self.resource(name);
                if let Some(free) = self.free[at].get_mut(resource) {
                    *free = free.saturating_sub(amount);
                }
            }
        }
    }

    fn classify(&mut self, leaving: &[(&'a Pod, Option<usize>)]) {
        let mut classes: BTreeMap<(Demands<'_>, bool), usize> = BTreeMap::new();
        let mut rules: BTreeMap<(&str, &[String], &LabelSelector), usize> = BTreeMap::new();
        let mut sizes: BTreeMap<Vec<(usize, u64)>, usize> = BTreeMap::new();
        for &(pod, budget) in leaving {
            let (Some(placement), Some(&from)) = (
                pod.placement.as_ref(),
                pod.node.as_ref().and_then(|node| self.index.get(node)),
            ) else {
                continue;
            };
            let among_first = self.ours[from] == Some(Back::First);
            let class = classes.entry((demands(placement), among_first));
            let class = *class.or_insert_with(|| {
                let class = self.class_of(placement, among_first);
                self.classes.push(class);
                self.classes.len() - 1
            });
            let mut need: Vec<(usize, u64)> = needs(placement)
                .map(|(name, amount)| (self.resource(name), amount))
                .collect();
            need.sort_unstable();
            let size = sizes.len();
            let size = *sizes.entry(need.clone()).or_insert(size);
            let mut apart = Vec::new();
            for term in &placement.apart_from {
                let key = (
                    term.topology_key.as_str(),
                    &term.namespaces[..],
                    &term.selector,
                );
                let rule = *rules.entry(key).or_insert_with(|| {
                    self.rules.push(Rule {
                        key: key.0,
                        namespaces: key.1,
                        selector: key.2,
                        there: HashMap::new(),
                    });
                    self.rules.len() - 1
                });
                apart.push(rule);
            }
            self.by_node[from].push(self.evicted.len());
            self.evicted.push(Evicted {
                pod,
                budget,
                from,
                class,
                need,
                size,
                apart,
                counted: Vec::new(),
            });
        }
    }

    /// Counts for each rule the pods that it is about.
    fn keep_apart(&mut self, seen: &Seen<'a>) {
        if self.rules.is_empty() {
            return;
        }
        let mut by_namespace: HashMap<&str, Vec<usize>> = HashMap::new();
        for (at, rule) in self.rules.iter().enumerate() {
            for namespace in rule.namespaces {
                by_namespace.entry(namespace).or_default().push(at);
            }
        }
        let about = |rules: &[Rule<'_>], pod: &Pod| -> Vec<usize> {
            let near = by_namespace.get(pod.namespace.as_str());
            near.into_iter()
                .flatten()
                .copied()
                .filter(|&rule| rules[rule].selector.matches(&pod.labels))
                .collect()
        };
        for pod in seen.pods.iter().filter(|pod| !eviction::finished(pod)) {
            let Some(&at) = pod.node.as_ref().and_then(|node| self.index.get(node)) else {
                continue;
            };
            for rule in about(&self.rules, pod) {
                let rule = &mut self.rules[rule];
                if let Some(domain) = self.nodes[at].labels.get(rule.key) {
                    *rule.there.entry(domain).or_default() += 1;
                }
            }
        }
        for at in 0..self.evicted.len() {
            self.evicted[at].counted = about(&self.rules, self.evicted[at].pod);
        }
    }

    fn domain(&self, rule: usize, node: usize) -> Option<&'a str> {
        self.nodes[node]
            .labels
            .get(self.rules[rule].key)
            .map(String::as_str)
    }

    /// The evicted pods that no node has a place for while these nodes are out.
    pub fn homeless(&self, out: &BTreeSet<&NodeName>) -> Vec<Homeless<'a>> {
        let out: BTreeSet<usize> = out
            .iter()
            .filter_map(|node| self.index.get(node).copied())
            .collect();
        let mut pods: Vec<usize> = out
            .iter()
            .flat_map(|&node| &self.by_node[node])
            .copied()
            .collect();
        pods.sort_by_key(|&at| {
            let pod = &self.evicted[at];
            (self.classes[pod.class].open.len(), Reverse(&pod.need), at)
        });
        let mut trial = Trial {
            places: self,
            out,
            taken: HashMap::new(),
            moved: HashMap::new(),
            passed: HashMap::new(),
        };
        for &at in &pods {
            let pod = &self.evicted[at];
            trial.count(pod, pod.from, -1);
        }
        pods.into_iter().filter_map(|at| trial.place(at)).collect()
    }

    /// A node by its name.
    pub fn node(&self, name: &NodeName) -> Option<&'a Node> {
        self.index.get(name).map(|&at| self.nodes[at])
    }

    /// What a node's evicted pods need, of the kinds that waves are packed by.
    pub fn needs(&self, node: &NodeName) -> Amounts {
        let mut sum = [0; KINDS];
        for &at in self
            .index
            .get(node)
            .into_iter()
            .flat_map(|&node| &self.by_node[node])
        {
            for &(resource, amount) in &self.evicted[at].need {
                if let Some(sum) = sum.get_mut(resource) {
                    *sum += amount;
                }
            }
        }
        sum
    }

    /// What keeps the pod from the node by the time that its own node is drained. Nodes that an earlier run left cordoned go first
    /// and are given back then: `among_first` tells whether the pod's own is one of them.
    fn misfit(&self, placement: &Placement, at: usize, among_first: bool) -> Option<Misfit> {
        match self.ours[at] {
            Some(Back::Earlier) => misfit_uncordoned(placement, self.nodes[at]),
            Some(Back::First) if !among_first => misfit_uncordoned(placement, self.nodes[at]),
            Some(Back::First) | None => misfit(placement, self.nodes[at]),
        }
    }

    fn class_of(&self, placement: &Placement, among_first: bool) -> Class {
        let mut class = Class {
            open: Vec::new(),
            misfits: BTreeMap::new(),
        };
        for at in 0..self.nodes.len() {
            match self.misfit(placement, at, among_first) {
                None => class.open.push(at),
                Some(misfit) => *class.misfits.entry(misfit).or_default() += 1,
            }
        }
        class
    }

    /// What a node has left for others' pods: nothing while it is cordoned, unless the plan gives it back first.
    pub fn free(&self, node: &NodeName) -> Amounts {
        let mut free = [0; KINDS];
        let Some((&at, left)) = self
            .index
            .get(node)
            .and_then(|at| Some((at, self.free.get(*at)?)))
        else {
            return free;
        };
        let node = self.nodes[at];
        if (!node.unschedulable || self.ours[at].is_some()) && node.ready {
            for (free, left) in free.iter_mut().zip(left) {
                *free = *left;
            }
        }
        free
    }
}

/// Pods on their way to other nodes.
struct Trial<'p, 'a> {
    places: &'p Places<'a>,
    out: BTreeSet<usize>,
    /// What newcomers take, by node and resource.
    taken: HashMap<(usize, usize), u64>,
    /// How many more or fewer pods each rule has in a domain.
    moved: HashMap<(usize, &'a str), i64>,
    /// For each class and size, how many nodes have no room for it any more: room only shrinks.
    passed: HashMap<(usize, usize), usize>,
}

impl<'a> Trial<'_, 'a> {
    fn count(&mut self, pod: &Evicted<'a>, node: usize, by: i64) {
        for &rule in &pod.counted {
            if let Some(domain) = self.places.domain(rule, node) {
                *self.moved.entry((rule, domain)).or_default() += by;
            }
        }
    }

    fn has_room(&self, node: usize, need: &[(usize, u64)]) -> bool {
        // Cheapest first: in a full cluster most nodes are looked at for most pods.
        need.iter().all(|&(resource, amount)| {
            let free = self.places.free[node].get(resource).copied().unwrap_or(0);
            amount <= free
                && amount + self.taken.get(&(node, resource)).copied().unwrap_or(0) <= free
        }) && !self.out.contains(&node)
    }

    fn is_apart(&self, node: usize, pod: &Evicted<'a>) -> bool {
        pod.apart.iter().all(|&rule| {
            self.places.domain(rule, node).is_none_or(|domain| {
                let there = self.places.rules[rule]
                    .there
                    .get(domain)
                    .copied()
                    .unwrap_or(0);
                let moved = self.moved.get(&(rule, domain)).copied().unwrap_or(0);
                there + moved <= 0
            })
        })
    }

    /// Puts the pod somewhere, or tells why it cannot be.
    fn place(&mut self, at: usize) -> Option<Homeless<'a>> {
        let places = self.places;
        let pod = &places.evicted[at];
        let class = &places.classes[pod.class];
        // Each kind of pod begins elsewhere, so that they do not all look at the same full nodes.
        let begin = (pod.class * 31 + pod.size * 17) % class.open.len().max(1);
        let key = (pod.class, pod.size);
        let mut passed = self.passed.get(&key).copied().unwrap_or(0);
        let node_at = |step: usize| class.open[(begin + step) % class.open.len()];
        while passed < class.open.len() && !self.has_room(node_at(passed), &pod.need) {
            passed += 1;
        }
        self.passed.insert(key, passed);
        let found = (passed..class.open.len())
            .map(node_at)
            .find(|&node| self.has_room(node, &pod.need) && self.is_apart(node, pod));
        let Some(node) = found else {
            let own = class.open.binary_search(&pod.from).is_ok();
            let mut misfits = class.misfits.clone();
            if !own
                && let Some(misfit) = places.misfit(
                    pod.pod.placement.as_ref()?,
                    pod.from,
                    places.ours[pod.from] == Some(Back::First),
                )
            {
                misfits.entry(misfit).and_modify(|nodes| *nodes -= 1);
                misfits.retain(|_, nodes| *nodes > 0);
            }
            return Some(Homeless {
                pod: pod.pod,
                budget: pod.budget,
                want: Want {
                    misfits,
                    full: class.open.len() - usize::from(own),
                },
            });
        };
        for &(resource, amount) in &pod.need {
            *self.taken.entry((node, resource)).or_default() += amount;
        }
        self.count(pod, node, 1);
        None
    }
}
