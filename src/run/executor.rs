//! Carries a plan out: starts each step when all that must come before it is done, and nothing else.
//!
//! It may only start the plan's next steps, wait, put a node off as the plan says of its drain (`plan::deferral`), or halt; it
//! never adds, reorders or alters a step. All steps of a run are
//! one future: no detached tasks, and dropping the future at any point loses nothing that the journal and the world do not
//! tell. When a step fails, or the operator asks, or the journal cannot be written, running steps end and no new one starts.
//! Where the plan has windows, a step that needs one is not started outside of them, and the run halts when nothing else is left.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::future::Future;
use std::pin::pin;

use futures::future::FutureExt;
use futures::select_biased;
use futures::stream::{FuturesUnordered, StreamExt};
use jiff::Timestamp;

use super::event::{Event, Halt, Stamped};
use super::extent::{self, Taint};
use super::journal::{AppendError, Journal};
use super::lease::Lease;
use super::meter::Meter;
use super::outdated;
use super::state::{State, StepState, TransitionError};
use super::step::{self, StepEnd};
use crate::cluster::model::NodeName;
use crate::plan::data::{Action, Deferral, HookPoint, Plan, Step, StepId};
use crate::plan::graph::{Frontier, GraphError};
use crate::plan::windows::{self, Guard};
use crate::ports::{Metrics, People, Programs, Store, World};

/// Steps under way at once. The plan's edges are what limits a run; this only bounds connections and memory when hundreds
/// of hosts may be looked at side by side.
const AT_ONCE: usize = 64;

/// A run of a plan, in this process.
#[derive(Clone, Copy)]
pub struct Run<'a> {
    /// The run's id.
    pub id: &'a str,
    /// What is carried out.
    pub plan: &'a Plan,
    /// SHA-256 of the plan file's text.
    pub plan_sha256: &'a str,
    /// refit's version, for the record.
    pub refit: &'a str,
    /// This process, for the record.
    pub pid: u32,
    /// What is acted upon.
    pub world: World<'a>,
    /// Where snapshots are kept.
    pub store: &'a dyn Store,
    /// Who may be waited for.
    pub people: &'a dyn People,
    /// Programs on this machine.
    pub programs: &'a dyn Programs,
    /// Servers that keep measurements.
    pub metrics: &'a dyn Metrics,
    /// What makes this the one run that may change the cluster.
    pub lease: &'a Lease<'a>,
}

/// How a run ended in this process.
#[derive(Debug)]
pub enum Outcome {
    /// Every step is done.
    Finished {
        /// refit's own time in this process, in milliseconds.
        own_ms: u64,
        /// Wall time of this process, in milliseconds.
        wall_ms: u64,
    },
    /// Stopped before its end.
    Halted {
        /// Why.
        why: Halt,
        /// What failed and why, in the plan's order.
        failures: Vec<(StepId, String)>,
        /// As in `Finished`.
        own_ms: u64,
        /// As in `Finished`.
        wall_ms: u64,
    },
    /// An event could not be recorded. Running steps have ended, and their outcomes are not in the journal: a resumed run
    /// finds them by looking.
    Unrecorded(RecordError),
    /// The plan cannot be carried out as it is: nothing was done.
    BadPlan(String),
}

/// Why an event was not recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It is not on disk.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// It cannot follow what was recorded before.
    #[error("the run's own events make no sense")]
    Transition(#[from] TransitionError),
}

/// An event was not recorded; the recorder keeps why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unrecorded;

/// What all steps of a run share.
pub(super) struct Context<'a> {
    pub(super) run: &'a Run<'a>,
    /// The run's world, measured.
    pub(super) world: World<'a>,
    /// The nodes that the plan drains, by the step that does.
    drains: BTreeMap<&'a StepId, &'a NodeName>,
    /// The hooks that come between a drain and what it was for.
    hooks_when_drained: BTreeMap<&'a StepId, &'a Step>,
    /// The plan's steps that taint workers which are yet to be drained.
    taints: Vec<Taint<'a>>,
    recorder: RefCell<Recorder<'a>>,
    stopping: Cell<bool>,
    asked_to_stop: Cell<bool>,
    /// What the plan's windows say, where it has some.
    guard: Option<Guard<'a>>,
    /// Steps that finish what another one has begun.
    finishing: HashSet<&'a StepId>,
    /// Who has asked the run to pause, once that was seen.
    paused_by: RefCell<Option<String>>,
    /// A step was not started for want of an open window, or of room in it.
    kept_back: Cell<bool>,
    /// Steps that wait for somebody's word while nobody is here to wait for it.
    unapproved: RefCell<Vec<StepId>>,
}

struct Recorder<'a> {
    append: &'a mut dyn FnMut(&Stamped) -> Result<(), AppendError>,
    events: &'a mut dyn FnMut(&Stamped),
    state: State,
    error: Option<RecordError>,
}

impl Context<'_> {
    /// Makes the event durable, then known. After one failure every further event fails.
    pub(super) fn record(&self, event: Event) -> Result<(), Unrecorded> {
        let stamped = Stamped {
            at: self.world.clock.now(),
            event,
        };
        let recorder = &mut *self.recorder.borrow_mut();
        if recorder.error.is_some() {
            return Err(Unrecorded);
        }
        let recorded = recorder
            .state
            .apply(&stamped)
            .map_err(RecordError::from)
            .and_then(|()| (recorder.append)(&stamped).map_err(RecordError::from));
        match recorded {
            Ok(()) => {
                (recorder.events)(&stamped);
                Ok(())
            }
            Err(error) => {
                recorder.error = Some(error);
                Err(Unrecorded)
            }
        }
    }

    /// Where the step was when this process took the run up, or is now.
    pub(super) fn step_state(&self, step: &StepId) -> Option<StepState> {
        self.recorder.borrow().state.steps.get(step).cloned()
    }

    /// The node that the plan drains right before this step, or before the hooks right before it.
    pub(super) fn drained_before(&self, step: &Step) -> Option<&NodeName> {
        step.after.iter().find_map(|id| {
            let hook = || self.drained_before(self.hooks_when_drained.get(id)?);
            self.drains.get(id).copied().or_else(hook)
        })
    }

    /// Whether the step takes a worker out of service whose taint was taken off while the run rested, and is not on again yet.
    fn is_untainted(&self, place: usize, step: &Step) -> bool {
        let (Action::Cordon { node } | Action::Drain { node, .. }) = &step.action else {
            return false;
        };
        self.outdated(|taints, state| {
            taints
                .iter()
                .filter(|taint| taint.place < place && !state.is_done(&taint.step.id))
                .any(|taint| taint.nodes.contains(node))
        })
    }

    /// How the plan drains a node, if it does.
    pub(super) fn drain_of(&self, node: &NodeName) -> Option<&Action> {
        let mut actions = self.run.plan.steps.iter().map(|step| &step.action);
        actions.find(|action| matches!(action, Action::Drain { node: of, .. } if of == node))
    }

    /// Whether no new step may start, and none be tried again.
    pub(super) fn stopping(&self) -> bool {
        self.stopping.get()
    }

    /// Whether that is because somebody wants the process to end.
    pub(super) fn asked_to_stop(&self) -> bool {
        self.asked_to_stop.get()
    }

    /// Whether the plan's windows let the step start now. The clock may have jumped; then too, what it says is what counts.
    fn in_window(&self, step: &Step) -> bool {
        let now = self.world.clock.now();
        let allowed = self
            .guard
            .as_ref()
            .is_none_or(|guard| guard.allows(&step.id, now));
        if !allowed {
            self.kept_back.set(true);
        }
        allowed
    }

    /// Whether somebody has asked the run to pause: what was begun is finished, and nothing else begins. What cannot be read is
    /// taken for that.
    fn pausing(&self) -> bool {
        let mut paused_by = self.paused_by.borrow_mut();
        if paused_by.is_none() {
            *paused_by = match self.run.people.pause() {
                Ok(None) => None,
                Ok(Some(asked)) => Some(asked.by),
                Err(error) => Some(format!("somebody whose word cannot be read: {error}")),
            };
        }
        paused_by.is_some()
    }

    /// Whether a step that only waits is let go of, because the run is to stop or to pause.
    pub(super) fn resting(&self) -> bool {
        self.stopping() || self.pausing()
    }

    fn opens_next(&self) -> Option<Timestamp> {
        let guard = self.guard.as_ref()?;
        guard.opens_next(self.world.clock.now())
    }

    /// Whether the drain was given up, and its node is not known to be schedulable again.
    pub(super) fn is_deferring(&self, step: &Step) -> bool {
        self.recorder.borrow().state.is_deferring(&step.id)
    }

    /// Whether the drain's node may be put off.
    ///
    /// # Errors
    /// Why not, to follow what happened; nothing where the plan lets nobody be put off.
    pub(super) fn may_defer(&self, step: &Step) -> Result<(), String> {
        let Some(deferral) = deferral(step) else {
            return Err(String::new());
        };
        let recorder = self.recorder.borrow();
        let deferred = &recorder.state.deferred;
        if deferred.contains_key(&step.id) {
            return Err(". It was put off before, and this was its second try".to_owned());
        }
        let others = self.run.plan.steps.iter().filter(|other| {
            deferred.contains_key(&other.id)
                && self::deferral(other).is_some_and(|of| of.until == deferral.until)
        });
        let others: Vec<&str> = others
            .filter_map(|other| Some(other.action.node()?.as_str()))
            .collect();
        let at_most = self.run.plan.limits.workers_deferred;
        if others.len() < at_most {
            return Ok(());
        }
        Err(format!(
            ". It is not put off as well: {} already, and strategy.workers.maxDeferred is {at_most}",
            match others[..] {
                [one] => format!("{one} is"),
                _ => format!("{} are", others.join(", ")),
            }
        ))
    }

    /// Of the steps that begin anew with the drain's node those that are done.
    pub(super) fn done_anew(&self, step: &Step) -> Vec<StepId> {
        let state = &self.recorder.borrow().state;
        let steps = deferral(step).map_or(&[][..], |deferral| &deferral.steps);
        let done = steps.iter().filter(|step| state.is_done(step));
        done.cloned().collect()
    }

    /// The steps by what they wait for now, those under way left out.
    fn frontier(&self, under_way: &BTreeSet<usize>) -> Result<Frontier, GraphError> {
        let mut frontier = frontier(self.run.plan, &self.recorder.borrow().state)?;
        for &place in under_way {
            frontier.begun(place);
        }
        Ok(frontier)
    }

    /// Lets a step go that somebody has yet to approve.
    pub(super) fn unapproved(&self, step: &StepId) {
        self.unapproved.borrow_mut().push(step.clone());
    }

    fn broken(&self) -> bool {
        self.recorder.borrow().error.is_some()
    }
}

impl<'a> Context<'a> {
    /// What is asked of the steps that taint workers, and of how far the run is.
    pub(super) fn outdated<T>(&self, ask: impl FnOnce(&[Taint<'a>], &State) -> T) -> T {
        ask(&self.taints, &self.recorder.borrow().state)
    }
}

/// Whether nobody is at work on the run for a while, by intent: a halt that somebody has to look at is no rest.
const fn rests(why: &Halt) -> bool {
    match why {
        Halt::Paused { .. } | Halt::WindowOver { .. } | Halt::Unapproved { .. } => true,
        Halt::Failed { .. }
        | Halt::Interrupted
        | Halt::Abandoned { .. }
        | Halt::Overtaken { .. } => false,
    }
}

/// What becomes of the drain's node when it is given up.
fn deferral(step: &Step) -> Option<&Deferral> {
    match &step.action {
        Action::Drain { deferral, .. } => deferral.as_ref(),
        _ => None,
    }
}

/// What may start where a run is in `state`.
fn frontier(plan: &Plan, state: &State) -> Result<Frontier, GraphError> {
    let deferred: Vec<&Deferral> = plan
        .steps
        .iter()
        .filter(|step| state.deferred.get(&step.id).is_some_and(|node| node.back))
        .filter_map(deferral)
        .collect();
    Frontier::deferring(&plan.steps, |step| state.is_done(step), &deferred)
}

fn drains(plan: &Plan) -> BTreeMap<&StepId, &NodeName> {
    let mut drains = BTreeMap::new();
    for step in &plan.steps {
        if let Action::Drain { node, .. } = &step.action {
            drains.insert(&step.id, node);
        }
    }
    drains
}

fn hooks_when_drained(plan: &Plan) -> BTreeMap<&StepId, &Step> {
    let drained = |step: &&Step| {
        matches!(
            step.action,
            Action::Hook {
                at: HookPoint::Drained,
                ..
            }
        )
    };
    let hooks = plan.steps.iter().filter(drained);
    hooks.map(|step| (&step.id, step)).collect()
}

/// Carries the plan out from where `state` is: the empty state for a new run, a journal's for a resumed one.
///
/// Every event goes to the journal first and to `events` once it is on disk. When `stop` is ready, or the lease
/// is lost, running steps end and the run halts. The lease is kept as long as this is polled.
pub async fn execute(
    run: &Run<'_>,
    state: State,
    journal: &mut Journal<'_>,
    events: &mut dyn FnMut(&Stamped),
    stop: impl Future<Output = ()>,
) -> Outcome {
    let mut frontier = match frontier(run.plan, &state) {
        Ok(frontier) => frontier,
        Err(problem) => return Outcome::BadPlan(problem.to_string()),
    };
    let guard = match Guard::of(run.plan) {
        Ok(guard) => guard,
        Err(bad) => return Outcome::BadPlan(bad.to_string()),
    };
    if state.finished {
        return Outcome::Finished {
            own_ms: 0,
            wall_ms: 0,
        };
    }
    let meter = Meter::new(run.world);
    let begin = match state.run {
        None => Event::RunStarted {
            run: run.id.to_owned(),
            plan_sha256: run.plan_sha256.to_owned(),
            refit: run.refit.to_owned(),
            pid: run.pid,
        },
        Some(_) => Event::RunResumed {
            refit: run.refit.to_owned(),
            pid: run.pid,
        },
    };
    let mut append = |stamped: &Stamped| journal.append(stamped);
    let context = Context {
        run,
        world: meter.world(),
        drains: drains(run.plan),
        hooks_when_drained: hooks_when_drained(run.plan),
        taints: extent::taints(run.plan),
        recorder: RefCell::new(Recorder {
            append: &mut append,
            events,
            state,
            error: None,
        }),
        stopping: Cell::new(false),
        asked_to_stop: Cell::new(false),
        guard,
        finishing: windows::finishing(&run.plan.steps),
        paused_by: RefCell::new(None),
        kept_back: Cell::new(false),
        unapproved: RefCell::new(Vec::new()),
    };
    let mut failures = Vec::new();
    if context.record(begin).is_ok() {
        failures = carry_out(&context, &mut frontier, stop).await;
    }
    failures.sort_by_key(|(place, _, _)| *place);
    let mut why = if let Some(by) = run.lease.lost_to() {
        Some(Halt::Overtaken { by })
    } else if !failures.is_empty() {
        Some(Halt::Failed {
            steps: failures.iter().map(|(_, step, _)| step.clone()).collect(),
        })
    } else if frontier.is_done() {
        None
    } else if !context.stopping()
        && let Some(by) = context.paused_by.take()
    {
        Some(Halt::Paused { by })
    } else if !context.unapproved.borrow().is_empty() && !context.stopping() {
        Some(Halt::Unapproved {
            steps: context.unapproved.take(),
        })
    } else if context.kept_back.get() && !context.stopping() {
        Some(Halt::WindowOver {
            opens: context.opens_next(),
        })
    } else {
        Some(Halt::Interrupted)
    };
    if why.as_ref().is_some_and(rests) {
        // What cannot be recorded ends the run below.
        select_biased! {
            _ = pin!(outdated::rest(&context).fuse()) => {}
            () = pin!(run.lease.keep().fuse()) => {
                why = run.lease.lost_to().map(|by| Halt::Overtaken { by });
            }
        }
    }
    let (own_ms, wall_ms) = meter.read_ms();
    let last = match &why {
        Some(why) => Event::Halted {
            why: why.clone(),
            own_ms,
            wall_ms,
        },
        None => Event::Finished { own_ms, wall_ms },
    };
    // When the journal is broken, this fails as well and changes nothing.
    let _ = context.record(last);
    if let Some(error) = context.recorder.into_inner().error {
        return Outcome::Unrecorded(error);
    }
    match why {
        None => Outcome::Finished { own_ms, wall_ms },
        Some(why) => Outcome::Halted {
            why,
            failures: failures
                .into_iter()
                .map(|(_, step, error)| (step, error))
                .collect(),
            own_ms,
            wall_ms,
        },
    }
}

/// Starts steps as they become ready until none is left, one has failed or a stop is asked for; returns what failed, with
/// its place in the plan.
async fn carry_out(
    context: &Context<'_>,
    frontier: &mut Frontier,
    stop: impl Future<Output = ()>,
) -> Vec<(usize, StepId, String)> {
    let mut stop = pin!(stop.fuse());
    let mut lost = pin!(context.run.lease.keep().fuse());
    let mut failures = Vec::new();
    let mut running = FuturesUnordered::new();
    let mut kept_back = Vec::new();
    let mut under_way = BTreeSet::new();
    loop {
        if !context.asked_to_stop() && stop.as_mut().now_or_never().is_some() {
            context.asked_to_stop.set(true);
        }
        context
            .stopping
            .set(context.asked_to_stop() || !failures.is_empty() || context.broken());
        while !context.stopping()
            && running.len() < AT_ONCE
            && let Some(place) = frontier.take()
        {
            let step = &context.run.plan.steps[place];
            let begins = !context.finishing.contains(&step.id);
            if (begins && context.pausing())
                || !context.in_window(step)
                || context.is_untainted(place, step)
            {
                kept_back.push(place);
                continue;
            }
            under_way.insert(place);
            running.push(step::run(context, step).map(move |end| (place, step, end)));
        }
        // The lease is kept, and a stop heard, also while the last steps end. Once the lease is lost, steps under way are left
        // as by a process that is killed.
        let ended = select_biased! {
            ended = running.next() => ended,
            () = stop => {
                context.asked_to_stop.set(true);
                continue;
            }
            () = lost => return failures,
        };
        // A step may take until the windows are open again.
        for place in kept_back.drain(..) {
            frontier.put_back(place);
        }
        if let Some((place, _, _)) = &ended {
            under_way.remove(place);
        }
        match ended {
            None => return failures,
            Some((place, step, StepEnd::Deferred)) => match context.frontier(&under_way) {
                Ok(without) => *frontier = without,
                // it was made from the same steps before
                Err(problem) => failures.push((place, step.id.clone(), problem.to_string())),
            },
            Some((place, _, StepEnd::Done)) => frontier.done(place),
            Some((place, step, StepEnd::Failed(error))) => {
                failures.push((place, step.id.clone(), error));
            }
            Some((_, _, StepEnd::LetGo | StepEnd::Unrecorded)) => {}
        }
    }
}
