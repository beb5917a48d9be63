//! Detectors of what only a control plane has: its manifests, its certificates, what its API server was asked for.

use jiff::Timestamp;

use super::detect::Sightings;
use super::evidence::{ControlPlane, Evidence, Host};
use crate::rules::version::Minor;

/// kubeadm's certificate authorities, by its names of them.
///
/// Source: kubernetes/kubernetes `cmd/kubeadm/app/phases/certs/certlist.go`.
const AUTHORITIES: [&str; 3] = ["ca", "etcd-ca", "front-proxy-ca"];

/// kubeadm's static pods.
const STATIC_PODS: [&str; 4] = [
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
];

/// So many lines of a manifest's difference are told; the facts have all.
const LINES_TOLD: usize = 12;

impl Sightings {
    pub(super) fn removed_apis(&mut self, evidence: &Evidence<'_>, from: Minor, hop: Minor) {
        // What should be gone and is still served goes with the first hop, at the latest.
        let left = |removed_in: Minor| !evidence.told.later_hop || removed_in > from;
        for (host, control_plane) in control_planes(evidence) {
            match control_plane.api_use {
                Ok(seen) => {
                    let gone = seen.requested.iter().filter(|api| api.removed_in <= hop);
                    for api in gone.filter(|api| left(api.removed_in)) {
                        self.there(Some(host.name), format!("requests for {api}"));
                    }
                }
                Err(why) => self.not_checked(Some(host.name), why),
            }
        }
    }

    pub(super) fn young_api_servers(&mut self, evidence: &Evidence<'_>, hours: u32) {
        let limit = evidence
            .at
            .as_second()
            .saturating_sub(i64::from(hours) * 3600);
        for (host, control_plane) in control_planes(evidence) {
            match control_plane.api_use {
                Ok(seen) if seen.since.as_second() > limit => {
                    let text = format!("an API server that was started at {}", seen.since);
                    self.there(Some(host.name), text);
                }
                Ok(_) => {}
                Err(why) => self.not_checked(Some(host.name), why),
            }
        }
    }

    pub(super) fn hand_edits(&mut self, evidence: &Evidence<'_>) {
        if evidence.told.later_hop {
            return;
        }
        for (host, control_plane) in control_planes(evidence) {
            match control_plane.hand_edits {
                Ok(files) => {
                    let rewritten = |file: &str| file != "etcd.yaml" || evidence.told.upgrades_etcd;
                    for (file, lines) in files.iter().filter(|(file, _)| rewritten(file)) {
                        self.there(Some(host.name), edited(file, lines));
                    }
                }
                Err(why) => self.not_checked(Some(host.name), why),
            }
        }
    }

    pub(super) fn stray_manifests(&mut self, evidence: &Evidence<'_>) {
        for (host, control_plane) in control_planes(evidence) {
            let copies = control_plane
                .stray_files
                .iter()
                .filter(|file| is_copy(file));
            for file in copies {
                let text = format!("/etc/kubernetes/manifests/{file}");
                self.there(Some(host.name), text);
            }
        }
    }

    pub(super) fn certificate_ends(&mut self, evidence: &Evidence<'_>, hours: u32) {
        self.certificates(evidence, i64::from(hours) * 3600, |_| true);
    }

    pub(super) fn authority_ends(&mut self, evidence: &Evidence<'_>, days: u32) {
        self.certificates(evidence, i64::from(days) * 86_400, |name| {
            AUTHORITIES.contains(&name)
        });
    }

    fn certificates(
        &mut self,
        evidence: &Evidence<'_>,
        within_s: i64,
        concerned: impl Fn(&str) -> bool,
    ) {
        let limit = evidence.at.as_second().saturating_add(within_s);
        let soon = |at: &Timestamp| at.as_second() < limit;
        for (host, control_plane) in control_planes(evidence) {
            for (name, at) in control_plane.certificates {
                if concerned(name) && soon(at) {
                    self.there(
                        Some(host.name),
                        format!("certificate {name} that ends at {at}"),
                    );
                }
            }
        }
    }
}

fn control_planes<'e, 'a>(
    evidence: &'e Evidence<'a>,
) -> impl Iterator<Item = (&'e Host<'a>, &'e ControlPlane<'a>)> {
    evidence.hosts.iter().filter_map(|host| {
        host.control_plane
            .as_ref()
            .map(|control_plane| (host, control_plane))
    })
}

fn edited(file: &str, lines: &[String]) -> String {
    let mut told: Vec<String> = lines
        .iter()
        .take(LINES_TOLD)
        .map(|line| format!("`{line}`"))
        .collect();
    if lines.len() > LINES_TOLD {
        told.push(format!("{} more lines", lines.len() - LINES_TOLD));
    }
    format!("{file} is not as kubeadm writes it: {}", told.join(", "))
}

/// Named after a static pod of kubeadm, as `etcd.yaml.backup` is; other files (`kube-vip.yaml`) are pods of their own. The
/// kubelet skips names that begin with a dot.
fn is_copy(file: &str) -> bool {
    STATIC_PODS.iter().any(|pod| file.starts_with(pod))
}
