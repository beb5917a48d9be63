//! What kubeadm keeps in ConfigMaps: its own configuration and the kubelets', as far as planning needs them.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::cluster::facts::{ExternalEtcd, KubeadmConfig, KubeletSettings};
use crate::host::parse;

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
    external: Option<External>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LocalEtcd {
    image_repository: Option<String>,
    image_tag: Option<String>,
    #[serde(default)]
    extra_args: serde_json::Value,
}

/// Source: kubernetes/kubernetes `cmd/kubeadm/app/apis/kubeadm/v1beta4/types.go`, `ExternalEtcd`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct External {
    endpoints: Vec<String>,
    ca_file: String,
    cert_file: String,
    key_file: String,
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
        external: config.etcd.external.map(|external| ExternalEtcd {
            endpoints: external.endpoints,
            ca_file: external.ca_file,
            cert_file: external.cert_file,
            key_file: external.key_file,
        }),
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
        let at = external.external.unwrap();
        assert_eq!(
            (at.endpoints, at.ca_file),
            (vec!["a".to_owned()], String::new())
        );
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
