//! Plans of several hops: which releases they go through, what each hop holds, and workers that skip minors.

use refit::cluster::facts::Observed;
use refit::plan::data::{Action, Plan};

use crate::build::{World, v};

fn ids(plan: &Plan) -> Vec<&str> {
    plan.steps.iter().map(|step| step.id.as_str()).collect()
}

/// The ids with this verb, in the plan's order.
fn of<'p>(plan: &'p Plan, verb: &str) -> Vec<&'p str> {
    let wanted = format!("/{verb}@");
    let all = ids(plan).into_iter();
    all.filter(|id| id.contains(&wanted)).collect()
}

#[test]
fn each_hop_is_a_whole_upgrade() {
    let mut world = World::new(2, 1, "1.34.4", "1.36.3");
    world.packages("w1").held.remove("kubectl");
    let plan = world.planned();
    assert_eq!(
        ids(&plan),
        [
            "cluster/check-cluster@1.35.4",
            "cp1/check-host@1.35.4",
            "cp2/check-host@1.35.4",
            "w1/check-host@1.35.4",
            "barrier/preflight@1.35",
            "cluster/snapshot-etcd@1.35.4",
            "w1/hold-packages@1.35.4",
            "barrier/holds@1.35",
            "cp1/switch-repository@1.35.4",
            "cp1/prefetch-packages@1.35.4",
            "cp1/install-kubeadm@1.35.4",
            "cp1/pull-images@1.35.4",
            "cp1/kubeadm-apply@1.35.4",
            "cp1/await-control-plane@1.35.4",
            "cp2/switch-repository@1.35.4",
            "cp2/prefetch-packages@1.35.4",
            "cp2/install-kubeadm@1.35.4",
            "cp2/pull-images@1.35.4",
            "cp2/kubeadm-node@1.35.4",
            "cp2/await-control-plane@1.35.4",
            "barrier/control-planes@1.35",
            "cluster/await-addons@1.35.4",
            "cp1/cordon@1.35.4",
            "cp1/drain@1.35.4",
            "cp1/install-kubelet@1.35.4",
            "cp1/await-node@1.35.4",
            "cp1/await-static-pods@1.35.4",
            "cp1/uncordon@1.35.4",
            "cp2/cordon@1.35.4",
            "cp2/drain@1.35.4",
            "cp2/install-kubelet@1.35.4",
            "cp2/await-node@1.35.4",
            "cp2/await-static-pods@1.35.4",
            "cp2/uncordon@1.35.4",
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
            "cluster/check-cluster@1.36.3",
            "cp1/check-host@1.36.3",
            "cp2/check-host@1.36.3",
            "w1/check-host@1.36.3",
            "barrier/preflight@1.36",
            "cluster/snapshot-etcd@1.36.3",
            "cp1/switch-repository@1.36.3",
            "cp1/prefetch-packages@1.36.3",
            "cp1/install-kubeadm@1.36.3",
            "cp1/pull-images@1.36.3",
            "cp1/kubeadm-apply@1.36.3",
            "cp1/await-control-plane@1.36.3",
            "cp2/switch-repository@1.36.3",
            "cp2/prefetch-packages@1.36.3",
            "cp2/install-kubeadm@1.36.3",
            "cp2/pull-images@1.36.3",
            "cp2/kubeadm-node@1.36.3",
            "cp2/await-control-plane@1.36.3",
            "barrier/control-planes@1.36",
            "cluster/await-addons@1.36.3",
            "cp1/cordon@1.36.3",
            "cp1/drain@1.36.3",
            "cp1/install-kubelet@1.36.3",
            "cp1/await-node@1.36.3",
            "cp1/await-static-pods@1.36.3",
            "cp1/uncordon@1.36.3",
            "cp2/cordon@1.36.3",
            "cp2/drain@1.36.3",
            "cp2/install-kubelet@1.36.3",
            "cp2/await-node@1.36.3",
            "cp2/await-static-pods@1.36.3",
            "cp2/uncordon@1.36.3",
            "w1/switch-repository@1.36.3",
            "w1/prefetch-packages@1.36.3",
            "w1/install-kubeadm@1.36.3",
            "w1/kubeadm-node@1.36.3",
            "w1/cordon@1.36.3",
            "w1/drain@1.36.3",
            "w1/install-kubelet@1.36.3",
            "w1/await-node@1.36.3",
            "w1/uncordon@1.36.3",
            "barrier/wave-1@1.36",
            "barrier/nodes@1.36",
            // Held once before the first change, released once after the last.
            "w1/release-holds@1.36.3",
            "cluster/verify@1.36.3",
        ]
    );
    let files: Vec<&str> = plan
        .steps
        .iter()
        .filter_map(|step| match &step.action {
            Action::SnapshotEtcd { file, .. } => Some(file.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(
        files,
        [
            "/var/lib/etcd/refit-{run}.db",
            "/var/lib/etcd/refit-{run}-before-1.36.db"
        ]
    );
    assert_eq!(plan.notes[0], "from 1.34.4 to 1.36.3 by way of 1.35.4");
}

#[test]
fn the_way_goes_through_what_is_declared_begun_or_newest() {
    let through = |change: &dyn Fn(&mut World)| {
        let mut world = World::new(2, 1, "1.34.4", "1.36.3");
        for host in ["cp1", "cp2", "w1"] {
            let flags = vec!["--node-ip=10.0.0.1".to_owned()];
            world.host(host).kubelet_flags = Observed::Known(flags);
        }
        change(&mut world);
        let plan = world.planned();
        let looks = of(&plan, "verify");
        looks
            .iter()
            .map(|id| id.rsplit('@').next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(through(&|_| {}), ["1.35.4", "1.36.3"]);
    let minor = v("1.35.0").minor();
    let via = |world: &mut World| drop(world.upgrade.via.insert(minor, v("1.35.0")));
    assert_eq!(through(&via), ["1.35.0", "1.36.3"]);
    // An upgrade to 1.35.0 was begun by hand: it is completed, although 1.35.4 is offered.
    let begun = |world: &mut World| {
        world.install_kubeadm("cp1", &v("1.35.0"));
        world.upgrade_instance("cp1", &v("1.35.0"));
    };
    assert_eq!(through(&begun), ["1.35.0", "1.36.3"]);
    // Pre-releases are not passed through unless they are named.
    let offered = |world: &mut World| {
        for host in ["cp1", "cp2", "w1"] {
            for revisions in world.offer(host).revisions.values_mut() {
                revisions.insert(0, "1.35.9~rc.0-1.1".to_owned());
            }
        }
    };
    assert_eq!(through(&offered), ["1.35.4", "1.36.3"]);
}

#[test]
fn what_is_behind_is_brought_along_first() {
    // The control planes are at 1.35, one worker was left at 1.34.
    let mut world = World::new(1, 2, "1.35.4", "1.36.3");
    world.install_kubelet("w2", &v("1.34.4"));
    world.install_kubeadm("w2", &v("1.34.4"));
    let offers = World::new(1, 2, "1.34.4", "1.36.3");
    for host in ["cp1", "w1", "w2"] {
        let mut with = offers.clone();
        world.host(host).offers = with.host(host).offers.clone();
    }
    let plan = world.planned();
    let first: Vec<&str> = ids(&plan)
        .into_iter()
        .take_while(|id| !id.ends_with("@1.36.3"))
        .filter(|id| !id.contains("/check-") && !id.starts_with("barrier/"))
        .collect();
    assert_eq!(
        first,
        [
            "cluster/snapshot-etcd@1.35.4",
            "cluster/await-addons@1.35.4",
            "w2/prefetch-packages@1.35.4",
            "w2/install-kubeadm@1.35.4",
            "w2/kubeadm-node@1.35.4",
            "w2/cordon@1.35.4",
            "w2/drain@1.35.4",
            "w2/install-kubelet@1.35.4",
            "w2/await-node@1.35.4",
            "w2/uncordon@1.35.4",
            "cluster/verify@1.35.4",
        ]
    );
    world.carry_out(&plan);
    assert!(world.planned().is_empty());
}

const PAUSE: &str = "--pod-infra-container-image=registry.k8s.io/pause:3.10";

fn skipping(from: &str) -> World {
    let mut world = World::new(1, 2, from, "1.36.3");
    world.upgrade.workers.skip_level = true;
    for host in ["cp1", "w1", "w2"] {
        world.host(host).kubelet_flags = Observed::Known(vec![PAUSE.to_owned()]);
    }
    world
}

#[test]
fn workers_skip_minors_but_no_kubeadm() {
    let mut world = skipping("1.33.5");
    let plan = world.planned();
    assert_eq!(
        of(&plan, "kubeadm-node"),
        [
            "w1/kubeadm-node@1.34.4",
            "w2/kubeadm-node@1.34.4",
            "w1/kubeadm-node@1.35.4",
            "w2/kubeadm-node@1.35.4",
            "w1/kubeadm-node@1.36.3",
            "w2/kubeadm-node@1.36.3",
        ]
    );
    assert_eq!(
        of(&plan, "drain"),
        [
            "cp1/drain@1.34.4",
            "cp1/drain@1.35.4",
            "cp1/drain@1.36.3",
            "w1/drain@1.36.3",
            "w2/drain@1.36.3",
        ]
    );
    // kubectl comes along with kubeadm (rule 5); the kubelet is not even downloaded before the last hop.
    for step in &plan.steps {
        if let Action::InstallKubeadm { host, packages, .. } = &step.action
            && host.as_str() == "w1"
        {
            let names: Vec<&str> = packages.iter().map(|one| one.name.as_str()).collect();
            if step.id.as_str().ends_with("@1.36.3") {
                assert_eq!(names, ["kubeadm"]);
            } else {
                assert_eq!(names, ["kubeadm", "kubectl"], "{}", step.id);
            }
        }
        if let Action::Verify { version, nodes, .. } = &step.action {
            let nodes: Vec<&str> = nodes.iter().map(|node| node.as_str()).collect();
            if *version == plan.target {
                assert_eq!(nodes, ["cp1", "w1", "w2"]);
            } else {
                assert_eq!(nodes, ["cp1"], "{version}");
            }
        }
    }
    world.carry_out(&plan);
    assert!(world.planned().is_empty());
}

#[test]
fn a_worker_skips_only_what_its_flags_file_is_clean_for() {
    let mut world = skipping("1.34.4");
    // kubeadm 1.35 was here already, and someone has written the flag again since.
    let behind = v("1.35.4");
    for host in ["cp1", "w1", "w2"] {
        world.install_kubeadm(host, &behind);
    }
    world.upgrade_instance("cp1", &behind);
    world.config().kubernetes_version = behind.clone();
    world.roll_kube_proxy(&behind);
    world.planned();
    for host in ["cp1", "w1", "w2"] {
        world.install_kubeadm(host, &v("1.36.3"));
    }
    world.install_kubelet("cp1", &behind);
    world.upgrade_instance("cp1", &v("1.36.3"));
    world.config().kubernetes_version = v("1.36.3");
    world.roll_kube_proxy(&v("1.36.3"));
    for host in ["w1", "w2"] {
        world
            .packages(host)
            .installed
            .insert("kubectl".to_owned(), "1.35.4-1.1".to_owned());
    }
    world.host("w2").kubelet_flags = Observed::Known(Vec::new());
    let told = world.told();
    assert!(
        told.contains(&format!(
            "skip-level: the kubelet of w1 cannot skip minors: its flags file has `{PAUSE}`, with which no kubelet of 1.36 starts, and the kubeadm that removes it is not on the way"
        )),
        "{told:#?}"
    );
    assert!(
        told.iter().all(|reason| !reason.contains("kubelet of w2")),
        "{told:#?}"
    );

    let mut world = skipping("1.34.4");
    world.host("w1").kubelet_flags = Observed::Unknown("permission denied".to_owned());
    let told = world.told();
    assert!(
        told.contains(
            &"skip-level: the kubelet of w1 cannot skip minors: what its flags file holds is not known (permission denied)"
                .to_owned()
        ),
        "{told:#?}"
    );
}
