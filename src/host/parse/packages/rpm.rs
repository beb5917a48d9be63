//! What rpm, dnf and yum say: revisions, holds, what repositories offer, and which they are.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{File, Sections};
use super::{Revisions, repository_file};
use crate::cluster::facts::RepositoryFile;
use crate::host::op::AnswerError;

/// Installed revisions, and names that are held, as rpm and versionlock tell them. Without the latter, a package that its repository's file
/// excludes counts as held: only `--disableexcludes` changes it.
pub(super) fn rpm(
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
            let by_plugin = locked.status == 0 && locks(&locked.text, name);
            by_plugin || excluded.contains(name.as_str())
        })
        .cloned()
        .collect();
    Ok((revisions, held))
}

/// Whether versionlock keeps the package, from what `versionlock list` prints. The plugin of dnf 4 and yum prints a pattern a
/// line; dnf 5 prints an entry for each rule of `/etc/dnf/versionlock.toml`: a name, then a condition a line.
///
/// Sources: rpm-software-management/dnf-plugins-core `plugins/versionlock.py`; rpm-software-management/dnf5
/// `libdnf5/rpm/versionlock_config.cpp`, `VersionlockPackage::to_string`, and `doc/commands/versionlock.8.rst`.
fn locks(text: &str, name: &str) -> bool {
    let mut entry = None;
    text.lines().map(str::trim).any(|line| {
        if let Some(pattern) = line.strip_prefix("Package name:") {
            entry = Some(pattern.trim());
            return false;
        }
        match entry {
            Some(pattern) => glob(pattern.as_bytes(), name.as_bytes()) && keeps(line),
            None => plugin_locks(line, name),
        }
    })
}

/// A condition that leaves a package where it is. One that only leaves out a release (`!=`) does not, and what dnf calls
/// invalid (after a `#`) does nothing at all.
fn keeps(condition: &str) -> bool {
    match condition.split_whitespace().collect::<Vec<_>>().as_slice() {
        ["evr", "=" | "==" | "<" | "<=", _] => true,
        [..] => false,
    }
}

/// `kubelet-0:1.35.4-1.1.*`, or with the epoch first.
fn plugin_locks(line: &str, name: &str) -> bool {
    let bare = line.split_once(':').map_or(line, |(epoch, rest)| {
        if epoch.bytes().all(|b| b.is_ascii_digit()) {
            rest
        } else {
            line
        }
    });
    bare.strip_prefix(name)
        .and_then(|rest| rest.strip_prefix('-'))
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit() || c == '*'))
}

/// A shell's pattern as far as names of packages use it: `*` and `?`.
fn glob(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern, name) {
        ([], name) => name.is_empty(),
        ([b'*', rest @ ..], name) => {
            glob(rest, name) || matches!(name, [_, tail @ ..] if glob(pattern, tail))
        }
        ([one, rest @ ..], [first, tail @ ..]) => {
            (*one == b'?' || one == first) && glob(rest, tail)
        }
        ([_, ..], []) => false,
    }
}

/// `name.arch  [epoch:]version-release  repository`, oldest first as dnf prints them.
pub(super) fn list(sections: &Sections<'_>) -> Result<BTreeMap<String, Vec<String>>, AnswerError> {
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

/// Source: dnf.conf(5), repository options. A disabled repository counts too, for it is ours to replace.
pub(super) fn repositories(files: &[File]) -> Vec<RepositoryFile> {
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::super::testing::answer;
    use super::super::{installed, packages};
    use super::*;

    const SHA: &str = "c98302f457ab3b35920fb857ad49bd3968c02429f8734def877f5518b0043f49  /etc/yum.repos.d/kubernetes.repo";

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
    fn holds_of_dnf_5_are_rules_of_its_own_file() {
        let printed = "# Added by 'versionlock add' command on 2026-11-21 17:00:00\nPackage name: kubelet\nevr = 1.34.4-150500.1.1\n\n\
                       Package name: kubeadm\nevr != 1.35.0-150500.1.1\n\n\
                       Package name: kubectl # entry is invalid: missing package conditions\n\n\
                       Package name: cri-*\nevr >= 1.34\nevr < 1.35\n\n\
                       Package name: kubernetes-cni\nevr ~ 1 # invalid condition comparison operator \"~\"";
        for (name, held) in [
            ("kubelet", true),
            // one release is left out, every other may come
            ("kubeadm", false),
            ("kubectl", false),
            ("cri-tools", true),
            ("kubernetes-cni", false),
            ("kubelet-x", false),
        ] {
            assert_eq!(locks(printed, name), held, "{name}");
        }
        assert!(!locks("", "kubelet"));
        for (pattern, name, fits) in [
            ("kube*", "kubelet", true),
            ("kube???", "kubelet", true),
            ("kube??", "kubelet", false),
            ("*", "", true),
            ("kubelet", "kubeadm", false),
            ("*let*", "kubelet", true),
        ] {
            assert_eq!(
                glob(pattern.as_bytes(), name.as_bytes()),
                fits,
                "{pattern} {name}"
            );
        }
    }
}
