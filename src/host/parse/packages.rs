//! What package managers and their repositories say.

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

/// Installed revisions, and names that are held, as dpkg tells them.
///
/// Source: dpkg-query(1), `db:Status-Abbrev`: desired action, status, error flag.
fn dpkg(sections: &Sections<'_>) -> Result<(Revisions, BTreeSet<String>), AnswerError> {
    let section = sections.get("installed")?;
    // 1: one of the packages is not known to dpkg; the others are printed
    if !matches!(section.status, 0 | 1) {
        return Err(sections.failed(section));
    }
    let (mut revisions, mut held) = (Revisions::new(), BTreeSet::new());
    for line in section.text.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let (&[name, revision, state], Some(b'i' | b'h' | b'r' | b'p' | b'u')) = (
            fields.as_slice(),
            fields.last().and_then(|state| state.bytes().next()),
        ) else {
            return Err(sections.wrong(format!("`{line}` is no package of dpkg")));
        };
        if state.as_bytes().get(1) == Some(&b'i') {
            revisions.insert(name.to_owned(), revision.to_owned());
        }
        if state.starts_with('h') {
            held.insert(name.to_owned());
        }
    }
    Ok((revisions, held))
}

/// The same, as rpm and the versionlock plugin tell them. Without the plugin, a package that its repository's file
/// excludes counts as held: only `--disableexcludes` changes it.
fn rpm(
    sections: &Sections<'_>,
    files: &[File],
) -> Result<(Revisions, BTreeSet<String>), AnswerError> {
    let mut revisions = Revisions::new();
    for line in sections.get("installed")?.text.lines() {
        match line.split_once('\t') {
            Some((name, revision)) => {
                revisions.insert(name.to_owned(), revision.to_owned());
            }
            None if line.ends_with("is not installed") => {}
            None => return Err(sections.wrong(format!("`{line}` is no package of rpm"))),
        }
    }
    let locked = sections.get("locked")?;
    let excluded = files
        .iter()
        .flat_map(|file| file.text.lines())
        .filter_map(|line| {
            let (key, value) = line.split_once('=')?;
            matches!(key.trim(), "exclude" | "excludepkgs").then_some(value)
        });
    let excluded: BTreeSet<&str> = excluded
        .flat_map(|names| names.split([' ', ',']))
        .filter(|name| !name.is_empty())
        .collect();
    let held = revisions
        .keys()
        .filter(|name| {
            let by_plugin = locked.status == 0
                && locked.text.lines().any(|line| {
                    // `kubelet-0:1.35.4-1.1.*`, or with the epoch first
                    let line = line.trim();
                    let bare = line.split_once(':').map_or(line, |(epoch, rest)| {
                        if epoch.bytes().all(|b| b.is_ascii_digit()) {
                            rest
                        } else {
                            line
                        }
                    });
                    bare.strip_prefix(name.as_str())
                        .and_then(|rest| rest.strip_prefix('-'))
                        .is_some_and(|rest| {
                            rest.starts_with(|c: char| c.is_ascii_digit() || c == '*')
                        })
                });
            by_plugin || excluded.contains(name.as_str())
        })
        .cloned()
        .collect();
    Ok((revisions, held))
}

/// Reads the answer to `Query::Installed`.
///
/// # Errors
/// If it is not the answer expected.
pub fn installed(output: &Output) -> Result<Installed, AnswerError> {
    let sections = Sections::read("installed", output)?;
    let (revisions, held) = match manager(&sections)? {
        PackageManager::Apt => dpkg(&sections)?,
        PackageManager::Dnf | PackageManager::Yum => rpm(
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
            dpkg(&sections)?,
            apt_repositories(&files),
            madison(&sections)?,
        ),
        PackageManager::Dnf | PackageManager::Yum => (
            rpm(&sections, &files)?,
            rpm_repositories(&files),
            rpm_list(&sections)?,
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
        PackageManager::Apt => madison(&sections)?,
        PackageManager::Dnf | PackageManager::Yum => rpm_list(&sections)?,
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

/// `name | revision | source`, newest first as apt prints them.
fn madison(sections: &Sections<'_>) -> Result<BTreeMap<String, Vec<String>>, AnswerError> {
    let mut offered: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in sections.text("offered")?.lines() {
        let fields: Vec<&str> = line.split('|').map(str::trim).collect();
        let &[name, revision, source] = fields.as_slice() else {
            return Err(sections.wrong(format!("`{line}` is no line of apt-cache madison")));
        };
        let revisions = offered.entry(name.to_owned()).or_default();
        if !source.ends_with("Sources") && !revisions.iter().any(|known| known == revision) {
            revisions.push(revision.to_owned());
        }
    }
    Ok(offered)
}

/// `name.arch  [epoch:]version-release  repository`, oldest first as dnf prints them.
fn rpm_list(sections: &Sections<'_>) -> Result<BTreeMap<String, Vec<String>>, AnswerError> {
    let mut offered: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in sections.text("offered")?.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let &[name, revision, _] = fields.as_slice() else {
            continue; // headings: `Available Packages`
        };
        let Some((name, _)) = name.rsplit_once('.') else {
            continue;
        };
        let revision = revision.split_once(':').map_or(revision, |(_, rest)| rest);
        let revisions = offered.entry(name.to_owned()).or_default();
        if !revisions.iter().any(|known| known == revision) {
            revisions.insert(0, revision.to_owned());
        }
    }
    Ok(offered)
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

/// Source: sources.list(5), the one-line and the deb822 style.
fn apt_repositories(files: &[File]) -> Vec<RepositoryFile> {
    let mut found: Vec<RepositoryFile> = files
        .iter()
        .filter_map(|file| {
            let urls: Vec<String> = if file.path.ends_with(".sources") {
                file.text
                    .split("\n\n")
                    .filter(|stanza| {
                        !stanza
                            .lines()
                            .any(|line| line.to_ascii_lowercase().replace(' ', "") == "enabled:no")
                    })
                    .flat_map(str::lines)
                    .filter_map(|line| line.strip_prefix("URIs:"))
                    .flat_map(str::split_whitespace)
                    .map(str::to_owned)
                    .collect()
            } else {
                file.text
                    .lines()
                    .map(str::trim)
                    .filter(|line| {
                        line.starts_with("deb ")
                            || line.starts_with("deb-src ")
                            || line.starts_with("deb\t")
                    })
                    .filter_map(|line| {
                        let rest = line.split_once([' ', '\t'])?.1.trim_start();
                        let rest = match rest.strip_prefix('[') {
                            Some(options) => options.split_once(']')?.1.trim_start(),
                            None => rest,
                        };
                        rest.split_whitespace().next().map(str::to_owned)
                    })
                    .collect()
            };
            repository_file(file, &urls)
        })
        .collect();
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// Source: dnf.conf(5), repository options. A disabled repository counts too, for it is ours to replace.
fn rpm_repositories(files: &[File]) -> Vec<RepositoryFile> {
    let mut found: Vec<RepositoryFile> = files
        .iter()
        .filter_map(|file| {
            let urls: Vec<String> = file
                .text
                .lines()
                .filter_map(|line| {
                    let (key, value) = line.split_once('=')?;
                    matches!(key.trim(), "baseurl" | "mirrorlist" | "metalink")
                        .then(|| value.trim().to_owned())
                })
                .collect();
            repository_file(file, &urls)
        })
        .collect();
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
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

    fn file(path: &str, text: &str) -> File {
        File {
            path: path.to_owned(),
            sha256: SHA[..64].to_owned(),
            text: text.to_owned(),
        }
    }

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
    fn what_is_unpacked_but_not_configured_is_not_installed() {
        let read = installed(&answer(&[
            ("manager", 0, "apt"),
            (
                "installed",
                1,
                "kubeadm\t1.34.4-1.1\tiU \nkubelet\t1.34.4-1.1\thi ",
            ),
            ("kubelet", 0, "installed"),
        ]))
        .unwrap();
        assert_eq!(read.revisions.keys().collect::<Vec<_>>(), ["kubelet"]);
        for odd in ["kubelet 1.34.4", "kubelet\t1.34.4\t?? ", "kubelet\t1.34.4"] {
            let sections = [
                ("manager", 0, "apt"),
                ("installed", 0, odd),
                ("kubelet", 0, "installed"),
            ];
            assert!(installed(&answer(&sections)).is_err(), "{odd}");
        }
    }

    #[test]
    fn sources_are_read_in_both_styles() {
        let found = apt_repositories(&[
            file(
                "/etc/apt/sources.list",
                "# deb https://pkgs.k8s.io/core:/stable:/v1.30/deb/ /\ndeb http://deb.debian.org/debian bookworm main",
            ),
            file(
                "/etc/apt/sources.list.d/mixed.list",
                "deb http://deb.debian.org/debian bookworm main\ndeb [arch=amd64 signed-by=/a] https://user:pass@mirror/core:/stable:/v1.34/deb/ /",
            ),
            file(
                "/etc/apt/sources.list.d/k.sources",
                "Types: deb\nURIs: https://pkgs.k8s.io/core:/stable:/v1.34/deb/\nSuites: /\n\nTypes: deb\nURIs: https://example.org\nEnabled: no\n",
            ),
        ]);
        let shown: Vec<_> = found
            .iter()
            .map(|f| (f.path.as_str(), f.url.as_str(), f.exclusive))
            .collect();
        assert_eq!(
            shown,
            [
                (
                    "/etc/apt/sources.list.d/k.sources",
                    "https://pkgs.k8s.io/core:/stable:/v1.34/deb/",
                    true
                ),
                (
                    "/etc/apt/sources.list.d/mixed.list",
                    "https://mirror/core:/stable:/v1.34/deb/",
                    false
                ),
            ]
        );
    }

    #[test]
    fn rpm_hosts_are_read() {
        let repo = "[kubernetes]\nname=Kubernetes\nbaseurl=https://pkgs.k8s.io/core:/stable:/v1.34/rpm/\nexclude=kubelet kubeadm kubectl cri-tools kubernetes-cni";
        let sections = |locked: (i32, &'static str)| {
            answer(&[
                ("manager", 0, "dnf"),
                (
                    "installed",
                    1,
                    "kubeadm\t1.34.4-150500.1.1\nkubelet\t1.34.4-150500.1.1\npackage kubectl is not installed",
                ),
                ("locked", locked.0, locked.1),
                ("audit", 0, "rpm-4.16"),
                (
                    "offered",
                    0,
                    "Available Packages\nkubelet.x86_64  1.34.2-150500.1.1  kubernetes\nkubelet.x86_64  0:1.34.4-150500.1.1  kubernetes",
                ),
                ("source-path", 0, "/etc/yum.repos.d/kubernetes.repo"),
                ("source-sha256", 0, SHA),
                ("source-text", 0, repo),
                ("kubelet", 0, "installed"),
            ])
        };
        let facts = packages(&sections((1, ""))).unwrap();
        assert_eq!(facts.held.len(), 2, "excluded by the repository's file");
        assert_eq!(
            facts.offered["kubelet"],
            ["1.34.4-150500.1.1", "1.34.2-150500.1.1"]
        );
        assert!(facts.repositories[0].exclusive);
        let locked = "kubelet-0:1.34.4-150500.1.1.*";
        assert!(
            installed(&sections((0, locked)))
                .unwrap()
                .held
                .contains("kubelet")
        );
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
