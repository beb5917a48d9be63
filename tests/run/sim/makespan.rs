//! What the executor itself costs in time: the whole of a run, against the longest chain of its own steps.

use std::collections::BTreeMap;

use refit::documents::settings::Share;
use refit::plan::data::StepId;
use refit::run::event::{Event, Stamped};
use refit::run::executor::Outcome;
use refit::run::journal::read;
use refit::sim::Sim;

use super::build;
use super::play::{Process, staged};

/// How many workers, unless `REFIT_WORKERS` says otherwise.
const WORKERS: usize = 60;

/// The longest chain of steps that wait for each other, as long as each took, in milliseconds.
fn critical_path(plan: &refit::plan::data::Plan, events: &[Stamped]) -> i128 {
    let mut began: BTreeMap<&StepId, i128> = BTreeMap::new();
    let mut took: BTreeMap<&StepId, i128> = BTreeMap::new();
    for stamped in events {
        let at = stamped.at.as_millisecond().into();
        match &stamped.event {
            Event::StepStarted { step, .. } => {
                began.insert(step, at);
            }
            Event::StepDone { step, .. } => {
                took.insert(step, at - began.get(step).unwrap_or(&at));
            }
            _ => {}
        }
    }
    let mut ends: BTreeMap<&StepId, i128> = BTreeMap::new();
    for step in &plan.steps {
        let from = step.after.iter().map(|before| ends[before]).max();
        ends.insert(&step.id, from.unwrap_or(0) + took[&step.id]);
    }
    ends.values().copied().max().unwrap()
}

/// The virtual time of a whole upgrade is within 1 % of its plan's critical path: nothing waits that could go on.
#[test]
fn nothing_waits_that_could_go_on() {
    let workers = std::env::var("REFIT_WORKERS").map_or(WORKERS, |text| text.parse().unwrap());
    let away = workers / 10;
    let stage = staged(3, workers, "1.35.4", |built| {
        let count = |number: usize| i32::try_from(number).unwrap();
        built.budgets().clear();
        let budget = build::budget("web", count(workers - away), count(workers));
        built.budgets().push(budget);
        built.upgrade.workers.max_unavailable = Share::Count(u32::try_from(away).unwrap());
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let began = cpu_ms();
    let (outcome, journal) = runtime.block_on(async {
        let sim = Sim::new(stage.world.clone(), 1);
        let alive = Box::new(|_: &Sim, _: &[u8], _: &'static str| false);
        Process::new(&sim, Vec::new(), alive).run(&stage.plan).await
    });
    assert!(
        matches!(outcome, Some(Outcome::Finished { .. })),
        "{outcome:?}"
    );
    let events = read(&journal).unwrap().events;
    let took = events.last().unwrap().at.duration_since(events[0].at);
    let (took, path) = (took.as_millis(), critical_path(&stage.plan, &events));
    println!(
        "{workers} workers, {} steps: {} s of the cluster's time, the longest chain {} s; {} ms of processor time",
        stage.plan.steps.len(),
        took / 1000,
        path / 1000,
        cpu_ms() - began,
    );
    assert!(
        took >= path && took * 100 <= path * 101,
        "{took} ms for {path} ms"
    );
}

/// Of this thread (proc_thread_self_stat(5): utime and stime, in hundredths of a second).
fn cpu_ms() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
    let (_, after) = stat.rsplit_once(')').unwrap();
    let fields: Vec<&str> = after.split_whitespace().collect();
    (fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()) * 10
}
