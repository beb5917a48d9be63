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

use super::event::Stamped;
use super::state::{State, TransitionError};
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
    match walk(text) {
        (past, None) => Ok(past),
        (_, Some(damage)) => Err(damage),
    }
}

/// As [`read`], for those who look only: what happened up to the first line that cannot be trusted, and why that one cannot.
/// Nothing may be appended to a journal with a damage, whatever its past says.
#[must_use]
pub fn walk(text: &[u8]) -> (Past, Option<Damage>) {
    let mut past = Past::none();
    past.valid_len = whole(text).len() as u64;
    past.torn = text.len() as u64 - past.valid_len;
    for (line, text) in lines(text) {
        let follows = past.link.take(text).and_then(|record: Line| {
            past.state
                .apply(&record.stamped)
                .map_err(DamageKind::Transition)?;
            past.events.push(record.stamped);
            Ok(())
        });
        if let Err(kind) = follows {
            return (past, Some(Damage { line, kind }));
        }
    }
    (past, None)
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

/// A journal's file that nothing is to outlive: of a rehearsal, or a test.
#[derive(Debug, Default)]
pub struct Memory {
    /// What was written.
    pub text: Vec<u8>,
}

impl JournalFile for Memory {
    fn append(&mut self, line: &str) -> std::io::Result<()> {
        self.text.extend_from_slice(line.as_bytes());
        self.text.push(b'\n');
        Ok(())
    }
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
mod tests;
