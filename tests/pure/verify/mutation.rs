//! Three thousand small changes to valid plans. A brute force says which of them break something; `verify` must find each. How
//! many: `cargo test --test pure -- --nocapture every_change`; other ones than usual: with `REFIT_CHANGES=20000`.
#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::time::Duration;

use refit::cluster::facts::Observed;
use refit::cluster::model::{HostName, NodeName, OUTDATED};
use refit::documents::settings::{HookPlace, HookPoint, Rerun, Share, Window};
use refit::plan::data::{Action, Condition, Gate, GatePoint, Plan, Step, StepId};
use refit::plan::verify::verify;

use super::oracle;
use crate::build::{World, v};
use crate::dice::Dice;
use crate::planner::declared::{everywhere, group, hook, meaningful};

const CHANGES: usize = 3000;

/// Small clusters in many states.
fn worlds() -> Vec<World> {
    let target = v("1.35.4");
    let minor = |control_planes, workers| World::new(control_planes, workers, "1.34.4", "1.35.4");
    let patch = |control_planes, workers| World::new(control_planes, workers, "1.35.2", "1.35.4");
    let mut worlds = vec![
        minor(1, 1),
        minor(1, 2),
        minor(2, 1),
        patch(1, 2),
        patch(2, 1),
    ];

    let mut prepared = minor(3, 0);
    for name in ["cp1", "cp2", "cp3"] {
        prepared.install_kubeadm(name, &target);
    }
    worlds.push(prepared);

    let mut begun = minor(1, 4);
    begun.upgrade.workers.max_unavailable = Share::Count(2);
    for name in ["cp1", "w1", "w2", "w3", "w4"] {
        begun.install_kubeadm(name, &target);
    }
    begun.upgrade_instance("cp1", &target);
    begun.config().kubernetes_version = target.clone();
    begun.roll_kube_proxy(&target);
    worlds.push(begun);

    let mut left = minor(1, 2);
    left.node("w2").unschedulable = true;
    left.node("w2").cordoned_by = Some("earlier".to_owned());
    left.packages("w1").held.clear();
    left.packages("w2").installed.remove("kubectl");
    worlds.push(left);

    let mut stays = minor(1, 2);
    stays.upgrade.workers.max_unavailable = Share::Count(2);
    stays.node("w1").unschedulable = true;
    worlds.push(stays);

    worlds.push(World::new(1, 1, "1.34.4", "1.36.3"));
    worlds.push(World::new(2, 0, "1.34.4", "1.36.3"));
    let mut skipping = World::new(1, 1, "1.33.5", "1.36.3");
    skipping.upgrade.workers.skip_level = true;
    skipping.packages("w1").held.remove("kubectl");
    let pause = "--pod-infra-container-image=registry.k8s.io/pause:3.10".to_owned();
    skipping.host("w1").kubelet_flags = Observed::Known(vec![pause]);
    worlds.push(skipping);

    let mut full = patch(2, 1);
    full.upgrade.control_plane.drain = false;
    worlds.push(full);
    worlds.extend(asking());
    worlds.extend(hooked());

    let mut tainted = minor(1, 2);
    for name in ["w1", "w2"] {
        tainted.node(name).taints = vec![OUTDATED.to_owned()];
    }
    worlds.push(tainted.clone());
    tainted.install_kubelet("w1", &target);
    tainted.install_kubeadm("w1", &target);
    tainted.install_kubeadm("cp1", &target);
    tainted.upgrade_instance("cp1", &target);
    tainted.config().kubernetes_version = target.clone();
    tainted.roll_kube_proxy(&target);
    tainted.node("w1").unschedulable = true;
    tainted.node("w1").cordoned_by = Some("earlier".to_owned());
    worlds.push(tainted);
    worlds
}

/// Clusters whose declarations ask for something between steps.
fn asking() -> Vec<World> {
    let mut gated = World::new(1, 2, "1.34.4", "1.35.4");
    gated.upgrade.gates = everywhere();
    let mut paused = World::new(2, 1, "1.34.4", "1.35.4");
    paused.upgrade.control_plane.pause = Duration::from_secs(60);
    let after = |name: &str, condition| Gate {
        name: name.to_owned(),
        at: GatePoint::AfterControlPlane,
        condition,
    };
    paused.upgrade.gates = vec![
        after(
            "metrics",
            Condition::Command {
                run: vec!["./healthy".to_owned()],
                directory: "plans".to_owned(),
                for_s: 60,
                timeout_s: 600,
            },
        ),
        after(
            "people",
            Condition::Approval {
                by: vec!["alice".to_owned()],
                expires_s: 3600,
            },
        ),
    ];
    let mut far = World::new(1, 1, "1.34.4", "1.36.3");
    far.upgrade.gates = everywhere();
    let mut soaking = World::new(1, 3, "1.35.2", "1.35.4");
    soaking.upgrade.workers.max_unavailable = Share::Count(2);
    soaking.upgrade.workers.order = vec![group("canary", 600), group("early", 60)];
    for (node, pool) in [("w2", "canary"), ("w3", "early")] {
        let labels = &mut soaking.node(node).labels;
        labels.insert("pool".to_owned(), pool.to_owned());
    }
    // What an earlier run left cordoned goes first of all.
    let mut left = soaking.clone();
    left.upgrade.gates = everywhere();
    let node = left.node("w3");
    (node.unschedulable, node.cordoned_by) = (true, Some("earlier".to_owned()));
    let mut waves = World::new(1, 4, "1.35.2", "1.35.4");
    waves.upgrade.workers.max_unavailable = Share::Count(2);
    waves.upgrade.gates = everywhere();
    for name in ["cp1", "w1", "w2", "w3", "w4"] {
        waves.install_kubeadm(name, &v("1.35.4"));
    }
    let mut nightly = World::new(2, 1, "1.35.2", "1.35.4");
    nightly.upgrade.windows = vec![Window {
        start: "0 1 * * *".to_owned(),
        duration_s: 6 * 3600,
        timezone: "Europe/Berlin".to_owned(),
    }];
    let mut kept = nightly.clone();
    kept.upgrade.gates = everywhere();
    kept.node("w1").unschedulable = true;
    vec![gated, paused, far, soaking, left, waves, nightly, kept]
}

/// Clusters whose declarations have hooks.
fn hooked() -> Vec<World> {
    let named = |(at, on): (HookPoint, HookPlace)| {
        let name = format!("{}.{}", at.as_str(), on.as_str());
        hook(&name, at, on)
    };
    let here = || {
        meaningful()
            .into_iter()
            .filter(|(_, on)| *on == HookPlace::ThisMachine)
    };
    let there = |on: HookPlace| meaningful().into_iter().filter(move |(_, of)| *of == on);

    let mut all = World::new(1, 2, "1.35.2", "1.35.4");
    all.upgrade.hooks = meaningful().into_iter().map(named).collect();
    let mut two = World::new(2, 1, "1.35.2", "1.35.4");
    two.upgrade.control_plane.drain = false;
    two.upgrade.hooks = here()
        .chain(there(HookPlace::FirstControlPlane))
        .map(named)
        .collect();
    let mut gated = World::new(2, 1, "1.35.2", "1.35.4");
    gated.upgrade.gates = everywhere();
    gated.upgrade.control_plane.pause = Duration::from_secs(60);
    gated.upgrade.hooks = here()
        .chain(there(HookPlace::EachControlPlane))
        .map(named)
        .collect();
    let mut waves = World::new(1, 4, "1.35.2", "1.35.4");
    waves.upgrade.workers.max_unavailable = Share::Count(2);
    for name in ["cp1", "w1", "w2", "w3", "w4"] {
        waves.install_kubeadm(name, &v("1.35.4"));
    }
    let mut kept = waves.clone();
    waves.upgrade.hooks = vec![
        named((HookPoint::Drained, HookPlace::EachWorker)),
        named((HookPoint::AfterEachWave, HookPlace::EachWorker)),
        named((HookPoint::AfterEachWave, HookPlace::ThisMachine)),
        named((HookPoint::BeforeWorkers, HookPlace::EachWorker)),
    ];
    kept.upgrade.gates = everywhere();
    for name in ["cp1", "w1", "w2"] {
        kept.node(name).unschedulable = true;
    }
    kept.upgrade.hooks = vec![
        named((HookPoint::BeforeUncordon, HookPlace::EachNode)),
        named((HookPoint::BeforeUncordon, HookPlace::ThisMachine)),
        named((HookPoint::BeforeWorkers, HookPlace::EachNode)),
        named((HookPoint::AfterEachWave, HookPlace::ThisMachine)),
    ];
    let mut far = World::new(1, 1, "1.34.4", "1.36.3");
    far.upgrade.hooks = here().map(named).collect();
    far.upgrade.hooks[0].name = "first-of-all".to_owned();
    far.upgrade.hooks.extend(
        [
            HookPoint::BeforeHop,
            HookPoint::Drained,
            HookPoint::AfterHop,
        ]
        .map(|at| named((at, HookPlace::EachNode))),
    );
    let mut nightly = World::new(1, 2, "1.35.2", "1.35.4");
    nightly.upgrade.windows = vec![Window {
        start: "0 1 * * *".to_owned(),
        duration_s: 6 * 3600,
        timezone: "Europe/Berlin".to_owned(),
    }];
    nightly.node("w1").unschedulable = true;
    nightly.upgrade.hooks = here()
        .chain(there(HookPlace::EachWorker))
        .map(named)
        .collect();
    let patch = &mut nightly.upgrade.hooks;
    for hook in patch
        .iter_mut()
        .filter(|hook| hook.at == HookPoint::Drained)
    {
        hook.check = Some(vec!["./done".to_owned(), "{release}".to_owned()]);
        hook.rerun = Rerun::Check;
        hook.reboots = hook.on != HookPlace::ThisMachine;
    }
    vec![all, two, gated, waves, kept, far, nightly]
}

/// What is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Change {
    Swap,
    Drop,
    DropEdge,
    AddEdge,
    OtherVersion,
    OtherNode,
    WiderWave,
    DropAsked,
    MoveAsked,
    AlterAsked,
    PassAsked,
    OtherRoom,
    DropHook,
    MoveHook,
    AlterHook,
    PassHook,
    OtherHost,
    OtherTaint,
}

const ALL: [Change; 18] = [
    Change::Swap,
    Change::Drop,
    Change::DropEdge,
    Change::AddEdge,
    Change::OtherVersion,
    Change::OtherNode,
    Change::WiderWave,
    Change::DropAsked,
    Change::MoveAsked,
    Change::AlterAsked,
    Change::PassAsked,
    Change::OtherRoom,
    Change::DropHook,
    Change::MoveHook,
    Change::AlterHook,
    Change::PassHook,
    Change::OtherHost,
    Change::OtherTaint,
];

/// The plan with one change, if this kind of change can be made to it.
fn changed(plan: &Plan, change: Change, random: &mut Dice) -> Plan {
    let mut plan = plan.clone();
    let count = plan.steps.len();
    match change {
        Change::Swap => {
            let (one, other) = (random.below(count), random.below(count));
            let kept = plan.steps[one].action.clone();
            plan.steps[one].action = std::mem::replace(&mut plan.steps[other].action, kept);
        }
        Change::Drop => {
            take(&mut plan, random.below(count));
        }
        Change::DropEdge => {
            let step = &mut plan.steps[random.below(count)];
            if !step.after.is_empty() {
                let edge = random.below(step.after.len());
                step.after.remove(edge);
            }
        }
        Change::AddEdge => {
            let before = random.of(&plan.steps).id.clone();
            plan.steps[random.below(count)].after.push(before);
        }
        Change::OtherVersion => {
            let other = *random.of(&[
                "1.34.4", "1.34.9", "1.35.0", "1.35.3", "1.35.4", "1.36.0", "1.36.3",
            ]);
            let revision = *random.of(&["-1.1", "-2.1"]);
            let at = random.below(count + 1);
            match plan.steps.get_mut(at).map(|step| &mut step.action) {
                None => plan.target = v(other),
                Some(action) => other_version(action, other, revision, random),
            }
        }
        Change::OtherTaint => other_taint(&mut plan, random),
        Change::OtherNode => {
            let name = random.of(&nodes(&plan)).to_string();
            let at = random.below(count);
            other_node(&mut plan.steps[at].action, &name, random);
        }
        Change::DropAsked | Change::MoveAsked | Change::AlterAsked | Change::PassAsked => {
            if let Some(at) = asked(&plan, random) {
                match change {
                    Change::DropAsked => drop(take(&mut plan, at)),
                    Change::MoveAsked => moved(&mut plan, at, random),
                    Change::PassAsked => passed(&mut plan, at, random),
                    _ => {
                        let nodes: Vec<NodeName> = nodes(&plan);
                        altered(&mut plan.steps[at], &nodes, random);
                    }
                }
            }
        }
        Change::DropHook
        | Change::MoveHook
        | Change::AlterHook
        | Change::PassHook
        | Change::OtherHost => {
            if let Some(at) = hook_step(&plan, random) {
                match change {
                    Change::DropHook => drop(take(&mut plan, at)),
                    Change::MoveHook => moved(&mut plan, at, random),
                    Change::PassHook => passed(&mut plan, at, random),
                    Change::OtherHost => {
                        let name = random.of(&nodes(&plan)).to_string();
                        other_machine(&mut plan.steps[at].action, &name, random);
                    }
                    _ => altered_hook(&mut plan.steps[at], random),
                }
            }
        }
        Change::OtherRoom => other_room(&mut plan, random),
        Change::WiderWave => {
            let release = *random.of(&["1.35.4", "1.36.3"]);
            let minor = v(release).minor();
            let wave = StepId::new(format!("barrier/wave-{}@{minor}", 1 + random.below(3)));
            let gate = StepId::new(format!("cluster/await-addons@{release}"));
            for step in &mut plan.steps {
                if step.action.host().is_some() || step.action.node().is_some() {
                    for id in &mut step.after {
                        if *id == wave {
                            *id = gate.clone();
                        }
                    }
                }
            }
        }
    }
    for step in &mut plan.steps {
        step.after.sort();
        step.after.dedup();
    }
    plan
}

/// Takes a step out; what waited for it waits for what it waited for.
fn take(plan: &mut Plan, at: usize) -> Step {
    let gone = plan.steps.remove(at);
    for step in &mut plan.steps {
        if step.after.contains(&gone.id) {
            step.after.retain(|id| *id != gone.id);
            step.after.extend(gone.after.iter().cloned());
        }
    }
    gone
}

fn nodes(plan: &Plan) -> Vec<NodeName> {
    let steps = plan.steps.iter();
    steps
        .filter_map(|step| step.action.node().cloned())
        .collect()
}

/// One of the steps that the declaration asks for.
fn asked(plan: &Plan, random: &mut Dice) -> Option<usize> {
    let steps = plan.steps.iter().enumerate();
    let all: Vec<usize> = steps
        .filter(|(_, step)| matches!(step.action, Action::Gate { .. } | Action::Soak { .. }))
        .map(|(at, _)| at)
        .collect();
    (!all.is_empty()).then(|| *random.of(&all))
}

fn hook_step(plan: &Plan, random: &mut Dice) -> Option<usize> {
    let steps = plan.steps.iter().enumerate();
    let all: Vec<usize> = steps
        .filter(|(_, step)| matches!(step.action, Action::Hook { .. }))
        .map(|(at, _)| at)
        .collect();
    (!all.is_empty()).then(|| *random.of(&all))
}

fn altered_hook(step: &mut Step, random: &mut Dice) {
    let Action::Hook {
        name,
        at,
        run,
        check,
        env,
        directory,
        reboots,
        rerun,
        ..
    } = &mut step.action
    else {
        return;
    };
    match random.below(12) {
        0 => name.push('x'),
        1 => *at = random.of(&HookPoint::ALL).to_owned(),
        2 => run[1].push('0'),
        3 => run.push("more".to_owned()),
        4 => {
            run.pop();
        }
        5 => *check = check.is_none().then(|| vec!["true".to_owned()]),
        6 => env.clear(),
        7 => {
            env.insert("TO".to_owned(), "1.35.3".to_owned());
        }
        8 => *directory = directory.is_none().then(|| "/".to_owned()),
        9 => *reboots ^= true,
        10 => {
            *rerun = match rerun {
                Rerun::Never => Rerun::Safe,
                Rerun::Safe | Rerun::Check => Rerun::Never,
            }
        }
        _ => match random.below(2) {
            0 => step.timeout_s *= 2,
            _ => step.retries += 1,
        },
    }
}

/// The host, its node, or both; or this machine.
fn other_machine(action: &mut Action, name: &str, random: &mut Dice) {
    if let Action::Hook { host, node, .. } = action {
        let which = random.below(4);
        if matches!(which, 0 | 2) {
            *host = Some(HostName::new(name));
        }
        if which > 0 {
            *node = Some(NodeName::new(name));
        }
        if which == 3 {
            *host = None;
        }
    }
}

/// To another place: between a step and all or one of those that wait for it.
fn moved(plan: &mut Plan, at: usize, random: &mut Dice) {
    let mut step = take(plan, at);
    let after = random.of(&plan.steps).id.clone();
    let followers: Vec<usize> = (0..plan.steps.len())
        .filter(|&other| plan.steps[other].after.contains(&after))
        .collect();
    let only = random.below(2 * followers.len().max(1));
    for (index, &follower) in followers.iter().enumerate() {
        if only == index || only >= followers.len() {
            let then = &mut plan.steps[follower].after;
            then.retain(|id| *id != after);
            then.push(step.id.clone());
        }
    }
    step.after = vec![after];
    plan.steps.push(step);
    // Plans are read in an order that their steps allow.
    if let Ok(sorted) = refit::plan::graph::sorted(plan.steps.clone()) {
        plan.steps = sorted;
    }
}

fn altered(step: &mut Step, nodes: &[NodeName], random: &mut Dice) {
    let Step {
        action, timeout_s, ..
    } = step;
    match action {
        Action::Soak { for_s, nodes: of } => match random.below(4) {
            0 => *for_s /= 2,
            1 => *for_s += 30,
            2 => *for_s = 0,
            _ => *of = vec![random.of(nodes).clone()],
        },
        Action::Gate { gate } => match (random.below(4), &mut gate.condition) {
            (0, _) => gate.at = random.of(&everywhere()).at,
            (1, _) => gate.name.push('x'),
            (2, Condition::Command { .. } | Condition::Prometheus { .. }) => *timeout_s += 60,
            (_, Condition::Command { for_s, .. } | Condition::Prometheus { for_s, .. }) => {
                *for_s /= 2;
            }
            (2, Condition::Approval { by, .. }) => by.push("mallory".to_owned()),
            (_, Condition::Approval { expires_s, .. }) => *expires_s *= 2,
        },
        _ => {}
    }
}

/// Of one step that waits for it.
fn passed(plan: &mut Plan, at: usize, random: &mut Dice) {
    let (id, before) = (plan.steps[at].id.clone(), plan.steps[at].after.clone());
    let steps = plan.steps.iter().enumerate();
    let followers: Vec<usize> = steps
        .filter(|(_, step)| step.after.contains(&id))
        .map(|(at, _)| at)
        .collect();
    if !followers.is_empty() {
        let after = &mut plan.steps[*random.of(&followers)].after;
        after.retain(|other| *other != id);
        after.extend(before);
    }
}

fn other_room(plan: &mut Plan, random: &mut Dice) {
    let step = random.of(&plan.steps).id.clone();
    let Some(windows) = &mut plan.windows else {
        return;
    };
    let named: Vec<StepId> = windows.room_s.keys().cloned().collect();
    let one = random.of(&named).clone();
    match random.below(5) {
        0 => {
            windows.room_s.remove(&one);
        }
        1 => *windows.room_s.entry(one).or_default() -= 1,
        2 => *windows.room_s.entry(one).or_default() += 60,
        3 => {
            windows.room_s.insert(step, 3600);
        }
        _ => {
            let longer = plan.steps.iter_mut().find(|of| of.id == step);
            longer.unwrap().expected_s += 60;
        }
    }
}

/// Of the taint of workers that are yet to be drained: whom it is put on, when, whether it goes, or whether it is wanted.
fn other_taint(plan: &mut Plan, random: &mut Dice) {
    let which = random.below(5);
    if which == 0 {
        plan.limits.outdated_avoided ^= true;
        return;
    }
    let named = |step: &Step| match which {
        1 | 2 => matches!(step.action, Action::Uncordon { .. }),
        _ => matches!(step.action, Action::TaintOutdated { .. }),
    };
    let steps: Vec<usize> = (0..plan.steps.len())
        .filter(|&at| named(&plan.steps[at]))
        .collect();
    if steps.is_empty() {
        return;
    }
    let at = *random.of(&steps);
    match &mut plan.steps[at].action {
        Action::Uncordon { outdated, .. } => *outdated ^= true,
        Action::TaintOutdated { nodes } if which == 3 => {
            let place = random.below(nodes.len());
            nodes.remove(place);
        }
        _ => moved(plan, at, random),
    }
}

fn other_version(action: &mut Action, other: &str, revision: &str, random: &mut Dice) {
    match action {
        Action::PrefetchPackages { packages, .. }
        | Action::InstallKubeadm { packages, .. }
        | Action::InstallKubelet { packages, .. } => {
            let at = random.below(packages.len());
            packages[at].revision = format!("{other}{revision}");
        }
        Action::PullImages { version, .. }
        | Action::KubeadmApply { version, .. }
        | Action::KubeadmNode { version, .. }
        | Action::AwaitControlPlane { version, .. }
        | Action::AwaitStaticPods { version, .. }
        | Action::AwaitNode { version, .. }
        | Action::Verify { version, .. } => *version = v(other),
        Action::AwaitAddons { kube_proxy } => *kube_proxy = Some(v(other)),
        Action::SwitchRepository { minor, .. } => *minor = v(other).minor(),
        Action::CheckHost { .. }
        | Action::CheckCluster { .. }
        | Action::SnapshotEtcd { .. }
        | Action::HoldPackages { .. }
        | Action::Cordon { .. }
        | Action::Drain { .. }
        | Action::TaintOutdated { .. }
        | Action::Uncordon { .. }
        | Action::ReleaseHolds { .. }
        | Action::Soak { .. }
        | Action::Gate { .. }
        | Action::Hook { .. }
        | Action::WayBack { .. }
        | Action::Barrier { .. } => {}
    }
}

fn other_node(action: &mut Action, name: &str, random: &mut Dice) {
    let (other_host, other_node) = (HostName::new(name), NodeName::new(name));
    match action {
        Action::CheckHost { host, node, .. }
        | Action::AwaitControlPlane { host, node, .. }
        | Action::AwaitStaticPods { host, node, .. } => {
            // The host, its node, or both.
            let which = random.below(3);
            if which != 1 {
                *host = other_host;
            }
            if which != 0 {
                *node = other_node;
            }
        }
        Action::CheckCluster { host, .. }
        | Action::SnapshotEtcd { host, .. }
        | Action::HoldPackages { host, .. }
        | Action::SwitchRepository { host, .. }
        | Action::PrefetchPackages { host, .. }
        | Action::InstallKubeadm { host, .. }
        | Action::PullImages { host, .. }
        | Action::KubeadmApply { host, .. }
        | Action::KubeadmNode { host, .. }
        | Action::InstallKubelet { host, .. }
        | Action::ReleaseHolds { host, .. } => *host = other_host,
        Action::Cordon { node }
        | Action::Drain { node, .. }
        | Action::AwaitNode { node, .. }
        | Action::Uncordon { node, .. } => *node = other_node,
        Action::TaintOutdated { nodes } => {
            let at = random.below(nodes.len());
            nodes[at] = other_node;
        }
        Action::AwaitAddons { .. }
        | Action::Verify { .. }
        | Action::Soak { .. }
        | Action::Gate { .. }
        | Action::Hook { .. }
        | Action::WayBack { .. }
        | Action::Barrier { .. } => {}
    }
}

/// Of one kind of change: how many, how many broke something, how many of these were found, and how many were refused that
/// the brute force has nothing against.
#[derive(Debug, Default)]
struct Count {
    made: usize,
    broken: usize,
    found: usize,
    stricter: usize,
}

#[test]
fn valid_plans_are_right_by_brute_force_too() {
    for (index, world) in worlds().into_iter().enumerate() {
        let plan = world.planned();
        assert_eq!(oracle::judge(&world, &plan), None, "world {index}");
    }
}

#[test]
fn every_change_that_breaks_something_is_found() {
    let worlds = worlds();
    let plans: Vec<Plan> = worlds.iter().map(World::planned).collect();
    let told = std::env::var("REFIT_CHANGES").ok();
    let changes = told.and_then(|told| told.parse().ok()).unwrap_or(CHANGES);
    let mut random = Dice(if changes == CHANGES {
        7
    } else {
        changes as u64
    });
    let mut counts: BTreeMap<Change, Count> = BTreeMap::new();
    let mut missed = Vec::new();
    let mut stricter = Vec::new();
    let mut made = 0;
    while made < changes {
        let at = random.below(plans.len());
        let change = *random.of(&ALL);
        let plan = changed(&plans[at], change, &mut random);
        if plan == plans[at] {
            continue;
        }
        made += 1;
        let truth = oracle::judge(&worlds[at], &plan);
        let found = verify(&plan, &worlds[at].facts);
        let count = counts.entry(change).or_default();
        count.made += 1;
        match truth {
            Some(truth) => {
                count.broken += 1;
                count.found += usize::from(!found.is_empty());
                if found.is_empty() {
                    missed.push(format!("{change:?} in world {at}: {truth}"));
                }
            }
            None if !found.is_empty() => {
                count.stricter += 1;
                stricter.push(format!("{change:?} in world {at}: {}", found[0]));
            }
            None => {}
        }
    }
    println!(
        "{:<14}{:>6}{:>8}{:>7}{:>20}",
        "change", "made", "broken", "found", "refused, not broken"
    );
    for (change, count) in &counts {
        let Count {
            made,
            broken,
            found,
            stricter,
        } = count;
        println!(
            "{:<14}{made:>6}{broken:>8}{found:>7}{stricter:>20}",
            format!("{change:?}")
        );
    }
    let broken: usize = counts.values().map(|count| count.broken).sum();
    let found: usize = counts.values().map(|count| count.found).sum();
    println!("{found} of {broken} broken plans among {made} changes were found");
    assert!(missed.is_empty(), "{missed:#?}");
    assert!(stricter.is_empty(), "{stricter:#?}");
    // The changes must not be harmless.
    assert!(broken * 2 > made, "{broken} of {made}");
}
