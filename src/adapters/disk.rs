//! The disk: whole files, the journal's file, and the lock.
//!
//! Knows nothing of what the files hold. Everything is written so that a process that is killed at any instant leaves
//! either the old or the new file, and so that what was reported as written is still there after a power cut. Nothing
//! relies on cleaning up: the kernel takes the lock from a process that has died.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::ports::{JournalFile, Store, StoredFile};

/// Who may read a file that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Its owner only.
    Private,
    /// Everyone whom the umask lets.
    Shared,
    /// Everyone who may enter its directory, whatever the umask: whoever writes it may be another user than who reads it.
    AsItsFolder,
}

impl Access {
    const fn mode(self) -> u32 {
        match self {
            Self::Private => 0o600,
            Self::Shared | Self::AsItsFolder => 0o644,
        }
    }
}

/// How often a lock that is held is tried again, and after how long: `status` holds it for an instant to see whether
/// anyone does.
const LOCK_TRIES: u32 = 5;
const LOCK_PAUSE: Duration = Duration::from_millis(100);

/// The lock's holder is never longer than this.
const HOLDER_LIMIT: u64 = 4096;

/// Reads a file, and of a longer one only `limit` bytes and one more, so that the reader can tell.
///
/// # Errors
/// If it cannot be read.
pub fn read_up_to(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads a whole file.
///
/// # Errors
/// If it cannot be read.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    std::fs::read(path)
}

/// Writes a whole file: first beside it, then in its place, and returns once both are on disk.
///
/// # Errors
/// If it may not be on disk. The old file is then still whole.
pub fn write(path: &Path, bytes: &[u8], access: Access) -> io::Result<()> {
    let folder = folder(path);
    let mut beside = tempfile::Builder::new()
        .prefix(".refit-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(access.mode()))
        .tempfile_in(folder)?;
    beside.write_all(bytes)?;
    if access == Access::AsItsFolder {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(access.mode());
        beside.as_file().set_permissions(mode)?;
    }
    beside.as_file().sync_all()?;
    beside.persist(path).map_err(|error| error.error)?;
    sync_folder(folder)
}

/// Makes a directory and those above it, readable by their owner only, and puts them on disk.
///
/// # Errors
/// If one cannot be made.
pub fn make_folders(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let missing: Vec<&Path> = path
        .ancestors()
        .take_while(|above| !above.is_dir())
        .collect();
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)?;
    missing
        .into_iter()
        .try_for_each(|made| sync_folder(folder(made)))
}

/// Makes one directory that must not exist yet.
///
/// # Errors
/// If it exists or cannot be made.
pub fn make_new_folder(path: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().mode(0o700).create(path)?;
    sync_folder(folder(path))
}

/// The names in a directory, sorted; none when it does not exist.
///
/// # Errors
/// If it cannot be read.
pub fn names(path: &Path) -> io::Result<Vec<String>> {
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        if let Ok(name) = entry?.file_name().into_string() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    }
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// A file that only grows.
#[derive(Debug)]
pub struct AppendFile(File);

impl AppendFile {
    /// A new file, its name on disk.
    ///
    /// # Errors
    /// If it exists or cannot be made.
    pub fn create(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        file.sync_all()?;
        sync_folder(folder(path))?;
        Ok(Self(file))
    }

    /// Goes on after `len` bytes; what comes after them, the unfinished last line of a killed process, is cut off.
    ///
    /// # Errors
    /// If it cannot be opened or cut, or is shorter.
    pub fn go_on(path: &Path, len: u64) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).open(path)?;
        let now = file.metadata()?.len();
        if now < len {
            return Err(io::Error::other(format!(
                "it has {now} bytes and had {len} when it was read"
            )));
        }
        if now > len {
            file.set_len(len)?;
            file.sync_all()?;
        }
        Ok(Self(file))
    }
}

impl JournalFile for AppendFile {
    fn append(&mut self, line: &str) -> io::Result<()> {
        let mut text = String::with_capacity(line.len() + 1);
        text.push_str(line);
        text.push('\n');
        self.0.write_all(text.as_bytes())?;
        self.0.sync_data()
    }
}

/// Files that a run keeps on this machine.
#[derive(Debug, Clone, Copy)]
pub struct LocalStore;

impl Store for LocalStore {
    fn list(&self, directory: &Path) -> io::Result<Vec<StoredFile>> {
        let mut files = Vec::new();
        for name in names(directory)? {
            let metadata = std::fs::metadata(directory.join(&name))?;
            if metadata.is_file() {
                let modified = Timestamp::try_from(metadata.modified()?)
                    .map_err(|error| io::Error::other(error.to_string()))?;
                files.push(StoredFile { name, modified });
            }
        }
        Ok(files)
    }

    fn digest(&self, file: &Path) -> io::Result<Option<(u64, String)>> {
        let mut source = match File::open(file) {
            Ok(source) => source,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut digest = Sha256::new();
        let mut size = 0;
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let read = source.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            size += read as u64;
            digest.update(&buffer[..read]);
        }
        let text = digest
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Ok(Some((size, text)))
    }

    fn write(&self, file: &Path, text: &str) -> io::Result<()> {
        write(file, text.as_bytes(), Access::Private)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)?;
        sync_folder(folder(to))
    }

    fn remove(&self, file: &Path) -> io::Result<()> {
        match std::fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => sync_folder(folder(file)),
        }
    }
}

/// Who holds the lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The process.
    pub pid: u32,
    /// Its machine.
    pub machine: String,
    /// Since when.
    pub since: Timestamp,
    /// What it does, such as `refit apply`.
    pub command: String,
    /// The run it works on, once there is one.
    pub run: Option<String>,
}

/// Why there is no lock.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Someone has it.
    #[error("the lock is held")]
    Held(Option<Holder>),
    /// It could not be asked for.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// The lock, held until it is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    file: File,
    holder: Holder,
}

impl Lock {
    /// Takes the lock.
    ///
    /// # Errors
    /// If someone else has it.
    #[allow(clippy::disallowed_methods)] // a short wait for whoever only looks
    pub fn take(path: &Path, holder: Holder) -> Result<Self, LockError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        for attempt in 1.. {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if attempt < LOCK_TRIES => {
                    std::thread::sleep(LOCK_PAUSE);
                }
                Err(TryLockError::WouldBlock) => return Err(LockError::Held(read_holder(path))),
                Err(TryLockError::Error(error)) => return Err(error.into()),
            }
        }
        let mut lock = Self { file, holder };
        lock.write()?;
        Ok(lock)
    }

    /// Says which run the holder works on.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn name_run(&mut self, run: &str) -> io::Result<()> {
        self.holder.run = Some(run.to_owned());
        self.write()
    }

    fn write(&mut self) -> io::Result<()> {
        let text = serde_json::to_vec(&self.holder)?;
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(&text)
    }

    /// Who holds the lock now; none when nobody does.
    ///
    /// # Errors
    /// If it cannot be asked.
    pub fn holder(path: &Path) -> io::Result<Option<Held>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(None),
            Err(TryLockError::WouldBlock) => Ok(Some(Held(read_holder(path)))),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

/// Someone holds the lock; who, if that can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held(pub Option<Holder>);

fn read_holder(path: &Path) -> Option<Holder> {
    let bytes = read_up_to(path, HOLDER_LIMIT).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// This machine's name, for people.
#[must_use]
pub fn machine() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "this machine".to_owned(), |name| name.trim().to_owned())
}

/// A name that nothing else has, of letters and digits.
///
/// # Errors
/// If the kernel gives none (random(4)).
pub fn new_name() -> io::Result<String> {
    let uuid = std::fs::read_to_string("/proc/sys/kernel/random/uuid")?;
    Ok(uuid.trim().replace('-', ""))
}

/// A path that does not depend on the working directory.
///
/// # Errors
/// If there is no working directory.
pub fn absolute(path: &Path) -> io::Result<PathBuf> {
    std::path::absolute(path)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn holder() -> Holder {
        Holder {
            pid: 1,
            machine: "here".to_owned(),
            since: Timestamp::UNIX_EPOCH,
            command: "refit apply".to_owned(),
            run: None,
        }
    }

    #[test]
    fn files_are_replaced_whole_and_private_ones_are_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plan.json");
        write(&path, b"old", Access::Shared).unwrap();
        write(&path, b"new", Access::Private).unwrap();
        assert_eq!(read(&path).unwrap(), b"new");
        assert_eq!(mode(&path), 0o600);
        assert_eq!(names(folder.path()).unwrap(), ["plan.json"]);
    }

    #[test]
    fn a_long_file_is_not_read_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("long");
        write(&path, &[b'x'; 100], Access::Shared).unwrap();
        assert_eq!(read_up_to(&path, 10).unwrap().len(), 11);
        assert_eq!(read_up_to(&path, 100).unwrap().len(), 100);
    }

    #[test]
    fn the_journal_goes_on_after_its_last_whole_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let mut file = AppendFile::create(&path).unwrap();
        file.append("one").unwrap();
        file.append("two").unwrap();
        drop(file);
        assert_eq!(mode(&path), 0o600);
        assert!(AppendFile::create(&path).is_err());
        let mut file = AppendFile::go_on(&path, 4).unwrap();
        file.append("three").unwrap();
        assert_eq!(read(&path).unwrap(), b"one\nthree\n");
        assert!(AppendFile::go_on(&path, 100).is_err());
    }

    #[test]
    fn the_store_lists_digests_renames_and_removes() {
        let folder = tempfile::tempdir().unwrap();
        let (part, whole) = (folder.path().join("a.part"), folder.path().join("a.db"));
        assert!(
            LocalStore
                .list(&folder.path().join("none"))
                .unwrap()
                .is_empty()
        );
        write(&part, b"abc", Access::Private).unwrap();
        LocalStore.rename(&part, &whole).unwrap();
        let names: Vec<_> = LocalStore
            .list(folder.path())
            .unwrap()
            .into_iter()
            .map(|file| file.name)
            .collect();
        assert_eq!(names, ["a.db"]);
        let (size, digest) = LocalStore.digest(&whole).unwrap().unwrap();
        assert_eq!(size, 3);
        assert!(digest.starts_with("ba7816bf"), "{digest}");
        LocalStore.remove(&whole).unwrap();
        LocalStore.remove(&whole).unwrap();
        assert_eq!(LocalStore.digest(&whole).unwrap(), None);
    }

    #[test]
    fn one_holds_the_lock_and_others_learn_who() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        assert_eq!(Lock::holder(&path).unwrap(), None);
        let mut lock = Lock::take(&path, holder()).unwrap();
        lock.name_run("r1").unwrap();
        let expected = Holder {
            run: Some("r1".to_owned()),
            ..holder()
        };
        let Err(LockError::Held(Some(seen))) = Lock::take(&path, holder()) else {
            unreachable!("the lock is held");
        };
        assert_eq!(seen, expected);
        assert_eq!(
            Lock::holder(&path).unwrap(),
            Some(Held(Some(expected.clone())))
        );
        drop(lock);
        assert_eq!(Lock::holder(&path).unwrap(), None);
        Lock::take(&path, holder()).unwrap();
    }
}
