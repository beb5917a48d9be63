//! Hooks that are not where they were declared, do not do what was declared, or are not declared at all.

use std::collections::BTreeMap;

use refit::cluster::model::{HostName, NodeName};
use refit::documents::settings::{Condition, Gate, GatePoint, Hook, HookPlace, HookPoint, Rerun};
use refit::plan::data::{Action, Plan, StepId};
use refit::plan::verify::verify;

use crate::build::World;
use crate::planner::declared::hook;

/// Two control planes and three workers in waves of one; at each point a hook on every machine that has a meaning there, and a
/// gate.
fn hooked() -> World {
    let mut world = World::new(2, 3, "1.34.4", "1.35.4");
    for at in HookPoint::ALL {
        for on in HookPlace::ALL {
            if Hook::refused(at, on).is_none() {
                world.upgrade.hooks.push(Hook {
                    name: format!("{}.{}", at.as_str(), on.as_str()),
                    at,
                    on,
                    run: vec!["do".to_owned(), "{release}".to_owned()],
                    check: Some(vec!["done".to_owned()]),
                    env: BTreeMap::from([("A".to_owned(), "b".to_owned())]),
                    directory: "plans".to_owned(),
                    timeout_s: 600,
                    expected_s: None,
                    reboots: false,
                    rerun: Rerun::Check,
                });
            }
        }
    }
    for at in [
        GatePoint::BeforeHop,
        GatePoint::AfterControlPlane,
        GatePoint::BeforeWorkers,
        GatePoint::AfterEachWave,
        GatePoint::AfterHop,
    ] {
        world.upgrade.gates.push(Gate {
            name: at.as_str().to_owned(),
            at,
            condition: Condition::Approval {
                by: vec!["alice".to_owned()],
                expires_s: 3600,
            },
        });
    }
    world
}

fn ids(plan: &Plan) -> Vec<StepId> {
    let hooks = plan
        .steps
        .iter()
        .filter(|step| matches!(step.action, Action::Hook { .. }));
    hooks.map(|step| step.id.clone()).collect()
}

fn position(plan: &Plan, id: &StepId) -> usize {
    plan.steps.iter().position(|step| step.id == *id).unwrap()
}

/// What waited for it waits for what it waited for.
fn cut(plan: &mut Plan, id: &StepId) -> refit::plan::data::Step {
    let gone = plan.steps.remove(position(plan, id));
    for step in &mut plan.steps {
        if step.after.contains(&gone.id) {
            step.after.retain(|id| *id != gone.id);
            step.after.extend(gone.after.iter().cloned());
        }
    }
    gone
}

fn told(world: &World, plan: &Plan) -> Vec<String> {
    verify(plan, &world.facts)
        .iter()
        .map(|violation| format!("{}: {violation}", violation.code()))
        .collect()
}

#[test]
fn a_hook_that_is_left_out_is_missed_wherever_it_is() {
    let world = hooked();
    let plan = world.planned();
    assert_eq!(told(&world, &plan), Vec::<String>::new());
    let hooks = ids(&plan);
    assert!(hooks.len() > 70, "{}", hooks.len());
    for id in &hooks {
        let mut without = plan.clone();
        cut(&mut without, id);
        let told = told(&world, &without);
        assert!(
            told.iter()
                .any(|line| line.starts_with("missing: ") && line.contains("has no hook")),
            "{id}: {told:#?}"
        );
    }
    for (id, said) in [
        (
            "cp1/hook/after-control-plane.first-control-plane@1.35.4",
            "missing: after-control-plane.first-control-plane at after-control-plane of the hop to 1.35.4 on cp1 has no hook where \
             gate/after-control-plane/cp1@1.35.4 needs it",
        ),
        (
            "w2/hook/drained.each-worker@1.35.4",
            "missing: drained.each-worker at drained of the hop to 1.35.4 on w2 has no hook where w2/install-kubelet@1.35.4 needs it",
        ),
        (
            "hook/after-each-wave.this-machine/wave-1@1.35.4",
            "missing: after-each-wave.this-machine at after-each-wave of the hop to 1.35.4 on this machine has no hook where \
             gate/after-each-wave/wave-1@1.35.4 needs it",
        ),
    ] {
        let mut without = plan.clone();
        cut(&mut without, &StepId::new(id));
        let told = told(&world, &without);
        assert!(told.iter().any(|line| line == said), "{said}\n{told:#?}");
    }
}

#[test]
fn a_hook_that_may_run_too_early_or_too_late_is_found() {
    let world = hooked();
    let plan = world.planned();
    for id in ids(&plan) {
        // Beside what should wait for it: nothing waits for it any more but the very end.
        let mut late = plan.clone();
        let gone = cut(&mut late, &id);
        let look = StepId::new("cluster/verify@1.35.4");
        let at = position(&late, &look);
        late.steps[at].after.push(id.clone());
        late.steps.insert(at, gone.clone());
        // Before what it should wait for: it waits for nothing but the first looks.
        let mut early = plan.clone();
        let at = position(&early, &id);
        early.steps[at].after = vec![StepId::new("cluster/check-cluster@1.35.4")];
        for (how, moved) in [("late", late), ("early", early)] {
            // The last hook may be late beside nothing but its own gate.
            let told = told(&world, &moved);
            assert!(
                told.iter()
                    .any(|line| line.contains("has no hook") || line.starts_with("unordered: ")),
                "{how}: {id}: {told:#?}"
            );
        }
    }
}

#[test]
fn a_hook_that_does_something_else_is_another_one() {
    let world = hooked();
    let plan = world.planned();
    let id = StepId::new("w2/hook/drained.each-worker@1.35.4");
    type Edit = fn(&mut Action);
    let edits: [(&str, Edit); 10] = [
        ("name", |action| {
            if let Action::Hook { name, .. } = action {
                name.push('x');
            }
        }),
        ("point", |action| {
            if let Action::Hook { at, .. } = action {
                *at = HookPoint::BeforeUncordon;
            }
        }),
        ("host", |action| {
            if let Action::Hook { host, .. } = action {
                *host = Some(HostName::new("w1"));
            }
        }),
        ("node", |action| {
            if let Action::Hook { node, .. } = action {
                *node = Some(NodeName::new("w1"));
            }
        }),
        ("run", |action| {
            if let Action::Hook { run, .. } = action {
                run[1] = "1.36.3".to_owned();
            }
        }),
        ("check", |action| {
            if let Action::Hook { check, .. } = action {
                *check = None;
            }
        }),
        ("env", |action| {
            if let Action::Hook { env, .. } = action {
                env.clear();
            }
        }),
        ("directory", |action| {
            if let Action::Hook { directory, .. } = action {
                *directory = Some("/".to_owned());
            }
        }),
        ("reboots", |action| {
            if let Action::Hook { reboots, .. } = action {
                *reboots = true;
            }
        }),
        ("rerun", |action| {
            if let Action::Hook { rerun, .. } = action {
                *rerun = Rerun::Safe;
            }
        }),
    ];
    for (what, edit) in edits {
        let mut other = plan.clone();
        let at = position(&other, &id);
        edit(&mut other.steps[at].action);
        let told = told(&world, &other);
        let needless =
            format!("needless: {id} must not be there: no hook is declared that does this there");
        assert!(told.contains(&needless), "{what}: {told:#?}");
        assert!(
            told.iter().any(|line| line.contains("has no hook")),
            "{what}: {told:#?}"
        );
    }
    let mut longer = plan.clone();
    let at = position(&longer, &id);
    longer.steps[at].timeout_s += 1;
    longer.steps[at].retries = 1;
    let told = told(&world, &longer);
    for said in [
        format!("argument: {id}: timeout_s is 601 and should be 600"),
        format!("argument: {id}: retries is 1 and should be 0"),
    ] {
        assert!(told.contains(&said), "{said}: {told:#?}");
    }
}

#[test]
fn a_hook_more_is_one_too_many() {
    let world = hooked();
    let plan = world.planned();
    for id in ids(&plan) {
        // A second time right after the first.
        let mut twice = plan.clone();
        let at = position(&twice, &id);
        let mut again = twice.steps[at].clone();
        again.id = StepId::new(format!("again/{id}"));
        for step in &mut twice.steps {
            if step.after.contains(&id) {
                step.after.push(again.id.clone());
            }
        }
        again.after = vec![id.clone()];
        twice.steps.insert(at + 1, again);
        let told = told(&world, &twice);
        assert!(
            told.iter()
                .any(|line| line.contains("no hook is declared that does this there")),
            "{id}: {told:#?}"
        );
    }
    // Where none is declared none may be.
    let mut undeclared = plan.clone();
    undeclared.limits.hooks.clear();
    assert_eq!(told(&world, &undeclared).len(), ids(&plan).len());
}

#[test]
fn each_hop_has_its_own() {
    let mut world = World::new(2, 2, "1.34.4", "1.36.3");
    world.upgrade.hooks = hooked().upgrade.hooks;
    let plan = world.planned();
    assert_eq!(told(&world, &plan), Vec::<String>::new());
    for hop in ["1.35.4", "1.36.3"] {
        let mut without = plan.clone();
        cut(
            &mut without,
            &StepId::new(format!("hook/before-hop.this-machine@{hop}")),
        );
        let told = told(&world, &without);
        let said = format!(
            "before-hop.this-machine at before-hop of the hop to {hop} on this machine has no hook"
        );
        assert!(
            told.iter().any(|line| line.contains(&said)),
            "{said}: {told:#?}"
        );
    }
}

#[test]
fn a_hook_waits_for_the_whole_of_what_it_completes() {
    let mut world = World::new(2, 2, "1.34.4", "1.35.4");
    world.node("w1").unschedulable = true;
    world.upgrade.hooks = vec![
        hook("served", HookPoint::BeforeWorkers, HookPlace::ThisMachine),
        hook("ready", HookPoint::BeforeUncordon, HookPlace::EachWorker),
        hook("wave", HookPoint::AfterEachWave, HookPlace::ThisMachine),
    ];
    let plan = world.planned();
    for (id, instead) in [
        // The control planes' kubelets are still to come.
        ("hook/served", "cluster/await-addons"),
        // The node is ready, and its own hook has not run.
        ("hook/wave/wave-1", "w1/await-node"),
    ] {
        let id = StepId::new(format!("{id}@1.35.4"));
        let mut early = plan.clone();
        let at = position(&early, &id);
        let instead = vec![StepId::new(format!("{instead}@1.35.4"))];
        let was = std::mem::replace(&mut early.steps[at].after, instead);
        for step in &mut early.steps {
            if step.after.contains(&id) {
                step.after.extend(was.iter().cloned());
            }
        }
        let told = told(&world, &early);
        assert!(
            told.iter().any(|line| line.contains("has no hook")),
            "{id}: {told:#?}"
        );
    }
}
