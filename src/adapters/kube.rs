//! The cluster's API through the kube client.
//!
//! kube retries 429, 503 and 504 by itself unless told otherwise (kube-rs/kube `kube-client/src/client/retry.rs`), evictions
//! included; that is switched off here. Reads are retried in one place, `Kube::read` (`call`), within a bounded time, because
//! the restart of an API server is part of every upgrade. A change is sent once, with the exception of a compare-and-swap whose
//! swap was refused (409): that answer proves that nothing has changed.

mod around;
mod attached;
mod call;
mod convert;
mod error;
mod evict;
mod lease;
mod open;
mod placement;

pub use open::ConnectError;

pub(super) use self::error::chain;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::coordination::v1 as coordination;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::policy::v1 as policy;
use k8s_openapi::api::storage::v1 as storage;
use kube::Client;
use kube::api::Api;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use self::convert::CORDONED_BY;
use self::error::{Endpoint, words};
use self::placement::Volumes;
use crate::cluster::facts::{KubeadmConfig, KubeletConfig, Surroundings};
use crate::cluster::model::{Budget, Node, NodeName, Pod, Workload};
use crate::host::clause::brief;
use crate::ports::{AttachedList, Claim, ClusterApi, Eviction, Failure, Lease, Permit, PodList};
use crate::rules::version::Version;

/// The cluster's API.
pub struct Kube {
    client: Client,
    /// Without a read timeout: a watch is silent for long.
    watching: Client,
    at: Endpoint,
    /// Since when evictions have been refused for want of rights; none when the last one was not.
    forbidden_since: Cell<Option<Instant>>,
    /// Each node's resource version when last read: where a watch on it continues.
    seen: RefCell<BTreeMap<NodeName, String>>,
}

impl Kube {
    /// Over a client that is there already, such as a test's. It must not retry by itself.
    #[must_use]
    pub fn over(client: Client) -> Self {
        let at = Endpoint {
            url: "http://in-process".to_owned(),
            kubeconfig: "none".to_owned(),
            context: "none".to_owned(),
            client_certificate: false,
            proven: Cell::new(false),
        };
        Self::new(client.clone(), client, at)
    }

    fn new(client: Client, watching: Client, at: Endpoint) -> Self {
        Self {
            client,
            watching,
            at,
            forbidden_since: Cell::new(None),
            seen: RefCell::new(BTreeMap::new()),
        }
    }
}

#[async_trait(?Send)]
impl ClusterApi for Kube {
    async fn cluster_uid(&self) -> Result<String, Failure> {
        let namespaces: Api<core::Namespace> = Api::all(self.client.clone());
        let what = "reading namespace kube-system";
        let namespace = self.read(what, || namespaces.get("kube-system")).await?;
        namespace
            .metadata
            .uid
            .ok_or_else(|| Failure::Refused(format!("{what}: it has no UID")))
    }

    async fn version(&self) -> Result<Version, Failure> {
        let what = "reading /version";
        let info = self.read(what, || self.client.apiserver_version()).await?;
        info.git_version
            .parse()
            .map_err(|error| Failure::Refused(format!("{what}: {error}")))
    }

    async fn ready(&self) -> Result<(), Failure> {
        let what = "asking /readyz";
        // an answer is an answer here, whatever it says: only the lack of one is worth asking again
        let answer = self
            .read(what, || async {
                let request = http::Request::get("/readyz?verbose").body(Vec::new());
                let request = request.map_err(kube::Error::HttpError)?;
                match self.client.request_text(request).await {
                    Ok(_) => Ok(None),
                    Err(kube::Error::Api(status)) if status.code == 500 => Ok(Some(status)),
                    Err(error) => Err(error),
                }
            })
            .await?;
        match answer {
            None => Ok(()),
            Some(status) => {
                let failing: Vec<_> = status
                    .message
                    .lines()
                    .filter_map(|line| line.strip_prefix("[-]"))
                    .filter_map(|line| line.split_whitespace().next())
                    .collect();
                let failing = if failing.is_empty() {
                    brief(&words(&status))
                } else {
                    failing.join(", ")
                };
                Err(Failure::Refused(format!(
                    "API server {} is not ready: {failing}",
                    self.at.place()
                )))
            }
        }
    }

    async fn nodes(&self) -> Result<Vec<Node>, Failure> {
        let (nodes, _) = self
            .list::<core::Node>("listing nodes", Api::all(self.client.clone()), None)
            .await?;
        let mut nodes: Vec<_> = nodes.into_iter().map(convert::node).collect();
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(nodes)
    }

    async fn node(&self, name: &NodeName) -> Result<Node, Failure> {
        self.node_object(name).await.map(convert::node)
    }

    async fn pods(&self) -> Result<Vec<Pod>, Failure> {
        let (pods, _) = self
            .list::<core::Pod>("listing pods", Api::all(self.client.clone()), None)
            .await?;
        let volumes = if Volumes::matter(&pods) {
            let (claims, _) = self
                .list::<core::PersistentVolumeClaim>(
                    "listing PersistentVolumeClaims",
                    Api::all(self.client.clone()),
                    None,
                )
                .await?;
            let (volumes, _) = self
                .list::<core::PersistentVolume>(
                    "listing PersistentVolumes",
                    Api::all(self.client.clone()),
                    None,
                )
                .await?;
            Volumes::of(claims, volumes).map_err(Failure::Refused)?
        } else {
            Volumes::default()
        };
        Ok(sorted(pods, |pod| convert::placed_pod(pod, &volumes)))
    }

    async fn pods_on(&self, node: &NodeName) -> Result<PodList, Failure> {
        let (pods, resource_version) = self
            .list::<core::Pod>(
                &format!("listing pods of node {node}"),
                Api::all(self.client.clone()),
                Some(on_node(node)),
            )
            .await?;
        Ok(PodList {
            pods: sorted(pods, convert::pod),
            resource_version,
        })
    }

    async fn budgets(&self) -> Result<Vec<Budget>, Failure> {
        let what = "listing PodDisruptionBudgets";
        let (budgets, _) = self
            .list::<policy::PodDisruptionBudget>(what, Api::all(self.client.clone()), None)
            .await?;
        let mut budgets = budgets
            .into_iter()
            .map(convert::budget)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| Failure::Refused(format!("{what}: {error}")))?;
        budgets.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        Ok(budgets)
    }

    async fn workloads(&self) -> Result<Vec<Workload>, Failure> {
        let client = || self.client.clone();
        let (deployments, stateful_sets, daemon_sets) = futures::try_join!(
            self.list::<Deployment>("listing Deployments", Api::all(client()), None),
            self.list::<StatefulSet>("listing StatefulSets", Api::all(client()), None),
            self.list::<DaemonSet>("listing DaemonSets", Api::all(client()), None),
        )?;
        let mut workloads: Vec<_> = deployments
            .0
            .into_iter()
            .map(convert::deployment)
            .chain(stateful_sets.0.into_iter().map(convert::stateful_set))
            .chain(daemon_sets.0.into_iter().map(convert::daemon_set))
            .collect();
        workloads.sort_by(|a, b| {
            (&a.kind, &a.namespace, &a.name).cmp(&(&b.kind, &b.namespace, &b.name))
        });
        Ok(workloads)
    }

    async fn kubeadm_config(&self) -> Result<KubeadmConfig, Failure> {
        let text = self
            .config_map("kubeadm-config", "ClusterConfiguration")
            .await?;
        convert::kubeadm_config(&text).map_err(|error| {
            Failure::Refused(format!("ConfigMap kube-system/kubeadm-config: {error}"))
        })
    }

    async fn kubelet_config(&self) -> Result<KubeletConfig, Failure> {
        let text = self.config_map("kubelet-config", "kubelet").await?;
        Ok(KubeletConfig {
            sha256: hex(&Sha256::digest(text.as_bytes())),
            settings: convert::kubelet_settings(&text).into(),
        })
    }

    async fn lease(&self, name: &str) -> Result<Lease, Failure> {
        let what = format!("reading Lease {name}");
        let Some((namespace, own)) = name.split_once('/') else {
            return Err(Failure::Refused(format!(
                "{what}: its namespace is missing"
            )));
        };
        let leases: Api<coordination::Lease> = Api::namespaced(self.client.clone(), namespace);
        let lease = self.read(&what, || leases.get(own)).await?;
        Ok(convert::lease(lease))
    }

    async fn claim(&self) -> Result<Option<Claim>, Failure> {
        self.read_claim().await
    }

    async fn put_claim(&self, claim: &Claim, lasts: Duration) -> Result<(), Failure> {
        self.write_claim(claim, lasts).await
    }

    async fn surroundings(&self) -> Surroundings {
        self.look_around().await
    }

    async fn cordon(&self, permit: Permit, node: &NodeName, run: &str) -> Result<(), Failure> {
        let what = format!("cordoning node {node}");
        let swap = self.swap(&what, node, |now| match &now.cordoned_by {
            Some(owner) if owner == run && now.unschedulable => Ok(None),
            None if now.unschedulable => Err(Failure::Refused(format!(
                "{what}: someone else cordoned it already; it stays theirs"
            ))),
            Some(_) | None => Ok(Some(json!({
                "metadata": {"annotations": {CORDONED_BY: run}},
                "spec": {"unschedulable": true},
            }))),
        });
        self.within(permit, swap).await
    }

    async fn uncordon(&self, permit: Permit, node: &NodeName) -> Result<(), Failure> {
        let what = format!("uncordoning node {node}");
        let swap = self.swap(
            &what,
            node,
            |now| match (&now.cordoned_by, now.unschedulable) {
                (None, false) => Ok(None),
                (None, true) => Err(Failure::Refused(format!(
                    "{what}: it does not carry our mark ({CORDONED_BY}), so someone else cordoned it; it stays cordoned"
                ))),
                (Some(_), _) => Ok(Some(json!({
                    "metadata": {"annotations": {CORDONED_BY: null}},
                    "spec": {"unschedulable": null},
                }))),
            },
        );
        self.within(permit, swap).await
    }

    async fn taint_outdated(
        &self,
        permit: Permit,
        node: &NodeName,
        outdated: bool,
    ) -> Result<(), Failure> {
        let what = format!("changing the taints of node {node}");
        let swap = self.swap_object(&what, node, |now| {
            Ok(convert::outdated_taints(now, outdated)
                .map(|taints| json!({"spec": {"taints": taints}})))
        });
        self.within(permit, swap).await
    }

    async fn evict(
        &self,
        permit: Permit,
        pod: &Pod,
        grace: Option<Duration>,
    ) -> Result<Eviction, Failure> {
        self.within(permit, self.ask_to_evict(pod, grace)).await
    }

    async fn pods_changed(&self, node: &NodeName, list: &PodList, at_most: Duration) {
        let pods: Api<core::Pod> = Api::all(self.watching.clone());
        self.wake(pods, Some(on_node(node)), &list.resource_version, at_most)
            .await;
    }

    async fn attached(&self, node: &NodeName) -> Result<AttachedList, Failure> {
        self.attached_to(node).await
    }

    async fn attached_changed(&self, list: &AttachedList, at_most: Duration) {
        let all: Api<storage::VolumeAttachment> = Api::all(self.watching.clone());
        self.wake(all, None, &list.resource_version, at_most).await;
    }

    async fn node_changed(&self, node: &NodeName, at_most: Duration) {
        // without a version of its own the watch would begin with the node as it is, and so wake at once
        let version = self.seen.borrow().get(node).cloned();
        let Some(version) = version else {
            self.pause(Instant::now(), at_most).await;
            return;
        };
        let nodes: Api<core::Node> = Api::all(self.watching.clone());
        self.wake(
            nodes,
            Some(format!("metadata.name={node}")),
            &version,
            at_most,
        )
        .await;
    }
}

fn on_node(node: &NodeName) -> String {
    format!("spec.nodeName={node}")
}

fn sorted(pods: Vec<core::Pod>, convert: impl Fn(core::Pod) -> Pod) -> Vec<Pod> {
    let mut pods: Vec<_> = pods.into_iter().map(convert).collect();
    pods.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    pods
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
