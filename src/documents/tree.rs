//! YAML as a tree in which everything knows its place.
//!
//! Serde stops at the first error, and these documents owe their writer all of them; so the parser's events become a
//! plain tree here, and `check` compares the tree with the tables. Scalars stay text: `1.30` is never a float on the way.
//! Anchors, aliases, merge keys and tags are not read: what a reviewer sees is what is meant, and nothing can expand.

use std::collections::BTreeMap;

use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, ScanError, options};

use super::error::{DocumentError, MOST_ERRORS, Problem, Span, quote};

/// Deeper than any document needs; keeps recursion shallow.
const MOST_NESTED: usize = 32;

/// A value and its place.
#[derive(Debug)]
pub(super) struct Node {
    pub span: Span,
    pub value: Value,
}

#[derive(Debug)]
pub(super) enum Value {
    Scalar(Scalar),
    List(Vec<Node>),
    Mapping(Vec<Entry>),
    /// Reported already.
    Unreadable,
}

/// A scalar's text, and what YAML's core schema takes it for.
#[derive(Debug)]
pub(super) struct Scalar {
    pub text: String,
    pub kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Flag,
    Number,
    Text,
}

/// A key and its value.
#[derive(Debug)]
pub(super) struct Entry {
    pub key: String,
    pub key_span: Span,
    pub value: Node,
}

impl Node {
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Mapping(entries) => entries,
            Value::Scalar(_) | Value::List(_) | Value::Unreadable => &[],
        }
    }

    pub fn items(&self) -> &[Self] {
        match &self.value {
            Value::List(items) => items,
            Value::Scalar(_) | Value::Mapping(_) | Value::Unreadable => &[],
        }
    }

    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// The scalar's text, unless it is null.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) if scalar.kind != Kind::Null => Some(&scalar.text),
            Value::Scalar(_) | Value::List(_) | Value::Mapping(_) | Value::Unreadable => None,
        }
    }

    pub fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar(scalar) if scalar.kind == Kind::Null)
    }
}

/// The tree of the one document in `text`; errors are added to `errors`.
pub(super) fn parse(text: &str, errors: &mut Vec<DocumentError>) -> Option<Node> {
    let options = options! {
        emit_comments: false,
        emit_unresolved_aliases: true,
        disallow_directives: true,
        flow_nesting_limit: MOST_NESTED,
        block_nesting_limit: MOST_NESTED,
    };
    let mut builder = Builder {
        parser: Parser::new_from_str_with_options(text, options),
        text,
        errors,
        indirection_told: false,
    };
    match builder.document() {
        Ok(root) => root,
        Err(stop) => {
            errors.push(*stop);
            None
        }
    }
}

struct Builder<'a, 'e> {
    parser: Parser<'a, serde_saphyr::granit_parser::StrInput<'a>>,
    text: &'a str,
    errors: &'e mut Vec<DocumentError>,
    indirection_told: bool,
}

/// An error after which nothing more can be read.
type Stop = Box<DocumentError>;

impl<'a> Builder<'a, '_> {
    fn document(&mut self) -> Result<Option<Node>, Stop> {
        let mut root = None;
        while let Some((event, span)) = self.next()? {
            match event {
                Event::DocumentStart(..) if root.is_some() => {
                    return Err(Box::new(
                        DocumentError::at(
                            Problem::Syntax,
                            span,
                            "more than one YAML document in this file",
                            "a second document starts here",
                        )
                        .help("keep each document in a file of its own"),
                    ));
                }
                Event::DocumentStart(..) => {
                    if let Some((event, span)) = self.next()? {
                        root = Some(self.node(event, span)?);
                    }
                }
                _ => {}
            }
        }
        Ok(root)
    }

    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, Stop> {
        if self.errors.len() >= MOST_ERRORS {
            let message = "too many errors: reading stopped";
            return Err(Box::new(DocumentError::whole(Problem::Syntax, message)));
        }
        match self.parser.next_event() {
            None => Ok(None),
            Some(Ok((event, span))) => {
                if event.anchor_id().is_some() {
                    self.indirection(self.span(&span));
                }
                if let Some(tag) = event.tag() {
                    let place = span
                        .tag_span()
                        .map_or_else(|| self.span(&span), |tag| self.span(&tag));
                    self.errors.push(DocumentError::at(
                        Problem::Syntax,
                        place,
                        format!("the tag {} is not read", quote(&tag.original())),
                        "tags have no meaning here",
                    ));
                }
                let place = self.span(&span);
                Ok(Some((event, place)))
            }
            Some(Err(error)) => Err(Box::new(self.syntax(&error))),
        }
    }

    /// Told once: a document that uses anchors uses them everywhere.
    fn indirection(&mut self, span: Span) {
        if !std::mem::replace(&mut self.indirection_told, true) {
            self.errors.push(
                DocumentError::at(
                    Problem::Syntax,
                    span,
                    "anchors and aliases are not read",
                    "one of them",
                )
                .help("write the value out; text that starts with `&` or `*` needs quotes"),
            );
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span) -> Result<Node, Stop> {
        let (span, value) = match event {
            Event::Scalar(text, style, ..) => {
                let kind = match style {
                    ScalarStyle::Plain => plain_kind(&text),
                    ScalarStyle::SingleQuoted
                    | ScalarStyle::DoubleQuoted
                    | ScalarStyle::Literal
                    | ScalarStyle::Folded => Kind::Text,
                };
                (
                    span,
                    Value::Scalar(Scalar {
                        text: text.into_owned(),
                        kind,
                    }),
                )
            }
            Event::SequenceStart(..) => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        None => break (span, Value::List(items)),
                        Some((Event::SequenceEnd, end)) => {
                            break (self.until(span, end), Value::List(items));
                        }
                        Some((event, span)) => items.push(self.node(event, span)?),
                    }
                }
            }
            Event::MappingStart(..) => {
                let mut entries = Vec::new();
                let mut seen = BTreeMap::new();
                loop {
                    match self.next()? {
                        None => break (span, Value::Mapping(entries)),
                        Some((Event::MappingEnd, end)) => {
                            break (self.until(span, end), Value::Mapping(entries));
                        }
                        Some((event, span)) => entries.extend(self.entry(event, span, &mut seen)?),
                    }
                }
            }
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                self.indirection(span);
                (span, Value::Unreadable)
            }
            // No other event opens a node.
            _ => (span, Value::Unreadable),
        };
        Ok(Node { span, value })
    }

    /// A key and its value, unless the key is unusable.
    fn entry(
        &mut self,
        event: Event<'a>,
        span: Span,
        seen: &mut BTreeMap<String, Span>,
    ) -> Result<Option<Entry>, Stop> {
        let key = self.node(event, span)?;
        let Some((event, span)) = self.next()? else {
            return Ok(None);
        };
        let value = self.node(event, span)?;
        let text = match key.value {
            Value::Scalar(scalar) => scalar.text,
            Value::Unreadable => return Ok(None),
            Value::List(_) | Value::Mapping(_) => {
                self.errors.push(DocumentError::at(
                    Problem::WrongType,
                    key.span,
                    "a key must be text",
                    "a list or a mapping as a key",
                ));
                return Ok(None);
            }
        };
        if let Some(first) = seen.get(&text) {
            self.errors.push(
                DocumentError::at(
                    Problem::DoubledKey,
                    key.span,
                    format!("the key {} stands twice", quote(&text)),
                    "again here",
                )
                .also(*first, "first here"),
            );
            return Ok(None);
        }
        seen.insert(text.clone(), key.span);
        Ok(Some(Entry {
            key: text,
            key_span: key.span,
            value,
        }))
    }

    fn until(&self, start: Span, end: Span) -> Span {
        Span {
            start: start.start,
            end: end.end.max(start.end),
        }
    }

    fn span(&self, span: &serde_saphyr::granit_parser::Span) -> Span {
        match span.byte_range() {
            Some(range) => self.inside(range.start, range.end),
            None => self.inside(0, 0),
        }
    }

    /// A span that is cut to the text and to whole characters.
    fn inside(&self, start: usize, end: usize) -> Span {
        let whole = |at: usize| {
            (0..=at.min(self.text.len()))
                .rev()
                .find(|at| self.text.is_char_boundary(*at))
                .unwrap_or(0)
        };
        let start = whole(start);
        Span {
            start,
            end: whole(end).max(start),
        }
    }

    fn syntax(&self, error: &ScanError) -> DocumentError {
        use serde_saphyr::granit_parser::ErrorKind;
        let start = error.marker().byte_offset().unwrap_or(self.text.len());
        let span = self.inside(start, start + 1);
        let at = |message: &str, expected: &str| {
            DocumentError::at(Problem::Syntax, span, message, expected)
        };
        match error.kind() {
            ErrorKind::TabNotAllowed | ErrorKind::TabInBlockIndentation | ErrorKind::TabInIndentation | ErrorKind::TabAtBlockScalarStart => {
                at("a tab in the indentation", "YAML is indented with spaces only")
            }
            ErrorKind::RecursionLimitExceeded => {
                at("nested too deeply", "nothing in this document is nested this deeply")
            }
            ErrorKind::DirectiveDisallowed => at("YAML directives are not read", "remove this line"),
            ErrorKind::ExpectedFlowMappingSeparator | ErrorKind::ExpectedFlowSequenceSeparator => {
                at("not valid YAML: a `,` or a closing bracket is missing", "before this")
                    .help("text that holds `[`, `]`, `{`, `}` or `,` needs quotes between brackets: {name: \"w[1-3]\"}")
            }
            ErrorKind::MappingValueNotAllowed => at("not valid YAML: a `:` that no key can have here", "check the line's indentation and quotes"),
            kind => at(&format!("not valid YAML: {kind}"), "reading stopped here"),
        }
    }
}

/// What an unquoted scalar is in YAML 1.2's core schema, <https://yaml.org/spec/1.2.2/#1032-tag-resolution>.
fn plain_kind(text: &str) -> Kind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Kind::Null,
        "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => Kind::Flag,
        ".inf" | ".Inf" | ".INF" | "+.inf" | "-.inf" | ".nan" | ".NaN" | ".NAN" => Kind::Number,
        _ if text.starts_with("0x") || text.starts_with("0o") => {
            match u64::from_str_radix(&text[2..], if text.starts_with("0x") { 16 } else { 8 }) {
                Ok(_) => Kind::Number,
                Err(_) => Kind::Text,
            }
        }
        // Rust also reads `inf` and `nan`, which are text in YAML.
        _ if text
            .bytes()
            .all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b))
            && text.parse::<f64>().is_ok() =>
        {
            Kind::Number
        }
        _ => Kind::Text,
    }
}
