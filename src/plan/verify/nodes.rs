//! Each node's own order, and how many are out of service together.
//!
//! A node goes through rounds, one for each release of its kubelet: configured by kubeadm, cordoned, drained, upgraded,
//! awaited, made schedulable again. A worker is out of service from the first of these steps that takes it out until the
//! last; what someone else cordoned stays so and counts as out throughout, and what an earlier run left cordoned is out from
//! the start.

use std::collections::{BTreeMap, BTreeSet};

use super::cluster::{Cluster, OnCluster};
use super::flight::{Item, heaviest};
use super::hops::Hops;
use super::order::Order;
use super::timeline::{OnNode, Timelines, control_plane_upgrades};
use super::violation::{Invariant, Needed, Violation};
use crate::cluster::facts::Observed;
use crate::cluster::model::{NodeName, Role};
use crate::plan::data::{Action, Plan, StepId};
use crate::plan::view::release_of_revision;
use crate::rules::kubeadm_files;
use crate::rules::skew::{Move, needs_drain};
use crate::rules::version::Version;

const INVARIANT: Invariant = Invariant::NodeOrder;

/// What a node goes through, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Configure,
    Cordon,
    Drain,
    Install,
    Await,
    Settle,
    Uncordon,
}

impl Stage {
    const fn needed(self) -> Needed {
        match self {
            Self::Configure => Needed::Kubeadm,
            Self::Cordon => Needed::Cordon,
            Self::Drain => Needed::Drain,
            Self::Install => Needed::InstallKubelet,
            Self::Await => Needed::AwaitNode,
            Self::Settle => Needed::AwaitStaticPods,
            Self::Uncordon => Needed::Uncordon,
        }
    }
}

/// The node and stage of a step, if it is one.
fn stage<'a>(cluster: &Cluster<'a>, action: &'a Action) -> Option<(&'a NodeName, Stage)> {
    let node_of = |host| cluster.hosts.get(host).map(|machine| machine.node);
    match action {
        Action::KubeadmApply { host, .. } | Action::KubeadmNode { host, .. } => {
            Some((node_of(host)?, Stage::Configure))
        }
        Action::InstallKubelet { host, .. } => Some((node_of(host)?, Stage::Install)),
        Action::Cordon { node } => Some((node, Stage::Cordon)),
        Action::Drain { node, .. } => Some((node, Stage::Drain)),
        Action::AwaitNode { node, .. } => Some((node, Stage::Await)),
        Action::AwaitStaticPods { node, .. } => Some((node, Stage::Settle)),
        Action::Uncordon { node } => Some((node, Stage::Uncordon)),
        Action::CheckHost { .. }
        | Action::CheckCluster { .. }
        | Action::SnapshotEtcd { .. }
        | Action::HoldPackages { .. }
        | Action::SwitchRepository { .. }
        | Action::PrefetchPackages { .. }
        | Action::InstallKubeadm { .. }
        | Action::PullImages { .. }
        | Action::AwaitControlPlane { .. }
        | Action::AwaitAddons { .. }
        | Action::ReleaseHolds { .. }
        | Action::Verify { .. }
        | Action::Soak { .. }
        | Action::Gate { .. }
        | Action::Barrier { .. } => None,
    }
}

/// One round of a node.
#[derive(Debug, Default)]
struct Round {
    steps: BTreeMap<Stage, usize>,
}

impl Round {
    fn at(&self, stage: Stage) -> Option<usize> {
        self.steps.get(&stage).copied()
    }

    /// The step that takes the node out of service.
    fn out(&self) -> Option<usize> {
        let mut taking = self.steps.range(Stage::Cordon..=Stage::Install);
        taking.next().map(|(_, &at)| at)
    }

    /// The step after which it is back.
    fn back(&self) -> Option<usize> {
        let last = [Stage::Uncordon, Stage::Settle, Stage::Await];
        last.into_iter().find_map(|stage| self.at(stage))
    }
}

/// Each node's rounds, and the nodes out together.
pub fn judge(
    plan: &Plan,
    cluster: &Cluster<'_>,
    order: &Order<'_>,
    lines: &Timelines<'_>,
    hops: &Hops<'_>,
) -> Vec<Violation> {
    let mut steps: BTreeMap<&NodeName, Vec<(Stage, usize)>> = BTreeMap::new();
    for (at, step) in order.iter() {
        if let Some((node, stage)) = stage(cluster, &step.action) {
            steps.entry(node).or_default().push((stage, at));
        }
    }
    let mut judge = Judge {
        drained_control_planes: plan.limits.control_planes_drained,
        cluster,
        order,
        lines,
        pairs: Vec::new(),
        wrong: Vec::new(),
    };
    let mut rounds: BTreeMap<&NodeName, Vec<Round>> = BTreeMap::new();
    for (&name, on) in cluster.nodes.iter().filter(|(_, on)| on.host.is_some()) {
        let steps = steps.remove(name).unwrap_or_default();
        rounds.insert(name, judge.rounds(on, steps));
    }
    judge.before_nodes(&rounds);
    judge.within_hops(&rounds, hops);
    let mut wrong = judge.wrong;
    let unordered = order.unordered(&judge.pairs);
    wrong.extend(
        unordered
            .into_iter()
            .map(|(first, then)| Violation::Unordered {
                invariant: INVARIANT,
                first: order.id(first),
                then: order.id(then),
            }),
    );
    wrong.extend(control_planes(cluster, order, &rounds));
    wrong.extend(apart(cluster, order, &rounds));
    wrong.extend(workers(plan, cluster, order, &rounds));
    wrong
}

struct Judge<'o, 'p, 'f> {
    drained_control_planes: bool,
    cluster: &'o Cluster<'f>,
    order: &'o Order<'p>,
    lines: &'o Timelines<'f>,
    /// What must come one after another.
    pairs: Vec<(usize, usize)>,
    wrong: Vec<Violation>,
}

impl Judge<'_, '_, '_> {
    fn needless(&mut self, at: usize, why: String) {
        self.wrong.push(Violation::Needless {
            invariant: INVARIANT,
            step: self.order.id(at),
            why,
        });
    }

    /// A node's steps as rounds. A round ends when the node is back.
    fn rounds(&mut self, on: &OnCluster<'_>, steps: Vec<(Stage, usize)>) -> Vec<Round> {
        let last = match on.role() {
            _ if !on.stays_cordoned() => Stage::Uncordon,
            Role::ControlPlane => Stage::Settle,
            Role::Worker => Stage::Await,
        };
        let mut rounds: Vec<Round> = Vec::new();
        let mut open = false;
        let mut before: Option<usize> = None;
        for (stage, at) in steps {
            self.pairs.extend(before.map(|before| (before, at)));
            before = Some(at);
            // kubeadm may have been there for a minor that the kubelet skips.
            let passing = stage == Stage::Configure
                && rounds.last().is_some_and(|round| {
                    round.steps.len() == 1 && round.at(Stage::Configure).is_some()
                });
            if !open || passing {
                rounds.push(Round::default());
            }
            open = stage != last;
            let Some(round) = rounds.last_mut() else {
                continue;
            };
            if let Some(&other) = round.steps.get(&stage) {
                let again = self.order.id(other);
                self.needless(at, format!("{} has had {again} already", on.node.name));
            } else {
                round.steps.insert(stage, at);
            }
        }
        let mut releases: Vec<Version> = Vec::new();
        for (index, round) in rounds.iter().enumerate() {
            self.round(on, round, index == 0);
            let Some(at) = round.at(Stage::Install) else {
                continue;
            };
            if let Some(release) = installed(self.order, at) {
                if releases.contains(&release) {
                    self.needless(at, format!("{} has had {release} already", on.node.name));
                }
                self.configured(on, &rounds, at, &release);
                releases.push(release);
            }
        }
        let uncordoned = rounds
            .iter()
            .any(|round| round.at(Stage::Uncordon).is_some());
        if on.left_cordoned() && !uncordoned {
            self.missing(on, Needed::Uncordon, Vec::new());
        }
        rounds
    }

    /// kubeadm of the kubelet's own release comes last before it; and none of the minors that it skips may be left out, for
    /// each takes out of the kubelet's files what later kubelets do not start with.
    fn configured(
        &mut self,
        on: &OnCluster<'_>,
        rounds: &[Round],
        install: usize,
        release: &Version,
    ) {
        let machine = on.host.and_then(|host| self.cluster.hosts.get(host));
        let line = self.lines.nodes.get(&on.node.name);
        let (Some(machine), Some(from)) = (machine, line.and_then(|on| before(on, install))) else {
            return;
        };
        let mut there: Vec<(usize, &Version)> = Vec::new();
        for at in rounds.iter().filter_map(|round| round.at(Stage::Configure)) {
            if let Action::KubeadmApply { version, .. } | Action::KubeadmNode { version, .. } =
                &self.order.step(at).action
                && self.order.precedes(at, install)
            {
                there.push((at, version));
            }
        }
        if there.iter().all(|(_, version)| *version != release) {
            self.missing(on, Needed::Kubeadm, vec![self.order.id(install)]);
            return;
        }
        if release.minor().ahead_of(from.minor()) <= 1 {
            return;
        }
        let mut minor = from.minor().max(machine.kubeadm.minor()).next();
        while minor <= release.minor() {
            if there.iter().all(|(_, version)| version.minor() != minor) {
                self.wrong.push(Violation::Missing {
                    invariant: INVARIANT,
                    needed: Needed::Kubeadm,
                    place: format!("{} at {minor}", on.node.name),
                    steps: vec![self.order.id(install)],
                });
            }
            minor = minor.next();
        }
        match machine.kubelet_flags {
            Observed::Unknown(error) => self.wrong.push(Violation::Unknown {
                what: format!("the kubelet's flags on {}", on.node.name),
                error: error.clone(),
            }),
            Observed::Known(flags) => {
                let refused = flags.iter().find(|flag| {
                    kubeadm_files::refused(release.minor(), flag)
                        && !there
                            .iter()
                            .any(|(_, version)| kubeadm_files::removes(version.minor(), flag))
                });
                if let Some(flag) = refused {
                    let why = format!("the kubelet would not start with {flag}");
                    self.needless(install, why);
                }
            }
        }
    }

    fn missing(&mut self, on: &OnCluster<'_>, needed: Needed, steps: Vec<StepId>) {
        self.wrong.push(Violation::Missing {
            invariant: INVARIANT,
            needed,
            place: on.node.name.to_string(),
            steps,
        });
    }

    fn round(&mut self, on: &OnCluster<'_>, round: &Round, is_first: bool) {
        let stages: Vec<(Stage, usize)> = round
            .steps
            .iter()
            .map(|(&stage, &at)| (stage, at))
            .collect();
        for pair in stages.windows(2) {
            self.pairs.push((pair[0].1, pair[1].1));
        }
        if on.stays_cordoned() {
            for stage in [Stage::Cordon, Stage::Uncordon] {
                if let Some(at) = round.at(stage) {
                    self.needless(at, format!("someone else cordoned {}", on.node.name));
                }
            }
        }
        let Some(install) = round.at(Stage::Install) else {
            self.round_without_kubelet(on, round, is_first);
            return;
        };
        let mut wanted = vec![Stage::Configure, Stage::Await];
        if !on.stays_cordoned() {
            wanted.extend([Stage::Cordon, Stage::Uncordon]);
        }
        match on.role() {
            Role::ControlPlane => wanted.push(Stage::Settle),
            Role::Worker => {}
        }
        for stage in wanted {
            if round.at(stage).is_none() {
                self.missing(on, stage.needed(), vec![self.order.id(install)]);
            }
        }
        if round.at(Stage::Drain).is_none() {
            self.not_drained(on, install);
        }
    }

    fn round_without_kubelet(&mut self, on: &OnCluster<'_>, round: &Round, is_first: bool) {
        if let Some(out) = round.out() {
            self.missing(on, Needed::InstallKubelet, vec![self.order.id(out)]);
        }
        if let Some(back) = round.at(Stage::Uncordon) {
            let was_cordoned = on.stays_cordoned() || is_first && on.left_cordoned();
            if !was_cordoned && round.out().is_none() {
                self.needless(back, format!("{} is not cordoned then", on.node.name));
            }
            let awaited: &[Stage] = match on.role() {
                Role::ControlPlane => &[Stage::Await, Stage::Settle],
                Role::Worker => &[Stage::Await],
            };
            for stage in awaited {
                if round.at(*stage).is_none() {
                    self.missing(on, stage.needed(), vec![self.order.id(back)]);
                }
            }
        }
    }

    /// A kubelet changes on a node that keeps its pods.
    fn not_drained(&mut self, on: &OnCluster<'_>, install: usize) {
        let name = &on.node.name;
        let spans = self.lines.nodes.get(name).map(|on| on.kubelet.spans());
        let change = spans
            .into_iter()
            .flat_map(|spans| spans.windows(2))
            .find(|pair| {
                let [_, to] = pair else { return false };
                to.from.is_some_and(|from| from.step == install)
            });
        if let Some([from, to]) = change
            && needs_drain(&from.version, &to.version)
        {
            let step = Move {
                node: name,
                from: &from.version,
                to: &to.version,
            };
            self.wrong
                .extend(step.of_kubelet(false).map(|violation| Violation::Skew {
                    violation: Box::new(violation),
                    steps: vec![self.order.id(install)],
                }));
            return;
        }
        let demanded = match on.role() {
            Role::ControlPlane => self.drained_control_planes,
            Role::Worker => true,
        };
        if demanded {
            self.missing(on, Needed::Drain, vec![self.order.id(install)]);
        }
    }

    /// A round is over before the hop that it belongs to is.
    fn within_hops(&mut self, rounds: &BTreeMap<&NodeName, Vec<Round>>, hops: &Hops<'_>) {
        for round in rounds.values().flatten() {
            let brought = round.at(Stage::Install).or(round.at(Stage::Configure));
            let hop = brought.and_then(|at| hops.hop_of(&self.order.step(at).action));
            let (Some(end), Some(back)) = (hops.floor(hop.unwrap_or(0) + 1), round.back()) else {
                continue;
            };
            self.pairs.push((back, end));
        }
    }

    /// No node begins before the control planes of its release are awaited, and the addons that came with the last.
    fn before_nodes(&mut self, rounds: &BTreeMap<&NodeName, Vec<Round>>) {
        let mut awaited: Vec<(usize, Option<&Version>)> = Vec::new();
        let upgrades = control_plane_upgrades(self.order);
        for (at, step) in self.order.iter() {
            if let Action::AwaitControlPlane { version, .. } = &step.action {
                awaited.push((at, Some(version)));
            } else if let Action::AwaitAddons { .. } = &step.action {
                let earlier = upgrades
                    .iter()
                    .filter(|(upgrade, ..)| self.order.precedes(*upgrade, at));
                awaited.push((at, earlier.map(|(_, _, version)| *version).max()));
            }
        }
        for round in rounds.values().flatten() {
            let (Some(out), Some(install)) = (round.out(), round.at(Stage::Install)) else {
                continue;
            };
            let Some(release) = installed(self.order, install) else {
                continue;
            };
            for &(first, version) in &awaited {
                let concerns = version.is_none_or(|version| *version <= release);
                if concerns && !self.order.precedes(first, out) {
                    self.wrong.push(Violation::Unordered {
                        invariant: Invariant::ControlPlanes,
                        first: self.order.id(first),
                        then: self.order.id(out),
                    });
                }
            }
        }
    }
}

/// The kubelet that a step replaces.
fn before(on: &OnNode, install: usize) -> Option<&Version> {
    on.kubelet.spans().windows(2).find_map(|pair| match pair {
        [from, to] if to.from.is_some_and(|from| from.step == install) => Some(&from.version),
        _ => None,
    })
}

/// The kubelet's release that a step installs.
fn installed(order: &Order<'_>, at: usize) -> Option<Version> {
    let Action::InstallKubelet { packages, .. } = &order.step(at).action else {
        return None;
    };
    let kubelet = packages.iter().find(|package| package.name == "kubelet")?;
    release_of_revision(&kubelet.revision)
}

/// One control plane's kubelet at a time.
fn control_planes(
    cluster: &Cluster<'_>,
    order: &Order<'_>,
    rounds: &BTreeMap<&NodeName, Vec<Round>>,
) -> Vec<Violation> {
    let mut all: Vec<(usize, usize)> = rounds
        .iter()
        .filter(|(name, _)| {
            let role = cluster.nodes.get(*name).map(OnCluster::role);
            role.is_some_and(|role| role == Role::ControlPlane)
        })
        .flat_map(|(_, rounds)| rounds)
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
fn apart(
    cluster: &Cluster<'_>,
    order: &Order<'_>,
    rounds: &BTreeMap<&NodeName, Vec<Round>>,
) -> Vec<Violation> {
    let of = |role: Role| {
        rounds.iter().flat_map(move |(name, rounds)| {
            let is = cluster.nodes.get(*name).map(OnCluster::role) == Some(role);
            rounds.iter().filter(move |_| is)
        })
    };
    let mut met = Vec::new();
    for instance in of(Role::ControlPlane) {
        // That it is missing where a kubelet changes is told for itself.
        let Some(settled) = instance.at(Stage::Settle) else {
            continue;
        };
        for worker in of(Role::Worker) {
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
    rounds: &BTreeMap<&NodeName, Vec<Round>>,
) -> Vec<Violation> {
    let mut items: Vec<(&NodeName, Item)> = Vec::new();
    let (mut stay, mut left) = (0_usize, 0_usize);
    for on in cluster.workers() {
        stay += usize::from(on.stays_cordoned());
        left += usize::from(on.left_cordoned());
        let rounds = rounds.get(&on.node.name).map_or(&[][..], Vec::as_slice);
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
