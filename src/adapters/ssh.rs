//! The hosts over SSH: one multiplexed OpenSSH connection per host, made when first needed and remade when it breaks.
//!
//! Reads are tried again while the connection fails; a mutation is started once, in a unit of its host that does not need
//! the connection (`host::unit`), and is found again through a new connection. Authentication, host keys and everything
//! else that the network sees is OpenSSH's, configured by the inventory alone (`config`).
//!
//! A connection's process ends by itself when it has been idle for a while, so that nothing stays behind even where refit is
//! killed; [`Ssh::close`] ends it at once.
#![allow(
    clippy::disallowed_methods,
    reason = "an adapter: time and processes are its work"
)]

mod command;
mod config;
mod connection;
mod download;
mod place;
mod trouble;
mod upload;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep};
use tracing::debug;

use self::command::{ask, run};
use self::connection::{Target, Turns};
use self::place::{Place, private};
use self::trouble::Trouble;
use crate::cluster::model::HostName;
use crate::documents::settings::Inventory;
use crate::host::op::{Mutation, OpEnd, OpRef, OpState, Output, Query};
use crate::host::unit::{self, Answer};
use crate::ports::{Failure, Hosts, Token};

/// How long one call waits for a mutation's end: nothing waits longer at a host for a refit that is gone.
const SLICE: Duration = Duration::from_secs(20);
/// How long a host may take to be told a token.
const FENCE: Duration = Duration::from_secs(40);
/// How long a host may be out of reach during an operation before the caller learns of it.
const OUT_OF_REACH: Duration = Duration::from_secs(30);

/// The hosts of an inventory.
pub struct Ssh {
    targets: BTreeMap<HostName, Target>,
    /// Configurations and control sockets.
    _place: Place,
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
        let place = Place::make().map_err(failed)?;
        let mut turns = Turns::default();
        let mut targets = BTreeMap::new();
        for (number, (name, host)) in inventory.hosts.iter().enumerate() {
            // a control socket's path must stay below 108 bytes: no host name in it
            let home = place.path().join(number.to_string());
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
            targets.insert(name.clone(), Target::new(host, home, &mut turns));
        }
        Ok(Self {
            targets,
            _place: place,
        })
    }

    /// Ends all connections. Without it they end by themselves when idle.
    pub async fn close(&self) {
        for target in self.targets.values() {
            target.close().await;
        }
    }

    fn target(&self, host: &HostName) -> Result<&Target, Failure> {
        self.targets
            .get(host)
            .ok_or_else(|| Failure::NotFound(format!("{host} is not in the inventory")))
    }

    async fn stands(&self, target: &Target, op: &OpRef) -> Result<OpState, Failure> {
        let name = &target.host.name;
        let output = ask(target, &unit::state(op), Duration::from_secs(30))
            .await
            .map_err(Trouble::of_question)?;
        match unit::read(&output) {
            Ok(Answer::State(state)) => Ok(state),
            Ok(Answer::Busy(other)) => {
                Err(Failure::Refused(format!("{name}: {other} is under way")))
            }
            Ok(Answer::Overtaken(known)) => Err(Failure::Refused(format!(
                "{name}: told of token {known} when it was only asked"
            ))),
            Err(error) => Err(Failure::Refused(format!("{name}: {error}"))),
        }
    }
}

fn overtaken(host: &HostName, token: Token, known: u64) -> Failure {
    Failure::Refused(format!(
        "{host}: another refit has the cluster: the host was told token {known}, and this run has {}; `refit resume` takes a \
         higher one if nobody else is at work",
        token.0
    ))
}

#[async_trait(?Send)]
impl Hosts for Ssh {
    async fn query(&self, host: &HostName, query: &Query) -> Result<Output, Failure> {
        let target = self.target(host)?;
        ask(target, &query.command(), query.timeout())
            .await
            .map_err(Trouble::of_question)
    }

    async fn mutate(
        &self,
        host: &HostName,
        op: &OpRef,
        mutation: &Mutation,
        token: Token,
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
                unit::start(op, &command, token.0, slice)
            };
            match run(target, &call, slice + Duration::from_secs(60)).await {
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
                        Ok(Answer::Overtaken(known)) => return Err(overtaken(host, token, known)),
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

    async fn fence(&self, host: &HostName, token: Token) -> Result<Token, Failure> {
        let output = ask(self.target(host)?, &unit::fence(token.0), FENCE)
            .await
            .map_err(Trouble::of_question)?;
        unit::read_token(&output)
            .map(Token)
            .map_err(|error| Failure::MaybeDone(format!("{host}: {error}")))
    }

    async fn operation(&self, host: &HostName, op: &OpRef) -> Result<OpState, Failure> {
        self.stands(self.target(host)?, op).await
    }

    async fn download(
        &self,
        host: &HostName,
        file: &str,
        to: &Path,
        seal_to: &[String],
    ) -> Result<(u64, String), Failure> {
        download::download(self.target(host)?, file, to, seal_to).await
    }

    async fn upload(
        &self,
        host: &HostName,
        from: &Path,
        identity: Option<&Path>,
        file: &str,
        sha256: &str,
    ) -> Result<(), Failure> {
        upload::upload(self.target(host)?, from, identity, file, sha256).await
    }
}
