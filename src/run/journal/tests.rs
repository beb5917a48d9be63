//! A journal as it is written, cut, changed, and written by another refit.

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::plan::data::StepId;
use crate::run::event::{Event, Halt, How};

#[derive(Default)]
struct Memory {
    text: Vec<u8>,
    full: bool,
}

impl JournalFile for Memory {
    fn append(&mut self, line: &str) -> std::io::Result<()> {
        if self.full {
            return Err(std::io::Error::other("no space left on device"));
        }
        self.text.extend_from_slice(line.as_bytes());
        self.text.push(b'\n');
        Ok(())
    }
}

fn events() -> Vec<Stamped> {
    let step = StepId::new("w1/install-kubelet@1.35.4");
    [
        Event::RunStarted {
            run: "r1".into(),
            plan_sha256: "ab".into(),
            refit: "0.1.0".into(),
            pid: 7,
        },
        Event::StepStarted {
            step: step.clone(),
            attempt: 1,
        },
        Event::StepWaiting {
            step: step.clone(),
            on: "größer \"\n".into(),
        },
        Event::StepDone {
            step,
            how: How::Acted,
            note: Some("fine".into()),
            took_ms: 12,
        },
        Event::Halted {
            why: Halt::Interrupted,
            own_ms: 1,
            wall_ms: 2,
        },
    ]
    .into_iter()
    .enumerate()
    .map(|(second, event)| Stamped {
        at: Timestamp::from_second(1_700_000_000 + i64::try_from(second).unwrap()).unwrap(),
        event,
    })
    .collect()
}

fn written() -> Vec<u8> {
    let mut file = Memory::default();
    let mut journal = Journal::after(&Past::none(), &mut file);
    for event in events() {
        journal.append(&event).unwrap();
    }
    file.text
}

#[test]
fn what_was_written_is_read() {
    let past = read(&written()).unwrap();
    assert_eq!(past.events, events());
    assert_eq!(past.torn, 0);
    assert_eq!(past.state.halted, Some(Halt::Interrupted));
}

#[test]
fn a_journal_cut_anywhere_is_whole_or_repaired() {
    let text = written();
    for len in 0..text.len() {
        let past = read(&text[..len]).unwrap();
        assert!(events().starts_with(&past.events));
        assert_eq!(past.valid_len + past.torn, len as u64);
        let whole = text[..len].iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(past.events.len(), whole);
    }
}

#[test]
fn a_repaired_journal_goes_on() {
    let text = written();
    let cut = read(&text[..text.len() - 3]).unwrap();
    let mut file = Memory {
        text: text[..usize::try_from(cut.valid_len).unwrap()].to_vec(),
        full: false,
    };
    let last = events().pop().unwrap();
    Journal::after(&cut, &mut file).append(&last).unwrap();
    assert_eq!(file.text, text);
}

#[test]
fn the_end_cut_off_by_a_zeroed_block_is_repaired() {
    let mut text = written();
    let len = text.len() as u64;
    text.extend_from_slice(&[0; 100]);
    let past = read(&text).unwrap();
    assert_eq!((past.valid_len, past.torn), (len, 100));
}

#[test]
fn lines_left_out_doubled_or_swapped_are_refused() {
    let text = String::from_utf8(written()).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let refused = |lines: Vec<&str>| {
        let damage = read(lines.concat().as_bytes()).unwrap_err();
        assert!(matches!(damage.kind, DamageKind::Chain), "{damage}");
        damage.line
    };
    assert_eq!(refused(vec![lines[0], lines[2]]), 2);
    assert_eq!(refused(vec![lines[1]]), 1);
    assert_eq!(refused(vec![lines[0], lines[0]]), 2);
    assert_eq!(refused(vec![lines[0], lines[2], lines[1]]), 2);
}

#[test]
fn an_order_that_makes_no_sense_is_refused() {
    let mut file = Memory::default();
    let mut journal = Journal::after(&Past::none(), &mut file);
    for event in &events()[..1] {
        journal.append(event).unwrap();
    }
    journal.append(&events()[2]).unwrap();
    let damage = read(&file.text).unwrap_err();
    assert_eq!(damage.line, 2);
    assert!(matches!(damage.kind, DamageKind::Transition(_)));
}

/// The text with another event's name in its last line, as another refit would have written it.
fn with_a_foreign_end(name: &str) -> Vec<u8> {
    let text = String::from_utf8(written()).unwrap();
    let (before, last) = text.trim_end().rsplit_once('\n').unwrap();
    let (line, _) = last.split_once(HASH_KEY).unwrap();
    let line = line.replace("\"halted\"", &format!("\"{name}\""));
    let hash = digest(&format!("{line}}}"));
    format!("{before}\n{line}{HASH_KEY}{hash}\"}}\n").into_bytes()
}

#[test]
fn events_of_another_refit_are_no_damage() {
    let text = with_a_foreign_end("paused");
    let damage = read(&text).unwrap_err();
    assert!(matches!(damage.kind, DamageKind::Foreign(_)), "{damage}");
    let said = damage.to_string();
    assert!(
        said.starts_with("line 5 of the journal was written by another refit"),
        "{said}"
    );
    assert!(said.contains("paused"), "{said}");
}

#[test]
fn an_outline_tells_the_end_whatever_refit_wrote_it_and_no_changed_line() {
    let of = |finished| Outline {
        finished,
        refit: Some("0.1.0".to_owned()),
    };
    assert_eq!(outline(&written()).unwrap(), of(false));
    assert_eq!(outline(&with_a_foreign_end("paused")).unwrap(), of(false));
    // with fields that this one does not have
    assert_eq!(outline(&with_a_foreign_end(FINISHED)).unwrap(), of(true));
    let name = Event::Finished {
        own_ms: 1,
        wall_ms: 1,
    };
    assert_eq!(name.name(), FINISHED);
    let changed = String::from_utf8(with_a_foreign_end(FINISHED)).unwrap();
    let changed = changed.replacen("\"pid\":7", "\"pid\":8", 1);
    assert_eq!(outline(changed.as_bytes()).unwrap_err().line, 1);
}

#[test]
fn after_a_failed_write_nothing_is_written_any_more() {
    let mut file = Memory {
        full: true,
        ..Memory::default()
    };
    let mut journal = Journal::after(&Past::none(), &mut file);
    let event = &events()[0];
    assert!(matches!(journal.append(event), Err(AppendError::Write(_))));
    assert!(matches!(journal.append(event), Err(AppendError::Broken)));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn no_changed_byte_passes(at in 0..written().len(), to in any::<u8>()) {
        let mut text = written();
        prop_assume!(text[at] != to);
        text[at] = to;
        match read(&text) {
            Err(damage) => prop_assert!(damage.line >= 1),
            // Only the very last newline may go: what is left is a line that was never finished.
            Ok(past) => {
                prop_assert_eq!(at, text.len() - 1);
                prop_assert_eq!(past.events.len(), events().len() - 1);
                prop_assert!(past.torn > 0);
            }
        }
    }
}
