//! Which nodes are drained together: budgets and room as `plan::waves` packs them, then every wave tried out pod by pod.
//!
//! Packing looks at room as a sum. Whether each pod finds a node that may run it is tried for every wave it makes; nodes
//! whose pods would not are put off to a later wave. Pods that find no other node even while theirs alone is out hold up
//! nothing: they come back with it.

use std::collections::{BTreeMap, BTreeSet};

use super::place::PACKED;
use super::{Drains, budget_name};
use crate::cluster::model::NodeName;
use crate::plan::waves::{Binds, Candidate, Instance, KINDS, pack};

/// How often a node that was put off is tried in another wave; each try places all pods of that wave anew.
const JOINS: usize = 100;

/// Nodes that go before or after others, never with them.
#[derive(Debug, Clone)]
pub struct Group<'a> {
    /// They.
    pub nodes: Vec<&'a NodeName>,
}

/// Nodes that go together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wave<'a> {
    /// They, by name.
    pub nodes: Vec<&'a NodeName>,
    /// Why not more go with them.
    pub because: String,
}

/// All waves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Waves<'a> {
    /// In their order.
    pub waves: Vec<Wave<'a>>,
    /// No fewer are possible for sure.
    pub at_least: usize,
    /// For the reader of the plan.
    pub notes: Vec<String>,
}

/// What the declaration allows.
#[derive(Debug, Clone, Copy)]
pub struct Allowed<'u> {
    /// Nodes in one wave.
    pub at_most: usize,
    /// Nodes of two values of this label never go together.
    pub topology_key: Option<&'u str>,
}

impl<'a> Drains<'a> {
    /// The groups' nodes in as few waves as are found.
    #[must_use]
    pub fn waves(&self, groups: &[Group<'a>], allowed: Allowed<'_>) -> Waves<'a> {
        let mut made = Waves::default();
        let mut told = Vec::new();
        for group in groups {
            let before = made.waves.len();
            let at_least = self.group(group, allowed, &mut made, &mut told);
            made.at_least += at_least.min(made.waves.len() - before);
        }
        if made.waves.len() > 1 {
            made.notes.push(summary(&made, &told, allowed));
        }
        made
    }

    /// Packs one group, tries its waves out, and finds other waves for what was put off. Returns the least number of waves.
    fn group(
        &self,
        group: &Group<'a>,
        allowed: Allowed<'_>,
        made: &mut Waves<'a>,
        told: &mut Vec<String>,
    ) -> usize {
        let mut left = group.nodes.clone();
        let mut at_least = None;
        let mut zones: BTreeMap<Option<String>, Vec<Wave<'a>>> = BTreeMap::new();
        while !left.is_empty() {
            let instance = self.instance(&left, allowed);
            let packing = pack(&instance);
            at_least.get_or_insert(packing.bound());
            let mut put_off = Vec::new();
            for zone in packing.zones {
                let because = self.because(zone.bound.binds.first(), &instance, allowed);
                if zone.waves.len() > 1 && !told.contains(&because) {
                    told.push(because.clone());
                }
                let waves = zones.entry(zone.name).or_default();
                let mut off = Vec::new();
                for wave in &zone.waves {
                    let mut nodes: Vec<&NodeName> = wave.iter().map(|&at| left[at]).collect();
                    off.extend(self.put_off(&mut nodes));
                    waves.push(Wave {
                        nodes,
                        because: because.clone(),
                    });
                }
                off.sort();
                if let Some(first) = off.first() {
                    let more = if off.len() == 1 { "" } else { " and others" };
                    let because = format!(
                        "the pods of {first}{more} would find no other node in a larger wave"
                    );
                    told.push(because);
                }
                put_off.extend(self.join(off, waves, allowed));
            }
            left = put_off;
        }
        for mut waves in zones.into_values() {
            waves.sort_by(|a, b| a.nodes.cmp(&b.nodes));
            made.waves.extend(waves);
        }
        at_least.unwrap_or(0)
    }

    /// Puts nodes into waves that have been made already, where they fit. Returns the others.
    fn join(
        &self,
        nodes: Vec<&'a NodeName>,
        waves: &mut [Wave<'a>],
        allowed: Allowed<'_>,
    ) -> Vec<&'a NodeName> {
        let mut tries = JOINS;
        let mut left = Vec::new();
        for node in nodes {
            let fits = |wave: &Wave<'a>| {
                let mut with = wave.nodes.clone();
                with.push(node);
                let together = pack(&self.instance(&with, allowed)).count() == 1;
                (together && self.crowded(&with).is_empty()).then_some(with)
            };
            let into = waves.iter_mut().find_map(|wave| {
                tries = usize::checked_sub(tries, 1)?;
                fits(wave).map(|with| (wave, with))
            });
            match into {
                Some((wave, mut with)) => {
                    with.sort();
                    wave.nodes = with;
                }
                None => left.push(node),
            }
        }
        left
    }

    fn instance(&self, nodes: &[&'a NodeName], allowed: Allowed<'_>) -> Instance {
        let own: BTreeSet<&NodeName> = nodes.iter().copied().collect();
        let mut spare = [0; KINDS];
        for node in &self.seen.nodes {
            let kept_free = |taint: &String| !taint.ends_with(":PreferNoSchedule");
            if own.contains(&node.name) || node.taints.iter().any(kept_free) {
                continue;
            }
            for (spare, free) in spare.iter_mut().zip(self.places.free(&node.name)) {
                *spare += free;
            }
        }
        let zone = |name: &NodeName| {
            let key = allowed.topology_key?;
            let value = self.places.node(name)?.labels.get(key);
            Some(value.cloned().unwrap_or_default())
        };
        let candidates = nodes.iter().map(|&name| Candidate {
            name: name.as_str().to_owned(),
            zone: zone(name),
            pods: self.charged(name).collect(),
            needs: self.places.needs(name),
            free: self.places.free(name),
        });
        Instance {
            nodes: candidates.collect(),
            allowed: self.allowed.clone(),
            at_most: allowed.at_most,
            spare,
        }
    }

    fn charged(&self, node: &NodeName) -> impl Iterator<Item = (usize, u32)> + '_ {
        self.charges
            .get(node)
            .into_iter()
            .flatten()
            .map(|(&budget, &pods)| (budget, pods))
    }

    /// The nodes of these whose pods find a place only when their node is out alone.
    fn crowded(&self, nodes: &[&'a NodeName]) -> BTreeSet<&'a NodeName> {
        let homeless = self.places.homeless(&nodes.iter().copied().collect());
        homeless
            .into_iter()
            .filter_map(|lost| {
                let node = lost.pod.node.as_ref()?;
                let alone = self.forecasts.get(node)?;
                (!alone.homeless.contains_key(&super::full_name(lost.pod))).then_some(node)
            })
            .collect()
    }

    /// Takes nodes out until every pod finds a place that finds one at all. Half of those that do not fit go at a time.
    fn put_off(&self, nodes: &mut Vec<&'a NodeName>) -> Vec<&'a NodeName> {
        let mut off = Vec::new();
        while nodes.len() > 1 {
            let crowded: Vec<&NodeName> = self.crowded(nodes).into_iter().collect();
            if crowded.is_empty() {
                break;
            }
            let keep = (crowded.len() / 2).max(usize::from(crowded.len() == nodes.len()));
            let leaving: BTreeSet<&NodeName> = crowded[keep..].iter().copied().collect();
            nodes.retain(|node| !leaving.contains(node));
            off.extend(leaving);
        }
        off
    }

    fn because(&self, binds: Option<&Binds>, instance: &Instance, allowed: Allowed<'_>) -> String {
        match binds {
            None | Some(Binds::AtMost) => format!(
                "at most {} worker(s) out of service at once (strategy.workers.maxUnavailable)",
                allowed.at_most
            ),
            Some(&Binds::Budget(budget)) => format!(
                "budget {} lets no more than {} of its pods go at once",
                budget_name(&self.seen.budgets[budget]),
                self.allowed[budget].max(1)
            ),
            Some(&Binds::Room(kind)) => format!(
                "the other nodes have no more room for evicted pods ({})",
                PACKED[kind]
            ),
            Some(Binds::Apart(nodes)) => {
                let names: Vec<&str> = nodes
                    .iter()
                    .take(5)
                    .map(|&at| instance.nodes[at].name.as_str())
                    .collect();
                let more = nodes.len().saturating_sub(names.len());
                let more = if more > 0 {
                    format!(" and {more} more")
                } else {
                    String::new()
                };
                format!(
                    "budgets let no two of {}{more} go at once",
                    names.join(", ")
                )
            }
        }
    }
}

fn summary(made: &Waves<'_>, told: &[String], allowed: Allowed<'_>) -> String {
    let count = made.waves.len();
    let fewest = if made.at_least == count {
        "no fewer are possible".to_owned()
    } else {
        format!("at least {} are needed", made.at_least)
    };
    let mut why = told.to_vec();
    if let Some(key) = allowed.topology_key {
        why.push(format!("never two values of {key} in one wave"));
    }
    let why = if why.is_empty() {
        String::new()
    } else {
        format!(": {}", why.join("; "))
    };
    format!("workers go in {count} waves; {fewest}{why}")
}
