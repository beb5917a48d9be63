//! Steps that look, and stop the run when something is not as it should be. They change nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::event::How;
use super::step::{Finished, Trouble, Try};
use super::{health, look};
use crate::cluster::model::{HostName, Node, NodeName, OUTDATED};
use crate::plan::data::{Action, Plan};
use crate::ports::World;
use crate::rules::version::Version;

/// How long what is not yet as it should be may take to become so.
const SETTLING: Duration = Duration::from_secs(60);

/// Between two looks at it.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

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

/// The API answers, this is the plan's cluster, etcd is whole, the plan's nodes are ready. What only takes its time, such as a
/// member of etcd that was restarted, is waited for a while.
pub(super) async fn cluster(
    attempt: &Try<'_, '_>,
    cluster_uid: &str,
    host: &HostName,
    nodes: &[NodeName],
) -> Result<Finished, Trouble> {
    attempt.start()?;
    let clock = attempt.cx.world.clock;
    let settled = clock.monotonic() + SETTLING;
    loop {
        let problems = fit(attempt, cluster_uid, host, nodes).await?;
        if problems.is_empty() || clock.monotonic() >= settled || attempt.left().is_zero() {
            return verdict("the cluster is not fit", &problems);
        }
        attempt.waiting(&problems.join("; "))?;
        attempt.pause(LOOK_AGAIN).await;
    }
}

/// What makes the cluster unfit.
async fn fit(
    attempt: &Try<'_, '_>,
    cluster_uid: &str,
    host: &HostName,
    nodes: &[NodeName],
) -> Result<Vec<String>, Trouble> {
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
    // an API that does not answer says nothing of leases either, and asking takes its time
    let leases = if problems.is_empty() {
        leases(attempt.cx.run.plan)
    } else {
        BTreeSet::new()
    };
    for lease in leases {
        let read = attempt.within(world.api.lease(lease)).await;
        if let Err(failure) = read.ok_or_else(|| attempt.timed_out())? {
            problems.push(format!("what the plan will wait for: {failure}"));
        }
    }
    match found {
        Ok(found) => {
            let (found, missing) = health::select(&found, nodes);
            problems.extend(missing);
            problems.extend(found.into_iter().flat_map(health::not_ready));
        }
        Err(failure) => problems.push(format!("the nodes: {failure}")),
    }
    Ok(problems)
}

/// The leases that steps will wait for: that one cannot be read must be known before a control plane is touched.
fn leases(plan: &Plan) -> BTreeSet<&str> {
    let mut leases = BTreeSet::new();
    for step in &plan.steps {
        if let Action::AwaitStaticPods { lease, .. } = &step.action {
            leases.extend(lease.as_deref());
        }
    }
    leases
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

/// Every component at the release, every node ready, no mark of ours left. What only takes its time after the last node, such
/// as a pod of CoreDNS that was moved, is waited for a while.
pub(super) async fn verify(attempt: &Try<'_, '_>, end: &End<'_>) -> Result<Finished, Trouble> {
    attempt.start()?;
    let clock = attempt.cx.world.clock;
    let settled = clock.monotonic() + SETTLING;
    loop {
        let (problems, note) = attempt
            .within(look_once_more(attempt.cx.world, end))
            .await
            .ok_or_else(|| attempt.timed_out())?;
        if problems.is_empty() || clock.monotonic() >= settled || attempt.left().is_zero() {
            let headline = format!("the cluster is not as it should be at {}", end.version);
            return verdict(&headline, &problems).map(|finished| Finished { note, ..finished });
        }
        attempt.waiting(&problems.join("; "))?;
        attempt.pause(LOOK_AGAIN).await;
    }
}

/// What is not as it should be, and what the reader should know besides.
async fn look_once_more(world: World<'_>, end: &End<'_>) -> (Vec<String>, Option<String>) {
    let End {
        version,
        control_planes,
        nodes,
        cordoned,
        kube_proxy,
    } = *end;
    let instances = futures::future::join_all(
        control_planes
            .iter()
            .map(|(host, node)| health::control_plane(world, host, node, version)),
    );
    let (instances, found, workloads) =
        futures::join!(instances, world.api.nodes(), world.api.workloads());
    let mut problems: Vec<String> = instances.into_iter().flatten().collect();
    // etcd and the endpoint are asked through each control plane, and say the same.
    problems.sort();
    problems.dedup();
    let mut notes = Vec::new();
    match found {
        Ok(found) => {
            let (found, missing) = health::select(&found, nodes);
            problems.extend(missing);
            for node in found {
                problems.extend(health::node(node, version));
                match &node.cordoned_by {
                    Some(run) => problems.push(format!("{}: still marked by run {run}", node.name)),
                    None => notes.extend(meanwhile(node, cordoned.contains(&node.name))),
                }
                if node.is_outdated() {
                    problems.push(format!(
                        "{0}: still has our taint, which `kubectl taint node {0} {OUTDATED}-` takes off",
                        node.name
                    ));
                }
            }
        }
        Err(failure) => problems.push(format!("the nodes: {failure}")),
    }
    match workloads {
        Ok(workloads) => problems.extend(health::addons(&workloads, kube_proxy)),
        Err(failure) => problems.push(format!("the workloads: {failure}")),
    }
    (problems, (!notes.is_empty()).then(|| notes.join("; ")))
}

/// What others did with a node's cordon during the run. It is theirs, and no reason to fail: nothing but their own hand could
/// ever mend it.
fn meanwhile(node: &Node, was_cordoned: bool) -> Option<String> {
    match (node.unschedulable, was_cordoned) {
        (true, true) | (false, false) => None,
        (true, false) => Some(format!(
            "{}: cordoned by someone else meanwhile; stays so",
            node.name
        )),
        (false, true) => Some(format!(
            "{}: was cordoned before the run, and someone else uncordoned it meanwhile",
            node.name
        )),
    }
}

fn verdict(headline: &str, problems: &[String]) -> Result<Finished, Trouble> {
    if problems.is_empty() {
        Ok(Finished {
            how: How::Acted,
            note: None,
        })
    } else {
        Err(Trouble::Failed(format!(
            "{headline}: {}. This step only looks, and changed nothing",
            problems.join("; ")
        )))
    }
}
