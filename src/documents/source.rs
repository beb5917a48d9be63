//! Bytes to text: size, encoding, and characters that no text holds.

use std::path::Path;

use super::MAX_BYTES;
use super::error::{DocumentError, DocumentErrors, Problem, Span};
use super::tree::{self, Node};

/// A document's text and its file.
pub(super) struct Source<'a> {
    path: &'a Path,
    text: &'a str,
}

impl<'a> Source<'a> {
    pub fn new(path: &'a Path, bytes: &'a [u8]) -> Result<Self, DocumentErrors> {
        let refuse = |error: DocumentError| DocumentErrors {
            path: path.to_owned(),
            text: String::new(),
            errors: vec![error],
        };
        if bytes.len() > MAX_BYTES {
            let message = format!(
                "larger than {} KiB: this is no document of refit",
                MAX_BYTES / 1024
            );
            return Err(refuse(DocumentError::whole(Problem::TooLarge, message)));
        }
        if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
            let message = format!(
                "not a text file: byte {at} (line {}) is zero",
                line(bytes, at)
            );
            return Err(refuse(DocumentError::whole(Problem::NotText, message)));
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Self { path, text }),
            Err(error) => {
                let at = error.valid_up_to();
                let message = format!(
                    "not UTF-8: byte {at} (line {}) is no part of a character",
                    line(bytes, at)
                );
                Err(refuse(
                    DocumentError::whole(Problem::NotText, message).help("save the file as UTF-8"),
                ))
            }
        }
    }

    /// The tree, with errors added that do not stop reading.
    pub fn tree(&self, errors: &mut Vec<DocumentError>) -> Option<Node> {
        let root = tree::parse(self.text, errors)?;
        if root.is_null() && errors.is_empty() {
            errors.push(empty());
            return None;
        }
        Some(root)
    }

    /// The tree, or what is wrong with the YAML.
    pub fn parse(&self) -> Result<Node, DocumentErrors> {
        let mut errors = Vec::new();
        self.tree(&mut errors).ok_or_else(|| self.errors(errors))
    }

    /// The errors in the order of their places.
    pub fn errors(&self, mut errors: Vec<DocumentError>) -> DocumentErrors {
        if errors.is_empty() {
            errors.push(empty());
        }
        errors.sort_by_key(|error| error.span.unwrap_or(Span { start: 0, end: 0 }));
        DocumentErrors {
            path: self.path.to_owned(),
            text: self.text.to_owned(),
            errors,
        }
    }
}

fn empty() -> DocumentError {
    DocumentError::whole(Problem::Empty, "the file holds no document")
        .help("expected `apiVersion: refit/v1alpha1` and `kind: Inventory` or `kind: Upgrade`")
}

fn line(bytes: &[u8], at: usize) -> usize {
    1 + bytes.iter().take(at).filter(|byte| **byte == b'\n').count()
}
