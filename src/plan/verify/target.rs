//! Where everything ends.

use std::collections::BTreeMap;

use super::cluster::Cluster;
use super::order::Order;
use super::timeline::{Timeline, Timelines};
use super::violation::{Invariant, Needed, Violation};
use crate::cluster::model::HostName;
use crate::plan::data::{Action, Plan};
use crate::plan::view::release_of_revision;
use crate::rules::skew::Component;
use crate::rules::version::Version;

/// Every component of every host at the target, looked at in the end.
pub fn judge(
    plan: &Plan,
    cluster: &Cluster<'_>,
    order: &Order<'_>,
    lines: &Timelines<'_>,
) -> Vec<Violation> {
    let mut wrong = looked_at_last(order);
    let mut ends = |component, place: String, version: Option<&Version>| {
        if let Some(version) = version.filter(|version| **version != plan.target) {
            wrong.push(Violation::NotAtTarget {
                component,
                place,
                ends: version.clone(),
                target: plan.target.clone(),
            });
        }
    };
    ends(None, "kubeadm-config".to_owned(), lines.config.end());
    for (node, one) in &lines.control_planes {
        for (component, line) in [
            (Component::ApiServer, &one.api_server),
            (Component::ControllerManager, &one.controller_manager),
            (Component::Scheduler, &one.scheduler),
        ] {
            ends(Some(component), node.to_string(), line.end());
        }
    }
    for (node, on) in &lines.nodes {
        if cluster.nodes.get(node).is_none_or(|on| on.host.is_none()) {
            continue;
        }
        ends(Some(Component::Kubelet), node.to_string(), on.kubelet.end());
        let tools = [
            (Component::Kubeadm, &on.kubeadm),
            (Component::Kubectl, &on.kubectl),
        ];
        for (component, line) in tools {
            ends(
                Some(component),
                node.to_string(),
                line.as_ref().and_then(Timeline::end),
            );
        }
    }
    // What runs may be at the target where its package is not, and the other way about.
    let installs = installed(order);
    for (host, machine) in &cluster.hosts {
        for (component, package) in [
            (Component::Kubeadm, "kubeadm"),
            (Component::Kubelet, "kubelet"),
        ] {
            let installed = installs
                .get(&(*host, package))
                .or(machine.installed.get(package));
            ends(Some(component), format!("{host} (the package)"), installed);
        }
    }
    wrong
}

fn installed<'p>(order: &Order<'p>) -> BTreeMap<(&'p HostName, &'p str), Version> {
    let mut all = BTreeMap::new();
    for (_, step) in order.iter() {
        if let Action::InstallKubeadm { host, packages, .. }
        | Action::InstallKubelet { host, packages, .. } = &step.action
        {
            for package in packages {
                let release = release_of_revision(&package.revision);
                all.extend(release.map(|release| ((host, package.name.as_str()), release)));
            }
        }
    }
    all
}

fn looked_at_last(order: &Order<'_>) -> Vec<Violation> {
    let looks: Vec<usize> = order
        .iter()
        .filter(|(_, step)| matches!(step.action, Action::Verify { .. }))
        .map(|(at, _)| at)
        .collect();
    let Some(&last) = looks.last() else {
        let steps: Vec<_> = order
            .iter()
            .next_back()
            .map(|(_, step)| step.id.clone())
            .into_iter()
            .collect();
        return if steps.is_empty() {
            Vec::new()
        } else {
            vec![Violation::Missing {
                invariant: Invariant::Target,
                needed: Needed::Verify,
                place: "cluster".to_owned(),
                steps,
            }]
        };
    };
    // Every step leads to an end of the plan, and there must be one end only.
    order
        .iter()
        .filter(|(at, _)| *at != last && order.followers(*at).is_empty())
        .map(|(_, step)| Violation::Unordered {
            invariant: Invariant::Target,
            first: step.id.clone(),
            then: order.id(last),
        })
        .chain(
            order
                .followers(last)
                .iter()
                .map(|&later| Violation::Unordered {
                    invariant: Invariant::Target,
                    first: order.id(later),
                    then: order.id(last),
                }),
        )
        .collect()
}
