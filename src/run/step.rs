//! One step: its tries, its time, its outcome.
//!
//! Each kind of action has its own module that looks, acts and confirms; this one decides what a failure means (again, or
//! for good), keeps the time, and writes down what became of it.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures::future::{Either, select};

use super::event::{Blocker, Event, How};
use super::executor::{Context, Unrecorded};
use super::lease::Denied;
use super::meter::millis;
use super::state::StepState;
use super::{
    check_step, cordon, drain, gate_step, hook_step, host_step, look, outdated, snapshot,
    soak_step, wait_step, way_back,
};
use crate::host::known;
use crate::host::op::OpRef;
use crate::plan::data::{Action, HookPoint, Step, StepId};
use crate::ports::{Failure, Permit};
use crate::rules::eviction::Policy;

/// Before a failed try is repeated: long enough for a restarting daemon or a released package lock, short beside what the
/// step itself takes.
const PAUSE_BETWEEN_TRIES: Duration = Duration::from_secs(5);

/// How soon a step that can be let go of notices that the run is to stop.
pub(super) const STOP_WITHIN: Duration = Duration::from_secs(1);

/// How a step ended.
pub(super) enum StepEnd {
    /// Done.
    Done,
    /// Failed for good.
    Failed(String),
    /// Let go of, because the run is to stop.
    LetGo,
    /// Its node is schedulable again, and its steps begin anew at the end of the hop.
    Deferred,
    /// Something about it could not be recorded.
    Unrecorded,
}

/// A try that left the step done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finished {
    /// How it came to be.
    pub(super) how: How,
    /// What the reader should know.
    pub(super) note: Option<String>,
}

/// A try that did not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It failed, and might succeed when tried again.
    Failed(String),
    /// It failed, and another try would be wrong or of no use.
    Hopeless(String),
    /// The node's pods cannot leave in time, or never: it stays cordoned, unless the plan lets it be put off.
    Stuck(Stuck),
    /// It was cut short, and nobody knows how far it came: it stays so until somebody has looked.
    CutShort(String),
    /// Its node was put off: it is schedulable again, and its steps begin anew at the end of the hop.
    Deferred,
    /// It was let go of, because the run is to stop: it is neither done nor failed, and is taken up by `resume`.
    LetGo,
    /// Something could not be recorded.
    Unrecorded,
}

/// A node that cannot be drained now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stuck {
    /// That it is not drained.
    pub(super) what: String,
    /// What is left on it and why, as a sentence.
    pub(super) left: String,
    /// The same by pod.
    pub(super) blockers: Vec<Blocker>,
}

impl Stuck {
    /// For a node that is left as it is.
    pub(super) fn for_good(&self) -> String {
        format!("{}; it stays cordoned. {}", self.what, self.left)
    }
}

impl From<Unrecorded> for Trouble {
    fn from(_: Unrecorded) -> Self {
        Self::Unrecorded
    }
}

/// One try of a step.
pub(super) struct Try<'c, 'a> {
    pub(super) cx: &'c Context<'a>,
    pub(super) step: &'c Step,
    /// Counted from 1 over all processes.
    number: Cell<u32>,
    /// This try was started by a process that is gone, and nobody knows what became of it.
    pub(super) taken_up: bool,
    /// Its start is on disk, written by this process.
    announced: Cell<bool>,
    deadline: Cell<Duration>,
    said: RefCell<Option<String>>,
}

impl<'c, 'a> Try<'c, 'a> {
    fn new(cx: &'c Context<'a>, step: &'c Step, number: u32, taken_up: bool) -> Self {
        Self {
            cx,
            step,
            number: Cell::new(number),
            taken_up,
            announced: Cell::new(false),
            deadline: Cell::new(cx.world.clock.monotonic() + Duration::from_secs(step.timeout_s)),
            said: RefCell::new(None),
        }
    }

    /// Its number, from 1 over all processes.
    pub(super) fn number(&self) -> u32 {
        self.number.get()
    }

    /// Goes on under the next number, because the operation of this one can neither be repeated nor awaited.
    pub(super) fn next_number(&self) {
        self.number.set(self.number.get() + 1);
        self.announced.set(false);
    }

    /// Makes it durable that the step is about to act. To be called before anything changes.
    pub(super) fn start(&self) -> Result<(), Trouble> {
        if !self.announced.get() {
            self.cx.record(Event::StepStarted {
                step: self.step.id.clone(),
                attempt: self.number.get(),
            })?;
            self.announced.set(true);
        }
        Ok(())
    }

    /// Says what the step waits for, if it has changed. Starts the step if need be.
    pub(super) fn waiting(&self, on: &str) -> Result<(), Trouble> {
        if self.said.borrow().as_deref() == Some(on) {
            return Ok(());
        }
        self.start()?;
        self.cx.record(Event::StepWaiting {
            step: self.step.id.clone(),
            on: on.to_owned(),
        })?;
        *self.said.borrow_mut() = Some(on.to_owned());
        Ok(())
    }

    /// Time left for this try.
    pub(super) fn left(&self) -> Duration {
        self.deadline
            .get()
            .saturating_sub(self.cx.world.clock.monotonic())
    }

    /// All of its time is left again: what has passed was an earlier try's.
    pub(super) fn all_time_anew(&self) {
        let now = self.cx.world.clock.monotonic();
        let whole = Duration::from_secs(self.step.timeout_s);
        self.deadline.set(now + whole);
    }

    /// Pauses, but not beyond the try's time.
    pub(super) async fn pause(&self, duration: Duration) {
        self.cx.world.clock.sleep(duration.min(self.left())).await;
    }

    /// Pauses, but lets go of the step once the run is to stop.
    pub(super) async fn idle(&self, duration: Duration) -> Result<(), Trouble> {
        let clock = self.cx.world.clock;
        let ends = clock.monotonic() + duration.min(self.left());
        while clock.monotonic() < ends {
            if self.cx.stopping() {
                return Err(Trouble::LetGo);
            }
            let left = ends.saturating_sub(clock.monotonic());
            clock.sleep(STOP_WITHIN.min(left)).await;
        }
        Ok(())
    }

    /// The future's value, unless the try's time is over before.
    pub(super) async fn within<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let sleep = self.cx.world.clock.sleep(self.left());
        match select(pin!(future), sleep).await {
            Either::Left((value, _)) => Some(value),
            Either::Right(((), _)) => None,
        }
    }

    /// The future's value, unless the run is to stop before: then it is given up.
    pub(super) async fn unless_stopping<T>(
        &self,
        future: impl Future<Output = T>,
    ) -> Result<T, Trouble> {
        let clock = self.cx.world.clock;
        let mut future = pin!(future);
        loop {
            match select(future.as_mut(), clock.sleep(STOP_WITHIN)).await {
                Either::Left((value, _)) => return Ok(value),
                Either::Right(((), _)) if self.cx.stopping() => return Err(Trouble::LetGo),
                Either::Right(((), _)) => {}
            }
        }
    }

    /// Leave for one change of the API. A step without it is let go of where another refit has the cluster.
    pub(super) async fn permit(&self) -> Result<Result<Permit, Failure>, Trouble> {
        match self.cx.run.lease.permit().await {
            Ok(permit) => Ok(Ok(permit)),
            Err(Denied::NotNow(failure)) => Ok(Err(failure)),
            Err(Denied::Lost) => Err(Trouble::LetGo),
        }
    }

    /// That the try's time is over, and what was awaited last.
    pub(super) fn timed_out(&self) -> Trouble {
        let after = format!("not done after {} s", self.step.timeout_s);
        Trouble::Failed(match &*self.said.borrow() {
            Some(on) => format!("{after}; still waiting for {on}"),
            None => after,
        })
    }

    /// The name of an operation of this try on a host; `part` tells several of one step apart.
    pub(super) fn op(&self, part: Option<&str>, number: u32) -> OpRef {
        OpRef {
            run: self.cx.run.id.to_owned(),
            op: op_name(&self.step.id, part, number),
        }
    }

    /// How a step that turns out to be done came to be so, when this try has not acted.
    pub(super) fn found_done(&self) -> How {
        if self.taken_up || self.number() > 1 {
            How::Recovered
        } else {
            How::Already
        }
    }
}

/// What an operation of a step's try is called on a host; `part` tells several of one step apart.
pub(super) fn op_name(step: &StepId, part: Option<&str>, number: u32) -> String {
    let mut op = step.to_string();
    if let Some(part) = part {
        op.push('/');
        op.push_str(part);
    }
    if number > 1 {
        op.push_str(&format!("#{number}"));
    }
    op
}

/// Carries one step out.
pub(super) async fn run(cx: &Context<'_>, step: &Step) -> StepEnd {
    let began = cx.world.clock.monotonic();
    let (mut number, mut taken_up) = match cx.step_state(&step.id) {
        None => (1, false),
        Some(StepState::Started { attempt, .. }) => (attempt, true),
        Some(StepState::Failed { attempt, .. }) => (attempt + 1, false),
        Some(StepState::Done { .. }) => return StepEnd::Done,
    };
    let mut tries_left = step.retries;
    loop {
        let attempt = Try::new(cx, step, number, taken_up);
        let acted = if cx.is_deferring(step) {
            Err(put_back(&attempt).await)
        } else {
            act(&attempt).await
        };
        let error = match acted {
            Ok(Finished { how, note }) => {
                let took = cx.world.clock.monotonic().saturating_sub(began);
                let done = Event::StepDone {
                    step: step.id.clone(),
                    how,
                    note,
                    took_ms: millis(took),
                };
                return match cx.record(done) {
                    Ok(()) => StepEnd::Done,
                    Err(Unrecorded) => StepEnd::Unrecorded,
                };
            }
            Err(Trouble::Unrecorded) => return StepEnd::Unrecorded,
            Err(Trouble::LetGo) => return StepEnd::LetGo,
            Err(Trouble::Deferred) => return StepEnd::Deferred,
            // Without an outcome in the journal: a resumed run must not take it for one that ended.
            Err(Trouble::CutShort(error)) => return StepEnd::Failed(error),
            Err(Trouble::Failed(error)) => {
                if tries_left > 0 && !cx.stopping() {
                    if attempt.waiting(&format!("another try: {error}")).is_err() {
                        return StepEnd::Unrecorded;
                    }
                    cx.world.clock.sleep(PAUSE_BETWEEN_TRIES).await;
                    if !cx.stopping() {
                        tries_left -= 1;
                        number = attempt.number() + 1;
                        taken_up = false;
                        continue;
                    }
                }
                error
            }
            Err(Trouble::Hopeless(error)) => error,
            Err(Trouble::Stuck(stuck)) => stuck.for_good(),
        };
        let error = advised(error);
        let failed = Event::StepFailed {
            step: step.id.clone(),
            error: error.clone(),
        };
        return match cx.record(failed) {
            Ok(()) => StepEnd::Failed(error),
            Err(Unrecorded) => StepEnd::Unrecorded,
        };
    }
}

/// With what to do about it, where that is known. What an operation said, line by line, has been judged already.
fn advised(error: String) -> String {
    let known = (!error.contains('\n'))
        .then(|| known::advice(&error))
        .flatten();
    match known {
        Some(advice) => format!("{}. {advice}", error.trim_end_matches('.')),
        None => error,
    }
}

/// Puts the drain's node off, if the plan lets it.
async fn defer(attempt: &Try<'_, '_>, mut stuck: Stuck) -> Trouble {
    if let Err(trouble) = attempt.start() {
        return trouble;
    }
    if let Err(but) = attempt.cx.may_defer(attempt.step) {
        stuck.left.push_str(&but);
        return Trouble::Stuck(stuck);
    }
    let Stuck {
        what,
        left,
        blockers,
    } = stuck;
    let deferring = Event::StepDeferring {
        step: attempt.step.id.clone(),
        error: format!("{what}. {left}"),
        blockers,
    };
    match attempt.cx.record(deferring) {
        Ok(()) => put_back(attempt).await,
        Err(Unrecorded) => Trouble::Unrecorded,
    }
}

/// Makes the node schedulable again, and makes it durable that its steps begin anew.
async fn put_back(attempt: &Try<'_, '_>) -> Trouble {
    let Action::Drain { node, .. } = &attempt.step.action else {
        return Trouble::Hopeless(format!("{} is no drain", attempt.step.id));
    };
    attempt.all_time_anew();
    let back = async {
        cordon::uncordon(attempt, node).await?;
        // where there was nothing left to do, nobody has said yet who was at it
        attempt.start()?;
        let anew = attempt.cx.done_anew(attempt.step);
        attempt.cx.record(Event::StepDeferred {
            step: attempt.step.id.clone(),
            anew,
        })?;
        Ok(())
    };
    match back.await {
        Ok(()) => Trouble::Deferred,
        Err(trouble) => trouble,
    }
}

/// Looks, acts and confirms, by the kind of the action.
async fn act(attempt: &Try<'_, '_>) -> Result<Finished, Trouble> {
    let on_host = match &attempt.step.action {
        Action::CheckHost {
            host,
            node,
            machine_id,
            disk_free,
            patches,
        } => {
            let wanted = look::Wanted {
                node,
                machine_id,
                disk_free,
                patches: patches.as_deref(),
            };
            return check_step::host(attempt, host, &wanted).await;
        }
        Action::CheckCluster {
            cluster_uid,
            host,
            nodes,
        } => return check_step::cluster(attempt, cluster_uid, host, nodes).await,
        Action::SnapshotEtcd {
            host,
            file,
            directory,
            keep,
            trial_restore,
            encrypt_to,
        } => {
            let wanted = snapshot::Wanted {
                host,
                file: file.replace("{run}", attempt.cx.run.id),
                directory: directory.as_ref(),
                keep: *keep,
                trial_restore: *trial_restore,
                encrypt_to,
            };
            return snapshot::run(attempt, &wanted).await;
        }
        Action::AwaitControlPlane {
            host,
            node,
            version,
        } => return wait_step::control_plane(attempt, host, node, version).await,
        Action::AwaitStaticPods {
            host,
            node,
            version,
            steady_s,
            lease,
        } => {
            let settled = wait_step::Settled {
                host,
                node,
                version,
                steady: Duration::from_secs(*steady_s),
                lease: lease.as_deref(),
            };
            return wait_step::static_pods(attempt, &settled).await;
        }
        Action::AwaitAddons { kube_proxy } => {
            return wait_step::addons(attempt, kube_proxy.as_ref()).await;
        }
        Action::AwaitNode { node, version } => {
            return wait_step::node(attempt, node, version).await;
        }
        Action::Cordon { node } => return cordon::cordon(attempt, node).await,
        Action::TaintOutdated { .. } => return outdated::put_on(attempt).await,
        Action::Uncordon {
            node,
            outdated: true,
        } => return cordon::back(attempt, node).await,
        Action::Uncordon {
            node,
            outdated: false,
        } => return cordon::uncordon(attempt, node).await,
        Action::Drain {
            node,
            grace_period_s,
            delete_empty_dir_data,
            evict_unmanaged_pods,
            rules,
            others_timeout_s,
            deferral: _,
        } => {
            let policy = Policy {
                delete_empty_dir_data: *delete_empty_dir_data,
                evict_unmanaged_pods: *evict_unmanaged_pods,
                rules,
            };
            let limits = drain::Limits {
                grace: grace_period_s.map(Duration::from_secs),
                others: others_timeout_s.map(Duration::from_secs),
            };
            return match drain::run(attempt, node, limits, policy).await {
                Err(Trouble::Stuck(stuck)) => Err(defer(attempt, stuck).await),
                ended => ended,
            };
        }
        Action::Verify {
            version,
            control_planes,
            nodes,
            cordoned,
            kube_proxy,
        } => {
            let wanted = check_step::End {
                version,
                control_planes,
                nodes,
                cordoned,
                kube_proxy: kube_proxy.as_ref(),
            };
            return check_step::verify(attempt, &wanted).await;
        }
        Action::Soak { for_s, nodes } => return soak_step::run(attempt, *for_s, nodes).await,
        Action::Gate { gate } => return gate_step::run(attempt, gate).await,
        Action::Hook {
            at,
            host,
            run,
            check,
            env,
            directory,
            reboots,
            rerun,
            ..
        } => {
            let hook = hook_step::Hook {
                run,
                check: check.as_deref(),
                env,
                reboots: *reboots,
                rerun: *rerun,
                drained: match at {
                    HookPoint::Drained => attempt.cx.drained_before(attempt.step),
                    HookPoint::BeforeHop
                    | HookPoint::AfterControlPlane
                    | HookPoint::BeforeWorkers
                    | HookPoint::BeforeUncordon
                    | HookPoint::AfterEachWave
                    | HookPoint::AfterHop => None,
                },
            };
            return match host {
                Some(host) => hook_step::on_host(attempt, host, &hook).await,
                None => hook_step::here(attempt, directory.as_deref().unwrap_or("."), &hook).await,
            };
        }
        Action::WayBack { host, part } => return way_back::run(attempt, host, part).await,
        Action::Barrier { .. } => {
            return Ok(Finished {
                how: attempt.found_done(),
                note: None,
            });
        }
        Action::HoldPackages { .. }
        | Action::SwitchRepository { .. }
        | Action::PrefetchPackages { .. }
        | Action::InstallKubeadm { .. }
        | Action::PullImages { .. }
        | Action::KubeadmApply { .. }
        | Action::KubeadmNode { .. }
        | Action::InstallKubelet { .. }
        | Action::ReleaseHolds { .. } => attempt.step.action.operation(),
    };
    let Some((host, mutation)) = on_host else {
        let defect = format!(
            "{} has no operation: this is a defect of refit",
            attempt.step.id
        );
        return Err(Trouble::Hopeless(defect));
    };
    let drained = attempt.cx.drained_before(attempt.step);
    host_step::run_if(attempt, host, None, &mutation, async || match drained {
        Some(node) => drain::still_cordoned(attempt, node).await,
        None => Ok(()),
    })
    .await
}
