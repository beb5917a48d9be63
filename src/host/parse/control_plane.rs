//! What kubeadm, the static pods and the API server of a control plane say.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Deserialize;

use super::machine::redacted;
use super::{Sections, json, success, wrong};
use crate::cluster::facts::Manifest;
use crate::host::op::{AnswerError, Output};
use crate::rules::version::Version;

/// The static pods that kubeadm writes.
const OF_KUBEADM: [&str; 4] = [
    "etcd.yaml",
    "kube-apiserver.yaml",
    "kube-controller-manager.yaml",
    "kube-scheduler.yaml",
];

/// kubeadm's annotation with the address that this API server advertises.
///
/// Source: kubernetes/kubernetes `cmd/kubeadm/app/constants/constants.go`, `KubeAPIServerAdvertiseAddressEndpointAnnotationKey`.
const ENDPOINT: &str = "kubeadm.kubernetes.io/kube-apiserver.advertise-address.endpoint";

/// Answer to `Query::Manifests`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifests {
    /// kubeadm's manifests, by file name.
    pub files: BTreeMap<String, Manifest>,
    /// Names of everything else beside them. The kubelet runs it too, unless its name starts with a dot
    /// (kubernetes/kubernetes#129358).
    pub stray: Vec<String>,
    /// This API server's own address, such as `https://10.77.0.11:6443`.
    pub endpoint: Option<String>,
    /// The API server in the kubeconfig of controller manager and scheduler, by component.
    pub servers: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct PodFile {
    #[serde(default)]
    metadata: Metadata,
    spec: Spec,
}

#[derive(Deserialize, Default)]
struct Metadata {
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Spec {
    containers: Vec<Container>,
}

#[derive(Deserialize)]
struct Container {
    image: String,
    #[serde(default)]
    command: Vec<String>,
    #[serde(default)]
    args: Vec<String>,
}

/// Reads the answer to `Query::Manifests`.
///
/// # Errors
/// If it is not the answer expected, or a manifest is not one.
pub fn manifests(output: &Output) -> Result<Manifests, AnswerError> {
    let sections = Sections::read("manifests", output)?;
    let (mut files, mut endpoint) = (BTreeMap::new(), None);
    for file in sections.files("path", "sha256", "text")? {
        // the error must not show the text: a manifest may hold anything
        let pod: PodFile = serde_saphyr::from_str(&file.text)
            .map_err(|_| sections.wrong(format!("{} is not a pod's manifest", file.path)))?;
        let Some(container) = pod.spec.containers.into_iter().next() else {
            return Err(sections.wrong(format!("{} has no container", file.path)));
        };
        if file.path == "kube-apiserver.yaml" {
            endpoint = pod
                .metadata
                .annotations
                .get(ENDPOINT)
                .map(|address| format!("https://{address}"));
        }
        let flags = container.command.iter().skip(1).chain(&container.args);
        let manifest = Manifest {
            sha256: file.sha256,
            image: container.image,
            flags: flags.map(|flag| redacted(flag)).collect(),
        };
        files.insert(file.path, manifest);
    }
    let mut stray: Vec<String> = sections
        .text("all")?
        .lines()
        .filter(|name| !OF_KUBEADM.contains(name))
        .map(str::to_owned)
        .collect();
    stray.sort();
    Ok(Manifests {
        files,
        stray,
        endpoint,
        servers: servers(&sections)?,
    })
}

/// Where each client finds its API server. A kubeconfig with several of them says nothing.
fn servers(sections: &Sections<'_>) -> Result<BTreeMap<String, String>, AnswerError> {
    let mut servers = BTreeMap::new();
    for pair in sections.sections.windows(2) {
        let [client, server] = pair else { continue };
        if client.name != "client" {
            continue;
        }
        let found: BTreeSet<&str> = sections
            .good(server)?
            .lines()
            .map(|line| line.trim().trim_matches(['"', '\'']))
            .collect();
        if let (Some(server), 1) = (found.first(), found.len()) {
            servers.insert(sections.good(client)?.to_owned(), (*server).to_owned());
        }
    }
    Ok(servers)
}

impl Manifests {
    /// The releases of API server, controller manager and scheduler, as their images' tags say.
    ///
    /// # Errors
    /// If one of them is missing or its tag is not a release.
    pub fn versions(&self) -> Result<BTreeSet<Version>, AnswerError> {
        OF_KUBEADM
            .iter()
            .filter(|name| **name != "etcd.yaml") // has releases of its own
            .map(|name| {
                let image = &self
                    .files
                    .get(*name)
                    .ok_or_else(|| wrong("manifests", format!("{name} is missing")))?
                    .image;
                let unpinned = image
                    .split_once('@')
                    .map_or(image.as_str(), |(name, _)| name);
                unpinned
                    .rsplit_once(':')
                    .and_then(|(_, tag)| tag.parse().ok())
                    .ok_or_else(|| {
                        wrong("manifests", format!("`{image}` has no release for a tag"))
                    })
            })
            .collect()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GitVersion {
    git_version: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClientVersion {
    client_version: GitVersion,
}

fn release(command: &str, text: &str) -> Result<Version, AnswerError> {
    text.parse()
        .map_err(|error| wrong(command, format!("{error}")))
}

/// Reads the answer to `Query::KubeadmVersion`.
///
/// # Errors
/// If it is not the answer expected.
pub fn kubeadm_version(output: &Output) -> Result<Version, AnswerError> {
    const COMMAND: &str = "kubeadm version";
    let answer: ClientVersion = json(COMMAND, success(COMMAND, output)?)?;
    release(COMMAND, &answer.client_version.git_version)
}

/// Reads the answer to `Query::ApiServerVersion`.
///
/// # Errors
/// If it is not the answer expected; also while the API server does not answer.
pub fn api_version(output: &Output) -> Result<Version, AnswerError> {
    let sections = Sections::read("/version of this API server", output)?;
    let answer: GitVersion = sections.json("version")?;
    release("/version of this API server", &answer.git_version)
}

/// Answer to `Query::ApiServerReady`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApiReady {
    /// Every check passed.
    Ready,
    /// Not ready, or no answer: what it said.
    NotReady(String),
}

/// Reads the answer to `Query::ApiServerReady`.
///
/// # Errors
/// If it is not an answer at all.
pub fn api_ready(output: &Output) -> Result<ApiReady, AnswerError> {
    let sections = Sections::read("/readyz of this API server", output)?;
    let section = sections.get("ready")?;
    let says_ready = section
        .text
        .lines()
        .any(|line| line == "readyz check passed");
    Ok(if section.status == 0 && says_ready {
        ApiReady::Ready
    } else {
        // kubectl quotes what the server said, line breaks included
        let checks: Vec<&str> = section
            .text
            .split("[-]")
            .skip(1)
            .filter_map(|rest| rest.split_whitespace().next())
            .collect();
        if checks.is_empty() {
            ApiReady::NotReady(section.text.trim().to_owned())
        } else {
            ApiReady::NotReady(checks.join(", "))
        }
    })
}

#[derive(Deserialize)]
struct Expirations {
    certificates: Vec<Certificate>,
    #[serde(rename = "certificateAuthorities")]
    authorities: Vec<Certificate>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Certificate {
    name: String,
    expiration_date: Option<Timestamp>,
    #[serde(default)]
    missing: bool,
}

/// Reads the answer to `Query::Certificates`: when each certificate that is there ends, by kubeadm's name of it.
///
/// Source: kubernetes/kubernetes `cmd/kubeadm/app/apis/output/v1alpha3/types.go`, `CertificateExpirationInfo`.
///
/// # Errors
/// If it is not the answer expected.
pub fn certificates(output: &Output) -> Result<BTreeMap<String, Timestamp>, AnswerError> {
    const COMMAND: &str = "kubeadm certs check-expiration";
    let text = success(COMMAND, output)?;
    // some releases first say on standard output where they read their configuration
    let start = if text.starts_with('{') {
        Some(0)
    } else {
        text.find("\n{").map(|at| at + 1)
    };
    let start = start.ok_or_else(|| wrong(COMMAND, "no JSON"))?;
    let answer: Expirations = json(COMMAND, &text[start..])?;
    answer
        .certificates
        .into_iter()
        .chain(answer.authorities)
        .filter(|certificate| !certificate.missing)
        .map(|certificate| match certificate.expiration_date {
            Some(end) => Ok((certificate.name, end)),
            None => Err(wrong(COMMAND, format!("{} has no end", certificate.name))),
        })
        .collect()
}

#[derive(Deserialize)]
struct CrictlImages {
    images: Vec<CrictlImage>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CrictlImage {
    repo_tags: Vec<String>,
}

/// Reads the answer to `Query::Images`: those that kubeadm wants and the runtime does not have.
///
/// # Errors
/// If it is not the answer expected.
pub fn images(output: &Output) -> Result<Vec<String>, AnswerError> {
    let sections = Sections::read("images", output)?;
    let present: BTreeSet<String> = if sections.get("present-crictl").is_ok() {
        let answer: CrictlImages = sections.json("present-crictl")?;
        answer
            .images
            .into_iter()
            .flat_map(|image| image.repo_tags)
            .collect()
    } else {
        sections
            .text("present-ctr")?
            .lines()
            .map(str::to_owned)
            .collect()
    };
    let wanted = sections.text("wanted")?;
    if wanted.is_empty()
        || wanted
            .lines()
            .any(|line| line.contains(' ') || !line.contains(':'))
    {
        return Err(sections.wrong("kubeadm did not list images"));
    }
    Ok(wanted
        .lines()
        .filter(|image| !present.contains(*image))
        .map(str::to_owned)
        .collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::testing::answer;
    use super::*;

    const SHA: &str = "d7adf89cbf90a86bdeea00ec08e74ec66acabc372d0cdc7ce2054b9da02b3fbe  /x";

    fn pod(image: &str, flag: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata:\n  annotations:\n    {ENDPOINT}: 10.77.0.11:6443\nspec:\n  containers:\n  - command:\n    - program\n    - {flag}\n    image: {image}\n    name: x\nstatus: {{}}\n"
        )
    }

    fn control_plane(tags: [&str; 3]) -> Output {
        let names = [
            "kube-apiserver",
            "kube-controller-manager",
            "kube-scheduler",
        ];
        let texts: Vec<(String, String)> = names
            .iter()
            .zip(tags)
            .map(|(name, tag)| {
                let image = format!("registry.k8s.io/{name}:{tag}");
                (format!("{name}.yaml"), pod(&image, "--token=abc"))
            })
            .collect();
        let mut sections = Vec::new();
        for (name, text) in &texts {
            sections.extend([
                ("path", 0, name.as_str()),
                ("sha256", 0, SHA),
                ("text", 0, text.as_str()),
            ]);
        }
        sections.push(("all", 0, "kube-apiserver.yaml\nkube-controller-manager.yaml\nkube-scheduler.yaml\netcd.yaml.backup\n.hidden"));
        sections.push(("client", 0, "kube-controller-manager"));
        sections.push(("server", 0, "\"https://10.77.0.11:6443\"\n"));
        sections.push(("client", 0, "kube-scheduler"));
        sections.push((
            "server",
            0,
            "https://10.77.0.11:6443\nhttps://api.example.org:6443\n",
        ));
        answer(&sections)
    }

    #[test]
    fn manifests_are_read_without_their_secrets() {
        let read = manifests(&control_plane(["v1.34.4", "v1.34.4", "v1.35.4"])).unwrap();
        assert_eq!(read.endpoint.as_deref(), Some("https://10.77.0.11:6443"));
        assert_eq!(read.stray, [".hidden", "etcd.yaml.backup"]);
        // one names two servers, so that it says nothing
        assert_eq!(
            read.servers,
            BTreeMap::from([(
                "kube-controller-manager".to_owned(),
                "https://10.77.0.11:6443".to_owned()
            )])
        );
        assert_eq!(
            read.files["kube-scheduler.yaml"].image,
            "registry.k8s.io/kube-scheduler:v1.35.4"
        );
        assert_eq!(
            read.files["kube-scheduler.yaml"].flags,
            ["--token=<redacted>"]
        );
        assert_eq!(read.versions().unwrap().len(), 2);
    }

    #[test]
    fn a_manifest_that_is_none_is_an_error_that_does_not_show_it() {
        let sections = [
            ("path", 0, "etcd.yaml"),
            ("sha256", 0, SHA),
            ("text", 0, "password: hunter2\n  x"),
            ("all", 0, "etcd.yaml"),
        ];
        let error = manifests(&answer(&sections)).unwrap_err().to_string();
        assert!(
            error.contains("etcd.yaml") && !error.contains("hunter2"),
            "{error}"
        );
        let odd = manifests(&control_plane(["v1.34.4", "latest", "v1.34.4"])).unwrap();
        assert!(odd.versions().is_err());
    }

    #[test]
    fn releases_are_read() {
        let output = |stdout: &str| Output {
            stdout: stdout.to_owned(),
            ..Output::default()
        };
        let text = r#"{"clientVersion": {"major": "1", "minor": "34", "gitVersion": "v1.34.4", "goVersion": "go1.26.8"}}"#;
        assert_eq!(kubeadm_version(&output(text)), Ok(Version::new(1, 34, 4)));
        assert!(kubeadm_version(&output("v1.34.4")).is_err());
        let text =
            r#"{"major": "1", "minor": "35", "gitVersion": "v1.35.4", "emulationMajor": "1"}"#;
        assert_eq!(
            api_version(&answer(&[("version", 0, text)])),
            Ok(Version::new(1, 35, 4))
        );
        assert!(api_version(&answer(&[("version", 1, "")])).is_err());
    }

    #[test]
    fn readiness_says_what_fails() {
        let good = "[+]ping ok\n[+]etcd ok\nreadyz check passed";
        assert_eq!(
            api_ready(&answer(&[("ready", 0, good)])),
            Ok(ApiReady::Ready)
        );
        for bad in [
            "[+]ping ok\n[-]etcd failed: reason withheld\nreadyz check failed",
            "Error from server (InternalError): an error on the server (\"[-]etcd failed: reason withheld\\n[+]ping ok\\n\
             readyz check failed\") has prevented the request from succeeding",
        ] {
            assert_eq!(
                api_ready(&answer(&[("ready", 1, bad)])),
                Ok(ApiReady::NotReady("etcd".to_owned()))
            );
        }
        assert!(matches!(
            api_ready(&answer(&[("ready", 0, "ok?")])),
            Ok(ApiReady::NotReady(_))
        ));
    }

    #[test]
    fn certificates_are_read_and_missing_ones_left_out() {
        let stdout = r#"[check-expiration] Reading configuration from the cluster...
{
    "kind": "CertificateExpirationInfo",
    "apiVersion": "output.kubeadm.k8s.io/v1alpha3",
    "certificates": [
        {"name": "admin.conf", "expirationDate": "2027-11-21T11:35:39Z", "residualTime": 31535581, "externallyManaged": false, "caName": "ca", "missing": false},
        {"name": "super-admin.conf", "expirationDate": null, "residualTime": 0, "externallyManaged": false, "missing": true}
    ],
    "certificateAuthorities": [
        {"name": "ca", "expirationDate": "2036-11-18T11:35:39Z", "residualTime": 315359581, "externallyManaged": false, "missing": false}
    ]
}"#;
        let output = Output {
            stdout: stdout.to_owned(),
            ..Output::default()
        };
        let read = certificates(&output).unwrap();
        assert_eq!(read.keys().collect::<Vec<_>>(), ["admin.conf", "ca"]);
        assert_eq!(read["admin.conf"].to_string(), "2027-11-21T11:35:39Z");
    }

    #[test]
    fn images_are_those_still_to_pull() {
        let wanted = "registry.k8s.io/kube-apiserver:v1.35.4\nregistry.k8s.io/pause:3.10.1";
        let ctr = "registry.k8s.io/pause:3.10.1\nregistry.k8s.io/pause@sha256:8180872c";
        let missing = images(&answer(&[("wanted", 0, wanted), ("present-ctr", 0, ctr)])).unwrap();
        assert_eq!(missing, ["registry.k8s.io/kube-apiserver:v1.35.4"]);
        let crictl = r#"{"images": [{"id": "x", "repoTags": ["registry.k8s.io/kube-apiserver:v1.35.4", "registry.k8s.io/pause:3.10.1"]}]}"#;
        assert_eq!(
            images(&answer(&[
                ("wanted", 0, wanted),
                ("present-crictl", 0, crictl)
            ])),
            Ok(vec![])
        );
        assert!(images(&answer(&[("wanted", 1, ""), ("present-ctr", 0, ctr)])).is_err());
    }
}
