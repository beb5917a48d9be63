//! Where the world stands with respect to a mutation: the question that tells, and what its answer means.
//!
//! Precheck and confirm are the same probe, and it looks at the world, not at what was recorded about it. Where the world
//! is ahead of the plan (a higher revision, a newer static pod) the answer is a mismatch: refit never goes back by itself.

use super::op::{AnswerError, Mutation, Output, PackageRevision, Query, Standing};
use super::parse::{self, RunningKubelet, Snapshot};
use crate::cluster::model::Role;
use crate::rules::version::Version;

/// Clocks further apart than this, in seconds: a certificate made on one host may not be valid yet on another, and records mislead.
pub const CLOCKS_APART_S: i64 = 60;

impl Mutation {
    /// The question whose answer tells whether this is done; none where nothing outside tells.
    #[must_use]
    pub fn probe(&self) -> Option<Query> {
        match self {
            Self::HoldPackages { manager, .. }
            | Self::ReleaseHolds { manager, .. }
            | Self::InstallPackages { manager, .. }
            | Self::InstallKubelet { manager, .. } => Some(Query::Installed { manager: *manager }),
            Self::SwitchRepository { file, key_file, .. } => Some(Query::Repository {
                file: file.clone(),
                key_file: key_file.clone(),
            }),
            Self::PrefetchPackages { manager, packages } => Some(Query::Prefetched {
                manager: *manager,
                packages: packages.clone(),
            }),
            Self::PullImages {
                version,
                image_repository,
            } => Some(Query::Images {
                version: version.clone(),
                image_repository: image_repository.clone(),
            }),
            Self::KubeadmApply { .. } => Some(Query::Manifests),
            Self::KubeadmNode { role, .. } => match role {
                Role::ControlPlane => Some(Query::Manifests),
                // it rewrites the kubelet's configuration, which does not say of which release it is
                Role::Worker => None,
            },
            // its check is the declaration's, and asked by whoever carries the hook out
            Self::Hook { .. } => None,
            Self::SaveSnapshot { file, .. } | Self::RemoveSnapshot { file } => {
                Some(Query::Snapshot { file: file.clone() })
            }
            Self::WayBack(change) => Some(Query::WayBack(change.places().clone())),
            Self::PutBack(_) => Some(Query::KubeadmBackups),
            Self::RemoveLeftSnapshots { directory, .. } => Some(Query::LeftSnapshots {
                directory: directory.clone(),
            }),
        }
    }

    /// What the answer to [`Self::probe`] means.
    ///
    /// # Errors
    /// If the answer makes no sense: then nothing may be done.
    pub fn judge(&self, output: &Output) -> Result<Standing, AnswerError> {
        Ok(match self {
            Self::HoldPackages { packages, .. } => {
                let installed = parse::installed(output)?;
                done_if(packages.iter().all(|name| installed.held.contains(name)))
            }
            Self::ReleaseHolds { packages, .. } => {
                let installed = parse::installed(output)?;
                done_if(!packages.iter().any(|name| installed.held.contains(name)))
            }
            Self::InstallPackages { packages, .. } => {
                packages_standing(packages, &parse::installed(output)?)
            }
            Self::InstallKubelet { packages, .. } => {
                let installed = parse::installed(output)?;
                match packages_standing(packages, &installed) {
                    Standing::Done => done_if(match installed.kubelet {
                        RunningKubelet::Installed => true,
                        RunningKubelet::Replaced | RunningKubelet::Stopped => false,
                    }),
                    other @ (Standing::Ready | Standing::Untold | Standing::Mismatch(_)) => other,
                }
            }
            Self::SwitchRepository {
                content,
                key_sha256,
                ..
            } => {
                let repository = parse::repository(output)?;
                done_if(
                    repository.file_sha256.as_deref() == Some(sha256(content.as_bytes()).as_str())
                        && repository.key_sha256.as_deref() == Some(key_sha256.as_str())
                        && repository.lists_fetched,
                )
            }
            Self::PrefetchPackages { .. } => done_if(parse::prefetched(output)?),
            Self::PullImages { .. } => done_if(parse::images(output)?.is_empty()),
            Self::KubeadmApply { version, .. } | Self::KubeadmNode { version, .. } => {
                static_pods(version, output)?
            }
            Self::Hook { .. } => Standing::Untold,
            Self::SaveSnapshot { .. } => match parse::snapshot(output)? {
                Snapshot::Good(_) => Standing::Done,
                Snapshot::Absent | Snapshot::Broken(_) => Standing::Ready,
            },
            Self::RemoveSnapshot { .. } => match parse::snapshot(output)? {
                Snapshot::Absent => Standing::Done,
                Snapshot::Good(_) | Snapshot::Broken(_) => Standing::Ready,
            },
            Self::WayBack(change) => change.judge(output)?,
            Self::PutBack(put_back) => put_back.judge(output)?,
            Self::RemoveLeftSnapshots { files, .. } => {
                let left = parse::left_snapshots(output)?;
                done_if(!files.iter().any(|file| left.contains_key(file)))
            }
        })
    }
}

const fn done_if(done: bool) -> Standing {
    if done {
        Standing::Done
    } else {
        Standing::Ready
    }
}

/// Lower-case hexadecimal.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes)
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            let _ = std::fmt::Write::write_fmt(&mut text, format_args!("{byte:02x}"));
            text
        })
}

/// The release at the start of a package's revision: `1.35.4` of `1.35.4-1.1`.
fn release(revision: &str) -> Option<Version> {
    let bare = revision.split_once(':').map_or(revision, |(_, rest)| rest);
    bare.split('-').next()?.parse().ok()
}

fn packages_standing(wanted: &[PackageRevision], installed: &parse::Installed) -> Standing {
    for package in wanted {
        let Some(have) = installed.revisions.get(&package.name) else {
            continue;
        };
        // build numbers of one release say nothing of order that would matter here; releases do
        if let (Some(have_release), Some(want)) = (release(have), release(&package.revision))
            && have_release > want
        {
            return Standing::Mismatch(format!(
                "{} {have} is installed, and the plan would install the older {}: someone else upgraded this host, \
                 make a new plan",
                package.name, package.revision
            ));
        }
    }
    done_if(wanted.iter().all(|package| {
        installed.revisions.get(&package.name) == Some(&package.revision)
            && installed.held.contains(&package.name)
    }))
}

/// kubeadm writes the static pods first and its cluster-wide parts (configuration, addons) after them, so that pods at the
/// release do not say that it has ended. To run it again at its release is safe.
///
/// Source: kubernetes/website `content/en/docs/tasks/administer-cluster/kubeadm/kubeadm-upgrade.md`, "Recovering from a
/// failure state".
fn static_pods(version: &Version, output: &Output) -> Result<Standing, AnswerError> {
    let versions = parse::manifests(output)?.versions()?;
    Ok(match versions.last() {
        Some(newest) if newest > version => Standing::Mismatch(format!(
            "a static pod here is at {newest}, newer than the {version} of the plan: someone else upgraded it, make a \
             new plan"
        )),
        _ if versions.iter().all(|have| have == version) => Standing::Untold,
        _ => Standing::Ready,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::parse::testing::answer;
    use super::*;
    use crate::cluster::facts::PackageManager;
    use crate::host::op::{KeyText, KubeadmOptions};

    fn packages(names: &[&str]) -> Vec<PackageRevision> {
        names
            .iter()
            .map(|name| PackageRevision {
                name: (*name).to_owned(),
                revision: "1.35.4-1.1".to_owned(),
            })
            .collect()
    }

    fn installed(dpkg: &str, kubelet: &str) -> Output {
        answer(&[
            ("manager", 0, "apt"),
            ("installed", 0, dpkg),
            ("kubelet", 0, kubelet),
        ])
    }

    #[test]
    fn a_kubelet_is_done_when_it_is_installed_held_and_running() {
        let mutation = Mutation::InstallKubelet {
            manager: PackageManager::Apt,
            packages: packages(&["kubelet", "kubectl"]),
        };
        let at = |kubectl: &str, kubelet: &str| format!("kubectl\t{kubectl}\nkubelet\t{kubelet}");
        for (dpkg, running, standing) in [
            (
                at("1.35.4-1.1\thi ", "1.35.4-1.1\thi "),
                "installed",
                Standing::Done,
            ),
            (
                at("1.35.4-1.1\thi ", "1.35.4-1.1\thi "),
                "replaced",
                Standing::Ready,
            ),
            (
                at("1.35.4-1.1\thi ", "1.35.4-1.1\thi "),
                "stopped",
                Standing::Ready,
            ),
            (
                at("1.35.4-1.1\thi ", "1.35.4-1.1\tii "),
                "installed",
                Standing::Ready,
            ),
            (
                at("1.34.4-1.1\thi ", "1.35.4-1.1\thi "),
                "installed",
                Standing::Ready,
            ),
            (
                at("1.34.4-1.1\thi ", "1.35.4-1.1\tiU "),
                "installed",
                Standing::Ready,
            ),
        ] {
            assert_eq!(
                mutation.judge(&installed(&dpkg, running)).unwrap(),
                standing,
                "{dpkg} {running}"
            );
        }
        let ahead = mutation.judge(&installed(
            &at("1.35.4-1.1\thi ", "1.36.0-1.1\thi "),
            "installed",
        ));
        assert!(matches!(ahead, Ok(Standing::Mismatch(text)) if text.contains("1.36.0-1.1")));
    }

    #[test]
    fn holds_are_looked_up() {
        let manager = PackageManager::Apt;
        let names = vec!["kubelet".to_owned()];
        let hold = Mutation::HoldPackages {
            manager,
            packages: names.clone(),
        };
        let release = Mutation::ReleaseHolds {
            manager,
            packages: names,
        };
        let held = installed("kubelet\t1.34.4-1.1\thi ", "installed");
        let free = installed("kubelet\t1.34.4-1.1\tii ", "installed");
        assert_eq!(hold.judge(&held), Ok(Standing::Done));
        assert_eq!(hold.judge(&free), Ok(Standing::Ready));
        assert_eq!(release.judge(&held), Ok(Standing::Ready));
        assert_eq!(release.judge(&free), Ok(Standing::Done));
    }

    #[test]
    fn a_repository_is_switched_when_file_key_and_lists_are() {
        let content = "deb [signed-by=/k] https://pkgs.k8s.io/core:/stable:/v1.35/deb/ /\n";
        let key = sha256(b"key");
        let mutation = Mutation::SwitchRepository {
            manager: PackageManager::Apt,
            minor: Version::new(1, 35, 4).minor(),
            file: "/f".to_owned(),
            content: content.to_owned(),
            key_file: "/k".to_owned(),
            key: KeyText::Text("key".to_owned()),
            key_sha256: key.clone(),
        };
        let file = sha256(content.as_bytes());
        let at = |file: &str, key: &str, lists: &str| {
            answer(&[("file", 0, file), ("key", 0, key), ("lists", 0, lists)])
        };
        assert_eq!(
            mutation.judge(&at(&file, &key, "fetched")),
            Ok(Standing::Done)
        );
        assert_eq!(
            mutation.judge(&at(&file, &key, "missing")),
            Ok(Standing::Ready)
        );
        assert_eq!(
            mutation.judge(&at(&file, "", "fetched")),
            Ok(Standing::Ready)
        );
        assert_eq!(
            mutation.judge(&at(&key, &key, "fetched")),
            Ok(Standing::Ready)
        );
    }

    #[test]
    fn static_pods_at_the_release_do_not_prove_that_kubeadm_ended() {
        let pod = |tag: &str| format!("spec:\n  containers:\n  - image: registry.k8s.io/x:{tag}\n");
        let digest = sha256(b"");
        let at = |tags: [&str; 3]| {
            let texts = tags.map(pod);
            let names = [
                "kube-apiserver.yaml",
                "kube-controller-manager.yaml",
                "kube-scheduler.yaml",
            ];
            let mut sections = vec![("all", 0, "kube-apiserver.yaml")];
            for (name, text) in names.into_iter().zip(&texts) {
                sections.extend([
                    ("path", 0, name),
                    ("sha256", 0, digest.as_str()),
                    ("text", 0, text.as_str()),
                ]);
            }
            answer(&sections)
        };
        let mutation = Mutation::KubeadmApply {
            version: Version::new(1, 35, 4),
            options: KubeadmOptions::default(),
        };
        assert_eq!(mutation.judge(&at(["v1.34.4"; 3])), Ok(Standing::Ready));
        assert_eq!(
            mutation.judge(&at(["v1.35.4", "v1.34.4", "v1.34.4"])),
            Ok(Standing::Ready)
        );
        assert_eq!(mutation.judge(&at(["v1.35.4"; 3])), Ok(Standing::Untold));
        assert!(matches!(
            mutation.judge(&at(["v1.36.0", "v1.35.4", "v1.35.4"])),
            Ok(Standing::Mismatch(_))
        ));
        assert!(
            mutation
                .judge(&at(["v1.35.4", "latest", "v1.35.4"]))
                .is_err()
        );
    }
}
