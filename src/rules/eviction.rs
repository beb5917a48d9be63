//! What a drain may do with each pod, and what a budget lets it do.
//!
//! Three questions, each a pure function: what the *client* does with a pod ([`fate`]: kubectl's filters, in kubectl's
//! order), which budgets the server would consult ([`matching`]), and how the server would answer an eviction
//! ([`admission`]). The planner asks them to tell in advance what will happen; the drain asks them to explain what did. The
//! server's answer is always the one that counts.
//!
//! Sources: kubernetes/kubectl `pkg/drain/filters.go`; kubernetes/kubernetes `pkg/registry/core/pod/storage/eviction.go`
//! and `pkg/controller/disruption/disruption.go`.

use std::fmt;

use crate::cluster::model::{Budget, Pod, PodPhase};

/// What the declaration allows a drain to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Policy {
    /// Pods that use `emptyDir` are evicted, and its data is gone (kubectl's `--delete-emptydir-data`).
    pub delete_empty_dir_data: bool,
    /// Pods without a controller are evicted, and are gone (kubectl's `--force`).
    pub evict_unmanaged_pods: bool,
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
}

/// Why a pod stops a drain before its first eviction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RefuseReason {
    /// It uses `emptyDir`, and the declaration does not give that data up.
    LocalStorage,
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
        })
    }
}

impl fmt::Display for RefuseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LocalStorage => "has emptyDir data, and drain.deleteEmptyDirData is false",
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
/// pod of a deleted one is kept, where kubectl fails.
///
/// Source: kubernetes/kubectl `pkg/drain/filters.go`, `makeFilters`.
#[must_use]
pub fn fate(pod: &Pod, policy: &Policy) -> Fate {
    let finished = finished(pod);
    if !finished && of_daemon_set(pod) {
        return Fate::Keep(KeepReason::DaemonSet);
    }
    if pod.mirror {
        return Fate::Keep(KeepReason::Mirror);
    }
    if pod.deletion_timestamp.is_some() {
        return Fate::Await;
    }
    let mut warnings = Vec::new();
    if !finished && pod.empty_dir {
        if !policy.delete_empty_dir_data {
            return Fate::Refuse(RefuseReason::LocalStorage);
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

/// The budgets whose selector matches the pod: same namespace; no selector matches nothing, the empty one everything.
///
/// Source: kubernetes/kubernetes `pkg/registry/core/pod/storage/eviction.go`, `getPodDisruptionBudgets`.
pub fn matching<'b>(pod: &Pod, budgets: &'b [Budget]) -> Vec<&'b Budget> {
    budgets
        .iter()
        .filter(|budget| {
            budget.namespace == pod.namespace
                && budget
                    .selector
                    .as_ref()
                    .is_some_and(|selector| selector.matches(&pod.labels))
        })
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
    if finished(pod) || pod.phase == PodPhase::Pending || pod.deletion_timestamp.is_some() {
        return Admission::Bypassed;
    }
    let budget = match matching(pod, budgets)[..] {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::model::{Controller, LabelSelector, NodeName};

    fn pod(kind: Option<&str>) -> Pod {
        Pod {
            namespace: "shop".into(),
            name: "web-1".into(),
            uid: "u1".into(),
            node: Some(NodeName::new("w1")),
            labels: [("app".to_owned(), "web".to_owned())].into(),
            phase: PodPhase::Running,
            ready: true,
            deletion_timestamp: None,
            controller: kind.map(|kind| Controller {
                api_version: "apps/v1".into(),
                kind: kind.into(),
                name: "web".into(),
            }),
            mirror: false,
            empty_dir: false,
            images: [].into(),
        }
    }

    fn budget(allowed: i32, healthy: i32, desired: i32) -> Budget {
        Budget {
            namespace: "shop".into(),
            name: "web".into(),
            selector: Some(LabelSelector {
                match_labels: [("app".to_owned(), "web".to_owned())].into(),
                match_expressions: vec![],
            }),
            min_available: Some(desired.to_string()),
            max_unavailable: None,
            always_allow_unhealthy: false,
            disruptions_allowed: allowed,
            current_healthy: healthy,
            desired_healthy: desired,
            expected_pods: healthy,
            up_to_date: true,
        }
    }

    const STRICT: Policy = Policy {
        delete_empty_dir_data: false,
        evict_unmanaged_pods: false,
    };
    const FORCE: Policy = Policy {
        delete_empty_dir_data: false,
        evict_unmanaged_pods: true,
    };
    const FORCE_DATA: Policy = Policy {
        delete_empty_dir_data: true,
        evict_unmanaged_pods: true,
    };

    fn evict(warnings: &[Loss]) -> Fate {
        Fate::Evict {
            warnings: warnings.to_vec(),
        }
    }

    #[test]
    fn a_managed_pod_is_evicted() {
        assert_eq!(fate(&pod(Some("ReplicaSet")), &STRICT), evict(&[]));
        assert_eq!(fate(&pod(Some("StatefulSet")), &STRICT), evict(&[]));
    }

    #[test]
    fn a_daemon_set_pod_stays_with_or_without_local_data() {
        let mut daemon = pod(Some("DaemonSet"));
        assert_eq!(fate(&daemon, &STRICT), Fate::Keep(KeepReason::DaemonSet));
        daemon.empty_dir = true;
        assert_eq!(fate(&daemon, &STRICT), Fate::Keep(KeepReason::DaemonSet));
        daemon.deletion_timestamp = Some(1);
        assert_eq!(fate(&daemon, &STRICT), Fate::Keep(KeepReason::DaemonSet));
    }

    #[test]
    fn a_finished_daemon_set_pod_is_evicted() {
        let mut daemon = pod(Some("DaemonSet"));
        daemon.phase = PodPhase::Succeeded;
        assert_eq!(fate(&daemon, &STRICT), evict(&[]));
    }

    #[test]
    fn a_foreign_kind_named_daemon_set_is_an_ordinary_controller() {
        let mut other = pod(Some("DaemonSet"));
        other.controller = Some(Controller {
            api_version: "example.io/v1".into(),
            kind: "DaemonSet".into(),
            name: "x".into(),
        });
        assert_eq!(fate(&other, &STRICT), evict(&[]));
    }

    #[test]
    fn a_naked_pod_needs_the_declarations_word() {
        assert_eq!(
            fate(&pod(None), &STRICT),
            Fate::Refuse(RefuseReason::Unmanaged)
        );
        assert_eq!(fate(&pod(None), &FORCE), evict(&[Loss::ThePod]));
    }

    #[test]
    fn local_data_needs_the_declarations_word_and_losses_add_up() {
        let mut naked = pod(None);
        naked.empty_dir = true;
        assert_eq!(
            fate(&naked, &FORCE),
            Fate::Refuse(RefuseReason::LocalStorage)
        );
        assert_eq!(
            fate(&naked, &FORCE_DATA),
            evict(&[Loss::EmptyDirData, Loss::ThePod])
        );
        let mut managed = pod(Some("ReplicaSet"));
        managed.empty_dir = true;
        assert_eq!(fate(&managed, &FORCE_DATA), evict(&[Loss::EmptyDirData]));
    }

    #[test]
    fn a_finished_pod_is_evicted_whatever_it_held() {
        for phase in [PodPhase::Succeeded, PodPhase::Failed] {
            let mut done = pod(None);
            done.phase = phase;
            done.empty_dir = true;
            assert_eq!(fate(&done, &STRICT), evict(&[]));
        }
    }

    #[test]
    fn a_mirror_pod_stays_even_when_finished() {
        let mut mirror = pod(None);
        mirror.mirror = true;
        assert_eq!(fate(&mirror, &STRICT), Fate::Keep(KeepReason::Mirror));
        mirror.phase = PodPhase::Failed;
        assert_eq!(fate(&mirror, &STRICT), Fate::Keep(KeepReason::Mirror));
    }

    #[test]
    fn a_pod_being_deleted_is_awaited() {
        let mut leaving = pod(None);
        leaving.empty_dir = true;
        leaving.deletion_timestamp = Some(1_700_000_000);
        assert_eq!(fate(&leaving, &STRICT), Fate::Await);
    }

    #[test]
    fn budgets_match_by_namespace_and_selector() {
        let web = pod(Some("ReplicaSet"));
        let mut other_namespace = budget(1, 3, 2);
        other_namespace.namespace = "bank".into();
        let mut no_selector = budget(1, 3, 2);
        no_selector.selector = None;
        let mut everything = budget(1, 3, 2);
        everything.selector = Some(LabelSelector::default());
        let mut unrelated = budget(1, 3, 2);
        unrelated.selector = Some(LabelSelector {
            match_labels: [("app".to_owned(), "db".to_owned())].into(),
            match_expressions: vec![],
        });
        let all = [
            other_namespace,
            no_selector,
            everything.clone(),
            unrelated,
            budget(1, 3, 2),
        ];
        assert_eq!(matching(&web, &all), [&everything, &budget(1, 3, 2)]);
    }

    #[test]
    fn the_server_asks_no_budget_about_pods_that_serve_nobody() {
        let none = [budget(0, 2, 2), budget(0, 2, 2)];
        for phase in [PodPhase::Pending, PodPhase::Succeeded, PodPhase::Failed] {
            let mut idle = pod(Some("ReplicaSet"));
            idle.phase = phase;
            assert_eq!(admission(&idle, &none), Admission::Bypassed);
        }
        let mut leaving = pod(Some("ReplicaSet"));
        leaving.deletion_timestamp = Some(1);
        assert_eq!(admission(&leaving, &none), Admission::Bypassed);
        assert_eq!(
            admission(&pod(Some("ReplicaSet")), &none),
            Admission::SeveralBudgets
        );
    }

    #[test]
    fn the_server_charges_the_one_budget() {
        let web = pod(Some("ReplicaSet"));
        assert_eq!(admission(&web, &[]), Admission::NoBudget);
        let one = [budget(1, 3, 2)];
        assert_eq!(admission(&web, &one), Admission::Charged(&one[0]));
        let none = [budget(0, 2, 2)];
        assert_eq!(admission(&web, &none), Admission::Exhausted(&none[0]));
        let negative = [budget(-1, 2, 2)];
        assert_eq!(
            admission(&web, &negative),
            Admission::Negative(&negative[0])
        );
        let mut stale = [budget(1, 3, 2)];
        stale[0].up_to_date = false;
        assert_eq!(admission(&web, &stale), Admission::NotObserved(&stale[0]));
        assert!(!admission(&web, &stale).granted());
    }

    #[test]
    fn an_unready_pod_goes_when_enough_others_are_healthy() {
        let mut web = pod(Some("ReplicaSet"));
        web.ready = false;
        let enough = [budget(0, 2, 2)];
        assert_eq!(admission(&web, &enough), Admission::Unready(&enough[0]));
        let nothing_desired = [budget(0, 0, 0)];
        assert_eq!(
            admission(&web, &nothing_desired),
            Admission::Exhausted(&nothing_desired[0])
        );
        let mut always = [budget(0, 0, 0)];
        always[0].always_allow_unhealthy = true;
        assert_eq!(admission(&web, &always), Admission::Unready(&always[0]));
        let too_few = [budget(0, 1, 2)];
        assert_eq!(admission(&web, &too_few), Admission::Exhausted(&too_few[0]));
    }

    #[test]
    fn a_budget_with_all_pods_healthy_and_nothing_allowed_never_allows() {
        assert!(can_never_allow(&budget(0, 3, 3)));
        assert!(!can_never_allow(&budget(1, 3, 2)));
        let mut recovering = budget(0, 2, 3);
        recovering.expected_pods = 3;
        assert!(!can_never_allow(&recovering));
        let mut stale = budget(0, 3, 3);
        stale.up_to_date = false;
        assert!(!can_never_allow(&stale));
        assert!(!can_never_allow(&budget(0, 0, 0)));
    }

    #[test]
    fn a_budget_reads_as_the_server_says_it() {
        assert_eq!(
            describe(&budget(0, 3, 3)),
            "budget shop/web: needs 3 healthy pods, has 3"
        );
    }
}
