//! Gates: somebody's word, given before, meanwhile, too early, by the wrong person, or not at all.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::cell::RefCell;
use std::io;
use std::time::Duration;

use crate::world::plans::{go_with, plan, step};
use crate::world::{Memory, Sim};
use refit::cluster::model::NodeName;
use refit::documents::settings::{Condition, Gate, GatePoint};
use refit::plan::data::{Action, Plan, StepId};
use refit::ports::{Approval, People};
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
    go_with(&gated(), sim.world(), (sim, desk), &text, memory, stop).await
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
