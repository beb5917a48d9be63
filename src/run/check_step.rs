//! Steps that look once, and stop the run when something is not as it should be. They change nothing.

use std::collections::BTreeMap;

use super::event::How;
use super::step::{Finished, Trouble, Try};
use super::{health, look};
use crate::cluster::model::{HostName, NodeName};
use crate::rules::version::Version;

/// The host is the node it should be, we are root there, nothing of ours is under way, and there is what the plan needs.
pub(super) async fn host(
    attempt: &Try<'_, '_>,
    host: &HostName,
    wanted: &look::Wanted<'_>,
) -> Result<Finished, Trouble> {
    attempt.start()?;
    let problems = attempt
        .within(look::host(attempt.cx.world, host, wanted))
        .await
        .ok_or_else(|| attempt.timed_out())?;
    verdict(&format!("host {host} is not fit"), &problems)
}

/// The API answers, this is the plan's cluster, etcd is whole, the plan's nodes are ready.
pub(super) async fn cluster(
    attempt: &Try<'_, '_>,
    cluster_uid: &str,
    host: &HostName,
    nodes: &[NodeName],
) -> Result<Finished, Trouble> {
    attempt.start()?;
    let world = attempt.cx.world;
    let looked = async {
        futures::join!(
            world.api.ready(),
            world.api.cluster_uid(),
            world.api.nodes(),
            health::etcd(world, host),
        )
    };
    let (ready, uid, found, mut problems) = attempt
        .within(looked)
        .await
        .ok_or_else(|| attempt.timed_out())?;
    match uid {
        Ok(uid) if uid == cluster_uid => {}
        // Nothing else is worth saying, and nothing must be tried.
        Ok(uid) => {
            return Err(Trouble::Hopeless(format!(
                "this is another cluster: kube-system has uid {uid}, the plan was made for {cluster_uid}"
            )));
        }
        Err(failure) => problems.push(format!("which cluster this is: {failure}")),
    }
    if let Err(failure) = ready {
        problems.push(format!("the API's endpoint: {failure}"));
    }
    match found {
        Ok(found) => {
            let (found, missing) = health::select(&found, nodes);
            problems.extend(missing);
            problems.extend(found.into_iter().flat_map(health::not_ready));
        }
        Err(failure) => problems.push(format!("the nodes: {failure}")),
    }
    verdict("the cluster is not fit", &problems)
}

/// What there must be at a run's end.
pub(super) struct End<'a> {
    pub(super) version: &'a Version,
    pub(super) control_planes: &'a BTreeMap<HostName, NodeName>,
    pub(super) nodes: &'a [NodeName],
    /// Those that someone else cordoned.
    pub(super) cordoned: &'a [NodeName],
    pub(super) kube_proxy: Option<&'a Version>,
}

/// Every component at the release, every node ready and schedulable as before, no mark of ours left.
pub(super) async fn verify(attempt: &Try<'_, '_>, end: &End<'_>) -> Result<Finished, Trouble> {
    attempt.start()?;
    let End {
        version,
        control_planes,
        nodes,
        cordoned,
        kube_proxy,
    } = *end;
    let world = attempt.cx.world;
    let instances = futures::future::join_all(
        control_planes
            .iter()
            .map(|(host, node)| health::control_plane(world, host, node, version)),
    );
    let looked = async { futures::join!(instances, world.api.nodes(), world.api.workloads()) };
    let (instances, found, workloads) = attempt
        .within(looked)
        .await
        .ok_or_else(|| attempt.timed_out())?;
    let mut problems: Vec<String> = instances.into_iter().flatten().collect();
    // etcd and the endpoint are asked through each control plane, and say the same.
    problems.sort();
    problems.dedup();
    match found {
        Ok(found) => {
            let (found, missing) = health::select(&found, nodes);
            problems.extend(missing);
            for node in found {
                problems.extend(health::node(node, version));
                match (node.unschedulable, cordoned.contains(&node.name)) {
                    (true, true) | (false, false) => {}
                    (true, false) => problems.push(format!("{}: cordoned", node.name)),
                    (false, true) => problems.push(format!(
                        "{}: was cordoned before the run and is not any more",
                        node.name
                    )),
                }
                if let Some(run) = &node.cordoned_by {
                    problems.push(format!("{}: still marked by run {run}", node.name));
                }
            }
        }
        Err(failure) => problems.push(format!("the nodes: {failure}")),
    }
    match workloads {
        Ok(workloads) => problems.extend(health::addons(&workloads, kube_proxy)),
        Err(failure) => problems.push(format!("the workloads: {failure}")),
    }
    verdict(
        &format!("the cluster is not as it should be at {version}"),
        &problems,
    )
}

fn verdict(headline: &str, problems: &[String]) -> Result<Finished, Trouble> {
    if problems.is_empty() {
        Ok(Finished {
            how: How::Acted,
            note: None,
        })
    } else {
        Err(Trouble::Failed(format!(
            "{headline}: {}",
            problems.join("; ")
        )))
    }
}
