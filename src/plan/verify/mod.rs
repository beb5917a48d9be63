//! Whether a plan keeps what every plan must keep, judged afresh and by other means than those by which it was made.
//!
//! [`verify`] takes a plan and the facts and nothing else: neither the declaration nor anything that the planner worked
//! out. It shares the rules of version skew with the planner, and no algorithm. A plan is a partial order, and whatever is
//! not ordered may happen in any order, so nothing here follows one order of the steps: each invariant is decided by what
//! must come before what, and by the most that can be in flight together. A violation is a defect of refit or of the
//! plan, and a plan that has one is not carried out.
//!
//! The parts: `order` (what comes before what), `chain` (between which of many), `flight` (the most that can be in flight),
//! `cluster` (the facts), `timeline` (which versions may run when), `hops` (one release after another), `rounds` (what nodes
//! go through), and the invariants: `arguments`, `skew`, `preflight`, `packages`, `kubeadm`, `nodes`, `out`, `outdated`, `together`,
//! `declared`, `gates`, `hooks`, `target`, `windows`.

mod arguments;
mod chain;
mod cluster;
mod declared;
mod flight;
mod gates;
mod hooks;
mod hops;
mod kubeadm;
mod nodes;
mod order;
mod out;
mod outdated;
mod packages;
mod preflight;
mod rounds;
mod skew;
mod target;
#[cfg(test)]
mod tests;
mod timeline;
mod together;
mod violation;
pub mod way_back;
mod windows;

pub use violation::{Invariant, Needed, Told, Violation};

use cluster::Cluster;
use hops::Hops;
use order::Order;
use rounds::Rounds;
use timeline::Timelines;

use super::data::{Action, GatePoint, Plan, Step};
use super::purpose::Purpose;
use crate::cluster::drift;
use crate::cluster::facts::Facts;

/// Everything that is wrong with a plan, nothing when it may be carried out.
///
/// What keeps the rest from being judged is told alone: steps that make no order, facts that do not say enough.
#[must_use]
pub fn verify(plan: &Plan, facts: &Facts) -> Vec<Violation> {
    if plan.purpose() == Purpose::Restore {
        return way_back::judge(plan);
    }
    let order = match Order::of(&plan.steps, few) {
        Ok(order) => order,
        Err(wrong) => return wrong,
    };
    let cluster = match Cluster::of(facts, &plan.limits.left_out) {
        Ok(cluster) => cluster,
        Err(wrong) => return wrong,
    };
    let differences = drift::drift(&plan.basis, &drift::basis(facts));
    if !differences.is_empty() {
        return vec![Violation::OtherFacts {
            differences: differences.iter().map(ToString::to_string).collect(),
        }];
    }
    let lines = Timelines::of(&cluster, &order);
    let mut wrong = arguments::judge(plan, &cluster, &order, &lines);
    let hops = Hops::of(&order);
    wrong.extend(hops.judge(&order));
    wrong.extend(preflight::judge(&cluster, &order, &hops));
    wrong.extend(packages::judge(&cluster, &order));
    wrong.extend(kubeadm::judge(&cluster, &order, &lines));
    let rounds = Rounds::of(&cluster, &order);
    wrong.extend(nodes::judge(plan, &cluster, &order, &lines, &hops, &rounds));
    wrong.extend(out::judge(plan, &cluster, &order, &rounds));
    wrong.extend(outdated::judge(plan, &order, &hops, &rounds));
    wrong.extend(together::judge(plan, facts, &cluster, &order, &rounds));
    wrong.extend(declared::judge(plan, &cluster, &order, &hops, &rounds));
    wrong.extend(gates::judge(plan, &order, &hops, &rounds));
    wrong.extend(hooks::judge(plan, &cluster, &order, &rounds));
    wrong.extend(skew::judge(plan, &cluster, &order, &lines));
    wrong.extend(target::judge(plan, &cluster, &order, &lines));
    wrong.extend(windows::judge(plan, &cluster, &order));
    wrong
}

/// Steps that much is ordered by, and of which there are few however many nodes there are.
fn few(step: &Step) -> bool {
    match &step.action {
        Action::CheckCluster { .. }
        | Action::SnapshotEtcd { .. }
        | Action::KubeadmApply { .. }
        | Action::AwaitControlPlane { .. }
        | Action::AwaitStaticPods { .. }
        | Action::AwaitAddons { .. }
        | Action::TaintOutdated { .. }
        | Action::Soak { .. }
        | Action::Verify { .. } => true,
        // Of waves there may be thousands.
        Action::Gate { gate } => gate.at != GatePoint::AfterEachWave,
        Action::KubeadmNode { role, .. } => *role == crate::cluster::model::Role::ControlPlane,
        Action::CheckHost { .. }
        | Action::HoldPackages { .. }
        | Action::SwitchRepository { .. }
        | Action::PrefetchPackages { .. }
        | Action::InstallKubeadm { .. }
        | Action::PullImages { .. }
        | Action::Cordon { .. }
        | Action::Drain { .. }
        | Action::InstallKubelet { .. }
        | Action::AwaitNode { .. }
        | Action::Uncordon { .. }
        | Action::ReleaseHolds { .. }
        | Action::Hook { .. }
        | Action::WayBack { .. }
        | Action::Barrier { .. } => false,
    }
}
