//! How long steps should take, from how long they took before.
//!
//! One rule: a step is expected to take as long as the longest of its kind did in the last runs that have ended, a drain as
//! long as the longest one of its own node, where that was drained then, and a hook as long as the longest of its name. What passes because the declaration says so takes
//! what is declared. Nothing is ordered or allowed by it.

use super::data::{Action, Step};
use crate::cluster::durations::Durations;
use crate::cluster::model::Role;

/// A drain's kind.
pub const DRAIN: &str = "drain";

/// What steps that take alike long have in common; none for those whose time is declared, or that take none.
#[must_use]
pub const fn kind(action: &Action) -> Option<&'static str> {
    match action {
        Action::CheckHost { .. } => Some("check-host"),
        Action::CheckCluster { .. } => Some("check-cluster"),
        Action::SnapshotEtcd { .. } => Some("snapshot-etcd"),
        Action::HoldPackages { .. } => Some("hold-packages"),
        Action::SwitchRepository { .. } => Some("switch-repository"),
        Action::PrefetchPackages { .. } => Some("prefetch-packages"),
        Action::InstallKubeadm { .. } => Some("install-kubeadm"),
        Action::PullImages { .. } => Some("pull-images"),
        Action::KubeadmApply { .. } => Some("kubeadm-apply"),
        Action::KubeadmNode {
            role: Role::ControlPlane,
            ..
        } => Some("kubeadm-node-control-plane"),
        Action::KubeadmNode {
            role: Role::Worker, ..
        } => Some("kubeadm-node-worker"),
        Action::AwaitControlPlane { .. } => Some("await-control-plane"),
        Action::AwaitAddons { .. } => Some("await-addons"),
        Action::Cordon { .. } => Some("cordon"),
        Action::Drain { .. } => Some(DRAIN),
        Action::InstallKubelet { .. } => Some("install-kubelet"),
        Action::AwaitNode { .. } => Some("await-node"),
        Action::AwaitStaticPods { .. } => Some("await-static-pods"),
        Action::Uncordon { .. } => Some("uncordon"),
        Action::ReleaseHolds { .. } => Some("release-holds"),
        Action::Verify { .. } => Some("verify"),
        // One hook says nothing about another: they have times of their own.
        Action::Hook { .. } => None,
        Action::Soak { .. } | Action::Gate { .. } | Action::Barrier { .. } => None,
    }
}

/// Expects of the steps what was seen before, and never more than a step is given.
pub fn expect(steps: &mut [Step], durations: &Durations) {
    for step in steps {
        let its_own = match &step.action {
            Action::Drain { node, .. } => durations.drains.get(node),
            Action::Hook { name, .. } => durations.hooks.get(name),
            _ => None,
        };
        let of_kind = kind(&step.action).and_then(|kind| durations.kinds.get(kind));
        if let Some(&seconds) = its_own.or(of_kind) {
            step.expected_s = seconds.min(step.timeout_s);
        }
    }
}

/// Where expected durations come from.
#[must_use]
pub fn note(durations: &Durations) -> String {
    let Durations { runs, newest, .. } = durations;
    let runs = match runs {
        1 => "the last run".to_owned(),
        runs => format!("the last {runs} runs"),
    };
    format!(
        "durations are expected from {runs} of this cluster (until {newest}): the longest that a step of the kind took there, of a drain the longest on its own node, of a hook its own longest; what did not happen there takes as long as documented"
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::cluster::model::NodeName;
    use crate::plan::data::StepId;

    fn step(action: Action) -> Step {
        Step {
            id: StepId::new("x"),
            action,
            after: Vec::new(),
            timeout_s: 100,
            retries: 0,
            because: String::new(),
            expected_s: 7,
        }
    }

    fn drain(node: &str) -> Action {
        Action::Drain {
            node: NodeName::new(node),
            grace_period_s: None,
            delete_empty_dir_data: false,
            evict_unmanaged_pods: false,
            rules: Vec::new(),
            others_timeout_s: None,
        }
    }

    #[test]
    fn a_node_counts_more_than_the_kind_and_the_timeout_bounds_both() {
        let durations = Durations {
            runs: 2,
            newest: "2026-11-01T00:00:00Z".parse().unwrap(),
            kinds: BTreeMap::from([("drain".to_owned(), 60), ("cordon".to_owned(), 4000)]),
            drains: BTreeMap::from([(NodeName::new("w1"), 30)]),
            hooks: BTreeMap::new(),
        };
        let cordon = Action::Cordon {
            node: NodeName::new("w1"),
        };
        let uncordon = Action::Uncordon {
            node: NodeName::new("w1"),
        };
        let mut steps = [drain("w1"), drain("w2"), cordon, uncordon].map(step);
        expect(&mut steps, &durations);
        assert_eq!(steps.map(|step| step.expected_s), [30, 60, 100, 7]);
        assert!(note(&durations).contains("from the last 2 runs of this cluster"));
    }
}
