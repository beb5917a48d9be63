//! The catalogue: entries as data, read strictly, and what holds for each of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use crate::cluster::model::storage::IN_TREE;
use crate::rules::version::{Minor, Version};

/// The files that come with refit, each with its name for errors.
const BUILT_IN: &[(&str, &str)] = &[
    ("cluster.yaml", include_str!("data/cluster.yaml")),
    ("dns.yaml", include_str!("data/dns.yaml")),
    ("etcd.yaml", include_str!("data/etcd.yaml")),
    ("flags.yaml", include_str!("data/flags.yaml")),
    ("gates.yaml", include_str!("data/gates.yaml")),
    ("hosts.yaml", include_str!("data/hosts.yaml")),
    ("kubeadm.yaml", include_str!("data/kubeadm.yaml")),
    ("volumes.yaml", include_str!("data/volumes.yaml")),
];

/// What goes into a file of hazards.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    hazards: Vec<Hazard>,
}

/// Something known to break.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Hazard {
    /// Lower-case words with hyphens; risks are accepted by it.
    pub id: String,
    /// The minors on the way to which it threatens.
    pub hops: Hops,
    /// It threatens upgrades within one of these minors too.
    #[serde(default)]
    pub patches: bool,
    /// The first release of the target's minor in which it is mended.
    pub fixed_in: Option<Version>,
    /// How bad it is.
    pub severity: Severity,
    /// False where the upgrade could not succeed anyway, so that nobody may answer for it.
    #[serde(default = "yes")]
    pub acceptable: bool,
    /// What breaks, in one sentence without its full stop.
    pub breaks: String,
    /// How facts show it.
    pub detector: Detector,
    /// What helps, likewise.
    pub remedy: String,
    /// Where upstream says so.
    pub source: String,
}

const fn yes() -> bool {
    true
}

/// How bad a hazard is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// No plan while it is there.
    Blocking,
    /// A note of the plan.
    Advisory,
}

/// The minors that hops lead to: `1.35`, `1.35..` or `1.31..1.33`, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hops {
    first: Minor,
    last: Option<Minor>,
}

impl Hops {
    /// Whether a hop to this minor is among them.
    #[must_use]
    pub fn contains(self, minor: Minor) -> bool {
        minor >= self.first && self.last.is_none_or(|last| minor <= last)
    }

    /// The first of them.
    #[must_use]
    pub const fn first(self) -> Minor {
        self.first
    }
}

impl fmt::Display for Hops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.last {
            None => write!(f, "{}..", self.first),
            Some(last) if last == self.first => write!(f, "{last}"),
            Some(last) => write!(f, "{}..{last}", self.first),
        }
    }
}

impl FromStr for Hops {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let minor = |text: &str| text.parse::<Minor>().map_err(|error| error.to_string());
        let (first, last) = match text.split_once("..") {
            None => (minor(text)?, Some(minor(text)?)),
            Some((first, "")) => (minor(first)?, None),
            Some((first, last)) => (minor(first)?, Some(minor(last)?)),
        };
        if last.is_some_and(|last| last < first) {
            return Err(format!("`{text}` ends before it begins"));
        }
        Ok(Self { first, last })
    }
}

impl TryFrom<String> for Hops {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Hops> for String {
    fn from(hops: Hops) -> Self {
        hops.to_string()
    }
}

/// Where a flag or a feature gate is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Where {
    /// Static pods: kubeadm-config's `extraArgs`, and kubeadm's patches.
    StaticPods,
    /// The kubelet's flags in kubeadm's flags file.
    KubeletFlagsFile,
    /// Flags of the running kubelet that are not in that file.
    KubeletCommand,
    /// `kube-system/kubelet-config`, and kubeadm's patches of it.
    KubeletConfig,
}

/// How facts show a hazard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    rename_all = "kebab-case",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum Detector {
    /// A member of stacked etcd is older, and kubeadm is to upgrade it.
    EtcdMemberBelow {
        /// The oldest release that will do.
        release: Version,
    },
    /// A member of external etcd is older, as far as its endpoints are those that kubeadm-config names.
    ExternalEtcdBelow {
        /// The oldest release that will do.
        release: Version,
    },
    /// A member of stacked etcd does not vote.
    EtcdLearner,
    /// etcd has raised an alarm.
    EtcdAlarm,
    /// kubeadm-config sets etcd's image.
    EtcdImage,
    /// kubeadm-config sets CoreDNS's image.
    DnsImage,
    /// There is no kube-proxy, and kubeadm is told neither by the declaration nor by kubeadm-config to leave it out.
    KubeProxyRemoved,
    /// A host is on cgroup v1, and kubeadm's check of it is not ignored.
    CgroupV1Checked,
    /// A host is on cgroup v1, and kubelet-config does not set `failCgroupV1: false`.
    CgroupV1Kubelet,
    /// A node runs an older release of this container runtime.
    RuntimeBelow {
        /// Its name, such as `containerd`.
        runtime: String,
        /// The oldest release that will do.
        release: Version,
    },
    /// A component is given one of these flags.
    Flags {
        /// Where.
        places: BTreeSet<Where>,
        /// The static pods concerned; all of them when empty.
        #[serde(default)]
        components: BTreeSet<String>,
        /// Names with their hyphens; a `*` at the end stands for anything.
        flags: BTreeSet<String>,
    },
    /// A component is given this flag with another value than these.
    FlagValue {
        /// Where.
        places: BTreeSet<Where>,
        /// The static pods concerned; all of them when empty.
        #[serde(default)]
        components: BTreeSet<String>,
        /// Its name with its hyphens.
        flag: String,
        /// The values that are no harm.
        allowed: BTreeSet<String>,
    },
    /// A component is given one of these feature gates, with whatever value.
    FeatureGates {
        /// Where.
        places: BTreeSet<Where>,
        /// Names.
        gates: BTreeSet<String>,
    },
    /// A component is given one of these feature gates with another value than this.
    LockedGates {
        /// Where.
        places: BTreeSet<Where>,
        /// The value that each is locked to.
        gates: BTreeMap<String, bool>,
    },
    /// kubeadm-config has one of these feature gates of kubeadm's own.
    KubeadmGates {
        /// Names.
        gates: BTreeSet<String>,
    },
    /// All pods that answer a webhook without which the upgrade cannot go on may be drained at once.
    WebhookDrainedAway,
    /// Nobody answers a webhook without which the upgrade cannot go on.
    WebhookWithoutBackend,
    /// A webhook decides on evictions or on nodes.
    WebhookOnDrains,
    /// Volumes or storage classes use one of these in-tree plugins, and the CSI driver that takes its place is not installed.
    InTreeVolumes {
        /// Their names in PersistentVolumes, such as `awsElasticBlockStore`.
        plugins: BTreeSet<String>,
        /// The driver that the hop redirects to; none where nothing takes the plugin's place.
        driver: Option<String>,
    },
    /// The Corefile uses another plugin than these, and kubeadm's check of it is not ignored.
    CorefilePlugins {
        /// Those that kubeadm knows how to migrate.
        known: BTreeSet<String>,
    },
    /// CoreDNS is newer than the release that kubeadm installs, and kubeadm's check of it is not ignored.
    DnsNewer {
        /// What kubeadm installs.
        release: Version,
    },
    /// An API server was asked for an API that the hop removes.
    RemovedApis,
    /// An API server was started so short a time ago that its count of requests says little.
    ApiServerYoung {
        /// Hours before the observation.
        hours: u32,
    },
    /// A manifest is not as kubeadm writes it for the same release.
    HandEdits,
    /// A file beside kubeadm's manifests is named after one of them.
    StrayManifest,
    /// A certificate ends within this time.
    CertificateEnds {
        /// Hours after the observation.
        hours: u32,
    },
    /// A certificate authority of kubeadm's ends within this time; kubeadm never renews those.
    AuthorityEnds {
        /// Days after the observation.
        days: u32,
    },
    /// kubeadm's `instance-config.yaml` is missing.
    NoInstanceConfig,
    /// kubeadm's flags file has no flags in it.
    NoKubeletFlags,
    /// A node has another name than its host.
    NodeName,
    /// Flags of kubelets of one role differ.
    KubeletFlagsDiffer,
    /// Configurations of kubelets of one role differ.
    KubeletConfigDiffers,
}

/// A file of hazards that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {problem}")]
pub struct CatalogueError {
    /// The file.
    pub file: String,
    /// What is wrong with it.
    pub problem: String,
}

/// All hazards known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Catalogue {
    hazards: Vec<Hazard>,
}

impl Catalogue {
    /// The hazards that come with refit.
    ///
    /// # Errors
    /// Never, as a test holds; the caller has no other way to say so than to pass it on.
    pub fn built_in() -> Result<Self, CatalogueError> {
        // Constant text, read once: a plan of several hops asks for it again and again.
        static READ: OnceLock<Result<Catalogue, CatalogueError>> = OnceLock::new();
        READ.get_or_init(|| {
            let mut catalogue = Self::default();
            for (file, text) in BUILT_IN {
                catalogue.add(file, text)?;
            }
            Ok(catalogue)
        })
        .clone()
    }

    /// Adds the hazards of one file.
    ///
    /// # Errors
    /// If it is not strictly of the format, an entry contradicts itself, or an id is taken.
    pub fn add(&mut self, file: &str, text: &str) -> Result<(), CatalogueError> {
        let wrong = |problem: String| CatalogueError {
            file: file.to_owned(),
            problem,
        };
        let read: File = serde_saphyr::from_str(text).map_err(|error| wrong(error.to_string()))?;
        for hazard in read.hazards {
            let id = hazard.id.clone();
            self.insert(hazard)
                .map_err(|problem| wrong(format!("`{id}`: {problem}")))?;
        }
        Ok(())
    }

    /// Adds one hazard.
    ///
    /// # Errors
    /// If it contradicts itself, or its `id` is taken; the words name the key concerned between backticks.
    pub fn insert(&mut self, hazard: Hazard) -> Result<(), String> {
        hazard.check()?;
        if self.get(&hazard.id).is_some() {
            return Err("its `id` is taken".to_owned());
        }
        self.hazards.push(hazard);
        Ok(())
    }

    /// By file, as written.
    pub fn iter(&self) -> impl Iterator<Item = &Hazard> {
        self.hazards.iter()
    }

    /// By its id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Hazard> {
        self.hazards.iter().find(|hazard| hazard.id == id)
    }
}

impl Hazard {
    /// Whether it threatens an upgrade from one minor to a release.
    #[must_use]
    pub fn threatens(&self, from: Minor, to: &Version) -> bool {
        let minor = to.minor();
        let mended = self
            .fixed_in
            .as_ref()
            .is_some_and(|fixed| fixed.minor() == minor && to >= fixed);
        self.hops.contains(minor) && (self.patches || from < minor) && !mended
    }

    fn check(&self) -> Result<(), String> {
        let id = self.id.as_str();
        let word = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.')
        };
        if !id.split('-').all(word) {
            return Err("an `id` is lower-case words with hyphens".to_owned());
        }
        for (name, text) in [("breaks", &self.breaks), ("remedy", &self.remedy)] {
            if text.trim().is_empty() || text.ends_with('.') || text.contains('\n') {
                return Err(format!("`{name}` is one line without a full stop"));
            }
        }
        if !self.source.starts_with("https://") || self.source.contains(char::is_whitespace) {
            return Err("`source` is an https URL".to_owned());
        }
        if let Some(fixed) = &self.fixed_in
            && !self.hops.contains(fixed.minor())
        {
            return Err(format!(
                "`fixedIn` is {fixed}, which is on none of its hops"
            ));
        }
        self.detector.check()
    }
}

impl Detector {
    fn check(&self) -> Result<(), String> {
        let nothing = |what: &str| Err(format!("its detector names no {what}"));
        match self {
            Self::Flags { places, flags, .. } => {
                if places.is_empty() {
                    return nothing("places");
                }
                if flags.is_empty() || !flags.iter().all(|flag| flag.starts_with("--")) {
                    return nothing("flags that begin with `--`");
                }
            }
            Self::FlagValue { places, flag, .. } => {
                if places.is_empty() || !flag.starts_with("--") {
                    return nothing("places or flag");
                }
            }
            Self::FeatureGates { places, gates } => {
                if places.is_empty() || gates.is_empty() {
                    return nothing("places or gates");
                }
            }
            Self::LockedGates { places, gates } => {
                if places.is_empty() || gates.is_empty() {
                    return nothing("places or gates");
                }
            }
            Self::KubeadmGates { gates } => {
                if gates.is_empty() {
                    return nothing("gates");
                }
            }
            Self::InTreeVolumes { plugins, .. } => {
                let known = |name: &String| IN_TREE.iter().any(|(known, _)| known == name);
                if plugins.is_empty() || !plugins.iter().all(known) {
                    return nothing("plugins that are known");
                }
            }
            Self::CorefilePlugins { known } => {
                if known.is_empty() {
                    return nothing("plugins");
                }
            }
            Self::RuntimeBelow { runtime, .. } => {
                if runtime.is_empty() {
                    return nothing("runtime");
                }
            }
            Self::EtcdMemberBelow { .. }
            | Self::ExternalEtcdBelow { .. }
            | Self::EtcdLearner
            | Self::EtcdAlarm
            | Self::EtcdImage
            | Self::DnsImage
            | Self::KubeProxyRemoved
            | Self::CgroupV1Checked
            | Self::CgroupV1Kubelet
            | Self::WebhookDrainedAway
            | Self::WebhookWithoutBackend
            | Self::WebhookOnDrains
            | Self::DnsNewer { .. }
            | Self::RemovedApis
            | Self::ApiServerYoung { .. }
            | Self::HandEdits
            | Self::StrayManifest
            | Self::CertificateEnds { .. }
            | Self::AuthorityEnds { .. }
            | Self::NoInstanceConfig
            | Self::NoKubeletFlags
            | Self::NodeName
            | Self::KubeletFlagsDiffer
            | Self::KubeletConfigDiffers => {}
        }
        Ok(())
    }
}
