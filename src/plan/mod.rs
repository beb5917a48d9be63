//! The plan as data, and the planner that computes it. Pure: same inputs, byte-identical plan.

pub mod data;
pub mod file;
pub mod graph;
