//! The two documents people write, the inventory and the upgrade: strict YAML in, validated settings out.
//!
//! Owns the format of both, all of their errors in one go, and the JSON Schemas for editors. Knows neither the disk (the
//! caller hands in bytes) nor the cluster: whether hosts and nodes exist is for facts to say.
//!
//! ```text
//! bytes ─► source (text?) ─► tree (YAML) ─► check (against a table) ─► check_across ─► build ─► settings
//!                                              table ─► json_schema
//! ```

mod check;
mod comparison;
mod cron;
mod duration;
mod error;
mod format;
mod hazards;
mod hook;
mod inventory;
mod json_schema;
mod load;
mod machine;
mod names;
mod range;
mod render;
mod selector;
pub mod settings;
mod source;
mod table;
mod tree;
mod upgrade;
mod url;
mod view;

use std::path::{Path, PathBuf};

pub use error::{DocumentError, DocumentErrors, Problem, Span};
pub use hazards::read_hazards;
pub use json_schema::{hazards_schema, json_schema};
pub use load::{LoadErrors, ReadFile, Validation, load_upgrade, unreadable, validate};
pub use machine::to_json;
pub use render::Style;

use settings::{Inventory, Upgrade};
use source::Source;
use table::Object;
use tree::Node;
use view::Paths;

/// The largest document that is read: the inventory of the largest cluster that Kubernetes supports (5,000 nodes) takes
/// about half of it when every host has a line of its own.
pub const MAX_BYTES: usize = 1024 * 1024;

/// What a document may refer to besides itself.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// What `~/` stands for.
    pub home: Option<PathBuf>,
    /// The names in a folder, for whoever mistyped one.
    pub names: Option<fn(&Path) -> Vec<String>>,
}

/// Which document a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// How to reach the hosts.
    Inventory,
    /// What the cluster should become.
    Upgrade,
}

/// Which document this is, by its `kind`.
///
/// # Errors
/// When it is neither; then the errors are all that can be said about it.
pub fn kind_of(path: &Path, bytes: &[u8]) -> Result<Kind, DocumentErrors> {
    let source = Source::new(path, bytes)?;
    let root = source.parse()?;
    match root.get("kind").and_then(|entry| entry.value.text()) {
        Some("Inventory") => Ok(Kind::Inventory),
        Some("Upgrade") => Ok(Kind::Upgrade),
        Some(_) | None => {
            let mut errors = Vec::new();
            check::check_kind(&root, &mut errors);
            Err(source.errors(errors))
        }
    }
}

/// The inventory in `bytes`, which come from `path`.
///
/// # Errors
/// Everything that is wrong with it.
pub fn read_inventory(
    path: &Path,
    bytes: &[u8],
    environment: &Environment,
) -> Result<Inventory, DocumentErrors> {
    read(
        path,
        bytes,
        environment,
        &table::inventory::INVENTORY,
        inventory::check_across,
        inventory::build,
    )
}

/// The upgrade in `bytes`, which come from `path`.
///
/// # Errors
/// Everything that is wrong with it.
pub fn read_upgrade(
    path: &Path,
    bytes: &[u8],
    environment: &Environment,
) -> Result<Upgrade, DocumentErrors> {
    read(
        path,
        bytes,
        environment,
        &table::upgrade::UPGRADE,
        upgrade::check_across,
        upgrade::build,
    )
}

fn read<T>(
    path: &Path,
    bytes: &[u8],
    environment: &Environment,
    object: &'static Object,
    check_across: fn(&Node, Paths<'_>, &mut Vec<DocumentError>),
    build: fn(&Node, Paths<'_>) -> Option<T>,
) -> Result<T, DocumentErrors> {
    let source = Source::new(path, bytes)?;
    let mut errors = Vec::new();
    let Some(root) = source.tree(&mut errors) else {
        return Err(source.errors(errors));
    };
    if let Some(error) = check::other_kind(&root, object) {
        return Err(source.errors(vec![error]));
    }
    let paths = Paths {
        folder: path.parent().unwrap_or(Path::new("")),
        environment,
    };
    check::check(&root, object, &mut errors);
    if matches!(root.value, tree::Value::Mapping(_)) {
        check_across(&root, paths, &mut errors);
    }
    if !errors.is_empty() {
        return Err(source.errors(errors));
    }
    // Every error has been reported by now; should a check ever be laxer than the reading, stop all the same.
    build(&root, paths).ok_or_else(|| {
        source.errors(vec![DocumentError::whole(
            Problem::BadValue,
            "the document passed every check and still cannot be used; this is a defect of refit",
        )])
    })
}
