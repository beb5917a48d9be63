//! The hosts over SSH: one multiplexed OpenSSH connection per host, made when first needed and remade when it breaks.
//!
//! Reads are tried again while the connection fails; a mutation is started once, in a unit of its host that does not need
//! the connection (`host::unit`), and is found again through a new connection. Authentication, host keys and everything
//! else that the network sees is OpenSSH's, configured by the inventory alone (`config`).
//!
//! The connection's process ends when it has been idle for `IDLE`, so that nothing stays behind even where refit is
//! killed; [`Ssh::close`] ends it at once.
#![allow(
    clippy::disallowed_methods,
    reason = "an adapter: time and processes are its work"
)]

mod config;
mod trouble;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::num::NonZeroUsize;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use backon::{ExponentialBuilder, Retryable as _};
use openssh::{ControlPersist, KnownHosts, Session, SessionBuilder, Stdio};
use sha2::Digest as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant, sleep, timeout};
use tracing::debug;

use self::trouble::{Trouble, chain, connecting, lost, refused};
use crate::cluster::model::HostName;
use crate::documents::settings::{Become, Host, Inventory};
use crate::host::clause::clause;
use crate::host::command::shorten;
use crate::host::op::{Command, Mutation, OpEnd, OpRef, OpState, Output, Query};
use crate::host::unit::{self, Answer};
use crate::ports::{Failure, Hosts};

/// How the names of our temporary directories begin.
const OURS: &str = "refit.";
/// How long a connection that nobody uses stays.
const IDLE: NonZeroUsize = NonZeroUsize::MIN.saturating_add(29);
/// Channels per connection: sshd allows 10 by default (`MaxSessions`).
const CHANNELS: usize = 8;
/// Connections that are being made at once: sshd drops some of more than 10 (`MaxStartups`), and a jump host sees all.
const CONNECTING: usize = 6;
/// How long one call waits for a mutation's end: nothing waits longer at a host for a refit that is gone.
const SLICE: Duration = Duration::from_secs(20);
/// How long a host may be out of reach during an operation before the caller learns of it.
const OUT_OF_REACH: Duration = Duration::from_secs(30);
/// What a host may print in answer to one question.
const MOST_OUTPUT: u64 = 64 << 20;
/// `PATH` at the hosts: a login without a shell's start-up files often lacks the `sbin` directories.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The hosts of an inventory.
pub struct Ssh {
    targets: BTreeMap<HostName, Target>,
    connecting: Semaphore,
    /// Configurations and control sockets; removed with this.
    _dir: tempfile::TempDir,
    /// Locked as long as this lives: a directory whose lock is free was left behind by a refit that was killed.
    _alive: fs::File,
}

struct Target {
    host: Host,
    dir: PathBuf,
    session: Mutex<Option<Arc<Session>>>,
    channels: Semaphore,
    /// Has been reached before, so that a failure is worth waiting for.
    seen: AtomicBool,
}

impl Ssh {
    /// Prepares connections to all hosts; makes none.
    ///
    /// # Errors
    /// If the directory for ssh's configuration cannot be written, or a value of the inventory cannot be expressed in it.
    pub fn new(inventory: &Inventory) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| {
            Failure::NotSent(format!(
                "no directory for SSH connections can be made: {error}"
            ))
        };
        let place = short_temporary_directory();
        let dir = tempfile::Builder::new()
            .prefix(OURS)
            .tempdir_in(&place)
            .map_err(failed)?;
        let alive = private(&dir.path().join("alive")).map_err(failed)?;
        alive.lock().map_err(failed)?;
        sweep(&place, dir.path());
        let mut targets = BTreeMap::new();
        for (number, (name, host)) in inventory.hosts.iter().enumerate() {
            // a control socket's path must stay below 108 bytes: no host name in it
            let home = dir.path().join(number.to_string());
            fs::DirBuilder::new()
                .mode(0o700)
                .create(&home)
                .map_err(failed)?;
            let (file, log) = (home.join("config"), home.join("jump"));
            let text = config::text(host, &file, &log)
                .map_err(|problem| Failure::NotSent(format!("{name}: {problem}")))?;
            private(&file)
                .and_then(|mut file| file.write_all(text.as_bytes()))
                .map_err(failed)?;
            targets.insert(
                name.clone(),
                Target {
                    host: host.clone(),
                    dir: home,
                    session: Mutex::new(None),
                    channels: Semaphore::new(CHANNELS),
                    seen: AtomicBool::new(false),
                },
            );
        }
        Ok(Self {
            targets,
            connecting: Semaphore::new(CONNECTING),
            _dir: dir,
            _alive: alive,
        })
    }

    /// Ends all connections. Without it they end by themselves when idle.
    pub async fn close(&self) {
        for target in self.targets.values() {
            let session = target.session.lock().await.take();
            if let Some(session) = session.and_then(Arc::into_inner)
                && let Err(error) = session.close().await
            {
                debug!(host = %target.host.name, error = %chain(&error), "connection not closed");
            }
        }
    }

    fn target(&self, host: &HostName) -> Result<&Target, Failure> {
        self.targets
            .get(host)
            .ok_or_else(|| Failure::NotFound(format!("{host} is not in the inventory")))
    }

    async fn session(&self, target: &Target) -> Result<Arc<Session>, Trouble> {
        let mut current = target.session.lock().await;
        if let Some(session) = current.as_ref() {
            return Ok(Arc::clone(session));
        }
        let _turn = self.connecting.acquire().await;
        let began = Instant::now();
        let log = target.dir.join("jump");
        let _ = fs::remove_file(&log);
        let connected = SessionBuilder::default()
            .known_hosts_check(KnownHosts::Strict)
            .config_file(target.dir.join("config"))
            .control_directory(&target.dir)
            .clean_history_control_directory(true)
            .control_persist(ControlPersist::IdleFor(IDLE))
            .connect_timeout(Duration::from_secs(config::CONNECT_TIMEOUT_S))
            .connect_mux(config::TARGET)
            .await;
        match connected {
            Ok(session) => {
                debug!(host = %target.host.name, ms = began.elapsed().as_millis(), "connected");
                target.seen.store(true, Ordering::Relaxed);
                let session = Arc::new(session);
                *current = Some(Arc::clone(&session));
                Ok(session)
            }
            Err(error) => {
                let jump_log = fs::read_to_string(&log).unwrap_or_default();
                let trouble = connecting(&target.host, &error, &jump_log);
                debug!(host = %target.host.name, ?trouble, "not connected");
                Err(trouble)
            }
        }
    }

    /// Forgets a broken connection, unless another call has already made a new one.
    async fn forget(&self, target: &Target, broken: &Arc<Session>) {
        let mut current = target.session.lock().await;
        if current
            .as_ref()
            .is_some_and(|session| Arc::ptr_eq(session, broken))
        {
            *current = None;
        }
    }

    /// Begins a command; an idle connection may have ended meanwhile, and is then made anew.
    async fn spawn(
        &self,
        target: &Target,
        argv: &[String],
        stdin: bool,
    ) -> Result<Running, Trouble> {
        let (program, arguments) = argv
            .split_first()
            .ok_or_else(|| Trouble::Hopeless("an empty command".to_owned()))?;
        let mut renewed = false;
        loop {
            let session = self.session(target).await?;
            let spawned = Arc::clone(&session)
                .arc_command(program.as_str())
                .args(arguments)
                .stdin(if stdin { Stdio::piped() } else { Stdio::null() })
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .await;
            match spawned {
                Ok(child) => return Ok(Running { session, child }),
                Err(error) => {
                    self.forget(target, &session).await;
                    drop(session);
                    // the channel was not opened: nothing ran
                    if renewed {
                        return Err(lost(&target.host, &chain(&error)));
                    }
                    renewed = true;
                }
            }
        }
    }

    /// Runs a command to its end; `limit` is also kept at the host.
    async fn run(
        &self,
        target: &Target,
        command: &Command,
        limit: Duration,
    ) -> Result<Output, Trouble> {
        let name = &target.host.name;
        let began = Instant::now();
        let argv = wrapped(&target.host, command, Some(limit));
        let _channel = target.channels.acquire().await;
        let Running { session, mut child } =
            self.spawn(target, &argv, !command.stdin.is_empty()).await?;
        let (input, stdout, stderr) = (
            child.stdin().take(),
            child.stdout().take(),
            child.stderr().take(),
        );
        let work = async {
            let feed = async {
                if let Some(mut input) = input {
                    let _ = input.write_all(&command.stdin).await; // a command need not read it all
                }
            };
            let ((), stdout, stderr) = futures::join!(feed, collect(stdout), collect(stderr));
            let status = child.wait().await;
            (stdout, stderr, status)
        };
        let Ok((stdout, stderr, status)) = timeout(limit + Duration::from_secs(20), work).await
        else {
            self.forget(target, &session).await;
            return Err(Trouble::Broken(format!(
                "{name}: the connection does not answer"
            )));
        };
        let status = match status {
            Ok(status) => status.code().unwrap_or(255),
            // 127 is an exit status like any other
            Err(openssh::Error::Remote(_)) => 127,
            Err(error) => {
                self.forget(target, &session).await;
                return Err(Trouble::Broken(format!(
                    "{name}: the connection broke while `{}` ran: {}",
                    shorten(&command.argv),
                    clause(&chain(&error))
                )));
            }
        };
        let output = Output {
            status,
            stdout,
            stderr,
        };
        debug!(
            host = %name,
            command = shorten(&command.argv),
            status,
            ms = began.elapsed().as_millis(),
            "ran"
        );
        if let Some(trouble) = refused(&target.host, &output) {
            return Err(trouble);
        }
        // timeout(1): 124 when it ended the command, 137 when it had to kill it
        if matches!(status, 124 | 137) && began.elapsed() >= limit {
            return Err(Trouble::Slow(format!(
                "{name}: `{}` did not end within {} s",
                shorten(&command.argv),
                limit.as_secs()
            )));
        }
        Ok(output)
    }

    /// Runs a command that changes nothing; tried again for half a minute while the connection fails, and only once where
    /// the host has never been reached.
    async fn ask(
        &self,
        target: &Target,
        command: &Command,
        limit: Duration,
    ) -> Result<Output, Trouble> {
        let tries = std::cell::Cell::new(0_u32);
        let once = || {
            tries.set(tries.get() + 1);
            self.run(target, command, limit)
        };
        once.retry(
            ExponentialBuilder::default()
                .with_min_delay(Duration::from_millis(300))
                .with_max_delay(Duration::from_secs(5))
                .with_max_times(12)
                .with_total_delay(Some(Duration::from_secs(30))),
        )
        .when(|trouble: &Trouble| {
            trouble.passes() && (target.seen.load(Ordering::Relaxed) || tries.get() < 2)
        })
        .notify(|trouble: &Trouble, delay| {
            debug!(host = %target.host.name, ?trouble, ?delay, "trying again");
        })
        .await
    }

    async fn stands(&self, target: &Target, op: &OpRef) -> Result<OpState, Failure> {
        let name = &target.host.name;
        let output = self
            .ask(target, &unit::state(op), Duration::from_secs(30))
            .await
            .map_err(Trouble::of_question)?;
        match unit::read(&output) {
            Ok(Answer::State(state)) => Ok(state),
            Ok(Answer::Busy(other)) => {
                Err(Failure::Refused(format!("{name}: {other} is under way")))
            }
            Err(error) => Err(Failure::Refused(format!("{name}: {error}"))),
        }
    }
}

struct Running {
    session: Arc<Session>,
    child: openssh::Child<Arc<Session>>,
}

/// The command as it is sent: as root where it must be, in a known environment, and ended by the host itself in time.
fn wrapped(host: &Host, command: &Command, limit: Option<Duration>) -> Vec<String> {
    let mut argv: Vec<String> = match host.ssh.become_root {
        Become::Sudo if command.root => ["sudo", "-n", "--"].map(str::to_owned).to_vec(),
        Become::Sudo | Become::None => Vec::new(),
    };
    argv.extend(["env", "LC_ALL=C", PATH].map(str::to_owned));
    if let Some(limit) = limit {
        argv.extend(["timeout", "-k", "5"].map(str::to_owned));
        argv.push(limit.as_secs().max(1).to_string());
    }
    argv.extend(command.argv.iter().cloned());
    argv
}

async fn collect(stream: Option<impl tokio::io::AsyncRead + Unpin>) -> String {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        // what came before an error is still shown; the exit status tells whether it is whole
        let _ = stream.take(MOST_OUTPUT).read_to_end(&mut bytes).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn private(file: &Path) -> std::io::Result<fs::File> {
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

#[async_trait(?Send)]
impl Hosts for Ssh {
    async fn query(&self, host: &HostName, query: &Query) -> Result<Output, Failure> {
        let target = self.target(host)?;
        self.ask(target, &query.command(), query.timeout())
            .await
            .map_err(Trouble::of_question)
    }

    async fn mutate(
        &self,
        host: &HostName,
        op: &OpRef,
        mutation: &Mutation,
        timeout: Duration,
    ) -> Result<OpEnd, Failure> {
        let target = self.target(host)?;
        let command = mutation.command();
        let deadline = Instant::now() + timeout;
        // whether the start may have reached the host; from then on it is only looked for
        let mut begun = false;
        let mut last_answer = Instant::now();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let (op, after) = (&op.op, timeout.as_secs());
                return Err(if begun {
                    Failure::MaybeDone(format!(
                        "{host}: {op} has not ended within {after} s; it goes on there: see /var/lib/refit/log"
                    ))
                } else {
                    Failure::NotSent(format!(
                        "{host}: {op} could not be started within {after} s"
                    ))
                });
            }
            let slice = left.min(SLICE).max(Duration::from_secs(1));
            let call = if begun {
                unit::wait(op, slice)
            } else {
                unit::start(op, &command, slice)
            };
            match self
                .run(target, &call, slice + Duration::from_secs(60))
                .await
            {
                Ok(output) => {
                    last_answer = Instant::now();
                    match unit::read(&output) {
                        Ok(Answer::State(OpState::Ended(end))) => return Ok(end),
                        Ok(Answer::State(OpState::Running)) => begun = true,
                        // the start was cut off before it did anything
                        Ok(Answer::State(OpState::Absent)) => begun = false,
                        Ok(Answer::State(OpState::Lost)) => {
                            return Err(Failure::MaybeDone(format!(
                                "{host}: {} began there and was cut off: the host rebooted or lost power meanwhile",
                                op.op
                            )));
                        }
                        Ok(Answer::Busy(other)) => {
                            return Err(Failure::Refused(format!(
                                "{host}: another operation of refit is under way there: {other}"
                            )));
                        }
                        Err(error) => {
                            return Err(match self.stands(target, op).await {
                                Ok(OpState::Absent) => Failure::Refused(format!("{host}: {error}")),
                                _ => Failure::MaybeDone(format!("{host}: {error}")),
                            });
                        }
                    }
                }
                Err(trouble) => {
                    begun |= matches!(trouble, Trouble::Broken(_) | Trouble::Slow(_));
                    let lasts = last_answer.elapsed() >= OUT_OF_REACH
                        || matches!(trouble, Trouble::Hopeless(_) | Trouble::Refused(_));
                    let failure = trouble.of_question();
                    if lasts {
                        return Err(if begun {
                            Failure::MaybeDone(failure.to_string())
                        } else {
                            failure
                        });
                    }
                    debug!(%host, op = op.op, %failure, "looking for the operation again");
                    sleep(Duration::from_secs(1).min(left)).await;
                }
            }
        }
    }

    async fn operation(&self, host: &HostName, op: &OpRef) -> Result<OpState, Failure> {
        self.stands(self.target(host)?, op).await
    }

    async fn download(
        &self,
        host: &HostName,
        file: &str,
        to: &Path,
    ) -> Result<(u64, String), Failure> {
        /// The longest silence in a transfer.
        const SILENCE: Duration = Duration::from_secs(60);
        let target = self.target(host)?;
        let failed =
            |why: String| Failure::NotSent(format!("{host}: {file} was not copied: {why}"));
        let local = |error: std::io::Error| failed(format!("{}: {error}", to.display()));
        let command = Command {
            argv: ["cat", "--", file].map(str::to_owned).to_vec(),
            stdin: Vec::new(),
            root: true,
        };
        let mut name = to.file_name().unwrap_or_default().to_owned();
        name.push(".partial");
        let partial = to.with_file_name(name);
        let _ = fs::remove_file(&partial); // so that its mode is ours
        let mut out = private(&partial).map_err(local)?;

        let _channel = target.channels.acquire().await;
        let Running { session, mut child } = self
            .spawn(target, &wrapped(&target.host, &command, None), false)
            .await
            .map_err(Trouble::of_question)?;
        let (Some(mut stdout), stderr) = (child.stdout().take(), child.stderr().take()) else {
            return Err(failed("no channel".to_owned()));
        };
        let mut digest = sha2::Sha256::new();
        let mut size = 0_u64;
        let mut buffer = vec![0_u8; 1 << 16];
        loop {
            let read = timeout(SILENCE, stdout.read(&mut buffer)).await;
            let count = match read {
                Ok(Ok(0)) => break,
                Ok(Ok(count)) => count,
                Ok(Err(error)) => return Err(failed(error.to_string())),
                Err(_) => {
                    self.forget(target, &session).await;
                    return Err(failed(format!("nothing came for {} s", SILENCE.as_secs())));
                }
            };
            let bytes = buffer.get(..count).unwrap_or_default();
            out.write_all(bytes).map_err(local)?;
            digest.update(bytes);
            size += count as u64;
        }
        let said = collect(stderr).await;
        let status = child
            .wait()
            .await
            .map_err(|error| failed(clause(&chain(&error))))?;
        if !status.success() {
            let output = Output {
                status: status.code().unwrap_or(255),
                stdout: String::new(),
                stderr: said.clone(),
            };
            return Err(match refused(&target.host, &output) {
                Some(trouble) => trouble.of_question(),
                None => failed(said.trim().to_owned()),
            });
        }
        out.sync_all().map_err(local)?;
        fs::rename(&partial, to).map_err(local)?;
        if let Some(parent) = to.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            fs::File::open(parent)
                .and_then(|dir| dir.sync_all())
                .map_err(local)?;
        }
        debug!(%host, file, size, "copied");
        let sha256 = digest
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Ok((size, sha256))
    }
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

    #[test]
    fn a_command_becomes_root_only_where_it_must() {
        let mut host = Host {
            name: HostName::new("w1"),
            address: "10.0.0.1".to_owned(),
            node: crate::cluster::model::NodeName::new("w1"),
            role: crate::cluster::model::Role::Worker,
            group: "g".to_owned(),
            labels: BTreeMap::new(),
            ssh: crate::documents::settings::Ssh {
                user: "ops".to_owned(),
                port: 22,
                identity_file: None,
                known_hosts: None,
                jump: None,
                become_root: Become::Sudo,
            },
        };
        let mut command = Command {
            argv: vec!["id".to_owned()],
            stdin: vec![],
            root: true,
        };
        let limit = Some(Duration::from_secs(30));
        let sent = wrapped(&host, &command, limit);
        assert_eq!(sent[..5], ["sudo", "-n", "--", "env", "LC_ALL=C"]);
        assert_eq!(sent[6..], ["timeout", "-k", "5", "30", "id"]);
        command.root = false;
        assert_eq!(wrapped(&host, &command, limit)[0], "env");
        host.ssh.become_root = Become::None;
        command.root = true;
        assert_eq!(wrapped(&host, &command, None)[3..], ["id"]);
    }
}
