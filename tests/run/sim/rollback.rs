//! A control plane that was cut off in the middle of kubeadm goes back to what kubeadm kept.

use std::time::Duration;

use refit::cluster::backups;
use refit::cluster::model::{HostName, NodeName, Role};
use refit::host::op::Query;
use refit::host::parse;
use refit::plan::data::Plan;
use refit::plan::rollback::{self, Refusal};
use refit::ports::{Hosts as _, World as Ports};
use refit::run::executor::Outcome;
use refit::sim::Sim;

use super::play::Process;
use super::restore::{stage, stage_with};

async fn planned(sim: &Sim) -> Result<Plan, Vec<Refusal>> {
    let ports = Ports {
        api: sim,
        hosts: sim,
        clock: sim,
    };
    let seen = backups::look(ports, &HostName::new("cp1")).await.unwrap();
    rollback::plan(&rollback::Inputs {
        inventory: "lab",
        declaration_sha256: "d",
        node: &NodeName::new("cp1"),
        role: Role::ControlPlane,
        backups: &seen,
    })
}

async fn images(sim: &Sim) -> Vec<String> {
    let host = HostName::new("cp1");
    let output = sim.query(&host, &Query::Manifests).await.unwrap();
    let files = parse::manifests(&output).unwrap().files;
    files.into_values().map(|manifest| manifest.image).collect()
}

#[tokio::test(start_paused = true)]
async fn what_a_power_cut_left_of_kubeadm_goes_back_and_etcd_stays() {
    let fault = "power-cut=60s:cp1@kubeadm-apply/kube-controller-manager";
    let stage = stage_with(3, &[fault]);
    let sim = Sim::new(stage.world, 1);
    // refit is gone as well, once kubeadm is at work
    let kill = Box::new(|_: &Sim, journal: &[u8], what: &'static str| {
        let told = String::from_utf8_lossy(journal);
        what == "claim" && told.contains("cp1/kubeadm-apply@1.35.4")
    });
    let (ended, _) = Process::new(&sim, Vec::new(), kill).run(&stage.plan).await;
    assert!(ended.is_none(), "{ended:?}");
    sim.sleep(Duration::from_secs(900)).await;
    let before = images(&sim).await;
    assert!(
        before.contains(&"registry.k8s.io/kube-apiserver:v1.35.4".to_owned()),
        "{before:?}"
    );
    assert!(
        before.contains(&"registry.k8s.io/kube-scheduler:v1.34.4".to_owned()),
        "{before:?}"
    );

    let plan = planned(&sim).await.unwrap();
    let never = Box::new(|_: &Sim, _: &[u8], _: &'static str| false);
    let (ended, journal) = Process::new(&sim, Vec::new(), never).run(&plan).await;
    assert!(
        matches!(ended, Some(Outcome::Finished { .. })),
        "{ended:#?}\n{}",
        String::from_utf8_lossy(&journal)
    );
    let mut after = images(&sim).await;
    after.retain(|image| !image.contains("/etcd:"));
    assert!(
        after.iter().all(|image| image.ends_with(":v1.34.4")),
        "{after:?}"
    );
    let etcd = |images: &[String]| {
        images
            .iter()
            .find(|image| image.contains("/etcd:"))
            .cloned()
    };
    assert_eq!(etcd(&images(&sim).await), etcd(&before));
    assert_eq!(planned(&sim).await, Err(vec![Refusal::AsBefore]));
}

#[tokio::test(start_paused = true)]
async fn what_ended_well_or_never_began_does_not_go_back() {
    let stage = stage(3);
    let sim = Sim::new(stage.world, 1);
    let refused = planned(&sim).await.unwrap_err();
    assert_eq!(refused, [Refusal::NoUpgrade, Refusal::NoBackup]);
    let never = Box::new(|_: &Sim, _: &[u8], _: &'static str| false);
    let (ended, _) = Process::new(&sim, Vec::new(), never).run(&stage.plan).await;
    assert!(
        matches!(ended, Some(Outcome::Finished { .. })),
        "{ended:#?}"
    );
    let refused = planned(&sim).await.unwrap_err();
    let told: Vec<String> = refused.iter().map(ToString::to_string).collect();
    assert!(
        told[0].contains("`cp1/kubeadm-apply@1.35.4` ended well"),
        "{told:?}"
    );
    // and its kubelets are newer by then
    assert!(
        told.iter().any(|told| told.contains("kubelets are newer")),
        "{told:?}"
    );
}
