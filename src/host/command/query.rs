//! What asks each question, and how long its answer may take.

use std::time::Duration;

use super::{
    API, DNF, ETCD_TOOLS, FETCH, KUBELET_STATE, all_exact, key_parameters, own, script, with_tool,
    words,
};
use crate::host::op::{Command, Query};
use crate::host::rollback;

impl Query {
    /// What asks this.
    #[must_use]
    pub fn command(&self) -> Command {
        match self {
            Self::Basics => script(
                "refit-basics",
                &[include_str!("../scripts/basics.sh")],
                vec![],
            ),
            Self::Packages => script(
                "refit-packages",
                &[DNF, include_str!("../scripts/packages.sh")],
                vec![],
            ),
            Self::Offer { manager, url, key } => {
                let [key_url, key_text] = key_parameters(key);
                script(
                    "refit-offer",
                    &[FETCH, DNF, include_str!("../scripts/offer.sh")],
                    with_tool(*manager, [url.clone(), key_url, key_text]),
                )
            }
            Self::KubeadmVersion => words(&["kubeadm", "version", "-o", "json"]),
            Self::Kubelet => script(
                "refit-kubelet",
                &[KUBELET_STATE, include_str!("../scripts/kubelet.sh")],
                vec![],
            ),
            Self::Manifests => script(
                "refit-manifests",
                &[include_str!("../scripts/manifests.sh")],
                vec![],
            ),
            Self::Certificates => words(&["kubeadm", "certs", "check-expiration", "-o", "json"]),
            Self::ApiServerVersion => script(
                "refit-api-version",
                &[API, include_str!("../scripts/api-version.sh")],
                vec![],
            ),
            Self::ApiServerReady => script(
                "refit-api-ready",
                &[API, include_str!("../scripts/api-ready.sh")],
                vec![],
            ),
            Self::ApiUse => script(
                "refit-api-use",
                &[API, include_str!("../scripts/api-use.sh")],
                vec![],
            ),
            Self::Generated { node, patches } => script(
                "refit-generated",
                &[API, include_str!("../scripts/generated.sh")],
                vec![
                    yaml_text(node),
                    patches.as_deref().map(yaml_text).unwrap_or_default(),
                ],
            ),
            Self::Patches { directory } => script(
                "refit-patches",
                &[include_str!("../scripts/patches.sh")],
                vec![directory.clone()],
            ),
            Self::Etcd => script(
                "refit-etcd",
                &[API, ETCD_TOOLS, include_str!("../scripts/etcd.sh")],
                vec![],
            ),
            Self::ExternalEtcd(at) => script(
                "refit-external-etcd",
                &[include_str!("../scripts/external-etcd.sh")],
                [&at.ca_file, &at.cert_file, &at.key_file]
                    .into_iter()
                    .chain(&at.endpoints)
                    .cloned()
                    .collect(),
            ),
            Self::Installed { manager } => script(
                "refit-installed",
                &[KUBELET_STATE, include_str!("../scripts/installed.sh")],
                with_tool(*manager, []),
            ),
            Self::Repository { file, key_file } => script(
                "refit-repository",
                &[include_str!("../scripts/repository.sh")],
                vec![file.clone(), key_file.clone()],
            ),
            Self::Prefetched { manager, packages } => script(
                "refit-prefetched",
                &[DNF, include_str!("../scripts/prefetched.sh")],
                all_exact(*manager, packages),
            ),
            Self::Directory { path } => words(&["test", "-d", path]),
            Self::LeftSnapshots { directory } => script(
                "refit-left-snapshots",
                &[include_str!("../scripts/left-snapshots.sh")],
                vec![directory.clone()],
            ),
            Self::Snapshot { file } => script(
                "refit-snapshot",
                &[API, ETCD_TOOLS, include_str!("../scripts/snapshot.sh")],
                vec![file.clone()],
            ),
            Self::WayBack(places) => places.query(),
            Self::KubeadmBackups => rollback::query(),
            Self::HookCheck { argv, env, .. } => own(argv, env),
            Self::Images {
                version,
                image_repository,
            } => script(
                "refit-images",
                &[include_str!("../scripts/images.sh")],
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
            | Self::KubeadmBackups
            | Self::ApiServerVersion
            | Self::ApiServerReady
            | Self::Directory { .. }
            | Self::Patches { .. }
            | Self::LeftSnapshots { .. }
            | Self::Repository { .. } => Duration::from_secs(30),
            Self::Packages
            | Self::Certificates
            | Self::ApiUse
            | Self::Generated { .. }
            | Self::Etcd
            | Self::ExternalEtcd(_)
            | Self::Installed { .. }
            | Self::Prefetched { .. }
            | Self::Images { .. } => Duration::from_secs(90),
            Self::Offer { .. } => Duration::from_secs(180),
            Self::HookCheck { within_s, .. } => Duration::from_secs(*within_s),
            // reads all of it twice, and it may have 8 GiB
            Self::Snapshot { .. } | Self::WayBack(_) => Duration::from_secs(600),
        }
    }
}

/// A text as YAML reads it, whatever is in it: JSON's strings are YAML's.
fn yaml_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
