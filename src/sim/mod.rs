//! A cluster in memory behind refit's ports.
//!
//! The world is passive and plain data: the API's objects, the machines, and a heap of what is due when. It can be cloned at
//! any instant, and a clone goes on exactly as the original does. Every call of a port first lets everything happen that
//! is due by now, then acts and schedules what comes of that. Nothing runs by itself, nothing is random but by a seed given.
//! What must never happen is recorded as a violation while it happens.
//!
//! ```text
//! ports ──► Sim (pace, waking) ──► World (now, heap) ──► Api (nodes, pods, budgets, controllers, scheduler, kubelets)
//!                                                   └──► Machine, one per host ──Effect──► Api
//! ```
//!
//! Knows the ports, the cluster's model and facts, the field's rules and the host operations; never a plan, a run, or an
//! adapter: what is proven on it must not know that it is being simulated.

pub mod api;
mod clock;
pub mod disk;
mod disturb;
pub mod effect;
pub mod fault;
pub mod heap;
mod hosts;
pub mod machine;
pub mod pace;
pub mod seam;
pub mod setup;
mod world;

pub use world::{Sim, World};
