//! Every reason why there is no plan.

use crate::build::{World, budget, known, pod, v};
use refit::cluster::facts::{CgroupMode, Facts, Observed};
use refit::cluster::model::{HostName, Role};
use refit::documents::settings::{IgnoredNodes, KeySource};
use refit::plan::reason::Reason;
use refit::plan::too_old;
use refit::plan::verify::verify;
use std::time::Duration;

fn world() -> World {
    World::new(3, 2, "1.34.4", "1.35.4")
}

/// What is told after one thing is changed in a cluster that is fit.
fn told(change: impl FnOnce(&mut World)) -> Vec<String> {
    let mut world = world();
    change(&mut world);
    world.told()
}

#[test]
fn a_fit_cluster_has_a_plan() {
    world().planned();
}

#[test]
fn the_unknown_stops() {
    assert_eq!(
        told(|world| world.facts.etcd = Observed::Unknown("connection refused".to_owned())),
        ["unknown: could not observe its members: connection refused"]
    );
    assert_eq!(
        told(|world| {
            let gone = Observed::Unknown("ssh: no route to host".to_owned());
            world.facts.hosts.insert(HostName::new("w2"), gone);
        }),
        ["unknown: could not observe the host: ssh: no route to host"]
    );
    assert_eq!(
        told(|world| world.host("w1").root =
            Observed::Unknown("sudo: a password is required".to_owned())),
        ["not-root: not root on w1: sudo: a password is required"]
    );
    assert_eq!(
        told(
            |world| world.control_plane("cp2").api_server = Observed::Unknown("timeout".to_owned())
        ),
        ["unknown: could not observe its API server's version: timeout"]
    );
    assert_eq!(
        told(|world| world.facts.format = "refit.facts/v9".to_owned()),
        [
            "facts-format: the facts' format is `refit.facts/v9`, and this refit reads `refit.facts/v1`"
        ]
    );
}

/// The room that etcd's directory needs is a multiple of its database.
#[test]
fn a_database_of_unknown_size_stops() {
    assert_eq!(
        told(|world| world.etcd().members[1].db_size = None),
        [
            "unknown: could not observe the size of cp2's database: the member is healthy, and did not tell its status"
        ]
    );
}

#[test]
fn a_minor_passed_through_must_have_a_release_that_every_host_can_get() {
    let through = |change: &dyn Fn(&mut World)| {
        let mut world = World::new(1, 1, "1.34.4", "1.36.3");
        change(&mut world);
        world.told()
    };
    let passed = v("1.35.0").minor();
    assert_eq!(
        through(&|world| drop(world.host("w1").offers.remove(&passed))),
        [
            "no-release: the plan goes through 1.35, and which release of it cannot be told: what w1 is offered is not known (the facts do not have it)"
        ]
    );
    assert_eq!(
        through(&|world| {
            let lost = Observed::Unknown("connection refused".to_owned());
            world.host("w1").offers.insert(passed, lost);
        }),
        [
            "no-release: the plan goes through 1.35, and which release of it cannot be told: what w1 is offered is not known (connection refused)"
        ]
    );
    assert_eq!(
        through(&|world| {
            let offered = vec!["1.35.2-1.1".to_owned()];
            let revisions = &mut world.offer("w1").revisions;
            revisions.insert("kubelet".to_owned(), offered);
        }),
        [
            "no-release: the plan goes through 1.35, and which release of it cannot be told: no release is offered to every host"
        ]
    );
    // Named by the declaration it can be told, and still must be offered.
    let named = through(&|world| {
        world.upgrade.via.insert(passed, v("1.35.3"));
        world.host("w1").offers.remove(&passed);
    });
    assert!(
        named.contains(
            &"unknown: could not observe what the repository of 1.35 offers: the facts do not have it: run `refit inspect` with this declaration"
                .to_owned()
        ),
        "{named:#?}"
    );
    assert!(
        named.iter().any(|reason| reason.starts_with(
            "not-offered: https://pkgs.k8s.io/core:/stable:/v1.35/deb/ offers cp1 no kubeadm 1.35.3; nearest: 1.35.4-2.1"
        )),
        "{named:#?}"
    );
    let blocked = World::new(1, 1, "1.34.4", "1.36.3");
    let mut blocked = blocked;
    blocked.host("w1").offers.clear();
    assert_eq!(
        blocked.reasons()[0].next(),
        "name the release in the declaration (`via: {\"1.35\": 1.35.X}`), then run `refit inspect` with it"
    );
}

#[test]
fn what_this_refit_was_not_built_for_blocks() {
    assert_eq!(
        told(|world| world.upgrade.target = v("1.38.0"))[0],
        "unsupported-minor: this refit was not built for Kubernetes 1.38"
    );
    assert_eq!(
        told(|world| {
            if let Observed::Known(identity) = &mut world.host("w1").identity {
                identity.os = "openSUSE Leap 15.6".to_owned();
            }
        }),
        ["unsupported-system: w1 runs `openSUSE Leap 15.6`, which this refit was not built for"]
    );
}

#[test]
fn facts_may_be_too_old() {
    let facts = world().facts;
    let day = Duration::from_secs(86_400);
    assert_eq!(
        too_old(&facts, "2026-11-22T10:00:00Z".parse().unwrap(), day),
        None
    );
    assert_eq!(
        too_old(&facts, "2026-11-23T13:00:01Z".parse().unwrap(), day).map(|reason| reason.to_string()),
        Some("the facts are 2 d 3 h old at 2026-11-23T13:00:01Z (observed 2026-11-21T10:00:00Z), and `maxFactsAge` allows 24h".to_owned())
    );
    assert!(too_old(&facts, "2026-11-22T10:00:01Z".parse().unwrap(), day).is_some());
    assert_eq!(
        too_old(&facts, "2026-11-20T10:00:00Z".parse().unwrap(), day),
        None
    );
}

#[test]
fn nodes_and_inventory_must_agree() {
    assert_eq!(
        told(|world| {
            world.inventory.hosts.remove(&HostName::new("w2"));
        }),
        ["node-not-listed: node w2 of the cluster is not in the inventory"]
    );
    assert_eq!(
        told(|world| world.nodes().retain(|node| node.name.as_str() != "w2")),
        ["node-missing: host w2 should be node w2, which the cluster does not have"]
    );
    assert_eq!(
        told(|world| world.node("w2").machine_id = "another".to_owned()),
        [
            "other-node: host w2 is not node w2: its machine id is machine-w2, the node's is another; its name is w2"
        ]
    );
    assert_eq!(
        told(|world| {
            let host = world.inventory.hosts.get_mut(&HostName::new("w2")).unwrap();
            host.role = Role::ControlPlane;
            let control_plane = world.host("cp1").control_plane.clone();
            world.host("w2").control_plane = control_plane;
        }),
        ["role-differs: node w2 is a worker, and the inventory lists it as a control plane"]
    );
    assert_eq!(
        told(|world| {
            world.node("w2").labels.insert(
                "node-role.kubernetes.io/control-plane".to_owned(),
                String::new(),
            );
        }),
        ["role-differs: node w2 is a control plane, and the inventory lists it as a worker"]
    );
    assert_eq!(
        told(|world| {
            let identity = world.host("w1").identity.clone();
            world.host("w2").identity = identity;
        }),
        [
            "other-node: host w2 is not node w2: its machine id is machine-w1, the node's is machine-w2; it is node w1",
            "same-machine: hosts w1, w2 have the same machine id machine-w1",
        ]
    );
}

#[test]
fn an_ignored_node_is_left_out_but_no_control_plane_is() {
    let mut with = world();
    with.inventory.hosts.remove(&HostName::new("w2"));
    let ignored = with.node("w2").name.clone();
    with.inventory.ignore_nodes = vec![IgnoredNodes::Name(ignored)];
    let plan = with.planned();
    assert!(
        !plan
            .steps
            .iter()
            .any(|step| step.id.as_str().starts_with("w2/"))
    );
    assert!(
        plan.notes
            .contains(&"w2 is left out (ignoreNodes) and stays as it is".to_owned())
    );

    let mut with = world();
    with.inventory.hosts.remove(&HostName::new("cp3"));
    let ignored = with.node("cp3").name.clone();
    with.inventory.ignore_nodes = vec![IgnoredNodes::Name(ignored)];
    assert_eq!(
        with.told(),
        ["ignored-control-plane: node cp3 is a control plane and is left out by `ignoreNodes`"]
    );
}

#[test]
fn an_ignored_node_that_would_be_left_too_far_behind_blocks() {
    let mut world = world();
    world.inventory.hosts.remove(&HostName::new("w2"));
    let node = world.node("w2");
    node.kubelet_version = "1.31.2".to_owned();
    let ignored = node.name.clone();
    world.inventory.ignore_nodes = vec![IgnoredNodes::Name(ignored)];
    let told = world.told();
    assert!(told[0].starts_with("kubeadm-policy: "), "{told:#?}");
    assert!(
        told.iter().any(|reason| reason.starts_with(
            "skew: after cp1/kubeadm-apply@1.35.4, kubelet 1.31.2 on w2 is 4 minors older than kube-apiserver 1.35.4 on cp1"
        )),
        "{told:#?}"
    );
}

#[test]
fn the_target_must_be_ahead() {
    let mut back = World::new(1, 1, "1.34.4", "1.36.3");
    back.upgrade.target = v("1.33.9");
    let told = back.told();
    assert_eq!(
        told[0],
        "downgrade: kube-apiserver on cp1 is 1.34.4, newer than the target 1.33.9"
    );
    assert!(
        told.contains(
            &"downgrade: kubelet on w1 is 1.34.4, newer than the target 1.33.9".to_owned()
        )
    );
    assert_eq!(
        back.reasons()[0].stricter(),
        Some("kubeadm lets a downgrade by one minor pass, and does not look at newer kubelets")
    );

    let mut begun = World::new(1, 1, "1.34.4", "1.36.3");
    begun.install_kubeadm("w1", &v("1.35.9"));
    assert_eq!(
        begun.told(),
        ["ahead-of-hop: kubeadm on w1 is 1.35.9, newer than 1.35.4, which the plan goes through"]
    );
    assert_eq!(
        begun.reasons()[0].next(),
        "name 1.35.9 or a later release in the declaration: `via: {\"1.35\": 1.35.9}`"
    );
}

#[test]
fn a_kubelet_that_no_kubeadm_can_take_along_blocks() {
    let mut lagging = World::new(1, 2, "1.35.1", "1.35.4");
    lagging.install_kubelet("w1", &v("1.33.2"));
    let told = lagging.told();
    assert_eq!(
        told[0],
        "kubelet-too-far: the kubelet of w1 is 1.33.2, 2 minors behind 1.35.4, and no kubeadm can take it along: its own is 1.35.1, the control planes are at 1.35 (rules 8 and 9)"
    );
    // Its kubeadm has come along, so that it may jump.
    lagging
        .packages("w1")
        .installed
        .insert("kubectl".to_owned(), "1.35.1-1.1".to_owned());
    lagging.upgrade.workers.skip_level = true;
    lagging.planned();
    // Its kubeadm was left behind too.
    lagging.install_kubeadm("w1", &v("1.33.2"));
    assert!(
        lagging.told()[0].contains("its own is 1.33.2"),
        "{:#?}",
        lagging.told()
    );
    // Further than a kubelet may be from any API server.
    let mut far = World::new(1, 1, "1.32.4", "1.36.3");
    far.upgrade.workers.skip_level = true;
    assert_eq!(
        far.told()[0],
        "kubelet-too-far: the kubelet of w1 is 1.32.4, 4 minors behind 1.36.3, and a kubelet skips at most 3"
    );
    // One minor at a time it has a plan, but for etcd on the way to 1.34.
    far.upgrade.workers.skip_level = false;
    far.planned();
}

#[test]
fn skew_is_judged_now_on_the_way_and_at_the_end() {
    // Now: a kubelet ahead of an API server that it may meet.
    let target = v("1.35.4");
    let mut world = world();
    world.install_kubelet("w1", &target);
    let told = world.told();
    assert_eq!(
        told,
        [
            "skew: now, kubelet 1.35.4 on w1 is one minor newer than kube-apiserver 1.34.4 on cp1 (rule 2: a kubelet is not newer than any API server it can reach, and at most 3 minors older (2 before 1.25))"
        ]
    );
    // On the way: a kubectl one behind today is two behind once the first API server has moved.
    let mut world = self::world();
    world
        .packages("w1")
        .installed
        .insert("kubectl".to_owned(), "1.33.1-1.1".to_owned());
    let told = world.told();
    assert!(
        told[0].starts_with(
            "skew: after cp1/kubeadm-apply@1.35.4, kubectl 1.33.1 on w1 is 2 minors older"
        ),
        "{told:#?}"
    );
    // Rule 7: not drained.
    let mut world = self::world();
    world.upgrade.control_plane.drain = false;
    let told = world.told();
    assert!(
        told[0].contains("after cp1/install-kubelet@1.35.4, kubelet 1.35.4 is one minor newer than kubelet 1.34.4 on cp1 (rule 7"),
        "{told:#?}"
    );
    // Rule 9: kubeadm would move by two.
    let mut world = self::world();
    world.install_kubeadm("w2", &v("1.33.4"));
    let told = world.told();
    assert!(told[0].contains("(rule 9: "), "{told:#?}");
}

/// Rule 4 against the API server that the component's kubeconfig names.
#[test]
fn a_controller_that_goes_through_the_balancer_blocks() {
    let through_the_balancer = |world: &mut World| {
        let servers = known(&mut world.control_plane("cp1").controller_servers);
        servers.insert(
            "kube-controller-manager".to_owned(),
            "https://api.example.org:6443".to_owned(),
        );
    };
    let mut world = world();
    through_the_balancer(&mut world);
    assert_eq!(
        world.told(),
        [
            "skew: after cp1/kubeadm-apply@1.35.4, kube-controller-manager 1.35.4 on cp1 is one minor newer than kube-apiserver 1.34.4 on cp2 (rule 4: controller managers and the scheduler are not newer than an API server that they can reach, and at most one minor older)"
        ]
    );
    assert!(
        world.reasons()[0]
            .next()
            .contains("set `server:` in /etc/kubernetes/controller-manager.conf")
    );
    // With one control plane there is no other to meet; nor does a patch matter.
    let mut alone = World::new(1, 1, "1.34.4", "1.35.4");
    through_the_balancer(&mut alone);
    alone.planned();
    let mut patch = World::new(3, 1, "1.35.1", "1.35.4");
    through_the_balancer(&mut patch);
    patch.planned();
}

/// What an earlier build did not ask is not known; it is no skew.
#[test]
fn facts_without_the_controllers_api_servers_are_to_be_taken_anew() {
    let mut world = world();
    let planned = world.planned();
    let mut recorded = serde_json::to_value(&world.facts).unwrap();
    let control_plane = &mut recorded["hosts"]["cp1"]["known"]["control_plane"];
    control_plane
        .as_object_mut()
        .unwrap()
        .remove("controller_servers")
        .unwrap();
    world.facts = serde_json::from_value(recorded).unwrap();
    assert_eq!(
        world.told(),
        [
            "unknown: could not observe which API server its controller manager and its scheduler use: the facts do not have it: run `refit inspect` again, with this build of refit"
        ]
    );
    let found = verify(&planned, &world.facts);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(
        found[0]
            .to_string()
            .contains("which API server the controller manager and the scheduler of cp1 use"),
        "{found:#?}"
    );
}

#[test]
fn a_cloud_controller_manager_is_held_to_rule_4() {
    let with = |release: &str, target: &str| {
        let mut world = World::new(1, 1, "1.34.4", target);
        let mut cloud = pod("kube-system", "cloud-controller-manager-x", "cp1");
        cloud.images.insert(
            "manager".to_owned(),
            format!("registry.k8s.io/provider-aws/cloud-controller-manager:v{release}"),
        );
        world.pods().push(cloud);
        world
    };
    with("1.34.1", "1.35.4").planned();
    assert!(
        with("1.35.1", "1.35.4").told()[0].starts_with(
            "skew: now, cloud-controller-manager 1.35.1 on cp1 is one minor newer than kube-apiserver 1.34.4 on cp1"
        )
    );
    assert!(
        with("1.34.1", "1.36.3").told()[0].starts_with(
            "skew: after cp1/kubeadm-apply@1.36.3, cloud-controller-manager 1.34.1 on cp1 is 2 minors older"
        )
    );
}

#[test]
fn a_prerelease_is_refused_as_kubeadm_does() {
    let mut world = World::new(1, 0, "1.34.4", "1.35.0-rc.1");
    world
        .offer("cp1")
        .revisions
        .insert("kubeadm".to_owned(), vec!["1.35.0~rc.1-1.1".to_owned()]);
    assert!(
        world.told()[0]
            .starts_with("kubeadm-policy: kubeadm would refuse: 1.35.0-rc.1 is a pre-release")
    );
}

#[test]
fn phases_that_kubeadm_cannot_leave_out_are_refused() {
    let skipped = |target: &str, phase: &str| {
        let mut world = World::new(1, 0, "1.34.4", target);
        if target == "1.31.4" {
            world = World::new(1, 0, "1.30.4", target);
        }
        world.upgrade.kubeadm.skip_phases = vec![phase.to_owned()];
        world.plan().map(|_| ()).map_err(|_| world.told())
    };
    assert_eq!(skipped("1.35.4", "addon/kube-proxy"), Ok(()));
    assert_eq!(
        skipped("1.35.4", "kube-proxy"),
        Err(vec!["skip-phase: phase `kube-proxy` is to be left out (kubeadm.skipPhases): kubeadm 1.35 has no such phase".to_owned()])
    );
    assert_eq!(
        skipped("1.35.4", "control-plane"),
        Err(vec!["skip-phase: phase `control-plane` is to be left out (kubeadm.skipPhases): kubeadm 1.35 cannot upgrade without it".to_owned()])
    );
    assert_eq!(
        skipped("1.31.4", "addon/kube-proxy"),
        Err(vec!["skip-phase: phase `addon/kube-proxy` is to be left out (kubeadm.skipPhases): kubeadm 1.31 cannot leave out phases of `upgrade apply`".to_owned()])
    );
}

#[test]
fn packages_must_be_obtainable() {
    assert_eq!(
        told(|world| {
            let offered = vec!["1.35.3-1.1".to_owned(), "1.35.0-1.1".to_owned()];
            world
                .offer("w1")
                .revisions
                .insert("kubelet".to_owned(), offered);
        }),
        [
            "not-offered: https://pkgs.k8s.io/core:/stable:/v1.35/deb/ offers w1 no kubelet 1.35.4; nearest: 1.35.3-1.1, 1.35.0-1.1"
        ]
    );
    assert_eq!(
        told(|world| world.packages("w1").repositories[0].exclusive = false),
        [
            "repository-file: /etc/apt/sources.list.d/kubernetes.list on w1 configures other repositories too, and cannot be replaced as a whole"
        ]
    );
    assert_eq!(
        told(|world| world.packages("w1").repositories.clear()),
        ["repository-file: no file on w1 configures a Kubernetes repository"]
    );
    assert_eq!(
        told(|world| {
            let mut other = world.packages("w1").repositories[0].clone();
            other.path = "/etc/apt/sources.list.d/k8s.list".to_owned();
            world.packages("w1").repositories.push(other);
        }),
        [
            "repository-file: several files on w1 configure a Kubernetes repository: /etc/apt/sources.list.d/kubernetes.list, /etc/apt/sources.list.d/k8s.list"
        ]
    );
    assert_eq!(
        told(|world| world.offer("w1").key_sha256 = "0123456789abcdef".to_owned()),
        [
            "keys-differ: hosts see different keys for https://pkgs.k8s.io/core:/stable:/v1.35/deb: 0123456789ab… on w1; 5a3f0c0de1b2… on cp1, cp2, cp3, w2;"
        ]
    );
    assert_eq!(
        told(|world| world.upgrade.packages.key = KeySource::File("key.asc".into())),
        ["key-not-read: the signing key beside the declaration was not read"]
    );
    assert_eq!(
        told(|world| world.upgrade.packages.repository =
            "https://mirror.example.org/v{minor}/{format}".to_owned())[0],
        "other-repository: the facts of cp1 are about https://pkgs.k8s.io/core:/stable:/v1.35/deb/, the declaration wants https://mirror.example.org/v1.35/deb"
    );
    assert_eq!(
        told(|world| world.packages("w1").trouble = Some("dpkg was interrupted".to_owned())),
        ["package-trouble: the package manager on w1 is not fit: dpkg was interrupted"]
    );
    assert_eq!(
        told(|world| {
            world.packages("w1").installed.remove("kubelet");
        }),
        ["not-packaged: kubelet on w1 was not installed from a package"]
    );
}

#[test]
fn a_key_beside_the_declaration_must_be_the_one_that_was_tried() {
    let mut world = World::new(1, 0, "1.34.4", "1.35.4");
    world.upgrade.packages.key = KeySource::File("key.asc".into());
    world.key_text = Some("a key".to_owned());
    assert_eq!(
        world.told(),
        [
            "key-changed: the signing key beside the declaration is not the one that cp1's facts were observed with"
        ]
    );
    world.offer("cp1").key_sha256 = refit::plan::file::sha256(b"a key");
    world.planned();
}

#[test]
fn a_named_repository_file_settles_which_one() {
    let mut world = world();
    let mut other = world.packages("w1").repositories[0].clone();
    other.path = "/etc/apt/sources.list.d/k8s.list".to_owned();
    world.packages("w1").repositories.push(other);
    world.upgrade.packages.repo_file = Some("/etc/apt/sources.list.d/kubernetes.list".to_owned());
    world.planned();
}

#[test]
fn etcd_must_be_whole() {
    assert_eq!(
        told(|world| world.etcd().members[1].healthy = false),
        ["etcd-member: etcd member cp2 is not healthy"]
    );
    assert_eq!(
        told(|world| world.etcd().members[1].learner = true),
        [
            "etcd-learner: etcd member cp2 is a learner: a learner does not vote, so that the restart of one member may already cost the quorum; and kubeadm waits in vain for it to be a healthy member"
        ]
    );
    assert_eq!(
        told(|world| world.etcd().alarms.push("NOSPACE".to_owned())),
        [
            "etcd-alarm: etcd has raised the alarm NOSPACE: etcd refuses writes, or serves data that may be corrupt, while an alarm is raised"
        ]
    );
    assert_eq!(
        told(|world| {
            world.etcd().members.pop();
        }),
        ["etcd-too-few: etcd has 2 member(s) for 3 control planes"]
    );
    let custom =
        |world: &mut World| world.config().custom_etcd_image = Some("example.org/etcd".to_owned());
    assert!(told(custom)[0].starts_with("etcd-custom-image: "));
    let mut world = world();
    custom(&mut world);
    world.upgrade.kubeadm.etcd_upgrade = false;
    world.planned();
}

/// What kubeadm demands of it is judged although no plan is made yet: whoever looks after it learns what it needs.
#[test]
fn external_etcd_is_told_with_what_its_releases_lack() {
    let releases = |of: &[(&str, Observed<String>)]| {
        let all = of
            .iter()
            .map(|(at, release)| ((*at).to_owned(), release.clone()));
        Some(Observed::Known(all.collect()))
    };
    let is = |release: &str| Observed::Known(release.to_owned());
    let silent = || Observed::Unknown("curl: (28) timed out".to_owned());
    let external = "etcd-external: etcd is external";
    for (found, lacks) in [
        (None, Some("the facts do not have it")),
        (
            Some(Observed::Unknown("cp1: curl is not installed".to_owned())),
            Some("curl is not installed"),
        ),
        (releases(&[("https://e1:2379", is("3.6.5"))]), None),
        (
            releases(&[
                ("https://e1:2379", is("3.6.5")),
                ("https://e2:2379", silent()),
            ]),
            Some("external etcd at https://e2:2379: curl: (28) timed out"),
        ),
        (
            releases(&[("https://e1:2379", is("3.5.21"))]),
            Some("external-etcd-3.5.24: external etcd at https://e1:2379 is 3.5.21"),
        ),
    ] {
        let told = told(|world| {
            world.config().external_etcd = true;
            world.facts.external_etcd = found.clone();
            let text = serde_json::to_string(&world.facts).unwrap();
            assert_eq!(serde_json::from_str::<Facts>(&text).unwrap(), world.facts);
        });
        assert_eq!(told[0], external, "{told:#?}");
        assert_eq!(told.len(), 1 + usize::from(lacks.is_some()), "{told:#?}");
        assert!(
            lacks.is_none_or(|lacks| told[1].contains(lacks)),
            "{told:#?}"
        );
    }
}

#[test]
fn nodes_and_hosts_must_be_fit() {
    assert_eq!(
        told(|world| world.node("w1").ready = false),
        ["node-not-ready: node w1 is not ready"]
    );
    assert_eq!(
        told(|world| world.host("w1").operation = Observed::Known(Some("r1/w1".to_owned()))),
        ["operation-under-way: operation r1/w1 is under way on w1"]
    );
    assert_eq!(
        told(|world| {
            if let Observed::Known(disk) = &mut world.host("cp1").disk_free {
                disk.insert("/etc/kubernetes".to_owned(), 100 << 20);
            }
        }),
        [
            "disk-too-small: /etc/kubernetes on cp1 has 100.0 MiB free and needs 448.0 MiB (kubeadm's copy of etcd's directory)"
        ]
    );
    assert_eq!(
        told(|world| {
            if let Observed::Known(ends) = &mut world.control_plane("cp1").certificates {
                ends.insert(
                    "apiserver".to_owned(),
                    "2026-11-22T09:00:00Z".parse().unwrap(),
                );
            }
        }),
        [
            "certificate-ends: certificate apiserver that ends at 2026-11-22T09:00:00Z on cp1: it may end before the upgrade does, and whatever uses it then stops working"
        ]
    );
    assert_eq!(
        told(|world| world.host("w2").clock_offset_s = Observed::Known(-90)),
        ["clock-off: the clock of w2 is 90 s behind"]
    );
    let v1 = |world: &mut World| world.host("w2").cgroup = Observed::Known(CgroupMode::V1);
    assert_eq!(
        told(v1),
        [
            "cgroup-v1: cgroup v1 on w2: kubeadm's check SystemVerification refuses cgroup v1 from 1.35 on"
        ]
    );
    let mut accepted = world();
    v1(&mut accepted);
    accepted.upgrade.kubeadm.ignore_preflight_errors = vec!["SystemVerification".to_owned()];
    accepted.planned();
}

#[test]
fn a_copy_of_a_manifest_blocks_and_another_static_pod_is_told() {
    assert!(
        told(|world| world.control_plane("cp1").stray_files =
            Observed::Known(vec!["etcd.yaml.backup".to_owned()]))[0]
            .starts_with("stray-manifest: /etc/kubernetes/manifests/etcd.yaml.backup on cp1: ")
    );
    let mut world = world();
    world.control_plane("cp1").stray_files = Observed::Known(vec!["kube-vip.yaml".to_owned()]);
    let plan = world.planned();
    assert!(plan.notes.iter().any(|note| note.contains("kube-vip.yaml")));
}

#[test]
fn pods_that_would_not_leave_block() {
    assert_eq!(
        told(|world| {
            let mut naked = pod("shop", "job", "w1");
            naked.controller = None;
            world.pods().push(naked);
        }),
        [
            "pod-refuses: pod shop/job has no controller that would bring it back, and drain.unmanagedPods is refuse"
        ]
    );
    assert_eq!(
        told(|world| {
            world.upgrade.drain.delete_empty_dir_data = false;
            let mut cache = pod("shop", "cache", "w1");
            cache.empty_dir = true;
            world.pods().push(cache);
        }),
        ["pod-refuses: pod shop/cache has emptyDir data, and drain.deleteEmptyDirData is false"]
    );
    assert_eq!(
        told(|world| {
            world.budgets().push(budget("web", 1, 2));
            world.budgets().push(budget("all", 1, 2));
            world.pods().retain(|pod| pod.name != "web-w2");
        }),
        [
            "several-budgets: pod shop/web-w1 is covered by several budgets (web, all), and the API server refuses to evict it"
        ]
    );
    assert_eq!(
        told(|world| world.budgets().push(budget("web", 2, 2))),
        [
            "budget-never: budget shop/web: needs 2 healthy pods, has 2: it can never allow an eviction"
        ]
    );
}

#[test]
fn a_node_that_is_done_is_not_asked_for_pods_or_disk() {
    let mut world = World::new(1, 2, "1.34.4", "1.35.4");
    let plan = world.planned();
    world.carry_out(&plan);
    world.install_kubelet("w2", &v("1.34.4"));
    let mut naked = pod("shop", "job", "w1");
    naked.controller = None;
    world.pods().push(naked);
    if let Observed::Known(disk) = &mut world.host("w1").disk_free {
        disk.insert("/usr".to_owned(), 0);
    }
    world.planned();
}

#[test]
fn every_reason_says_where_why_and_what_to_do() {
    let mut world = world();
    world.node("w1").ready = false;
    world.etcd().alarms.push("NOSPACE".to_owned());
    world.budgets().push(budget("web", 2, 2));
    world.host("w2").clock_offset_s = Observed::Known(-90);
    let reasons: Vec<Reason> = world.reasons();
    assert_eq!(reasons.len(), 4);
    for reason in reasons {
        assert!(
            !reason.place().is_empty() && !reason.source().is_empty() && !reason.next().is_empty()
        );
    }
}

#[test]
fn a_hazard_is_accepted_by_id_and_hop_until_its_day() {
    use refit::rules::hazards::Acceptance;
    let risk = |id: &str, hop: &str, until: &str| Acceptance {
        id: id.to_owned(),
        hop: hop.parse().unwrap(),
        reason: "CHG-1042".to_owned(),
        until: until.parse().unwrap(),
    };
    let mut world = world();
    world.control_plane("cp1").stray_files = Observed::Known(vec!["etcd.yaml.backup".to_owned()]);
    world.upgrade.accepted_risks = vec![
        risk("stray-manifest", "1.35", "2026-11-21"),
        risk("cgroup-v1", "1.35", "2027-01-31"),
        risk("nonsense", "1.35", "2027-01-31"),
        risk("etcd-3.7-minimum", "1.37", "2027-01-31"),
    ];
    let notes = world.planned().notes.join("\n");
    for told in [
        "hazard stray-manifest is accepted until 2026-11-21 (CHG-1042): /etc/kubernetes/manifests/etcd.yaml.backup on cp1: ",
        "the accepted risk cgroup-v1 on the way to 1.35 does not apply: the facts do not show it",
        "the accepted risk nonsense on the way to 1.35 does not apply: no hazard has that id",
        "the accepted risk etcd-3.7-minimum on the way to 1.37 does not apply: this is the way to 1.35",
    ] {
        assert!(notes.contains(told), "{told}\n{notes}");
    }
    world.upgrade.accepted_risks[0].until = "2026-11-20".parse().unwrap();
    let told = world.told();
    assert!(
        told[0].starts_with("stray-manifest: ")
            && told[0].ends_with("; the risk was accepted until 2026-11-20, which has passed"),
        "{told:?}"
    );
    world.upgrade.accepted_risks.clear();
    world.etcd().alarms.push("NOSPACE".to_owned());
    world.upgrade.accepted_risks = vec![risk("etcd-alarm", "1.35", "2027-01-31")];
    let told = world.told();
    assert!(
        told[0].ends_with("; this risk cannot be accepted, for the upgrade would fail"),
        "{told:?}"
    );
}

#[test]
fn a_hazard_that_could_not_be_looked_for_blocks_or_is_told() {
    let mut world = world();
    world.host("w1").kubelet_flags = Observed::Unknown("permission denied".to_owned());
    let told = world.told();
    assert!(
        told[0].starts_with("hazards-unchecked: could not be checked on w1 (permission denied): of the way to 1.35, these hazards cannot be ruled out: kubelet-flags-1.30, kubelet-flags-1.31, "),
        "{told:?}"
    );
    assert_eq!(told.len(), 1, "{told:?}");
    let mut world = self::world();
    world.facts.cluster.kubelet_settings = Observed::Unknown("forbidden".to_owned());
    let notes = world.planned().notes.join("\n");
    assert!(
        notes.contains("on cluster these hazards could not be looked for (forbidden): gates-removed-1.29-kubelet, "),
        "{notes}"
    );
}
