//! How often the API is asked: reads again within a bounded time, changes once, watches only to be woken.

use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use futures::TryStreamExt as _;
use k8s_openapi::api::core::v1 as core;
use kube::api::{Api, ListParams, Patch, PatchParams, WatchParams};
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::time::{Instant, timeout};

use super::error::CallError;
use super::{Kube, convert};
use crate::cluster::model::{Node, NodeName};
use crate::ports::Failure;

/// How long a read is tried again once these credentials have worked: longer than a static pod's restart takes (kubelet's
/// back-off included) and the 403s after it.
pub const PATIENCE: Duration = Duration::from_secs(75);

/// How long the first reads of a process are tried: a wrong address should be told soon.
const FIRST_PATIENCE: Duration = Duration::from_secs(10);

/// How long one request may take, and a connection's silence within it. The API server's own limit is 60 s
/// (`--request-timeout`).
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Objects a page, as kubectl's `--chunk-size`.
const PAGE: u32 = 500;

/// How often a compare-and-swap is tried when the node changes in between; kubelets write a node's status every 10 s at
/// most.
const SWAPS: u32 = 5;

/// How long a watch that cannot be opened counts as quiet, so that its caller does not spin.
const WATCH_PAUSE: Duration = Duration::from_secs(1);

impl Kube {
    /// One request, bounded in time.
    pub(super) async fn once<T>(
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
            self.at.proven.set(true);
        }
        result
    }

    /// A read: asked again while an API server restarts, within [`PATIENCE`].
    pub(super) async fn read<T, F>(&self, what: &str, call: impl Fn() -> F) -> Result<T, Failure>
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
                let proven = self.at.proven.get();
                let patience = if proven { PATIENCE } else { FIRST_PATIENCE };
                error.transient(proven) && begun.elapsed() < patience
            })
            .notify(|error, after| tracing::debug!(what, ?error, ?after, "asking again"))
            .await
            .map_err(|error| error.of_read(what, &self.at))
    }

    /// All objects of a kind, page by page, and the list's resource version.
    pub(super) async fn list<K>(
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

    pub(super) async fn node_object(&self, name: &NodeName) -> Result<core::Node, Failure> {
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
    pub(super) async fn swap(
        &self,
        what: &str,
        name: &NodeName,
        patch: impl Fn(&Node) -> Result<Option<serde_json::Value>, Failure>,
    ) -> Result<(), Failure> {
        self.swap_object(what, name, |object| patch(&convert::node(object)))
            .await
    }

    /// As [`Kube::swap`], for what the model of a node does not hold.
    pub(super) async fn swap_object(
        &self,
        what: &str,
        name: &NodeName,
        patch: impl Fn(core::Node) -> Result<Option<serde_json::Value>, Failure>,
    ) -> Result<(), Failure> {
        let nodes: Api<core::Node> = Api::all(self.client.clone());
        for _ in 0..SWAPS {
            let object = self.node_object(name).await?;
            let version = object.metadata.resource_version.clone();
            let Some(mut change) = patch(object)? else {
                return Ok(());
            };
            // A merge patch replaces a list as a whole: what was read must still be so.
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

    pub(super) async fn config_map(&self, name: &str, key: &str) -> Result<String, Failure> {
        let maps: Api<core::ConfigMap> = Api::namespaced(self.client.clone(), "kube-system");
        let what = format!("reading ConfigMap kube-system/{name}");
        let map = self.read(&what, || maps.get(name)).await?;
        map.data
            .and_then(|mut data| data.remove(key))
            .ok_or_else(|| Failure::NotFound(format!("{what}: it has no key `{key}`")))
    }

    /// Waits for one event of a watch that goes on from `version`.
    pub(super) async fn wake<K>(
        &self,
        api: Api<K>,
        field: Option<String>,
        version: &str,
        at_most: Duration,
    ) where
        K: Clone + DeserializeOwned + Debug,
    {
        let params = WatchParams {
            field_selector: field,
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
    pub(super) async fn pause(&self, since: Instant, at_most: Duration) {
        let left = at_most.min(WATCH_PAUSE).saturating_sub(since.elapsed());
        tokio::time::sleep(left).await;
    }
}
