//! kubeadm where it runs, and control planes one at a time.

use std::collections::BTreeMap;

use super::cluster::Cluster;
use super::order::Order;
use super::timeline::{Span, Timelines, control_plane_upgrades};
use super::violation::{Invariant, Needed, Violation};
use crate::cluster::model::HostName;
use crate::plan::data::Action;
use crate::rules::version::Version;

/// kubeadm's releases, `apply` before `node`, and one control plane after another.
pub fn judge(cluster: &Cluster<'_>, order: &Order<'_>, lines: &Timelines<'_>) -> Vec<Violation> {
    let mut wrong = Vec::new();
    let mut runs: BTreeMap<(&HostName, &Version), usize> = BTreeMap::new();
    let mut applies: BTreeMap<&Version, usize> = BTreeMap::new();
    for (at, step) in order.iter() {
        let (Action::KubeadmApply { host, version, .. }
        | Action::KubeadmNode { host, version, .. }
        | Action::PullImages { host, version, .. }) = &step.action
        else {
            continue;
        };
        let upgrades = !matches!(step.action, Action::PullImages { .. });
        if let Action::KubeadmApply { .. } = step.action
            && applies.insert(version, at).is_some()
        {
            wrong.push(Violation::Needless {
                invariant: Invariant::Kubeadm,
                step: step.id.clone(),
                why: format!("another control plane applies {version}"),
            });
        }
        if let Action::KubeadmNode { .. } = step.action
            && let Some(other) = lines.config.other_during(at, version, order)
        {
            wrong.push(misplaced(order, at, version, other, Source::Config));
        }
        if upgrades && runs.insert((host, version), at).is_some() {
            wrong.push(Violation::Needless {
                invariant: Invariant::Kubeadm,
                step: step.id.clone(),
                why: format!("kubeadm has upgraded {host} to {version} before"),
            });
        }
        let installed = cluster
            .hosts
            .get(host)
            .and_then(|machine| lines.nodes.get(machine.node)?.kubeadm.as_ref());
        if let Some(other) = installed.and_then(|line| line.other_during(at, version, order)) {
            wrong.push(misplaced(order, at, version, other, Source::Package));
        }
    }
    wrong.extend(one_at_a_time(order));
    wrong
}

/// The step at `at` needs `version`, and may meet another.
fn misplaced(
    order: &Order<'_>,
    at: usize,
    version: &Version,
    other: &Span,
    from: Source,
) -> Violation {
    let unordered = |first, then| Violation::Unordered {
        invariant: Invariant::Kubeadm,
        first: order.id(first),
        then: order.id(then),
    };
    match (other.until, other.from) {
        // It comes, and may come too late; or it goes too early.
        (Some(until), _) if until.step != at => unordered(until.step, at),
        (None, Some(from)) if from.step != at && !order.precedes(from.step, at) => {
            unordered(at, from.step)
        }
        (None, None) if from == Source::Config => Violation::Missing {
            invariant: Invariant::Kubeadm,
            needed: Needed::Apply,
            place: "cluster".to_owned(),
            steps: vec![order.id(at)],
        },
        (_, _) => Violation::Argument {
            step: Some(order.id(at)),
            argument: "version",
            is: version.to_string(),
            should: format!("{}, the release {}", other.version, from.text()),
        },
    }
}

/// Where kubeadm's release comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// `upgrade node` upgrades to what is written there.
    Config,
    /// kubeadm upgrades to its own release.
    Package,
}

impl Source {
    const fn text(self) -> &'static str {
        match self {
            Self::Config => "in kubeadm-config",
            Self::Package => "of the installed kubeadm",
        }
    }
}

fn one_at_a_time(order: &Order<'_>) -> Vec<Violation> {
    let mut wrong = Vec::new();
    let upgrades = control_plane_upgrades(order);
    for (index, &(at, host, release)) in upgrades.iter().enumerate() {
        let awaited: Vec<usize> = order
            .iter()
            .filter(|(_, step)| {
                matches!(&step.action, Action::AwaitControlPlane { host: on, version, .. }
                    if on == host && version == release)
            })
            .map(|(awaited, _)| awaited)
            .collect();
        let after = awaited.iter().find(|&&awaited| order.precedes(at, awaited));
        let Some(&after) = after else {
            wrong.push(match awaited.first() {
                Some(&awaited) => Violation::Unordered {
                    invariant: Invariant::ControlPlanes,
                    first: order.id(at),
                    then: order.id(awaited),
                },
                None => Violation::Missing {
                    invariant: Invariant::ControlPlanes,
                    needed: Needed::AwaitControlPlane,
                    place: host.to_string(),
                    steps: vec![order.id(at)],
                },
            });
            continue;
        };
        if let Some(&(next, ..)) = upgrades.get(index + 1)
            && !order.precedes(after, next)
        {
            wrong.push(Violation::Unordered {
                invariant: Invariant::ControlPlanes,
                first: order.id(after),
                then: order.id(next),
            });
        }
    }
    wrong
}
