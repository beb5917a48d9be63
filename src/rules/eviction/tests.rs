#![allow(clippy::unwrap_used)]

use super::*;
use crate::cluster::model::{Controller, LabelSelector, NodeName};

pub fn pod(kind: Option<&str>) -> Pod {
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
        placement: None,
    }
}

pub fn budget(allowed: i32, healthy: i32, desired: i32) -> Budget {
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
        sync_failed: None,
    }
}

const STRICT: Policy<'static> = Policy {
    delete_empty_dir_data: false,
    evict_unmanaged_pods: false,
    rules: &[],
};
const FORCE: Policy<'static> = Policy {
    delete_empty_dir_data: false,
    evict_unmanaged_pods: true,
    rules: &[],
};
const FORCE_DATA: Policy<'static> = Policy {
    delete_empty_dir_data: true,
    evict_unmanaged_pods: true,
    rules: &[],
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
