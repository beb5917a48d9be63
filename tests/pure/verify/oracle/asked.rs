//! What the declaration wants to come between steps, followed as the plan is carried out: gates, pauses, soaks, and the room
//! that is left of a window.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use refit::cluster::model::Role;
use refit::documents::settings::HookPoint;
use refit::plan::data::{Action, Condition, GatePoint, Plan, Step};

use super::{HOSTS, Oracle, Release, State, changes, of_revision};

/// Gates that a declaration may have here.
const GATES: usize = 8;

/// What of it has come, at one instant. Hosts are bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Asked {
    /// Gates of a place that a hop has once, passed when it was their time.
    passed: u8,
    /// For each other gate, the hosts that are done since it was passed last.
    since: [u8; GATES],
    /// Control planes that nobody has watched since their static pods, and since their kubelets, have changed.
    unwatched: [u8; 2],
    /// Groups that were watched.
    soaked: u8,
    /// Nodes that a step of this plan has taken out.
    taken: u8,
    /// Nodes that a window must not close over.
    begun: u8,
}

/// Workers by hop, seen in some order: the one back with no gate since when the other goes, and the one not back by then.
#[derive(Default)]
pub struct Pairs {
    ungated: RefCell<BTreeSet<(usize, usize, usize, usize)>>,
    beside: RefCell<BTreeSet<(usize, usize, usize)>>,
    /// A node that stays cordoned and is done, its hooks not, when the other goes; and one that is not done by then.
    pub unready: RefCell<BTreeSet<(usize, usize, usize)>>,
    pub early: RefCell<BTreeSet<(usize, usize, usize)>>,
}

pub fn must(ok: bool, what: &str) -> Result<(), String> {
    if ok { Ok(()) } else { Err(what.to_owned()) }
}

/// What is wrong with a gate or a soak wherever it stands.
pub fn argument(plan: &Plan, step: &Step) -> Result<(), String> {
    match &step.action {
        Action::Soak { for_s, nodes } => {
            must(*for_s > 0 && !nodes.is_empty(), "watches nothing")?;
            must(step.timeout_s > *for_s, "fails before its time has passed")
        }
        Action::Gate { gate } => {
            must(plan.limits.gates.contains(gate), "nobody declared it")?;
            let as_declared = match gate.condition {
                Condition::Approval { .. } => true,
                Condition::Command { timeout_s, .. } | Condition::Prometheus { timeout_s, .. } => {
                    step.timeout_s == timeout_s
                }
            };
            must(as_declared, "waits longer or shorter than declared")
        }
        _ => Ok(()),
    }
}

pub fn takes_out(action: &Action) -> bool {
    matches!(
        action,
        Action::Cordon { .. } | Action::Drain { .. } | Action::InstallKubelet { .. }
    )
}

impl Oracle<'_> {
    /// Nodes that fulfil this.
    pub fn hosts(now: &State, of: impl Fn(&super::Host) -> bool) -> u8 {
        let hosts = now.hosts.iter().enumerate();
        hosts
            .filter(|(_, on)| on.as_ref().is_some_and(&of))
            .map(|(at, _)| 1_u8 << at)
            .sum()
    }

    /// Kubelets of this hop on these hosts that are not installed yet.
    pub fn kubelets_left(&self, now: &State, hosts: u8, done: u128) -> bool {
        let release = self.releases.get(now.hop);
        self.plan.steps.iter().enumerate().any(|(at, step)| {
            let Action::InstallKubelet { host, packages, .. } = &step.action else {
                return false;
            };
            let here = hosts >> self.index[host.as_str()] & 1 == 1;
            let this = packages
                .iter()
                .any(|package| Some(&of_revision(&package.revision)) == release);
            here && this && done >> at & 1 == 0
        })
    }

    /// Before the step begins.
    pub fn asks(
        &self,
        at: usize,
        done: u128,
        place: Option<usize>,
        now: &mut State,
    ) -> Result<(), String> {
        let step = &self.plan.steps[at];
        let action = &step.action;
        let worker = place.is_some_and(|host| now.hosts[host].is_some_and(|on| !on.control_plane));
        let looks = matches!(
            action,
            Action::CheckHost { .. } | Action::CheckCluster { .. }
        );
        if looks || changes(action) {
            self.passed(now, GatePoint::BeforeHop)?;
        }
        if worker && acts_on_worker(action) {
            self.passed(now, GatePoint::BeforeWorkers)?;
        }
        let upgrades = matches!(
            action,
            Action::KubeadmApply { .. } | Action::KubeadmNode { .. }
        ) && !worker;
        let first_out =
            place.is_some_and(|host| takes_out(action) && now.asked.taken >> host & 1 == 0);
        if upgrades || first_out || matches!(action, Action::Verify { .. }) {
            self.nothing_since(now, GatePoint::AfterControlPlane)?;
        }
        if upgrades && self.plan.limits.control_planes_pause_s > 0 {
            must(
                now.asked.unwatched[0] == 0,
                "no pause after a control plane",
            )?;
        }
        if let (true, Some(host)) = (first_out, place) {
            if worker {
                self.worker_goes(now, host, done)?;
            } else if self.plan.limits.control_planes_pause_s > 0 {
                must(
                    now.asked.unwatched[1] == 0,
                    "no pause after a control plane's kubelet",
                )?;
            }
            now.asked.taken |= 1 << host;
        }
        if let Action::Verify { .. } = action {
            self.nothing_since(now, GatePoint::AfterEachWave)?;
            self.passed(now, GatePoint::AfterHop)?;
        }
        self.room(at, place, now)
    }

    fn gates_at(&self, point: GatePoint) -> impl Iterator<Item = usize> {
        let gates = self.plan.limits.gates.iter().enumerate();
        gates
            .filter(move |(_, gate)| gate.at == point)
            .map(|(index, _)| index)
    }

    pub fn passed(&self, now: &State, point: GatePoint) -> Result<(), String> {
        let all = self
            .gates_at(point)
            .all(|gate| now.asked.passed >> gate & 1 == 1);
        must(all, &format!("no gate {}", point.as_str()))
    }

    fn nothing_since(&self, now: &State, point: GatePoint) -> Result<(), String> {
        let none = self.gates_at(point).all(|gate| now.asked.since[gate] == 0);
        must(none, &format!("no gate {}", point.as_str()))
    }

    /// The first step of a worker's round.
    fn worker_goes(&self, now: &State, host: usize, done: u128) -> Result<(), String> {
        let left = now.hosts[host].is_some_and(|on| on.left);
        for (index, (hosts, for_s)) in self.groups().into_iter().enumerate() {
            if hosts >> host & 1 == 1 {
                break;
            }
            let asks = for_s > 0 && hosts != 0 && !left;
            must(
                !asks || now.asked.soaked >> index & 1 == 1,
                "an earlier group was not watched",
            )?;
        }
        for gate in self.gates_at(GatePoint::AfterEachWave) {
            for other in 0..HOSTS {
                if now.asked.since[gate] >> other & 1 == 1 {
                    let pair = (gate, now.hop, other, host);
                    self.pairs.ungated.borrow_mut().insert(pair);
                }
            }
        }
        for other in (0..HOSTS).filter(|&other| Self::unhooked(now) >> other & 1 == 1) {
            let pair = (GATES, now.hop, other, host);
            self.pairs.ungated.borrow_mut().insert(pair);
        }
        let workers = Self::hosts(now, |on| !on.control_plane);
        for other in (0..HOSTS).filter(|&other| other != host && workers >> other & 1 == 1) {
            let going = now.asked.taken >> other & 1 == 1;
            if going || self.kubelets_left(now, 1 << other, done) {
                let pair = (now.hop, other, host);
                self.pairs.beside.borrow_mut().insert(pair);
            }
        }
        Ok(())
    }

    /// Of two workers that never go beside each other, a gate must always be between.
    pub fn waves_were_gated(&self) -> Result<(), String> {
        let beside = self.pairs.beside.borrow();
        let ungated = self.pairs.ungated.borrow();
        let missing = ungated
            .iter()
            .any(|&(_, hop, one, other)| !beside.contains(&(hop, one, other)));
        must(!missing, "no gate or hook after a wave")
    }

    fn groups(&self) -> Vec<(u8, u64)> {
        let groups = self.plan.limits.soaks.iter();
        groups
            .map(|group| {
                let hosts = group
                    .nodes
                    .iter()
                    .map(|node| 1_u8 << self.index[node.as_str()]);
                (hosts.sum(), group.for_s)
            })
            .collect()
    }

    /// What a step leaves behind; `was` is the state that it began in.
    pub fn comes(&self, at: usize, done: u128, was: &State, now: &mut State) -> Result<(), String> {
        let action = &self.plan.steps[at].action;
        self.leaves(at, was, now);
        if now.hop != was.hop {
            let begun = now.asked.begun;
            now.asked = Asked {
                begun,
                ..Asked::default()
            };
            return Ok(());
        }
        if was.pending != now.pending
            && let Some(host) = was.pending
        {
            for gate in self.gates_at(GatePoint::AfterControlPlane) {
                now.asked.since[gate] |= 1 << host;
            }
            now.asked.unwatched[0] |= 1 << host;
        }
        let in_service = Self::hosts(now, |on| !on.out);
        let back = now.asked.taken & in_service;
        now.asked.taken &= !back;
        let workers = Self::hosts(now, |on| !on.control_plane);
        for gate in self.gates_at(GatePoint::AfterEachWave) {
            now.asked.since[gate] |= back & workers;
        }
        now.asked.unwatched[1] |= back & !workers;
        match action {
            Action::Soak { for_s, nodes } => self.soaked(now, *for_s, nodes, done),
            Action::Gate { gate } => {
                let index = self.plan.limits.gates.iter().position(|is| is == gate);
                self.gate(now, index.ok_or("nobody declared it")?, gate.at, done)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn soaked(
        &self,
        now: &mut State,
        for_s: u64,
        nodes: &[refit::cluster::model::NodeName],
        done: u128,
    ) {
        let watched: u8 = nodes
            .iter()
            .map(|node| 1 << self.index[node.as_str()])
            .sum();
        if for_s >= self.plan.limits.control_planes_pause_s {
            now.asked.unwatched[0] &= !watched;
            now.asked.unwatched[1] &= !watched;
        }
        let out = Self::hosts(now, |on| on.out);
        for (index, (hosts, needs_s)) in self.groups().into_iter().enumerate() {
            let whole = hosts & !watched == 0 && for_s >= needs_s;
            let over = hosts & out == 0 && !self.kubelets_left(now, hosts, done);
            now.asked.soaked |= u8::from(whole && over) << index;
        }
    }

    fn gate(
        &self,
        now: &mut State,
        index: usize,
        point: GatePoint,
        done: u128,
    ) -> Result<(), String> {
        let workers = Self::hosts(now, |on| !on.control_plane);
        let out = Self::hosts(now, |on| on.out);
        let release: Release = self.releases.get(now.hop).copied().unwrap_or(0);
        let awaited = self
            .kinds
            .awaits
            .get(&release)
            .is_none_or(|steps| steps & !done == 0);
        let in_time = match point {
            // What waits for it looks whether it was passed in its hop.
            GatePoint::BeforeHop => true,
            GatePoint::AfterControlPlane => {
                now.asked.since[index] = 0;
                return Ok(());
            }
            GatePoint::AfterEachWave => {
                now.asked.since[index] = 0;
                return must(now.asked.taken & workers == 0, "in the middle of a wave");
            }
            GatePoint::BeforeWorkers => {
                awaited && out & !workers == 0 && !self.kubelets_left(now, !workers, done)
            }
            GatePoint::AfterHop => {
                let looks: u128 = self.looks();
                let left = self.kinds.steps[now.hop] & !done & !looks;
                let out = out & !Self::hosts(now, |on| on.stays);
                awaited && left == 0 && out == 0 && now.asked.taken == 0
            }
        };
        now.asked.passed |= u8::from(in_time) << index;
        Ok(())
    }

    pub fn looks(&self) -> u128 {
        let steps = self.plan.steps.iter().enumerate();
        steps
            .filter(|(_, step)| matches!(step.action, Action::Verify { .. }))
            .map(|(at, _)| 1_u128 << at)
            .sum()
    }

    /// What is begun in a window ends in it: the step with which something is begun has room for all until it is whole again,
    /// and none that goes on with it asks for room.
    fn room(&self, at: usize, place: Option<usize>, now: &mut State) -> Result<(), String> {
        let Some(windows) = &self.plan.windows else {
            return Ok(());
        };
        let step = &self.plan.steps[at];
        let told = windows.room_s.get(&step.id).copied();
        let whole = match (place, &step.action) {
            (Some(host), _) => self.whole_again(at, host, now),
            (None, Action::Hook { .. }) => Whole::After(at),
            (None, _) => Whole::Always,
        };
        let until = match whole {
            Whole::Always => return Ok(()),
            Whole::Before => {
                return must(told.is_none(), "is kept back with something half done");
            }
            Whole::After(until) => until,
        };
        must(
            told.is_some_and(|told| told >= self.lasts(at, until)),
            "does not fit into the window",
        )
    }

    fn whole_again(&self, at: usize, host: usize, now: &mut State) -> Whole {
        let node_step = |action: &Action| {
            let on_node = matches!(
                action,
                Action::Cordon { .. }
                    | Action::Drain { .. }
                    | Action::InstallKubelet { .. }
                    | Action::AwaitNode { .. }
                    | Action::AwaitStaticPods { .. }
                    | Action::Uncordon { .. }
                    | Action::Hook {
                        at: HookPoint::Drained | HookPoint::BeforeUncordon,
                        ..
                    }
            );
            on_node
                || matches!(
                    action,
                    Action::KubeadmNode {
                        role: Role::Worker,
                        ..
                    }
                )
        };
        let steps = &self.plan.steps;
        match &steps[at].action {
            Action::CheckHost { .. } | Action::CheckCluster { .. } => Whole::Always,
            Action::KubeadmApply { .. }
            | Action::KubeadmNode {
                role: Role::ControlPlane,
                ..
            } => {
                let mut later = (at + 1)..steps.len();
                let awaits = later.find(|&later| {
                    matches!(&steps[later].action, Action::AwaitControlPlane { host: of, .. } if self.index[of.as_str()] == host)
                });
                Whole::After(awaits.unwrap_or(at))
            }
            Action::AwaitControlPlane { .. } => match now.pending == Some(host) {
                true => Whole::Before,
                false => Whole::After(at),
            },
            action if node_step(action) => {
                // The node's own steps from here on.
                let own: Vec<usize> = (at..steps.len())
                    .filter(|&other| node_step(&steps[other].action))
                    .filter(|&other| self.place(&steps[other].action) == Some(host))
                    .collect();
                let ends = own.iter().enumerate().find(|(index, own_at)| {
                    let next = own.get(index + 1).map(|&next| &steps[next].action);
                    match steps[**own_at].action {
                        Action::Uncordon { .. } => true,
                        Action::AwaitNode { .. }
                        | Action::AwaitStaticPods { .. }
                        | Action::Hook {
                            at: HookPoint::BeforeUncordon,
                            ..
                        } => !matches!(
                            next,
                            Some(
                                Action::AwaitStaticPods { .. }
                                    | Action::Uncordon { .. }
                                    | Action::Hook { .. }
                            )
                        ),
                        Action::KubeadmNode { .. } => !next.is_some_and(takes_out),
                        _ => next.is_none(),
                    }
                });
                let end = ends.map_or(at, |(_, &end)| end);
                let begun = now.asked.begun >> host & 1 == 1;
                now.asked.begun |= 1 << host;
                if end == at {
                    now.asked.begun &= !(1 << host);
                }
                if begun {
                    Whole::Before
                } else {
                    Whole::After(end)
                }
            }
            _ => Whole::After(at),
        }
    }

    /// Seconds from the beginning of one step to the end of the other when nothing else is waited for: by going on second by
    /// second from one end to the next.
    fn lasts(&self, first: usize, last: usize) -> u64 {
        let count = self.plan.steps.len();
        // Whatever does not come after the first one is over.
        let mut later = 1_u128 << first;
        for _ in 0..count {
            for (at, before) in self.before.iter().enumerate() {
                if before & later != 0 {
                    later |= 1 << at;
                }
            }
        }
        let mut done = !later;
        let mut running: BTreeMap<usize, u64> = BTreeMap::from([(first, 0)]);
        loop {
            let next = running
                .iter()
                .map(|(&at, begun)| (begun + self.plan.steps[at].expected_s, at))
                .min();
            let Some((now_s, at)) = next else { return 0 };
            if at == last {
                return now_s;
            }
            running.remove(&at);
            done |= 1 << at;
            for (at, before) in self.before.iter().enumerate() {
                let ready = done >> at & 1 == 0 && before & !done == 0;
                if ready && !running.contains_key(&at) {
                    running.insert(at, now_s);
                }
            }
        }
    }

    /// The host of a step, if it is one's.
    pub fn place(&self, action: &Action) -> Option<usize> {
        let host = action.host().map(ToString::to_string);
        let name = host.or(action.node().map(ToString::to_string))?;
        self.index.get(&name).copied()
    }
}

/// When nothing is half done any more.
enum Whole {
    /// Nothing ever is.
    Always,
    /// Something was begun before this step.
    Before,
    /// When this step has ended.
    After(usize),
}

/// What a worker's gate keeps back.
fn acts_on_worker(action: &Action) -> bool {
    takes_out(action) || matches!(action, Action::KubeadmNode { .. } | Action::Uncordon { .. })
}
