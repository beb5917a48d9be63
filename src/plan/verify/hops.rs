//! The hops of a plan: one release after another, each over before the next begins.
//!
//! Which hop a step belongs to is read off the release that it brings, not off its id.

use std::collections::BTreeSet;

use super::order::Order;
use super::violation::{Invariant, Needed, Violation};
use crate::host::op::PackageRevision;
use crate::plan::data::Action;
use crate::plan::view::release_of_revision;
use crate::rules::version::Version;

/// The releases that a plan goes through, and the look that ends each.
#[derive(Debug)]
pub struct Hops<'p> {
    releases: Vec<&'p Version>,
    /// For each hop but the last, its look, where there is one.
    ends: Vec<Option<usize>>,
}

impl<'p> Hops<'p> {
    /// The releases that kubeadm upgrades to, in order.
    pub fn of(order: &Order<'p>) -> Self {
        let mut releases: BTreeSet<&Version> = BTreeSet::new();
        for (_, step) in order.iter() {
            if let Action::KubeadmApply { version, .. } | Action::KubeadmNode { version, .. } =
                &step.action
            {
                releases.insert(version);
            }
        }
        let releases: Vec<&Version> = releases.into_iter().collect();
        let passed = releases.len().saturating_sub(1);
        let ends = releases
            .iter()
            .take(passed)
            .map(|release| {
                let look = order.iter().find(|(_, step)| {
                    matches!(&step.action, Action::Verify { version, .. } if version == *release)
                });
                look.map(|(at, _)| at)
            })
            .collect();
        Self { releases, ends }
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.releases.len()
    }

    /// A hop's release.
    pub fn release(&self, hop: usize) -> &'p Version {
        self.releases[hop]
    }

    /// The look that must be over before a hop begins; none for the first.
    pub fn floor(&self, hop: usize) -> Option<usize> {
        let before = hop.checked_sub(1)?;
        self.ends.get(before).copied().flatten()
    }

    /// The hop that a step belongs to, if it brings a release of one.
    pub fn hop_of(&self, action: &Action) -> Option<usize> {
        match action {
            Action::KubeadmApply { version, .. }
            | Action::KubeadmNode { version, .. }
            | Action::PullImages { version, .. }
            | Action::AwaitControlPlane { version, .. }
            | Action::AwaitStaticPods { version, .. }
            | Action::Verify { version, .. } => self.at(version),
            Action::InstallKubeadm { packages, .. }
            | Action::InstallKubelet { packages, .. }
            | Action::PrefetchPackages { packages, .. } => self.of_packages(packages),
            Action::SwitchRepository { minor, .. } => self
                .releases
                .iter()
                .position(|release| release.minor() == *minor),
            Action::AwaitAddons { kube_proxy } => self.at(kube_proxy.as_ref()?),
            // A node may be awaited with a kubelet that skips the hop.
            Action::AwaitNode { .. }
            | Action::CheckHost { .. }
            | Action::CheckCluster { .. }
            | Action::SnapshotEtcd { .. }
            | Action::HoldPackages { .. }
            | Action::Cordon { .. }
            | Action::Drain { .. }
            | Action::TaintOutdated { .. }
            | Action::Uncordon { .. }
            | Action::ReleaseHolds { .. }
            | Action::Soak { .. }
            | Action::Gate { .. }
            | Action::Hook { .. }
            | Action::WayBack { .. }
            | Action::Barrier { .. } => None,
        }
    }

    fn at(&self, version: &Version) -> Option<usize> {
        self.releases.iter().position(|release| *release == version)
    }

    fn of_packages(&self, packages: &[PackageRevision]) -> Option<usize> {
        let releases = packages
            .iter()
            .filter_map(|package| release_of_revision(&package.revision));
        self.at(&releases.max()?)
    }

    /// Every step of a hop before the look that ends it, and every step of a later hop after it.
    pub fn judge(&self, order: &Order<'_>) -> Vec<Violation> {
        let invariant = Invariant::Hops;
        let mut wrong = Vec::new();
        for (hop, end) in self.ends.iter().enumerate() {
            let Some(end) = *end else {
                wrong.push(Violation::Missing {
                    invariant,
                    needed: Needed::Verify,
                    place: format!("the hop to {}", self.releases[hop]),
                    steps: Vec::new(),
                });
                continue;
            };
            for (at, step) in order.iter() {
                let Some(of) = self.hop_of(&step.action) else {
                    continue;
                };
                let (first, then) = if of <= hop { (at, end) } else { (end, at) };
                if at != end && !order.precedes(first, then) {
                    wrong.push(Violation::Unordered {
                        invariant,
                        first: order.id(first),
                        then: order.id(then),
                    });
                }
            }
        }
        wrong
    }
}
