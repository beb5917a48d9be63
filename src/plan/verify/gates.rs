//! Every declared gate is where it was declared, in each hop: what must be done before it is, and what must wait for it does.
//! No step is looked for by its name, and nothing is known of waves but that some workers go after others.

use super::chain::Chain;
use super::hops::Hops;
use super::order::Order;
use super::rounds::{Change, Round, Rounds, Stage};
use super::timeline::control_plane_upgrades;
use super::violation::{Invariant, Needed, Violation};
use crate::cluster::model::{HostName, Role};
use crate::documents::settings::{Gate, GatePoint};
use crate::plan::data::{Action, Plan};
use crate::rules::version::Version;

/// Everything declared that is not there.
pub fn judge(
    plan: &Plan,
    order: &Order<'_>,
    hops: &Hops<'_>,
    rounds: &Rounds<'_, '_>,
) -> Vec<Violation> {
    if plan.limits.gates.is_empty() {
        return Vec::new();
    }
    let mut all: Vec<Hop<'_, '_, '_>> = (0..hops.len())
        .map(|hop| Hop::new(order, hops, hop))
        .collect();
    for (at, step) in order.iter() {
        if let (Some(hop), Action::Verify { .. }) = (hops.hop_of(&step.action), &step.action)
            && let Some(hop) = all.get_mut(hop)
        {
            hop.look = Some(at);
        }
    }
    for (at, step) in order.iter() {
        if let Action::CheckHost { .. } | Action::CheckCluster { .. } = &step.action {
            let of = all.iter_mut().find(|hop| hop.holds(at));
            of.into_iter().for_each(|hop| hop.looks.push(at));
        }
        // It may name no release, where kube-proxy is not kubeadm's to roll.
        if let Action::AwaitAddons { .. } = &step.action {
            let of = all.iter_mut().find(|hop| hop.holds(at));
            of.into_iter().for_each(|hop| hop.served.push(at));
        }
        // Holds bring no release: they are the first hop's.
        if let (Action::HoldPackages { .. }, Some(first)) = (&step.action, all.first_mut()) {
            first.changing.push(at);
        }
        let Some(hop) = hops.hop_of(&step.action).and_then(|hop| all.get_mut(hop)) else {
            continue;
        };
        if let Action::AwaitControlPlane { host, .. } = &step.action {
            hop.awaited.push((at, host));
            hop.served.push(at);
        }
        if let Action::KubeadmNode {
            role: Role::Worker, ..
        } = &step.action
        {
            hop.on_workers.push(at);
        }
        if changes_hosts(&step.action) {
            hop.changing.push(at);
        }
    }
    for (at, host, version) in control_plane_upgrades(order) {
        if let Some(hop) = all.iter_mut().find(|hop| hop.release == version) {
            hop.upgrades.push((at, host));
        }
    }
    for change in rounds.changes(order) {
        let Some(hop) = all.iter_mut().find(|hop| *hop.release == change.release) else {
            continue;
        };
        hop.kubelets.push(change.out);
        hop.back.push(change.back);
        match change.role {
            Role::Worker => {
                hop.on_workers.push(change.out);
                hop.workers.push(change);
            }
            Role::ControlPlane => hop.served.push(change.back),
        }
    }
    // What an earlier run left out of service, with its kubelet at the release: it only comes back.
    for of in rounds.iter().filter(|of| of.on.left_cordoned()) {
        let only_back = of
            .rounds
            .first()
            .filter(|round| round.at(Stage::Install).is_none());
        if let Some(back) = only_back.and_then(Round::back)
            && let Some(hop) = all.iter_mut().find(|hop| hop.holds(back))
        {
            hop.back.push(back);
            match of.on.role() {
                Role::Worker => hop.on_workers.push(back),
                Role::ControlPlane => hop.served.push(back),
            }
        }
    }
    all.iter()
        .flat_map(|hop| plan.limits.gates.iter().map(move |gate| (hop, gate)))
        .filter_map(|(hop, gate)| hop.lacks(gate))
        .collect()
}

/// What of a hop gates stand between.
struct Hop<'o, 'p, 'f> {
    order: &'o Order<'p>,
    release: &'p Version,
    /// The look that ended the hop before.
    floor: Option<usize>,
    /// The look that ends it.
    look: Option<usize>,
    /// The looks that it begins with.
    looks: Vec<usize>,
    /// Whatever brings its release to a host, and the holds before it.
    changing: Vec<usize>,
    /// `kubeadm upgrade` on control planes, in order.
    upgrades: Vec<(usize, &'p HostName)>,
    awaited: Vec<(usize, &'p HostName)>,
    /// After which its control planes and the addons are as they stay.
    served: Vec<usize>,
    /// What takes nodes out for its kubelets.
    kubelets: Vec<usize>,
    /// What brings them back.
    back: Vec<usize>,
    /// What begins on workers.
    on_workers: Vec<usize>,
    /// The workers' kubelets.
    workers: Vec<Change<'f>>,
}

impl<'o, 'p, 'f> Hop<'o, 'p, 'f> {
    fn new(order: &'o Order<'p>, hops: &Hops<'p>, hop: usize) -> Self {
        Self {
            order,
            release: hops.release(hop),
            floor: hops.floor(hop),
            look: None,
            looks: Vec::new(),
            changing: Vec::new(),
            upgrades: Vec::new(),
            awaited: Vec::new(),
            served: Vec::new(),
            kubelets: Vec::new(),
            back: Vec::new(),
            on_workers: Vec::new(),
            workers: Vec::new(),
        }
    }

    /// Whether a step is between the looks that end the hop before and this one.
    fn holds(&self, at: usize) -> bool {
        let order = self.order;
        self.floor.is_none_or(|floor| order.precedes(floor, at))
            && self.look.is_none_or(|look| order.precedes(at, look))
    }

    /// That the gate is missing somewhere in the hop, if it is.
    fn lacks(&self, gate: &Gate) -> Option<Violation> {
        // One that is passed before the hop begins, or only after it, is another hop's.
        let steps: Vec<usize> = self
            .order
            .iter()
            .filter(|(_, step)| matches!(&step.action, Action::Gate { gate: is } if is == gate))
            .map(|(at, _)| at)
            .filter(|&at| self.holds(at))
            .collect();
        let lacking = match gate.at {
            // What was looked at before somebody took days to answer is not what is there then.
            GatePoint::BeforeHop => {
                let mut then = self.looks.clone();
                then.extend(&self.changing);
                self.between(&steps, &[], &then)
            }
            GatePoint::AfterControlPlane => self.after_control_planes(&steps),
            GatePoint::BeforeWorkers => self.between(&steps, &self.served, &self.on_workers),
            GatePoint::AfterEachWave => self.after_waves(&steps),
            GatePoint::AfterHop => {
                let mut before = self.back.clone();
                before.extend(&self.changing);
                before.extend(self.awaited.iter().map(|(at, _)| *at));
                self.look
                    .and_then(|look| self.between(&steps, &before, &[look]))
            }
        };
        lacking.map(|at| Violation::Missing {
            invariant: Invariant::Declared,
            needed: Needed::Gate,
            place: format!("{} of the hop to {}", gate.at.as_str(), self.release),
            steps: vec![self.order.id(at)],
        })
    }

    /// Something that waits for no step of these that comes after everything before; nothing where nothing is to wait.
    fn between(&self, steps: &[usize], before: &[usize], then: &[usize]) -> Option<usize> {
        let order = self.order;
        let late: Vec<usize> = steps
            .iter()
            .copied()
            .filter(|&at| before.iter().all(|&first| order.precedes(first, at)))
            .collect();
        then.iter()
            .copied()
            .find(|&then| !late.iter().any(|&at| order.precedes(at, then)))
    }

    /// After each before the next, and after the last before any kubelet and the hop's last look.
    fn after_control_planes(&self, steps: &[usize]) -> Option<usize> {
        for (index, &(_, host)) in self.upgrades.iter().enumerate() {
            let awaited = self.awaited.iter().find(|(_, of)| *of == host);
            let Some(&(awaited, _)) = awaited else {
                continue;
            };
            let then: Vec<usize> = match self.upgrades.get(index + 1) {
                Some((next, _)) => vec![*next],
                None => self.kubelets.iter().chain(&self.look).copied().collect(),
            };
            if let Some(at) = self.between(steps, &[awaited], &then) {
                return Some(at);
            }
        }
        None
    }

    /// Between any worker and one that goes after it, and before the hop's last look after each.
    fn after_waves(&self, steps: &[usize]) -> Option<usize> {
        let order = self.order;
        let pairs: Vec<(usize, usize)> = steps.windows(2).map(|pair| (pair[0], pair[1])).collect();
        if let Some((_, then)) = order.unordered(&pairs).into_iter().next() {
            return Some(then);
        }
        let chain = Chain::of(order, steps);
        // For each step, the last stretch between two gates of which a worker has always come back by then, counted from 1.
        let mut back = vec![0; order.len()];
        for worker in &self.workers {
            let stretch = chain.behind(worker.out);
            if stretch == steps.len() || chain.ahead(worker.back) != stretch {
                return Some(worker.out);
            }
            back[worker.back] = back[worker.back].max(stretch + 1);
        }
        for at in 0..order.len() {
            for &follower in order.followers(at) {
                back[follower] = back[follower].max(back[at]);
            }
        }
        let mut workers = self.workers.iter().map(|worker| worker.out);
        workers.find(|&out| back[out] == chain.behind(out) + 1)
    }
}

/// Whether something of the hop's release comes to a host with the step.
fn changes_hosts(action: &Action) -> bool {
    match action {
        Action::SwitchRepository { .. }
        | Action::PrefetchPackages { .. }
        | Action::InstallKubeadm { .. }
        | Action::PullImages { .. }
        | Action::KubeadmApply { .. }
        | Action::KubeadmNode { .. }
        | Action::InstallKubelet { .. } => true,
        Action::CheckHost { .. }
        | Action::CheckCluster { .. }
        | Action::SnapshotEtcd { .. }
        | Action::HoldPackages { .. }
        | Action::AwaitControlPlane { .. }
        | Action::AwaitAddons { .. }
        | Action::TaintOutdated { .. }
        | Action::Cordon { .. }
        | Action::Drain { .. }
        | Action::AwaitNode { .. }
        | Action::AwaitStaticPods { .. }
        | Action::Uncordon { .. }
        | Action::ReleaseHolds { .. }
        | Action::Verify { .. }
        | Action::Soak { .. }
        | Action::Gate { .. }
        | Action::Hook { .. }
        | Action::WayBack { .. }
        | Action::Barrier { .. } => false,
    }
}
