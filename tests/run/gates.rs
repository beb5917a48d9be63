//! Gates: somebody's word, given before, meanwhile, too early, by the wrong person, or not at all; and commands that hold at
//! once, later, for too short a time, or never.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;

use crate::world::plans::{Around as With, Nobody, go_with, plan, step};
use crate::world::{Memory, Sim};
use refit::cluster::model::NodeName;
use refit::documents::settings::{Condition, Gate, GatePoint};
use refit::plan::data::{Action, Plan, StepId};
use refit::ports::{Approval, Ended, People, Programs};
use refit::report::status::{Around, status};
use refit::run::event::{Event, Halt, Stamped};
use refit::run::executor::Outcome;
use refit::run::journal::read;

const SIGN_OFF: &str = "gate/sign-off";

/// What was said of the one gate, and whether anyone is at the terminal.
struct Desk {
    present: bool,
    said: RefCell<Option<io::Result<Approval>>>,
}

impl Desk {
    fn new(present: bool) -> Self {
        Self {
            present,
            said: RefCell::new(None),
        }
    }

    fn says(&self, by: &str, at: jiff::Timestamp) {
        let by = by.to_owned();
        *self.said.borrow_mut() = Some(Ok(Approval { by, at }));
    }
}

impl People for Desk {
    fn approval(&self, step: &str) -> io::Result<Option<Approval>> {
        assert_eq!(step, SIGN_OFF);
        match &*self.said.borrow() {
            None => Ok(None),
            Some(Ok(approval)) => Ok(Some(approval.clone())),
            Some(Err(error)) => Err(io::Error::other(error.to_string())),
        }
    }

    fn present(&self) -> bool {
        self.present
    }

    fn refit(&self) -> &str {
        "refit --state-dir /srv"
    }
}

/// A gate before one node's cordon, and another node's beside it.
fn gated() -> Plan {
    let gate = Action::Gate {
        gate: Gate {
            name: "sign-off".into(),
            at: GatePoint::BeforeWorkers,
            condition: Condition::Approval {
                by: vec!["alice".into(), "bob".into()],
                expires_s: 3600,
            },
        },
    };
    let cordon = |node: &str| Action::Cordon {
        node: NodeName::new(node),
    };
    let mut gate = step(SIGN_OFF, &[], gate);
    gate.timeout_s = 7 * 24 * 3600;
    plan(vec![
        gate,
        step("w1/cordon", &[SIGN_OFF], cordon("w1")),
        step("w2/cordon", &[], cordon("w2")),
    ])
}

async fn carry_out(
    desk: &Desk,
    sim: &Sim,
    memory: &mut Memory,
    stop: impl Future<Output = ()>,
) -> (Outcome, Vec<Stamped>) {
    let text = memory.text.clone();
    let around = With {
        store: sim,
        people: desk,
        programs: &Nobody,
        metrics: &Nobody,
    };
    go_with(&gated(), sim.world(), around, &text, memory, stop).await
}

fn never() -> impl Future<Output = ()> {
    std::future::pending()
}

fn said(events: &[Stamped]) -> Vec<&str> {
    events
        .iter()
        .filter_map(|event| match &event.event {
            Event::StepWaiting { on, .. } => Some(on.as_str()),
            _ => None,
        })
        .collect()
}

fn note(events: &[Stamped]) -> Option<&str> {
    events.iter().find_map(|event| match &event.event {
        Event::StepDone { step, note, .. } if step.as_str() == SIGN_OFF => note.as_deref(),
        _ => None,
    })
}

#[tokio::test(start_paused = true)]
async fn what_was_approved_ahead_is_not_waited_for() {
    let (sim, desk) = (Sim::usual(), Desk::new(false));
    desk.says("bob", sim.world().clock.now());
    let (outcome, events) = carry_out(&desk, &sim, &mut Memory::default(), never()).await;
    assert!(matches!(outcome, Outcome::Finished { .. }), "{outcome:?}");
    assert!(said(&events).is_empty());
    assert!(note(&events).unwrap().starts_with("approved by bob at 20"));
}

#[tokio::test(start_paused = true)]
async fn somebody_at_a_terminal_waits_and_is_told_how_it_is_approved() {
    let (sim, desk) = (Sim::usual(), Desk::new(true));
    let began = sim.now();
    let approves = async {
        tokio::time::sleep(Duration::from_secs(7200)).await;
        desk.says("alice", sim.world().clock.now());
    };
    let mut memory = Memory::default();
    let ((outcome, events), ()) =
        futures::join!(carry_out(&desk, &sim, &mut memory, never()), approves);
    assert!(matches!(outcome, Outcome::Finished { .. }), "{outcome:?}");
    let took = sim.now() - began;
    assert!(took >= Duration::from_secs(7200) && took < Duration::from_secs(7205));
    assert_eq!(
        said(&events),
        [
            "an approval: `refit --state-dir /srv approve r1 gate/sign-off --by NAME`, NAME being one of alice, bob"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn where_nobody_is_there_the_run_ends_cleanly_and_goes_on_later() {
    let (sim, desk) = (Sim::usual(), Desk::new(false));
    let mut memory = Memory::default();
    let began = sim.now();
    let (outcome, _) = carry_out(&desk, &sim, &mut memory, never()).await;
    let Outcome::Halted { why, failures, .. } = outcome else {
        unreachable!("{outcome:?}")
    };
    let steps = vec![StepId::new(SIGN_OFF)];
    assert_eq!((why, failures), (Halt::Unapproved { steps }, vec![]));
    assert!(sim.now() - began < Duration::from_secs(60));
    // What does not wait for it is done.
    assert_eq!(sim.inner.borrow().changes, ["cordon w2"]);

    let past = read(&memory.text).unwrap();
    let around = Around {
        refit: "refit".into(),
        run: "r1".into(),
        process: None,
        put_aside: false,
    };
    let told = status(&gated(), &past.state, around).render(sim.world().clock.now());
    for words in [
        "stopped: an approval is missing",
        "waiting",
        "`refit approve r1 gate/sign-off --by NAME`, then `refit resume r1`",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }

    desk.says("alice", sim.world().clock.now());
    let (outcome, _) = carry_out(&desk, &sim, &mut memory, never()).await;
    assert!(matches!(outcome, Outcome::Finished { .. }), "{outcome:?}");
    assert_eq!(sim.inner.borrow().changes, ["cordon w2", "cordon w1"]);
}

#[tokio::test(start_paused = true)]
async fn words_that_do_not_count_are_named() {
    for (by, age_s, why) in [
        ("carol", 0, "that of carol does not count"),
        ("alice", 3601, "has expired"),
        ("alice", -3600, "yet to come"),
    ] {
        let (sim, desk) = (Sim::usual(), Desk::new(false));
        let now = sim.world().clock.now();
        desk.says(by, now - jiff::SignedDuration::from_secs(age_s));
        let (outcome, events) = carry_out(&desk, &sim, &mut Memory::default(), never()).await;
        assert!(
            matches!(
                outcome,
                Outcome::Halted {
                    why: Halt::Unapproved { .. },
                    ..
                }
            ),
            "{outcome:?}"
        );
        assert!(said(&events)[0].contains(why), "{:?}", said(&events));
    }
    let (sim, desk) = (Sim::usual(), Desk::new(false));
    *desk.said.borrow_mut() = Some(Err(io::Error::other("it was given for another plan")));
    let (_, events) = carry_out(&desk, &sim, &mut Memory::default(), never()).await;
    assert!(
        said(&events)[0].contains("another plan"),
        "{:?}",
        said(&events)
    );
    assert_eq!(sim.inner.borrow().changes, ["cordon w2"]);
}

#[tokio::test(start_paused = true)]
async fn ctrl_c_ends_the_wait() {
    let (sim, desk) = (Sim::usual(), Desk::new(true));
    let began = sim.now();
    let stop = tokio::time::sleep(Duration::from_secs(100));
    let (outcome, _) = carry_out(&desk, &sim, &mut Memory::default(), stop).await;
    assert!(
        matches!(
            outcome,
            Outcome::Halted {
                why: Halt::Interrupted,
                ..
            }
        ),
        "{outcome:?}"
    );
    assert!(sim.now() - began < Duration::from_secs(105));
}

/// A command that answers one thing after another, each after some seconds.
struct Script {
    answers: RefCell<VecDeque<(u64, Option<i32>)>>,
    runs: RefCell<Vec<Vec<String>>>,
}

impl Script {
    fn new(answers: &[(u64, Option<i32>)]) -> Self {
        Self {
            answers: RefCell::new(answers.iter().copied().collect()),
            runs: RefCell::new(Vec::new()),
        }
    }

    /// The last answer stays.
    fn next(&self) -> Option<(u64, Option<i32>)> {
        let mut answers = self.answers.borrow_mut();
        match answers.len() {
            0 | 1 => answers.front().copied(),
            _ => answers.pop_front(),
        }
    }
}

#[async_trait(?Send)]
impl Programs for Script {
    async fn run(
        &self,
        directory: &Path,
        words: &[String],
        at_most: Duration,
    ) -> io::Result<Ended> {
        assert_eq!(directory, Path::new("plans"));
        self.runs.borrow_mut().push(words.to_vec());
        let next = self.next();
        let (seconds, status) = next.ok_or_else(|| io::Error::other("no such file"))?;
        let takes = Duration::from_secs(seconds);
        tokio::time::sleep(takes.min(at_most)).await;
        Ok(Ended {
            status: status.filter(|_| takes < at_most),
            output: format!("looked, {status:?}\n"),
        })
    }

    async fn run_alone(
        &self,
        name: &str,
        _: &Path,
        _: &[String],
        _: Duration,
    ) -> std::io::Result<Ended> {
        unreachable!("{name} is no hook")
    }

    fn goes_on(&self, _: &str) -> std::io::Result<Option<std::path::PathBuf>> {
        Ok(None)
    }
}

fn smoke(for_s: u64) -> Plan {
    let gate = Action::Gate {
        gate: Gate {
            name: "smoke".into(),
            at: GatePoint::AfterControlPlane,
            condition: Condition::Command {
                run: vec!["./smoke.sh".into(), "a b".into()],
                directory: "plans".into(),
                for_s,
                timeout_s: 300,
            },
        },
    };
    let cordon = Action::Cordon {
        node: NodeName::new("w1"),
    };
    plan(vec![
        step("gate/smoke", &[], gate),
        step("w1/cordon", &["gate/smoke"], cordon),
    ])
}

async fn smoked(
    plan: &Plan,
    script: &Script,
    stop: impl Future<Output = ()>,
) -> (Outcome, Vec<Stamped>, Duration) {
    let sim = Sim::usual();
    let began = sim.now();
    let around = With {
        store: &sim,
        people: &Nobody,
        programs: script,
        metrics: &Nobody,
    };
    let (outcome, events) =
        go_with(plan, sim.world(), around, &[], &mut Memory::default(), stop).await;
    let cordoned = !sim.inner.borrow().changes.is_empty();
    let finished = matches!(outcome, Outcome::Finished { .. });
    assert_eq!(cordoned, finished);
    (outcome, events, sim.now() - began)
}

#[tokio::test(start_paused = true)]
async fn a_command_is_asked_until_it_ends_with_0() {
    let script = Script::new(&[(1, Some(1)), (1, Some(2)), (1, None), (1, Some(0))]);
    let (outcome, events, took) = smoked(&smoke(0), &script, never()).await;
    assert!(matches!(outcome, Outcome::Finished { .. }), "{outcome:?}");
    assert_eq!(script.runs.borrow().len(), 4);
    assert_eq!(script.runs.borrow()[0], ["./smoke.sh", "a b"]);
    assert!(took < Duration::from_secs(45), "{took:?}");
    assert!(
        said(&events)[0].contains("ended with status 1: looked, Some(1)"),
        "{events:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_must_hold_for_a_while_begins_anew_after_a_break() {
    let mut answers = vec![(0, Some(0)); 6];
    answers.extend([(0, Some(1)), (0, Some(0))]);
    let script = Script::new(&answers);
    let (outcome, _, took) = smoked(&smoke(120), &script, never()).await;
    assert!(matches!(outcome, Outcome::Finished { .. }), "{outcome:?}");
    // Six times, a break, and then two minutes.
    assert!(took >= Duration::from_secs(60 + 120), "{took:?}");
    assert!(took < Duration::from_secs(60 + 120 + 20), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_command_that_does_not_hold_in_time_halts_the_run() {
    for (answer, why) in [
        ((1, Some(7)), "ended with status 7"),
        ((1000, Some(0)), "killed"),
    ] {
        let script = Script::new(&[answer]);
        let (outcome, _, took) = smoked(&smoke(0), &script, never()).await;
        let Outcome::Halted {
            why: Halt::Failed { .. },
            failures,
            ..
        } = outcome
        else {
            unreachable!("{outcome:?}")
        };
        let said = &failures[0].1;
        for words in ["does not hold after 300 s", why, "refit resume"] {
            assert!(said.contains(words), "{words}: {said}");
        }
        assert!(took < Duration::from_secs(320), "{took:?}");
    }
    let (outcome, ..) = smoked(&smoke(0), &Script::new(&[]), never()).await;
    assert!(
        matches!(&outcome, Outcome::Halted { failures, .. } if failures[0].1.contains("cannot be run in plans: no such file")),
        "{outcome:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_a_command() {
    let script = Script::new(&[(200, Some(0))]);
    let stop = tokio::time::sleep(Duration::from_secs(10));
    let (outcome, _, took) = smoked(&smoke(0), &script, stop).await;
    assert!(
        matches!(
            outcome,
            Outcome::Halted {
                why: Halt::Interrupted,
                ..
            }
        ),
        "{outcome:?}"
    );
    assert!(took < Duration::from_secs(15), "{took:?}");
}
