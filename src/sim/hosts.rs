//! The hosts as refit's port sees them: over connections that can be cut.
//!
//! As the adapter does, questions are asked again for half a minute while a host cannot be reached, a mutation is started
//! once and then looked for, and its end is awaited for as long as the caller waits.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;

use super::Sim;
use super::machine::{self, Machine};
use super::seam::View;
use crate::cluster::model::HostName;
use crate::host::op::{Mutation, OpEnd, OpRef, OpState, Output, Query};
use crate::ports::{Failure, Hosts, Token};

/// How long a host may be out of reach before the caller learns of it.
const OUT_OF_REACH: Duration = Duration::from_secs(30);
/// Between two attempts to reach it.
const AGAIN: Duration = Duration::from_secs(1);

impl Sim {
    fn machine<T>(
        &self,
        host: &HostName,
        ask: impl FnOnce(&Machine, &View<'_>) -> T,
    ) -> Result<T, Failure> {
        self.look(|world| world.ask(host, ask))
            .ok_or_else(|| unknown(host))
    }

    /// Returns when the host can be reached; why not, when it could not for too long.
    async fn reach(&self, host: &HostName, at_most: Duration) -> Result<(), Failure> {
        let takes = self.machine(host, |machine, _| machine.durations.question)?;
        self.sleep(takes).await;
        let mut waited = Duration::ZERO;
        loop {
            let Some(why) = self.machine(host, |machine, view| machine.unreachable(view.now))?
            else {
                return Ok(());
            };
            // A host that never answered is not waited for long.
            let never = self.machine(host, |machine, _| machine.never_answered())?;
            if waited >= at_most.min(OUT_OF_REACH) || never {
                return Err(Failure::NotSent(why));
            }
            self.sleep(AGAIN).await;
            waited += AGAIN;
        }
    }

    /// Waits for the end of an operation that has begun.
    async fn await_end(
        &self,
        host: &HostName,
        op: &OpRef,
        timeout: Duration,
    ) -> Result<OpEnd, Failure> {
        let deadline = self.look(|world| world.now()).saturating_add(timeout);
        loop {
            let left = deadline.saturating_sub(self.look(|world| world.now()));
            let seen = self
                .until(left, |world| {
                    world.ask(host, |machine, view| match machine.unreachable(view.now) {
                        Some(_) => Some(None),
                        None => match machine.operation(op) {
                            OpState::Running => None,
                            state @ (OpState::Absent | OpState::Lost | OpState::Ended(_)) => {
                                Some(Some(state))
                            }
                        },
                    })?
                })
                .await;
            match seen {
                None => {
                    return Err(Failure::MaybeDone(format!(
                        "{host}: {} has not ended within {} s; it goes on there: see /var/lib/refit/log",
                        op.op,
                        timeout.as_secs()
                    )));
                }
                Some(None) => self
                    .reach(host, left)
                    .await
                    .map_err(|failure| Failure::MaybeDone(failure.to_string()))?,
                Some(Some(OpState::Ended(end))) => return Ok(end),
                Some(Some(OpState::Lost)) => {
                    return Err(Failure::MaybeDone(format!(
                        "{host}: {} began there and was cut off: the host rebooted or lost power meanwhile",
                        op.op
                    )));
                }
                Some(Some(OpState::Absent | OpState::Running)) => {
                    return Err(Failure::MaybeDone(format!(
                        "{host}: {} is not known there",
                        op.op
                    )));
                }
            }
        }
    }
}

#[async_trait(?Send)]
impl Hosts for Sim {
    async fn query(&self, host: &HostName, query: &Query) -> Result<Output, Failure> {
        self.reach(host, OUT_OF_REACH).await?;
        self.machine(host, |machine, view| machine.answer(view, query))?
    }

    async fn mutate(
        &self,
        host: &HostName,
        op: &OpRef,
        mutation: &Mutation,
        token: Token,
        timeout: Duration,
    ) -> Result<OpEnd, Failure> {
        let known = self.fence(host, token).await?;
        if known > token {
            return Err(Failure::Refused(format!(
                "{host}: another refit has taken the cluster over: it knows of token {}, this one has {}",
                known.0, token.0
            )));
        }
        let begun = self.act(|world| {
            world.notice_change(machine::verb(mutation));
            world.with_machine(host, |machine, view| {
                match machine.begin(view, op, mutation) {
                    Ok(turn) => (Ok(()), turn),
                    Err(failure) => (Err(failure), super::seam::Turn::default()),
                }
            })
        });
        begun.ok_or_else(|| unknown(host))??;
        self.await_end(host, op, timeout).await
    }

    async fn fence(&self, host: &HostName, token: Token) -> Result<Token, Failure> {
        self.reach(host, OUT_OF_REACH).await?;
        self.act(|world| world.fence(host, token))
            .ok_or_else(|| unknown(host))
    }

    async fn operation(&self, host: &HostName, op: &OpRef) -> Result<OpState, Failure> {
        self.reach(host, OUT_OF_REACH).await?;
        self.machine(host, |machine, _| machine.operation(op))
    }

    async fn download(
        &self,
        host: &HostName,
        file: &str,
        to: &Path,
        seal_to: &[String],
    ) -> Result<(u64, String), Failure> {
        self.reach(host, OUT_OF_REACH).await?;
        let takes = self.machine(host, |machine, _| machine.durations.copy)?;
        let found = self.machine(host, |machine, _| machine.file(file))?;
        let (size, sha256) = found.ok_or_else(|| {
            Failure::NotFound(format!("{host}: cat: {file}: No such file or directory"))
        })?;
        let no_room = |error: std::io::Error| {
            Failure::NotSent(format!(
                "{host}: {file} was not copied: {}: {error}",
                to.display()
            ))
        };
        self.room_here().map_err(no_room)?;
        // Half of it is here first: who is killed meanwhile leaves that behind.
        self.act(|world| world.disk.put(to, size / 2, "0".repeat(64), world.wall()));
        self.sleep(takes).await;
        self.reach(host, OUT_OF_REACH)
            .await
            .map_err(|failure| Failure::NotSent(failure.to_string()))?;
        self.act(|world| {
            let (digest, now) = (sha256.clone(), world.wall());
            if seal_to.is_empty() {
                world.disk.put(to, size, digest, now);
            } else {
                world.disk.put_sealed(to, size, digest, now);
            }
        });
        Ok((size, sha256))
    }

    async fn upload(
        &self,
        host: &HostName,
        from: &Path,
        _identity: Option<&Path>,
        file: &str,
        sha256: &str,
    ) -> Result<(), Failure> {
        let local = |why: &str| {
            Failure::NotSent(format!(
                "{host}: {file} was not written: {}: {why}",
                from.display()
            ))
        };
        let content = self.look(|world| world.disk.content(from).map(str::to_owned));
        let content = content.ok_or_else(|| local("No such file or directory (os error 2)"))?;
        self.reach(host, OUT_OF_REACH).await?;
        let takes = self.machine(host, |machine, _| machine.durations.copy)?;
        self.sleep(takes).await;
        self.reach(host, OUT_OF_REACH)
            .await
            .map_err(|failure| Failure::NotSent(failure.to_string()))?;
        if content != sha256 {
            return Err(Failure::NotSent(format!(
                "{host}: {file} was not written: refit: what came is not whole: its SHA-256 is {content}, not {sha256}"
            )));
        }
        self.act(|world| {
            world.with_machine(host, |machine, view| {
                machine.receive(view, file, sha256);
                ((), super::seam::Turn::default())
            })
        });
        Ok(())
    }
}

fn unknown(host: &HostName) -> Failure {
    Failure::NotFound(format!("{host} is not in the inventory"))
}
