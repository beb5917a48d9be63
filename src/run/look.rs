//! What hosts are asked, and what their answers say.
//!
//! The one place of this room that asks a host a question. What a question's answer means is the host room's; here a
//! failure to ask and an answer that makes no sense become words for people.

use std::collections::BTreeMap;

use super::step::{Trouble, Try};
use crate::cluster::facts::EtcdFacts;
use crate::cluster::model::{HostName, NodeName};
use crate::host::op::{Mutation, Output, Query, Standing};
use crate::host::parse;
use crate::ports::World;
use crate::rules::version::Version;

async fn ask(world: World<'_>, host: &HostName, query: &Query) -> Result<Output, String> {
    world
        .hosts
        .query(host, query)
        .await
        .map_err(|failure| failure.to_string())
}

fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
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
pub(super) async fn api_server_ready(world: World<'_>, host: &HostName) -> Result<(), String> {
    let output = ask(world, host, &Query::ApiServerReady).await?;
    match parse::api_ready(&output).map_err(words)? {
        parse::ApiReady::Ready => Ok(()),
        parse::ApiReady::NotReady(why) => Err(why),
    }
}

/// The release of this control plane's API server.
pub(super) async fn api_server_version(
    world: World<'_>,
    host: &HostName,
) -> Result<Version, String> {
    let output = ask(world, host, &Query::ApiServerVersion).await?;
    parse::api_version(&output).map_err(words)
}

/// The image of each static pod's manifest, by component (`etcd` of `etcd.yaml`).
pub(super) async fn manifests(
    world: World<'_>,
    host: &HostName,
) -> Result<BTreeMap<String, String>, String> {
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
pub(super) async fn etcd(world: World<'_>, host: &HostName) -> Result<EtcdFacts, String> {
    let output = ask(world, host, &Query::Etcd).await?;
    parse::etcd(&output).map_err(words)
}

/// Size and SHA-256 of a good snapshot on the host.
pub(super) async fn snapshot(
    world: World<'_>,
    host: &HostName,
    file: &str,
) -> Result<(u64, String), String> {
    let query = Query::Snapshot {
        file: file.to_owned(),
    };
    let output = ask(world, host, &query).await?;
    match parse::snapshot(&output).map_err(words)? {
        parse::Snapshot::Good(status) => Ok((status.size, status.sha256)),
        parse::Snapshot::Absent => Err("it is not there".to_owned()),
        parse::Snapshot::Broken(why) => Err(format!("it is damaged: {why}")),
    }
}

/// What makes a host unfit to be worked on, in words; nothing when it is fit.
pub(super) async fn host(
    world: World<'_>,
    host: &HostName,
    node: &NodeName,
    machine_id: &str,
    disk_free: &BTreeMap<String, u64>,
) -> Vec<String> {
    let basics = match ask(world, host, &Query::Basics).await {
        Ok(output) => match parse::basics(&output) {
            Ok(basics) => basics,
            Err(error) => return vec![words(error)],
        },
        Err(problem) => return vec![problem],
    };
    let mut problems = Vec::new();
    match basics.identity {
        Ok(identity) if identity.machine_id == machine_id => {}
        Ok(identity) => problems.push(format!(
            "it is not node {node}: its machine id is {}, the node's is {machine_id}",
            identity.machine_id
        )),
        Err(error) => problems.push(words(error)),
    }
    if let Err(error) = basics.root {
        problems.push(words(error));
    }
    match basics.operation {
        Ok(None) => {}
        Ok(Some(operation)) => problems.push(format!("an operation is under way: {operation}")),
        Err(error) => problems.push(words(error)),
    }
    match basics.disk_free {
        Ok(free) => {
            for (directory, needed) in disk_free {
                match free.get(directory) {
                    Some(free) if free >= needed => {}
                    Some(free) => problems.push(format!(
                        "{directory} has {free} bytes free, and {needed} are needed"
                    )),
                    None => problems.push(format!("free space of {directory} is not known")),
                }
            }
        }
        Err(error) => problems.push(words(error)),
    }
    problems
}
