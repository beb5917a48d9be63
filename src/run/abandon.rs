//! The end of a run for good: what it has put on the cluster and its hosts is taken off, and what cannot be is told.
//!
//! Nothing of the upgrade is undone, and nothing half done is finished: a node keeps the release that it has. What is taken off
//! are the run's cordons, where the node is ready and nothing is open there, its taints, and its holds of packages. Every part looks at the
//! world first, so that it may be repeated after it was cut short.

use std::collections::BTreeMap;
use std::time::Duration;

use super::event::{Event, Halt, Stamped};
use super::journal::{AppendError, Journal};
use super::lease::{Denied, Lease};
use super::outdated;
use super::state::{State, StepState};
use super::step::op_name;
use crate::cluster::model::{HostName, Node, NodeName, OUTDATED};
use crate::host::op::{OpEnd, OpRef, OpState};
use crate::plan::data::{Action, Plan, Step};
use crate::ports::{Failure, World};

/// How long a host may take to release packages.
const RELEASE: Duration = Duration::from_secs(300);

/// How long refusals and broken connections are taken for an API server's restart.
const RESTARTING: Duration = Duration::from_secs(60);

/// Between two attempts.
const AGAIN: Duration = Duration::from_secs(2);

/// The run that is given up.
#[derive(Clone, Copy)]
pub struct Abandoned<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its plan.
    pub plan: &'a Plan,
    /// How far it came.
    pub state: &'a State,
    /// What makes this the one process that may change the cluster.
    pub lease: &'a Lease<'a>,
}

/// What became of a node's cordon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cordon {
    /// There is none.
    None,
    /// It was ours, and is lifted.
    Lifted,
    /// Somebody else's; stays.
    Foreign,
    /// It is ours, and stays; why.
    Left(String),
}

/// Where a node is left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeEnd {
    /// The node.
    pub node: NodeName,
    /// Its kubelet's release; none where the node does not exist any more.
    pub kubelet: Option<String>,
    /// It is ready.
    pub ready: bool,
    /// Its cordon.
    pub cordon: Cordon,
    /// What was begun there and has no end.
    pub open: Vec<String>,
}

/// What the end of a run came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Left {
    /// The nodes of the plan, by name.
    pub nodes: Vec<NodeEnd>,
    /// Workers whose taint was taken off, by name.
    pub untainted: Vec<NodeName>,
    /// Hosts whose packages were released.
    pub released: Vec<HostName>,
    /// What could not be taken off, and why; empty where nothing of the run is left.
    pub stays: Vec<String>,
}

/// Why nothing was done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// An operation goes on at a host.
    #[error("{op} goes on on host {host}")]
    UnderWay {
        /// The host.
        host: HostName,
        /// The operation.
        op: String,
    },
    /// The cluster cannot be seen.
    #[error("the nodes cannot be read: {0}")]
    Unseen(Failure),
}

/// Takes everything of the run off that can be.
///
/// # Errors
/// If something of it goes on, or the cluster cannot be seen: nothing was changed then.
pub async fn take_off(world: World<'_>, run: &Abandoned<'_>) -> Result<Left, Refused> {
    let mut left = Left::default();
    for step in &run.plan.steps {
        if let Some((host, op)) = under_way(world, run, step, &mut left.stays).await {
            return Err(Refused::UnderWay { host, op });
        }
    }
    let nodes = patiently(world, async || world.api.nodes().await)
        .await
        .map_err(Refused::Unseen)?;
    let nodes: BTreeMap<&NodeName, &Node> = nodes.iter().map(|node| (&node.name, node)).collect();
    for (name, open) in open_by_node(run) {
        let end = match nodes.get(name) {
            None => NodeEnd {
                node: name.clone(),
                kubelet: None,
                ready: false,
                cordon: Cordon::None,
                open,
            },
            Some(node) => NodeEnd {
                node: name.clone(),
                kubelet: Some(node.kubelet_version.clone()),
                ready: node.ready,
                cordon: lift(world, run, node, &open).await,
                open,
            },
        };
        if let Cordon::Left(why) = &end.cordon {
            left.stays
                .push(format!("node {name} stays cordoned: {why}"));
        }
        left.nodes.push(end);
    }
    let tainted: Vec<&NodeName> = left
        .nodes
        .iter()
        .map(|end| &end.node)
        .filter(|name| nodes.get(name).is_some_and(|node| node.is_outdated()))
        .collect();
    let stays = outdated::take_off(world, run.lease, &tainted).await;
    if stays.is_empty() {
        left.untainted = tainted.into_iter().cloned().collect();
    }
    let still = |why| format!("{OUTDATED} stays, which keeps no pod out: {why}");
    left.stays.extend(stays.into_iter().map(still));
    for step in &run.plan.steps {
        release(world, run, step, &mut left).await;
    }
    Ok(left)
}

/// Writes down that the run has ended for good; nothing may follow.
///
/// # Errors
/// If that is not on disk.
pub fn record(
    world: World<'_>,
    journal: &mut Journal<'_>,
    (refit, pid): (&str, u32),
    (by, stays): (String, Vec<String>),
) -> Result<(), AppendError> {
    let resumed = Event::RunResumed {
        refit: refit.to_owned(),
        pid,
    };
    let why = Halt::Abandoned { by, stays };
    let halted = Event::Halted {
        why,
        own_ms: 0,
        wall_ms: 0,
    };
    for event in [resumed, halted] {
        journal.append(&Stamped {
            at: world.clock.now(),
            event,
        })?;
    }
    Ok(())
}

/// The step's operation on a host, where it has begun, has no end in the journal and goes on. A host that cannot be asked is told.
async fn under_way(
    world: World<'_>,
    run: &Abandoned<'_>,
    step: &Step,
    stays: &mut Vec<String>,
) -> Option<(HostName, String)> {
    let attempt = match run.state.steps.get(&step.id)? {
        StepState::Started { attempt, .. } | StepState::Failed { attempt, .. } => *attempt,
        StepState::Done { .. } => return None,
    };
    let (host, _) = step.action.operation()?;
    let op = OpRef {
        run: run.id.to_owned(),
        op: op_name(&step.id, None, attempt),
    };
    match world.hosts.operation(host, &op).await {
        Ok(OpState::Running) => Some((host.clone(), op.op)),
        Ok(OpState::Absent | OpState::Lost | OpState::Ended(_)) => None,
        Err(failure) => {
            stays.push(format!(
                "what became of {} is not known: host {host}: {failure}",
                op.op
            ));
            None
        }
    }
}

/// The nodes of the plan, each with its steps that were begun and are not done.
fn open_by_node<'p>(run: &Abandoned<'p>) -> BTreeMap<&'p NodeName, Vec<String>> {
    let mut of_host: BTreeMap<&HostName, &NodeName> = BTreeMap::new();
    for step in &run.plan.steps {
        if let (Some(host), Some(node)) = (step.action.host(), step.action.node()) {
            of_host.insert(host, node);
        }
    }
    let mut nodes: BTreeMap<&NodeName, Vec<String>> = BTreeMap::new();
    for step in &run.plan.steps {
        let by_host = || of_host.get(step.action.host()?).copied();
        let Some(node) = step.action.node().or_else(by_host) else {
            continue;
        };
        let open = nodes.entry(node).or_default();
        let begun = run.state.steps.contains_key(&step.id);
        if begun && !run.state.is_done(&step.id) && changes(&step.action) {
            open.push(step.id.to_string());
        }
    }
    nodes
}

/// Whether a node on which this was begun and has no end should be looked at by somebody before it serves.
const fn changes(action: &Action) -> bool {
    match action {
        Action::InstallKubelet { .. }
        | Action::KubeadmApply { .. }
        | Action::KubeadmNode { .. }
        | Action::Hook { .. }
        | Action::AwaitNode { .. }
        | Action::AwaitStaticPods { .. }
        | Action::WayBack { .. } => true,
        Action::CheckHost { .. }
        | Action::CheckCluster { .. }
        | Action::SnapshotEtcd { .. }
        | Action::HoldPackages { .. }
        | Action::SwitchRepository { .. }
        | Action::PrefetchPackages { .. }
        | Action::InstallKubeadm { .. }
        | Action::PullImages { .. }
        | Action::AwaitControlPlane { .. }
        | Action::AwaitAddons { .. }
        | Action::TaintOutdated { .. }
        | Action::Cordon { .. }
        | Action::Drain { .. }
        | Action::Uncordon { .. }
        | Action::ReleaseHolds { .. }
        | Action::Verify { .. }
        | Action::Soak { .. }
        | Action::Gate { .. }
        | Action::Barrier { .. } => false,
    }
}

async fn lift(world: World<'_>, run: &Abandoned<'_>, node: &Node, open: &[String]) -> Cordon {
    match (&node.cordoned_by, node.unschedulable) {
        (None, false) => return Cordon::None,
        (None, true) => return Cordon::Foreign,
        (Some(_), _) => {}
    }
    if !node.ready {
        return Cordon::Left("it is not ready".to_owned());
    }
    if !open.is_empty() {
        return Cordon::Left(format!("{} was begun and has no end", open.join(", ")));
    }
    let lifted = patiently(world, async || match run.lease.permit().await {
        Ok(permit) => world.api.uncordon(permit, &node.name).await,
        Err(Denied::NotNow(failure)) => Err(failure),
        Err(Denied::Lost) => Err(Failure::NotFound(
            "another refit has the cluster".to_owned(),
        )),
    });
    match lifted.await {
        Ok(()) => Cordon::Lifted,
        Err(failure) => Cordon::Left(failure.to_string()),
    }
}

/// Ends the holds that the run has begun and not ended.
async fn release(world: World<'_>, run: &Abandoned<'_>, step: &Step, left: &mut Left) {
    let Action::ReleaseHolds { .. } = &step.action else {
        return;
    };
    let Some((host, mutation)) = step.action.operation() else {
        return;
    };
    let held = run.plan.steps.iter().any(|step| {
        matches!(&step.action, Action::HoldPackages { host: of, .. } if of == host)
            && run.state.steps.contains_key(&step.id)
    });
    if !held || run.state.is_done(&step.id) {
        return;
    }
    match ended(world, run, host, step, &mutation).await {
        Ok(OpEnd { status: 0, .. }) => left.released.push(host.clone()),
        Ok(end) => left.stays.push(format!(
            "packages on host {host} stay held: it ended with {}",
            end.status
        )),
        Err(failure) => left
            .stays
            .push(format!("packages on host {host} stay held: {failure}")),
    }
}

/// How the release ended, which may have been tried before: one that ended badly is tried again under the next number.
async fn ended(
    world: World<'_>,
    run: &Abandoned<'_>,
    host: &HostName,
    step: &Step,
    mutation: &crate::host::op::Mutation,
) -> Result<OpEnd, Failure> {
    let mut number = 1;
    loop {
        let op = OpRef {
            run: run.id.to_owned(),
            op: op_name(&step.id, Some("abandon"), number),
        };
        match world.hosts.operation(host, &op).await? {
            OpState::Ended(end) if end.status == 0 => return Ok(end),
            OpState::Ended(_) | OpState::Lost => number += 1,
            OpState::Absent | OpState::Running => {
                let token = run.lease.token();
                return world
                    .hosts
                    .mutate(host, &op, mutation, token, RELEASE)
                    .await;
            }
        }
    }
}

/// Asks again while the API may be restarting.
async fn patiently<T>(
    world: World<'_>,
    mut ask: impl AsyncFnMut() -> Result<T, Failure>,
) -> Result<T, Failure> {
    let until = world.clock.monotonic() + RESTARTING;
    loop {
        match ask().await {
            Ok(answer) => return Ok(answer),
            Err(failure @ Failure::NotFound(_)) => return Err(failure),
            Err(failure) if world.clock.monotonic() >= until => return Err(failure),
            Err(_) => world.clock.sleep(AGAIN).await,
        }
    }
}
