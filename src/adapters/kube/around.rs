//! What stands around nodes and workloads: admission webhooks, storage, the cluster's DNS.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::admissionregistration::v1 as admission;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::storage::v1::{CSIDriver, StorageClass};
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use kube::api::Api;

use super::{Kube, convert};
use crate::cluster::facts::Surroundings;
use crate::cluster::model::admission::{Backend, Endpoints, Rule, Webhook, WebhookKind};
use crate::cluster::model::storage::{IN_TREE, Storage};
use crate::ports::Failure;

/// A Service's namespace and name.
type Place = (String, String);

impl Kube {
    pub(super) async fn look_around(&self) -> Surroundings {
        let (webhooks, storage, corefile) =
            futures::join!(self.webhooks(), self.storage(), self.corefile());
        Surroundings {
            webhooks: webhooks.into(),
            storage: storage.into(),
            corefile_plugins: corefile.into(),
        }
    }

    async fn webhooks(&self) -> Result<Vec<Webhook>, Failure> {
        let validating = self.list::<admission::ValidatingWebhookConfiguration>(
            "listing validating webhooks",
            Api::all(self.client.clone()),
            None,
        );
        let mutating = self.list::<admission::MutatingWebhookConfiguration>(
            "listing mutating webhooks",
            Api::all(self.client.clone()),
            None,
        );
        let (validating, mutating) = futures::try_join!(validating, mutating)?;
        let mut raw: Vec<Raw> = Vec::new();
        for configuration in validating.0 {
            let name = configuration.metadata.name.unwrap_or_default();
            raw.extend(
                configuration
                    .webhooks
                    .into_iter()
                    .flatten()
                    .map(|webhook| Raw {
                        kind: WebhookKind::Validating,
                        configuration: name.clone(),
                        name: webhook.name,
                        failure_policy: webhook.failure_policy,
                        client: webhook.client_config,
                        rules: webhook.rules.unwrap_or_default(),
                        namespaces: webhook.namespace_selector,
                    }),
            );
        }
        for configuration in mutating.0 {
            let name = configuration.metadata.name.unwrap_or_default();
            raw.extend(
                configuration
                    .webhooks
                    .into_iter()
                    .flatten()
                    .map(|webhook| Raw {
                        kind: WebhookKind::Mutating,
                        configuration: name.clone(),
                        name: webhook.name,
                        failure_policy: webhook.failure_policy,
                        client: webhook.client_config,
                        rules: webhook.rules.unwrap_or_default(),
                        namespaces: webhook.namespace_selector,
                    }),
            );
        }
        raw.sort_by(|a, b| {
            (a.kind, &a.configuration, &a.name).cmp(&(b.kind, &b.configuration, &b.name))
        });
        let places: BTreeSet<Place> = raw.iter().filter_map(Raw::service).collect();
        let mut services = BTreeMap::new();
        for place in places {
            let endpoints = self.endpoints(&place).await?;
            services.insert(place, endpoints);
        }
        raw.into_iter()
            .map(|webhook| webhook.read(&services).map_err(Failure::Refused))
            .collect()
    }

    async fn endpoints(&self, (namespace, name): &Place) -> Result<Endpoints, Failure> {
        let services: Api<core::Service> = Api::namespaced(self.client.clone(), namespace);
        let what = format!("reading Service {namespace}/{name}");
        match self.read(&what, || services.get(name)).await {
            Ok(service) => Ok(behind(service)),
            Err(Failure::NotFound(_)) => Ok(Endpoints::Missing),
            Err(failure) => Err(failure),
        }
    }

    async fn storage(&self) -> Result<Storage, Failure> {
        let all = || self.client.clone();
        let (volumes, classes, drivers) = futures::try_join!(
            self.list::<core::PersistentVolume>("listing volumes", Api::all(all()), None),
            self.list::<StorageClass>("listing storage classes", Api::all(all()), None),
            self.list::<CSIDriver>("listing CSI drivers", Api::all(all()), None),
        )?;
        let mut storage = Storage {
            csi_drivers: drivers
                .0
                .into_iter()
                .filter_map(|driver| driver.metadata.name)
                .collect(),
            ..Storage::default()
        };
        for volume in volumes.0 {
            let name = volume.metadata.name.unwrap_or_default();
            if let Some(plugin) = volume.spec.as_ref().and_then(plugin) {
                storage.uses(plugin, format!("PersistentVolume {name}"));
            }
        }
        for class in classes.0 {
            let name = class.metadata.name.unwrap_or_default();
            if let Some((plugin, _)) = IN_TREE.iter().find(|(_, by)| *by == class.provisioner) {
                storage.uses(plugin, format!("StorageClass {name}"));
            }
        }
        Ok(storage)
    }

    /// Plugins that the Corefile of kubeadm's CoreDNS names; none where there is no such Corefile.
    async fn corefile(&self) -> Result<BTreeSet<String>, Failure> {
        match self.config_map("coredns", "Corefile").await {
            Ok(text) => Ok(plugins_of(&text)),
            Err(Failure::NotFound(_)) => Ok(BTreeSet::new()),
            Err(failure) => Err(failure),
        }
    }
}

/// A webhook of either kind.
struct Raw {
    kind: WebhookKind,
    configuration: String,
    name: String,
    failure_policy: Option<String>,
    client: admission::WebhookClientConfig,
    rules: Vec<admission::RuleWithOperations>,
    namespaces: Option<meta::LabelSelector>,
}

impl Raw {
    fn service(&self) -> Option<Place> {
        self.client
            .service
            .as_ref()
            .map(|service| (service.namespace.clone(), service.name.clone()))
    }

    fn read(self, services: &BTreeMap<Place, Endpoints>) -> Result<Webhook, String> {
        let backend = match self.service() {
            None => Backend::Url,
            Some(place) => {
                let endpoints = services.get(&place).cloned().unwrap_or(Endpoints::Missing);
                let (namespace, name) = place;
                Backend::Service {
                    namespace,
                    name,
                    endpoints,
                }
            }
        };
        let namespaces = match self.namespaces {
            Some(selector) => convert::selector(selector)
                .map_err(|why| format!("webhook {} of {}: {why}", self.name, self.configuration))?,
            None => Default::default(),
        };
        Ok(Webhook {
            kind: self.kind,
            configuration: self.configuration,
            name: self.name,
            // the server fills in `Fail` where nothing is said
            fails_closed: self.failure_policy.as_deref() != Some("Ignore"),
            backend,
            rules: self
                .rules
                .into_iter()
                .map(|rule| Rule {
                    operations: rule.operations.unwrap_or_default(),
                    groups: rule.api_groups.unwrap_or_default(),
                    resources: rule.resources.unwrap_or_default(),
                })
                .collect(),
            namespaces,
        })
    }
}

fn behind(service: core::Service) -> Endpoints {
    let spec = service.spec.unwrap_or_default();
    match spec.selector {
        Some(labels) if !labels.is_empty() && spec.type_.as_deref() != Some("ExternalName") => {
            Endpoints::Pods(labels)
        }
        Some(_) | None => Endpoints::Elsewhere,
    }
}

/// The in-tree plugin that a volume names, if it is one that leaves Kubernetes.
fn plugin(spec: &core::PersistentVolumeSpec) -> Option<&'static str> {
    [
        (
            "awsElasticBlockStore",
            spec.aws_elastic_block_store.is_some(),
        ),
        ("azureDisk", spec.azure_disk.is_some()),
        ("azureFile", spec.azure_file.is_some()),
        ("cephfs", spec.cephfs.is_some()),
        ("cinder", spec.cinder.is_some()),
        ("flocker", spec.flocker.is_some()),
        ("gcePersistentDisk", spec.gce_persistent_disk.is_some()),
        ("glusterfs", spec.glusterfs.is_some()),
        (
            "photonPersistentDisk",
            spec.photon_persistent_disk.is_some(),
        ),
        ("portworxVolume", spec.portworx_volume.is_some()),
        ("quobyte", spec.quobyte.is_some()),
        ("rbd", spec.rbd.is_some()),
        ("scaleIO", spec.scale_io.is_some()),
        ("storageos", spec.storageos.is_some()),
        ("vsphereVolume", spec.vsphere_volume.is_some()),
    ]
    .into_iter()
    .find_map(|(name, there)| there.then_some(name))
}

/// The first word of each line directly inside of a server block.
///
/// Source: coredns/coredns.io `content/manual/configuration.md`.
fn plugins_of(corefile: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut depth = 0_usize;
    for line in corefile.lines() {
        let words = line
            .split_whitespace()
            .take_while(|word| !word.starts_with('#'));
        for (index, word) in words.enumerate() {
            match word {
                "{" => depth += 1,
                "}" => depth = depth.saturating_sub(1),
                name if depth == 1 && index == 0 => {
                    names.insert(name.to_owned());
                }
                _ => {}
            }
        }
    }
    names
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_corefile_names_its_plugins() {
        // As kubeadm 1.34 writes it, with a block of someone's own.
        let text = ".:53 {\n    errors\n    health {\n       lameduck 5s\n    }\n    ready\n    kubernetes cluster.local in-addr.arpa ip6.arpa {\n       pods insecure\n       fallthrough in-addr.arpa ip6.arpa\n       ttl 30\n    }\n    # template is not used here\n    forward . /etc/resolv.conf {\n       max_concurrent 1000\n    }\n    loop\n}\nexample.org:53 {\n    template IN A { # ours\n      answer \"{{ .Name }} 60 IN A 10.0.0.1\"\n    }\n}\n";
        let names: Vec<String> = plugins_of(text).into_iter().collect();
        assert_eq!(
            names,
            [
                "errors",
                "forward",
                "health",
                "kubernetes",
                "loop",
                "ready",
                "template"
            ]
        );
    }

    #[test]
    fn a_webhook_without_a_policy_fails_closed() {
        let read = |policy: Option<&str>, selector: serde_json::Value| {
            Raw {
                kind: WebhookKind::Mutating,
                configuration: "injector".to_owned(),
                name: "x.example.org".to_owned(),
                failure_policy: policy.map(str::to_owned),
                client: serde_json::from_value(
                    json!({"service": {"namespace": "mesh", "name": "injector"}}),
                )
                .unwrap(),
                rules: serde_json::from_value(
                    json!([{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}]),
                )
                .unwrap(),
                namespaces: serde_json::from_value(selector).unwrap(),
            }
            .read(&BTreeMap::new())
        };
        let none = read(None, json!(null)).unwrap();
        assert!(none.fails_closed);
        assert!(matches!(
            none.backend,
            Backend::Service {
                endpoints: Endpoints::Missing,
                ..
            }
        ));
        assert!(!read(Some("Ignore"), json!({})).unwrap().fails_closed);
        let odd = json!({"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["1"]}]});
        assert!(read(None, odd).unwrap_err().contains("injector"));
    }

    #[test]
    fn every_in_tree_plugin_is_told_by_its_volume() {
        for (name, _) in IN_TREE {
            let source = match name {
                "cephfs" | "rbd" => json!({"monitors": [], "image": "i"}),
                "scaleIO" => json!({"gateway": "g", "system": "s", "secretRef": {}}),
                "quobyte" => json!({"registry": "r", "volume": "v"}),
                "azureFile" => json!({"secretName": "s", "shareName": "x"}),
                "azureDisk" => json!({"diskName": "d", "diskURI": "u"}),
                _ => {
                    json!({"volumeID": "v", "pdName": "p", "pdID": "p", "endpoints": "e", "path": "p", "volumePath": "p"})
                }
            };
            let spec = serde_json::from_value(json!({name: source})).unwrap();
            assert_eq!(plugin(&spec), Some(name));
        }
        let spec =
            serde_json::from_value(json!({"csi": {"driver": "d", "volumeHandle": "h"}})).unwrap();
        assert_eq!(plugin(&spec), None);
    }

    #[test]
    fn a_service_without_a_selector_says_nothing_of_pods() {
        let of = |spec: serde_json::Value| {
            behind(serde_json::from_value(json!({"spec": spec})).unwrap())
        };
        assert!(matches!(
            of(json!({"selector": {"app": "x"}})),
            Endpoints::Pods(_)
        ));
        assert_eq!(of(json!({})), Endpoints::Elsewhere);
        assert_eq!(
            of(json!({"selector": {"app": "x"}, "type": "ExternalName"})),
            Endpoints::Elsewhere
        );
    }
}
