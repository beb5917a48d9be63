//! A view moved on to what steps leave behind, so that the next hop is planned as if it had been observed.
//!
//! Only what planning reads is moved on. Where pods are by then nobody knows: those stay as observed.

use super::View;
use crate::cluster::facts::Observed;
use crate::cluster::model::{HostName, Role};
use crate::host::op::PackageRevision;
use crate::plan::data::{Action, Step};
use crate::rules::kubeadm_files;
use crate::rules::skew::Instance;
use crate::rules::version::Version;

use super::{HostView, release_of_revision};

impl<'a> View<'a> {
    /// Moves on to what these steps, done in their order, leave behind. `rolls_kube_proxy`: kubeadm rolls kube-proxy with
    /// the last control plane.
    pub fn follow(&mut self, steps: &[Step], rolls_kube_proxy: bool) {
        for step in steps {
            self.follow_step(&step.action, rolls_kube_proxy);
        }
    }

    fn host_mut(&mut self, name: &HostName) -> Option<&mut HostView<'a>> {
        // They stand by name.
        let at = self
            .hosts
            .binary_search_by(|host| host.name().cmp(name))
            .ok()?;
        self.hosts.get_mut(at)
    }

    fn follow_step(&mut self, action: &Action, rolls_kube_proxy: bool) {
        match action {
            Action::HoldPackages { host, .. } => {
                if let Some(host) = self.host_mut(host) {
                    host.held.extend(host.installed.keys().copied());
                }
            }
            Action::SwitchRepository { host, content, .. } => {
                if let Some(host) = self.host_mut(host) {
                    let mut words = content.split(|c: char| c.is_whitespace() || c == '=');
                    host.switched = words.find(|word| word.contains("://")).map(str::to_owned);
                }
            }
            Action::InstallKubeadm { host, packages, .. } => {
                if let Some(host) = self.host_mut(host) {
                    host.install(packages);
                }
            }
            Action::InstallKubelet { host, packages, .. } => {
                let Some(host) = self.host_mut(host) else {
                    return;
                };
                host.install(packages);
                let (node, kubelet) = (&host.node.name, host.kubelet.clone());
                if let Some((_, release)) = self.nodes.get_mut(node) {
                    *release = kubelet;
                }
            }
            Action::KubeadmApply { host, version, .. } => {
                self.config_release = version.clone();
                self.upgrade(host, version, rolls_kube_proxy);
            }
            Action::KubeadmNode {
                host,
                role,
                version,
                ..
            } => match role {
                Role::ControlPlane => self.upgrade(host, version, rolls_kube_proxy),
                Role::Worker => {
                    if let Some(host) = self.host_mut(host) {
                        host.configure(version);
                    }
                }
            },
            Action::Uncordon { node, outdated } => {
                let mut hosts = self.hosts.iter_mut();
                if let Some(host) = hosts.find(|host| host.node.name == *node) {
                    host.left_cordoned = false;
                    host.left_tainted &= !outdated;
                }
            }
            Action::CheckHost { .. }
            | Action::CheckCluster { .. }
            | Action::SnapshotEtcd { .. }
            | Action::PrefetchPackages { .. }
            | Action::PullImages { .. }
            | Action::AwaitControlPlane { .. }
            | Action::AwaitAddons { .. }
            | Action::TaintOutdated { .. }
            | Action::Cordon { .. }
            | Action::Drain { .. }
            | Action::AwaitNode { .. }
            | Action::AwaitStaticPods { .. }
            | Action::ReleaseHolds { .. }
            | Action::Verify { .. }
            | Action::Soak { .. }
            | Action::Gate { .. }
            | Action::Hook { .. }
            | Action::WayBack { .. }
            | Action::Barrier { .. } => {}
        }
    }

    fn upgrade(&mut self, host: &HostName, version: &Version, rolls_kube_proxy: bool) {
        let Some(host) = self.host_mut(host) else {
            return;
        };
        host.configure(version);
        if let Some(instance) = &mut host.instance {
            instance.running = version.clone();
            instance.manifests = Instance {
                api_server: version.clone(),
                controller_manager: version.clone(),
                scheduler: version.clone(),
            };
        }
        let last = self
            .control_planes()
            .all(|(_, instance)| instance.running == *version);
        if last && rolls_kube_proxy {
            for release in self
                .kube_proxy
                .values_mut()
                .chain(&mut self.kube_proxy_wanted)
            {
                release.clone_from(version);
            }
        }
    }
}

impl HostView<'_> {
    fn install(&mut self, packages: &[PackageRevision]) {
        for package in packages {
            let Some(release) = release_of_revision(&package.revision) else {
                continue;
            };
            match package.name.as_str() {
                "kubeadm" => self.kubeadm = release.clone(),
                "kubelet" => self.kubelet = release.clone(),
                _ => {}
            }
            if let Some(installed) = self.installed.get_mut(package.name.as_str()) {
                *installed = release;
            }
        }
    }

    /// kubeadm writes the kubelet's files.
    fn configure(&mut self, version: &Version) {
        if let Observed::Known(flags) = &mut self.kubelet_flags {
            flags.retain(|flag| !kubeadm_files::removes(version.minor(), flag));
        }
        if kubeadm_files::writes_instance_config(version.minor()) {
            self.instance_config = Observed::Known(true);
        }
    }
}
