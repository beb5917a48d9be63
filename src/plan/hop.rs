//! The steps of one hop, in their order: look, save, prepare, control planes, kubelets, tidy up, look again.
//!
//! Every hop is a whole upgrade. What a plan of several hops does once only is to hold packages, before its first change, and
//! to release them, after its last.

use std::collections::BTreeMap;

use super::control_plane::{self, ControlPlanes};
use super::data::{Action, Step, StepId};
use super::deferral;
use super::draft::{CLUSTER, Draft};
use super::drains::Waves;
use super::gates;
use super::hooks::Hooks;
use super::host_steps::{self, Touched};
use super::nodes::{self, Start};
use super::outdated;
use super::pace;
use super::preconditions;
use super::snapshot_now::snapshot_file;
use super::soaks;
use super::view::{HostView, View};
use super::work::Hop;
use crate::cluster::facts::PackageManager;
use crate::cluster::model::{HostName, NodeName};
use crate::documents::settings::{GatePoint, HookPoint, Upgrade};
use crate::rules::version::Version;

/// Packages of a host that the plan holds and that were not held before.
#[derive(Debug, Clone)]
pub struct Held {
    host: HostName,
    manager: PackageManager,
    packages: Vec<String>,
}

/// What the steps of a hop are made from.
#[derive(Debug)]
pub struct HopSteps<'p, 'v, 'a> {
    /// The cluster as the hop finds it.
    pub view: &'p View<'a>,
    /// The hosts that it touches.
    pub touched: &'p [Touched<'v, 'a>],
    /// Its workers in waves.
    pub waves: &'p Waves<'a>,
    /// The first control plane.
    pub first: &'p HostView<'a>,
    /// `kubeadm upgrade apply` is still to run there.
    pub apply: bool,
    /// The declaration.
    pub upgrade: &'p Upgrade,
    /// The hop.
    pub hop: Hop<'p>,
    /// The last step of the hop before.
    pub start: Option<StepId>,
}

impl HopSteps<'_, '_, '_> {
    /// The steps, each after those that it waits for. What is held is added to `held`, and released where the hop is the last.
    #[must_use]
    pub fn steps(&self, held: &mut Vec<Held>) -> Vec<Step> {
        let Self {
            view,
            touched,
            first,
            upgrade,
            ..
        } = *self;
        let target = self.hop.release;
        let mut draft = Draft::new(target);
        let begins = gates::before_hop(&mut draft, upgrade, self.start.as_ref());
        let preflight = self.preflight(&mut draft, begins.as_ref());
        let snapshot = self.snapshot(&mut draft, &preflight);
        let hooks = Hooks {
            view,
            first,
            upgrade,
        };
        let nothing = BTreeMap::new();
        let snapshot = hooks.of_hop(&mut draft, HookPoint::BeforeHop, None, &nothing, &snapshot);

        let holding = hold(&mut draft, touched, &snapshot);
        held.extend(
            touched
                .iter()
                .filter(|on| !on.hold.is_empty())
                .map(|on| Held {
                    host: on.host.name().clone(),
                    manager: on.host.packages.manager,
                    packages: on.hold.clone(),
                }),
        );
        let prepared = prepare(&mut draft, view, touched, first.name(), &holding);
        let (control_planes, workers): (Vec<_>, Vec<_>) =
            touched.iter().partition(|on| on.host.instance.is_some());

        let rolls = preconditions::rolls_kube_proxy(upgrade);
        let kube_proxy = view.kube_proxy_wanted.as_ref().filter(|_| rolls);
        let part = ControlPlanes {
            first: first.name(),
            apply: self.apply,
            kube_proxy: kube_proxy.map(|_| target.clone()),
            nodes: view.nodes.len(),
        };
        let addons = control_plane::add(
            &mut draft,
            &control_planes,
            &prepared,
            &snapshot,
            &part,
            upgrade,
        );

        let soaks = soaks::declared(view, upgrade);
        let start = Start {
            gate: &addons,
            prepared: &prepared,
            soaks: &soaks,
            hooks: &hooks,
        };
        let kubelets = nodes::control_planes(&mut draft, &control_planes, &start, upgrade);
        let served = kubelets.unwrap_or(addons.clone());
        let gate = before_workers(&mut draft, &workers, &hooks, &prepared, &served);
        let passing = Start {
            gate: gate.as_ref().unwrap_or(&addons),
            ..start
        };
        let tainted = outdated::taint(&mut draft, &workers, gate.as_ref().unwrap_or(&served));
        let draining = Start {
            gate: &tainted,
            ..start
        };
        let mut ends = nodes::passing(&mut draft, &workers, &passing, upgrade);
        let waves = nodes::workers(&mut draft, &workers, &draining, self.waves, upgrade);
        match (waves, gate) {
            (Some(waves), _) => ends.push(deferral::barrier(
                &mut draft, &workers, &soaks, upgrade, waves,
            )),
            (None, Some(_)) if !ends.is_empty() => {} // they come after it
            (None, gate) => ends.push(gate.unwrap_or(served)),
        }
        // Hosts that only got tools have no later step that waits for them.
        ends.extend(
            touched
                .iter()
                .filter(|on| on.packages.is_some())
                .filter(|on| !(on.work.through_kubeadm() || on.work.uncordon))
                .filter_map(|on| prepared.get(on.host.name()).cloned()),
        );
        let ends: Vec<&StepId> = ends.iter().collect();
        let (holds, because) = if self.hop.last {
            (
                format!("every node is at {target}"),
                "holds stay until nothing is left to install",
            )
        } else {
            (
                format!("whatever goes through {target} is there"),
                "the next minor begins only once all of this one is done",
            )
        };
        let done = draft.barrier("nodes", holds, &ends, because);
        let done = hooks.of_hop(&mut draft, HookPoint::AfterHop, None, &nothing, &done);
        let done = gates::at(&mut draft, upgrade, GatePoint::AfterHop, None, &done);
        self.finish(&mut draft, held, &done, part.kube_proxy);
        let mut steps = draft.into_steps();
        deferral::declare(&mut steps, &workers, &soaks, upgrade);
        steps
    }

    fn preflight(&self, draft: &mut Draft<'_>, after: Option<&StepId>) -> StepId {
        let after: Vec<&StepId> = after.into_iter().collect();
        let mut looked: Vec<StepId> = self
            .touched
            .iter()
            .map(|on| host_steps::check(draft, on, &after))
            .collect();
        looked.push(draft.step(
            CLUSTER,
            "check-cluster",
            Action::CheckCluster {
                cluster_uid: self.view.uid.to_owned(),
                host: self.first.name().clone(),
                nodes: nodes_of(self.view),
            },
            &after,
            pace::LOOK,
            "this must be the plan's cluster, with etcd whole and every node ready",
        ));
        let looked: Vec<&StepId> = looked.iter().collect();
        draft.barrier(
            "preflight",
            "every host and the cluster are fit",
            &looked,
            "nothing changes before everything was looked at",
        )
    }

    fn snapshot(&self, draft: &mut Draft<'_>, preflight: &StepId) -> StepId {
        let upgrade = self.upgrade;
        let data = self
            .first
            .instance
            .as_ref()
            .map_or("/var/lib/etcd", |instance| instance.etcd_data.as_str());
        // A run has one snapshot for each hop, and none may be taken for another.
        let hop = match &self.start {
            None => String::new(),
            Some(_) => format!("-before-{}", draft.minor()),
        };
        draft.step(
            CLUSTER,
            "snapshot-etcd",
            Action::SnapshotEtcd {
                host: self.first.name().clone(),
                file: snapshot_file(data, &hop),
                directory: upgrade.snapshot.directory.to_string_lossy().into_owned(),
                keep: upgrade.snapshot.keep,
                trial_restore: upgrade.snapshot.trial_restore,
                encrypt_to: upgrade.snapshot.encrypt_to.clone(),
            },
            &[preflight],
            pace::SNAPSHOT,
            "the way back, taken and checked before the first change",
        )
    }

    fn finish(
        &self,
        draft: &mut Draft<'_>,
        held: &[Held],
        done: &StepId,
        kube_proxy: Option<Version>,
    ) {
        let mut last = vec![done.clone()];
        for Held {
            host,
            manager,
            packages,
        } in held.iter().filter(|_| self.hop.last)
        {
            last.push(draft.step(
                host,
                "release-holds",
                Action::ReleaseHolds {
                    host: host.clone(),
                    manager: *manager,
                    packages: packages.clone(),
                },
                &[done],
                pace::HOLD,
                "these were not held before",
            ));
        }
        let last: Vec<&StepId> = last.iter().collect();
        let view = self.view;
        let is_there: BTreeMap<&NodeName, bool> = self
            .touched
            .iter()
            .map(|on| (&on.host.node.name, !on.work.configure))
            .collect();
        let at_release = |host: &&HostView<'_>| *is_there.get(&host.node.name).unwrap_or(&true);
        let nodes = view.hosts.iter().filter(at_release);
        let cordoned = view
            .hosts
            .iter()
            .filter(at_release)
            .filter(|host| host.stays_cordoned());
        draft.step(
            CLUSTER,
            "verify",
            Action::Verify {
                version: draft.target().clone(),
                control_planes: view
                    .control_planes()
                    .map(|(host, _)| (host.name().clone(), host.node.name.clone()))
                    .collect(),
                nodes: nodes.map(|host| host.node.name.clone()).collect(),
                cordoned: cordoned.map(|host| host.node.name.clone()).collect(),
                kube_proxy,
            },
            &last,
            pace::VERIFY,
            if self.hop.last {
                "the upgrade is done when everything is seen at the release, ready and schedulable as before"
            } else {
                "the next minor begins only once everything is seen at this one, ready and schedulable as before"
            },
        );
    }
}

/// The gates and hooks before the first worker, where any goes.
fn before_workers(
    draft: &mut Draft<'_>,
    workers: &[&Touched<'_, '_>],
    hooks: &Hooks<'_, '_>,
    prepared: &BTreeMap<&HostName, StepId>,
    after: &StepId,
) -> Option<StepId> {
    let goes = |on: &&Touched<'_, '_>| on.work.kubelet || on.work.configure || on.work.uncordon;
    if !workers.iter().any(goes) {
        return None;
    }
    let passed = gates::at(draft, hooks.upgrade, GatePoint::BeforeWorkers, None, after);
    let last = hooks.of_hop(draft, HookPoint::BeforeWorkers, None, prepared, &passed);
    (last != *after).then_some(last)
}

fn nodes_of(view: &View<'_>) -> Vec<NodeName> {
    view.hosts
        .iter()
        .map(|host| host.node.name.clone())
        .collect()
}

/// Holds, on every host before anything else happens on any. Returns the step to go on from.
fn hold(draft: &mut Draft<'_>, touched: &[Touched<'_, '_>], snapshot: &StepId) -> StepId {
    let holds: Vec<StepId> = touched
        .iter()
        .filter_map(|on| host_steps::hold(draft, on, snapshot))
        .collect();
    if holds.is_empty() {
        return snapshot.clone();
    }
    let holds: Vec<&StepId> = holds.iter().collect();
    draft.barrier(
        "holds",
        "every Kubernetes package is held",
        &holds,
        "what upgrades by itself must not come in between, on any host",
    )
}

/// The first control plane has the line to itself; the other hosts' downloads run beside its upgrade, which mostly waits.
fn prepare<'v>(
    draft: &mut Draft<'_>,
    view: &View<'_>,
    touched: &[Touched<'v, '_>],
    first: &HostName,
    held: &StepId,
) -> BTreeMap<&'v HostName, StepId> {
    let images = &view.kubeadm_config.image_repository;
    let (leading, others): (Vec<_>, Vec<_>) =
        touched.iter().partition(|on| on.host.name() == first);
    let mut prepared = BTreeMap::new();
    for on in leading {
        let last = host_steps::prepare(draft, on, held, None, images);
        prepared.insert(on.host.name(), last);
    }
    let ahead = prepared.get(first).cloned();
    for on in others {
        let last = host_steps::prepare(draft, on, held, ahead.as_ref(), images);
        prepared.insert(on.host.name(), last);
    }
    prepared
}
