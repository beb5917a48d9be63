//! What dpkg and apt say: revisions, holds, what repositories offer, and which they are.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{File, Sections};
use super::{Revisions, repository_file};
use crate::cluster::facts::RepositoryFile;
use crate::host::op::AnswerError;

/// Installed revisions, and names that are held, as dpkg tells them.
///
/// Source: dpkg-query(1), `db:Status-Abbrev`: desired action, status, error flag.
pub(super) fn dpkg(sections: &Sections<'_>) -> Result<(Revisions, BTreeSet<String>), AnswerError> {
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

/// `name | revision | source`, newest first as apt prints them.
pub(super) fn madison(
    sections: &Sections<'_>,
) -> Result<BTreeMap<String, Vec<String>>, AnswerError> {
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

/// Source: sources.list(5), the one-line and the deb822 style.
pub(super) fn repositories(files: &[File]) -> Vec<RepositoryFile> {
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::super::testing::answer;
    use super::super::installed;
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File {
            path: path.to_owned(),
            sha256: String::new(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn sources_are_read_in_both_styles() {
        let found = repositories(&[
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
}
