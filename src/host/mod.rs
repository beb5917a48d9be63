//! Operations on hosts: for each its command, its parser and the probe that tells whether it is done.

pub mod clause;
pub mod command;
pub mod judge;
pub mod known;
pub mod op;
pub mod parse;
pub mod rollback;
pub mod unit;
pub mod way_back;
