//! Hooks: on hosts and on this machine, done already, failing, cut short, timed out, and on hosts that reboot.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)]

mod left;

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;

use crate::world::killer::{When, until_killed};
use crate::world::plans::{
    Around as With, Nobody, drain, go_on, go_with, hook, install_kubelet, never, plan, step,
};
use crate::world::{Memory, Sim};
use refit::cluster::model::{HostName, NodeName};
use refit::plan::data::{Action, HookPoint, Plan, Rerun, StepId};
use refit::ports::{Approval, Ended, People, Programs};
use refit::run::event::{Event, Halt, How, Stamped};
use refit::run::executor::Outcome;
use refit::run::journal::read;

const HOOK: &str = "w1/hook/patch";

fn check() -> Option<Vec<String>> {
    Some(vec!["patch-os".into(), "--done".into()])
}

/// A hook on `w1`, and a cordon after it.
fn on_host(rerun: Rerun, has_check: bool, may_reboot: bool) -> Plan {
    let mut action = hook("w1", rerun);
    if let Action::Hook { check, reboots, .. } = &mut action {
        *check = has_check.then(self::check).flatten();
        *reboots = may_reboot;
    }
    then_cordon(action)
}

fn then_cordon(action: Action) -> Plan {
    let cordon = Action::Cordon {
        node: NodeName::new("w1"),
    };
    plan(vec![
        step(HOOK, &[], action),
        step("w1/cordon", &[HOOK], cordon),
    ])
}

fn done(events: &[Stamped]) -> Option<(How, Option<String>)> {
    events.iter().find_map(|event| match &event.event {
        Event::StepDone {
            step, how, note, ..
        } if step.as_str() == HOOK => Some((*how, note.clone())),
        _ => None,
    })
}

fn said(events: &[Stamped]) -> String {
    let waits = events.iter().filter_map(|event| match &event.event {
        Event::StepWaiting { on, .. } => Some(on.as_str()),
        _ => None,
    });
    waits.collect::<Vec<_>>().join("\n")
}

/// The run halted because of the hook, and why.
#[track_caller]
fn failure(outcome: Outcome) -> String {
    let Outcome::Halted {
        why: Halt::Failed { .. },
        failures,
        ..
    } = outcome
    else {
        panic!("{outcome:?}")
    };
    assert_eq!(failures[0].0, StepId::new(HOOK));
    failures[0].1.clone()
}

#[track_caller]
fn finished(outcome: &Outcome) {
    assert!(matches!(outcome, Outcome::Finished { .. }), "{outcome:?}");
}

fn hooked(sim: &Sim) -> u32 {
    sim.inner.borrow().hosts[&HostName::new("w1")].hooked
}

fn begun(sim: &Sim) -> usize {
    let inner = sim.inner.borrow();
    let hooks = inner
        .changes
        .iter()
        .filter(|change| change.contains("hook"));
    hooks.count()
}

#[tokio::test(start_paused = true)]
async fn a_host_runs_it_in_its_one_unit() {
    for has_check in [false, true] {
        let sim = Sim::usual();
        let plan = on_host(Rerun::Never, has_check, false);
        let (outcome, events) = go_on(&plan, &sim, &mut Memory::default()).await;
        finished(&outcome);
        assert_eq!(done(&events), Some((How::Acted, None)));
        let inner = sim.inner.borrow();
        assert_eq!(inner.changes, [format!("w1 {HOOK}"), "cordon w1".into()]);
        assert_eq!(inner.violations, Vec::<String>::new());
    }
}

#[tokio::test(start_paused = true)]
async fn where_nothing_is_left_to_do_it_is_left_out() {
    let sim = Sim::usual();
    sim.change_host("w1", |host| host.checks = [0].into());
    let plan = on_host(Rerun::Check, true, false);
    let (outcome, events) = go_on(&plan, &sim, &mut Memory::default()).await;
    finished(&outcome);
    assert_eq!(done(&events), Some((How::Already, None)));
    assert_eq!(begun(&sim), 0);
}

#[tokio::test(start_paused = true)]
async fn what_fails_says_so_and_is_run_again_when_somebody_resumes() {
    for rerun in [Rerun::Never, Rerun::Safe] {
        let sim = Sim::usual();
        let mut memory = Memory::default();
        sim.change_host("w1", |host| host.statuses = [3].into());
        let plan = on_host(rerun, false, false);
        let (outcome, _) = go_on(&plan, &sim, &mut memory).await;
        let why = failure(outcome);
        for words in ["status 3", "E: something is wrong", "/var/lib/refit/runs/"] {
            assert!(why.contains(words), "{words}: {why}");
        }
        assert!(!why.contains('\u{1b}'), "{why:?}");
        assert_eq!(hooked(&sim), 0);
        let (outcome, _) = go_on(&plan, &sim, &mut memory).await;
        finished(&outcome);
        assert_eq!((hooked(&sim), begun(&sim)), (1, 2));
    }
}

#[tokio::test(start_paused = true)]
async fn what_ended_well_and_is_not_done_has_failed() {
    let sim = Sim::usual();
    let mut memory = Memory::default();
    sim.change_host("w1", |host| host.checks = [1, 7].into());
    let plan = on_host(Rerun::Check, true, false);
    let (outcome, _) = go_on(&plan, &sim, &mut memory).await;
    let why = failure(outcome);
    assert!(
        why.contains(
            "its check does not say that it is done: `patch-os --done` ended with status 7: 1 hooks"
        ),
        "{why}"
    );
    // Somebody has finished it by hand: the check says so now.
    let (outcome, events) = go_on(&plan, &sim, &mut memory).await;
    finished(&outcome);
    assert_eq!(done(&events), Some((How::Recovered, None)));
    assert_eq!(begun(&sim), 1);
}

#[tokio::test(start_paused = true)]
async fn a_check_that_cannot_be_run_does_not_say_that_something_is_left() {
    for status in [125, 126, 127, 137, 255] {
        let sim = Sim::usual();
        sim.change_host("w1", |host| host.checks = [status].into());
        let plan = on_host(Rerun::Check, true, false);
        let why = failure(go_on(&plan, &sim, &mut Memory::default()).await.0);
        for words in [
            "whether it is done cannot be told",
            &format!("status {status}"),
            "Mend the check",
        ] {
            assert!(why.contains(words), "{words}: {why}");
        }
        assert_eq!(begun(&sim), 0);
    }
}

/// A run was halted at a hook between a node's drain and its kubelet, or after it, and somebody made use of the node meanwhile.
#[tokio::test(start_paused = true)]
async fn neither_a_hook_nor_the_kubelet_after_it_begins_on_a_node_that_is_back_in_service() {
    let mut on_this_machine = here(Rerun::Safe, false).steps[0].action.clone();
    if let Action::Hook { at, .. } = &mut on_this_machine {
        *at = HookPoint::Drained;
    }
    let on_its_host = || hook("w1", Rerun::Safe);
    for (action, statuses, answers, fails) in [
        (on_its_host(), vec![3], vec![], HOOK),
        (on_its_host(), vec![0, 100], vec![], "w1/kubelet"),
        (on_this_machine.clone(), vec![], vec![(1, 3)], HOOK),
        (on_this_machine, vec![100], vec![(1, 0)], "w1/kubelet"),
    ] {
        let (sim, programs) = (Sim::usual(), Here::new(&answers));
        let plan = plan(vec![
            step("w1/drain", &[], drain("w1")),
            step(HOOK, &["w1/drain"], action),
            step("w1/kubelet", &[HOOK], install_kubelet("w1")),
        ]);
        sim.cordon_as("w1", Some("r1"));
        sim.change_host("w1", |host| host.statuses = statuses.into());
        let mut memory = Memory::default();
        let (outcome, _) = with(&plan, &sim, &mut memory, &Nobody, &programs).await;
        assert!(matches!(outcome, Outcome::Halted { .. }), "{outcome:?}");
        let before = sim.inner.borrow().changes.len();
        let node = NodeName::new("w1");
        let uncordon = |sim: &Sim| {
            let mut inner = sim.inner.borrow_mut();
            inner.nodes.get_mut(&node).unwrap().unschedulable = false;
        };
        uncordon(&sim);
        let (outcome, _) = with(&plan, &sim, &mut memory, &Nobody, &programs).await;
        let Outcome::Halted { failures, .. } = outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!(failures[0].0, StepId::new(fails));
        let why = &failures[0].1;
        assert!(why.contains("w1 is not cordoned any more"), "{why}");
        assert_eq!(sim.inner.borrow().changes.len(), before);
        assert_eq!(programs.runs.borrow().len(), answers.len());
    }
}

/// The process dies while the hook goes on at its host.
async fn killed_meanwhile(plan: &Plan, sim: &Sim, memory: &mut Memory) {
    for call in 2.. {
        let died = until_killed(plan, sim, memory, call, When::Midway).await;
        assert!(died.is_none(), "{died:?}");
        if begun(sim) == 1 {
            return;
        }
        *memory = Memory::default();
    }
}

#[tokio::test(start_paused = true)]
async fn a_killed_process_finds_out_what_became_of_it() {
    for away in [0, 1000] {
        let sim = Sim::usual();
        let mut memory = Memory::default();
        let plan = on_host(Rerun::Never, false, false);
        killed_meanwhile(&plan, &sim, &mut memory).await;
        tokio::time::sleep(Duration::from_secs(away)).await;
        let (outcome, events) = go_on(&plan, &sim, &mut memory).await;
        finished(&outcome);
        assert_eq!(done(&events), Some((How::Recovered, None)), "{away}");
        assert_eq!((hooked(&sim), begun(&sim)), (1, 1));
    }
}

/// Somebody who says of the hook that it is done.
#[derive(Default)]
struct Somebody {
    said: RefCell<Option<Approval>>,
}

impl People for Somebody {
    fn approval(&self, step: &str) -> io::Result<Option<Approval>> {
        assert_eq!(step, HOOK);
        Ok(self.said.borrow().clone())
    }

    fn present(&self) -> bool {
        false
    }

    fn refit(&self) -> &str {
        "refit"
    }
}

impl Somebody {
    fn says(&self, sim: &Sim) {
        *self.said.borrow_mut() = Some(Approval {
            by: "alice".into(),
            at: sim.world().clock.now(),
        });
    }
}

async fn with(
    plan: &Plan,
    sim: &Sim,
    memory: &mut Memory,
    people: &dyn People,
    programs: &dyn Programs,
) -> (Outcome, Vec<Stamped>) {
    let text = memory.text.clone();
    let around = With {
        store: sim,
        people,
        programs,
        metrics: &Nobody,
    };
    go_with(plan, sim.world(), around, &text, memory, never()).await
}

#[tokio::test(start_paused = true)]
async fn what_was_cut_short_and_must_never_run_again_waits_for_somebodys_word() {
    let (sim, somebody) = (Sim::usual(), Somebody::default());
    // Of what is said before it began nothing is known about its end.
    somebody.says(&sim);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let mut memory = Memory::default();
    let plan = on_host(Rerun::Never, false, false);
    killed_meanwhile(&plan, &sim, &mut memory).await;
    sim.cut_power("w1");
    tokio::time::sleep(Duration::from_secs(60)).await;
    for _ in 0..2 {
        let (outcome, _) = with(&plan, &sim, &mut memory, &somebody, &Nobody).await;
        let why = failure(outcome);
        for words in [
            "cut short",
            "rerun: never",
            "on host w1",
            ".log",
            "`refit approve r1 w1/hook/patch --by NAME`",
            "`refit resume r1`",
        ] {
            assert!(why.contains(words), "{words}: {why}");
        }
        assert!(
            !read(&memory.text)
                .unwrap()
                .state
                .is_done(&StepId::new(HOOK))
        );
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    somebody.says(&sim);
    let (outcome, events) = with(&plan, &sim, &mut memory, &somebody, &Nobody).await;
    finished(&outcome);
    let (how, note) = done(&events).unwrap();
    assert_eq!(how, How::Recovered);
    assert!(note.unwrap().contains("alice said at"));
    assert_eq!((hooked(&sim), begun(&sim)), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn what_was_cut_short_runs_again_where_that_is_declared() {
    for (rerun, checks, runs, how) in [
        (Rerun::Safe, None, 2, How::Acted),
        (Rerun::Check, Some(1), 2, How::Acted),
        (Rerun::Check, Some(0), 1, How::Recovered),
        // The check is asked whatever `rerun` says.
        (Rerun::Never, Some(0), 1, How::Recovered),
    ] {
        let sim = Sim::usual();
        let mut memory = Memory::default();
        let plan = on_host(rerun, checks.is_some(), false);
        killed_meanwhile(&plan, &sim, &mut memory).await;
        sim.cut_power("w1");
        sim.change_host("w1", |host| {
            host.checks = checks.iter().flat_map(|&check| [check, check]).collect();
        });
        let (outcome, events) = go_on(&plan, &sim, &mut memory).await;
        finished(&outcome);
        assert_eq!(done(&events), Some((how, None)), "{rerun:?}");
        assert_eq!(begun(&sim), runs, "{rerun:?} {checks:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_may_reboot_where_that_is_declared() {
    let sim = Sim::usual();
    // Not done; after the reboot not done yet, and then done.
    sim.change_host("w1", |host| host.checks = [1, 1, 1, 0].into());
    let plan = on_host(Rerun::Check, true, true);
    let mut memory = Memory::default();
    let reboot = async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        sim.reboot("w1", Duration::from_secs(120));
    };
    let ((outcome, events), ()) = futures::join!(go_on(&plan, &sim, &mut memory), reboot);
    finished(&outcome);
    assert_eq!(done(&events), Some((How::Acted, None)));
    assert!(sim.now() >= Duration::from_secs(130), "{:?}", sim.now());
    assert_eq!(begun(&sim), 1);
    let said = said(&events);
    assert!(said.contains("to answer again"), "{said}");
    assert!(said.contains("its check to end with 0"), "{said}");
}

/// Nobody looked while it rebooted its host: what comes up there is waited for, before it is run again or somebody is asked.
#[tokio::test(start_paused = true)]
async fn a_host_may_reboot_while_nobody_looks() {
    // It was cut off; it was ended by the shutdown, long since, or is ended while it is awaited again.
    for (status, away) in [(0, 5), (143, 1000), (143, 0)] {
        for rerun in [Rerun::Never, Rerun::Safe, Rerun::Check] {
            let sim = Sim::usual();
            let mut memory = Memory::default();
            let plan = on_host(rerun, true, true);
            sim.change_host("w1", |host| host.statuses = [status].into());
            killed_meanwhile(&plan, &sim, &mut memory).await;
            tokio::time::sleep(Duration::from_secs(away)).await;
            if away > 0 {
                sim.reboot("w1", Duration::from_secs(60));
                tokio::time::sleep(Duration::from_secs(60)).await;
            }
            sim.change_host("w1", |host| host.checks = [1, 127, 0].into());
            let (outcome, events) = go_on(&plan, &sim, &mut memory).await;
            finished(&outcome);
            let found = done(&events);
            assert_eq!(found, Some((How::Recovered, None)), "{status} {rerun:?}");
            assert_eq!(begun(&sim), 1, "{status} {rerun:?}");
        }
    }
}

/// Whoever resumes does not have to wait until its host is up again.
#[tokio::test(start_paused = true)]
async fn a_host_that_is_down_when_the_run_is_resumed_is_waited_for() {
    for down in [120, 1000] {
        let sim = Sim::usual();
        let mut memory = Memory::default();
        let plan = on_host(Rerun::Never, true, true);
        killed_meanwhile(&plan, &sim, &mut memory).await;
        sim.reboot("w1", Duration::from_secs(down));
        sim.change_host("w1", |host| host.checks = [1, 0].into());
        let (outcome, events) = go_on(&plan, &sim, &mut memory).await;
        if down < 300 {
            finished(&outcome);
            assert_eq!(done(&events), Some((How::Recovered, None)));
        } else {
            let why = failure(outcome);
            assert!(why.contains("cannot be asked"), "{why}");
        }
        assert!(said(&events).contains("host w1 to answer again"));
        assert_eq!(begun(&sim), 1);
    }
}

/// A status as of a signal: the host went down, or somebody ended it, and nobody knows how far it came.
#[tokio::test(start_paused = true)]
async fn what_was_ended_by_a_signal_is_run_again_only_where_that_is_declared() {
    for rerun in [Rerun::Never, Rerun::Safe] {
        let (sim, somebody) = (Sim::usual(), Somebody::default());
        sim.change_host("w1", |host| host.statuses = [143].into());
        let mut memory = Memory::default();
        let plan = on_host(rerun, false, false);
        let (outcome, _) = with(&plan, &sim, &mut memory, &somebody, &Nobody).await;
        let why = failure(outcome);
        assert!(why.contains("status 143"), "{why}");
        if rerun == Rerun::Never {
            assert!(why.contains("tells of a signal"), "{why}");
            let (outcome, _) = with(&plan, &sim, &mut memory, &somebody, &Nobody).await;
            let why = failure(outcome);
            assert!(why.contains("cut short") && why.contains(".log"), "{why}");
            somebody.says(&sim);
        }
        let (outcome, _) = with(&plan, &sim, &mut memory, &somebody, &Nobody).await;
        finished(&outcome);
        assert_eq!(begun(&sim), 1 + usize::from(rerun == Rerun::Safe));
    }
}

/// But not for ever: its host may have lost power before the hook had done its work.
#[tokio::test(start_paused = true)]
async fn a_hook_that_reboots_and_stays_undone_goes_by_its_declaration() {
    for rerun in [Rerun::Never, Rerun::Safe] {
        let sim = Sim::usual();
        let mut memory = Memory::default();
        let plan = on_host(rerun, true, true);
        killed_meanwhile(&plan, &sim, &mut memory).await;
        sim.cut_power("w1");
        let before = sim.now();
        let (outcome, _) = go_on(&plan, &sim, &mut memory).await;
        assert!(sim.now() - before >= Duration::from_secs(150));
        match rerun {
            Rerun::Never => assert!(failure(outcome).contains("refit approve r1")),
            Rerun::Safe | Rerun::Check => finished(&outcome),
        }
        assert_eq!(begun(&sim), 1 + usize::from(rerun == Rerun::Safe));
    }
}

#[tokio::test(start_paused = true)]
async fn what_somebody_says_against_the_check_stands_beside_what_the_check_said() {
    let (sim, somebody) = (Sim::usual(), Somebody::default());
    let mut memory = Memory::default();
    let plan = on_host(Rerun::Never, true, false);
    killed_meanwhile(&plan, &sim, &mut memory).await;
    sim.cut_power("w1");
    let (outcome, _) = with(&plan, &sim, &mut memory, &somebody, &Nobody).await;
    failure(outcome);
    somebody.says(&sim);
    let (outcome, events) = with(&plan, &sim, &mut memory, &somebody, &Nobody).await;
    finished(&outcome);
    let note = done(&events).unwrap().1.unwrap();
    assert!(
        note.contains("alice said at")
            && note.ends_with("; its check said: `patch-os --done` ended with status 1: 0 hooks"),
        "{note}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_reboot_that_was_not_declared_asks_for_somebodys_word_where_it_must_never_run_again() {
    let sim = Sim::usual();
    let plan = on_host(Rerun::Never, false, false);
    let mut memory = Memory::default();
    let reboot = async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        sim.reboot("w1", Duration::from_secs(120));
    };
    let ((outcome, _), ()) = futures::join!(go_on(&plan, &sim, &mut memory), reboot);
    let why = failure(outcome);
    for words in [
        "reboots: true",
        "`refit approve r1 w1/hook/patch --by NAME`",
        "`refit resume r1`",
    ] {
        assert!(why.contains(words), "{words}: {why}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reboot_that_was_not_declared_is_a_failure() {
    let sim = Sim::usual();
    let plan = on_host(Rerun::Safe, false, false);
    let mut memory = Memory::default();
    let reboot = async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        sim.reboot("w1", Duration::from_secs(120));
    };
    let ((outcome, _), ()) = futures::join!(go_on(&plan, &sim, &mut memory), reboot);
    let why = failure(outcome);
    assert!(
        why.contains("reboots: true") && why.contains("rerun: safe"),
        "{why}"
    );
    let (outcome, _) = go_on(&plan, &sim, &mut memory).await;
    finished(&outcome);
    assert_eq!(begun(&sim), 2);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_does_not_come_back_in_time_has_failed_and_is_found_later() {
    let sim = Sim::usual();
    sim.change_host("w1", |host| host.checks = [1].into());
    let plan = on_host(Rerun::Check, true, true);
    let mut memory = Memory::default();
    let reboot = async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        sim.reboot("w1", Duration::from_secs(1000));
    };
    let ((outcome, _), ()) = futures::join!(go_on(&plan, &sim, &mut memory), reboot);
    let why = failure(outcome);
    assert!(
        why.contains("300 s") && why.contains("refit resume"),
        "{why}"
    );
    tokio::time::sleep(Duration::from_secs(1000)).await;
    sim.change_host("w1", |host| host.checks = [0].into());
    let (outcome, events) = go_on(&plan, &sim, &mut memory).await;
    finished(&outcome);
    assert_eq!(done(&events), Some((How::Recovered, None)));
    assert_eq!(begun(&sim), 1);
}

/// Programs of this machine: what each next one ends with, and after how long.
struct Here {
    answers: RefCell<VecDeque<(u64, i32)>>,
    runs: RefCell<Vec<String>>,
    /// One that an earlier refit has started goes on until then.
    older_until: tokio::time::Instant,
}

impl Here {
    fn new(answers: &[(u64, i32)]) -> Self {
        Self {
            answers: RefCell::new(answers.iter().copied().collect()),
            runs: RefCell::new(Vec::new()),
            older_until: tokio::time::Instant::now(),
        }
    }

    /// The same, while one goes on for so many seconds that an earlier refit has started.
    fn beside_an_older(answers: &[(u64, i32)], seconds: u64) -> Self {
        let older_until = tokio::time::Instant::now() + Duration::from_secs(seconds);
        Self {
            older_until,
            ..Self::new(answers)
        }
    }
}

#[async_trait(?Send)]
impl Programs for Here {
    async fn run(
        &self,
        directory: &Path,
        words: &[String],
        at_most: Duration,
    ) -> io::Result<Ended> {
        assert_eq!(directory, Path::new("plans"));
        self.runs.borrow_mut().push(words.join(" "));
        let next = self.answers.borrow_mut().pop_front();
        let (seconds, status) = next.ok_or_else(|| io::Error::other("no such file"))?;
        let takes = Duration::from_secs(seconds);
        tokio::time::sleep(takes.min(at_most)).await;
        Ok(Ended {
            status: (takes < at_most).then_some(status),
            output: "one\ntwo \u{1b}[31mred\n".into(),
        })
    }

    async fn run_alone(
        &self,
        name: &str,
        directory: &Path,
        words: &[String],
        at_most: Duration,
    ) -> io::Result<Ended> {
        assert_eq!(self.goes_on(name)?, None);
        self.run(directory, words, at_most).await
    }

    fn goes_on(&self, name: &str) -> io::Result<Option<PathBuf>> {
        assert_eq!(name, HOOK);
        let goes_on = tokio::time::Instant::now() < self.older_until;
        Ok(goes_on.then(|| "hooks/patch.lock".into()))
    }
}

fn here(rerun: Rerun, has_check: bool) -> Plan {
    then_cordon(Action::Hook {
        name: "patch".into(),
        at: HookPoint::BeforeHop,
        host: None,
        node: None,
        run: vec!["./tell.sh".into(), "a b".into()],
        check: has_check.then(|| vec!["./told.sh".into()]),
        env: BTreeMap::from([("TO".to_owned(), "1.35".to_owned())]),
        directory: Some("plans".into()),
        reboots: false,
        rerun,
    })
}

#[tokio::test(start_paused = true)]
async fn this_machine_runs_it_in_the_documents_folder() {
    for (answers, has_check, runs, how) in [
        (
            vec![(1, 0)],
            false,
            vec!["env -- TO=1.35 ./tell.sh a b"],
            How::Acted,
        ),
        (
            vec![(1, 1), (1, 0), (1, 0)],
            true,
            vec![
                "env -- TO=1.35 ./told.sh",
                "env -- TO=1.35 ./tell.sh a b",
                "env -- TO=1.35 ./told.sh",
            ],
            How::Acted,
        ),
        (
            vec![(1, 0)],
            true,
            vec!["env -- TO=1.35 ./told.sh"],
            How::Already,
        ),
    ] {
        let (sim, programs) = (Sim::usual(), Here::new(&answers));
        let plan = here(Rerun::Never, has_check);
        let (outcome, events) = with(&plan, &sim, &mut Memory::default(), &Nobody, &programs).await;
        finished(&outcome);
        assert_eq!(*programs.runs.borrow(), runs);
        assert_eq!(done(&events), Some((how, None)));
    }
}

#[tokio::test(start_paused = true)]
async fn what_fails_on_this_machine_is_told_with_what_it_said() {
    for (answers, has_check, words) in [
        (
            vec![(1, 4)],
            false,
            "on this machine, `./tell.sh a b` ended with status 4:\none\ntwo  [31mred",
        ),
        (vec![(1000, 0)], false, "its time was over"),
        // env(1) says so of a program that is not there.
        (
            vec![(1, 127)],
            false,
            "`./tell.sh a b` ended with status 127",
        ),
        (
            vec![(1, 127)],
            true,
            "whether it is done cannot be told: `./told.sh` ended with status 127",
        ),
        (vec![(1, 1), (1, 0), (1, 137)], true, "cannot be told"),
        (
            vec![(1, 1), (1, 0), (1, 9)],
            true,
            "does not say that it is done: `./told.sh` ended with status 9",
        ),
        (vec![(1000, 0)], true, "whether it is done cannot be told"),
    ] {
        let (sim, programs) = (Sim::usual(), Here::new(&answers));
        let plan = here(Rerun::Safe, has_check);
        let (outcome, _) = with(&plan, &sim, &mut Memory::default(), &Nobody, &programs).await;
        let why = failure(outcome);
        assert!(why.contains(words), "{words}: {why}");
        assert_eq!(sim.inner.borrow().changes, Vec::<String>::new());
        assert_eq!(programs.runs.borrow().len(), answers.len());
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_killed_on_this_machine_and_must_never_run_again_waits_for_somebodys_word() {
    let (sim, somebody) = (Sim::usual(), Somebody::default());
    let programs = Here::new(&[(1000, 0)]);
    let plan = here(Rerun::Never, false);
    let mut memory = Memory::default();
    for _ in 0..2 {
        let (outcome, _) = with(&plan, &sim, &mut memory, &somebody, &programs).await;
        let why = failure(outcome);
        assert!(why.contains("refit approve r1 w1/hook/patch"), "{why}");
    }
    somebody.says(&sim);
    let (outcome, _) = with(&plan, &sim, &mut memory, &somebody, &programs).await;
    finished(&outcome);
    assert_eq!(programs.runs.borrow().len(), 1);
}

/// What a process leaves that dies in the middle of a hook on this machine.
async fn dies_here(plan: &Plan, sim: &Sim) -> Memory {
    let mut memory = Memory::default();
    let programs = Here::new(&[(200, 0)]);
    let run = with(plan, sim, &mut memory, &Nobody, &programs);
    let died = tokio::time::timeout(Duration::from_secs(10), run).await;
    assert!(died.is_err());
    memory
}

#[tokio::test(start_paused = true)]
async fn what_was_cut_short_on_this_machine_goes_by_its_declaration() {
    let sim = Sim::usual();
    let plan = here(Rerun::Safe, false);
    let mut memory = dies_here(&plan, &sim).await;
    let programs = Here::new(&[(1, 0)]);
    let (outcome, _) = with(&plan, &sim, &mut memory, &Nobody, &programs).await;
    finished(&outcome);
    assert_eq!(programs.runs.borrow().len(), 1);

    let (sim, somebody) = (Sim::usual(), Somebody::default());
    let plan = here(Rerun::Never, false);
    let mut memory = dies_here(&plan, &sim).await;
    let programs = Here::new(&[]);
    for _ in 0..2 {
        let (outcome, _) = with(&plan, &sim, &mut memory, &somebody, &programs).await;
        let why = failure(outcome);
        for words in ["cut short", "does not run any more", "refit approve r1"] {
            assert!(why.contains(words), "{words}: {why}");
        }
    }
    somebody.says(&sim);
    let (outcome, _) = with(&plan, &sim, &mut memory, &somebody, &programs).await;
    finished(&outcome);
    assert_eq!(programs.runs.borrow().len(), 0);
}

/// refit was killed, and what it had started goes on.
#[tokio::test(start_paused = true)]
async fn what_outlives_refit_is_not_run_beside_itself() {
    for rerun in [Rerun::Safe, Rerun::Check, Rerun::Never] {
        let sim = Sim::usual();
        let plan = here(rerun, rerun == Rerun::Check);
        let answers = match rerun {
            Rerun::Check => vec![(1, 1), (200, 0), (1, 0)],
            Rerun::Safe | Rerun::Never => vec![(200, 0)],
        };
        let mut memory = Memory::default();
        let first = Here::new(&answers);
        let run = with(&plan, &sim, &mut memory, &Nobody, &first);
        assert!(
            tokio::time::timeout(Duration::from_secs(10), run)
                .await
                .is_err()
        );
        // Longer than there is time.
        let programs = Here::beside_an_older(&answers, 1000);
        let (outcome, events) = with(&plan, &sim, &mut memory, &Nobody, &programs).await;
        let why = failure(outcome);
        for words in ["goes on still on this machine", "fuser -v hooks/patch.lock"] {
            assert!(why.contains(words), "{words}: {why}");
        }
        assert!(said(&events).contains("the end of `./tell.sh a b`"));
        assert_eq!(programs.runs.borrow().len(), 0);
        // Almost so long; all of its own time is left to the next.
        let programs = Here::beside_an_older(&answers, 290);
        let (outcome, events) = with(&plan, &sim, &mut memory, &Nobody, &programs).await;
        match rerun {
            Rerun::Never => {
                let why = failure(outcome);
                assert!(why.contains("refit approve r1"), "{why}");
                assert_eq!(programs.runs.borrow().len(), 0);
            }
            Rerun::Safe | Rerun::Check => {
                finished(&outcome);
                assert_eq!(done(&events), Some((How::Acted, None)));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn ctrl_c_lets_it_end() {
    let (sim, programs) = (Sim::usual(), Here::new(&[(100, 0)]));
    let plan = here(Rerun::Never, false);
    let mut memory = Memory::default();
    let around = With {
        store: &sim,
        people: &Nobody,
        programs: &programs,
        metrics: &Nobody,
    };
    let stop = tokio::time::sleep(Duration::from_secs(10));
    let (outcome, events) = go_with(&plan, sim.world(), around, &[], &mut memory, stop).await;
    assert!(
        matches!(
            &outcome,
            Outcome::Halted {
                why: Halt::Interrupted,
                ..
            }
        ),
        "{outcome:?}"
    );
    assert_eq!(done(&events), Some((How::Acted, None)));
    assert_eq!(sim.inner.borrow().changes, Vec::<String>::new());
}
