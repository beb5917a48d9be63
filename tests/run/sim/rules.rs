//! Evictions and budgets by id, carried out on the simulator.
//!
//! E: what the server answers and does, after kubernetes/kubernetes `pkg/registry/core/pod/storage/eviction_test.go` and
//! `test/integration/evictions/evictions_test.go`. P: what the disruption controller writes, after
//! `pkg/controller/disruption/disruption_test.go`.

use std::collections::BTreeMap;
use std::time::Duration;

use refit::cluster::facts::Observed;
use refit::cluster::model::{Budget, Controller, LabelSelector, NodeName, Pod, PodPhase, Workload};
use refit::sim::World;
use refit::sim::api::Options;
use refit::sim::api::evict::{Answer, Request};

use super::build;

const SECOND: Duration = Duration::from_secs(1);

/// Pod `web-N` in `shop`, of a ReplicaSet, which serves.
pub(super) fn pod(number: usize) -> Pod {
    Pod {
        namespace: "shop".into(),
        name: format!("web-{number}"),
        uid: format!("u{number}"),
        node: Some(NodeName::new("w1")),
        labels: [("app".to_owned(), "web".to_owned())].into(),
        phase: PodPhase::Running,
        ready: true,
        deletion_timestamp: None,
        controller: Some(Controller {
            api_version: "apps/v1".into(),
            kind: "ReplicaSet".into(),
            name: "web-5f".into(),
        }),
        mirror: false,
        empty_dir: false,
        images: BTreeMap::new(),
        placement: None,
    }
}

fn bare(number: usize) -> Pod {
    Pod {
        controller: None,
        ..pod(number)
    }
}

fn selector() -> Option<LabelSelector> {
    Some(LabelSelector {
        match_labels: [("app".to_owned(), "web".to_owned())].into(),
        match_expressions: vec![],
    })
}

/// A budget as its status stands: allowed, healthy, desired.
pub(super) fn budget(allowed: i32, healthy: i32, desired: i32) -> Budget {
    Budget {
        namespace: "shop".into(),
        name: "web".into(),
        selector: selector(),
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

/// A cluster of these pods and budgets; `web` wants so many replicas.
pub(super) fn world(pods: Vec<Pod>, budgets: Vec<Budget>, wanted: i32) -> World {
    world_with(pods, budgets, wanted, Options::default())
}

pub(super) fn world_with(
    pods: Vec<Pod>,
    budgets: Vec<Budget>,
    wanted: i32,
    options: Options,
) -> World {
    let mut facts = build::World::new(1, 2, "1.34.4", "1.35.4").facts;
    facts.cluster.pods = Observed::Known(pods);
    facts.cluster.budgets = Observed::Known(budgets);
    facts.cluster.workloads = Observed::Known(vec![Workload {
        kind: "Deployment".into(),
        namespace: "shop".into(),
        name: "web".into(),
        desired: wanted,
        updated: wanted,
        ready: wanted,
        up_to_date: true,
        images: BTreeMap::new(),
    }]);
    World::of(&facts, BTreeMap::new(), options)
}

fn request(name: &str) -> Request<'_> {
    Request {
        namespace: "shop",
        name,
        body_name: name,
        uid: None,
        grace: None,
        dry_run: false,
    }
}

fn evict(world: &mut World, request: &Request<'_>) -> Answer {
    world.with_api(|api| api.evict(request))
}

pub(super) fn is_leaving(world: &World, name: &str) -> bool {
    let pods = world.api.pods();
    let held = pods.named("shop", name).and_then(|id| pods.get(id));
    held.is_none_or(|held| held.pod.deletion_timestamp.is_some())
}

fn web(world: &World) -> &Budget {
    &world.api.guard("shop", "web").unwrap().budget
}

/// A pod and its budgets, and what the server says to a request to evict it: code, words, seconds until it may be asked
/// again.
pub(super) type Row = (
    &'static str,
    Pod,
    Vec<Budget>,
    u16,
    &'static str,
    Option<u64>,
);

pub(super) fn rows() -> Vec<Row> {
    let unready = || Pod {
        ready: false,
        ..pod(1)
    };
    let phase = |phase: PodPhase| Pod { phase, ..pod(1) };
    let of = |change: &dyn Fn(&mut Budget), allowed: i32, healthy: i32, desired: i32| {
        let mut budget = budget(allowed, healthy, desired);
        change(&mut budget);
        budget
    };
    let same = |_: &mut Budget| {};
    let failed = |budget: &mut Budget| budget.sync_failed = Some("no scale".into());
    let other = |budget: &mut Budget| budget.namespace = "bank".into();
    let all = |budget: &mut Budget| {
        budget.name = "all".into();
        budget.selector = Some(LabelSelector::default());
    };
    let none = |budget: &mut Budget| budget.selector = None;
    let always = |budget: &mut Budget| budget.always_allow_unhealthy = true;
    let stale = |budget: &mut Budget| budget.up_to_date = false;
    vec![
        (
            "E1",
            pod(1),
            vec![of(&same, 0, 3, 3)],
            429,
            "The disruption budget web needs 3 healthy pods and has 3 currently",
            None,
        ),
        (
            "E2 pending",
            phase(PodPhase::Pending),
            vec![of(&same, 0, 3, 3)],
            201,
            "",
            None,
        ),
        (
            "E2 succeeded",
            phase(PodPhase::Succeeded),
            vec![of(&same, 0, 3, 3)],
            201,
            "",
            None,
        ),
        (
            "E2 failed",
            phase(PodPhase::Failed),
            vec![of(&same, 0, 3, 3)],
            201,
            "",
            None,
        ),
        ("E5", pod(1), vec![of(&other, 0, 3, 3)], 201, "", None),
        (
            "E7",
            pod(1),
            vec![of(&all, 0, 3, 3)],
            429,
            "The disruption budget all needs",
            None,
        ),
        ("E8", pod(1), vec![of(&none, 0, 3, 3)], 201, "", None),
        (
            "E15",
            pod(1),
            vec![of(&same, 0, 2, 2)],
            429,
            "needs 2 healthy pods and has 2",
            None,
        ),
        ("E16", unready(), vec![of(&same, 0, 2, 2)], 201, "", None),
        ("E17", unready(), vec![of(&always, 0, 0, 0)], 201, "", None),
        (
            "E18",
            unready(),
            vec![of(&same, 0, 0, 0)],
            429,
            "needs 0 healthy pods and has 0",
            None,
        ),
        (
            "E21",
            pod(1),
            vec![of(&stale, 1, 3, 2)],
            429,
            "still being processed",
            Some(10),
        ),
        (
            "E22 negative",
            pod(1),
            vec![of(&same, -1, 3, 2)],
            403,
            "pdb disruptions allowed is negative",
            None,
        ),
        (
            "E23 running",
            pod(1),
            vec![of(&same, 1, 3, 2), of(&all, 1, 3, 2)],
            500,
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
            None,
        ),
        (
            "E23 pending",
            phase(PodPhase::Pending),
            vec![of(&same, 1, 3, 2), of(&all, 1, 3, 2)],
            201,
            "",
            None,
        ),
        (
            "E26",
            pod(1),
            vec![of(&failed, 0, 3, 2)],
            429,
            "failed sync: no scale",
            None,
        ),
    ]
}

#[test]
fn server() {
    for (id, pod, budgets, code, words, retry_after) in rows() {
        let mut world = world(vec![pod], budgets, 1);
        let answer = evict(&mut world, &request("web-1"));
        assert_eq!(answer.code, code, "{id}: {answer:?}");
        assert!(answer.words().contains(words), "{id}: {answer:?}");
        assert_eq!(
            answer.retry_after,
            retry_after.map(Duration::from_secs),
            "{id}"
        );
        assert_eq!(is_leaving(&world, "web-1"), answer.is_granted(), "{id}");
        if code == 429 {
            let headline = "Cannot evict pod as it would violate the pod's disruption budget.";
            assert_eq!(answer.message, headline, "{id}");
            assert_eq!(answer.causes[0].0, "DisruptionBudget", "{id}");
        }
    }
}

#[test]
fn e3_and_e24_a_grant_is_charged_at_once_and_a_dry_run_never() {
    let pods = || (1..=3).map(pod).collect::<Vec<_>>();
    let mut world = world(pods(), vec![budget(1, 3, 2)], 3);
    let dry = Request {
        dry_run: true,
        ..request("web-1")
    };
    for _ in 0..5 {
        assert!(evict(&mut world, &dry).is_granted(), "E24");
    }
    assert_eq!(web(&world).disruptions_allowed, 1, "E24");
    assert!(!is_leaving(&world, "web-1"), "E24");
    assert!(evict(&mut world, &request("web-1")).is_granted(), "E3");
    assert_eq!(web(&world).disruptions_allowed, 0, "E3");
    assert_eq!(evict(&mut world, &request("web-2")).code, 429, "E3");
    // the replacement serves after a while, and the controller counts it
    world.settle(10 * SECOND);
    assert_eq!(web(&world).disruptions_allowed, 1);
    assert!(evict(&mut world, &request("web-2")).is_granted());
    assert_eq!(world.violations(), Vec::<String>::new());
}

#[test]
fn e6_e22_and_e25_requests_that_are_refused_whatever_a_budget_allows() {
    let mut world = world(vec![pod(1), pod(2)], vec![budget(1, 2, 1)], 2);
    let misnamed = Request {
        body_name: "web-2",
        ..request("web-1")
    };
    assert_eq!(evict(&mut world, &misnamed).code, 400, "E6");
    let other = Request {
        uid: Some("u2"),
        ..request("web-1")
    };
    assert_eq!(evict(&mut world, &other).code, 409, "E25");
    assert_eq!(evict(&mut world, &request("web-9")).code, 404);
    let crowd = (0..2001).map(|number| (format!("gone-{number}"), Duration::ZERO));
    world.with_api(|api| {
        api.change_guard("shop", "web", |guard| guard.disrupted = crowd.collect());
    });
    assert_eq!(evict(&mut world, &request("web-1")).code, 403, "E22");
    assert!(!is_leaving(&world, "web-1"));
}

fn at_least(value: &str) -> Budget {
    Budget {
        min_available: Some(value.to_owned()),
        up_to_date: false,
        ..budget(0, 0, 0)
    }
}

fn at_most(value: &str) -> Budget {
    Budget {
        min_available: None,
        max_unavailable: Some(value.to_owned()),
        ..at_least("0")
    }
}

/// For each row: the pods, what their Deployment wants, and what the controller finds desired and allowed.
#[test]
fn controller() {
    let pods = |count: usize| (1..=count).map(pod).collect::<Vec<_>>();
    let one_unready = |count| {
        let mut pods = pods(count);
        pods[0].ready = false;
        pods
    };
    let half = |count| {
        let mut pods = pods(count);
        for pod in pods.iter_mut().skip(count / 2) {
            pod.labels = BTreeMap::new();
        }
        pods
    };
    let bares = |count: usize| (1..=count).map(bare).collect::<Vec<_>>();
    let none = Budget {
        selector: None,
        ..at_most("1")
    };
    type Row = (&'static str, Budget, Vec<Pod>, i32, i32, i32);
    let rows: Vec<Row> = vec![
        ("P1 of none", at_least("3"), pods(0), 0, 3, 0),
        ("P1 of 1", at_least("3"), pods(1), 1, 3, 0),
        ("P1 of 2", at_least("3"), pods(2), 2, 3, 0),
        ("P1 of 3", at_least("3"), pods(3), 3, 3, 0),
        ("P1 of 4", at_least("3"), pods(4), 4, 3, 1),
        (
            "P1 of 4, one unready",
            at_least("3"),
            one_unready(4),
            4,
            3,
            0,
        ),
        ("P2", at_most("1"), bares(1), 0, 0, 0),
        ("P3 of 7", at_most("2"), pods(1), 7, 5, 0),
        ("P3 of 5", at_most("2"), pods(1), 5, 3, 0),
        ("P4 of 7", at_most("30%"), pods(1), 7, 4, 0),
        ("P4 of 3", at_most("30%"), pods(1), 3, 2, 0),
        ("P6", at_least("20%"), pods(1), 10, 2, 0),
        ("P9 with 1", at_least("34%"), pods(1), 3, 2, 0),
        ("P9 with 2", at_least("34%"), pods(2), 3, 2, 0),
        ("P9 with 3", at_least("34%"), pods(3), 3, 2, 1),
        ("P10 of 11", at_least("28%"), pods(11), 11, 4, 7),
        ("P10 of 22", at_least("28%"), pods(22), 22, 7, 15),
        ("P12 no selector", none, pods(3), 3, 0, 0),
        ("P12 no pods", at_most("1"), pods(0), 0, 0, 0),
        ("P13 none unavailable", at_most("0"), pods(3), 3, 3, 0),
        ("P13 all available", at_least("100%"), pods(3), 3, 3, 0),
        ("P13 as many as there are", at_least("3"), pods(3), 3, 3, 0),
        ("P14 30 % may", at_most("30%"), pods(1), 1, 0, 1),
        ("P14 50 % must", at_least("50%"), pods(1), 1, 1, 0),
        ("P15", at_most("1"), half(6), 6, 5, 0),
        ("P16", at_least("1"), bares(2), 0, 1, 1),
    ];
    for (id, budget, pods, wanted, desired, allowed) in rows {
        let mut world = world(pods, vec![budget], wanted);
        world.settle(SECOND);
        let found = web(&world);
        assert!(found.up_to_date, "{id}");
        let counted = (found.desired_healthy, found.disruptions_allowed);
        assert_eq!(counted, (desired, allowed), "{id}: {found:?}");
    }
}

#[test]
fn p3_another_scale_is_counted_without_an_edit_of_the_budget() {
    let pods = (1..=7).map(pod).collect();
    let mut world = world(pods, vec![at_most("2")], 7);
    world.settle(SECOND);
    assert_eq!(web(&world).desired_healthy, 5);
    world
        .with_api(|api| api.scale_to("Deployment", "shop", "web", 5))
        .unwrap();
    world.settle(30 * SECOND);
    let found = web(&world);
    assert_eq!(
        (found.desired_healthy, found.disruptions_allowed),
        (3, 2),
        "{found:?}"
    );
}

#[test]
fn p11_a_grant_counts_for_two_minutes_unless_its_pod_is_leaving_or_gone() {
    let pods = (1..=4).map(pod).collect();
    let mut world = world(pods, vec![budget(0, 4, 1)], 4);
    world.settle(180 * SECOND);
    world.with_api(|api| {
        let id = api.pods().named("shop", "web-1").unwrap();
        api.delete(id, Some(600 * SECOND));
        let granted = [("web-1", 179), ("web-2", 0), ("web-3", 120), ("gone", 179)];
        api.change_guard("shop", "web", |guard| {
            guard.disrupted = granted
                .map(|(name, at)| (name.to_owned(), SECOND * at))
                .into();
        });
        api.put_budget(budget(0, 4, 1));
    });
    world.settle(180 * SECOND + SECOND / 10);
    let guard = world.api.guard("shop", "web").unwrap();
    assert_eq!(guard.disrupted.keys().collect::<Vec<_>>(), ["web-3"]);
    // of four, the first is leaving and the third was granted a minute ago
    assert_eq!(guard.budget.current_healthy, 2);
    // and that one never left: two minutes after its grant it counts again
    world.settle(260 * SECOND);
    let guard = world.api.guard("shop", "web").unwrap();
    assert!(guard.disrupted.is_empty());
    // with the first one's replacement
    assert_eq!(guard.budget.current_healthy, 4);
}

#[test]
fn a_budget_over_pods_without_a_scale_fails_to_sync() {
    let mut daemon = pod(1);
    daemon.controller.as_mut().unwrap().kind = "DaemonSet".into();
    let mut world = world(vec![daemon], vec![at_most("1")], 0);
    world.settle(SECOND);
    let found = web(&world);
    assert_eq!(found.disruptions_allowed, 0);
    let why = found.sync_failed.as_deref().unwrap();
    assert!(
        why.contains("does not implement the scale subresource"),
        "{why}"
    );
}
