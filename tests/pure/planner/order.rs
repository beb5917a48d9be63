//! Which steps there are, and in which order.

use crate::build::{World, v};
use refit::cluster::facts::{Observed, Patches};
use refit::cluster::model::NodeName;
use refit::documents::settings::{OrderGroup, Share};
use refit::plan::data::{Action, Plan, StepId};
use refit::plan::file::PlanError;
use std::time::Duration;

fn ids(plan: &Plan) -> Vec<&str> {
    plan.steps.iter().map(|step| step.id.as_str()).collect()
}

fn after(plan: &Plan, id: &str) -> Vec<String> {
    let step = plan
        .step(&StepId::new(id))
        .unwrap_or_else(|| panic!("{id}: {:#?}", ids(plan)));
    step.after.iter().map(ToString::to_string).collect()
}

#[test]
fn one_minor_up_with_one_control_plane_and_one_worker() {
    let plan = World::new(1, 1, "1.34.4", "1.35.4").planned();
    assert_eq!(
        ids(&plan),
        [
            "cluster/check-cluster@1.35.4",
            "cp1/check-host@1.35.4",
            "w1/check-host@1.35.4",
            "barrier/preflight@1.35",
            "cluster/snapshot-etcd@1.35.4",
            "cp1/switch-repository@1.35.4",
            "cp1/prefetch-packages@1.35.4",
            "cp1/install-kubeadm@1.35.4",
            "cp1/pull-images@1.35.4",
            "cp1/kubeadm-apply@1.35.4",
            "cp1/await-control-plane@1.35.4",
            "barrier/control-planes@1.35",
            "cluster/await-addons@1.35.4",
            "cp1/cordon@1.35.4",
            "cp1/drain@1.35.4",
            "cp1/install-kubelet@1.35.4",
            "cp1/await-node@1.35.4",
            "cp1/await-static-pods@1.35.4",
            "cp1/uncordon@1.35.4",
            "w1/switch-repository@1.35.4",
            "w1/prefetch-packages@1.35.4",
            "w1/install-kubeadm@1.35.4",
            "w1/kubeadm-node@1.35.4",
            "w1/cordon@1.35.4",
            "w1/drain@1.35.4",
            "w1/install-kubelet@1.35.4",
            "w1/await-node@1.35.4",
            "w1/uncordon@1.35.4",
            "barrier/wave-1@1.35",
            "barrier/nodes@1.35",
            "cluster/verify@1.35.4",
        ]
    );
}

#[test]
fn the_newest_revision_of_the_target_is_taken() {
    let plan = World::new(1, 1, "1.34.4", "1.35.4").planned();
    let step = plan
        .step(&StepId::new("w1/install-kubelet@1.35.4"))
        .unwrap();
    let Action::InstallKubelet { packages, .. } = &step.action else {
        panic!("{step:?}");
    };
    let packages: Vec<String> = packages
        .iter()
        .map(|package| format!("{}={}", package.name, package.revision))
        .collect();
    assert_eq!(packages, ["kubectl=1.35.4-2.1", "kubelet=1.35.4-2.1"]);
}

#[test]
fn control_planes_go_one_at_a_time_and_prepare_beside_each_other() {
    let plan = World::new(3, 2, "1.34.4", "1.35.4").planned();
    assert_eq!(
        after(&plan, "cp2/kubeadm-node@1.35.4"),
        ["cp1/await-control-plane@1.35.4", "cp2/pull-images@1.35.4"]
    );
    assert_eq!(
        after(&plan, "cp2/pull-images@1.35.4"),
        ["cp2/install-kubeadm@1.35.4"]
    );
    assert_eq!(after(&plan, "cp2/cordon@1.35.4"), ["cp1/uncordon@1.35.4"]);
    assert_eq!(
        after(&plan, "w2/kubeadm-node@1.35.4"),
        ["barrier/wave-1@1.35", "w2/install-kubeadm@1.35.4"]
    );
}

#[test]
fn what_was_done_by_hand_is_left_out() {
    let target = v("1.35.4");
    let mut world = World::new(3, 1, "1.34.4", "1.35.4");
    for name in ["cp2", "w1"] {
        world.install_kubeadm(name, &target);
    }
    world.upgrade_instance("cp2", &target);
    world.config().kubernetes_version = target.clone();
    let plan = world.planned();
    let steps = ids(&plan);
    // cp2 was the first: nothing applies any more.
    assert!(
        !steps.iter().any(|id| id.contains("kubeadm-apply")),
        "{steps:#?}"
    );
    assert!(!steps.contains(&"cp2/install-kubeadm@1.35.4"));
    assert!(!steps.contains(&"cp2/pull-images@1.35.4"));
    assert!(steps.contains(&"cp1/kubeadm-node@1.35.4"));
    assert!(steps.contains(&"cp2/install-kubelet@1.35.4"));

    // With its kubelet at the release too, nothing is left on cp2.
    let mut all_done = world.clone();
    for name in ["cp1", "cp3"] {
        all_done.install_kubeadm(name, &target);
        all_done.upgrade_instance(name, &target);
    }
    all_done.roll_kube_proxy(&target);
    all_done.install_kubelet("cp2", &target);
    let plan = all_done.planned();
    let steps = ids(&plan);
    assert!(!steps.iter().any(|id| id.starts_with("cp2/")), "{steps:#?}");

    // Without the new release in kubeadm-config, `apply` was cut short there, and is run there again.
    world.config().kubernetes_version = v("1.34.4");
    let plan = world.planned();
    assert_eq!(
        after(&plan, "cp1/kubeadm-node@1.35.4")[0],
        "cp1/pull-images@1.35.4"
    );
    assert!(ids(&plan).contains(&"cp2/kubeadm-apply@1.35.4"));
}

/// kubeadm writes the kubelet's configuration after the static pods, and it may have been killed in between: a 1.35 kubelet
/// does not start with the flags that kubeadm 1.34 wrote.
#[test]
fn a_kubelet_is_never_installed_where_its_configuration_may_be_missing() {
    let target = v("1.35.4");
    let mut world = World::new(3, 0, "1.34.4", "1.35.4");
    for name in ["cp1", "cp2"] {
        world.install_kubeadm(name, &target);
        world.upgrade_instance(name, &target);
    }
    world.config().kubernetes_version = target;
    let plan = world.planned();
    for (id, before) in [
        (
            "cp1/kubeadm-node@1.35.4",
            vec!["cp1/prefetch-packages@1.35.4"],
        ),
        (
            "cp2/kubeadm-node@1.35.4",
            vec![
                "cp1/await-control-plane@1.35.4",
                "cp2/prefetch-packages@1.35.4",
            ],
        ),
        (
            "cp3/kubeadm-node@1.35.4",
            vec!["cp2/await-control-plane@1.35.4", "cp3/pull-images@1.35.4"],
        ),
    ] {
        assert_eq!(after(&plan, id), before, "{id}");
    }
}

/// kubeadm refuses the name of a phase that its command does not have, and `upgrade node` has fewer than `upgrade apply`.
#[test]
fn each_command_is_told_of_its_own_phases_only() {
    let mut world = World::new(2, 1, "1.34.4", "1.35.4");
    world.upgrade.kubeadm.skip_phases =
        vec!["bootstrap-token".to_owned(), "addon/kube-proxy".to_owned()];
    let plan = world.planned();
    let skipped = |id: &str| match &plan.step(&StepId::new(id)).unwrap().action {
        Action::KubeadmApply { options, .. } | Action::KubeadmNode { options, .. } => {
            options.skip_phases.clone()
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(
        skipped("cp1/kubeadm-apply@1.35.4"),
        ["bootstrap-token", "addon/kube-proxy"]
    );
    assert_eq!(skipped("cp2/kubeadm-node@1.35.4"), ["addon/kube-proxy"]);
    assert_eq!(skipped("w1/kubeadm-node@1.35.4"), ["addon/kube-proxy"]);
}

#[test]
fn addons_left_behind_are_applied() {
    let target = v("1.35.4");
    let mut world = World::new(2, 0, "1.34.4", "1.35.4");
    let plan = world.planned();
    world.carry_out(&plan);
    assert!(world.planned().is_empty());
    world.roll_kube_proxy(&v("1.34.4"));
    let plan = world.planned();
    assert!(
        ids(&plan).contains(&"cp1/kubeadm-apply@1.35.4"),
        "{:#?}",
        ids(&plan)
    );
    world.roll_kube_proxy(&target);
    assert!(world.planned().is_empty());
}

#[test]
fn a_node_that_someone_else_cordoned_is_drained_and_stays_cordoned() {
    let mut world = World::new(1, 3, "1.34.4", "1.35.4");
    world.upgrade.workers.max_unavailable = Share::Count(2);
    world.node("w2").unschedulable = true;
    let plan = world.planned();
    let steps = ids(&plan);
    assert!(steps.contains(&"w2/drain@1.35.4"));
    assert!(!steps.contains(&"w2/cordon@1.35.4"));
    assert!(!steps.contains(&"w2/uncordon@1.35.4"));
    // It counts as unavailable: waves of one.
    assert!(steps.contains(&"barrier/wave-3@1.35"));
    let verify = plan.step(&StepId::new("cluster/verify@1.35.4")).unwrap();
    let Action::Verify { cordoned, .. } = &verify.action else {
        panic!("{verify:?}");
    };
    assert_eq!(cordoned, &[NodeName::new("w2")]);
    assert!(
        plan.notes
            .contains(&"w2 was cordoned by someone else and stays cordoned".to_owned())
    );
}

#[test]
fn a_node_that_an_earlier_run_left_cordoned_becomes_schedulable() {
    let mut world = World::new(1, 2, "1.34.4", "1.35.4");
    let plan = world.planned();
    world.carry_out(&plan);
    let node = world.node("w1");
    node.unschedulable = true;
    node.cordoned_by = Some("r1".to_owned());
    let plan = world.planned();
    let w1: Vec<&str> = ids(&plan)
        .into_iter()
        .filter(|id| id.starts_with("w1/"))
        .collect();
    assert_eq!(
        w1,
        [
            "w1/check-host@1.35.4",
            "w1/await-node@1.35.4",
            "w1/uncordon@1.35.4"
        ]
    );
}

#[test]
fn groups_go_in_their_order_and_share_no_wave() {
    let mut world = World::new(1, 4, "1.34.4", "1.35.4");
    world.upgrade.workers.max_unavailable = Share::Count(3);
    let pool = |name: &str| OrderGroup {
        selector: refit::cluster::model::LabelSelector {
            match_labels: [("pool".to_owned(), name.to_owned())].into(),
            match_expressions: Vec::new(),
        },
        soak: Duration::ZERO,
    };
    world.upgrade.workers.order = vec![pool("canary"), pool("general")];
    world
        .node("w3")
        .labels
        .insert("pool".to_owned(), "canary".to_owned());
    world
        .node("w4")
        .labels
        .insert("pool".to_owned(), "general".to_owned());
    let plan = world.planned();
    assert_eq!(after(&plan, "barrier/wave-1@1.35"), ["w3/uncordon@1.35.4"]);
    assert_eq!(after(&plan, "barrier/wave-2@1.35"), ["w4/uncordon@1.35.4"]);
    assert_eq!(
        after(&plan, "barrier/wave-3@1.35"),
        ["w1/uncordon@1.35.4", "w2/uncordon@1.35.4"]
    );
}

#[test]
fn holds_that_were_not_there_are_taken_and_given_back() {
    let mut world = World::new(1, 1, "1.34.4", "1.35.4");
    world.packages("w1").held.remove("kubectl");
    let plan = world.planned();
    let packages = |id: &str| match &plan.step(&StepId::new(id)).unwrap().action {
        Action::HoldPackages { packages, .. } | Action::ReleaseHolds { packages, .. } => {
            packages.clone()
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(packages("w1/hold-packages@1.35.4"), ["kubectl"]);
    assert_eq!(packages("w1/release-holds@1.35.4"), ["kubectl"]);
    assert_eq!(
        after(&plan, "w1/hold-packages@1.35.4"),
        ["cluster/snapshot-etcd@1.35.4"]
    );
    assert_eq!(
        after(&plan, "w1/release-holds@1.35.4"),
        ["barrier/nodes@1.35"]
    );
    assert_eq!(
        after(&plan, "cluster/verify@1.35.4"),
        ["barrier/nodes@1.35", "w1/release-holds@1.35.4"]
    );
}

#[test]
fn a_patch_keeps_the_order_and_the_repository() {
    let plan = World::new(1, 1, "1.35.2", "1.35.4").planned();
    let steps = ids(&plan);
    assert!(!steps.iter().any(|id| id.contains("switch-repository")));
    assert!(steps.contains(&"w1/drain@1.35.4"));
    assert!(steps.contains(&"cp1/kubeadm-apply@1.35.4"));
}

#[test]
fn patches_are_looked_for_where_kubeadm_reads_them_before_anything_changes() {
    let mut world = World::new(3, 2, "1.34.4", "1.35.4");
    world.upgrade.kubeadm.patches = Some("/etc/kubernetes/patches".to_owned());
    // the facts were observed with the same directory
    let told = world.upgrade.kubeadm.patches.clone();
    for name in ["cp1", "cp2", "cp3", "w1", "w2"] {
        world.host(name).patches = Observed::Known(Patches {
            directory: told.clone(),
            ..Patches::default()
        });
    }
    for name in ["cp1", "cp2", "cp3"] {
        if let Observed::Known(edits) = &mut world.control_plane(name).hand_edits {
            edits.patches.clone_from(&told);
        }
    }
    let plan = world.planned();
    let checks: Vec<_> = plan
        .steps
        .iter()
        .filter_map(|step| match &step.action {
            Action::CheckHost { patches, .. } => Some((patches.as_deref(), step.because.as_str())),
            _ => None,
        })
        .collect();
    assert_eq!(checks.len(), 5);
    for (patches, because) in checks {
        assert_eq!(patches, Some("/etc/kubernetes/patches"));
        assert!(because.contains("patches that kubeadm is told to apply"));
    }
    assert_eq!(refit::plan::verify::verify(&plan, &world.facts), []);
    assert_eq!(Plan::from_json(&plan.to_json().unwrap()).unwrap(), plan);
}

#[test]
fn a_plan_is_read_as_it_was_written_and_no_other_way() {
    let plan = World::new(3, 2, "1.34.4", "1.35.4").planned();
    let text = plan.to_json().unwrap();
    assert_eq!(Plan::from_json(&text).unwrap(), plan);

    let edited = text.replace(
        "\"delete_empty_dir_data\": true",
        "\"delete_empty_dir_data\": false",
    );
    assert_ne!(edited, text);
    assert!(matches!(
        Plan::from_json(&edited),
        Err(PlanError::Digest { .. })
    ));
    let other = text.replace("refit.plan/v1", "refit.plan/v9");
    assert!(matches!(Plan::from_json(&other), Err(PlanError::Format(_))));
    let unknown = text.replace("\"upgrade\":", "\"surprise\": 1, \"upgrade\":");
    assert!(matches!(
        Plan::from_json(&unknown),
        Err(PlanError::Fields(_))
    ));

    // Sealed again, but out of order.
    let mut shuffled = plan.clone();
    shuffled.steps.swap(0, 10);
    let text = shuffled.to_json().unwrap();
    assert!(matches!(Plan::from_json(&text), Err(PlanError::Graph(_))));
}
