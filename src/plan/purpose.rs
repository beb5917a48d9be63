//! What a plan is for, read off its steps.

use serde::Serialize;

use super::data::{Action, Plan};
use super::way_back::Part;

/// What a plan is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// The cluster becomes what a declaration says.
    Upgrade,
    /// A snapshot is taken, and nothing is changed.
    Snapshot,
    /// What a snapshot holds becomes the cluster's state.
    Restore,
    /// One control plane's static pods go back to what kubeadm kept of them.
    Rollback,
}

impl Plan {
    /// What it is for.
    #[must_use]
    pub fn purpose(&self) -> Purpose {
        let snapshot = |action: &Action| matches!(action, Action::SnapshotEtcd { .. });
        let all = |is: fn(&Action) -> bool| {
            !self.steps.is_empty() && self.steps.iter().all(|step| is(&step.action))
        };
        let put_back = |action: &Action| {
            matches!(
                action,
                Action::WayBack {
                    part: Part::PutBack(_),
                    ..
                }
            )
        };
        let back = |action: &Action| matches!(action, Action::WayBack { .. });
        if all(snapshot) {
            Purpose::Snapshot
        } else if self.steps.iter().any(|step| put_back(&step.action)) {
            Purpose::Rollback
        } else if self.steps.iter().any(|step| back(&step.action)) {
            Purpose::Restore
        } else {
            Purpose::Upgrade
        }
    }
}
