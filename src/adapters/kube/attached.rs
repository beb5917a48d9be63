//! Which volumes are attached to a node, and which of its pods use them.
//!
//! Asks for VolumeAttachments of all nodes, for no field selects those of one; and for volumes and pods only where there are
//! some. An attachment that is not there yet, or that is for no PersistentVolume, is none.

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::storage::v1::VolumeAttachment;
use kube::api::Api;

use super::placement::claims;
use super::{Kube, on_node};
use crate::cluster::model::NodeName;
use crate::ports::{Attached, AttachedList, Failure};

impl Kube {
    pub(super) async fn attached_to(&self, node: &NodeName) -> Result<AttachedList, Failure> {
        let (all, resource_version) = self
            .list::<VolumeAttachment>(
                "listing VolumeAttachments",
                Api::all(self.client.clone()),
                None,
            )
            .await?;
        let mut names: Vec<String> = all
            .into_iter()
            .filter(|one| {
                let there = one.status.as_ref().is_some_and(|status| status.attached);
                there && one.spec.node_name == node.as_str()
            })
            .filter_map(|one| one.spec.source.persistent_volume_name)
            .collect();
        names.sort();
        names.dedup();
        let mut volumes = Vec::with_capacity(names.len());
        if !names.is_empty() {
            let pods = self
                .list::<core::Pod>(
                    &format!("listing pods of node {node}"),
                    Api::all(self.client.clone()),
                    Some(on_node(node)),
                )
                .await?
                .0;
            for volume in names {
                let claim = self.claim_of(&volume).await?;
                let pods = pods.iter().filter_map(|pod| {
                    let namespace = pod.metadata.namespace.as_deref()?;
                    let mut used = claims(pod).map(|name| format!("{namespace}/{name}"));
                    let name = pod.metadata.name.as_deref()?;
                    used.any(|used| Some(used) == claim)
                        .then(|| format!("{namespace}/{name}"))
                });
                let pods = pods.collect();
                volumes.push(Attached {
                    volume,
                    claim,
                    pods,
                });
            }
        }
        Ok(AttachedList {
            volumes,
            resource_version,
        })
    }

    /// The claim that a volume is bound to; none where there is none, or no such volume any more.
    async fn claim_of(&self, volume: &str) -> Result<Option<String>, Failure> {
        let all: Api<core::PersistentVolume> = Api::all(self.client.clone());
        let what = format!("reading PersistentVolume {volume}");
        match self.read(&what, || all.get(volume)).await {
            Ok(found) => {
                let claim = found.spec.and_then(|spec| spec.claim_ref);
                Ok(claim.and_then(|claim| Some(format!("{}/{}", claim.namespace?, claim.name?))))
            }
            Err(Failure::NotFound(_)) => Ok(None),
            Err(failure) => Err(failure),
        }
    }
}
