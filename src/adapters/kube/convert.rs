//! From the API's objects to the model: pure functions, so that each can be tested on an object as the API writes it.
//!
//! An absent field takes the value that the API documents for its absence; nothing is guessed beyond that.

mod kubeadm;
mod workload;

pub use kubeadm::{kubeadm_config, kubelet_settings};
pub use workload::{daemon_set, deployment, stateful_set};

use std::collections::BTreeMap;

use k8s_openapi::api::coordination::v1 as coordination;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::placement::{self, Volumes};
use crate::cluster::model::{
    Budget, Controller, LabelSelector, Node, NodeName, OUTDATED, Operator, Pod, PodPhase,
    Requirement,
};
use crate::ports::Lease;

/// The annotation that says which run of refit cordoned a node.
pub const CORDONED_BY: &str = "refit.dev/cordoned-by";

/// Marks the API's copy of a static pod.
///
/// Source: kubernetes/kubernetes `pkg/kubelet/types/pod_update.go`, `ConfigMirrorAnnotationKey`.
const MIRROR: &str = "kubernetes.io/config.mirror";

/// A leader's lease.
#[must_use]
pub fn lease(lease: coordination::Lease) -> Lease {
    let spec = lease.spec.unwrap_or_default();
    Lease {
        holder: spec.holder_identity.unwrap_or_default(),
        renewed: spec.renew_time.map(|time| time.0),
    }
}

/// The node's taints with refit's own among them or without; none where they are so already.
#[must_use]
pub fn outdated_taints(node: core::Node, outdated: bool) -> Option<Vec<core::Taint>> {
    let (key, effect) = OUTDATED.split_once(':')?;
    let mut taints = node.spec.and_then(|spec| spec.taints).unwrap_or_default();
    let before = taints.clone();
    // No two may have one key and effect, whatever their values.
    taints.retain(|taint| !(taint.key == key && taint.effect == effect));
    if outdated {
        taints.push(core::Taint {
            key: key.to_owned(),
            effect: effect.to_owned(),
            ..core::Taint::default()
        });
    }
    (taints != before).then_some(taints)
}

/// A node.
#[must_use]
pub fn node(node: core::Node) -> Node {
    let meta = node.metadata;
    let spec = node.spec.unwrap_or_default();
    let status = node.status.unwrap_or_default();
    let info = status.node_info.unwrap_or_default();
    let mut taints: Vec<String> = spec
        .taints
        .unwrap_or_default()
        .into_iter()
        .map(
            |taint| match taint.value.filter(|value| !value.is_empty()) {
                Some(value) => format!("{}={value}:{}", taint.key, taint.effect),
                None => format!("{}:{}", taint.key, taint.effect),
            },
        )
        .collect();
    taints.sort();
    let conditions = status.conditions.unwrap_or_default();
    let condition = conditions
        .into_iter()
        .find(|condition| condition.type_ == "Ready");
    let ready = condition
        .as_ref()
        .is_some_and(|condition| condition.status == "True");
    let because = condition.filter(|_| !ready);
    let because = because.and_then(|condition| condition.message.or(condition.reason));
    Node {
        name: NodeName::new(meta.name.unwrap_or_default()),
        uid: meta.uid.unwrap_or_default(),
        labels: meta.labels.unwrap_or_default(),
        unschedulable: spec.unschedulable.unwrap_or_default(),
        cordoned_by: meta
            .annotations
            .and_then(|mut annotations| annotations.remove(CORDONED_BY)),
        ready,
        not_ready_because: because.filter(|because| !because.is_empty()),
        kubelet_version: info.kubelet_version.trim_start_matches('v').to_owned(),
        container_runtime: info.container_runtime_version,
        machine_id: info.machine_id,
        system_uuid: info.system_uuid,
        internal_ips: status
            .addresses
            .unwrap_or_default()
            .into_iter()
            .filter(|address| address.type_ == "InternalIP")
            .map(|address| address.address)
            .collect(),
        taints,
        allocatable: placement::allocatable(status.allocatable),
    }
}

/// A pod with what it asks of a node.
#[must_use]
pub fn placed_pod(object: core::Pod, volumes: &Volumes) -> Pod {
    let placement = placement::placement(&object, volumes);
    Pod {
        placement,
        ..pod(object)
    }
}

/// A pod.
#[must_use]
pub fn pod(pod: core::Pod) -> Pod {
    let meta = pod.metadata;
    let spec = pod.spec.unwrap_or_default();
    let status = pod.status.unwrap_or_default();
    Pod {
        namespace: meta.namespace.unwrap_or_default(),
        name: meta.name.unwrap_or_default(),
        uid: meta.uid.unwrap_or_default(),
        node: spec
            .node_name
            .filter(|name| !name.is_empty())
            .map(NodeName::new),
        labels: meta.labels.unwrap_or_default(),
        phase: phase(status.phase.as_deref()),
        ready: status
            .conditions
            .unwrap_or_default()
            .iter()
            .any(|condition| condition.type_ == "Ready" && condition.status == "True"),
        deletion_timestamp: meta.deletion_timestamp.map(|time| time.0.as_second()),
        controller: meta
            .owner_references
            .unwrap_or_default()
            .into_iter()
            .find(|owner| owner.controller == Some(true))
            .map(|owner| Controller {
                api_version: owner.api_version,
                kind: owner.kind,
                name: owner.name,
            }),
        mirror: meta
            .annotations
            .is_some_and(|annotations| annotations.contains_key(MIRROR)),
        empty_dir: spec
            .volumes
            .unwrap_or_default()
            .iter()
            .any(|volume| volume.empty_dir.is_some()),
        images: images(spec.containers),
        placement: None,
    }
}

/// A phase that this build does not know counts as `Unknown`, which no rule treats as gone.
fn phase(phase: Option<&str>) -> PodPhase {
    match phase {
        Some("Running") => PodPhase::Running,
        Some("Succeeded") => PodPhase::Succeeded,
        Some("Failed") => PodPhase::Failed,
        Some("Pending") | None => PodPhase::Pending,
        Some(_) => PodPhase::Unknown,
    }
}

pub(super) fn images(containers: Vec<core::Container>) -> BTreeMap<String, String> {
    containers
        .into_iter()
        .map(|container| (container.name, container.image.unwrap_or_default()))
        .collect()
}

/// A PodDisruptionBudget.
///
/// # Errors
/// If its selector has an operator that this build does not know: such a budget cannot be judged.
pub fn budget(budget: PodDisruptionBudget) -> Result<Budget, String> {
    let meta = budget.metadata;
    let spec = budget.spec.unwrap_or_default();
    let status = budget.status.unwrap_or_default();
    let namespace = meta.namespace.unwrap_or_default();
    let name = meta.name.unwrap_or_default();
    let selector = spec
        .selector
        .map(selector)
        .transpose()
        .map_err(|error| format!("PodDisruptionBudget {namespace}/{name}: {error}"))?;
    Ok(Budget {
        selector,
        min_available: spec.min_available.map(int_or_string),
        max_unavailable: spec.max_unavailable.map(int_or_string),
        always_allow_unhealthy: spec.unhealthy_pod_eviction_policy.as_deref()
            == Some("AlwaysAllow"),
        disruptions_allowed: status.disruptions_allowed.unwrap_or_default(),
        current_healthy: status.current_healthy.unwrap_or_default(),
        desired_healthy: status.desired_healthy.unwrap_or_default(),
        expected_pods: status.expected_pods.unwrap_or_default(),
        up_to_date: reached(status.observed_generation, meta.generation),
        sync_failed: status
            .conditions
            .unwrap_or_default()
            .into_iter()
            .find(|condition| {
                condition.type_ == "DisruptionAllowed" && condition.reason == "SyncFailed"
            })
            .map(|condition| condition.message),
        namespace,
        name,
    })
}

/// An operator of a selector or of node affinity, which alone has `Gt` and `Lt`.
///
/// # Errors
/// If this build does not know it.
pub(super) fn operator(text: &str) -> Result<Operator, String> {
    match text {
        "In" => Ok(Operator::In),
        "NotIn" => Ok(Operator::NotIn),
        "Exists" => Ok(Operator::Exists),
        "DoesNotExist" => Ok(Operator::DoesNotExist),
        "Gt" => Ok(Operator::Gt),
        "Lt" => Ok(Operator::Lt),
        other => Err(format!("unknown operator `{other}`")),
    }
}

/// A selector.
///
/// # Errors
/// If it has an operator that this build does not know.
pub(super) fn selector(selector: meta::LabelSelector) -> Result<LabelSelector, String> {
    let match_expressions = selector
        .match_expressions
        .unwrap_or_default()
        .into_iter()
        .map(|requirement| {
            Ok(Requirement {
                operator: match operator(&requirement.operator)? {
                    Operator::Gt | Operator::Lt => {
                        return Err(format!(
                            "a selector cannot have the operator `{}`",
                            requirement.operator
                        ));
                    }
                    known => known,
                },
                key: requirement.key,
                values: requirement.values.unwrap_or_default(),
            })
        })
        .collect::<Result<_, String>>()?;
    Ok(LabelSelector {
        match_labels: selector.match_labels.unwrap_or_default(),
        match_expressions,
    })
}

fn int_or_string(value: IntOrString) -> String {
    match value {
        IntOrString::Int(number) => number.to_string(),
        IntOrString::String(text) => text,
    }
}

pub(super) fn reached(observed: Option<i64>, generation: Option<i64>) -> bool {
    observed.unwrap_or_default() >= generation.unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_node_keeps_what_planning_needs() {
        let seen = node(
            serde_json::from_value(json!({
                "metadata": {"name": "w1", "uid": "u1", "labels": {"pool": "a"},
                    "annotations": {CORDONED_BY: "r1", "other": "x"}},
                "spec": {"unschedulable": true, "taints": [
                    {"key": "b", "effect": "NoSchedule"}, {"key": "a", "value": "1", "effect": "NoExecute"}]},
                "status": {
                    "conditions": [
                        {"type": "MemoryPressure", "status": "True"}, {"type": "Ready", "status": "True"}],
                    "addresses": [
                        {"type": "Hostname", "address": "w1"}, {"type": "InternalIP", "address": "10.0.0.1"}],
                    "nodeInfo": {"kubeletVersion": "v1.34.4", "containerRuntimeVersion": "containerd://1.7.2",
                        "machineID": "m", "systemUUID": "s", "architecture": "", "bootID": "", "kernelVersion": "",
                        "kubeProxyVersion": "", "operatingSystem": "", "osImage": ""}}
            }))
            .unwrap(),
        );
        assert_eq!(seen.taints, ["a=1:NoExecute", "b:NoSchedule"]);
        assert_eq!(seen.cordoned_by.as_deref(), Some("r1"));
        assert!(seen.unschedulable && seen.ready);
        assert_eq!(seen.kubelet_version, "1.34.4");
        assert_eq!(seen.internal_ips, ["10.0.0.1"]);
    }

    #[test]
    fn an_unready_node_is_not_ready() {
        let of = |status: &str| {
            node(
                serde_json::from_value(json!({
                    "metadata": {"name": "w1"},
                    "status": {"conditions": [{"type": "Ready", "status": status}]}
                }))
                .unwrap(),
            )
            .ready
        };
        assert!(of("True"));
        assert!(!of("False"));
        assert!(!of("Unknown"));
    }

    #[test]
    fn a_pod_keeps_what_draining_needs() {
        let seen = pod(serde_json::from_value(json!({
            "metadata": {"namespace": "web", "name": "a", "uid": "u", "deletionTimestamp": "2026-01-01T00:00:30Z",
                "annotations": {MIRROR: "x"},
                "ownerReferences": [
                    {"apiVersion": "v1", "kind": "Other", "name": "o", "uid": "1"},
                    {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "rs", "uid": "2", "controller": true}]},
            "spec": {"nodeName": "w1", "containers": [{"name": "c", "image": "i:1"}],
                "initContainers": [{"name": "init", "image": "i:0"}],
                "volumes": [{"name": "v", "emptyDir": {}}]},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "False"}]}
        }))
        .unwrap());
        assert_eq!(seen.controller.unwrap().kind, "ReplicaSet");
        assert_eq!(seen.deletion_timestamp, Some(1_767_225_630));
        assert!(seen.mirror && seen.empty_dir && !seen.ready);
        assert_eq!(
            seen.images,
            BTreeMap::from([("c".to_owned(), "i:1".to_owned())])
        );
        assert_eq!(seen.phase, PodPhase::Running);
    }

    #[test]
    fn a_budget_tells_no_selector_from_an_empty_one() {
        let of = |spec: serde_json::Value| {
            budget(
                serde_json::from_value(json!({
                    "metadata": {"namespace": "web", "name": "b", "generation": 2}, "spec": spec,
                    "status": {"disruptionsAllowed": 1, "currentHealthy": 4, "desiredHealthy": 3,
                        "expectedPods": 4, "observedGeneration": 1}
                }))
                .unwrap(),
            )
        };
        let without = of(json!({"maxUnavailable": "30%"})).unwrap();
        assert_eq!(without.selector, None);
        assert_eq!(without.max_unavailable.as_deref(), Some("30%"));
        assert!(!without.up_to_date);
        let empty = of(
            json!({"selector": {}, "minAvailable": 3, "unhealthyPodEvictionPolicy": "AlwaysAllow"}),
        )
        .unwrap();
        assert_eq!(empty.selector, Some(LabelSelector::default()));
        assert_eq!(empty.min_available.as_deref(), Some("3"));
        assert!(empty.always_allow_unhealthy);
        let odd = of(
            json!({"selector": {"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["1"]}]}}),
        );
        assert!(odd.unwrap_err().contains("web/b"));
    }
}
