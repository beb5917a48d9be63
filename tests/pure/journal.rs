//! The journal of a whole run, cut and changed: repaired, refused with the line, or read as it was; never read otherwise.
#![allow(clippy::print_stdout)]

use refit::plan::data::Plan;
use refit::run::event::{Event, Halt, How, Stamped};
use refit::run::journal::{Journal, Memory, Past, read, walk};

use crate::build::World;
use crate::dice::Dice;

/// Of the changed bytes, so that a failure can be looked at again.
const SEED: u64 = 20_261_122;
const CHANGES: usize = 1000;
/// Of a plan; each change is looked at in the whole of what they leave behind.
const STEPS: usize = 24;

/// A run of the plan's first steps that was halted by one, resumed, and has ended.
fn events(plan: &Plan) -> Vec<Event> {
    let mut events = vec![Event::RunStarted {
        run: "r1".to_owned(),
        plan_sha256: "p".to_owned(),
        refit: "0.1.0".to_owned(),
        pid: 1,
    }];
    for (at, step) in plan.steps.iter().enumerate().take(STEPS) {
        let started = |attempt| Event::StepStarted {
            step: step.id.clone(),
            attempt,
        };
        events.push(started(1));
        if at % 10 == 0 {
            events.push(Event::StepWaiting {
                step: step.id.clone(),
                on: "shop/web-1 (budget \"größer\")\nnoch einer".to_owned(),
            });
        }
        if at == 20 {
            events.push(Event::StepFailed {
                step: step.id.clone(),
                error: "E: \\ no".to_owned(),
            });
            events.push(Event::Halted {
                why: Halt::Failed {
                    steps: vec![step.id.clone()],
                },
                own_ms: 5,
                wall_ms: 50,
            });
            events.push(Event::RunResumed {
                refit: "0.1.0".to_owned(),
                pid: 2,
            });
            events.push(started(2));
        }
        events.push(Event::StepDone {
            step: step.id.clone(),
            how: How::Acted,
            note: (at % 7 == 0).then(|| "fine".to_owned()),
            took_ms: 1200,
        });
    }
    events.push(Event::Finished {
        own_ms: 10,
        wall_ms: 1000,
    });
    events
}

fn written() -> (Vec<Stamped>, Vec<u8>) {
    let plan = World::new(3, 2, "1.34.4", "1.35.4").planned();
    let mut file = Memory::default();
    let mut journal = Journal::after(&Past::none(), &mut file);
    let mut all = Vec::new();
    for (second, event) in (1_795_000_000..).zip(events(&plan)) {
        let at = jiff::Timestamp::from_second(second).unwrap();
        let stamped = Stamped { at, event };
        journal.append(&stamped).unwrap();
        all.push(stamped);
    }
    (all, file.text)
}

fn line_of(text: &[u8], at: usize) -> usize {
    1 + text[..at].iter().filter(|byte| **byte == b'\n').count()
}

#[test]
fn cut_at_any_byte_of_its_last_record_it_is_repaired_to_the_one_before() {
    let (events, text) = written();
    let last = text[..text.len() - 1]
        .iter()
        .rposition(|byte| *byte == b'\n');
    let begins = last.unwrap() + 1;
    for end in begins..text.len() {
        let past = read(&text[..end]).unwrap();
        assert_eq!(past.events, events[..events.len() - 1], "cut at {end}");
        assert_eq!(past.valid_len, begins as u64, "cut at {end}");
        assert_eq!(past.torn, (end - begins) as u64, "cut at {end}");
        assert!(!past.state.finished, "cut at {end}");
    }
    let past = read(&text).unwrap();
    assert_eq!((past.events, past.torn), (events, 0));
    assert!(past.state.finished);
}

#[test]
fn with_any_byte_changed_it_is_refused_with_the_line_or_repaired() {
    let (events, text) = written();
    let mut dice = Dice(SEED);
    let (mut refused, mut repaired) = (0, 0);
    let mut judge = |at: usize, to: u8| {
        let mut changed = text.clone();
        changed[at] = to;
        let what = format!("byte {at} from {} to {to}", text[at]);
        let line = line_of(&text, at);
        match walk(&changed) {
            (past, Some(damage)) => {
                assert_eq!(damage.line, line, "{what}");
                // What comes before it is shown as it was.
                assert_eq!(past.events, events[..line - 1], "{what}");
                refused += 1;
            }
            // Only the end of the last line is missing: it was never finished.
            (past, None) => {
                assert_eq!(at, text.len() - 1, "{what}");
                assert_eq!(past.events, events[..events.len() - 1], "{what}");
                assert!(past.torn > 0, "{what}");
                repaired += 1;
            }
        }
    };
    for _ in 0..CHANGES {
        let at = dice.below(text.len());
        let other = 1 + u8::try_from(dice.below(255)).unwrap();
        judge(at, text[at].wrapping_add(other));
    }
    // Every byte of the last line, to the values that mean something to the format.
    let begins = text[..text.len() - 1]
        .iter()
        .rposition(|byte| *byte == b'\n')
        .unwrap()
        + 1;
    for (at, &is) in text.iter().enumerate().skip(begins) {
        for to in [b'\n', b'"', b'}', b'0', 0, 0xff] {
            if is != to {
                judge(at, to);
            }
        }
    }
    println!("{refused} changes refused with their line, {repaired} repaired, none read otherwise");
    assert!(refused >= CHANGES && repaired > 0);
}
