//! What hosts are asked, and what their answers say.
//!
//! The one place of this room that asks a host a question. What a question's answer means is the host room's; here a
//! failure to ask and an answer that makes no sense become words for people.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::step::{Trouble, Try};
use crate::cluster::facts::EtcdFacts;
use crate::cluster::model::{HostName, NodeName};
use crate::host::clause::clause;
use crate::host::judge::CLOCKS_APART_S;
use crate::host::op::{Mutation, Output, Query, Standing};
use crate::host::parse;
use crate::host::way_back::Places;
use crate::ports::World;
use crate::rules::version::Version;

/// Why something about a host is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Problem {
    /// It could not be asked; names the host.
    Unasked(String),
    /// It answered, and that makes no sense or tells of a failure there.
    Answer(String),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unasked(text) | Self::Answer(text) => f.write_str(text),
        }
    }
}

async fn ask(world: World<'_>, host: &HostName, query: &Query) -> Result<Output, Problem> {
    world
        .hosts
        .query(host, query)
        .await
        .map_err(|failure| Problem::Unasked(failure.to_string()))
}

fn words(error: impl fmt::Display) -> Problem {
    Problem::Answer(error.to_string())
}

/// What a client that runs on the host says of a connection that failed there: kubectl and etcdctl say it at length.
fn connection(error: impl fmt::Display) -> Problem {
    Problem::Answer(clause(&error.to_string()))
}

/// Where the host stands with respect to a mutation. Unknown is a failure: nothing may be done then.
pub(super) async fn standing(
    attempt: &Try<'_, '_>,
    host: &HostName,
    mutation: &Mutation,
) -> Result<Standing, Trouble> {
    let Some(query) = mutation.probe() else {
        return Ok(Standing::Untold);
    };
    attempt
        .within(ask(attempt.cx.world, host, &query))
        .await
        .ok_or_else(|| attempt.timed_out())?
        .and_then(|output| mutation.judge(&output).map_err(words))
        .map_err(|problem| {
            Trouble::Failed(format!(
                "whether it is done on host {host} cannot be told: {problem}"
            ))
        })
}

/// `/readyz` of this control plane's API server.
pub(super) async fn api_server_ready(world: World<'_>, host: &HostName) -> Result<(), Problem> {
    let output = ask(world, host, &Query::ApiServerReady).await?;
    match parse::api_ready(&output).map_err(connection)? {
        parse::ApiReady::Ready => Ok(()),
        parse::ApiReady::NotReady(why) => Err(connection(why)),
    }
}

/// The release of this control plane's API server.
pub(super) async fn api_server_version(
    world: World<'_>,
    host: &HostName,
) -> Result<Version, Problem> {
    let output = ask(world, host, &Query::ApiServerVersion).await?;
    parse::api_version(&output).map_err(connection)
}

/// The image of each static pod's manifest, by component (`etcd` of `etcd.yaml`).
pub(super) async fn manifests(
    world: World<'_>,
    host: &HostName,
) -> Result<BTreeMap<String, String>, Problem> {
    let output = ask(world, host, &Query::Manifests).await?;
    Ok(parse::manifests(&output)
        .map_err(words)?
        .files
        .into_iter()
        .map(|(file, manifest)| {
            let component = file.strip_suffix(".yaml").unwrap_or(&file).to_owned();
            (component, manifest.image)
        })
        .collect())
}

/// etcd, asked through this control plane's member.
pub(super) async fn etcd(world: World<'_>, host: &HostName) -> Result<EtcdFacts, Problem> {
    let output = ask(world, host, &Query::Etcd).await?;
    parse::etcd(&output).map_err(connection)
}

/// A good snapshot on the host.
pub(super) async fn snapshot(
    world: World<'_>,
    host: &HostName,
    file: &str,
) -> Result<parse::SnapshotStatus, Problem> {
    let query = Query::Snapshot {
        file: file.to_owned(),
    };
    let output = ask(world, host, &query).await?;
    match parse::snapshot(&output).map_err(words)? {
        parse::Snapshot::Good(status) => Ok(status),
        parse::Snapshot::Absent => Err(words("it is not there")),
        parse::Snapshot::Broken(why) => Err(words(format_args!("it is damaged: {why}"))),
    }
}

/// How far a control plane is on the way back.
pub(super) async fn way_back(
    world: World<'_>,
    host: &HostName,
    at: &Places,
) -> Result<parse::WayBack, Problem> {
    let output = ask(world, host, &Query::WayBack(at.clone())).await?;
    parse::way_back(&output).map_err(words)
}

/// The flags of a control plane's member of etcd.
pub(super) async fn etcd_flags(world: World<'_>, host: &HostName) -> Result<Vec<String>, Problem> {
    let output = ask(world, host, &Query::Manifests).await?;
    let mut files = parse::manifests(&output).map_err(words)?.files;
    files
        .remove("etcd.yaml")
        .map(|manifest| manifest.flags)
        .ok_or_else(|| words("no member of stacked etcd runs there"))
}

/// The files of snapshots in a host's directory, each with how long nobody has written to it.
pub(super) async fn left_snapshots(
    world: World<'_>,
    host: &HostName,
    directory: &str,
) -> Result<BTreeMap<String, Duration>, Problem> {
    let query = Query::LeftSnapshots {
        directory: directory.to_owned(),
    };
    let output = ask(world, host, &query).await?;
    parse::left_snapshots(&output).map_err(words)
}

/// The host's boot, another one after each reboot.
pub(super) async fn boot(world: World<'_>, host: &HostName) -> Result<String, Problem> {
    let output = ask(world, host, &Query::Basics).await?;
    let basics = parse::basics(&output).map_err(words)?;
    Ok(basics.identity.map_err(words)?.boot_id)
}

/// How the check of a hook ended on the host, and what it said.
pub(super) async fn hook_check(
    world: World<'_>,
    host: &HostName,
    query: &Query,
) -> Result<(i32, String), Problem> {
    let Output {
        status,
        stdout,
        stderr,
    } = ask(world, host, query).await?;
    Ok((status, stdout + &stderr))
}

/// What a host must be to be worked on.
pub(super) struct Wanted<'a> {
    pub(super) node: &'a NodeName,
    pub(super) machine_id: &'a str,
    /// Bytes, by directory.
    pub(super) disk_free: &'a BTreeMap<String, u64>,
    /// kubeadm's directory of patches, where it reads one.
    pub(super) patches: Option<&'a str>,
}

/// That the host's clock is not the one here, which was so between its question and its answer; both in milliseconds.
fn apart(there_ms: i64, here_ms: &std::ops::RangeInclusive<i64>) -> Option<String> {
    let (seconds, how) = if there_ms > *here_ms.end() {
        ((there_ms - here_ms.end()) / 1000, "ahead of")
    } else {
        ((here_ms.start() - there_ms) / 1000, "behind")
    };
    (seconds > CLOCKS_APART_S).then(|| {
        format!(
            "its clock is {seconds} s {how} the one here, and certificates count by it: see `timedatectl` or `chronyc tracking` on both"
        )
    })
}

/// What makes a host unfit to be worked on, in words; nothing when it is fit.
pub(super) async fn host(world: World<'_>, host: &HostName, wanted: &Wanted<'_>) -> Vec<String> {
    let Wanted {
        node,
        machine_id,
        disk_free,
        patches,
    } = *wanted;
    let asked = world.clock.now();
    let basics = match ask(world, host, &Query::Basics).await {
        Ok(output) => match parse::basics(&output) {
            Ok(basics) => basics,
            Err(error) => return vec![error.to_string()],
        },
        Err(problem) => return vec![problem.to_string()],
    };
    let mut problems = Vec::new();
    if let Ok(there_ms) = basics.clock_ms {
        let between = asked.as_millisecond()..=world.clock.now().as_millisecond();
        problems.extend(apart(there_ms, &between));
    }
    match basics.identity {
        Ok(identity) if identity.machine_id == machine_id => {}
        Ok(identity) => problems.push(format!(
            "it is not node {node}: its machine id is {}, the node's is {machine_id}",
            identity.machine_id
        )),
        Err(error) => problems.push(error.to_string()),
    }
    if let Err(error) = basics.root {
        problems.push(error.to_string());
    }
    match basics.operation {
        Ok(None) => {}
        Ok(Some(operation)) => problems.push(format!("an operation is under way: {operation}")),
        Err(error) => problems.push(error.to_string()),
    }
    match basics.disk_free {
        Ok(free) => {
            for (directory, needed) in disk_free {
                match free.get(directory) {
                    Some(free) if free >= needed => {}
                    Some(free) => problems.push(format!(
                        "{directory} has {} MiB free, and {} MiB are needed",
                        free >> 20,
                        needed.div_ceil(1 << 20)
                    )),
                    None => problems.push(format!("free space of {directory} is not known")),
                }
            }
        }
        Err(error) => problems.push(error.to_string()),
    }
    if let Some(path) = patches {
        let query = Query::Directory {
            path: path.to_owned(),
        };
        let found = match ask(world, host, &query).await {
            Ok(output) => parse::directory(&output).map_err(words),
            Err(problem) => Err(problem),
        };
        match found {
            Ok(true) => {}
            Ok(false) => problems.push(format!(
                "{path}, where kubeadm is told to find patches, is no directory there"
            )),
            Err(problem) => problems.push(format!("whether {path} is there: {problem}")),
        }
    }
    problems
}
