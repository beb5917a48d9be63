//! Whether the cluster is fit to be upgraded: etcd, nodes, disks, clocks. Pods that would not leave are for `plan::drains`,
//! what is known to break on the way to a minor for `plan::hazards`.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::reason::Reason;
use super::view::{HostView, View};
use crate::cluster::facts::Facts;
use crate::cluster::model::{HostName, Role};
use crate::documents::settings::{UnmanagedPods, Upgrade};
use crate::host::judge::CLOCKS_APART_S;
use crate::rules::eviction::Policy;

const MIB: u64 = 1 << 20;

/// etcd's directory holds the snapshot and its trial restoration beside the database itself, which may grow meanwhile.
const ETCD_TIMES: u64 = 3;
/// What etcd's directory needs besides: a write-ahead log is allocated 64 MB at a time.
const ETCD_BASE: u64 = 256 * MIB;
/// No database is reckoned to be smaller.
const SMALL_DATABASE: u64 = 64 * MIB;
/// kubeadm copies etcd's whole directory to `/etc/kubernetes/tmp`: the database, and up to five logs of 64 MB.
const KUBEADM_BACKUP_BASE: u64 = 384 * MIB;
/// A release's images on a control plane, unpacked: five of its own, CoreDNS and kube-proxy.
const CONTROL_PLANE_IMAGES: u64 = 1024 * MIB;
/// kube-proxy, CoreDNS and pause.
const WORKER_IMAGES: u64 = 512 * MIB;
/// Three packages in the cache: some 60 MB, and as much again for lists.
const PACKAGE_CACHE: u64 = 256 * MIB;
/// The binaries of three packages beside the old ones while they are replaced.
const BINARIES: u64 = 256 * MIB;

/// Room that a host must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// The directory.
    pub directory: String,
    /// Bytes.
    pub bytes: u64,
    /// What for.
    pub why: &'static str,
}

/// The room that a host needs for its upgrade, in the directories that its facts know. Directories of one file system
/// share its room, and each is judged alone: the sum would refuse hosts that are fit.
#[must_use]
pub fn room(view: &View<'_>, host: &HostView<'_>) -> Vec<Room> {
    let database = view
        .etcd
        .into_iter()
        .flat_map(|etcd| &etcd.members)
        .filter_map(|member| member.db_size)
        .max()
        .map_or(SMALL_DATABASE, grown);
    let of = |directory: &str, bytes, why| Room {
        directory: directory.to_owned(),
        bytes,
        why,
    };
    // Another runtime keeps its images elsewhere below /var/lib.
    let images = if host.disk_free.contains_key("/var/lib/containerd") {
        "/var/lib/containerd"
    } else {
        "/var/lib"
    };
    let mut rooms = vec![
        of("/usr", BINARIES, "the new binaries"),
        of("/var/cache", PACKAGE_CACHE, "the new packages"),
    ];
    match &host.instance {
        None => rooms.push(of(images, WORKER_IMAGES, "the new images")),
        Some(instance) => {
            rooms.push(of(images, CONTROL_PLANE_IMAGES, "the new images"));
            rooms.push(of(
                "/etc/kubernetes",
                database.saturating_add(KUBEADM_BACKUP_BASE),
                "kubeadm's copy of etcd's directory",
            ));
            // Where etcd keeps its data elsewhere, its file system was not looked at under that name.
            let directory = if host.disk_free.contains_key(&instance.etcd_data) {
                instance.etcd_data.as_str()
            } else {
                "/var/lib/etcd"
            };
            rooms.push(of(
                directory,
                database
                    .saturating_mul(ETCD_TIMES)
                    .saturating_add(ETCD_BASE),
                "etcd's snapshot and its trial restoration",
            ));
        }
    }
    rooms.sort_by(|a, b| a.directory.cmp(&b.directory));
    rooms
}

/// What a database is reckoned to be: up to a quarter more than it is, in steps, for it grows with every write, and a plan that
/// was reviewed must not be another one for that.
const fn grown(database: u64) -> u64 {
    if database <= SMALL_DATABASE {
        return SMALL_DATABASE;
    }
    let step = (1 << database.ilog2()) / 4;
    database.div_ceil(step).saturating_mul(step)
}

/// Whether facts are too old for a plan made at `at`.
#[must_use]
pub fn too_old(facts: &Facts, at: Timestamp, max: std::time::Duration) -> Option<Reason> {
    let age = at.as_second().saturating_sub(facts.observed_at.as_second());
    let max_s = max.as_secs();
    (u64::try_from(age).unwrap_or(0) > max_s).then_some(Reason::FactsTooOld {
        observed_at: facts.observed_at,
        at,
        max_s,
    })
}

/// What keeps an upgrade from beginning: on the cluster, on every host, and on the hosts that are touched.
#[must_use]
pub fn fitness(view: &View<'_>, touched: &BTreeSet<&HostName>) -> Vec<Reason> {
    let mut reasons = etcd(view);
    for host in &view.hosts {
        if !host.node.ready {
            reasons.push(Reason::NodeNotReady {
                node: host.node.name.clone(),
            });
        }
        if let Some(operation) = host.operation {
            reasons.push(Reason::OperationUnderWay {
                host: host.name().clone(),
                operation: operation.to_owned(),
            });
        }
        if touched.contains(host.name()) {
            on_host(&mut reasons, view, host);
        }
    }
    reasons
}

fn etcd(view: &View<'_>) -> Vec<Reason> {
    let mut reasons = Vec::new();
    if view.kubeadm_config.external_etcd {
        reasons.push(Reason::EtcdExternal);
    }
    let Some(etcd) = view.etcd else {
        return reasons;
    };
    for member in &etcd.members {
        if !member.healthy {
            reasons.push(Reason::EtcdMember {
                name: member.name.clone(),
            });
        } else if member.db_size.is_none() {
            // How much room etcd's directories need is a multiple of it.
            reasons.push(Reason::Unknown {
                place: "etcd".to_owned(),
                what: format!("the size of {}'s database", member.name),
                error: "the member is healthy, and did not tell its status".to_owned(),
            });
        }
    }
    let control_planes = view.control_planes().count();
    if etcd.members.len() < control_planes {
        reasons.push(Reason::EtcdTooFew {
            members: etcd.members.len(),
            control_planes,
        });
    }
    reasons
}

fn on_host(reasons: &mut Vec<Reason>, view: &View<'_>, host: &HostView<'_>) {
    let name = || host.name().clone();
    if let Some(trouble) = &host.packages.trouble {
        reasons.push(Reason::PackageTrouble {
            host: name(),
            trouble: trouble.clone(),
        });
    }
    for Room {
        directory,
        bytes,
        why,
    } in room(view, host)
    {
        match host.disk_free.get(&directory) {
            None => reasons.push(Reason::Unknown {
                place: host.name().to_string(),
                what: format!("how much is free in {directory}"),
                error: "the facts do not have it".to_owned(),
            }),
            Some(&free) if free < bytes => reasons.push(Reason::DiskTooSmall {
                host: name(),
                directory,
                free,
                needed: bytes,
                why,
            }),
            Some(_) => {}
        }
    }
    if host.clock_offset_s.abs() > CLOCKS_APART_S {
        reasons.push(Reason::ClockOff {
            host: name(),
            offset_s: host.clock_offset_s,
        });
    }
}

/// kubeadm rolls kube-proxy unless told to skip it.
#[must_use]
pub fn rolls_kube_proxy(upgrade: &Upgrade) -> bool {
    !upgrade
        .kubeadm
        .skip_phases
        .iter()
        .any(|phase| phase == "addon" || phase == "addon/kube-proxy")
}

/// What the declaration lets a drain do.
#[must_use]
pub const fn policy(upgrade: &Upgrade) -> Policy<'_> {
    Policy {
        delete_empty_dir_data: upgrade.drain.delete_empty_dir_data,
        evict_unmanaged_pods: match upgrade.drain.unmanaged_pods {
            UnmanagedPods::Refuse => false,
            UnmanagedPods::Evict => true,
        },
        rules: upgrade.drain.rules.as_slice(),
    }
}

/// Whether this host is drained.
#[must_use]
pub const fn drains(role: Role, upgrade: &Upgrade) -> bool {
    match role {
        Role::ControlPlane => upgrade.control_plane.drain,
        Role::Worker => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_that_grows_a_little_needs_no_other_room() {
        for (is, reckoned) in [
            (0, 64),
            (2, 64),
            (64, 64),
            (65, 80),
            (80, 80),
            (81, 96),
            (2000, 2048),
            (2049, 2560),
        ] {
            assert_eq!(grown(is * MIB), reckoned * MIB, "{is}");
        }
        assert_eq!(grown(65 * MIB), grown(65 * MIB + 12_345_678));
        assert_eq!(grown(u64::MAX), u64::MAX);
    }
}
