//! What the declaration wants to happen between steps, and the plan carries in its limits: pauses between control planes, and
//! soaks between groups of workers. Each is looked for by what comes before it and what comes after it, not by its name.

use std::collections::{BTreeMap, HashMap};

use super::cluster::Cluster;
use super::hops::Hops;
use super::order::Order;
use super::rounds::{Change, Rounds, Stage};
use super::timeline::control_plane_upgrades;
use super::violation::{Invariant, Needed, Violation};
use crate::cluster::model::{HostName, NodeName, Role};
use crate::plan::data::{Action, Plan, SoakingGroup};
use crate::rules::version::Version;

/// A soak.
struct Soak<'p> {
    at: usize,
    for_s: u64,
    nodes: &'p [NodeName],
}

/// Everything declared that is not there.
pub fn judge(
    plan: &Plan,
    cluster: &Cluster<'_>,
    order: &Order<'_>,
    hops: &Hops<'_>,
    rounds: &Rounds<'_, '_>,
) -> Vec<Violation> {
    let limits = &plan.limits;
    if limits.control_planes_pause_s == 0 && limits.soaks.is_empty() {
        return Vec::new();
    }
    let judge = Judge {
        cluster,
        order,
        hops,
        rounds,
        soaks: soaks(order),
        changes: rounds.changes(order),
    };
    let mut wrong = Vec::new();
    if limits.control_planes_pause_s > 0 {
        wrong.extend(judge.pauses(limits.control_planes_pause_s));
    }
    let mut places: HashMap<&NodeName, usize> = HashMap::new();
    for (index, group) in limits.soaks.iter().enumerate() {
        places.extend(group.nodes.iter().map(|node| (node, index)));
    }
    for (index, group) in limits.soaks.iter().enumerate() {
        if group.for_s > 0 && !group.nodes.is_empty() {
            let later = |node: &NodeName| places.get(node).is_none_or(|place| *place > index);
            wrong.extend(judge.soaks(group, later));
        }
    }
    wrong
}

struct Judge<'j, 'o, 'f> {
    cluster: &'j Cluster<'f>,
    order: &'j Order<'o>,
    hops: &'j Hops<'o>,
    rounds: &'j Rounds<'j, 'f>,
    soaks: Vec<Soak<'o>>,
    changes: Vec<Change<'f>>,
}

impl Judge<'_, '_, '_> {
    /// Between the static pods of any two control planes, and between their kubelets.
    fn pauses(&self, for_s: u64) -> Vec<Violation> {
        let order = self.order;
        let mut wrong = Vec::new();
        let upgrades = control_plane_upgrades(order);
        for pair in upgrades.windows(2) {
            let [(_, host, release), (then, next, same)] = pair else {
                continue;
            };
            if release != same {
                continue;
            }
            let awaited = order.iter().find(|(_, step)| {
                matches!(&step.action, Action::AwaitControlPlane { host: of, version, .. } if of == *host && version == *release)
            });
            let Some((awaited, _)) = awaited else {
                continue;
            };
            wrong.extend(self.pause(for_s, host, awaited, *then, next));
        }
        let mut kubelets: Vec<&Change<'_>> = self.of_role(Role::ControlPlane).collect();
        kubelets.sort_by_key(|change| change.install);
        for pair in kubelets.windows(2) {
            let [one, other] = pair else { continue };
            if one.release == other.release {
                wrong.extend(self.pause(for_s, one.host, one.back, other.out, other.host));
            }
        }
        wrong
    }

    fn pause(
        &self,
        for_s: u64,
        host: &HostName,
        after: usize,
        before: usize,
        next: &HostName,
    ) -> Option<Violation> {
        let node = self.cluster.hosts.get(host)?.node;
        let order = self.order;
        let there = self.soaks.iter().any(|soak| {
            soak.for_s >= for_s
                && soak.nodes.contains(node)
                && order.precedes(after, soak.at)
                && order.precedes(soak.at, before)
        });
        (!there).then(|| self.missing(next, before))
    }

    fn missing(&self, place: impl ToString, at: usize) -> Violation {
        Violation::Missing {
            invariant: Invariant::Declared,
            needed: Needed::Soak,
            place: place.to_string(),
            steps: vec![self.order.id(at)],
        }
    }

    fn of_role(&self, role: Role) -> impl Iterator<Item = &Change<'_>> {
        self.changes
            .iter()
            .filter(move |change| change.role == role)
    }

    /// Before any worker of a later group goes in a hop, what the group's own nodes do in that hop is over, and then its time
    /// has passed. What an earlier run left out of service goes first of all, whatever its group.
    fn soaks(&self, group: &SoakingGroup, later: impl Fn(&NodeName) -> bool) -> Vec<Violation> {
        let order = self.order;
        let mut of_release: BTreeMap<&Version, Vec<usize>> = BTreeMap::new();
        let mut wrong = Vec::new();
        for change in self.of_role(Role::Worker) {
            if change.out_before || !later(change.node) {
                continue;
            }
            let soaks = of_release
                .entry(&change.release)
                .or_insert_with(|| self.soaks_of(group, change));
            if !soaks.iter().any(|&at| order.precedes(at, change.out)) {
                wrong.push(self.missing(change.node, change.out));
            }
        }
        wrong
    }

    /// The soaks of the group after what its nodes do in the hop of this change.
    fn soaks_of(&self, group: &SoakingGroup, change: &Change<'_>) -> Vec<usize> {
        let order = self.order;
        let hop = self.hops.hop_of(&order.step(change.install).action);
        let hop = hop.unwrap_or(0);
        let rounds = group.nodes.iter().flat_map(|node| self.rounds.get(node));
        let mut before: Vec<usize> = rounds
            .filter(|round| {
                let brings = round.at(Stage::Install).or(round.at(Stage::Configure));
                let of = brings.and_then(|at| self.hops.hop_of(&order.step(at).action));
                // What an earlier run left out of service comes back in the first.
                of.unwrap_or(0) == hop
            })
            .filter_map(|round| round.back())
            .collect();
        before.extend(self.hops.floor(hop));
        self.soaks
            .iter()
            .filter(|soak| soak.for_s >= group.for_s)
            .filter(|soak| {
                group
                    .nodes
                    .iter()
                    .all(|node| soak.nodes.binary_search(node).is_ok())
            })
            .map(|soak| soak.at)
            .filter(|&at| before.iter().all(|&end| order.precedes(end, at)))
            .collect()
    }
}

fn soaks<'p>(order: &Order<'p>) -> Vec<Soak<'p>> {
    let mut soaks = Vec::new();
    for (at, step) in order.iter() {
        if let Action::Soak { for_s, nodes } = &step.action {
            soaks.push(Soak {
                at,
                for_s: *for_s,
                nodes,
            });
        }
    }
    soaks
}
