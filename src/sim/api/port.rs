//! The cluster's API as refit's port sees it.
//!
//! As the adapter does, reads wait out the restart of an API server, within a bounded time, and changes are sent once. A
//! watch wakes when what it watches has changed.

use std::time::Duration;

use async_trait::async_trait;

use super::Api;
use super::client::Refusal;
use super::evict::{Answer, Request};
use crate::cluster::facts::{KubeadmConfig, KubeletConfig, Observed, Surroundings};
use crate::cluster::model::{Budget, Node, NodeName, Pod, Workload};
use crate::ports::{AttachedList, Claim, ClusterApi, Eviction, Failure, Lease, Permit, PodList};
use crate::rules::version::Version;
use crate::sim::Sim;

/// How long reads are asked again while no API server answers, as the adapter does.
const PATIENCE: Duration = Duration::from_secs(90);

impl Sim {
    async fn read<T>(
        &self,
        what: &str,
        read: impl FnOnce(&Api) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.call().await;
        let reached = self
            .until(PATIENCE, |world| {
                let read = world.api.reached() && world.disturbances.lets_read(world.now());
                read.then_some(())
            })
            .await;
        if reached.is_none() {
            let why = self.look(|world| world.disturbances.words(world.now()));
            return Err(Failure::NotSent(format!("{what}: {why}")));
        }
        self.look(|world| read(&world.api))
    }

    async fn change<T>(
        &self,
        what: &str,
        change: impl FnOnce(&mut Api) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.call().await;
        if !self.look(|world| world.api.reached()) {
            return Err(Failure::NotSent(format!("{what}: connection refused")));
        }
        self.act(|world| match world.disturbances.change(what, world.now()) {
            Some(failure) => Err(failure),
            None => world.with_api(change),
        })
    }

    /// The time that a call takes.
    async fn call(&self) {
        let takes = self.look(|world| world.api.timing.call);
        self.sleep(takes).await;
    }
}

fn seen<T: Clone>(observed: &Observed<T>) -> Result<T, Failure> {
    match observed {
        Observed::Known(value) => Ok(value.clone()),
        Observed::Unknown(why) => Err(Failure::Refused(why.clone())),
    }
}

impl Api {
    fn reached(&self) -> bool {
        self.servers.reached(self.now)
    }

    /// What could not be observed cannot be asked.
    fn asked(&self, what: &'static str) -> Result<(), Failure> {
        match self.unknown.get(what) {
            None => Ok(()),
            Some(why) => Err(Failure::Refused(why.clone())),
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotFound(text) => Self::NotFound(text),
        }
    }
}

/// What a client makes of the server's answer.
fn read_answer(answer: &Answer) -> Result<Eviction, Failure> {
    Ok(match answer.code {
        201 => Eviction::Granted,
        404 | 409 => Eviction::Gone,
        429 => Eviction::Blocked {
            message: answer.words(),
            retry_after: answer.retry_after,
        },
        _ => Eviction::Denied(answer.words()),
    })
}

#[async_trait(?Send)]
impl ClusterApi for Sim {
    async fn cluster_uid(&self) -> Result<String, Failure> {
        self.read("reading namespace kube-system", |api| seen(&api.uid))
            .await
    }

    async fn version(&self) -> Result<Version, Failure> {
        self.read("reading /version", |api| seen(&api.servers.version()))
            .await
    }

    async fn ready(&self) -> Result<(), Failure> {
        self.read("reading /readyz", |_| Ok(())).await
    }

    async fn nodes(&self) -> Result<Vec<Node>, Failure> {
        self.read("listing nodes", |api| {
            api.asked("nodes")?;
            Ok(api.nodes().cloned().collect())
        })
        .await
    }

    async fn node(&self, name: &NodeName) -> Result<Node, Failure> {
        self.read(&format!("reading node {name}"), |api| {
            let known = api.node(name);
            known
                .map(|known| known.node.clone())
                .ok_or_else(|| Failure::NotFound(format!("nodes \"{name}\" not found")))
        })
        .await
    }

    async fn pods(&self) -> Result<Vec<Pod>, Failure> {
        self.read("listing pods", |api| {
            api.asked("pods")?;
            Ok(api.pods.all().map(|(_, held)| held.pod.clone()).collect())
        })
        .await
    }

    async fn pods_on(&self, node: &NodeName) -> Result<PodList, Failure> {
        self.read(&format!("listing pods of node {node}"), |api| {
            let here = api.pods.on(node);
            let mut pods: Vec<Pod> = here.map(|(_, held)| held.pod.clone()).collect();
            pods.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
            Ok(PodList {
                pods,
                resource_version: api.version().to_string(),
            })
        })
        .await
    }

    async fn budgets(&self) -> Result<Vec<Budget>, Failure> {
        self.read("listing budgets", |api| {
            api.asked("budgets")?;
            Ok(api.guards().map(|guard| guard.budget.clone()).collect())
        })
        .await
    }

    async fn workloads(&self) -> Result<Vec<Workload>, Failure> {
        self.read("listing workloads", |api| {
            api.asked("workloads")?;
            Ok(api.workloads())
        })
        .await
    }

    async fn kubeadm_config(&self) -> Result<KubeadmConfig, Failure> {
        self.read("reading kubeadm-config", |api| seen(&api.kubeadm_config))
            .await
    }

    async fn kubelet_config(&self) -> Result<KubeletConfig, Failure> {
        self.read("reading kubelet-config", |api| {
            Ok(KubeletConfig {
                sha256: seen(&api.kubelet_config)?,
                settings: api.kubelet_settings.clone(),
            })
        })
        .await
    }

    async fn lease(&self, name: &str) -> Result<Lease, Failure> {
        let what = format!("reading lease {name}");
        self.read(&what, |api| {
            let of_system = name.strip_prefix("kube-system/");
            let held = of_system.and_then(|name| api.leaders.lease(name, api.now));
            let held = held.ok_or_else(|| Failure::NotFound(format!("{what}: not found")))?;
            Ok(Lease {
                holder: held.holder,
                renewed: api.began.saturating_add(held.renewed).ok(),
            })
        })
        .await
    }

    async fn surroundings(&self) -> Surroundings {
        let read = self
            .read("reading what is around", |api| Ok(api.surroundings.clone()))
            .await;
        read.unwrap_or_else(|failure| {
            let why = failure.to_string();
            Surroundings {
                webhooks: Observed::Unknown(why.clone()),
                storage: Observed::Unknown(why.clone()),
                corefile_plugins: Observed::Unknown(why),
            }
        })
    }

    async fn claim(&self) -> Result<Option<Claim>, Failure> {
        self.read("reading Lease kube-system/refit", |api| {
            Ok(api.claim.0.clone())
        })
        .await
    }

    async fn put_claim(&self, claim: &Claim, _: Duration) -> Result<(), Failure> {
        let what = "writing Lease kube-system/refit";
        self.change(what, |api| {
            let (held, written) = &mut api.claim;
            if held.as_ref().and_then(|held| held.version.as_ref()) != claim.version.as_ref() {
                return Err(Failure::Refused(format!(
                    "{what}: somebody else wrote it meanwhile"
                )));
            }
            *written += 1;
            *held = Some(Claim {
                version: Some(written.to_string()),
                ..claim.clone()
            });
            Ok(())
        })
        .await
    }

    async fn cordon(&self, _: Permit, node: &NodeName, run: &str) -> Result<(), Failure> {
        self.act(|world| world.notice(node, "cordon"));
        self.change(&format!("cordoning {node}"), |api| {
            Ok(api.cordon(node, run)?)
        })
        .await
    }

    async fn uncordon(&self, _: Permit, node: &NodeName) -> Result<(), Failure> {
        self.act(|world| world.notice(node, "uncordon"));
        self.change(
            &format!("uncordoning {node}"),
            |api| Ok(api.uncordon(node)?),
        )
        .await
    }

    async fn taint_outdated(
        &self,
        _: Permit,
        node: &NodeName,
        outdated: bool,
    ) -> Result<(), Failure> {
        self.change(&format!("changing the taints of {node}"), |api| {
            Ok(api.taint_outdated(node, outdated)?)
        })
        .await
    }

    async fn evict(
        &self,
        _: Permit,
        pod: &Pod,
        grace: Option<Duration>,
    ) -> Result<Eviction, Failure> {
        let what = format!("evicting pod {}/{}", pod.namespace, pod.name);
        if let Some(node) = &pod.node {
            self.act(|world| world.notice(node, "drain"));
        }
        if let Some(answer) = self.look(|world| world.disturbances.eviction(&what, world.now())) {
            self.call().await;
            return answer;
        }
        self.change(&what, |api| {
            let request = Request {
                namespace: &pod.namespace,
                name: &pod.name,
                body_name: &pod.name,
                uid: Some(&pod.uid),
                grace,
                dry_run: false,
            };
            read_answer(&api.evict(&request))
        })
        .await
    }

    async fn pods_changed(&self, node: &NodeName, list: &PodList, at_most: Duration) {
        let since: u64 = list.resource_version.parse().unwrap_or_default();
        self.until(at_most, |world| {
            (world.api.pods_version(node) > since).then_some(())
        })
        .await;
    }

    async fn attached(&self, node: &NodeName) -> Result<AttachedList, Failure> {
        self.read("listing VolumeAttachments", |api| {
            Ok(AttachedList {
                volumes: api.attached(node),
                resource_version: api.version().to_string(),
            })
        })
        .await
    }

    async fn attached_changed(&self, list: &AttachedList, at_most: Duration) {
        let since: u64 = list.resource_version.parse().unwrap_or_default();
        self.until(at_most, |world| {
            (world.api.attachments_version() > since).then_some(())
        })
        .await;
    }

    async fn node_changed(&self, node: &NodeName, at_most: Duration) {
        let since = self.look(|world| world.api.node_version(node));
        self.until(at_most, |world| {
            (world.api.node_version(node) != since).then_some(())
        })
        .await;
    }
}
