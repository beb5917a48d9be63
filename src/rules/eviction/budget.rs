//! The arithmetic of budgets: how many pods must stay, and how many may go.
//!
//! The disruption controller counts for us and writes what it finds into a budget's status. The status is of one instant; a
//! plan is carried out later, so it asks what the budget allows when all its pods are well.
//!
//! Source: kubernetes/kubernetes `pkg/controller/disruption/disruption.go`, `getExpectedPodCount` and `updatePdbStatus`.

use std::time::Duration;

use crate::cluster::model::{Budget, Pod, PodPhase};

/// What a budget allows at once when every pod that it expects is healthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowance {
    /// So many.
    Pods(u32),
    /// None, ever: only another budget or more replicas help.
    Never,
    /// None, for as long as the controller cannot count its pods.
    SyncFailed,
}

/// What a budget allows when all is well. `selected` are the pods that it matches, less the finished ones.
///
/// Where all of them are healthy and the budget expects more, it covers a part of its controllers' replicas only, and no more
/// will come.
#[must_use]
pub fn allowance(budget: &Budget, selected: usize) -> Allowance {
    if budget.sync_failed.is_some() {
        return Allowance::SyncFailed;
    }
    // A status that has not caught up with the spec is of the old one, but it has counted the pods.
    let desired = if budget.up_to_date {
        Some(budget.desired_healthy)
    } else {
        desired(budget)
    };
    let Some(desired) = desired else {
        return Allowance::Never;
    };
    let selected = i32::try_from(selected).unwrap_or(i32::MAX);
    let most = if budget.current_healthy >= selected {
        selected.min(budget.expected_pods)
    } else {
        budget.expected_pods
    };
    match u32::try_from(most.saturating_sub(desired)) {
        Ok(0) | Err(_) => Allowance::Never,
        Ok(pods) => Allowance::Pods(pods),
    }
}

/// A share of `of`, rounded up, or a number.
fn scaled(value: &str, of: i32) -> Option<i32> {
    match value.strip_suffix('%') {
        None => value.parse().ok(),
        Some(percent) => {
            let percent: i64 = percent.parse().ok()?;
            i32::try_from((percent * i64::from(of) + 99).div_euclid(100)).ok()
        }
    }
}

fn desired(budget: &Budget) -> Option<i32> {
    let max_unavailable = budget.max_unavailable.as_deref();
    let min_available = budget.min_available.as_deref();
    let kept =
        |value: &str| Some((budget.expected_pods - scaled(value, budget.expected_pods)?).max(0));
    match (max_unavailable, min_available) {
        (Some(value), _) => kept(value),
        (None, Some(value)) => scaled(value, budget.expected_pods),
        (None, None) => Some(0),
    }
}

/// How many pods a budget expects: with a number for `minAvailable` those that it matches, else the replicas that the
/// matched pods' controllers want, each counted once. Pods without a controller count for nothing there.
#[must_use]
pub fn expected(budget: &Budget, matched: i32, replicas: &[i32]) -> i32 {
    let by_number = budget.max_unavailable.is_none()
        && budget
            .min_available
            .as_deref()
            .is_some_and(|value| !value.ends_with('%'));
    if by_number {
        matched
    } else {
        replicas.iter().sum()
    }
}

/// How many healthy pods a budget wants and how many it allows to go, with `healthy` pods of those `expected`.
#[must_use]
pub fn status(budget: &Budget, expected: i32, healthy: i32) -> (i32, i32) {
    let counted = Budget {
        expected_pods: expected,
        ..budget.clone()
    };
    let desired = desired(&counted).unwrap_or(expected);
    let allowed = if expected <= 0 {
        0
    } else {
        (healthy - desired).max(0)
    };
    (desired, allowed)
}

/// How long an evicted pod counts as gone although it is still there and not yet being deleted.
///
/// Source: kubernetes/kubernetes `pkg/controller/disruption/disruption.go`, `DeletionTimeout`.
pub const DISRUPTED_FOR: Duration = Duration::from_secs(120);

/// With more pods than this that were evicted and are not counted yet, a budget allows none.
///
/// Source: kubernetes/kubernetes `pkg/registry/core/pod/storage/eviction.go`, `MaxDisruptedPodSize`.
pub const MOST_DISRUPTED: usize = 2000;

/// Whether a granted eviction still counts against its budget: the pod is there, is not being deleted yet, and the grant is
/// not older than [`DISRUPTED_FOR`]. `pod` is none when the pod is gone.
///
/// Source: kubernetes/kubernetes `pkg/controller/disruption/disruption.go`, `buildDisruptedPodMap`.
#[must_use]
pub fn still_disrupted(pod: Option<&Pod>, granted_ago: Duration) -> bool {
    granted_ago <= DISRUPTED_FOR && pod.is_some_and(|pod| pod.deletion_timestamp.is_none())
}

/// Whether a pod counts as healthy for its budget: ready, not being deleted, and its eviction not granted.
///
/// Source: kubernetes/kubernetes `pkg/controller/disruption/disruption.go`, `countHealthyPods`.
#[must_use]
pub const fn healthy(pod: &Pod, disrupted: bool) -> bool {
    pod.ready && pod.deletion_timestamp.is_none() && !disrupted
}

/// A pod that its budget is charged for when it is evicted, unless it becomes unready before: it serves.
#[must_use]
pub fn counts(pod: &Pod) -> bool {
    pod.ready && pod.phase == PodPhase::Running && pod.deletion_timestamp.is_none()
}

/// The budget allows nothing although every pod it covers is healthy: waiting does not help, only a change of the budget or
/// of the number of replicas does (`maxUnavailable: 0`, `minAvailable` as high as the replicas).
///
/// Right after a grant the status looks the same until the disruption controller has counted again, so one look is not
/// enough to fail on.
///
/// Source of the idea: gardener/machine-controller-manager `pkg/util/provider/drain/drain.go`, misconfigured budgets;
/// arithmetic: kubernetes/kubernetes `pkg/controller/disruption/disruption.go`, `updatePdbStatus`.
#[must_use]
pub const fn can_never_allow(budget: &Budget) -> bool {
    budget.up_to_date
        && budget.expected_pods > 0
        && budget.current_healthy >= budget.expected_pods
        && budget.disruptions_allowed <= 0
}
