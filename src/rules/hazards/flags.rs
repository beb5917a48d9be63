//! Flags and feature gates: who is given which, and from where.

use std::collections::BTreeSet;

use super::catalogue::Where;
use super::evidence::{Evidence, Host, Seen};
use crate::cluster::model::HostName;

/// Flags by name and value, in order; a name is written with hyphens.
type Flags<'a> = Vec<(String, Option<&'a str>)>;

/// Flags that something is given.
pub(super) struct Given<'a> {
    /// On this host; none when they are the cluster's.
    pub host: Option<&'a HostName>,
    /// Where they are written.
    pub origin: String,
    /// The flags.
    pub flags: Seen<'a, Flags<'a>>,
}

/// Feature gates that something is given.
pub(super) struct Gates<'a> {
    /// On this host; none when they are the cluster's.
    pub host: Option<&'a HostName>,
    /// Where they are written.
    pub origin: String,
    /// The gates, with their value where it is one.
    pub gates: Seen<'a, Vec<(String, Option<bool>)>>,
}

/// A flag's name. Components take `_` for `-`.
///
/// Source: kubernetes/kubernetes `staging/src/k8s.io/component-base/cli/flag/flags.go`, `WordSepNormalizeFunc`.
pub(super) fn name(flag: &str) -> String {
    flag.split('=').next().unwrap_or(flag).replace('_', "-")
}

/// Whether a name is the one wanted, which may end with `*`.
pub(super) fn matches(wanted: &str, name: &str) -> bool {
    wanted
        .strip_suffix('*')
        .map_or(wanted == name, |beginning| name.starts_with(beginning))
}

/// A value may follow as an argument of its own.
fn split<'a>(given: impl IntoIterator<Item = &'a str>) -> Flags<'a> {
    let mut flags: Flags<'a> = Vec::new();
    for word in given {
        if word.starts_with("--") {
            flags.push((name(word), word.split_once('=').map(|(_, value)| value)));
        } else if let Some((_, value @ None)) = flags.last_mut() {
            *value = Some(word);
        }
    }
    flags
}

fn words(list: &[String]) -> impl Iterator<Item = &str> {
    list.iter().map(String::as_str)
}

/// The flags given in these places, to these static pods (to all when none is named).
pub(super) fn given<'a>(
    evidence: &Evidence<'a>,
    places: &BTreeSet<Where>,
    components: &BTreeSet<String>,
) -> Vec<Given<'a>> {
    let mut all = Vec::new();
    for place in places {
        match place {
            Where::StaticPods => static_pods(&mut all, evidence, components),
            Where::KubeletFlagsFile => all.extend(evidence.hosts.iter().map(|host| Given {
                host: Some(host.name),
                origin: "the kubelet's kubeadm-flags.env".to_owned(),
                flags: host.kubelet_flags.map(|flags| split(words(flags))),
            })),
            Where::KubeletCommand => all.extend(evidence.hosts.iter().map(|host| Given {
                host: Some(host.name),
                origin: "the kubelet's command line".to_owned(),
                flags: elsewhere(host),
            })),
            // It has fields and no flags.
            Where::KubeletConfig => {}
        }
    }
    all
}

/// The flags of the kubelet that runs which are not in kubeadm's file.
fn elsewhere<'a>(host: &Host<'a>) -> Seen<'a, Flags<'a>> {
    let (file, command) = (host.kubelet_flags?, host.kubelet_command?);
    Ok(split(
        words(command).filter(|flag| !words(file).any(|known| known == *flag)),
    ))
}

/// What kubeadm will write into manifests again: its `extraArgs` and its patches. What manifests have besides is gone after
/// the upgrade, and counts only where kubeadm's `extraArgs` are not known.
fn static_pods<'a>(
    all: &mut Vec<Given<'a>>,
    evidence: &Evidence<'a>,
    components: &BTreeSet<String>,
) {
    let concerned = |component: &str| components.is_empty() || components.contains(component);
    let extra = evidence.config.extra_args;
    for (component, flags) in extra.into_iter().flatten() {
        if concerned(component) {
            all.push(Given {
                host: None,
                origin: format!("kubeadm-config's extraArgs of {component}"),
                flags: Ok(split(words(flags))),
            });
        }
    }
    for host in evidence
        .hosts
        .iter()
        .filter(|host| host.control_plane.is_some())
    {
        match &host.patches {
            Ok(patches) => {
                for patch in patches.iter().filter(|patch| concerned(patch.target)) {
                    all.push(Given {
                        host: Some(host.name),
                        origin: format!("kubeadm's patch {}", patch.file),
                        flags: Ok(split(words(patch.flags))),
                    });
                }
            }
            Err(why) => all.push(Given {
                host: Some(host.name),
                origin: "kubeadm's patches".to_owned(),
                flags: Err(why),
            }),
        }
    }
    if extra.is_some() {
        return;
    }
    for host in &evidence.hosts {
        let pods = host.control_plane.iter().flat_map(|on| &on.static_pods);
        for (component, flags) in pods.filter(|(component, _)| concerned(component)) {
            all.push(Given {
                host: Some(host.name),
                origin: format!("{component}.yaml"),
                flags: Ok(split(words(flags))),
            });
        }
    }
}

/// The feature gates given in these places.
pub(super) fn gates<'a>(evidence: &Evidence<'a>, places: &BTreeSet<Where>) -> Vec<Gates<'a>> {
    let mut all: Vec<Gates<'a>> = given(evidence, places, &BTreeSet::new())
        .into_iter()
        .map(|given| Gates {
            host: given.host,
            origin: given.origin,
            gates: given.flags.map(|flags| {
                flags
                    .iter()
                    .filter(|(name, _)| name == "--feature-gates")
                    .flat_map(|(_, value)| value.unwrap_or_default().split(','))
                    .filter(|gate| !gate.is_empty())
                    .map(|gate| {
                        let (name, value) = gate.split_once('=').unwrap_or((gate, ""));
                        (name.trim().to_owned(), value.trim().parse().ok())
                    })
                    .collect()
            }),
        })
        .collect();
    if places.contains(&Where::KubeletConfig) {
        all.push(Gates {
            host: None,
            origin: "kubelet-config".to_owned(),
            gates: evidence.kubelet.as_ref().map_err(|why| *why).map(|config| {
                config
                    .feature_gates
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), Some(*value)))
                    .collect()
            }),
        });
        for host in &evidence.hosts {
            let patches = host.patches.as_ref().map_err(|why| *why);
            let gates = patches.map(|patches| {
                patches
                    .iter()
                    .filter(|patch| patch.target == "kubeletconfiguration")
                    .flat_map(|patch| &patch.feature_gates)
                    .map(|(name, value)| ((*name).to_owned(), Some(*value)))
                    .collect()
            });
            all.push(Gates {
                host: Some(host.name),
                origin: "kubeadm's patch of kubelet-config".to_owned(),
                gates,
            });
        }
    }
    all
}
