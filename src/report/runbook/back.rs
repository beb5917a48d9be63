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
pub(super) const SCRIPTS: [(&str, &str); 9] = [
    ("show", include_str!("scripts/show.sh")),
    ("save", include_str!("scripts/save.sh")),
    ("containers", include_str!("scripts/containers.sh")),
    ("files", include_str!("scripts/files.sh")),
    ("holds", include_str!("scripts/holds.sh")),
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
            | Action::TaintOutdated { .. }
            | Action::Cordon { .. }
            | Action::Drain { .. }
            | Action::AwaitNode { .. }
            | Action::AwaitStaticPods { .. }
            | Action::Uncordon { .. }
            | Action::ReleaseHolds { .. }
            | Action::Verify { .. }
            | Action::Soak { .. }
            | Action::Gate { .. }
            | Action::Hook { .. }
            | Action::WayBack { .. }
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
        "### Packages of a host\n\nA worker goes back alone, as long as its earlier kubelet is at most three minors behind the API servers: drain it, put its repository, its\n\
         packages and its kubelet's files back, uncordon it. A control plane's packages go back only together with the state of the cluster, below: an\n\
         older kubelet may stay with newer API servers, but an older kubeadm does not manage them.\n\n",
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
        let mut lines = vec![format!("sh {DIRECTORY}/files")];
        match manager {
            PackageManager::Apt => {
                let install = [
                    "apt-get",
                    "install",
                    "--yes",
                    "--allow-downgrades",
                    "--allow-change-held-packages",
                ];
                lines.push("apt-get update".to_owned());
                lines.push(command_line(install.into_iter().chain(packages)));
                lines.push(format!("sh {DIRECTORY}/holds"));
            }
            PackageManager::Dnf | PackageManager::Yum => {
                let tool = match manager {
                    PackageManager::Yum => "yum",
                    PackageManager::Dnf | PackageManager::Apt => "dnf",
                };
                let downgrade = [
                    tool,
                    "--disableplugin=versionlock",
                    "--disableexcludes=all",
                    "--assumeyes",
                    "downgrade",
                ];
                lines.push(format!("{tool} clean expire-cache"));
                lines.push(format!("{tool} makecache"));
                lines.push(command_line(downgrade.into_iter().chain(packages)));
            }
        }
        lines.push("systemctl restart kubelet.service".to_owned());
        let _ = write!(text, "{}\n```\n\n", lines.join("\n"));
    }
}

/// The state of the cluster, from the snapshot.
fn restore(text: &mut String, plan: &Plan, logins: &Logins) {
    // the configuration was saved before the first hop; what a later hop's API servers wrote is nothing for earlier ones to read
    let snapshot = plan.steps.iter().find_map(|step| {
        if let Action::SnapshotEtcd {
            file,
            directory,
            encrypt_to,
            ..
        } = &step.action
        {
            Some((file, directory, encrypt_to))
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
    let Some((file, directory, encrypt_to)) = snapshot else {
        return;
    };
    let kept = kept(plan, directory, &file.replace("{run}", RUN));
    let (open, kept) = if encrypt_to.is_empty() {
        (String::new(), format!(" < {}", quoted(&kept)))
    } else {
        let sealed = quoted(&format!("{kept}.age"));
        (format!("age -d -i IDENTITY {sealed} | "), String::new())
    };
    let file = file.replace("{run}", &format!("{RUN}-back"));
    text.push_str("### The cluster, from the snapshot\n\n");
    let each = |line: &dyn Fn(&str) -> String| -> Vec<String> {
        control_planes
            .iter()
            .map(|host| line(&login(logins, host)))
            .collect()
    };
    part(
        text,
        "Here: put the snapshot on every control plane, inside etcd's data directory. Another snapshot is as good if no later release had begun to write by then.",
        &each(&|login| {
            format!(
                "{open}{login} sh -c {}{kept}",
                // ssh takes one quoting away before the host's shell sees it
                quoted(&quoted(&format!("umask 077; cat > {}", quoted(&file))))
            )
        }),
    );
    let peers: Vec<String> = each(&|login| format!("{login} sh {DIRECTORY}/peer < /dev/null"));
    part(
        text,
        &format!(
            "Here: restore it on every control plane, beside the data in use. Nothing changes yet. First it shows the members of etcd: {} of them, with commas between.",
            control_planes.len()
        ),
        &[
            format!("members=$({{ {}; }} | paste -sd, -)", peers.join("; ")),
            "echo \"$members\"".to_owned(),
        ]
        .into_iter()
        .chain(each(&|login| {
            format!(
                "{login} sh {DIRECTORY}/restore {} \"$members\" < /dev/null",
                quoted(&file)
            )
        }))
        .collect::<Vec<_>>(),
    );
    part(
        text,
        "Here: stop the control plane on every host. From now on the API does not answer; workloads go on.",
        &each(&|login| format!("{login} sh {DIRECTORY}/stop < /dev/null")),
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
    part(
        text,
        "Here: put the restored data and the saved configuration in place, and start every control plane as it was before.",
        &each(&|login| format!("{login} sh {DIRECTORY}/back < /dev/null")),
    );
    part(
        text,
        "Here: look, until the API answers and every control plane is ready again.",
        &[
            "kubectl get --raw '/readyz?verbose'".to_owned(),
            "kubectl get nodes".to_owned(),
            "kubectl -n kube-system get pods -o wide".to_owned(),
        ],
    );
    text.push_str(
        "- [ ] On every worker whose kubelet is newer than the API servers are now: put its packages back, as above.\n\
         - [ ] On every other host: `systemctl restart kubelet.service`, so that no kubelet goes on with what it has seen since the snapshot.\n",
    );
}

/// Something to tick, with its commands.
fn part(text: &mut String, words: &str, lines: &[String]) {
    let _ = write!(text, "- [ ] {words}\n\n```sh\n");
    for line in lines {
        let _ = writeln!(text, "{line}");
    }
    text.push_str("```\n\n");
}
