//! The command behind every query and every mutation.
//!
//! A value from a document or a plan is always an argument of its own. Where a shell is needed, the script is one of the
//! constant texts under `scripts/`, and values are its positional parameters: nothing is ever pasted into a script.
//! Knows neither SSH nor how a mutation is kept running on its host (`host::unit`).

use std::time::Duration;

use super::op::{Command, KeyText, KubeadmOptions, Mutation, PackageRevision, Query};
use crate::cluster::facts::PackageManager;

pub(super) const PRELUDE: &str = include_str!("scripts/prelude.sh");
const FETCH: &str = include_str!("scripts/fetch.sh");
const API: &str = include_str!("scripts/api.sh");
const ETCD_TOOLS: &str = include_str!("scripts/etcd-tools.sh");
const KUBELET_STATE: &str = include_str!("scripts/kubelet-state.sh");
const APT: &str = include_str!("scripts/apt.sh");
const DNF: &str = include_str!("scripts/dnf.sh");

/// A constant script with its parameters; `name` becomes `$0`, and so appears in process lists and logs.
fn script(name: &str, parts: &[&str], parameters: Vec<String>) -> Command {
    let mut text = PRELUDE.to_owned();
    parts.iter().for_each(|part| text.push_str(part));
    let mut argv = vec!["sh".to_owned(), "-c".to_owned(), text, name.to_owned()];
    argv.extend(parameters);
    Command {
        argv,
        stdin: Vec::new(),
        root: true,
    }
}

fn words(argv: &[&str]) -> Command {
    Command {
        argv: argv.iter().map(|word| (*word).to_owned()).collect(),
        stdin: Vec::new(),
        root: true,
    }
}

const fn tool(manager: PackageManager) -> &'static str {
    match manager {
        PackageManager::Apt => "apt",
        PackageManager::Dnf => "dnf",
        PackageManager::Yum => "yum",
    }
}

/// A package at its exact revision, as the package manager is told.
fn exact(manager: PackageManager, package: &PackageRevision) -> String {
    match manager {
        PackageManager::Apt => format!("{}={}", package.name, package.revision),
        PackageManager::Dnf | PackageManager::Yum => {
            format!("{}-{}", package.name, package.revision)
        }
    }
}

fn with_tool(manager: PackageManager, rest: impl IntoIterator<Item = String>) -> Vec<String> {
    std::iter::once(tool(manager).to_owned())
        .chain(rest)
        .collect()
}

fn all_exact(manager: PackageManager, packages: &[PackageRevision]) -> Vec<String> {
    with_tool(
        manager,
        packages.iter().map(|package| exact(manager, package)),
    )
}

/// The URL and the text of a key as two parameters, one of them empty.
fn key_parameters(key: &KeyText) -> [String; 2] {
    match key {
        KeyText::Url(url) => [url.clone(), String::new()],
        KeyText::Text(text) => [String::new(), text.clone()],
    }
}

/// A text as YAML reads it, whatever is in it: JSON's strings are YAML's.
fn yaml_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn install(
    name: &str,
    manager: PackageManager,
    packages: &[PackageRevision],
    then: &str,
) -> Command {
    let mut parameters = vec![tool(manager).to_owned(), packages.len().to_string()];
    parameters.extend(packages.iter().map(|package| package.name.clone()));
    parameters.extend(packages.iter().map(|package| exact(manager, package)));
    script(
        name,
        &[APT, DNF, include_str!("scripts/install.sh"), then],
        parameters,
    )
}

/// `kubeadm` with the options that differ from its own defaults, so that a log shows what was chosen.
fn kubeadm(version: String, verb: Vec<String>, options: &KubeadmOptions) -> Command {
    let mut parameters = vec![version];
    parameters.extend(verb);
    let list = |flag: &str, values: &[String]| {
        (!values.is_empty()).then(|| format!("--{flag}={}", values.join(",")))
    };
    parameters.extend(list(
        "ignore-preflight-errors",
        &options.ignore_preflight_errors,
    ));
    parameters.extend(
        options
            .patches
            .as_ref()
            .map(|dir| format!("--patches={dir}")),
    );
    parameters.extend(list("skip-phases", &options.skip_phases));
    if !options.etcd_upgrade {
        parameters.push("--etcd-upgrade=false".to_owned());
    }
    if !options.certificate_renewal {
        parameters.push("--certificate-renewal=false".to_owned());
    }
    script(
        "refit-kubeadm",
        &[include_str!("scripts/kubeadm.sh")],
        parameters,
    )
}

impl Query {
    /// What asks this.
    #[must_use]
    pub fn command(&self) -> Command {
        match self {
            Self::Basics => script("refit-basics", &[include_str!("scripts/basics.sh")], vec![]),
            Self::Packages => script(
                "refit-packages",
                &[DNF, include_str!("scripts/packages.sh")],
                vec![],
            ),
            Self::Offer { manager, url, key } => {
                let [key_url, key_text] = key_parameters(key);
                script(
                    "refit-offer",
                    &[FETCH, DNF, include_str!("scripts/offer.sh")],
                    with_tool(*manager, [url.clone(), key_url, key_text]),
                )
            }
            Self::KubeadmVersion => words(&["kubeadm", "version", "-o", "json"]),
            Self::Kubelet => script(
                "refit-kubelet",
                &[KUBELET_STATE, include_str!("scripts/kubelet.sh")],
                vec![],
            ),
            Self::Manifests => script(
                "refit-manifests",
                &[include_str!("scripts/manifests.sh")],
                vec![],
            ),
            Self::Certificates => words(&["kubeadm", "certs", "check-expiration", "-o", "json"]),
            Self::ApiServerVersion => script(
                "refit-api-version",
                &[API, include_str!("scripts/api-version.sh")],
                vec![],
            ),
            Self::ApiServerReady => script(
                "refit-api-ready",
                &[API, include_str!("scripts/api-ready.sh")],
                vec![],
            ),
            Self::ApiUse => script(
                "refit-api-use",
                &[API, include_str!("scripts/api-use.sh")],
                vec![],
            ),
            Self::Generated { node, patches } => script(
                "refit-generated",
                &[API, include_str!("scripts/generated.sh")],
                vec![
                    yaml_text(node),
                    patches.as_deref().map(yaml_text).unwrap_or_default(),
                ],
            ),
            Self::Patches { directory } => script(
                "refit-patches",
                &[include_str!("scripts/patches.sh")],
                vec![directory.clone()],
            ),
            Self::Etcd => script(
                "refit-etcd",
                &[API, ETCD_TOOLS, include_str!("scripts/etcd.sh")],
                vec![],
            ),
            Self::Installed { manager } => script(
                "refit-installed",
                &[KUBELET_STATE, include_str!("scripts/installed.sh")],
                with_tool(*manager, []),
            ),
            Self::Repository { file, key_file } => script(
                "refit-repository",
                &[include_str!("scripts/repository.sh")],
                vec![file.clone(), key_file.clone()],
            ),
            Self::Prefetched { manager, packages } => script(
                "refit-prefetched",
                &[DNF, include_str!("scripts/prefetched.sh")],
                all_exact(*manager, packages),
            ),
            Self::Directory { path } => words(&["test", "-d", path]),
            Self::Snapshot { file } => script(
                "refit-snapshot",
                &[API, ETCD_TOOLS, include_str!("scripts/snapshot.sh")],
                vec![file.clone()],
            ),
            Self::Images {
                version,
                image_repository,
            } => script(
                "refit-images",
                &[include_str!("scripts/images.sh")],
                vec![version.tag(), image_repository.clone()],
            ),
        }
    }

    /// After this long the host is taken not to answer, and the question is ended there.
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        match self {
            Self::Basics
            | Self::KubeadmVersion
            | Self::Kubelet
            | Self::Manifests
            | Self::ApiServerVersion
            | Self::ApiServerReady
            | Self::Directory { .. }
            | Self::Repository { .. }
            | Self::Patches { .. } => Duration::from_secs(30),
            Self::Packages
            | Self::Certificates
            | Self::ApiUse
            | Self::Generated { .. }
            | Self::Etcd
            | Self::Installed { .. }
            | Self::Prefetched { .. }
            | Self::Images { .. } => Duration::from_secs(90),
            Self::Offer { .. } => Duration::from_secs(180),
            // reads all of it twice, and it may have 8 GiB
            Self::Snapshot { .. } => Duration::from_secs(600),
        }
    }
}

impl Mutation {
    /// What does this.
    #[must_use]
    pub fn command(&self) -> Command {
        match self {
            Self::HoldPackages { manager, packages } => script(
                "refit-hold",
                &[APT, include_str!("scripts/hold.sh")],
                with_tool(*manager, packages.iter().cloned()),
            ),
            Self::ReleaseHolds { manager, packages } => script(
                "refit-release",
                &[APT, include_str!("scripts/release.sh")],
                with_tool(*manager, packages.iter().cloned()),
            ),
            Self::SwitchRepository {
                manager,
                minor: _, // already in the text and in the key's URL
                file,
                content,
                key_file,
                key,
                key_sha256,
            } => {
                let [key_url, key_text] = key_parameters(key);
                script(
                    "refit-switch-repository",
                    &[APT, FETCH, include_str!("scripts/switch-repository.sh")],
                    with_tool(
                        *manager,
                        [
                            file.clone(),
                            content.clone(),
                            key_file.clone(),
                            key_sha256.clone(),
                            key_url,
                            key_text,
                        ],
                    ),
                )
            }
            Self::PrefetchPackages { manager, packages } => script(
                "refit-prefetch",
                &[APT, DNF, include_str!("scripts/prefetch.sh")],
                all_exact(*manager, packages),
            ),
            Self::InstallPackages { manager, packages } => {
                install("refit-install", *manager, packages, "")
            }
            Self::InstallKubelet { manager, packages } => install(
                "refit-install-kubelet",
                *manager,
                packages,
                include_str!("scripts/restart-kubelet.sh"),
            ),
            Self::PullImages {
                version,
                image_repository,
            } => words(&[
                "kubeadm",
                "config",
                "images",
                "pull",
                "--kubernetes-version",
                &version.tag(),
                "--image-repository",
                image_repository,
            ]),
            Self::KubeadmApply { version, options } => kubeadm(
                version.tag(),
                vec![
                    "upgrade".to_owned(),
                    "apply".to_owned(),
                    version.tag(),
                    "--yes".to_owned(),
                ],
                options,
            ),
            Self::KubeadmNode {
                role: _, // kubeadm finds out by itself
                version,
                options,
            } => kubeadm(
                version.tag(),
                vec!["upgrade".to_owned(), "node".to_owned()],
                options,
            ),
            Self::SaveSnapshot {
                file,
                trial_restore,
            } => script(
                "refit-save-snapshot",
                &[API, ETCD_TOOLS, include_str!("scripts/save-snapshot.sh")],
                vec![file.clone(), trial_restore.to_string()],
            ),
            Self::RemoveSnapshot { file } => words(&["rm", "-f", "--", file]),
        }
    }
}

/// One line for logs: scripts by their name, long or multi-line arguments shortened.
#[must_use]
pub fn shorten(argv: &[String]) -> String {
    let shown = match argv {
        [sh, c, _, rest @ ..] if sh == "sh" && c == "-c" => rest,
        _ => argv,
    };
    let short = |word: &String| -> String {
        let line = word.split(['\n', '\t', '\r']).next().unwrap_or_default();
        let mut text: String = line.chars().filter(|c| !c.is_control()).take(80).collect();
        if text.len() < word.len() {
            text.push('…');
        }
        text
    };
    shown.iter().map(short).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_types
)]
mod tests {
    use super::*;
    use crate::cluster::model::Role;
    use crate::rules::version::Version;

    fn package(name: &str) -> PackageRevision {
        PackageRevision {
            name: name.to_owned(),
            revision: "1.35.4-1.1".to_owned(),
        }
    }

    /// Every query and mutation, with a value in every place that tries to leave it.
    fn everything(hostile: &str) -> Vec<Command> {
        let text = hostile.to_owned();
        let manager = PackageManager::Apt;
        let packages = vec![PackageRevision {
            name: text.clone(),
            revision: text.clone(),
        }];
        let options = KubeadmOptions {
            ignore_preflight_errors: vec![text.clone()],
            patches: Some(text.clone()),
            skip_phases: vec![text.clone()],
            ..KubeadmOptions::default()
        };
        let version = Version::new(1, 35, 4);
        let queries = [
            Query::Basics,
            Query::Packages,
            Query::Offer {
                manager,
                url: text.clone(),
                key: KeyText::Url(text.clone()),
            },
            Query::Kubelet,
            Query::Manifests,
            Query::ApiServerVersion,
            Query::ApiServerReady,
            Query::ApiUse,
            Query::Generated {
                node: text.clone(),
                patches: Some(text.clone()),
            },
            Query::Patches {
                directory: text.clone(),
            },
            Query::Etcd,
            Query::Installed { manager },
            Query::Repository {
                file: text.clone(),
                key_file: text.clone(),
            },
            Query::Prefetched {
                manager,
                packages: packages.clone(),
            },
            Query::Snapshot { file: text.clone() },
            Query::Images {
                version: version.clone(),
                image_repository: text.clone(),
            },
        ];
        let mutations = [
            Mutation::HoldPackages {
                manager,
                packages: vec![text.clone()],
            },
            Mutation::ReleaseHolds {
                manager,
                packages: vec![text.clone()],
            },
            Mutation::SwitchRepository {
                manager,
                minor: version.minor(),
                file: text.clone(),
                content: text.clone(),
                key_file: text.clone(),
                key: KeyText::Text(text.clone()),
                key_sha256: text.clone(),
            },
            Mutation::PrefetchPackages {
                manager,
                packages: packages.clone(),
            },
            Mutation::InstallPackages {
                manager,
                packages: packages.clone(),
            },
            Mutation::InstallKubelet { manager, packages },
            Mutation::KubeadmApply {
                version: version.clone(),
                options: options.clone(),
            },
            Mutation::KubeadmNode {
                role: Role::Worker,
                version,
                options,
            },
            Mutation::SaveSnapshot {
                file: text.clone(),
                trial_restore: true,
            },
            Mutation::RemoveSnapshot { file: text },
        ];
        queries
            .iter()
            .map(Query::command)
            .chain(mutations.iter().map(Mutation::command))
            .collect()
    }

    #[test]
    fn a_value_is_never_part_of_a_script() {
        let hostile = "'; $(touch /tmp/x) `id` \" \\ %h ${X}";
        let plain = everything("plain");
        for (hostile, plain) in everything(hostile).into_iter().zip(plain) {
            assert_eq!(hostile.argv.len(), plain.argv.len());
            if hostile.argv[0] == "sh" {
                assert_eq!(
                    hostile.argv[..4],
                    plain.argv[..4],
                    "script and name are constant"
                );
            }
        }
    }

    #[test]
    fn every_script_is_sound_shell() {
        for command in everything("x").iter().filter(|c| c.argv[0] == "sh") {
            let checked = std::process::Command::new("sh")
                .args(["-n", "-c", &command.argv[2]])
                .output()
                .unwrap();
            assert!(checked.status.success(), "{}: {checked:?}", command.argv[3]);
        }
    }

    #[test]
    fn kubeadm_is_told_only_what_differs_from_its_defaults() {
        let options = KubeadmOptions {
            ignore_preflight_errors: vec!["SystemVerification".to_owned(), "Swap".to_owned()],
            patches: None,
            skip_phases: vec![],
            etcd_upgrade: true,
            certificate_renewal: false,
        };
        let version = Version::new(1, 35, 4);
        let apply = Mutation::KubeadmApply {
            version: version.clone(),
            options: options.clone(),
        };
        assert_eq!(
            shorten(&apply.command().argv),
            "refit-kubeadm v1.35.4 upgrade apply v1.35.4 --yes \
             --ignore-preflight-errors=SystemVerification,Swap --certificate-renewal=false"
        );
        let node = Mutation::KubeadmNode {
            role: Role::Worker,
            version,
            options,
        };
        assert!(shorten(&node.command().argv).starts_with("refit-kubeadm v1.35.4 upgrade node "));
    }

    #[test]
    fn packages_are_asked_for_at_exact_revisions() {
        let packages = vec![package("kubelet"), package("kubectl")];
        let apt = Mutation::InstallKubelet {
            manager: PackageManager::Apt,
            packages: packages.clone(),
        };
        assert_eq!(
            shorten(&apt.command().argv),
            "refit-install-kubelet apt 2 kubelet kubectl kubelet=1.35.4-1.1 kubectl=1.35.4-1.1"
        );
        let dnf = Mutation::PrefetchPackages {
            manager: PackageManager::Dnf,
            packages,
        };
        assert_eq!(
            shorten(&dnf.command().argv),
            "refit-prefetch dnf kubelet-1.35.4-1.1 kubectl-1.35.4-1.1"
        );
    }

    #[test]
    fn a_log_line_is_one_short_line() {
        let long = vec!["echo".to_owned(), "a\nb".to_owned(), "x".repeat(200)];
        let line = shorten(&long);
        assert!(
            line.starts_with("echo a… xxx") && line.chars().count() < 100,
            "{line}"
        );
    }
}
