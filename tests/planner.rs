//! The planner as its callers see it: plans as goldens, every reason why there is none, and what holds for all clusters.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, missing_docs)]

#[path = "planner/blocked.rs"]
mod blocked;
#[path = "planner/build.rs"]
mod build;
#[path = "planner/golden.rs"]
mod golden;
#[path = "planner/hazards.rs"]
mod hazards;
#[path = "planner/hops.rs"]
mod hops;
#[path = "planner/order.rs"]
mod order;
#[path = "planner/properties.rs"]
mod properties;
#[path = "planner/waves.rs"]
mod waves;
