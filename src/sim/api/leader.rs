//! Who of the controller managers and of the schedulers leads, and what waits while nobody does.
//!
//! Controllers and the scheduler act only where one of theirs leads and an API server answers; what they would have done
//! meanwhile they do then. Where the facts show none of them, somebody unseen leads all the time.
//!
//! Source: kubernetes/component-base `config/v1alpha1/defaults.go`, `RecommendedDefaultLeaderElectionConfiguration`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Api, Event, Pods};
use crate::cluster::model::NodeName;

/// How often a leader renews its lease, and others try to take it over.
const RENEWED_EVERY: Duration = Duration::from_secs(2);
/// How long a lease lasts that is not renewed.
const LASTS: Duration = Duration::from_secs(15);

/// What leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Component {
    /// kube-controller-manager.
    ControllerManager,
    /// kube-scheduler.
    Scheduler,
}

impl Component {
    pub(super) const ALL: [Self; 2] = [Self::ControllerManager, Self::Scheduler];

    /// The static pod's name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
        }
    }

    /// The one of this static pod.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }
}

/// A lease as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    /// The instance that holds it, another one after each start.
    pub(super) holder: String,
    /// When it was last renewed.
    pub(super) renewed: Duration,
}

#[derive(Debug, Clone, Default)]
struct Seat {
    /// Instances that run, and how often each was started.
    running: BTreeMap<NodeName, u32>,
    starts: u32,
    leader: Option<NodeName>,
    /// The last one's name and when it renewed last.
    last: Option<Held>,
}

/// All seats.
#[derive(Debug, Clone, Default)]
pub(super) struct Leaders {
    seats: BTreeMap<Component, Seat>,
    waiting: Vec<Event>,
}

impl Leaders {
    /// From the mirror pods that are ready.
    pub(super) fn of(pods: &Pods) -> Self {
        let mut leaders = Self::default();
        for (_, held) in pods.all().filter(|(_, held)| held.pod.mirror) {
            let component = Component::ALL.into_iter().find(|component| {
                let name = component.name();
                held.pod
                    .name
                    .strip_prefix(name)
                    .is_some_and(|rest| rest.starts_with('-'))
            });
            if let (Some(component), Some(node)) = (component, &held.pod.node) {
                let seat = leaders.seats.entry(component).or_default();
                if held.pod.ready {
                    seat.start(node);
                    seat.leader.get_or_insert_with(|| node.clone());
                }
            }
        }
        leaders
    }

    /// The event, if those who act on it may act now. Otherwise it is kept.
    pub(super) fn hold_back(&mut self, event: Event, api_answers: bool) -> Option<Event> {
        let led = |component| {
            let seat: Option<&Seat> = self.seats.get(&component);
            seat.is_none_or(|seat| seat.leader.is_some())
        };
        let may = match &event {
            Event::Sync(_)
            | Event::Roll(_)
            | Event::Recount(_)
            | Event::Detached(_)
            | Event::NodeLost(..)
            | Event::NodeGivenUp(..) => led(Component::ControllerManager),
            Event::Schedule => led(Component::Scheduler),
            Event::Serves(..) | Event::Ended(_) | Event::NodeReady(..) | Event::Elect(_) => true,
        };
        if may && api_answers {
            Some(event)
        } else {
            self.waiting.push(event);
            None
        }
    }

    /// What was kept.
    pub(super) fn release(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.waiting)
    }

    /// The lease of a component, by name; none where nobody is known to hold one.
    pub(super) fn lease(&self, name: &str, now: Duration) -> Option<Held> {
        let component = Component::named(name)?;
        let seat = self.seats.get(&component)?;
        match &seat.leader {
            Some(node) => Some(Held {
                holder: seat.identity(node),
                renewed: renewed(now),
            }),
            None => seat.last.clone(),
        }
    }
}

impl Seat {
    fn start(&mut self, node: &NodeName) {
        self.starts += 1;
        self.running.insert(node.clone(), self.starts);
    }

    fn identity(&self, node: &NodeName) -> String {
        let start = self.running.get(node).copied().unwrap_or_default();
        format!("{node}_5eed0000-0000-4000-8000-{start:012x}")
    }
}

/// When a leader renewed last.
fn renewed(now: Duration) -> Duration {
    let every = RENEWED_EVERY.as_secs();
    Duration::from_secs(now.as_secs() / every * every)
}

impl Api {
    /// An instance ended. If it led, another may lead once its lease is over: nothing tells them that it has gone.
    pub(super) fn component_stopped(&mut self, node: &NodeName, component: Component) {
        let now = self.now;
        let Some(seat) = self.leaders.seats.get_mut(&component) else {
            return;
        };
        if seat.leader.as_ref() == Some(node) {
            seat.last = Some(Held {
                holder: seat.identity(node),
                renewed: renewed(now),
            });
            seat.leader = None;
            self.later(LASTS + RENEWED_EVERY, Event::Elect(component));
        }
        if let Some(seat) = self.leaders.seats.get_mut(&component) {
            seat.running.remove(node);
        }
    }

    /// An instance runs, and tries to lead.
    pub(super) fn component_started(&mut self, node: &NodeName, component: Component) {
        let seat = self.leaders.seats.entry(component).or_default();
        if seat.running.contains_key(node) {
            return;
        }
        seat.start(node);
        if seat.leader.is_none() {
            self.later(RENEWED_EVERY, Event::Elect(component));
        }
    }

    pub(super) fn elect(&mut self, component: Component) {
        let now = self.now;
        let Some(seat) = self.leaders.seats.get_mut(&component) else {
            return;
        };
        let over = seat
            .last
            .as_ref()
            .is_none_or(|last| now >= last.renewed + LASTS);
        if seat.leader.is_some() || seat.running.is_empty() {
            return;
        }
        if !over {
            self.later(RENEWED_EVERY, Event::Elect(component));
            return;
        }
        seat.leader = seat.running.keys().next().cloned();
        self.flush();
    }
}
