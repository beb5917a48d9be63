//! The way back, step by step on each control plane: looked at, the snapshot sent, and what changes it there.
//!
//! The steps' own probes look at the host and at nothing else: for most of them no API answers.

use std::path::Path;

use super::event::How;
use super::step::{Finished, Trouble, Try};
use super::{host_step, look};
use crate::cluster::model::HostName;
use crate::host::op::Mutation;
use crate::plan::way_back::{CheckMember, Part, SendSnapshot};

/// Carries a part out.
pub(super) async fn run(
    attempt: &Try<'_, '_>,
    host: &HostName,
    part: &Part,
) -> Result<Finished, Trouble> {
    let run = attempt.cx.run.id;
    match part {
        Part::Check(wanted) => check(attempt, host, wanted).await,
        Part::Send(wanted) => send(attempt, host, wanted).await,
        Part::PutBack(put_back) => {
            host_step::run(attempt, host, None, &Mutation::PutBack(put_back.clone())).await
        }
        Part::Change(change) => {
            let mutation = Mutation::WayBack(change.of_run(run));
            host_step::run(attempt, host, None, &mutation).await
        }
    }
}

/// It is the member of the plan, of the snapshot's cluster, and there is room.
async fn check(
    attempt: &Try<'_, '_>,
    host: &HostName,
    wanted: &CheckMember,
) -> Result<Finished, Trouble> {
    attempt.start()?;
    let world = attempt.cx.world;
    let at = wanted.at.of_run(attempt.cx.run.id);
    let looked = async {
        futures::join!(
            look::way_back(world, host, &at),
            look::etcd_flags(world, host)
        )
    };
    let (found, flags) = attempt
        .within(looked)
        .await
        .ok_or_else(|| attempt.timed_out())?;
    let mut problems = Vec::new();
    match found {
        Ok(found) => {
            if found.authority_sha256.as_ref() != Some(&wanted.authority_sha256) {
                problems
                    .push("its cluster has another authority than that of the snapshot".to_owned());
            }
            if found.free < wanted.free {
                problems.push(format!(
                    "{} has {} bytes free, and {} are needed",
                    at.data, found.free, wanted.free
                ));
            }
        }
        Err(problem) => problems.push(problem.to_string()),
    }
    match flags {
        Ok(flags) => {
            let (name, peer) = (&wanted.member.name, &wanted.member.peer_url);
            for flag in [
                format!("--name={name}"),
                format!("--initial-advertise-peer-urls={peer}"),
                format!("--data-dir={}", at.data),
            ] {
                if !flags.contains(&flag) {
                    problems.push(format!("its member of etcd does not run with {flag}"));
                }
            }
        }
        Err(problem) => problems.push(problem.to_string()),
    }
    if problems.is_empty() {
        return Ok(Finished {
            how: How::Acted,
            note: None,
        });
    }
    Err(Trouble::Failed(format!(
        "host {host} is not fit: {}",
        problems.join("; ")
    )))
}

/// The snapshot is on the host, whole.
async fn send(
    attempt: &Try<'_, '_>,
    host: &HostName,
    wanted: &SendSnapshot,
) -> Result<Finished, Trouble> {
    let world = attempt.cx.world;
    let at = wanted.at.of_run(attempt.cx.run.id);
    let there = async || {
        let found = attempt
            .within(look::way_back(world, host, &at))
            .await
            .ok_or_else(|| attempt.timed_out())?
            .map_err(|problem| {
                Trouble::Failed(format!(
                    "whether the snapshot is on host {host} cannot be told: {problem}"
                ))
            })?;
        let whole = |sha256: &Option<String>| sha256.as_ref() == Some(&wanted.sha256);
        Ok::<bool, Trouble>(whole(&found.snapshot) || whole(&found.restored) || found.before)
    };
    let finished = |how| Finished { how, note: None };
    if there().await? {
        return Ok(finished(attempt.found_done()));
    }
    attempt.start()?;
    let upload = world.hosts.upload(
        host,
        Path::new(&wanted.from),
        wanted.identity.as_deref().map(Path::new),
        &at.snapshot,
        &wanted.sha256,
    );
    attempt
        .within(upload)
        .await
        .ok_or_else(|| attempt.timed_out())?
        .map_err(|failure| {
            Trouble::Failed(format!(
                "the snapshot {} was not sent: {failure}",
                wanted.from
            ))
        })?;
    if there().await? {
        return Ok(finished(How::Acted));
    }
    Err(Trouble::Failed(format!(
        "host {host}: the snapshot was sent, and is not there"
    )))
}
