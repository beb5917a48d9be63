//! The cluster in memory: by the field's rules, reproducible, as the facts say, and upgraded and killed at every call.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods
)]

mod abandon;
#[allow(dead_code, unused_imports)]
#[path = "../../pure/build.rs"]
mod build;
mod deferral;
mod everywhere;
mod faults;
mod machines;
mod makespan;
mod outdated;
mod pause;
mod play;
mod restore;
mod rollback;
mod rules;
mod same;
mod schedules;
mod upgrade;
mod wire;
