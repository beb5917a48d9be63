//! One multiplexed connection per host: made when first needed, shared by all who ask for it, remade when it breaks.
//!
//! Each host has an sshd of its own, so that how many connections are being made at once is bounded only by what this machine
//! can carry. A jump host is the exception: its sshd sees the connections of all hosts behind it.

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use openssh::{ControlPersist, KnownHosts, Session, SessionBuilder, Stdio};
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant, timeout};
use tracing::debug;

use super::config;
use super::trouble::{Trouble, chain, connecting, lost};
use crate::documents::settings::{Host, Jump};

/// How long a connection that nobody uses stays.
const IDLE: NonZeroUsize = NonZeroUsize::MIN.saturating_add(29);
/// Channels per connection: sshd allows 10 by default (`MaxSessions`).
const CHANNELS: usize = 8;
/// Connections that are being made at once: each is a process here.
const CONNECTING: usize = 128;
/// Connections that are being made through one jump host at once: its sshd drops some of more than 10 that have not logged in
/// yet (`MaxStartups`).
const THROUGH_ONE_JUMP: usize = 6;
/// How long a connection counts as not logged in at its jump host. What takes longer waits for the host behind it, which is
/// nothing to the jump host's sshd; a dead host must not keep others waiting.
const LOGGING_IN: Duration = Duration::from_secs(2);
/// A connection that has failed after this long had no answer at all: to try it again at once would be no other.
const UNANSWERED: Duration = Duration::from_secs(config::CONNECT_TIMEOUT_S - 2);

/// A host, and the connection to it.
pub struct Target {
    /// Whom.
    pub host: Host,
    dir: PathBuf,
    current: Mutex<Current>,
    /// Commands at once.
    pub channels: Semaphore,
    /// Has been reached before, so that a failure is worth waiting for.
    seen: AtomicBool,
    /// The last attempt to connect ended because nobody answered in time.
    unanswered: AtomicBool,
    here: Arc<Semaphore>,
    jump: Option<Arc<Semaphore>>,
}

/// The connection as it is now.
#[derive(Default)]
struct Current {
    session: Option<Arc<Session>>,
    /// When the last attempt failed, and why.
    failed: Option<(Instant, Trouble)>,
}

/// A command that runs.
pub struct Running {
    /// Over which connection.
    pub session: Arc<Session>,
    /// Its streams and its end.
    pub child: openssh::Child<Arc<Session>>,
}

/// Who may be connecting at once.
#[derive(Default)]
pub struct Turns {
    here: Option<Arc<Semaphore>>,
    jumps: BTreeMap<(String, u16), Arc<Semaphore>>,
}

impl Turns {
    fn here(&mut self) -> Arc<Semaphore> {
        let here = self
            .here
            .get_or_insert_with(|| Arc::new(Semaphore::new(CONNECTING)));
        Arc::clone(here)
    }

    fn through(&mut self, jump: &Jump) -> Arc<Semaphore> {
        let turns = self
            .jumps
            .entry((jump.address.clone(), jump.port))
            .or_insert_with(|| Arc::new(Semaphore::new(THROUGH_ONE_JUMP)));
        Arc::clone(turns)
    }
}

impl Target {
    /// A host whose configuration is in `dir`; nothing is connected yet.
    pub fn new(host: &Host, dir: PathBuf, turns: &mut Turns) -> Self {
        Self {
            host: host.clone(),
            dir,
            current: Mutex::default(),
            channels: Semaphore::new(CHANNELS),
            seen: AtomicBool::new(false),
            unanswered: AtomicBool::new(false),
            here: turns.here(),
            jump: host.ssh.jump.as_ref().map(|jump| turns.through(jump)),
        }
    }

    /// Whether a question that failed for want of a connection is worth another try, of which there were `tries`.
    pub fn worth_another_try(&self, tries: u32) -> bool {
        self.seen.load(Ordering::Relaxed) || (tries < 2 && !self.unanswered.load(Ordering::Relaxed))
    }

    /// The connection; those who ask for it while it is being made share the attempt and its end.
    async fn session(&self) -> Result<Arc<Session>, Trouble> {
        let asked = Instant::now();
        let mut current = self.current.lock().await;
        if let Some(session) = &current.session {
            return Ok(Arc::clone(session));
        }
        if let Some((at, trouble)) = &current.failed
            && *at > asked
        {
            return Err(trouble.clone());
        }
        let log = self.dir.join("jump");
        let _ = fs::remove_file(&log);
        let began = Instant::now();
        match self.connect().await {
            Ok(session) => {
                debug!(host = %self.host.name, ms = began.elapsed().as_millis(), "connected");
                self.seen.store(true, Ordering::Relaxed);
                let session = Arc::new(session);
                current.session = Some(Arc::clone(&session));
                Ok(session)
            }
            Err((error, took)) => {
                let jump_log = fs::read_to_string(&log).unwrap_or_default();
                let trouble = connecting(&self.host, &error, &jump_log);
                debug!(host = %self.host.name, ?trouble, "not connected");
                self.unanswered.store(took >= UNANSWERED, Ordering::Relaxed);
                current.failed = Some((Instant::now(), trouble.clone()));
                Err(trouble)
            }
        }
    }

    /// Connects when it is this host's turn; a failure says how long the attempt itself took.
    async fn connect(&self) -> Result<Session, (openssh::Error, Duration)> {
        let turn = match &self.jump {
            Some(jump) => Some(jump.acquire().await),
            None => None,
        };
        let _here = self.here.acquire().await;
        let began = Instant::now();
        let mut builder = SessionBuilder::default();
        builder
            .known_hosts_check(KnownHosts::Strict)
            .config_file(self.dir.join("config"))
            .control_directory(&self.dir)
            .clean_history_control_directory(true)
            .control_persist(ControlPersist::IdleFor(IDLE))
            .connect_timeout(Duration::from_secs(config::CONNECT_TIMEOUT_S));
        let mut attempt = pin!(builder.connect_mux(config::TARGET));
        let connected = match timeout(LOGGING_IN, attempt.as_mut()).await {
            Ok(connected) => connected,
            Err(_) => {
                drop(turn);
                attempt.await
            }
        };
        connected.map_err(|error| (error, began.elapsed()))
    }

    /// Forgets a broken connection, unless another call has already made a new one.
    pub async fn forget(&self, broken: &Arc<Session>) {
        let mut current = self.current.lock().await;
        if current
            .session
            .as_ref()
            .is_some_and(|session| Arc::ptr_eq(session, broken))
        {
            current.session = None;
        }
    }

    /// Ends the connection, if there is one and nobody uses it.
    pub async fn close(&self) {
        let session = self.current.lock().await.session.take();
        if let Some(session) = session.and_then(Arc::into_inner)
            && let Err(error) = session.close().await
        {
            debug!(host = %self.host.name, error = %chain(&error), "connection not closed");
        }
    }

    /// Begins a command; an idle connection may have ended meanwhile, and is then made anew.
    pub async fn spawn(&self, argv: &[String], stdin: bool) -> Result<Running, Trouble> {
        let (program, arguments) = argv
            .split_first()
            .ok_or_else(|| Trouble::Hopeless("an empty command".to_owned()))?;
        let mut renewed = false;
        loop {
            let session = self.session().await?;
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
                    self.forget(&session).await;
                    drop(session);
                    // the channel was not opened: nothing ran
                    if renewed {
                        return Err(lost(&self.host, &chain(&error)));
                    }
                    renewed = true;
                }
            }
        }
    }
}
