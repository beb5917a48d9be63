//! Kubelets and the node lifecycle controller: pods start, serve and end on their nodes, nodes become ready and are lost.
//!
//! What a kubelet is made of is its machine's; here is what the API sees of it.
//!
//! Sources: kubernetes/kubernetes `pkg/kubelet`, `pkg/controller/nodelifecycle/node_lifecycle_controller.go`.

use std::collections::BTreeMap;
use std::time::Duration;

use super::leader::Component;
use super::{Api, Event, PodId};
use crate::cluster::facts::{Facts, Observed};
use crate::cluster::model::{Controller, HostName, NodeName, Pod, PodPhase, Role, UNREACHABLE};
use crate::rules::eviction::{self, Fate, Policy};
use crate::rules::version::Version;

const SYSTEM: &str = "kube-system";

/// The kubelet's words (kubernetes/kubernetes `pkg/kubelet/container/runtime.go`, containerd's CRI).
const NO_NETWORK: &str = "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady \
                          message:Network plugin returns error: cni plugin not initialized";

impl Api {
    /// Binds a pod to a node, whose kubelet starts it.
    pub(super) fn bind(&mut self, id: PodId, node: &NodeName) {
        self.pods.bind(id, node);
        self.pods_touched(Some(node));
        self.start_containers(id);
    }

    /// The pod's kubelet starts its containers, if it runs.
    fn start_containers(&mut self, id: PodId) {
        let Some(held) = self.pods.get(id) else {
            return;
        };
        let pod = &held.pod;
        let runs = pod
            .node
            .as_ref()
            .and_then(|node| self.nodes.get(node))
            .is_some_and(|known| known.kubelet);
        if !runs || held.serves || eviction::finished(pod) || pod.mirror {
            return;
        }
        let turn = held.turn;
        if let Some(after) = self.timing.serves(&pod.namespace, &pod.name) {
            self.later(after, Event::Serves(id, turn));
        }
    }

    /// A pod's containers serve now.
    pub(super) fn serves(&mut self, id: PodId, turn: u32) {
        let Some(held) = self.pods.get(id) else {
            return;
        };
        let known = held.pod.node.as_ref().and_then(|node| self.nodes.get(node));
        let Some(known) = known.filter(|_| held.turn == turn) else {
            return;
        };
        if !known.kubelet {
            // what runs, runs; the API learns of it once somebody is there to tell
            self.pods.change(id, |held| held.serves = true);
            return;
        }
        // the node's controller has marked the pods of a node that is not ready, and does so again
        let ready = known.node.ready || held.pod.mirror;
        self.pods.change(id, |held| {
            held.serves = true;
            held.pod.phase = PodPhase::Running;
            held.pod.ready = ready;
        });
        self.see_proxy(id);
        self.seen(id);
    }

    /// Notes that a pod has changed, for everybody who watches.
    fn seen(&mut self, id: PodId) {
        let node = self.pods.get(id).and_then(|held| held.pod.node.clone());
        self.pods_touched(node.as_ref());
        self.pod_changed(id);
    }

    /// Deletes a pod: it is given its time, and gone when its containers have ended.
    pub fn delete(&mut self, id: PodId, grace: Option<Duration>) {
        let given = grace.unwrap_or(self.timing.grace);
        let given_s = i64::try_from(given.as_secs()).unwrap_or(i64::MAX);
        let deadline = self.wall_s().saturating_add(given_s);
        let Some(held) = self.pods.get(id) else {
            return;
        };
        // asked again with less time, it has less; never more
        if let Some(before) = held.pod.deletion_timestamp
            && before <= deadline
        {
            return;
        }
        self.pods
            .change(id, |held| held.pod.deletion_timestamp = Some(deadline));
        self.seen(id);
        self.end_containers(id, Some(given));
    }

    /// The pod's kubelet ends its containers, if it runs. A pod without a node is gone at once.
    pub(super) fn end_containers(&mut self, id: PodId, grace: Option<Duration>) {
        let Some(held) = self.pods.get(id) else {
            return;
        };
        let pod = &held.pod;
        let grace = grace.unwrap_or(self.timing.grace);
        let ends = self.timing.ends(&pod.namespace, &pod.name, grace);
        let runs = match &pod.node {
            None => true,
            Some(node) => self.nodes.get(node).is_some_and(|known| known.kubelet),
        };
        let after = if pod.node.is_none() || eviction::finished(pod) {
            Some(Duration::ZERO)
        } else {
            ends
        };
        if let Some(after) = after.filter(|_| runs) {
            self.later(after, Event::Ended(id));
        }
    }

    /// A pod's containers have ended, and its object goes, unless its kubelet cannot tell.
    pub(super) fn ended(&mut self, id: PodId) {
        let Some(held) = self.pods.get(id) else {
            return;
        };
        let node = held.pod.node.clone();
        let told = node
            .as_ref()
            .is_none_or(|node| self.nodes.get(node).is_some_and(|known| known.kubelet));
        if !told || held.pod.deletion_timestamp.is_none() {
            return;
        }
        if let Some(gone) = self.pods.remove(id) {
            self.unused(&gone.pod);
            self.pods_touched(node.as_ref());
            self.pod_changed_of(&gone.pod, gone.owner.as_ref());
            self.schedule_soon();
        }
    }

    /// The kubelet stopped. Its node is lost when it stays so.
    pub(super) fn kubelet_stopped(&mut self, name: &NodeName) {
        let Some(known) = self.nodes.get_mut(name) else {
            return;
        };
        known.kubelet = false;
        known.turn += 1;
        let turn = known.turn;
        self.later(self.timing.node_lost, Event::NodeLost(name.clone(), turn));
    }

    /// The kubelet runs: it registers, starts what should run and ends what should not.
    pub(super) fn kubelet_started(
        &mut self,
        name: &NodeName,
        role: Role,
        version: &Version,
        ready_after: Duration,
    ) {
        let Some(known) = self.nodes.get_mut(name) else {
            return;
        };
        known.kubelet = true;
        known.turn += 1;
        let turn = known.turn;
        let replaced = known.node.kubelet_version != version.to_string();
        known.node.kubelet_version = version.to_string();
        if replaced {
            self.judge_replacement(name, role);
            self.judge_kubelet(name);
        }
        self.set_ready(name, ready_after.is_zero());
        if !ready_after.is_zero() {
            self.later(ready_after, Event::NodeReady(name.clone(), turn));
        }
        let here: Vec<(PodId, bool)> = self
            .pods
            .on(name)
            .map(|(id, held)| (id, held.pod.deletion_timestamp.is_some()))
            .collect();
        for (id, leaving) in here {
            if leaving {
                self.end_containers(id, None);
            } else {
                self.start_containers(id);
            }
        }
    }

    /// A worker's kubelet is replaced on a node that was taken out of service and drained, or not at all.
    fn judge_replacement(&mut self, name: &NodeName, role: Role) {
        let Some(known) = self.nodes.get(name) else {
            return;
        };
        match role {
            Role::ControlPlane => return,
            Role::Worker => {}
        }
        if !known.node.unschedulable {
            self.violation(format!(
                "{name}: its kubelet was replaced while pods could be put there"
            ));
        }
        let policy = Policy {
            delete_empty_dir_data: true,
            evict_unmanaged_pods: true,
            rules: &self.spared,
        };
        let left: Vec<String> = self
            .pods
            .on(name)
            .filter(|(_, held)| match eviction::fate(&held.pod, &policy) {
                Fate::Evict { .. } | Fate::Await | Fate::Complete => !eviction::finished(&held.pod),
                Fate::Keep(_) | Fate::Refuse(_) => false,
            })
            .map(|(_, held)| format!("{}/{}", held.pod.namespace, held.pod.name))
            .collect();
        if !left.is_empty() {
            let left = left.join(", ");
            self.violation(format!("{name}: its kubelet was replaced beside {left}"));
        }
    }

    pub(super) fn node_ready(&mut self, name: &NodeName, turn: u32) {
        if self.nodes.get(name).is_some_and(|known| known.turn == turn) {
            self.set_ready(name, true);
        }
    }

    pub(super) fn node_lost(&mut self, name: &NodeName, turn: u32) {
        if let Some(known) = self.nodes.get_mut(name)
            && known.turn == turn
        {
            let lost = ["NoExecute", "NoSchedule"].map(|effect| format!("{UNREACHABLE}:{effect}"));
            known.node.taints.extend(lost);
            known.node.taints.sort();
            self.set_ready(name, false);
            let after = self.timing.node_given_up;
            self.later(after, Event::NodeGivenUp(name.clone(), turn));
        }
    }

    /// The taint of a lost node is tolerated no longer: its pods are deleted, as far as no DaemonSet keeps them.
    pub(super) fn node_given_up(&mut self, name: &NodeName, turn: u32) {
        if self.nodes.get(name).is_none_or(|known| known.turn != turn) {
            return;
        }
        let policy = Policy {
            delete_empty_dir_data: true,
            evict_unmanaged_pods: true,
            rules: &[],
        };
        let leaving: Vec<PodId> = self
            .pods
            .on(name)
            .filter(|(_, held)| match eviction::fate(&held.pod, &policy) {
                Fate::Evict { .. } => true,
                Fate::Await | Fate::Complete | Fate::Keep(_) | Fate::Refuse(_) => false,
            })
            .map(|(id, _)| id)
            .collect();
        for id in leaving {
            self.delete(id, None);
        }
    }

    /// A node becomes ready, or is not any more; pods of a node that is not ready are not either.
    pub(super) fn set_ready(&mut self, name: &NodeName, ready: bool) {
        let Some(known) = self.nodes.get_mut(name) else {
            return;
        };
        let ready = ready && !known.no_network;
        let changed = known.node.ready != ready;
        known.node.ready = ready;
        known.node.not_ready_because = (!ready).then(|| {
            let because = match (known.kubelet, known.no_network) {
                (false, _) => "Kubelet stopped posting node status.",
                (true, true) => NO_NETWORK,
                (true, false) => "[container runtime status check may not have completed yet]",
            };
            because.to_owned()
        });
        if ready {
            let lost = |taint: &String| taint.split(':').next() == Some(UNREACHABLE);
            known.node.taints.retain(|taint| !lost(taint));
        }
        self.node_touched(name);
        if !changed {
            return;
        }
        let here: Vec<PodId> = self
            .pods
            .on(name)
            .filter(|(_, held)| held.pod.ready != (ready && held.serves))
            .map(|(id, _)| id)
            .collect();
        for id in here {
            self.pods
                .change(id, |held| held.pod.ready = ready && held.serves);
            self.seen(id);
        }
        if ready {
            self.schedule_soon();
        }
    }

    /// The network plugin answers the kubelet again, or does not any more.
    pub(super) fn network(&mut self, name: &NodeName, answers: bool) {
        let Some(known) = self.nodes.get_mut(name) else {
            return;
        };
        known.no_network = !answers;
        let ready = answers && known.kubelet;
        self.set_ready(name, ready);
    }

    /// Every container of the node ended at once, and so did the kubelet.
    pub(super) fn containers_stopped(&mut self, name: &NodeName) {
        let here: Vec<PodId> = self.pods.on(name).map(|(id, _)| id).collect();
        for id in here {
            // nobody is there to tell the API
            self.pods.change(id, |held| {
                held.serves = false;
                held.turn += 1;
            });
        }
        self.kubelet_stopped(name);
        for component in Component::ALL {
            self.component_stopped(name, component);
        }
    }

    /// Mirror pods that the facts lack.
    pub(super) fn mirror_static_pods(
        &mut self,
        facts: &Facts,
        nodes: &BTreeMap<HostName, NodeName>,
    ) {
        for (host, observed) in &facts.hosts {
            let Observed::Known(host_facts) = observed else {
                continue;
            };
            let manifests = host_facts
                .control_plane
                .as_ref()
                .and_then(|control_plane| control_plane.manifests.known());
            let Some(node) = nodes.get(host) else {
                continue;
            };
            for (file, manifest) in manifests.into_iter().flatten() {
                let component = file.trim_end_matches(".yaml");
                let name = format!("{component}-{node}");
                if self.pods.named(SYSTEM, &name).is_none() {
                    let pod = self.mirror(node, component, &manifest.image, true);
                    self.pods.add(pod, true);
                }
            }
        }
    }

    fn mirror(&mut self, node: &NodeName, component: &str, image: &str, ready: bool) -> Pod {
        Pod {
            namespace: SYSTEM.to_owned(),
            name: format!("{component}-{node}"),
            uid: self.uid(),
            node: Some(node.clone()),
            labels: [
                ("component".to_owned(), component.to_owned()),
                ("tier".to_owned(), "control-plane".to_owned()),
            ]
            .into(),
            phase: PodPhase::Running,
            ready,
            deletion_timestamp: None,
            controller: Some(Controller {
                api_version: "v1".to_owned(),
                kind: "Node".to_owned(),
                name: node.to_string(),
            }),
            mirror: true,
            empty_dir: false,
            images: [(component.to_owned(), image.to_owned())].into(),
            placement: None,
        }
    }

    pub(super) fn static_pod_stopped(&mut self, node: &NodeName, component: &str) {
        if let Some(id) = self.pods.named(SYSTEM, &format!("{component}-{node}")) {
            self.pods.change(id, |held| {
                held.serves = false;
                held.pod.ready = false;
                held.turn += 1;
            });
            self.seen(id);
        }
        if let Some(component) = Component::named(component) {
            self.component_stopped(node, component);
        }
    }

    /// A static pod runs, from this image. Its mirror is another object when the manifest is another one.
    pub(super) fn static_pod_started(
        &mut self,
        node: &NodeName,
        component: &str,
        image: &str,
        ready_after: Duration,
    ) {
        let name = format!("{component}-{node}");
        let known = self.pods.named(SYSTEM, &name);
        let same = known
            .and_then(|id| self.pods.get(id))
            .is_some_and(|held| held.pod.images.values().any(|running| running == image));
        let id = match known.filter(|_| same) {
            Some(id) => id,
            None => {
                let like = known.and_then(|id| self.pods.remove(id));
                let mut pod = self.mirror(node, component, image, false);
                if let Some(before) = like {
                    pod.labels = before.pod.labels;
                    pod.placement = before.pod.placement;
                    pod.images = before.pod.images;
                    for running in pod.images.values_mut() {
                        image.clone_into(running);
                    }
                }
                self.pods.add(pod, false)
            }
        };
        let turn = self.pods.change(id, |held| {
            held.turn += 1;
            held.serves = ready_after.is_zero();
            held.pod.ready = ready_after.is_zero();
        });
        if let Some(turn) = turn.map(|held| held.turn)
            && !ready_after.is_zero()
        {
            self.later(ready_after, Event::Serves(id, turn));
        }
        self.seen(id);
        if let Some(component) = Component::named(component) {
            self.component_started(node, component);
            self.judge_instances();
        }
    }
}
