//! A plan that only takes a snapshot: no change of the cluster, and the same step as before an upgrade's first change.

use std::path::PathBuf;

use super::data::{Action, FORMAT, Limits, Plan};
use super::draft::{CLUSTER, Draft};
use super::pace;
use crate::cluster::drift;
use crate::cluster::facts::{Facts, HostFacts};
use crate::cluster::model::Role;
use crate::documents::settings::{Inventory, SnapshotPolicy};

/// What the plan is made from.
#[derive(Debug)]
pub struct Inputs<'a> {
    /// Who the hosts are.
    pub inventory: &'a Inventory,
    /// The name of what declares how snapshots are kept.
    pub name: &'a str,
    /// How they are kept.
    pub policy: &'a SnapshotPolicy,
    /// SHA-256 of the documents' texts.
    pub declaration_sha256: &'a str,
    /// What was observed.
    pub facts: &'a Facts,
}

/// Why no snapshot can be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoSnapshot {
    /// The API did not tell.
    #[error("which cluster this is, and at which release, is not known: {0}")]
    Cluster(String),
    /// No control plane of the inventory runs a member of etcd that could be asked.
    #[error("no control plane runs a member of stacked etcd that can be asked:\n{}", .0.join("\n"))]
    NoMember(Vec<String>),
}

impl Default for SnapshotPolicy {
    /// What holds where nothing is declared.
    fn default() -> Self {
        Self {
            directory: PathBuf::from(".refit/snapshots"),
            keep: 5,
            trial_restore: true,
            encrypt_to: Vec::new(),
        }
    }
}

/// The plan.
///
/// # Errors
/// If there is nobody to ask.
pub fn plan(inputs: &Inputs<'_>) -> Result<Plan, NoSnapshot> {
    let facts = inputs.facts;
    let uid = facts.cluster.uid.as_result().map_err(NoSnapshot::Cluster)?;
    let release = facts
        .cluster
        .api_version
        .as_result()
        .map_err(NoSnapshot::Cluster)?;
    let mut without = Vec::new();
    let mut member = None;
    for (name, host) in &inputs.inventory.hosts {
        if host.role != Role::ControlPlane || member.is_some() {
            continue;
        }
        match facts.hosts.get(name).map(|seen| seen.as_result()) {
            Some(Ok(seen)) => match data_directory(seen) {
                Ok(data) => member = Some((name, data)),
                Err(why) => without.push(format!("{name}: {why}")),
            },
            Some(Err(why)) => without.push(why),
            None => without.push(format!("{name}: it was not looked at")),
        }
    }
    let Some((host, data)) = member else {
        return Err(NoSnapshot::NoMember(without));
    };
    let mut draft = Draft::new(release);
    draft.step(
        CLUSTER,
        "snapshot-etcd",
        Action::SnapshotEtcd {
            host: host.clone(),
            file: snapshot_file(&data, ""),
            directory: inputs.policy.directory.to_string_lossy().into_owned(),
            keep: inputs.policy.keep,
            trial_restore: inputs.policy.trial_restore,
            encrypt_to: inputs.policy.encrypt_to.clone(),
        },
        &[],
        pace::SNAPSHOT,
        "it was asked for",
    );
    let basis = drift::basis(facts);
    Ok(Plan {
        format: FORMAT.to_owned(),
        upgrade: inputs.name.to_owned(),
        inventory: inputs.inventory.name.clone(),
        cluster_uid: uid.clone(),
        target: release.clone(),
        declaration_sha256: inputs.declaration_sha256.to_owned(),
        limits: Limits::none(),
        windows: None,
        facts_at: facts.observed_at,
        facts_fingerprint: drift::fingerprint(&basis),
        basis,
        notes: Vec::new(),
        steps: draft.into_steps(),
    })
}

/// Where a snapshot is saved on its host, in etcd's data directory: its pod shares no other one with the host.
#[must_use]
pub fn snapshot_file(data: &str, hop: &str) -> String {
    format!("{data}/refit-{{run}}{hop}.db")
}

/// Where the member of etcd that runs there keeps its data.
fn data_directory(seen: &HostFacts) -> Result<String, String> {
    let own = seen
        .control_plane
        .as_ref()
        .ok_or("no control plane runs there")?;
    let manifests = own.manifests.as_result()?;
    let manifest = manifests
        .get("etcd.yaml")
        .ok_or("no member of stacked etcd runs there")?;
    let flag = |flag: &String| flag.strip_prefix("--data-dir=").map(str::to_owned);
    Ok(manifest
        .flags
        .iter()
        .find_map(flag)
        .ok_or("its member of etcd has no --data-dir")?)
}

/// For facts that may be unknown.
trait Known<T> {
    /// The value, or why there is none.
    fn as_result(&self) -> Result<&T, String>;
}

impl<T> Known<T> for crate::cluster::facts::Observed<T> {
    fn as_result(&self) -> Result<&T, String> {
        match self {
            Self::Known(value) => Ok(value),
            Self::Unknown(why) => Err(why.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_has_its_run_in_its_name() {
        assert_eq!(
            snapshot_file("/var/lib/etcd", "-before-1.36"),
            "/var/lib/etcd/refit-{run}-before-1.36.db"
        );
    }
}
