//! A whole upgrade through the real kube client: the same end, and the same way there, as through the simulation's own port.

use std::collections::BTreeMap;

use refit::plan::data::{Action, Step};
use refit::ports::World as Ports;
use refit::run::event::{Event, How, Stamped};
use refit::run::executor::Outcome;
use refit::run::journal::Memory;
use refit::sim::Sim;

use super::Wire;
use crate::sim::play::{Stage, outcome, stage};
use crate::world::plans::{Around, Nobody, go_with, never};

async fn upgrade(stage: &Stage, sim: &Sim, ports: Ports<'_>) -> BTreeMap<String, How> {
    let around = Around {
        store: sim,
        people: &Nobody,
        programs: &Nobody,
        metrics: &Nobody,
    };
    let mut file = Memory::default();
    let run = go_with(&stage.plan, ports, around, &[], &mut file, never());
    let (ended, events) = run.await;
    assert!(matches!(ended, Outcome::Finished { .. }), "{ended:#?}");
    let violations = sim.look(|world| world.violations().to_vec());
    assert_eq!(violations, Vec::<String>::new());
    events.iter().filter_map(done).collect()
}

/// Whether a wait had to wait is chance.
fn done(stamped: &Stamped) -> Option<(String, How)> {
    match &stamped.event {
        Event::StepDone { step, how, .. } => {
            let step = step.to_string();
            let how = if step.contains("await-") {
                How::Acted
            } else {
                *how
            };
            Some((step, how))
        }
        _ => None,
    }
}

#[tokio::test(start_paused = true)]
async fn over_the_wire_it_goes_as_in_memory() {
    let stage = stage(3, 3, "1.35.4");
    let direct = Sim::new(stage.world.clone(), 1);
    let port = Ports {
        api: &direct,
        hosts: &direct,
        clock: &direct,
    };
    let directly = upgrade(&stage, &direct, port).await;

    let sim = Sim::new(stage.world.clone(), 1);
    let wire = Wire::new(&sim);
    let port = Ports {
        api: &wire.kube,
        hosts: &sim,
        clock: &sim,
    };
    let wired = wire.serve(upgrade(&stage, &sim, port)).await;
    assert_eq!(wired, directly);
    assert_eq!(
        outcome(&sim, &stage.built).await,
        outcome(&direct, &stage.built).await
    );

    let asked = wire.asked();
    let count =
        |what: &dyn Fn(&super::Asked) -> bool| asked.iter().filter(|asked| what(asked)).count();
    println!(
        "{} requests, {} of them evictions, {} changes of nodes; at most {} at once",
        asked.len(),
        count(&super::Asked::evicts),
        count(&super::Asked::patches),
        wire.most.get()
    );
    // cordon and uncordon of each node but the one that someone else had cordoned, the taint of workers on and off, and no
    // other change of a node
    let tainted = |step: &Step| match &step.action {
        Action::TaintOutdated { nodes } => nodes.len(),
        _ => 0,
    };
    let tainted: usize = stage.plan.steps.iter().map(tainted).sum();
    assert!(tainted > 0);
    assert_eq!(count(&super::Asked::patches), 2 * 5 + 2 * tainted);
}
