//! What binds a plan to what it was made from, and what may change without being a hindrance.

use std::collections::BTreeMap;

use refit::cluster::durations::Durations;
use refit::plan::diff::PlanDiff;
use refit::report::diff::lines;

use super::fixture::{planned, shop};
use crate::build::{World, budget, pod};

type Change = fn(&mut World);

/// By what happens between planning and applying: the lines that refuse, and those that are told.
const TABLE: &[(&str, Change, &[&str], &[&str])] = &[
    ("nothing", |_| {}, &[], &[]),
    (
        "a budget is edited",
        |world| world.budgets()[0].min_available = Some("2".to_owned()),
        &[
            "budget/shop/web: was at least 1 available of {\"matchLabels\":{\"app\":\"web\"}}, is at least 2 available",
        ],
        &[],
    ),
    (
        "a budget allows less right now",
        |world| {
            world.budgets()[0].disruptions_allowed = 4;
            world.budgets()[0].current_healthy = 5;
        },
        &[],
        &[],
    ),
    (
        "a budget is new",
        |world| {
            let mut late = budget("late", 1, 6);
            late.namespace = "other".to_owned();
            world.budgets().push(late);
        },
        &["budget/other/late: was not there"],
        &[],
    ),
    (
        "a pod more runs",
        |world| world.pods().push(pod("shop", "late", "w1")),
        &[],
        &["drains 9 node(s) and evicts 7 pod(s)"],
    ),
    (
        "a run has ended",
        |world| {
            world.facts.durations = Some(Durations {
                runs: 1,
                newest: "2026-11-21T10:30:00Z".parse().unwrap(),
                kinds: BTreeMap::from([("drain".to_owned(), 77)]),
                drains: BTreeMap::new(),
                hooks: BTreeMap::new(),
                origins: refit::cluster::durations::Origins::default(),
            });
        },
        &[],
        &[
            "w1/drain@1.35.4: expected: 20 s -> 77 s",
            "durations are expected from the last run of this cluster",
        ],
    ),
    (
        "a node is cordoned",
        |world| world.node("w6").unschedulable = true,
        &[
            "node/w6/cordon: was schedulable, is cordoned",
            "w6/cordon@1.35.4: would not be done any more",
        ],
        &["w6 was cordoned by someone else"],
    ),
    (
        "a package is installed by hand",
        |world| world.install_kubeadm("w1", &crate::build::v("1.35.4")),
        &["host/w1/kubeadm: was 1.34.4, is 1.35.4"],
        &[],
    ),
    (
        "a host is another machine",
        |world| {
            let machine = "another".to_owned();
            world.node("w1").machine_id.clone_from(&machine);
            crate::build::known(&mut world.host("w1").identity).machine_id = machine;
        },
        &[
            "host/w1/machine-id: was machine-w1, is another",
            "w1/check-host@1.35.4: machine_id: machine-w1 -> another",
        ],
        &[],
    ),
];

fn guarded() -> World {
    let mut world = shop();
    world.budgets().push(budget("web", 1, 6));
    world
}

#[test]
fn what_changed_refuses_or_is_told() {
    let given = planned(&guarded());
    for (name, change, refuses, tells) in TABLE {
        let mut world = guarded();
        change(&mut world);
        let (binding, rest) = PlanDiff::of(&given, &planned(&world)).split();
        for (what, diff, wanted) in [("refuses", &binding, refuses), ("tells", &rest, tells)] {
            let lines = lines(diff);
            assert_eq!(
                lines.is_empty(),
                wanted.is_empty(),
                "{name} {what} {lines:#?}"
            );
            for line in *wanted {
                assert!(
                    lines.iter().any(|found| found.contains(line)),
                    "{name}: `{line}` is missing: {lines:#?}"
                );
            }
        }
        assert_eq!(binding.is_empty(), refuses.is_empty());
    }
}

#[test]
fn times_and_reasons_do_not_bind() {
    let given = planned(&shop());
    let mut now = given.clone();
    now.steps[0].expected_s += 30;
    now.steps[0].because = "said otherwise".to_owned();
    let (binding, rest) = PlanDiff::of(&given, &now).split();
    assert!(binding.is_empty() && !rest.is_empty());
    now.steps[0].timeout_s += 30;
    let (binding, _) = PlanDiff::of(&given, &now).split();
    assert_eq!(lines(&binding).len(), 1);
}
