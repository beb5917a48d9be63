//! What no executor is needed for: documents, planning, verifying, reviewing, and the house's own rules. One binary, because
//! each has the whole library linked into it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, missing_docs)]

#[allow(dead_code)]
mod build;
mod dice;
mod documents;
mod documents_property;
mod hazards;
mod hostile;
mod journal;
mod planner;
mod review;
mod rooms;
#[path = "../../fuzz/targets.rs"]
mod targets;
mod verify;
