//! The world as data, and the handle through which ports reach it.
//!
//! [`World`] owns what is due when and hands each event to whom it concerns; it knows no rule of Kubernetes and nothing of
//! hosts. [`Sim`] owns the pace, and wakes those that wait for a change.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;

use super::api::{self, Api, Options};
use super::disk::Disk;
use super::disturb::Disturbances;
use super::fault::Fault;
use super::heap::Heap;
use super::machine::{self, Machine};
use super::pace::Pace;
use super::seam::{Turn, View};
use crate::cluster::facts::Facts;
use crate::cluster::model::{HostName, NodeName};
use crate::ports::Token;

/// Something that is due.
#[derive(Debug, Clone)]
enum Event {
    /// In the cluster.
    Api(api::Event),
    /// On a machine.
    Machine(HostName, machine::Event),
    /// Something befalls the API, or is over.
    Disturb,
}

/// A cluster and its machines at one instant, and what is due.
#[derive(Debug, Clone)]
pub struct World {
    now: Duration,
    began: Timestamp,
    due: Heap<Event>,
    /// The cluster.
    pub api: Api,
    machines: BTreeMap<HostName, Machine>,
    /// The disk of whoever runs refit.
    pub disk: Disk,
    pub(super) disturbances: Disturbances,
    /// Nodes that are being drained.
    draining: BTreeSet<NodeName>,
    violations: Vec<String>,
}

impl World {
    /// The cluster that the facts show, with these machines, at the moment when the facts were taken.
    #[must_use]
    pub fn of(facts: &Facts, machines: BTreeMap<HostName, Machine>, options: Options) -> Self {
        let nodes = machines.values();
        let nodes = nodes.map(|machine| (machine.host.clone(), machine.node.clone()));
        let api = Api::of(facts, &nodes.collect(), options);
        Self::new(facts.observed_at, api, machines)
    }

    fn new(began: Timestamp, api: Api, machines: BTreeMap<HostName, Machine>) -> Self {
        let mut world = Self {
            now: Duration::ZERO,
            began,
            due: Heap::default(),
            api,
            machines,
            disk: Disk::default(),
            disturbances: Disturbances::default(),
            draining: BTreeSet::new(),
            violations: Vec::new(),
        };
        // what was under way when the world was made
        world.with_api(|_| ());
        for (host, machine) in &world.machines {
            for (after, event) in machine.awaited() {
                world
                    .due
                    .schedule(after, Event::Machine(host.clone(), event));
            }
        }
        world
    }

    /// What will befall the API.
    pub(super) fn expect(&mut self, faults: Vec<Fault>) {
        for fault in faults {
            self.disturbances.expect(fault);
        }
        for after in self.disturbances.awaited() {
            self.due.schedule(after, Event::Disturb);
        }
        self.disturb(None);
    }

    fn disturb(&mut self, verb: Option<&str>) {
        for end in self.disturbances.notice(verb, self.now) {
            // nothing happens then, but who waits looks again
            self.due.schedule(end, Event::Disturb);
        }
    }

    pub(super) fn machines_mut(&mut self) -> impl Iterator<Item = &mut Machine> {
        self.machines.values_mut()
    }

    /// What waits for nothing on this machine strikes now.
    pub(super) fn struck(&mut self, at: &str) {
        let named = |machine: &&Machine| machine.host.as_str() == at || machine.node.as_str() == at;
        let host = self.machines.values().find(named);
        if let Some(host) = host.map(|machine| machine.host.clone()) {
            self.with_machine(&host, |machine, view| ((), machine.struck_now(view)));
        }
    }

    /// Whoever looks after the cluster takes away what is wrong: nothing goes wrong any more, locks and disks are free, hosts are up
    /// and within reach, certificates renewed, kubelets and members of etcd run.
    pub fn mend(&mut self) {
        self.disturbances.mend();
        let hosts: Vec<HostName> = self.machines.keys().cloned().collect();
        for host in hosts {
            self.with_machine(&host, |machine, view| ((), machine.mended(view)));
        }
    }

    /// Whether nothing can be written on the disk of whoever runs refit.
    pub(super) fn no_room_here(&self) -> bool {
        self.disturbances.no_room_here(self.now)
    }

    /// A step of this verb begins on a node: what waits for it strikes now.
    pub(super) fn notice(&mut self, node: &NodeName, verb: &str) {
        let first = match verb {
            "drain" => self.draining.insert(node.clone()),
            "uncordon" => {
                self.draining.remove(node);
                true
            }
            _ => true,
        };
        if !first {
            return;
        }
        self.disturb(Some(verb));
        let host = self.machines.values().find(|machine| machine.node == *node);
        if let Some(host) = host.map(|machine| machine.host.clone()) {
            self.with_machine(&host, |machine, view| {
                ((), machine.noticed(view, Some(verb)))
            });
        }
    }

    /// A change begins on a host.
    pub(super) fn notice_change(&mut self, verb: &str) {
        self.disturb(Some(verb));
    }

    /// Faults that have not struck (so often as they should).
    #[must_use]
    pub fn pending_faults(&self) -> Vec<Fault> {
        let of_machines = self.machines.values().flat_map(Machine::pending_faults);
        of_machines
            .chain(self.disturbances.pending())
            .cloned()
            .collect()
    }

    /// Time since the world's beginning.
    #[must_use]
    pub const fn now(&self) -> Duration {
        self.now
    }

    /// The true wall clock.
    #[must_use]
    pub fn wall(&self) -> Timestamp {
        self.began
            .saturating_add(self.now)
            .unwrap_or(Timestamp::MAX)
    }

    /// When the next event is due.
    #[must_use]
    pub fn next_due(&self) -> Option<Duration> {
        self.due.next_due()
    }

    /// Tells a host a token; gives the highest that it was told, none where there is no such host.
    pub(super) fn fence(&mut self, host: &HostName, token: Token) -> Option<Token> {
        Some(self.machines.get_mut(host)?.fence(token))
    }

    /// What happened that must never happen.
    #[must_use]
    pub fn violations(&self) -> &[String] {
        &self.violations
    }

    /// A host.
    #[must_use]
    pub fn machine(&self, host: &HostName) -> Option<&Machine> {
        self.machines.get(host)
    }

    /// Lets everything happen that is due by `now`, in order.
    pub fn settle(&mut self, now: Duration) {
        while let Some((at, event)) = self.due.pop_due(now) {
            self.now = self.now.max(at);
            match event {
                Event::Api(event) => self.with_api(|api| api.happen(event)),
                Event::Disturb => self.disturb(None),
                Event::Machine(host, event) => {
                    self.with_machine(&host, |machine, view| ((), machine.happen(view, &event)));
                }
            }
        }
        self.now = self.now.max(now);
        self.api.at(self.now);
    }

    /// What a machine says to a question that changes nothing; none where there is no such host.
    pub fn ask<T>(&self, host: &HostName, ask: impl FnOnce(&Machine, &View<'_>) -> T) -> Option<T> {
        let view = View {
            now: self.now,
            wall: self.wall(),
            api: &self.api,
            others: &self.machines,
        };
        Some(ask(self.machines.get(host)?, &view))
    }

    /// Does something on a machine, and lets the cluster see what comes of it; none where there is no such host.
    pub fn with_machine<T>(
        &mut self,
        host: &HostName,
        act: impl FnOnce(&mut Machine, &View<'_>) -> (T, Turn),
    ) -> Option<T> {
        // Out of the map meanwhile, so that it can see the others.
        let mut machine = self.machines.remove(host)?;
        let view = View {
            now: self.now,
            wall: self.wall(),
            api: &self.api,
            others: &self.machines,
        };
        let (answer, turn) = act(&mut machine, &view);
        let (node, role) = (machine.node.clone(), machine.role);
        self.machines.insert(host.clone(), machine);
        self.with_api(|api| {
            for effect in turn.effects {
                api.apply(&node, role, effect);
            }
        });
        for (after, event) in turn.later {
            let event = Event::Machine(host.clone(), event);
            self.due.schedule(self.now + after, event);
        }
        Some(answer)
    }

    /// Does something in the cluster.
    pub fn with_api<T>(&mut self, act: impl FnOnce(&mut Api) -> T) -> T {
        self.api.at(self.now);
        let answer = act(&mut self.api);
        for (at, event) in self.api.take_agenda() {
            self.due.schedule(at, Event::Api(event));
        }
        self.violations.extend(self.api.take_violations());
        answer
    }
}

/// A world, how its time passes, and who waits for a change of it.
#[derive(Debug)]
pub struct Sim {
    world: RefCell<World>,
    pace: Pace,
    changed: Notify,
}

impl Sim {
    /// A world that goes on from where it is, `times` faster than the runtime's time.
    #[must_use]
    pub fn new(world: World, times: u32) -> Self {
        Self {
            pace: Pace::scaled(world.now(), times),
            world: RefCell::new(world),
            changed: Notify::new(),
        }
    }

    /// The world as it is now; a clone of it goes on just as this one does.
    #[must_use]
    pub fn snapshot(&self) -> World {
        self.look(World::clone)
    }

    /// Looks at the world as it is now.
    pub fn look<T>(&self, look: impl FnOnce(&World) -> T) -> T {
        let mut world = self.world.borrow_mut();
        world.settle(self.pace.now());
        look(&world)
    }

    /// Changes the world as it is now, and wakes those who wait.
    pub fn act<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        let acted = {
            let mut world = self.world.borrow_mut();
            world.settle(self.pace.now());
            act(&mut world)
        };
        self.changed.notify_waiters();
        acted
    }

    /// Lets time pass.
    pub async fn sleep(&self, duration: Duration) {
        self.pace.sleep(duration).await;
    }

    /// Waits until the world gives an answer, and gives it; none when `at_most` is over.
    pub async fn until<T>(
        &self,
        at_most: Duration,
        mut answer: impl FnMut(&World) -> Option<T>,
    ) -> Option<T> {
        let deadline = self.pace.now().saturating_add(at_most);
        loop {
            // Registered before looking, so that no change in between is missed.
            let changed = self.changed.notified();
            let (answered, next) = self.look(|world| (answer(world), world.next_due()));
            if answered.is_some() {
                return answered;
            }
            let now = self.pace.now();
            if now >= deadline {
                return None;
            }
            let wake = next.map_or(deadline, |next| next.min(deadline));
            tokio::select! {
                biased;
                () = changed => {}
                () = self.pace.sleep(wake.saturating_sub(now)) => {}
            }
        }
    }
}
