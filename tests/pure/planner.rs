//! The planner as its callers see it: plans as goldens, every reason why there is none, and what holds for all clusters.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, missing_docs)]

mod blocked;
pub mod declared;
mod drain_rules;
mod durations;
mod gates;
mod golden;
mod hazards;
mod hooks;
mod hops;
mod order;
mod properties;
mod soaks;
mod waves;
