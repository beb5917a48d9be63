//! A run that is asked to pause: what it has begun on a node is finished, and nothing else begins.

use refit::cluster::model::NodeName;
use refit::run::event::{Event, Halt};
use refit::run::executor::Outcome;
use refit::run::journal::{Past, read};
use refit::run::state::StepState;
use refit::sim::Sim;

use super::play::{Process, Stage, stage};

fn never(_: &Sim, _: &[u8], _: &'static str) -> bool {
    false
}

/// Asked once the journal says `once`; how far it came.
async fn paused(stage: &Stage, once: &'static str) -> (Past, Sim) {
    let sim = Sim::new(stage.world.clone(), 1);
    let process = Process::new(&sim, Vec::new(), Box::new(never)).asked_to_pause(once);
    let (ended, journal) = process.run(&stage.plan).await;
    let Some(Outcome::Halted { why, failures, .. }) = ended else {
        panic!("{ended:#?}")
    };
    assert_eq!(
        (why, failures.len()),
        (Halt::Paused { by: "alice".into() }, 0)
    );
    let past = read(&journal).unwrap();
    let open: Vec<_> = past
        .state
        .steps
        .iter()
        .filter(|(_, state)| !matches!(state, StepState::Done { .. }))
        .collect();
    assert!(open.is_empty(), "{open:#?}");
    let ours = sim.look(|world| {
        let nodes = world.api.nodes();
        let ours = nodes.filter(|node| node.cordoned_by.is_some());
        ours.map(|node| node.name.to_string()).collect::<Vec<_>>()
    });
    assert_eq!(ours, Vec::<String>::new());
    // it is resumed to its end
    let (ended, _) = Process::new(&sim, journal, Box::new(never))
        .run(&stage.plan)
        .await;
    assert!(
        matches!(ended, Some(Outcome::Finished { .. })),
        "{ended:#?}"
    );
    (past, sim)
}

fn begun(past: &Past, what: &str) -> Vec<String> {
    let steps = past
        .events
        .iter()
        .filter_map(|stamped| match &stamped.event {
            Event::StepStarted { step, .. } | Event::StepDone { step, .. } => Some(step.as_str()),
            _ => None,
        });
    let mut steps: Vec<String> = steps
        .filter(|step| step.contains(what))
        .map(str::to_owned)
        .collect();
    steps.dedup();
    steps
}

#[tokio::test(start_paused = true)]
async fn a_node_that_was_begun_is_finished_and_no_other_one_begins() {
    let stage = stage(1, 3, "1.35.4");
    let (past, sim) = paused(&stage, r#""step-started","step":"w1/drain@1.35.4""#).await;
    assert_eq!(begun(&past, "w1/uncordon"), ["w1/uncordon@1.35.4"]);
    let w1 = NodeName::new("w1");
    assert!(sim.look(|world| !world.api.node(&w1).unwrap().node.unschedulable));
    let cordons = begun(&past, "/cordon@");
    assert_eq!(cordons.last().unwrap(), "w1/cordon@1.35.4", "{cordons:?}");
}

#[tokio::test(start_paused = true)]
async fn a_control_plane_that_was_begun_is_finished() {
    let stage = stage(3, 1, "1.35.4");
    let (past, _) = paused(
        &stage,
        r#""step-started","step":"cp1/kubeadm-apply@1.35.4""#,
    )
    .await;
    assert_eq!(
        begun(&past, "await-control-plane"),
        ["cp1/await-control-plane@1.35.4"]
    );
    assert!(begun(&past, "cp2/kubeadm-node").is_empty());
}
