//! The control planes as a restore needs them: asked one by one over SSH, because no API may answer any more.
//!
//! What the API says, where it does, is held against it: another cluster, or a member that nobody knows, is no way back.

use std::collections::BTreeMap;

use futures::future::join_all;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::facts::{Manifest, Observed};
use super::model::{HostName, NodeName, Role};
use super::release::release_of_image;
use crate::documents::settings::{Host, Inventory};
use crate::host::op::Query;
use crate::host::parse;
use crate::host::way_back::{Member, Places};
use crate::ports::World;
use crate::rules::version::Version;

/// What the control planes say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Members {
    /// When they were asked.
    pub observed_at: Timestamp,
    /// Each control plane of the inventory.
    pub hosts: BTreeMap<HostName, Observed<MemberFacts>>,
    /// UID of `kube-system`, where an API answers.
    pub cluster_uid: Observed<String>,
    /// The names of etcd's members, where one of them answers.
    pub members: Observed<Vec<String>>,
}

/// What one control plane says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberFacts {
    /// Its node, as the inventory has it.
    pub node: NodeName,
    /// `/etc/machine-id`.
    pub machine_id: String,
    /// The operation of refit that is under way there, if any.
    pub operation: Option<String>,
    /// Its member of stacked etcd.
    pub member: Member,
    /// etcd's data directory.
    pub data: String,
    /// The release of its member, out of its image: `3.6.5`.
    pub etcd: String,
    /// The members that it was told to begin with.
    pub initial_cluster: Vec<String>,
    /// The release of its API server, out of its image.
    pub api_server: Version,
    /// SHA-256 of `/etc/kubernetes/pki/ca.crt`.
    pub authority_sha256: String,
    /// Bytes free in the data directory.
    pub free: u64,
}

/// Asks all control planes of the inventory, side by side.
pub async fn look(world: World<'_>, inventory: &Inventory) -> Members {
    let observed_at = world.clock.now();
    let control_planes: Vec<&Host> = inventory
        .hosts
        .values()
        .filter(|host| host.role == Role::ControlPlane)
        .collect();
    let each = control_planes.iter().map(|host| async {
        let facts = match member(world, host).await {
            Ok(facts) => Observed::Known(facts),
            Err(why) => Observed::Unknown(why),
        };
        (host.name.clone(), facts)
    });
    let (hosts, uid) = futures::join!(join_all(each), world.api.cluster_uid());
    let mut members = Observed::Unknown("no member of etcd could be asked".to_owned());
    for host in &control_planes {
        let answer = match world.hosts.query(&host.name, &Query::Etcd).await {
            Ok(output) => parse::etcd(&output).map_err(|error| error.to_string()),
            Err(failure) => Err(failure.to_string()),
        };
        match answer {
            Ok(etcd) => {
                let names = etcd.members.into_iter().map(|member| member.name);
                members = Observed::Known(names.collect());
                break;
            }
            Err(why) => members = Observed::Unknown(why),
        }
    }
    Members {
        observed_at,
        hosts: hosts.into_iter().collect(),
        cluster_uid: match uid {
            Ok(uid) => Observed::Known(uid),
            Err(failure) => Observed::Unknown(failure.to_string()),
        },
        members,
    }
}

async fn member(world: World<'_>, host: &Host) -> Result<MemberFacts, String> {
    let name = &host.name;
    let ask = async |query: Query| {
        let asked = world.hosts.query(name, &query).await;
        asked.map_err(|failure| failure.to_string())
    };
    let wrong = |error: crate::host::op::AnswerError| format!("{name}: {error}");
    let basics = parse::basics(&ask(Query::Basics).await?).map_err(wrong)?;
    basics.root.map_err(wrong)?;
    let manifests = parse::manifests(&ask(Query::Manifests).await?)
        .map_err(wrong)?
        .files;
    let manifest = |file: &str| {
        manifests
            .get(file)
            .ok_or_else(|| format!("{name}: it has no {file}"))
    };
    let etcd = manifest("etcd.yaml")?;
    let flag = |flag: &str| -> Result<String, String> {
        value(etcd, flag).ok_or_else(|| format!("{name}: its member of etcd has no --{flag}"))
    };
    let data = flag("data-dir")?;
    let found = ask(Query::WayBack(Places::within(&data))).await?;
    let found = parse::way_back(&found).map_err(wrong)?;
    let image = &manifest("kube-apiserver.yaml")?.image;
    let members = value(etcd, "initial-cluster").unwrap_or_default();
    Ok(MemberFacts {
        node: host.node.clone(),
        machine_id: basics.identity.map_err(wrong)?.machine_id,
        operation: basics.operation.map_err(wrong)?,
        member: Member {
            name: flag("name")?,
            peer_url: flag("initial-advertise-peer-urls")?,
        },
        data,
        etcd: tag(&etcd.image)
            .ok_or_else(|| format!("{name}: the image {} tells no release of etcd", etcd.image))?,
        initial_cluster: members
            .split(',')
            .filter_map(|one| Some(one.split_once('=')?.0.to_owned()))
            .collect(),
        api_server: release_of_image(image)
            .ok_or_else(|| format!("{name}: the image {image} tells no release"))?,
        authority_sha256: found
            .authority_sha256
            .ok_or_else(|| format!("{name}: there is no /etc/kubernetes/pki/ca.crt"))?,
        free: found.free,
    })
}

fn value(manifest: &Manifest, flag: &str) -> Option<String> {
    let start = format!("--{flag}=");
    let of = |text: &String| text.strip_prefix(&start).map(str::to_owned);
    manifest.flags.iter().find_map(of)
}

/// `3.6.5` of `registry.k8s.io/etcd:v3.6.5-0`.
fn tag(image: &str) -> Option<String> {
    let image = image.split_once('@').map_or(image, |(image, _)| image);
    let (_, tag) = image
        .rsplit_once('/')
        .unwrap_or(("", image))
        .1
        .split_once(':')?;
    let release = tag.trim_start_matches('v').split('-').next()?;
    let numbers: Vec<&str> = release.split('.').collect();
    let plain = numbers.len() == 3 && numbers.iter().all(|part| part.parse::<u32>().is_ok());
    plain.then(|| release.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_tells_its_release_by_its_image() {
        let of = |image: &str| tag(image);
        assert_eq!(of("registry.k8s.io/etcd:3.6.5-0").as_deref(), Some("3.6.5"));
        assert_eq!(of("local:5000/x/etcd:v3.5.24").as_deref(), Some("3.5.24"));
        assert_eq!(of("local:5000/etcd"), None);
        assert_eq!(of("etcd:latest"), None);
    }
}
