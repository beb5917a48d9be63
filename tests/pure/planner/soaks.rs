//! Where pauses and soaks stand, and what counts them.

use std::time::Duration;

use super::declared::group;
use crate::build::{World, v};
use refit::documents::settings::{Share, Window};
use refit::plan::data::{Action, Plan, StepId};
use refit::plan::windows::schedule;
use refit::report::plan::{Look, table};

/// `w1` is a canary, `w2` an early one, `w3` and `w4` the rest.
fn world(from: &str, target: &str) -> World {
    let mut world = World::new(2, 4, from, target);
    for (node, pool) in [("w1", "canary"), ("w2", "early")] {
        let labels = &mut world.node(node).labels;
        labels.insert("pool".to_owned(), pool.to_owned());
    }
    world.upgrade.workers.max_unavailable = Share::Count(4);
    world.upgrade.workers.order = vec![group("canary", 600), group("early", 60)];
    world.upgrade.control_plane.pause = Duration::from_secs(120);
    world
}

/// Each soak with its time, its nodes, and what it waits for; and what waits for it.
fn soaks(plan: &Plan) -> Vec<String> {
    let ids = |ids: Vec<&StepId>| {
        ids.into_iter()
            .map(StepId::stem)
            .collect::<Vec<_>>()
            .join(" ")
    };
    plan.steps
        .iter()
        .filter_map(|step| {
            let Action::Soak { for_s, nodes } = &step.action else {
                return None;
            };
            assert_eq!(step.expected_s, *for_s);
            let nodes: Vec<&str> = nodes.iter().map(|node| node.as_str()).collect();
            let then = plan
                .steps
                .iter()
                .filter(|then| then.after.contains(&step.id));
            Some(format!(
                "{}: {for_s} s of {}, after {}, before {}",
                step.id,
                nodes.join(" "),
                ids(step.after.iter().collect()),
                ids(then.map(|then| &then.id).collect()),
            ))
        })
        .collect()
}

#[test]
fn time_passes_between_control_planes_and_between_groups_of_workers() {
    let plan = world("1.34.4", "1.35.4").planned();
    assert_eq!(
        soaks(&plan),
        [
            "cp1/pause@1.35.4: 120 s of cp1, after cp1/await-control-plane, before cp2/kubeadm-node",
            "cp1/pause-kubelet@1.35.4: 120 s of cp1, after cp1/uncordon, before cp2/cordon",
            "cluster/soak-group-1@1.35.4: 600 s of w1, after barrier/wave-1, before w2/kubeadm-node",
            "cluster/soak-group-2@1.35.4: 60 s of w2, after barrier/wave-2, before w3/kubeadm-node w4/kubeadm-node",
        ]
    );
    let without = World::new(2, 4, "1.34.4", "1.35.4").planned();
    assert_eq!(soaks(&without), Vec::<String>::new());
    assert!(!without.to_json().unwrap().contains("soak"));
    insta::assert_snapshot!(table(&plan, 120, &Look::PLAIN));
}

#[test]
fn groups_that_are_empty_or_do_not_soak_are_passed_over() {
    let mut world = world("1.34.4", "1.35.4");
    world.upgrade.control_plane.pause = Duration::ZERO;
    world.upgrade.workers.order = vec![group("canary", 0), group("none", 300), group("early", 0)];
    assert_eq!(soaks(&world.planned()), Vec::<String>::new());
    // The first one's time passes before any later group, whichever is next.
    world.upgrade.workers.order = vec![group("canary", 60), group("none", 300)];
    let soaks = soaks(&world.planned());
    assert!(
        soaks[0].starts_with("cluster/soak-group-1@1.35.4: 60 s of w1"),
        "{soaks:?}"
    );
    assert_eq!(soaks.len(), 1);
}

/// Nothing tells how long ago canaries came to the release, so that they are watched before the next ones go.
#[test]
fn canaries_that_are_at_the_release_already_are_watched_all_the_same() {
    let mut world = world("1.35.2", "1.35.4");
    let whole = world.planned();
    let soak = whole
        .steps
        .iter()
        .position(|step| step.id.as_str().contains("soak-group-1"));
    let mut part = whole.clone();
    part.steps.truncate(soak.unwrap());
    world.carry_out(&part);
    assert_eq!(world.node("w1").kubelet_version, v("1.35.4").to_string());
    let soaks = soaks(&world.planned());
    assert!(
        soaks[0].starts_with(
            "cluster/soak-group-1@1.35.4: 600 s of w1, after cluster/taint-outdated, before w2/"
        ),
        "{soaks:?}"
    );
}

/// What an earlier run left cordoned is out of service already and goes first; no other one goes before its group is watched.
#[test]
fn a_canary_that_was_left_cordoned_is_watched_too() {
    let mut world = world("1.34.4", "1.35.4");
    let node = world.node("w1");
    node.unschedulable = true;
    node.cordoned_by = Some("an-earlier-run".to_owned());
    let soaks = soaks(&world.planned());
    assert!(
        soaks.iter().any(|soak| soak
            .starts_with("cluster/soak-group-1@1.35.4: 600 s of w1, after barrier/wave-1")),
        "{soaks:?}"
    );
}

#[test]
fn each_hop_has_its_own() {
    let soaks = soaks(&world("1.34.4", "1.36.3").planned());
    let count = |what: &str| soaks.iter().filter(|soak| soak.contains(what)).count();
    for release in ["1.35.4", "1.36.3"] {
        assert_eq!(
            count(&format!("cluster/soak-group-1@{release}")),
            1,
            "{soaks:#?}"
        );
        assert_eq!(count(&format!("cp1/pause@{release}")), 1, "{soaks:#?}");
    }
    assert_eq!(soaks.len(), 8);
}

#[test]
fn windows_count_the_time() {
    let sittings = |soak_s: u64| {
        let mut world = world("1.34.4", "1.35.4");
        world.upgrade.workers.order[0].soak = Duration::from_secs(soak_s);
        world.upgrade.windows = vec![Window {
            start: "0 2 * * *".to_owned(),
            duration_s: 2 * 3600,
            timezone: "UTC".to_owned(),
        }];
        let plan = world.planned();
        assert!(plan.expected_s() > soak_s);
        let at = plan.facts_at;
        schedule(&plan, at).unwrap().unwrap()
    };
    assert_eq!(sittings(60).len(), 1);
    let long = sittings(3 * 3600);
    assert_eq!(long.len(), 2, "{long:#?}");
    // It goes on after the window's end, and what waits for it is left to the next window.
    let soak = StepId::new("cluster/soak-group-1@1.35.4");
    assert!(long[0].steps.contains(&soak) && long[0].done > long[0].closes);
    assert!(
        long[1]
            .steps
            .iter()
            .any(|step| step.as_str().starts_with("w2/cordon@"))
    );
}
