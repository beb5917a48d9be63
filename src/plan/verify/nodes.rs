//! Each node's own order, round by round: what a round must hold, and that nothing is done twice or for nothing.

use super::cluster::{Cluster, OnCluster};
use super::hops::Hops;
use super::order::Order;
use super::rounds::{OfNode, Round, Rounds, Stage, installed};
use super::timeline::{OnNode, Timelines, control_plane_upgrades};
use super::violation::{Invariant, Needed, Violation};
use crate::cluster::facts::Observed;
use crate::cluster::model::Role;
use crate::plan::data::{Action, Plan, StepId};
use crate::rules::kubeadm_files;
use crate::rules::skew::{Move, needs_drain};
use crate::rules::version::Version;

const INVARIANT: Invariant = Invariant::NodeOrder;

/// Each node's rounds.
pub fn judge(
    plan: &Plan,
    cluster: &Cluster<'_>,
    order: &Order<'_>,
    lines: &Timelines<'_>,
    hops: &Hops<'_>,
    rounds: &Rounds<'_, '_>,
) -> Vec<Violation> {
    let mut judge = Judge {
        drained_control_planes: plan.limits.control_planes_drained,
        cluster,
        order,
        lines,
        pairs: Vec::new(),
        wrong: Vec::new(),
    };
    for of in rounds.iter() {
        judge.node(of);
    }
    judge.before_nodes(rounds);
    judge.within_hops(rounds, hops);
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

    fn node(&mut self, of: &OfNode<'_, '_>) {
        let OfNode { on, rounds, .. } = of;
        self.pairs
            .extend(of.steps.windows(2).map(|pair| (pair[0], pair[1])));
        for &(other, at) in rounds.iter().flat_map(|round| &round.again) {
            let again = self.order.id(other);
            self.needless(at, format!("{} has had {again} already", on.node.name));
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
                self.configured(on, rounds, at, &release);
                releases.push(release);
            }
        }
        let uncordoned = rounds
            .iter()
            .any(|round| round.at(Stage::Uncordon).is_some());
        if on.left_cordoned() && !uncordoned {
            self.missing(on, Needed::Uncordon, Vec::new());
        }
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
    fn within_hops(&mut self, rounds: &Rounds<'_, '_>, hops: &Hops<'_>) {
        for round in rounds.all() {
            let brought = round.at(Stage::Install).or(round.at(Stage::Configure));
            let hop = brought.and_then(|at| hops.hop_of(&self.order.step(at).action));
            let (Some(end), Some(back)) = (hops.floor(hop.unwrap_or(0) + 1), round.back()) else {
                continue;
            };
            self.pairs.push((back, end));
        }
    }

    /// No node begins before the control planes of its release are awaited, and the addons that came with the last.
    fn before_nodes(&mut self, rounds: &Rounds<'_, '_>) {
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
        for round in rounds.all() {
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
