//! What a pod's drain has come to: the answers to the requests for its eviction, and when to ask again.

use std::time::Duration;

use super::LOOK_AGAIN;
use crate::cluster::model::{Budget, Pod};
use crate::ports::{Eviction, Failure};
use crate::rules::eviction::{self, Admission};

/// After an answer of 429 or an error that may pass; kubectl's own interval.
pub(super) const ASK_AGAIN: Duration = Duration::from_secs(5);

/// What is known of a pod besides what the last read says, by its UID.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress {
    /// Not asked for again before then.
    pub(super) due: Duration,
    /// May be asked for as soon as its budget allows, before `due`.
    pub(super) early: bool,
    /// Why it is still there.
    pub(super) why: Option<String>,
    /// The budget that did not let it go when it was last asked for, as `namespace/name`.
    pub(super) budget: Option<String>,
    /// It cannot be evicted; says why.
    pub(super) failed: Option<String>,
    /// Since when its end is awaited: its eviction was asked for, or it ends without that.
    pub(super) awaited_since: Option<Duration>,
    /// It has taken longer than it may; says so.
    pub(super) late: Option<String>,
    /// Since when, look by look, its budget has looked as if it never allowed anything.
    pub(super) hopeless_since: Option<Duration>,
}

/// Takes in the answer to one request.
pub(super) fn take_in(
    progress: &mut Progress,
    pod: &Pod,
    answer: Result<Eviction, Failure>,
    now: Duration,
    budgets: &[Budget],
    all: Option<&[Pod]>,
) {
    progress.due = now + ASK_AGAIN;
    progress.early = false;
    progress.budget = None;
    match answer {
        // Should it still be there undeleted after that time, it is asked for again.
        Ok(Eviction::Granted | Eviction::Gone) | Err(Failure::NotFound(_)) => {
            progress.why = Some("evicted".to_owned());
            progress.hopeless_since = None;
        }
        Ok(Eviction::NamespaceTerminating) => {
            progress.why = Some("its namespace is being deleted".to_owned());
        }
        Ok(Eviction::Blocked {
            message,
            retry_after,
        }) => blocked(progress, pod, &message, retry_after, now, budgets, all),
        Ok(Eviction::Denied(why)) | Err(Failure::Refused(why)) => {
            progress.failed = Some(format!("eviction denied: {why}"));
        }
        // The precondition on its UID makes asking again safe.
        Err(Failure::NotSent(why) | Failure::MaybeDone(why)) => {
            progress.why = Some(format!("no answer to its eviction: {why}"));
        }
    }
}

/// Takes in a 429.
fn blocked(
    progress: &mut Progress,
    pod: &Pod,
    message: &str,
    retry_after: Option<Duration>,
    now: Duration,
    budgets: &[Budget],
    all: Option<&[Pod]>,
) {
    if let Some(after) = retry_after {
        progress.due = now + after.max(LOOK_AGAIN);
    }
    let [budget] = eviction::matching(pod, budgets)[..] else {
        progress.why = Some(message.to_owned());
        return;
    };
    progress.early = retry_after.is_none();
    progress.budget = Some(format!("{}/{}", budget.namespace, budget.name));
    let words = eviction::describe(budget);
    // What the server's grant to another pod leaves behind looks the same until the disruption controller has counted
    // again, and it may be down for a while. So: twice, 5 s apart, and only if the pods themselves say the same.
    let hopeless = eviction::can_never_allow(budget)
        && all.is_some_and(|all| healthy(budget, all) >= budget.expected_pods);
    match progress.hopeless_since {
        Some(since) if hopeless && now.saturating_sub(since) >= ASK_AGAIN => {
            progress.failed = Some(never(budget));
        }
        Some(_) if hopeless => {}
        Some(_) | None => progress.hopeless_since = hopeless.then_some(now),
    }
    progress.why = Some(words);
}

/// A fresh look at the one budget of the pod says that asking again may help. Where no budget can be seen, nothing says so.
pub(super) fn allowed_by_its_budget(pod: &Pod, budgets: &[Budget]) -> bool {
    match eviction::admission(pod, budgets) {
        Admission::Bypassed | Admission::Unready(_) | Admission::Charged(_) => true,
        Admission::NoBudget
        | Admission::NotObserved(_)
        | Admission::Exhausted(_)
        | Admission::Negative(_)
        | Admission::SeveralBudgets => false,
    }
}

/// That a budget whose pods are all well does not let any of them go.
pub(super) fn never(budget: &Budget) -> String {
    format!(
        "{}, all of them healthy, so it never allows an eviction; add replicas or change the budget",
        eviction::describe(budget)
    )
}

/// How many pods of the budget are ready and not leaving.
pub(super) fn healthy(budget: &Budget, all: &[Pod]) -> i32 {
    let budgets = std::slice::from_ref(budget);
    let count = all
        .iter()
        .filter(|pod| {
            pod.ready
                && pod.deletion_timestamp.is_none()
                && !eviction::matching(pod, budgets).is_empty()
        })
        .count();
    i32::try_from(count).unwrap_or(i32::MAX)
}
