//! The way back, as far as there is one: packages and configuration of a host; the state of the whole cluster from the
//! snapshot.
//!
//! Sources: <https://kubernetes.io/docs/tasks/administer-cluster/configure-upgrade-etcd/#restoring-an-etcd-cluster> (all API
//! servers stop, every member is restored from the same snapshot, everything starts again);
//! <https://etcd.io/docs/v3.6/op-guide/recovery/> (one data directory a member, all with the same initial cluster).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::by_hand::kept;
use super::shell::{command_line, quoted};
use super::{DIRECTORY, Logins, RUN, login};
use crate::cluster::facts::PackageManager;
use crate::cluster::model::HostName;
use crate::plan::data::{Action, Plan};
use crate::report::markdown::text::{code, prose};

/// The runbook's own scripts.
pub(super) const SCRIPTS: [(&str, &str); 6] = [
    ("show", include_str!("scripts/show.sh")),
    ("save", include_str!("scripts/save.sh")),
    ("stop", include_str!("scripts/stop.sh")),
    ("peer", include_str!("scripts/peer.sh")),
    ("restore", include_str!("scripts/restore.sh")),
    ("back", include_str!("scripts/back.sh")),
];

/// The chapter.
pub(super) fn way_back(plan: &Plan, logins: &Logins) -> String {
    let mut text = "## The way back\n\n".to_owned();
    text.push_str(
        "A step that failed is repeated once its cause is gone; that is nearly always the way. Kubernetes knows no downgrade: a control\n\
         plane goes back only with the state that etcd had before, and **what was written since the snapshot is lost**.\n\n",
    );
    packages(&mut text, plan);
    restore(&mut text, plan, logins);
    text
}

/// What installs packages on each host, and how its kubelet is taken back.
fn packages(text: &mut String, plan: &Plan) {
    let mut managers: BTreeMap<&HostName, PackageManager> = BTreeMap::new();
    let mut changed: BTreeMap<&HostName, Vec<String>> = BTreeMap::new();
    for step in &plan.steps {
        let (host, manager, packages) = match &step.action {
            Action::InstallKubeadm {
                host,
                manager,
                packages,
            }
            | Action::InstallKubelet {
                host,
                manager,
                packages,
            } => (host, *manager, packages),
            Action::CheckHost { .. }
            | Action::CheckCluster { .. }
            | Action::SnapshotEtcd { .. }
            | Action::HoldPackages { .. }
            | Action::SwitchRepository { .. }
            | Action::PrefetchPackages { .. }
            | Action::PullImages { .. }
            | Action::KubeadmApply { .. }
            | Action::KubeadmNode { .. }
            | Action::AwaitControlPlane { .. }
            | Action::AwaitAddons { .. }
            | Action::Cordon { .. }
            | Action::Drain { .. }
            | Action::AwaitNode { .. }
            | Action::AwaitStaticPods { .. }
            | Action::Uncordon { .. }
            | Action::ReleaseHolds { .. }
            | Action::Verify { .. }
            | Action::Soak { .. }
            | Action::Gate { .. }
            | Action::Barrier { .. } => continue,
        };
        managers.insert(host, manager);
        let earlier = changed.entry(host).or_default();
        for package in packages {
            let key = format!("host/{host}/package/{}", package.name);
            if let Some(revision) = plan.basis.get(&key) {
                let exact = match manager {
                    PackageManager::Apt => format!("{}={revision}", package.name),
                    PackageManager::Dnf | PackageManager::Yum => {
                        format!("{}-{revision}", package.name)
                    }
                };
                if !earlier.contains(&exact) {
                    earlier.push(exact);
                }
            }
        }
    }
    if changed.values().all(Vec::is_empty) {
        return;
    }
    text.push_str(
        "### Packages of a host\n\nA worker goes back alone: drain it, put its repository and its packages back, uncordon it. A control plane's packages go back only together\n\
         with the state of the cluster, below: an older kubelet may stay with newer API servers, but an older kubeadm does not manage them.\n\n",
    );
    // hosts with the same packages have the same commands
    let mut alike: BTreeMap<(PackageManager, Vec<String>), Vec<&str>> = BTreeMap::new();
    for (host, packages) in changed {
        if let (Some(manager), false) = (managers.get(host), packages.is_empty()) {
            let mut packages = packages;
            packages.sort();
            alike
                .entry((*manager, packages))
                .or_default()
                .push(host.as_str());
        }
    }
    for ((manager, packages), hosts) in alike {
        let hosts: Vec<String> = hosts.into_iter().map(code).collect();
        let _ = write!(text, "On {}:\n\n```sh\n", hosts.join(", "));
        let packages = packages.iter().map(String::as_str);
        let (files, install) = match manager {
            PackageManager::Apt => (
                [
                    format!(
                        "cp -a {DIRECTORY}/before/etc/apt/sources.list.d/. /etc/apt/sources.list.d/"
                    ),
                    format!(
                        "if [ -e {DIRECTORY}/before/etc/apt/keyrings ]; then cp -a {DIRECTORY}/before/etc/apt/keyrings/. /etc/apt/keyrings/; fi"
                    ),
                    "apt-get update".to_owned(),
                ],
                command_line(
                    [
                        "apt-get",
                        "install",
                        "--allow-downgrades",
                        "--allow-change-held-packages",
                    ]
                    .into_iter()
                    .chain(packages),
                ),
            ),
            PackageManager::Dnf | PackageManager::Yum => {
                let tool = match manager {
                    PackageManager::Yum => "yum",
                    PackageManager::Dnf | PackageManager::Apt => "dnf",
                };
                (
                    [
                        format!("cp -a {DIRECTORY}/before/etc/yum.repos.d/. /etc/yum.repos.d/"),
                        format!("{tool} clean expire-cache"),
                        format!("{tool} makecache"),
                    ],
                    command_line(
                        [
                            tool,
                            "--disableplugin=versionlock",
                            "--disableexcludes=all",
                            "downgrade",
                        ]
                        .into_iter()
                        .chain(packages),
                    ),
                )
            }
        };
        for line in files {
            let _ = writeln!(text, "{line}");
        }
        let _ = write!(
            text,
            "{install}\nsystemctl restart kubelet.service\n```\n\n"
        );
    }
}

/// The state of the cluster, from the snapshot.
fn restore(text: &mut String, plan: &Plan, logins: &Logins) {
    // the last one that was taken loses least; the newest in a plan of several hops is that of its last hop
    let snapshot = plan.steps.iter().rev().find_map(|step| {
        if let Action::SnapshotEtcd {
            file, directory, ..
        } = &step.action
        {
            Some((file, directory))
        } else {
            None
        }
    });
    let control_planes: Vec<&HostName> = plan
        .steps
        .iter()
        .rev()
        .find_map(|step| {
            if let Action::Verify { control_planes, .. } = &step.action {
                Some(control_planes.keys().collect())
            } else {
                None
            }
        })
        .unwrap_or_default();
    let Some((file, directory)) = snapshot else {
        return;
    };
    let kept = kept(plan, directory, &file.replace("{run}", RUN));
    let file = file.replace("{run}", &format!("{RUN}-back"));
    text.push_str("### The cluster, from the snapshot\n\n");
    let mut part = |words: &str, lines: &[String]| {
        let _ = write!(text, "- [ ] {words}\n\n```sh\n");
        for line in lines {
            let _ = writeln!(text, "{line}");
        }
        text.push_str("```\n\n");
    };
    let each = |line: &dyn Fn(&str) -> String| -> Vec<String> {
        control_planes
            .iter()
            .map(|host| line(&login(logins, host)))
            .collect()
    };
    part(
        "Here: put the snapshot on every control plane, inside etcd's data directory. Another run's snapshot is as good.",
        &each(&|login| {
            format!(
                "{login} sh -c {} < {}",
                // ssh takes one quoting away before the host's shell sees it
                quoted(&quoted(&format!("umask 077; cat > {}", quoted(&file)))),
                quoted(&kept)
            )
        }),
    );
    part(
        "Here: the members of etcd. Each line is one member; write them into `members` with commas between.",
        &each(&|login| format!("{login} sh {DIRECTORY}/peer")),
    );
    part(
        "Here: restore it on every control plane, beside the data in use. Nothing changes yet.",
        &std::iter::once("members='NAME=PEER_URL,NAME=PEER_URL,NAME=PEER_URL'".to_owned())
            .chain(each(&|login| {
                format!(
                    "{login} sh {DIRECTORY}/restore {} \"$members\"",
                    quoted(&file)
                )
            }))
            .collect::<Vec<_>>(),
    );
    part(
        "Here: stop the control plane on every host. From now on the API does not answer; workloads go on.",
        &each(&|login| format!("{login} sh {DIRECTORY}/stop")),
    );
    let _ = write!(
        text,
        "- [ ] On every control plane: put its packages back, as above ({}).\n\n",
        prose(
            &control_planes
                .iter()
                .map(|host| host.as_str())
                .collect::<Vec<_>>()
                .join(", ")
        )
    );
    let mut part = |words: &str, lines: &[String]| {
        let _ = write!(text, "- [ ] {words}\n\n```sh\n");
        for line in lines {
            let _ = writeln!(text, "{line}");
        }
        text.push_str("```\n\n");
    };
    part(
        "Here: put the restored data and the saved configuration in place, and start every control plane as it was before.",
        &each(&|login| format!("{login} sh {DIRECTORY}/back")),
    );
    part(
        "Here: look. Then restart every other kubelet, so that none goes on with what it has seen since the snapshot.",
        &[
            "kubectl get --raw '/readyz?verbose'".to_owned(),
            "kubectl get nodes".to_owned(),
            "kubectl -n kube-system get pods -o wide".to_owned(),
        ],
    );
}
