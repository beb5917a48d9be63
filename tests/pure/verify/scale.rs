//! How long `verify` takes, for `cargo test --test pure -- --nocapture large`.
#![allow(clippy::disallowed_methods, clippy::print_stdout)]

use std::time::{Duration, Instant};

use refit::documents::settings::Share;
use refit::plan::verify::verify;

use crate::build::World;

/// The shortest of three.
fn time(workers: usize) -> (usize, Duration) {
    let mut world = World::new(5, workers, "1.34.4", "1.35.4");
    world.upgrade.workers.max_unavailable = Share::Count(10);
    let plan = world.planned();
    let took = (0..3)
        .map(|_| {
            let begun = Instant::now();
            assert!(verify(&plan, &world.facts).is_empty());
            begun.elapsed()
        })
        .min()
        .unwrap();
    (plan.steps.len(), took)
}

/// No limit is held: what else the machine does would break it. Four times the nodes must not take sixteen times as long.
#[test]
fn large_plans_pass_and_their_time_is_told() {
    for workers in [125, 500] {
        let (steps, took) = time(workers);
        println!("{workers} workers, {steps} steps: {took:?}");
    }
}
