//! The detectors: whether the evidence shows a hazard, and where.

use std::collections::{BTreeMap, BTreeSet};

use super::catalogue::{Catalogue, Detector, Hazard};
use super::evidence::{Evidence, Host, Member, Seen};
use super::flags::{self, Given};
use crate::cluster::model::{HostName, Role};
use crate::rules::version::{Minor, Version};

/// The kubelet's flags that belong to one node.
const OF_ONE_NODE: [&str; 6] = [
    "--hostname-override",
    "--node-ip",
    "--node-labels",
    "--provider-id",
    "--register-with-taints",
    "--container-runtime-endpoint",
];

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// The hazard: a noun phrase that `on HOST` may follow.
    There(String),
    /// It could not be checked, and why.
    NotChecked(String),
}

/// Where something was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// The hosts; none when it is about the cluster.
    pub hosts: Vec<HostName>,
    /// What.
    pub what: What,
}

/// A hazard that is there, or could not be checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding<'c> {
    /// Which.
    pub hazard: &'c Hazard,
    /// Where, in the order of what was seen; never empty.
    pub sightings: Vec<Sighting>,
}

/// Every hazard that threatens this hop and that the evidence shows, or cannot rule out. In the catalogue's order.
#[must_use]
pub fn find<'c>(
    catalogue: &'c Catalogue,
    from: Minor,
    to: &Version,
    evidence: &Evidence<'_>,
) -> Vec<Finding<'c>> {
    catalogue
        .iter()
        .filter(|hazard| hazard.threatens(from, to))
        .filter_map(|hazard| {
            let mut seen = Sightings::default();
            seen.look(&hazard.detector, (from, to), evidence);
            let sightings = seen.into_list();
            (!sightings.is_empty()).then_some(Finding { hazard, sightings })
        })
        .collect()
}

/// Hosts by what was seen there.
#[derive(Default)]
pub(super) struct Sightings(BTreeMap<What, Vec<HostName>>);

impl Sightings {
    pub(super) fn there(&mut self, host: Option<&HostName>, what: impl Into<String>) {
        self.0
            .entry(What::There(what.into()))
            .or_default()
            .extend(host.cloned());
    }

    pub(super) fn not_checked(&mut self, host: Option<&HostName>, why: &str) {
        self.0
            .entry(What::NotChecked(why.to_owned()))
            .or_default()
            .extend(host.cloned());
    }

    fn into_list(self) -> Vec<Sighting> {
        self.0
            .into_iter()
            .map(|(what, mut hosts)| {
                hosts.sort();
                hosts.dedup();
                Sighting { hosts, what }
            })
            .collect()
    }

    fn look(
        &mut self,
        detector: &Detector,
        (from, to): (Minor, &Version),
        evidence: &Evidence<'_>,
    ) {
        match detector {
            Detector::EtcdMemberBelow { release } => {
                members(evidence)
                    .filter(|_| evidence.told.upgrades_etcd)
                    .for_each(|member| self.old_member(member, release));
            }
            Detector::ExternalEtcdBelow { release } => self.external(evidence, release),
            Detector::EtcdLearner => {
                for member in members(evidence).filter(|member| member.learner) {
                    let text = format!("etcd member {} is a learner", member.name);
                    self.there(None, text);
                }
            }
            Detector::EtcdAlarm => {
                let alarms = evidence.etcd.iter().flat_map(|etcd| etcd.alarms);
                for alarm in alarms {
                    self.there(None, format!("etcd has raised the alarm {alarm}"));
                }
            }
            Detector::EtcdImage => {
                if let Some(image) = evidence.config.etcd_image
                    && evidence.told.upgrades_etcd
                {
                    self.there(None, format!("kubeadm-config sets etcd's image ({image})"));
                }
            }
            Detector::DnsImage => {
                if let Some(image) = evidence.config.dns_image {
                    self.there(
                        None,
                        format!("kubeadm-config sets CoreDNS's image ({image})"),
                    );
                }
            }
            Detector::KubeProxyRemoved => {
                let left_out = !evidence.told.rolls_kube_proxy || evidence.config.proxy_disabled;
                if !evidence.kube_proxy && !left_out {
                    self.there(None, "the cluster has no DaemonSet kube-proxy");
                }
            }
            Detector::CgroupV1Checked => {
                if !evidence.told.ignores("SystemVerification") {
                    self.cgroup_v1(evidence);
                }
            }
            Detector::CgroupV1Kubelet => self.kubelet_on_cgroup_v1(evidence),
            Detector::RuntimeBelow { runtime, release } => {
                for host in &evidence.hosts {
                    self.old_runtime(host, runtime, release);
                }
            }
            Detector::Flags {
                places,
                components,
                flags: named,
            } => {
                for given in flags::given(evidence, places, components) {
                    self.named_flags(&given, named);
                }
            }
            Detector::FlagValue {
                places,
                components,
                flag,
                allowed,
            } => {
                for given in flags::given(evidence, places, components) {
                    self.flag_value(&given, flag, allowed);
                }
            }
            Detector::FeatureGates { places, gates } => {
                self.gates(evidence, places, |name, _| {
                    gates.contains(name).then(|| format!("feature gate {name}"))
                });
            }
            Detector::LockedGates { places, gates } => {
                self.gates(evidence, places, |name, value| {
                    let locked = *gates.get(name)?;
                    (value != Some(locked)).then(|| format!("feature gate {name} not {locked}"))
                });
            }
            Detector::KubeadmGates { gates } => {
                for name in evidence.config.feature_gates.keys() {
                    if gates.contains(*name) {
                        let text = format!("kubeadm-config's featureGates has {name}");
                        self.there(None, text);
                    }
                }
            }
            Detector::WebhookDrainedAway => self.webhooks_drained_away(evidence),
            Detector::WebhookWithoutBackend => self.webhooks_without_backend(evidence),
            Detector::WebhookOnDrains => self.webhooks_on_drains(evidence),
            Detector::InTreeVolumes { plugins, driver } => {
                self.in_tree_volumes(evidence, plugins, driver.as_deref());
            }
            Detector::CorefilePlugins { known } => self.corefile_plugins(evidence, known),
            Detector::DnsNewer { release } => self.dns_newer(evidence, release),
            Detector::RemovedApis => self.removed_apis(evidence, from, to.minor()),
            Detector::ApiServerYoung { hours } => self.young_api_servers(evidence, *hours),
            Detector::HandEdits => self.hand_edits(evidence),
            Detector::StrayManifest => self.stray_manifests(evidence),
            Detector::CertificateEnds { hours } => self.certificate_ends(evidence, *hours),
            Detector::AuthorityEnds { days } => self.authority_ends(evidence, *days),
            Detector::NoInstanceConfig => {
                for host in &evidence.hosts {
                    match host.instance_config {
                        Ok(true) => {}
                        Ok(false) => {
                            self.there(Some(host.name), "no /var/lib/kubelet/instance-config.yaml");
                        }
                        Err(why) => self.not_checked(Some(host.name), why),
                    }
                }
            }
            Detector::NoKubeletFlags => {
                for host in &evidence.hosts {
                    match host.kubelet_flags {
                        Ok([]) => self.there(
                            Some(host.name),
                            "no flags in /var/lib/kubelet/kubeadm-flags.env",
                        ),
                        Ok(_) => {}
                        Err(why) => self.not_checked(Some(host.name), why),
                    }
                }
            }
            Detector::NodeName => {
                for host in &evidence.hosts {
                    if host.hostname != host.node.as_str() {
                        let (node, name) = (host.node, host.hostname);
                        let text = format!("node {node} on a host that is called {name}");
                        self.there(Some(host.name), text);
                    }
                }
            }
            Detector::KubeletFlagsDiffer => self.differ(evidence, "flags of the kubelet", |host| {
                host.kubelet_flags.map(|given| {
                    let mut shared: Vec<&str> = given
                        .iter()
                        .map(String::as_str)
                        .filter(|flag| !OF_ONE_NODE.contains(&flags::name(flag).as_str()))
                        .collect();
                    shared.sort_unstable();
                    shared.join(" ")
                })
            }),
            Detector::KubeletConfigDiffers => {
                self.differ(evidence, "/var/lib/kubelet/config.yaml", |host| {
                    host.kubelet_config.map(str::to_owned)
                });
            }
        }
    }

    fn external(&mut self, evidence: &Evidence<'_>, oldest: &Version) {
        let endpoints = match &evidence.external_etcd {
            None => return,
            Some(Err(why)) => {
                self.not_checked(None, &format!("external etcd's releases: {why}"));
                return;
            }
            Some(Ok(endpoints)) => endpoints,
        };
        if endpoints.is_empty() {
            self.not_checked(None, "kubeadm-config names no endpoint of external etcd");
        }
        for (endpoint, release) in endpoints {
            match release.map(str::parse::<Version>) {
                Ok(Ok(release)) if release >= *oldest => {}
                Ok(Ok(release)) => {
                    self.there(None, format!("external etcd at {endpoint} is {release}"));
                }
                Ok(Err(_)) => self.not_checked(
                    None,
                    &format!("external etcd at {endpoint} did not tell its release"),
                ),
                Err(why) => self.not_checked(None, &format!("external etcd at {endpoint}: {why}")),
            }
        }
    }

    fn old_member(&mut self, member: &Member<'_>, oldest: &Version) {
        let name = member.name;
        match member.release.map(str::parse::<Version>) {
            Some(Ok(release)) if release >= *oldest => {}
            Some(Ok(release)) => self.there(None, format!("etcd member {name} is {release}")),
            Some(Err(_)) | None => {
                self.not_checked(
                    None,
                    &format!("etcd member {name} did not tell its release"),
                );
            }
        }
    }

    fn cgroup_v1(&mut self, evidence: &Evidence<'_>) {
        for host in evidence.hosts.iter().filter(|host| host.cgroup_v1) {
            self.there(Some(host.name), "cgroup v1");
        }
    }

    fn kubelet_on_cgroup_v1(&mut self, evidence: &Evidence<'_>) {
        match &evidence.kubelet {
            Ok(config) if config.fail_cgroup_v1 == Some(false) => {}
            Ok(_) => self.cgroup_v1(evidence),
            Err(why) => {
                for host in evidence.hosts.iter().filter(|host| host.cgroup_v1) {
                    self.not_checked(Some(host.name), why);
                }
            }
        }
    }

    fn old_runtime(&mut self, host: &Host<'_>, runtime: &str, oldest: &Version) {
        let Some((name, text)) = host.runtime.split_once("://") else {
            let why = format!("`{}` is no container runtime", host.runtime);
            return self.not_checked(Some(host.name), &why);
        };
        if name != runtime {
            return;
        }
        // A distribution's additions (`1.7.2~ds1`, `1.6.20+unknown`) say nothing about the interface.
        let bare = text.split(['~', '+', '-']).next().unwrap_or(text);
        match bare.parse::<Version>() {
            Ok(release) if release >= *oldest => {}
            Ok(_) => self.there(Some(host.name), format!("{runtime} {text}")),
            Err(_) => {
                let why = format!("`{}` names no release", host.runtime);
                self.not_checked(Some(host.name), &why);
            }
        }
    }

    fn named_flags(&mut self, given: &Given<'_>, named: &BTreeSet<String>) {
        match &given.flags {
            Ok(flags) => {
                for (name, _) in flags {
                    if named.iter().any(|wanted| flags::matches(wanted, name)) {
                        self.there(given.host, format!("{name} in {}", given.origin));
                    }
                }
            }
            Err(why) => self.not_checked(given.host, why),
        }
    }

    fn flag_value(&mut self, given: &Given<'_>, flag: &str, allowed: &BTreeSet<String>) {
        match &given.flags {
            Ok(flags) => {
                for (name, value) in flags.iter().filter(|(name, _)| name == flag) {
                    let value = value.unwrap_or_default();
                    if !allowed.contains(value) {
                        self.there(given.host, format!("{name}={value} in {}", given.origin));
                    }
                }
            }
            Err(why) => self.not_checked(given.host, why),
        }
    }

    fn gates(
        &mut self,
        evidence: &Evidence<'_>,
        places: &BTreeSet<super::catalogue::Where>,
        judge: impl Fn(&str, Option<bool>) -> Option<String>,
    ) {
        for given in flags::gates(evidence, places) {
            match &given.gates {
                Ok(gates) => {
                    for text in gates.iter().filter_map(|(name, value)| judge(name, *value)) {
                        self.there(given.host, format!("{text} in {}", given.origin));
                    }
                }
                Err(why) => self.not_checked(given.host, why),
            }
        }
    }

    /// The hosts of one role that differ from most of them.
    fn differ<'a>(
        &mut self,
        evidence: &Evidence<'a>,
        what: &str,
        of: impl Fn(&Host<'a>) -> Seen<'a, String>,
    ) {
        for role in [Role::ControlPlane, Role::Worker] {
            let mut groups: BTreeMap<String, Vec<&HostName>> = BTreeMap::new();
            for host in evidence.hosts.iter().filter(|host| host.role == role) {
                match of(host) {
                    Ok(value) => groups.entry(value).or_default().push(host.name),
                    Err(why) => self.not_checked(Some(host.name), why),
                }
            }
            let most = groups.values().map(Vec::len).max().unwrap_or(0);
            let usual = groups
                .iter()
                .find(|(_, hosts)| hosts.len() == most)
                .map(|(value, _)| value.clone());
            for (_, hosts) in groups
                .iter()
                .filter(|(value, _)| Some(*value) != usual.as_ref())
            {
                for host in hosts {
                    let peers = match role {
                        Role::ControlPlane => "control planes",
                        Role::Worker => "workers",
                    };
                    let text = format!("{what} unlike those of most {peers}");
                    self.there(Some(host), text);
                }
            }
        }
    }
}

fn members<'e, 'a>(evidence: &'e Evidence<'a>) -> impl Iterator<Item = &'e Member<'a>> {
    evidence.etcd.iter().flat_map(|etcd| &etcd.members)
}
