//! What a drain may do with each pod, and what a budget lets it do.
//!
//! Questions, each a pure function: what the *client* does with a pod ([`fate`]: kubectl's filters, in kubectl's
//! order), which budgets the server would consult ([`matching`]), and how the server would answer an eviction
//! ([`admission`]), and what a budget allows when all its pods are well ([`allowance`]). The planner asks them to tell in advance what will happen; the drain asks them to explain what did. The
//! server's answer is always the one that counts.
//!
//! Sources: kubernetes/kubectl `pkg/drain/filters.go`; kubernetes/kubernetes `pkg/registry/core/pod/storage/eviction.go`
//! and `pkg/controller/disruption/disruption.go`.

mod budget;
mod exception;
#[cfg(test)]
mod table;
#[cfg(test)]
mod tests;

use std::fmt;

pub use budget::{
    Allowance, DISRUPTED_FOR, MOST_DISRUPTED, allowance, can_never_allow, counts, expected,
    healthy, status, still_disrupted,
};
pub use exception::{Behavior, Exception, longest_s};

use crate::cluster::model::{Budget, Pod, PodPhase};

/// What the declaration allows a drain to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Policy<'r> {
    /// Pods that use `emptyDir` are evicted, and its data is gone (kubectl's `--delete-emptydir-data`).
    pub delete_empty_dir_data: bool,
    /// Pods without a controller are evicted, and are gone (kubectl's `--force`).
    pub evict_unmanaged_pods: bool,
    /// What is different for some pods; the first that matches counts.
    pub rules: &'r [Exception],
}

impl<'r> Policy<'r> {
    /// The rule that counts for the pod.
    #[must_use]
    pub fn rule(&self, pod: &Pod) -> Option<&'r Exception> {
        self.rules.iter().find(|rule| rule.covers(pod))
    }

    /// When it leaves: lower numbers first.
    #[must_use]
    pub fn order(&self, pod: &Pod) -> u32 {
        self.rule(pod).map_or(0, |rule| rule.order)
    }
}

/// What a drain does with a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It is evicted.
    Evict {
        /// What is lost with it; all of it (kubectl keeps only the last).
        warnings: Vec<Loss>,
    },
    /// It is being deleted already: its end is awaited, and no budget is asked.
    Await,
    /// A rule leaves it to end by itself: it is awaited, and never asked to go.
    Complete,
    /// It stays where it is.
    Keep(KeepReason),
    /// The node may not be drained while this pod is there.
    Refuse(RefuseReason),
}

/// Why a pod stays on a drained node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeepReason {
    /// A DaemonSet would put it back at once: its pods tolerate a cordon.
    DaemonSet,
    /// A static pod: the kubelet runs it from a file, the API only mirrors it.
    Mirror,
    /// A rule of the declaration lets it stay.
    Rule,
}

/// Why a pod stops a drain before its first eviction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RefuseReason {
    /// It uses `emptyDir`, and the declaration does not give that data up.
    LocalStorage,
    /// It uses `emptyDir`, and the rule for it does not give that data up.
    LocalStorageByRule,
    /// Nothing would bring it back, and the declaration does not give it up.
    Unmanaged,
}

/// What goes with an evicted pod and does not come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loss {
    /// The data in its `emptyDir` volumes.
    EmptyDirData,
    /// The pod itself: nothing recreates it.
    ThePod,
}

impl fmt::Display for KeepReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DaemonSet => "managed by a DaemonSet",
            Self::Mirror => "a static pod",
            Self::Rule => "a rule of drain.rules lets it stay",
        })
    }
}

impl fmt::Display for RefuseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LocalStorage => "has emptyDir data, and drain.deleteEmptyDirData is false",
            Self::LocalStorageByRule => {
                "has emptyDir data, and deleteEmptyDirData is false in the rule of drain.rules for it"
            }
            Self::Unmanaged => {
                "has no controller that would bring it back, and drain.unmanagedPods is refuse"
            }
        })
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EmptyDirData => "its emptyDir data is deleted with it",
            Self::ThePod => "nothing brings it back",
        })
    }
}

/// What a drain under `policy` does with `pod`: kubectl's filters in kubectl's order (DaemonSet, mirror, local storage,
/// unreplicated); the first that does not evict decides. A finished pod passes all of them but the mirror's.
///
/// Differs from kubectl in three ways: losses add up instead of replacing each other; a pod that is being deleted already
/// is only awaited, because nobody's decision is needed any more; and whether a DaemonSet exists is not asked, so that the
/// pod of a deleted one is kept, where kubectl fails. The declaration's rules come after what no rule can change: the
/// pods of DaemonSets and static pods.
///
/// Source: kubernetes/kubectl `pkg/drain/filters.go`, `makeFilters`.
#[must_use]
pub fn fate(pod: &Pod, policy: &Policy<'_>) -> Fate {
    let finished = finished(pod);
    if !finished && of_daemon_set(pod) {
        return Fate::Keep(KeepReason::DaemonSet);
    }
    if pod.mirror {
        return Fate::Keep(KeepReason::Mirror);
    }
    let rule = policy.rule(pod);
    let behavior = rule.map_or(Behavior::Drain, |rule| rule.behavior);
    match behavior {
        Behavior::Skip => return Fate::Keep(KeepReason::Rule),
        Behavior::Drain | Behavior::WaitCompleted if pod.deletion_timestamp.is_some() => {
            return Fate::Await;
        }
        Behavior::WaitCompleted if !finished => return Fate::Complete,
        Behavior::Drain | Behavior::WaitCompleted => {}
    }
    let mut warnings = Vec::new();
    if !finished && pod.empty_dir {
        match rule.and_then(|rule| rule.delete_empty_dir_data) {
            Some(true) => {}
            Some(false) => return Fate::Refuse(RefuseReason::LocalStorageByRule),
            None if policy.delete_empty_dir_data => {}
            None => return Fate::Refuse(RefuseReason::LocalStorage),
        }
        warnings.push(Loss::EmptyDirData);
    }
    if !finished && pod.controller.is_none() {
        if !policy.evict_unmanaged_pods {
            return Fate::Refuse(RefuseReason::Unmanaged);
        }
        warnings.push(Loss::ThePod);
    }
    Fate::Evict { warnings }
}

/// All its containers have ended.
#[must_use]
pub const fn finished(pod: &Pod) -> bool {
    match pod.phase {
        PodPhase::Succeeded | PodPhase::Failed => true,
        PodPhase::Pending | PodPhase::Running | PodPhase::Unknown => false,
    }
}

/// Its controller is a DaemonSet of `apps`: one of another group that has the same kind is an ordinary controller.
fn of_daemon_set(pod: &Pod) -> bool {
    pod.controller.as_ref().is_some_and(|controller| {
        controller.kind == "DaemonSet" && controller.api_version.starts_with("apps/")
    })
}

/// Whether the budget's selector matches the pod: same namespace; no selector matches nothing, the empty one everything.
///
/// Source: kubernetes/kubernetes `pkg/registry/core/pod/storage/eviction.go`, `getPodDisruptionBudgets`.
#[must_use]
pub fn covers(budget: &Budget, pod: &Pod) -> bool {
    budget.namespace == pod.namespace
        && budget
            .selector
            .as_ref()
            .is_some_and(|selector| selector.matches(&pod.labels))
}

/// The budgets that cover the pod.
pub fn matching<'b>(pod: &Pod, budgets: &'b [Budget]) -> Vec<&'b Budget> {
    budgets
        .iter()
        .filter(|budget| covers(budget, pod))
        .collect()
}

/// How the API server would answer an eviction, judged from a budget's status at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission<'b> {
    /// Deleted without asking any budget: not started yet, finished, or being deleted.
    Bypassed,
    /// No budget covers it.
    NoBudget,
    /// Deleted; the budget is not charged, because the pod is not ready and does not count as healthy.
    Unready(&'b Budget),
    /// Deleted; the budget is charged.
    Charged(&'b Budget),
    /// 429: the disruption controller has not seen the budget's newest text yet.
    NotObserved(&'b Budget),
    /// 429: the budget allows none now.
    Exhausted(&'b Budget),
    /// 403: the budget's status makes no sense (`disruptionsAllowed` is negative).
    Negative(&'b Budget),
    /// 500: the server refuses to choose between several budgets.
    SeveralBudgets,
}

impl Admission<'_> {
    /// The eviction would be granted.
    #[must_use]
    pub const fn granted(&self) -> bool {
        match self {
            Self::Bypassed | Self::NoBudget | Self::Unready(_) | Self::Charged(_) => true,
            Self::NotObserved(_)
            | Self::Exhausted(_)
            | Self::Negative(_)
            | Self::SeveralBudgets => false,
        }
    }
}

/// How the API server would answer an eviction of `pod`.
///
/// Source: kubernetes/kubernetes `pkg/registry/core/pod/storage/eviction.go`, `Create` and `checkAndDecrement`.
#[must_use]
pub fn admission<'b>(pod: &Pod, budgets: &'b [Budget]) -> Admission<'b> {
    admission_by(pod, &matching(pod, budgets))
}

/// As [`admission`], where the budgets that match the pod are known already.
#[must_use]
pub fn admission_by<'b>(pod: &Pod, matched: &[&'b Budget]) -> Admission<'b> {
    if finished(pod) || pod.phase == PodPhase::Pending || pod.deletion_timestamp.is_some() {
        return Admission::Bypassed;
    }
    let budget = match *matched {
        [] => return Admission::NoBudget,
        [budget] => budget,
        [_, _, ..] => return Admission::SeveralBudgets,
    };
    let enough_healthy =
        budget.current_healthy >= budget.desired_healthy && budget.desired_healthy > 0;
    if !pod.ready && (budget.always_allow_unhealthy || enough_healthy) {
        return Admission::Unready(budget);
    }
    if !budget.up_to_date {
        Admission::NotObserved(budget)
    } else if budget.disruptions_allowed < 0 {
        Admission::Negative(budget)
    } else if budget.disruptions_allowed == 0 {
        Admission::Exhausted(budget)
    } else {
        Admission::Charged(budget)
    }
}

/// A budget in words: `budget shop/web: needs 3 healthy pods, has 3`.
#[must_use]
pub fn describe(budget: &Budget) -> String {
    let Budget {
        namespace,
        name,
        desired_healthy,
        current_healthy,
        ..
    } = budget;
    format!(
        "budget {namespace}/{name}: needs {desired_healthy} healthy {}, has {current_healthy}",
        if *desired_healthy == 1 { "pod" } else { "pods" }
    )
}
