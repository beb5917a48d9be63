//! The disk of whoever runs refit, as far as a run keeps files there: snapshots by their size and digest, without content.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::{Sim, World};
use crate::host::judge::sha256 as digest;
use crate::ports::{Store, StoredFile};

/// Files by path.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    files: BTreeMap<PathBuf, File>,
}

#[derive(Debug, Clone)]
struct File {
    size: u64,
    sha256: String,
    modified: Timestamp,
    /// SHA-256 of what it holds, where it is encrypted.
    sealed: Option<String>,
    text: Option<String>,
}

impl Disk {
    /// Writes a file.
    pub fn put(&mut self, path: &Path, size: u64, sha256: String, modified: Timestamp) {
        let file = File {
            size,
            sha256,
            modified,
            sealed: None,
            text: None,
        };
        self.files.insert(path.to_owned(), file);
    }

    /// Writes a file that is encrypted: another digest, and a little more of it.
    pub fn put_sealed(&mut self, path: &Path, size: u64, sha256: String, modified: Timestamp) {
        let sealed = digest(format!("sealed {sha256}").as_bytes());
        self.put(path, size + 200, sealed, modified);
        if let Some(file) = self.files.get_mut(path) {
            file.sealed = Some(sha256);
        }
    }

    /// What is written in a file, where it is more than a snapshot.
    #[must_use]
    pub fn text(&self, path: &Path) -> Option<&str> {
        self.files.get(path)?.text.as_deref()
    }

    /// SHA-256 of what a file holds, opened where it is encrypted.
    #[must_use]
    pub fn content(&self, path: &Path) -> Option<&str> {
        let file = self.files.get(path)?;
        Some(file.sealed.as_ref().unwrap_or(&file.sha256))
    }
}

impl Sim {
    /// Whether something can be written on the disk of whoever runs refit.
    ///
    /// # Errors
    /// As a full disk fails.
    pub fn room_here(&self) -> std::io::Result<()> {
        if self.look(World::no_room_here) {
            return Err(std::io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

impl Store for Sim {
    fn list(&self, directory: &Path) -> std::io::Result<Vec<StoredFile>> {
        let stored = |(path, file): (&PathBuf, &File)| {
            let name = path.file_name()?.to_str()?.to_owned();
            (path.parent() == Some(directory)).then_some(StoredFile {
                name,
                modified: file.modified,
            })
        };
        Ok(self.look(|world| world.disk.files.iter().filter_map(stored).collect()))
    }

    fn digest(&self, file: &Path) -> std::io::Result<Option<(u64, String)>> {
        Ok(self.look(|world| {
            let known = world.disk.files.get(file)?;
            Some((known.size, known.sha256.clone()))
        }))
    }

    fn write(&self, file: &Path, text: &str) -> std::io::Result<()> {
        self.room_here()?;
        self.act(|world| {
            let (size, sha256) = (text.len() as u64, digest(text.as_bytes()));
            world.disk.put(file, size, sha256, world.wall());
            if let Some(written) = world.disk.files.get_mut(file) {
                written.text = Some(text.to_owned());
            }
        });
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        self.act(|world| {
            let file = world
                .disk
                .files
                .remove(from)
                .ok_or(std::io::ErrorKind::NotFound)?;
            world.disk.files.insert(to.to_owned(), file);
            Ok(())
        })
    }

    fn remove(&self, file: &Path) -> std::io::Result<()> {
        self.act(|world| world.disk.files.remove(file));
        Ok(())
    }
}
