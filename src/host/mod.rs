//! Operations on hosts: for each its command, its parser and the probe that tells whether it is done.

pub mod op;
