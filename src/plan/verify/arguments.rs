//! Every argument against the facts: which host is which node, what the repositories offer, which release is where by then.

mod by_then;
mod deferral;
mod packages;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

pub use packages::same_repository;

use super::cluster::{Cluster, Machine, OnCluster};
use super::order::Order;
use super::timeline::Timelines;
use super::violation::Violation;
use crate::cluster::model::{HostName, NodeName, Role};
use crate::plan::data::{Action, Condition, FORMAT, Gate, Plan, Step, StepId};
use crate::rules::eviction::{Exception, longest_s};
use crate::rules::static_pods::SETTLED_S;

/// Every argument that is not what it should be.
pub fn judge(
    plan: &Plan,
    cluster: &Cluster<'_>,
    order: &Order<'_>,
    lines: &Timelines<'_>,
) -> Vec<Violation> {
    let mut judge = Judge {
        plan,
        cluster,
        order,
        lines,
        step: None,
        patches: patches(order),
        drained: None,
        barriers: BTreeMap::new(),
        wrong: Vec::new(),
    };
    judge.head();
    for (at, step) in order.iter() {
        judge.step = Some(step);
        if step.timeout_s == 0 {
            judge.should("timeout_s", "0", "more");
        }
        judge.step(at, &step.action);
    }
    judge.wrong
}

struct Judge<'j, 'p, 'f> {
    plan: &'j Plan,
    cluster: &'j Cluster<'f>,
    order: &'j Order<'p>,
    lines: &'j Timelines<'f>,
    step: Option<&'p Step>,
    /// The directory of patches that kubeadm reads on each host.
    patches: BTreeMap<&'p HostName, &'p str>,
    /// How the plan's first drain treats pods.
    drained: Option<Manner<'p>>,
    /// Where nodes are tried again that were put off, each looked at once.
    barriers: BTreeMap<&'p StepId, usize>,
    wrong: Vec<Violation>,
}

/// What kubeadm is told to patch with, by host.
fn patches<'p>(order: &Order<'p>) -> BTreeMap<&'p HostName, &'p str> {
    let mut read = BTreeMap::new();
    for (_, step) in order.iter() {
        if let Action::KubeadmApply { host, options, .. }
        | Action::KubeadmNode { host, options, .. } = &step.action
            && let Some(patches) = &options.patches
        {
            read.insert(host, patches.as_str());
        }
    }
    read
}

fn list<'n>(names: impl IntoIterator<Item = &'n NodeName>) -> String {
    let names: BTreeSet<&str> = names.into_iter().map(NodeName::as_str).collect();
    names.into_iter().collect::<Vec<_>>().join(", ")
}

const fn role_text(role: Role) -> &'static str {
    match role {
        Role::ControlPlane => "a control plane",
        Role::Worker => "a worker",
    }
}

/// How a drain treats pods, whatever its node: one declaration is behind all drains of a plan.
#[derive(Clone, Copy, PartialEq)]
struct Manner<'p> {
    grace_period_s: Option<u64>,
    delete_empty_dir_data: bool,
    evict_unmanaged_pods: bool,
    rules: &'p [Exception],
    /// Seconds for the pods without a time of their own.
    timeout_s: u64,
}

impl fmt::Display for Manner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rules: Vec<String> = self.rules.iter().map(ToString::to_string).collect();
        write!(
            f,
            "grace {:?}, emptyDir data {}, unmanaged pods {}, rules [{}], {} s",
            self.grace_period_s,
            self.delete_empty_dir_data,
            self.evict_unmanaged_pods,
            rules.join("; "),
            self.timeout_s
        )
    }
}

impl<'j, 'p, 'f> Judge<'j, 'p, 'f> {
    fn should(&mut self, argument: &'static str, is: impl ToString, should: impl ToString) {
        self.wrong.push(Violation::Argument {
            step: self.step.map(|step| step.id.clone()),
            argument,
            is: is.to_string(),
            should: should.to_string(),
        });
    }

    fn same(&mut self, argument: &'static str, is: impl ToString, should: impl ToString) {
        let (is, should) = (is.to_string(), should.to_string());
        if is != should {
            self.should(argument, is, should);
        }
    }

    fn head(&mut self) {
        let (plan, cluster) = (self.plan, self.cluster);
        self.same("format", &plan.format, FORMAT);
        self.same("cluster", &plan.cluster_uid, cluster.uid);
        if plan.limits.workers_out_of_service == 0 {
            self.should("limit of workers out of service", 0, "at least 1");
        }
        for name in &plan.limits.left_out {
            let role = cluster.nodes.get(name).map(OnCluster::role);
            if role.is_some_and(|role| role == Role::ControlPlane) {
                self.should("left_out", name, "workers only");
            }
        }
        let without: Vec<NodeName> = cluster
            .nodes
            .iter()
            .filter(|(_, on)| on.host.is_none())
            .map(|(&name, _)| name.clone())
            .collect();
        if plan.limits.left_out != without {
            self.wrong.push(Violation::LeftOut {
                plan: plan.limits.left_out.clone(),
                facts: without,
            });
        }
    }

    /// The host's facts.
    fn host(&mut self, host: &HostName) -> Option<&'j Machine<'f>> {
        let machine = self.cluster.hosts.get(host);
        if machine.is_none() {
            self.should("host", host, "a host of the facts");
        }
        machine
    }

    fn control_plane(&mut self, host: &HostName) -> Option<&'j Machine<'f>> {
        let machine = self.host(host)?;
        self.role(machine.role, Role::ControlPlane);
        Some(machine)
    }

    fn role(&mut self, is: Role, should: Role) {
        self.same("host", role_text(is), role_text(should));
    }

    fn node(&mut self, node: &NodeName) {
        if self
            .cluster
            .nodes
            .get(node)
            .is_none_or(|on| on.host.is_none())
        {
            self.should("node", node, "a node that the plan does not leave out");
        }
    }

    /// Every node of the plan, each once.
    fn all_nodes(&mut self, argument: &'static str, is: &[NodeName]) {
        let cluster = self.cluster;
        let should = list(cluster.hosts.values().map(|machine| machine.node));
        self.same(argument, list(is), should);
        if is.len() != cluster.hosts.len() {
            self.should(argument, format!("{} nodes", is.len()), cluster.hosts.len());
        }
    }

    fn step(&mut self, at: usize, action: &'p Action) {
        let cluster = self.cluster;
        match action {
            Action::CheckHost {
                host,
                node,
                machine_id,
                disk_free: _,
                patches,
            } => {
                if let Some(machine) = self.host(host) {
                    self.same("node", node, machine.node);
                    self.same("machine_id", machine_id, machine.machine_id);
                }
                let none = "none";
                let read = self.patches.get(host).copied().unwrap_or(none);
                self.same("patches", patches.as_deref().unwrap_or(none), read);
            }
            Action::CheckCluster {
                cluster_uid,
                host,
                nodes,
            } => {
                self.control_plane(host);
                self.same("cluster_uid", cluster_uid, cluster.uid);
                self.all_nodes("nodes", nodes);
            }
            Action::SnapshotEtcd {
                host,
                file,
                directory,
                keep,
                trial_restore: _,
                encrypt_to: _,
            } => {
                self.control_plane(host);
                if !file.contains("{run}") {
                    self.should("file", file, "a file of its own run");
                }
                if directory.is_empty() || *keep == 0 {
                    self.should(
                        "directory",
                        "empty, or keeps none",
                        "where the snapshot is kept",
                    );
                }
            }
            Action::HoldPackages {
                host,
                manager,
                packages,
            }
            | Action::ReleaseHolds {
                host,
                manager,
                packages,
            } => self.names(host, *manager, packages),
            Action::SwitchRepository { host, minor, .. } => self.repository(host, *minor, action),
            Action::PrefetchPackages {
                host,
                manager,
                packages,
            } => self.packages(
                host,
                *manager,
                packages,
                &["kubeadm", "kubectl", "kubelet"],
                None,
            ),
            Action::InstallKubeadm {
                host,
                manager,
                packages,
            } => self.packages(host, *manager, packages, &["kubeadm", "kubectl"], None),
            Action::InstallKubelet {
                host,
                manager,
                packages,
            } => self.packages(
                host,
                *manager,
                packages,
                &["kubectl", "kubelet"],
                Some("kubelet"),
            ),
            Action::PullImages {
                host,
                version: _,
                image_repository,
            } => {
                self.host(host);
                self.same(
                    "image_repository",
                    image_repository,
                    &cluster.config.image_repository,
                );
            }
            Action::KubeadmApply { host, .. } => {
                self.control_plane(host);
            }
            Action::KubeadmNode { host, role, .. } => {
                if let Some(machine) = self.host(host) {
                    self.same("role", role_text(*role), role_text(machine.role));
                }
            }
            Action::AwaitControlPlane {
                host,
                node,
                version,
            } => self.instance(at, host, node, version),
            Action::AwaitStaticPods {
                host,
                node,
                version,
                steady_s,
                lease,
            } => {
                self.instance(at, host, node, version);
                if *steady_s < SETTLED_S {
                    self.should("steady_s", steady_s, format!("{SETTLED_S} or more"));
                }
                if let Some(machine) = cluster.hosts.get(host) {
                    let text = |lease: &Option<String>| lease.clone().unwrap_or("none".to_owned());
                    self.same("lease", text(lease), text(&machine.leader_lease));
                }
            }
            Action::AwaitAddons { kube_proxy } => self.addons(at, kube_proxy.as_ref()),
            Action::TaintOutdated { nodes } => nodes.iter().for_each(|node| self.node(node)),
            Action::Cordon { node } | Action::Uncordon { node, .. } => self.node(node),
            Action::Drain {
                node,
                grace_period_s,
                delete_empty_dir_data,
                evict_unmanaged_pods,
                rules,
                others_timeout_s,
                deferral,
            } => {
                self.node(node);
                if let Some(deferral) = deferral {
                    self.deferral(node, deferral);
                }
                let timeout_s = self.order.step(at).timeout_s;
                let others_s = others_timeout_s.unwrap_or(timeout_s);
                let own = Manner {
                    grace_period_s: *grace_period_s,
                    delete_empty_dir_data: *delete_empty_dir_data,
                    evict_unmanaged_pods: *evict_unmanaged_pods,
                    rules,
                    timeout_s: others_s,
                };
                let longest = longest_s(others_s, rules);
                if timeout_s < longest {
                    self.should("timeout_s", timeout_s, format!("{longest} or more"));
                }
                if own != *self.drained.get_or_insert(own) {
                    self.should("drain", own, "done as the plan's other drains are");
                }
            }
            Action::AwaitNode { node, version } => {
                self.node(node);
                let line = self.lines.nodes.get(node);
                let other = line.and_then(|on| on.kubelet.other_during(at, version, self.order));
                if let Some(other) = other {
                    self.should(
                        "version",
                        version,
                        format!("{}, which may run then", other.version),
                    );
                }
            }
            Action::Verify {
                version,
                control_planes,
                nodes,
                cordoned,
                kube_proxy,
            } => {
                self.addons(at, kube_proxy.as_ref());
                let pairs = control_planes.iter();
                let machines = cluster.hosts.iter().map(|(&host, machine)| (host, machine));
                let should = machines
                    .filter(|(_, machine)| machine.role == Role::ControlPlane)
                    .map(|(host, machine)| (host, machine.node));
                if !pairs.eq(should) {
                    self.should(
                        "control_planes",
                        list(control_planes.values()),
                        "those of the facts",
                    );
                }
                self.looked_at(at, version, nodes);
                let stay = cluster
                    .nodes
                    .values()
                    .filter(|on| nodes.contains(&on.node.name) && on.stays_cordoned());
                self.same(
                    "cordoned",
                    list(cordoned),
                    list(stay.map(|on| &on.node.name)),
                );
            }
            Action::Soak { for_s, nodes } => {
                for node in nodes {
                    self.node(node);
                }
                if *for_s == 0 || nodes.is_empty() {
                    self.should("soak", "of no time or no node", "what is declared");
                }
                let timeout_s = self.order.step(at).timeout_s;
                if timeout_s <= *for_s {
                    self.should("timeout_s", timeout_s, format!("more than {for_s}"));
                }
            }
            Action::Gate { gate } => {
                if !self.plan.limits.gates.contains(gate) {
                    self.should("gate", &gate.name, "as it is declared");
                }
                self.waits_long_enough(at, gate);
            }
            Action::Hook { host, node, .. } => {
                // What it does, when and for how long is the declaration's: `verify::hooks`.
                if let Some(machine) = host.as_ref().and_then(|host| self.host(host)) {
                    let is = node.as_ref().map_or("none", NodeName::as_str);
                    self.same("node", is, machine.node);
                } else if let Some(node) = node {
                    self.node(node);
                }
            }
            Action::WayBack { .. } => self.should("kind", "way-back", "a step of an upgrade"),
            Action::Barrier { holds: _ } => {}
        }
    }

    /// A condition is waited for as long as declared.
    fn waits_long_enough(&mut self, at: usize, gate: &Gate) {
        let timeout_s = self.order.step(at).timeout_s;
        match gate.condition {
            Condition::Approval { .. } => {}
            Condition::Command {
                timeout_s: declared,
                ..
            }
            | Condition::Prometheus {
                timeout_s: declared,
                ..
            } => self.same("timeout_s", timeout_s, declared),
        }
    }
}
