//! Rules of the declaration, as the drain obeys them: who stays, who is awaited, and whose turn it is.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::time::Duration;

use refit::cluster::model::{LabelSelector, NodeName, PodPhase, Role};
use refit::plan::data::{Action, Plan};
use refit::rules::eviction::{Behavior, Exception};
use refit::run::executor::Outcome;

use crate::world::Sim;
use crate::world::plans::{fails, finishes, once, plan, step};

fn about(app: &str, behavior: Behavior, order: u32) -> Exception {
    Exception {
        selector: Some(LabelSelector {
            match_labels: [("app".to_owned(), app.to_owned())].into(),
            ..LabelSelector::default()
        }),
        behavior,
        order,
        ..Exception::default()
    }
}

/// The drain of `w1` within 60 s.
fn by(rules: Vec<Exception>) -> Plan {
    let mut only = step(
        "w1/drain",
        &[],
        Action::Drain {
            node: NodeName::new("w1"),
            grace_period_s: Some(7),
            delete_empty_dir_data: true,
            evict_unmanaged_pods: false,
            rules,
        },
    );
    only.timeout_s = 60;
    plan(vec![only])
}

/// One pod of each on `w1`, which is cordoned by us; their names in that order.
fn with(apps: &[&str]) -> (Sim, Vec<String>) {
    let sim = Sim::new();
    sim.host("w1", Role::Worker);
    sim.host("w2", Role::Worker);
    let pods = apps
        .iter()
        .map(|app| {
            sim.inner.borrow_mut().sets.insert((*app).to_owned(), 1);
            sim.pod(app, "w1")
        })
        .collect();
    sim.cordon_as("w1", Some("r1"));
    (sim, pods)
}

fn evicted(sim: &Sim) -> Vec<String> {
    let inner = sim.inner.borrow();
    inner.evictions.iter().map(|(_, pod)| pod.clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn lower_orders_are_gone_before_others_are_asked_to_go() {
    let (sim, pods) = with(&["web", "proxy", "db"]);
    let rules = vec![
        about("db", Behavior::Drain, 9),
        about("proxy", Behavior::Drain, 4),
        // the first that matches counts
        about("proxy", Behavior::Skip, 0),
    ];
    finishes(&by(rules), &sim).await;
    assert_eq!(evicted(&sim), pods);
    assert!(sim.pods_of("w1").is_empty());
    let inner = sim.inner.borrow();
    let at: Vec<Duration> = inner.evictions.iter().map(|(at, _)| *at).collect();
    for pair in at.windows(2) {
        let apart = pair[1].saturating_sub(pair[0]);
        assert!(apart >= crate::world::POD_ENDS, "{at:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_cannot_go_holds_back_those_after_it_and_they_are_named() {
    let (sim, pods) = with(&["web", "db"]);
    sim.change_pod(&pods[0], |pod| pod.stuck = true);
    let failures = fails(&by(vec![about("db", Behavior::Drain, 1)]), &sim).await;
    assert_eq!(evicted(&sim), pods[..1]);
    assert!(
        failures[0].1.contains(&format!(
            "{} (its turn comes once order 0 has left)",
            pods[1]
        )),
        "{failures:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_skipped_stays_and_is_not_waited_for() {
    let (sim, pods) = with(&["web", "db"]);
    sim.change_pod(&pods[1], |pod| pod.pod.controller = None);
    finishes(&by(vec![about("db", Behavior::Skip, 0)]), &sim).await;
    assert_eq!(evicted(&sim), pods[..1]);
    assert_eq!(sim.pods_of("w1"), pods[1..]);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_to_complete_is_awaited_and_never_asked_before_that() {
    let rules = || vec![about("job", Behavior::WaitCompleted, 0)];
    let (sim, pods) = with(&["web", "job"]);
    let ends = async {
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(evicted(&sim), pods[..1]);
        assert_eq!(sim.pods_of("w1"), pods[1..]);
        sim.change_pod(&pods[1], |pod| pod.pod.phase = PodPhase::Succeeded);
    };
    let plan = by(rules());
    let ((outcome, _), ()) = tokio::join!(once(&plan, &sim), ends);
    assert!(matches!(outcome, Outcome::Finished { .. }), "{outcome:?}");
    assert!(sim.pods_of("w1").is_empty());

    let (sim, pods) = with(&["web", "job"]);
    let failures = fails(&by(rules()), &sim).await;
    assert!(
        failures[0]
            .1
            .contains(&format!("{} to end by itself (drain.rules)", pods[1])),
        "{failures:?}"
    );
    assert_eq!(evicted(&sim), pods[..1]);
}

#[tokio::test(start_paused = true)]
async fn a_rule_says_how_long_its_pods_have_and_what_may_go_with_them() {
    let (sim, pods) = with(&["web", "db"]);
    let mut rule = about("db", Behavior::Drain, 0);
    rule.grace_period_s = Some(120);
    rule.delete_empty_dir_data = Some(false);
    let plan = by(vec![rule]);
    finishes(&plan, &sim).await;
    let mut graces = sim.inner.borrow().graces.clone();
    graces.sort();
    let grace = |seconds| Some(Duration::from_secs(seconds));
    let mut wanted = vec![(pods[0].clone(), grace(7)), (pods[1].clone(), grace(120))];
    wanted.sort();
    assert_eq!(graces, wanted);

    let (sim, pods) = with(&["web", "db"]);
    for pod in &pods {
        sim.change_pod(pod, |pod| pod.pod.empty_dir = true);
    }
    let failures = fails(&plan, &sim).await;
    let why = &failures[0].1;
    assert!(
        why.contains(&pods[1]) && why.contains("in the rule of drain.rules for it"),
        "{why}"
    );
    assert!(!why.contains(&pods[0]) && evicted(&sim).is_empty(), "{why}");
}
