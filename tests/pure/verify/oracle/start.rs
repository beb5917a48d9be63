//! Where the brute force begins: the cluster as the facts have it, and what is wrong with a plan whatever the order.

use std::collections::{BTreeMap, BTreeSet};

use refit::cluster::facts::Observed;
use refit::cluster::model::{NodeName, Role};
use refit::plan::data::{Action, Plan};

use super::asked::{self, Asked, Pairs};
use super::hooks::Hooked;
use super::{
    HOSTS, Host, Kinds, Oracle, Release, State, bit, brings, changes, minor_bit, number,
    of_revision,
};
use crate::build::{World, known};

impl<'w> Oracle<'w> {
    pub fn of(world: &World, plan: &'w Plan) -> Result<Self, String> {
        let mut world = world.clone();
        let names: Vec<String> = world.facts.hosts.keys().map(ToString::to_string).collect();
        let index: BTreeMap<String, usize> = names
            .iter()
            .enumerate()
            .map(|(at, name)| (name.clone(), at))
            .collect();
        let mut hosts = [None; HOSTS];
        let mut offered = Vec::new();
        let mut stays = 0;
        let mut left = 0;
        for (at, name) in names.iter().enumerate() {
            let node = world.node(name).clone();
            let facts = world.host(name).clone();
            let packages = world.packages(name).clone();
            let offers = facts.offers.values().filter_map(Observed::known);
            let revisions = offers.flat_map(|offer| &offer.revisions);
            offered.push(
                revisions
                    .flat_map(|(name, all)| all.iter().map(move |one| (name.clone(), one.clone())))
                    .collect(),
            );
            let bits = |names: &mut dyn Iterator<Item = &String>| names.map(|name| bit(name)).sum();
            let held = bits(&mut packages.held.iter());
            let api = facts
                .control_plane
                .as_ref()
                .map(|one| number(&one.api_server.known().unwrap().to_string()));
            let cordoned_by_us = node.cordoned_by.is_some();
            let host = Host {
                control_plane: api.is_some(),
                api: api.unwrap_or(0),
                controllers: api.unwrap_or(0),
                kubelet: number(&node.kubelet_version),
                kubectl: packages
                    .installed
                    .get("kubectl")
                    .map(|revision| of_revision(revision)),
                kubeadm: number(&facts.kubeadm.known().unwrap().to_string()),
                package: ["kubeadm", "kubelet"].map(|name| of_revision(&packages.installed[name])),
                installed: bits(&mut packages.installed.keys()),
                held,
                held_before: held,
                repository: of_url(&packages.repositories[0].url),
                fetched: 0,
                stays: node.unschedulable && !cordoned_by_us,
                left: node.unschedulable && cordoned_by_us,
                cordoned: node.unschedulable,
                tainted: node.is_outdated(),
                fresh: false,
                drained: false,
                awaited: false,
                settled: false,
                upgraded: false,
                out: node.unschedulable && cordoned_by_us,
                configured: 0,
                // What kubeadm was last used here counts as having been used at all before it.
                minors: (30..=number(&facts.kubeadm.known().unwrap().to_string()) / 100)
                    .map(|minor| minor_bit(minor * 100))
                    .sum(),
                dirty: facts
                    .kubelet_flags
                    .known()
                    .unwrap()
                    .iter()
                    .any(|flag| flag.starts_with("--pod-infra-container-image")),
                released: false,
            };
            if api.is_none() {
                stays += usize::from(host.stays);
                left += usize::from(host.left);
            }
            hosts[at] = Some(host);
        }
        let proxy = known(&mut world.facts.cluster.workloads)[0].images["kube-proxy"].clone();
        let proxy = number(proxy.rsplit(":v").next().unwrap());
        let mut oracle = Self {
            plan,
            index,
            offered,
            revisions: BTreeMap::new(),
            before: Vec::new(),
            releases: Vec::new(),
            may_skip: plan.limits.workers_skip_minors,
            target: number(&plan.target.to_string()),
            most_out: plan
                .limits
                .workers_out_of_service
                .saturating_sub(stays)
                .max(1)
                .max(left),
            kinds: Kinds::default(),
            start: State {
                hosts,
                config: number(&world.config().kubernetes_version.to_string()),
                proxies: (proxy, proxy),
                applied: 0,
                pending: None,
                hop: 0,
                looked: false,
                checked: [false; HOSTS],
                saved: false,
                asked: Asked::default(),
                hooked: Hooked::default(),
            },
            pairs: Pairs::default(),
        };
        oracle.order()?;
        oracle.hops();
        oracle.arguments()?;
        Ok(oracle)
    }

    fn order(&mut self) -> Result<(), String> {
        let mut ids = BTreeMap::new();
        for (at, step) in self.plan.steps.iter().enumerate() {
            if ids.insert(step.id.clone(), at).is_some() {
                return Err("an id twice".to_owned());
            }
        }
        for step in &self.plan.steps {
            let mut before = 0;
            for id in &step.after {
                before |= 1_u128 << ids.get(id).ok_or("an unknown step")?;
            }
            self.before.push(before);
        }
        let mut done = 0_u128;
        for _ in &self.plan.steps {
            for (at, before) in self.before.iter().enumerate() {
                if before & !done == 0 {
                    done |= 1 << at;
                }
            }
        }
        if done.count_ones() as usize == self.plan.steps.len() {
            Ok(())
        } else {
            Err("a cycle".to_owned())
        }
    }

    /// The releases that kubeadm upgrades to, and which steps belong to each.
    fn hops(&mut self) {
        let releases: BTreeSet<Release> = self
            .plan
            .steps
            .iter()
            .filter_map(|step| match &step.action {
                Action::KubeadmApply { version, .. } | Action::KubeadmNode { version, .. } => {
                    Some(number(&version.to_string()))
                }
                _ => None,
            })
            .collect();
        self.releases = releases.into_iter().collect();
        let count = self.releases.len().max(1);
        self.kinds.steps = vec![0; count];
        self.kinds.touched = vec![[false; HOSTS]; count];
        for (at, step) in self.plan.steps.iter().enumerate() {
            let hop = self.hop_of(&step.action);
            if let Some(hop) = hop {
                self.kinds.steps[hop] |= 1 << at;
            }
            if let Action::Verify { .. } = step.action {
                self.kinds.last = at;
            }
        }
    }

    fn hop_of(&self, action: &Action) -> Option<usize> {
        let release = brings(action);
        self.releases.iter().position(|of| Some(*of) == release)
    }

    fn host(&self, name: &str) -> Result<usize, String> {
        self.index
            .get(name)
            .copied()
            .ok_or_else(|| format!("no host {name}"))
    }

    /// What is wrong whatever the order.
    fn arguments(&mut self) -> Result<(), String> {
        let all: BTreeSet<&str> = self.index.keys().map(String::as_str).collect();
        let plan = self.plan;
        if plan.cluster_uid != "b0a4" {
            return Err("another cluster".to_owned());
        }
        let mut last = None;
        for (at, step) in plan.steps.iter().enumerate() {
            let bit = 1_u128 << at;
            let action = &step.action;
            let hop = self.hop_of(action).unwrap_or(0);
            if let Some(host) = action.host() {
                let at = self.host(host.as_str())?;
                self.kinds.touched[hop][at] |= changes(action);
            }
            if let Some(node) = action.node() {
                let at = self.host(node.as_str())?;
                self.kinds.touched[hop][at] |= changes(action);
            }
            let control_plane = |host: &str| {
                self.index
                    .get(host)
                    .is_some_and(|&at| self.start.hosts[at].unwrap().control_plane)
            };
            let must = |ok: bool, what: &str| {
                if ok {
                    Ok(())
                } else {
                    Err(format!("{}: {what}", step.id))
                }
            };
            match action {
                Action::CheckHost {
                    host,
                    node,
                    machine_id,
                    ..
                } => {
                    must(host.as_str() == node.as_str(), "another node")?;
                    must(*machine_id == format!("machine-{host}"), "another machine")?;
                }
                Action::CheckCluster {
                    cluster_uid,
                    host,
                    nodes,
                } => {
                    must(
                        cluster_uid == "b0a4" && control_plane(host.as_str()),
                        "another cluster",
                    )?;
                    must(nodes.len() == all.len(), "other nodes")?;
                }
                Action::SnapshotEtcd { host, .. } => {
                    must(control_plane(host.as_str()), "no etcd there")?;
                }
                Action::HoldPackages { .. }
                | Action::ReleaseHolds { .. }
                | Action::Hook { .. }
                | Action::WayBack { .. }
                | Action::Barrier { .. } => {}
                Action::Soak { .. } | Action::Gate { .. } => {
                    asked::argument(plan, step).map_err(|wrong| format!("{}: {wrong}", step.id))?;
                }
                Action::SwitchRepository { minor, content, .. } => {
                    must(
                        content.contains(&format!("/v{minor}/")),
                        "another repository",
                    )?;
                    let minor = number(&format!("{minor}.0")) / 100;
                    let offered = &self.offered[self.index[step.action.host().unwrap().as_str()]];
                    must(
                        offered
                            .iter()
                            .any(|(_, one)| of_revision(one) / 100 == minor),
                        "a minor not offered",
                    )?;
                }
                Action::PrefetchPackages { host, packages, .. }
                | Action::InstallKubeadm { host, packages, .. }
                | Action::InstallKubelet { host, packages, .. } => {
                    let offered = &self.offered[self.index[host.as_str()]];
                    for package in packages {
                        let this = (package.name.clone(), package.revision.clone());
                        must(offered.contains(&this), "not offered")?;
                        let next = u32::try_from(self.revisions.len()).unwrap();
                        self.revisions.entry(package.clone()).or_insert(next);
                    }
                    let kubelet = packages.iter().any(|package| package.name == "kubelet");
                    match action {
                        Action::InstallKubelet { .. } => must(kubelet, "no kubelet")?,
                        Action::InstallKubeadm { .. } => must(!kubelet, "a kubelet")?,
                        _ => {}
                    }
                }
                Action::PullImages { .. } | Action::Cordon { .. } | Action::Drain { .. } => {}
                Action::KubeadmApply { host, version, .. } => {
                    must(control_plane(host.as_str()), "no control plane")?;
                    let rolls = &mut self.kinds.rolls;
                    *rolls.entry(number(&version.to_string())).or_default() |= bit;
                }
                Action::KubeadmNode {
                    host,
                    role,
                    version,
                    ..
                } => {
                    let is = control_plane(host.as_str());
                    must(is == (*role == Role::ControlPlane), "another role")?;
                    if is {
                        let rolls = &mut self.kinds.rolls;
                        *rolls.entry(number(&version.to_string())).or_default() |= bit;
                    }
                }
                Action::AwaitStaticPods { host, node, .. } => {
                    must(host.as_str() == node.as_str(), "another node")?;
                    must(control_plane(host.as_str()), "no control plane")?;
                }
                Action::AwaitControlPlane {
                    host,
                    node,
                    version,
                } => {
                    must(host.as_str() == node.as_str(), "another node")?;
                    must(control_plane(host.as_str()), "no control plane")?;
                    let awaits = &mut self.kinds.awaits;
                    *awaits.entry(number(&version.to_string())).or_default() |= bit;
                }
                Action::AwaitAddons { .. } => {
                    let release = brings(action).unwrap_or(self.target);
                    *self.kinds.awaits.entry(release).or_default() |= bit;
                }
                Action::TaintOutdated { nodes } => {
                    let known = |node: &NodeName| self.index.contains_key(node.as_str());
                    must(nodes.iter().all(known), "another node")?;
                }
                Action::AwaitNode { .. } | Action::Uncordon { .. } => {}
                Action::Verify {
                    version,
                    control_planes,
                    nodes,
                    cordoned,
                    ..
                } => {
                    let is_last = at == self.kinds.last;
                    must(*version == plan.target || !is_last, "another release")?;
                    must(nodes.len() == all.len() || !is_last, "other nodes")?;
                    let servers = control_planes
                        .keys()
                        .filter(|host| control_plane(host.as_str()))
                        .count();
                    let all_servers = self
                        .start
                        .hosts
                        .iter()
                        .flatten()
                        .filter(|host| host.control_plane)
                        .count();
                    must(
                        servers == control_planes.len() && servers == all_servers,
                        "other control planes",
                    )?;
                    let stays: Vec<bool> = cordoned
                        .iter()
                        .map(|node| self.start.hosts[self.index[node.as_str()]].unwrap().stays)
                        .collect();
                    let all_stay = self
                        .start
                        .hosts
                        .iter()
                        .flatten()
                        .filter(|host| host.stays)
                        .count();
                    must(
                        stays.iter().all(|stays| *stays) && (stays.len() == all_stay || !is_last),
                        "other cordons",
                    )?;
                    last = Some(at);
                }
            }
        }
        match last {
            None if !plan.steps.is_empty() => Err("no last look".to_owned()),
            _ => Ok(()),
        }
    }
}

fn of_url(url: &str) -> Release {
    let minor = url.split("/v").nth(1).unwrap().split('/').next().unwrap();
    number(&format!("{minor}.0")) / 100
}
