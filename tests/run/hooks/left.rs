//! What a new run learns of the hooks that an older one was cut short in.

use refit::run::left_hooks::{LeftEnd, LeftHook, left_hooks};

use super::*;

async fn left(plan: &Plan, sim: &Sim, memory: &Memory, people: &dyn People) -> Vec<LeftHook> {
    left_by(plan, sim, memory, people, &Here::new(&[])).await
}

async fn left_by(
    plan: &Plan,
    sim: &Sim,
    memory: &Memory,
    people: &dyn People,
    programs: &dyn Programs,
) -> Vec<LeftHook> {
    let state = read(&memory.text).unwrap().state;
    left_hooks(sim.world().hosts, people, programs, "r1", plan, &state).await
}

fn ends(left: &[LeftHook]) -> Vec<&LeftEnd> {
    left.iter().map(|hook| &hook.end).collect()
}

#[tokio::test(start_paused = true)]
async fn its_host_tells_how_a_hook_ended_that_was_left_behind() {
    let (sim, somebody) = (Sim::usual(), Somebody::default());
    let mut memory = Memory::default();
    let plan = on_host(Rerun::Never, false, false);
    killed_meanwhile(&plan, &sim, &mut memory).await;
    let found = left(&plan, &sim, &memory, &somebody).await;
    assert_eq!(ends(&found), [&LeftEnd::GoesOn]);
    assert_eq!(found[0].step, StepId::new(HOOK));
    // Nobody can say of what goes on that it is done.
    somebody.says(&sim);
    let found = left(&plan, &sim, &memory, &somebody).await;
    assert_eq!(ends(&found), [&LeftEnd::GoesOn]);
    tokio::time::sleep(Duration::from_secs(1000)).await;
    assert_eq!(left(&plan, &sim, &memory, &Nobody).await, []);
    // Its status tells that it was ended in its midst.
    let (sim, mut memory) = (Sim::usual(), Memory::default());
    sim.change_host("w1", |host| host.statuses = [143].into());
    failure(go_on(&plan, &sim, &mut memory).await.0);
    let found = left(&plan, &sim, &memory, &Nobody).await;
    assert_eq!(ends(&found), [&LeftEnd::CutShort]);
}

#[tokio::test(start_paused = true)]
async fn what_was_cut_short_stays_so_until_somebody_has_looked() {
    let (sim, somebody) = (Sim::usual(), Somebody::default());
    // Before it began, which says nothing about its end.
    somebody.says(&sim);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let mut memory = Memory::default();
    let plan = on_host(Rerun::Never, false, false);
    killed_meanwhile(&plan, &sim, &mut memory).await;
    sim.cut_power("w1");
    let found = left(&plan, &sim, &memory, &somebody).await;
    assert_eq!(ends(&found), [&LeftEnd::CutShort]);
    // A run that could not reach the host meanwhile takes nothing from that.
    sim.reboot("w1", Duration::from_secs(1000));
    let (outcome, _) = go_on(&plan, &sim, &mut memory).await;
    failure(outcome);
    let found = left(&plan, &sim, &memory, &somebody).await;
    assert!(
        matches!(ends(&found)[..], [LeftEnd::Untold(_)]),
        "{found:?}"
    );
    tokio::time::sleep(Duration::from_secs(1000)).await;
    let found = left(&plan, &sim, &memory, &somebody).await;
    assert_eq!(ends(&found), [&LeftEnd::CutShort]);
    tokio::time::sleep(Duration::from_secs(60)).await;
    somebody.says(&sim);
    let found = left(&plan, &sim, &memory, &somebody).await;
    assert!(
        matches!(ends(&found)[..], [LeftEnd::SaidDone(_)]),
        "{found:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn on_this_machine_what_has_no_outcome_was_cut_short_and_what_failed_has_one() {
    let sim = Sim::usual();
    let plan = here(Rerun::Never, false);
    let memory = dies_here(&plan, &sim).await;
    let found = left(&plan, &sim, &memory, &Nobody).await;
    assert_eq!(ends(&found), [&LeftEnd::CutShort]);
    assert!(!found[0].begins_again(&here(Rerun::Safe, false).steps[0].action));
    // Two of one hook at once are kept apart by nothing here, whatever may be done with one that was cut short.
    let programs = Here::beside_an_older(&[], 60);
    let found = left_by(&plan, &sim, &memory, &Nobody, &programs).await;
    assert_eq!(ends(&found), [&LeftEnd::GoesOn]);
    assert!(found[0].begins_again(&here(Rerun::Safe, false).steps[0].action));

    let (sim, mut memory) = (Sim::usual(), Memory::default());
    let programs = Here::new(&[(1, 4)]);
    let (outcome, _) = with(&plan, &sim, &mut memory, &Nobody, &programs).await;
    failure(outcome);
    assert_eq!(left(&plan, &sim, &memory, &Nobody).await, []);
}

/// By its declaration of now, which whoever wants another end of it changes.
#[tokio::test(start_paused = true)]
async fn only_the_same_hook_at_the_same_place_begins_again() {
    let sim = Sim::usual();
    let plan = on_host(Rerun::Safe, false, false);
    let mut memory = Memory::default();
    killed_meanwhile(&plan, &sim, &mut memory).await;
    let found = left(&plan, &sim, &memory, &Nobody).await;
    let [left] = &found[..] else {
        panic!("{found:?}")
    };
    assert!(left.begins_again(&hook("w1", Rerun::Never)));
    assert!(!left.begins_again(&hook("w1", Rerun::Safe)));
    assert!(!left.begins_again(&hook("w2", Rerun::Never)));
    assert!(!left.begins_again(&here(Rerun::Never, false).steps[0].action));
    let mut other = hook("w1", Rerun::Never);
    if let Action::Hook { name, .. } = &mut other {
        *name = "other".into();
    }
    assert!(!left.begins_again(&other));
}

/// Its check could not be run, and was mended: the hook was cut short before as it is now.
#[tokio::test(start_paused = true)]
async fn a_check_that_cannot_be_run_leaves_a_hook_on_this_machine_cut_short() {
    let sim = Sim::usual();
    let plan = here(Rerun::Never, true);
    let mut memory = Memory::default();
    let programs = Here::new(&[(1, 1), (200, 0)]);
    let run = with(&plan, &sim, &mut memory, &Nobody, &programs);
    let died = tokio::time::timeout(Duration::from_secs(10), run).await;
    assert!(died.is_err());
    for (answers, words) in [
        (vec![(1, 127)], "cannot be told"),
        (vec![], "cannot be run in plans"),
        (vec![(1, 1)], "refit approve r1"),
    ] {
        let programs = Here::new(&answers);
        let (outcome, _) = with(&plan, &sim, &mut memory, &Nobody, &programs).await;
        let why = failure(outcome);
        assert!(why.contains("cut short") && why.contains(words), "{why}");
        assert_eq!(programs.runs.borrow().len(), 1);
    }
}
