//! The facts as evidence for `rules::hazards`.

use std::collections::{BTreeMap, BTreeSet};

use crate::cluster::facts::{CgroupMode, ControlPlaneFacts, Facts, HostFacts, Observed};
use crate::cluster::model::admission::{Backend, Endpoints, Webhook};
use crate::cluster::model::{HostName, NodeName, Pod};
use crate::documents::settings::Upgrade;
use crate::plan::view::{HostView, View};
use crate::plan::{nodes, preconditions};
use crate::rules::eviction::{self, Fate};
use crate::rules::hazards::evidence::{
    Behind, Config, ControlPlane, Etcd, Evidence, Hook, Host, KubeletConfig, Member, Patch, Seen,
    Told,
};

/// Why facts that were observed with other patches do not count.
const OTHER_PATCHES: &str = "the facts were observed with another `kubeadm.patches`: run `refit inspect` again with this upgrade";

fn seen<T>(observed: &Observed<T>) -> Seen<'_, &T> {
    match observed {
        Observed::Known(known) => Ok(known),
        Observed::Unknown(error) => Err(error),
    }
}

pub(super) fn evidence<'a>(
    view: &'a View<'a>,
    touched: &BTreeSet<&HostName>,
    upgrade: &'a Upgrade,
    facts: &'a Facts,
) -> Evidence<'a> {
    let config = view.kubeadm_config;
    Evidence {
        at: facts.observed_at,
        etcd: view.etcd.map(|etcd| Etcd {
            members: etcd
                .members
                .iter()
                .map(|member| Member {
                    name: &member.name,
                    release: member.version.as_deref(),
                    learner: member.learner,
                })
                .collect(),
            alarms: &etcd.alarms,
        }),
        external_etcd: config.external_etcd.then(|| match &facts.external_etcd {
            Some(Observed::Known(releases)) => Ok(releases
                .iter()
                .map(|(endpoint, release)| (endpoint.as_str(), seen(release).map(String::as_str)))
                .collect()),
            Some(Observed::Unknown(error)) => Err(error.as_str()),
            None => {
                Err("the facts do not have it: run `refit inspect` again, with this build of refit")
            }
        }),
        hosts: view
            .hosts
            .iter()
            .filter(|host| touched.contains(host.name()))
            .filter_map(|host| {
                let known = facts.hosts.get(host.name())?.known()?;
                Some(of_host(host, known, upgrade))
            })
            .collect(),
        config: Config {
            extra_args: config.extra_args.as_ref(),
            feature_gates: gates(&config.feature_gates),
            etcd_image: config.custom_etcd_image.as_deref(),
            dns_image: config.custom_dns_image.as_deref(),
            proxy_disabled: config.proxy_disabled,
        },
        kubelet: seen(&facts.cluster.kubelet_settings).map(|settings| KubeletConfig {
            fail_cgroup_v1: settings.fail_cgroup_v1,
            feature_gates: gates(&settings.feature_gates),
        }),
        webhooks: seen(&facts.cluster.surroundings.webhooks)
            .map(|webhooks| hooks(webhooks, view, touched, upgrade)),
        storage: seen(&facts.cluster.surroundings.storage),
        corefile_plugins: seen(&facts.cluster.surroundings.corefile_plugins),
        dns_image: view
            .workloads
            .iter()
            .find(|workload| workload.is("Deployment", "kube-system", "coredns"))
            .and_then(|workload| workload.images.get("coredns"))
            .map(String::as_str),
        kube_proxy: view
            .workloads
            .iter()
            .any(|workload| workload.is("DaemonSet", "kube-system", "kube-proxy")),
        told: Told {
            ignored_checks: &upgrade.kubeadm.ignore_preflight_errors,
            upgrades_etcd: upgrade.kubeadm.etcd_upgrade,
            rolls_kube_proxy: preconditions::rolls_kube_proxy(upgrade),
            later_hop: false,
            nodes_at_once: nodes::wave_size(view, upgrade),
        },
    }
}

/// Webhooks with the ready pods behind them, and what the hop's drains would do to those.
fn hooks<'a>(
    webhooks: &'a [Webhook],
    view: &View<'a>,
    touched: &BTreeSet<&HostName>,
    upgrade: &Upgrade,
) -> Vec<Hook<'a>> {
    let drained: BTreeSet<&NodeName> = view
        .hosts
        .iter()
        .filter(|host| touched.contains(host.name()))
        .filter(|host| preconditions::drains(host.host.role, upgrade))
        .map(|host| &host.node.name)
        .collect();
    let policy = preconditions::policy(upgrade);
    let behind = |pod: &'a Pod| -> Option<Behind<'a>> {
        let node = pod.node.as_ref()?;
        let evicted = match eviction::fate(pod, &policy) {
            Fate::Evict { .. } | Fate::Refuse(_) => true,
            // it ends by itself, and then is gone all the same
            Fate::Complete => true,
            Fate::Await | Fate::Keep(_) => false,
        };
        Some(Behind {
            node,
            stays: !evicted || !drained.contains(node),
            kept: eviction::matching(pod, view.budgets)
                .iter()
                .any(|budget| budget.desired_healthy > 0),
        })
    };
    webhooks
        .iter()
        .map(|webhook| Hook {
            webhook,
            ready: match &webhook.backend {
                Backend::Service {
                    namespace,
                    endpoints: Endpoints::Pods(labels),
                    ..
                } => view
                    .pods
                    .iter()
                    .filter(|pod| pod.namespace == *namespace && pod.ready)
                    .filter(|pod| pod.deletion_timestamp.is_none())
                    .filter(|pod| {
                        labels
                            .iter()
                            .all(|(key, value)| pod.labels.get(key) == Some(value))
                    })
                    .filter_map(behind)
                    .collect(),
                Backend::Service {
                    endpoints: Endpoints::Elsewhere | Endpoints::Missing,
                    ..
                }
                | Backend::Url => Vec::new(),
            },
        })
        .collect()
}

fn gates(gates: &BTreeMap<String, bool>) -> BTreeMap<&str, bool> {
    gates
        .iter()
        .map(|(name, value)| (name.as_str(), *value))
        .collect()
}

fn of_host<'a>(host: &'a HostView<'a>, facts: &'a HostFacts, upgrade: &'a Upgrade) -> Host<'a> {
    Host {
        name: host.name(),
        hostname: &host.identity.hostname,
        node: &host.node.name,
        role: host.host.role,
        runtime: &host.node.container_runtime,
        cgroup_v1: match host.cgroup {
            CgroupMode::V1 => true,
            CgroupMode::V2 => false,
        },
        kubelet_flags: seen(&host.kubelet_flags).map(Vec::as_slice),
        kubelet_command: seen(&facts.kubelet_command).map(Vec::as_slice),
        kubelet_config: seen(&facts.kubelet_config).map(String::as_str),
        instance_config: seen(&host.instance_config).copied(),
        patches: patches(facts, upgrade),
        control_plane: host
            .instance
            .as_ref()
            .zip(facts.control_plane.as_ref())
            .map(|(instance, facts)| ControlPlane {
                static_pods: static_pods(facts),
                stray_files: instance.stray_files,
                certificates: instance.certificates,
                api_use: seen(&facts.api_use),
                hand_edits: hand_edits(facts, upgrade),
            }),
    }
}

fn patches<'a>(facts: &'a HostFacts, upgrade: &Upgrade) -> Seen<'a, Vec<Patch<'a>>> {
    if upgrade.kubeadm.patches.is_none() {
        return Ok(Vec::new());
    }
    let patches = seen(&facts.patches)?;
    if patches.directory != upgrade.kubeadm.patches {
        return Err(OTHER_PATCHES);
    }
    Ok(patches
        .files
        .iter()
        .map(|(file, patch)| Patch {
            file,
            target: &patch.target,
            flags: &patch.flags,
            feature_gates: gates(&patch.feature_gates),
        })
        .collect())
}

/// What kubeadm would write depends on its patches.
fn hand_edits<'a>(
    facts: &'a ControlPlaneFacts,
    upgrade: &Upgrade,
) -> Seen<'a, &'a BTreeMap<String, Vec<String>>> {
    let edits = seen(&facts.hand_edits)?;
    if edits.patches == upgrade.kubeadm.patches {
        Ok(&edits.files)
    } else {
        Err(OTHER_PATCHES)
    }
}

fn static_pods(facts: &ControlPlaneFacts) -> BTreeMap<&str, &[String]> {
    facts
        .manifests
        .known()
        .into_iter()
        .flatten()
        .map(|(file, manifest)| {
            let component = file.strip_suffix(".yaml").unwrap_or(file);
            (component, manifest.flags.as_slice())
        })
        .collect()
}
