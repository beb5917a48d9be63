//! What package managers and their repositories say, whichever manager a host has: [`apt`] and [`rpm`] read their own ways of
//! saying it.

mod apt;
mod rpm;

use std::collections::{BTreeMap, BTreeSet};

use super::{File, RunningKubelet, Sections};
use crate::cluster::facts::{Offer, PackageFacts, PackageManager, RepositoryFile};
use crate::host::op::{AnswerError, KeyText, Output};

/// Answer to `Query::Installed`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// Revisions of those of kubeadm, kubectl and kubelet that are installed and configured.
    pub revisions: BTreeMap<String, String>,
    /// Which of them are held.
    pub held: BTreeSet<String>,
    /// What runs.
    pub kubelet: RunningKubelet,
}

/// Answer to `Query::Repository`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// SHA-256 of the repository file, if it is there.
    pub file_sha256: Option<String>,
    /// SHA-256 of the key, if it is there.
    pub key_sha256: Option<String>,
    /// The package lists of this file have been fetched.
    pub lists_fetched: bool,
}

fn manager(sections: &Sections<'_>) -> Result<PackageManager, AnswerError> {
    match sections.text("manager")? {
        "apt" => Ok(PackageManager::Apt),
        "dnf" => Ok(PackageManager::Dnf),
        "yum" => Ok(PackageManager::Yum),
        other => Err(sections.wrong(format!("`{other}` is no package manager"))),
    }
}

type Revisions = BTreeMap<String, String>;

/// Reads the answer to `Query::Installed`.
///
/// # Errors
/// If it is not the answer expected.
pub fn installed(output: &Output) -> Result<Installed, AnswerError> {
    let sections = Sections::read("installed", output)?;
    let (revisions, held) = match manager(&sections)? {
        PackageManager::Apt => apt::dpkg(&sections)?,
        PackageManager::Dnf | PackageManager::Yum => rpm::rpm(
            &sections,
            &sections.files("source-path", "source-sha256", "source-text")?,
        )?,
    };
    Ok(Installed {
        revisions,
        held,
        kubelet: RunningKubelet::read(sections.text("kubelet")?, "installed")?,
    })
}

/// Reads the answer to `Query::Packages`.
///
/// # Errors
/// If it is not the answer expected.
pub fn packages(output: &Output) -> Result<PackageFacts, AnswerError> {
    let sections = Sections::read("packages", output)?;
    let manager = manager(&sections)?;
    let files = sections.files("source-path", "source-sha256", "source-text")?;
    let ((installed, held), repositories, offered) = match manager {
        PackageManager::Apt => (
            apt::dpkg(&sections)?,
            apt::repositories(&files),
            apt::madison(&sections)?,
        ),
        PackageManager::Dnf | PackageManager::Yum => (
            rpm::rpm(&sections, &files)?,
            rpm::repositories(&files),
            rpm::list(&sections)?,
        ),
    };
    let audit = sections.text("audit")?;
    let trouble = match manager {
        PackageManager::Apt if !audit.is_empty() => Some(format!(
            "dpkg --audit: {}",
            audit.split_whitespace().collect::<Vec<_>>().join(" ")
        )),
        PackageManager::Apt | PackageManager::Dnf | PackageManager::Yum => None,
    };
    Ok(PackageFacts {
        manager,
        installed,
        held,
        repositories,
        offered,
        trouble,
    })
}

/// Reads the answer to `Query::Offer`.
///
/// # Errors
/// If it is not the answer expected, or nothing is offered.
pub fn offer(
    output: &Output,
    manager: PackageManager,
    url: &str,
    key: &KeyText,
) -> Result<Offer, AnswerError> {
    let sections = Sections::read("offer", output)?;
    let revisions = match manager {
        PackageManager::Apt => apt::madison(&sections)?,
        PackageManager::Dnf | PackageManager::Yum => rpm::list(&sections)?,
    };
    if revisions.is_empty() {
        return Err(sections.wrong(format!("{url} offers no package of Kubernetes")));
    }
    Ok(Offer {
        url: url.to_owned(),
        key_url: match key {
            KeyText::Url(url) => Some(url.clone()),
            KeyText::Text(_) => None,
        },
        key_sha256: sections.digest(sections.text("key-sha256")?)?,
        revisions,
    })
}

/// Whether a repository carries Kubernetes' own packages: the layout of the community's repositories (mirrors keep it),
/// or their retired predecessors.
///
/// Source: kubernetes/website `content/en/docs/tasks/administer-cluster/kubeadm/change-package-repository.md`.
fn of_kubernetes(url: &str) -> bool {
    [
        "/core:/stable:/v",
        "/core:/prerelease:/v",
        "pkgs.k8s.io",
        "apt.kubernetes.io",
        "packages.cloud.google.com/yum/repos/kubernetes",
    ]
    .iter()
    .any(|mark| url.contains(mark))
}

/// A URL without the login that it may hold.
fn without_login(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
            let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
            format!("{scheme}://{host}/{path}")
        }
        None => url.to_owned(),
    }
}

/// A file that names Kubernetes' repository, and whether it names nothing else.
fn repository_file(file: &File, urls: &[String]) -> Option<RepositoryFile> {
    let url = urls.iter().find(|url| of_kubernetes(url))?;
    Some(RepositoryFile {
        path: file.path.clone(),
        url: without_login(url),
        exclusive: urls.len() == 1,
        sha256: file.sha256.clone(),
    })
}

/// Reads the answer to `Query::Repository`.
///
/// # Errors
/// If it is not the answer expected.
pub fn repository(output: &Output) -> Result<Repository, AnswerError> {
    let sections = Sections::read("repository", output)?;
    let digest = |name: &str| match sections.text(name)? {
        "" => Ok(None),
        printed => sections.digest(printed).map(Some),
    };
    Ok(Repository {
        file_sha256: digest("file")?,
        key_sha256: digest("key")?,
        lists_fetched: match sections.text("lists")? {
            "fetched" => true,
            "missing" => false,
            other => return Err(sections.wrong(format!("`{other}` is no state of package lists"))),
        },
    })
}

/// Reads the answer to `Query::Prefetched`: whether nothing would have to be downloaded.
///
/// # Errors
/// If it is not the answer expected.
pub fn prefetched(output: &Output) -> Result<bool, AnswerError> {
    let sections = Sections::read("prefetched", output)?;
    let section = sections.get("missing")?;
    match (section.status, section.text.trim().parse::<u32>()) {
        (0, Ok(missing)) => Ok(missing == 0),
        // apt's general error: it does not know this revision (yet), so that it cannot be in the cache
        (100, _) => Ok(false),
        _ => Err(sections.failed(section)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::testing::answer;
    use super::*;

    const SHA: &str = "c98302f457ab3b35920fb857ad49bd3968c02429f8734def877f5518b0043f49  /etc/apt/sources.list.d/kubernetes.list";

    #[test]
    fn a_lab_node_is_read() {
        let facts = packages(&answer(&[
            ("manager", 0, "apt"),
            ("installed", 0, "kubeadm\t1.34.4-1.1\thi \nkubectl\t1.34.4-1.1\tii \nkubelet\t1.34.4-1.1\thi "),
            ("audit", 0, ""),
            ("offered", 0, "   kubeadm | 1.34.4-1.1 | http://pkgs.lab/core:/stable:/v1.34/deb ./ Packages\n   kubelet | 1.34.4-1.1 | http://pkgs.lab/core:/stable:/v1.34/deb ./ Packages\n   kubelet | 1.34.2-1.1 | http://pkgs.lab/core:/stable:/v1.34/deb ./ Packages"),
            ("source-path", 0, "/etc/apt/sources.list"),
            ("source-sha256", 0, SHA),
            ("source-text", 0, ""),
            ("source-path", 0, "/etc/apt/sources.list.d/kubernetes.list"),
            ("source-sha256", 0, SHA),
            ("source-text", 0, "deb [signed-by=/etc/apt/keyrings/kubernetes-apt-keyring.gpg] http://pkgs.lab/core:/stable:/v1.34/deb/ ./"),
        ]))
        .unwrap();
        assert_eq!(facts.manager, PackageManager::Apt);
        assert_eq!(facts.installed["kubelet"], "1.34.4-1.1");
        assert_eq!(
            facts.held,
            BTreeSet::from(["kubeadm".to_owned(), "kubelet".to_owned()])
        );
        assert_eq!(facts.offered["kubelet"], ["1.34.4-1.1", "1.34.2-1.1"]);
        assert_eq!(facts.repositories.len(), 1);
        assert_eq!(
            facts.repositories[0].url,
            "http://pkgs.lab/core:/stable:/v1.34/deb/"
        );
        assert!(facts.repositories[0].exclusive);
        assert_eq!(facts.trouble, None);
    }

    #[test]
    fn a_repository_is_what_its_digests_say() {
        let read = repository(&answer(&[
            ("file", 0, SHA),
            ("key", 0, ""),
            ("lists", 0, "missing"),
        ]))
        .unwrap();
        assert_eq!(read.file_sha256.as_deref(), Some(&SHA[..64]));
        assert_eq!((read.key_sha256, read.lists_fetched), (None, false));
        assert!(
            repository(&answer(&[
                ("file", 0, "zzz"),
                ("key", 0, ""),
                ("lists", 0, "missing")
            ]))
            .is_err()
        );
    }

    #[test]
    fn nothing_to_download_means_prefetched() {
        assert_eq!(prefetched(&answer(&[("missing", 0, "0")])), Ok(true));
        assert_eq!(prefetched(&answer(&[("missing", 0, "3")])), Ok(false));
        assert_eq!(prefetched(&answer(&[("missing", 100, "")])), Ok(false));
        assert!(prefetched(&answer(&[("missing", 1, "")])).is_err());
    }

    #[test]
    fn an_empty_offer_is_an_error() {
        let key = KeyText::Url("https://pkgs.k8s.io/key".to_owned());
        let sections = [("key-sha256", 0, SHA), ("offered", 0, "")];
        assert!(offer(&answer(&sections), PackageManager::Apt, "https://x/", &key).is_err());
        let sections = [
            ("key-sha256", 0, SHA),
            ("offered", 0, "kubeadm | 1.35.4-1.1 | http://x / Packages"),
        ];
        let read = offer(&answer(&sections), PackageManager::Apt, "https://x/", &key).unwrap();
        assert_eq!(read.revisions["kubeadm"], ["1.35.4-1.1"]);
        assert_eq!(read.key_sha256, SHA[..64]);
    }
}
