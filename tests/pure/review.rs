//! What reviewers read of a plan, as files in `review/golden`, and what holds of it at any size and for any text.
//!
//! `REFIT_BLESS=1 cargo test --test pure review` rewrites the files; read the difference.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    missing_docs
)]

mod artifacts;
mod binding;
mod differences;
mod drawing;
mod fixture;
mod markdown;
mod page;
mod runbook;
