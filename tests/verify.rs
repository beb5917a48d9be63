//! `verify` as its callers meet it: what it must find by hand-made plans, by thousands of small changes that a brute force
//! judges, and how long it takes.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, missing_docs)]

#[path = "planner/build.rs"]
#[allow(dead_code)]
mod build;
#[path = "verify/failing.rs"]
mod failing;
#[path = "verify/mutation.rs"]
mod mutation;
#[path = "verify/oracle/mod.rs"]
mod oracle;
#[path = "verify/scale.rs"]
mod scale;
