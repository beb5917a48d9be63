//! Whether parts of the cluster are as they should be: each function gives what is missing, in words, and nothing when all
//! is well. What cannot be asked counts as missing.

use std::collections::BTreeMap;

use super::look::{self, Problem};
use crate::cluster::model::{HostName, Node, NodeName, Pod, Workload};
use crate::host::clause::brief;
use crate::ports::World;
use crate::rules::version::Version;

const SYSTEM: &str = "kube-system";

/// A control plane's instance at a release: its API server, controller manager and scheduler, etcd as a whole, the
/// endpoint that clients use.
pub(super) async fn control_plane(
    world: World<'_>,
    host: &HostName,
    node: &NodeName,
    version: &Version,
) -> Vec<String> {
    let (ready, release, manifests, members, pods, endpoint) = futures::join!(
        look::api_server_ready(world, host),
        look::api_server_version(world, host),
        look::manifests(world, host),
        etcd(world, host),
        world.api.pods_on(node),
        world.api.ready(),
    );
    let mut missing = Vec::new();
    if let Err(problem) = ready {
        missing.push(unknown(host, "API server not ready", problem));
    }
    match release {
        Ok(found) if found == *version => {}
        Ok(found) => missing.push(format!("{host}: API server at {found}, not {version}")),
        Err(problem) => missing.push(unknown(host, "API server's version", problem)),
    }
    match (manifests, pods) {
        (Ok(manifests), Ok(list)) => {
            let pods = manifests.iter().filter_map(|(component, image)| {
                static_pod(component, image, node, version, &list.pods)
            });
            let pods: Vec<String> = pods.collect();
            if !pods.is_empty()
                && let Ok(found) = world.api.node(node).await
            {
                // nothing on it is, then
                missing.extend(not_ready(&found));
            }
            missing.extend(pods);
            for component in [
                "kube-apiserver",
                "kube-controller-manager",
                "kube-scheduler",
            ] {
                if !manifests.contains_key(component) {
                    missing.push(format!("{host}: no manifest of {component}"));
                }
            }
        }
        (manifests, pods) => {
            if let Err(problem) = manifests {
                missing.push(unknown(host, "static pods' manifests", problem));
            }
            if let Err(failure) = pods {
                missing.push(format!("{node}: its pods: {failure}"));
            }
        }
    }
    missing.extend(members);
    if let Err(failure) = endpoint {
        missing.push(format!("the API's endpoint: {failure}"));
    }
    each_once(missing)
}

/// What could not be found out. That a host cannot be asked is said in the same words for every question.
fn unknown(host: &HostName, what: &str, problem: Problem) -> String {
    match problem {
        Problem::Unasked(text) => text,
        Problem::Answer(text) => format!("{host}: {what}: {text}"),
    }
}

fn each_once(texts: Vec<String>) -> Vec<String> {
    let mut once: Vec<String> = Vec::with_capacity(texts.len());
    for text in texts {
        if !once.contains(&text) {
            once.push(text);
        }
    }
    once
}

/// One static pod: its manifest's image at the release, and the kubelet running just that, ready.
fn static_pod(
    component: &str,
    image: &str,
    node: &NodeName,
    version: &Version,
    pods: &[Pod],
) -> Option<String> {
    // etcd has its own releases: kubeadm chooses.
    let at_release = component != "etcd";
    if at_release && tag(image) != Some(version.tag().as_str()) {
        return Some(format!("{node}: {component}'s manifest has {image}"));
    }
    let name = format!("{component}-{node}");
    let Some(pod) = pods
        .iter()
        .find(|pod| pod.mirror && pod.namespace == SYSTEM && pod.name == name)
    else {
        return Some(format!("{node}: {component} has no pod"));
    };
    if !pod.images.values().any(|running| running == image) {
        return Some(format!("{node}: {component} does not run {image} yet"));
    }
    (!pod.ready).then(|| format!("{node}: {component} is not ready"))
}

/// etcd: every member votes and answers, and no alarm is raised.
pub(super) async fn etcd(world: World<'_>, host: &HostName) -> Vec<String> {
    let etcd = match look::etcd(world, host).await {
        Ok(etcd) => etcd,
        Err(problem) => return vec![unknown(host, "etcd", problem)],
    };
    let mut missing = Vec::new();
    if etcd.members.is_empty() {
        missing.push("etcd: no member".to_owned());
    }
    for member in &etcd.members {
        if member.learner {
            missing.push(format!("etcd: {} is a learner", member.name));
        }
        if !member.healthy {
            missing.push(format!("etcd: {} is not healthy", member.name));
        }
    }
    for alarm in &etcd.alarms {
        missing.push(format!("etcd: alarm {alarm}"));
    }
    missing
}

/// CoreDNS and kube-proxy, as far as the cluster has them as kubeadm set them up.
pub(super) fn addons(workloads: &[Workload], kube_proxy: Option<&Version>) -> Vec<String> {
    let find = |kind: &str, name: &str| {
        workloads.iter().find(|workload| {
            workload.namespace == SYSTEM && workload.kind == kind && workload.name == name
        })
    };
    let mut missing = Vec::new();
    match (kube_proxy, find("DaemonSet", "kube-proxy")) {
        (None, _) => {}
        (Some(_), None) => missing.push("kube-proxy: no DaemonSet".to_owned()),
        (Some(version), Some(proxy)) => {
            if proxy
                .images
                .values()
                .any(|image| tag(image) != Some(version.tag().as_str()))
            {
                missing.push(format!("kube-proxy: not at {version} yet"));
            }
            missing.extend(rollout(proxy));
        }
    }
    // A cluster with another DNS has no such Deployment, and then nothing of kubeadm's to wait for.
    if let Some(dns) = find("Deployment", "coredns") {
        missing.extend(rollout(dns));
    }
    missing
}

fn rollout(workload: &Workload) -> Option<String> {
    (!workload.rolled_out()).then(|| {
        format!(
            "{}: {} of {} updated, {} ready",
            workload.name, workload.updated, workload.desired, workload.ready
        )
    })
}

/// A node that is ready, with its kubelet at the release.
pub(super) fn node(node: &Node, version: &Version) -> Vec<String> {
    let mut missing = not_ready(node);
    if node.kubelet_version != version.to_string() {
        missing.push(format!(
            "{}: kubelet at {}, not {version}",
            node.name, node.kubelet_version
        ));
    }
    missing
}

/// A node that is ready.
pub(super) fn not_ready(node: &Node) -> Vec<String> {
    if node.ready {
        Vec::new()
    } else {
        vec![match &node.not_ready_because {
            Some(because) => format!(
                "{}: not ready: {}",
                node.name,
                brief(because).trim_end_matches('.')
            ),
            None => format!("{}: not ready", node.name),
        }]
    }
}

/// The nodes of these names, and which do not exist.
pub(super) fn select<'n>(nodes: &'n [Node], names: &[NodeName]) -> (Vec<&'n Node>, Vec<String>) {
    let by_name: BTreeMap<&NodeName, &Node> = nodes.iter().map(|node| (&node.name, node)).collect();
    let mut found = Vec::new();
    let mut missing = Vec::new();
    for name in names {
        match by_name.get(name) {
            Some(node) => found.push(*node),
            None => missing.push(format!("{name}: no such node")),
        }
    }
    (found, missing)
}

/// An image's tag: `v1.35.4` of `registry:5000/kube-proxy:v1.35.4@sha256:...`.
fn tag(image: &str) -> Option<&str> {
    let image = image.split_once('@').map_or(image, |(image, _)| image);
    let name = image.rsplit_once('/').map_or(image, |(_, name)| name);
    name.split_once(':').map(|(_, tag)| tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_cannot_be_asked_is_told_once_and_each_answer_with_its_question() {
        let host = HostName::new("cp1");
        let unasked = || Problem::Unasked("cp1: connection refused".to_owned());
        let told = each_once(vec![
            unknown(&host, "API server not ready", unasked()),
            unknown(&host, "API server's version", unasked()),
            unknown(
                &host,
                "etcd",
                Problem::Answer("connection refused".to_owned()),
            ),
        ]);
        assert_eq!(
            told,
            ["cp1: connection refused", "cp1: etcd: connection refused"]
        );
    }

    #[test]
    fn a_tag_is_told_from_a_port_and_a_digest() {
        assert_eq!(tag("registry.k8s.io/kube-proxy:v1.35.4"), Some("v1.35.4"));
        assert_eq!(tag("local:5000/kube-proxy:v1@sha256:ab"), Some("v1"));
        assert_eq!(tag("local:5000/kube-proxy"), None);
        assert_eq!(tag("kube-proxy@sha256:ab"), None);
    }
}
