//! A validation for programs: the same errors as `render` shows to people, with line and column in place of a caret.

use serde::Serialize;

use super::error::{DocumentError, DocumentErrors, Problem};
use super::load::Validation;

#[derive(Serialize)]
struct Document<'a> {
    format: &'static str,
    valid: Vec<Valid<'a>>,
    errors: Vec<Finding<'a>>,
}

#[derive(Serialize)]
struct Valid<'a> {
    file: String,
    holds: &'a str,
}

#[derive(Serialize)]
struct Finding<'a> {
    file: String,
    /// From 1; none when the whole file is meant.
    line: Option<usize>,
    /// In characters, from 1.
    column: Option<usize>,
    problem: &'static str,
    message: &'a str,
    expected: &'a str,
    note: Option<&'a str>,
    help: Option<&'a str>,
}

/// For programs, ending with a line break.
///
/// # Errors
/// Never in practice: a validation is plain text.
pub fn to_json(validation: &Validation) -> Result<String, serde_json::Error> {
    let valid = validation.good.iter().map(|(path, holds)| Valid {
        file: path.display().to_string(),
        holds,
    });
    let of = |document| finding(document);
    let document = Document {
        format: "refit.validation/v1",
        valid: valid.collect(),
        errors: validation.bad.iter().flat_map(of).collect(),
    };
    serde_json::to_string_pretty(&document).map(|text| text + "\n")
}

fn finding(document: &DocumentErrors) -> impl Iterator<Item = Finding<'_>> {
    document.errors.iter().map(|error| {
        let (line, column) = place(&document.text, error).unzip();
        Finding {
            file: document.path.display().to_string(),
            line,
            column,
            problem: name(error.problem),
            message: &error.message,
            expected: &error.expected,
            note: error.note.as_deref(),
            help: error.help.as_deref(),
        }
    })
}

fn place(text: &str, error: &DocumentError) -> Option<(usize, usize)> {
    let before = text.get(..error.span?.start)?;
    let line = before.rsplit('\n').next().unwrap_or_default();
    Some((before.matches('\n').count() + 1, line.chars().count() + 1))
}

const fn name(problem: Problem) -> &'static str {
    match problem {
        Problem::TooLarge => "too-large",
        Problem::NotText => "not-text",
        Problem::Syntax => "syntax",
        Problem::Empty => "empty",
        Problem::DoubledKey => "doubled-key",
        Problem::UnknownKey => "unknown-key",
        Problem::MissingKey => "missing-key",
        Problem::WrongType => "wrong-type",
        Problem::BadValue => "bad-value",
        Problem::NotSupportedYet => "not-supported-yet",
        Problem::Conflict => "conflict",
        Problem::MissingFile => "missing-file",
    }
}
