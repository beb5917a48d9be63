//! Programs on this machine, which a declaration names word by word.
//!
//! No shell stands between: words are arguments. What a program says is kept as far as its last part only. One that is not
//! waited for any longer is killed, together with whatever it has started in its process group. What it leaves behind when
//! it ends by itself, or puts into a session of its own, is its own concern.
//!
//! One that must not run beside itself gets a locked file as its standard input, which is empty. The lock (flock(2)) belongs to
//! the open file, so that it lasts as long as the program or any that it gave its standard input to, whatever becomes of refit.

use std::cell::{Cell, RefCell};
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::{Either, join, select};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;

use super::disk;
use crate::host::unit::slug;
use crate::ports::{Ended, Programs};

/// So much of the end of what a program says is kept.
const KEPT: usize = 8 * 1024;

/// So long what it said last is read for after its end.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// This machine's programs.
#[derive(Debug, Clone)]
pub struct LocalPrograms {
    /// Where the locks are of those that must not run beside themselves; made when it is needed.
    locks: PathBuf,
}

impl LocalPrograms {
    /// With the directory for their locks.
    #[must_use]
    pub const fn new(locks: PathBuf) -> Self {
        Self { locks }
    }

    fn lock(&self, name: &str) -> PathBuf {
        self.locks.join(format!("{}.lock", slug(name)))
    }
}

/// Where a program is looked for: a name in PATH, a path from the directory on, wherever refit itself works.
fn place(directory: &Path, program: &str) -> PathBuf {
    match program.contains('/') {
        true => directory.join(program),
        false => PathBuf::from(program),
    }
}

/// A program is there and may be run; `path` is the PATH that it is given, if that is not this process's. Runs nothing.
///
/// # Errors
/// What is missing.
pub fn ready(directory: &Path, words: &[String], path: Option<&str>) -> Result<(), String> {
    let program = words.first().ok_or("it has no words")?;
    let runs = |path: &Path| {
        std::fs::metadata(path)
            .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    let place = place(directory, program);
    if program.contains('/') {
        return match std::fs::metadata(&place) {
            Err(error) => Err(format!(
                "{program} cannot be run in {}: {error}",
                directory.display()
            )),
            Ok(_) if !runs(&place) => Err(format!(
                "{program} in {} may not be run: it is no executable file",
                directory.display()
            )),
            Ok(_) => Ok(()),
        };
    }
    let folders = path.map(Into::into).or_else(|| std::env::var_os("PATH"));
    let folders = folders.unwrap_or_default();
    match std::env::split_paths(&folders).any(|folder| runs(&directory.join(folder).join(program)))
    {
        true => Ok(()),
        false => Err(format!("there is no program `{program}` in PATH")),
    }
}

#[async_trait(?Send)]
impl Programs for LocalPrograms {
    async fn run(
        &self,
        directory: &Path,
        words: &[String],
        at_most: Duration,
    ) -> io::Result<Ended> {
        run(directory, words, at_most, Stdio::null()).await
    }

    async fn run_alone(
        &self,
        name: &str,
        directory: &Path,
        words: &[String],
        at_most: Duration,
    ) -> io::Result<Ended> {
        disk::make_folders(&self.locks)?;
        let path = self.lock(name);
        let lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)?;
        match lock.try_lock() {
            Ok(()) => run(directory, words, at_most, lock.into()).await,
            Err(TryLockError::WouldBlock) => Err(io::Error::other(format!(
                "one that was started before goes on and holds {} open",
                path.display()
            ))),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn goes_on(&self, name: &str) -> io::Result<Option<PathBuf>> {
        let path = self.lock(name);
        let lock = match File::open(&path) {
            Ok(lock) => lock,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        match lock.try_lock_shared() {
            Ok(()) => Ok(None),
            Err(TryLockError::WouldBlock) => Ok(Some(path)),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

/// One program, to its end.
async fn run(
    directory: &Path,
    words: &[String],
    at_most: Duration,
    input: Stdio,
) -> io::Result<Ended> {
    let [program, arguments @ ..] = words else {
        return Err(io::Error::other("it has no words"));
    };
    let directory = std::path::absolute(directory)?;
    // What it is given is closed here as soon as it runs: the command is gone by the end of this.
    let mut child = Command::new(place(&directory, program))
        .args(arguments)
        .current_dir(&directory)
        .stdin(input)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Ctrl-C at the terminal is for refit, which ends what is under way by itself.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    // Dropped before the child, which is what keeps the group's number from going to others.
    let group = Group::of(child.id());
    let kept = RefCell::new(Vec::new());
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let mut reading = pin!(join(keep(out, &kept), keep(err, &kept)));
    let mut whole = pin!(async {
        match select(pin!(child.wait()), reading.as_mut()).await {
            // What it has started may hold on to its output, and is not waited for.
            Either::Left((status, _)) => {
                group.has_ended();
                let _ = tokio::time::timeout(LAST_WORDS, reading.as_mut()).await;
                status
            }
            Either::Right((_, ends)) => {
                let status = ends.await;
                group.has_ended();
                status
            }
        }
    });
    let status = match tokio::time::timeout(at_most, whole.as_mut()).await {
        Ok(status) => status?.code(),
        Err(_) => {
            group.kill();
            let _ = tokio::time::timeout(LAST_WORDS, whole).await;
            None
        }
    };
    let output = String::from_utf8_lossy(&kept.borrow()).into_owned();
    Ok(Ended { status, output })
}

/// A program and what it has started, until it is known to have ended.
struct Group(Cell<Option<Pid>>);

impl Group {
    /// The group that a child leads, by the child's number.
    fn of(leader: Option<u32>) -> Self {
        let leader = leader.and_then(|leader| i32::try_from(leader).ok());
        Self(Cell::new(leader.and_then(Pid::from_raw)))
    }

    /// Its leader has ended and was waited for, so that its number may be another's soon.
    fn has_ended(&self) {
        self.0.set(None);
    }

    fn kill(&self) {
        if let Some(leader) = self.0.get() {
            // Where there is nobody left to kill, nothing is left to do.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Reads to the end and keeps the last part.
async fn keep(pipe: Option<impl AsyncRead + Unpin>, kept: &RefCell<Vec<u8>>) {
    let Some(mut pipe) = pipe else { return };
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = pipe.read(&mut buffer).await {
        let mut kept = kept.borrow_mut();
        kept.extend_from_slice(&buffer[..read]);
        let surplus = kept.len().saturating_sub(KEPT);
        kept.drain(..surplus);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    async fn run(directory: &Path, words: &[&str], seconds: u64) -> io::Result<Ended> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        LocalPrograms::new(directory.join("locks"))
            .run(directory, &words, Duration::from_secs(seconds))
            .await
    }

    #[tokio::test]
    async fn words_are_arguments_and_paths_begin_at_the_directory() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("smoke.sh");
        std::fs::write(&script, "#!/bin/sh\npwd; echo \"$2\" >&2; exit 3\n").unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o700)).unwrap();
        let ended = run(folder.path(), &["./smoke.sh", "a b", "$HOME; *"], 60)
            .await
            .unwrap();
        assert_eq!(ended.status, Some(3));
        let real = folder.path().canonicalize().unwrap();
        assert!(
            ended.output.contains(&real.to_string_lossy().into_owned()),
            "{ended:?}"
        );
        assert!(ended.output.contains("$HOME; *\n"), "{ended:?}");
        assert!(run(folder.path(), &["./none.sh"], 60).await.is_err());
        let there = |program: &str| ready(folder.path(), &[program.to_owned()], None);
        assert_eq!(there("./smoke.sh"), Ok(()));
        assert_eq!(there("sh"), Ok(()));
        assert!(there("./none.sh").unwrap_err().contains("No such file"));
        assert!(there("no-such-program").unwrap_err().contains("in PATH"));
        let elsewhere = |path: &str| ready(folder.path(), &["smoke.sh".to_owned()], Some(path));
        assert_eq!(elsewhere("/none:."), Ok(()));
        assert!(elsewhere("/none").unwrap_err().contains("in PATH"));
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(there("./smoke.sh").unwrap_err().contains("may not be run"));
        assert_eq!(
            run(folder.path(), &["true"], 60).await.unwrap().status,
            Some(0)
        );
    }

    #[tokio::test]
    async fn what_it_leaves_behind_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let began = tokio::time::Instant::now();
        let ended = run(folder.path(), &["sh", "-c", "sleep 30 & echo done"], 20)
            .await
            .unwrap();
        assert_eq!((ended.status, ended.output.as_str()), (Some(0), "done\n"));
        assert!(began.elapsed() < Duration::from_secs(20));
    }

    /// A script that starts another program, writes that one's number into a file, and waits for it.
    const WITH_CHILD: [&str; 3] = ["sh", "-c", "sleep 600 & echo $! > child; wait"];

    /// Whether the script's child has ended within some seconds. What has ended may stay a zombie for as long as nobody
    /// waits for it.
    #[allow(clippy::disallowed_methods)] // the child lives in real time
    async fn child_ends(folder: &Path) -> bool {
        let child = std::fs::read_to_string(folder.join("child")).unwrap();
        let status = PathBuf::from(format!("/proc/{}/stat", child.trim()));
        for _ in 0..100 {
            match std::fs::read_to_string(&status) {
                Ok(stat) if !stat.contains(") Z ") => {}
                Ok(_) | Err(_) => return true,
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        false
    }

    #[tokio::test]
    async fn what_it_has_started_is_killed_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let ended = run(folder.path(), &WITH_CHILD, 1).await.unwrap();
        assert_eq!(ended.status, None);
        assert!(child_ends(folder.path()).await);

        // Nobody waits any longer: the run is to stop.
        let folder = tempfile::tempdir().unwrap();
        let waits =
            tokio::time::timeout(Duration::from_secs(1), run(folder.path(), &WITH_CHILD, 600));
        assert!(waits.await.is_err());
        assert!(child_ends(folder.path()).await);
    }

    #[tokio::test]
    async fn what_it_said_before_its_time_was_over_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let words = ["sh", "-c", "echo three pods missing; sleep 600"];
        let ended = run(folder.path(), &words, 1).await.unwrap();
        assert_eq!(ended.status, None);
        assert_eq!(ended.output, "three pods missing\n");
    }

    #[tokio::test]
    async fn only_the_end_of_what_it_says_is_kept_and_no_time_is_lost_on_it() {
        let folder = tempfile::tempdir().unwrap();
        let ended = run(folder.path(), &["seq", "100000"], 60).await.unwrap();
        assert!(ended.output.ends_with("99999\n100000\n"));
        assert!(ended.output.len() <= KEPT);
        let ended = run(folder.path(), &["sleep", "600"], 1).await.unwrap();
        assert_eq!(ended.status, None);
    }

    /// Its process number.
    async fn number(folder: &Path) -> Pid {
        for _ in 0..200 {
            let text = std::fs::read_to_string(folder.join("number")).unwrap_or_default();
            if let Some(number) = text.trim().parse().ok().and_then(Pid::from_raw) {
                return number;
            }
            patience().await;
        }
        unreachable!("it has not begun")
    }

    #[allow(clippy::disallowed_methods)] // programs live in real time
    async fn patience() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    #[tokio::test]
    async fn one_that_outlives_whoever_started_it_is_known_and_not_started_beside_itself() {
        let folder = tempfile::tempdir().unwrap();
        let programs = LocalPrograms::new(folder.path().join("hooks"));
        let (name, minutes) = ("hook/tell@1.35.4", Duration::from_secs(600));
        let words = |script: &str| ["sh", "-c", script].map(str::to_owned);
        assert_eq!(programs.goes_on(name).unwrap(), None);
        let script = words("[ -z \"$(cat)\" ] && echo $$ > number && sleep 600");
        let mut running = Box::pin(programs.run_alone(name, folder.path(), &script, minutes));
        let begins = pin!(number(folder.path()));
        let begun = select(running.as_mut(), begins).await;
        let Either::Right((number, _)) = begun else {
            unreachable!("it has ended")
        };
        // As of a process that is killed, nothing of this one is cleared away.
        std::mem::forget(running);
        let held = programs.goes_on(name).unwrap().unwrap();
        assert!(held.starts_with(folder.path()), "{}", held.display());
        assert_eq!(programs.goes_on("hook/other@1.35.4").unwrap(), None);
        let quick = words("true");
        let beside = programs.run_alone(name, folder.path(), &quick, minutes);
        let why = beside.await.unwrap_err().to_string();
        assert!(why.contains("goes on"), "{why}");
        kill_process_group(number, Signal::KILL).unwrap();
        for _ in 0..200 {
            if programs.goes_on(name).unwrap().is_none() {
                break;
            }
            patience().await;
        }
        let alone = programs.run_alone(name, folder.path(), &quick, minutes);
        assert_eq!(alone.await.unwrap().status, Some(0));
        assert_eq!(programs.goes_on(name).unwrap(), None);
    }
}
