//! Rules of the declaration, as the drain obeys them: who stays, who is awaited, and whose turn it is.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::time::Duration;

use refit::cluster::model::{LabelSelector, NodeName, PodPhase, Role};
use refit::plan::data::{Action, Plan};
use refit::rules::eviction::{Behavior, Exception};
use refit::run::event::Halt;
use refit::run::executor::Outcome;

use crate::world::Sim;
use crate::world::plans::{fails, finishes, go, once, plan, step};

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
            others_timeout_s: None,
            deferral: None,
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

/// Within these seconds in all, those without a time of their own within `others_s`.
fn within(mut plan: Plan, timeout_s: u64, others: u64) -> Plan {
    plan.steps[0].timeout_s = timeout_s;
    match &mut plan.steps[0].action {
        Action::Drain {
            others_timeout_s, ..
        } => *others_timeout_s = Some(others),
        other => unreachable!("{other:?}"),
    }
    plan
}

fn in_time(app: &str, behavior: Behavior, order: u32, timeout_s: u64) -> Exception {
    Exception {
        timeout_s: Some(timeout_s),
        ..about(app, behavior, order)
    }
}

#[tokio::test(start_paused = true)]
async fn pods_of_a_rule_may_take_longer_than_the_others_or_less() {
    // Less: told after 20 s, and the others have left by then.
    let (sim, pods) = with(&["web", "db"]);
    sim.change_pod(&pods[1], |pod| pod.stuck = true);
    let began = sim.now();
    let plan = within(by(vec![in_time("db", Behavior::Drain, 0, 20)]), 60, 60);
    let failures = fails(&plan, &sim).await;
    let why = &failures[0].1;
    assert!(
        why.contains("is not drained; it stays cordoned. Its other pods have left")
            && why.contains(&format!(
                "{}: still there after the 20 s that its rule of drain.rules gives it",
                pods[1]
            )),
        "{why}"
    );
    assert!(sim.now() - began < Duration::from_secs(25));

    // Longer: the others' time is over long before.
    let (sim, pods) = with(&["web", "job"]);
    let ends = async {
        tokio::time::sleep(Duration::from_secs(100)).await;
        assert_eq!(sim.pods_of("w1"), pods[1..]);
        sim.change_pod(&pods[1], |pod| pod.pod.phase = PodPhase::Succeeded);
    };
    let rule = in_time("job", Behavior::WaitCompleted, 0, 120);
    let plan = within(by(vec![rule]), 120, 30);
    let ((outcome, _), ()) = tokio::join!(once(&plan, &sim), ends);
    assert!(matches!(outcome, Outcome::Finished { .. }), "{outcome:?}");

    // The others do not get it.
    let (sim, pods) = with(&["web", "db"]);
    sim.change_pod(&pods[0], |pod| pod.stuck = true);
    let began = sim.now();
    let plan = within(by(vec![in_time("db", Behavior::Drain, 0, 120)]), 120, 30);
    let failures = fails(&plan, &sim).await;
    let why = &failures[0].1;
    assert!(
        why.contains(&format!(
            "{}: still there after 30 s (drain.timeout)",
            pods[0]
        )),
        "{why}"
    );
    assert!(sim.now() - began < Duration::from_secs(35));
}

#[tokio::test(start_paused = true)]
async fn the_others_time_waits_for_those_before_them() {
    // The proxy, which has a time of its own, takes 50 s; the database comes after it and has 30 s with the others.
    let (sim, pods) = with(&["proxy", "db"]);
    sim.change_pod(&pods[0], |pod| pod.stuck = true);
    let ends = async {
        tokio::time::sleep(Duration::from_secs(50)).await;
        assert_eq!(evicted(&sim), pods[..1]);
        let mut inner = sim.inner.borrow_mut();
        inner.pods.retain(|_, pod| pod.pod.name != pods[0]);
    };
    let rules = vec![
        in_time("proxy", Behavior::Drain, 0, 60),
        about("db", Behavior::Drain, 1),
    ];
    let plan = within(by(rules), 90, 30);
    let ((outcome, _), ()) = tokio::join!(once(&plan, &sim), ends);
    assert!(matches!(outcome, Outcome::Finished { .. }), "{outcome:?}");
    assert_eq!(evicted(&sim), pods);
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_pods_that_end_by_themselves() {
    let (sim, pods) = with(&["web", "job"]);
    let plan = by(vec![about("job", Behavior::WaitCompleted, 0)]);
    let began = sim.now();
    let stop = tokio::time::sleep(Duration::from_secs(30));
    let mut memory = crate::world::Memory::default();
    let (outcome, _) = go(&plan, sim.world(), &sim, &[], &mut memory, stop).await;
    assert!(
        matches!(
            outcome,
            Outcome::Halted {
                why: Halt::Interrupted,
                ..
            }
        ),
        "{outcome:?}"
    );
    assert!(sim.now() - began < Duration::from_secs(35));
    assert_eq!(sim.pods_of("w1"), pods[1..]);
}

#[tokio::test(start_paused = true)]
async fn a_drain_that_gives_up_names_those_that_must_stay_too() {
    let (sim, pods) = with(&["web", "db"]);
    sim.change_pod(&pods[0], |pod| pod.stuck = true);
    let appears = async {
        tokio::time::sleep(Duration::from_secs(20)).await;
        sim.inner.borrow_mut().sets.insert("bare".to_owned(), 1);
        let bare = sim.pod("bare", "w1");
        sim.change_pod(&bare, |pod| pod.pod.controller = None);
        bare
    };
    let plan = by(vec![]);
    let ((outcome, _), bare) = tokio::join!(once(&plan, &sim), appears);
    let Outcome::Halted { failures, .. } = outcome else {
        unreachable!("{outcome:?}")
    };
    let why = &failures[0].1;
    for words in [
        "is not drained after 60 s",
        &pods[0],
        "cannot be drained",
        &bare,
    ] {
        assert!(why.contains(words), "{words}: {why}");
    }
}
