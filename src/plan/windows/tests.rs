#![allow(clippy::unwrap_used)]

use jiff::SignedDuration;

use super::room::room;
use super::schedule::{Schedule, all_fit};
use super::*;
use crate::cluster::model::{HostName, NodeName, Role};
use crate::plan::data::Action;

fn window(start: &str, duration_s: u64, timezone: &str) -> Window {
    Window {
        start: start.into(),
        duration_s,
        timezone: timezone.into(),
    }
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn open_until(calendar: &Calendar, at: &str) -> Option<String> {
    match calendar.at(time(at)) {
        Now::Open { until } => Some(until.to_string()),
        Now::Closed { .. } => None,
    }
}

fn opens(calendar: &Calendar, at: &str) -> Option<String> {
    match calendar.at(time(at)) {
        Now::Open { .. } => None,
        Now::Closed { opens } => opens.map(|opens| opens.to_string()),
    }
}

#[test]
fn a_window_is_open_from_its_start_until_its_end() {
    let sundays = Calendar::of(&[window("0 2 * * SUN", 4 * 3600, "Europe/Berlin")]).unwrap();
    // Sunday, 22 November 2026; Berlin is an hour ahead of UTC.
    assert_eq!(
        opens(&sundays, "2026-11-22T00:59:59Z").unwrap(),
        "2026-11-22T01:00:00Z"
    );
    assert_eq!(
        open_until(&sundays, "2026-11-22T01:00:00Z").unwrap(),
        "2026-11-22T05:00:00Z"
    );
    assert_eq!(
        open_until(&sundays, "2026-11-22T04:59:59Z").unwrap(),
        "2026-11-22T05:00:00Z"
    );
    assert_eq!(
        opens(&sundays, "2026-11-22T05:00:00Z").unwrap(),
        "2026-11-29T01:00:00Z"
    );
    assert!(sundays.has_room(time("2026-11-22T04:00:00Z"), 3600));
    assert!(!sundays.has_room(time("2026-11-22T04:00:01Z"), 3600));
    assert!(!sundays.has_room(time("2026-11-22T00:00:00Z"), 0));
}

#[test]
fn clocks_that_are_put_forward_or_back_neither_lose_nor_double_a_window() {
    let nights = Calendar::of(&[window("30 2 * * *", 3600, "Europe/Berlin")]).unwrap();
    // On 29 March 2026 there is no 02:30 in Berlin: it opens at 03:00, which is 01:00 UTC, and stays open for an hour.
    assert_eq!(
        opens(&nights, "2026-03-29T00:00:00Z").unwrap(),
        "2026-03-29T01:00:00Z"
    );
    assert_eq!(
        open_until(&nights, "2026-03-29T01:30:00Z").unwrap(),
        "2026-03-29T02:00:00Z"
    );
    assert_eq!(
        opens(&nights, "2026-03-29T02:00:00Z").unwrap(),
        "2026-03-30T00:30:00Z"
    );
    // On 25 October 2026 there are two: the first counts.
    assert_eq!(
        opens(&nights, "2026-10-24T22:00:00Z").unwrap(),
        "2026-10-25T00:30:00Z"
    );
    assert_eq!(
        opens(&nights, "2026-10-25T01:30:00Z").unwrap(),
        "2026-10-26T01:30:00Z"
    );
}

#[test]
fn windows_that_touch_are_one() {
    let both = Calendar::of(&[
        window("0 1 * * *", 3600, "UTC"),
        window("0 2 * * *", 7200, "UTC"),
        window("0 9 * * *", 60, "UTC"),
    ])
    .unwrap();
    assert_eq!(
        open_until(&both, "2026-11-22T01:30:00Z").unwrap(),
        "2026-11-22T04:00:00Z"
    );
    assert_eq!(
        opens(&both, "2026-11-22T04:00:00Z").unwrap(),
        "2026-11-22T09:00:00Z"
    );
    let always = Calendar::of(&[window("* * * * *", 120, "UTC")]).unwrap();
    assert!(always.has_room(time("2026-11-22T01:30:00Z"), 10 * 3600));
    let never = Calendar::of(&[]).unwrap();
    assert_eq!(
        never.at(time("2026-11-22T01:30:00Z")),
        Now::Closed { opens: None }
    );
}

fn step(id: &str, after: &[&str], expected_s: u64, action: Action) -> Step {
    Step {
        id: StepId::new(id),
        action,
        after: after.iter().map(|id| StepId::new(*id)).collect(),
        timeout_s: 60,
        retries: 0,
        because: String::new(),
        expected_s,
    }
}

/// A check, then workers one after another, each with its configuration, its kubelet and its service.
fn workers(count: usize) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut before = String::new();
    for n in 1..=count {
        let (host, node) = (
            HostName::new(format!("h{n}")),
            NodeName::new(format!("w{n}")),
        );
        let check = Action::CheckHost {
            host: host.clone(),
            node: node.clone(),
            machine_id: String::new(),
            disk_free: BTreeMap::new(),
            patches: None,
        };
        steps.push(step(&format!("h{n}/check"), &[], 1, check));
        let configure = Action::KubeadmNode {
            host: host.clone(),
            role: Role::Worker,
            version: "1.35.4".parse().unwrap(),
            options: crate::host::op::KubeadmOptions::default(),
        };
        let install = Action::InstallKubelet {
            host: host.clone(),
            manager: crate::cluster::facts::PackageManager::Apt,
            packages: Vec::new(),
        };
        let mut last = before.clone();
        for (verb, seconds, action) in [
            ("kubeadm", 10, configure),
            ("cordon", 1, Action::Cordon { node: node.clone() }),
            ("install", 100, install),
            (
                "uncordon",
                1,
                Action::Uncordon {
                    node: node.clone(),
                    outdated: false,
                },
            ),
        ] {
            let id = format!("h{n}/{verb}");
            let after: Vec<&str> = [last.as_str()]
                .into_iter()
                .filter(|id| !id.is_empty())
                .collect();
            steps.push(step(&id, &after, seconds, action));
            last = id;
        }
        before = last;
    }
    steps
}

#[test]
fn the_first_step_of_a_node_needs_room_for_all_of_them() {
    let room = room(&workers(2));
    let told: Vec<(&str, u64)> = room
        .iter()
        .map(|(id, seconds)| (id.as_str(), *seconds))
        .collect();
    assert_eq!(told, [("h1/kubeadm", 112), ("h2/kubeadm", 112)]);
}

fn sittings(count: usize, windows: &[Window], at: &str) -> Result<Vec<Sitting>, Trouble> {
    let steps = workers(count);
    let calendar = Calendar::of(windows).unwrap();
    Schedule::of(&steps, &room(&steps), &calendar)?.run(time(at))
}

#[test]
fn a_node_is_only_begun_where_it_fits() {
    // 250 s hold two nodes of 112 s, so five nodes take three nights.
    let nights = [window("0 2 * * *", 250, "UTC")];
    let sittings = sittings(5, &nights, "2026-11-22T12:00:00Z").unwrap();
    let told: Vec<(String, usize)> = sittings
        .iter()
        .map(|sitting| (sitting.from.to_string(), sitting.steps.len()))
        .collect();
    assert_eq!(
        told,
        [
            ("2026-11-23T02:00:00Z".to_owned(), 5 + 8),
            ("2026-11-24T02:00:00Z".to_owned(), 8),
            ("2026-11-25T02:00:00Z".to_owned(), 4),
        ]
    );
    assert_eq!(sittings[0].done.to_string(), "2026-11-23T02:03:44Z");
    // What is open already is used as far as it goes.
    let sittings = self::sittings(1, &nights, "2026-11-23T02:03:00Z").unwrap();
    assert_eq!(sittings.len(), 2);
    assert_eq!(sittings[0].steps, [StepId::new("h1/check")]);
    assert_eq!(sittings[1].from.to_string(), "2026-11-24T02:00:00Z");
}

#[test]
fn what_fits_into_no_window_is_told_with_its_needs() {
    let short = [window("0 2 * * *", 111, "UTC")];
    let Err(Trouble::NoRoom(told)) = sittings(1, &short, "2026-11-22T12:00:00Z") else {
        unreachable!("a node of 112 s does not fit into 111 s");
    };
    assert_eq!(
        (told.step.as_str(), told.needs_s, told.longest_s),
        ("h1/kubeadm", 112, 111)
    );
}

#[test]
fn what_fits_is_told_without_laying_it_out() {
    for (length_s, at) in [
        (111, "2026-11-22T12:00:00Z"),
        (112, "2026-11-22T12:00:00Z"),
        // Open already, for less than a node takes: the next night holds it.
        (112, "2026-11-22T02:01:00Z"),
        (300, "2026-11-22T02:01:00Z"),
    ] {
        let declared = vec![window("0 2 * * *", length_s, "UTC")];
        let steps = workers(2);
        let windows = of(&declared, &steps).unwrap();
        assert_eq!(
            all_fit(&steps, &windows, time(at)),
            sittings(2, &declared, at).map(|_| ()),
            "{length_s} s at {at}"
        );
    }
}

#[test]
fn a_guard_that_remembers_says_what_the_calendar_says() {
    let declared = [
        window("*/30 * * * *", 600, "UTC"),
        window("5 * * * *", 900, "UTC"),
        // Joined for ever on one day of the week.
        window("* * * * WED", 120, "UTC"),
    ];
    let room_s =
        [0, 60, 599, 600, 1200, 100_000].map(|seconds| (StepId::new(seconds.to_string()), seconds));
    let windows = Windows {
        declared: declared.to_vec(),
        room_s: BTreeMap::from(room_s.clone()),
    };
    let guard = Guard {
        windows: &windows,
        calendar: Calendar::of(&declared).unwrap(),
        seen: Cell::new(None),
    };
    let calendar = Calendar::of(&declared).unwrap();
    let mut allowed = 0;
    // Two days in steps of some minutes; every third look is at an earlier time: clocks are set back.
    for look in 0..400_i64 {
        let minutes = if look % 3 == 0 {
            look * 7 - 50
        } else {
            look * 7
        };
        let now = time("2026-11-24T00:00:00Z") + SignedDuration::from_secs(minutes * 61);
        for (step, seconds) in &room_s {
            let allows = guard.allows(step, now);
            assert_eq!(
                allows,
                calendar.has_room(now, *seconds),
                "{seconds} s at {now}"
            );
            allowed += usize::from(allows);
        }
        assert!(guard.allows(&StepId::new("named nowhere"), now));
    }
    assert!((100..2000).contains(&allowed), "{allowed}");
}
