//! A checked tree, read by key; absent keys have the table's defaults.
//!
//! Nothing here reports: what cannot be read has been reported by `check`, and reads as absent.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::{DocumentError, Problem, Span, quote};
use super::table::Object;
use super::tree::Node;
use super::{Environment, duration, format};

/// A mapping, or the absence of one, with the table that describes it.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub node: Option<&'a Node>,
    pub object: &'static Object,
}

impl<'a> View<'a> {
    /// The value of a key that is there and not null.
    pub fn node(self, name: &str) -> Option<&'a Node> {
        self.node?
            .get(name)
            .map(|entry| &entry.value)
            .filter(|node| !node.is_null())
    }

    /// The mapping under a key.
    pub fn sub(self, name: &str, object: &'static Object) -> View<'a> {
        View {
            node: self.node(name),
            object,
        }
    }

    /// A scalar's text, or the default's.
    pub fn text(self, name: &str) -> Option<&'a str> {
        match self.node(name) {
            Some(node) => node.text(),
            None => self
                .object
                .field(name)?
                .default
                .filter(|default| *default != "null"),
        }
    }

    pub fn flag(self, name: &str) -> Option<bool> {
        self.text(name)?.to_ascii_lowercase().parse().ok()
    }

    pub fn count(self, name: &str) -> Option<u32> {
        format::count(self.text(name)?)
    }

    pub fn duration(self, name: &str) -> Option<Duration> {
        duration::parse(self.text(name)?)
    }

    /// The items of a list.
    pub fn items(self, name: &str) -> &'a [Node] {
        self.node(name).map(Node::items).unwrap_or_default()
    }

    /// The texts of a list's items.
    pub fn texts(self, name: &str) -> Vec<String> {
        self.items(name)
            .iter()
            .filter_map(Node::text)
            .map(str::to_owned)
            .collect()
    }
}

/// Where relative paths start, and who is at home.
#[derive(Clone, Copy)]
pub(super) struct Paths<'a> {
    pub folder: &'a Path,
    pub environment: &'a Environment,
}

impl Paths<'_> {
    /// The document's folder joined, `~/` expanded; none when nobody is at home.
    pub fn resolve(self, text: &str) -> Option<PathBuf> {
        if text == "~" || text.starts_with("~/") {
            let home = self.environment.home.as_ref()?;
            return Some(home.join(text.trim_start_matches('~').trim_start_matches('/')));
        }
        Some(self.folder.join(text.strip_prefix("./").unwrap_or(text)))
    }

    /// An error where a path cannot be resolved.
    pub fn check(self, node: Option<&Node>, errors: &mut Vec<DocumentError>) {
        if let Some((node, text)) = node.and_then(|node| node.text().map(|text| (node, text)))
            && self.resolve(text).is_none()
        {
            errors.push(no_home(node.span, text));
        }
    }
}

fn no_home(span: Span, text: &str) -> DocumentError {
    DocumentError::at(
        Problem::BadValue,
        span,
        format!("{} starts at a home folder, and none is known", quote(text)),
        "set HOME, or write the whole path",
    )
}
