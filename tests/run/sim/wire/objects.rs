//! The simulation's objects as an API server writes them.

use refit::cluster::model::{
    Budget, LabelSelector, Node, NodeName, Operator, Pod, PodPhase, Requirement, Workload,
};
use refit::ports::Attached;
use refit::sim::api::Api;
use serde_json::{Map, Value, json};

/// A list, with the part of it that was asked for.
pub fn list(kind: &str, version: u64, items: Vec<Value>, limit: usize, from: usize) -> Value {
    let all = items.len();
    let to = all.min(from.saturating_add(limit));
    let mut meta = json!({"resourceVersion": version.to_string()});
    if to < all {
        meta["continue"] = json!(to.to_string());
        meta["remainingItemCount"] = json!(all - to);
    }
    let items: Vec<Value> = items.into_iter().skip(from).take(limit).collect();
    json!({"kind": kind, "apiVersion": "v1", "metadata": meta, "items": items})
}

pub fn node(node: &Node, version: u64) -> Value {
    let taints: Vec<Value> = node.taints.iter().map(|taint| self::taint(taint)).collect();
    let addresses = node.internal_ips.iter();
    let addresses: Vec<Value> = addresses
        .map(|address| json!({"type": "InternalIP", "address": address}))
        .collect();
    let mut object = json!({
        "kind": "Node", "apiVersion": "v1",
        "metadata": {
            "name": node.name, "uid": node.uid, "labels": node.labels, "resourceVersion": version.to_string(),
        },
        "spec": {"taints": taints},
        "status": {
            "conditions": [{"type": "Ready", "status": if node.ready { "True" } else { "Unknown" }}],
            "addresses": addresses,
            "nodeInfo": {
                "kubeletVersion": format!("v{}", node.kubelet_version),
                "containerRuntimeVersion": node.container_runtime,
                "machineID": node.machine_id, "systemUUID": node.system_uuid,
                "architecture": "amd64", "bootID": "", "kernelVersion": "", "kubeProxyVersion": "",
                "operatingSystem": "linux", "osImage": "",
            },
        },
    });
    if node.unschedulable {
        object["spec"]["unschedulable"] = json!(true);
    }
    if let Some(run) = &node.cordoned_by {
        object["metadata"]["annotations"] = json!({"refit.dev/cordoned-by": run});
    }
    object
}

/// From `key=value:Effect`.
fn taint(text: &str) -> Value {
    let (what, effect) = text.rsplit_once(':').unwrap();
    match what.split_once('=') {
        Some((key, value)) => json!({"key": key, "value": value, "effect": effect}),
        None => json!({"key": what, "effect": effect}),
    }
}

pub fn pod(pod: &Pod, api: &Api) -> Value {
    let phase = match pod.phase {
        PodPhase::Pending => "Pending",
        PodPhase::Running => "Running",
        PodPhase::Succeeded => "Succeeded",
        PodPhase::Failed => "Failed",
        PodPhase::Unknown => "Unknown",
    };
    let containers = pod.images.iter();
    let containers: Vec<Value> = containers
        .map(|(name, image)| json!({"name": name, "image": image}))
        .collect();
    let mut object = json!({
        "kind": "Pod", "apiVersion": "v1",
        "metadata": {"namespace": pod.namespace, "name": pod.name, "uid": pod.uid, "labels": pod.labels},
        "spec": {"containers": containers},
        "status": {
            "phase": phase,
            "conditions": [{"type": "Ready", "status": if pod.ready { "True" } else { "False" }}],
        },
    });
    if let Some(node) = &pod.node {
        object["spec"]["nodeName"] = json!(node);
    }
    if pod.empty_dir {
        object["spec"]["volumes"] = json!([{"name": "scratch", "emptyDir": {}}]);
    }
    let name = format!("{}/{}", pod.namespace, pod.name);
    let attached = pod.node.as_ref().map(|node| api.attached(node));
    for volume in attached.into_iter().flatten() {
        if volume.pods.contains(&name)
            && let Some((_, claim)) = volume.claim.unwrap().split_once('/')
        {
            object["spec"]["volumes"] =
                json!([{"name": volume.volume, "persistentVolumeClaim": {"claimName": claim}}]);
        }
    }
    if pod.mirror {
        object["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "5f"});
    }
    if let Some(at) = pod.deletion_timestamp {
        let at = jiff::Timestamp::from_second(at).unwrap();
        object["metadata"]["deletionTimestamp"] = json!(at.to_string());
    }
    if let Some(owner) = &pod.controller {
        object["metadata"]["ownerReferences"] = json!([{
            "apiVersion": owner.api_version, "kind": owner.kind, "name": owner.name, "uid": "", "controller": true,
        }]);
    }
    object
}

pub fn budget(budget: &Budget) -> Value {
    // as written: a number, or a share
    let amount = |text: &String| {
        text.parse::<i64>()
            .map_or_else(|_| json!(text), Value::from)
    };
    let mut spec = Map::new();
    if let Some(selector) = &budget.selector {
        spec.insert("selector".into(), self::selector(selector));
    }
    if let Some(least) = &budget.min_available {
        spec.insert("minAvailable".into(), amount(least));
    }
    if let Some(most) = &budget.max_unavailable {
        spec.insert("maxUnavailable".into(), amount(most));
    }
    if budget.always_allow_unhealthy {
        spec.insert("unhealthyPodEvictionPolicy".into(), json!("AlwaysAllow"));
    }
    let conditions: Vec<Value> = budget.sync_failed.iter().map(sync_failed).collect();
    json!({
        "kind": "PodDisruptionBudget", "apiVersion": "policy/v1",
        "metadata": {"namespace": budget.namespace, "name": budget.name, "generation": 2},
        "spec": spec,
        "status": {
            "disruptionsAllowed": budget.disruptions_allowed,
            "currentHealthy": budget.current_healthy,
            "desiredHealthy": budget.desired_healthy,
            "expectedPods": budget.expected_pods,
            "observedGeneration": if budget.up_to_date { 2 } else { 1 },
            "conditions": conditions,
        },
    })
}

fn sync_failed(why: &String) -> Value {
    json!({
        "type": "DisruptionAllowed", "status": "False", "reason": "SyncFailed", "message": why,
        "lastTransitionTime": "2026-11-21T11:00:00Z",
    })
}

fn selector(selector: &LabelSelector) -> Value {
    let expressions: Vec<Value> = selector.match_expressions.iter().map(expression).collect();
    json!({"matchLabels": selector.match_labels, "matchExpressions": expressions})
}

fn expression(requirement: &Requirement) -> Value {
    let operator = match requirement.operator {
        Operator::In => "In",
        Operator::NotIn => "NotIn",
        Operator::Exists => "Exists",
        Operator::DoesNotExist => "DoesNotExist",
        Operator::Gt => "Gt",
        Operator::Lt => "Lt",
    };
    json!({"key": requirement.key, "operator": operator, "values": requirement.values})
}

pub fn workload(workload: &Workload) -> Value {
    let containers = workload.images.iter();
    let containers: Vec<Value> = containers
        .map(|(name, image)| json!({"name": name, "image": image}))
        .collect();
    let Workload {
        desired,
        updated,
        ready,
        up_to_date,
        ..
    } = workload;
    let status = match workload.kind.as_str() {
        "Deployment" => {
            json!({"replicas": updated, "updatedReplicas": updated, "readyReplicas": ready})
        }
        "StatefulSet" => json!({
            "replicas": desired, "updatedReplicas": updated, "readyReplicas": ready,
            "currentRevision": "a", "updateRevision": "b",
        }),
        "DaemonSet" => json!({
            "desiredNumberScheduled": desired, "updatedNumberScheduled": updated, "numberReady": ready,
            "currentNumberScheduled": desired, "numberMisscheduled": 0,
        }),
        other => panic!("{other} is no workload"),
    };
    let mut object = json!({
        "kind": workload.kind, "apiVersion": "apps/v1",
        "metadata": {"namespace": workload.namespace, "name": workload.name, "generation": 2},
        "spec": {
            "replicas": desired, "selector": {}, "serviceName": "", "template": {"spec": {"containers": containers}},
        },
        "status": status,
    });
    object["status"]["observedGeneration"] = json!(if *up_to_date { 2 } else { 1 });
    object
}

pub fn attachment(node: &NodeName, one: &Attached) -> Value {
    json!({
        "kind": "VolumeAttachment", "apiVersion": "storage.k8s.io/v1",
        "metadata": {"name": format!("csi-{}", one.volume)},
        "spec": {"attacher": "csi.example.com", "nodeName": node, "source": {"persistentVolumeName": one.volume}},
        "status": {"attached": true},
    })
}

pub fn volume(one: &Attached) -> Value {
    let (namespace, name) = one.claim.as_deref().unwrap().split_once('/').unwrap();
    json!({
        "kind": "PersistentVolume", "apiVersion": "v1", "metadata": {"name": one.volume},
        "spec": {"claimRef": {"namespace": namespace, "name": name}},
    })
}
