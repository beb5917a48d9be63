//! Each action as a person does it.

mod own;

use self::own::{asked, hook};
use super::RUN;
use super::shell::{command_line, quoted};
use crate::cluster::facts::PackageManager;
use crate::cluster::model::{HostName, NodeName, OUTDATED};
use crate::host::op::{Command, Mutation, PackageRevision, Query, archive_of};
use crate::host::way_back::Change;
use crate::plan::data::{Action, Condition, NoData, Plan, Step};
use crate::plan::way_back::Part;
use crate::report::step::duration;
use crate::report::words::any_of;
use crate::rules::version::Version;

/// One thing to do or to see.
pub(super) enum Do<'p> {
    /// As root on a host.
    OnHost(&'p HostName, Vec<Command>),
    /// The same, by a command of the user's own.
    OwnOnHost(&'p HostName, String),
    /// As root on a host, changing nothing.
    LookAt(&'p HostName, Vec<Query>),
    /// Where `kubectl` and `ssh` are.
    Here(Vec<String>),
    /// There, with `{login}` for how a host is reached.
    HereFrom(&'p HostName, String),
    /// What must be seen.
    See(String),
}

fn kubectl(words: &[&str]) -> String {
    command_line(std::iter::once("kubectl").chain(words.iter().copied()))
}

/// A drain by rules, which `kubectl drain` does not know: it would evict what is to stay.
fn by_rules<'p>(
    node: &NodeName,
    rules: impl Iterator<Item = String>,
    grace_period_s: Option<u64>,
    refused: &[&str],
) -> Vec<Do<'p>> {
    let rules: Vec<String> = rules
        .zip(1..)
        .map(|(rule, at)| format!("({at}) {rule}"))
        .collect();
    let grace = grace_period_s.map_or_else(String::new, |seconds| {
        format!(",\"deleteOptions\":{{\"gracePeriodSeconds\":{seconds}}}")
    });
    let stop = if refused.is_empty() {
        String::new()
    } else {
        format!(". Stop where {}", refused.join(" or "))
    };
    vec![
        Do::Here(vec![on_node(node, &["--all-namespaces", "--show-labels"])]),
        Do::See(format!(
            "which pods each rule is about; the first that matches counts, and pods of DaemonSets and static pods stay: {}. Pods of a lower order are gone before the next are asked to go, without a rule it is 0{stop}",
            rules.join("; ")
        )),
        Do::Here(vec![
            "NAMESPACE= POD= # each pod that is to go, in that order".to_owned(),
            format!("printf '{{\"apiVersion\":\"policy/v1\",\"kind\":\"Eviction\",\"metadata\":{{\"namespace\":\"%s\",\"name\":\"%s\"}}{grace}}}' \"$NAMESPACE\" \"$POD\" | kubectl create --raw \"/api/v1/namespaces/$NAMESPACE/pods/$POD/eviction\" -f -"),
            on_node(node, &["--all-namespaces"]),
        ]),
        Do::See(
            "only pods of DaemonSets, static pods and what a rule lets stay; where an eviction is refused with 429, a budget does not allow it yet: ask again later".to_owned(),
        ),
    ]
}

/// What a step takes.
pub(super) fn by_hand<'p>(plan: &Plan, step: &'p Step) -> Vec<Do<'p>> {
    if let Action::Hook { .. } = step.action {
        return hook(&step.action);
    }
    if let Some((host, mutation)) = step.action.operation() {
        let mut lines = vec![Do::OnHost(host, vec![mutation.command()])];
        if let Some(probe) = mutation.probe() {
            lines.push(Do::LookAt(host, vec![probe]));
        }
        lines.extend(seen(&mutation).map(Do::See));
        return lines;
    }
    let timeout = format!("--timeout={}s", step.timeout_s);
    match &step.action {
        Action::CheckHost {
            host,
            machine_id,
            disk_free,
            patches,
            ..
        } => {
            let room: Vec<String> = disk_free
                .iter()
                .map(|(directory, bytes)| format!("{directory} {bytes}"))
                .collect();
            let mut look = vec![Query::Basics];
            let mut see = format!(
                "uid 0, machine-id {machine_id}, no operation, and under disk at least these bytes: {}",
                room.join(", ")
            );
            if let Some(path) = patches {
                look.push(Query::Directory { path: path.clone() });
                see.push_str(&format!("; exit status 0, for {path} is there"));
            }
            vec![Do::LookAt(host, look), Do::See(see)]
        }
        Action::CheckCluster {
            cluster_uid,
            host,
            nodes,
        } => vec![
            Do::Here(vec![
                kubectl(&["get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}"]),
                kubectl(&["get", "--raw", "/readyz"]),
                kubectl(&["get", "nodes"]),
            ]),
            Do::LookAt(host, vec![Query::Etcd]),
            Do::See(format!(
                "uid {cluster_uid}; ok; {} node(s) of the plan, all Ready; every member of etcd healthy, none a learner, no alarm",
                nodes.len()
            )),
        ],
        Action::SnapshotEtcd {
            host,
            file,
            directory,
            keep,
            trial_restore,
            encrypt_to,
        } => {
            let kept = Kept {
                directory,
                keep: *keep,
                encrypt_to,
            };
            snapshot(plan, host, file, &kept, *trial_restore)
        }
        Action::AwaitControlPlane {
            host,
            node,
            version,
        } => instance(host, node, version),
        Action::AwaitStaticPods {
            host,
            node,
            version,
            steady_s,
            lease,
        } => {
            let mut todo = instance(host, node, version);
            if let Some((namespace, name)) = lease.as_deref().and_then(|name| name.split_once('/')) {
                let renewals = "jsonpath={.spec.holderIdentity} {.spec.renewTime}{\"\\n\"}";
                let lease = ["get", "lease", "-n", namespace, name, "--watch", "-o", renewals];
                todo.push(Do::Here(vec![kubectl(&lease)]));
            }
            todo.push(Do::See(format!(
                "all of this for {steady_s} s without a break: the new kubelet may restart the static pods meanwhile, and then the \
                 {steady_s} s begin anew{}",
                if lease.is_some() {
                    "; the lease renewed every few seconds by one and the same holder (Ctrl-C ends the watch)"
                } else {
                    ""
                }
            )));
            todo
        }
        Action::AwaitAddons { kube_proxy } => addons(kube_proxy.as_ref(), &timeout),
        Action::Cordon { node } => vec![
            Do::Here(vec![kubectl(&["get", "node", node.as_str()])]),
            Do::See(
                "not SchedulingDisabled; where someone else has cordoned it meanwhile, leave out its `uncordon` as well"
                    .to_owned(),
            ),
            Do::Here(vec![kubectl(&["cordon", node.as_str()])]),
        ],
        Action::Drain {
            node,
            grace_period_s,
            delete_empty_dir_data,
            evict_unmanaged_pods,
            rules,
            others_timeout_s: _,
            deferral: _,
        } => {
            if !rules.is_empty() {
                let mut refused = Vec::new();
                if !evict_unmanaged_pods {
                    refused.push("a pod without a controller is to go");
                }
                if !delete_empty_dir_data {
                    refused.push("one with emptyDir data is, and no rule lets that go");
                }
                let rules = rules.iter().map(ToString::to_string);
                return by_rules(node, rules, *grace_period_s, &refused);
            }
            let mut words = vec!["drain", node.as_str(), "--ignore-daemonsets"];
            if *delete_empty_dir_data {
                words.push("--delete-emptydir-data");
            }
            if *evict_unmanaged_pods {
                words.push("--force");
            }
            let grace = grace_period_s.map(|seconds| format!("--grace-period={seconds}"));
            words.extend(grace.as_deref());
            words.push(&timeout);
            vec![
                Do::Here(vec![
                    kubectl(&words),
                    on_node(node, &["--all-namespaces"]),
                ]),
                Do::See("only pods of DaemonSets and static pods left".to_owned()),
            ]
        }
        Action::AwaitNode { node, version } => vec![
            Do::Here(vec![
                kubectl(&[
                    "wait",
                    "--for=condition=Ready",
                    &format!("node/{node}"),
                    &timeout,
                ]),
                kubectl(&[
                    "get",
                    "node",
                    node.as_str(),
                    "-o",
                    "jsonpath={.status.nodeInfo.kubeletVersion}",
                ]),
            ]),
            Do::See(version.tag()),
        ],
        Action::TaintOutdated { nodes } => vec![Do::Here(
            nodes
                .iter()
                .map(|node| kubectl(&["taint", "node", node.as_str(), OUTDATED, "--overwrite"]))
                .collect(),
        )],
        Action::Uncordon { node, outdated } => {
            let off = format!("{OUTDATED}-");
            let off = outdated.then(|| kubectl(&["taint", "node", node.as_str(), &off]));
            let uncordon = kubectl(&["uncordon", node.as_str()]);
            vec![Do::Here(off.into_iter().chain([uncordon]).collect())]
        }
        Action::Verify {
            version,
            control_planes,
            nodes,
            cordoned,
            kube_proxy,
        } => {
            let mut lines: Vec<Do<'_>> = control_planes
                .keys()
                .map(|host| Do::LookAt(host, vec![Query::ApiServerVersion, Query::Etcd]))
                .collect();
            lines.push(Do::Here(vec![
                kubectl(&["get", "nodes", "-o", "wide"]),
                kubectl(&["-n", "kube-system", "get", "pods", "-o", "wide"]),
            ]));
            let kept: Vec<&str> = cordoned.iter().map(NodeName::as_str).collect();
            let kept = if kept.is_empty() {
                "none of them SchedulingDisabled".to_owned()
            } else {
                format!("SchedulingDisabled only {}", kept.join(", "))
            };
            let proxy = kube_proxy
                .as_ref()
                .map(|release| format!(" at {}", release.tag()))
                .unwrap_or_default();
            lines.push(Do::See(format!(
                "every API server at {}; etcd whole; {} node(s) Ready at {}, {kept}; CoreDNS Running, kube-proxy Running{proxy}",
                version.tag(),
                nodes.len(),
                version.tag()
            )));
            lines
        }
        Action::Soak { for_s, nodes } => {
            let mut words = vec!["get", "nodes"];
            words.extend(nodes.iter().map(NodeName::as_str));
            vec![
                Do::See(format!(
                    "{} have passed since the steps before",
                    duration(*for_s)
                )),
                Do::Here(vec![kubectl(&words)]),
                Do::See("all Ready, now and all the while".to_owned()),
            ]
        }
        Action::Gate { gate } => match &gate.condition {
            Condition::Approval { by, expires_s } => vec![Do::See(format!(
                "{} has said that it may go on, not longer than {} ago",
                any_of(by),
                duration(*expires_s)
            ))],
            Condition::Prometheus {
                server,
                query,
                expect,
                no_data,
                for_s,
                ..
            } => {
                let on = match for_s {
                    0 => String::new(),
                    seconds => format!("; asked again and again, so for {}", duration(*seconds)),
                };
                let none = match no_data {
                    NoData::Fail => "not one without any",
                    NoData::Pass => "or one without any",
                };
                vec![
                    Do::Here(vec![asked(server, query)]),
                    Do::See(format!(
                        "`\"status\":\"success\"` without `warnings`, and every value (the text that comes after a time) {expect} and \
                         no NaN; {none}{on}"
                    )),
                ]
            }
            Condition::Command {
                run,
                directory,
                for_s,
                ..
            } => {
                let words = command_line(run.iter().map(String::as_str));
                let on = match for_s {
                    0 => String::new(),
                    seconds => format!(", and again and again for {}", duration(*seconds)),
                };
                vec![
                    Do::Here(vec![format!("(cd {} && {words})", quoted(directory))]),
                    Do::See(format!("exit status 0{on}")),
                ]
            }
        },
        Action::WayBack { host, part } => way_back(host, part),
        Action::HoldPackages { .. }
        | Action::SwitchRepository { .. }
        | Action::PrefetchPackages { .. }
        | Action::InstallKubeadm { .. }
        | Action::PullImages { .. }
        | Action::KubeadmApply { .. }
        | Action::KubeadmNode { .. }
        | Action::InstallKubelet { .. }
        | Action::ReleaseHolds { .. }
        | Action::Hook { .. }
        | Action::Barrier { .. } => Vec::new(),
    }
}

/// A part of the way back.
fn way_back<'p>(host: &'p HostName, part: &Part) -> Vec<Do<'p>> {
    match part {
        Part::Check(check) => vec![
            Do::LookAt(
                host,
                vec![Query::WayBack(check.at.of_run(RUN)), Query::Manifests],
            ),
            Do::See(format!(
                "authority {}; under free at least {} bytes; a member of etcd that runs as {} with peer URL {} and data in {}",
                check.authority_sha256,
                check.free,
                check.member.name,
                check.member.peer_url,
                check.at.data
            )),
        ],
        Part::Send(send) => {
            let at = send.at.of_run(RUN);
            let (open, from) = match &send.identity {
                Some(identity) => (
                    format!("age -d -i {} {} | ", quoted(identity), quoted(&send.from)),
                    String::new(),
                ),
                None => (String::new(), format!(" < {}", quoted(&send.from))),
            };
            // ssh takes one quoting away before the host's shell sees it
            let put = quoted(&quoted(&format!(
                "umask 077; cat > {}",
                quoted(&at.snapshot)
            )));
            vec![
                Do::HereFrom(host, format!("{open}{{login}} sh -c {put}{from}")),
                Do::LookAt(host, vec![Query::WayBack(at)]),
                Do::See(format!("snapshot {}", send.sha256)),
            ]
        }
        Part::PutBack(back) => vec![
            Do::OnHost(host, vec![Mutation::PutBack(back.clone()).command()]),
            Do::LookAt(host, vec![Query::KubeadmBackups]),
            Do::See("the same digests under kept and under there".to_owned()),
        ],
        Part::Change(change) => {
            let change = change.of_run(RUN);
            let look = Query::WayBack(change.places().clone());
            let see = match &change {
                Change::Restore { sha256, .. } => format!("restored {sha256}"),
                Change::Stop { .. } => {
                    "nothing under manifests, and nothing under running".to_owned()
                }
                Change::Replace { .. } => {
                    "nothing under restored, member yes, before yes".to_owned()
                }
                Change::Start { .. } => "all four under manifests, nothing under aside".to_owned(),
            };
            vec![
                Do::OnHost(host, vec![Mutation::WayBack(change).command()]),
                Do::LookAt(host, vec![look]),
                Do::See(see),
            ]
        }
    }
}

/// How a control plane's instance is looked at.
fn instance<'s>(host: &'s HostName, node: &NodeName, version: &Version) -> Vec<Do<'s>> {
    vec![
        Do::LookAt(
            host,
            vec![
                Query::ApiServerReady,
                Query::ApiServerVersion,
                Query::Manifests,
                Query::Etcd,
            ],
        ),
        Do::Here(vec![
            kubectl(&["get", "--raw", "/readyz"]),
            on_node(node, &["-n", "kube-system", "-o", "wide"]),
        ]),
        Do::See(format!(
            "readyz without a failed check; gitVersion {}; images of the API server, the controller manager and the scheduler at {}, \
             their pods Running and ready; every member of etcd healthy, none a learner, no alarm",
            version.tag(),
            version.tag()
        )),
    ]
}

fn on_node(node: &NodeName, more: &[&str]) -> String {
    let selector = format!("spec.nodeName={node}");
    let mut words = vec!["get", "pods", "--field-selector", selector.as_str()];
    words.extend(more);
    kubectl(&words)
}

fn addons<'p>(kube_proxy: Option<&Version>, timeout: &str) -> Vec<Do<'p>> {
    let rollout = |what: &str| kubectl(&["-n", "kube-system", "rollout", "status", what, timeout]);
    let mut lines = vec![rollout("deployment/coredns")];
    let Some(version) = kube_proxy else {
        return vec![Do::Here(lines)];
    };
    lines.push(rollout("daemonset/kube-proxy"));
    lines.push(kubectl(&[
        "-n",
        "kube-system",
        "get",
        "daemonset/kube-proxy",
        "-o",
        "jsonpath={.spec.template.spec.containers[0].image}",
    ]));
    vec![
        Do::Here(lines),
        Do::See(format!("an image that ends with {}", version.tag())),
    ]
}

/// How snapshots are kept here.
struct Kept<'p> {
    directory: &'p str,
    keep: u32,
    encrypt_to: &'p [String],
}

fn snapshot<'p>(
    plan: &Plan,
    host: &'p HostName,
    file: &str,
    here: &Kept<'_>,
    trial_restore: bool,
) -> Vec<Do<'p>> {
    let Kept {
        directory,
        keep,
        encrypt_to,
    } = *here;
    let file = file.replace("{run}", RUN);
    let archive = archive_of(&file);
    let (age, sealed) = if encrypt_to.is_empty() {
        (String::new(), "")
    } else {
        let to: Vec<String> = encrypt_to
            .iter()
            .map(|recipient| format!(" -r {}", quoted(recipient)))
            .collect();
        (format!(" | age{}", to.concat()), ".age")
    };
    let bring = |from: &str| {
        let kept = format!("{}{sealed}", kept(plan, directory, from));
        format!(
            "{{login}} cat {} < /dev/null{age} > {}",
            quoted(from),
            quoted(&kept)
        )
    };
    let look = if encrypt_to.is_empty() {
        let both = [&file, &archive].map(|from| quoted(&kept(plan, directory, from)));
        format!("\nsha256sum {}", both.join(" "))
    } else {
        String::new()
    };
    let see = if encrypt_to.is_empty() {
        format!("the same SHA-256 on {host} and here. ")
    } else {
        String::new()
    };
    let save = Mutation::SaveSnapshot {
        file: file.clone(),
        trial_restore,
    };
    let remove = Mutation::RemoveSnapshot { file: file.clone() };
    vec![
        Do::OnHost(host, vec![save.command()]),
        Do::LookAt(host, vec![Query::Snapshot { file: file.clone() }]),
        Do::HereFrom(
            host,
            format!(
                "(umask 077; mkdir -p {}; {}; {}){look}",
                quoted(directory),
                bring(&file),
                bring(&archive),
            ),
        ),
        Do::See(format!(
            "{see}The snapshot holds every Secret of the cluster, and the archive its keys; keep {keep} of them"
        )),
        Do::OnHost(host, vec![remove.command()]),
    ]
}

/// Where a snapshot is kept here: one for each hop, as on the host.
pub(super) fn kept(plan: &Plan, directory: &str, file: &str) -> String {
    let name = file.rsplit_once('/').map_or(file, |(_, name)| name);
    let name = name.strip_prefix("refit-").unwrap_or(name);
    format!("{directory}/{}-{name}", plan.inventory)
}

fn revisions(packages: &[PackageRevision]) -> String {
    packages
        .iter()
        .map(|package| format!("{} {}", package.name, package.revision))
        .collect::<Vec<_>>()
        .join(", ")
}

/// What the look after a change must show.
fn seen(mutation: &Mutation) -> Option<String> {
    match mutation {
        Mutation::HoldPackages { packages, .. } => Some(format!("held: {}", packages.join(", "))),
        Mutation::ReleaseHolds { packages, .. } => {
            Some(format!("not held any more: {}", packages.join(", ")))
        }
        Mutation::SwitchRepository {
            manager,
            key_sha256,
            content,
            ..
        } => {
            let lists = match manager {
                PackageManager::Apt => "; lists fetched",
                PackageManager::Dnf | PackageManager::Yum => "",
            };
            Some(format!(
                "file with SHA-256 {}, key with SHA-256 {key_sha256}{lists}",
                crate::host::judge::sha256(content.as_bytes())
            ))
        }
        Mutation::PrefetchPackages { .. } => Some("missing: 0".to_owned()),
        Mutation::InstallPackages { packages, .. } => {
            Some(format!("installed and held: {}", revisions(packages)))
        }
        Mutation::InstallKubelet { packages, .. } => Some(format!(
            "installed and held: {}; the kubelet that runs is the installed one",
            revisions(packages)
        )),
        Mutation::PullImages { .. } => Some("every image there".to_owned()),
        Mutation::KubeadmApply { version, .. } => {
            Some(format!("manifests with images of {}", version.tag()))
        }
        Mutation::KubeadmNode { .. }
        | Mutation::Hook { .. }
        | Mutation::SaveSnapshot { .. }
        | Mutation::RemoveSnapshot { .. }
        | Mutation::RemoveLeftSnapshots { .. }
        | Mutation::WayBack(_)
        | Mutation::PutBack(_) => None,
    }
}
