//! The drain, case by case, on paused time.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::time::Duration;

use crate::world::plans::{drain, go, plan, step};
use crate::world::{Memory, Says, Sim};
use refit::ports::{Eviction, Failure};
use refit::run::event::{Event, How, Stamped};
use refit::run::executor::Outcome;

/// What became of one drain.
struct Drained {
    /// The error, unless it is done.
    error: Option<String>,
    how: Option<How>,
    took: Duration,
    waited_for: Vec<String>,
}

/// Drains `w1` of the world, which is cordoned by us, within 60 s.
async fn drain_w1(sim: &Sim) -> Drained {
    sim.cordon_as("w1", Some("r1"));
    drain_as_it_is(sim).await
}

async fn drain_as_it_is(sim: &Sim) -> Drained {
    let mut only = step("w1/drain", &[], drain("w1"));
    only.timeout_s = 60;
    let plan = plan(vec![only]);
    let began = sim.now();
    let (outcome, events) = go(
        &plan,
        sim.world(),
        sim,
        &[],
        &mut Memory::default(),
        std::future::pending(),
    )
    .await;
    let said = |event: &Stamped| match &event.event {
        Event::StepWaiting { on, .. } => Some(on.clone()),
        _ => None,
    };
    let how = events.iter().find_map(|event| match &event.event {
        Event::StepDone { how, .. } => Some(*how),
        _ => None,
    });
    Drained {
        error: match outcome {
            Outcome::Finished { .. } => None,
            Outcome::Halted { failures, .. } => Some(failures[0].1.clone()),
            other => Some(format!("{other:?}")),
        },
        how,
        took: sim.now() - began,
        waited_for: events.iter().filter_map(said).collect(),
    }
}

/// A cluster with `w1`, `w2` and `count` pods of `web` on `w1`.
fn with_pods(count: usize) -> (Sim, Vec<String>) {
    let sim = Sim::new();
    sim.host("w1", refit::cluster::model::Role::Worker);
    sim.host("w2", refit::cluster::model::Role::Worker);
    sim.inner.borrow_mut().sets.insert("web".into(), count);
    let pods = (0..count).map(|_| sim.pod("web", "w1")).collect();
    (sim, pods)
}

fn evictions(sim: &Sim, pod: &str) -> Vec<Duration> {
    sim.inner
        .borrow()
        .evictions
        .iter()
        .filter(|(_, name)| name == pod)
        .map(|(at, _)| *at)
        .collect()
}

#[tokio::test(start_paused = true)]
async fn an_empty_node_is_drained_already() {
    let (sim, _) = with_pods(0);
    let drained = drain_w1(&sim).await;
    assert_eq!((drained.error, drained.how), (None, Some(How::Already)));
}

#[tokio::test(start_paused = true)]
async fn pods_are_evicted_side_by_side_and_their_end_is_awaited() {
    let (sim, pods) = with_pods(30);
    let drained = drain_w1(&sim).await;
    assert_eq!((drained.error, drained.how), (None, Some(How::Acted)));
    assert!(sim.pods_of("w1").is_empty());
    assert!(drained.took < Duration::from_secs(4), "{:?}", drained.took);
    for pod in pods {
        assert_eq!(evictions(&sim, &pod).len(), 1, "{pod}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_must_stay_stops_the_drain_before_the_first_eviction() {
    let (sim, pods) = with_pods(3);
    sim.change_pod(&pods[1], |pod| pod.pod.controller = None);
    let naked = pods[1].clone();
    let error = drain_w1(&sim).await.error.unwrap();
    assert!(
        error.contains(&naked) && error.contains("nothing was evicted"),
        "{error}"
    );
    assert!(sim.inner.borrow().evictions.is_empty());
}

#[tokio::test(start_paused = true)]
async fn daemons_stay() {
    let (sim, pods) = with_pods(1);
    sim.change_pod(&pods[0], |pod| {
        pod.pod.controller.as_mut().unwrap().kind = "DaemonSet".into();
        pod.pod.empty_dir = true;
    });
    let drained = drain_w1(&sim).await;
    assert_eq!((drained.error, drained.how), (None, Some(How::Already)));
    assert_eq!(sim.pods_of("w1"), pods);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_not_cordoned_is_not_drained() {
    let (sim, _) = with_pods(1);
    let error = drain_as_it_is(&sim).await.error.unwrap();
    assert!(error.contains("not cordoned"), "{error}");
    assert!(sim.inner.borrow().evictions.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_made_schedulable_meanwhile_is_not_drained_for_ever() {
    let (sim, pods) = with_pods(2);
    sim.budget("web", 1);
    sim.change_pod(&pods[0], |pod| pod.stuck = true);
    let uncordon = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let mut inner = sim.inner.borrow_mut();
        let node = inner.nodes.values_mut().next().unwrap();
        node.unschedulable = false;
    };
    let (drained, ()) = tokio::join!(drain_w1(&sim), uncordon);
    let error = drained.error.unwrap();
    assert!(
        error.contains("not cordoned any more") && !error.contains("nothing was evicted"),
        "{error}"
    );
    assert!(drained.took < Duration::from_secs(5), "{:?}", drained.took);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_was_leaving_before_is_awaited_and_not_asked_for() {
    let (sim, pods) = with_pods(1);
    sim.change_pod(&pods[0], |pod| {
        pod.pod.deletion_timestamp = Some(1);
        pod.stuck = true;
    });
    let drained = drain_w1(&sim).await;
    assert!(
        drained
            .error
            .unwrap()
            .contains(&format!("shop/{} to end", pods[0]))
    );
    assert!(sim.inner.borrow().evictions.is_empty());
}

#[tokio::test(start_paused = true)]
async fn gone_is_done_and_so_is_another_pod_of_the_name() {
    let (sim, pods) = with_pods(2);
    sim.inner.borrow_mut().sets.clear();
    sim.says(&pods[0], &[Says::Reborn]);
    sim.says(&pods[1], &[Says::Reborn]);
    let drained = drain_w1(&sim).await;
    assert_eq!(drained.error, None);
}

#[tokio::test(start_paused = true)]
async fn a_blocked_pod_is_asked_for_again_and_reported_with_its_budget() {
    let (sim, pods) = with_pods(2);
    sim.budget("web", 1);
    let drained = drain_w1(&sim).await;
    assert_eq!(drained.error, None);
    assert_eq!(sim.inner.borrow().violations, Vec::<String>::new());
    let blocked = "(budget shop/web: needs 1 healthy pod, has 1)";
    assert!(
        drained.waited_for.iter().any(|on| on.contains(blocked)),
        "{:?}",
        drained.waited_for
    );
    // The second goes as soon as the first's successor is ready (3 s), not only at the next multiple of 5 s.
    let all: Vec<_> = pods.iter().flat_map(|pod| evictions(&sim, pod)).collect();
    let last = all.iter().max().unwrap();
    assert!(*last < Duration::from_millis(4500), "{all:?}");
}

#[tokio::test(start_paused = true)]
async fn one_429_costs_one_wait() {
    let (sim, pods) = with_pods(1);
    let blocked = Eviction::Blocked {
        message: "no".into(),
        retry_after: None,
    };
    sim.says(&pods[0], &[Says::Answer(blocked)]);
    let drained = drain_w1(&sim).await;
    assert_eq!(drained.error, None);
    assert_eq!(evictions(&sim, &pods[0]).len(), 2);
}

/// As after a 403 that may pass: there is no budget whose change would tell that asking again may help.
#[tokio::test(start_paused = true)]
async fn a_refusal_that_no_budget_explains_is_asked_for_again_after_five_seconds() {
    let (sim, pods) = with_pods(1);
    let blocked = Eviction::Blocked {
        message: "no".into(),
        retry_after: None,
    };
    sim.says(&pods[0], &[Says::Answer(blocked)]);
    assert_eq!(drain_w1(&sim).await.error, None);
    let asked = evictions(&sim, &pods[0]);
    assert!(asked[1] - asked[0] >= Duration::from_secs(5), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_kept() {
    let (sim, pods) = with_pods(1);
    let blocked = Eviction::Blocked {
        message: "still being processed".into(),
        retry_after: Some(Duration::from_secs(10)),
    };
    sim.says(&pods[0], &[Says::Answer(blocked)]);
    assert_eq!(drain_w1(&sim).await.error, None);
    let asked = evictions(&sim, &pods[0]);
    assert_eq!(asked.len(), 2);
    assert!(asked[1] - asked[0] >= Duration::from_secs(10), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn a_timeout_names_the_pod_and_its_budget() {
    let (sim, pods) = with_pods(1);
    sim.inner.borrow_mut().sets.insert("web".into(), 2);
    sim.budget("web", 2);
    // Its second replica never becomes ready, so the budget is exhausted and not hopeless.
    sim.inner
        .borrow_mut()
        .nodes
        .retain(|name, _| name.as_str() == "w1");
    let drained = drain_w1(&sim).await;
    let error = drained.error.unwrap();
    assert!(error.contains(&pods[0]), "{error}");
    assert!(
        error.contains("budget shop/web: needs 2 healthy pods, has 1"),
        "{error}"
    );
    assert!(drained.took >= Duration::from_secs(60) && drained.took <= Duration::from_secs(65));
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_never_allows_fails_after_a_second_look() {
    let (sim, pods) = with_pods(2);
    sim.budget("web", 2);
    let drained = drain_w1(&sim).await;
    let error = drained.error.unwrap();
    assert!(error.contains("never allows an eviction"), "{error}");
    assert!(
        error.contains(&pods[0]) && error.contains(&pods[1]),
        "{error}"
    );
    assert!(
        drained.took >= Duration::from_secs(5) && drained.took < Duration::from_secs(12),
        "{:?}",
        drained.took
    );
}

#[tokio::test(start_paused = true)]
async fn a_terminating_namespace_is_waited_for() {
    let (sim, pods) = with_pods(1);
    sim.says(&pods[0], &[Says::Answer(Eviction::NamespaceTerminating)]);
    assert_eq!(drain_w1(&sim).await.error, None);
    let (sim, pods) = with_pods(1);
    let for_ever = vec![Says::Answer(Eviction::NamespaceTerminating); 50];
    sim.says(&pods[0], &for_ever);
    let error = drain_w1(&sim).await.error.unwrap();
    assert!(error.contains("its namespace is being deleted"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_denied_pod_fails_and_the_others_finish() {
    let (sim, pods) = with_pods(3);
    sim.says(
        &pods[1],
        &[Says::Answer(Eviction::Denied("webhook says no".into()))],
    );
    let error = drain_w1(&sim).await.error.unwrap();
    assert!(
        error.contains("webhook says no") && error.contains(&pods[1]),
        "{error}"
    );
    assert!(!error.contains(&format!("{}:", pods[0])), "{error}");
    assert_eq!(sim.pods_of("w1"), [pods[1].clone()]);
    assert_eq!(evictions(&sim, &pods[1]).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn two_budgets_for_one_pod_are_a_denial() {
    let (sim, _) = with_pods(1);
    sim.budget("web", 0);
    sim.budget("web", 0);
    let error = drain_w1(&sim).await.error.unwrap();
    assert!(
        error.contains("more than one PodDisruptionBudget"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_asked_for_again() {
    let (sim, pods) = with_pods(1);
    let lost = Failure::MaybeDone("connection reset".into());
    sim.says(&pods[0], &[Says::Fails(lost)]);
    assert_eq!(drain_w1(&sim).await.error, None);
    assert_eq!(evictions(&sim, &pods[0]).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_never_ends_is_named_at_the_timeout() {
    let (sim, pods) = with_pods(2);
    sim.change_pod(&pods[0], |pod| pod.stuck = true);
    let error = drain_w1(&sim).await.error.unwrap();
    assert!(
        error.contains(&format!("shop/{} to end", pods[0])),
        "{error}"
    );
    assert!(!error.contains(&format!("shop/{} ", pods[1])), "{error}");
    assert_eq!(evictions(&sim, &pods[0]).len(), 1);
}
