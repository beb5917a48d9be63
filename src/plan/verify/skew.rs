//! The rules of version skew at every instant that some order of the plan allows.
//!
//! Each rule is about two versions. It is broken when two releases that may not be together can meet (`timeline`). Behind a
//! balancer any API server may answer, so what goes through it is judged against each of them.

use std::collections::BTreeSet;

use super::cluster::{Cluster, OnCluster};
use super::order::Order;
use super::timeline::{Span, Timeline, Timelines, control_plane_upgrades};
use super::violation::Violation;
use crate::cluster::model::{NodeName, Role};
use crate::plan::data::{Action, Plan, StepId};
use crate::rules::skew::{self, Component, Move, Party, Rule};
use crate::rules::version::Version;

type Ok = fn(&Version, &Version) -> bool;

/// A component's releases, and where.
#[derive(Clone, Copy)]
struct Line<'l> {
    component: Component,
    node: &'l NodeName,
    timeline: &'l Timeline,
}

struct Judge<'o, 'p> {
    order: &'o Order<'p>,
    told: BTreeSet<(Rule, Party, Component)>,
    wrong: Vec<Violation>,
}

/// Every rule that some order breaks, each told once for a component.
pub fn judge(
    plan: &Plan,
    cluster: &Cluster<'_>,
    order: &Order<'_>,
    lines: &Timelines<'_>,
) -> Vec<Violation> {
    let mut judge = Judge {
        order,
        told: BTreeSet::new(),
        wrong: Vec::new(),
    };
    judge.servers(lines);
    judge.controllers(cluster, lines);
    judge.nodes(cluster, lines);
    judge.kubelets(plan, cluster, lines);
    judge.kubeadm(cluster, lines);
    judge.wrong
}

fn servers<'l>(lines: &'l Timelines<'_>) -> Vec<Line<'l>> {
    lines
        .control_planes
        .iter()
        .map(|(node, one)| Line {
            component: Component::ApiServer,
            node,
            timeline: &one.api_server,
        })
        .collect()
}

impl Judge<'_, '_> {
    fn tell(&mut self, violation: skew::Violation, spans: &[&Span]) {
        let key = (
            violation.rule,
            violation.party.clone(),
            violation.against.component,
        );
        if !self.told.insert(key) {
            return;
        }
        let moments = spans.iter().flat_map(|span| [span.from, span.until]);
        let steps: BTreeSet<usize> = moments.flatten().map(|moment| moment.step).collect();
        // What runs before the plan begins is broken by no step.
        let now = spans.iter().all(|span| span.from.is_none());
        let steps: Vec<StepId> = if now {
            Vec::new()
        } else {
            steps.into_iter().map(|at| self.order.id(at)).collect()
        };
        self.wrong.push(Violation::Skew {
            violation: Box::new(violation),
            steps,
        });
    }

    /// Judges each pair of releases that can meet.
    fn together(&mut self, rule: Rule, one: Line<'_>, other: Line<'_>, ok: Ok) {
        for span in one.timeline.spans() {
            for against in other.timeline.spans() {
                if !ok(&span.version, &against.version) && span.meets(against, self.order) {
                    let violation = skew::Violation {
                        rule,
                        party: party(one, span),
                        against: party(other, against),
                    };
                    self.tell(violation, &[span, against]);
                }
            }
        }
    }

    /// Rules 1 and 7.
    fn servers(&mut self, lines: &Timelines<'_>) {
        let servers = servers(lines);
        for (index, &one) in servers.iter().enumerate() {
            for &other in &servers[index + 1..] {
                self.together(Rule::ApiServersTogether, one, other, |one, other| {
                    skew::api_servers_together(one.min(other), one.max(other))
                });
            }
            for pair in one.timeline.spans().windows(2) {
                let [from, to] = pair else { continue };
                let step = Move {
                    node: one.node,
                    from: &from.version,
                    to: &to.version,
                };
                if let Some(violation) = step.of_api_server() {
                    self.tell(violation, &[to]);
                }
            }
        }
    }

    /// Rule 4: against their own instance's API server, or against all where another may answer.
    fn controllers(&mut self, cluster: &Cluster<'_>, lines: &Timelines<'_>) {
        let all = servers(lines);
        for (node, release) in &cluster.cloud_controllers {
            let timeline = Timeline::now(release.clone());
            let controller = Line {
                component: Component::CloudControllerManager,
                node,
                timeline: &timeline,
            };
            for &server in &all {
                self.together(
                    Rule::ControllersToApiServer,
                    controller,
                    server,
                    skew::controller,
                );
            }
        }
        for (node, one) in &lines.control_planes {
            let machine = cluster.hosts.values().find(|machine| machine.node == *node);
            let line = |component, timeline| Line {
                component,
                node,
                timeline,
            };
            let own = [line(Component::ApiServer, &one.api_server)];
            for controller in [
                line(Component::ControllerManager, &one.controller_manager),
                line(Component::Scheduler, &one.scheduler),
            ] {
                let roams =
                    machine.is_some_and(|machine| machine.roaming.contains(&controller.component));
                for &server in if roams { &all[..] } else { &own } {
                    self.together(
                        Rule::ControllersToApiServer,
                        controller,
                        server,
                        skew::controller,
                    );
                }
            }
        }
    }

    /// Rules 2, 3, 5 and 9. That kubeadm rolls kube-proxy before the kubelets is not what rule 7 advises, and is allowed.
    fn nodes(&mut self, cluster: &Cluster<'_>, lines: &Timelines<'_>) {
        let servers = servers(lines);
        // Only where kubeadm-config names it are all kubelets known to be local
        // (kubernetes/kubernetes cmd/kubeadm/app/features/features.go).
        let gates = &cluster.config.feature_gates;
        let local = gates
            .get("ControlPlaneKubeletLocalMode")
            .is_some_and(|on| *on);
        for (node, on) in &lines.nodes {
            let line = |component, timeline| Line {
                component,
                node,
                timeline,
            };
            let kubelet = line(Component::Kubelet, &on.kubelet);
            let own: Vec<Line<'_>> = servers
                .iter()
                .copied()
                .filter(|server| local && server.node == *node)
                .collect();
            for &server in if own.is_empty() { &servers } else { &own } {
                self.together(
                    Rule::KubeletToApiServer,
                    kubelet,
                    server,
                    skew::node_component,
                );
            }
            if let Some(timeline) = &on.kube_proxy {
                let proxy = line(Component::KubeProxy, timeline);
                for &server in &servers {
                    self.together(
                        Rule::KubeProxyToApiServer,
                        proxy,
                        server,
                        skew::node_component,
                    );
                }
                let ok = skew::kube_proxy_beside_kubelet;
                self.together(Rule::KubeProxyToKubelet, proxy, kubelet, ok);
            }
            if let Some(timeline) = &on.kubectl {
                let kubectl = line(Component::Kubectl, timeline);
                for &server in &servers {
                    self.together(Rule::KubectlToApiServer, kubectl, server, skew::kubectl);
                }
            }
            for pair in on.kubeadm.iter().flat_map(|line| line.spans().windows(2)) {
                let [from, to] = pair else { continue };
                let step = Move {
                    node,
                    from: &from.version,
                    to: &to.version,
                };
                if let Some(violation) = step.of_kubeadm() {
                    self.tell(violation, &[to]);
                }
            }
        }
    }

    /// Rule 7: how far kubelets move at once.
    fn kubelets(&mut self, plan: &Plan, cluster: &Cluster<'_>, lines: &Timelines<'_>) {
        for (node, on) in &lines.nodes {
            let role = cluster.nodes.get(node).map(OnCluster::role);
            let may_skip =
                plan.limits.workers_skip_minors && role.is_some_and(|role| role == Role::Worker);
            for pair in on.kubelet.spans().windows(2) {
                let [from, to] = pair else { continue };
                let step = Move {
                    node,
                    from: &from.version,
                    to: &to.version,
                };
                if let Some(violation) = step.of_kubelet_by(may_skip) {
                    self.tell(violation, &[to]);
                }
            }
        }
    }

    /// Rule 8, wherever kubeadm runs: on a control plane it manages the cluster, on a worker that node's kubelet.
    fn kubeadm(&mut self, cluster: &Cluster<'_>, lines: &Timelines<'_>) {
        for (at, _, version) in control_plane_upgrades(self.order) {
            for server in servers(lines) {
                let ok = skew::kubeadm_for_control_plane;
                self.manages(at, version, Rule::KubeadmToControlPlane, server, ok);
            }
            for (node, on) in &lines.nodes {
                self.kubelet(at, version, node, &on.kubelet);
            }
        }
        for (at, step) in self.order.iter() {
            if let Action::KubeadmNode {
                host,
                version,
                role: Role::Worker,
                ..
            } = &step.action
                && let Some(node) = cluster.hosts.get(host).map(|machine| machine.node)
                && let Some(on) = lines.nodes.get(node)
            {
                self.kubelet(at, version, node, &on.kubelet);
            }
        }
    }

    fn kubelet(&mut self, at: usize, version: &Version, node: &NodeName, timeline: &Timeline) {
        let line = Line {
            component: Component::Kubelet,
            node,
            timeline,
        };
        self.manages(
            at,
            version,
            Rule::KubeadmToKubelet,
            line,
            skew::kubeadm_for_kubelet,
        );
    }

    fn manages(&mut self, at: usize, kubeadm: &Version, rule: Rule, line: Line<'_>, ok: Ok) {
        let during = Span::during(at, kubeadm);
        for span in line.timeline.spans() {
            if !ok(kubeadm, &span.version) && span.meets(&during, self.order) {
                let violation = skew::Violation {
                    rule,
                    party: Party {
                        component: Component::Kubeadm,
                        node: None,
                        version: kubeadm.clone(),
                    },
                    against: party(line, span),
                };
                self.tell(violation, &[span, &during]);
            }
        }
    }
}

fn party(line: Line<'_>, span: &Span) -> Party {
    Party {
        component: line.component,
        node: Some(line.node.clone()),
        version: span.version.clone(),
    }
}
