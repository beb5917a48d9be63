//! What earlier runs tell about how long steps take.

use std::collections::BTreeMap;

use refit::cluster::durations::Durations;
use refit::cluster::facts::Facts;
use refit::cluster::model::NodeName;
use refit::cluster::redact::redact;
use refit::documents::settings::{Hook, HookPlace, HookPoint, Rerun, Window};
use refit::plan::data::{Plan, StepId};
use refit::plan::diff::PlanDiff;
use refit::plan::windows::{TooLittle, schedule, too_little};
use refit::report::plan::{Look, table};

use crate::build::World;

fn durations() -> Durations {
    Durations {
        runs: 2,
        newest: "2026-10-01T02:30:00Z".parse().unwrap(),
        kinds: BTreeMap::from([
            ("drain".to_owned(), 300),
            ("install-kubelet".to_owned(), 40),
            ("kubeadm-node-control-plane".to_owned(), 200),
        ]),
        drains: BTreeMap::from([(NodeName::new("w1"), 90)]),
        hooks: BTreeMap::new(),
        origins: refit::cluster::durations::Origins::default(),
    }
}

fn world() -> World {
    let mut world = World::new(2, 2, "1.34.4", "1.35.4");
    world.upgrade.windows = vec![Window {
        start: "0 1 * * *".to_owned(),
        duration_s: 6 * 3600,
        timezone: "UTC".to_owned(),
    }];
    world
}

fn expected(plan: &Plan, step: &str) -> u64 {
    let id = StepId::new(format!("{step}@1.35.4"));
    plan.step(&id).unwrap().expected_s
}

#[test]
fn steps_take_as_long_as_they_took_before() {
    let mut world = world();
    let before = world.planned();
    world.facts.durations = Some(durations());
    let plan = world.planned();
    for (step, documented, took) in [
        ("w1/drain", 20, 90),
        ("w2/drain", 20, 300),
        ("w1/install-kubelet", 11, 40),
        ("cp2/kubeadm-node", 170, 200),
        // another kind, and one that no run had
        ("w1/kubeadm-node", 1, 1),
        ("cp1/kubeadm-apply", 165, 165),
    ] {
        assert_eq!(expected(&before, step), documented, "{step}");
        assert_eq!(expected(&plan, step), took, "{step}");
    }
    let shown = table(&plan, 200, &Look::PLAIN);
    let note =
        "durations are expected from the last 2 runs of this cluster (until 2026-10-01T02:30:00Z)";
    assert!(shown.contains(note), "{shown}");
    assert!(!table(&before, 200, &Look::PLAIN).contains("durations are expected"));
    // The room that a worker needs of a window is what its steps are expected to take.
    let room =
        |plan: &Plan| plan.windows.as_ref().unwrap().room_s[&StepId::new("w1/kubeadm-node@1.35.4")];
    assert_eq!(room(&plan), room(&before) + (90 - 20) + (40 - 11));
    // Nothing rests on them.
    assert_eq!(plan.facts_fingerprint, before.facts_fingerprint);
    let (binding, told) = PlanDiff::of(&before, &plan).split();
    assert!(binding.is_empty(), "{binding:#?}");
    assert!(!told.changed.is_empty() && !told.limits.is_empty() && !told.notes.is_empty());
    // By what each was made with itself, each keeps enough.
    assert_eq!(too_little(&before), []);
    assert_eq!(too_little(&plan), []);
    // A step that needs no room any more, or less than the plan's own durations say, is another plan.
    let worker = StepId::new("w1/kubeadm-node@1.35.4");
    let mut freed = before.clone();
    freed.windows.as_mut().unwrap().room_s.remove(&worker);
    let (binding, _) = PlanDiff::of(&freed, &plan).split();
    assert_eq!(binding.limits.len(), 1, "{binding:#?}");
    assert_eq!(too_little(&freed)[0].kept_s, None);
    let mut short = before.clone();
    let rooms = &mut short.windows.as_mut().unwrap().room_s;
    *rooms.get_mut(&worker).unwrap() -= 1;
    let kept_s = rooms[&worker];
    let found = TooLittle {
        step: worker,
        kept_s: Some(kept_s),
        needs_s: kept_s + 1,
    };
    assert_eq!(too_little(&short), [found]);
}

#[test]
fn a_hook_takes_what_is_declared_until_runs_have_shown_how_long_it_takes() {
    let mut world = world();
    let hook = |name: &str, expected_s| Hook {
        name: name.to_owned(),
        at: HookPoint::Drained,
        on: HookPlace::EachWorker,
        run: vec!["patch".to_owned()],
        check: None,
        env: BTreeMap::new(),
        directory: ".".to_owned(),
        timeout_s: 3600,
        expected_s,
        reboots: false,
        rerun: Rerun::Safe,
    };
    world.upgrade.hooks = vec![hook("said", Some(1200)), hook("unsaid", None)];
    let plan = world.planned();
    assert_eq!(expected(&plan, "w1/hook/said"), 1200);
    assert_eq!(expected(&plan, "w1/hook/unsaid"), 10);
    let guesses = |plan: &Plan| -> Vec<String> {
        let notes = plan
            .notes
            .iter()
            .filter(|note| note.contains("is assumed to take"));
        notes.cloned().collect()
    };
    let told = guesses(&plan);
    assert!(
        told.len() == 1 && told[0].starts_with("hook `unsaid` is assumed to take 10s"),
        "{told:#?}"
    );
    world.facts.durations = Some(Durations {
        hooks: BTreeMap::from([("said".to_owned(), 300), ("unsaid".to_owned(), 400)]),
        ..durations()
    });
    let plan = world.planned();
    assert_eq!(expected(&plan, "w1/hook/said"), 300);
    assert_eq!(expected(&plan, "w1/hook/unsaid"), 400);
    assert_eq!(guesses(&plan), Vec::<String>::new());
    // Nobody counts where no window has to be filled.
    world.facts.durations = None;
    world.upgrade.windows.clear();
    assert_eq!(guesses(&world.planned()), Vec::<String>::new());
}

#[test]
fn windows_are_filled_by_what_was_seen() {
    let mut world = world();
    world.upgrade.windows[0].duration_s = 900;
    let sittings = |world: &World| {
        let plan = world.planned();
        schedule(&plan, plan.facts_at).unwrap().unwrap().len()
    };
    let before = sittings(&world);
    world.facts.durations = Some(durations());
    assert!(sittings(&world) > before);
    // Where nothing fits any more there is no plan, and the reason says which step needs how much.
    world
        .facts
        .durations
        .as_mut()
        .unwrap()
        .drains
        .insert(NodeName::new("w1"), 890);
    let told = world.told();
    let blocked = told.iter().find(|told| told.starts_with("no-window: "));
    let blocked = blocked.unwrap_or_else(|| panic!("{told:#?}"));
    assert!(
        blocked.contains("learned from an earlier run: w1/drain@1.35.4 takes 14 min 50 s; learned"),
        "{blocked}"
    );
    // Which run that was, where the facts know.
    let durations = world.facts.durations.as_mut().unwrap();
    let run = "20260930-230000-abcd".to_owned();
    durations.origins.drains.insert(NodeName::new("w1"), run);
    let told = world.told();
    let named = "learned from run 20260930-230000-abcd: w1/drain@1.35.4 takes 14 min 50 s";
    assert!(told.iter().any(|told| told.contains(named)), "{told:#?}");
}

#[test]
fn facts_without_them_are_as_they_were_and_redacted_ones_keep_them() {
    let mut world = world();
    let text = serde_json::to_string(&world.facts).unwrap();
    assert!(!text.contains("durations"));
    let mut durations = durations();
    let run = "20260930-230000-abcd".to_owned();
    durations.origins.drains.insert(NodeName::new("w1"), run);
    world.facts.durations = Some(durations);
    let text = serde_json::to_string(&world.facts).unwrap();
    assert_eq!(serde_json::from_str::<Facts>(&text).unwrap(), world.facts);
    let redacted = redact(&world.facts).unwrap();
    let shown = redacted.facts.durations.clone().unwrap();
    let w1 = redacted.node(&NodeName::new("w1"));
    assert_ne!(w1, "w1");
    assert_eq!(shown.drains, BTreeMap::from([(NodeName::new(&w1), 90)]));
    let origins = BTreeMap::from([(NodeName::new(&w1), "20260930-230000-abcd".to_owned())]);
    assert_eq!(shown.origins.drains, origins);
    assert_eq!(
        (shown.kinds, shown.newest),
        (self::durations().kinds, self::durations().newest)
    );
}
