//! Whole upgrades on the cluster in memory, undisturbed: they finish, everything is at the new release, and nothing happened
//! that must never happen.

use refit::run::executor::Outcome;
use refit::sim::Sim;

use super::play::{Process, outcome, stage};

async fn upgraded(control_planes: usize, workers: usize, target: &str) -> (String, Sim, usize) {
    let stage = stage(control_planes, workers, target);
    let sim = Sim::new(stage.world, 1);
    let mut points = 0;
    let count = Box::new(|_: &Sim, _: &[u8], _: &'static str| {
        points += 1;
        false
    });
    let (ended, journal) = Process::new(&sim, Vec::new(), count).run(&stage.plan).await;
    let told = String::from_utf8(journal).unwrap();
    assert!(
        matches!(ended, Some(Outcome::Finished { .. })),
        "{ended:#?}\n{told}"
    );
    let violations = sim.look(|world| world.violations().to_vec());
    assert_eq!(violations, Vec::<String>::new());
    let facts = outcome(&sim, &stage.built).await;
    (facts, sim, points)
}

#[tokio::test(start_paused = true)]
async fn one_minor_up() {
    let (_, sim, points) = upgraded(3, 3, "1.35.4").await;
    let (versions, cordoned) = sim.look(|world| {
        let nodes = || world.api.nodes();
        let versions: Vec<String> = nodes().map(|node| node.kubelet_version.clone()).collect();
        let cordoned: Vec<String> = nodes()
            .filter(|node| node.unschedulable)
            .map(|node| format!("{} by {:?}", node.name, node.cordoned_by))
            .collect();
        (versions, cordoned)
    });
    assert!(
        versions.iter().all(|version| version == "1.35.4"),
        "{versions:?}"
    );
    assert_eq!(cordoned, ["w3 by None"]);
    assert!(points > 200, "{points}");
    let images = sim.look(|world| {
        let pods = world.api.pods().within("kube-system");
        let images = pods.flat_map(|(_, held)| held.pod.images.values().cloned());
        images.collect::<std::collections::BTreeSet<String>>()
    });
    let old: Vec<&String> = images
        .iter()
        .filter(|image| image.contains("1.34.4"))
        .collect();
    assert_eq!(old, Vec::<&String>::new());
}
