//! One execution of a plan: events, journal, executor, drain. Never decides what to do, only whether the plan's next step may be done.
//!
//! ```text
//! executor ─► step (tries, timeouts) ─► host_step   mutations on hosts
//!     ├─► plan::graph (what may start)  snapshot    of etcd ─► sweep (what killed runs left of theirs)
//!     ├─► event ─► state, journal       cordon      and uncordon
//!     ├─► lease (one run at a time)     drain       evictions within budgets
//!     └─► meter (own time)              gate_step   until a declared condition holds ─► command_step, metrics_step ─► hold
//!                                       hook_step   a declared command, on a host or here
//!                                       soak_step   until its time has passed
//!                                       wait_step   until the world is so ◄─┐
//!                                       check_step  whether it is so      ◄─┴─ health, look
//! ```
//!
//! What a killed process leaves behind is found by looking at the world: a step that was started is never assumed done or
//! not done.

pub mod abandon;
mod check_step;
mod command_step;
mod cordon;
mod drain;
pub mod earlier;
pub mod event;
pub mod executor;
pub mod extent;
mod gate_step;
mod health;
mod hold;
mod hook_step;
mod host_step;
pub mod journal;
pub mod lease;
pub mod left_hooks;
mod look;
mod meter;
pub mod metrics_step;
mod outdated;
mod snapshot;
mod soak_step;
pub mod state;
mod step;
mod sweep;
mod wait_step;
mod way_back;
