//! Where hooks stand, and what they are told.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::declared::group;
use crate::build::World;
use refit::cluster::durations::Durations;
use refit::cluster::model::{HostName, NodeName};
use refit::documents::settings::{
    Condition, Gate, GatePoint, Hook, HookPlace, HookPoint, Rerun, Share, Window,
};
use refit::plan::data::{Action, Plan, StepId};
use refit::plan::verify::verify;
use refit::report::parts::hops;
use refit::report::plan::{Look, table};

fn hook(name: &str, at: HookPoint, on: HookPlace) -> Hook {
    Hook {
        name: name.to_owned(),
        at,
        on,
        run: vec!["do".to_owned(), "{minor}".to_owned()],
        check: None,
        env: BTreeMap::new(),
        directory: "plans".to_owned(),
        timeout_s: 600,
        expected_s: None,
        reboots: false,
        rerun: Rerun::Never,
    }
}

fn gate(name: &str, at: GatePoint) -> Gate {
    Gate {
        name: name.to_owned(),
        at,
        condition: Condition::Approval {
            by: vec!["alice".to_owned()],
            expires_s: 3600,
        },
    }
}

/// Each hook with what it waits for and what waits for it.
fn hooks(plan: &Plan) -> Vec<String> {
    let ids = |ids: Vec<&StepId>| {
        let stems: Vec<&str> = ids.into_iter().map(StepId::stem).collect();
        stems.join(" ")
    };
    plan.steps
        .iter()
        .filter(|step| matches!(step.action, Action::Hook { .. }))
        .map(|step| {
            let then = plan
                .steps
                .iter()
                .filter(|then| then.after.contains(&step.id));
            format!(
                "{} > {} > {}",
                ids(step.after.iter().collect()),
                step.id.stem(),
                ids(then.map(|then| &then.id).collect())
            )
        })
        .collect()
}

/// Every pair that has a meaning; the others are refused when the declaration is read.
#[test]
fn each_pair_stands_where_it_is_told_to() {
    let mut seen = String::new();
    for at in HookPoint::ALL {
        for on in HookPlace::ALL {
            if Hook::refused(at, on).is_some() {
                continue;
            }
            let mut world = World::new(2, 3, "1.34.4", "1.35.4");
            world.upgrade.workers.max_unavailable = Share::Count(2);
            world.upgrade.hooks = vec![hook("x", at, on)];
            let plan = world.planned();
            assert_eq!(verify(&plan, &world.facts), [], "{at:?} {on:?}");
            seen += &format!("{} {}\n", at.as_str(), on.as_str());
            for line in hooks(&plan) {
                seen += &format!("  {line}\n");
            }
        }
    }
    insta::assert_snapshot!(seen);
}

/// One hook and one gate at each point, and pauses.
fn everything() -> World {
    let mut world = World::new(2, 3, "1.34.4", "1.35.4");
    world.upgrade.workers.max_unavailable = Share::Count(2);
    world.upgrade.control_plane.pause = Duration::from_secs(60);
    let points = [
        GatePoint::BeforeHop,
        GatePoint::AfterControlPlane,
        GatePoint::BeforeWorkers,
        GatePoint::AfterEachWave,
        GatePoint::AfterHop,
    ];
    world.upgrade.gates = points.map(|at| gate(at.as_str(), at)).into();
    world.upgrade.hooks = HookPoint::ALL
        .into_iter()
        .flat_map(|at| {
            let names = [format!("z-{}", at.as_str()), format!("a-{}", at.as_str())];
            names.map(|name| hook(&name, at, HookPlace::ThisMachine))
        })
        .collect();
    world
}

#[test]
fn hooks_of_one_point_follow_each_other_and_gates_judge_what_they_did() {
    let world = everything();
    let plan = world.planned();
    assert_eq!(verify(&plan, &world.facts), []);
    insta::assert_snapshot!(hooks(&plan).join("\n"));
    // Reports tell them in the part in which they are met.
    let told: BTreeSet<String> = hops(&plan)
        .iter()
        .flat_map(|hop| &hop.sections)
        .flat_map(|section| {
            let hooks = section.steps.iter().filter_map(|step| match &step.action {
                Action::Hook { at, .. } => Some(at.as_str()),
                _ => None,
            });
            hooks.map(move |at| format!("{at}: {}", section.part.short()))
        })
        .collect();
    insta::assert_snapshot!(told.into_iter().collect::<Vec<_>>().join("\n"));
}

#[test]
fn what_it_runs_is_filled_in_for_each_hop_and_node() {
    let mut world = World::new(1, 2, "1.34.4", "1.36.3");
    let mut patch = hook("patch", HookPoint::Drained, HookPlace::EachWorker);
    patch.run = vec![
        "patch".to_owned(),
        "{node}/{host}".to_owned(),
        "{release}".to_owned(),
    ];
    patch.check = Some(vec!["patched".to_owned(), "{minor}".to_owned()]);
    patch.env = BTreeMap::from([("TO".to_owned(), "{minor}".to_owned())]);
    patch.reboots = true;
    patch.rerun = Rerun::Check;
    world.upgrade.hooks = vec![patch];
    let plan = world.planned();
    assert_eq!(verify(&plan, &world.facts), []);
    let found = plan
        .steps
        .iter()
        .find(|step| step.id.as_str() == "w2/hook/patch@1.36.3");
    let step = found.unwrap();
    assert_eq!(
        (step.timeout_s, step.retries, step.expected_s),
        (600, 0, 300)
    );
    assert_eq!(
        step.action,
        Action::Hook {
            name: "patch".to_owned(),
            at: HookPoint::Drained,
            host: Some(HostName::new("w2")),
            node: Some(NodeName::new("w2")),
            run: vec!["patch".to_owned(), "w2/w2".to_owned(), "1.36.3".to_owned()],
            check: Some(vec!["patched".to_owned(), "1.36".to_owned()]),
            env: BTreeMap::from([("TO".to_owned(), "1.36".to_owned())]),
            directory: None,
            reboots: true,
            rerun: Rerun::Check,
        }
    );
    assert_eq!(hooks(&plan).len(), 4, "two workers in two hops");
    let shown = table(&plan, 300, &Look::PLAIN);
    assert!(
        shown.contains("runs `env -- TO=1.36 patch w2/w2 1.36.3` on w2, unless `patched 1.36` ends with 0; it may reboot"),
        "{shown}"
    );
}

#[test]
fn a_host_with_nothing_left_to_do_is_looked_at_where_a_hook_runs() {
    let mut world = World::new(1, 2, "1.34.4", "1.35.4");
    let mut part = world.planned();
    let back = part
        .steps
        .iter()
        .position(|step| step.id.as_str() == "w1/uncordon@1.35.4");
    part.steps.truncate(back.unwrap() + 1);
    world.carry_out(&part);
    world.upgrade.hooks = vec![
        hook("all", HookPoint::BeforeHop, HookPlace::EachNode),
        hook("empty", HookPoint::Drained, HookPlace::EachNode),
    ];
    let plan = world.planned();
    assert_eq!(verify(&plan, &world.facts), []);
    let has = |id: &str| plan.steps.iter().any(|step| step.id.stem() == id);
    assert!(has("w1/check-host") && has("hook/all/w1") && has("hook/all/cp1"));
    assert!(
        !has("w1/hook/empty") && has("w2/hook/empty"),
        "{:?}",
        hooks(&plan)
    );
}

#[test]
fn nodes_that_stay_cordoned_or_were_left_so_have_their_hooks() {
    let mut world = World::new(1, 3, "1.34.4", "1.35.4");
    world.node("w1").unschedulable = true;
    let left = world.node("w2");
    left.unschedulable = true;
    left.cordoned_by = Some("run".to_owned());
    world.upgrade.hooks = vec![
        hook("back", HookPoint::BeforeUncordon, HookPlace::EachNode),
        hook("wave", HookPoint::AfterEachWave, HookPlace::EachWorker),
    ];
    let plan = world.planned();
    assert_eq!(verify(&plan, &world.facts), []);
    insta::assert_snapshot!(hooks(&plan).join("\n"));
}

#[test]
fn where_kubeadm_has_nothing_left_to_do_hooks_stand_all_the_same() {
    let mut world = World::new(1, 2, "1.35.4", "1.35.4");
    let left = world.node("w2");
    left.unschedulable = true;
    left.cordoned_by = Some("run".to_owned());
    world.upgrade.hooks = HookPoint::ALL
        .into_iter()
        .map(|at| hook(at.as_str(), at, HookPlace::ThisMachine))
        .collect();
    let plan = world.planned();
    assert_eq!(verify(&plan, &world.facts), []);
    insta::assert_snapshot!(hooks(&plan).join("\n"));
    // And where nothing at all is, no hook runs.
    world.node("w2").unschedulable = false;
    world.node("w2").cordoned_by = None;
    assert!(world.planned().is_empty());
}

#[test]
fn a_window_has_room_for_the_hooks_of_a_node() {
    let room = |hooks: Vec<Hook>| {
        let mut world = World::new(1, 1, "1.34.4", "1.35.4");
        world.upgrade.windows = vec![Window {
            start: "0 2 * * *".to_owned(),
            duration_s: 4 * 3600,
            timezone: "UTC".to_owned(),
        }];
        world.upgrade.hooks = hooks;
        let plan = world.planned();
        assert_eq!(verify(&plan, &world.facts), []);
        plan.windows.unwrap().room_s
    };
    let id = |text: &str| StepId::new(format!("{text}@1.35.4"));
    let without = room(Vec::new());
    let with = room(
        HookPoint::ALL
            .into_iter()
            .map(|at| hook(at.as_str(), at, HookPlace::ThisMachine))
            .collect(),
    );
    let begins = id("w1/kubeadm-node");
    assert_eq!(with[&begins], without[&begins] + 20);
    for alone in [
        "hook/before-hop",
        "cp1/hook/after-control-plane",
        "hook/after-hop",
    ] {
        assert_eq!(with[&id(alone)], 10, "{alone}");
    }
    for within in ["w1/hook/drained", "w1/hook/before-uncordon"] {
        assert!(!with.contains_key(&id(within)), "{within}");
    }
}

/// A soak is told with the wave that it watches, though a hook stands between.
#[test]
fn a_soak_behind_a_hook_is_told_with_its_wave() {
    let mut world = World::new(1, 3, "1.34.4", "1.35.4");
    for (node, pool) in [("w1", "first"), ("w2", "canary")] {
        let labels = &mut world.node(node).labels;
        labels.insert("pool".to_owned(), pool.to_owned());
    }
    world.upgrade.workers.order = vec![group("first", 0), group("canary", 600)];
    world.upgrade.hooks = vec![
        hook("here", HookPoint::AfterEachWave, HookPlace::ThisMachine),
        hook("there", HookPoint::AfterEachWave, HookPlace::EachWorker),
    ];
    let plan = world.planned();
    let hops = hops(&plan);
    let soaking: Vec<_> = hops[0]
        .sections
        .iter()
        .filter(|section| {
            let mut steps = section.steps.iter();
            steps.any(|step| matches!(step.action, Action::Soak { .. }))
        })
        .map(|section| section.part.short())
        .collect();
    assert_eq!(soaking, ["wave 2"]);
}

/// What was seen of a hook before is expected of it again, and of no other.
#[test]
fn a_hook_is_expected_to_take_what_it_took() {
    let mut world = World::new(1, 1, "1.34.4", "1.35.4");
    world.upgrade.hooks = vec![
        hook("seen", HookPoint::Drained, HookPlace::EachWorker),
        hook("new", HookPoint::Drained, HookPlace::EachWorker),
    ];
    world.facts.durations = Some(Durations {
        runs: 1,
        newest: "2026-11-21T10:30:00Z".parse().unwrap(),
        kinds: BTreeMap::new(),
        drains: BTreeMap::new(),
        hooks: BTreeMap::from([("seen".to_owned(), 123)]),
        origins: refit::cluster::durations::Origins::default(),
    });
    let plan = world.planned();
    let expected = |id: &str| plan.step(&StepId::new(id)).unwrap().expected_s;
    assert_eq!(expected("w1/hook/seen@1.35.4"), 123);
    assert_eq!(expected("w1/hook/new@1.35.4"), 10);
}
