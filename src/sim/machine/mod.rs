//! A host of the simulation: what is installed there, what runs, what its files say, and what happens to it.
//!
//! What can be seen of a machine is kept as the very facts that `refit inspect` records of it, so that the answers to
//! questions ([`answer`]) print what is there and nothing else; what cannot be seen (a locked package database, a cut cable,
//! a snapshot's content) stands beside them. Changes are phases, each with its own end (`phase`), in the machine's one unit
//! (`unit`), with the semantics of `host::unit`: an operation that has ended is never run again under its name, another one is
//! refused while one is under way, and one that a power cut ended is lost. What the cluster sees of it leaves as effects.

pub mod answer;
mod begin;
mod fail;
mod kubeadm;
mod manifest;
mod pace;
mod packages;
mod phase;
mod power;
mod rollback;
mod snapshot;
mod unit;
mod way_back;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::cluster::facts::{
    EtcdFacts, EtcdMember, ExternalReleases, Facts, HostFacts, Manifest, Observed,
};
use crate::cluster::model::{HostName, Node, NodeName, Role};
use crate::cluster::release::release_of_revision;
use crate::host::judge::sha256;
use crate::host::op::{OpRef, OpState, PackageRevision, archive_of};
use crate::ports::Token;
use crate::rules::version::Version;
use crate::sim::fault::{Fault, What};
use crate::sim::seam::View;

pub(super) use self::fail::verb;
pub use self::pace::Durations;
use self::snapshot::Snapshot;
use self::unit::Unit;

/// What Go's TLS says to whom a certificate that has expired is shown (golang/go `src/crypto/x509/verify.go`).
const EXPIRED: &str = "tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time \
                       2026-11-21T10:00:00Z is after 2026-11-20T08:15:30Z";

/// kubeadm's repository of images where the facts do not name one.
const IMAGES: &str = "registry.k8s.io";

/// One host.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Its name in the inventory.
    pub host: HostName,
    /// Its node's name.
    pub node: NodeName,
    /// What its node is for.
    pub role: Role,
    /// How long things take here.
    pub durations: Durations,
    /// Where SSH finds it, for words about it.
    address: String,
    /// What it says of itself.
    seen: HostFacts,
    /// Why nothing was seen of it; then it never answers.
    silent: Option<String>,
    /// What runs as its kubelet; none where none runs.
    kubelet: Option<Version>,
    /// The kubelet does not stay up, whoever starts it.
    kubelet_broken: bool,
    /// Stacked etcd, as it was seen; of this machine's own member, as it is.
    etcd: Observed<EtcdFacts>,
    /// What endpoints of external etcd say.
    external_etcd: ExternalReleases,
    /// Its static pods that do not run now, though their manifests are there.
    stopped: BTreeSet<String>,
    /// A member of etcd that is not healthy until then.
    etcd_sick_until: Option<Duration>,
    /// The cluster's own etcd image, which an upgrade leaves.
    custom_etcd: bool,
    /// Where kubeadm's images come from.
    image_repository: String,
    /// SHA-256 of files whose text matters to nobody: repositories and keys.
    files: BTreeMap<String, String>,
    /// Repository files whose lists were not fetched since.
    unfetched: BTreeSet<String>,
    /// Revisions in the package cache.
    cache: BTreeSet<PackageRevision>,
    /// Images in the runtime.
    images: BTreeSet<String>,
    /// Snapshots of etcd, by path.
    snapshots: BTreeMap<String, Snapshot>,
    /// A snapshot that has not passed its checks yet.
    new_snapshot: Option<(String, Snapshot)>,
    /// Manifests that kubeadm has moved away, by component.
    backups: BTreeMap<String, Manifest>,
    /// What kubeadm kept when it replaced manifests last, by component.
    kept: BTreeMap<String, Manifest>,
    /// Flags that kubeadm took out of the kubelet's file, with which it still runs.
    removed_flags: Vec<String>,
    /// dpkg was interrupted.
    half_installed: bool,
    /// Someone else has the package database until then.
    locked_until: Option<Duration>,
    /// Which program that is.
    locked_by: &'static str,
    /// No disk space is left until then.
    full_until: Option<Duration>,
    /// Its certificates have expired, and are renewed then.
    expired_until: Option<Duration>,
    /// Its network plugin does not answer the kubelet until then.
    no_network_until: Option<Duration>,
    /// sshd opens no further session until then.
    crowded_until: Option<Duration>,
    /// Nobody reaches it over SSH until then.
    cut_until: Option<Duration>,
    /// It has no power.
    off: bool,
    /// Starts since the world began.
    boots: u32,
    /// A hook has run here to its good end.
    hooked: bool,
    /// The way back from a snapshot.
    way_back: way_back::WayBack,
    /// UID of `kube-system`, where it was seen.
    cluster: String,
    /// What will go wrong here.
    faults: Vec<Fault>,
    unit: Unit,
    /// The highest token that it was told.
    token: Token,
}

/// Something that will happen on a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The phase of the operation under way ends; a number that is not the unit's own any more means nothing.
    Phase(u64),
    /// Power is back; not if it was lost again since.
    Boot(u32),
    /// The kubelet that was stopped starts again, in this boot.
    KubeletBack(u32),
    /// A kubelet of another minor ends the static pods that it does not know, in this boot.
    StaticPodsReplaced(u32),
    /// It starts them again.
    StaticPodsBack(u32),
    /// Its member of etcd answers again, in this boot.
    EtcdBack(u32),
    /// Its certificates are renewed, in this boot.
    Renewed(u32),
    /// Its network plugin answers again, in this boot.
    NetworkBack(u32),
    /// Something befalls it in the middle of this phase.
    Strike(u64, What),
    /// Faults that wait for this moment are due.
    Faults,
}

/// The hosts of a cluster as they were seen. Which node each is, its machine id tells; `nodes` tells it of others.
#[must_use]
pub fn machines(
    facts: &Facts,
    nodes: &BTreeMap<HostName, NodeName>,
    durations: Durations,
) -> BTreeMap<HostName, Machine> {
    let known: BTreeMap<&str, &Node> = facts
        .cluster
        .nodes
        .known()
        .into_iter()
        .flatten()
        .map(|node| (node.machine_id.as_str(), node))
        .collect();
    let by_name = |name: &str| {
        let all = facts.cluster.nodes.known().into_iter().flatten();
        all.into_iter().find(|node| node.name.as_str() == name)
    };
    let machine = |(host, seen): (&HostName, &Observed<HostFacts>)| {
        let by_id = seen
            .known()
            .and_then(|seen| seen.identity.known())
            .and_then(|identity| known.get(identity.machine_id.as_str()).copied());
        let node = match nodes.get(host) {
            Some(name) => by_name(name.as_str()),
            None => by_id.or_else(|| by_name(host.as_str())),
        };
        let name = nodes
            .get(host)
            .cloned()
            .or_else(|| node.map(|node| node.name.clone()))
            .unwrap_or_else(|| NodeName::new(host.as_str()));
        (
            host.clone(),
            Machine::of(facts, host, name, node, seen, durations),
        )
    };
    facts.hosts.iter().map(machine).collect()
}

impl Machine {
    fn of(
        facts: &Facts,
        host: &HostName,
        name: NodeName,
        node: Option<&Node>,
        seen: &Observed<HostFacts>,
        durations: Durations,
    ) -> Self {
        let (seen, silent) = match seen {
            Observed::Known(seen) => (seen.clone(), None),
            Observed::Unknown(why) => (nothing(why), Some(why.clone())),
        };
        let labelled = node.is_some_and(|node| {
            node.labels
                .contains_key("node-role.kubernetes.io/control-plane")
        });
        let role = if seen.control_plane.is_some() || (silent.is_some() && labelled) {
            Role::ControlPlane
        } else {
            Role::Worker
        };
        let config = facts.cluster.kubeadm_config.known();
        let image_repository = config.map_or_else(
            || IMAGES.to_owned(),
            |config| config.image_repository.clone(),
        );
        let kubelet = node.and_then(|node| node.kubelet_version.parse().ok());
        let mut machine = Self {
            host: host.clone(),
            node: name,
            role,
            durations,
            address: node
                .and_then(|node| node.internal_ips.first().cloned())
                .unwrap_or_else(|| host.to_string()),
            seen,
            silent,
            kubelet,
            kubelet_broken: false,
            etcd: facts.etcd.clone(),
            external_etcd: match &facts.external_etcd {
                Some(Observed::Known(releases)) => releases.clone(),
                Some(Observed::Unknown(_)) | None => ExternalReleases::new(),
            },
            stopped: BTreeSet::new(),
            etcd_sick_until: None,
            custom_etcd: config.is_some_and(|config| config.custom_etcd_image.is_some()),
            image_repository,
            files: BTreeMap::new(),
            unfetched: BTreeSet::new(),
            cache: BTreeSet::new(),
            images: BTreeSet::new(),
            snapshots: BTreeMap::new(),
            new_snapshot: None,
            backups: BTreeMap::new(),
            kept: BTreeMap::new(),
            removed_flags: Vec::new(),
            half_installed: false,
            locked_until: None,
            locked_by: "apt-get",
            expired_until: None,
            no_network_until: None,
            crowded_until: None,
            full_until: None,
            cut_until: None,
            off: false,
            boots: 0,
            hooked: false,
            way_back: way_back::WayBack::default(),
            cluster: facts.cluster.uid.known().cloned().unwrap_or_default(),
            faults: Vec::new(),
            unit: Unit::default(),
            token: Token(0),
        };
        if let Observed::Known(packages) = &mut machine.seen.packages {
            machine.half_installed = packages.trouble.is_some();
            for file in &mut packages.repositories {
                file.sha256 = digest(&file.sha256);
                machine.files.insert(file.path.clone(), file.sha256.clone());
            }
        }
        for offer in machine.seen.offers.values_mut() {
            if let Observed::Known(offer) = offer {
                offer.key_sha256 = digest(&offer.key_sha256);
            }
        }
        if let Observed::Known(sha256) = &mut machine.seen.kubelet_config {
            *sha256 = digest(sha256);
        }
        if let Observed::Known(patches) = &mut machine.seen.patches {
            for patch in patches.files.values_mut() {
                patch.sha256 = digest(&patch.sha256);
            }
        }
        if let Some(Observed::Known(manifests)) = machine
            .seen
            .control_plane
            .as_mut()
            .map(|own| &mut own.manifests)
        {
            for manifest in manifests.values_mut() {
                manifest.sha256 = digest(&manifest.sha256);
                machine.images.insert(manifest.image.clone());
            }
        }
        machine
    }

    /// Takes in a token; gives the highest that it was told.
    pub fn fence(&mut self, token: Token) -> Token {
        self.token = self.token.max(token);
        self.token
    }

    /// What will go wrong here, in the order given.
    pub fn expect(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    /// Why nobody reaches it over SSH at this moment, in the words of refit's own connection.
    #[must_use]
    pub fn unreachable(&self, now: Duration) -> Option<String> {
        let (host, address) = (&self.host, &self.address);
        if let Some(why) = &self.silent {
            return Some(why.clone());
        }
        if self.off {
            return Some(format!(
                "{host}: {address} port 22 cannot be reached over SSH: no route to host"
            ));
        }
        let lasts = |until: Option<Duration>| until.is_some_and(|until| until > now);
        if lasts(self.cut_until) {
            return Some(format!(
                "{host}: {address} port 22 cannot be reached over SSH: no answer in time"
            ));
        }
        lasts(self.crowded_until).then(|| {
            // openssh's `Session open refused by peer`, as the adapter tells it
            format!("{host}: sshd there opens no further session")
        })
    }

    /// Nobody ever reached it, or ever will again.
    #[must_use]
    pub const fn never_answered(&self) -> bool {
        self.silent.is_some()
    }

    /// Packages that are held there; none where they were not seen.
    #[must_use]
    pub fn holds(&self) -> BTreeSet<String> {
        let packages = self.seen.packages.known();
        packages
            .map(|packages| packages.held.iter().cloned().collect())
            .unwrap_or_default()
    }

    /// What is known of an operation.
    #[must_use]
    pub fn operation(&self, op: &OpRef) -> OpState {
        self.unit.state(op)
    }

    /// Size and SHA-256 of a snapshot, or of its archive.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<(u64, String)> {
        if let Some(snapshot) = self.snapshots.get(path) {
            return Some((snapshot.size, snapshot.sha256.clone()));
        }
        let of_archive = |(file, _): &(&String, &Snapshot)| archive_of(file) == path;
        let (_, snapshot) = self.snapshots.iter().find(of_archive)?;
        Some(snapshot.archive())
    }

    /// Whether its member of etcd answers.
    #[must_use]
    pub fn etcd_answers(&self, now: Duration) -> bool {
        !self.off
            && self.silent.is_none()
            && !self.stopped.contains("etcd")
            && self.etcd_sick_until.is_none_or(|until| until <= now)
    }

    /// Whether its API server answers: it runs, and so does the member of etcd that it asks.
    #[must_use]
    pub fn api_server_answers(&self, view: &View<'_>) -> bool {
        let Some(own) = &self.seen.control_plane else {
            return false;
        };
        let runs = own.api_server.known().is_some() && !self.stopped.contains("kube-apiserver");
        let member = match &self.etcd {
            Observed::Known(etcd) => {
                !etcd.members.iter().any(|member| self.has(member))
                    || (self.etcd_answers(view.now) && self.quorum(view))
            }
            Observed::Unknown(_) => true,
        };
        runs && !self.off && member && !self.expired(view.now)
    }

    /// Whether its certificates have expired.
    fn expired(&self, now: Duration) -> bool {
        self.expired_until.is_some_and(|until| until > now)
    }

    fn has(&self, member: &EtcdMember) -> bool {
        member.name == self.node.as_str()
    }

    /// Whether a member of etcd is healthy, wherever it is; one of a machine that nobody knows is as it was seen.
    fn healthy(&self, member: &EtcdMember, view: &View<'_>) -> bool {
        if self.has(member) {
            return member.healthy && self.etcd_answers(view.now);
        }
        let elsewhere = view.others.values().find(|other| other.has(member));
        member.healthy && elsewhere.is_none_or(|other| other.etcd_answers(view.now))
    }

    fn quorum(&self, view: &View<'_>) -> bool {
        let Observed::Known(etcd) = &self.etcd else {
            return true;
        };
        let voters = || etcd.members.iter().filter(|member| !member.learner);
        let healthy = voters().filter(|member| self.healthy(member, view)).count();
        healthy > voters().count() / 2
    }

    /// The release of a package that is installed.
    fn installed(&self, package: &str) -> Option<Version> {
        let packages = self.seen.packages.known()?;
        release_of_revision(packages.installed.get(package)?)
    }
}

/// A digest as it is; what a test wrote in the place of one becomes one.
fn digest(text: &str) -> String {
    if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        text.to_owned()
    } else {
        sha256(text.as_bytes())
    }
}

/// A host of which nothing is known.
fn nothing(why: &str) -> HostFacts {
    fn unknown<T>(why: &str) -> Observed<T> {
        Observed::Unknown(why.to_owned())
    }
    HostFacts {
        identity: unknown(why),
        root: unknown(why),
        packages: unknown(why),
        offers: BTreeMap::new(),
        kubeadm: unknown(why),
        cgroup: unknown(why),
        disk_free: unknown(why),
        clock_offset_s: unknown(why),
        kubelet_flags: unknown(why),
        kubelet_config: unknown(why),
        kubelet_command: unknown(why),
        instance_config: unknown(why),
        patches: unknown(why),
        operation: unknown(why),
        control_plane: None,
    }
}
