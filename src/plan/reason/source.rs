//! Where each reason comes from: upstream's rule, or refit's own; and where refit is stricter than kubeadm.

use super::Reason;

impl Reason {
    /// The rule's source: upstream's, or refit's own reason.
    #[must_use]
    pub fn source(&self) -> &str {
        const OWN: &str = "refit: unknown means stop";
        const REPOSITORY: &str = "https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/change-package-repository/";
        const UPGRADE: &str =
            "https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-upgrade/";
        const DRAIN: &str = "kubernetes/kubectl pkg/drain/filters.go";
        const EVICTION: &str = "kubernetes/kubernetes pkg/registry/core/pod/storage/eviction.go";
        match self {
            Self::FactsFormat { .. }
            | Self::FactsTooOld { .. }
            | Self::OtherInventory { .. }
            | Self::Unknown { .. }
            | Self::Catalogue(_)
            | Self::Fault(_) => OWN,
            Self::NotRoot { .. } => {
                "kubernetes/kubernetes cmd/kubeadm/app/preflight/checks.go, IsPrivilegedUser"
            }
            Self::NoControlPlane
            | Self::NodeNotListed { .. }
            | Self::NodeMissing { .. }
            | Self::RoleDiffers { .. }
            | Self::IgnoredControlPlane { .. } => "refit: nodes and inventory must agree",
            Self::OtherNode { .. } | Self::SameMachine { .. } => {
                "https://kubernetes.io/docs/setup/production-environment/tools/kubeadm/install-kubeadm/#verify-mac-address"
            }
            Self::KubeletTooFar { .. } => {
                "https://kubernetes.io/docs/setup/production-environment/tools/kubeadm/create-cluster-kubeadm/#version-skew-policy"
            }
            Self::SkipLevel { .. } => "https://github.com/kubernetes/kubernetes/pull/133778",
            Self::UnsupportedMinor { .. } | Self::UnsupportedSystem { .. } => {
                "refit: rules/support.rs lists what it was built for"
            }
            Self::NoRelease { .. } => {
                "https://kubernetes.io/releases/version-skew-policy/#kube-apiserver-1"
            }
            Self::Downgrade { .. } | Self::AheadOfHop { .. } => "refit: upgrades only go forward",
            Self::Skew { violation, .. } => violation.rule.source(),
            Self::Kubeadm { .. } => {
                "kubernetes/kubernetes cmd/kubeadm/app/phases/upgrade/policy.go"
            }
            Self::SkipPhase { .. } => {
                "kubernetes/kubernetes cmd/kubeadm/app/cmd/upgrade/apply.go and node.go (phases)"
            }
            Self::ImageTag { .. } | Self::ManifestMissing { .. } => {
                "kubernetes/kubernetes cmd/kubeadm/app/phases/controlplane/manifests.go"
            }
            Self::NotPackaged { .. } | Self::NotOffered { .. } | Self::PackageTrouble { .. } => {
                UPGRADE
            }
            Self::OtherRepository { .. }
            | Self::Repository { .. }
            | Self::KeysDiffer { .. }
            | Self::KeyChanged { .. }
            | Self::KeyNotRead => REPOSITORY,
            Self::EtcdExternal => {
                "kubernetes/kubernetes cmd/kubeadm/app/phases/upgrade/staticpods.go"
            }
            Self::EtcdMember { .. } | Self::EtcdTooFew { .. } => {
                "https://kubernetes.io/docs/tasks/administer-cluster/configure-upgrade-etcd/"
            }
            Self::NodeNotReady { .. } => {
                "kubernetes/kubernetes cmd/kubeadm/app/phases/upgrade/health.go, ControlPlaneNodesReady"
            }
            Self::NoWindow { .. } => {
                "refit: what was begun is finished, so nothing is begun that a window cannot hold"
            }
            Self::OperationUnderWay { .. } => "refit: one operation on a host at a time",
            Self::DiskTooSmall { .. } => {
                "kubernetes/kubernetes cmd/kubeadm/app/phases/upgrade/staticpods.go (backups in /etc/kubernetes/tmp)"
            }
            Self::ClockOff { .. } => {
                "https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-certs/"
            }
            Self::Hazard(threat) => &threat.source,
            Self::PodRefuses { .. } => DRAIN,
            Self::SeveralBudgets { .. } | Self::BudgetNever { .. } | Self::Stranded { .. } => {
                EVICTION
            }
            Self::BudgetSync { .. } => {
                "kubernetes/kubernetes pkg/controller/disruption/disruption.go, failSafe"
            }
        }
    }

    /// Where refit is stricter than kubeadm, what kubeadm itself would do.
    #[must_use]
    pub const fn stricter(&self) -> Option<&'static str> {
        match self {
            Self::Downgrade { .. } | Self::AheadOfHop { .. } => Some(
                "kubeadm lets a downgrade by one minor pass, and does not look at newer kubelets",
            ),
            Self::Kubeadm {
                forceable: true, ..
            } => Some("kubeadm lets `--force` pass this; refit never forces"),
            Self::Skew { violation, .. } => violation.rule.unchecked_by_kubeadm(),
            _ => None,
        }
    }
}
