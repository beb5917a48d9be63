//! Everything people and machines read. Reports never decide.

pub mod facts;
pub mod plan;
pub mod progress;
pub mod schedule;
pub mod status;
pub mod verify;
pub mod words;
