//! What the reader of a plan should know and no step shows.

use std::collections::{BTreeMap, BTreeSet};

use super::drains::Forecast;
use super::host_steps::Touched;
use super::nodes;
use super::preconditions;
use super::reason::as_declared;
use super::unjudged;
use super::view::View;
use crate::cluster::model::NodeName;
use crate::documents::settings::{Gate, Upgrade, WhenBlocked};
use crate::rules::skew;
use crate::rules::version::Version;

/// How many nodes are named with the number of their pods: a few lines are read, a page is not.
const NODES_NAMED: usize = 20;
/// How many pods without another node are named, each with what it would need.
const PODS_NAMED: usize = 10;

/// For a plan without steps.
#[must_use]
pub fn nothing(target: &Version) -> Vec<String> {
    vec![format!("everything is at {target}: nothing to do")]
}

/// For a plan with steps.
#[must_use]
pub fn of(
    view: &View<'_>,
    touched: &[Touched<'_, '_>],
    upgrade: &Upgrade,
    hops: &[Version],
) -> Vec<String> {
    let target = &upgrade.target;
    let mut notes = Vec::new();
    let snapshot = view.snapshot();
    if let Some(servers) = skew::Extremes::of(&snapshot) {
        let (oldest, newest) = (servers.oldest(), servers.newest());
        let way = way(hops);
        if oldest == newest {
            notes.push(format!("from {oldest} to {target}{way}"));
        } else {
            notes.push(format!(
                "from {oldest} to {target}{way}: API servers are between {oldest} and {newest}, an upgrade was begun before; the plan holds what is left of it"
            ));
        }
        if oldest.minor() == target.minor() {
            notes.push(
                "a patch upgrade: nodes are drained as for a minor, although the version skew policy does not ask for it".to_owned(),
            );
        }
    }
    for window in &upgrade.windows {
        notes.push(format!(
            "changes only within `{}` for {} ({}); a node is begun only where it fits",
            window.start,
            as_declared(window.duration_s),
            window.timezone
        ));
    }
    if let WhenBlocked::Defer { at_most } = upgrade.drain.blocked {
        notes.push(format!(
            "a worker whose pods cannot leave in {} is put back into service and tried once more at the end of its hop, before the next \
             one begins: {at_most} of a hop at most, else the run halts (drain.blocked, strategy.workers.maxDeferred)",
            as_declared(upgrade.drain.timeout.as_secs())
        ));
    }
    let shown = upgrade.gates.iter().filter_map(Gate::shows_its_token);
    notes.extend(shown);
    several(&mut notes, view, upgrade, hops);
    drains(&mut notes, touched, hops);
    notes.extend(unjudged::notes(view, touched));
    cordons(&mut notes, view, upgrade);
    if view.kube_proxy_wanted.is_some()
        && preconditions::rolls_kube_proxy(upgrade)
        && skew::kube_proxy_before_kubelet(&snapshot, target)
        && touched.iter().any(|on| on.work.instance)
    {
        notes.push(
            "kubeadm rolls kube-proxy with the last control plane, before any kubelet: allowed by the version skew policy, though not the order it advises".to_owned(),
        );
    }
    notes.push(format!(
        "the etcd snapshot is kept in {}; it holds every Secret of the cluster",
        upgrade.snapshot.directory.display()
    ));
    kubeadm(&mut notes, upgrade);
    strays(&mut notes, view);
    notes
}

/// By way of which releases.
fn way(hops: &[Version]) -> String {
    match hops {
        [passed @ .., _] if !passed.is_empty() => {
            let passed: Vec<String> = passed.iter().map(ToString::to_string).collect();
            format!(" by way of {}", passed.join(" and "))
        }
        _ => String::new(),
    }
}

/// What is particular to a plan of several hops.
fn several(notes: &mut Vec<String>, view: &View<'_>, upgrade: &Upgrade, hops: &[Version]) {
    for (minor, release) in &upgrade.via {
        if hops.iter().all(|hop| hop.minor() != *minor) {
            notes.push(format!(
                "via {release} does not apply: the way does not go through {minor}"
            ));
        }
    }
    if hops.len() < 2 {
        return;
    }
    for hop in hops.iter().filter(|hop| **hop != upgrade.target) {
        if !upgrade.via.contains_key(&hop.minor()) {
            notes.push(format!(
                "{hop} was chosen for {}: what runs there already, or else the newest that every host is offered (`via` names another)",
                hop.minor()
            ));
        }
    }
    let skipping = view
        .workers()
        .filter(|host| upgrade.workers.skip_level && host.kubelet.minor() < upgrade.target.minor())
        .count();
    if skipping > 0 {
        notes.push(format!(
            "the kubelets of {skipping} worker(s) skip minors (strategy.workers.skipLevel): drained once, on the way to {}; upstream permits the distance and does not test the way",
            upgrade.target.minor()
        ));
    }
    notes.push(format!(
        "{} hops: each looks at everything first, saves etcd, and is over before the next begins; where pods are is known for the first only",
        hops.len()
    ));
}

fn drains(notes: &mut Vec<String>, touched: &[Touched<'_, '_>], hops: &[Version]) {
    let drained: Vec<(&NodeName, &Forecast)> = touched
        .iter()
        .filter_map(|on| on.drain.as_ref().map(|drain| (&on.host.node.name, drain)))
        .collect();
    if drained.is_empty() {
        return;
    }
    let forecasts = || drained.iter().map(|(_, forecast)| *forecast);
    let pods: usize = forecasts().map(Forecast::evicted).sum();
    let mut by_node: Vec<String> = drained
        .iter()
        .take(NODES_NAMED)
        .map(|(node, forecast)| format!("{node} {}", forecast.evicted()))
        .collect();
    if drained.len() > NODES_NAMED {
        by_node.push(format!("and {} more nodes", drained.len() - NODES_NAMED));
    }
    let first = if hops.len() > 1 { "the first hop " } else { "" };
    notes.push(format!(
        "{first}drains {} node(s) and evicts {pods} pod(s), as observed: {}",
        drained.len(),
        by_node.join(", ")
    ));
    let losing: usize = forecasts().map(Forecast::lose_data).sum();
    if losing > 0 {
        notes.push(format!(
            "the emptyDir data of {losing} of them is lost (drain.deleteEmptyDirData)"
        ));
    }
    let gone: Vec<&str> = forecasts()
        .flat_map(Forecast::gone)
        .map(String::as_str)
        .collect();
    if !gone.is_empty() {
        notes.push(format!(
            "nothing brings these pods back (drain.unmanagedPods: evict): {}",
            gone.join(", ")
        ));
    }
    let some = |all: Vec<&String>| {
        let mut named: Vec<&str> = all
            .iter()
            .take(PODS_NAMED)
            .map(|pod| pod.as_str())
            .collect();
        let more = format!("and {} more", all.len().saturating_sub(PODS_NAMED));
        if all.len() > PODS_NAMED {
            named.push(&more);
        }
        (!named.is_empty()).then(|| named.join(", "))
    };
    if let Some(pods) = some(forecasts().flat_map(Forecast::skipped).collect()) {
        notes.push(format!(
            "these pods stay on their node while its kubelet changes (drain.rules: skip): {pods}"
        ));
    }
    if let Some(pods) = some(forecasts().flat_map(Forecast::completing).collect()) {
        notes.push(format!(
            "drains wait until these pods have ended by themselves, and fail where they have not in time (drain.rules: wait-completed): {pods}"
        ));
    }
    let waiting: BTreeSet<&String> = forecasts().flat_map(Forecast::waits_for).collect();
    for budget in waiting {
        notes.push(format!(
            "{budget}: it allows nothing at present, and drains wait until it does"
        ));
    }
    homeless(notes, &drained);
}

/// Pods that come back with their node only.
fn homeless(notes: &mut Vec<String>, drained: &[(&NodeName, &Forecast)]) {
    let mut lost = drained
        .iter()
        .flat_map(|(node, forecast)| forecast.homeless.iter().map(move |lost| (node, lost)));
    let count = lost.clone().count();
    if count == 0 {
        return;
    }
    let mut named: Vec<String> = lost
        .by_ref()
        .take(PODS_NAMED)
        .map(|(node, (pod, want))| format!("{pod} of {node} ({want})"))
        .collect();
    if count > PODS_NAMED {
        named.push(format!("and {} more", count - PODS_NAMED));
    }
    notes.push(format!(
        "{count} pod(s) find no other node while theirs is out, and come back with it: {}",
        named.join("; ")
    ));
}

fn cordons(notes: &mut Vec<String>, view: &View<'_>, upgrade: &Upgrade) {
    let staying: Vec<&NodeName> = view
        .hosts
        .iter()
        .filter(|host| host.stays_cordoned())
        .map(|host| &host.node.name)
        .collect();
    for node in &staying {
        notes.push(format!(
            "{node} was cordoned by someone else and stays cordoned"
        ));
    }
    let reduced = view.workers().any(super::view::HostView::stays_cordoned);
    if reduced {
        notes.push(format!(
            "cordoned workers count as unavailable: waves of {} worker(s)",
            nodes::wave_size(view, upgrade)
        ));
    }
    for host in &view.hosts {
        if let Some(run) = &host.node.cordoned_by
            && host.node.unschedulable
        {
            notes.push(format!(
                "{} was left cordoned by run {run} and becomes schedulable",
                host.node.name
            ));
        }
    }
    let listed: BTreeSet<&NodeName> = view.hosts.iter().map(|host| &host.node.name).collect();
    for name in view.nodes.keys().filter(|name| !listed.contains(*name)) {
        notes.push(format!(
            "{name} is left out (ignoreNodes) and stays as it is"
        ));
    }
}

fn kubeadm(notes: &mut Vec<String>, upgrade: &Upgrade) {
    let kubeadm = &upgrade.kubeadm;
    if !kubeadm.ignore_preflight_errors.is_empty() {
        notes.push(format!(
            "kubeadm ignores failures of {}",
            kubeadm.ignore_preflight_errors.join(", ")
        ));
    }
    if !kubeadm.skip_phases.is_empty() {
        notes.push(format!("kubeadm skips {}", kubeadm.skip_phases.join(", ")));
    }
    if let Some(patches) = &kubeadm.patches {
        notes.push(format!(
            "kubeadm applies the patches that each host has in {patches}"
        ));
    }
    if !kubeadm.etcd_upgrade {
        notes.push("etcd is not upgraded (kubeadm.etcdUpgrade: false)".to_owned());
    }
    if !kubeadm.certificate_renewal {
        notes.push("certificates are not renewed (kubeadm.certificateRenewal: false)".to_owned());
    }
}

fn strays(notes: &mut Vec<String>, view: &View<'_>) {
    let mut by_files: BTreeMap<&[String], Vec<&str>> = BTreeMap::new();
    for (host, instance) in view.control_planes() {
        if !instance.stray_files.is_empty() {
            let same = by_files.entry(instance.stray_files).or_default();
            same.push(host.name().as_str());
        }
    }
    for (files, hosts) in by_files {
        notes.push(format!(
            "{} {} other static pods, which are left alone: {}",
            hosts.join(", "),
            if hosts.len() == 1 { "has" } else { "have" },
            files.join(", ")
        ));
    }
}
