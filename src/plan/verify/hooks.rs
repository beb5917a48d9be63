//! Every declared hook is where it was declared, in each hop, and does what was declared; and no other hook is there.
//!
//! For each place the steps are looked for that do what is expected there, and that come after all that must come before and
//! before all that must wait. No step is looked for by its id. Waves are not known: the workers of one are those with as many
//! workers before them, one after another. Hops are told apart by the looks that end them, so that a plan in which kubeadm has
//! nothing left to do has one as well.

mod between;
mod hop;

use std::collections::{BTreeMap, BTreeSet};

use self::between::between;
use self::hop::{Hop, Turn, hops};
use super::cluster::{Cluster, Machine};
use super::order::Order;
use super::rounds::Rounds;
use super::violation::{Invariant, Needed, Violation};
use crate::cluster::model::{HostName, NodeName, Role};
use crate::documents::settings::{GatePoint, Hook, HookPlace, HookPoint};
use crate::plan::data::{Action, Plan};
use crate::rules::version::Version;

const INVARIANT: Invariant = Invariant::Declared;

/// Everything declared that is not there, and every hook that is not declared.
pub fn judge(
    plan: &Plan,
    cluster: &Cluster<'_>,
    order: &Order<'_>,
    rounds: &Rounds<'_, '_>,
) -> Vec<Violation> {
    let is_hook = |action: &Action| matches!(action, Action::Hook { .. });
    let none = !order.iter().any(|(_, step)| is_hook(&step.action));
    if order.len() == 0 || (plan.limits.hooks.is_empty() && none) {
        return Vec::new();
    }
    let hops = hops(plan, order, rounds);
    let mut wrong = Vec::new();
    for hop in &hops {
        let mut alike: BTreeMap<Key<'_>, Vec<usize>> = BTreeMap::new();
        for &at in &hop.hooks {
            if let Action::Hook {
                name, host, node, ..
            } = &order.step(at).action
            {
                let key = (name.as_str(), host.as_ref(), node.as_ref());
                alike.entry(key).or_default().push(at);
            }
        }
        let mut judge = Judge {
            hooks: &plan.limits.hooks,
            cluster,
            order,
            hop,
            alike,
            found: BTreeSet::new(),
            wrong: Vec::new(),
        };
        judge.all();
        let Judge {
            found, wrong: more, ..
        } = judge;
        wrong.extend(more);
        let left = hop.hooks.iter().filter(|at| !found.contains(at));
        wrong.extend(left.map(|&at| Violation::Needless {
            invariant: INVARIANT,
            step: order.id(at),
            why: "no hook is declared that does this there".to_owned(),
        }));
    }
    wrong
}

/// A hook's name, the host on which it runs, the node that it is about.
type Key<'p> = (&'p str, Option<&'p HostName>, Option<&'p NodeName>);

/// A host and its node.
type On<'f> = (&'f HostName, &'f NodeName);

/// A node's turn and what it is over with: the node is back, and hooks where it stays cordoned.
struct Over<'t, 'p> {
    turn: &'t Turn<'p>,
    over: Vec<usize>,
}

/// What is expected at a place: the hook, where it runs, which node it is about.
struct Expected<'j> {
    hook: &'j Hook,
    host: Option<&'j HostName>,
    about: Option<On<'j>>,
}

struct Judge<'j, 'p, 'f> {
    hooks: &'j [Hook],
    cluster: &'j Cluster<'f>,
    order: &'j Order<'p>,
    hop: &'j Hop<'p>,
    /// The hop's hooks.
    alike: BTreeMap<Key<'p>, Vec<usize>>,
    /// The steps that are expected and there.
    found: BTreeSet<usize>,
    wrong: Vec<Violation>,
}

impl<'j, 'f: 'j> Judge<'j, '_, 'f> {
    fn all(&mut self) {
        let (hop, order) = (self.hop, self.order);
        let with = |mut steps: Vec<usize>| {
            steps.extend(hop.look);
            steps
        };
        let mut before = hop.beginning.clone();
        before.extend(hop.gates_at(GatePoint::BeforeHop));
        self.of_hop(
            HookPoint::BeforeHop,
            None,
            &before,
            &with(hop.changing.clone()),
        );

        let firsts: Vec<usize> = hop.turns.iter().map(|turn| turn.first).collect();
        for &(awaited, host) in &hop.awaited {
            let upgrades = hop.upgrades.iter().copied();
            let later = upgrades.chain(hop.gates_at(GatePoint::AfterControlPlane));
            let mut then: Vec<usize> = later.filter(|&at| order.precedes(awaited, at)).collect();
            then.extend(&firsts);
            self.of_node(HookPoint::AfterControlPlane, host, &[awaited], &with(then));
        }

        let mut workers: Vec<Over<'_, '_>> = Vec::new();
        let mut served: Vec<usize> = hop.awaited.iter().map(|(at, _)| *at).collect();
        served.extend(&hop.addons);
        for turn in &hop.turns {
            let over = self.of_turn(turn);
            match turn.role {
                Role::Worker => workers.push(Over { turn, over }),
                Role::ControlPlane => served.extend(over),
            }
        }
        let mut then = hop.configured.clone();
        then.extend(workers.iter().map(|worker| worker.turn.first));
        if !then.is_empty() {
            let mut before = served.clone();
            before.extend(hop.gates_at(GatePoint::BeforeWorkers));
            self.of_hop(HookPoint::BeforeWorkers, None, &before, &with(then));
        }
        self.waves(&workers);

        let mut before = hop.changing.clone();
        before.extend(served);
        before.extend(workers.iter().flat_map(|worker| &worker.over));
        let then = with(hop.gates_at(GatePoint::AfterHop).collect());
        self.of_hop(HookPoint::AfterHop, None, &before, &then);
    }

    /// While a node is out. Returns what its turn is over with.
    fn of_turn(&mut self, turn: &Turn<'_>) -> Vec<usize> {
        let (hop, order) = (self.hop, self.order);
        let declared = |point| self.hooks.iter().any(|hook| hook.at == point);
        let before_uncordon = declared(HookPoint::BeforeUncordon);
        if let Some(drain) = turn.drain {
            let then: Vec<usize> = [turn.install, turn.ready].into_iter().flatten().collect();
            self.of_node(HookPoint::Drained, turn.host, &[drain], &then);
        }
        let mut over = vec![turn.back()];
        let Some(ready) = turn.ready.filter(|_| before_uncordon) else {
            return over;
        };
        let then: Vec<usize> = match turn.uncordon {
            Some(uncordon) => vec![uncordon],
            // Somebody else's cordon stays: nothing that would have waited for the node begins before.
            None => {
                let firsts = hop.turns.iter().map(|other| other.first);
                let gates = hop.gates.iter().map(|(gate, _)| *gate);
                let later = firsts.chain(gates);
                let later = later.filter(|&then| order.precedes(ready, then));
                later.chain(hop.look).collect()
            }
        };
        over.extend(self.of_node(HookPoint::BeforeUncordon, turn.host, &[ready], &then));
        over
    }

    /// After each wave of workers.
    fn waves(&mut self, workers: &[Over<'_, '_>]) {
        let declared = |hook: &Hook| hook.at == HookPoint::AfterEachWave;
        if !self.hooks.iter().any(declared) {
            return;
        }
        let (hop, order) = (self.hop, self.order);
        let mut waves: BTreeMap<usize, Vec<&Over<'_, '_>>> = BTreeMap::new();
        for (worker, depth) in workers.iter().zip(depths(order, workers)) {
            waves.entry(depth).or_default().push(worker);
        }
        let waves: Vec<Vec<&Over<'_, '_>>> = waves.into_values().collect();
        for (index, wave) in waves.iter().enumerate() {
            let before: Vec<usize> = wave.iter().flat_map(|one| one.over.clone()).collect();
            let next = waves.get(index + 1).into_iter().flatten();
            let mut then: Vec<usize> = next.map(|one| one.turn.first).collect();
            then.extend(
                hop.gates_at(GatePoint::AfterEachWave)
                    .filter(|&gate| before.iter().any(|&back| order.precedes(back, gate))),
            );
            then.extend(hop.look);
            let mut on: Vec<On<'j>> = wave
                .iter()
                .filter_map(|one| self.cluster.nodes.get_key_value(one.turn.node))
                .filter_map(|(&node, on)| Some((on.host?, node)))
                .collect();
            on.sort();
            self.of_hop(HookPoint::AfterEachWave, Some(&on), &before, &then);
        }
    }

    /// The control plane that `kubeadm upgrade apply` runs on, or ran on before the plan was made: the first by name whose
    /// static pods are there, else the first by name.
    fn first(&self) -> Option<&'j HostName> {
        let control_planes = || {
            let hosts = self.cluster.hosts.iter();
            hosts.filter(|(_, machine)| machine.role == Role::ControlPlane)
        };
        let is_there = |machine: &Machine<'_>| {
            machine.instance.as_ref().is_some_and(|instance| {
                [
                    &instance.api_server,
                    &instance.controller_manager,
                    &instance.scheduler,
                ]
                .iter()
                .all(|release| *release == self.hop.release)
            })
        };
        let apply = self
            .hop
            .apply
            .and_then(|host| self.cluster.hosts.get_key_value(host));
        apply
            .or_else(|| control_planes().find(|(_, machine)| is_there(machine)))
            .or_else(|| control_planes().next())
            .map(|(&host, _)| host)
    }

    /// A point of the whole hop, or of one wave of these workers.
    fn of_hop(
        &mut self,
        point: HookPoint,
        wave: Option<&[On<'j>]>,
        before: &[usize],
        then: &[usize],
    ) {
        let first = self.first();
        let mut expected = Vec::new();
        for hook in self.hooks.iter().filter(|hook| hook.at == point) {
            let on: Vec<On<'j>> = match (hook.on, wave) {
                (HookPlace::ThisMachine, _) => {
                    expected.push(Expected {
                        hook,
                        host: None,
                        about: None,
                    });
                    continue;
                }
                (HookPlace::EachWorker, Some(workers)) => workers.to_vec(),
                (_, _) => self
                    .cluster
                    .hosts
                    .iter()
                    .filter(|(host, machine)| hook.on.is_on(machine.role, Some(**host) == first))
                    .map(|(&host, machine)| (host, machine.node))
                    .collect(),
            };
            expected.extend(on.into_iter().map(|(host, node)| Expected {
                hook,
                host: Some(host),
                about: Some((host, node)),
            }));
        }
        self.place(point, &expected, before, then);
    }

    /// A point where it is this host's node's turn.
    fn of_node(
        &mut self,
        point: HookPoint,
        host: &HostName,
        before: &[usize],
        then: &[usize],
    ) -> Vec<usize> {
        let Some((&host, machine)) = self.cluster.hosts.get_key_value(host) else {
            return Vec::new();
        };
        // Where the first control plane alone has no turn, no hook may be declared for it.
        let first = point == HookPoint::AfterControlPlane && self.first() == Some(host);
        let mut expected = Vec::new();
        for hook in self.hooks.iter().filter(|hook| hook.at == point) {
            let here = hook.on == HookPlace::ThisMachine;
            if here || hook.on.is_on(machine.role, first) {
                expected.push(Expected {
                    hook,
                    host: (!here).then_some(host),
                    about: Some((host, machine.node)),
                });
            }
        }
        self.place(point, &expected, before, then)
    }

    /// All that is expected is there, after these steps and before those, one after another. Returns what is there.
    fn place(
        &mut self,
        point: HookPoint,
        expected: &[Expected<'j>],
        before: &[usize],
        then: &[usize],
    ) -> Vec<usize> {
        if expected.is_empty() {
            return Vec::new();
        }
        let (hop, order) = (self.hop, self.order);
        let of = |one: &Expected<'_>| {
            let node = one.about.map(|(_, node)| node);
            let key: Key<'_> = (one.hook.name.as_str(), one.host, node);
            let alike = self.alike.get(&key).into_iter().flatten().copied();
            let left = alike.filter(|at| !self.found.contains(at));
            left.collect::<Vec<usize>>()
        };
        let candidates: Vec<Vec<usize>> = expected.iter().map(of).collect();
        let all: Vec<usize> = candidates.iter().flatten().copied().collect();
        let fitting = between(order, before, &all, then);
        let mut found = Vec::new();
        for (one, candidates) in expected.iter().zip(&candidates) {
            let there = candidates
                .iter()
                .copied()
                .find(|at| fitting.contains(at) && one.is(&order.step(*at).action, hop.release));
            let Some(at) = there else {
                let on = one.host.map_or("this machine", HostName::as_str);
                let needs = then.iter().min().map(|&at| order.id(at));
                self.wrong.push(Violation::Missing {
                    invariant: INVARIANT,
                    needed: Needed::Hook,
                    place: format!(
                        "{} at {} of the hop to {} on {on}",
                        one.hook.name,
                        point.as_str(),
                        hop.release
                    ),
                    steps: needs.into_iter().collect(),
                });
                continue;
            };
            self.found.insert(at);
            self.terms(at, one);
            if let Some(&last) = found.last()
                && !order.precedes(last, at)
            {
                self.wrong.push(Violation::Unordered {
                    invariant: INVARIANT,
                    first: order.id(last),
                    then: order.id(at),
                });
            }
            found.push(at);
        }
        found
    }

    /// It has the time that is declared, is not tried again, and its host was looked at.
    fn terms(&mut self, at: usize, one: &Expected<'_>) {
        let step = self.order.step(at);
        let mut same = |argument, is: u64, should: u64| {
            if is != should {
                self.wrong.push(Violation::Argument {
                    step: Some(step.id.clone()),
                    argument,
                    is: is.to_string(),
                    should: should.to_string(),
                });
            }
        };
        same("timeout_s", step.timeout_s, one.hook.timeout_s);
        same("retries", u64::from(step.retries), 0);
        let order = self.order;
        let looked_at = |host: &&HostName| {
            let mut looks = self.hop.looked_at.get(*host).into_iter().flatten();
            looks.any(|&look| order.precedes(look, at))
        };
        if let Some(host) = one.host.filter(|host| !looked_at(host)) {
            self.wrong.push(Violation::Missing {
                invariant: Invariant::SnapshotFirst,
                needed: Needed::CheckHost,
                place: host.to_string(),
                steps: vec![step.id.clone()],
            });
        }
    }
}

impl Expected<'_> {
    /// Whether the action is what was declared, with everything filled in.
    fn is(&self, action: &Action, release: &Version) -> bool {
        let Action::Hook {
            name,
            at,
            host,
            node,
            run,
            check,
            env,
            directory,
            reboots,
            rerun,
        } = action
        else {
            return false;
        };
        let declared = self.hook;
        let filled = declared.filled(release, self.about);
        let here = self.host.is_none();
        *name == declared.name
            && *at == declared.at
            && host.as_ref() == self.host
            && node.as_ref() == self.about.map(|(_, node)| node)
            && *run == filled.run
            && *check == filled.check
            && *env == filled.env
            && directory.as_ref() == here.then_some(&declared.directory)
            && *reboots == declared.reboots
            && *rerun == declared.rerun
    }
}

/// For each of these workers, how many go before it one after another at the most.
fn depths(order: &Order<'_>, workers: &[Over<'_, '_>]) -> Vec<usize> {
    let mut firsts: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let mut backs: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (index, worker) in workers.iter().enumerate() {
        firsts.entry(worker.turn.first).or_default().push(index);
        backs.entry(worker.turn.back()).or_default().push(index);
    }
    let mut depths = vec![0; workers.len()];
    let mut behind = vec![0_usize; order.len()];
    for at in 0..order.len() {
        for &index in firsts.get(&at).into_iter().flatten() {
            depths[index] = behind[at];
        }
        for &index in backs.get(&at).into_iter().flatten() {
            behind[at] = behind[at].max(depths[index] + 1);
        }
        for &follower in order.followers(at) {
            behind[follower] = behind[follower].max(behind[at]);
        }
    }
    depths
}
