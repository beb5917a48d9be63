//! From what the cluster is and what it should become to the steps between, or to the reasons why not.
//!
//! Pure: the same inputs give the same bytes. [`plan`] reads as the policy does, top to bottom; the parts are
//! `plan::view` (nothing unknown), `plan::path` (one hop, forwards), `plan::preconditions` (fit to begin),
//! `plan::packages` (what is installed from where), then the steps: `plan::control_plane`, `plan::nodes`, and
//! `plan::forecast`, which judges every state on the way.

use std::collections::{BTreeMap, BTreeSet};

use super::control_plane::{self, ControlPlanes};
use super::data::{Action, FORMAT, Plan, Step, StepId};
use super::draft::{CLUSTER, Draft};
use super::forecast;
use super::graph;
use super::hazards;
use super::host_steps::{self, Touched};
use super::nodes::{self, Start};
use super::notes;
use super::pace;
use super::packages;
use super::path;
use super::preconditions::{self, Forecast};
use super::reason::{Blocked, Reason};
use super::view::{HostView, View};
use super::windows::{self, Trouble};
use super::work::{self, Work};
use crate::cluster::drift;
use crate::cluster::facts::Facts;
use crate::cluster::model::{HostName, NodeName};
use crate::documents::settings::{Inventory, Upgrade};

/// What a plan is made from.
#[derive(Debug, Clone)]
pub struct Inputs<'a> {
    /// The hosts.
    pub inventory: &'a Inventory,
    /// The declaration.
    pub upgrade: &'a Upgrade,
    /// SHA-256 of both documents' texts.
    pub declaration_sha256: &'a str,
    /// The cluster.
    pub facts: &'a Facts,
    /// The signing key's text, where `packages.key` is a file.
    pub key_text: Option<String>,
}

/// The plan, empty when nothing is to be done.
///
/// # Errors
/// Every reason why there is none.
pub fn plan(inputs: &Inputs<'_>) -> Result<Plan, Blocked> {
    let Inputs {
        inventory,
        upgrade,
        facts,
        ..
    } = *inputs;
    let target = &upgrade.target;
    let view = View::of(inventory, facts, target.minor()).map_err(blocked)?;

    let mut reasons = path::distance(&view, target);
    let one_hop = reasons.is_empty();
    let works: Vec<(&HostView<'_>, Work)> = view
        .hosts
        .iter()
        .map(|host| (host, work::on(host, target)))
        .collect();
    let apply = work::apply_is_left(&view, upgrade);
    if one_hop {
        if !apply && works.iter().all(|(_, work)| work.is_none()) {
            let skew = forecast::violations(&view, &[], target, false);
            return if skew.is_empty() {
                Ok(sealed(inputs, &view, notes::nothing(target), Vec::new()))
            } else {
                Err(blocked(skew))
            };
        }
        reasons.extend(path::kubeadm(&view, target));
        reasons.extend(path::phases(upgrade));
    }
    let Some(first) = work::first_control_plane(&view, target) else {
        return Err(blocked(vec![Reason::NoControlPlane]));
    };

    let touched_hosts: BTreeSet<&HostName> = works
        .iter()
        .filter(|(host, work)| !work.is_none() || host.name() == first.name())
        .map(|(host, _)| host.name())
        .collect();
    reasons.extend(preconditions::fitness(&view, &touched_hosts));
    let hazards = hazards::judge(&view, &touched_hosts, upgrade, facts);
    reasons.extend(hazards.reasons);
    let drained: Vec<&NodeName> = works
        .iter()
        .filter(|(host, work)| work.kubelet && preconditions::drains(host.host.role, upgrade))
        .map(|(host, _)| &host.node.name)
        .collect();
    let (forecasts, unmovable) = preconditions::drains_forecast(&view, &drained, upgrade);
    reasons.extend(unmovable);
    reasons.extend(packages::differing_keys(&view.hosts));
    if !one_hop {
        return Err(blocked(reasons));
    }

    let mut touched = Vec::new();
    for (host, work) in &works {
        if !touched_hosts.contains(host.name()) {
            continue;
        }
        match touch(&view, host, *work, inputs, &forecasts) {
            Ok(on) => touched.push(on),
            Err(more) => reasons.extend(more),
        }
    }
    let complete = touched.len() == touched_hosts.len();
    if !complete {
        return Err(blocked(reasons));
    }
    let steps = match graph::sorted(steps(&view, &touched, first, apply, upgrade)) {
        Ok(steps) => steps,
        Err(error) => return Err(blocked(vec![Reason::Fault(error.to_string())])),
    };
    let rolls = preconditions::rolls_kube_proxy(upgrade);
    reasons.extend(forecast::violations(&view, &steps, target, rolls));
    if !reasons.is_empty() {
        return Err(blocked(reasons));
    }
    let mut notes = notes::of(&view, &touched, upgrade);
    notes.extend(hazards.notes);
    let plan = sealed(inputs, &view, notes, steps);
    // From when the facts were seen, so that the answer does not depend on when it is asked for.
    match windows::schedule(&plan, facts.observed_at) {
        Ok(_) => Ok(plan),
        Err(Trouble::NoRoom(room)) => Err(blocked(vec![Reason::NoWindow(room)])),
        Err(Trouble::Window(bad)) => Err(blocked(vec![Reason::Fault(bad.to_string())])),
    }
}

fn blocked(reasons: Vec<Reason>) -> Blocked {
    let mut unique: Vec<Reason> = Vec::with_capacity(reasons.len());
    for reason in reasons {
        if !unique.contains(&reason) {
            unique.push(reason);
        }
    }
    Blocked { reasons: unique }
}

fn sealed(inputs: &Inputs<'_>, view: &View<'_>, notes: Vec<String>, steps: Vec<Step>) -> Plan {
    let basis = drift::basis(inputs.facts);
    Plan {
        format: FORMAT.to_owned(),
        upgrade: inputs.upgrade.name.clone(),
        inventory: inputs.inventory.name.clone(),
        cluster_uid: view.uid.to_owned(),
        target: inputs.upgrade.target.clone(),
        declaration_sha256: inputs.declaration_sha256.to_owned(),
        limits: nodes::limits(view, inputs.upgrade),
        windows: windows::of(&inputs.upgrade.windows, &steps),
        facts_at: inputs.facts.observed_at,
        facts_fingerprint: drift::fingerprint(&basis),
        basis,
        notes,
        steps,
    }
}

fn touch<'v, 'a>(
    view: &View<'a>,
    host: &'v HostView<'a>,
    work: Work,
    inputs: &Inputs<'_>,
    forecasts: &BTreeMap<&NodeName, Forecast>,
) -> Result<Touched<'v, 'a>, Vec<Reason>> {
    let packages = if work.packages() {
        let key = inputs.key_text.as_deref();
        Some(packages::resolve(host, work, inputs.upgrade, key)?)
    } else {
        None
    };
    Ok(Touched {
        host,
        work,
        packages,
        drain: forecasts.get(&host.node.name).cloned(),
        room: preconditions::room(view, host),
    })
}

/// The steps of one hop, in the order of design: look, save, prepare, control planes, kubelets, tidy up, look again.
fn steps(
    view: &View<'_>,
    touched: &[Touched<'_, '_>],
    first: &HostView<'_>,
    apply: bool,
    upgrade: &Upgrade,
) -> Vec<Step> {
    let target = &upgrade.target;
    let mut draft = Draft::new(target);
    let preflight = preflight(&mut draft, view, touched, first);
    let snapshot = snapshot(&mut draft, first, &preflight, upgrade);

    let held = hold(&mut draft, touched, &snapshot);
    let prepared = prepare(&mut draft, view, touched, first.name(), &held);
    let (control_planes, workers): (Vec<_>, Vec<_>) =
        (0..touched.len()).partition(|&index| touched[index].host.instance.is_some());
    let control_planes = pick(touched, &control_planes);
    let workers = pick(touched, &workers);

    let rolls = preconditions::rolls_kube_proxy(upgrade);
    let kube_proxy = preconditions::kube_proxy(view)
        .filter(|_| rolls)
        .map(|_| target.clone());
    let part = ControlPlanes {
        first: first.name(),
        apply,
        kube_proxy,
    };
    let addons = control_plane::add(
        &mut draft,
        &control_planes,
        &prepared,
        &snapshot,
        &part,
        upgrade,
    );

    let start = Start {
        gate: &addons,
        prepared: &prepared,
    };
    let size = nodes::wave_size(view, upgrade);
    let mut ends = Vec::new();
    ends.extend(nodes::control_planes(
        &mut draft,
        &control_planes,
        &start,
        upgrade,
    ));
    ends.extend(nodes::workers(&mut draft, &workers, &start, size, upgrade));
    if ends.is_empty() {
        ends.push(addons.clone());
    }
    // Hosts that only got tools have no later step that waits for them.
    ends.extend(
        touched
            .iter()
            .filter(|on| !(on.work.kubelet || on.work.uncordon || on.work.instance))
            .filter_map(|on| prepared.get(on.host.name()).cloned()),
    );
    let ends: Vec<&StepId> = ends.iter().collect();
    let done = draft.barrier(
        "nodes",
        format!("every node is at {target}"),
        &ends,
        "holds stay until nothing is left to install",
    );
    finish(&mut draft, view, touched, &done);
    draft.into_steps()
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

fn pick<'t, 'v, 'a>(touched: &'t [Touched<'v, 'a>], indices: &[usize]) -> Vec<&'t Touched<'v, 'a>> {
    indices
        .iter()
        .filter_map(|&index| touched.get(index))
        .collect()
}

fn preflight(
    draft: &mut Draft<'_>,
    view: &View<'_>,
    touched: &[Touched<'_, '_>],
    first: &HostView<'_>,
) -> StepId {
    let mut looked: Vec<StepId> = touched
        .iter()
        .map(|on| host_steps::check(draft, on))
        .collect();
    looked.push(
        draft.step(
            CLUSTER,
            "check-cluster",
            Action::CheckCluster {
                cluster_uid: view.uid.to_owned(),
                host: first.name().clone(),
                nodes: view
                    .hosts
                    .iter()
                    .map(|host| host.node.name.clone())
                    .collect(),
            },
            &[],
            pace::LOOK,
            "this must be the plan's cluster, with etcd whole and every node ready",
        ),
    );
    let looked: Vec<&StepId> = looked.iter().collect();
    draft.barrier(
        "preflight",
        "every host and the cluster are fit",
        &looked,
        "nothing changes before everything was looked at",
    )
}

fn snapshot(
    draft: &mut Draft<'_>,
    first: &HostView<'_>,
    preflight: &StepId,
    upgrade: &Upgrade,
) -> StepId {
    let data = first
        .instance
        .as_ref()
        .map_or("/var/lib/etcd", |instance| instance.etcd_data.as_str());
    draft.step(
        CLUSTER,
        "snapshot-etcd",
        Action::SnapshotEtcd {
            host: first.name().clone(),
            // etcd's pod shares no other directory with its host.
            file: format!("{data}/refit-{{run}}.db"),
            directory: upgrade.snapshot.directory.to_string_lossy().into_owned(),
            keep: upgrade.snapshot.keep,
            trial_restore: upgrade.snapshot.trial_restore,
        },
        &[preflight],
        pace::SNAPSHOT,
        "the way back, taken and checked before the first change",
    )
}

fn finish(draft: &mut Draft<'_>, view: &View<'_>, touched: &[Touched<'_, '_>], done: &StepId) {
    let mut last = vec![done.clone()];
    for on in touched {
        let Some(packages) = on
            .packages
            .as_ref()
            .filter(|packages| !packages.hold.is_empty())
        else {
            continue;
        };
        let host = on.host.name();
        last.push(draft.step(
            host,
            "release-holds",
            Action::ReleaseHolds {
                host: host.clone(),
                manager: packages.manager,
                packages: packages.hold.clone(),
            },
            &[done],
            pace::HOLD,
            "these were not held before",
        ));
    }
    let last: Vec<&StepId> = last.iter().collect();
    let cordoned = view
        .hosts
        .iter()
        .filter(|host| host.stays_cordoned())
        .map(|host| host.node.name.clone())
        .collect();
    draft.step(
        CLUSTER,
        "verify",
        Action::Verify {
            version: draft.target().clone(),
            control_planes: view
                .control_planes()
                .map(|(host, _)| (host.name().clone(), host.node.name.clone()))
                .collect(),
            nodes: view.hosts.iter().map(|host| host.node.name.clone()).collect(),
            cordoned,
        },
        &last,
        pace::VERIFY,
        "the upgrade is done when everything is seen at the release, ready and schedulable as before",
    );
}
