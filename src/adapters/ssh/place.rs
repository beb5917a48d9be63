//! The directory that a process keeps its connections in: configurations, control sockets, and what killed processes left.

use std::fs;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How the names of our temporary directories begin.
const OURS: &str = "refit.";

/// A directory of this process; removed with this.
pub struct Place {
    dir: tempfile::TempDir,
    /// Locked as long as this lives: a directory whose lock is free was left behind by a refit that was killed.
    _alive: fs::File,
}

impl Place {
    /// Makes it, and removes what killed processes left.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn make() -> std::io::Result<Self> {
        let above = short_temporary_directory();
        let dir = tempfile::Builder::new().prefix(OURS).tempdir_in(&above)?;
        let alive = private(&dir.path().join("alive"))?;
        alive.lock()?;
        sweep(&above, dir.path());
        Ok(Self { dir, _alive: alive })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// A new, empty file that only this user reads.
pub fn private(file: &Path) -> std::io::Result<fs::File> {
    fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(file)
}

/// Removes what killed processes of this user left: directories whose lock is free, a minute old at least so that none is
/// taken that is just being made. What cannot be removed stays.
fn sweep(place: &Path, own: &Path) {
    use std::os::unix::fs::MetadataExt as _;
    let (Ok(mine), Ok(entries)) = (fs::symlink_metadata(own), fs::read_dir(place)) else {
        return;
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        let ours = path
            .file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.starts_with(OURS));
        let left = fs::symlink_metadata(&path).is_ok_and(|found| {
            let age = found.modified().ok().and_then(|time| time.elapsed().ok());
            found.is_dir() && found.uid() == mine.uid() && age > Some(Duration::from_secs(60))
        });
        if ours
            && left
            && let Ok(alive) = fs::File::open(path.join("alive"))
            && alive.try_lock().is_ok()
        {
            let _ = fs::remove_dir_all(&path);
        }
    }
}

/// The temporary directory, unless its name is too long for a socket or needs quoting.
fn short_temporary_directory() -> PathBuf {
    let dir = std::env::temp_dir();
    let fits = dir.to_str().is_some_and(|text| {
        text.len() <= 32
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(&b))
    });
    if fits { dir } else { PathBuf::from("/tmp") }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A directory as a killed refit leaves it, `age` seconds old.
    fn left(place: &Path, name: &str, age: u64) -> PathBuf {
        let dir = place.join(name);
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("alive"), "").unwrap();
        let then = std::time::SystemTime::now() - Duration::from_secs(age);
        fs::File::open(&dir).unwrap().set_modified(then).unwrap();
        dir
    }

    #[test]
    fn only_what_a_killed_refit_left_is_swept() {
        let place = tempfile::tempdir().unwrap();
        let own = left(place.path(), "refit.own", 0);
        let dead = left(place.path(), "refit.dead", 100);
        let young = left(place.path(), "refit.young", 1);
        let other = left(place.path(), "other", 100);
        let busy = left(place.path(), "refit.busy", 100);
        let lock = fs::File::open(busy.join("alive")).unwrap();
        lock.lock().unwrap();
        sweep(place.path(), &own);
        assert!(!dead.exists());
        assert!(own.exists() && young.exists() && other.exists() && busy.exists());
    }
}
