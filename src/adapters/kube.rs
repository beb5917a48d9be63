//! The cluster's API through the kube client.
//!
//! kube retries 429, 503 and 504 by itself unless told otherwise (kube-rs/kube `kube-client/src/client/retry.rs`), evictions
//! included; that is switched off here. Reads are retried in one place, `Kube::read`, within a bounded time, because the
//! restart of an API server is part of every upgrade. A change is sent once, with the exception of a compare-and-swap whose
//! swap was refused (409): that answer proves that nothing has changed.

mod around;
mod convert;
mod error;
mod placement;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::Future;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use backon::{ExponentialBuilder, Retryable as _};
use futures::TryStreamExt as _;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::policy::v1 as policy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{DeleteOptions, ObjectMeta, Preconditions};
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams, WatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::Status;
use kube::{Client, Config};
use serde::de::DeserializeOwned;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, timeout};

use self::convert::CORDONED_BY;
use self::error::{CallError, Endpoint, chain, words};
use self::placement::Volumes;
use crate::cluster::facts::{KubeadmConfig, KubeletConfig, Surroundings};
use crate::cluster::model::{Budget, Node, NodeName, Pod, Workload};
use crate::host::clause::brief;
use crate::ports::{ClusterApi, Eviction, Failure, PodList};
use crate::rules::version::Version;

/// How long a read is tried again once these credentials have worked: longer than a static pod's restart takes (kubelet's
/// back-off included) and the 403s after it.
const PATIENCE: Duration = Duration::from_secs(75);

/// How long the first reads of a process are tried: a wrong address should be told soon.
const FIRST_PATIENCE: Duration = Duration::from_secs(10);

/// How long one request may take, and a connection's silence within it. The API server's own limit is 60 s
/// (`--request-timeout`).
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Objects a page, as kubectl's `--chunk-size`.
const PAGE: u32 = 500;

/// How often a compare-and-swap is tried when the node changes in between; kubelets write a node's status every 10 s at
/// most.
const SWAPS: u32 = 5;

/// How long a watch that cannot be opened counts as quiet, so that its caller does not spin.
const WATCH_PAUSE: Duration = Duration::from_secs(1);

/// The cluster's API.
pub struct Kube {
    client: Client,
    /// Without a read timeout: a watch is silent for long.
    watching: Client,
    at: Endpoint,
    /// An earlier call of this process was answered, so these credentials work.
    proven: Cell<bool>,
    /// Since when evictions have been refused for want of rights; none when the last one was not.
    forbidden_since: Cell<Option<Instant>>,
    /// Each node's resource version when last read: where a watch on it continues.
    seen: RefCell<BTreeMap<NodeName, String>>,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The kubeconfig cannot be read.
    #[error("cannot read kubeconfig {path}: {why}")]
    Read {
        /// Its path.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// It does not have the context.
    #[error("kubeconfig {path} has no context `{context}`; it has {have}")]
    Context {
        /// Its path.
        path: String,
        /// The context asked for.
        context: String,
        /// Those it has.
        have: String,
    },
    /// It says something that cannot be used.
    #[error("kubeconfig {path} cannot be used: {why}")]
    Unusable {
        /// Its path.
        path: String,
        /// What is wrong.
        why: String,
    },
}

impl Kube {
    /// A client for a kubeconfig's context; its current one when none is given. Asks nothing yet.
    ///
    /// # Errors
    /// If the kubeconfig cannot be read or used.
    pub async fn open(kubeconfig: &Path, context: Option<&str>) -> Result<Self, ConnectError> {
        let path = kubeconfig.display().to_string();
        let unusable = |why: String| ConnectError::Unusable {
            path: path.clone(),
            why,
        };
        let document = Kubeconfig::read_from(kubeconfig).map_err(|error| ConnectError::Read {
            path: path.clone(),
            why: chain(&error),
        })?;
        let wanted = context
            .map(str::to_owned)
            .or_else(|| document.current_context.clone())
            .ok_or_else(|| {
                unusable("it has no current context; name one in the inventory".to_owned())
            })?;
        if !document.contexts.iter().any(|known| known.name == wanted) {
            let have: Vec<_> = document
                .contexts
                .iter()
                .map(|known| format!("`{}`", known.name))
                .collect();
            return Err(ConnectError::Context {
                path,
                context: wanted,
                have: if have.is_empty() {
                    "none".to_owned()
                } else {
                    have.join(", ")
                },
            });
        }
        let options = KubeConfigOptions {
            context: Some(wanted.clone()),
            ..KubeConfigOptions::default()
        };
        let mut config = Config::from_custom_kubeconfig(document, &options)
            .await
            .map_err(|error| unusable(chain(&error)))?;
        config.default_retry = false;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        let mut watching = config.clone();
        watching.read_timeout = None;
        config.read_timeout = Some(REQUEST_TIMEOUT);
        config.reset_reader_on_write = true;
        let at = Endpoint {
            url: config.cluster_url.to_string(),
            kubeconfig: path.clone(),
            context: wanted,
            client_certificate: config.auth_info.client_certificate.is_some()
                || config.auth_info.client_certificate_data.is_some(),
        };
        let build = |config: Config| {
            Client::try_from(config).map_err(|error| ConnectError::Unusable {
                path: path.clone(),
                why: chain(&error),
            })
        };
        Ok(Self::new(build(config)?, build(watching)?, at))
    }

    /// Over a client that is there already, such as a test's. It must not retry by itself.
    #[must_use]
    pub fn over(client: Client) -> Self {
        let at = Endpoint {
            url: "http://in-process".to_owned(),
            kubeconfig: "none".to_owned(),
            context: "none".to_owned(),
            client_certificate: false,
        };
        Self::new(client.clone(), client, at)
    }

    fn new(client: Client, watching: Client, at: Endpoint) -> Self {
        Self {
            client,
            watching,
            at,
            proven: Cell::new(false),
            forbidden_since: Cell::new(None),
            seen: RefCell::new(BTreeMap::new()),
        }
    }

    /// One request, bounded in time.
    async fn once<T>(
        &self,
        call: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, CallError> {
        let result = match timeout(REQUEST_TIMEOUT, call).await {
            Ok(result) => result.map_err(CallError::from),
            Err(_) => Err(CallError::Lost(format!(
                "no answer within {} s",
                REQUEST_TIMEOUT.as_secs()
            ))),
        };
        if result.is_ok() {
            self.proven.set(true);
        }
        result
    }

    /// A read: asked again while an API server restarts, within [`PATIENCE`].
    async fn read<T, F>(&self, what: &str, call: impl Fn() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, kube::Error>>,
    {
        let begun = Instant::now();
        let delays = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(250))
            .with_max_delay(Duration::from_secs(3))
            .without_max_times();
        (|| self.once(call()))
            .retry(delays)
            .when(|error: &CallError| {
                let proven = self.proven.get();
                let patience = if proven { PATIENCE } else { FIRST_PATIENCE };
                error.transient(proven) && begun.elapsed() < patience
            })
            .notify(|error, after| tracing::debug!(what, ?error, ?after, "asking again"))
            .await
            .map_err(|error| error.of_read(what, &self.at))
    }

    /// All objects of a kind, page by page, and the list's resource version.
    async fn list<K>(
        &self,
        what: &str,
        api: Api<K>,
        field: Option<String>,
    ) -> Result<(Vec<K>, String), Failure>
    where
        K: Clone + DeserializeOwned + Debug,
    {
        self.read(what, || {
            let api = api.clone();
            let field = field.clone();
            async move {
                let mut items = Vec::new();
                let mut params = ListParams {
                    field_selector: field,
                    limit: Some(PAGE),
                    ..ListParams::default()
                };
                loop {
                    let page = api.list(&params).await?;
                    items.extend(page.items);
                    match page.metadata.continue_.filter(|token| !token.is_empty()) {
                        Some(token) => params.continue_token = Some(token),
                        None => {
                            return Ok((items, page.metadata.resource_version.unwrap_or_default()));
                        }
                    }
                }
            }
        })
        .await
    }

    async fn node_object(&self, name: &NodeName) -> Result<core::Node, Failure> {
        let nodes: Api<core::Node> = Api::all(self.client.clone());
        let node = self
            .read(&format!("reading node {name}"), || nodes.get(name.as_str()))
            .await?;
        if let Some(version) = &node.metadata.resource_version {
            self.seen.borrow_mut().insert(name.clone(), version.clone());
        }
        Ok(node)
    }

    /// Reads the node, lets `patch` decide, and writes what it says on condition that the node is still as it was read.
    /// A 409 proves that nothing was written; the node is then read and judged again.
    async fn swap(
        &self,
        what: &str,
        name: &NodeName,
        patch: impl Fn(&Node) -> Result<Option<serde_json::Value>, Failure>,
    ) -> Result<(), Failure> {
        let nodes: Api<core::Node> = Api::all(self.client.clone());
        for _ in 0..SWAPS {
            let object = self.node_object(name).await?;
            let version = object.metadata.resource_version.clone();
            let Some(mut change) = patch(&convert::node(object))? else {
                return Ok(());
            };
            change["metadata"]["resourceVersion"] = json!(version);
            let sent = self
                .once(nodes.patch(
                    name.as_str(),
                    &PatchParams::default(),
                    &Patch::Merge(&change),
                ))
                .await;
            match sent {
                Ok(_) => return Ok(()),
                Err(CallError::Answered(status)) if status.code == 409 => {}
                Err(error) => return Err(error.of_change(what, &self.at)),
            }
        }
        Err(Failure::Refused(format!(
            "{what}: the node changed {SWAPS} times between reading and writing it; nothing was written"
        )))
    }

    async fn config_map(&self, name: &str, key: &str) -> Result<String, Failure> {
        let maps: Api<core::ConfigMap> = Api::namespaced(self.client.clone(), "kube-system");
        let what = format!("reading ConfigMap kube-system/{name}");
        let map = self.read(&what, || maps.get(name)).await?;
        map.data
            .and_then(|mut data| data.remove(key))
            .ok_or_else(|| Failure::NotFound(format!("{what}: it has no key `{key}`")))
    }

    /// Waits for one event of a watch that goes on from `version`.
    async fn wake<K>(&self, api: Api<K>, field: String, version: &str, at_most: Duration)
    where
        K: Clone + DeserializeOwned + Debug,
    {
        let params = WatchParams {
            field_selector: Some(field),
            bookmarks: false,
            // the server ends the watch by itself soon after we stop listening
            timeout: Some(
                u32::try_from(at_most.as_secs())
                    .unwrap_or(u32::MAX)
                    .clamp(1, 290),
            ),
            ..WatchParams::default()
        };
        let opened = Instant::now();
        let first = async {
            let events = api.watch(&params, version).await?;
            futures::pin_mut!(events);
            events.try_next().await
        };
        let broken = matches!(
            timeout(at_most, first).await,
            Ok(Ok(Some(kube::api::WatchEvent::Error(_)) | None) | Err(_))
        );
        if broken {
            self.pause(opened, at_most).await;
        }
    }

    #[allow(clippy::disallowed_methods)] // keeps a broken watch from spinning; no decision rests on it
    async fn pause(&self, since: Instant, at_most: Duration) {
        let left = at_most.min(WATCH_PAUSE).saturating_sub(since.elapsed());
        tokio::time::sleep(left).await;
    }

    /// What a refused eviction means.
    async fn judge(&self, pod: &Pod, status: &Status) -> Result<Eviction, Failure> {
        let what = format!("evicting pod {}/{}", pod.namespace, pod.name);
        let message = words(status);
        let terminating = status.details.iter().any(|details| {
            details
                .causes
                .iter()
                .any(|cause| cause.reason == "NamespaceTerminating")
        });
        match status.code {
            404 => Ok(Eviction::Gone),
            409 => self.judge_conflict(pod, message).await,
            429 => Ok(Eviction::Blocked {
                message,
                retry_after: status
                    .details
                    .as_ref()
                    .map(|details| u64::from(details.retry_after_seconds))
                    .filter(|seconds| *seconds > 0)
                    .map(Duration::from_secs),
            }),
            403 if terminating => Ok(Eviction::NamespaceTerminating),
            403 if message.contains("cannot create resource") => Ok(self.judge_forbidden(message)),
            // the server's own text, code 500 and no reason
            500 if message.contains("more than one PodDisruptionBudget") => {
                Ok(Eviction::Denied(message))
            }
            code if code >= 500 => {
                Err(CallError::Answered(Box::new(status.clone())).of_change(&what, &self.at))
            }
            401 => Err(CallError::Answered(Box::new(status.clone())).of_change(&what, &self.at)),
            _ => Ok(Eviction::Denied(message)),
        }
    }

    /// A conflict is our UID precondition, or a write to the pod or the budget at the same moment: only looking tells.
    async fn judge_conflict(&self, pod: &Pod, message: String) -> Result<Eviction, Failure> {
        let pods: Api<core::Pod> = Api::namespaced(self.client.clone(), &pod.namespace);
        let what = format!("reading pod {}/{}", pod.namespace, pod.name);
        let now = self.read(&what, || pods.get_metadata(&pod.name)).await;
        match now {
            Ok(now) if now.metadata.uid.as_deref() == Some(&pod.uid) => Ok(Eviction::Blocked {
                message,
                retry_after: None,
            }),
            Ok(_) | Err(Failure::NotFound(_)) => Ok(Eviction::Gone),
            Err(failure) => Err(failure),
        }
    }

    /// No right to evict. Soon after an API server's start that may pass (see [`CallError::transient`]), so it counts as
    /// a refusal for now until [`PATIENCE`] is over.
    fn judge_forbidden(&self, message: String) -> Eviction {
        let since = self.forbidden_since.get().unwrap_or_else(Instant::now);
        self.forbidden_since.set(Some(since));
        if self.proven.get() && since.elapsed() < PATIENCE {
            Eviction::Blocked {
                message,
                retry_after: None,
            }
        } else {
            Eviction::Denied(message)
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

    async fn surroundings(&self) -> Surroundings {
        self.look_around().await
    }

    async fn cordon(&self, node: &NodeName, run: &str) -> Result<(), Failure> {
        let what = format!("cordoning node {node}");
        self.swap(&what, node, |now| match &now.cordoned_by {
            Some(owner) if owner == run && now.unschedulable => Ok(None),
            None if now.unschedulable => Err(Failure::Refused(format!(
                "{what}: someone else cordoned it already; it stays theirs"
            ))),
            Some(_) | None => Ok(Some(json!({
                "metadata": {"annotations": {CORDONED_BY: run}},
                "spec": {"unschedulable": true},
            }))),
        })
        .await
    }

    async fn uncordon(&self, node: &NodeName) -> Result<(), Failure> {
        let what = format!("uncordoning node {node}");
        self.swap(
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
        )
        .await
    }

    async fn evict(&self, pod: &Pod, grace: Option<Duration>) -> Result<Eviction, Failure> {
        let pods: Api<core::Pod> = Api::namespaced(self.client.clone(), &pod.namespace);
        // not `Api::evict`: kube 5 writes `delete_options`, so that the server sees neither grace nor preconditions
        let eviction = policy::Eviction {
            metadata: ObjectMeta {
                name: Some(pod.name.clone()),
                namespace: Some(pod.namespace.clone()),
                ..ObjectMeta::default()
            },
            delete_options: Some(DeleteOptions {
                grace_period_seconds: grace
                    .map(|grace| i64::try_from(grace.as_secs()).unwrap_or(i64::MAX)),
                preconditions: Some(Preconditions {
                    uid: Some(pod.uid.clone()),
                    resource_version: None,
                }),
                ..DeleteOptions::default()
            }),
        };
        let sent = self
            .once(pods.create_subresource::<_, serde_json::Value>(
                "eviction",
                &pod.name,
                &PostParams::default(),
                &eviction,
            ))
            .await;
        match sent {
            Ok(_) => {
                self.forbidden_since.set(None);
                Ok(Eviction::Granted)
            }
            Err(CallError::Answered(status)) => {
                if status.code != 403 {
                    self.forbidden_since.set(None);
                }
                self.judge(pod, &status).await
            }
            Err(error) => Err(error.of_change(
                &format!("evicting pod {}/{}", pod.namespace, pod.name),
                &self.at,
            )),
        }
    }

    async fn pods_changed(&self, node: &NodeName, list: &PodList, at_most: Duration) {
        let pods: Api<core::Pod> = Api::all(self.watching.clone());
        self.wake(pods, on_node(node), &list.resource_version, at_most)
            .await;
    }

    async fn node_changed(&self, node: &NodeName, at_most: Duration) {
        // without a version of its own the watch would begin with the node as it is, and so wake at once
        let version = self.seen.borrow().get(node).cloned();
        let Some(version) = version else {
            self.pause(Instant::now(), at_most).await;
            return;
        };
        let nodes: Api<core::Node> = Api::all(self.watching.clone());
        self.wake(nodes, format!("metadata.name={node}"), &version, at_most)
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
