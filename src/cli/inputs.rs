//! The documents a command was given, read from disk.

use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};

use super::CommandError;
use crate::adapters::disk;
use crate::documents::settings::{Inventory, Upgrade};
use crate::documents::{
    DocumentErrors, Environment, Kind, MAX_BYTES, ReadFile, Style, kind_of, load_upgrade,
    read_inventory, unreadable,
};
use crate::plan::file::sha256;

/// What documents may refer to on this machine.
pub fn environment() -> Environment {
    Environment {
        home: std::env::home_dir(),
        names: Some(|folder| disk::names(folder).unwrap_or_default()),
    }
}

/// Reads a document, and of one that is too long only as much as tells so.
pub fn read_document(path: &Path) -> io::Result<Vec<u8>> {
    disk::read_up_to(path, MAX_BYTES as u64)
}

/// What is wrong with the documents that begin with this one.
fn wrong(path: &Path, rendered: &str) -> CommandError {
    CommandError::documents(rendered)
        .nothing_changed()
        .next(format!(
            "correct what it says; `refit validate {}` checks it",
            path.display()
        ))
}

/// A document as it was read.
#[derive(Debug, Clone)]
pub struct Text {
    /// Where it was.
    pub path: PathBuf,
    /// What it said.
    pub bytes: Vec<u8>,
}

/// An upgrade, its inventory, and their texts.
#[derive(Debug)]
pub struct Declaration {
    /// What the cluster should become.
    pub upgrade: Upgrade,
    /// How to reach it.
    pub inventory: Inventory,
    /// The upgrade's text.
    pub upgrade_text: Text,
    /// The inventory's text.
    pub inventory_text: Text,
    /// The texts of the team's own hazards.
    pub hazard_texts: Vec<Text>,
}

impl Declaration {
    /// Reads and validates an upgrade and its inventory.
    ///
    /// # Errors
    /// Everything that is wrong with both.
    pub fn load(path: &Path) -> Result<Self, CommandError> {
        Self::read(path, &read_document)
    }

    /// The same, with the texts from somewhere else.
    ///
    /// # Errors
    /// Everything that is wrong with both.
    pub fn read(path: &Path, from: ReadFile<'_>) -> Result<Self, CommandError> {
        // what is judged and what is digested must be the same bytes, so each file is read once
        let texts: RefCell<Vec<Text>> = RefCell::default();
        let read = |path: &Path| -> io::Result<Vec<u8>> {
            let bytes = from(path)?;
            texts.borrow_mut().push(Text {
                path: path.to_owned(),
                bytes: bytes.clone(),
            });
            Ok(bytes)
        };
        let (upgrade, inventory) = load_upgrade(path, &environment(), &read)
            .map_err(|errors| wrong(path, &errors.render(Style::Coloured)))?;
        let mut texts = texts.into_inner().into_iter();
        match (texts.next(), texts.next()) {
            (Some(upgrade_text), Some(inventory_text)) => Ok(Self {
                upgrade,
                inventory,
                upgrade_text,
                inventory_text,
                hazard_texts: texts.collect(),
            }),
            (_, _) => Err(CommandError::new(format!(
                "{} and its inventory were not both read; this is a defect of refit",
                path.display()
            ))),
        }
    }

    /// The texts that a run keeps.
    #[must_use]
    pub fn origin(&self) -> Origin<'_> {
        Origin {
            upgrade: Some(&self.upgrade_text),
            inventory: &self.inventory_text,
            hazards: &self.hazard_texts,
        }
    }

    /// SHA-256 of all texts, the upgrade's first, then the inventory's, each preceded by its length.
    #[must_use]
    pub fn sha256(&self) -> String {
        let mut bytes = Vec::new();
        let both = [&self.upgrade_text, &self.inventory_text];
        for text in both.into_iter().chain(&self.hazard_texts) {
            bytes.extend_from_slice(format!("{}\n", text.bytes.len()).as_bytes());
            bytes.extend_from_slice(&text.bytes);
        }
        sha256(&bytes)
    }
}

/// The texts that a run is made from.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// The upgrade's, where one was given.
    pub upgrade: Option<&'a Text>,
    /// The inventory's.
    pub inventory: &'a Text,
    /// Those of the team's own hazards.
    pub hazards: &'a [Text],
}

/// An inventory, and the upgrade that named it where one was given.
#[derive(Debug)]
pub struct Given {
    /// How to reach the hosts.
    pub inventory: Inventory,
    /// What was given instead of the inventory.
    pub upgrade: Option<Upgrade>,
    upgrade_text: Option<Text>,
    inventory_text: Text,
}

impl Given {
    /// Reads and validates an inventory, or an upgrade with its inventory.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(path: &Path) -> Result<Self, CommandError> {
        let wrong = |errors: DocumentErrors| wrong(path, &errors.render(Style::Coloured));
        let bytes =
            read_document(path).map_err(|error| wrong(unreadable(path, &error, &environment())))?;
        match kind_of(path, &bytes).map_err(wrong)? {
            Kind::Inventory => Ok(Self {
                inventory: read_inventory(path, &bytes, &environment()).map_err(wrong)?,
                upgrade: None,
                upgrade_text: None,
                inventory_text: Text {
                    path: path.to_owned(),
                    bytes,
                },
            }),
            Kind::Upgrade => {
                let declaration = Declaration::load(path)?;
                Ok(Self {
                    inventory: declaration.inventory,
                    upgrade: Some(declaration.upgrade),
                    upgrade_text: Some(declaration.upgrade_text),
                    inventory_text: declaration.inventory_text,
                })
            }
        }
    }

    /// The name of the document that was given.
    #[must_use]
    pub fn name(&self) -> &str {
        match &self.upgrade {
            Some(upgrade) => &upgrade.name,
            None => &self.inventory.name,
        }
    }

    /// The texts that a run keeps.
    #[must_use]
    pub fn origin(&self) -> Origin<'_> {
        Origin {
            upgrade: self.upgrade_text.as_ref(),
            inventory: &self.inventory_text,
            hazards: &[],
        }
    }

    /// SHA-256 of the texts, the upgrade's first, each preceded by its length.
    #[must_use]
    pub fn sha256(&self) -> String {
        let mut bytes = Vec::new();
        for text in self.upgrade_text.iter().chain([&self.inventory_text]) {
            bytes.extend_from_slice(format!("{}\n", text.bytes.len()).as_bytes());
            bytes.extend_from_slice(&text.bytes);
        }
        sha256(&bytes)
    }
}

/// The inventory in a file, or the one that the upgrade in it names; with the upgrade in that case.
///
/// # Errors
/// Everything that is wrong with it.
pub fn inventory_of(path: &Path) -> Result<(Inventory, Option<Upgrade>), CommandError> {
    let wrong = |errors: DocumentErrors| wrong(path, &errors.render(Style::Coloured));
    let bytes =
        read_document(path).map_err(|error| wrong(unreadable(path, &error, &environment())))?;
    match kind_of(path, &bytes).map_err(wrong)? {
        Kind::Inventory => {
            let inventory = read_inventory(path, &bytes, &environment()).map_err(wrong)?;
            Ok((inventory, None))
        }
        Kind::Upgrade => {
            let declaration = Declaration::load(path)?;
            Ok((declaration.inventory, Some(declaration.upgrade)))
        }
    }
}
