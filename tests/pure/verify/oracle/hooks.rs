//! Hooks, followed as the plan is carried out: each runs when it is its time, once, with its own arguments, after the ones
//! declared before it; and nothing that should wait for it begins before.

use std::collections::BTreeMap;

use refit::documents::settings::{Hook, HookPlace, HookPoint};
use refit::plan::data::{Action, GatePoint, Step};

use super::asked::{must, takes_out};
use super::{HOSTS, Oracle, State, changes};

/// Hooks that a declaration may have here.
const HOOKS: usize = 32;
/// This machine, and no node.
const HERE: usize = 7;

/// What of them has come, at one instant. Hosts are bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Hooked {
    /// Where each has run: in this hop, in this node's turn, after this wave.
    ran: [u8; HOOKS],
    /// Something was changed in this hop.
    changed: bool,
    /// Control planes whose static pods are there.
    served: u8,
    /// Nodes whose turn has begun and is not over.
    turn: u8,
    /// A worker has begun.
    worked: bool,
    /// Workers that are back since hooks after a wave have run.
    back: u8,
    /// Nodes that stay cordoned, and whose turn is over.
    stayed: u8,
}

/// A hook and where it runs, or on this machine, which node it is about.
type Place = (usize, usize);

fn bits(hosts: u8) -> impl Iterator<Item = usize> {
    (0..HOSTS).filter(move |host| hosts >> host & 1 == 1)
}

fn begins_turn(action: &Action) -> bool {
    takes_out(action) || matches!(action, Action::AwaitNode { .. } | Action::Uncordon { .. })
}

impl Oracle<'_> {
    fn declared(&self, point: HookPoint) -> impl Iterator<Item = (usize, &Hook)> {
        let hooks = self.plan.limits.hooks.iter().enumerate();
        hooks.filter(move |(_, hook)| hook.at == point)
    }

    /// The control plane that kubeadm begins with, or began with before.
    fn first(&self, now: &State) -> Option<usize> {
        let release = self.release_text(now);
        let applies = self.plan.steps.iter().find_map(|step| match &step.action {
            Action::KubeadmApply { host, version, .. } if version.to_string() == release => {
                Some(self.index[host.as_str()])
            }
            _ => None,
        });
        let servers = || {
            let hosts = self.start.hosts.iter().enumerate();
            hosts.filter_map(|(at, on)| on.filter(|on| on.control_plane).map(|on| (at, on.api)))
        };
        let release = super::number(&release);
        let there = servers().find(|(_, api)| *api == release);
        applies.or(there.or(servers().next()).map(|(at, _)| at))
    }

    fn release_text(&self, now: &State) -> String {
        match self.releases.get(now.hop) {
            Some(release) => format!("1.{}.{}", release / 100, release % 100),
            None => self.plan.target.to_string(),
        }
    }

    /// What runs at a point of the hop, or after a wave of these workers, one after another.
    fn of_hop(&self, now: &State, point: HookPoint, wave: Option<u8>) -> Vec<Place> {
        let workers = Self::hosts(now, |on| !on.control_plane);
        let servers = Self::hosts(now, |on| on.control_plane);
        let mut all = Vec::new();
        for (index, hook) in self.declared(point) {
            match hook.on {
                HookPlace::ThisMachine => all.push((index, HERE)),
                HookPlace::FirstControlPlane => {
                    all.extend(self.first(now).map(|host| (index, host)));
                }
                HookPlace::EachControlPlane => all.extend(bits(servers).map(|host| (index, host))),
                HookPlace::EachWorker => {
                    all.extend(bits(wave.unwrap_or(workers)).map(|host| (index, host)));
                }
                HookPlace::EachNode => {
                    all.extend(bits(workers | servers).map(|host| (index, host)));
                }
            }
        }
        all
    }

    /// What runs in a node's turn.
    fn of_turn(&self, now: &State, point: HookPoint, host: usize) -> Vec<Place> {
        let server = now.hosts[host].is_some_and(|on| on.control_plane);
        let hooks = self.declared(point).filter(|(_, hook)| match hook.on {
            HookPlace::ThisMachine | HookPlace::EachNode => true,
            HookPlace::FirstControlPlane => self.first(now) == Some(host),
            HookPlace::EachControlPlane => server,
            HookPlace::EachWorker => !server,
        });
        hooks.map(|(index, _)| (index, host)).collect()
    }

    fn all_ran(now: &State, places: &[Place]) -> bool {
        let ran = |&(hook, at): &Place| now.hooked.ran[hook] >> at & 1 == 1;
        places.iter().all(ran)
    }

    fn forget(&self, now: &mut State, point: HookPoint, host: usize) {
        for (index, _) in self.declared(point) {
            now.hooked.ran[index] &= !(1 << host);
        }
    }

    /// Hooks before a node is schedulable again that are to come: of nodes that are ready.
    fn unready(&self, now: &State) -> u8 {
        let left = |&host: &usize| {
            let places = self.of_turn(now, HookPoint::BeforeUncordon, host);
            !Self::all_ran(now, &places)
        };
        let stayed = bits(now.hooked.stayed);
        stayed.filter(left).map(|host| 1_u8 << host).sum()
    }

    /// Before a step that is no hook begins.
    pub fn hooks_ran(
        &self,
        at: usize,
        done: u128,
        place: Option<usize>,
        now: &mut State,
    ) -> Result<(), String> {
        let action = &self.plan.steps[at].action;
        if let Action::Hook { .. } = action {
            return self.hook(at, done, now);
        }
        let worker = place.filter(|&host| now.hosts[host].is_some_and(|on| !on.control_plane));
        if changes(action) || matches!(action, Action::Verify { .. }) {
            let places = self.of_hop(now, HookPoint::BeforeHop, None);
            must(Self::all_ran(now, &places), "no hook before the hop")?;
            now.hooked.changed = true;
        }
        let upgrades = matches!(
            action,
            Action::KubeadmApply { .. } | Action::KubeadmNode { .. }
        ) && worker.is_none();
        let first = place.filter(|&host| begins_turn(action) && now.hooked.turn >> host & 1 == 0);
        let judged =
            matches!(action, Action::Gate { gate } if gate.at == GatePoint::AfterControlPlane);
        if upgrades || first.is_some() || judged || matches!(action, Action::Verify { .. }) {
            for host in bits(now.hooked.served) {
                let places = self.of_turn(now, HookPoint::AfterControlPlane, host);
                must(Self::all_ran(now, &places), "no hook after a control plane")?;
            }
        }
        let configures = matches!(action, Action::KubeadmNode { .. });
        if worker.is_some() && (configures || begins_turn(action)) {
            let places = self.of_hop(now, HookPoint::BeforeWorkers, None);
            must(Self::all_ran(now, &places), "no hook before the workers")?;
            now.hooked.worked = true;
        }
        if let Some(host) = first {
            self.turn_begins(now, host);
        }
        if let (Action::InstallKubelet { .. }, Some(host)) = (action, place)
            && now.hosts[host].is_some_and(|on| on.drained)
        {
            let places = self.of_turn(now, HookPoint::Drained, host);
            must(Self::all_ran(now, &places), "no hook on the drained node")?;
        }
        if let (Action::Uncordon { .. }, Some(host)) = (action, place) {
            let places = self.of_turn(now, HookPoint::BeforeUncordon, host);
            must(Self::all_ran(now, &places), "no hook before it is back")?;
        }
        let workers = Self::hosts(now, |on| !on.control_plane);
        let waved =
            self.declared(HookPoint::AfterEachWave).next().is_none() || now.hooked.back == 0;
        match action {
            Action::Gate { gate } => match gate.at {
                GatePoint::BeforeHop | GatePoint::AfterControlPlane => Ok(()),
                GatePoint::BeforeWorkers => {
                    must(self.unready(now) & !workers == 0, "a hook is left")
                }
                GatePoint::AfterEachWave => {
                    must(self.unready(now) & workers == 0, "a hook is left")?;
                    must(waved, "no hook after a wave")
                }
                GatePoint::AfterHop => {
                    let places = self.of_hop(now, HookPoint::AfterHop, None);
                    must(Self::all_ran(now, &places), "no hook after the hop")
                }
            },
            Action::Verify { .. } => {
                must(waved, "no hook after a wave")?;
                must(
                    self.unready(now) == 0,
                    "no hook on a node that stays cordoned",
                )?;
                let places = self.of_hop(now, HookPoint::AfterHop, None);
                must(Self::all_ran(now, &places), "no hook after the hop")?;
                let mut early = self.declared(HookPoint::BeforeWorkers);
                let needless = early.any(|(index, _)| now.hooked.ran[index] != 0);
                must(now.hooked.worked || !needless, "before no worker")
            }
            _ => Ok(()),
        }
    }

    /// The first step of a node's turn.
    fn turn_begins(&self, now: &mut State, host: usize) {
        let unready = self.unready(now);
        for other in (0..HOSTS).filter(|&other| other != host) {
            let pair = (now.hop, other, host);
            if now.hooked.stayed >> other & 1 == 0 {
                self.pairs.early.borrow_mut().insert(pair);
            } else if unready >> other & 1 == 1 {
                self.pairs.unready.borrow_mut().insert(pair);
            }
        }
        now.hooked.turn |= 1 << host;
        now.hooked.stayed &= !(1 << host);
        self.forget(now, HookPoint::Drained, host);
        self.forget(now, HookPoint::BeforeUncordon, host);
    }

    /// Workers that are back and had no hook since.
    pub const fn unhooked(now: &State) -> u8 {
        now.hooked.back
    }

    /// Of a node that stays cordoned and one that always goes after it, the hook must be between.
    pub fn stays_were_hooked(&self) -> Result<(), String> {
        let early = self.pairs.early.borrow();
        let unready = self.pairs.unready.borrow();
        let missing = unready.iter().any(|pair| !early.contains(pair));
        must(!missing, "no hook on a node that stays cordoned")
    }

    /// What a step leaves behind; `was` is the state that it began in.
    pub fn leaves(&self, at: usize, was: &State, now: &mut State) {
        if now.hop != was.hop {
            now.hooked = Hooked::default();
            return;
        }
        let action = &self.plan.steps[at].action;
        if let (Action::AwaitControlPlane { .. }, Some(host)) = (action, self.place(action)) {
            now.hooked.served |= 1 << host;
        }
        let over = |on: &super::Host| match on.stays {
            true => on.awaited && (on.settled || !on.control_plane) && !on.out,
            false => !on.cordoned,
        };
        let over = Self::hosts(now, over) & now.hooked.turn;
        now.hooked.turn &= !over;
        now.hooked.stayed |= over & Self::hosts(now, |on| on.stays);
        if self.declared(HookPoint::AfterEachWave).next().is_some() {
            now.hooked.back |= over & Self::hosts(now, |on| !on.control_plane);
        }
    }

    /// A hook begins.
    fn hook(&self, at: usize, done: u128, now: &mut State) -> Result<(), String> {
        let step = &self.plan.steps[at];
        let Action::Hook {
            name,
            at: point,
            host,
            node,
            ..
        } = &step.action
        else {
            return Ok(());
        };
        let mut hooks = self.plan.limits.hooks.iter();
        let index = hooks.position(|hook| hook.name == *name);
        let index = index.ok_or("nobody declared the hook")?;
        let declared = &self.plan.limits.hooks[index];
        must(declared.at == *point, "declared elsewhere")?;
        let on = match (host, node) {
            (Some(host), _) => self.index[host.as_str()],
            (None, Some(node)) => self.index[node.as_str()],
            (None, None) => HERE,
        };
        let here = declared.on == HookPlace::ThisMachine;
        must(host.is_none() == here, "declared for another machine")?;
        let about = node.as_ref().map(ToString::to_string);
        let host = host.as_ref().map(ToString::to_string);
        must(host.is_none() || host == about, "about another node")?;
        must(here || now.checked[on], "not looked at its host")?;
        self.as_declared(step, declared, about.as_deref(), now)?;

        let workers = Self::hosts(now, |on| !on.control_plane);
        let out = Self::hosts(now, |on| on.out);
        let of_node = now.hosts.get(on).copied().flatten();
        let release = self.releases.get(now.hop).copied().unwrap_or(0);
        let awaits = self.kinds.awaits.get(&release).copied().unwrap_or(0);
        let places = match point {
            HookPoint::BeforeHop => {
                must(now.saved && !now.hooked.changed, "not before the hop")?;
                self.of_hop(now, *point, None)
            }
            HookPoint::AfterControlPlane => {
                must(
                    now.hooked.served >> on & 1 == 1,
                    "not after its control plane",
                )?;
                self.of_turn(now, *point, on)
            }
            HookPoint::BeforeWorkers => {
                let kubelets = self.kubelets_left(now, !workers, done);
                let over = awaits & !done == 0 && out & !workers == 0 && !kubelets;
                must(over && !now.hooked.worked, "not just before the workers")?;
                must(self.unready(now) & !workers == 0, "a hook is left")?;
                self.passed(now, GatePoint::BeforeWorkers)?;
                self.of_hop(now, *point, None)
            }
            HookPoint::Drained => {
                let drained = of_node.is_some_and(|on| on.drained && !on.upgraded);
                must(drained, "not just after the drain")?;
                self.of_turn(now, *point, on)
            }
            HookPoint::BeforeUncordon => {
                let turn = (now.hooked.turn | now.hooked.stayed) >> on & 1 == 1;
                let ready =
                    of_node.is_some_and(|on| on.awaited && (on.settled || !on.control_plane));
                must(turn && ready, "not ready")?;
                self.of_turn(now, *point, on)
            }
            HookPoint::AfterEachWave => {
                must(now.hooked.turn & workers == 0, "in the middle of a wave")?;
                must(now.hooked.back != 0, "after no wave")?;
                must(self.unready(now) & workers == 0, "a hook is left")?;
                self.of_hop(now, *point, Some(now.hooked.back))
            }
            HookPoint::AfterHop => {
                let left = self.kinds.steps.get(now.hop).copied().unwrap_or(0);
                let left = left & !done & !self.looks();
                let out = out & !Self::hosts(now, |on| on.stays);
                let over = awaits & !done == 0 && left == 0 && out == 0 && now.hooked.turn == 0;
                must(over && now.hooked.changed, "not after the hop")?;
                must(self.unready(now) == 0, "a hook is left")?;
                self.of_hop(now, *point, None)
            }
        };
        let turn = places.iter().position(|place| *place == (index, on));
        let turn = turn.ok_or("not declared there")?;
        must(
            Self::all_ran(now, &places[..turn]),
            "before one that comes first",
        )?;
        must(!Self::all_ran(now, &places[turn..=turn]), "a second time")?;
        now.hooked.ran[index] |= 1 << on;
        if *point == HookPoint::AfterEachWave && Self::all_ran(now, &places) {
            now.hooked.back = 0;
            for (index, _) in self.declared(*point) {
                now.hooked.ran[index] = 0;
            }
        }
        Ok(())
    }

    /// Does what was declared, with everything filled in.
    fn as_declared(
        &self,
        step: &Step,
        declared: &Hook,
        about: Option<&str>,
        now: &State,
    ) -> Result<(), String> {
        let release = self.release_text(now);
        let minor = release.rsplit_once('.').map_or("", |(minor, _)| minor);
        let filled = |word: &String| {
            let mut word = word.replace("{release}", &release);
            word = word.replace("{minor}", minor);
            if let Some(about) = about {
                word = word.replace("{node}", about).replace("{host}", about);
            }
            word
        };
        let Action::Hook {
            run,
            check,
            env,
            directory,
            reboots,
            rerun,
            ..
        } = &step.action
        else {
            return Ok(());
        };
        let words = |all: &Vec<String>| all.iter().map(filled).collect::<Vec<String>>();
        let values = declared.env.iter();
        let values: BTreeMap<String, String> = values
            .map(|(name, value)| (name.clone(), filled(value)))
            .collect();
        let folder = (declared.on == HookPlace::ThisMachine).then(|| declared.directory.clone());
        let same = *run == words(&declared.run)
            && *check == declared.check.as_ref().map(words)
            && *env == values
            && *directory == folder
            && *reboots == declared.reboots
            && *rerun == declared.rerun
            && step.timeout_s == declared.timeout_s
            && step.retries == 0;
        must(same, "another hook than the declared one")
    }
}
