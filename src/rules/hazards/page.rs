//! The catalogue as a page for people.

use std::fmt::Write as _;

use super::catalogue::{Catalogue, Detector, Hazard, Severity, Where};

const HEAD: &str = "\
<!-- Made from src/rules/hazards/data by `REFIT_BLESS=1 cargo test --test pure hazards`. Edit those files instead. -->
# Hazards

What is known to break on the way to a minor, and what refit does about it. A blocking hazard that is there, or that could
not be checked, keeps a plan from being made; an advisory one becomes a note of the plan. A risk is accepted in the
declaration by the hazard's id and the hop, with a reason and an end date:

```yaml
acceptRisks:
  - {id: etcd-3.6-minimum, hop: \"1.34\", reason: \"no member was ever removed, CHG-1042\", until: 2027-01-31}
```

A team's own hazards (CNI, CSI, add-ons) stand in files of the same format as refit's own, which the declaration names under
`hazards:`, relative to itself; `refit schema hazards` prints their JSON Schema, and `refit validate` checks them:

```yaml
hazards:
  - id: cni-mesh-minimum
    hops: \"1.35..\"
    severity: blocking
    breaks: our CNI does not start beside a kubelet of 1.35 with this flag
    detector: {kind: flags, places: [kubelet-command], flags: [--network-plugin-mtu]}
    remedy: upgrade the CNI first
    source: https://wiki.example.org/cni
```

A hop is named by the minor that it leads to: `1.35` is the way from 1.34 to 1.35, `1.35..` every one from there on.
";

const TAIL: &str = "
## Looked at for every plan

What follows depends on no minor. It keeps a plan from being made under a code of its own, and nobody can accept it:

| code | what |
|---|---|
| `disk-too-small` | room for packages, images, etcd's snapshot and its trial restoration, kubeadm's copies |
| `clock-off` | hosts whose clock is off |
| `not-offered`, `not-packaged` | the exact revision of each package, at the declared repository |
| `other-repository`, `repository-file` | which repository a host uses, and whether its file may be replaced |
| `keys-differ`, `key-changed`, `key-not-read` | one signing key for all hosts, the one that the facts have |
| `package-trouble` | a package database that is locked or half-configured |
| `etcd-member`, `etcd-too-few` | members that are not healthy, or missing |
| `etcd-external` | external etcd, whose release kubeadm does not look after: not supported yet |
| `node-not-ready`, `same-machine`, `other-node` | nodes, and which machine is which |
| `pod-refuses`, `several-budgets`, `budget-never` | pods that would never leave a drained node |
| `unknown` | whatever of this could not be observed |
| `hazards-unchecked` | hazards that could not be looked for, by their ids; each of these can be accepted |
";

/// The page, in Markdown.
#[must_use]
pub fn markdown(catalogue: &Catalogue) -> String {
    let mut page = HEAD.to_owned();
    page.push_str("\n| id | hops | severity |\n|---|---|---|\n");
    for hazard in catalogue.iter() {
        let _ = writeln!(
            page,
            "| [{id}](#{anchor}) | {hops} | {severity} |",
            id = hazard.id,
            anchor = anchor(&hazard.id),
            hops = hops(hazard),
            severity = severity(hazard.severity),
        );
    }
    for hazard in catalogue.iter() {
        let _ = write!(
            page,
            "\n## {}\n\n{}; hops {}{}.\n\n- Breaks: {}.\n- Shown by: {}.\n- Remedy: {}.\n- Source: <{}>\n",
            hazard.id,
            capitalised(severity(hazard.severity)),
            hops(hazard),
            if hazard.acceptable {
                ""
            } else {
                "; cannot be accepted"
            },
            hazard.breaks,
            shown(&hazard.detector),
            hazard.remedy,
            hazard.source,
        );
    }
    page.push_str(TAIL);
    page
}

/// As GitHub makes it of a heading.
fn anchor(id: &str) -> String {
    id.replace('.', "")
}

const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Blocking => "blocking",
        Severity::Advisory => "advisory",
    }
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters
        .next()
        .map(|first| first.to_ascii_uppercase().to_string() + letters.as_str())
        .unwrap_or_default()
}

fn hops(hazard: &Hazard) -> String {
    let mut text = hazard.hops.to_string();
    if hazard.patches {
        text.push_str(", patch upgrades too");
    }
    if let Some(fixed) = &hazard.fixed_in {
        let _ = write!(text, ", mended in {fixed}");
    }
    text
}

/// How facts show a hazard, in words.
#[must_use]
pub fn shown(detector: &Detector) -> String {
    match detector {
        Detector::EtcdMemberBelow { release } => {
            format!("a member of stacked etcd that is older than {release}, while kubeadm is to upgrade etcd")
        }
        Detector::ExternalEtcdBelow { release } => {
            format!("an endpoint of `etcd.external` in kubeadm-config whose member is older than {release}")
        }
        Detector::EtcdLearner => "a member of stacked etcd that does not vote".to_owned(),
        Detector::EtcdAlarm => "an alarm that etcd has raised".to_owned(),
        Detector::EtcdImage => {
            "`etcd.local.imageRepository` or `imageTag` in kubeadm-config, while kubeadm is to upgrade etcd".to_owned()
        }
        Detector::DnsImage => "`dns.imageRepository` or `imageTag` in kubeadm-config".to_owned(),
        Detector::KubeProxyRemoved => {
            "no DaemonSet kube-system/kube-proxy, while neither `kubeadm.skipPhases` nor `proxy.disabled` in kubeadm-config leaves it out".to_owned()
        }
        Detector::CgroupV1Checked => {
            "a host on cgroup v1, while `kubeadm.ignorePreflightErrors` does not list SystemVerification".to_owned()
        }
        Detector::CgroupV1Kubelet => {
            "a host on cgroup v1, while kubelet-config does not set `failCgroupV1: false`".to_owned()
        }
        Detector::RuntimeBelow { runtime, release } => {
            format!("a node that runs {runtime} older than {release}")
        }
        Detector::Flags {
            places,
            components,
            flags,
        } => format!("{} in {}", listed(flags), spots(places, components)),
        Detector::FlagValue {
            places,
            components,
            flag,
            allowed,
        } => {
            let values: Vec<String> = allowed
                .iter()
                .map(|value| if value.is_empty() { "nothing".to_owned() } else { format!("`{value}`") })
                .collect();
            format!(
                "`{flag}` with another value than {} in {}",
                values.join(" or "),
                spots(places, components)
            )
        }
        Detector::FeatureGates { places, gates } => format!(
            "a feature gate out of {} in {}",
            listed(gates),
            spots(places, &Default::default())
        ),
        Detector::LockedGates { places, gates } => {
            let locked: Vec<String> = gates
                .iter()
                .map(|(name, value)| format!("`{name}={value}`"))
                .collect();
            format!(
                "a feature gate with another value than in {}, in {}",
                locked.join(", "),
                spots(places, &Default::default())
            )
        }
        Detector::KubeadmGates { gates } => {
            format!("{} in kubeadm-config's `featureGates`", listed(gates))
        }
        Detector::WebhookDrainedAway => {
            "a webhook with `failurePolicy: Fail` on pods, evictions, nodes, leases or what kubeadm writes, whose ready pods are on no more nodes than are drained at once, while no PodDisruptionBudget keeps one of them".to_owned()
        }
        Detector::WebhookWithoutBackend => {
            "such a webhook whose Service does not exist or has no ready pod; a Service that selects no pods could not be checked".to_owned()
        }
        Detector::WebhookOnDrains => {
            "a webhook, whatever its `failurePolicy`, on pods/eviction, on the deletion of pods, or on the update of nodes".to_owned()
        }
        Detector::InTreeVolumes { plugins, driver } => format!(
            "PersistentVolumes or StorageClasses of {}{}",
            listed(plugins),
            driver.as_ref().map_or_else(String::new, |driver| format!(
                ", while the CSI driver `{driver}` is not installed"
            ))
        ),
        Detector::CorefilePlugins { known } => format!(
            "a plugin in the Corefile other than {}, while `kubeadm.ignorePreflightErrors` does not list CoreDNSUnsupportedPlugins",
            listed(known)
        ),
        Detector::DnsNewer { release } => format!(
            "a CoreDNS newer than {release}, while kubeadm-config sets no image and `kubeadm.ignorePreflightErrors` does not list CoreDNSMigration"
        ),
        Detector::RemovedApis => {
            "the gauge `apiserver_requested_deprecated_apis` of any API server, each asked by itself, for a `removed_release` up to the hop's minor".to_owned()
        }
        Detector::ApiServerYoung { hours } => {
            format!("an API server that was started less than {hours} hours before it was asked")
        }
        Detector::HandEdits => {
            "a manifest that says something else than the one that the installed kubeadm writes from kubeadm-config, with the declared patches, for the same release (`kubeadm init phase … --dry-run` into a temporary directory); the plan shows the lines for each control plane".to_owned()
        }
        Detector::StrayManifest => {
            "a file in /etc/kubernetes/manifests that is named after a static pod of kubeadm (`etcd.yaml.backup`); others, such as kube-vip.yaml, are left alone".to_owned()
        }
        Detector::CertificateEnds { hours } => {
            format!("a certificate that ends within {hours} hours")
        }
        Detector::AuthorityEnds { days } => {
            format!("a certificate authority that ends within {days} days")
        }
        Detector::NoInstanceConfig => "no /var/lib/kubelet/instance-config.yaml on a host".to_owned(),
        Detector::NoKubeletFlags => {
            "`KUBELET_KUBEADM_ARGS=\"\"` in /var/lib/kubelet/kubeadm-flags.env".to_owned()
        }
        Detector::NodeName => "a node with another name than its host".to_owned(),
        Detector::KubeletFlagsDiffer => {
            "flags in kubeadm-flags.env that differ from those of most nodes of the role, those that belong to one node (`--node-ip`) aside".to_owned()
        }
        Detector::KubeletConfigDiffers => {
            "a /var/lib/kubelet/config.yaml that differs from that of most nodes of the role".to_owned()
        }
    }
}

fn listed<'a>(names: impl IntoIterator<Item = &'a String>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

fn spots<'a>(
    places: impl IntoIterator<Item = &'a Where>,
    components: &std::collections::BTreeSet<String>,
) -> String {
    let places: Vec<String> = places
        .into_iter()
        .map(|place| match place {
            Where::StaticPods if components.is_empty() => {
                "extraArgs or a patch of a static pod".to_owned()
            }
            Where::StaticPods => format!("extraArgs or a patch of {}", listed(components)),
            Where::KubeletFlagsFile => "the kubelet's kubeadm-flags.env".to_owned(),
            Where::KubeletCommand => {
                "the running kubelet's command line, outside of that file".to_owned()
            }
            Where::KubeletConfig => "kubelet-config or a patch of it".to_owned(),
        })
        .collect();
    places.join(", or in ")
}
