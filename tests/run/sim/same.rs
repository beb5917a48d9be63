//! The same facts give the same cluster and the same history; a clone goes on as the original does.

use std::collections::BTreeMap;
use std::time::Duration;

use refit::cluster::facts::{Facts, Observed};
use refit::cluster::model::{NodeName, PodPhase, Role};
use refit::sim::World;
use refit::sim::api::evict::Request;
use refit::sim::api::{Options, Owner};
use refit::sim::effect::Effect;

use super::build;

fn lab() -> Facts {
    serde_json::from_str(include_str!("lab.facts.json")).unwrap()
}

fn of(facts: &Facts) -> World {
    World::of(facts, BTreeMap::new(), Options::default())
}

/// Drains one node after the other as a client would, and says what happened.
fn history(world: &mut World, from: u64, to: u64) -> String {
    let mut told = String::new();
    let free = |node: &&refit::cluster::model::Node| {
        // someone cordoned one when the facts were taken
        !node.unschedulable || node.cordoned_by.is_some()
    };
    let nodes: Vec<NodeName> = world
        .api
        .nodes()
        .filter(free)
        .map(|node| node.name.clone())
        .collect();
    for second in from..to {
        world.settle(Duration::from_secs(second));
        let index = usize::try_from(second / 40).unwrap() % nodes.len();
        let node = &nodes[index];
        match second % 40 {
            0 => world.with_api(|api| api.cordon(node, "r1")).unwrap(),
            39 => world.with_api(|api| api.uncordon(node)).unwrap(),
            _ => {}
        }
        let next = world.api.pods().on(node).find(|(_, held)| {
            let daemon = |owner: &Owner| owner.kind == "DaemonSet";
            !held.pod.mirror && !held.owner.as_ref().is_some_and(daemon)
        });
        let Some(pod) = next.map(|(_, held)| held.pod.clone()) else {
            continue;
        };
        let answer = world.with_api(|api| {
            api.evict(&Request {
                namespace: &pod.namespace,
                name: &pod.name,
                body_name: &pod.name,
                uid: Some(&pod.uid),
                grace: None,
                dry_run: false,
            })
        });
        told += &format!(
            "{second} {} {}: {}\n",
            pod.name,
            answer.code,
            answer.words()
        );
    }
    told
}

#[test]
fn the_same_facts_have_the_same_history() {
    let (mut one, mut other) = (of(&lab()), of(&lab()));
    let told = history(&mut one, 0, 400);
    assert!(told.contains(" 201: "), "{told}");
    assert!(told.contains(" 429: "), "{told}");
    assert_eq!(told, history(&mut other, 0, 400));
    assert_eq!(format!("{one:?}"), format!("{other:?}"));
    assert_eq!(one.violations(), Vec::<String>::new());
}

#[test]
fn a_clone_goes_on_as_the_original_does() {
    let mut original = of(&lab());
    history(&mut original, 0, 57);
    let mut clone = original.clone();
    let told = history(&mut original, 57, 300);
    assert_eq!(told, history(&mut clone, 57, 300));
    assert_eq!(format!("{original:?}"), format!("{clone:?}"));
}

/// What `observe` asks of the API, in its order.
async fn cluster_of(sim: &refit::sim::Sim) -> refit::cluster::facts::ClusterFacts {
    use refit::ports::ClusterApi as _;
    let kubelet = sim.kubelet_config().await.unwrap();
    refit::cluster::facts::ClusterFacts {
        uid: sim.cluster_uid().await.into(),
        api_version: sim.version().await.into(),
        nodes: sim.nodes().await.into(),
        pods: sim.pods().await.into(),
        budgets: sim.budgets().await.into(),
        workloads: sim.workloads().await.into(),
        kubeadm_config: sim.kubeadm_config().await.into(),
        kubelet_config: Observed::Known(kubelet.sha256),
        kubelet_settings: kubelet.settings,
        surroundings: sim.surroundings().await,
    }
}

#[tokio::test(start_paused = true)]
async fn a_recorded_cluster_is_observed_as_it_was_recorded() {
    let shop = serde_json::from_str(include_str!("../../../examples/facts/shop.facts.json"));
    for facts in [lab(), shop.unwrap()] {
        let sim = refit::sim::Sim::new(of(&facts), 1);
        assert_eq!(cluster_of(&sim).await, facts.cluster);
        // and stays so while nobody does anything
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!(cluster_of(&sim).await, facts.cluster);
    }
}

#[test]
fn a_lost_node_is_given_up_and_its_pods_come_back_elsewhere() {
    let mut world = of(&lab());
    let node = NodeName::new("w1");
    let on = |world: &World| {
        let here = world.api.pods().on(&node).filter(|(_, held)| {
            held.owner
                .as_ref()
                .is_some_and(|owner| owner.kind == "ReplicaSet")
        });
        here.map(|(_, held)| (held.pod.ready, held.pod.deletion_timestamp.is_some()))
            .collect::<Vec<_>>()
    };
    assert_eq!(on(&world), [(true, false), (true, false)]);
    world.with_api(|api| api.apply(&node, Role::Worker, Effect::ContainersStopped));
    // nobody is there to tell
    world.settle(Duration::from_secs(49));
    assert_eq!(on(&world), [(true, false), (true, false)]);
    world.settle(Duration::from_secs(51));
    assert_eq!(on(&world), [(false, false), (false, false)]);
    world.settle(Duration::from_secs(360));
    // they are to go, which nobody can do; others serve instead
    assert_eq!(on(&world), [(false, true), (false, true)]);
    let elsewhere = world.api.pods().all().filter(|(_, held)| {
        held.pod.namespace == "default" && held.pod.ready && held.pod.phase == PodPhase::Running
    });
    assert_eq!(elsewhere.count(), 4);
    let version = "1.34.4".parse().unwrap();
    let ready_after = Duration::from_secs(5);
    world.with_api(|api| {
        api.apply(
            &node,
            Role::Worker,
            Effect::KubeletStarted {
                version,
                ready_after,
            },
        );
    });
    world.settle(Duration::from_secs(400));
    assert_eq!(on(&world), []);
    assert!(world.api.node(&node).unwrap().node.ready);
    assert_eq!(world.violations(), Vec::<String>::new());
}

/// The scheduler keeps away from what a pod would rather avoid, and from what it must avoid.
#[test]
fn evicted_pods_avoid_nodes_that_prefer_none() {
    let mut built = build::World::new(1, 4, "1.34.4", "1.35.4");
    for name in ["w2", "w3"] {
        built.node(name).taints = vec!["refit.example/soon:PreferNoSchedule".into()];
    }
    built.node("w4").taints = vec!["dedicated=db:NoSchedule".into()];
    // control planes take workloads in these facts
    built.node("cp1").taints = vec!["node-role.kubernetes.io/control-plane:NoSchedule".into()];
    let mut world = of(&built.facts);
    let moved = NodeName::new("w2");
    world.with_api(|api| api.cordon(&moved, "r1")).unwrap();
    let id = world.api.pods().named("shop", "web-w2").unwrap();
    world.with_api(|api| api.delete(id, None));
    world.settle(Duration::from_secs(30));
    let homes: Vec<String> = world
        .api
        .pods()
        .within("shop")
        .map(|(_, held)| held.pod.node.as_ref().unwrap().to_string())
        .collect();
    assert_eq!(
        homes.iter().filter(|home| *home == "w1").count(),
        2,
        "{homes:?}"
    );
}
