//! What reviewers read of a plan, as files in `review/golden`, and what holds of it at any size and for any text.
//!
//! `REFIT_BLESS=1 cargo test --test review` rewrites the files; read the difference.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    missing_docs
)]

#[path = "review/artifacts.rs"]
mod artifacts;
#[path = "review/binding.rs"]
mod binding;
#[path = "planner/build.rs"]
#[allow(dead_code)]
mod build;
#[path = "review/differences.rs"]
mod differences;
#[path = "review/drawing.rs"]
mod drawing;
#[path = "review/fixture.rs"]
mod fixture;
#[path = "review/markdown.rs"]
mod markdown;
#[path = "review/page.rs"]
mod page;
#[path = "review/runbook.rs"]
mod runbook;
