//! Detectors of what stands around nodes and workloads: admission webhooks, volumes, the cluster's DNS.

use std::collections::BTreeSet;

use super::detect::Sightings;
use super::evidence::{Evidence, Hook};
use crate::cluster::model::NodeName;
use crate::cluster::model::admission::{Backend, Endpoints, Request};
use crate::rules::version::Version;

const fn request(operation: &'static str, group: &'static str, resource: &'static str) -> Request {
    Request {
        operation,
        group,
        resource,
        namespace: None,
    }
}

const fn of_the_system(
    operation: &'static str,
    group: &'static str,
    resource: &'static str,
) -> Request {
    Request {
        namespace: Some("kube-system"),
        ..request(operation, group, resource)
    }
}

/// Requests without which a node is not drained or does not come back.
const OF_DRAINS: [Request; 4] = [
    request("CREATE", "", "pods/eviction"),
    request("DELETE", "", "pods"),
    request("UPDATE", "", "nodes"),
    request("UPDATE", "", "nodes/status"),
];

/// Requests without which evicted pods do not come back, nodes are lost, or kubeadm cannot go on.
const OF_THE_UPGRADE: [Request; 6] = [
    request("CREATE", "", "pods"),
    request("UPDATE", "coordination.k8s.io", "leases"),
    of_the_system("UPDATE", "", "configmaps"),
    of_the_system("UPDATE", "apps", "daemonsets"),
    of_the_system("UPDATE", "apps", "deployments"),
    of_the_system("CREATE", "", "secrets"),
];

impl Sightings {
    /// Every webhook without whose answer the upgrade cannot go on.
    fn needed<'e, 'a>(
        &mut self,
        evidence: &'e Evidence<'a>,
    ) -> impl Iterator<Item = (&'e Hook<'a>, String)> {
        let hooks = match &evidence.webhooks {
            Ok(hooks) => hooks.as_slice(),
            Err(why) => {
                self.not_checked(None, why);
                &[]
            }
        };
        hooks.iter().filter_map(|hook| {
            let all: Vec<Request> = OF_DRAINS.into_iter().chain(OF_THE_UPGRADE).collect();
            let what = intercepted(hook, &all);
            (hook.webhook.fails_closed && !what.is_empty()).then(|| (hook, what.join(", ")))
        })
    }

    pub(super) fn webhooks_drained_away(&mut self, evidence: &Evidence<'_>) {
        let at_once = evidence.told.nodes_at_once.max(1);
        let mut found = Vec::new();
        for (hook, what) in self.needed(evidence) {
            let nodes: BTreeSet<&NodeName> = hook.ready.iter().map(|pod| pod.node).collect();
            let safe = hook.ready.iter().any(|pod| pod.stays || pod.kept);
            if nodes.is_empty() || safe || nodes.len() > at_once {
                continue;
            }
            let nodes: Vec<&str> = nodes.iter().map(|node| node.as_str()).collect();
            found.push(format!(
                "{}, which intercepts {what}: all ready pods behind it are on {}, and no budget keeps one",
                hook.webhook,
                nodes.join(", ")
            ));
        }
        found.into_iter().for_each(|text| self.there(None, text));
    }

    pub(super) fn webhooks_without_backend(&mut self, evidence: &Evidence<'_>) {
        let mut found = Vec::new();
        for (hook, what) in self.needed(evidence) {
            let webhook = hook.webhook;
            let Backend::Service {
                namespace,
                name,
                endpoints,
            } = &webhook.backend
            else {
                continue;
            };
            let text = format!("{webhook}, which intercepts {what}: Service {namespace}/{name}");
            match endpoints {
                Endpoints::Missing => found.push((true, format!("{text} does not exist"))),
                Endpoints::Pods(_) if hook.ready.is_empty() => {
                    found.push((true, format!("{text} has no ready pod")));
                }
                Endpoints::Pods(_) => {}
                Endpoints::Elsewhere => {
                    found.push((
                        false,
                        format!("{text} selects no pods, so that who answers is not known"),
                    ));
                }
            }
        }
        for (there, text) in found {
            if there {
                self.there(None, text);
            } else {
                self.not_checked(None, &text);
            }
        }
    }

    pub(super) fn webhooks_on_drains(&mut self, evidence: &Evidence<'_>) {
        match &evidence.webhooks {
            Ok(hooks) => {
                for hook in hooks {
                    let what = intercepted(hook, &OF_DRAINS);
                    if !what.is_empty() {
                        self.there(
                            None,
                            format!("{}, which intercepts {}", hook.webhook, what.join(", ")),
                        );
                    }
                }
            }
            Err(why) => self.not_checked(None, why),
        }
    }

    pub(super) fn in_tree_volumes(
        &mut self,
        evidence: &Evidence<'_>,
        plugins: &BTreeSet<String>,
        driver: Option<&str>,
    ) {
        let storage = match evidence.storage {
            Ok(storage) => storage,
            Err(why) => return self.not_checked(None, why),
        };
        if driver.is_some_and(|driver| storage.csi_drivers.contains(driver)) {
            return;
        }
        for (plugin, used) in storage
            .in_tree
            .iter()
            .filter(|(name, _)| plugins.contains(*name))
        {
            let mut users: Vec<String> = used.named.iter().cloned().collect();
            if used.count > users.len() {
                users.push(format!("{} more", used.count - users.len()));
            }
            let without = driver.map_or_else(String::new, |driver| {
                format!(", and no CSI driver {driver}")
            });
            self.there(None, format!("{plugin} in {}{without}", users.join(", ")));
        }
    }

    pub(super) fn corefile_plugins(&mut self, evidence: &Evidence<'_>, known: &BTreeSet<String>) {
        if evidence.told.ignores("CoreDNSUnsupportedPlugins") {
            return;
        }
        match evidence.corefile_plugins {
            Ok(plugins) => {
                let strange: Vec<&str> = plugins.difference(known).map(String::as_str).collect();
                if !strange.is_empty() {
                    self.there(None, format!("the Corefile uses {}", strange.join(", ")));
                }
            }
            Err(why) => self.not_checked(None, why),
        }
    }

    pub(super) fn dns_newer(&mut self, evidence: &Evidence<'_>, release: &Version) {
        if evidence.told.ignores("CoreDNSMigration") || evidence.config.dns_image.is_some() {
            return;
        }
        let Some(image) = evidence.dns_image else {
            return;
        };
        let name = image.split('@').next().unwrap_or(image);
        match name.rsplit_once(':').map(|(_, tag)| tag.parse::<Version>()) {
            Some(Ok(running)) if running > *release => {
                self.there(None, format!("CoreDNS {running}"));
            }
            Some(Ok(_)) => {}
            Some(Err(_)) | None => {
                self.not_checked(None, &format!("CoreDNS's image {image} names no release"));
            }
        }
    }
}

/// The resources of these requests that it intercepts.
fn intercepted(hook: &Hook<'_>, requests: &[Request]) -> Vec<&'static str> {
    let mut names: Vec<&'static str> = Vec::new();
    for request in requests {
        if hook.webhook.intercepts(*request) && !names.contains(&request.resource) {
            names.push(request.resource);
        }
    }
    names
}
