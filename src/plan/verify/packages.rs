//! What is installed on each host: held, from the right repository, downloaded ahead, one operation at a time.
//!
//! A host runs one of our operations at a time (they share a unit there), so two that could run beside each other are a
//! violation; after that, each host's operations have one order, and what they leave behind is followed along it.

use std::collections::{BTreeMap, BTreeSet};

use super::arguments::same_repository;
use super::cluster::{Cluster, Machine};
use super::order::Order;
use super::violation::{Invariant, Needed, Violation};
use crate::cluster::facts::Observed;
use crate::cluster::model::HostName;
use crate::host::op::PackageRevision;
use crate::plan::data::{Action, Step, StepId};
use crate::plan::view::release_of_revision;
use crate::rules::version::Minor;

const INVARIANT: Invariant = Invariant::Packages;
/// What is held while a plan is carried out, where it is installed.
const HELD: [&str; 3] = ["kubeadm", "kubectl", "kubelet"];

/// Each host's operations.
pub fn judge(cluster: &Cluster<'_>, order: &Order<'_>) -> Vec<Violation> {
    let mut by_host: BTreeMap<&HostName, Vec<usize>> = BTreeMap::new();
    for (at, step) in order.iter() {
        let host = step.action.host().filter(|_| operates(&step.action));
        if let Some(host) = host {
            by_host.entry(host).or_default().push(at);
        }
    }
    let pairs: Vec<(usize, usize)> = by_host
        .values()
        .flat_map(|steps| steps.windows(2).map(|pair| (pair[0], pair[1])))
        .collect();
    let mut wrong: Vec<Violation> = order
        .unordered(&pairs)
        .into_iter()
        .map(|(first, then)| Violation::Unordered {
            invariant: INVARIANT,
            first: order.id(first),
            then: order.id(then),
        })
        .collect();
    for (host, steps) in by_host {
        let Some(machine) = cluster.hosts.get(host) else {
            continue;
        };
        let mut on = OnHost::now(host, machine);
        for at in steps {
            on.follow(order.step(at));
        }
        wrong.extend(on.end());
    }
    wrong
}

/// Whether the action is an operation on its host, not only a look at it.
const fn operates(action: &Action) -> bool {
    match action {
        Action::SnapshotEtcd { .. }
        | Action::HoldPackages { .. }
        | Action::SwitchRepository { .. }
        | Action::PrefetchPackages { .. }
        | Action::InstallKubeadm { .. }
        | Action::PullImages { .. }
        | Action::KubeadmApply { .. }
        | Action::KubeadmNode { .. }
        | Action::InstallKubelet { .. }
        | Action::ReleaseHolds { .. } => true,
        // A hook on this machine has no host.
        Action::Hook { .. } => true,
        Action::CheckHost { .. }
        | Action::CheckCluster { .. }
        | Action::AwaitControlPlane { .. }
        | Action::AwaitAddons { .. }
        | Action::TaintOutdated { .. }
        | Action::Cordon { .. }
        | Action::Drain { .. }
        | Action::AwaitNode { .. }
        | Action::AwaitStaticPods { .. }
        | Action::Uncordon { .. }
        | Action::Verify { .. }
        | Action::Soak { .. }
        | Action::Gate { .. }
        | Action::WayBack { .. }
        | Action::Barrier { .. } => false,
    }
}

struct OnHost<'c, 'f, 'p> {
    host: &'c HostName,
    machine: &'c Machine<'f>,
    held: BTreeSet<&'p str>,
    switched: Option<Minor>,
    fetched: BTreeSet<&'p PackageRevision>,
    /// The step that took holds off.
    released: Option<&'p StepId>,
    wrong: Vec<Violation>,
}

impl<'c, 'f: 'p, 'p> OnHost<'c, 'f, 'p> {
    fn now(host: &'c HostName, machine: &'c Machine<'f>) -> Self {
        Self {
            host,
            machine,
            held: machine.packages.held.iter().map(String::as_str).collect(),
            switched: None,
            fetched: BTreeSet::new(),
            released: None,
            wrong: Vec::new(),
        }
    }

    fn missing(&mut self, needed: Needed, step: &Step) {
        self.wrong.push(Violation::Missing {
            invariant: INVARIANT,
            needed,
            place: self.host.to_string(),
            steps: vec![step.id.clone()],
        });
    }

    fn follow(&mut self, step: &'p Step) {
        if let Some(released) = self.released {
            self.wrong.push(Violation::Unordered {
                invariant: INVARIANT,
                first: step.id.clone(),
                then: released.clone(),
            });
        }
        match &step.action {
            Action::HoldPackages { packages, .. } => {
                for package in packages {
                    if !self.held.insert(package) {
                        self.needless(step, format!("{package} is held already"));
                    }
                }
            }
            Action::SwitchRepository { minor, .. } => {
                self.must_be_held(step);
                self.switched = Some(*minor);
            }
            Action::PrefetchPackages { packages, .. } => {
                self.must_be_held(step);
                self.must_be_served(step, packages);
                self.fetched.extend(packages);
            }
            Action::InstallKubeadm { packages, .. } | Action::InstallKubelet { packages, .. } => {
                self.must_be_held(step);
                self.must_be_served(step, packages);
                if packages
                    .iter()
                    .any(|package| !self.fetched.contains(package))
                {
                    self.missing(Needed::Prefetch, step);
                }
            }
            Action::ReleaseHolds { packages, .. } => {
                self.released = Some(&step.id);
                for package in packages {
                    if self.machine.packages.held.contains(package) {
                        self.needless(step, format!("{package} was held before"));
                    }
                    self.held.remove(package.as_str());
                }
            }
            Action::SnapshotEtcd { .. }
            | Action::PullImages { .. }
            | Action::KubeadmApply { .. }
            | Action::KubeadmNode { .. }
            | Action::CheckHost { .. }
            | Action::CheckCluster { .. }
            | Action::AwaitControlPlane { .. }
            | Action::AwaitAddons { .. }
            | Action::TaintOutdated { .. }
            | Action::Cordon { .. }
            | Action::Drain { .. }
            | Action::AwaitNode { .. }
            | Action::AwaitStaticPods { .. }
            | Action::Uncordon { .. }
            | Action::Verify { .. }
            | Action::Soak { .. }
            | Action::Gate { .. }
            | Action::Hook { .. }
            | Action::WayBack { .. }
            | Action::Barrier { .. } => {}
        }
    }

    fn needless(&mut self, step: &Step, why: String) {
        self.wrong.push(Violation::Needless {
            invariant: INVARIANT,
            step: step.id.clone(),
            why,
        });
    }

    fn must_be_held(&mut self, step: &Step) {
        let loose = HELD.iter().any(|package| {
            self.machine.installed.contains_key(package) && !self.held.contains(package)
        });
        if loose {
            self.missing(Needed::Hold, step);
        }
    }

    fn must_be_served(&mut self, step: &Step, packages: &[PackageRevision]) {
        let served = packages.iter().all(|package| {
            release_of_revision(&package.revision)
                .is_none_or(|release| self.serves(release.minor()))
        });
        if !served {
            self.missing(Needed::SwitchRepository, step);
        }
    }

    fn serves(&self, minor: Minor) -> bool {
        match self.switched {
            Some(switched) => switched == minor,
            None => self
                .machine
                .offers
                .get(&minor)
                .and_then(Observed::known)
                .is_some_and(|offer| {
                    let mut files = self.machine.packages.repositories.iter();
                    files.any(|file| same_repository(&file.url, &offer.url))
                }),
        }
    }

    fn end(mut self) -> Vec<Violation> {
        let before: BTreeSet<&str> = self
            .machine
            .packages
            .held
            .iter()
            .map(String::as_str)
            .collect();
        if self.held != before {
            self.wrong.push(Violation::Missing {
                invariant: INVARIANT,
                needed: Needed::ReleaseHolds,
                place: self.host.to_string(),
                steps: Vec::new(),
            });
        }
        self.wrong
    }
}
