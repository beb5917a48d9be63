//! Power, and what a kubelet does to the static pods of its machine.

use std::time::Duration;

use super::phase::Phase;
use super::{Event, Machine, manifest};
use crate::cluster::facts::Observed;
use crate::cluster::model::Role;
use crate::sim::effect::Effect;
use crate::sim::seam::{Turn, View};

impl Machine {
    /// All that runs here ends. Power is back after so long, or never.
    pub(super) fn power_off(&mut self, lasts: Option<Duration>) -> Turn {
        let half_done = self
            .unit
            .running
            .as_ref()
            .and_then(|running| running.phases.front());
        if matches!(half_done, Some(Phase::Unpack(_) | Phase::Configure(_))) {
            self.half_installed = true;
        }
        self.unit.lose();
        self.new_snapshot = None;
        self.backups.clear();
        self.off = true;
        self.kubelet = None;
        self.locked_until = None;
        let aside = self.way_back.aside.keys();
        let aside = aside.map(|file| manifest::component(file).to_owned());
        self.stopped = self
            .static_pods()
            .map(|(name, _)| name)
            .chain(aside)
            .collect();
        let mut effects = vec![Effect::ContainersStopped];
        if self.role == Role::ControlPlane {
            effects.extend([Effect::ApiServerDown, Effect::EtcdDown]);
        }
        let later = lasts.map(|lasts| (lasts, Event::Boot(self.boots + 1)));
        Turn {
            effects,
            later: later.into_iter().collect(),
        }
    }

    /// The machine starts again.
    pub(super) fn boot(&mut self, view: &View<'_>, boot: u32) -> Turn {
        if !self.off || boot != self.boots + 1 {
            return Turn::default();
        }
        self.boots = boot;
        self.off = false;
        let mut effects = self.start_kubelet();
        effects.extend(self.start_static_pods(view));
        Turn {
            effects,
            later: Vec::new(),
        }
    }

    /// The kubelet that is installed starts, if it can.
    pub(super) fn start_kubelet(&mut self) -> Vec<Effect> {
        let Some(version) = self.installed("kubelet") else {
            return Vec::new();
        };
        if self.kubelet_broken {
            return Vec::new();
        }
        self.kubelet = Some(version.clone());
        vec![Effect::KubeletStarted {
            version,
            ready_after: self.durations.node_ready,
        }]
    }

    /// Its static pods by their manifests: component and image.
    pub(super) fn static_pods(&self) -> impl Iterator<Item = (String, String)> + use<'_> {
        let manifests = self.seen.control_plane.as_ref();
        let manifests = manifests.and_then(|own| own.manifests.known());
        manifests
            .into_iter()
            .flatten()
            .map(|(file, manifest)| (manifest::component(file).to_owned(), manifest.image.clone()))
    }

    /// Ends one static pod.
    pub(super) fn stop_static_pod(&mut self, component: &str) -> Vec<Effect> {
        self.stopped.insert(component.to_owned());
        let mut effects = vec![Effect::StaticPodStopped {
            component: component.to_owned(),
        }];
        match component {
            "kube-apiserver" => effects.push(Effect::ApiServerDown),
            "etcd" => effects.push(Effect::EtcdDown),
            _ => {}
        }
        effects
    }

    /// Starts one from its manifest.
    pub(super) fn start_static_pod(&mut self, view: &View<'_>, component: &str) -> Vec<Effect> {
        let Some((_, image)) = self.static_pods().find(|(name, _)| name == component) else {
            return Vec::new();
        };
        self.stopped.remove(component);
        let mut effects = vec![Effect::StaticPodStarted {
            component: component.to_owned(),
            image: image.clone(),
            ready_after: self.durations.static_pod_ready,
        }];
        match component {
            "kube-apiserver" => {
                let version = crate::cluster::release::release_of_image(&image);
                if let (Some(own), Some(version)) = (&mut self.seen.control_plane, version) {
                    own.api_server = Observed::Known(version.clone());
                    if let Observed::Known(used) = &mut own.api_use {
                        used.since = view.wall;
                        used.requested.clear();
                    }
                    effects.push(Effect::ApiServerUp { version });
                }
            }
            "etcd" => {
                let tag = image.rsplit_once(':').map(|(_, tag)| tag);
                let release = tag.map(|tag| tag.split('-').next().unwrap_or(tag).to_owned());
                let own = self.node.as_str().to_owned();
                if let (Observed::Known(etcd), Some(release)) = (&mut self.etcd, release) {
                    for member in etcd.members.iter_mut().filter(|member| member.name == own) {
                        member.version = Some(release.trim_start_matches('v').to_owned());
                    }
                }
                effects.extend(self.restored_member(view));
                effects.push(Effect::EtcdUp);
            }
            _ => {}
        }
        effects
    }

    pub(super) fn start_static_pods(&mut self, view: &View<'_>) -> Vec<Effect> {
        let all: Vec<String> = self.static_pods().map(|(name, _)| name).collect();
        let mut effects = Vec::new();
        for component in all {
            effects.extend(self.start_static_pod(view, &component));
        }
        effects
    }

    pub(super) fn stop_static_pods(&mut self) -> Vec<Effect> {
        let all: Vec<String> = self.static_pods().map(|(name, _)| name).collect();
        let stop = |name: &String| self.stop_static_pod(name);
        all.iter().flat_map(stop).collect()
    }
}
