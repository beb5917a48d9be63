//! One request to evict a pod, and what each answer to it means.

use std::time::Duration;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::policy::v1 as policy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{DeleteOptions, ObjectMeta, Preconditions};
use kube::api::{Api, PostParams};
use kube::core::Status;
use tokio::time::Instant;

use super::Kube;
use super::call::PATIENCE;
use super::error::{CallError, words};
use crate::cluster::model::Pod;
use crate::ports::{Eviction, Failure};

impl Kube {
    /// Asks for the pod's eviction, once.
    pub(super) async fn ask_to_evict(
        &self,
        pod: &Pod,
        grace: Option<Duration>,
    ) -> Result<Eviction, Failure> {
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
        if self.at.proven.get() && since.elapsed() < PATIENCE {
            Eviction::Blocked {
                message: self.at.warming_up(&message).unwrap_or(message),
                retry_after: None,
            }
        } else {
            Eviction::Denied(message)
        }
    }
}
