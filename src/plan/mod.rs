//! The plan as data, and the planner that computes it. Pure: same inputs, byte-identical plan.

pub mod artifacts;
pub mod citations;
mod control_plane;
pub mod data;
pub mod diff;
mod draft;
pub mod drains;
pub mod earlier;
pub mod file;
mod forecast;
mod gates;
pub mod graph;
pub mod hazards;
mod hooks;
mod hop;
mod host_steps;
mod nodes;
mod notes;
mod operation;
mod pace;
mod packages;
mod patches;
mod path;
pub mod planner;
mod preconditions;
pub mod reason;
mod soaks;
mod step_id;
mod unjudged;
pub mod verify;
mod view;
pub mod waves;
pub mod windows;
mod work;

pub use planner::{Inputs, plan};
pub use preconditions::too_old;
