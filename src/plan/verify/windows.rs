//! What a plan with windows says that its steps need of one.
//!
//! A step that is named in `room_s` starts only while a window has that much left; every other one starts whatever the clock
//! says. So the step that begins to take a node or a control plane's instance away is named, with room for everything until
//! it is back, and nothing in between is named: it would be kept back with the node half done. How long that may take is the
//! longest way from the one step to the other.

use std::collections::BTreeMap;

use super::cluster::Cluster;
use super::order::Order;
use super::violation::Violation;
use crate::cluster::model::{HostName, NodeName, Role};
use crate::plan::data::{Action, HookPoint, Plan, StepId};

/// Steps of which the first must not start unless the last can end within the window.
type Stretch = Vec<usize>;

/// What is told of the steps' room.
pub fn judge(plan: &Plan, cluster: &Cluster<'_>, order: &Order<'_>) -> Vec<Violation> {
    let Some(windows) = &plan.windows else {
        return Vec::new();
    };
    stretches(cluster, order)
        .iter()
        .flat_map(|stretch| told(&windows.room_s, order, stretch))
        .collect()
}

fn stretches(cluster: &Cluster<'_>, order: &Order<'_>) -> Vec<Stretch> {
    let mut all: Vec<Stretch> = Vec::new();
    let mut instances: BTreeMap<&HostName, Stretch> = BTreeMap::new();
    let mut nodes: BTreeMap<&NodeName, Stretch> = BTreeMap::new();
    let node_of = |host: &HostName| cluster.hosts.get(host).map(|machine| machine.node);
    for (at, step) in order.iter() {
        match &step.action {
            Action::CheckHost { .. }
            | Action::CheckCluster { .. }
            | Action::AwaitAddons { .. }
            | Action::Verify { .. }
            | Action::Soak { .. }
            | Action::Gate { .. }
            | Action::WayBack { .. }
            | Action::Barrier { .. } => {}
            Action::SnapshotEtcd { .. }
            | Action::HoldPackages { .. }
            | Action::SwitchRepository { .. }
            | Action::PrefetchPackages { .. }
            | Action::InstallKubeadm { .. }
            | Action::PullImages { .. }
            | Action::TaintOutdated { .. }
            | Action::ReleaseHolds { .. } => all.push(vec![at]),
            Action::KubeadmApply { host, .. }
            | Action::KubeadmNode {
                host,
                role: Role::ControlPlane,
                ..
            } => all.extend(instances.insert(host, vec![at])),
            Action::AwaitControlPlane { host, .. } => {
                let mut stretch = instances.remove(host).unwrap_or_default();
                stretch.push(at);
                all.push(stretch);
            }
            Action::KubeadmNode {
                host,
                role: Role::Worker,
                ..
            } => {
                if let Some(node) = node_of(host) {
                    all.extend(nodes.insert(node, vec![at]));
                }
            }
            Action::InstallKubelet { host, .. } => {
                if let Some(node) = node_of(host) {
                    all.extend(go_on(order, nodes.entry(node).or_default(), at));
                }
            }
            Action::Cordon { node }
            | Action::Drain { node, .. }
            | Action::AwaitNode { node, .. }
            | Action::AwaitStaticPods { node, .. } => {
                all.extend(go_on(order, nodes.entry(node).or_default(), at));
            }
            Action::Hook {
                at: point, node, ..
            } => match (point, node) {
                (HookPoint::Drained | HookPoint::BeforeUncordon, Some(node)) => {
                    all.extend(go_on(order, nodes.entry(node).or_default(), at));
                }
                (
                    HookPoint::BeforeHop
                    | HookPoint::AfterControlPlane
                    | HookPoint::BeforeWorkers
                    | HookPoint::AfterEachWave
                    | HookPoint::AfterHop,
                    _,
                )
                | (HookPoint::Drained | HookPoint::BeforeUncordon, None) => all.push(vec![at]),
            },
            Action::Uncordon { node, .. } => {
                let mut stretch = nodes.remove(node).unwrap_or_default();
                stretch.push(at);
                all.push(stretch);
            }
        }
    }
    all.extend(instances.into_values());
    all.extend(nodes.into_values());
    all
}

/// Adds a node's step. Where nothing was half done any more, another stretch begins, and the one before is returned: the node
/// was awaited and stays cordoned because someone else had cordoned it, or kubeadm was there and the kubelet does not follow.
fn go_on(order: &Order<'_>, stretch: &mut Stretch, at: usize) -> Option<Stretch> {
    let action = |at: usize| &order.step(at).action;
    let over = stretch.last().is_some_and(|&last| match action(last) {
        Action::AwaitNode { .. }
        | Action::AwaitStaticPods { .. }
        | Action::Hook {
            at: HookPoint::BeforeUncordon,
            ..
        } => !matches!(
            action(at),
            Action::AwaitStaticPods { .. }
                | Action::Hook {
                    at: HookPoint::BeforeUncordon,
                    ..
                }
        ),
        Action::KubeadmNode { .. } => matches!(action(at), Action::AwaitNode { .. }),
        _ => false,
    });
    let before = over.then(|| std::mem::take(stretch));
    stretch.push(at);
    before
}

fn told(room_s: &BTreeMap<StepId, u64>, order: &Order<'_>, stretch: &[usize]) -> Vec<Violation> {
    let (Some((&first, rest)), Some(&last)) = (stretch.split_first(), stretch.last()) else {
        return Vec::new();
    };
    let mut wrong = Vec::new();
    let wrongly = |at: usize, should: String| {
        let step = order.id(at);
        let is = room_s
            .get(&step)
            .map_or_else(|| "none".to_owned(), u64::to_string);
        Violation::Argument {
            step: Some(step),
            argument: "room_s",
            is,
            should,
        }
    };
    // Where there is no way between them the plan is wrong for another reason.
    if let Some(needs_s) = longest(order, first, last)
        && room_s
            .get(&order.id(first))
            .is_none_or(|&told_s| told_s < needs_s)
    {
        let should = format!("at least {needs_s}, until {} has ended", order.id(last));
        wrong.push(wrongly(first, should));
    }
    for &at in rest {
        if room_s.contains_key(&order.id(at)) {
            let should = format!("none, for {} has begun by then", order.id(first));
            wrong.push(wrongly(at, should));
        }
    }
    wrong
}

/// Seconds from the beginning of one step to the end of the other along the longest way between them.
fn longest(order: &Order<'_>, first: usize, last: usize) -> Option<u64> {
    let mut ends: BTreeMap<usize, u64> = BTreeMap::from([(first, 0)]);
    while let Some((at, begins)) = ends.pop_first() {
        let ended = begins + order.step(at).expected_s;
        if at == last {
            return Some(ended);
        }
        for &follower in order
            .followers(at)
            .iter()
            .filter(|&&follower| follower <= last)
        {
            let begins = ends.entry(follower).or_default();
            *begins = ended.max(*begins);
        }
    }
    None
}
