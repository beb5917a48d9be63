//! Soaks: time that passes once, over kills and resumes, while nodes stay ready.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::time::Duration;

use crate::world::plans::{go, go_on, plan, step};
use crate::world::{Memory, Sim};
use refit::cluster::model::NodeName;
use refit::plan::data::{Action, Plan, StepId};
use refit::report::status::{Around, status};
use refit::run::event::{Event, Halt, How, Stamped};
use refit::run::executor::Outcome;
use refit::run::journal::read;

const TEN_MINUTES: u64 = 600;

fn soaking(nodes: &[&str]) -> Plan {
    let mut soak = step(
        "cluster/soak",
        &[],
        Action::Soak {
            for_s: TEN_MINUTES,
            nodes: nodes.iter().map(|node| NodeName::new(*node)).collect(),
        },
    );
    soak.timeout_s = TEN_MINUTES + 300;
    let next = Action::Cordon {
        node: NodeName::new("w2"),
    };
    plan(vec![soak, step("w2/cordon", &["cluster/soak"], next)])
}

fn ready(sim: &Sim, node: &str, ready: bool) {
    let mut inner = sim.inner.borrow_mut();
    inner.nodes.get_mut(&NodeName::new(node)).unwrap().ready = ready;
}

async fn stopped_after(
    plan: &Plan,
    sim: &Sim,
    memory: &mut Memory,
    seconds: u64,
) -> (Outcome, Vec<Stamped>) {
    let text = memory.text.clone();
    let stop = tokio::time::sleep(Duration::from_secs(seconds));
    go(plan, sim.world(), sim, &text, memory, stop).await
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_it_begins_once_the_time_has_passed() {
    let sim = Sim::usual();
    let plan = soaking(&["cp1", "w1"]);
    let began = sim.now();
    let (outcome, events) = go_on(&plan, &sim, &mut Memory::default()).await;
    assert!(matches!(outcome, Outcome::Finished { .. }), "{outcome:?}");
    let took = sim.now() - began;
    assert!(took >= Duration::from_secs(TEN_MINUTES), "{took:?}");
    assert!(took < Duration::from_secs(TEN_MINUTES + 5), "{took:?}");
    // It is said once until when.
    let said: Vec<&str> = events
        .iter()
        .filter_map(|event| match &event.event {
            Event::StepWaiting { step, on } if step.as_str() == "cluster/soak" => Some(on.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].starts_with("time to pass: soaks until 20"),
        "{said:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_stopped_or_killed_waits_for_the_rest_only() {
    let sim = Sim::usual();
    let plan = soaking(&["w1"]);
    let mut memory = Memory::default();
    let began = sim.now();
    let (outcome, _) = stopped_after(&plan, &sim, &mut memory, 200).await;
    let Outcome::Halted { why, failures, .. } = outcome else {
        unreachable!("{outcome:?}")
    };
    assert_eq!((why, failures), (Halt::Interrupted, vec![]));
    // At once, not at the soak's end.
    assert!(sim.now() - began < Duration::from_secs(205));

    let past = read(&memory.text).unwrap();
    let around = Around {
        refit: "refit".into(),
        run: "r1".into(),
        process: None,
        put_aside: false,
    };
    let told = status(&plan, &past.state, around);
    let on = told.running[0].waiting_on.as_deref().unwrap();
    assert!(on.contains("soaks until"), "{on}");

    // Killed as well, on the way.
    tokio::time::sleep(Duration::from_secs(100)).await;
    let killed =
        tokio::time::timeout(Duration::from_secs(100), go_on(&plan, &sim, &mut memory)).await;
    assert!(killed.is_err());
    let (outcome, events) = go_on(&plan, &sim, &mut memory).await;
    assert!(matches!(outcome, Outcome::Finished { .. }), "{outcome:?}");
    let took = sim.now() - began;
    assert!(took >= Duration::from_secs(TEN_MINUTES), "{took:?}");
    assert!(took < Duration::from_secs(TEN_MINUTES + 10), "{took:?}");
    let done = events.iter().find_map(|event| match &event.event {
        Event::StepDone { step, how, .. } if step.as_str() == "cluster/soak" => Some(*how),
        _ => None,
    });
    assert_eq!(done, Some(How::Acted));
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_again_for_what_passed_while_nobody_was_there() {
    let sim = Sim::usual();
    let plan = soaking(&["w1"]);
    let mut memory = Memory::default();
    stopped_after(&plan, &sim, &mut memory, 10).await;
    tokio::time::sleep(Duration::from_secs(5 * TEN_MINUTES)).await;
    let again = sim.now();
    let (outcome, _) = go_on(&plan, &sim, &mut memory).await;
    assert!(matches!(outcome, Outcome::Finished { .. }), "{outcome:?}");
    assert!(sim.now() - again < Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_turns_not_ready_halts_the_run_and_the_time_passes_anew() {
    let sim = Sim::usual();
    let plan = soaking(&["w1", "w3"]);
    let mut memory = Memory::default();
    let breaks = async {
        tokio::time::sleep(Duration::from_secs(300)).await;
        ready(&sim, "w3", false);
    };
    let ((outcome, _), ()) = futures::join!(go_on(&plan, &sim, &mut memory), breaks);
    let Outcome::Halted { why, failures, .. } = outcome else {
        unreachable!("{outcome:?}")
    };
    let steps = vec![StepId::new("cluster/soak")];
    assert_eq!(why, Halt::Failed { steps });
    let said = &failures[0].1;
    for word in ["w3: not ready", "600 s", "kubectl describe", "refit resume"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    assert!(sim.inner.borrow().changes.is_empty());

    ready(&sim, "w3", true);
    let again = sim.now();
    let (outcome, _) = go_on(&plan, &sim, &mut memory).await;
    assert!(matches!(outcome, Outcome::Finished { .. }), "{outcome:?}");
    assert!(sim.now() - again >= Duration::from_secs(TEN_MINUTES));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_was_deleted_is_named_as_such() {
    for nodes in [&["w3"][..], &["w1", "w3"]] {
        let sim = Sim::usual();
        let began = sim.now();
        let deleted = async {
            tokio::time::sleep(Duration::from_secs(300)).await;
            sim.inner.borrow_mut().nodes.remove(&NodeName::new("w3"));
        };
        let plan = soaking(nodes);
        let mut memory = Memory::default();
        let ((outcome, _), ()) = futures::join!(go_on(&plan, &sim, &mut memory), deleted);
        let Outcome::Halted { failures, .. } = outcome else {
            unreachable!("{outcome:?}")
        };
        let said = &failures[0].1;
        for words in ["no node w3 any more: deleted", "refit resume", "--new-run"] {
            assert!(said.contains(words), "{words}: {said}");
        }
        assert!(sim.now() - began < Duration::from_secs(320));
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_not_ready_at_the_end_is_seen_even_by_a_run_that_slept() {
    let sim = Sim::usual();
    let plan = soaking(&["w1"]);
    let mut memory = Memory::default();
    stopped_after(&plan, &sim, &mut memory, 10).await;
    tokio::time::sleep(Duration::from_secs(2 * TEN_MINUTES)).await;
    ready(&sim, "w1", false);
    let (outcome, _) = go_on(&plan, &sim, &mut memory).await;
    assert!(
        matches!(&outcome, Outcome::Halted { failures, .. } if failures[0].1.contains("w1: not ready")),
        "{outcome:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_failure_elsewhere_lets_go_of_it() {
    let sim = Sim::usual();
    let mut plan = soaking(&["w1"]);
    let wrong = Action::Drain {
        node: NodeName::new("nobody"),
        grace_period_s: None,
        delete_empty_dir_data: true,
        evict_unmanaged_pods: false,
        rules: vec![],
        others_timeout_s: None,
        deferral: None,
    };
    plan.steps.push(step("nobody/drain", &[], wrong));
    plan.steps.last_mut().unwrap().timeout_s = 30;
    let began = sim.now();
    let (outcome, _) = go_on(&plan, &sim, &mut Memory::default()).await;
    assert!(
        matches!(&outcome, Outcome::Halted { why: Halt::Failed { steps }, .. } if steps.len() == 1),
        "{outcome:?}"
    );
    assert!(sim.now() - began < Duration::from_secs(120));
}
