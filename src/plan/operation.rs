//! The host operation behind a step: what the executor runs and what a runbook prints are one definition.

use super::data::Action;
use crate::cluster::model::HostName;
use crate::host::op::Mutation;

impl Action {
    /// The one change of a host that the action is; none where it only looks, goes through the API, or takes more than one.
    #[must_use]
    pub fn operation(&self) -> Option<(&HostName, Mutation)> {
        Some(match self {
            Self::HoldPackages {
                host,
                manager,
                packages,
            } => (
                host,
                Mutation::HoldPackages {
                    manager: *manager,
                    packages: packages.clone(),
                },
            ),
            Self::SwitchRepository {
                host,
                manager,
                minor,
                file,
                content,
                key_file,
                key,
                key_sha256,
            } => (
                host,
                Mutation::SwitchRepository {
                    manager: *manager,
                    minor: *minor,
                    file: file.clone(),
                    content: content.clone(),
                    key_file: key_file.clone(),
                    key: key.clone(),
                    key_sha256: key_sha256.clone(),
                },
            ),
            Self::PrefetchPackages {
                host,
                manager,
                packages,
            } => (
                host,
                Mutation::PrefetchPackages {
                    manager: *manager,
                    packages: packages.clone(),
                },
            ),
            Self::InstallKubeadm {
                host,
                manager,
                packages,
            } => (
                host,
                Mutation::InstallPackages {
                    manager: *manager,
                    packages: packages.clone(),
                },
            ),
            Self::PullImages {
                host,
                version,
                image_repository,
            } => (
                host,
                Mutation::PullImages {
                    version: version.clone(),
                    image_repository: image_repository.clone(),
                },
            ),
            Self::KubeadmApply {
                host,
                version,
                options,
            } => (
                host,
                Mutation::KubeadmApply {
                    version: version.clone(),
                    options: options.clone(),
                },
            ),
            Self::KubeadmNode {
                host,
                role,
                version,
                options,
            } => (
                host,
                Mutation::KubeadmNode {
                    role: *role,
                    version: version.clone(),
                    options: options.clone(),
                },
            ),
            Self::InstallKubelet {
                host,
                manager,
                packages,
            } => (
                host,
                Mutation::InstallKubelet {
                    manager: *manager,
                    packages: packages.clone(),
                },
            ),
            Self::ReleaseHolds {
                host,
                manager,
                packages,
            } => (
                host,
                Mutation::ReleaseHolds {
                    manager: *manager,
                    packages: packages.clone(),
                },
            ),
            Self::Hook { host, run, env, .. } => (
                host.as_ref()?,
                Mutation::Hook {
                    argv: run.clone(),
                    env: env.clone(),
                },
            ),
            Self::CheckHost { .. }
            | Self::CheckCluster { .. }
            | Self::SnapshotEtcd { .. }
            | Self::AwaitControlPlane { .. }
            | Self::AwaitAddons { .. }
            | Self::Cordon { .. }
            | Self::Drain { .. }
            | Self::AwaitNode { .. }
            | Self::AwaitStaticPods { .. }
            | Self::TaintOutdated { .. }
            | Self::Uncordon { .. }
            | Self::Verify { .. }
            | Self::Soak { .. }
            | Self::Gate { .. }
            | Self::WayBack { .. }
            | Self::Barrier { .. } => return None,
        })
    }
}
