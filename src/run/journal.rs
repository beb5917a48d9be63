//! The journal: what happened in a run, one line an event, each line chained to the one before.
//!
//! Owns the format and its checks; knows nothing of files (an adapter makes each line durable) and nothing of what the
//! events mean, except that they must make sense one after the other ([`State::apply`]).
//!
//! A line is a JSON object whose last member is `hash`: the SHA-256 of the object's text without that member. `prev` is the
//! hash of the line before, `seq` counts from 1. The check is made on the text itself, so that no changed byte passes.
//!
//! A process that is killed while it writes leaves a last line without its newline. Nothing was done on the strength of
//! that line, because what an event announces begins only after the line is on disk; so it is cut off. Every other
//! damage is refused: a journal that was changed cannot tell what was done.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::event::{Stamped, State, TransitionError};
use crate::ports::JournalFile;

/// `prev` of the first line.
const NOTHING: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// What comes between a line's text and its hash.
const HASH_KEY: &str = ",\"hash\":\"";

/// The name of a run's last event.
const FINISHED: &str = "finished";

/// Hexadecimal digits of a SHA-256.
const HASH_LEN: usize = 64;

/// What a journal tells whatever refit wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// Every step is done: nothing is left of the run.
    pub finished: bool,
    /// The version of the refit that began it.
    pub refit: Option<String>,
}

/// The part of a line that every refit writes and knows.
#[derive(Deserialize)]
struct Spine {
    seq: u64,
    prev: String,
    event: String,
    refit: Option<String>,
}

/// One line, without its hash.
#[derive(Serialize, Deserialize)]
struct Line {
    seq: u64,
    prev: String,
    #[serde(flatten)]
    stamped: Stamped,
}

/// A journal that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    /// What happened, in order.
    pub events: Vec<Stamped>,
    /// What it adds up to.
    pub state: State,
    /// Bytes of the file that hold whole lines. When the file is longer, its end is a line that was never finished: the
    /// caller cuts it off before anything is appended.
    pub valid_len: u64,
    /// Bytes after `valid_len`; 0 when the file is whole.
    pub torn: u64,
    /// Where the chain goes on.
    link: Link,
}

impl Past {
    /// The past of a journal that does not exist yet.
    #[must_use]
    pub fn none() -> Self {
        Self {
            events: Vec::new(),
            state: State::default(),
            valid_len: 0,
            torn: 0,
            link: Link::first(),
        }
    }
}

/// The end of the chain so far.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Link {
    /// Of the next line.
    seq: u64,
    /// The hash of the last line.
    prev: String,
}

impl Link {
    fn first() -> Self {
        Self {
            seq: 1,
            prev: NOTHING.to_owned(),
        }
    }

    /// Reads the next line, which must go on from here.
    fn take<T: DeserializeOwned>(&mut self, line: &[u8]) -> Result<T, DamageKind> {
        let (record, spine, hash) = parse(line)?;
        if spine.seq != self.seq || spine.prev != self.prev {
            return Err(DamageKind::Chain);
        }
        self.seq += 1;
        self.prev = hash;
        Ok(record)
    }
}

/// Why a journal is not read.
#[derive(Debug, thiserror::Error)]
pub enum DamageKind {
    /// Not a record at all.
    #[error("is damaged: it is not a record of a journal")]
    NotARecord,
    /// It is as it was written, and says something that this refit does not know.
    #[error("was written by another refit, and this one does not know what it says: {0}")]
    Foreign(serde_json::Error),
    /// Its text is not what was written.
    #[error("is damaged: its text was changed after it was written")]
    Changed,
    /// A line before it is missing, or was put in.
    #[error("is damaged: a line before it is missing, was added or was moved")]
    Chain,
    /// It cannot follow the lines before it.
    #[error("is damaged: it cannot follow the lines before it")]
    Transition(#[source] TransitionError),
}

/// A journal that cannot be trusted.
#[derive(Debug, thiserror::Error)]
#[error("line {line} of the journal {kind}")]
pub struct Damage {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong.
    #[source]
    pub kind: DamageKind,
}

/// Why an event is not in the journal.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The disk did not take it.
    #[error("the journal could not be written")]
    Write(#[source] std::io::Error),
    /// It could not be put in words.
    #[error("an event could not be written as JSON")]
    Json(#[source] serde_json::Error),
    /// An earlier line may be on disk or not, so none may follow it.
    #[error("the journal could not be written before")]
    Broken,
}

/// Reads a journal's whole text.
///
/// # Errors
/// If any finished line is damaged. An unfinished last line is not an error: see [`Past::torn`].
pub fn read(text: &[u8]) -> Result<Past, Damage> {
    let mut past = Past::none();
    past.valid_len = whole(text).len() as u64;
    past.torn = text.len() as u64 - past.valid_len;
    let mut link = Link::first();
    for (number, line) in lines(text) {
        let damage = |kind| Damage { line: number, kind };
        let record: Line = link.take(line).map_err(damage)?;
        past.state
            .apply(&record.stamped)
            .map_err(|error| damage(DamageKind::Transition(error)))?;
        past.events.push(record.stamped);
    }
    past.link = link;
    Ok(past)
}

/// What is told even by a journal that this refit cannot go on with: one of a refit with other events.
///
/// # Errors
/// If any finished line is not as it was written.
pub fn outline(text: &[u8]) -> Result<Outline, Damage> {
    let mut link = Link::first();
    let mut outline = Outline {
        finished: false,
        refit: None,
    };
    for (number, line) in lines(text) {
        let damage = |kind| Damage { line: number, kind };
        let record: Spine = link.take(line).map_err(damage)?;
        outline.refit = outline.refit.or(record.refit);
        outline.finished = record.event == FINISHED;
    }
    Ok(outline)
}

/// Everything up to the last newline.
fn whole(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|byte| *byte == b'\n');
    end.map_or(&[], |position| &text[..=position])
}

/// The finished lines with their numbers, counted from 1.
fn lines(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    whole(text)
        .split_inclusive(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\n").unwrap_or(line))
        .enumerate()
        .map(|(index, line)| (index + 1, line))
}

/// The record of one line and its hash, which is checked.
fn parse<T: DeserializeOwned>(line: &[u8]) -> Result<(T, Spine, String), DamageKind> {
    let not_a_record = || DamageKind::NotARecord;
    let line = std::str::from_utf8(line).map_err(|_| not_a_record())?;
    let rest = line.strip_suffix("\"}").ok_or_else(not_a_record)?;
    let (rest, hash) = rest
        .len()
        .checked_sub(HASH_LEN)
        .and_then(|at| rest.split_at_checked(at))
        .ok_or_else(not_a_record)?;
    let text = rest.strip_suffix(HASH_KEY).ok_or_else(not_a_record)?;
    let text = format!("{text}}}");
    if digest(&text) != hash {
        return Err(DamageKind::Changed);
    }
    let spine = serde_json::from_str(&text).map_err(|_| not_a_record())?;
    let record = serde_json::from_str(&text).map_err(DamageKind::Foreign)?;
    Ok((record, spine, hash.to_owned()))
}

fn digest(text: &str) -> String {
    Sha256::digest(text.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// A journal that is being written.
pub struct Journal<'f> {
    file: &'f mut dyn JournalFile,
    link: Link,
    broken: bool,
}

impl<'f> Journal<'f> {
    /// Goes on where `past` ends. The file must hold exactly its `valid_len` bytes.
    pub fn after(past: &Past, file: &'f mut dyn JournalFile) -> Self {
        Self {
            file,
            link: past.link.clone(),
            broken: false,
        }
    }

    /// Appends an event and returns once it is on disk.
    ///
    /// # Errors
    /// If it may not be on disk. From then on every call fails: what the file ends with is not known any more.
    pub fn append(&mut self, stamped: &Stamped) -> Result<(), AppendError> {
        if self.broken {
            return Err(AppendError::Broken);
        }
        let (line, hash) = self.line(stamped).map_err(AppendError::Json)?;
        self.file.append(&line).map_err(|error| {
            self.broken = true;
            AppendError::Write(error)
        })?;
        self.link = Link {
            seq: self.link.seq + 1,
            prev: hash,
        };
        Ok(())
    }

    fn line(&self, stamped: &Stamped) -> Result<(String, String), serde_json::Error> {
        let mut text = serde_json::to_string(&Line {
            seq: self.link.seq,
            prev: self.link.prev.clone(),
            stamped: stamped.clone(),
        })?;
        let hash = digest(&text);
        text.truncate(text.len() - 1);
        Ok((format!("{text}{HASH_KEY}{hash}\"}}"), hash))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::super::event::{Event, Halt, How};
    use super::*;
    use crate::plan::data::StepId;

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
}
