//! Clusters as plain data, for tests.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use refit::cluster::facts::*;
use refit::cluster::model::api_use::ApiUse;
use refit::cluster::model::storage::Storage;
use refit::cluster::model::*;
use refit::documents::settings::*;
use refit::plan::data::{Action, Plan};
use refit::plan::reason::{Blocked, Reason};
use refit::plan::verify::verify;
use refit::plan::{Inputs, plan};
use refit::rules::version::Version;

pub const KEY: &str = "5a3f0c0de1b2a3948576f1e2d3c4b5a697887766554433221100ffeeddccbbaa";
const MIB: u64 = 1 << 20;

pub fn v(text: &str) -> Version {
    text.parse().unwrap()
}

/// Everything that a plan is made from.
#[derive(Debug, Clone)]
pub struct World {
    pub inventory: Inventory,
    pub upgrade: Upgrade,
    pub facts: Facts,
    /// The text of the key beside the declaration.
    pub key_text: Option<String>,
}

impl World {
    /// Control planes `cp1…`, workers `w1…`, all at `from`, to become `target`; packages held, as kubeadm's documentation
    /// leaves them.
    pub fn new(control_planes: usize, workers: usize, from: &str, target: &str) -> Self {
        let mut names: Vec<(String, Role)> = (1..=control_planes)
            .map(|index| (format!("cp{index}"), Role::ControlPlane))
            .collect();
        names.extend((1..=workers).map(|index| (format!("w{index}"), Role::Worker)));
        let from = v(from);
        let target = v(target);
        Self {
            inventory: inventory(&names),
            upgrade: upgrade(target.clone()),
            facts: facts(&names, &from, &target),
            key_text: None,
        }
    }

    /// The plan, which `verify` must find nothing wrong with.
    pub fn plan(&self) -> Result<Plan, Blocked> {
        let plan = plan(&Inputs {
            inventory: &self.inventory,
            upgrade: &self.upgrade,
            declaration_sha256: "d0c5",
            facts: &self.facts,
            key_text: self.key_text.clone(),
        })?;
        let wrong = verify(&plan, &self.facts);
        assert!(wrong.is_empty(), "{wrong:#?}");
        Ok(plan)
    }

    pub fn planned(&self) -> Plan {
        self.plan()
            .unwrap_or_else(|blocked| panic!("{:#?}", texts(&blocked)))
    }

    pub fn reasons(&self) -> Vec<Reason> {
        self.plan().unwrap_err().reasons
    }

    /// The reasons' codes and texts.
    pub fn told(&self) -> Vec<String> {
        texts(&self.plan().unwrap_err())
    }

    pub fn nodes(&mut self) -> &mut Vec<Node> {
        match &mut self.facts.cluster.nodes {
            Observed::Known(nodes) => nodes,
            Observed::Unknown(error) => panic!("{error}"),
        }
    }

    pub fn node(&mut self, name: &str) -> &mut Node {
        self.nodes()
            .iter_mut()
            .find(|node| node.name.as_str() == name)
            .unwrap()
    }

    pub fn pods(&mut self) -> &mut Vec<Pod> {
        known(&mut self.facts.cluster.pods)
    }

    pub fn budgets(&mut self) -> &mut Vec<Budget> {
        known(&mut self.facts.cluster.budgets)
    }

    pub fn config(&mut self) -> &mut KubeadmConfig {
        known(&mut self.facts.cluster.kubeadm_config)
    }

    pub fn etcd(&mut self) -> &mut EtcdFacts {
        known(&mut self.facts.etcd)
    }

    pub fn host(&mut self, name: &str) -> &mut HostFacts {
        known(self.facts.hosts.get_mut(&HostName::new(name)).unwrap())
    }

    pub fn packages(&mut self, name: &str) -> &mut PackageFacts {
        known(&mut self.host(name).packages)
    }

    pub fn offer(&mut self, name: &str) -> &mut Offer {
        known(self.host(name).offers.values_mut().next().unwrap())
    }

    pub fn control_plane(&mut self, name: &str) -> &mut ControlPlaneFacts {
        self.host(name).control_plane.as_mut().unwrap()
    }

    /// As if the control plane's static pods had been upgraded by hand.
    pub fn upgrade_instance(&mut self, name: &str, to: &Version) {
        let control_plane = self.control_plane(name);
        control_plane.api_server = Observed::Known(to.clone());
        control_plane.manifests = Observed::Known(manifests(to));
    }

    pub fn install_kubeadm(&mut self, name: &str, to: &Version) {
        self.host(name).kubeadm = Observed::Known(to.clone());
        self.packages(name)
            .installed
            .insert("kubeadm".to_owned(), format!("{to}-1.1"));
    }

    pub fn install_kubelet(&mut self, name: &str, to: &Version) {
        self.node(name).kubelet_version = to.to_string();
        for package in ["kubelet", "kubectl"] {
            self.packages(name)
                .installed
                .insert(package.to_owned(), format!("{to}-1.1"));
        }
    }

    pub fn roll_kube_proxy(&mut self, to: &Version) {
        for pod in self.pods() {
            for (name, image) in &mut pod.images {
                if name == "kube-proxy" {
                    *image = kube_proxy_image(to);
                }
            }
        }
        for workload in known(&mut self.facts.cluster.workloads) {
            if workload.name == "kube-proxy" {
                workload.images = BTreeMap::from([("kube-proxy".to_owned(), kube_proxy_image(to))]);
            }
        }
    }

    /// What the steps of a plan leave behind.
    pub fn carry_out(&mut self, plan: &Plan) {
        for step in &plan.steps {
            self.do_step(&step.action);
        }
    }

    fn do_step(&mut self, action: &Action) {
        match action {
            Action::HoldPackages { host, packages, .. } => {
                let held = &mut self.packages(host.as_str()).held;
                held.extend(packages.iter().cloned());
            }
            Action::ReleaseHolds { host, packages, .. } => {
                let held = &mut self.packages(host.as_str()).held;
                held.retain(|name| !packages.contains(name));
            }
            Action::SwitchRepository { host, content, .. } => {
                let url = content.split_whitespace().find(|word| word.contains("://"));
                let file = &mut self.packages(host.as_str()).repositories[0];
                file.url = url.unwrap().to_owned();
            }
            Action::InstallKubeadm { host, packages, .. } => {
                for package in packages {
                    if package.name == "kubeadm" {
                        self.install_kubeadm(host.as_str(), &of_revision(&package.revision));
                    }
                    self.packages(host.as_str())
                        .installed
                        .insert(package.name.clone(), package.revision.clone());
                }
            }
            Action::KubeadmApply { host, version, .. } => {
                self.upgrade_instance(host.as_str(), version);
                self.config().kubernetes_version = version.clone();
                self.clean_flags(host.as_str(), version);
                self.addons_if_last(version);
            }
            Action::KubeadmNode {
                host,
                role,
                version,
                ..
            } => {
                self.clean_flags(host.as_str(), version);
                if *role == Role::ControlPlane {
                    self.upgrade_instance(host.as_str(), version);
                    self.addons_if_last(version);
                }
            }
            Action::InstallKubelet { host, packages, .. } => {
                let node = self.inventory.hosts[host].node.clone();
                for package in packages {
                    if package.name == "kubelet" {
                        let kubelet = of_revision(&package.revision).to_string();
                        self.node(node.as_str()).kubelet_version = kubelet;
                    }
                    self.packages(host.as_str())
                        .installed
                        .insert(package.name.clone(), package.revision.clone());
                }
            }
            Action::Cordon { node } => {
                let node = self.node(node.as_str());
                node.unschedulable = true;
                node.cordoned_by = Some("run".to_owned());
            }
            Action::TaintOutdated { nodes } => {
                for node in nodes {
                    let taints = &mut self.node(node.as_str()).taints;
                    taints.retain(|taint| taint != OUTDATED);
                    taints.push(OUTDATED.to_owned());
                }
            }
            Action::Uncordon { node, outdated } => {
                let node = self.node(node.as_str());
                if *outdated {
                    node.taints.retain(|taint| taint != OUTDATED);
                }
                node.unschedulable = false;
                node.cordoned_by = None;
            }
            Action::CheckHost { .. }
            | Action::CheckCluster { .. }
            | Action::SnapshotEtcd { .. }
            | Action::PrefetchPackages { .. }
            | Action::PullImages { .. }
            | Action::AwaitControlPlane { .. }
            | Action::AwaitAddons { .. }
            | Action::Drain { .. }
            | Action::AwaitNode { .. }
            | Action::AwaitStaticPods { .. }
            | Action::Verify { .. }
            | Action::Soak { .. }
            | Action::Gate { .. }
            | Action::Hook { .. }
            | Action::WayBack { .. }
            | Action::Barrier { .. } => {}
        }
    }

    /// As kubeadm 1.35 does, and no other.
    fn clean_flags(&mut self, name: &str, kubeadm: &Version) {
        if kubeadm.minor() == v("1.35.0").minor() {
            let flags = known(&mut self.host(name).kubelet_flags);
            flags.retain(|flag| !flag.starts_with("--pod-infra-container-image"));
        }
    }

    fn addons_if_last(&mut self, target: &Version) {
        let last = self.facts.hosts.values().all(|host| {
            host.known()
                .and_then(|host| host.control_plane.as_ref())
                .is_none_or(|facts| facts.api_server.known() == Some(target))
        });
        if last {
            self.roll_kube_proxy(target);
        }
    }
}

fn of_revision(revision: &str) -> Version {
    v(revision.split('-').next().unwrap())
}

pub fn known<T>(observed: &mut Observed<T>) -> &mut T {
    match observed {
        Observed::Known(known) => known,
        Observed::Unknown(error) => panic!("{error}"),
    }
}

pub fn texts(blocked: &Blocked) -> Vec<String> {
    blocked
        .reasons
        .iter()
        .map(|reason| format!("{}: {reason}", reason.code()))
        .collect()
}

fn inventory(names: &[(String, Role)]) -> Inventory {
    let hosts = names
        .iter()
        .map(|(name, role)| {
            let host = Host {
                name: HostName::new(name),
                address: format!("{name}.example.org"),
                node: NodeName::new(name),
                role: *role,
                group: "all".to_owned(),
                labels: BTreeMap::new(),
                ssh: Ssh {
                    user: "ops".to_owned(),
                    port: 22,
                    identity_file: None,
                    known_hosts: None,
                    jump: None,
                    become_root: Become::Sudo,
                },
            };
            (host.name.clone(), host)
        })
        .collect();
    Inventory {
        name: "test".to_owned(),
        kubeconfig: PathBuf::from("kubeconfig"),
        context: None,
        hosts,
        ignore_nodes: Vec::new(),
    }
}

fn upgrade(target: Version) -> Upgrade {
    Upgrade {
        name: "to-the-target".to_owned(),
        inventory: PathBuf::from("inventories/test.yaml"),
        target,
        via: BTreeMap::new(),
        windows: Vec::new(),
        gates: Vec::new(),
        hooks: Vec::new(),
        accepted_risks: Vec::new(),
        own_hazards: Vec::new(),
        max_facts_age: Duration::from_secs(86_400),
        packages: Packages {
            repository: "https://pkgs.k8s.io/core:/stable:/v{minor}/{format}/".to_owned(),
            key: KeySource::Url(
                "https://pkgs.k8s.io/core:/stable:/v{minor}/{format}/Release.key".to_owned(),
            ),
            repo_file: None,
        },
        kubeadm: Kubeadm {
            ignore_preflight_errors: Vec::new(),
            patches: None,
            skip_phases: Vec::new(),
            etcd_upgrade: true,
            certificate_renewal: true,
        },
        control_plane: ControlPlaneStrategy {
            drain: true,
            pause: Duration::ZERO,
        },
        workers: WorkerStrategy {
            max_unavailable: Share::Count(1),
            order: Vec::new(),
            skip_level: false,
            topology_key: None,
        },
        drain: DrainPolicy {
            timeout: Duration::from_secs(900),
            grace_period: None,
            delete_empty_dir_data: true,
            unmanaged_pods: UnmanagedPods::Refuse,
            blocked: WhenBlocked::Halt,
            avoid_outdated: true,
            rules: Vec::new(),
        },
        snapshot: SnapshotPolicy {
            directory: PathBuf::from(".refit/snapshots"),
            keep: 5,
            trial_restore: true,
            encrypt_to: Vec::new(),
        },
    }
}

fn kube_proxy_image(version: &Version) -> String {
    format!("registry.k8s.io/kube-proxy:{}", version.tag())
}

fn facts(names: &[(String, Role)], from: &Version, target: &Version) -> Facts {
    let nodes: Vec<Node> = names
        .iter()
        .map(|(name, role)| node(name, *role, from))
        .collect();
    let mut pods: Vec<Pod> = names
        .iter()
        .map(|(name, _)| kube_proxy(name, from))
        .collect();
    pods.extend(
        names
            .iter()
            .filter(|(_, role)| *role == Role::Worker)
            .map(|(name, _)| pod("shop", &format!("web-{name}"), name)),
    );
    let members = names
        .iter()
        .enumerate()
        .filter(|(_, (_, role))| *role == Role::ControlPlane)
        .map(|(index, (name, _))| EtcdMember {
            name: name.clone(),
            id: format!("{:016x}", index + 1),
            learner: false,
            healthy: true,
            version: Some("3.6.5".to_owned()),
            db_size: Some(20 * MIB),
        })
        .collect();
    Facts {
        format: FORMAT.to_owned(),
        observed_at: "2026-11-21T10:00:00Z".parse().unwrap(),
        inventory: "test".to_owned(),
        cluster: ClusterFacts {
            uid: Observed::Known("b0a4".to_owned()),
            api_version: Observed::Known(from.clone()),
            nodes: Observed::Known(nodes),
            pods: Observed::Known(pods),
            budgets: Observed::Known(Vec::new()),
            workloads: Observed::Known(vec![Workload {
                kind: "DaemonSet".to_owned(),
                namespace: "kube-system".to_owned(),
                name: "kube-proxy".to_owned(),
                desired: 1,
                updated: 1,
                ready: 1,
                up_to_date: true,
                images: BTreeMap::from([("kube-proxy".to_owned(), kube_proxy_image(from))]),
            }]),
            kubeadm_config: Observed::Known(KubeadmConfig {
                api_version: "kubeadm.k8s.io/v1beta4".to_owned(),
                kubernetes_version: from.clone(),
                image_repository: "registry.k8s.io".to_owned(),
                control_plane_endpoint: Some("api.example.org:6443".to_owned()),
                cluster_name: "kubernetes".to_owned(),
                external_etcd: false,
                external: None,
                custom_etcd_image: None,
                feature_gates: BTreeMap::new(),
                custom_dns_image: None,
                proxy_disabled: false,
                extra_args: Some(BTreeMap::new()),
            }),
            kubelet_config: Observed::Known("c0ff".to_owned()),
            kubelet_settings: Observed::Known(KubeletSettings::default()),
            surroundings: Surroundings {
                webhooks: Observed::Known(Vec::new()),
                storage: Observed::Known(Storage::default()),
                corefile_plugins: Observed::Known(BTreeSet::from(["kubernetes".to_owned()])),
            },
        },
        etcd: Observed::Known(EtcdFacts {
            members,
            alarms: Vec::new(),
        }),
        hosts: names
            .iter()
            .map(|(name, role)| {
                let facts = host(name, *role, from, target);
                (HostName::new(name), Observed::Known(facts))
            })
            .collect(),
        external_etcd: None,
        durations: None,
    }
}

fn node(name: &str, role: Role, from: &Version) -> Node {
    let mut labels = BTreeMap::from([("kubernetes.io/hostname".to_owned(), name.to_owned())]);
    if role == Role::ControlPlane {
        labels.insert(
            "node-role.kubernetes.io/control-plane".to_owned(),
            String::new(),
        );
    }
    Node {
        name: NodeName::new(name),
        uid: format!("uid-{name}"),
        labels,
        unschedulable: false,
        cordoned_by: None,
        ready: true,
        kubelet_version: from.to_string(),
        container_runtime: "containerd://2.1.4".to_owned(),
        machine_id: format!("machine-{name}"),
        not_ready_because: None,
        system_uuid: format!("system-{name}"),
        internal_ips: Vec::new(),
        taints: Vec::new(),
        allocatable: Some(BTreeMap::from(
            [("cpu", 4_000), ("memory", 16 << 30), ("pods", 110)]
                .map(|(name, amount)| (name.to_owned(), amount)),
        )),
    }
}

/// A pod of a ReplicaSet.
pub fn pod(namespace: &str, name: &str, node: &str) -> Pod {
    Pod {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        uid: format!("uid-{namespace}-{name}"),
        node: Some(NodeName::new(node)),
        labels: BTreeMap::from([("app".to_owned(), "web".to_owned())]),
        phase: PodPhase::Running,
        ready: true,
        deletion_timestamp: None,
        controller: Some(Controller {
            api_version: "apps/v1".to_owned(),
            kind: "ReplicaSet".to_owned(),
            name: "web".to_owned(),
        }),
        mirror: false,
        empty_dir: false,
        images: BTreeMap::new(),
        placement: Some(Placement::default()),
    }
}

fn kube_proxy(node: &str, from: &Version) -> Pod {
    Pod {
        labels: BTreeMap::from([("k8s-app".to_owned(), "kube-proxy".to_owned())]),
        controller: Some(Controller {
            api_version: "apps/v1".to_owned(),
            kind: "DaemonSet".to_owned(),
            name: "kube-proxy".to_owned(),
        }),
        images: BTreeMap::from([("kube-proxy".to_owned(), kube_proxy_image(from))]),
        ..pod("kube-system", &format!("kube-proxy-{node}"), node)
    }
}

pub fn budget(name: &str, needs: i32, has: i32) -> Budget {
    Budget {
        namespace: "shop".to_owned(),
        name: name.to_owned(),
        selector: Some(LabelSelector {
            match_labels: BTreeMap::from([("app".to_owned(), "web".to_owned())]),
            match_expressions: Vec::new(),
        }),
        min_available: Some(needs.to_string()),
        max_unavailable: None,
        always_allow_unhealthy: false,
        disruptions_allowed: (has - needs).max(0),
        current_healthy: has,
        desired_healthy: needs,
        expected_pods: has,
        up_to_date: true,
        sync_failed: None,
    }
}

fn manifests(version: &Version) -> BTreeMap<String, Manifest> {
    [
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
    ]
    .iter()
    .map(|name| {
        let manifest = Manifest {
            sha256: format!("{name}-{version}"),
            image: format!("registry.k8s.io/{name}:{}", version.tag()),
            flags: Vec::new(),
        };
        (format!("{name}.yaml"), manifest)
    })
    .collect()
}

fn host(name: &str, role: Role, from: &Version, target: &Version) -> HostFacts {
    let url = |minor| format!("https://pkgs.k8s.io/core:/stable:/v{minor}/deb/");
    let packages = ["kubeadm", "kubectl", "kubelet"];
    let revisions = |release: &Version| {
        let of = |package: &&str| {
            let offered = vec![
                format!("{release}-2.1"),
                format!("{release}-1.1"),
                format!("{}.0-1.1", release.minor()),
            ];
            ((*package).to_owned(), offered)
        };
        packages.iter().map(of).collect()
    };
    // Of a minor passed through, patch 4 is the newest there is.
    let first = from.minor().minor + 1;
    let passed = (first..target.minor().minor).map(|minor| Version::new(1, minor, 4));
    let offers = passed
        .chain([target.clone()])
        .map(|release| {
            let offer = Offer {
                url: url(release.minor()),
                key_url: Some(format!("{}Release.key", url(release.minor()))),
                key_sha256: KEY.to_owned(),
                revisions: revisions(&release),
            };
            (release.minor(), Observed::Known(offer))
        })
        .collect();
    let disk = [
        "/etc/kubernetes",
        "/usr",
        "/var/cache",
        "/var/lib",
        "/var/lib/containerd",
        "/var/lib/etcd",
        "/var/lib/kubelet",
    ];
    HostFacts {
        identity: Observed::Known(Identity {
            hostname: name.to_owned(),
            machine_id: format!("machine-{name}"),
            boot_id: "boot".to_owned(),
            os: "Debian GNU/Linux 12 (bookworm)".to_owned(),
        }),
        root: Observed::Known(()),
        packages: Observed::Known(PackageFacts {
            manager: PackageManager::Apt,
            installed: packages
                .iter()
                .map(|package| ((*package).to_owned(), format!("{from}-1.1")))
                .collect(),
            held: packages
                .iter()
                .map(|package| (*package).to_owned())
                .collect(),
            repositories: vec![RepositoryFile {
                path: "/etc/apt/sources.list.d/kubernetes.list".to_owned(),
                url: url(from.minor()),
                exclusive: true,
                sha256: "11st".to_owned(),
            }],
            offered: BTreeMap::new(),
            trouble: None,
        }),
        offers,
        kubeadm: Observed::Known(from.clone()),
        cgroup: Observed::Known(CgroupMode::V2),
        disk_free: Observed::Known(
            disk.iter()
                .map(|directory| ((*directory).to_owned(), 20 * 1024 * MIB))
                .collect(),
        ),
        clock_offset_s: Observed::Known(0),
        kubelet_flags: Observed::Known(Vec::new()),
        kubelet_config: Observed::Known("c0f1".to_owned()),
        kubelet_command: Observed::Known(Vec::new()),
        instance_config: Observed::Known(true),
        patches: Observed::Known(Patches::default()),
        operation: Observed::Known(None),
        control_plane: (role == Role::ControlPlane).then(|| ControlPlaneFacts {
            api_server: Observed::Known(from.clone()),
            endpoint: Observed::Known(format!("https://{name}.example.org:6443")),
            manifests: Observed::Known(manifests(from)),
            stray_files: Observed::Known(Vec::new()),
            controller_servers: Observed::Known(
                ["kube-controller-manager", "kube-scheduler"]
                    .map(|client| {
                        let own = format!("https://{name}.example.org:6443");
                        (client.to_owned(), own)
                    })
                    .into(),
            ),
            certificates: Observed::Known(BTreeMap::from([(
                "apiserver".to_owned(),
                "2027-09-01T00:00:00Z".parse().unwrap(),
            )])),
            api_use: Observed::Known(ApiUse {
                since: "2026-11-01T00:00:00Z".parse().unwrap(),
                requested: BTreeSet::new(),
            }),
            hand_edits: Observed::Known(HandEdits {
                patches: None,
                files: BTreeMap::new(),
            }),
        }),
    }
}
