//! One execution of a plan: events, journal, executor, drain. Never decides what to do, only whether the plan's next step may be done.

pub mod event;
pub mod journal;
