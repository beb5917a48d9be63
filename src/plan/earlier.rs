//! How long steps should take, from how long they took before.
//!
//! One rule: a step is expected to take as long as the longest of its kind did in the last runs that have ended, a drain as
//! long as the longest one of its own node, where that was drained then, and a hook as long as the longest of its name. What passes because the declaration says so takes
//! what is declared. Nothing is ordered or allowed by it.

use std::fmt;

use super::data::{Action, Step, StepId};
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
        Action::TaintOutdated { .. } => Some("taint-outdated"),
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
        Action::Soak { .. }
        | Action::Gate { .. }
        | Action::WayBack { .. }
        | Action::Barrier { .. } => None,
    }
}

/// Expects of the steps what was seen before, and never more than a step is given.
pub fn expect(steps: &mut [Step], durations: &Durations) {
    for step in steps {
        if let Some(learned) = learned(&step.action, durations) {
            step.expected_s = learned.took_s.min(step.timeout_s);
        }
    }
}

/// How long something like it took before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Learned<'d> {
    /// Seconds.
    pub took_s: u64,
    /// The id of the run, where that is known.
    pub run: Option<&'d str>,
}

/// What earlier runs tell about how long this takes.
#[must_use]
pub fn learned<'d>(action: &Action, durations: &'d Durations) -> Option<Learned<'d>> {
    let origins = &durations.origins;
    let its_own = match action {
        Action::Drain { node, .. } => durations
            .drains
            .get(node)
            .map(|took_s| (took_s, origins.drains.get(node))),
        Action::Hook { name, .. } => durations
            .hooks
            .get(name)
            .map(|took_s| (took_s, origins.hooks.get(name))),
        Action::CheckHost { .. }
        | Action::CheckCluster { .. }
        | Action::SnapshotEtcd { .. }
        | Action::HoldPackages { .. }
        | Action::SwitchRepository { .. }
        | Action::PrefetchPackages { .. }
        | Action::InstallKubeadm { .. }
        | Action::PullImages { .. }
        | Action::KubeadmApply { .. }
        | Action::KubeadmNode { .. }
        | Action::AwaitControlPlane { .. }
        | Action::AwaitAddons { .. }
        | Action::TaintOutdated { .. }
        | Action::Cordon { .. }
        | Action::InstallKubelet { .. }
        | Action::AwaitNode { .. }
        | Action::AwaitStaticPods { .. }
        | Action::Uncordon { .. }
        | Action::ReleaseHolds { .. }
        | Action::Verify { .. }
        | Action::Soak { .. }
        | Action::Gate { .. }
        | Action::WayBack { .. }
        | Action::Barrier { .. } => None,
    };
    let of_kind = || {
        let kind = kind(action)?;
        let took_s = durations.kinds.get(kind)?;
        Some((took_s, origins.kinds.get(kind)))
    };
    its_own.or_else(of_kind).map(|(&took_s, run)| Learned {
        took_s,
        run: run.map(String::as_str),
    })
}

/// A step of which it was learned how long it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LearnedStep {
    /// The step.
    pub step: StepId,
    /// Seconds.
    pub took_s: u64,
    /// The id of the run that showed it, where that is known.
    pub run: Option<String>,
}

impl fmt::Display for LearnedStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.run {
            Some(run) => write!(f, "learned from run {run}: ")?,
            None => f.write_str("learned from an earlier run: ")?,
        }
        let (minutes, seconds) = (self.took_s / 60, self.took_s % 60);
        write!(f, "{} takes ", self.step)?;
        match (minutes, seconds) {
            (0, seconds) => write!(f, "{seconds} s"),
            (minutes, 0) => write!(f, "{minutes} min"),
            (minutes, seconds) => write!(f, "{minutes} min {seconds} s"),
        }
    }
}

/// What of these steps' durations was learned, the longest first, of so many at most.
#[must_use]
pub fn longest_learned(steps: &[&Step], durations: &Durations, at_most: usize) -> Vec<LearnedStep> {
    let mut all: Vec<LearnedStep> = steps
        .iter()
        .filter_map(|step| {
            learned(&step.action, durations).map(|learned| LearnedStep {
                step: step.id.clone(),
                took_s: learned.took_s,
                run: learned.run.map(str::to_owned),
            })
        })
        .collect();
    all.sort_by_key(|of| std::cmp::Reverse(of.took_s));
    all.truncate(at_most);
    all
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
    use crate::cluster::durations::Origins;
    use crate::cluster::model::NodeName;

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
            deferral: None,
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
            origins: Origins::default(),
        };
        let cordon = Action::Cordon {
            node: NodeName::new("w1"),
        };
        let uncordon = Action::Uncordon {
            outdated: false,
            node: NodeName::new("w1"),
        };
        let mut steps = [drain("w1"), drain("w2"), cordon, uncordon].map(step);
        expect(&mut steps, &durations);
        assert_eq!(steps.map(|step| step.expected_s), [30, 60, 100, 7]);
        assert!(note(&durations).contains("from the last 2 runs of this cluster"));
    }
}
