//! The truth about a small plan, found by brute force: the plan is carried out in every order that it allows, one step at a
//! time, and each state and each beginning is looked at. Nothing here knows `verify`; what it shares with it are the types
//! of plans and facts, and the names that the clusters of these tests have (host, node and machine are called alike).

use std::collections::{BTreeMap, BTreeSet, HashSet};

use refit::cluster::model::NodeName;
use refit::host::op::PackageRevision;
use refit::plan::data::{Action, Plan, Step};

use crate::build::World;

mod asked;
mod hooks;
mod start;

use asked::{Asked, Pairs};
use hooks::Hooked;

/// Hosts that a cluster may have here.
const HOSTS: usize = 6;
/// A release as a number: 1.35.4 is 3504.
type Release = u16;

fn number(text: &str) -> Release {
    let mut parts = text
        .split('.')
        .skip(1)
        .map(|part| part.parse::<u16>().unwrap_or(0));
    parts.next().unwrap_or(0) * 100 + parts.next().unwrap_or(0)
}

fn of_revision(revision: &str) -> Release {
    number(revision.split('-').next().unwrap())
}

fn lag(older: Release, newer: Release) -> i32 {
    i32::from(newer / 100) - i32::from(older / 100)
}

/// What a host and its node are like at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Host {
    control_plane: bool,
    api: Release,
    controllers: Release,
    kubelet: Release,
    kubectl: Option<Release>,
    kubeadm: Release,
    /// Releases of installed packages: kubeadm, kubelet.
    package: [Release; 2],
    /// Bits of kubeadm, kubectl, kubelet.
    installed: u8,
    held: u8,
    held_before: u8,
    repository: Release,
    fetched: u32,
    stays: bool,
    left: bool,
    cordoned: bool,
    /// It has the taint of workers that are yet to be drained, and has it from the plan.
    tainted: bool,
    fresh: bool,
    /// Of this round.
    drained: bool,
    upgraded: bool,
    awaited: bool,
    /// Of a control plane: its static pods were awaited after its kubelet.
    settled: bool,
    out: bool,
    /// The last release that kubeadm upgraded this host to.
    configured: Release,
    /// Bits of the minors, from 1.30 on, that kubeadm has been here at.
    minors: u16,
    /// The kubelet's flags hold one that only kubeadm 1.35 removes, and no kubelet starts with after that.
    dirty: bool,
    released: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct State {
    hosts: [Option<Host>; HOSTS],
    config: Release,
    proxies: (Release, Release),
    applied: Release,
    /// A control plane that was upgraded and not awaited yet.
    pending: Option<usize>,
    /// How many releases are over; and what was looked at and saved since.
    hop: usize,
    looked: bool,
    checked: [bool; HOSTS],
    saved: bool,
    asked: Asked,
    hooked: Hooked,
}

struct Oracle<'w> {
    plan: &'w Plan,
    index: BTreeMap<String, usize>,
    offered: Vec<BTreeSet<(String, String)>>,
    /// The releases that the plan goes through.
    releases: Vec<Release>,
    may_skip: bool,
    revisions: BTreeMap<PackageRevision, u32>,
    /// For each step, what it waits for.
    before: Vec<u128>,
    target: Release,
    most_out: usize,
    kinds: Kinds,
    start: State,
    pairs: Pairs,
}

/// Steps of a kind, as sets.
#[derive(Default)]
struct Kinds {
    /// By release.
    awaits: BTreeMap<Release, u128>,
    rolls: BTreeMap<Release, u128>,
    /// By hop.
    steps: Vec<u128>,
    touched: Vec<[bool; HOSTS]>,
    last: usize,
}

fn bit(package: &str) -> u8 {
    match package {
        "kubeadm" => 1,
        "kubectl" => 2,
        "kubelet" => 4,
        _ => 0,
    }
}

fn minor_bit(release: Release) -> u16 {
    1 << (release / 100).saturating_sub(30).min(15)
}

/// The release that a step brings or waits for, where it is one of a hop.
fn brings(action: &Action) -> Option<Release> {
    match action {
        Action::PrefetchPackages { packages, .. }
        | Action::InstallKubeadm { packages, .. }
        | Action::InstallKubelet { packages, .. } => packages
            .iter()
            .map(|package| of_revision(&package.revision))
            .max(),
        Action::PullImages { version, .. }
        | Action::KubeadmApply { version, .. }
        | Action::KubeadmNode { version, .. }
        | Action::AwaitControlPlane { version, .. }
        | Action::AwaitStaticPods { version, .. }
        | Action::Verify { version, .. } => Some(number(&version.to_string())),
        Action::AwaitAddons { kube_proxy } => Some(number(&kube_proxy.as_ref()?.to_string())),
        _ => None,
    }
}

fn changes(action: &Action) -> bool {
    !matches!(
        action,
        Action::CheckHost { .. }
            | Action::CheckCluster { .. }
            | Action::SnapshotEtcd { .. }
            | Action::AwaitControlPlane { .. }
            | Action::AwaitAddons { .. }
            | Action::AwaitNode { .. }
            | Action::AwaitStaticPods { .. }
            | Action::Verify { .. }
            | Action::Soak { .. }
            | Action::Gate { .. }
            | Action::WayBack { .. }
            | Action::Barrier { .. }
    )
}

fn looks_only(action: &Action) -> bool {
    !changes(action) && !matches!(action, Action::SnapshotEtcd { .. })
}

/// What is wrong in some order of the plan; none when nothing is.
pub fn judge(world: &World, plan: &Plan) -> Option<String> {
    let oracle = match Oracle::of(world, plan) {
        Ok(oracle) => oracle,
        Err(wrong) => return Some(wrong),
    };
    oracle.explore().err()
}

impl Oracle<'_> {
    fn explore(&self) -> Result<(), String> {
        let count = self.plan.steps.len();
        let everything = if count == 0 {
            0
        } else {
            u128::MAX >> (128 - count)
        };
        self.state(&self.start)?;
        let mut seen = HashSet::from([(0_u128, self.start)]);
        let mut open = vec![(0_u128, self.start)];
        while let Some((done, now)) = open.pop() {
            if done == everything {
                self.end(&now)?;
                continue;
            }
            let ready: Vec<usize> = (0..count)
                .filter(|&at| done >> at & 1 == 0 && self.before[at] & !done == 0)
                .collect();
            self.beside(&ready)?;
            for at in ready {
                let mut next = now;
                let action = &self.plan.steps[at].action;
                self.asks(at, done, self.place(action), &mut next)
                    .and_then(|()| self.hooks_ran(at, done, self.place(action), &mut next))
                    .and_then(|()| self.step(at, done, &mut next))
                    .and_then(|()| self.comes(at, done | 1 << at, &now, &mut next))
                    .map_err(|wrong| format!("{}: {wrong}", self.plan.steps[at].id))?;
                let done = done | 1 << at;
                if seen.insert((done, next)) {
                    self.state(&next)
                        .map_err(|wrong| format!("after {}: {wrong}", self.plan.steps[at].id))?;
                    open.push((done, next));
                }
            }
        }
        self.waves_were_gated()?;
        self.stays_were_hooked()
    }

    /// One operation at a time on a host.
    fn beside(&self, ready: &[usize]) -> Result<(), String> {
        let mut busy = [false; HOSTS];
        for &at in ready {
            let action = &self.plan.steps[at].action;
            if looks_only(action) {
                continue;
            }
            let Some(host) = action.host() else { continue };
            let host = self.index[host.as_str()];
            if busy[host] {
                return Err(format!("two operations beside each other on {host}"));
            }
            busy[host] = true;
        }
        Ok(())
    }

    /// What must hold when a step begins, and what it leaves behind.
    fn step(&self, at: usize, done: u128, now: &mut State) -> Result<(), String> {
        let must = |ok: bool, what: &str| if ok { Ok(()) } else { Err(what.to_owned()) };
        let action = &self.plan.steps[at].action;
        if changes(action) {
            must(now.saved || now.hop > 0, "no snapshot yet")?;
        }
        if let Some(release) = brings(action) {
            let hop = self.releases.iter().position(|of| *of == release);
            let hop = hop.ok_or("a release of no hop")?;
            must(hop == now.hop, "in another hop")?;
            must(now.saved || !changes(action), "no snapshot in this hop")?;
        }
        match (action, self.place(action)) {
            (Action::CheckCluster { .. }, _) => now.looked = true,
            (Action::TaintOutdated { nodes }, _) => self.taint(nodes, now)?,
            (Action::CheckHost { .. }, Some(host)) => now.checked[host] = true,
            (Action::SnapshotEtcd { .. }, Some(host)) => {
                must(now.looked, "not looked at the cluster")?;
                must(now.checked[host], "not looked at its host")?;
                let touched = self.kinds.touched[now.hop];
                for (touched, checked) in touched.iter().zip(now.checked) {
                    must(!touched || checked, "not looked at a host")?;
                }
                now.saved = true;
            }
            (Action::AwaitAddons { kube_proxy }, _) => {
                let is = kube_proxy
                    .as_ref()
                    .map(|version| number(&version.to_string()));
                // Rolled to this with the last control plane.
                must(
                    is == Some(now.proxies.1),
                    "kube-proxy does not come to this",
                )?;
                now.proxies.0 = now.proxies.1;
            }
            (Action::Verify { .. }, _) if at == self.kinds.last => {
                let others = self.plan.steps.len() - 1;
                must(done.count_ones() as usize == others, "not the last")?;
            }
            (
                Action::Verify {
                    version,
                    nodes,
                    cordoned,
                    ..
                },
                _,
            ) => {
                let version = number(&version.to_string());
                must(version == self.releases[now.hop], "another hop's look")?;
                let left = self.kinds.steps[now.hop] & !(done | 1 << at);
                must(left == 0, "the hop is not over")?;
                for on in now.hosts.iter().flatten() {
                    must(
                        !on.control_plane || on.api == version,
                        "an API server is behind",
                    )?;
                    must(on.cordoned == on.stays && !on.out, "a node is out")?;
                }
                let of = |name: &str| now.hosts[self.index[name]].unwrap();
                let there = nodes
                    .iter()
                    .all(|node| of(node.as_str()).kubelet == version);
                let all = now.hosts.iter().flatten();
                let count = all.filter(|on| on.kubelet == version).count();
                must(there && count == nodes.len(), "looks at other nodes")?;
                let stay = nodes.iter().filter(|node| of(node.as_str()).stays);
                must(stay.eq(cordoned.iter()), "other cordons")?;
                now.hop += 1;
                now.looked = false;
                now.checked = [false; HOSTS];
                now.saved = false;
            }
            (action, Some(host)) => {
                if let Action::KubeadmApply { version, .. } | Action::KubeadmNode { version, .. } =
                    action
                {
                    self.kubeadm(now, host, number(&version.to_string()), at, done)?;
                } else {
                    self.on_host(now, host, action, done)?;
                }
            }
            (_, None) => {}
        }
        Ok(())
    }

    /// Workers of this hop are tainted before any of them is drained.
    fn taint(&self, nodes: &[NodeName], now: &mut State) -> Result<(), String> {
        let must = |ok: bool, what: &str| if ok { Ok(()) } else { Err(what.to_owned()) };
        must(self.plan.limits.outdated_avoided, "not to be tainted")?;
        let release = self.releases[now.hop];
        let workers = now.hosts.iter().flatten().filter(|on| !on.control_plane);
        let mut drained = workers.filter(|on| on.drained && (on.out || on.kubelet == release));
        must(drained.next().is_none(), "a worker was drained before")?;
        for node in nodes {
            let on = now.hosts[self.index[node.as_str()]]
                .as_mut()
                .ok_or("no such node")?;
            must(!on.control_plane && !on.stays, "not to be tainted")?;
            must(on.kubelet < release, "not outdated")?;
            must(!std::mem::replace(&mut on.fresh, true), "tainted twice")?;
            on.tainted = true;
        }
        Ok(())
    }

    /// How many workers the plan brings to a release, and back into service.
    fn workers_to(&self, now: &State, release: Release) -> usize {
        let is_one = |step: &&Step| match (&step.action, self.place(&step.action)) {
            (action @ Action::InstallKubelet { .. }, Some(host)) => {
                let worker = now.hosts[host].is_some_and(|on| !on.control_plane && !on.stays);
                worker && brings(action) == Some(release)
            }
            (_, _) => false,
        };
        self.plan.steps.iter().filter(is_one).count()
    }

    fn kubeadm(
        &self,
        now: &mut State,
        host: usize,
        version: Release,
        at: usize,
        done: u128,
    ) -> Result<(), String> {
        let must = |ok: bool, what: &str| if ok { Ok(()) } else { Err(what.to_owned()) };
        let applies = matches!(self.plan.steps[at].action, Action::KubeadmApply { .. });
        let on = now.hosts[host].ok_or("no such host")?;
        must(!on.released, "holds are off")?;
        must(on.kubeadm == version, "kubeadm is of another release")?;
        must(on.configured != version, "kubeadm was here before")?;
        if applies {
            must(now.applied < version, "applied twice")?;
        } else {
            must(now.config == version, "not applied yet")?;
        }
        must(
            !on.cordoned || on.stays || on.left,
            "cordoned before it was configured",
        )?;
        must(
            (0..=3).contains(&lag(on.kubelet, version)),
            "rule 8: kubelet",
        )?;
        if on.control_plane {
            must(now.pending.is_none(), "a control plane is not awaited")?;
            for other in now.hosts.iter().flatten() {
                must(
                    (0..=3).contains(&lag(other.kubelet, version)),
                    "rule 8: kubelet",
                )?;
                if other.control_plane {
                    must(
                        (0..=1).contains(&lag(other.api, version)),
                        "rule 8: control plane",
                    )?;
                }
            }
            must(
                (0..=1).contains(&lag(on.api, version)),
                "rule 7: API server",
            )?;
            now.pending = Some(host);
            // The API server first.
            if let Some(on) = &mut now.hosts[host] {
                on.api = version;
            }
            self.state(now)?;
            if applies {
                now.config = version;
                now.applied = version;
            }
            if let Some(on) = &mut now.hosts[host] {
                on.controllers = version;
            }
            if self.kinds.rolls[&version] & !(done | 1 << at) == 0 {
                now.proxies.1 = version;
            }
        }
        if let Some(on) = &mut now.hosts[host] {
            on.configured = version;
            on.minors |= minor_bit(version);
            on.dirty &= version / 100 != 35;
        }
        Ok(())
    }

    fn on_host(
        &self,
        now: &mut State,
        host: usize,
        action: &Action,
        done: u128,
    ) -> Result<(), String> {
        let must = |ok: bool, what: &str| if ok { Ok(()) } else { Err(what.to_owned()) };
        let must_be_tainted = now.hosts[host].is_some_and(|on| {
            let ours = !on.control_plane && !on.stays;
            ours && self.plan.limits.outdated_avoided && self.workers_to(now, on.configured) > 1
        });
        let pending = &mut now.pending;
        let on = now.hosts[host].as_mut().ok_or("no such host")?;
        if !looks_only(action) && action.host().is_some() {
            must(!on.released, "holds are off")?;
        }
        let all = |packages: &[String]| packages.iter().map(|name| bit(name)).sum::<u8>();
        let takes_out = matches!(
            action,
            Action::Cordon { .. } | Action::Drain { .. } | Action::InstallKubelet { .. }
        );
        if takes_out {
            let earlier = self.kinds.awaits.range(..=on.configured);
            must(
                earlier.fold(0, |all, (_, steps)| all | steps) & !done == 0,
                "control planes are not awaited",
            )?;
            must(on.configured > on.kubelet, "not configured")?;
            if !on.out || on.left {
                on.drained = false;
                on.upgraded = false;
                on.awaited = false;
                on.settled = false;
            }
            on.out = true;
        }
        match action {
            Action::HoldPackages { packages, .. } => {
                must(on.held & all(packages) == 0, "held already")?;
                on.held |= all(packages);
            }
            Action::ReleaseHolds { packages, .. } => {
                must(on.held_before & all(packages) == 0, "held before")?;
                on.held &= !all(packages);
                on.released = true;
            }
            Action::SwitchRepository { minor, .. } => {
                must(on.held & on.installed == on.installed, "not held")?;
                on.repository = number(&format!("{minor}.0")) / 100;
            }
            Action::PrefetchPackages { packages, .. }
            | Action::InstallKubeadm { packages, .. }
            | Action::InstallKubelet { packages, .. } => {
                must(on.held & on.installed == on.installed, "not held")?;
                for package in packages {
                    let release = of_revision(&package.revision);
                    must(on.repository == release / 100, "another repository")?;
                    let fetched = 1 << self.revisions[package];
                    if let Action::PrefetchPackages { .. } = action {
                        on.fetched |= fetched;
                        continue;
                    }
                    must(on.fetched & fetched != 0, "not downloaded")?;
                    match package.name.as_str() {
                        "kubeadm" => {
                            must((0..=1).contains(&lag(on.kubeadm, release)), "rule 9")?;
                            on.kubeadm = release;
                            on.package[0] = release;
                        }
                        "kubectl" => on.kubectl = Some(release),
                        _ => {
                            let empty = on.drained
                                || (on.control_plane
                                    && !self.plan.limits.control_planes_drained
                                    && lag(on.kubelet, release) == 0);
                            must(empty, "not drained")?;
                            must(on.cordoned, "not cordoned")?;
                            must(!on.upgraded, "a kubelet twice")?;
                            must(on.configured == release, "configured for another")?;
                            self.moves(on, release)?;
                            on.kubelet = release;
                            on.package[1] = release;
                            on.upgraded = true;
                            on.awaited = false;
                            on.settled = false;
                        }
                    }
                }
            }
            Action::PullImages { version, .. } => {
                must(
                    on.kubeadm == number(&version.to_string()),
                    "another kubeadm",
                )?;
            }
            Action::AwaitControlPlane { version, .. } => {
                must(on.api == number(&version.to_string()), "another API server")?;
                if *pending == Some(host) {
                    *pending = None;
                }
            }
            Action::Cordon { .. } => {
                must(!on.stays && (!on.cordoned || on.left), "cordoned already")?;
                must(!on.drained, "drained already")?;
                on.cordoned = true;
                on.left = false;
            }
            Action::Drain { .. } => {
                must(on.cordoned && !on.left, "not cordoned")?;
                must(!on.drained, "drained already")?;
                must(on.fresh || !must_be_tainted, "not tainted")?;
                on.drained = true;
            }
            Action::AwaitNode { version, .. } => {
                must(
                    on.kubelet == number(&version.to_string()),
                    "another kubelet",
                )?;
                must(!on.awaited, "awaited already")?;
                must(on.upgraded || !on.out || on.left, "awaited too early")?;
                on.awaited = true;
                if on.stays && !on.control_plane {
                    on.out = false;
                }
            }
            Action::AwaitStaticPods { version, .. } => {
                must(on.api == number(&version.to_string()), "another API server")?;
                must(on.awaited, "its kubelet is not awaited")?;
                must(!on.settled, "settled already")?;
                on.settled = true;
                if on.stays {
                    on.out = false;
                }
            }
            Action::Uncordon { outdated, .. } => {
                must(*outdated == on.tainted, "its taint")?;
                must(!on.fresh || on.drained, "tainted for nothing")?;
                on.tainted = false;
                on.fresh = false;
                must(!on.stays && on.cordoned, "not ours to uncordon")?;
                must(on.awaited, "not awaited")?;
                must(on.settled || !on.control_plane, "not settled")?;
                must(on.upgraded || on.left, "not upgraded")?;
                on.cordoned = false;
                on.left = false;
                on.out = false;
            }
            Action::CheckHost { .. }
            | Action::CheckCluster { .. }
            | Action::SnapshotEtcd { .. }
            | Action::KubeadmApply { .. }
            | Action::KubeadmNode { .. }
            | Action::AwaitAddons { .. }
            | Action::TaintOutdated { .. }
            | Action::Verify { .. }
            | Action::Soak { .. }
            | Action::Gate { .. }
            | Action::Hook { .. }
            | Action::WayBack { .. }
            | Action::Barrier { .. } => {}
        }
        Ok(())
    }

    /// How far a kubelet moves at once.
    fn moves(&self, on: &Host, release: Release) -> Result<(), String> {
        let must = |ok: bool, what: &str| if ok { Ok(()) } else { Err(what.to_owned()) };
        let jump = lag(on.kubelet, release);
        must(jump >= 0, "a kubelet goes back")?;
        if jump <= 1 {
            return Ok(());
        }
        must(
            jump <= 3 && self.may_skip && !on.control_plane,
            "a kubelet skips minors",
        )?;
        let passed = (on.kubelet / 100 + 1)..=(release / 100);
        for minor in passed {
            must(
                on.minors & minor_bit(minor * 100) != 0,
                "a kubeadm was left out",
            )?;
        }
        must(!on.dirty || release < 3500, "the kubelet would not start")
    }

    /// What must hold at every instant.
    fn state(&self, now: &State) -> Result<(), String> {
        let must = |ok: bool, what: &str| if ok { Ok(()) } else { Err(what.to_owned()) };
        let mut out = [0_usize; 2];
        for on in now.hosts.iter().flatten() {
            let counts = on.out && !(on.control_plane && on.left);
            out[usize::from(on.control_plane)] += usize::from(counts);
            for server in now.hosts.iter().flatten().filter(|host| host.control_plane) {
                if on.control_plane {
                    must(lag(on.api, server.api).abs() <= 1, "rule 1")?;
                }
                must((0..=3).contains(&lag(on.kubelet, server.api)), "rule 2")?;
                for proxy in [now.proxies.0, now.proxies.1] {
                    must((0..=3).contains(&lag(proxy, server.api)), "rule 3")?;
                    must(lag(proxy, on.kubelet).abs() <= 3, "rule 3")?;
                }
                if let Some(kubectl) = on.kubectl {
                    must(lag(kubectl, server.api).abs() <= 1, "rule 5")?;
                }
            }
            if on.control_plane {
                must((0..=1).contains(&lag(on.controllers, on.api)), "rule 4")?;
            }
        }
        let moving = |control_plane: bool| {
            let mut all = now.hosts.iter().flatten();
            all.any(|on| on.control_plane == control_plane && on.out && !on.left && !on.settled)
        };
        must(
            !(moving(true) && moving(false)),
            "a worker out beside a control plane's kubelet",
        )?;
        must(out[0] <= self.most_out, "too many workers out")?;
        must(out[1] <= 1, "two control planes out")
    }

    /// What must hold at the end.
    fn end(&self, now: &State) -> Result<(), String> {
        let must = |ok: bool, what: &str| {
            if ok {
                Ok(())
            } else {
                Err(format!("in the end, {what}"))
            }
        };
        must(now.config == self.target, "kubeadm-config is behind")?;
        must(now.pending.is_none(), "a control plane is not awaited")?;
        for on in now.hosts.iter().flatten() {
            let mut all = vec![on.kubelet, on.kubeadm, on.package[0], on.package[1]];
            all.extend(on.kubectl);
            if on.control_plane {
                all.extend([on.api, on.controllers]);
            }
            must(
                all.iter().all(|release| *release == self.target),
                "something is not at the target",
            )?;
            must(on.cordoned == on.stays && !on.out, "a node is out")?;
            must(!on.tainted, "a taint is left")?;
            must(on.held == on.held_before, "holds are left")?;
            must(!on.upgraded || on.awaited, "a node is not awaited")?;
            must(
                !on.upgraded || on.settled || !on.control_plane,
                "a control plane is not settled",
            )?;
        }
        Ok(())
    }
}
