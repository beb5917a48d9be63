//! A reason as machines know it: its name, where it is, and the whole as JSON.

use serde::{Serialize, Serializer};

use super::{Reason, names};

impl Reason {
    /// A short name for machines.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::FactsFormat { .. } => "facts-format",
            Self::FactsTooOld { .. } => "facts-too-old",
            Self::OtherInventory { .. } => "other-inventory",
            Self::Unknown { .. } => "unknown",
            Self::NotRoot { .. } => "not-root",
            Self::NoControlPlane => "no-control-plane",
            Self::NodeNotListed { .. } => "node-not-listed",
            Self::NodeMissing { .. } => "node-missing",
            Self::OtherNode { .. } => "other-node",
            Self::SameMachine { .. } => "same-machine",
            Self::RoleDiffers { .. } => "role-differs",
            Self::IgnoredControlPlane { .. } => "ignored-control-plane",
            Self::UnsupportedMinor { .. } => "unsupported-minor",
            Self::UnsupportedSystem { .. } => "unsupported-system",
            Self::NoRelease { .. } => "no-release",
            Self::AheadOfHop { .. } => "ahead-of-hop",
            Self::SkipLevel { .. } => "skip-level",
            Self::KubeletTooFar { .. } => "kubelet-too-far",
            Self::Downgrade { .. } => "downgrade",
            Self::Skew { .. } => "skew",
            Self::Kubeadm { .. } => "kubeadm-policy",
            Self::SkipPhase { .. } => "skip-phase",
            Self::NoWindow { .. } => "no-window",
            Self::ImageTag { .. } => "image-tag",
            Self::ManifestMissing { .. } => "manifest-missing",
            Self::NotPackaged { .. } => "not-packaged",
            Self::NotOffered { .. } => "not-offered",
            Self::OtherRepository { .. } => "other-repository",
            Self::Repository { .. } => "repository-file",
            Self::KeysDiffer { .. } => "keys-differ",
            Self::KeyNotRead => "key-not-read",
            Self::KeyChanged { .. } => "key-changed",
            Self::PackageTrouble { .. } => "package-trouble",
            Self::EtcdExternal => "etcd-external",
            Self::EtcdMember { .. } => "etcd-member",
            Self::EtcdTooFew { .. } => "etcd-too-few",
            Self::NodeNotReady { .. } => "node-not-ready",
            Self::OperationUnderWay { .. } => "operation-under-way",
            Self::DiskTooSmall { .. } => "disk-too-small",
            Self::ClockOff { .. } => "clock-off",
            Self::Hazard(threat) => &threat.id,
            Self::Catalogue(_) => "catalogue",
            Self::PodRefuses { .. } => "pod-refuses",
            Self::SeveralBudgets { .. } => "several-budgets",
            Self::BudgetNever { .. } => "budget-never",
            Self::BudgetSync { .. } => "budget-sync",
            Self::Stranded { .. } => "stranded",
            Self::Fault(_) => "fault",
        }
    }

    /// Where: a host, a node, or `cluster`.
    #[must_use]
    pub fn place(&self) -> String {
        match self {
            Self::Unknown { place, .. } => place.clone(),
            Self::NotRoot { host, .. }
            | Self::NodeMissing { host, .. }
            | Self::OtherNode { host, .. }
            | Self::RoleDiffers { host, .. }
            | Self::ImageTag { host, .. }
            | Self::ManifestMissing { host, .. }
            | Self::NotPackaged { host, .. }
            | Self::NotOffered { host, .. }
            | Self::OtherRepository { host, .. }
            | Self::Repository { host, .. }
            | Self::KeyChanged { host }
            | Self::PackageTrouble { host, .. }
            | Self::OperationUnderWay { host, .. }
            | Self::DiskTooSmall { host, .. }
            | Self::UnsupportedSystem { host, .. }
            | Self::ClockOff { host, .. } => host.to_string(),
            Self::NoRelease { host, .. } => host
                .as_ref()
                .map_or_else(|| "cluster".to_owned(), ToString::to_string),
            Self::Hazard(threat) => threat.place(),
            Self::NodeNotListed { node }
            | Self::IgnoredControlPlane { node }
            | Self::KubeletTooFar { node, .. }
            | Self::SkipLevel { node, .. }
            | Self::NodeNotReady { node }
            | Self::PodRefuses { node, .. }
            | Self::SeveralBudgets { node, .. }
            | Self::Stranded { node, .. } => node.to_string(),
            Self::SameMachine { hosts, .. } => names(hosts),
            Self::BudgetNever { nodes, .. } | Self::BudgetSync { nodes, .. } => names(nodes),
            Self::Skew { violation, .. } => violation
                .party
                .node
                .as_ref()
                .or(violation.against.node.as_ref())
                .map_or_else(|| "cluster".to_owned(), ToString::to_string),
            Self::FactsFormat { .. } | Self::FactsTooOld { .. } | Self::OtherInventory { .. } => {
                "facts".to_owned()
            }
            Self::NoControlPlane => "inventory".to_owned(),
            Self::KeyNotRead
            | Self::SkipPhase { .. }
            | Self::UnsupportedMinor { .. }
            | Self::NoWindow { .. } => "declaration".to_owned(),
            Self::Downgrade { .. }
            | Self::AheadOfHop { .. }
            | Self::Kubeadm { .. }
            | Self::KeysDiffer { .. }
            | Self::EtcdExternal
            | Self::EtcdMember { .. }
            | Self::Catalogue(_)
            | Self::EtcdTooFew { .. }
            | Self::Fault(_) => "cluster".to_owned(),
        }
    }
}

/// A reason as machines read it.
#[derive(Serialize)]
struct Finding<'a> {
    code: &'a str,
    place: String,
    what: String,
    source: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    stricter: Option<&'a str>,
    next: String,
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Finding {
            code: self.code(),
            place: self.place(),
            what: self.to_string(),
            source: self.source(),
            stricter: self.stricter(),
            next: self.next(),
        }
        .serialize(serializer)
    }
}
