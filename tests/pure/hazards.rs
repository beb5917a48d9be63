//! The catalogue of hazards: every entry by its id, with evidence that has it and evidence that has not; the page made of
//! it; accepted risks.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use refit::cluster::model::admission::{Backend, Endpoints, Rule, Webhook, WebhookKind};
use refit::cluster::model::api_use::{ApiUse, DeprecatedApi};
use refit::cluster::model::storage::Storage;
use refit::cluster::model::{HostName, LabelSelector, NodeName, Role};
use refit::rules::hazards::accept::{self, Acceptance, Verdict};
use refit::rules::hazards::evidence::*;
use refit::rules::hazards::{Catalogue, Hazard, Severity, What, find, page};
use refit::rules::version::{Minor, Version};

/// A cluster of one control plane and two workers that no hazard threatens, and what a row changes of it.
struct World {
    members: Vec<(&'static str, Option<&'static str>, bool)>,
    alarms: Vec<String>,
    external: Option<Result<Vec<Endpoint>, &'static str>>,
    names: Vec<(HostName, NodeName)>,
    hostnames: Vec<&'static str>,
    runtime: &'static str,
    cgroup_v1: bool,
    flags: Vec<Result<Vec<String>, &'static str>>,
    command: Vec<Result<Vec<String>, &'static str>>,
    configs: Vec<&'static str>,
    instance: Result<bool, &'static str>,
    manifests: BTreeMap<&'static str, Vec<String>>,
    stray: Vec<String>,
    certificates: BTreeMap<String, Timestamp>,
    api_use: Result<ApiUse, &'static str>,
    hand_edits: Result<BTreeMap<String, Vec<String>>, &'static str>,
    extra_args: Option<BTreeMap<String, Vec<String>>>,
    kubeadm_gates: BTreeMap<&'static str, bool>,
    etcd_image: Option<&'static str>,
    dns_image: Option<&'static str>,
    proxy_disabled: bool,
    kubelet: Result<KubeletConfig<'static>, &'static str>,
    kube_proxy: bool,
    ignored: Vec<String>,
    patches: Result<Vec<Patched>, &'static str>,
    patched_gates: BTreeMap<&'static str, bool>,
    webhooks: Result<Vec<(Webhook, Vec<Backing>)>, &'static str>,
    storage: Result<Storage, &'static str>,
    corefile: Result<BTreeSet<String>, &'static str>,
    dns: Option<&'static str>,
    later_hop: bool,
    upgrades_etcd: bool,
    rolls_kube_proxy: bool,
}

/// A patch's file, its target, and flags in it.
type Patched = (&'static str, &'static str, Vec<String>);

/// An endpoint of external etcd, and the release that answers there.
type Endpoint = (&'static str, Result<&'static str, &'static str>);

/// A ready pod behind a webhook, on the node with this index.
#[derive(Clone, Copy)]
struct Backing {
    on: usize,
    stays: bool,
    kept: bool,
}

const fn behind(on: usize) -> Backing {
    Backing {
        on,
        stays: false,
        kept: false,
    }
}

fn pods() -> Endpoints {
    Endpoints::Pods(BTreeMap::from([("app".to_owned(), "policy".to_owned())]))
}

/// It fails closed, and intercepts the creation of this resource.
fn webhook(resource: &str, endpoints: Endpoints) -> Webhook {
    Webhook {
        kind: WebhookKind::Validating,
        configuration: "policy".to_owned(),
        name: format!("{}.example.org", resource.replace('/', "-")),
        fails_closed: true,
        backend: Backend::Service {
            namespace: "policy".to_owned(),
            name: "answers".to_owned(),
            endpoints,
        },
        rules: vec![Rule {
            operations: words("CREATE"),
            groups: vec![String::new()],
            resources: words(resource),
        }],
        namespaces: LabelSelector::default(),
    }
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

impl World {
    fn new() -> Self {
        let flags = || Ok(words("--node-ip=10.0.0.1 --v=2"));
        Self {
            members: vec![("cp1", Some("3.6.12"), false)],
            alarms: Vec::new(),
            external: None,
            names: ["cp1", "w1", "w2"]
                .iter()
                .map(|name| (HostName::new(*name), NodeName::new(*name)))
                .collect(),
            hostnames: vec!["cp1", "w1", "w2"],
            runtime: "containerd://2.1.4",
            cgroup_v1: false,
            flags: vec![flags(), flags(), flags()],
            command: vec![flags(), flags(), flags()],
            configs: vec!["a", "b", "b"],
            instance: Ok(true),
            manifests: BTreeMap::from([
                ("etcd", words("--feature-gates=InitialCorruptCheck=true")),
                ("kube-apiserver", words("--secure-port=6443")),
                ("kube-controller-manager", words("--leader-elect=true")),
            ]),
            stray: words("kube-vip.yaml haproxy.yaml keepalived.yaml .etcd.yaml.swp"),
            certificates: BTreeMap::from([
                ("apiserver".to_owned(), time("2027-06-01T00:00:00Z")),
                ("ca".to_owned(), time("2035-06-01T00:00:00Z")),
            ]),
            api_use: Ok(ApiUse {
                since: time("2026-11-01T00:00:00Z"),
                requested: BTreeSet::new(),
            }),
            hand_edits: Ok(BTreeMap::new()),
            extra_args: Some(BTreeMap::new()),
            kubeadm_gates: BTreeMap::new(),
            etcd_image: None,
            dns_image: None,
            proxy_disabled: false,
            kubelet: Ok(KubeletConfig::default()),
            kube_proxy: true,
            ignored: Vec::new(),
            patches: Ok(Vec::new()),
            patched_gates: BTreeMap::new(),
            webhooks: Ok(vec![
                // of another resource, without its backend; and one that two nodes stand behind
                (webhook("certificates", Endpoints::Missing), Vec::new()),
                (webhook("pods", pods()), vec![behind(1), behind(2)]),
            ]),
            storage: Ok(Storage::default()),
            corefile: Ok(words("errors forward kubernetes ready")
                .into_iter()
                .collect()),
            dns: Some("registry.k8s.io/coredns/coredns:v1.12.0"),
            later_hop: false,
            upgrades_etcd: true,
            rolls_kube_proxy: true,
        }
    }

    fn evidence(&self) -> Evidence<'_> {
        Evidence {
            at: time("2026-11-21T10:00:00Z"),
            etcd: Some(Etcd {
                members: self
                    .members
                    .iter()
                    .map(|(name, release, learner)| Member {
                        name,
                        release: *release,
                        learner: *learner,
                    })
                    .collect(),
                alarms: &self.alarms,
            }),
            external_etcd: self.external.clone(),
            hosts: (0..self.names.len())
                .map(|index| self.host(index))
                .collect(),
            config: Config {
                extra_args: self.extra_args.as_ref(),
                feature_gates: self.kubeadm_gates.clone(),
                etcd_image: self.etcd_image,
                dns_image: self.dns_image,
                proxy_disabled: self.proxy_disabled,
            },
            kubelet: self.kubelet.clone(),
            webhooks: self.webhooks.as_ref().map_err(|why| *why).map(|all| {
                all.iter()
                    .map(|(webhook, pods)| self.hook(webhook, pods))
                    .collect()
            }),
            storage: self.storage.as_ref().map_err(|why| *why),
            corefile_plugins: self.corefile.as_ref().map_err(|why| *why),
            dns_image: self.dns,
            kube_proxy: self.kube_proxy,
            told: Told {
                ignored_checks: &self.ignored,
                upgrades_etcd: self.upgrades_etcd,
                rolls_kube_proxy: self.rolls_kube_proxy,
                later_hop: self.later_hop,
                nodes_at_once: 1,
            },
        }
    }

    fn hook<'a>(&'a self, webhook: &'a Webhook, pods: &[Backing]) -> Hook<'a> {
        let ready = pods
            .iter()
            .map(|pod| Behind {
                node: &self.names[pod.on].1,
                stays: pod.stays,
                kept: pod.kept,
            })
            .collect();
        Hook { webhook, ready }
    }

    fn host(&self, index: usize) -> Host<'_> {
        let (name, node) = &self.names[index];
        let role = if index == 0 {
            Role::ControlPlane
        } else {
            Role::Worker
        };
        Host {
            name,
            hostname: self.hostnames[index],
            node,
            role,
            runtime: self.runtime,
            cgroup_v1: self.cgroup_v1,
            kubelet_flags: self.flags[index].as_deref().map_err(|why| *why),
            kubelet_command: self.command[index].as_deref().map_err(|why| *why),
            kubelet_config: Ok(self.configs[index]),
            instance_config: self.instance,
            patches: self.patches.as_ref().map_err(|why| *why).map(|patches| {
                patches
                    .iter()
                    .map(|(file, target, flags)| Patch {
                        file,
                        target,
                        flags,
                        feature_gates: self.patched_gates.clone(),
                    })
                    .collect()
            }),
            control_plane: (index == 0).then(|| ControlPlane {
                static_pods: self
                    .manifests
                    .iter()
                    .map(|(component, flags)| (*component, flags.as_slice()))
                    .collect(),
                stray_files: &self.stray,
                certificates: &self.certificates,
                api_use: self.api_use.as_ref().map_err(|why| *why),
                hand_edits: self.hand_edits.as_ref().map_err(|why| *why),
            }),
        }
    }

    /// What is found on the way to a release from the minor before it, or from its own.
    fn found(&self, to: &str, patch: bool) -> BTreeMap<String, Vec<String>> {
        let to: Version = to.parse().unwrap();
        let mut from = to.minor();
        if !patch {
            from.minor -= 1;
        }
        let catalogue = Catalogue::built_in().unwrap();
        find(&catalogue, from, &to, &self.evidence())
            .iter()
            .map(|finding| {
                let texts = finding.sightings.iter().map(|sighting| {
                    let hosts: Vec<&str> = sighting.hosts.iter().map(HostName::as_str).collect();
                    match &sighting.what {
                        What::There(what) => format!("{what} [{}]", hosts.join(" ")),
                        What::NotChecked(why) => format!("? {why} [{}]", hosts.join(" ")),
                    }
                });
                (finding.hazard.id.clone(), texts.collect())
            })
            .collect()
    }

    fn extra(&mut self, component: &str, flags: &str) {
        let all = self.extra_args.get_or_insert_default();
        all.insert(component.to_owned(), words(flags));
    }
}

type Change = fn(&mut World);

/// A hazard, a release on the way to which it threatens, what makes it be there and how it is told; and what comes close
/// without being it.
struct Row {
    id: &'static str,
    to: &'static str,
    has: Change,
    told: &'static str,
    has_not: Change,
}

const fn row(
    id: &'static str,
    to: &'static str,
    has: Change,
    told: &'static str,
    has_not: Change,
) -> Row {
    Row {
        id,
        to,
        has,
        told,
        has_not,
    }
}

fn gate(world: &mut World, gate: &str) {
    world.extra("kube-apiserver", &format!("--feature-gates={gate}"));
}

fn kubelet_gate(world: &mut World, name: &'static str, value: bool) {
    world.kubelet = Ok(KubeletConfig {
        fail_cgroup_v1: None,
        feature_gates: BTreeMap::from([(name, value)]),
    });
}

/// An API server was asked for flow schemas of v1beta3, which are removed in `removed_in`.
fn requested(world: &mut World, removed_in: &str) {
    world
        .api_use
        .as_mut()
        .unwrap()
        .requested
        .insert(DeprecatedApi {
            group: "flowcontrol.apiserver.k8s.io".to_owned(),
            version: "v1beta3".to_owned(),
            resource: "flowschemas".to_owned(),
            subresource: String::new(),
            removed_in: removed_in.parse().unwrap(),
        });
}

fn hooked(world: &mut World, webhook: Webhook, pods: &[Backing]) {
    world
        .webhooks
        .as_mut()
        .unwrap()
        .push((webhook, pods.to_vec()));
}

/// A volume of this plugin, and these CSI drivers.
fn stored(world: &mut World, plugin: &str, drivers: &str) {
    let storage = world.storage.as_mut().unwrap();
    storage.uses(plugin, "PersistentVolume data-0".to_owned());
    storage.csi_drivers = words(drivers).into_iter().collect();
}

fn patched(world: &mut World, flags: &str) {
    world.patches = Ok(vec![(
        "kube-apiserver+json.yaml",
        "kube-apiserver",
        words(flags),
    )]);
}

fn edited(world: &mut World, file: &str, lines: &[&str]) {
    let lines = lines.iter().map(|line| (*line).to_owned()).collect();
    world
        .hand_edits
        .as_mut()
        .unwrap()
        .insert(file.to_owned(), lines);
}

#[rustfmt::skip]
const ROWS: &[Row] = &[
    row("removed-apis", "1.35.4", |w| requested(w, "1.35"), "requests for flowschemas of flowcontrol.apiserver.k8s.io/v1beta3 (removed in 1.35) [cp1]", |w| requested(w, "1.36")),
    row("api-server-young", "1.35.4", |w| w.api_use.as_mut().unwrap().since = time("2026-11-20T10:00:01Z"), "an API server that was started at 2026-11-20T10:00:01Z [cp1]", |w| w.api_use.as_mut().unwrap().since = time("2026-11-20T10:00:00Z")),
    row("hand-edits", "1.35.4", |w| edited(w, "kube-apiserver.yaml", &["- --profiling=false", "+ --profiling=true"]), "kube-apiserver.yaml is not as kubeadm writes it: `- --profiling=false`, `+ --profiling=true` [cp1]", |w| { edited(w, "etcd.yaml", &["- --quota-backend-bytes=8"]); w.upgrades_etcd = false; }),
    row("webhook-drained-away", "1.35.4", |w| hooked(w, webhook("pods", pods()), &[behind(1), behind(1)]), "validating webhook pods.example.org of policy, which intercepts pods: all ready pods behind it are on w1, and no budget keeps one []", |w| { hooked(w, webhook("pods", pods()), &[Backing { kept: true, ..behind(1) }]); hooked(w, webhook("pods", pods()), &[Backing { stays: true, ..behind(1) }]); hooked(w, Webhook { fails_closed: false, ..webhook("pods", pods()) }, &[behind(1)]); hooked(w, webhook("services", pods()), &[behind(1)]); }),
    row("webhook-without-backend", "1.35.4", |w| hooked(w, webhook("pods", pods()), &[]), "validating webhook pods.example.org of policy, which intercepts pods: Service policy/answers has no ready pod []", |w| { hooked(w, webhook("services", pods()), &[]); hooked(w, Webhook { backend: Backend::Url, ..webhook("pods", pods()) }, &[]); }),
    row("webhook-on-drains", "1.35.4", |w| hooked(w, Webhook { fails_closed: false, ..webhook("pods/eviction", pods()) }, &[]), "validating webhook pods-eviction.example.org of policy, which intercepts pods/eviction []", |_| {}),
    row("coredns-plugins", "1.35.4", |w| { w.corefile.as_mut().unwrap().insert("template".to_owned()); }, "the Corefile uses template []", |w| { w.corefile.as_mut().unwrap().insert("template".to_owned()); w.ignored = words("CoreDNSUnsupportedPlugins"); }),
    row("coredns-newer-1.34", "1.34.4", |w| w.dns = Some("registry.k8s.io/coredns/coredns:v1.13.1"), "CoreDNS 1.13.1 []", |w| w.dns = Some("registry.k8s.io/coredns/coredns:v1.12.1@sha256:0b")),
    row("coredns-newer-1.35", "1.35.4", |w| w.dns = Some("x/coredns:1.14.0"), "CoreDNS 1.14.0 []", |w| w.dns = None),
    row("coredns-newer-1.36", "1.36.3", |w| w.dns = Some("x/coredns:1.15.0"), "CoreDNS 1.15.0 []", |w| { w.dns = Some("x/coredns:1.15.0"); w.ignored = words("CoreDNSMigration"); }),
    row("coredns-newer-1.37", "1.37.1", |w| w.dns = Some("x/coredns:1.14.7"), "CoreDNS 1.14.7 []", |w| w.dns = Some("x/coredns:1.14.6")),
    row("in-tree-cinder", "1.26.2", |w| stored(w, "cinder", "x"), "cinder in PersistentVolume data-0, and no CSI driver cinder.csi.openstack.org []", |w| stored(w, "cinder", "cinder.csi.openstack.org")),
    row("in-tree-glusterfs", "1.26.2", |w| stored(w, "glusterfs", ""), "glusterfs in PersistentVolume data-0 []", |w| stored(w, "rbd", "")),
    row("in-tree-aws-ebs", "1.27.2", |w| stored(w, "awsElasticBlockStore", ""), "awsElasticBlockStore in PersistentVolume data-0, and no CSI driver ebs.csi.aws.com []", |w| stored(w, "awsElasticBlockStore", "ebs.csi.aws.com")),
    row("in-tree-azure-disk", "1.27.2", |w| stored(w, "azureDisk", ""), "azureDisk in PersistentVolume data-0, and no CSI driver disk.csi.azure.com []", |w| stored(w, "azureDisk", "disk.csi.azure.com")),
    row("in-tree-gce-pd", "1.28.2", |w| stored(w, "gcePersistentDisk", ""), "gcePersistentDisk in PersistentVolume data-0, and no CSI driver pd.csi.storage.gke.io []", |w| stored(w, "gcePersistentDisk", "pd.csi.storage.gke.io")),
    row("in-tree-azure-file", "1.30.2", |w| stored(w, "azureFile", ""), "azureFile in PersistentVolume data-0, and no CSI driver file.csi.azure.com []", |w| stored(w, "azureFile", "file.csi.azure.com")),
    row("in-tree-vsphere", "1.30.2", |w| stored(w, "vsphereVolume", ""), "vsphereVolume in PersistentVolume data-0, and no CSI driver csi.vsphere.vmware.com []", |w| stored(w, "vsphereVolume", "csi.vsphere.vmware.com")),
    row("in-tree-ceph", "1.31.2", |w| stored(w, "rbd", ""), "rbd in PersistentVolume data-0 []", |w| stored(w, "glusterfs", "")),
    row("in-tree-portworx", "1.33.2", |w| stored(w, "portworxVolume", ""), "portworxVolume in PersistentVolume data-0, and no CSI driver pxd.portworx.com []", |w| stored(w, "portworxVolume", "pxd.portworx.com")),
    row("etcd-3.6-minimum", "1.34.4", |w| w.members[0].1 = Some("3.5.24"), "etcd member cp1 is 3.5.24 []", |w| w.members[0].1 = Some("3.5.26")),
    row("etcd-3.7-minimum", "1.37.1", |w| w.members[0].1 = Some("3.6.10"), "etcd member cp1 is 3.6.10 []", |w| { w.members[0].1 = Some("3.6.8"); w.upgrades_etcd = false; }),
    row("external-etcd-3.5.11", "1.31.2", |w| w.external = Some(Ok(vec![("e1", Ok("3.5.10"))])), "external etcd at e1 is 3.5.10 []", |w| w.external = Some(Ok(vec![("e1", Ok("3.5.11"))]))),
    row("external-etcd-3.5.24", "1.34.4", |w| w.external = Some(Ok(vec![("e1", Ok("3.5.24")), ("e2", Ok("3.5.21"))])), "external etcd at e2 is 3.5.21 []", |w| w.external = Some(Ok(vec![("e1", Ok("3.5.24")), ("e2", Ok("3.6.5"))]))),
    row("etcd-3.7-experimental-flags", "1.37.1", |w| w.extra("etcd", "--experimental-compaction-batch-limit=1"), "--experimental-compaction-batch-limit in kubeadm-config's extraArgs of etcd []", |w| w.extra("etcd", "--compaction-batch-limit=1")),
    row("etcd-learner", "1.35.4", |w| w.members[0].2 = true, "etcd member cp1 is a learner []", |_| {}),
    row("etcd-alarm", "1.35.4", |w| w.alarms = words("NOSPACE"), "etcd has raised the alarm NOSPACE []", |_| {}),
    row("etcd-custom-image", "1.35.4", |w| w.etcd_image = Some("3.5.30-0"), "kubeadm-config sets etcd's image (3.5.30-0) []", |w| { w.etcd_image = Some("3.5.30-0"); w.upgrades_etcd = false; }),
    row("cgroup-v1", "1.35.4", |w| w.cgroup_v1 = true, "cgroup v1 [cp1 w1 w2]", |w| { w.cgroup_v1 = true; w.ignored = words("systemverification"); }),
    row("cgroup-v1-kubelet", "1.35.4", |w| w.cgroup_v1 = true, "cgroup v1 [cp1 w1 w2]", |w| { w.cgroup_v1 = true; w.kubelet = Ok(KubeletConfig { fail_cgroup_v1: Some(false), ..KubeletConfig::default() }); }),
    row("cri-runtimeconfig-missing", "1.35.4", |w| w.runtime = "containerd://1.6.20~ds1", "containerd 1.6.20~ds1 [cp1 w1 w2]", |w| w.runtime = "containerd://2.0.0"),
    row("cri-runtimeconfig-required", "1.38.0", |w| w.runtime = "containerd://1.7.28", "containerd 1.7.28 [cp1 w1 w2]", |w| w.runtime = "cri-o://1.30.1"),
    row("cri-runtimeconfig-required-cri-o", "1.38.0", |w| w.runtime = "cri-o://1.27.4", "cri-o 1.27.4 [cp1 w1 w2]", |w| w.runtime = "cri-o://1.28.0"),
    row("stray-manifest", "1.35.4", |w| w.stray = words("etcd.yaml.backup"), "/etc/kubernetes/manifests/etcd.yaml.backup [cp1]", |_| {}),
    row("certificate-ends", "1.35.4", |w| { w.certificates.insert("apiserver".to_owned(), time("2026-11-22T09:59:59Z")); }, "certificate apiserver that ends at 2026-11-22T09:59:59Z [cp1]", |w| { w.certificates.insert("apiserver".to_owned(), time("2026-11-22T10:00:00Z")); }),
    row("authority-ends", "1.35.4", |w| { w.certificates.insert("ca".to_owned(), time("2027-02-01T00:00:00Z")); }, "certificate ca that ends at 2027-02-01T00:00:00Z [cp1]", |w| { w.certificates.insert("apiserver".to_owned(), time("2027-02-01T00:00:00Z")); }),
    row("empty-kubelet-args", "1.35.0", |w| w.flags[1] = Ok(Vec::new()), "no flags in /var/lib/kubelet/kubeadm-flags.env [w1]", |_| {}),
    row("node-name", "1.34.4", |w| w.hostnames[1] = "w1.example.org", "node w1 on a host that is called w1.example.org [w1]", |_| {}),
    row("kube-proxy-returns", "1.35.4", |w| w.kube_proxy = false, "the cluster has no DaemonSet kube-proxy []", |w| { w.kube_proxy = false; w.proxy_disabled = true; }),
    row("coredns-image", "1.35.4", |w| w.dns_image = Some("v1.9.3"), "kubeadm-config sets CoreDNS's image (v1.9.3) []", |_| {}),
    row("instance-config-missing", "1.37.1", |w| w.instance = Ok(false), "no /var/lib/kubelet/instance-config.yaml [cp1 w1 w2]", |_| {}),
    row("kubelet-flags-drift", "1.35.4", |w| { w.names.push((HostName::new("w3"), NodeName::new("w3"))); w.hostnames.push("w3"); w.configs.push("b"); w.flags.push(Ok(words("--node-ip=10.0.0.4 --v=5"))); w.command.push(Ok(Vec::new())); }, "flags of the kubelet unlike those of most workers [w3]", |w| w.flags[2] = Ok(words("--v=2 --node-ip=10.0.0.9"))),
    row("kubelet-config-drift", "1.35.4", |w| { w.names.push((HostName::new("w3"), NodeName::new("w3"))); w.hostnames.push("w3"); w.configs.push("c"); w.flags.push(Ok(words("--v=2"))); w.command.push(Ok(Vec::new())); }, "/var/lib/kubelet/config.yaml unlike those of most workers [w3]", |_| {}),
    row("kubeadm-gates-1.35", "1.35.4", |w| { w.kubeadm_gates.insert("WaitForAllControlPlaneComponents", true); }, "kubeadm-config's featureGates has WaitForAllControlPlaneComponents []", |w| { w.kubeadm_gates.insert("NodeLocalCRISocket", true); }),
    row("kubeadm-gates-1.36", "1.36.3", |w| { w.kubeadm_gates.insert("ControlPlaneKubeletLocalMode", true); }, "kubeadm-config's featureGates has ControlPlaneKubeletLocalMode []", |_| {}),
    row("kubeadm-gates-1.37", "1.37.1", |w| { w.kubeadm_gates.insert("NodeLocalCRISocket", true); }, "kubeadm-config's featureGates has NodeLocalCRISocket []", |_| {}),
    row("kubelet-flags-1.31", "1.31.2", |w| w.flags[1] = Ok(words("--keep_terminated_pod_volumes=true")), "--keep-terminated-pod-volumes in the kubelet's kubeadm-flags.env [w1]", |_| {}),
    row("kubelet-flags-1.34", "1.34.4", |w| w.flags[1] = Ok(words("--register-schedulable true")), "--register-schedulable in the kubelet's kubeadm-flags.env [w1]", |w| w.flags[1] = Ok(words("--register-node=true"))),
    row("kubelet-pod-infra-image", "1.36.3", |w| w.flags[1] = Ok(words("--pod-infra-container-image=x")), "--pod-infra-container-image in the kubelet's kubeadm-flags.env [w1]", |_| {}),
    row("kubelet-flags-1.37", "1.37.1", |w| w.flags[1] = Ok(words("--boot_id_file=/x")), "--boot-id-file in the kubelet's kubeadm-flags.env [w1]", |w| w.flags[1] = Ok(words("--housekeeping-interval=10s"))),
    row("kubelet-flags-1.37-elsewhere", "1.37.1", |w| w.command[1] = Ok(words("--storage-driver-db=x")), "--storage-driver-db in the kubelet's command line [w1]", |w| w.command[1] = Ok(words("--housekeeping-interval=10s"))),
    row("kubelet-flags-elsewhere", "1.35.4", |w| w.command[1] = Ok(words("--pod-infra-container-image=x")), "--pod-infra-container-image in the kubelet's command line [w1]", |w| { w.command[1] = Ok(words("--pod-infra-container-image=x")); w.flags[1] = Ok(words("--pod-infra-container-image=x")); }),
    row("apiserver-cloud-flags", "1.33.4", |w| w.extra("kube-apiserver", "--cloud-provider=external"), "--cloud-provider in kubeadm-config's extraArgs of kube-apiserver []", |w| w.extra("kube-controller-manager", "--cloud-provider=external")),
    row("in-tree-cloud-provider", "1.35.4", |w| w.flags[1] = Ok(words("--cloud-provider=aws")), "--cloud-provider=aws in the kubelet's kubeadm-flags.env [w1]", |w| w.flags[1] = Ok(words("--cloud-provider=external"))),
    row("gates-removed-1.29", "1.29.4", |w| gate(w, "CSIMigrationvSphere=true"), "feature gate CSIMigrationvSphere in kubeadm-config's extraArgs of kube-apiserver []", |w| gate(w, "NodeSwap=true")),
    row("gates-removed-1.29-kubelet", "1.29.4", |w| kubelet_gate(w, "CSIMigrationvSphere", true), "feature gate CSIMigrationvSphere in kubelet-config []", |_| {}),
    row("gates-locked-1.29", "1.29.4", |w| gate(w, "APIListChunking=false"), "feature gate APIListChunking not true in kubeadm-config's extraArgs of kube-apiserver []", |w| gate(w, "APIListChunking=true")),
    row("gates-locked-1.29-kubelet", "1.29.4", |w| kubelet_gate(w, "APIListChunking", false), "feature gate APIListChunking not true in kubelet-config []", |w| kubelet_gate(w, "APIListChunking", true)),
    row("gates-removed-1.30", "1.30.4", |w| gate(w, "APISelfSubjectReview=true"), "feature gate APISelfSubjectReview in kubeadm-config's extraArgs of kube-apiserver []", |w| gate(w, "NodeSwap=true")),
    row("gates-removed-1.30-kubelet", "1.30.4", |w| kubelet_gate(w, "APISelfSubjectReview", true), "feature gate APISelfSubjectReview in kubelet-config []", |_| {}),
    row("gates-locked-1.30", "1.30.4", |w| gate(w, "AdmissionWebhookMatchConditions=false"), "feature gate AdmissionWebhookMatchConditions not true in kubeadm-config's extraArgs of kube-apiserver []", |w| gate(w, "AdmissionWebhookMatchConditions=true")),
    row("gates-locked-1.30-kubelet", "1.30.4", |w| kubelet_gate(w, "AdmissionWebhookMatchConditions", false), "feature gate AdmissionWebhookMatchConditions not true in kubelet-config []", |w| kubelet_gate(w, "AdmissionWebhookMatchConditions", true)),
    row("gates-removed-1.31", "1.31.4", |w| gate(w, "APIPriorityAndFairness=true"), "feature gate APIPriorityAndFairness in kubeadm-config's extraArgs of kube-apiserver []", |w| gate(w, "NodeSwap=true")),
    row("gates-removed-1.31-kubelet", "1.31.4", |w| kubelet_gate(w, "APIPriorityAndFairness", true), "feature gate APIPriorityAndFairness in kubelet-config []", |_| {}),
    row("gates-locked-1.31", "1.31.4", |w| gate(w, "AppArmor=false"), "feature gate AppArmor not true in kubeadm-config's extraArgs of kube-apiserver []", |w| gate(w, "AppArmor=true")),
    row("gates-locked-1.31-kubelet", "1.31.4", |w| kubelet_gate(w, "AppArmor", false), "feature gate AppArmor not true in kubelet-config []", |w| kubelet_gate(w, "AppArmor", true)),
    row("gates-removed-1.32", "1.32.4", |w| gate(w, "CloudDualStackNodeIPs=true"), "feature gate CloudDualStackNodeIPs in kubeadm-config's extraArgs of kube-apiserver []", |w| gate(w, "NodeSwap=true")),
    row("gates-removed-1.32-kubelet", "1.32.4", |w| kubelet_gate(w, "CloudDualStackNodeIPs", true), "feature gate CloudDualStackNodeIPs in kubelet-config []", |_| {}),
    row("gates-locked-1.32", "1.32.4", |w| gate(w, "AllowServiceLBStatusOnNonLB=true"), "feature gate AllowServiceLBStatusOnNonLB not false in kubeadm-config's extraArgs of kube-apiserver []", |w| gate(w, "AllowServiceLBStatusOnNonLB=false")),
    row("gates-locked-1.32-kubelet", "1.32.4", |w| kubelet_gate(w, "AllowServiceLBStatusOnNonLB", true), "feature gate AllowServiceLBStatusOnNonLB not false in kubelet-config []", |w| kubelet_gate(w, "AllowServiceLBStatusOnNonLB", false)),
    row("gates-removed-1.33", "1.33.4", |w| gate(w, "APIListChunking=true"), "feature gate APIListChunking in kubeadm-config's extraArgs of kube-apiserver []", |w| gate(w, "NodeSwap=true")),
    row("gates-removed-1.33-kubelet", "1.33.4", |w| kubelet_gate(w, "APIListChunking", true), "feature gate APIListChunking in kubelet-config []", |_| {}),
    row("gates-locked-1.33", "1.33.4", |w| gate(w, "AnyVolumeDataSource=false"), "feature gate AnyVolumeDataSource not true in kubeadm-config's extraArgs of kube-apiserver []", |w| gate(w, "AnyVolumeDataSource=true")),
    row("gates-locked-1.33-kubelet", "1.33.4", |w| kubelet_gate(w, "AnyVolumeDataSource", false), "feature gate AnyVolumeDataSource not true in kubelet-config []", |w| kubelet_gate(w, "AnyVolumeDataSource", true)),
    row("kubelet-flags-1.30", "1.30.2", |w| w.flags[1] = Ok(words("--azure-container-registry-config=/x")), "--azure-container-registry-config in the kubelet's kubeadm-flags.env [w1]", |_| {}),
    row("static-pod-flags-1.31", "1.31.2", |w| w.extra("kube-controller-manager", "--volume-host-cidr-denylist=x"), "--volume-host-cidr-denylist in kubeadm-config's extraArgs of kube-controller-manager []", |w| w.extra("kube-scheduler", "--volume-host-cidr-denylist=x")),
    row("gates-removed-1.34", "1.34.4", |w| gate(w, "PodDisruptionConditions=true"), "feature gate PodDisruptionConditions in kubeadm-config's extraArgs of kube-apiserver []", |_| {}),
    row("gates-removed-1.34-kubelet", "1.34.4", |w| kubelet_gate(w, "DevicePluginCDIDevices", true), "feature gate DevicePluginCDIDevices in kubelet-config []", |_| {}),
    row("gates-removed-1.35", "1.35.4", |w| gate(w, "X=true,ComponentSLIs=true"), "feature gate ComponentSLIs in kubeadm-config's extraArgs of kube-apiserver []", |w| gate(w, "MemoryManager=true")),
    row("gates-removed-1.35-kubelet", "1.35.4", |w| kubelet_gate(w, "SizeMemoryBackedVolumes", true), "feature gate SizeMemoryBackedVolumes in kubelet-config []", |_| {}),
    row("gates-removed-1.36", "1.36.3", |w| gate(w, "MemoryManager=true"), "feature gate MemoryManager in kubeadm-config's extraArgs of kube-apiserver []", |_| {}),
    row("gates-removed-1.36-kubelet", "1.36.3", |w| kubelet_gate(w, "CPUCFSQuotaPeriod", true), "feature gate CPUCFSQuotaPeriod in kubelet-config []", |_| {}),
    row("gates-removed-1.37", "1.37.1", |w| gate(w, "SidecarContainers=true"), "feature gate SidecarContainers in kubeadm-config's extraArgs of kube-apiserver []", |w| gate(w, "NodeSwap=true")),
    row("gates-removed-1.37-kubelet", "1.37.1", |w| kubelet_gate(w, "PodLifecycleSleepAction", true), "feature gate PodLifecycleSleepAction in kubelet-config []", |_| {}),
    row("gates-locked-1.37", "1.37.1", |w| gate(w, "DRAPrioritizedList=false"), "feature gate DRAPrioritizedList not true in kubeadm-config's extraArgs of kube-apiserver []", |w| gate(w, "DRAPrioritizedList=true")),
    row("gates-locked-1.37-kubelet", "1.37.1", |w| kubelet_gate(w, "HostnameOverride", false), "feature gate HostnameOverride not true in kubelet-config []", |w| kubelet_gate(w, "HostnameOverride", true)),
    row("gates-locked-1.34", "1.34.4", |w| gate(w, "APIServerTracing=false"), "feature gate APIServerTracing not true in kubeadm-config's extraArgs of kube-apiserver []", |w| gate(w, "APIServerTracing=true")),
    row("gates-locked-1.34-kubelet", "1.34.4", |w| kubelet_gate(w, "NodeSwap", false), "feature gate NodeSwap not true in kubelet-config []", |w| kubelet_gate(w, "NodeSwap", true)),
    row("gates-locked-1.35", "1.35.4", |w| gate(w, "DynamicResourceAllocation=false"), "feature gate DynamicResourceAllocation not true in kubeadm-config's extraArgs of kube-apiserver []", |w| gate(w, "DynamicResourceAllocation=true")),
    row("gates-locked-1.35-kubelet", "1.35.4", |w| kubelet_gate(w, "ExecProbeTimeout", false), "feature gate ExecProbeTimeout not true in kubelet-config []", |w| kubelet_gate(w, "ExecProbeTimeout", true)),
    row("gates-locked-1.36", "1.36.3", |w| gate(w, "GitRepoVolumeDriver=true"), "feature gate GitRepoVolumeDriver not false in kubeadm-config's extraArgs of kube-apiserver []", |w| gate(w, "GitRepoVolumeDriver=false")),
    row("gates-locked-1.36-kubelet", "1.36.3", |w| kubelet_gate(w, "ImageVolume", false), "feature gate ImageVolume not true in kubelet-config []", |w| kubelet_gate(w, "ImageVolume", true)),
];

#[test]
fn each_hazard_is_found_where_it_is_and_only_there() {
    for row in ROWS {
        let mut has = World::new();
        (row.has)(&mut has);
        let found = has.found(row.to, false);
        assert_eq!(
            found.get(row.id),
            Some(&vec![row.told.to_owned()]),
            "{} on the way to {}: {found:?}",
            row.id,
            row.to
        );
        let mut has_not = World::new();
        (row.has_not)(&mut has_not);
        let found = has_not.found(row.to, false);
        assert!(!found.contains_key(row.id), "{}: {found:?}", row.id);
    }
}

#[test]
fn every_hazard_has_a_row() {
    let catalogue = Catalogue::built_in().unwrap();
    let known: BTreeSet<&str> = catalogue.iter().map(|hazard| hazard.id.as_str()).collect();
    let tested: BTreeSet<&str> = ROWS.iter().map(|row| row.id).collect();
    assert_eq!(known, tested);
}

#[test]
fn a_fit_cluster_has_no_hazard() {
    for to in [
        "1.31.2", "1.33.4", "1.34.4", "1.35.0", "1.35.4", "1.36.3", "1.37.1", "1.38.0",
    ] {
        let mut world = World::new();
        world.members[0].1 = Some("3.7.0");
        assert_eq!(world.found(to, false), BTreeMap::new(), "{to}");
        assert_eq!(world.found(to, true), BTreeMap::new(), "patch to {to}");
    }
}

#[test]
fn external_etcd_whose_release_is_not_known_is_not_taken_for_new_enough() {
    let found = |external| {
        let mut world = World::new();
        world.external = Some(external);
        world.found("1.35.4", false).remove("external-etcd-3.5.24")
    };
    let silent = found(Ok(vec![("e1", Ok("3.6.5")), ("e2", Err("no answer"))]));
    assert_eq!(silent.unwrap(), ["? external etcd at e2: no answer []"]);
    let odd = found(Ok(vec![("e1", Ok("new"))]));
    assert_eq!(
        odd.unwrap(),
        ["? external etcd at e1 did not tell its release []"]
    );
    let unasked = found(Err("not asked"));
    assert_eq!(
        unasked.unwrap(),
        ["? external etcd's releases: not asked []"]
    );
    let nowhere = found(Ok(Vec::new()));
    assert_eq!(
        nowhere.unwrap(),
        ["? kubeadm-config names no endpoint of external etcd []"]
    );
}

#[test]
fn what_could_not_be_checked_counts_like_the_hazard() {
    let mut world = World::new();
    world.members[0].1 = None;
    world.flags[2] = Err("permission denied");
    world.runtime = "containerd";
    world.instance = Err("no route to host");
    world.cgroup_v1 = true;
    world.kubelet = Err("forbidden");
    world.api_use = Err("connection refused");
    world.hand_edits = Err("no kubeadm");
    world.webhooks = Err("forbidden");
    world.corefile = Err("forbidden");
    let found = world.found("1.37.1", false);
    for (id, told) in [
        (
            "etcd-3.7-minimum",
            "? etcd member cp1 did not tell its release []",
        ),
        ("kubelet-flags-1.34", "? permission denied [w2]"),
        ("removed-apis", "? connection refused [cp1]"),
        ("hand-edits", "? no kubeadm [cp1]"),
        ("webhook-drained-away", "? forbidden []"),
        ("webhook-without-backend", "? forbidden []"),
        ("webhook-on-drains", "? forbidden []"),
        ("coredns-plugins", "? forbidden []"),
        ("instance-config-missing", "? no route to host [cp1 w1 w2]"),
        (
            "cri-runtimeconfig-missing",
            "? `containerd` is no container runtime [cp1 w1 w2]",
        ),
        ("cgroup-v1-kubelet", "? forbidden [cp1 w1 w2]"),
    ] {
        assert_eq!(found.get(id), Some(&vec![told.to_owned()]), "{id}");
    }
    assert!(found["gates-locked-1.36-kubelet"].contains(&"? forbidden []".to_owned()));
}

#[test]
fn what_was_changed_by_hand_is_lost_once() {
    let mut world = World::new();
    edited(&mut world, "kube-scheduler.yaml", &["- --v=4"]);
    assert!(world.found("1.36.3", false).contains_key("hand-edits"));
    world.later_hop = true;
    assert!(!world.found("1.36.3", false).contains_key("hand-edits"));
}

#[test]
fn an_api_goes_with_the_hop_that_removes_it() {
    let mut world = World::new();
    requested(&mut world, "1.35");
    assert!(
        world.found("1.36.3", false).contains_key("removed-apis"),
        "still served"
    );
    world.later_hop = true;
    assert!(!world.found("1.36.3", false).contains_key("removed-apis"));
    assert!(world.found("1.35.4", false).contains_key("removed-apis"));
}

#[test]
fn who_answers_a_webhook_must_be_known() {
    let mut world = World::new();
    hooked(&mut world, webhook("pods", Endpoints::Elsewhere), &[]);
    let found = world.found("1.35.4", false);
    let told = &found["webhook-without-backend"][0];
    assert!(
        told.starts_with("? validating webhook pods.example.org"),
        "{told}"
    );
    let mut world = World::new();
    world.storage = Err("forbidden");
    world.dns = Some("x/coredns:ours");
    let found = world.found("1.31.2", false);
    assert_eq!(found["in-tree-ceph"], ["? forbidden []".to_owned()]);
    let found = world.found("1.35.4", false);
    let told = "? CoreDNS's image x/coredns:ours names no release []".to_owned();
    assert_eq!(found["coredns-newer-1.35"], [told]);
}

#[test]
fn hazards_keep_to_their_hops() {
    let mut old = World::new();
    old.members[0].1 = Some("3.5.21");
    assert!(old.found("1.34.4", false).contains_key("etcd-3.6-minimum"));
    for (to, patch) in [("1.33.4", false), ("1.34.4", true), ("1.35.4", false)] {
        assert!(
            !old.found(to, patch).contains_key("etcd-3.6-minimum"),
            "{to}"
        );
    }
    let mut empty = World::new();
    empty.flags = vec![Ok(Vec::new()), Ok(Vec::new()), Ok(Vec::new())];
    assert!(
        empty
            .found("1.35.0", true)
            .contains_key("empty-kubelet-args")
    );
    assert!(
        !empty
            .found("1.35.1", true)
            .contains_key("empty-kubelet-args")
    );
    // kubeadm 1.35 takes this flag out of its file by itself.
    let mut infra = World::new();
    infra.flags[1] = Ok(words("--pod-infra-container-image=x"));
    let found = infra.found("1.35.4", false);
    assert!(!found.contains_key("kubelet-pod-infra-image"), "{found:?}");
}

#[test]
fn manifests_count_where_kubeadm_would_not_write_them_anew_without_the_flag() {
    let by_hand = || {
        let mut world = World::new();
        let flags = words("--secure-port=6443 --cloud-provider=external");
        world.manifests.insert("kube-apiserver", flags);
        world
    };
    let id = "apiserver-cloud-flags";
    assert!(!by_hand().found("1.33.4", false).contains_key(id));
    let mut unknown = by_hand();
    unknown.extra_args = None;
    let told = ["--cloud-provider in kube-apiserver.yaml [cp1]".to_owned()];
    assert_eq!(unknown.found("1.33.4", false)[id], told);
    let mut again = by_hand();
    patched(&mut again, "--cloud-provider=external");
    let told = ["--cloud-provider in kubeadm's patch kube-apiserver+json.yaml [cp1]".to_owned()];
    assert_eq!(again.found("1.33.4", false)[id], told);
    let mut unread = by_hand();
    unread.patches = Err("permission denied");
    assert_eq!(
        unread.found("1.33.4", false)[id],
        ["? permission denied [cp1]".to_owned()]
    );
    let mut gates = World::new();
    gates.patches = Ok(vec![(
        "kubeletconfiguration+merge.yaml",
        "kubeletconfiguration",
        Vec::new(),
    )]);
    gates.patched_gates = BTreeMap::from([("NodeSwap", false)]);
    let told = [
        "feature gate NodeSwap not true in kubeadm's patch of kubelet-config [cp1 w1 w2]"
            .to_owned(),
    ];
    assert_eq!(
        gates.found("1.34.4", false)["gates-locked-1.34-kubelet"],
        told
    );
}

fn acceptance(id: &str, hop: &str, until: &str) -> Acceptance {
    Acceptance {
        id: id.to_owned(),
        hop: hop.parse().unwrap(),
        reason: "CHG-1".to_owned(),
        until: until.parse().unwrap(),
    }
}

#[test]
fn a_risk_is_accepted_by_id_and_hop_until_its_day() {
    let catalogue = Catalogue::built_in().unwrap();
    let hazard = |id: &str| -> &Hazard { catalogue.get(id).unwrap() };
    let hop: Minor = "1.34".parse().unwrap();
    let etcd = hazard("etcd-3.6-minimum");
    let risks = [acceptance("etcd-3.6-minimum", "1.34", "2026-11-21")];
    let judge = |hazard, hop, at: &str| accept::judge(hazard, hop, time(at), &risks);
    let last_moment = "2026-11-21T23:59:59Z";
    assert_eq!(judge(etcd, hop, last_moment), Verdict::Accepted(&risks[0]));
    assert_eq!(
        judge(etcd, hop, "2026-11-22T00:00:00Z"),
        Verdict::Ended(&risks[0])
    );
    assert_eq!(judge(etcd, hop.next(), last_moment), Verdict::Open);
    assert_eq!(judge(hazard("cgroup-v1"), hop, last_moment), Verdict::Open);
    assert_eq!(accept::idle(&[etcd], hop, &risks).count(), 0);
    assert_eq!(accept::idle(&[], hop, &risks).count(), 1);
    assert_eq!(accept::idle(&[etcd], hop.next(), &risks).count(), 1);

    let risks = [acceptance("etcd-alarm", "1.34", "2027-01-01")];
    let verdict = accept::judge(hazard("etcd-alarm"), hop, time(last_moment), &risks);
    assert_eq!(verdict, Verdict::NotAcceptable(&risks[0]));
}

#[test]
fn a_file_of_hazards_is_read_strictly() {
    let good = "hazards:\n  - {id: cni-old, hops: \"1.35..\", severity: advisory, breaks: b, remedy: r, source: \"https://example.org/x\", detector: {kind: etcd-alarm}}\n";
    let mut catalogue = Catalogue::default();
    catalogue.add("cni.yaml", good).unwrap();
    let hazard = catalogue.get("cni-old").unwrap();
    assert_eq!(hazard.severity, Severity::Advisory);
    assert!(hazard.acceptable && !hazard.patches);
    assert!(
        catalogue
            .add("again.yaml", good)
            .unwrap_err()
            .to_string()
            .contains("is taken")
    );
    for (from, to) in [
        ("severity: advisory", "severity: bad"),
        ("breaks: b", "breaks: b."),
        ("breaks: b", "breaks: b, more: c"),
        ("hops: \"1.35..\"", "hops: \"1.36..1.35\""),
        ("hops: \"1.35..\"", "hops: soon"),
        ("hops: \"1.35..\"", "hops: \"1.35..\", fixedIn: 1.34.2"),
        ("id: cni-old", "id: CNI old"),
        ("https://", "http://"),
        ("kind: etcd-alarm", "kind: magic"),
        (
            "kind: etcd-alarm",
            "kind: flags, places: [static-pods], flags: []",
        ),
        (
            "kind: etcd-alarm",
            "kind: flags, places: [static-pods], flags: [no-hyphens]",
        ),
        (
            "kind: etcd-alarm",
            "kind: runtime-below, runtime: containerd, release: 2",
        ),
    ] {
        let bad = good.replace(from, to);
        assert_ne!(bad, good, "{from}");
        let error = Catalogue::default().add("bad.yaml", &bad).unwrap_err();
        assert!(error.to_string().starts_with("bad.yaml: "), "{error}");
    }
}

/// `REFIT_BLESS=1 cargo test --test pure hazards` writes it.
#[test]
fn the_page_is_the_catalogues() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/hazards.md");
    let page = page::markdown(&Catalogue::built_in().unwrap());
    if std::env::var_os("REFIT_BLESS").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == page,
        "docs/hazards.md is not what the catalogue says: run `REFIT_BLESS=1 cargo test --test pure hazards`"
    );
}
