//! The steps of one host that others share: its check, its packages, and its node's kubelet.

use std::collections::BTreeMap;

use super::data::{Action, StepId};
use super::draft::Draft;
use super::drains::Forecast;
use super::hooks;
use super::pace::{self, Pace};
use super::packages::Packages;
use super::preconditions::Room;
use super::view::HostView;
use super::work::Work;
use crate::documents::settings::{HookPoint, Upgrade};
use crate::host::op::PackageRevision;
use crate::rules::eviction::longest_s;
use crate::rules::skew::needs_drain;
use crate::rules::static_pods;
use crate::rules::version::Version;

/// A host that the plan touches.
#[derive(Debug)]
pub struct Touched<'v, 'a> {
    /// The host.
    pub host: &'v HostView<'a>,
    /// What is left to do there.
    pub work: Work,
    /// Its packages, if any are to be installed in this hop.
    pub packages: Option<Packages>,
    /// Packages that are to be held from now on until the plan's end.
    pub hold: Vec<String>,
    /// What its drain would do, if it is drained.
    pub drain: Option<Forecast>,
    /// The room it must have.
    pub room: Vec<Room>,
    /// The hop's taint for workers that are yet to be drained is put on it.
    pub tainted: bool,
}

/// Looks at the host before anything is changed anywhere.
pub fn check(draft: &mut Draft<'_>, on: &Touched<'_, '_>, after: &[&StepId]) -> StepId {
    let host = on.host;
    let disk_free: BTreeMap<String, u64> = on
        .room
        .iter()
        .map(|room| (room.directory.clone(), room.bytes))
        .collect();
    draft.step(
        host.name(),
        "check-host",
        Action::CheckHost {
            host: host.name().clone(),
            node: host.node.name.clone(),
            machine_id: host.identity.machine_id.clone(),
            disk_free,
            patches: None, // told once all of the host's steps are known
        },
        after,
        pace::LOOK,
        "the host must be the node that the plan means, idle, with room enough",
    )
}

/// Holds the packages that nobody holds yet. Returns the step, if there are any.
pub fn hold(draft: &mut Draft<'_>, on: &Touched<'_, '_>, snapshot: &StepId) -> Option<StepId> {
    if on.hold.is_empty() {
        return None;
    }
    let host = on.host.name();
    Some(draft.step(
        host,
        "hold-packages",
        Action::HoldPackages {
            host: host.clone(),
            manager: on.host.packages.manager,
            packages: on.hold.clone(),
        },
        &[snapshot],
        pace::HOLD,
        "nothing but this plan may change Kubernetes' packages until it is done",
    ))
}

/// Repository, downloads, kubeadm: everything that may run ahead, because nothing that serves changes. Returns the
/// last of these steps. Downloads begin after `first`, if there is such a step.
pub fn prepare(
    draft: &mut Draft<'_>,
    on: &Touched<'_, '_>,
    held: &StepId,
    first: Option<&StepId>,
    image_repository: &str,
) -> StepId {
    let last = match &on.packages {
        Some(packages) => prepare_packages(draft, on, packages, held, first),
        None => held.clone(),
    };
    if !on.work.instance {
        return last;
    }
    draft.step(
        on.host.name(),
        "pull-images",
        Action::PullImages {
            host: on.host.name().clone(),
            version: draft.target().clone(),
            image_repository: image_repository.to_owned(),
        },
        &[&last],
        pace::PULL_IMAGES,
        "pulled ahead, so that the static pods restart without waiting",
    )
}

fn prepare_packages(
    draft: &mut Draft<'_>,
    on: &Touched<'_, '_>,
    packages: &Packages,
    held: &StepId,
    first: Option<&StepId>,
) -> StepId {
    let mut last = held.clone();
    let host = on.host.name();
    let manager = packages.manager;
    if let Some(switch) = &packages.switch {
        last = draft.step(
            host,
            "switch-repository",
            Action::SwitchRepository {
                host: host.clone(),
                manager,
                minor: draft.minor(),
                file: switch.file.clone(),
                content: switch.content.clone(),
                key_file: switch.key_file.clone(),
                key: switch.key.clone(),
                key_sha256: switch.key_sha256.clone(),
            },
            &[&last],
            pace::SWITCH_REPOSITORY,
            "each minor has a repository of its own",
        );
    }
    let mut all = [&packages.kubeadm[..], &packages.kubelet[..]].concat();
    all.sort();
    last = draft.step(
        host,
        "prefetch-packages",
        Action::PrefetchPackages {
            host: host.clone(),
            manager,
            packages: all,
        },
        &[&last].into_iter().chain(first).collect::<Vec<_>>(),
        pace::PREFETCH,
        "downloaded ahead, so that no node waits for it while out of service; the others' beside the first control plane's upgrade",
    );
    if !packages.kubeadm.is_empty() {
        let because = if on.work.configure {
            "every minor's kubeadm must have been here before the kubelet skips that minor (rule 9); kubectl comes along (rule 5)"
        } else if on.work.kubeadm {
            "kubeadm goes first: it upgrades to its own release, and manages nodes one minor behind it (rule 8)"
        } else {
            "kubectl was left behind by an earlier upgrade (rule 5)"
        };
        last = draft.step(
            host,
            "install-kubeadm",
            Action::InstallKubeadm {
                host: host.clone(),
                manager,
                packages: packages.kubeadm.clone(),
            },
            &[&last],
            pace::INSTALL_KUBEADM,
            because,
        );
    }
    last
}

/// Cordon, drain, kubelet, ready, uncordon. Returns the last step, after which the next node may go.
///
/// A node that someone else cordoned is drained all the same, and stays cordoned. One that only an earlier run of ours left
/// cordoned is made schedulable again.
pub fn node(
    draft: &mut Draft<'_>,
    on: &Touched<'_, '_>,
    upgrade: &Upgrade,
    after: &[&StepId],
) -> StepId {
    let host = on.host;
    let node = &host.node.name;
    let target = draft.target().clone();
    let ours = !host.stays_cordoned();
    let mut last: Vec<StepId> = after.iter().map(|id| (*id).clone()).collect();
    let then = |last: &[StepId]| -> Vec<StepId> { last.to_vec() };
    if on.work.kubelet {
        let packages: &[PackageRevision] = on.packages.as_ref().map_or(&[], |all| &all.kubelet);
        if ours {
            let before = then(&last);
            last = vec![draft.step(
                host.name(),
                "cordon",
                Action::Cordon { node: node.clone() },
                &refs(&before),
                pace::CORDON,
                "no pod may start here from now on",
            )];
        }
        if on.drain.is_some() {
            let before = then(&last);
            let drained = draft.step(
                host.name(),
                "drain",
                Action::Drain {
                    node: node.clone(),
                    grace_period_s: upgrade.drain.grace_period.map(|grace| grace.as_secs()),
                    delete_empty_dir_data: upgrade.drain.delete_empty_dir_data,
                    evict_unmanaged_pods: super::preconditions::policy(upgrade)
                        .evict_unmanaged_pods,
                    rules: upgrade.drain.rules.clone(),
                    others_timeout_s: upgrade
                        .drain
                        .rules
                        .iter()
                        .any(|rule| rule.timeout_s.is_some())
                        .then_some(upgrade.drain.timeout.as_secs()),
                    deferral: None, // told once all of the hop's steps are known
                },
                &refs(&before),
                drain_pace(upgrade),
                because_drained(on, &target),
            );
            let point = HookPoint::Drained;
            last = vec![hooks::of_node(draft, upgrade, point, host, false, &drained)];
        }
        let before = then(&last);
        let installed = draft.step(
            host.name(),
            "install-kubelet",
            Action::InstallKubelet {
                host: host.name().clone(),
                manager: host.packages.manager,
                packages: packages.to_vec(),
            },
            &refs(&before),
            pace::INSTALL_KUBELET,
            "every API server is at the release by now, so no kubelet can meet an older one (rule 2)",
        );
        last = vec![installed];
    }
    let before = then(&last);
    let ready = draft.step(
        host.name(),
        "await-node",
        Action::AwaitNode {
            node: node.clone(),
            // A kubelet that skips this minor stays where it is.
            version: if on.work.kubelet {
                target
            } else {
                host.kubelet.clone()
            },
        },
        &refs(&before),
        pace::AWAIT_NODE,
        "the next node goes only once this one is ready",
    );
    let back = match &host.instance {
        None => ready,
        Some(instance) => draft.step(
            host.name(),
            "await-static-pods",
            Action::AwaitStaticPods {
                host: host.name().clone(),
                node: node.clone(),
                version: draft.target().clone(),
                steady_s: static_pods::SETTLED_S,
                lease: instance.leader_lease.clone(),
            },
            &[&ready],
            pace::AWAIT_STATIC_PODS,
            "a new kubelet restarts its static pods soon after it is ready; without a leader of kube-controller-manager, evicted pods stay in their Services",
        ),
    };
    let point = HookPoint::BeforeUncordon;
    let back = hooks::of_node(draft, upgrade, point, host, false, &back);
    if !ours {
        return back;
    }
    draft.step(
        host.name(),
        "uncordon",
        Action::Uncordon {
            node: node.clone(),
            outdated: on.tainted || host.left_tainted,
        },
        &[&back],
        pace::CORDON,
        "back in service",
    )
}

fn refs(ids: &[StepId]) -> Vec<&StepId> {
    ids.iter().collect()
}

/// As long as the declaration lets it take; a second try would only double it.
fn drain_pace(upgrade: &Upgrade) -> Pace {
    Pace {
        timeout_s: longest_s(upgrade.drain.timeout.as_secs(), &upgrade.drain.rules),
        expected_s: pace::DRAIN_EXPECTED_S,
        retries: 0,
    }
}

fn because_drained(on: &Touched<'_, '_>, target: &Version) -> &'static str {
    if needs_drain(&on.host.kubelet, target) {
        "a kubelet changes minor on an empty node only (rule 7)"
    } else {
        "a patch is installed as a minor is, on an empty node"
    }
}
