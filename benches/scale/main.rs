//! From recorded facts to a plan that is verified and told, for large clusters, as a table: time of each part, and the most
//! memory that was in use.
//!
//! `cargo bench --bench scale`
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

use std::time::{Duration, Instant};

use refit::cluster::facts::Facts;
use refit::plan::verify::verify;
use refit::plan::{Inputs, plan};

/// Nodes; the first and the last are compared.
const SIZES: [usize; 3] = [1000, 2000, 5000];

fn main() {
    let facts: Vec<(usize, String)> = SIZES
        .iter()
        .map(|&nodes| {
            (
                nodes,
                serde_json::to_string(&cluster::large(nodes).facts).unwrap(),
            )
        })
        .collect();
    println!("nodes    pods budgets  facts  parse   plan  verify   json  total  steps");
    let totals: Vec<Duration> = facts
        .iter()
        .map(|(nodes, text)| row(*nodes, text))
        .collect();
    let times = totals[totals.len() - 1].as_secs_f64() / totals[0].as_secs_f64();
    println!(
        "{} -> {} nodes: {times:.1} times as long",
        SIZES[0],
        SIZES[SIZES.len() - 1]
    );
    // The generator's own facts are in it too.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    println!("most memory in use: {}", most.map_or("unknown", str::trim));
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let begun = Instant::now();
    let made = work();
    (made, begun.elapsed())
}

fn row(nodes: usize, text: &str) -> Duration {
    let world = cluster::large(nodes);
    let (facts, parse) = timed(|| serde_json::from_str::<Facts>(text).unwrap());
    let (made, planning) = timed(|| {
        plan(&Inputs {
            inventory: &world.inventory,
            upgrade: &world.upgrade,
            declaration_sha256: "d0c5",
            facts: &facts,
            key_text: None,
        })
    });
    let plan = made.unwrap_or_else(|blocked| panic!("{:#?}", &build::texts(&blocked)[..3]));
    let (wrong, verifying) = timed(|| verify(&plan, &facts));
    assert!(wrong.is_empty(), "{:#?}", &wrong[..3]);
    let (_, telling) = timed(|| plan.to_json().unwrap());
    let total = parse + planning + verifying + telling;
    println!(
        "{nodes:>5} {:>7} {:>7} {:>3} MB {:>4} ms {:>4} ms {:>5} ms {:>4} ms {:>4} ms {:>6}",
        facts.cluster.pods.known().map_or(0, Vec::len),
        facts.cluster.budgets.known().map_or(0, Vec::len),
        text.len() / 1_000_000,
        parse.as_millis(),
        planning.as_millis(),
        verifying.as_millis(),
        telling.as_millis(),
        total.as_millis(),
        plan.steps.len(),
    );
    total
}
