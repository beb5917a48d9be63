//! Time that the declaration wants to pass: between control planes, and between groups of workers.
//!
//! A soak is a step of its own, so that reviewers see it, windows count it and a killed run goes on with what is left of it.
//! Whether a group was watched before the plan was made cannot be told from facts, so that a group whose nodes are all at the
//! release already is watched as well before the next one goes.

use std::collections::HashMap;

use super::data::{Action, SoakingGroup, StepId};
use super::draft::{CLUSTER, Draft};
use super::nodes;
use super::pace::{Pace, SOAK_LOOK_S};
use super::view::{HostView, View};
use crate::cluster::model::NodeName;
use crate::documents::settings::Upgrade;

/// What changes on a control plane before the pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Its static pods.
    Instance,
    /// Its kubelet.
    Kubelet,
}

/// The groups of `strategy.workers.order`, as far as the last one that soaks.
#[must_use]
pub fn declared(view: &View<'_>, upgrade: &Upgrade) -> Vec<SoakingGroup> {
    let order = &upgrade.workers.order;
    let last = order.iter().rposition(|group| group.soak.as_secs() > 0);
    let mut groups: Vec<SoakingGroup> = order
        .iter()
        .take(last.map_or(0, |last| last + 1))
        .map(|group| SoakingGroup {
            nodes: Vec::new(),
            for_s: group.soak.as_secs(),
        })
        .collect();
    for host in view.workers() {
        if let Some(group) = groups.get_mut(nodes::group(host, upgrade)) {
            group.nodes.push(host.node.name.clone());
        }
    }
    for group in &mut groups {
        group.nodes.sort();
    }
    groups
}

/// Adds the pause after a control plane, where one is declared. Returns the step that the next one waits for.
pub fn pause(
    draft: &mut Draft<'_>,
    upgrade: &Upgrade,
    change: Change,
    on: &HostView<'_>,
    after: &StepId,
) -> StepId {
    let for_s = upgrade.control_plane.pause.as_secs();
    if for_s == 0 {
        return after.clone();
    }
    let verb = match change {
        Change::Instance => "pause",
        Change::Kubelet => "pause-kubelet",
    };
    draft.step(
        on.name(),
        verb,
        Action::Soak {
            for_s,
            nodes: vec![on.node.name.clone()],
        },
        &[after],
        pace(for_s),
        "strategy.controlPlane.pause: what a control plane's change brings may show only after a while",
    )
}

/// Groups of workers, while waves are put one after another.
#[derive(Debug)]
pub struct Soaks<'s> {
    groups: &'s [SoakingGroup],
    /// The group of each node in one.
    places: HashMap<&'s NodeName, usize>,
    /// How many of them are soaked.
    soaked: usize,
}

impl<'s> Soaks<'s> {
    /// None is soaked yet.
    #[must_use]
    pub fn of(groups: &'s [SoakingGroup]) -> Self {
        let named = groups.iter().enumerate();
        Self {
            groups,
            places: named
                .flat_map(|(place, group)| group.nodes.iter().map(move |node| (node, place)))
                .collect(),
            soaked: 0,
        }
    }

    /// Adds the soak that must be over before these nodes go, if there is one.
    pub fn before<'n>(
        &mut self,
        draft: &mut Draft<'_>,
        nodes: impl Iterator<Item = &'n NodeName>,
        after: &StepId,
    ) -> Option<StepId> {
        let place = |node: &NodeName| self.places.get(node).copied();
        let next = nodes
            .map(|node| place(node).unwrap_or(self.groups.len()))
            .max()?;
        let due = self.groups.get(self.soaked..next)?;
        let from = self.soaked;
        self.soaked = self.soaked.max(next);
        let watched = || {
            due.iter()
                .filter(|group| group.for_s > 0 && !group.nodes.is_empty())
        };
        let for_s = watched().map(|group| group.for_s).max()?;
        let number = from
            + due
                .iter()
                .rposition(|group| group.for_s > 0 && !group.nodes.is_empty())?;
        let mut nodes: Vec<NodeName> = watched().flat_map(|group| group.nodes.clone()).collect();
        nodes.sort();
        Some(draft.step(
            CLUSTER,
            &format!("soak-group-{}", number + 1),
            Action::Soak { for_s, nodes },
            &[after],
            pace(for_s),
            format!(
                "strategy.workers.order[{number}].soak: what these nodes meet at the new release, others need not meet"
            ),
        ))
    }
}

const fn pace(for_s: u64) -> Pace {
    Pace {
        timeout_s: for_s + SOAK_LOOK_S,
        expected_s: for_s,
        retries: 0,
    }
}
