//! What is wrong with a document: where, what was expected, what may have been meant.
//!
//! Errors are collected, never thrown at the first one; `render` turns them into text for people.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

/// Reading stops after so many errors; nobody mends them one by one, and a hostile file could hold half a million.
pub(super) const MOST_ERRORS: usize = 1000;

/// A stretch of a document's text, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// The byte after the last one.
    pub end: usize,
}

/// The kind of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// The file holds more than [`super::MAX_BYTES`].
    TooLarge,
    /// The file is not UTF-8 text.
    NotText,
    /// Not YAML, or YAML that is not read here: anchors, tags, several documents.
    Syntax,
    /// No content.
    Empty,
    /// A key that stands twice in one mapping.
    DoubledKey,
    /// A key that does not exist.
    UnknownKey,
    /// A key that must be there.
    MissingKey,
    /// A mapping instead of text, and the like.
    WrongType,
    /// The right type, but not a value that can be used.
    BadValue,
    /// A valid value whose behaviour refit does not have yet.
    NotSupportedYet,
    /// Two values that contradict each other.
    Conflict,
    /// A file that the document names cannot be read.
    MissingFile,
}

/// One error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentError {
    /// Its kind.
    pub problem: Problem,
    /// What is wrong, in one line.
    pub message: String,
    /// Where; none when it concerns the whole file.
    pub span: Option<Span>,
    /// What was expected there.
    pub expected: String,
    /// A second place that matters, such as the first of two equal names.
    pub also: Option<(Span, String)>,
    /// Why it is wrong, where that is not plain.
    pub note: Option<String>,
    /// What to do about it, where that is not plain.
    pub help: Option<String>,
}

impl DocumentError {
    /// At a place.
    pub(super) fn at(
        problem: Problem,
        span: Span,
        message: impl Into<String>,
        expected: impl Into<String>,
    ) -> Self {
        Self {
            problem,
            message: message.into(),
            span: Some(span),
            expected: expected.into(),
            also: None,
            note: None,
            help: None,
        }
    }

    /// About the whole file.
    pub(super) fn whole(problem: Problem, message: impl Into<String>) -> Self {
        Self {
            problem,
            message: message.into(),
            span: None,
            expected: String::new(),
            also: None,
            note: None,
            help: None,
        }
    }

    pub(super) fn also(mut self, span: Span, label: impl Into<String>) -> Self {
        self.also = Some((span, label.into()));
        self
    }

    pub(super) fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// All errors of one document, in the order of their places; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentErrors {
    /// The file, as the user named it.
    pub path: PathBuf,
    /// Its text; empty when it could not be read as text.
    pub text: String,
    /// What is wrong.
    pub errors: Vec<DocumentError>,
}

impl fmt::Display for DocumentErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(super::Style::Plain))
    }
}

impl std::error::Error for DocumentErrors {}

/// A text of the user between backticks, with control characters made visible and shortened when it is long.
pub(super) fn quote(text: &str) -> String {
    const MOST: usize = 60;
    if text.is_empty() {
        return "an empty text".to_owned();
    }
    let mut shown: String = without_credentials(text)
        .chars()
        .take(MOST)
        .flat_map(char::escape_debug)
        .collect();
    // escape_debug also escapes quotes, which need none between backticks.
    shown = shown.replace("\\\"", "\"").replace("\\'", "'");
    if text.chars().nth(MOST).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

/// With a star for each byte of what a URL holds before its last `@`: a user and a password have no place in a
/// document, and none in what is said about it. Places stay where they are.
pub(super) fn without_credentials(text: &str) -> Cow<'_, str> {
    let mut shown = Cow::Borrowed(text);
    let mut from = 0;
    while let Some(found) = text[from..].find("://") {
        let start = from + found + 3;
        // a password may hold a slash that should have been escaped
        let end = text[start..]
            .find(|c: char| c.is_whitespace() || "\"'`".contains(c))
            .map_or(text.len(), |end| start + end);
        if let Some(at) = text[start..end].rfind('@') {
            shown
                .to_mut()
                .replace_range(start..start + at, &"*".repeat(at));
        }
        from = end;
    }
    shown
}

/// The candidate that is nearest to `text`, if one is near enough to have been meant.
pub(super) fn nearest<'a>(
    text: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    /// Below this, a suggestion confuses more than it helps.
    const NEAR: f64 = 0.75;
    if !(3..=100).contains(&text.len()) {
        return None;
    }
    let lower = text.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| {
            (
                strsim::jaro_winkler(&lower, &candidate.to_lowercase()),
                candidate,
            )
        })
        .filter(|(score, _)| *score >= NEAR)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}
