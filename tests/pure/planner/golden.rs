//! What a reader sees, as files beside this one.

use crate::build::{World, budget, pod, v};
use refit::cluster::facts::Observed;
use refit::documents::settings::Share;
use refit::report::plan::{Look, blocked, blocked_json, table};

/// Wide enough for a pull request, narrow enough for half a screen.
const WIDTH: u16 = 120;

fn shown(world: &World) -> String {
    table(&world.planned(), WIDTH, &Look::PLAIN)
}

#[test]
fn one_minor_up() {
    insta::assert_snapshot!(shown(&World::new(3, 2, "1.34.4", "1.35.4")));
}

#[test]
fn two_minors_up() {
    insta::assert_snapshot!(shown(&World::new(1, 1, "1.34.4", "1.36.3")));
}

#[test]
fn workers_skip_minors() {
    let mut world = World::new(1, 2, "1.33.5", "1.36.3");
    world.upgrade.workers.skip_level = true;
    for host in ["cp1", "w1", "w2"] {
        let pause = "--pod-infra-container-image=registry.k8s.io/pause:3.10".to_owned();
        world.host(host).kubelet_flags = Observed::Known(vec![pause]);
    }
    insta::assert_snapshot!(shown(&world));
}

#[test]
fn a_patch() {
    insta::assert_snapshot!(shown(&World::new(1, 1, "1.35.2", "1.35.4")));
}

#[test]
fn what_is_left_after_an_upgrade_by_hand_was_begun() {
    let target = v("1.35.4");
    let mut world = World::new(3, 3, "1.34.4", "1.35.4");
    world.upgrade.workers.max_unavailable = Share::Count(2);
    world.install_kubeadm("cp1", &target);
    world.upgrade_instance("cp1", &target);
    world.config().kubernetes_version = target;
    world.node("w2").unschedulable = true;
    world.packages("w3").held.clear();
    let mut cache = pod("shop", "cache-0", "w1");
    cache.empty_dir = true;
    world.pods().push(cache);
    insta::assert_snapshot!(shown(&world));
}

#[test]
fn nothing_to_do() {
    let mut world = World::new(3, 2, "1.34.4", "1.35.4");
    let plan = world.planned();
    world.carry_out(&plan);
    insta::assert_snapshot!(shown(&world));
}

#[test]
fn many_reasons_why_not() {
    let mut world = World::new(3, 2, "1.34.4", "1.35.4");
    world.upgrade.kubeadm.ignore_preflight_errors = Vec::new();
    world.node("w1").ready = false;
    world.etcd().members[2].healthy = false;
    world.budgets().push(budget("web", 2, 2));
    world
        .offer("w2")
        .revisions
        .insert("kubelet".to_owned(), vec!["1.35.3-1.1".to_owned()]);
    let told = world.plan().unwrap_err();
    insta::assert_snapshot!(blocked(&told, WIDTH, &Look::PLAIN));
    insta::assert_snapshot!("many_reasons_json", blocked_json(&told).unwrap());
}

#[test]
fn an_unreachable_host() {
    let mut world = World::new(1, 1, "1.34.4", "1.35.4");
    let gone = Observed::Unknown(
        "ssh: connect to host w1.example.org port 22: no route to host".to_owned(),
    );
    world.facts.hosts.insert("w1".into_host(), gone);
    insta::assert_snapshot!(blocked(&world.plan().unwrap_err(), WIDTH, &Look::PLAIN));
}

trait IntoHost {
    fn into_host(self) -> refit::cluster::model::HostName;
}

impl IntoHost for &str {
    fn into_host(self) -> refit::cluster::model::HostName {
        refit::cluster::model::HostName::new(self)
    }
}

/// The plan's JSON is what machines and reviewers' diffs read: its shape is held for one small plan.
#[test]
fn the_plan_file() {
    let plan = World::new(1, 0, "1.35.2", "1.35.4").planned();
    insta::assert_snapshot!(plan.to_json().unwrap());
}
