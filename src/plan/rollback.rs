//! The way back of one control plane whose upgrade by kubeadm did not end well: its static pods' manifests from kubeadm's own
//! backup.
//!
//! Only where that is safe: kubeadm's last operation there failed or was cut off, what it kept is of one release, and no kubelet is
//! newer than the API server that comes back. etcd stays as it is, whatever it was upgraded to.
//!
//! Sources: kubernetes/kubernetes `cmd/kubeadm/app/phases/upgrade/staticpods.go`; the version skew policy
//! (<https://kubernetes.io/releases/version-skew-policy/#kubelet>).

use std::collections::{BTreeMap, BTreeSet};

use super::data::{Action, FORMAT, Limits, Plan};
use super::draft::Draft;
use super::graph;
use super::pace::{self, Pace};
use super::way_back::Part;
use crate::cluster::backups::Backups;
use crate::cluster::drift;
use crate::cluster::model::{NodeName, Role};
use crate::host::rollback::PutBack;
use crate::rules::version::Version;

/// What the plan is made from.
#[derive(Debug)]
pub struct Inputs<'a> {
    /// The inventory's name.
    pub inventory: &'a str,
    /// SHA-256 of the documents' texts.
    pub declaration_sha256: &'a str,
    /// The node.
    pub node: &'a NodeName,
    /// What for.
    pub role: Role,
    /// What was seen.
    pub backups: &'a Backups,
}

/// Why a control plane does not go back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// kubeadm replaces nothing of a worker that it keeps.
    #[error(
        "{0} is a worker: kubeadm keeps nothing of it. Put its packages back by hand, as a runbook says"
    )]
    Worker(NodeName),
    /// Something is under way there.
    #[error("{0} is under way there: wait for its end")]
    UnderWay(String),
    /// Nobody knows that the upgrade failed.
    #[error("refit has begun no upgrade by kubeadm there, so whether one failed is not known")]
    NoUpgrade,
    /// It did not fail.
    #[error(
        "`{0}` ended well there: Kubernetes knows no downgrade. The cluster as a whole goes back with `refit restore SNAPSHOT`"
    )]
    EndedWell(String),
    /// There is nothing to go back to.
    #[error("kubeadm kept no manifest there (/etc/kubernetes/tmp/kubeadm-backup-manifests-*)")]
    NoBackup,
    /// What there is is as it was.
    #[error(
        "its static pods are as they were before: nothing is to be put back. `refit resume` goes on with the upgrade"
    )]
    AsBefore,
    /// The manifests are of several releases, or of none.
    #[error("what kubeadm kept in {backup} is not of one release: {images}")]
    Mixed {
        /// Where.
        backup: String,
        /// What.
        images: String,
    },
    /// What would go back is not older.
    #[error("{pod} in {backup} is at {kept}, and what runs is at {there}: that is no way back")]
    NotOlder {
        /// Which.
        pod: String,
        /// Where.
        backup: String,
        /// What was kept.
        kept: Version,
        /// What there is.
        there: Version,
    },
    /// A kubelet must not be newer than an API server.
    #[error("kubelets are newer than the API server that would come back at {0}: {nodes}", nodes = .1.join(", "))]
    NewerKubelets(Version, Vec<String>),
}

/// kubelets start three static pods; copies before that.
const PUT_BACK: Pace = Pace {
    timeout_s: 120,
    expected_s: 2,
    retries: 1,
};
const AWAIT: Pace = Pace {
    timeout_s: 900,
    expected_s: 60,
    retries: 0,
};

/// The plan, or everything that keeps it from being made.
///
/// # Errors
/// If it is not safe, or that is not known.
pub fn plan(inputs: &Inputs<'_>) -> Result<Plan, Vec<Refusal>> {
    let seen = inputs.backups;
    let (back, release) = decide(inputs)?;
    let names: Vec<&str> = back.manifests.keys().map(String::as_str).collect();
    let notes = vec![
        format!(
            "{} go back to {release}, from {}",
            names.join(", "),
            back.backup
        ),
        "etcd stays as it is; packages stay as they are: `refit apply` upgrades again from there"
            .to_owned(),
    ];
    let mut draft = Draft::new(&release);
    let host = &seen.host;
    let fit = draft.step(
        host,
        "check-host",
        Action::CheckHost {
            host: host.clone(),
            node: inputs.node.clone(),
            machine_id: seen.machine_id.clone(),
            disk_free: BTreeMap::new(),
            patches: None,
        },
        &[],
        pace::LOOK,
        "this must be the machine that the plan was made for",
    );
    let put_back = draft.step(
        host,
        "put-back-manifests",
        Action::WayBack {
            host: host.clone(),
            part: Part::PutBack(back.clone()),
        },
        &[&fit],
        PUT_BACK,
        "kubeadm's upgrade did not end well, and these are what it replaced",
    );
    draft.step(
        host,
        "await-control-plane",
        Action::AwaitControlPlane {
            host: host.clone(),
            node: inputs.node.clone(),
            version: release.clone(),
        },
        &[&put_back],
        AWAIT,
        "its API server, controller manager and scheduler must be well at their earlier release",
    );
    let mut basis = BTreeMap::from([
        (format!("host/{host}/machine-id"), seen.machine_id.clone()),
        (format!("host/{host}/backup"), back.backup.clone()),
    ]);
    for (name, pod) in &seen.there {
        basis.insert(format!("host/{host}/manifest/{name}"), pod.sha256.clone());
    }
    let steps = draft.into_steps();
    let as_drafted = steps.clone();
    Ok(Plan {
        format: FORMAT.to_owned(),
        upgrade: format!("rollback of {}", inputs.node),
        inventory: inputs.inventory.to_owned(),
        cluster_uid: seen.cluster_uid.clone(),
        target: release.clone(),
        declaration_sha256: inputs.declaration_sha256.to_owned(),
        limits: Limits::none(),
        windows: None,
        facts_at: seen.observed_at,
        facts_fingerprint: drift::fingerprint(&basis),
        basis,
        notes,
        steps: graph::sorted(steps).unwrap_or(as_drafted),
    })
}

/// What goes back, and to which release.
fn decide(inputs: &Inputs<'_>) -> Result<(PutBack, Version), Vec<Refusal>> {
    let seen = inputs.backups;
    match inputs.role {
        Role::Worker => return Err(vec![Refusal::Worker(inputs.node.clone())]),
        Role::ControlPlane => {}
    }
    let mut refusals = Vec::new();
    if let Some(what) = &seen.under_way {
        refusals.push(Refusal::UnderWay(what.clone()));
    }
    match &seen.last {
        None => refusals.push(Refusal::NoUpgrade),
        Some((op, Some(0))) => refusals.push(Refusal::EndedWell(op.clone())),
        Some((_, Some(_) | None)) => {}
    }
    let Some(backup) = &seen.backup else {
        refusals.push(Refusal::NoBackup);
        return Err(refusals);
    };
    let kept: BTreeMap<_, _> = seen
        .kept
        .iter()
        .filter(|(name, _)| *name != "etcd")
        .collect();
    if kept.is_empty() {
        refusals.push(Refusal::NoBackup);
        return Err(refusals);
    }
    let releases: BTreeSet<Option<&Version>> =
        kept.values().map(|pod| pod.release.as_ref()).collect();
    let release = match releases.iter().collect::<Vec<_>>()[..] {
        [Some(release)] => (*release).clone(),
        _ => {
            let images: Vec<&str> = kept.values().map(|pod| pod.image.as_str()).collect();
            refusals.push(Refusal::Mixed {
                backup: backup.clone(),
                images: images.join(", "),
            });
            return Err(refusals);
        }
    };
    let mut manifests = BTreeMap::new();
    for (name, pod) in kept {
        let Some(there) = seen.there.get(name) else {
            manifests.insert(name.clone(), pod.sha256.clone());
            continue;
        };
        if there.sha256 == pod.sha256 {
            continue;
        }
        if let Some(now) = &there.release
            && *now < release
        {
            refusals.push(Refusal::NotOlder {
                pod: name.clone(),
                backup: backup.clone(),
                kept: release.clone(),
                there: now.clone(),
            });
        }
        manifests.insert(name.clone(), pod.sha256.clone());
    }
    if manifests.is_empty() {
        refusals.push(Refusal::AsBefore);
    }
    let newer: Vec<String> = seen
        .kubelets
        .iter()
        .filter(|(_, kubelet)| {
            // one that tells no release may be any
            kubelet
                .parse::<Version>()
                .map_or(true, |kubelet| kubelet.minor() > release.minor())
        })
        .map(|(node, kubelet)| format!("{node} at {kubelet}"))
        .collect();
    if !newer.is_empty() {
        refusals.push(Refusal::NewerKubelets(release.clone(), newer));
    }
    if !refusals.is_empty() {
        return Err(refusals);
    }
    let backup = backup.clone();
    Ok((PutBack { backup, manifests }, release))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::cluster::backups::Pod;
    use crate::cluster::model::HostName;

    fn pod(name: &str, tag: &str) -> (String, Pod) {
        let image = format!("registry.k8s.io/{name}:{tag}");
        let pod = Pod {
            sha256: crate::host::judge::sha256(image.as_bytes()),
            release: crate::cluster::release::release_of_image(&image),
            image,
        };
        (name.to_owned(), pod)
    }

    /// Cut off after the API server and etcd were replaced.
    fn seen() -> Backups {
        Backups {
            observed_at: "2026-11-22T08:00:00Z".parse().unwrap(),
            host: HostName::new("cp1"),
            machine_id: "m1".to_owned(),
            under_way: None,
            backup: Some("/etc/kubernetes/tmp/kubeadm-backup-manifests-2".to_owned()),
            kept: [pod("kube-apiserver", "v1.34.4"), pod("etcd", "3.6.5-0")].into(),
            there: [
                pod("kube-apiserver", "v1.35.4"),
                pod("kube-controller-manager", "v1.34.4"),
                pod("kube-scheduler", "v1.34.4"),
                pod("etcd", "3.6.6-0"),
            ]
            .into(),
            last: Some(("cp1/kubeadm-apply@1.35.4".to_owned(), None)),
            cluster_uid: "uid".to_owned(),
            kubelets: [(NodeName::new("cp1"), "1.34.4".to_owned())].into(),
        }
    }

    fn planned(seen: &Backups, role: Role) -> Result<Plan, Vec<Refusal>> {
        plan(&Inputs {
            inventory: "lab",
            declaration_sha256: "d",
            node: &NodeName::new("cp1"),
            role,
            backups: seen,
        })
    }

    #[test]
    fn what_kubeadm_replaced_goes_back_and_etcd_stays() {
        let plan = planned(&seen(), Role::ControlPlane).unwrap();
        let ids: Vec<&str> = plan.steps.iter().map(|step| step.id.as_str()).collect();
        assert_eq!(
            ids,
            [
                "cp1/check-host@1.34.4",
                "cp1/put-back-manifests@1.34.4",
                "cp1/await-control-plane@1.34.4"
            ]
        );
        let Action::WayBack {
            part: Part::PutBack(back),
            ..
        } = &plan.steps[1].action
        else {
            unreachable!("{plan:?}");
        };
        let names: Vec<&String> = back.manifests.keys().collect();
        assert_eq!(names, ["kube-apiserver"]);
    }

    #[test]
    fn what_is_not_safe_is_refused_with_its_reason() {
        let refused = |change: &dyn Fn(&mut Backups)| {
            let mut seen = seen();
            change(&mut seen);
            let refusals = planned(&seen, Role::ControlPlane).unwrap_err();
            let told: Vec<String> = refusals.iter().map(ToString::to_string).collect();
            told.join("\n")
        };
        let told = refused(&|seen| {
            seen.last = Some(("cp1/kubeadm-apply@1.35.4".to_owned(), Some(0)));
        });
        assert!(
            told.contains("ended well there") && told.contains("refit restore"),
            "{told}"
        );
        assert!(refused(&|seen| seen.last = None).contains("is not known"));
        assert!(refused(&|seen| seen.backup = None).contains("kept no manifest"));
        let told = refused(&|seen| {
            seen.kept = [pod("etcd", "3.6.5-0")].into();
        });
        assert!(told.contains("kept no manifest"), "{told}");
        let told = refused(&|seen| {
            seen.kept.extend([pod("kube-scheduler", "v1.33.1")]);
        });
        assert!(told.contains("is not of one release"), "{told}");
        let told = refused(&|seen| {
            seen.there.extend([pod("kube-apiserver", "v1.34.4")]);
        });
        assert!(told.contains("as they were before"), "{told}");
        let told = refused(&|seen| {
            seen.there.extend([pod("kube-apiserver", "v1.33.9")]);
        });
        assert!(told.contains("no way back"), "{told}");
        let told = refused(&|seen| {
            seen.kubelets
                .insert(NodeName::new("w1"), "1.35.4".to_owned());
        });
        assert!(
            told.contains("newer than the API server that would come back at 1.34.4: w1 at 1.35.4"),
            "{told}"
        );
        let told = refused(&|seen| seen.under_way = Some("kubeadm".to_owned()));
        assert!(told.contains("kubeadm is under way"), "{told}");
        let worker = planned(&seen(), Role::Worker).unwrap_err();
        assert_eq!(worker, [Refusal::Worker(NodeName::new("cp1"))]);
    }
}
