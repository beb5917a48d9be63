//! The command behind every query and every mutation.
//!
//! A value from a document or a plan is always an argument of its own. Where a shell is needed, the script is one of the
//! constant texts under `scripts/`, and values are its positional parameters: nothing is ever pasted into a script.
//! Knows neither SSH nor how a mutation is kept running on its host (`host::unit`).

mod mutation;
mod query;

use std::collections::BTreeMap;

use super::op::{Command, KeyText, PackageRevision};
use crate::cluster::facts::PackageManager;

pub(super) const PRELUDE: &str = include_str!("scripts/prelude.sh");
const FETCH: &str = include_str!("scripts/fetch.sh");
const API: &str = include_str!("scripts/api.sh");
const ETCD_TOOLS: &str = include_str!("scripts/etcd-tools.sh");
const KUBELET_STATE: &str = include_str!("scripts/kubelet-state.sh");
const APT: &str = include_str!("scripts/apt.sh");
const DNF: &str = include_str!("scripts/dnf.sh");

/// A constant script with its parameters; `name` becomes `$0`, and so appears in process lists and logs.
pub(super) fn script(name: &str, parts: &[&str], parameters: Vec<String>) -> Command {
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

/// The words that run a command with these environment variables beside those that are there. Neither a shell nor a script is
/// between; the command's name holds no `=`.
#[must_use]
pub fn with_environment(argv: &[String], env: &BTreeMap<String, String>) -> Vec<String> {
    if env.is_empty() {
        return argv.to_vec();
    }
    let pairs = env.iter().map(|(name, value)| format!("{name}={value}"));
    ["env".to_owned(), "--".to_owned()]
        .into_iter()
        .chain(pairs)
        .chain(argv.iter().cloned())
        .collect()
}

fn own(argv: &[String], env: &BTreeMap<String, String>) -> Command {
    Command {
        argv: with_environment(argv, env),
        stdin: Vec::new(),
        root: true,
    }
}

/// What writes a file of this digest, which comes on standard input.
#[must_use]
pub fn receive(file: &str, sha256: &str) -> Command {
    script(
        "refit-receive",
        &[include_str!("scripts/receive.sh")],
        vec![file.to_owned(), sha256.to_owned()],
    )
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
    use crate::cluster::facts::ExternalEtcd;
    use crate::cluster::model::Role;
    use crate::host::op::{KubeadmOptions, Mutation, Query};
    use crate::host::rollback::PutBack;
    use crate::host::way_back::{Change, Member, Places};
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
        let places = Places {
            aside: text.clone(),
            data: text.clone(),
            restored: text.clone(),
            before: text.clone(),
            snapshot: text.clone(),
        };
        let member = Member {
            name: text.clone(),
            peer_url: text.clone(),
        };
        let version = Version::new(1, 35, 4);
        let queries = [
            Query::Basics,
            Query::WayBack(places.clone()),
            Query::KubeadmBackups,
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
            Query::HookCheck {
                argv: vec!["check".to_owned(), text.clone()],
                env: BTreeMap::from([("NAME".to_owned(), text.clone())]),
                within_s: 60,
            },
            Query::Directory { path: text.clone() },
            Query::LeftSnapshots {
                directory: text.clone(),
            },
            Query::Etcd,
            Query::ExternalEtcd(ExternalEtcd {
                endpoints: vec![text.clone()],
                ca_file: text.clone(),
                cert_file: text.clone(),
                key_file: text.clone(),
            }),
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
            Mutation::RemoveSnapshot { file: text.clone() },
            Mutation::WayBack(Change::Restore {
                at: places.clone(),
                member: member.clone(),
                cluster: vec![member],
                sha256: text.clone(),
                etcd: text.clone(),
            }),
            Mutation::WayBack(Change::Stop { at: places.clone() }),
            Mutation::WayBack(Change::Replace {
                at: places.clone(),
                sha256: text,
            }),
            Mutation::PutBack(PutBack {
                backup: hostile.to_owned(),
                manifests: BTreeMap::from([(hostile.to_owned(), hostile.to_owned())]),
            }),
            Mutation::WayBack(Change::Start { at: places }),
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
    fn a_hook_gets_its_words_and_its_environment_as_they_are() {
        let argv = ["-x".to_owned(), "$A 'b".to_owned()];
        let env = BTreeMap::from([("A".to_owned(), "%h $B".to_owned())]);
        let hook = |env: BTreeMap<String, String>| Mutation::Hook {
            argv: argv.to_vec(),
            env,
        };
        assert_eq!(hook(BTreeMap::new()).command().argv, argv);
        let with = hook(env).command();
        assert_eq!(with.argv, ["env", "--", "A=%h $B", "-x", "$A 'b"]);
        assert!(with.root);
    }

    #[test]
    fn env_takes_variables_first_and_then_the_command() {
        let env = BTreeMap::from([("A".to_owned(), "it's $B".to_owned())]);
        let words = ["sh", "-c", "printf %s \"$A\""].map(str::to_owned);
        let argv = with_environment(&words, &env);
        let output = std::process::Command::new(&argv[0])
            .args(&argv[1..])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "it's $B");
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
