//! The tables that say what a document may hold.
//!
//! One table drives reading (`check`), defaults (`view`) and the generated JSON Schemas (`json_schema`).

pub(in crate::documents) mod around;
pub(in crate::documents) mod hazards;
pub(in crate::documents) mod inventory;
pub(in crate::documents) mod upgrade;

use super::format::Format;

/// What a value may be.
#[derive(Debug, Clone, Copy)]
pub(in crate::documents) enum Shape {
    /// A scalar of a format.
    Text(Format),
    /// Whatever the reader of the value takes, which tells what is wrong with it.
    Any,
    /// `true` or `false`.
    Flag,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Any number of values.
    List(&'static Shape),
    /// Names chosen by the writer.
    Map(Format, &'static Shape),
    /// Names known here.
    Object(&'static Object),
    /// A scalar, or a mapping.
    Either(&'static Shape, &'static Object),
}

/// A mapping with known keys.
#[derive(Debug)]
pub(in crate::documents) struct Object {
    /// Its meaning.
    pub doc: &'static str,
    /// Its keys, in the order in which they are documented.
    pub fields: &'static [Field],
    /// Which keys exclude each other.
    pub choice: Choice,
}

/// Which keys exclude each other.
#[derive(Debug, Clone, Copy)]
pub(in crate::documents) enum Choice {
    /// None do.
    Free,
    /// One of these and only one.
    ExactlyOne(&'static [&'static str]),
    /// One of these or none.
    AtMostOne(&'static [&'static str]),
}

/// A key.
#[derive(Debug, Clone, Copy)]
pub(in crate::documents) struct Field {
    /// The key.
    pub name: &'static str,
    /// Its value.
    pub shape: Shape,
    /// The value that an absent key stands for, as YAML; none when the key must be there.
    pub default: Option<&'static str>,
    /// Whether refit already does what another value than the default asks for.
    pub built: bool,
    /// Its meaning.
    pub doc: &'static str,
}

/// A key that must be there.
pub(in crate::documents) const fn required(
    name: &'static str,
    shape: Shape,
    doc: &'static str,
) -> Field {
    Field {
        name,
        shape,
        default: None,
        built: true,
        doc,
    }
}

/// A key with a default.
pub(in crate::documents) const fn optional(
    name: &'static str,
    shape: Shape,
    default: &'static str,
    doc: &'static str,
) -> Field {
    Field {
        name,
        shape,
        default: Some(default),
        built: true,
        doc,
    }
}

impl Field {
    /// Anything but the default is refused until the behaviour exists.
    pub const fn not_yet(mut self) -> Self {
        self.built = false;
        self
    }
}

/// A mapping with known keys.
pub(in crate::documents) const fn object(doc: &'static str, fields: &'static [Field]) -> Object {
    Object {
        doc,
        fields,
        choice: Choice::Free,
    }
}

impl Object {
    pub const fn choose(mut self, choice: Choice) -> Self {
        self.choice = choice;
        self
    }

    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

pub(in crate::documents) const API_VERSION: &str = "refit/v1alpha1";

/// `metadata` of either document.
pub(in crate::documents) static METADATA: Object = object(
    "What the document is called.",
    &[required(
        "name",
        Shape::Text(Format::Name),
        "Appears in plans and reports.",
    )],
);
