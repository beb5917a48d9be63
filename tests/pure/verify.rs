//! `verify` as its callers meet it: what it must find by hand-made plans, by thousands of small changes that a brute force
//! judges, and how long it takes.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, missing_docs)]

mod failing;
mod hooks;
mod mutation;
mod oracle;
mod scale;
mod windows;
