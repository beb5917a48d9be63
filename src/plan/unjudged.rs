//! What keeps evicted pods from a node and was not judged: told, so that a reviewer can look.
//!
//! Whether an evicted pod finds another node is forecast from what facts hold of it (`drains`). Rules that relate pods to
//! each other by more than "not beside these" are left to the scheduler.

use std::collections::BTreeMap;

use super::drains::Outcome;
use super::host_steps::Touched;
use super::view::View;
use crate::cluster::model::Pod;

/// How many pods are named before they are counted.
const PODS_NAMED: usize = 5;
/// How many kinds of rules are told before they are counted; observation knows four.
const KINDS_TOLD: usize = 6;

/// One line a kind of rule.
pub(super) fn notes(view: &View<'_>, touched: &[Touched<'_, '_>]) -> Vec<String> {
    let drains: BTreeMap<_, _> = touched
        .iter()
        .filter_map(|on| Some((&on.host.node.name, on.drain.as_ref()?)))
        .collect();
    let leaves = |pod: &Pod, name: &str| {
        let forecast = pod.node.as_ref().and_then(|node| drains.get(node));
        match forecast.and_then(|forecast| forecast.pods.get(name)) {
            Some(Outcome::Evicted { .. } | Outcome::Waits { .. }) => true,
            None
            | Some(
                Outcome::Kept(_)
                | Outcome::Leaving
                | Outcome::Completes
                | Outcome::Refused(_)
                | Outcome::Blocked(_),
            ) => false,
        }
    };
    let mut by_kind: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for pod in view.pods {
        let kinds = pod.placement.iter().flat_map(|asks| &asks.not_judged);
        let mut kinds = kinds.peekable();
        if kinds.peek().is_none() {
            continue;
        }
        let name = format!("{}/{}", pod.namespace, pod.name);
        if leaves(pod, &name) {
            for kind in kinds {
                by_kind.entry(kind).or_default().push(name.clone());
            }
        }
    }
    let kinds = by_kind.len();
    let mut told: Vec<String> = by_kind
        .into_iter()
        .take(KINDS_TOLD)
        .map(|(kind, pods)| line(kind, pods))
        .collect();
    if kinds > KINDS_TOLD {
        told.push(format!(
            "{} more kinds of rules were not judged either",
            kinds - KINDS_TOLD
        ));
    }
    told
}

fn line(kind: &str, mut pods: Vec<String>) -> String {
    let count = pods.len();
    pods.sort_unstable();
    pods.truncate(PODS_NAMED);
    if count > PODS_NAMED {
        pods.push(format!("and {} more", count - PODS_NAMED));
    }
    format!(
        "not judged: {kind} of {count} evicted pod(s) ({}); {}",
        pods.join(", "),
        look(kind)
    )
}

/// What a reviewer looks at, by the names that observation gives (`adapters::kube::placement`).
fn look(kind: &str) -> &'static str {
    match kind {
        "pod affinity" => {
            "see that the pods which they must be beside stay on another node that has room, or move first"
        }
        "pod anti-affinity" => {
            "see that a node is left without the pods which its namespaceSelector or matchLabelKeys names"
        }
        "topology spread" => {
            "see that their DoNotSchedule constraints can be met without the nodes of one wave"
        }
        "host ports" => "see that the port is free on a node that may run them",
        _ => "see that the scheduler finds another node for them",
    }
}
