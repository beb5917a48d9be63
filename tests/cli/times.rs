//! How long a run took is told of the whole run, not of the process that ended it only.

use refit::report::progress::{Format, Progress};
use refit::run::event::{Event, Halt, Stamped};
use refit::run::state::State;

use crate::build::World;
use crate::desk::{Desk, all_done, started};

fn resumed() -> Event {
    Event::RunResumed {
        refit: "0.1.0".to_owned(),
        pid: 4712,
    }
}

fn halted() -> Event {
    Event::Halted {
        why: Halt::Interrupted,
        own_ms: 5,
        wall_ms: 60_000,
    }
}

#[test]
fn the_last_line_of_a_run() {
    let plan = World::new(3, 2, "1.34.4", "1.35.4").planned();
    let begin = Event::RunStarted {
        run: "r1".to_owned(),
        plan_sha256: "p".to_owned(),
        refit: "0.1.0".to_owned(),
        pid: 1,
    };
    let finished = Event::Finished {
        own_ms: 400,
        wall_ms: 86_000,
    };
    // the events of earlier processes come from the journal, those of this one as they happen
    let last_line = |before: &[(i64, Event)], now: &[(i64, Event)]| {
        let stamped = |(second, event): &(i64, Event)| Stamped {
            at: jiff::Timestamp::from_second(*second).unwrap(),
            event: event.clone(),
        };
        let mut state = State::default();
        for event in before {
            state.apply(&stamped(event)).unwrap();
        }
        let mut progress = Progress::new(&plan, state, Format::Text);
        let lines: Vec<_> = now
            .iter()
            .map(|event| progress.line(&stamped(event)))
            .collect();
        anstream::adapter::strip_str(lines.last().unwrap()).to_string()
    };
    let alone = last_line(&[], &[(0, begin.clone()), (86, finished.clone())]);
    assert!(
        alone.ends_with("finished in 1 min 26 s, of which 0.4 s were refit's own\n"),
        "{alone}"
    );
    let in_three = last_line(
        &[(0, begin), (60, halted()), (600, resumed())],
        &[(664, resumed()), (750, finished)],
    );
    assert!(
        in_three.ends_with(
            "finished in 1 min 26 s, of which 0.4 s were refit's own; 12 min 30 s since the run began, 2 min 26 s of it at \
             work, in 3 sittings\n"
        ),
        "{in_three}"
    );
}

#[test]
fn status_tells_how_long_a_run_took() {
    let desk = Desk::new();
    desk.record_at(
        |plan| {
            let mut events = all_done(plan);
            let end = events.pop().unwrap();
            let mut events: Vec<_> = events.into_iter().map(|event| (60, event)).collect();
            events.extend([(60, halted()), (664, resumed()), (750, end)]);
            events
        },
        |_| {},
    );
    desk.refit(&["status"]).ends(
        0,
        &["took 12 min 30 s, 2 min 26 s of it at work, in 2 sittings"],
    );
    let json = desk.refit(&["status", "-o", "json"]).ends(0, &[]).out;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["elapsed_ms"], 750_000);
    assert_eq!(json["worked_ms"], 146_000);
    assert_eq!(json["sittings"], 2);

    let desk = Desk::new();
    desk.record_at(
        |plan| {
            vec![
                (60, started(plan, 0)),
                (660, resumed()),
                (661, started(plan, 0)),
            ]
        },
        |_| {},
    );
    desk.refit(&["status"]).ends(
        0,
        &["so far 11 min 1 s, 1 min 1 s of it at work, in 2 sittings"],
    );

    let desk = Desk::new();
    desk.record(all_done);
    let ran = desk.refit(&["status"]).ends(0, &["took 0.0 s\n"]);
    assert!(!ran.out.contains("sittings"), "{ran:#?}");
}
