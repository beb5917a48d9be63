//! From recorded facts to a plan that is verified and told, for large clusters.
//!
//! `cargo bench --bench scale` measures each part with criterion, on some hundred nodes.
//! `cargo bench --bench scale -- --table` prints one table for up to 5,000 nodes: the processor's time for each part, the
//! time by the clock for all, and the most memory that was in use. The parts run on one processor, so that the two times are
//! the same on a machine that does nothing else.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods
)]

#[path = "../../tests/pure/build.rs"]
#[allow(dead_code)]
mod build;
mod cluster;

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion};
use refit::cluster::facts::Facts;
use refit::plan::data::Plan;
use refit::plan::file::sha256;
use refit::plan::verify::verify;
use refit::plan::{Inputs, plan};
use refit::report::markdown;
use refit::run::event::{Event, How, Stamped};
use refit::run::extent::progress;
use refit::run::journal::{Journal, Memory, Past, read};

use build::World;

/// Nodes, for criterion.
const SMALL: [usize; 2] = [100, 400];
/// Nodes of a run that is resumed: about 40,000 steps.
const RESUMED: usize = 3700;
/// Nodes, for the table; the first and the last are compared.
const LARGE: [usize; 3] = [1000, 2000, 5000];

fn main() {
    if std::env::args().any(|arg| arg == "--table") {
        table();
    } else {
        let mut criterion = Criterion::default().configure_from_args();
        measure(&mut criterion);
        criterion.final_summary();
    }
}

fn parse(text: &str) -> Facts {
    serde_json::from_str(text).unwrap()
}

fn make(world: &World, facts: &Facts) -> Plan {
    let made = plan(&Inputs {
        inventory: &world.inventory,
        upgrade: &world.upgrade,
        declaration_sha256: "d0c5",
        facts,
        key_text: None,
    });
    made.unwrap_or_else(|blocked| panic!("{:#?}", &build::texts(&blocked)[..3]))
}

fn tell(plan: &Plan, facts: &Facts) -> String {
    markdown::plan(plan, facts.observed_at, None)
}

fn measure(criterion: &mut Criterion) {
    for nodes in SMALL {
        let world = cluster::large(nodes);
        let text = serde_json::to_string(&world.facts).unwrap();
        let facts = parse(&text);
        let plan = make(&world, &facts);
        assert!(verify(&plan, &facts).is_empty());
        let mut group = criterion.benchmark_group("scale");
        group.sample_size(10);
        let mut part = |name: &str, work: &dyn Fn()| {
            group.bench_function(BenchmarkId::new(name, nodes), |bencher| bencher.iter(work));
        };
        part("parse", &|| drop(black_box(parse(&text))));
        part("plan", &|| drop(black_box(make(&world, &facts))));
        part("verify", &|| drop(black_box(verify(&plan, &facts))));
        part("json", &|| drop(black_box(plan.to_json())));
        part("markdown", &|| drop(black_box(tell(&plan, &facts))));
        group.finish();
    }
}

fn table() {
    let mut totals = Vec::new();
    println!(
        "nodes    pods budgets  steps   facts    parse     plan   verify     json markdown    total by clock"
    );
    for nodes in LARGE {
        totals.push(row(nodes, cluster::large(nodes)));
    }
    let times = totals[totals.len() - 1].as_secs_f64() / totals[0].as_secs_f64();
    println!(
        "{} -> {} nodes: {times:.1} times as long",
        LARGE[0],
        LARGE[LARGE.len() - 1]
    );
    println!("with a gate after each wave and five groups that are watched:");
    for nodes in LARGE {
        let mut world = cluster::large(nodes);
        cluster::asking(&mut world);
        row(nodes, world);
    }
    resume();
    // What the generator needed at its height is in it too.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    println!("most memory in use: {}", most.map_or("unknown", str::trim));
}

/// What `refit resume` reads before it does anything, near the end of a run of about 40,000 steps.
fn resume() {
    let world = cluster::large(RESUMED);
    let plan = make(&world, &world.facts);
    let plan_text = plan.to_json().unwrap();
    let mut written = Memory::default();
    let past = Past::none();
    let mut journal = Journal::after(&past, &mut written);
    let mut write = |event: Event| {
        let at = world.facts.observed_at;
        journal.append(&Stamped { at, event }).unwrap();
    };
    write(Event::RunStarted {
        run: "20261121-110000-abcd".into(),
        plan_sha256: sha256(plan_text.as_bytes()),
        refit: env!("CARGO_PKG_VERSION").into(),
        pid: 1,
    });
    for step in &plan.steps {
        write(Event::StepStarted {
            step: step.id.clone(),
            attempt: 1,
        });
        write(Event::StepDone {
            step: step.id.clone(),
            how: How::Acted,
            note: None,
            took_ms: 1,
        });
    }
    let begun = Instant::now();
    let (read_plan, planned) = timed(begun, || {
        assert_eq!(sha256(plan_text.as_bytes()).len(), 64);
        Plan::from_json(&plan_text).unwrap()
    });
    let (past, happened) = timed(begun, || read(&written.text).unwrap());
    let (left, looked) = timed(begun, || progress(&past.state, &read_plan).all);
    assert_eq!(left.done, plan.steps.len());
    println!(
        "resuming a run of {} steps, journal of {} lines and {} MB: plan {} ms, journal {} ms, what is left {} ms; {} ms together",
        plan.steps.len(),
        past.events.len(),
        written.text.len() / 1_000_000,
        planned.as_millis(),
        happened.as_millis(),
        looked.as_millis(),
        (planned + happened + looked).as_millis(),
    );
}

/// What this process has had of a processor so far, where the system tells; else the time by the clock.
fn processor(since: Instant) -> Duration {
    let told = std::fs::read_to_string("/proc/self/schedstat").ok();
    let nanos = told.and_then(|told| told.split_whitespace().next()?.parse().ok());
    nanos.map_or_else(|| since.elapsed(), Duration::from_nanos)
}

fn timed<T>(since: Instant, work: impl FnOnce() -> T) -> (T, Duration) {
    let begun = processor(since);
    let made = work();
    (made, processor(since).saturating_sub(begun))
}

fn row(nodes: usize, mut world: World) -> Duration {
    let text = serde_json::to_string(&world.facts).unwrap();
    // Only the text is given; the generator's own copy would count as memory.
    world.pods().clear();
    world.facts.hosts.clear();
    let begun = Instant::now();
    let (facts, parsing) = timed(begun, || parse(&text));
    let (plan, planning) = timed(begun, || make(&world, &facts));
    let (wrong, verifying) = timed(begun, || verify(&plan, &facts));
    let (json, writing) = timed(begun, || plan.to_json().unwrap());
    let (comment, telling) = timed(begun, || tell(&plan, &facts));
    let by_clock = begun.elapsed();
    assert!(wrong.is_empty(), "{:#?}", &wrong[..3]);
    black_box((json, comment));
    let total = parsing + planning + verifying + writing + telling;
    let count = |known: Option<usize>| known.unwrap_or(0);
    println!(
        "{nodes:>5} {:>7} {:>7} {:>6} {:>4} MB {:>5} ms {:>5} ms {:>5} ms {:>5} ms {:>5} ms {:>5} ms {:>5} ms",
        count(facts.cluster.pods.known().map(Vec::len)),
        count(facts.cluster.budgets.known().map(Vec::len)),
        plan.steps.len(),
        text.len() / 1_000_000,
        parsing.as_millis(),
        planning.as_millis(),
        verifying.as_millis(),
        writing.as_millis(),
        telling.as_millis(),
        total.as_millis(),
        by_clock.as_millis(),
    );
    total
}
