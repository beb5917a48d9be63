//! The cluster's objects, and those that keep them as they should be.
//!
//! [`Api`] owns the objects and their resource versions. Who acts on them has a file each: controllers of pods (`sets`), the
//! disruption controller (`budgets`), the scheduler, kubelets and the node lifecycle (`kubelet`), API servers and leaders
//! (`servers`), the eviction subresource (`evict`), and what clients do (`client`). They leave each other notes only as
//! events on the world's heap ([`Event`]), as controllers do that watch. Nothing here knows what a machine is made of: machines
//! tell what happened by [`Effect`]s.

mod attach;
mod budgets;
mod client;
pub mod evict;
mod kubelet;
mod leader;
pub mod pods;
mod port;
mod rewind;
mod scheduler;
mod servers;
mod sets;
mod skew;
mod timing;
mod workloads;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

pub use self::budgets::Guard;
use self::leader::Leaders;
pub use self::pods::{Held, Owner, PodId, Pods};
use self::servers::Servers;
use self::sets::Set;
use self::skew::Running;
pub use self::timing::{Habit, Timing};
use self::workloads::{Rollout, WorkloadKey};
use super::effect::Effect;
use crate::cluster::facts::{Facts, KubeadmConfig, KubeletSettings, Observed, Surroundings};
use crate::cluster::model::{HostName, Node, NodeName, Role, Workload};
use crate::ports::Claim;
use crate::rules::eviction::Exception;

/// A node, and what is known of its kubelet.
#[derive(Debug, Clone)]
pub struct Known {
    /// As the API shows it.
    pub node: Node,
    /// Its kubelet runs.
    pub kubelet: bool,
    /// Its network plugin does not answer.
    no_network: bool,
    /// Counts the starts and stops of its kubelet, so that what was scheduled for an earlier one does not happen.
    turn: u32,
    /// Resource version of its last change.
    changed: u64,
    /// Resource version of the last change of one of its pods.
    pods_changed: u64,
}

/// What the facts do not say.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// How long things take.
    pub timing: Timing,
    /// Pods that drains leave where they are, by the declaration's rules.
    pub spared: Vec<Exception>,
}

/// The API's objects.
#[derive(Debug, Clone)]
pub struct Api {
    now: Duration,
    began: Timestamp,
    timing: Timing,
    /// Pods that a drain of this declaration leaves where they are.
    spared: Vec<Exception>,
    version: u64,
    nodes: BTreeMap<NodeName, Known>,
    pods: Pods,
    /// The next node that the scheduler looks at.
    next_node: usize,
    scheduling: bool,
    guards: BTreeMap<(String, String), Guard>,
    sets: BTreeMap<Owner, Set>,
    workloads: BTreeMap<WorkloadKey, Rollout>,
    servers: Servers,
    leaders: Leaders,
    /// refit's own lease, and how often it was written.
    claim: (Option<Claim>, u64),
    attachments: attach::Attachments,
    /// What snapshots hold.
    saved: rewind::Saved,
    running: Running,
    uid: Observed<String>,
    kubeadm_config: Observed<KubeadmConfig>,
    kubelet_config: Observed<String>,
    kubelet_settings: Observed<KubeletSettings>,
    surroundings: Surroundings,
    /// What could not be observed, by the question.
    unknown: BTreeMap<&'static str, String>,
    made: u64,
    agenda: Vec<(Duration, Event)>,
    violations: Vec<String>,
}

/// Something that is due in the API's part of the world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A controller looks after its pods.
    Sync(Owner),
    /// A Deployment's controller looks after its replica sets.
    Roll(WorkloadKey),
    /// The disruption controller counts a budget's pods.
    Recount((String, String)),
    /// The scheduler looks for nodes for the pods that have none.
    Schedule,
    /// A pod's containers serve, unless something happened to it since.
    Serves(PodId, u32),
    /// A pod's containers have ended.
    Ended(PodId),
    /// A kubelet reports its node as ready, unless it stopped since.
    NodeReady(NodeName, u32),
    /// A kubelet has not renewed its node's lease for too long, unless it started since.
    NodeLost(NodeName, u32),
    /// Pods of a node that is lost are deleted.
    NodeGivenUp(NodeName, u32),
    /// A volume is detached from the node that its pod has left.
    Detached(String),
    /// A component may take over as a leader.
    Elect(leader::Component),
}

impl Api {
    /// From what was observed. What could not be observed cannot be asked here either.
    ///
    /// Facts of a true cluster have a mirror pod for each static pod. Where facts that were made by hand have none, they are
    /// added, because a kubelet does so.
    #[must_use]
    pub fn of(facts: &Facts, nodes: &BTreeMap<HostName, NodeName>, options: Options) -> Self {
        let Options { timing, spared } = options;
        let cluster = &facts.cluster;
        let mut api = Self {
            now: Duration::ZERO,
            began: facts.observed_at,
            timing,
            spared,
            version: 1,
            nodes: BTreeMap::new(),
            pods: Pods::default(),
            next_node: 0,
            scheduling: false,
            guards: BTreeMap::new(),
            sets: BTreeMap::new(),
            workloads: BTreeMap::new(),
            servers: Servers::of(facts, nodes),
            leaders: Leaders::default(),
            claim: (None, 0),
            attachments: attach::Attachments::default(),
            saved: rewind::Saved::default(),
            running: Running::default(),
            uid: cluster.uid.clone(),
            kubeadm_config: cluster.kubeadm_config.clone(),
            kubelet_config: cluster.kubelet_config.clone(),
            kubelet_settings: cluster.kubelet_settings.clone(),
            surroundings: cluster.surroundings.clone(),
            unknown: BTreeMap::new(),
            made: 0,
            agenda: Vec::new(),
            violations: Vec::new(),
        };
        for node in api.known("nodes", &cluster.nodes) {
            let known = Known {
                kubelet: node.ready,
                no_network: false,
                node,
                turn: 0,
                changed: 1,
                pods_changed: 1,
            };
            api.nodes.insert(known.node.name.clone(), known);
        }
        for pod in api.known("pods", &cluster.pods) {
            let serves = pod.ready;
            api.pods.add(pod, serves);
        }
        api.mirror_static_pods(facts, nodes);
        for workload in api.known("workloads", &cluster.workloads) {
            api.add_workload(workload);
        }
        api.found_sets();
        for budget in api.known("budgets", &cluster.budgets) {
            api.add_guard(budget);
        }
        api.leaders = Leaders::of(&api.pods);
        api.see_versions(facts, nodes);
        api.resume_what_is_under_way();
        api
    }

    fn known<T: Clone>(&mut self, what: &'static str, observed: &Observed<Vec<T>>) -> Vec<T> {
        match observed {
            Observed::Known(found) => found.clone(),
            Observed::Unknown(why) => {
                self.unknown.insert(what, why.clone());
                Vec::new()
            }
        }
    }

    /// Pods that were being deleted, or had no node, when the facts were taken.
    fn resume_what_is_under_way(&mut self) {
        let ending: Vec<PodId> = self
            .pods
            .all()
            .filter(|(_, held)| held.pod.deletion_timestamp.is_some())
            .map(|(id, _)| id)
            .collect();
        for id in ending {
            self.end_containers(id, None);
        }
    }

    /// The time, as the world has it.
    pub(in crate::sim) const fn at(&mut self, now: Duration) {
        self.now = now;
    }

    /// What is to happen later, since it was last asked for.
    pub(in crate::sim) fn take_agenda(&mut self) -> Vec<(Duration, Event)> {
        std::mem::take(&mut self.agenda)
    }

    /// What must never happen and did, since it was last asked for.
    pub(in crate::sim) fn take_violations(&mut self) -> Vec<String> {
        std::mem::take(&mut self.violations)
    }

    fn later(&mut self, after: Duration, event: Event) {
        self.agenda.push((self.now.saturating_add(after), event));
    }

    fn wall_s(&self) -> i64 {
        self.began
            .as_second()
            .saturating_add(i64::try_from(self.now.as_secs()).unwrap_or(i64::MAX))
    }

    /// A new uid, the same in each run.
    fn uid(&mut self) -> String {
        self.made += 1;
        format!("5eed0000-0000-4000-8000-{:012x}", self.made)
    }

    const fn bump(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    /// Notes that a node's object has changed.
    fn node_touched(&mut self, name: &NodeName) {
        let version = self.bump();
        if let Some(known) = self.nodes.get_mut(name) {
            known.changed = version;
        }
    }

    /// Notes that a pod of a node has changed.
    fn pods_touched(&mut self, node: Option<&NodeName>) {
        let version = self.bump();
        if let Some(known) = node.and_then(|node| self.nodes.get_mut(node)) {
            known.pods_changed = version;
        }
    }

    fn violation(&mut self, text: String) {
        self.violations.push(text);
    }

    /// Lets an event happen.
    pub(in crate::sim) fn happen(&mut self, event: Event) {
        if let Some(event) = self.leaders.hold_back(event, self.servers.answer()) {
            match event {
                Event::Sync(owner) => self.sync(&owner),
                Event::Roll(key) => self.roll(&key),
                Event::Recount(key) => self.recount(&key),
                Event::Schedule => self.schedule(),
                Event::Serves(id, turn) => self.serves(id, turn),
                Event::Ended(id) => self.ended(id),
                Event::NodeReady(node, turn) => self.node_ready(&node, turn),
                Event::NodeLost(node, turn) => self.node_lost(&node, turn),
                Event::NodeGivenUp(node, turn) => self.node_given_up(&node, turn),
                Event::Detached(volume) => self.detached(&volume),
                Event::Elect(component) => self.elect(component),
            }
        }
    }

    /// Takes in what happened on a machine.
    pub fn apply(&mut self, node: &NodeName, role: Role, effect: Effect) {
        match effect {
            Effect::KubeletStopped => self.kubelet_stopped(node),
            Effect::KubeletStarted {
                version,
                ready_after,
            } => self.kubelet_started(node, role, &version, ready_after),
            Effect::NetworkDown => self.network(node, false),
            Effect::NetworkUp => self.network(node, true),
            Effect::ContainersStopped => self.containers_stopped(node),
            Effect::StaticPodStopped { component } => self.static_pod_stopped(node, &component),
            Effect::StaticPodStarted {
                component,
                image,
                ready_after,
            } => self.static_pod_started(node, &component, &image, ready_after),
            Effect::ApiServerDown => self.servers.down(node, self.now),
            Effect::ApiServerUp { version } => {
                self.servers.up(node, version);
                self.judge_instances();
                self.flush();
            }
            Effect::EtcdDown => self.servers.member(node, false),
            Effect::EtcdUp => {
                self.servers.member(node, true);
                self.flush();
            }
            Effect::EtcdSaved { sha256 } => self.save(sha256),
            Effect::EtcdRestored { sha256 } => self.rewind(&sha256),
            Effect::KubeadmConfigWritten { version } => {
                if let Observed::Known(config) = &mut self.kubeadm_config {
                    config.kubernetes_version = version;
                }
                self.bump();
            }
            Effect::KubeletConfigWritten { sha256 } => {
                self.kubelet_config = Observed::Known(sha256);
                self.bump();
            }
            Effect::AddonApplied { kind, name, images } => {
                self.set_images(&kind, "kube-system", &name, images);
            }
            Effect::Violation(text) => self.violation(format!("{node}: {text}")),
        }
    }

    /// Lets those go on that waited for an API server or a leader.
    fn flush(&mut self) {
        for event in self.leaders.release() {
            self.agenda.push((self.now, event));
        }
    }

    /// A node.
    #[must_use]
    pub fn node(&self, name: &NodeName) -> Option<&Known> {
        self.nodes.get(name)
    }

    /// The pods.
    #[must_use]
    pub const fn pods(&self) -> &Pods {
        &self.pods
    }

    /// Whether any API server answers.
    #[must_use]
    pub fn answers(&self) -> bool {
        self.servers.answer()
    }

    /// What kubeadm reads from the cluster; none where the facts did not have it.
    #[must_use]
    pub const fn kubeadm_config(&self) -> Option<&KubeadmConfig> {
        self.kubeadm_config.known()
    }

    /// SHA-256 of `kube-system/kubelet-config`; none where the facts did not have it.
    #[must_use]
    pub fn kubelet_config(&self) -> Option<&str> {
        self.kubelet_config.known().map(String::as_str)
    }

    /// Workloads, by kind, namespace and name.
    #[must_use]
    pub fn workloads(&self) -> Vec<Workload> {
        self.workloads
            .keys()
            .map(|key| self.workload(key))
            .collect()
    }
}
