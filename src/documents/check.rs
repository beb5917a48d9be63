//! A tree against a table: every key known, every value of its shape, nothing that refit would have to ignore.

use super::error::{DocumentError, MOST_ERRORS, Problem, Span, nearest, quote};
use super::format::Format;
use super::table::{API_VERSION, Choice, Field, Object, Shape, object, required};
use super::tree::{Entry, Kind, Node, Scalar, Value};

/// Adds an error for everything in `node` that `object` does not allow.
pub(super) fn check(node: &Node, object: &'static Object, errors: &mut Vec<DocumentError>) {
    Checker {
        errors,
        path: Vec::new(),
    }
    .object(node, object);
}

struct Checker<'a> {
    errors: &'a mut Vec<DocumentError>,
    path: Vec<String>,
}

impl Checker<'_> {
    fn value(&mut self, node: &Node, shape: Shape) {
        if self.errors.len() >= MOST_ERRORS {
            return;
        }
        match (shape, &node.value) {
            (_, Value::Unreadable) | (Shape::Any, _) => {}
            (Shape::Text(format), Value::Scalar(scalar)) => self.text(node.span, scalar, format),
            (Shape::Flag, Value::Scalar(scalar)) => self.flag(node.span, scalar),
            (Shape::OneOf(words), Value::Scalar(scalar)) => self.one_of(node.span, scalar, words),
            (Shape::List(shape), Value::List(items)) => {
                for (at, item) in items.iter().enumerate() {
                    self.within(format!("[{at}]"), |this| this.value(item, *shape));
                }
            }
            (Shape::Map(format, shape), Value::Mapping(entries)) => {
                for entry in entries {
                    if self.errors.len() >= MOST_ERRORS {
                        return;
                    }
                    if let Err(why) = format.check(&entry.key) {
                        self.bad(entry.key_span, &entry.key, format, why);
                    }
                    self.within(entry.key.clone(), |this| this.value(&entry.value, *shape));
                }
            }
            (Shape::Object(object), Value::Mapping(_))
            | (Shape::Either(_, object), Value::Mapping(_)) => self.object(node, object),
            (Shape::Either(scalar, _), Value::Scalar(_)) => self.value(node, *scalar),
            (
                Shape::Text(_) | Shape::Flag | Shape::OneOf(_),
                Value::List(_) | Value::Mapping(_),
            )
            | (Shape::List(_), Value::Scalar(_) | Value::Mapping(_))
            | (Shape::Map(..) | Shape::Object(_), Value::Scalar(_) | Value::List(_))
            | (Shape::Either(..), Value::List(_)) => self.wrong_type(node, &expectation(shape)),
        }
    }

    fn within(&mut self, step: String, inside: impl FnOnce(&mut Self)) {
        self.path.push(step);
        inside(self);
        self.path.pop();
    }

    fn object(&mut self, node: &Node, object: &'static Object) {
        if !matches!(node.value, Value::Mapping(_)) {
            return self.wrong_type(node, "a mapping of keys to values");
        }
        for entry in node.entries() {
            if self.errors.len() >= MOST_ERRORS {
                return;
            }
            match object.field(&entry.key) {
                Some(field) => self.within(entry.key.clone(), |this| this.field(entry, field)),
                None => self.unknown(entry, object),
            }
        }
        for field in object.fields.iter().filter(|field| field.default.is_none()) {
            if node.get(field.name).is_none() {
                self.missing(node, field);
            }
        }
        self.choice(node, object.choice);
    }

    fn field(&mut self, entry: &Entry, field: &'static Field) {
        if entry.value.is_null() && field.default == Some("null") {
            return;
        }
        let before = self.errors.len();
        self.value(&entry.value, field.shape);
        let is_scalar = matches!(entry.value.value, Value::Scalar(_));
        let readable = !is_scalar || self.errors.len() == before;
        if !field.built && readable && !is_default(&entry.value, field) {
            let span = if is_scalar {
                entry.value.span
            } else {
                entry.key_span
            };
            self.errors.push(DocumentError::at(
                Problem::NotSupportedYet,
                span,
                format!("{} is not supported yet", quote(&self.place())),
                match field.default {
                    Some("null" | "[]") => "leave it out".to_owned(),
                    Some(default) => format!("only {default} works today"),
                    None => String::new(),
                },
            ));
        }
    }

    fn text(&mut self, span: Span, scalar: &Scalar, format: Format) {
        let fits = match scalar.kind {
            Kind::Text => !format.is_number(),
            Kind::Number => format.may_be_number(),
            Kind::Null | Kind::Flag => false,
        };
        match (format.check(&scalar.text), scalar.kind) {
            // Of `timeout: 30` or `target: 1.36` it says more that the value is wrong than that it is a number.
            (Err(why), Kind::Text | Kind::Number) => self.bad(span, &scalar.text, format, why),
            (Ok(()), _) if fits => {}
            (Ok(()) | Err(_), kind) => {
                let error = self.type_error(span, format.describe(), found(kind));
                self.errors.push(match kind {
                    Kind::Null => error,
                    Kind::Text => error.help(format!("without quotes: {}", scalar.text)),
                    Kind::Flag | Kind::Number => {
                        error.help(format!("in quotes it is text: {:?}", scalar.text))
                    }
                });
            }
        }
    }

    fn flag(&mut self, span: Span, scalar: &Scalar) {
        if scalar.kind == Kind::Flag {
            return;
        }
        let error = self.type_error(span, "true or false", found(scalar.kind));
        let help = match scalar.text.to_ascii_lowercase().as_str() {
            "true" | "false" => Some(format!("without quotes: {}", scalar.text)),
            "yes" | "on" | "y" => Some("did you mean true?".to_owned()),
            "no" | "off" | "n" => Some("did you mean false?".to_owned()),
            _ => None,
        };
        self.errors.push(DocumentError { help, ..error });
    }

    fn one_of(&mut self, span: Span, scalar: &Scalar, words: &[&str]) {
        let expected = format!("expected {}", listing(words));
        if scalar.kind == Kind::Null {
            let error = self.type_error(span, &listing(words), found(scalar.kind));
            return self.errors.push(error);
        }
        if words.contains(&scalar.text.as_str()) {
            return;
        }
        let mut error = DocumentError::at(
            Problem::BadValue,
            span,
            format!("{}: {} is not known", self.place(), quote(&scalar.text)),
            expected,
        );
        if let Some(near) = nearest(&scalar.text, words.iter().copied()).filter(|_| words.len() > 1)
        {
            error = error.help(format!("did you mean `{near}`?"));
        }
        self.errors.push(error);
    }

    fn bad(&mut self, span: Span, text: &str, format: Format, why: Option<String>) {
        let error = DocumentError::at(
            Problem::BadValue,
            span,
            format!("{}: {} is not valid", self.place(), quote(text)),
            format!("expected {}", format.describe()),
        );
        let help = format
            .suggest(text)
            .map(|near| format!("did you mean `{near}`?"));
        self.errors.push(DocumentError {
            note: why,
            help,
            ..error
        });
    }

    fn wrong_type(&mut self, node: &Node, expected: &str) {
        let found = match &node.value {
            Value::Scalar(scalar) => found(scalar.kind),
            Value::List(_) => "a list",
            Value::Mapping(_) => "a mapping",
            Value::Unreadable => return,
        };
        let error = self.type_error(node.span, expected, found);
        self.errors.push(error);
    }

    fn type_error(&self, span: Span, expected: &str, found: &str) -> DocumentError {
        DocumentError::at(
            Problem::WrongType,
            span,
            format!("{}: wrong type, {found}", self.place()),
            format!("expected {expected}"),
        )
    }

    fn unknown(&mut self, entry: &Entry, object: &Object) {
        let names: Vec<&str> = object.fields.iter().map(|field| field.name).collect();
        let place = match self.path.is_empty() {
            true => String::new(),
            false => format!(" in {}", self.place()),
        };
        let near = nearest(&entry.key, names.iter().copied());
        let error = DocumentError::at(
            Problem::UnknownKey,
            entry.key_span,
            format!("unknown key {}{place}", quote(&entry.key)),
            near.map_or("no such key here".to_owned(), |near| {
                format!("did you mean `{near}`?")
            }),
        );
        self.errors.push(match entry.key.as_str() {
            "<<" => error.help("merge keys are not read; write the values out"),
            _ => error.note(format!("the keys here are {}", names.join(", "))),
        });
    }

    fn missing(&mut self, node: &Node, field: &Field) {
        let place = match self.path.is_empty() {
            true => String::new(),
            false => format!(" in {}", self.place()),
        };
        let message = format!("the key `{}` is missing{place}", field.name);
        let expected = format!("expected `{}`: {}", field.name, expectation(field.shape));
        self.errors.push(DocumentError::at(
            Problem::MissingKey,
            node.span,
            message,
            expected,
        ));
    }

    fn choice(&mut self, node: &Node, choice: Choice) {
        let (names, must) = match choice {
            Choice::Free => return,
            Choice::ExactlyOne(names) => (names, true),
            Choice::AtMostOne(names) => (names, false),
        };
        let mut set = node
            .entries()
            .iter()
            .filter(|entry| names.contains(&entry.key.as_str()) && !entry.value.is_null());
        match (set.next(), set.next()) {
            (None, _) if must => {
                let message = format!("{}: nothing says which kind it is", self.place());
                self.errors.push(DocumentError::at(
                    Problem::MissingKey,
                    node.span,
                    message,
                    format!("expected one of {}", listing(names)),
                ));
            }
            (Some(first), Some(second)) => self.errors.push(
                DocumentError::at(
                    Problem::Conflict,
                    second.key_span,
                    format!("`{}` and `{}` exclude each other", first.key, second.key),
                    format!("expected only one of {}", listing(names)),
                )
                .also(first.key_span, "set here"),
            ),
            (None | Some(_), _) => {}
        }
    }

    /// Where in the document, such as `groups.workers.hosts[0].name`.
    fn place(&self) -> String {
        let mut place = String::new();
        for step in &self.path {
            if !place.is_empty() && !step.starts_with('[') {
                place.push('.');
            }
            place.push_str(quote(step).trim_matches('`'));
        }
        match place.is_empty() {
            true => "the document".to_owned(),
            false => place,
        }
    }
}

fn is_default(node: &Node, field: &Field) -> bool {
    match (&node.value, field.default) {
        (Value::Unreadable, _) => true,
        (_, None) => false,
        (Value::Scalar(scalar), Some(default)) => match field.shape {
            Shape::Text(format) => format.same(&scalar.text, default),
            _ => scalar.text.eq_ignore_ascii_case(default),
        },
        (Value::List(items), Some(default)) => items.is_empty() && default == "[]",
        (Value::Mapping(entries), Some(default)) => entries.is_empty() && default == "{}",
    }
}

fn found(kind: Kind) -> &'static str {
    match kind {
        Kind::Null => "nothing",
        Kind::Flag => "true or false",
        Kind::Number => "a number",
        Kind::Text => "text",
    }
}

/// What is expected, to follow "expected".
fn expectation(shape: Shape) -> String {
    match shape {
        Shape::Text(format) => format.describe().to_owned(),
        Shape::Any => "a value".to_owned(),
        Shape::Flag => "true or false".to_owned(),
        Shape::OneOf(words) => listing(words),
        Shape::List(_) => "a list".to_owned(),
        Shape::Map(..) | Shape::Object(_) => "a mapping of keys to values".to_owned(),
        Shape::Either(scalar, _) => format!("{} or a mapping", expectation(*scalar)),
    }
}

/// `a`, `a or b`, `a, b or c`.
fn listing(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// The documents there are.
const KINDS: &[&str] = &["Inventory", "Upgrade"];

/// The one error that matters when `node` is the other document: all of its keys would be unknown.
pub(super) fn other_kind(node: &Node, object: &'static Object) -> Option<DocumentError> {
    let entry = node.get("kind")?;
    let kind = entry.value.text().filter(|kind| KINDS.contains(kind))?;
    match object.field("kind")?.shape {
        Shape::OneOf(wanted) if !wanted.contains(&kind) => Some(DocumentError::at(
            Problem::BadValue,
            entry.value.span,
            format!("this file holds an {kind}"),
            format!("expected kind: {}", listing(wanted)),
        )),
        _ => None,
    }
}

/// Adds the errors of a document whose `kind` is neither.
pub(super) fn check_kind(root: &Node, errors: &mut Vec<DocumentError>) {
    static EITHER: Object = object(
        "Either document.",
        &[
            required(
                "apiVersion",
                Shape::OneOf(&[API_VERSION]),
                "The format's version.",
            ),
            required("kind", Shape::OneOf(KINDS), "The kind of document."),
        ],
    );
    let mut checker = Checker {
        errors,
        path: Vec::new(),
    };
    if !matches!(root.value, Value::Mapping(_)) {
        return checker.wrong_type(root, "a mapping of keys to values");
    }
    for field in EITHER.fields {
        match root.get(field.name) {
            Some(entry) => checker.within(entry.key.clone(), |this| this.field(entry, field)),
            None => checker.missing(root, field),
        }
    }
}
