//! Which packages a host gets, from where: exact revisions, the repository's file, its key.

use std::collections::BTreeMap;

use super::file::sha256;
use super::reason::{Reason, RepositoryTrouble};
use super::view::{HostView, release_of_revision};
use super::work::Work;
use crate::cluster::facts::{Observed, Offer, PackageManager};
use crate::cluster::model::HostName;
use crate::documents::settings::{KeySource, Upgrade};
use crate::host::op::{KeyText, PackageRevision};
use crate::rules::version::{Minor, Version};

/// The packages that refit holds and installs.
pub const PACKAGES: [&str; 3] = ["kubeadm", "kubectl", "kubelet"];

/// Where the key of apt's repository goes. Armoured keys must end in `.asc` (apt-secure(8), `signed-by`); this is the path
/// of the Kubernetes documentation but for that ending.
const APT_KEY: &str = "/etc/apt/keyrings/kubernetes-apt-keyring.asc";
/// Where rpm keeps keys.
const RPM_KEY: &str = "/etc/pki/rpm-gpg/RPM-GPG-KEY-kubernetes";

/// How many revisions are named when the target is not among them.
const NEAREST: usize = 3;

/// What a host's packages come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packages {
    /// What installs packages.
    pub manager: PackageManager,
    /// The repository's new file, where it must change.
    pub switch: Option<Switch>,
    /// kubeadm (and kubectl, where only that was left behind) at exact revisions.
    pub kubeadm: Vec<PackageRevision>,
    /// kubelet and kubectl at exact revisions.
    pub kubelet: Vec<PackageRevision>,
}

/// A repository's new file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switch {
    /// The file.
    pub file: String,
    /// Its new text.
    pub content: String,
    /// Where the key goes.
    pub key_file: String,
    /// The key.
    pub key: KeyText,
    /// Its SHA-256.
    pub key_sha256: String,
}

/// The repository's URL for a minor.
#[must_use]
pub fn expand(template: &str, minor: Minor, manager: PackageManager) -> String {
    template
        .replace("{minor}", &minor.to_string())
        .replace("{format}", manager.format())
}

/// A URL without its last slash and without a login, which facts never hold: what is left names the repository.
fn bare(url: &str) -> String {
    let url = url.trim_end_matches('/');
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}/{path}")
}

/// A host's packages.
///
/// # Errors
/// Everything that keeps them from being obtainable.
pub fn resolve(
    host: &HostView<'_>,
    work: Work,
    target: &Version,
    upgrade: &Upgrade,
    key_text: Option<&str>,
) -> Result<Packages, Vec<Reason>> {
    let manager = host.packages.manager;
    let mut reasons = Vec::new();
    let minor = target.minor();
    let unknown = |error: String| {
        vec![Reason::Unknown {
            place: host.name().to_string(),
            what: format!("what the repository of {minor} offers"),
            error,
        }]
    };
    let offer = match host.offers.get(&minor) {
        Some(Observed::Known(offer)) => offer,
        Some(Observed::Unknown(error)) => return Err(unknown(error.clone())),
        None => {
            return Err(unknown(
                "the facts do not have it: run `refit inspect` with this declaration".to_owned(),
            ));
        }
    };
    let url = expand(&upgrade.packages.repository, minor, manager);
    if bare(&offer.url) != bare(&url) {
        return Err(vec![Reason::OtherRepository {
            host: host.name().clone(),
            facts: offer.url.clone(),
            wanted: url,
        }]);
    }
    let mut revision = |package: &str| match newest(offer, package, target) {
        Some(revision) => Some(PackageRevision {
            name: package.to_owned(),
            revision,
        }),
        None => {
            reasons.push(Reason::NotOffered {
                host: host.name().clone(),
                package: package.to_owned(),
                version: target.clone(),
                url: url.clone(),
                nearest: nearest(offer, package, target),
            });
            None
        }
    };
    let has_kubectl = host.installed.contains_key("kubectl");
    let mut kubeadm = Vec::new();
    if work.kubeadm {
        kubeadm.extend(revision("kubeadm"));
    }
    let mut kubelet = Vec::new();
    if has_kubectl && work.kubelet {
        kubelet.extend(revision("kubectl"));
    } else if work.kubectl {
        kubeadm.extend(revision("kubectl"));
    }
    if work.kubelet {
        kubelet.extend(revision("kubelet"));
    }
    let switch = match switch(host, upgrade, (minor, offer), &url, key_text) {
        Ok(switch) => switch,
        Err(reason) => {
            reasons.push(*reason);
            None
        }
    };
    if !reasons.is_empty() {
        return Err(reasons);
    }
    Ok(Packages {
        manager,
        switch,
        kubeadm,
        kubelet,
    })
}

/// Packages that are to be held and are not yet.
#[must_use]
pub fn to_hold(host: &HostView<'_>) -> Vec<String> {
    PACKAGES
        .iter()
        .filter(|package| host.installed.contains_key(*package))
        .filter(|package| !host.held.contains(*package))
        .map(|package| (*package).to_owned())
        .collect()
}

/// The newest revision of the target: offers are listed newest first.
fn newest(offer: &Offer, package: &str, target: &Version) -> Option<String> {
    offer
        .revisions
        .get(package)?
        .iter()
        .find(|revision| release_of_revision(revision).as_ref() == Some(target))
        .cloned()
}

fn nearest(offer: &Offer, package: &str, target: &Version) -> Vec<String> {
    let mut found: Vec<(u64, &String)> = offer
        .revisions
        .get(package)
        .into_iter()
        .flatten()
        .filter_map(|revision| {
            let release = release_of_revision(revision)?;
            let minors = release.minor().ahead_of(target.minor()).unsigned_abs();
            Some((
                minors * 1000 + release.patch().abs_diff(target.patch()),
                revision,
            ))
        })
        .collect();
    // Stable: of equally near ones, the newest stays first.
    found.sort_by_key(|(distance, _)| *distance);
    found
        .into_iter()
        .take(NEAREST)
        .map(|(_, revision)| revision.clone())
        .collect()
}

fn switch(
    host: &HostView<'_>,
    upgrade: &Upgrade,
    (minor, offer): (Minor, &Offer),
    url: &str,
    key_text: Option<&str>,
) -> Result<Option<Switch>, Box<Reason>> {
    let manager = host.packages.manager;
    let trouble = |trouble| {
        Box::new(Reason::Repository {
            host: host.name().clone(),
            trouble,
        })
    };
    let found = &host.packages.repositories;
    let (file, known) = match &upgrade.packages.repo_file {
        Some(path) => (path, found.iter().find(|file| &file.path == path)),
        None => match &found[..] {
            [] => return Err(trouble(RepositoryTrouble::NoneFound)),
            [file] => (&file.path, Some(file)),
            [_, _, ..] => {
                let paths = found.iter().map(|file| file.path.clone()).collect();
                return Err(trouble(RepositoryTrouble::Several(paths)));
            }
        },
    };
    let now = host
        .switched
        .as_ref()
        .or_else(|| known.map(|known| &known.url));
    if now.is_some_and(|now| bare(now) == bare(url)) {
        return Ok(None);
    }
    if known.is_some_and(|known| !known.exclusive) {
        return Err(trouble(RepositoryTrouble::Shared(file.clone())));
    }
    let key = match &upgrade.packages.key {
        KeySource::Url(template) => KeyText::Url(expand(template, minor, manager)),
        KeySource::File(_) => {
            let text = key_text.ok_or(Reason::KeyNotRead)?;
            if sha256(text.as_bytes()) != offer.key_sha256 {
                return Err(Box::new(Reason::KeyChanged {
                    host: host.name().clone(),
                }));
            }
            KeyText::Text(text.to_owned())
        }
    };
    let key_file = match manager {
        PackageManager::Apt => APT_KEY,
        PackageManager::Dnf | PackageManager::Yum => RPM_KEY,
    };
    Ok(Some(Switch {
        file: file.clone(),
        content: content(manager, file, url, key_file),
        key_file: key_file.to_owned(),
        key,
        key_sha256: offer.key_sha256.clone(),
    }))
}

/// The repository's file, as the Kubernetes documentation writes it.
///
/// Source: kubernetes/website `content/en/docs/tasks/administer-cluster/kubeadm/change-package-repository.md`.
fn content(manager: PackageManager, file: &str, url: &str, key_file: &str) -> String {
    match manager {
        PackageManager::Apt if file.ends_with(".sources") => {
            format!("Types: deb\nURIs: {url}\nSuites: /\nSigned-By: {key_file}\n")
        }
        PackageManager::Apt => format!("deb [signed-by={key_file}] {url} /\n"),
        PackageManager::Dnf | PackageManager::Yum => format!(
            "[kubernetes]\nname=Kubernetes\nbaseurl={url}\nenabled=1\ngpgcheck=1\nrepo_gpgcheck=1\ngpgkey=file://{key_file}\nexclude=kubelet kubeadm kubectl cri-tools kubernetes-cni\n"
        ),
    }
}

/// Hosts that see different keys under one URL: somebody is being lied to.
#[must_use]
pub fn differing_keys(hosts: &[HostView<'_>]) -> Vec<Reason> {
    let mut by_url: BTreeMap<String, BTreeMap<String, Vec<HostName>>> = BTreeMap::new();
    for host in hosts {
        for offer in host.offers.values().filter_map(Observed::known) {
            by_url
                .entry(bare(&offer.url))
                .or_default()
                .entry(offer.key_sha256.clone())
                .or_default()
                .push(host.name().clone());
        }
    }
    by_url
        .into_iter()
        .filter(|(_, keys)| keys.len() > 1)
        .map(|(url, keys)| Reason::KeysDiffer { url, keys })
        .collect()
}
