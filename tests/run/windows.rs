//! Windows: what needs one starts in one, what was begun is finished, and the next window goes on.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::collections::BTreeSet;
use std::time::Duration;

use crate::world::plans::{finishes, go_on, install_kubeadm, once, plan, step, whole};
use crate::world::{Memory, NEW, Sim};
use refit::cluster::model::NodeName;
use refit::documents::settings::Window;
use refit::plan::data::{Action, Plan, StepId};
use refit::plan::windows::{self, Calendar};
use refit::run::event::{Event, Halt, Stamped};
use refit::run::executor::Outcome;

/// Open for `seconds` from the fifth minute of each hour. The world begins at minute 6:40.
fn hourly(seconds: u64) -> Vec<Window> {
    vec![Window {
        start: "5 * * * *".into(),
        duration_s: seconds,
        timezone: "UTC".into(),
    }]
}

/// The whole plan with these windows; each step is said to take 10 s.
fn in_windows(declared: &[Window]) -> Plan {
    let mut plan = whole();
    for step in &mut plan.steps {
        step.expected_s = 10;
    }
    plan.windows = windows::of(declared, &plan.steps);
    plan
}

fn started(events: &[Stamped]) -> impl Iterator<Item = (&StepId, jiff::Timestamp)> {
    events.iter().filter_map(|event| match &event.event {
        Event::StepStarted { step, .. } => Some((step, event.at)),
        _ => None,
    })
}

fn cordoned(sim: &Sim) -> BTreeSet<String> {
    let inner = sim.inner.borrow();
    let cordoned = inner.nodes.values().filter(|node| node.unschedulable);
    cordoned.map(|node| node.name.to_string()).collect()
}

fn kubelet(sim: &Sim, node: &str) -> String {
    sim.inner.borrow().nodes[&NodeName::new(node)]
        .kubelet_version
        .clone()
}

#[tokio::test(start_paused = true)]
async fn a_plan_is_carried_out_in_as_many_windows_as_it_takes() {
    let sim = Sim::usual();
    let declared = hourly(180);
    let plan = in_windows(&declared);
    let calendar = Calendar::of(&declared).unwrap();
    let room = &plan.windows.as_ref().unwrap().room_s;
    let mut memory = Memory::default();
    let mut stops = 0;
    loop {
        let (outcome, events) = go_on(&plan, &sim, &mut memory).await;
        for (step, at) in started(&events) {
            if let Some(seconds) = room.get(step) {
                assert!(calendar.has_room(at, *seconds), "{step} began at {at}");
            }
        }
        // Whatever happened, no node is left half done.
        assert_eq!(cordoned(&sim), BTreeSet::from(["w3".to_owned()]));
        match outcome {
            Outcome::Finished { .. } => break,
            Outcome::Halted {
                why: Halt::WindowOver { opens },
                ..
            } => {
                let now = refit::ports::Clock::now(&sim);
                let wait = opens.unwrap().duration_since(now);
                assert!((1..=3600).contains(&wait.as_secs()), "{wait}");
                tokio::time::sleep(Duration::try_from(wait).unwrap()).await;
            }
            other => unreachable!("{other:?}"),
        }
        stops += 1;
        assert!(stops < 10, "it does not get on");
    }
    assert!(
        stops >= 1,
        "all fitted into the first window, so that nothing was tried"
    );
    for node in ["cp1", "w1", "w2", "w3"] {
        assert_eq!(kubelet(&sim, node), NEW, "{node}");
    }
}

#[tokio::test(start_paused = true)]
async fn outside_of_its_windows_nothing_is_changed() {
    let sim = Sim::usual();
    let plan = in_windows(&hourly(60));
    let (outcome, events) = once(&plan, &sim).await;
    let Outcome::Halted {
        why: Halt::WindowOver { opens },
        failures,
        ..
    } = outcome
    else {
        unreachable!("{outcome:?}")
    };
    assert!(failures.is_empty());
    assert_eq!(opens.unwrap().strftime("%M:%S").to_string(), "05:00");
    let room = &plan.windows.as_ref().unwrap().room_s;
    let changing: Vec<&StepId> = started(&events)
        .map(|(step, _)| step)
        .filter(|step| room.contains_key(*step))
        .collect();
    assert_eq!(changing, Vec::<&StepId>::new());
    assert!(sim.inner.borrow().files.is_empty(), "no snapshot");
}

#[tokio::test(start_paused = true)]
async fn a_window_that_cannot_be_understood_keeps_a_plan_from_beginning() {
    let sim = Sim::usual();
    let mut plan = in_windows(&hourly(60));
    if let Some(windows) = &mut plan.windows {
        windows.declared[0].timezone = "Europe/Nowhere".into();
    }
    let (outcome, events) = once(&plan, &sim).await;
    let Outcome::BadPlan(why) = outcome else {
        unreachable!("{outcome:?}")
    };
    assert!(why.contains("Europe/Nowhere"), "{why}");
    assert!(events.is_empty());
}

/// One branch of the plan takes until the next window; the other one, for which this one had no room, goes on then.
#[tokio::test(start_paused = true)]
async fn what_a_window_kept_back_starts_in_a_later_one_of_the_same_process() {
    let sim = Sim::usual();
    let mut soak = step(
        "cluster/soak",
        &[],
        Action::Soak {
            for_s: 3540,
            nodes: vec![NodeName::new("w2")],
        },
    );
    soak.timeout_s = 3600;
    let mut install = step("w1/kubeadm", &[], install_kubeadm("w1"));
    install.expected_s = 100; // the window has 80 s left, and 140 s when the soak is over
    let mut plan = plan(vec![soak, install]);
    plan.windows = windows::of(&hourly(180), &plan.steps);
    let events = finishes(&plan, &sim).await;
    let late: Vec<&StepId> = started(&events).map(|(step, _)| step).collect();
    assert_eq!(late.last().unwrap().as_str(), "w1/kubeadm");
}
