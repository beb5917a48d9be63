//! Which release is where by then: what a step waits for or looks at must be what the steps before it have made of it.

use super::{Judge, list};
use crate::cluster::model::{HostName, NodeName};
use crate::plan::data::Action;
use crate::plan::verify::timeline::{control_plane_upgrades, leaves_kube_proxy};
use crate::plan::verify::violation::{Invariant, Violation};
use crate::rules::version::Version;

impl Judge<'_, '_, '_> {
    /// A control plane that is awaited, at the release that runs there then.
    pub(super) fn instance(
        &mut self,
        at: usize,
        host: &HostName,
        node: &NodeName,
        version: &Version,
    ) {
        let Some(machine) = self.control_plane(host) else {
            return;
        };
        self.same("node", node, machine.node);
        let line = self.lines.control_planes.get(machine.node);
        let other = line.and_then(|one| one.api_server.other_during(at, version, self.order));
        if let Some(other) = other {
            let should = format!("{}, which may run then", other.version);
            self.should("version", version, should);
        }
    }

    /// The last look is at everything, at the target; one that ends another hop, at what is at its release by then.
    pub(super) fn looked_at(&mut self, at: usize, version: &Version, nodes: &[NodeName]) {
        let (cluster, lines, order) = (self.cluster, self.lines, self.order);
        let mut looks = order
            .iter()
            .filter(|(_, step)| matches!(step.action, Action::Verify { .. }));
        if looks.next_back().is_none_or(|(last, _)| last == at) {
            self.same("version", version, &self.plan.target);
            self.all_nodes("nodes", nodes);
            return;
        }
        let mut servers = lines.control_planes.values();
        let other = servers.find_map(|one| one.api_server.other_during(at, version, order));
        if let Some(other) = other {
            self.should(
                "version",
                version,
                format!("{}, which may run then", other.version),
            );
        }
        let there: Vec<&NodeName> = cluster
            .hosts
            .values()
            .map(|machine| machine.node)
            .filter(|node| {
                let line = lines.nodes.get(node);
                line.is_some_and(|on| on.kubelet.other_during(at, version, order).is_none())
            })
            .collect();
        self.same("nodes", list(nodes), list(there.iter().copied()));
        if nodes.len() != there.len() {
            self.should("nodes", format!("{} nodes", nodes.len()), there.len());
        }
    }

    /// kube-proxy comes to the release that kubeadm last rolled it to.
    pub(super) fn addons(&mut self, at: usize, kube_proxy: Option<&Version>) {
        let rolled = control_plane_upgrades(self.order)
            .into_iter()
            .filter(|(upgrade, ..)| *upgrade < at && !leaves_kube_proxy(self.order.step(*upgrade)))
            .map(|(_, _, version)| version)
            .next_back();
        // It rolls with the last of them, so none may be left when it is awaited.
        for (upgrade, _, version) in control_plane_upgrades(self.order) {
            let rolls = !leaves_kube_proxy(self.order.step(upgrade));
            if rolls && Some(version) == kube_proxy && !self.order.precedes(upgrade, at) {
                self.wrong.push(Violation::Unordered {
                    invariant: Invariant::ControlPlanes,
                    first: self.order.id(upgrade),
                    then: self.order.id(at),
                });
            }
        }
        let now = self.cluster.kube_proxy.as_ref();
        let by_then = rolled.filter(|_| now.is_some()).or(now);
        match (kube_proxy, by_then) {
            (Some(is), Some(should)) => self.same("kube_proxy", is, should),
            (Some(is), None) => self.should("kube_proxy", is, "none: there is no kube-proxy"),
            (None, Some(should)) if rolled.is_some() => self.should("kube_proxy", "none", should),
            (None, _) => {}
        }
    }
}
