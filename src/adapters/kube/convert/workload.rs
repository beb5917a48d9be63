//! Workloads: how far a rollout is, told by the controllers in three ways.

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use std::collections::BTreeMap;

use super::{images, reached};
use crate::cluster::model::Workload;

fn template_images(template: PodTemplateSpec) -> BTreeMap<String, String> {
    images(template.spec.unwrap_or_default().containers)
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

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
}
