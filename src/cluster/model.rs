//! The cluster as plain data: names, roles, nodes, pods, budgets.
//!
//! Mirrors what the Kubernetes API says, reduced to what planning and draining need. Knows neither the API client nor
//! any policy.

pub mod admission;
pub mod api_use;
pub mod storage;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! name {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $type(String);

        impl $type {
            /// The name, which the caller has validated.
            pub fn new(name: impl Into<String>) -> Self {
                Self(name.into())
            }

            /// As text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

name!(
    /// A host's name in the inventory.
    HostName
);
name!(
    /// A Kubernetes node's name.
    NodeName
);

/// What a node is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Runs the static pods of the control plane and a member of stacked etcd.
    ControlPlane,
    /// Runs workloads only.
    Worker,
}

/// A Kubernetes label selector.
///
/// Source: kubernetes/apimachinery `pkg/apis/meta/v1/types.go`, `LabelSelector`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LabelSelector {
    /// Labels that must be there with this value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
    /// Further requirements; all must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<Requirement>,
}

/// One requirement of a selector.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Requirement {
    /// The label's key.
    pub key: String,
    /// What must hold for it.
    pub operator: Operator,
    /// For `In` and `NotIn`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// How a requirement compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Operator {
    /// The label has one of the values.
    In,
    /// The label is absent or has none of the values.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is not there.
    DoesNotExist,
    /// The label is a whole number greater than the one value; in node affinity only.
    Gt,
    /// The label is a whole number less than the one value; in node affinity only.
    Lt,
}

impl Requirement {
    /// Whether a label of this value, or its absence, is as required.
    ///
    /// Source: kubernetes/apimachinery `pkg/labels/selector.go`, `Requirement.Matches`.
    #[must_use]
    pub fn holds(&self, value: Option<&str>) -> bool {
        let among = |value: &str| self.values.iter().any(|wanted| wanted == value);
        let number = |text: &str| text.parse::<i64>().ok();
        let limit = || self.values.first().and_then(|limit| number(limit));
        match self.operator {
            Operator::In => value.is_some_and(among),
            Operator::NotIn => value.is_none_or(|value| !among(value)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::Gt => value.and_then(number) > limit() && limit().is_some(),
            Operator::Lt => value
                .and_then(number)
                .is_some_and(|value| limit().is_some_and(|limit| value < limit)),
        }
    }
}

impl LabelSelector {
    /// Whether the labels satisfy every requirement; the empty selector matches everything.
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.match_labels
            .iter()
            .all(|(key, value)| labels.get(key) == Some(value))
            && self
                .match_expressions
                .iter()
                .all(|wanted| wanted.holds(labels.get(&wanted.key).map(String::as_str)))
    }
}

/// refit's taint on workers that its run has yet to drain, as [`Node::taints`] has it: the scheduler prefers other nodes, and
/// keeps no pod out.
///
/// Source: kubernetes/kops `pkg/instancegroups/instancegroups.go`, `rollingUpdateTaintKey`, which does the same.
pub const OUTDATED: &str = "refit.dev/outdated:PreferNoSchedule";

/// The key of the taints of a node whose kubelet does not answer.
pub const UNREACHABLE: &str = "node.kubernetes.io/unreachable";

/// A node, as the API describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// `metadata.name`.
    pub name: NodeName,
    /// `metadata.uid`: another one means another node of the same name.
    pub uid: String,
    /// All labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// `spec.unschedulable`: cordoned.
    pub unschedulable: bool,
    /// Which run of refit cordoned it, by our annotation; none when someone else did.
    pub cordoned_by: Option<String>,
    /// The `Ready` condition is `True`.
    pub ready: bool,
    /// What the `Ready` condition says where it is not: the kubelet's own words, or that it says nothing any more. Never recorded:
    /// it is for those who wait for the node.
    #[serde(skip)]
    pub not_ready_because: Option<String>,
    /// `status.nodeInfo.kubeletVersion`, without `v`.
    pub kubelet_version: String,
    /// `status.nodeInfo.containerRuntimeVersion`, such as `containerd://1.7.2`.
    pub container_runtime: String,
    /// `status.nodeInfo.machineID`: tells whether a host is this node.
    pub machine_id: String,
    /// `status.nodeInfo.systemUUID`.
    pub system_uuid: String,
    /// `status.addresses` of type `InternalIP`.
    #[serde(default)]
    pub internal_ips: Vec<String>,
    /// `key=value:Effect`, sorted.
    #[serde(default)]
    pub taints: Vec<String>,
    /// `status.allocatable`: what there is for pods. None in facts that an earlier refit recorded.
    #[serde(default)]
    pub allocatable: Option<Quantities>,
}

impl Node {
    /// Its kubelet has not been heard of for so long that the node lifecycle controller has given it this taint.
    ///
    /// Source: kubernetes/kubernetes `pkg/controller/nodelifecycle/node_lifecycle_controller.go`, `UnreachableTaintTemplate`.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        let key = |taint: &String| taint.split([':', '=']).next() == Some(UNREACHABLE);
        self.taints.iter().any(key)
    }

    /// It carries [`OUTDATED`].
    #[must_use]
    pub fn is_outdated(&self) -> bool {
        self.taints.iter().any(|taint| taint == OUTDATED)
    }
}

/// Amounts by resource: `cpu` in thousandths, everything else whole (`memory` in bytes, `pods`, `example.com/gpu`).
pub type Quantities = BTreeMap<String, u64>;

/// A pod, reduced to what eviction and drain need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pod {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
    /// `spec.nodeName`.
    pub node: Option<NodeName>,
    /// All labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// `status.phase`.
    pub phase: PodPhase,
    /// The `Ready` condition is `True`.
    pub ready: bool,
    /// `metadata.deletionTimestamp`, seconds since the epoch (the request's time plus the grace period).
    pub deletion_timestamp: Option<i64>,
    /// The owner with `controller: true`.
    pub controller: Option<Controller>,
    /// Has the annotation `kubernetes.io/config.mirror`: a static pod.
    pub mirror: bool,
    /// Uses an `emptyDir` volume.
    pub empty_dir: bool,
    /// Each container's image, by container name.
    #[serde(default)]
    pub images: BTreeMap<String, String>,
    /// What it asks of a node. None in facts that an earlier refit recorded.
    #[serde(default)]
    pub placement: Option<Placement>,
}

/// What a pod asks of a node, as far as it must have it: preferences are left out.
///
/// Source: kubernetes/api `core/v1/types.go`, `PodSpec`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Placement {
    /// What it takes of a node's `allocatable`, less the place for itself (`pods`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub requests: Quantities,
    /// `spec.nodeSelector`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// Required node affinity: one of the terms must hold. None: any node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_affinity: Option<Vec<NodeTerm>>,
    /// `spec.tolerations`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tolerations: Vec<Toleration>,
    /// Required pod anti-affinity: no pod that matches in the same domain.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub apart_from: Vec<PodTerm>,
    /// Where each of its volumes can be attached: one of a volume's terms must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<Vec<NodeTerm>>,
    /// What else restricts it, in words: it is not judged, and told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_judged: Vec<String>,
}

/// Requirements on a node, of which all must hold. Without any, no node matches.
///
/// Source: kubernetes/component-helpers `scheduling/corev1/nodeaffinity/nodeaffinity.go`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NodeTerm {
    /// On its labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<Requirement>,
    /// On its name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub name: Vec<Requirement>,
}

/// Pods that a pod may not share a domain with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PodTerm {
    /// Nodes with the same value of this label are one domain.
    pub topology_key: String,
    /// Namespaces of those pods.
    pub namespaces: Vec<String>,
    /// Which pods.
    pub selector: LabelSelector,
}

/// A taint that a pod puts up with.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Toleration {
    /// The taint's key; every taint when none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The taint's value; any when none is given (`operator: Exists`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The taint's effect; all when none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<String>,
}

/// `status.phase`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PodPhase {
    /// Not all containers were started.
    Pending,
    /// Bound and started.
    Running,
    /// All containers ended with 0.
    Succeeded,
    /// All containers ended, one at least not with 0.
    Failed,
    /// The node cannot be asked.
    Unknown,
}

/// What brings a pod back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Controller {
    /// `apps/v1`.
    pub api_version: String,
    /// `ReplicaSet`, `DaemonSet`, ...
    pub kind: String,
    /// `metadata.name`.
    pub name: String,
}

/// A PodDisruptionBudget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// `spec.selector`; none matches no pod.
    pub selector: Option<LabelSelector>,
    /// `spec.minAvailable`, as written.
    pub min_available: Option<String>,
    /// `spec.maxUnavailable`, as written.
    pub max_unavailable: Option<String>,
    /// `spec.unhealthyPodEvictionPolicy` is `AlwaysAllow`.
    pub always_allow_unhealthy: bool,
    /// `status.disruptionsAllowed`.
    pub disruptions_allowed: i32,
    /// `status.currentHealthy`.
    pub current_healthy: i32,
    /// `status.desiredHealthy`.
    pub desired_healthy: i32,
    /// `status.expectedPods`.
    pub expected_pods: i32,
    /// `status.observedGeneration` has reached `metadata.generation`.
    pub up_to_date: bool,
    /// The disruption controller's words on why it cannot count the budget's pods (condition `DisruptionAllowed` with
    /// reason `SyncFailed`).
    #[serde(default)]
    pub sync_failed: Option<String>,
}

/// A Deployment, StatefulSet or DaemonSet and how far its rollout is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workload {
    /// `Deployment`, `StatefulSet` or `DaemonSet`.
    pub kind: String,
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// Wanted replicas.
    pub desired: i32,
    /// Replicas of the newest template.
    pub updated: i32,
    /// Ready replicas.
    pub ready: i32,
    /// `status.observedGeneration` has reached `metadata.generation`, and no Deployment's replica of an older template is
    /// left.
    pub up_to_date: bool,
    /// Each container's image, by container name.
    #[serde(default)]
    pub images: BTreeMap<String, String>,
}

impl Workload {
    /// Whether it is this one.
    #[must_use]
    pub fn is(&self, kind: &str, namespace: &str, name: &str) -> bool {
        self.kind == kind && self.namespace == namespace && self.name == name
    }

    /// Every wanted replica is of the newest template and ready.
    #[must_use]
    pub fn rolled_out(&self) -> bool {
        self.up_to_date && self.updated >= self.desired && self.ready >= self.desired
    }
}
