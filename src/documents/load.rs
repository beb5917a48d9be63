//! Documents that name each other: an upgrade with its inventory and the team's own hazards, and the work of `refit
//! validate`.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use super::error::{DocumentError, DocumentErrors, Problem, nearest, quote};
use super::settings::{Inventory, Upgrade};
use super::source::Source;
use super::{Environment, Kind, Style, kind_of, read_hazards, read_inventory, read_upgrade};
use crate::rules::hazards::{Catalogue, Hazard};

/// Reads a file, at most one byte more than [`super::MAX_BYTES`].
pub type ReadFile<'a> = &'a dyn Fn(&Path) -> io::Result<Vec<u8>>;

/// Everything that is wrong with an upgrade and its inventory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.render(Style::Plain))]
pub struct LoadErrors(pub Vec<DocumentErrors>);

impl LoadErrors {
    /// For people, ending with a line break.
    #[must_use]
    pub fn render(&self, style: Style) -> String {
        self.0.iter().map(|errors| errors.render(style)).collect()
    }
}

/// An upgrade, with the hazards in the files that it names, and its inventory. Reads the upgrade first, then the inventory,
/// then the others in their order.
///
/// # Errors
/// Everything that is wrong with them.
pub fn load_upgrade(
    path: &Path,
    environment: &Environment,
    read: ReadFile<'_>,
) -> Result<(Upgrade, Inventory), LoadErrors> {
    let bytes =
        read(path).map_err(|error| LoadErrors(vec![unreadable(path, &error, environment)]))?;
    with_all(path, &bytes, environment, read)
}

/// The upgrade with all that it names.
fn with_all(
    path: &Path,
    bytes: &[u8],
    environment: &Environment,
    read: ReadFile<'_>,
) -> Result<(Upgrade, Inventory), LoadErrors> {
    let both = with_inventory(path, bytes, environment, read);
    match (both, own_hazards(path, bytes, environment, read)) {
        (Ok((mut upgrade, inventory)), Ok(own)) => {
            upgrade.own_hazards = own;
            Ok((upgrade, inventory))
        }
        (Ok(_), Err(wrong)) => Err(wrong),
        (Err(wrong), Ok(_)) => Err(wrong),
        (Err(mut wrong), Err(LoadErrors(more))) => {
            for errors in more {
                match wrong.0.iter_mut().find(|known| known.path == errors.path) {
                    Some(known) => {
                        known.errors.extend(errors.errors);
                        known.errors.sort_by_key(|error| error.span);
                    }
                    None => wrong.0.push(errors),
                }
            }
            Err(wrong)
        }
    }
}

/// The hazards in the files that the upgrade names, each id once, those that come with refit included.
fn own_hazards(
    path: &Path,
    bytes: &[u8],
    environment: &Environment,
    read: ReadFile<'_>,
) -> Result<Vec<Hazard>, LoadErrors> {
    let Some(root) = Source::new(path, bytes)
        .ok()
        .and_then(|source| source.parse().ok())
    else {
        return Ok(Vec::new()); // told already
    };
    let files = root.get("hazards").map(|entry| entry.value.items());
    let files = files.unwrap_or_default();
    if files.is_empty() {
        return Ok(Vec::new());
    }
    let whole = |path: &Path, text: String, error: DocumentError| DocumentErrors {
        path: path.to_owned(),
        text,
        errors: vec![error],
    };
    let mut catalogue = Catalogue::built_in().map_err(|error| {
        let error = DocumentError::whole(Problem::BadValue, error.to_string());
        LoadErrors(vec![whole(path, String::new(), error)])
    })?;
    let ours = catalogue.iter().count();
    let paths = super::view::Paths {
        folder: path.parent().unwrap_or(Path::new("")),
        environment,
    };
    let mut wrong: Vec<DocumentErrors> = Vec::new();
    for file in files {
        let readable = |text: &&str| super::format::Format::Path.check(text).is_ok();
        let Some(name) = file
            .text()
            .filter(readable)
            .and_then(|text| paths.resolve(text))
        else {
            continue; // told already
        };
        match read(&name) {
            Ok(bytes) => wrong.extend(read_hazards(&name, &bytes, &mut catalogue).err()),
            Err(error) => {
                let message = format!("the hazards in {} cannot be read: {error}", name.display());
                let error = DocumentError {
                    span: Some(file.span),
                    expected: "expected the path of a file of hazards, relative to this one"
                        .to_owned(),
                    help: meant(&name, &error, environment),
                    ..DocumentError::whole(Problem::MissingFile, message)
                };
                match wrong.iter_mut().find(|known| known.path == path) {
                    Some(known) => known.errors.push(error),
                    None => {
                        let text = String::from_utf8_lossy(bytes).into_owned();
                        wrong.push(whole(path, text, error));
                    }
                }
            }
        }
    }
    if wrong.is_empty() {
        Ok(catalogue.iter().skip(ours).cloned().collect())
    } else {
        Err(LoadErrors(wrong))
    }
}

fn with_inventory(
    path: &Path,
    bytes: &[u8],
    environment: &Environment,
    read: ReadFile<'_>,
) -> Result<(Upgrade, Inventory), LoadErrors> {
    let upgrade = read_upgrade(path, bytes, environment);
    // The inventory's errors are told even when the upgrade has its own, as long as it says where the inventory is.
    let inventory =
        inventory_of(path, bytes, environment).map(|inventory| match read(&inventory) {
            Ok(bytes) => read_inventory(&inventory, &bytes, environment),
            Err(error) => Err(missing_inventory(
                path,
                bytes,
                &inventory,
                &error,
                environment,
            )),
        });
    match (upgrade, inventory) {
        (Ok(upgrade), Some(Ok(inventory))) => Ok((upgrade, inventory)),
        (Err(errors), Some(Ok(_)) | None) | (Ok(_), Some(Err(errors))) => {
            Err(LoadErrors(vec![errors]))
        }
        (Err(mut upgrade), Some(Err(inventory))) if inventory.path == upgrade.path => {
            upgrade.errors.extend(inventory.errors);
            upgrade.errors.sort_by_key(|error| error.span);
            Err(LoadErrors(vec![upgrade]))
        }
        (Err(upgrade), Some(Err(inventory))) => Err(LoadErrors(vec![upgrade, inventory])),
        (Ok(upgrade), None) => Err(LoadErrors(vec![missing_inventory(
            path,
            bytes,
            &upgrade.inventory,
            &io::ErrorKind::NotFound.into(),
            environment,
        )])),
    }
}

/// What `refit validate` prints, and whether all documents are valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validation {
    /// For stdout: a line for each valid document.
    pub valid: String,
    /// For stderr: the errors.
    pub errors: String,
    /// The valid documents and what each of them is.
    pub good: Vec<(PathBuf, String)>,
    /// The documents that are not valid, each once.
    pub bad: Vec<DocumentErrors>,
}

impl Validation {
    /// Whether all documents are valid.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.errors.is_empty()
    }
}

/// Validates each file; an upgrade together with its inventory.
#[must_use]
pub fn validate(
    paths: &[PathBuf],
    environment: &Environment,
    read: ReadFile<'_>,
    style: Style,
) -> Validation {
    let mut validation = Validation {
        valid: String::new(),
        errors: String::new(),
        good: Vec::new(),
        bad: Vec::new(),
    };
    for path in paths {
        match validate_one(path, environment, read) {
            Ok(summary) => {
                let _ = writeln!(validation.valid, "{}: ok, {summary}", path.display());
                validation.good.push((path.clone(), summary));
            }
            Err(LoadErrors(documents)) => {
                for errors in documents {
                    // An inventory may be named by several of the files.
                    if !validation.bad.contains(&errors) {
                        validation.errors.push_str(&errors.render(style));
                        validation.bad.push(errors);
                    }
                }
            }
        }
    }
    validation
}

fn validate_one(
    path: &Path,
    environment: &Environment,
    read: ReadFile<'_>,
) -> Result<String, LoadErrors> {
    let one = |errors| LoadErrors(vec![errors]);
    let bytes = read(path).map_err(|error| one(unreadable(path, &error, environment)))?;
    match kind_of(path, &bytes).map_err(one)? {
        Kind::Inventory => {
            let inventory = read_inventory(path, &bytes, environment).map_err(one)?;
            Ok(format!(
                "inventory `{}` of {} hosts",
                inventory.name,
                inventory.hosts.len()
            ))
        }
        Kind::Upgrade => {
            let (upgrade, inventory) = with_all(path, &bytes, environment, read)?;
            let mut summary = format!(
                "upgrade `{}` to {} of {} hosts",
                upgrade.name,
                upgrade.target,
                inventory.hosts.len()
            );
            for gate in &upgrade.gates {
                if let Some(words) = gate.shows_its_token() {
                    let _ = write!(summary, "; {words}");
                }
            }
            Ok(summary)
        }
    }
}

fn inventory_of(path: &Path, bytes: &[u8], environment: &Environment) -> Option<PathBuf> {
    let root = Source::new(path, bytes).ok()?.parse().ok()?;
    let text = root.get("inventory")?.value.text()?;
    super::format::Format::Path.check(text).ok()?;
    super::view::Paths {
        folder: path.parent().unwrap_or(Path::new("")),
        environment,
    }
    .resolve(text)
}

/// The error of a file that cannot be read.
#[must_use]
pub fn unreadable(path: &Path, error: &io::Error, environment: &Environment) -> DocumentErrors {
    let message = format!("cannot be read: {error}");
    DocumentErrors {
        path: path.to_owned(),
        text: String::new(),
        errors: vec![DocumentError {
            help: meant(path, error, environment),
            ..DocumentError::whole(Problem::MissingFile, message)
        }],
    }
}

/// The document in the same folder whose name is nearest to that of one that does not exist.
fn meant(path: &Path, error: &io::Error, environment: &Environment) -> Option<String> {
    if error.kind() != io::ErrorKind::NotFound {
        return None;
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    };
    let name = path.file_name()?.to_str()?;
    let there = environment.names?(folder);
    let documents = there
        .iter()
        .map(String::as_str)
        .filter(|other| *other != name && (other.ends_with(".yaml") || other.ends_with(".yml")));
    nearest(name, documents).map(|near| format!("did you mean {}?", quote(near)))
}

/// The error at `inventory:` of the upgrade.
fn missing_inventory(
    path: &Path,
    bytes: &[u8],
    inventory: &Path,
    error: &io::Error,
    environment: &Environment,
) -> DocumentErrors {
    let help = meant(inventory, error, environment);
    let text = String::from_utf8_lossy(bytes).into_owned();
    let span = Source::new(path, bytes)
        .ok()
        .and_then(|source| source.parse().ok())
        .and_then(|root| root.get("inventory").map(|entry| entry.value.span));
    let message = format!(
        "the inventory {} cannot be read: {error}",
        inventory.display()
    );
    let error = DocumentError {
        span,
        expected: "expected the path of an inventory, relative to this file".to_owned(),
        help,
        ..DocumentError::whole(Problem::MissingFile, message)
    };
    DocumentErrors {
        path: path.to_owned(),
        text,
        errors: vec![error],
    }
}
