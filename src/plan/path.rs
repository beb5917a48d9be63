//! The way to the target: which releases it goes through, and whether it can be gone at all.
//!
//! Control planes go one minor at a time, and each such hop is a whole upgrade of its own. What is behind decides where the
//! way begins, so that a cluster half upgraded by hand or by another tool gets a plan for what is left. The release at a
//! minor passed through is the declaration's (`via`); else the one that API servers run already, as what was begun is
//! completed; else the newest that every host is offered.

use std::collections::BTreeSet;

use super::reason::Reason;
use super::view::{HostView, View, release_of_revision};
use super::work::{self, Hop};
use crate::cluster::facts::Observed;
use crate::cluster::model::{HostName, Role};
use crate::documents::settings::Upgrade;
use crate::rules::kubeadm_phases;
use crate::rules::kubeadm_policy::{self, Request};
use crate::rules::skew::{Extremes, Move, WORKER_JUMP};
use crate::rules::support;
use crate::rules::version::{Minor, Version};

/// Every reason why the target is not ahead. With one of these, versions along the way are not worth judging.
#[must_use]
pub fn backwards(view: &View<'_>, target: &Version) -> Vec<Reason> {
    ahead_of(view, target)
        .into_iter()
        .map(|ahead| Reason::Downgrade {
            what: ahead.what,
            from: ahead.version,
            to: target.clone(),
        })
        .collect()
}

/// Whether what the plan is to go through is known to this refit: minors, and the hosts' systems.
#[must_use]
pub fn supported(view: &View<'_>, target: &Version) -> Vec<Reason> {
    let mut reasons = Vec::new();
    if !support::minor(target.minor()) {
        reasons.push(Reason::UnsupportedMinor {
            minor: target.minor(),
        });
    }
    for host in &view.hosts {
        if !support::system(&host.identity.os) {
            reasons.push(Reason::UnsupportedSystem {
                host: host.name().clone(),
                os: host.identity.os.clone(),
            });
        }
    }
    reasons
}

/// Something that is newer than it should be.
struct Ahead {
    /// In words.
    what: String,
    /// Its release.
    version: Version,
    /// It is no more than installed, and stays where it is unless something on the host needs it.
    tool: Option<Tool>,
}

/// A tool.
#[derive(Debug, Clone)]
enum Tool {
    /// May be newer than the API servers by one.
    Kubectl,
    /// Of this host; it may be ahead where nothing is left for it to do.
    Kubeadm(HostName),
}

/// What is newer than a release.
fn ahead_of(view: &View<'_>, release: &Version) -> Vec<Ahead> {
    let mut found = Vec::new();
    let mut newer_tool = |what: String, version: &Version, tool: Option<Tool>| {
        if version > release {
            found.push(Ahead {
                what,
                version: version.clone(),
                tool,
            });
        }
    };
    let mut newer = |what: String, version: &Version| newer_tool(what, version, None);
    for (host, instance) in view.control_planes() {
        let name = &host.node.name;
        newer(format!("kube-apiserver on {name}"), &instance.running);
        if instance.manifests.api_server != instance.running {
            newer(
                format!("kube-apiserver's manifest on {name}"),
                &instance.manifests.api_server,
            );
        }
        newer(
            format!("kube-controller-manager on {name}"),
            &instance.manifests.controller_manager,
        );
        newer(
            format!("kube-scheduler on {name}"),
            &instance.manifests.scheduler,
        );
    }
    for host in &view.hosts {
        let name = &host.node.name;
        newer_tool(format!("kubelet on {name}"), &host.kubelet, None);
        let kubeadm = Tool::Kubeadm(host.name().clone());
        newer_tool(
            format!("kubeadm on {name}"),
            &host.kubeadm,
            Some(kubeadm.clone()),
        );
        for (package, version) in &host.installed {
            let named_already = match *package {
                "kubeadm" => *version == host.kubeadm,
                "kubelet" => *version == host.kubelet,
                _ => false,
            };
            if !named_already {
                let tool = match *package {
                    "kubeadm" => Some(kubeadm.clone()),
                    "kubectl" => Some(Tool::Kubectl),
                    _ => None,
                };
                newer_tool(format!("the installed {package} on {name}"), version, tool);
            }
        }
    }
    newer_tool("kubeadm-config".to_owned(), &view.config_release, None);
    found
}

/// The releases that the plan goes through, the target last.
///
/// # Errors
/// Kubelets that cannot come along, and minors whose release cannot be told.
pub fn hops(view: &View<'_>, upgrade: &Upgrade) -> Result<Vec<Version>, Vec<Reason>> {
    let target = &upgrade.target;
    let Some(newest) = newest_control_plane(view) else {
        return Ok(vec![target.clone()]);
    };
    let left_behind = left_behind(view, upgrade, newest);
    if !left_behind.is_empty() {
        return Err(left_behind);
    }
    // API servers are within one minor of each other, so nothing goes through a minor that they have left behind.
    let start = oldest(view, target).max(newest.previous());
    let mut releases = Vec::new();
    let mut reasons = Vec::new();
    let mut minor = start.next();
    while minor < target.minor() {
        match release_at(view, upgrade, minor) {
            Ok(release) => {
                reasons.extend(not_passable(view, &release, upgrade));
                releases.push(release);
            }
            Err(reason) => reasons.push(*reason),
        }
        minor = minor.next();
    }
    releases.push(target.clone());
    if reasons.is_empty() {
        Ok(releases)
    } else {
        Err(reasons)
    }
}

/// The newest minor that a control plane, or what kubeadm wrote down, has come to.
fn newest_control_plane(view: &View<'_>) -> Option<Minor> {
    let servers = view
        .control_planes()
        .flat_map(|(_, instance)| [&instance.running, &instance.manifests.api_server])
        .map(Version::minor)
        .max()?;
    Some(servers.max(view.config_release.minor()))
}

/// The oldest minor of whatever goes one minor at a time.
fn oldest(view: &View<'_>, target: &Version) -> Minor {
    let instances = view.control_planes().flat_map(|(_, instance)| {
        let manifests = &instance.manifests;
        [
            &instance.running,
            &manifests.api_server,
            &manifests.controller_manager,
            &manifests.scheduler,
        ]
    });
    let kubelets = view.hosts.iter().map(|host| &host.kubelet);
    instances
        .chain(kubelets)
        .chain([&view.config_release])
        .map(Version::minor)
        .min()
        .unwrap_or_else(|| target.minor())
}

/// Kubelets that kubeadm can no longer take along: `upgrade node` upgrades to the release in kubeadm-config, so no kubeadm of
/// a minor that the control planes have left can run any more (rule 8), and none of a later minor before it (rule 9).
fn left_behind(view: &View<'_>, upgrade: &Upgrade, newest: Minor) -> Vec<Reason> {
    let target = &upgrade.target;
    view.hosts
        .iter()
        .filter(|host| host.kubelet.minor() < target.minor())
        .filter_map(|host| {
            let comes_along = if skips(host.host.role, upgrade) {
                let jump = target.minor().ahead_of(host.kubelet.minor());
                jump <= WORKER_JUMP && newest.ahead_of(host.kubeadm.minor()) <= 1
            } else {
                newest.ahead_of(host.kubelet.minor()) <= 1
            };
            (!comes_along).then(|| Reason::KubeletTooFar {
                node: host.node.name.clone(),
                kubelet: host.kubelet.clone(),
                kubeadm: host.kubeadm.clone(),
                control_planes: newest,
                to: target.clone(),
                may_skip: skips(host.host.role, upgrade),
            })
        })
        .collect()
}

/// Whether kubelets of this role may skip minors.
#[must_use]
pub const fn skips(role: Role, upgrade: &Upgrade) -> bool {
    match role {
        Role::ControlPlane => false,
        Role::Worker => upgrade.workers.skip_level,
    }
}

/// The release at a minor passed through.
fn release_at(view: &View<'_>, upgrade: &Upgrade, minor: Minor) -> Result<Version, Box<Reason>> {
    if let Some(release) = upgrade.via.get(&minor) {
        return Ok(release.clone());
    }
    let begun = view
        .control_planes()
        .flat_map(|(_, instance)| [&instance.running, &instance.manifests.api_server])
        .filter(|release| release.minor() == minor)
        .max();
    if let Some(release) = begun {
        return Ok(release.clone());
    }
    let mut common: Option<BTreeSet<Version>> = None;
    for host in &view.hosts {
        let offered = offered(host, minor).map_err(|why| {
            Box::new(Reason::NoRelease {
                minor,
                host: Some(host.name().clone()),
                why,
            })
        })?;
        common = Some(match common {
            None => offered,
            Some(common) => &common & &offered,
        });
    }
    let newest = common.into_iter().flatten().max();
    newest.ok_or_else(|| {
        Box::new(Reason::NoRelease {
            minor,
            host: None,
            why: "no release is offered to every host".to_owned(),
        })
    })
}

/// The releases of a minor of which a host is offered all that an upgrade installs.
fn offered(host: &HostView<'_>, minor: Minor) -> Result<BTreeSet<Version>, String> {
    let offer = match host.offers.get(&minor) {
        Some(Observed::Known(offer)) => offer,
        Some(Observed::Unknown(error)) => return Err(error.clone()),
        None => return Err("the facts do not have it".to_owned()),
    };
    let of = |package: &str| -> BTreeSet<Version> {
        let revisions = offer.revisions.get(package).into_iter().flatten();
        revisions
            .filter_map(|revision| release_of_revision(revision))
            .filter(|release| release.minor() == minor && release.prerelease().is_empty())
            .collect()
    };
    Ok(&of("kubeadm") & &of("kubelet"))
}

/// What is newer than a release passed through, and would have to go back to it.
fn not_passable(view: &View<'_>, release: &Version, upgrade: &Upgrade) -> Vec<Reason> {
    let hop = Hop {
        release,
        last: false,
    };
    let needed = |on: &HostName| {
        let mut hosts = view.hosts.iter();
        let host = hosts.find(|host| host.name() == on);
        host.is_some_and(|host| work::on(host, hop, upgrade).through_kubeadm())
    };
    ahead_of(view, release)
        .into_iter()
        .filter(|ahead| match &ahead.tool {
            None => true,
            Some(Tool::Kubectl) => false,
            Some(Tool::Kubeadm(host)) => needed(host),
        })
        .map(|ahead| Reason::AheadOfHop {
            what: ahead.what,
            from: ahead.version,
            release: release.clone(),
        })
        .collect()
}

/// Phases that the declaration leaves out and the kubeadm of a hop cannot.
#[must_use]
pub fn phases(upgrade: &Upgrade, minor: Minor) -> Vec<Reason> {
    let phases = upgrade.kubeadm.skip_phases.iter();
    phases
        .filter_map(|phase| {
            let trouble = kubeadm_phases::can_be_left_out(phase, minor).err()?;
            Some(Reason::SkipPhase {
                phase: phase.clone(),
                minor,
                trouble,
            })
        })
        .collect()
}

/// What kubeadm would say on a hop, and rule 9 for the kubeadm to be installed. kubeadm asks whichever API server answers,
/// so it is judged for each.
#[must_use]
pub fn kubeadm(view: &View<'_>, release: &Version) -> Vec<Reason> {
    let kubelets: Vec<Version> = view
        .nodes
        .values()
        .map(|(_, kubelet)| kubelet.clone())
        .collect();
    let mut reasons: Vec<Reason> = Vec::new();
    let snapshot = view.snapshot();
    let servers = Extremes::of(&snapshot);
    for cluster in servers
        .iter()
        .flat_map(|servers| [servers.oldest(), servers.newest()])
    {
        let verdict = kubeadm_policy::judge(&Request {
            cluster,
            kubelets: &kubelets,
            kubeadm: release,
            new: release,
            allow_experimental: false,
            allow_rc: false,
        });
        let mandatory = verdict.mandatory.into_iter().map(|told| (told, false));
        let skippable = verdict.skippable.into_iter().map(|told| (told, true));
        for (objection, forceable) in mandatory.chain(skippable) {
            let reason = Reason::Kubeadm {
                objection,
                forceable,
            };
            if !reasons.contains(&reason) {
                reasons.push(reason);
            }
        }
    }
    // One that is ahead of a hop already stays where it is.
    for host in view.hosts.iter().filter(|host| host.kubeadm <= *release) {
        let step = Move {
            node: &host.node.name,
            from: &host.kubeadm,
            to: release,
        };
        reasons.extend(step.of_kubeadm().map(|violation| Reason::Skew {
            violation: Box::new(violation),
            when: super::reason::When::Now,
        }));
    }
    reasons
}
