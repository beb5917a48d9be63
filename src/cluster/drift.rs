//! What a plan rests on, and what has changed since.
//!
//! [`basis`] reduces facts to the lines that planning reads: versions, roles, cordons, machines, packages, manifests, etcd
//! members, what budgets ask for, kubeadm's configuration and what else hazards are looked for in. It leaves out what moves by itself (pods, free disk, clocks, resource versions), which
//! is looked at again when the plan is carried out. A plan stores its basis, so that drift can be told line by line. That a
//! run changes these lines itself is the caller's to know: drift is asked before the first step only.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fmt::Write as _;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::facts::{CgroupMode, ControlPlaneFacts, Facts, HostFacts, Observed};
use super::model::admission::Webhook;
use super::model::{Budget, HostName, Node};

/// The label of control planes.
///
/// Source: kubernetes/kubernetes `cmd/kubeadm/app/constants/constants.go`, `LabelNodeRoleControlPlane`.
pub const CONTROL_PLANE_LABEL: &str = "node-role.kubernetes.io/control-plane";

/// Lines of observation, by a path such as `node/w1/kubelet`.
pub type Basis = BTreeMap<String, String>;

/// A line that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Which line.
    pub key: String,
    /// When the plan was made; none when it was not there.
    pub planned: Option<String>,
    /// Now; none when it is gone.
    pub now: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        match (&self.planned, &self.now) {
            (Some(planned), Some(now)) => write!(f, "{key}: was {planned}, is {now}"),
            (Some(planned), None) => write!(f, "{key}: was {planned}, is gone"),
            (None, Some(now)) => write!(f, "{key}: was not there, is {now}"),
            (None, None) => write!(f, "{key}: unchanged"),
        }
    }
}

/// What differs, by key.
#[must_use]
pub fn drift(planned: &Basis, now: &Basis) -> Vec<Difference> {
    // Mostly nothing differs, and every host has some lines.
    if planned == now {
        return Vec::new();
    }
    let keys: BTreeSet<&String> = planned.keys().chain(now.keys()).collect();
    keys.into_iter()
        .filter(|key| planned.get(*key) != now.get(*key))
        .map(|key| Difference {
            key: key.clone(),
            planned: planned.get(key).cloned(),
            now: now.get(key).cloned(),
        })
        .collect()
}

/// SHA-256 over the lines, in hexadecimal.
#[must_use]
pub fn fingerprint(basis: &Basis) -> String {
    let mut digest = Sha256::new();
    for (key, value) in basis {
        // Lengths, so that no two sets of lines are the same text.
        digest.update(format!("{} {} {key}={value}\n", key.len(), value.len()));
    }
    digest
        .finalize()
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// What planning reads of the facts.
#[must_use]
pub fn basis(facts: &Facts) -> Basis {
    let mut lines = Lines::default();
    lines.put("inventory", &facts.inventory);
    cluster(&mut lines, facts);
    for (host, observed) in &facts.hosts {
        match observed {
            Observed::Known(known) => lines.host(host, known),
            Observed::Unknown(_) => lines.put(format!("host/{host}"), UNKNOWN),
        }
    }
    lines.0
}

/// The text of an error may change from one look to the next; that nothing was seen does not.
const UNKNOWN: &str = "unknown";

fn cluster(lines: &mut Lines, facts: &Facts) {
    let cluster = &facts.cluster;
    lines.observed("cluster/uid", &cluster.uid, Clone::clone);
    match &cluster.nodes {
        Observed::Known(nodes) => nodes.iter().for_each(|node| lines.node(node)),
        Observed::Unknown(_) => lines.put("cluster/nodes", UNKNOWN),
    }
    match &cluster.kubeadm_config {
        Observed::Known(config) => {
            let mut put =
                |key: &str, value: String| lines.put(format!("kubeadm-config/{key}"), value);
            put("api-version", config.api_version.clone());
            put("kubernetes-version", config.kubernetes_version.to_string());
            put("image-repository", config.image_repository.clone());
            put("cluster-name", config.cluster_name.clone());
            put("external-etcd", config.external_etcd.to_string());
            if let Some(endpoint) = &config.control_plane_endpoint {
                put("control-plane-endpoint", endpoint.clone());
            }
            if let Some(image) = &config.custom_etcd_image {
                put("custom-etcd-image", image.clone());
            }
            if let Some(image) = &config.custom_dns_image {
                put("custom-dns-image", image.clone());
            }
            put("proxy-disabled", config.proxy_disabled.to_string());
            for (gate, on) in &config.feature_gates {
                put(&format!("feature-gates/{gate}"), on.to_string());
            }
            match &config.extra_args {
                Some(args) => {
                    for (component, flags) in args {
                        put(&format!("extra-args/{component}"), brief(&flags.join(" ")));
                    }
                }
                None => put("extra-args", UNKNOWN.to_owned()),
            }
        }
        Observed::Unknown(_) => lines.put("kubeadm-config", UNKNOWN),
    }
    lines.observed("kubelet-config", &cluster.kubelet_config, Clone::clone);
    match &cluster.budgets {
        Observed::Known(budgets) => budgets.iter().for_each(|budget| lines.budget(budget)),
        Observed::Unknown(_) => lines.put("budget", UNKNOWN),
    }
    match &cluster.surroundings.webhooks {
        Observed::Known(webhooks) => webhooks.iter().for_each(|webhook| lines.webhook(webhook)),
        Observed::Unknown(_) => lines.put("webhook", UNKNOWN),
    }
    match &cluster.surroundings.storage {
        Observed::Known(storage) => {
            for plugin in storage.in_tree.keys() {
                lines.put(format!("in-tree-volumes/{plugin}"), "used");
            }
            for driver in &storage.csi_drivers {
                lines.put(format!("csi-driver/{driver}"), "installed");
            }
        }
        Observed::Unknown(_) => lines.put("in-tree-volumes", UNKNOWN),
    }
    let plugins = &cluster.surroundings.corefile_plugins;
    lines.observed("corefile-plugins", plugins, |plugins| {
        let names: Vec<&str> = plugins.iter().map(String::as_str).collect();
        names.join(" ")
    });
    lines.observed("kube-proxy", &cluster.workloads, |workloads| {
        let there = workloads
            .iter()
            .any(|workload| workload.is("DaemonSet", "kube-system", "kube-proxy"));
        if there { "there" } else { "none" }.to_owned()
    });
    match &facts.etcd {
        Observed::Known(etcd) => {
            for member in &etcd.members {
                let learner = if member.learner { " (learner)" } else { "" };
                let version = member.version.as_deref().unwrap_or(UNKNOWN);
                lines.put(
                    format!("etcd/{}", member.name),
                    format!("{} {version}{learner}", member.id),
                );
            }
            for alarm in &etcd.alarms {
                lines.put(format!("etcd-alarm/{alarm}"), "raised");
            }
        }
        Observed::Unknown(_) => lines.put("etcd", UNKNOWN),
    }
    match &facts.external_etcd {
        Some(Observed::Known(releases)) => {
            for (endpoint, release) in releases {
                lines.observed(format!("external-etcd/{endpoint}"), release, Clone::clone);
            }
        }
        Some(Observed::Unknown(_)) => lines.put("external-etcd", UNKNOWN),
        None => {}
    }
}

/// A long text by its beginning and its SHA-256, for a plan keeps a line for each of some thousands of hosts.
fn brief(text: &str) -> String {
    const WHOLE: usize = 160;
    if text.len() <= WHOLE {
        return text.to_owned();
    }
    let digest = hex(&Sha256::digest(text), 8);
    let beginning: String = text.chars().take(WHOLE / 2).collect();
    format!("{beginning}… (SHA-256 {digest}…)")
}

/// The first bytes in hexadecimal.
fn hex(bytes: &[u8], most: usize) -> String {
    bytes
        .iter()
        .take(most)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[derive(Default)]
struct Lines(Basis);

impl Lines {
    fn put(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.0.insert(key.into(), value.into());
    }

    fn observed<T>(
        &mut self,
        key: impl Into<String>,
        value: &Observed<T>,
        text: impl FnOnce(&T) -> String,
    ) {
        match value {
            Observed::Known(known) => self.put(key, text(known)),
            Observed::Unknown(_) => self.put(key, UNKNOWN),
        }
    }

    fn node(&mut self, node: &Node) {
        let at = |what: &str| format!("node/{}/{what}", node.name);
        self.put(at("uid"), &node.uid);
        self.put(at("machine-id"), &node.machine_id);
        self.put(at("kubelet"), &node.kubelet_version);
        self.put(at("container-runtime"), &node.container_runtime);
        let role = if node.labels.contains_key(CONTROL_PLANE_LABEL) {
            "control plane"
        } else {
            "worker"
        };
        self.put(at("role"), role);
        let cordon = match (node.unschedulable, &node.cordoned_by) {
            (false, _) => "schedulable",
            (true, Some(_)) => "cordoned by refit",
            (true, None) => "cordoned",
        };
        self.put(at("cordon"), cordon);
    }

    /// What the budget asks for; what it allows at the moment moves by itself.
    fn budget(&mut self, budget: &Budget) {
        let bound = match (&budget.min_available, &budget.max_unavailable) {
            (Some(least), _) => format!("at least {least} available"),
            (None, Some(most)) => format!("at most {most} unavailable"),
            (None, None) => "no bound".to_owned(),
        };
        let selector = serde_json::to_string(&budget.selector).unwrap_or_default();
        let unhealthy = if budget.always_allow_unhealthy {
            ", unhealthy pods always"
        } else {
            ""
        };
        self.put(
            format!("budget/{}/{}", budget.namespace, budget.name),
            brief(&format!("{bound} of {selector}{unhealthy}")),
        );
    }

    /// All of it but the pods behind it, which move.
    fn webhook(&mut self, webhook: &Webhook) {
        let Webhook {
            kind,
            configuration,
            name,
            ..
        } = webhook;
        let text = serde_json::to_string(webhook).unwrap_or_default();
        let policy = if webhook.fails_closed {
            "Fail"
        } else {
            "Ignore"
        };
        self.put(
            format!("webhook/{kind}/{configuration}/{name}"),
            format!("{policy}, SHA-256 {}", hex(&Sha256::digest(text), 8)),
        );
    }

    fn host(&mut self, host: &HostName, facts: &HostFacts) {
        let at = |what: &str| format!("host/{host}/{what}");
        match &facts.identity {
            Observed::Known(identity) => {
                self.put(at("hostname"), &identity.hostname);
                self.put(at("machine-id"), &identity.machine_id);
            }
            Observed::Unknown(_) => self.put(at("machine-id"), UNKNOWN),
        }
        self.observed(at("kubeadm"), &facts.kubeadm, ToString::to_string);
        match &facts.packages {
            Observed::Known(packages) => {
                for (name, revision) in &packages.installed {
                    self.put(at(&format!("package/{name}")), revision);
                }
                for name in &packages.held {
                    self.put(at(&format!("held/{name}")), "held");
                }
                for file in &packages.repositories {
                    self.put(at(&format!("repository/{}", file.path)), &file.url);
                }
            }
            Observed::Unknown(_) => self.put(at("package"), UNKNOWN),
        }
        self.observed(at("cgroup"), &facts.cgroup, |mode| match mode {
            CgroupMode::V1 => "v1".to_owned(),
            CgroupMode::V2 => "v2".to_owned(),
        });
        self.observed(at("kubelet-flags"), &facts.kubelet_flags, |flags| {
            brief(&flags.join(" "))
        });
        self.observed(at("kubelet-command"), &facts.kubelet_command, |flags| {
            brief(&flags.join(" "))
        });
        self.observed(at("kubelet-config"), &facts.kubelet_config, Clone::clone);
        self.observed(at("instance-config"), &facts.instance_config, |there| {
            if *there { "there" } else { "none" }.to_owned()
        });
        match &facts.patches {
            Observed::Known(patches) => {
                for (file, patch) in &patches.files {
                    self.put(at(&format!("patch/{file}")), &patch.sha256);
                }
            }
            Observed::Unknown(_) => self.put(at("patch"), UNKNOWN),
        }
        for (minor, offer) in &facts.offers {
            self.observed(at(&format!("offer/{minor}")), offer, |offer| {
                format!("{} with key {}", offer.url, offer.key_sha256)
            });
        }
        if let Some(control_plane) = &facts.control_plane {
            self.control_plane(host, control_plane);
        }
    }

    fn control_plane(&mut self, host: &HostName, facts: &ControlPlaneFacts) {
        let at = |what: &str| format!("host/{host}/{what}");
        self.observed(at("api-server"), &facts.api_server, ToString::to_string);
        match &facts.manifests {
            Observed::Known(manifests) => {
                for (file, manifest) in manifests {
                    let key = at(&format!("manifest/{file}"));
                    self.put(key, format!("{} {}", manifest.image, manifest.sha256));
                }
            }
            Observed::Unknown(_) => self.put(at("manifest"), UNKNOWN),
        }
        self.observed(at("stray-files"), &facts.stray_files, |files| {
            files.join(" ")
        });
        for component in facts.roaming() {
            let server = facts
                .controller_servers
                .known()
                .and_then(|servers| servers.get(&component.to_string()));
            self.put(
                at(&format!("server-of/{component}")),
                server.map_or(UNKNOWN, String::as_str),
            );
        }
        match &facts.certificates {
            Observed::Known(ends) => {
                for (name, end) in ends {
                    self.put(at(&format!("certificate/{name}")), end.to_string());
                }
            }
            Observed::Unknown(_) => self.put(at("certificate"), UNKNOWN),
        }
        self.observed(at("api-use"), &facts.api_use, |seen| {
            let apis: Vec<String> = seen.requested.iter().map(ToString::to_string).collect();
            brief(&apis.join(", "))
        });
        match &facts.hand_edits {
            Observed::Known(edits) => {
                for (file, lines) in &edits.files {
                    self.put(at(&format!("hand-edits/{file}")), brief(&lines.join(", ")));
                }
            }
            Observed::Unknown(_) => self.put(at("hand-edits"), UNKNOWN),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pairs: &[(&str, &str)]) -> Basis {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn tells_line_by_line_what_changed() {
        let planned = lines(&[
            ("node/w1/kubelet", "1.34.4"),
            ("node/w2/kubelet", "1.34.4"),
            ("x", "1"),
        ]);
        let now = lines(&[("node/w1/kubelet", "1.35.4"), ("x", "1"), ("y", "2")]);
        let told: Vec<String> = drift(&planned, &now)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            told,
            [
                "node/w1/kubelet: was 1.34.4, is 1.35.4",
                "node/w2/kubelet: was 1.34.4, is gone",
                "y: was not there, is 2",
            ]
        );
        assert!(drift(&planned, &planned).is_empty());
    }

    #[test]
    fn the_fingerprint_tells_lines_apart() {
        let one = fingerprint(&lines(&[("a", "b\n3 1 c=d")]));
        let two = fingerprint(&lines(&[("a", "b"), ("c", "d")]));
        assert_ne!(one, two);
        assert_eq!(one.len(), 64);
    }
}
