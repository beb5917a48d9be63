//! The disk of whoever runs refit, as far as a run keeps files there: snapshots by their size and digest, without content.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::Sim;
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
}

impl Disk {
    /// Writes a file.
    pub fn put(&mut self, path: &Path, size: u64, sha256: String, modified: Timestamp) {
        let file = File {
            size,
            sha256,
            modified,
        };
        self.files.insert(path.to_owned(), file);
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
