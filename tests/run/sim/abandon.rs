//! A run that is ended for good: what it has put on the cluster and its hosts is taken off, wherever it stood.

use std::cell::Cell;
use std::time::Duration;

use refit::cluster::model::{HostName, NodeName};
use refit::run::abandon::{Cordon, Left, Refused};
use refit::sim::Sim;

use super::play::{Process, Stage, staged};

/// Nobody holds packages but refit.
fn here() -> Stage {
    staged(1, 3, "1.35.4", |built| {
        for host in ["cp1", "w1", "w2", "w3"] {
            built.packages(host).held.clear();
        }
    })
}

/// Killed once the journal says this; its journal.
async fn killed(stage: &Stage, once: &'static str) -> (Sim, Vec<u8>) {
    let sim = Sim::new(stage.world.clone(), 1);
    let kill = Box::new(move |_: &Sim, journal: &[u8], _: &'static str| {
        String::from_utf8_lossy(journal).contains(once)
    });
    let (ended, journal) = Process::new(&sim, Vec::new(), kill).run(&stage.plan).await;
    assert!(ended.is_none(), "{ended:?}");
    (sim, journal)
}

async fn abandoned(stage: &Stage, sim: &Sim, journal: &[u8]) -> Result<Left, Refused> {
    let alive = Box::new(|_: &Sim, _: &[u8], _: &'static str| false);
    let process = Process::new(sim, journal.to_vec(), alive);
    process.abandon(&stage.plan).await.unwrap()
}

fn cordon(left: &Left, name: &str) -> Cordon {
    let found = left.nodes.iter().find(|end| end.node.as_str() == name);
    found.unwrap().cordon.clone()
}

fn is_cordoned(sim: &Sim, name: &str) -> bool {
    let name = NodeName::new(name);
    sim.look(|world| world.api.node(&name).unwrap().node.unschedulable)
}

const DRAINED: &str = r#""event":"step-done","step":"w1/drain@1.35.4""#;
const INSTALLING: &str = r#""event":"step-started","step":"w1/install-kubelet@1.35.4""#;

#[tokio::test(start_paused = true)]
async fn a_node_that_is_whole_serves_again_and_packages_are_released() {
    let stage = here();
    let (sim, journal) = killed(&stage, DRAINED).await;
    assert!(is_cordoned(&sim, "w1"));
    let left = abandoned(&stage, &sim, &journal).await.unwrap();
    assert_eq!(left.stays, Vec::<String>::new());
    assert_eq!(cordon(&left, "w1"), Cordon::Lifted);
    assert_eq!(cordon(&left, "w2"), Cordon::None);
    assert_eq!(cordon(&left, "w3"), Cordon::Foreign);
    assert!(!is_cordoned(&sim, "w1") && is_cordoned(&sim, "w3"));
    let hosts = ["cp1", "w1", "w2", "w3"].map(HostName::new);
    assert_eq!(left.released, hosts);
    // once more finds nothing to do
    let again = abandoned(&stage, &sim, &journal).await.unwrap();
    assert_eq!(cordon(&again, "w1"), Cordon::None);
    assert_eq!(again.stays, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_change_has_no_end_stays_cordoned_and_is_named() {
    let stage = here();
    let sim = Sim::new(stage.world.clone(), 1);
    let begun = Cell::new(0);
    // at the second call after that the operation is under way
    let kill = Box::new(move |_: &Sim, journal: &[u8], what: &'static str| {
        let installing = String::from_utf8_lossy(journal).contains(INSTALLING);
        begun.set(begun.get() + usize::from(installing && what == "mutate"));
        begun.get() == 2
    });
    let (ended, journal) = Process::new(&sim, Vec::new(), kill).run(&stage.plan).await;
    assert!(ended.is_none(), "{ended:?}");
    Sim::sleep(&sim, Duration::from_secs(600)).await;
    let left = abandoned(&stage, &sim, &journal).await.unwrap();
    let Cordon::Left(why) = cordon(&left, "w1") else {
        panic!("{left:#?}")
    };
    assert!(why.contains("w1/install-kubelet@1.35.4 was begun"), "{why}");
    assert!(is_cordoned(&sim, "w1"));
    assert_eq!(left.stays.len(), 1, "{:?}", left.stays);
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_call_it_is_abandoned_when_asked_again() {
    let stage = here();
    let (sim, journal) = killed(&stage, DRAINED).await;
    let before = sim.snapshot();
    let mut number = 0;
    loop {
        let sim = Sim::new(before.clone(), 1);
        let calls = Cell::new(0);
        let kill = Box::new(move |_: &Sim, _: &[u8], _: &'static str| {
            calls.set(calls.get() + 1);
            calls.get() > number
        });
        let process = Process::new(&sim, journal.clone(), kill);
        let ended = process.abandon(&stage.plan).await;
        let left = abandoned(&stage, &sim, &journal).await.unwrap();
        assert_eq!(left.stays, Vec::<String>::new(), "killed at {number}");
        assert!(!is_cordoned(&sim, "w1"), "killed at {number}");
        assert_eq!(left.released.len(), 4, "killed at {number}");
        let violations = sim.look(|world| world.violations().to_vec());
        assert_eq!(violations, Vec::<String>::new(), "killed at {number}");
        if ended.is_some() {
            break;
        }
        number += 1;
    }
    assert!(number > 20, "{number}");
}
