//! Everything people and machines read. Reports never decide.

pub mod artifacts;
pub mod blocked;
pub mod chart;
pub mod diff;
pub mod drawing;
pub mod facts;
pub mod html;
pub mod journal;
pub mod look;
pub mod markdown;
mod outline;
pub mod parts;
pub mod plan;
pub mod progress;
pub mod runbook;
pub mod schedule;
pub mod status;
mod step;
mod table;
pub mod timeline;
pub mod verify;
pub mod words;
