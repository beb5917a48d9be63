//! The drain of one node: every pod that may go is evicted within its budget, and its end awaited.
//!
//! One loop: read the node's pods afresh, decide about each, ask for the evictions that are due (side by side), say what is
//! waited for, and sleep until something changes. Before the first request it is made sure that no pod's budget can never allow
//! its eviction: others would leave for nothing. The server decides every eviction; the budgets are read only to explain
//! its answer, to ask again as soon as asking may help, and to give up early on a budget that can never allow. What the plan's
//! rules say of some pods is obeyed here: those of a lower order are gone before others are asked to go, some stay, and some
//! are awaited until they end by themselves. It is over once their volumes are detached (`volumes`).
//!
//! Differs from kubectl (kubernetes/kubectl `pkg/drain/drain.go`): a pod that appears later is drained too; after an answer
//! of 429 a fresh budget may bring the next request forward from 5 s; the error after a timeout names each pod and what
//! holds it; a random error while a pod's end is awaited is not fatal.

mod answer;
mod still;
mod time;
mod volumes;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

use futures::stream::{StreamExt, TryStreamExt};
use jiff::Timestamp;

use self::answer::{Progress, allowed_by_its_budget, take_in};
pub(super) use self::still::still_cordoned;
pub(super) use self::time::Limits;
use self::time::Time;
use self::volumes::Users;
use super::event::{Blocker, How};
use super::step::{Finished, Stuck, Trouble, Try};
use crate::cluster::model::{Budget, NodeName, Pod};
use crate::ports::{Eviction, Failure, PodList};
use crate::rules::eviction::{self, Admission, Fate, Policy};

/// Evictions asked for at once, per node.
const AT_ONCE: usize = 10;

/// Between two looks while something is blocked or leaving; kubectl's interval for awaiting deletion.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Pods that a line of what is waited for names.
const SHOWN: usize = 6;

/// The least time between two looks, so that pods that change all the time do not keep us asking.
const AT_LEAST: Duration = Duration::from_millis(200);

/// How a pod comes to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leaves {
    /// It is asked to go.
    Asked,
    /// It is being deleted already.
    Ending,
    /// It ends by itself, and nobody asks it to.
    ByItself,
}

struct Drain<'d, 'c, 'a> {
    attempt: &'d Try<'c, 'a>,
    node: &'d NodeName,
    limits: Limits,
    policy: Policy<'d>,
    time: Time,
    pods: BTreeMap<String, Progress>,
    /// Since when it was seen that the node's kubelet does not answer.
    silent_since: Cell<Option<Timestamp>>,
}

/// Drains the node.
pub(super) async fn run(
    attempt: &Try<'_, '_>,
    node: &NodeName,
    limits: Limits,
    policy: Policy<'_>,
) -> Result<Finished, Trouble> {
    let mut drain = Drain {
        attempt,
        node,
        limits,
        policy,
        time: Time::new(attempt.cx.world.clock.monotonic(), limits.others),
        pods: BTreeMap::new(),
        silent_since: Cell::new(None),
    };
    let first = drain.look(None).await?;
    if let Some(refused) = drain.refused(&first) {
        return Err(Trouble::Hopeless(refused));
    }
    if drain.leaving(&first).is_empty() {
        let (waited, note) = drain.detach(&Users::new()).await?;
        let how = if waited {
            How::Acted
        } else {
            attempt.found_done()
        };
        return Ok(Finished { how, note });
    }
    attempt.start()?;
    let lost = drain.losses(&first);
    let users = drain.users().await;
    let mut list = drain.unless_hopeless(first).await?;
    while drain.round(&list).await? {
        list = drain.look(Some(&list)).await?;
    }
    let (_, attached) = drain.detach(&users).await?;
    let notes: Vec<String> = lost.into_iter().chain(attached).collect();
    Ok(Finished {
        how: How::Acted,
        note: (!notes.is_empty()).then(|| notes.join("; ")),
    })
}

impl Drain<'_, '_, '_> {
    fn now(&self) -> Duration {
        self.attempt.cx.world.clock.monotonic()
    }

    /// The node's pods, while it is cordoned: a node that takes new pods is not drained, they would come back to it. What was
    /// seen last tells what is left where the time is over.
    async fn look(&self, last: Option<&PodList>) -> Result<PodList, Trouble> {
        let api = self.attempt.cx.world.api;
        loop {
            let read = self
                .attempt
                .within(async { futures::try_join!(api.node(self.node), api.pods_on(self.node)) })
                .await
                .ok_or_else(|| self.out_of_time(last))?;
            match read {
                Ok((node, list)) if node.unschedulable => {
                    let now = self.attempt.cx.world.clock.now();
                    let since = self.silent_since.get().unwrap_or(now);
                    self.silent_since
                        .set(node.is_unreachable().then_some(since));
                    return Ok(list);
                }
                Ok(_) => return Err(self.in_service()),
                Err(Failure::NotFound(why)) => return Err(gone(self.node, &why)),
                Err(
                    failure @ (Failure::NotSent(_) | Failure::MaybeDone(_) | Failure::Refused(_)),
                ) => {
                    if self.attempt.left().is_zero() {
                        return Err(self.out_of_time(last));
                    }
                    self.attempt
                        .waiting(&format!("the pods of {} to be read: {failure}", self.node))?;
                    self.attempt.pause(LOOK_AGAIN).await;
                }
            }
        }
    }

    /// Fails before the first pod is asked to go where a budget can never allow one to: the others would go for nothing. What was
    /// read last otherwise.
    async fn unless_hopeless(&mut self, mut list: PodList) -> Result<PodList, Trouble> {
        let since = self.now();
        loop {
            let pods = self.leaving(&list);
            let asked = pods.iter().filter(|(_, how)| *how == Leaves::Asked);
            let hopeless = self.hopeless(asked.map(|(pod, _)| *pod)).await;
            if hopeless.is_empty() {
                return Ok(list);
            }
            if self.now().saturating_sub(since) >= answer::ASK_AGAIN {
                let told: Vec<String> = hopeless
                    .iter()
                    .map(|(pod, budget)| format!("{}: {}", label(pod), answer::never(budget)))
                    .collect();
                let blockers = hopeless.iter().map(|(pod, budget)| Blocker {
                    pod: label(pod),
                    budget: Some(format!("{}/{}", budget.namespace, budget.name)),
                    why: answer::never(budget),
                });
                return Err(Trouble::Stuck(Stuck {
                    what: format!("node {} is not drained", self.node),
                    left: format!("Nothing was evicted: {}", told.join("; ")),
                    blockers: blockers.collect(),
                }));
            }
            let told = hopeless
                .iter()
                .map(|(pod, budget)| format!("{} ({})", label(pod), eviction::describe(budget)));
            self.attempt.waiting(&in_short(told.collect()))?;
            self.attempt.pause(LOOK_AGAIN).await;
            list = self.look(Some(&list)).await?;
        }
    }

    /// Of these pods those whose one budget says that it never allows an eviction, where its pods say the same.
    async fn hopeless<'l>(&self, pods: impl Iterator<Item = &'l Pod>) -> Vec<(&'l Pod, Budget)> {
        let budgets = self.budgets().await;
        let suspected: Vec<(&Pod, Budget)> = pods
            .filter_map(|pod| match eviction::admission(pod, &budgets) {
                Admission::Exhausted(budget) if eviction::can_never_allow(budget) => {
                    Some((pod, budget.clone()))
                }
                Admission::Exhausted(_)
                | Admission::Bypassed
                | Admission::Unready(_)
                | Admission::Charged(_)
                | Admission::NoBudget
                | Admission::NotObserved(_)
                | Admission::Negative(_)
                | Admission::SeveralBudgets => None,
            })
            .collect();
        if suspected.is_empty() {
            return suspected;
        }
        let Some(all) = self.all_pods().await else {
            return Vec::new();
        };
        let well =
            |(_, budget): &(&Pod, Budget)| answer::healthy(budget, &all) >= budget.expected_pods;
        suspected.into_iter().filter(well).collect()
    }

    fn in_service(&self) -> Trouble {
        Trouble::Hopeless(format!(
            "node {} is not cordoned any more, so its pods could come back to it; {}. Cordon it with `kubectl cordon {0}` and \
             run `refit resume`",
            self.node,
            self.so_far()
        ))
    }

    /// What a drain that gives up leaves behind.
    fn so_far(&self) -> &'static str {
        if self.pods.is_empty() {
            "nothing was evicted"
        } else {
            "nothing more is evicted"
        }
    }

    /// That the node cannot be drained because pods must stay, with all that must; none where no pod must.
    fn refused(&self, list: &PodList) -> Option<String> {
        let refused: Vec<String> = list
            .pods
            .iter()
            .filter_map(|pod| match eviction::fate(pod, &self.policy) {
                Fate::Refuse(reason) => Some(format!("{} {reason}", label(pod))),
                Fate::Evict { .. } | Fate::Await | Fate::Complete | Fate::Keep(_) => None,
            })
            .collect();
        (!refused.is_empty()).then(|| {
            format!(
                "node {} cannot be drained, and {}: {}. Move these pods away, or change the declaration and make a new plan",
                self.node,
                self.so_far(),
                refused.join("; ")
            )
        })
    }

    /// What goes with the pods and does not come back.
    fn losses(&self, list: &PodList) -> Option<String> {
        let losses: Vec<String> = list
            .pods
            .iter()
            .filter_map(|pod| match eviction::fate(pod, &self.policy) {
                Fate::Evict { warnings } if !warnings.is_empty() => {
                    let warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
                    Some(format!("{}: {}", label(pod), warnings.join(", ")))
                }
                Fate::Evict { .. }
                | Fate::Await
                | Fate::Complete
                | Fate::Keep(_)
                | Fate::Refuse(_) => None,
            })
            .collect();
        (!losses.is_empty()).then(|| losses.join("; "))
    }

    /// The pods that are to leave the node, and how.
    fn leaving<'l>(&self, list: &'l PodList) -> Vec<(&'l Pod, Leaves)> {
        list.pods
            .iter()
            .filter_map(|pod| match eviction::fate(pod, &self.policy) {
                Fate::Evict { .. } => Some((pod, Leaves::Asked)),
                Fate::Await => Some((pod, Leaves::Ending)),
                Fate::Complete => Some((pod, Leaves::ByItself)),
                Fate::Keep(_) | Fate::Refuse(_) => None,
            })
            .collect()
    }

    /// Does what can be done about the pods of `list` and waits for a change; false once none is left.
    async fn round(&mut self, list: &PodList) -> Result<bool, Trouble> {
        // A pod that appeared during the drain and must not be evicted.
        let refused = self.refused(list);
        let pods = self.leaving(list);
        self.keep_time(&pods);
        let turn = self.turn(&pods);
        if self.lets_go(&pods) {
            return Err(Trouble::LetGo);
        }
        let open: Vec<&Pod> = pods
            .iter()
            .filter(|(pod, how)| *how == Leaves::Asked && self.given_up(pod).is_none())
            .map(|(pod, _)| *pod)
            .filter(|pod| self.policy.order(pod) == turn)
            .collect();
        self.ask(&open).await?;

        let pending: Vec<&(&Pod, Leaves)> = pods
            .iter()
            .filter(|(pod, _)| self.given_up(pod).is_none())
            .collect();
        if pending.is_empty() {
            return self.conclude(&pods, refused).map(|()| false);
        }
        let told = pending
            .iter()
            .map(|(pod, how)| self.describe(pod, *how, turn));
        let told = match self.silent_since.get() {
            Some(since) => format!("node {}, which {}", self.node, silent(since)),
            None => in_short(told.collect()),
        };
        self.attempt.waiting(&told)?;
        if self.attempt.left().is_zero() {
            return Err(self.overdue(&pods, refused));
        }
        let runs = pending.iter().any(|(pod, how)| {
            self.own_limit(pod).is_none()
                && (*how != Leaves::Asked || self.policy.order(pod) == turn)
        });
        self.time.looked(self.now(), runs);
        // A pod that was granted is gone from the list when this wakes; a blocked one is looked at every second.
        self.attempt.pause(AT_LEAST).await;
        let at_most = LOOK_AGAIN.min(self.attempt.left());
        self.attempt
            .cx
            .world
            .api
            .pods_changed(self.node, list, at_most)
            .await;
        Ok(true)
    }

    /// Whether it is left where it is, because the run is to stop: no request is under way now, and whoever takes it up finds it
    /// as it is. Where another step has failed, only pods that nobody has asked to go are not waited for.
    fn lets_go(&self, pods: &[(&Pod, Leaves)]) -> bool {
        let cx = self.attempt.cx;
        let mut pending = pods
            .iter()
            .filter(|(pod, _)| self.given_up(pod).is_none())
            .peekable();
        pending.peek().is_some()
            && (cx.asked_to_stop()
                || (cx.stopping() && pending.all(|(_, how)| *how == Leaves::ByItself)))
    }

    /// Whose turn it is: the lowest order of those that have not left. One that could not be evicted holds nobody up: the
    /// others leave, and it is told at the end.
    fn turn(&self, pods: &[(&Pod, Leaves)]) -> u32 {
        pods.iter()
            .filter(|(pod, how)| match how {
                Leaves::Asked => self.given_up(pod).is_none(),
                Leaves::Ending => self.of(pod).late.is_none(),
                Leaves::ByItself => false,
            })
            .map(|(pod, _)| self.policy.order(pod))
            .min()
            .unwrap_or_default()
    }

    fn of(&self, pod: &Pod) -> Progress {
        self.pods.get(&pod.uid).cloned().unwrap_or_default()
    }

    /// Why the pod is not waited for any longer, if it is not.
    fn given_up(&self, pod: &Pod) -> Option<String> {
        let progress = self.of(pod);
        progress.failed.or(progress.late)
    }

    /// The time that a rule gives to the pod.
    fn own_limit(&self, pod: &Pod) -> Option<Duration> {
        let own = self.policy.rule(pod).and_then(|rule| rule.timeout_s);
        own.map(Duration::from_secs)
    }

    /// Notes since when pods are awaited, and which of them have taken too long.
    fn keep_time(&mut self, pods: &[(&Pod, Leaves)]) {
        let now = self.now();
        self.time.goes_on(now);
        for (pod, how) in pods {
            let own = self.own_limit(pod);
            let progress = self.pods.entry(pod.uid.clone()).or_default();
            if *how != Leaves::Asked {
                progress.awaited_since.get_or_insert(now);
            }
            if progress.late.is_none() {
                progress.late = self.time.late(own, progress, now);
            }
        }
    }

    /// Asks for the evictions that are due, and takes in the answers.
    async fn ask(&mut self, open: &[&Pod]) -> Result<(), Trouble> {
        let now = self.now();
        let attempt = self.attempt;
        let api = attempt.cx.world.api;
        let waiting_for_budget = open.iter().any(|pod| {
            let progress = self.of(pod);
            progress.early && progress.due > now
        });
        let budgets = if waiting_for_budget {
            self.budgets().await
        } else {
            Vec::new()
        };
        let due: Vec<&Pod> = open
            .iter()
            .filter(|pod| {
                let progress = self.of(pod);
                progress.due <= now || (progress.early && allowed_by_its_budget(pod, &budgets))
            })
            .copied()
            .collect();
        if due.is_empty() {
            return Ok(());
        }
        let grace = |pod: &Pod| {
            let own = self.policy.rule(pod).and_then(|rule| rule.grace_period_s);
            own.map(Duration::from_secs).or(self.limits.grace)
        };
        for pod in &due {
            let progress = self.pods.entry(pod.uid.clone()).or_default();
            progress.awaited_since.get_or_insert(now);
        }
        let answers = futures::stream::iter(due.into_iter().map(|pod| (pod, grace(pod))))
            .map(|(pod, grace)| async move {
                let answer = match attempt.permit().await? {
                    Ok(permit) => api.evict(permit, pod, grace).await,
                    Err(failure) => Err(failure),
                };
                Ok::<_, Trouble>((pod, answer))
            })
            .buffer_unordered(AT_ONCE)
            .try_collect::<Vec<_>>();
        let answers = self
            .attempt
            .within(answers)
            .await
            .ok_or_else(|| self.attempt.timed_out())??;
        let blocked: Vec<&Pod> = answers
            .iter()
            .filter(|(_, answer)| matches!(answer, Ok(Eviction::Blocked { .. })))
            .map(|(pod, _)| *pod)
            .collect();
        let budgets = if blocked.is_empty() {
            Vec::new()
        } else {
            self.budgets().await
        };
        // A large cluster's pods are many: they are read only to confirm a suspicion.
        let hopeless = |pod: &&Pod| {
            let budgets = eviction::matching(pod, &budgets);
            budgets.into_iter().any(eviction::can_never_allow)
        };
        let all = if blocked.iter().any(hopeless) {
            self.all_pods().await
        } else {
            None
        };
        let now = self.now();
        for (pod, answer) in answers {
            let mut progress = self.of(pod);
            take_in(&mut progress, pod, answer, now, &budgets, all.as_deref());
            self.pods.insert(pod.uid.clone(), progress);
        }
        Ok(())
    }

    /// The budgets, for explaining only: none when they cannot be read now.
    async fn budgets(&self) -> Vec<Budget> {
        match self
            .attempt
            .within(self.attempt.cx.world.api.budgets())
            .await
        {
            Some(Ok(budgets)) => budgets,
            Some(Err(_)) | None => Vec::new(),
        }
    }

    /// All pods, to check what a budget's status says.
    async fn all_pods(&self) -> Option<Vec<Pod>> {
        self.attempt
            .within(self.attempt.cx.world.api.pods())
            .await?
            .ok()
    }

    fn describe(&self, pod: &Pod, how: Leaves, turn: u32) -> String {
        match how {
            Leaves::Ending => return format!("{} to end", label(pod)),
            Leaves::ByItself => return format!("{} to end by itself (drain.rules)", label(pod)),
            Leaves::Asked if self.policy.order(pod) > turn => {
                return format!("{} (its turn comes once order {turn} has left)", label(pod));
            }
            Leaves::Asked => {}
        }
        match &self.of(pod).why {
            Some(why) => format!("{} ({why})", label(pod)),
            None => label(pod),
        }
    }

    /// All that could leave has left: fine, unless some could not be evicted.
    fn conclude(&self, pods: &[(&Pod, Leaves)], refused: Option<String>) -> Result<(), Trouble> {
        let failed: Vec<String> = pods
            .iter()
            .filter_map(|(pod, _)| {
                let why = self.given_up(pod)?;
                Some(format!("{}: {why}", label(pod)))
            })
            .collect();
        match (failed.is_empty(), refused) {
            (true, None) => Ok(()),
            (true, Some(refused)) => Err(Trouble::Hopeless(refused)),
            (false, refused) => {
                let left = format!("Its other pods have left: {}", failed.join("; "));
                Err(Trouble::Stuck(Stuck {
                    what: format!("node {} is not drained", self.node),
                    left: both(left, refused),
                    blockers: self.blockers(pods),
                }))
            }
        }
    }

    fn out_of_time(&self, last: Option<&PodList>) -> Trouble {
        match last {
            None => self.attempt.timed_out(),
            Some(list) => self.overdue(&self.leaving(list), self.refused(list)),
        }
    }

    fn overdue(&self, pods: &[(&Pod, Leaves)], refused: Option<String>) -> Trouble {
        if pods.is_empty() && refused.is_none() {
            return self.attempt.timed_out();
        }
        if let Some(since) = self.silent_since.get() {
            return Trouble::Stuck(Stuck {
                what: format!("node {} {}", self.node, silent(since)),
                left: format!(
                    "Its pods cannot end without it, and {} of them are left; nothing was deleted by force. Bring its kubelet back and \
                     run `refit resume`",
                    pods.len()
                ),
                blockers: Vec::new(),
            });
        }
        let turn = self.turn(pods);
        let left: Vec<String> = pods
            .iter()
            .map(|(pod, how)| match self.given_up(pod) {
                Some(why) => format!("{}: {why}", label(pod)),
                None => self.describe(pod, *how, turn),
            })
            .collect();
        Trouble::Stuck(Stuck {
            what: format!(
                "node {} is not drained after {} s",
                self.node, self.attempt.step.timeout_s
            ),
            left: both(format!("Still there: {}", left.join("; ")), refused),
            blockers: self.blockers(pods),
        })
    }

    /// What holds the node up.
    fn blockers(&self, pods: &[(&Pod, Leaves)]) -> Vec<Blocker> {
        let turn = self.turn(pods);
        pods.iter()
            .map(|(pod, how)| Blocker {
                pod: label(pod),
                budget: self.of(pod).budget,
                why: self
                    .given_up(pod)
                    .unwrap_or_else(|| self.describe(pod, *how, turn)),
            })
            .collect()
    }
}

/// What is told of pods that did not leave, and of those that must not.
fn both(text: String, refused: Option<String>) -> String {
    match refused {
        Some(refused) => format!("{text}. And {refused}"),
        None => text,
    }
}

/// The first of many, and how many more: what is waited for is read in a line, and written whenever it changes.
fn in_short(mut pending: Vec<String>) -> String {
    let more = pending.len().saturating_sub(SHOWN);
    pending.truncate(SHOWN);
    let mut text = pending.join("; ");
    if more > 0 {
        text.push_str(&format!("; and {more} more"));
    }
    text
}

/// That nobody hears of a node's kubelet; that was so before it was seen.
fn silent(since: Timestamp) -> String {
    let since = Timestamp::from_second(since.as_second()).unwrap_or(since);
    format!("is unreachable: its kubelet has not answered since {since} or longer")
}

fn gone(node: &NodeName, why: &str) -> Trouble {
    Trouble::Hopeless(format!("node {node} does not exist any more: {why}"))
}

fn label(pod: &Pod) -> String {
    format!("{}/{}", pod.namespace, pod.name)
}

#[cfg(test)]
mod tests {
    use super::in_short;

    #[test]
    fn what_is_waited_for_is_told_in_a_line_however_many_pods_there_are() {
        let pods = |count: usize| (1..=count).map(|n| format!("p{n}")).collect();
        assert_eq!(in_short(pods(6)), "p1; p2; p3; p4; p5; p6");
        assert_eq!(in_short(pods(8)), "p1; p2; p3; p4; p5; p6; and 2 more");
    }
}
