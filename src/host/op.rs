//! What can be asked of a host, and what can be done to it, as data.
//!
//! A [`Query`] only reads. A [`Mutation`] changes the host; it is the one definition from which its command
//! (`host::command`), its probe and the judgement of the probe's answer come, so that precheck, act and confirm cannot
//! drift apart. Nothing here runs anything.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::cluster::facts::{ExternalEtcd, PackageManager};
use crate::cluster::model::Role;
use crate::host::rollback::PutBack;
use crate::host::way_back::{Change, Places};
use crate::rules::version::{Minor, Version};

/// A command for a host. Every element of `argv` arrives as one argument, unchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// What it reads on standard input.
    pub stdin: Vec<u8>,
    /// Needs root.
    pub root: bool,
}

/// What a command left behind.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Output {
    /// Exit status.
    pub status: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// A package at an exact revision.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PackageRevision {
    /// Such as `kubelet`.
    pub name: String,
    /// As the package manager writes it, such as `1.35.4-1.1`.
    pub revision: String,
}

/// What `kubeadm upgrade` is told besides the version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KubeadmOptions {
    /// `--ignore-preflight-errors`.
    pub ignore_preflight_errors: Vec<String>,
    /// `--patches`.
    pub patches: Option<String>,
    /// `--skip-phases`.
    pub skip_phases: Vec<String>,
    /// `--etcd-upgrade`.
    pub etcd_upgrade: bool,
    /// `--certificate-renewal`.
    pub certificate_renewal: bool,
}

/// A question to a host. Never changes anything there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// Which machine it is, whether we are root there, cgroup mode, clock, disk free (in one go).
    Basics,
    /// Package manager, installed revisions, holds, repositories, what they offer.
    Packages,
    /// What another repository offers, seen through a private package list.
    Offer {
        /// What installs packages.
        manager: PackageManager,
        /// The repository's URL.
        url: String,
        /// Its key's URL, or the key itself.
        key: KeyText,
    },
    /// `kubeadm version`.
    KubeadmVersion,
    /// The kubelet's flags, configuration digest, and whether the running kubelet is the installed one.
    Kubelet,
    /// Static-pod manifests and stray files.
    Manifests,
    /// `kubeadm certs check-expiration`.
    Certificates,
    /// `/version` of the API server on this control plane, asked at its own address.
    ApiServerVersion,
    /// `/readyz` of the API server on this control plane, asked at its own address.
    ApiServerReady,
    /// What deprecated APIs the API server on this control plane was asked for, out of its own metrics.
    ApiUse,
    /// The static pods' manifests, and beside each the one that kubeadm writes from kubeadm-config for the same release, into
    /// a temporary directory.
    Generated {
        /// The host's node.
        node: String,
        /// kubeadm's directory of patches.
        patches: Option<String>,
    },
    /// kubeadm's patches.
    Patches {
        /// Their directory.
        directory: String,
    },
    /// Members, health, status and alarms of etcd, asked through this control plane's member.
    Etcd,
    /// `/version` of each endpoint of external etcd, asked from this control plane with what it shows there.
    ExternalEtcd(ExternalEtcd),
    /// Revisions installed and held (a light form of `Packages`).
    Installed {
        /// What installs packages.
        manager: PackageManager,
    },
    /// Digest of a repository file and of its key.
    Repository {
        /// The repository file.
        file: String,
        /// The key file.
        key_file: String,
    },
    /// Whether these packages are in the package cache at exactly these revisions.
    Prefetched {
        /// What installs packages.
        manager: PackageManager,
        /// The revisions.
        packages: Vec<PackageRevision>,
    },
    /// Whether a directory is there.
    Directory {
        /// Its path.
        path: String,
    },
    /// refit's snapshot files in a directory, and their age.
    LeftSnapshots {
        /// The directory.
        directory: String,
    },
    /// Status of a snapshot on the host: size and SHA-256 of its file and of its archive, etcdutl's verdict and release, the SHA-256
    /// of the cluster's authority.
    Snapshot {
        /// The snapshot's path.
        file: String,
    },
    /// How far a control plane is on the way back from a snapshot.
    WayBack(Places),
    /// What kubeadm kept of a control plane's manifests, and how its last operation there ended.
    KubeadmBackups,
    /// The user's own question whether a hook is done.
    HookCheck {
        /// Ends with 0 when nothing is left to do.
        argv: Vec<String>,
        /// Its environment variables.
        env: BTreeMap<String, String>,
        /// Seconds within which it must answer.
        within_s: u64,
    },
    /// Whether kubeadm's images of a release are in the runtime.
    Images {
        /// The release.
        version: Version,
        /// The repository of images.
        image_repository: String,
    },
}

/// A signing key, or where it is fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyText {
    /// Fetched by the host.
    Url(String),
    /// The key itself, ASCII-armoured.
    Text(String),
}

/// Something done to a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mutation {
    /// Keeps packages at their revision until released.
    HoldPackages {
        /// What installs packages.
        manager: PackageManager,
        /// Their names.
        packages: Vec<String>,
    },
    /// Ends holds that were not there before the run.
    ReleaseHolds {
        /// What installs packages.
        manager: PackageManager,
        /// Their names.
        packages: Vec<String>,
    },
    /// Points the host at the repository of a minor: key, file, package lists.
    SwitchRepository {
        /// What installs packages.
        manager: PackageManager,
        /// The minor.
        minor: Minor,
        /// The repository file, replaced as a whole.
        file: String,
        /// Its new text.
        content: String,
        /// Where the key goes.
        key_file: String,
        /// The key.
        key: KeyText,
        /// What the key's SHA-256 must be.
        key_sha256: String,
    },
    /// Downloads packages into the package cache.
    PrefetchPackages {
        /// What installs packages.
        manager: PackageManager,
        /// Exact revisions.
        packages: Vec<PackageRevision>,
    },
    /// Installs packages (kubeadm) at exact revisions and holds them.
    InstallPackages {
        /// What installs packages.
        manager: PackageManager,
        /// Exact revisions.
        packages: Vec<PackageRevision>,
    },
    /// Installs kubelet and kubectl at exact revisions, holds them, restarts the kubelet.
    InstallKubelet {
        /// What installs packages.
        manager: PackageManager,
        /// Exact revisions.
        packages: Vec<PackageRevision>,
    },
    /// Pulls the images that the installed kubeadm needs.
    PullImages {
        /// The release.
        version: Version,
        /// The repository of images.
        image_repository: String,
    },
    /// `kubeadm upgrade apply`, on the first control plane.
    KubeadmApply {
        /// The release.
        version: Version,
        /// What else it is told.
        options: KubeadmOptions,
    },
    /// `kubeadm upgrade node`, on every other node.
    KubeadmNode {
        /// Control plane or worker.
        role: Role,
        /// The release of the installed kubeadm, which it upgrades to.
        version: Version,
        /// What else it is told.
        options: KubeadmOptions,
    },
    /// A command of the user's own.
    Hook {
        /// The command.
        argv: Vec<String>,
        /// Its environment variables.
        env: BTreeMap<String, String>,
    },
    /// Saves a snapshot of etcd to a file on the host, checks its status, restores it for trial; beside it, in an archive, what
    /// it does not hold and is nothing without ([`archive_of`]).
    SaveSnapshot {
        /// The file to write, inside etcd's data directory.
        file: String,
        /// Whether to restore it into a scratch directory.
        trial_restore: bool,
    },
    /// Removes a snapshot and its archive, which have been copied away.
    RemoveSnapshot {
        /// The file.
        file: String,
    },
    /// Removes what runs that were killed left of their snapshots.
    RemoveLeftSnapshots {
        /// Where they are.
        directory: String,
        /// Their names there.
        files: Vec<String>,
    },
    /// A part of the way back from a snapshot.
    WayBack(Change),
    /// Puts manifests back that kubeadm replaced.
    PutBack(PutBack),
}

/// The archive beside a snapshot: `/etc/kubernetes/pki`, and the API server's encryption configuration where it has one.
#[must_use]
pub fn archive_of(snapshot: &str) -> String {
    format!("{}.tar", snapshot.strip_suffix(".db").unwrap_or(snapshot))
}

/// Where the world stands with respect to a mutation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Done already.
    Done,
    /// Not done; may be done now.
    Ready,
    /// What it would do cannot be told from the outside: only its recorded outcome tells whether it was done, and doing
    /// it again is safe.
    Untold,
    /// Neither: something is there that the plan does not expect.
    Mismatch(String),
}

/// A mutation's name on the host: which run, which step.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OpRef {
    /// The run's id.
    pub run: String,
    /// The step's id, with a suffix where a step has several mutations or attempts.
    pub op: String,
}

/// What a host knows of a mutation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpState {
    /// Never started there.
    Absent,
    /// Under way.
    Running,
    /// It began, and ended without an outcome: the host was cut off or rebooted meanwhile.
    Lost,
    /// It ended.
    Ended(OpEnd),
}

/// How a mutation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpEnd {
    /// Exit status.
    pub status: i32,
    /// The end of what it printed.
    pub output: String,
    /// How long it took on the host, in milliseconds.
    pub took_ms: u64,
}

/// A command's output that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unexpected answer from `{command}`: {problem}")]
pub struct AnswerError {
    /// The command, shortened.
    pub command: String,
    /// What is wrong with it.
    pub problem: String,
}

/// Bytes free, by directory; exported for preflight thresholds.
pub type DiskFree = BTreeMap<String, u64>;
