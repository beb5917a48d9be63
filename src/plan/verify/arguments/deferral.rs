//! What becomes of a node whose drain is given up: which of its steps begin anew, and before which barrier.

use super::Judge;
use crate::cluster::model::{NodeName, Role};
use crate::plan::data::{Action, Deferral, StepId};

impl<'p> Judge<'_, 'p, '_> {
    pub(super) fn deferral(&mut self, node: &NodeName, deferral: &'p Deferral) {
        let (plan, order) = (self.plan, self.order);
        if plan.limits.workers_deferred == 0 {
            self.should("deferral", "given", "none: no node may be put off");
        }
        let watched = plan.limits.soaks.iter().filter(|group| group.for_s > 0);
        if watched.into_iter().any(|group| group.nodes.contains(node)) {
            self.should(
                "deferral",
                "given",
                "none: others wait for what this node meets",
            );
        }
        let machine = self.cluster.hosts.values().find(|on| on.node == node);
        if machine.is_none_or(|on| on.role != Role::Worker) {
            self.should("deferral", "given", "none: only workers are put off");
        }
        let place = |id: &StepId| {
            order
                .iter()
                .find(|(_, step)| step.id == *id)
                .map(|(at, _)| at)
        };
        let until = match self.barriers.get(&deferral.until) {
            Some(&until) => until,
            None => {
                let Some(until) = place(&deferral.until) else {
                    self.should("deferral", &deferral.until, "a step of the plan");
                    return;
                };
                if !matches!(order.step(until).action, Action::Barrier { .. }) {
                    self.should("deferral", &deferral.until, "a barrier");
                }
                self.barriers.insert(&deferral.until, until);
                self.alone(until);
                until
            }
        };
        // The nearest cordon of the node before the drain: each hop has one.
        let first = deferral.steps.first().and_then(place);
        let Some(first) = first.filter(
            |&at| matches!(&order.step(at).action, Action::Cordon { node: of } if of == node),
        ) else {
            self.should("deferral", "without a cordon", "from the node's cordon on");
            return;
        };
        let mut own: Vec<&StepId> = order
            .iter()
            .filter(|(_, step)| {
                let by_host = || Some(self.cluster.hosts.get(step.action.host()?)?.node);
                step.action.node().or_else(by_host) == Some(node)
            })
            .filter(|&(at, _)| {
                at == first || order.precedes(first, at) && order.precedes(at, until)
            })
            .map(|(_, step)| &step.id)
            .collect();
        own.sort();
        let mut given: Vec<&StepId> = deferral.steps.iter().collect();
        given.sort();
        if own != given {
            let list = |ids: &[&StepId]| {
                let ids: Vec<&str> = ids.iter().map(|id| id.as_str()).collect();
                ids.join(", ")
            };
            self.should("deferral", list(&given), list(&own));
        }
    }

    /// While nodes are tried again, no other one is taken out of service.
    fn alone(&mut self, until: usize) {
        let order = self.order;
        let changes: Vec<usize> = order
            .iter()
            .filter(|(_, step)| {
                matches!(
                    step.action,
                    Action::Cordon { .. } | Action::Uncordon { .. } | Action::InstallKubelet { .. }
                )
            })
            .map(|(at, _)| at)
            .collect();
        let before: Vec<(usize, usize)> = changes.iter().map(|&at| (at, until)).collect();
        let after: Vec<(usize, usize)> = order
            .unordered(&before)
            .into_iter()
            .map(|(at, until)| (until, at))
            .collect();
        if let Some(&(_, at)) = order.unordered(&after).first() {
            let is = format!("beside {}", order.id(at));
            self.should("deferral", is, "before or after every other node's change");
        }
    }
}
