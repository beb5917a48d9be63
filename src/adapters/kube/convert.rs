//! From the API's objects to the model: pure functions, so that each can be tested on an object as the API writes it.
//!
//! An absent field takes the value that the API documents for its absence; nothing is guessed beyond that.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{self as core, PodTemplateSpec};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::Deserialize;

use super::placement::{self, Volumes};
use crate::cluster::facts::{KubeadmConfig, KubeletSettings};
use crate::cluster::model::{
    Budget, Controller, LabelSelector, Node, NodeName, Operator, Pod, PodPhase, Requirement,
    Workload,
};
use crate::host::parse;

/// The annotation that says which run of refit cordoned a node.
pub const CORDONED_BY: &str = "refit.dev/cordoned-by";

/// Marks the API's copy of a static pod.
///
/// Source: kubernetes/kubernetes `pkg/kubelet/types/pod_update.go`, `ConfigMirrorAnnotationKey`.
const MIRROR: &str = "kubernetes.io/config.mirror";

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
    Node {
        name: NodeName::new(meta.name.unwrap_or_default()),
        uid: meta.uid.unwrap_or_default(),
        labels: meta.labels.unwrap_or_default(),
        unschedulable: spec.unschedulable.unwrap_or_default(),
        cordoned_by: meta
            .annotations
            .and_then(|mut annotations| annotations.remove(CORDONED_BY)),
        ready: status
            .conditions
            .unwrap_or_default()
            .iter()
            .any(|condition| condition.type_ == "Ready" && condition.status == "True"),
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

fn images(containers: Vec<core::Container>) -> BTreeMap<String, String> {
    containers
        .into_iter()
        .map(|container| (container.name, container.image.unwrap_or_default()))
        .collect()
}

fn template_images(template: PodTemplateSpec) -> BTreeMap<String, String> {
    images(template.spec.unwrap_or_default().containers)
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
                operator: match requirement.operator.as_str() {
                    "In" => Operator::In,
                    "NotIn" => Operator::NotIn,
                    "Exists" => Operator::Exists,
                    "DoesNotExist" => Operator::DoesNotExist,
                    other => return Err(format!("unknown selector operator `{other}`")),
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

fn reached(observed: Option<i64>, generation: Option<i64>) -> bool {
    observed.unwrap_or_default() >= generation.unwrap_or_default()
}

/// A Deployment. Ready replicas of an older template count as ready too, so that one of them left means "not up to date".
///
/// Source: kubernetes/kubectl `pkg/polymorphichelpers/rollout_status.go`.
#[must_use]
pub fn deployment(object: Deployment) -> Workload {
    let meta = object.metadata;
    let spec = object.spec;
    let status = object.status.unwrap_or_default();
    let updated = status.updated_replicas.unwrap_or_default();
    Workload {
        kind: "Deployment".to_owned(),
        namespace: meta.namespace.unwrap_or_default(),
        name: meta.name.unwrap_or_default(),
        desired: spec.replicas.unwrap_or(1),
        updated,
        ready: status.ready_replicas.unwrap_or_default(),
        up_to_date: reached(status.observed_generation, meta.generation)
            && status.replicas.unwrap_or_default() <= updated,
        images: template_images(spec.template),
    }
}

/// A StatefulSet.
#[must_use]
pub fn stateful_set(object: StatefulSet) -> Workload {
    let meta = object.metadata;
    let spec = object.spec;
    let status = object.status.unwrap_or_default();
    // once all replicas are of the newest revision, the API server counts them under `currentReplicas`
    let settled = status.current_revision == status.update_revision;
    Workload {
        kind: "StatefulSet".to_owned(),
        namespace: meta.namespace.unwrap_or_default(),
        name: meta.name.unwrap_or_default(),
        desired: spec.replicas.unwrap_or(1),
        updated: if settled {
            status.current_replicas.unwrap_or(status.replicas)
        } else {
            status.updated_replicas.unwrap_or_default()
        },
        ready: status.ready_replicas.unwrap_or_default(),
        up_to_date: reached(status.observed_generation, meta.generation),
        images: template_images(spec.template),
    }
}

/// A DaemonSet.
#[must_use]
pub fn daemon_set(object: DaemonSet) -> Workload {
    let meta = object.metadata;
    let status = object.status.unwrap_or_default();
    Workload {
        kind: "DaemonSet".to_owned(),
        namespace: meta.namespace.unwrap_or_default(),
        name: meta.name.unwrap_or_default(),
        desired: status.desired_number_scheduled,
        updated: status.updated_number_scheduled.unwrap_or_default(),
        ready: status.number_ready,
        up_to_date: reached(status.observed_generation, meta.generation),
        images: template_images(object.spec.template),
    }
}

/// kubeadm's `ClusterConfiguration`, as far as planning needs it.
///
/// Source: kubernetes/kubernetes `cmd/kubeadm/app/apis/kubeadm/v1beta4/types.go`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClusterConfiguration {
    api_version: String,
    kubernetes_version: String,
    #[serde(default = "default_image_repository")]
    image_repository: String,
    control_plane_endpoint: Option<String>,
    #[serde(default = "default_cluster_name")]
    cluster_name: String,
    #[serde(default)]
    etcd: Etcd,
    #[serde(default)]
    feature_gates: BTreeMap<String, bool>,
    #[serde(default)]
    api_server: Component,
    #[serde(default)]
    controller_manager: Component,
    #[serde(default)]
    scheduler: Component,
    #[serde(default)]
    dns: Image,
    #[serde(default)]
    proxy: Proxy,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Component {
    #[serde(default)]
    extra_args: serde_json::Value,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Image {
    image_repository: Option<String>,
    image_tag: Option<String>,
}

impl Image {
    /// What is set of it.
    fn custom(self) -> Option<String> {
        let parts: Vec<String> = [self.image_repository, self.image_tag]
            .into_iter()
            .flatten()
            .filter(|part| !part.is_empty())
            .collect();
        (!parts.is_empty()).then(|| parts.join(":"))
    }
}

#[derive(Debug, Default, Deserialize)]
struct Proxy {
    #[serde(default)]
    disabled: bool,
}

#[derive(Debug, Default, Deserialize)]
struct Etcd {
    local: Option<LocalEtcd>,
    external: Option<serde::de::IgnoredAny>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LocalEtcd {
    image_repository: Option<String>,
    image_tag: Option<String>,
    #[serde(default)]
    extra_args: serde_json::Value,
}

fn default_image_repository() -> String {
    "registry.k8s.io".to_owned()
}

fn default_cluster_name() -> String {
    "kubernetes".to_owned()
}

/// Reads the text of `kubeadm-config`'s `ClusterConfiguration`.
///
/// # Errors
/// If the text is not what kubeadm writes.
pub fn kubeadm_config(text: &str) -> Result<KubeadmConfig, String> {
    let config: ClusterConfiguration =
        serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
    let kubernetes_version = config
        .kubernetes_version
        .parse()
        .map_err(|error| format!("kubernetesVersion: {error}"))?;
    let local = config.etcd.local.unwrap_or_default();
    let extra_args = [
        ("etcd", &local.extra_args),
        ("kube-apiserver", &config.api_server.extra_args),
        (
            "kube-controller-manager",
            &config.controller_manager.extra_args,
        ),
        ("kube-scheduler", &config.scheduler.extra_args),
    ]
    .into_iter()
    .map(|(component, args)| {
        let flags = flags(args).map_err(|error| format!("extraArgs of {component}: {error}"))?;
        Ok((component.to_owned(), flags))
    })
    .filter(|read| !read.as_ref().is_ok_and(|(_, flags)| flags.is_empty()))
    .collect::<Result<BTreeMap<_, _>, String>>()?;
    let etcd_image = Image {
        image_repository: local.image_repository,
        image_tag: local.image_tag,
    };
    Ok(KubeadmConfig {
        api_version: config.api_version,
        kubernetes_version,
        image_repository: config.image_repository,
        control_plane_endpoint: config
            .control_plane_endpoint
            .filter(|endpoint| !endpoint.is_empty()),
        cluster_name: config.cluster_name,
        external_etcd: config.etcd.external.is_some(),
        custom_etcd_image: etcd_image.custom(),
        feature_gates: config.feature_gates,
        custom_dns_image: config.dns.custom(),
        proxy_disabled: config.proxy.disabled,
        extra_args: Some(extra_args),
    })
}

/// `extraArgs` as flags, without secrets: a list of names and values, or before v1beta4 a map.
///
/// Source: kubernetes/kubernetes `cmd/kubeadm/app/apis/kubeadm/v1beta4/types.go` (`Arg`) and v1beta3.
fn flags(args: &serde_json::Value) -> Result<Vec<String>, String> {
    use serde_json::Value;
    let value = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => Err("a value is no text".to_owned()),
    };
    let flag = |name: &str, text: String| parse::redacted(&format!("--{name}={text}"));
    match args {
        Value::Null => Ok(Vec::new()),
        Value::Object(map) => map
            .iter()
            .map(|(name, text)| Ok(flag(name, value(text)?)))
            .collect(),
        Value::Array(list) => list
            .iter()
            .map(|arg| {
                let name = arg.get("name").and_then(Value::as_str);
                let name = name.ok_or("an argument has no name")?;
                let text = arg.get("value").map_or(Ok(String::new()), value)?;
                Ok(flag(name, text))
            })
            .collect(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => Err("it is no list".to_owned()),
    }
}

/// The kubelet's configuration, as far as hazards need it.
///
/// Source: kubernetes/kubelet `config/v1beta1/types.go`, `KubeletConfiguration`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct KubeletConfiguration {
    /// Not used; that it must be there tells a configuration from other text.
    #[serde(rename = "apiVersion")]
    _api_version: String,
    fail_cgroup_v1: Option<bool>,
    #[serde(default)]
    feature_gates: BTreeMap<String, bool>,
}

/// Reads the text of `kubelet-config`'s `kubelet`.
///
/// # Errors
/// If the text is not what kubeadm writes.
pub fn kubelet_settings(text: &str) -> Result<KubeletSettings, String> {
    let config: KubeletConfiguration =
        serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
    Ok(KubeletSettings {
        fail_cgroup_v1: config.fail_cgroup_v1,
        feature_gates: config.feature_gates,
    })
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

    #[test]
    fn a_deployment_with_an_old_replica_left_is_not_rolled_out() {
        let of = |replicas: i32| {
            deployment(
                serde_json::from_value(json!({
                    "metadata": {"namespace": "kube-system", "name": "coredns", "generation": 2},
                    "spec": {"replicas": 2, "selector": {}, "template": {"spec": {"containers": [{"name": "c", "image": "i"}]}}},
                    "status": {"observedGeneration": 2, "replicas": replicas, "updatedReplicas": 2, "readyReplicas": 2}
                }))
                .unwrap(),
            )
        };
        assert!(
            !of(3).rolled_out(),
            "one of the two ready may be the old one"
        );
        assert!(of(2).rolled_out());
    }

    #[test]
    fn kubeadm_config_in_both_of_its_forms() {
        let text = "apiServer: {}\napiVersion: kubeadm.k8s.io/v1beta4\ncertificateValidityPeriod: 8760h0m0s\nclusterName: kubernetes\n\
            controlPlaneEndpoint: 10.77.0.10:6443\netcd:\n  local:\n    dataDir: /var/lib/etcd\nfeatureGates:\n  NodeLocalCRISocket: true\n\
            imageRepository: registry.k8s.io\nkind: ClusterConfiguration\nkubernetesVersion: v1.34.4\nnetworking:\n  podSubnet: 10.244.0.0/16\n";
        let config = kubeadm_config(text).unwrap();
        assert_eq!(config.kubernetes_version.to_string(), "1.34.4");
        assert_eq!(
            config.control_plane_endpoint.as_deref(),
            Some("10.77.0.10:6443")
        );
        assert!(!config.external_etcd);
        assert_eq!(config.custom_etcd_image, None);
        assert_eq!(config.feature_gates.get("NodeLocalCRISocket"), Some(&true));

        let external = kubeadm_config(
            "apiVersion: kubeadm.k8s.io/v1beta3\nkubernetesVersion: v1.28.0\netcd:\n  external:\n    endpoints: [a]\n",
        )
        .unwrap();
        assert!(external.external_etcd);
        assert_eq!(external.image_repository, "registry.k8s.io");
        let custom = kubeadm_config(
            "apiVersion: kubeadm.k8s.io/v1beta4\nkubernetesVersion: v1.34.4\netcd:\n  local:\n    imageTag: 3.5.9-0\n",
        )
        .unwrap();
        assert_eq!(custom.custom_etcd_image.as_deref(), Some("3.5.9-0"));
        assert!(kubeadm_config("kubernetesVersion: [").is_err());
    }

    #[test]
    fn extra_arguments_are_flags_without_secrets_in_either_form() {
        let list = "apiVersion: kubeadm.k8s.io/v1beta4\nkubernetesVersion: v1.34.4\napiServer:\n  extraArgs:\n  - name: feature-gates\n    value: A=true\n  - name: some-token\n    value: abc\nproxy: {disabled: true}\ndns: {imageTag: v1.9.3}\n";
        let read = kubeadm_config(list).unwrap();
        let flags = &read.extra_args.unwrap()["kube-apiserver"];
        assert_eq!(
            flags,
            &["--feature-gates=A=true", "--some-token=<redacted>"]
        );
        assert!(read.proxy_disabled);
        assert_eq!(read.custom_dns_image.as_deref(), Some("v1.9.3"));
        let map = "apiVersion: kubeadm.k8s.io/v1beta3\nkubernetesVersion: v1.34.4\netcd:\n  local:\n    extraArgs: {quota-backend-bytes: \"8\", x: 1}\n";
        let read = kubeadm_config(map).unwrap();
        assert_eq!(
            read.extra_args.unwrap()["etcd"],
            ["--quota-backend-bytes=8", "--x=1"]
        );
        let none = kubeadm_config(&list.replace("name: feature-gates", "nom: x"));
        assert!(none.unwrap_err().contains("an argument has no name"));
    }

    #[test]
    fn the_kubelets_configuration_keeps_what_hazards_need() {
        // As kubeadm 1.34 writes it.
        let text = "apiVersion: kubelet.config.k8s.io/v1beta1\nauthentication:\n  x509:\n    clientCAFile: /etc/kubernetes/pki/ca.crt\ncgroupDriver: cgroupfs\nfailCgroupV1: false\nfailSwapOn: false\nfeatureGates:\n  NodeSwap: false\nkind: KubeletConfiguration\nlogging:\n  flushFrequency: 0\nmemorySwap: {}\n";
        let read = kubelet_settings(text).unwrap();
        assert_eq!(read.fail_cgroup_v1, Some(false));
        assert!(!read.feature_gates["NodeSwap"]);
        assert!(kubelet_settings("not a configuration").is_err());
    }
}
