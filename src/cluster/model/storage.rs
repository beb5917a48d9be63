//! Volumes of plugins that were once part of Kubernetes, and the drivers that took their place.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// So many users of a plugin are named.
pub const NAMED: usize = 5;

/// In-tree volume plugins that are gone, or will be, as PersistentVolumes (`spec.awsElasticBlockStore`) and StorageClasses
/// (`provisioner`) name them. `hostPath`, `local`, `nfs`, `iscsi` and `fc` are part of Kubernetes still.
///
/// Source: kubernetes/api `core/v1/types.go`, `PersistentVolumeSource`; kubernetes/csi-translation-lib `plugins`.
pub const IN_TREE: [(&str, &str); 15] = [
    ("awsElasticBlockStore", "kubernetes.io/aws-ebs"),
    ("azureDisk", "kubernetes.io/azure-disk"),
    ("azureFile", "kubernetes.io/azure-file"),
    ("cephfs", "kubernetes.io/cephfs"),
    ("cinder", "kubernetes.io/cinder"),
    ("flocker", "kubernetes.io/flocker"),
    ("gcePersistentDisk", "kubernetes.io/gce-pd"),
    ("glusterfs", "kubernetes.io/glusterfs"),
    ("photonPersistentDisk", "kubernetes.io/photon-pd"),
    ("portworxVolume", "kubernetes.io/portworx-volume"),
    ("quobyte", "kubernetes.io/quobyte"),
    ("rbd", "kubernetes.io/rbd"),
    ("scaleIO", "kubernetes.io/scaleio"),
    ("storageos", "kubernetes.io/storageos"),
    ("vsphereVolume", "kubernetes.io/vsphere-volume"),
];

/// What is stored by means of in-tree plugins.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Storage {
    /// Who uses which plugin, by the name that PersistentVolumes have for it.
    pub in_tree: BTreeMap<String, InTreeUse>,
    /// Names of the CSI drivers that are installed.
    pub csi_drivers: BTreeSet<String>,
}

/// Who uses an in-tree plugin.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InTreeUse {
    /// How many PersistentVolumes and StorageClasses.
    pub count: usize,
    /// The first [`NAMED`] of them, such as `PersistentVolume data-0`.
    pub named: BTreeSet<String>,
}

impl Storage {
    /// Counts another user of a plugin.
    pub fn uses(&mut self, plugin: &str, user: String) {
        let used = self.in_tree.entry(plugin.to_owned()).or_default();
        used.count += 1;
        used.named.insert(user);
        if used.named.len() > NAMED {
            used.named.pop_last();
        }
    }
}
