//! Webhooks, storage and DNS: each is answered by its own path, and fails by itself.

use std::collections::BTreeMap;

use http::{Request, Response};
use kube::client::Body;
use refit::adapters::kube::Kube;
use refit::cluster::facts::Observed;
use refit::cluster::model::admission::{Backend, Endpoints};
use refit::ports::ClusterApi as _;
use serde_json::{Value, json};

/// By path; what is not there is not found.
fn serving(answers: &[(&str, u16, Value)]) -> Kube {
    let answers: BTreeMap<String, (u16, String)> = answers
        .iter()
        .map(|(path, code, body)| ((*path).to_owned(), (*code, body.to_string())))
        .collect();
    let service = tower::service_fn(move |request: Request<Body>| {
        let (code, body) = super::status(404, "not found");
        let answer = answers.get(request.uri().path()).cloned();
        let (code, body) = answer.unwrap_or((code, body.to_string()));
        async move {
            let body = Body::from(body.into_bytes());
            Ok::<_, std::io::Error>(Response::builder().status(code).body(body).unwrap())
        }
    });
    Kube::over(kube::Client::new(service, "default"))
}

fn list(kind: &str, items: Value) -> Value {
    json!({"kind": kind, "apiVersion": "v1", "metadata": {}, "items": items})
}

fn webhook(name: &str, service: &str) -> Value {
    json!({"name": name, "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Fail",
        "clientConfig": {"service": {"namespace": "policy", "name": service}},
        "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}]})
}

const ADMISSION: &str = "/apis/admissionregistration.k8s.io/v1";

#[tokio::test(start_paused = true)]
async fn webhooks_come_with_who_answers_them() {
    let validating = json!([{"metadata": {"name": "b"}, "webhooks": [webhook("one.example.org", "there"), webhook("two.example.org", "gone")]}]);
    let mutating = json!([{"metadata": {"name": "a"}}]);
    let kube = serving(&[
        (
            &format!("{ADMISSION}/validatingwebhookconfigurations"),
            200,
            list("ValidatingWebhookConfigurationList", validating),
        ),
        (
            &format!("{ADMISSION}/mutatingwebhookconfigurations"),
            200,
            list("MutatingWebhookConfigurationList", mutating),
        ),
        (
            "/api/v1/namespaces/policy/services/there",
            200,
            json!({"metadata": {"name": "there"}, "spec": {"selector": {"app": "policy"}}}),
        ),
        (
            "/api/v1/persistentvolumes",
            403,
            super::status(
                403,
                "persistentvolumes is forbidden: User \"x\" cannot list resource",
            )
            .1,
        ),
        (
            "/apis/storage.k8s.io/v1/storageclasses",
            200,
            list("StorageClassList", json!([])),
        ),
        (
            "/apis/storage.k8s.io/v1/csidrivers",
            200,
            list("CSIDriverList", json!([])),
        ),
    ]);
    let seen = kube.surroundings().await;
    let webhooks = seen.webhooks.known().unwrap();
    let backends: Vec<_> = webhooks
        .iter()
        .map(|webhook| match &webhook.backend {
            Backend::Service { endpoints, .. } => endpoints.clone(),
            Backend::Url => panic!("a Service was named"),
        })
        .collect();
    let labels = BTreeMap::from([("app".to_owned(), "policy".to_owned())]);
    assert_eq!(backends, [Endpoints::Pods(labels), Endpoints::Missing]);
    // what may not be read is not taken for empty; a cluster without CoreDNS has no Corefile
    assert!(
        matches!(&seen.storage, Observed::Unknown(why) if why.contains("forbidden")),
        "{:?}",
        seen.storage
    );
    assert!(seen.corefile_plugins.known().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn in_tree_volumes_are_counted_by_plugin() {
    let volume = |name: String, source: Value| {
        let mut spec = json!({"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"]});
        spec.as_object_mut()
            .unwrap()
            .extend(source.as_object().unwrap().clone());
        json!({"metadata": {"name": name}, "spec": spec})
    };
    let mut volumes: Vec<Value> = (0..8)
        .map(|index| {
            volume(
                format!("data-{index}"),
                json!({"cinder": {"volumeID": "v"}}),
            )
        })
        .collect();
    volumes.push(volume(
        "new".to_owned(),
        json!({"csi": {"driver": "d", "volumeHandle": "h"}}),
    ));
    let kube = serving(&[
        (
            "/api/v1/persistentvolumes",
            200,
            list("PersistentVolumeList", json!(volumes)),
        ),
        (
            "/apis/storage.k8s.io/v1/storageclasses",
            200,
            list(
                "StorageClassList",
                json!([{"metadata": {"name": "old"}, "provisioner": "kubernetes.io/cinder"}, {"metadata": {"name": "new"}, "provisioner": "d"}]),
            ),
        ),
        (
            "/apis/storage.k8s.io/v1/csidrivers",
            200,
            list(
                "CSIDriverList",
                json!([{"metadata": {"name": "d"}, "spec": {}}]),
            ),
        ),
        (
            "/api/v1/namespaces/kube-system/configmaps/coredns",
            200,
            json!({"metadata": {"name": "coredns"}, "data": {"Corefile": ".:53 {\n    errors\n    file db.example.org\n}\n"}}),
        ),
    ]);
    let seen = kube.surroundings().await;
    let storage = seen.storage.known().unwrap();
    assert_eq!(storage.in_tree.keys().collect::<Vec<_>>(), ["cinder"]);
    let used = &storage.in_tree["cinder"];
    assert_eq!((used.count, used.named.len()), (9, 5));
    assert!(storage.csi_drivers.contains("d"));
    let plugins: Vec<&str> = seen
        .corefile_plugins
        .known()
        .unwrap()
        .iter()
        .map(String::as_str)
        .collect();
    assert_eq!(plugins, ["errors", "file"]);
    assert!(matches!(seen.webhooks, Observed::Unknown(_)));
}
