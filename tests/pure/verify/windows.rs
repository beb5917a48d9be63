//! What a plan with windows says of its steps' room, changed bit by bit.

use refit::documents::settings::Window;
use refit::plan::data::{Plan, StepId};
use refit::plan::verify::verify;

use crate::build::World;

/// Two control planes, three workers, of which someone else cordoned one and an earlier run left another; nights of six
/// hours.
fn world() -> World {
    let mut world = World::new(2, 3, "1.34.4", "1.35.4");
    world.upgrade.windows = vec![Window {
        start: "0 1 * * *".into(),
        duration_s: 6 * 3600,
        timezone: "Europe/Berlin".into(),
    }];
    world.node("w2").unschedulable = true;
    let left = world.node("w3");
    (left.unschedulable, left.cordoned_by) = (true, Some("earlier".to_owned()));
    world
}

fn room(plan: &mut Plan) -> &mut std::collections::BTreeMap<StepId, u64> {
    &mut plan.windows.as_mut().unwrap().room_s
}

fn told(world: &World, plan: &Plan) -> Vec<String> {
    let wrong = verify(plan, &world.facts);
    wrong.iter().map(ToString::to_string).collect()
}

#[test]
fn every_room_that_is_told_is_needed_to_the_second() {
    let world = world();
    let plan = world.planned();
    assert_eq!(told(&world, &plan), Vec::<String>::new());
    let rooms = room(&mut plan.clone()).clone();
    assert!(rooms.len() > 20, "{rooms:#?}");
    for (step, seconds) in rooms {
        for less in [Some(seconds - 1), None] {
            let mut changed = plan.clone();
            match less {
                Some(less) => room(&mut changed).insert(step.clone(), less),
                None => room(&mut changed).remove(&step),
            };
            let is = less.map_or_else(|| "none".to_owned(), |less| less.to_string());
            let told = told(&world, &changed);
            let said = format!("{step}: room_s is {is} and should be at least {seconds}, until ");
            assert!(
                matches!(&told[..], [only] if only.starts_with(&said)),
                "{told:#?}"
            );
        }
    }
}

#[test]
fn the_room_of_a_worker_reaches_until_it_is_schedulable_again() {
    let world = world();
    let mut plan = world.planned();
    room(&mut plan).insert(StepId::new("w1/kubeadm-node@1.35.4"), 1);
    let told = told(&world, &plan);
    assert!(
        matches!(&told[..], [only] if only.ends_with("until w1/uncordon@1.35.4 has ended")),
        "{told:#?}"
    );
}

#[test]
fn what_finishes_a_node_is_never_kept_back() {
    let world = world();
    for (late, first) in [
        ("w1/cordon", "w1/kubeadm-node"),
        ("w1/uncordon", "w1/kubeadm-node"),
        ("w2/await-node", "w2/kubeadm-node"),
        ("cp2/await-control-plane", "cp2/kubeadm-node"),
        ("cp1/install-kubelet", "cp1/cordon"),
    ] {
        let mut plan = world.planned();
        let late = StepId::new(format!("{late}@1.35.4"));
        room(&mut plan).insert(late.clone(), 5);
        assert_eq!(
            told(&world, &plan),
            [format!(
                "{late}: room_s is 5 and should be none, for {first}@1.35.4 has begun by then"
            )]
        );
    }
}

#[test]
fn a_plan_of_several_hops_is_judged_hop_by_hop() {
    let mut far = World::new(1, 2, "1.34.4", "1.36.3");
    far.upgrade.windows = world().upgrade.windows;
    far.node("w2").unschedulable = true;
    for skips in [false, true] {
        far.upgrade.workers.skip_level = skips;
        assert_eq!(
            told(&far, &far.planned()),
            Vec::<String>::new(),
            "skipLevel: {skips}"
        );
    }
}
