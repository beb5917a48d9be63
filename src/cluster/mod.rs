//! The cluster as it is: its model as plain data, the facts about it, and how they are observed through the ports.

pub mod backups;
pub mod drift;
pub mod durations;
pub mod facts;
pub mod members;
pub mod model;
pub mod observe;
pub mod redact;
pub mod release;
