//! One control plane as a rollback needs it: what kubeadm kept there, and what must not be newer than what goes back.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::model::{HostName, NodeName};
use super::release::release_of_image;
use crate::host::op::Query;
use crate::host::parse;
use crate::ports::World;
use crate::rules::version::Version;

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backups {
    /// When.
    pub observed_at: Timestamp,
    /// The control plane.
    pub host: HostName,
    /// `/etc/machine-id`.
    pub machine_id: String,
    /// What of refit or kubeadm is under way there, if anything.
    pub under_way: Option<String>,
    /// Where kubeadm kept what it replaced last.
    pub backup: Option<String>,
    /// What it kept, by static pod.
    pub kept: BTreeMap<String, Pod>,
    /// What is there now, by static pod.
    pub there: BTreeMap<String, Pod>,
    /// refit's last operation of kubeadm there, and its exit status, which there is none of where it was cut off.
    pub last: Option<(String, Option<i32>)>,
    /// UID of `kube-system`.
    pub cluster_uid: String,
    /// The release of every node's kubelet.
    pub kubelets: BTreeMap<NodeName, String>,
}

/// A static pod's manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pod {
    /// SHA-256 of its text.
    pub sha256: String,
    /// Its image.
    pub image: String,
    /// The release in that, where it is one of Kubernetes'.
    pub release: Option<Version>,
}

/// Asks the control plane and the API.
///
/// # Errors
/// If one of them does not tell: unknown means stop.
pub async fn look(world: World<'_>, host: &HostName) -> Result<Backups, String> {
    let observed_at = world.clock.now();
    let ask = async |query: Query| {
        let asked = world.hosts.query(host, &query).await;
        asked.map_err(|failure| failure.to_string())
    };
    let wrong = |error: crate::host::op::AnswerError| format!("{host}: {error}");
    let basics = parse::basics(&ask(Query::Basics).await?).map_err(wrong)?;
    basics.root.map_err(wrong)?;
    let found = parse::kubeadm_backups(&ask(Query::KubeadmBackups).await?).map_err(wrong)?;
    let uid = world.api.cluster_uid().await;
    let nodes = world.api.nodes().await;
    let unknown = |failure: crate::ports::Failure| format!("the API: {failure}");
    let pods = |all: BTreeMap<String, parse::KeptManifest>| {
        let pod = |(name, kept): (String, parse::KeptManifest)| {
            let pod = Pod {
                release: release_of_image(&kept.image),
                sha256: kept.sha256,
                image: kept.image,
            };
            (name, pod)
        };
        all.into_iter().map(pod).collect()
    };
    let busy = found.busy.then(|| "kubeadm".to_owned());
    Ok(Backups {
        observed_at,
        host: host.clone(),
        machine_id: basics.identity.map_err(wrong)?.machine_id,
        under_way: basics.operation.map_err(wrong)?.or(busy),
        backup: found.backup,
        kept: pods(found.kept),
        there: pods(found.there),
        last: found.last.map(|last| (last.op, last.status)),
        cluster_uid: uid.map_err(unknown)?,
        kubelets: nodes
            .map_err(unknown)?
            .into_iter()
            .map(|node| (node.name, node.kubelet_version))
            .collect(),
    })
}
