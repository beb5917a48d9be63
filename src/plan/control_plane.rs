//! The control planes, strictly one at a time, and the addons after the last.

use std::collections::BTreeMap;

use super::data::{Action, StepId};
use super::draft::{CLUSTER, Draft};
use super::gates;
use super::hooks;
use super::host_steps::Touched;
use super::pace;
use super::soaks::{self, Change};
use crate::cluster::model::{HostName, Role};
use crate::documents::settings::{GatePoint, HookPoint, Upgrade};
use crate::host::op::KubeadmOptions;
use crate::rules::kubeadm_phases::{self, Command};
use crate::rules::version::Version;

/// What the control planes' part of a plan is made from.
#[derive(Debug)]
pub struct ControlPlanes<'p> {
    /// Where `kubeadm upgrade apply` runs.
    pub first: &'p HostName,
    /// Whether it is still to run.
    pub apply: bool,
    /// What kube-proxy must come to.
    pub kube_proxy: Option<Version>,
    /// On how many nodes.
    pub nodes: usize,
}

/// What kubeadm is told: each command of its own phases only, as it refuses others by name.
#[must_use]
pub fn options(upgrade: &Upgrade, command: Command) -> KubeadmOptions {
    let kubeadm = &upgrade.kubeadm;
    let skip_phases = kubeadm.skip_phases.iter();
    KubeadmOptions {
        ignore_preflight_errors: kubeadm.ignore_preflight_errors.clone(),
        patches: kubeadm.patches.clone(),
        skip_phases: skip_phases
            .filter(|phase| kubeadm_phases::has(command, phase))
            .cloned()
            .collect(),
        etcd_upgrade: kubeadm.etcd_upgrade,
        certificate_renewal: kubeadm.certificate_renewal,
    }
}

/// Adds the control planes' steps and the addons'. Returns the step after which kubelets may go.
pub fn add(
    draft: &mut Draft<'_>,
    touched: &[&Touched<'_, '_>],
    prepared: &BTreeMap<&HostName, StepId>,
    snapshot: &StepId,
    plan: &ControlPlanes<'_>,
    upgrade: &Upgrade,
) -> StepId {
    let target = draft.target().clone();
    // The first, then the others by name.
    let order = touched
        .iter()
        .filter(|on| on.host.name() == plan.first)
        .chain(touched.iter().filter(|on| on.host.name() != plan.first));
    let mut last: Option<(StepId, &Touched<'_, '_>)> = None;
    for &on in order {
        let host = on.host.name();
        let apply = plan.apply && host == plan.first;
        if !(apply || on.work.through_kubeadm()) {
            continue;
        }
        let ready = prepared.get(host).unwrap_or(snapshot);
        let paused = last
            .as_ref()
            .map(|(last, on)| soaks::pause(draft, upgrade, Change::Instance, on.host, last));
        // The first descends from the snapshot through its own preparation.
        let after: Vec<&StepId> = paused.iter().chain([ready]).collect();
        let upgraded = if apply {
            draft.step(
                host,
                "kubeadm-apply",
                Action::KubeadmApply {
                    host: host.clone(),
                    version: target.clone(),
                    options: options(upgrade, Command::Apply),
                },
                &after,
                pace::KUBEADM_APPLY,
                "the first control plane also writes the release to the cluster's configuration",
            )
        } else {
            draft.step(
                host,
                "kubeadm-node",
                Action::KubeadmNode {
                    host: host.clone(),
                    role: Role::ControlPlane,
                    version: target.clone(),
                    options: options(upgrade, Command::Node),
                },
                &after,
                if on.work.instance {
                    pace::KUBEADM_NODE
                } else {
                    pace::KUBEADM_AGAIN
                },
                if on.work.instance {
                    "one control plane at a time: etcd must keep its majority, and API servers stay within one minor (rule 1)"
                } else {
                    "its static pods are upgraded already; whether its kubelet's configuration was written too cannot be seen, and to run this again is safe"
                },
            )
        };
        let awaited = draft.step(
            host,
            "await-control-plane",
            Action::AwaitControlPlane {
                host: host.clone(),
                node: on.host.node.name.clone(),
                version: target.clone(),
            },
            &[&upgraded],
            pace::AWAIT_CONTROL_PLANE,
            "the next one goes only once this one serves and etcd is whole",
        );
        let awaited = hooks::of_node(
            draft,
            upgrade,
            HookPoint::AfterControlPlane,
            on.host,
            host == plan.first,
            &awaited,
        );
        let passed = gates::at(
            draft,
            upgrade,
            GatePoint::AfterControlPlane,
            Some(host.as_str()),
            &awaited,
        );
        last = Some((passed, on));
    }
    let all = draft.barrier(
        "control-planes",
        format!("every API server is at {target}"),
        &[last.as_ref().map_or(snapshot, |(last, _)| last)],
        "all API servers before any kubelet: behind a balancer a new kubelet may meet an old API server (rule 2)",
    );
    draft.step(
        CLUSTER,
        "await-addons",
        Action::AwaitAddons {
            kube_proxy: plan.kube_proxy.clone(),
        },
        &[&all],
        pace::await_addons(plan.nodes),
        "kubeadm rolls CoreDNS and kube-proxy with the last control plane; nodes are not drained meanwhile",
    )
}
