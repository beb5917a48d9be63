//! The cases of drains, evictions and budgets by id, as far as facts decide them.
//!
//! F: what the client does, after kubernetes/kubectl `pkg/drain/filter_test.go` and `pkg/cmd/drain/drain_test.go`. E: what the
//! server answers, after kubernetes/kubernetes `pkg/registry/core/pod/storage/eviction_test.go` and
//! `test/integration/evictions/evictions_test.go`. P: how budgets count, after kubernetes/kubernetes
//! `pkg/controller/disruption/disruption_test.go`.

use super::tests::{budget, pod};
use super::*;
use crate::cluster::model::{Controller, LabelSelector};

const NO_FLAGS: Policy<'static> = Policy {
    delete_empty_dir_data: false,
    evict_unmanaged_pods: false,
    rules: &[],
};
const FORCE: Policy<'static> = Policy {
    delete_empty_dir_data: false,
    evict_unmanaged_pods: true,
    rules: &[],
};
const DATA: Policy<'static> = Policy {
    delete_empty_dir_data: true,
    evict_unmanaged_pods: false,
    rules: &[],
};
const BOTH: Policy<'static> = Policy {
    delete_empty_dir_data: true,
    evict_unmanaged_pods: true,
    rules: &[],
};

fn with(change: impl FnOnce(&mut Pod), kind: Option<&str>) -> Pod {
    let mut pod = pod(kind);
    change(&mut pod);
    pod
}

/// refit always leaves DaemonSets' pods (kubectl's `--ignore-daemonsets`), so that F2's refusal does not occur.
#[test]
fn client() {
    let set = Some("ReplicaSet");
    let daemon = Some("DaemonSet");
    let evicted = |warnings: &[Loss]| Fate::Evict {
        warnings: warnings.to_vec(),
    };
    let rows: [(&str, Pod, Policy, Fate); 17] = [
        ("F1", pod(set), NO_FLAGS, evicted(&[])),
        (
            "F2",
            pod(daemon),
            NO_FLAGS,
            Fate::Keep(KeepReason::DaemonSet),
        ),
        (
            "F3",
            with(|pod| pod.empty_dir = true, daemon),
            NO_FLAGS,
            Fate::Keep(KeepReason::DaemonSet),
        ),
        (
            "F4",
            with(|pod| pod.phase = PodPhase::Succeeded, daemon),
            NO_FLAGS,
            evicted(&[]),
        ),
        (
            "F7",
            with(
                |pod| {
                    pod.controller = Some(Controller {
                        api_version: "example.io/v1".into(),
                        kind: "DaemonSet".into(),
                        name: "x".into(),
                    });
                },
                None,
            ),
            NO_FLAGS,
            evicted(&[]),
        ),
        (
            "F8",
            pod(None),
            NO_FLAGS,
            Fate::Refuse(RefuseReason::Unmanaged),
        ),
        ("F9", pod(None), FORCE, evicted(&[Loss::ThePod])),
        (
            "F10",
            with(|pod| pod.empty_dir = true, None),
            FORCE,
            Fate::Refuse(RefuseReason::LocalStorage),
        ),
        (
            "F11",
            with(|pod| pod.empty_dir = true, None),
            BOTH,
            evicted(&[Loss::EmptyDirData, Loss::ThePod]),
        ),
        (
            "F12 failed",
            with(
                |pod| {
                    pod.empty_dir = true;
                    pod.phase = PodPhase::Failed;
                },
                None,
            ),
            NO_FLAGS,
            evicted(&[]),
        ),
        (
            "F12 succeeded",
            with(
                |pod| {
                    pod.empty_dir = true;
                    pod.phase = PodPhase::Succeeded;
                },
                None,
            ),
            NO_FLAGS,
            evicted(&[]),
        ),
        (
            "F13",
            with(|pod| pod.empty_dir = true, set),
            DATA,
            evicted(&[Loss::EmptyDirData]),
        ),
        (
            "F14",
            with(|pod| pod.mirror = true, None),
            NO_FLAGS,
            Fate::Keep(KeepReason::Mirror),
        ),
        // Whoever is being deleted needs nobody's decision, however long it has been.
        (
            "F15",
            with(|pod| pod.deletion_timestamp = Some(-100), set),
            NO_FLAGS,
            Fate::Await,
        ),
        (
            "F16",
            with(|pod| pod.deletion_timestamp = Some(-1), set),
            NO_FLAGS,
            Fate::Await,
        ),
        (
            "F17",
            with(|pod| pod.deletion_timestamp = Some(i64::MAX), None),
            NO_FLAGS,
            Fate::Await,
        ),
        (
            "F10 managed",
            with(|pod| pod.empty_dir = true, set),
            NO_FLAGS,
            Fate::Refuse(RefuseReason::LocalStorage),
        ),
    ];
    for (id, pod, policy, expected) in rows {
        assert_eq!(fate(&pod, &policy), expected, "{id}");
    }
}

/// An admission without its budget.
fn kind(admission: &Admission<'_>) -> &'static str {
    match admission {
        Admission::Bypassed => "deleted, no budget asked",
        Admission::NoBudget => "deleted, no budget",
        Admission::Unready(_) => "deleted, not charged",
        Admission::Charged(_) => "deleted, charged",
        Admission::NotObserved(_) => "429 not observed",
        Admission::Exhausted(_) => "429",
        Admission::Negative(_) => "403",
        Admission::SeveralBudgets => "500",
    }
}

#[test]
fn server() {
    let running = || pod(Some("ReplicaSet"));
    let unready = || with(|pod| pod.ready = false, Some("ReplicaSet"));
    let phase = |phase: PodPhase| with(|pod| pod.phase = phase, Some("ReplicaSet"));
    let of = |change: &dyn Fn(&mut Budget), allowed: i32, healthy: i32, desired: i32| {
        let mut budget = budget(allowed, healthy, desired);
        change(&mut budget);
        budget
    };
    let same = |_: &mut Budget| {};
    let other = |budget: &mut Budget| budget.namespace = "bank".into();
    let all = |budget: &mut Budget| budget.selector = Some(LabelSelector::default());
    let none = |budget: &mut Budget| budget.selector = None;
    let always = |budget: &mut Budget| budget.always_allow_unhealthy = true;
    let stale = |budget: &mut Budget| budget.up_to_date = false;
    let rows: Vec<(&str, Pod, Vec<Budget>, &str)> = vec![
        ("E1", running(), vec![of(&same, 0, 3, 3)], "429"),
        (
            "E2 pending",
            phase(PodPhase::Pending),
            vec![of(&same, 0, 3, 3)],
            "deleted, no budget asked",
        ),
        (
            "E2 succeeded",
            phase(PodPhase::Succeeded),
            vec![of(&same, 0, 3, 3)],
            "deleted, no budget asked",
        ),
        (
            "E2 failed",
            phase(PodPhase::Failed),
            vec![of(&same, 0, 3, 3)],
            "deleted, no budget asked",
        ),
        (
            "E3 first",
            running(),
            vec![of(&same, 1, 3, 2)],
            "deleted, charged",
        ),
        ("E3 then", running(), vec![of(&same, 0, 2, 2)], "429"),
        (
            "E5",
            running(),
            vec![of(&other, 0, 3, 3)],
            "deleted, no budget",
        ),
        ("E7", running(), vec![of(&all, 0, 3, 3)], "429"),
        (
            "E8",
            running(),
            vec![of(&none, 0, 3, 3)],
            "deleted, no budget",
        ),
        ("E15", running(), vec![of(&same, 0, 2, 2)], "429"),
        (
            "E16",
            unready(),
            vec![of(&same, 0, 2, 2)],
            "deleted, not charged",
        ),
        (
            "E17",
            unready(),
            vec![of(&always, 0, 0, 0)],
            "deleted, not charged",
        ),
        ("E18", unready(), vec![of(&same, 0, 0, 0)], "429"),
        (
            "E21",
            running(),
            vec![of(&stale, 1, 3, 2)],
            "429 not observed",
        ),
        ("E22", running(), vec![of(&same, -1, 3, 2)], "403"),
        (
            "E23 running",
            running(),
            vec![of(&same, 1, 3, 2), of(&all, 1, 3, 2)],
            "500",
        ),
        (
            "E23 pending",
            phase(PodPhase::Pending),
            vec![of(&same, 1, 3, 2), of(&all, 1, 3, 2)],
            "deleted, no budget asked",
        ),
    ];
    for (id, pod, budgets, expected) in rows {
        assert_eq!(kind(&admission(&pod, &budgets)), expected, "{id}");
    }
}

/// E26 and P2: a budget whose pods cannot be counted says so, and allows nothing for as long as that lasts.
#[test]
fn a_budget_that_failed_to_sync() {
    let mut failed = budget(0, 3, 2);
    failed.sync_failed = Some("found no controllers for pod \"web-1\"".into());
    assert_eq!(allowance(&failed, 3), Allowance::SyncFailed);
}

fn at_least(value: &str) -> Budget {
    Budget {
        min_available: Some(value.to_owned()),
        ..budget(0, 0, 0)
    }
}

fn at_most(value: &str) -> Budget {
    Budget {
        min_available: None,
        max_unavailable: Some(value.to_owned()),
        ..budget(0, 0, 0)
    }
}

/// For each row: pods that match, replicas that their controllers want, healthy pods; what is desired and allowed.
#[test]
fn arithmetic() {
    type Row = (&'static str, Budget, i32, &'static [i32], i32, i32, i32);
    let rows: [Row; 27] = [
        ("P1 of none", at_least("3"), 0, &[], 0, 3, 0),
        ("P1 of 1", at_least("3"), 1, &[1], 1, 3, 0),
        ("P1 of 2", at_least("3"), 2, &[2], 2, 3, 0),
        ("P1 of 3", at_least("3"), 3, &[3], 3, 3, 0),
        ("P1 of 4", at_least("3"), 4, &[4], 4, 3, 1),
        ("P1 of 4, one unready", at_least("3"), 4, &[4], 3, 3, 0),
        ("P2", at_most("1"), 1, &[], 1, 0, 0),
        ("P3 of 7", at_most("2"), 1, &[7], 1, 5, 0),
        ("P3 of 5", at_most("2"), 1, &[5], 1, 3, 0),
        ("P4 of 7", at_most("30%"), 1, &[7], 1, 4, 0),
        ("P4 of 3", at_most("30%"), 1, &[3], 1, 2, 0),
        ("P6", at_least("20%"), 1, &[10], 1, 2, 0),
        ("P9 with 1", at_least("34%"), 1, &[3], 1, 2, 0),
        ("P9 with 2", at_least("34%"), 2, &[3], 2, 2, 0),
        ("P9 with 3", at_least("34%"), 3, &[3], 3, 2, 1),
        ("P10 of 11", at_least("28%"), 11, &[11], 11, 4, 7),
        ("P10 of 22", at_least("28%"), 22, &[11, 11], 22, 7, 15),
        ("P12", at_most("1"), 0, &[], 0, 0, 0),
        ("P13 none unavailable", at_most("0"), 3, &[3], 3, 3, 0),
        ("P13 all available", at_least("100%"), 3, &[3], 3, 3, 0),
        ("P13 as many as there are", at_least("3"), 3, &[3], 3, 3, 0),
        ("P14 30 % may", at_most("30%"), 1, &[1], 1, 0, 1),
        ("P14 50 % must", at_least("50%"), 1, &[1], 1, 1, 0),
        ("P15", at_most("1"), 3, &[6], 3, 5, 0),
        ("P16", at_least("1"), 2, &[], 2, 1, 1),
        ("all may", at_most("100%"), 3, &[3], 3, 0, 3),
        ("more than there are", at_most("9"), 3, &[3], 3, 0, 3),
    ];
    for (id, of, matched, replicas, healthy, desired, allowed) in rows {
        let expected = expected(&of, matched, replicas);
        assert_eq!(status(&of, expected, healthy), (desired, allowed), "{id}");
    }
}

/// What a budget will ever allow, from its status when the rows' pods are all healthy, or when some are not.
#[test]
fn for_ever() {
    type Row = (&'static str, Budget, i32, &'static [i32], i32, Allowance);
    let rows: [Row; 10] = [
        (
            "P1 of 4, one unready",
            at_least("3"),
            4,
            &[4],
            3,
            Allowance::Pods(1),
        ),
        ("P2", at_most("1"), 1, &[], 1, Allowance::Never),
        (
            "P9 with 1 of 3",
            at_least("34%"),
            3,
            &[3],
            1,
            Allowance::Pods(1),
        ),
        (
            "P13 none unavailable",
            at_most("0"),
            3,
            &[3],
            3,
            Allowance::Never,
        ),
        (
            "P13 all available",
            at_least("100%"),
            3,
            &[3],
            2,
            Allowance::Never,
        ),
        (
            "P13 as many as there are",
            at_least("3"),
            3,
            &[3],
            3,
            Allowance::Never,
        ),
        (
            "P14 30 % may",
            at_most("30%"),
            1,
            &[1],
            1,
            Allowance::Pods(1),
        ),
        (
            "P14 50 % must",
            at_least("50%"),
            1,
            &[1],
            1,
            Allowance::Never,
        ),
        // Half of the replicas are not covered, and never will be.
        ("P15", at_most("1"), 3, &[6], 3, Allowance::Never),
        ("P16", at_least("1"), 2, &[], 2, Allowance::Pods(1)),
    ];
    for (id, mut of, matched, replicas, healthy, allowed) in rows {
        of.expected_pods = expected(&of, matched, replicas);
        of.current_healthy = healthy;
        (of.desired_healthy, of.disruptions_allowed) = status(&of, of.expected_pods, healthy);
        let selected = usize::try_from(matched).unwrap_or_default();
        assert_eq!(allowance(&of, selected), allowed, "{id}");
        // A status that has not seen the newest spec changes nothing: the spec is counted by.
        of.up_to_date = false;
        of.desired_healthy = 0;
        assert_eq!(allowance(&of, selected), allowed, "{id}, stale");
    }
}
