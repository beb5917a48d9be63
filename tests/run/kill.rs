//! Kill refit at every call it makes, in the middle of calls and between them; the world lives on, a resumed run ends with
//! the same cluster, and nothing is done twice.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::time::Duration;

use crate::world::killer::{When, until_killed};
use crate::world::plans::{apply, finishes, go, plan, step, whole};
use crate::world::{Memory, Sim};
use refit::run::event::Event;
use refit::run::executor::Outcome;
use refit::run::journal::read;

/// The outcome of a run that nothing disturbs, and how many events it has.
async fn undisturbed() -> (String, usize) {
    let sim = Sim::usual();
    let events = finishes(&whole(), &sim).await;
    assert_eq!(sim.inner.borrow().violations, Vec::<String>::new());
    (sim.outcome(), events.len())
}

async fn finish(sim: &Sim, memory: &mut Memory, expected: &str, what: &str) {
    let outcome = until_killed(&whole(), sim, memory, u32::MAX, When::Before).await;
    assert!(
        matches!(outcome, Some(Outcome::Finished { .. })),
        "{what}: {outcome:?}"
    );
    assert_eq!(sim.outcome(), expected, "{what}");
    assert_eq!(
        sim.inner.borrow().violations,
        Vec::<String>::new(),
        "{what}"
    );
    assert!(read(&memory.text).unwrap().state.finished, "{what}");
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_call_it_is_resumed_to_the_same_end() {
    let (expected, _) = undisturbed().await;
    for when in [When::Before, When::Midway, When::After] {
        // After one call is before the next one, unless steps run side by side: every other call does for these.
        let (first, stride) = match when {
            When::Before => (2, 2),
            When::Midway => (1, 1),
            When::After | When::AfterAppend => (1, 2),
        };
        for at in (first..).step_by(stride) {
            let sim = Sim::usual();
            let mut memory = Memory::default();
            if let Some(outcome) = until_killed(&whole(), &sim, &mut memory, at, when).await {
                assert!(matches!(outcome, Outcome::Finished { .. }), "{outcome:?}");
                assert!(at > 150, "only {at} calls were tried");
                break;
            }
            // Back at once, while operations run; when some have ended; when all have.
            let away = [0, 7, 1000][at as usize % 3];
            tokio::time::sleep(Duration::from_secs(away)).await;
            let what = format!("killed {when:?} call {at}, back after {away} s");
            finish(&sim, &mut memory, &expected, &what).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_operation_that_a_later_try_had_joined_is_found_again() {
    let mut only = step("cp1/apply", &[], apply());
    only.retries = 1;
    let plan = plan(vec![only]);
    let sim = Sim::usual();
    let mut memory = Memory::default();
    let mutate = 3 + 4; // the lease, begin, look, start, and then the operation
    let died = until_killed(&plan, &sim, &mut memory, mutate, When::Midway).await;
    assert!(died.is_none());
    assert_eq!(sim.inner.borrow().changes, ["cp1 cp1/apply"]);
    // The second process cannot ask at first, tries again, joins, and dies; the third must not begin anew.
    sim.inner.borrow_mut().silences = 1;
    let join = 3 + 7; // the lease, begin, ask in vain, start, wait, ask again, start, and then the wait for its end
    let died = until_killed(&plan, &sim, &mut memory, join, When::Midway).await;
    assert!(died.is_none());
    let second_try = |event: &Event| matches!(event, Event::StepStarted { attempt: 2, .. });
    let events = read(&memory.text).unwrap().events;
    assert!(
        events.iter().any(|event| second_try(&event.event)),
        "{events:?}"
    );
    let outcome = until_killed(&plan, &sim, &mut memory, u32::MAX, When::Before).await;
    assert!(
        matches!(outcome, Some(Outcome::Finished { .. })),
        "{outcome:?}"
    );
    assert_eq!(sim.inner.borrow().changes, ["cp1 cp1/apply"]);
    assert_eq!(sim.inner.borrow().violations, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn killed_again_and_again_it_still_gets_there() {
    let (expected, _) = undisturbed().await;
    for when in [When::Before, When::Midway, When::After] {
        for every in 25..45 {
            let sim = Sim::usual();
            let mut memory = Memory::default();
            let mut kills = 0;
            while until_killed(&whole(), &sim, &mut memory, every, when)
                .await
                .is_none()
            {
                kills += 1;
                assert!(
                    kills < 200,
                    "no progress with a kill {when:?} every {every} calls"
                );
            }
            let what = format!("{kills} kills {when:?} every {every} calls");
            assert!(kills > 3, "{what}");
            assert_eq!(sim.outcome(), expected, "{what}");
            assert_eq!(
                sim.inner.borrow().violations,
                Vec::<String>::new(),
                "{what}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_loses_power_during_any_operation_is_picked_up() {
    let (expected, _) = undisturbed().await;
    let mut cut = 0;
    for second in (0..600).step_by(9) {
        for host in ["cp1", "w1"] {
            let sim = Sim::usual();
            let mut memory = Memory::default();
            let plan = whole();
            let run = go(
                &plan,
                sim.world(),
                &sim,
                &[],
                &mut memory,
                std::future::pending(),
            );
            let cutting = async {
                tokio::time::sleep(Duration::from_secs(second)).await;
                sim.cut_power(host);
                std::future::pending::<()>().await;
            };
            let outcome = tokio::select! {
                (outcome, _) = run => outcome,
                () = cutting => unreachable!(),
            };
            let what = format!("{host} cut after {second} s");
            match outcome {
                Outcome::Finished { .. } => {}
                Outcome::Halted { .. } => {
                    cut += 1;
                    finish(&sim, &mut memory, &expected, &what).await;
                }
                other => unreachable!("{what}: {other:?}"),
            }
            assert_eq!(sim.outcome(), expected, "{what}");
            assert_eq!(
                sim.inner.borrow().violations,
                Vec::<String>::new(),
                "{what}"
            );
        }
    }
    assert!(cut > 10, "power was cut in only {cut} operations");
}

#[tokio::test(start_paused = true)]
async fn a_journal_cut_after_any_event_is_resumed_to_the_same_end() {
    let (expected, events) = undisturbed().await;
    for kept in 1..=events {
        let sim = Sim::usual();
        let mut memory = Memory::default();
        let at = u32::try_from(kept).unwrap();
        let ended = until_killed(&whole(), &sim, &mut memory, at, When::AfterAppend).await;
        assert!(ended.is_none());
        assert_eq!(read(&memory.text).unwrap().events.len(), kept);
        // The next line did not get far.
        memory.text.extend_from_slice(b"{\"seq\":99,\"pr");
        finish(
            &sim,
            &mut memory,
            &expected,
            &format!("journal of {kept} events"),
        )
        .await;
    }
}
