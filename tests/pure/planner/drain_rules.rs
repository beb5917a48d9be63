//! Rules of the declaration about pods: in the plan as they were written, and in what it foretells.

use refit::cluster::model::LabelSelector;
use refit::plan::data::Action;
use refit::rules::eviction::{Behavior, Exception};

use crate::build::{World, pod};

fn about(app: &str, behavior: Behavior) -> Exception {
    Exception {
        selector: Some(LabelSelector {
            match_labels: [("app".to_owned(), app.to_owned())].into(),
            ..LabelSelector::default()
        }),
        namespace: Some("shop".to_owned()),
        behavior,
        order: 3,
        ..Exception::default()
    }
}

fn world(app: &str) -> World {
    let mut world = World::new(1, 2, "1.34.4", "1.35.4");
    let mut odd = pod("shop", "odd-0", "w1");
    odd.labels = [("app".to_owned(), app.to_owned())].into();
    world.pods().push(odd);
    world
}

#[test]
fn each_drain_has_the_rules_as_they_were_declared() {
    let mut world = world("db");
    world.upgrade.drain.rules = vec![about("db", Behavior::Drain), Exception::default()];
    let plan = world.planned();
    let drains: Vec<_> = plan
        .steps
        .iter()
        .filter_map(|step| match &step.action {
            Action::Drain { rules, .. } => Some(rules),
            _ => None,
        })
        .collect();
    assert_eq!(drains.len(), 3);
    assert!(
        drains
            .iter()
            .all(|rules| **rules == world.upgrade.drain.rules)
    );
    let json = plan.to_json().unwrap();
    let back = refit::plan::data::Plan::from_json(&json).unwrap();
    assert_eq!(back, plan);
    let told = refit::report::plan::what(
        &plan
            .steps
            .iter()
            .find(|step| step.id.as_str().starts_with("w1/drain"))
            .unwrap()
            .action,
    );
    assert!(
        told.ends_with("; rule 1: app=db in shop: drain, order 3; rule 2: all pods: drain"),
        "{told}"
    );
    world.upgrade.drain.rules.clear();
    assert!(!world.planned().to_json().unwrap().contains("\"rules\""));
}

/// A pod that no eviction could move keeps nobody from draining where a rule lets it stay.
#[test]
fn what_a_rule_lets_stay_keeps_no_drain_from_its_end() {
    let mut stuck = world("db");
    stuck.pods().last_mut().unwrap().controller = None;
    let told = stuck.told();
    assert!(told[0].contains("shop/odd-0"), "{told:#?}");
    stuck.upgrade.drain.rules = vec![about("db", Behavior::Skip)];
    let notes = stuck.planned().notes;
    let note =
        "these pods stay on their node while its kubelet changes (drain.rules: skip): shop/odd-0";
    assert!(notes.iter().any(|known| known == note), "{notes:#?}");
    stuck.upgrade.drain.rules = vec![about("db", Behavior::WaitCompleted)];
    let notes = stuck.planned().notes;
    let note = "drains wait until these pods have ended by themselves, and fail where they have not in time (drain.rules: wait-completed): shop/odd-0";
    assert!(notes.iter().any(|known| known == note), "{notes:#?}");
    // of another namespace
    stuck.upgrade.drain.rules[0].namespace = Some("other".to_owned());
    assert_eq!(stuck.told(), told);
}

#[test]
fn a_rule_about_data_outweighs_what_holds_for_all() {
    let mut world = world("db");
    world.pods().last_mut().unwrap().empty_dir = true;
    world.planned();
    world.upgrade.drain.rules = vec![Exception {
        delete_empty_dir_data: Some(false),
        ..about("db", Behavior::Drain)
    }];
    let told = world.told();
    assert!(
        told[0].contains("deleteEmptyDirData is false in the rule of drain.rules for it"),
        "{told:#?}"
    );
    assert!(world.reasons()[0].next().contains("in its rule"));
    world.upgrade.drain.delete_empty_dir_data = false;
    world.upgrade.drain.rules[0].delete_empty_dir_data = Some(true);
    for pod in world.pods().iter_mut().filter(|pod| pod.name != "odd-0") {
        pod.empty_dir = false;
    }
    world.planned();
}

/// `kubectl drain` would evict what is to stay.
#[test]
fn by_hand_a_drain_by_rules_is_not_left_to_kubectl_drain() {
    let mut world = world("db");
    let logins = refit::report::runbook::Logins::new();
    let runbook = |world: &World| {
        refit::report::runbook::runbook(&world.planned(), &logins, world.facts.observed_at)
    };
    assert!(runbook(&world).contains("kubectl drain w1"));
    world.upgrade.drain.rules = vec![about("db", Behavior::Skip)];
    let text = runbook(&world);
    assert!(!text.contains("kubectl drain w1"), "{text}");
    assert!(
        text.contains("app=db in shop: skip") && text.contains("/eviction"),
        "{text}"
    );
    // What else the drain step says is not lost with it.
    world.upgrade.drain.grace_period = Some(std::time::Duration::from_secs(30));
    let text = runbook(&world);
    assert!(
        text.contains("\"deleteOptions\":{\"gracePeriodSeconds\":30}}'"),
        "{text}"
    );
    assert!(
        text.contains("Stop where a pod without a controller is to go"),
        "{text}"
    );
}

#[test]
fn a_drain_may_take_as_long_as_its_rules_give_to_pods() {
    let mut world = world("db");
    let drain = |world: &World| {
        let plan = world.planned();
        let mut drains = plan.steps.iter().filter_map(|step| match &step.action {
            Action::Drain {
                others_timeout_s, ..
            } => Some((step.timeout_s, *others_timeout_s)),
            _ => None,
        });
        let first = drains.next().unwrap();
        assert!(drains.all(|other| other == first));
        first
    };
    world.upgrade.drain.rules = vec![about("db", Behavior::Drain)];
    assert_eq!(drain(&world), (900, None));
    world.upgrade.drain.rules[0].timeout_s = Some(1800);
    // They go after the others, which may have taken all of their time.
    assert_eq!(drain(&world), (2700, Some(900)));
    world.upgrade.drain.rules[0].order = 0;
    assert_eq!(drain(&world), (1800, Some(900)));
    let told = refit::report::plan::table(&world.planned(), 400, &refit::report::plan::Look::PLAIN);
    assert!(told.contains("gone within 1800 s"), "{told}");
}
