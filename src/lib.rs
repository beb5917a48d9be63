//! Declarative upgrades for kubeadm clusters.
//!
//! A pure planner turns *what the cluster is* and *what it should become* into an ordered, reviewable plan; an executor
//! carries that plan out over SSH and the Kubernetes API, drains within PodDisruptionBudgets, survives being killed at
//! any instant, and makes no decision that the reviewers of the plan did not see.
//!
//! ```text
//! documents ─┐                                     ┌─► report
//! cluster ───┼─► plan (planner ► Plan) ─► run ─────┤
//! rules ─────┘                             │       └─► journal
//!                    host operations ◄─────┤
//!                                 ports ◄──┴── adapters (kube, ssh, disk, clock) | sim
//! ```
//!
//! Each room below owns one idea; `tests/pure/rooms.rs` holds which room may know which.

pub mod adapters;
pub mod cli;
pub mod cluster;
pub mod documents;
pub mod host;
pub mod plan;
pub mod ports;
pub mod report;
pub mod rules;
pub mod run;
pub mod sim;
