//! What makes each change.

use super::{
    API, APT, DNF, ETCD_TOOLS, FETCH, all_exact, exact, key_parameters, own, script, tool,
    with_tool, words,
};
use crate::cluster::facts::PackageManager;
use crate::host::op::{Command, KubeadmOptions, Mutation, PackageRevision, archive_of};

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
        &[APT, DNF, include_str!("../scripts/install.sh"), then],
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
        &[include_str!("../scripts/kubeadm.sh")],
        parameters,
    )
}

impl Mutation {
    /// What does this.
    #[must_use]
    pub fn command(&self) -> Command {
        match self {
            Self::HoldPackages { manager, packages } => script(
                "refit-hold",
                &[APT, include_str!("../scripts/hold.sh")],
                with_tool(*manager, packages.iter().cloned()),
            ),
            Self::ReleaseHolds { manager, packages } => script(
                "refit-release",
                &[APT, include_str!("../scripts/release.sh")],
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
                    &[APT, FETCH, include_str!("../scripts/switch-repository.sh")],
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
                &[APT, DNF, include_str!("../scripts/prefetch.sh")],
                all_exact(*manager, packages),
            ),
            Self::InstallPackages { manager, packages } => {
                install("refit-install", *manager, packages, "")
            }
            Self::InstallKubelet { manager, packages } => install(
                "refit-install-kubelet",
                *manager,
                packages,
                include_str!("../scripts/restart-kubelet.sh"),
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
            Self::Hook { argv, env } => own(argv, env),
            Self::SaveSnapshot {
                file,
                trial_restore,
            } => script(
                "refit-save-snapshot",
                &[API, ETCD_TOOLS, include_str!("../scripts/save-snapshot.sh")],
                vec![file.clone(), trial_restore.to_string()],
            ),
            Self::WayBack(change) => change.command(),
            Self::PutBack(put_back) => put_back.command(),
            Self::RemoveSnapshot { file } => words(&["rm", "-f", "--", file, &archive_of(file)]),
            Self::RemoveLeftSnapshots { directory, files } => {
                let paths: Vec<String> = files
                    .iter()
                    .map(|file| format!("{directory}/{file}"))
                    .collect();
                let paths = paths.iter().map(String::as_str);
                words(
                    &["rm", "-f", "--"]
                        .into_iter()
                        .chain(paths)
                        .collect::<Vec<_>>(),
                )
            }
        }
    }
}
