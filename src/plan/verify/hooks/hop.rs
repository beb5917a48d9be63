//! What hooks stand between: a hop's looks, changes, gates, and the turns of its nodes.

use std::collections::BTreeMap;

use crate::cluster::model::{HostName, NodeName, Role};
use crate::documents::settings::GatePoint;
use crate::plan::data::{Action, Plan};
use crate::plan::verify::order::Order;
use crate::plan::verify::rounds::{OfNode, Round, Rounds, Stage};
use crate::rules::version::Version;

/// A node out of service, or left so, until it is back.
pub(super) struct Turn<'p> {
    pub(super) host: &'p HostName,
    pub(super) node: &'p NodeName,
    pub(super) role: Role,
    pub(super) first: usize,
    pub(super) drain: Option<usize>,
    pub(super) install: Option<usize>,
    /// After which it is ready.
    pub(super) ready: Option<usize>,
    pub(super) uncordon: Option<usize>,
}

impl<'p> Turn<'p> {
    /// None where only kubeadm was there.
    fn of(of: &OfNode<'_, 'p>, round: &Round) -> Option<Self> {
        Some(Self {
            host: of.host,
            node: &of.on.node.name,
            role: of.on.role(),
            first: round.begins()?,
            drain: round.at(Stage::Drain),
            install: round.at(Stage::Install),
            ready: round.at(Stage::Settle).or(round.at(Stage::Await)),
            uncordon: round.at(Stage::Uncordon),
        })
    }

    pub(super) fn back(&self) -> usize {
        let last = [self.uncordon, self.ready, self.install, self.drain];
        last.into_iter().flatten().next().unwrap_or(self.first)
    }
}

/// What hooks stand between.
pub(super) struct Hop<'p> {
    pub(super) release: &'p Version,
    /// The look that ends it.
    pub(super) look: Option<usize>,
    /// The looks and the snapshot that it begins with.
    pub(super) beginning: Vec<usize>,
    /// The looks at hosts.
    pub(super) looked_at: BTreeMap<&'p HostName, Vec<usize>>,
    pub(super) gates: Vec<(usize, GatePoint)>,
    pub(super) hooks: Vec<usize>,
    /// Whatever changes something, but the end of holds.
    pub(super) changing: Vec<usize>,
    /// `kubeadm upgrade` on control planes.
    pub(super) upgrades: Vec<usize>,
    /// Where `kubeadm upgrade apply` runs.
    pub(super) apply: Option<&'p HostName>,
    pub(super) awaited: Vec<(usize, &'p HostName)>,
    /// The wait for the addons.
    pub(super) addons: Vec<usize>,
    /// `kubeadm upgrade node` on workers.
    pub(super) configured: Vec<usize>,
    pub(super) turns: Vec<Turn<'p>>,
}

pub(super) fn hops<'p>(plan: &'p Plan, order: &Order<'p>, rounds: &Rounds<'_, 'p>) -> Vec<Hop<'p>> {
    let mut hops: Vec<Hop<'p>> = Vec::new();
    for (at, step) in order.iter() {
        if let Action::Verify { version, .. } = &step.action {
            hops.push(Hop::new(version, Some(at)));
        }
    }
    if hops.is_empty() {
        hops.push(Hop::new(&plan.target, None));
    }
    let looks: Vec<usize> = hops.iter().filter_map(|hop| hop.look).collect();
    let hop_of = |at: usize| {
        let past = looks.iter().filter(|&&look| order.precedes(look, at));
        past.count().min(hops.len() - 1)
    };
    let of: Vec<usize> = (0..order.len()).map(hop_of).collect();
    for (at, step) in order.iter() {
        let Some(hop) = hops.get_mut(of[at]) else {
            continue;
        };
        match &step.action {
            Action::CheckHost { host, .. } => {
                hop.beginning.push(at);
                hop.looked_at.entry(host).or_default().push(at);
            }
            Action::CheckCluster { .. } | Action::SnapshotEtcd { .. } => hop.beginning.push(at),
            Action::Gate { gate } => hop.gates.push((at, gate.at)),
            Action::Hook { .. } => hop.hooks.push(at),
            Action::AwaitControlPlane { host, .. } => hop.awaited.push((at, host)),
            Action::KubeadmApply { host, .. } => {
                hop.apply = Some(host);
                hop.upgrades.push(at);
                hop.changing.push(at);
            }
            Action::KubeadmNode { role, .. } => {
                match role {
                    Role::ControlPlane => hop.upgrades.push(at),
                    Role::Worker => hop.configured.push(at),
                }
                hop.changing.push(at);
            }
            Action::HoldPackages { .. }
            | Action::SwitchRepository { .. }
            | Action::PrefetchPackages { .. }
            | Action::InstallKubeadm { .. }
            | Action::PullImages { .. }
            | Action::Cordon { .. }
            | Action::Drain { .. }
            | Action::InstallKubelet { .. }
            | Action::TaintOutdated { .. }
            | Action::Uncordon { .. } => hop.changing.push(at),
            Action::AwaitAddons { .. } => hop.addons.push(at),
            Action::ReleaseHolds { .. }
            | Action::AwaitNode { .. }
            | Action::AwaitStaticPods { .. }
            | Action::Verify { .. }
            | Action::Soak { .. }
            | Action::WayBack { .. }
            | Action::Barrier { .. } => {}
        }
    }
    let turns = rounds
        .iter()
        .flat_map(|node| node.rounds.iter().filter_map(|round| Turn::of(node, round)));
    let mut turns: Vec<Turn<'p>> = turns.collect();
    turns.sort_by_key(|turn| turn.first);
    for turn in turns {
        if let Some(hop) = hops.get_mut(of[turn.first]) {
            hop.turns.push(turn);
        }
    }
    hops
}

impl<'p> Hop<'p> {
    fn new(release: &'p Version, look: Option<usize>) -> Self {
        Self {
            release,
            look,
            beginning: Vec::new(),
            looked_at: BTreeMap::new(),
            gates: Vec::new(),
            hooks: Vec::new(),
            changing: Vec::new(),
            upgrades: Vec::new(),
            apply: None,
            awaited: Vec::new(),
            addons: Vec::new(),
            configured: Vec::new(),
            turns: Vec::new(),
        }
    }

    pub(super) fn gates_at(&self, point: GatePoint) -> impl Iterator<Item = usize> {
        let gates = self.gates.iter();
        gates
            .filter(move |(_, at)| *at == point)
            .map(|(step, _)| *step)
    }
}
