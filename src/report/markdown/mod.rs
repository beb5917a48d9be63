//! A plan, or why there is none, as Markdown for a comment on a pull request.
//!
//! The summary stands on top and the rest is folded. GitHub takes 65,536 characters and refuses more, so the document
//! says less of each step the more steps there are: every step, then each wave but the first in sum, then sums only. What
//! was left out is counted and said, and where to read it.

mod changes;
mod document;
mod steps;
pub mod text;
mod whynot;

pub use changes::changes;
pub use document::plan;
pub use whynot::blocked;

/// Bytes that a document may have, so that it has no more characters either: GitHub's limit less room for what a job
/// writes around it.
pub const LIMIT: usize = 64_000;

/// The first line: how a job that posts the document finds the comment that it posted before.
#[must_use]
pub fn marker(upgrade: &str) -> String {
    let plain: String = upgrade
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '.' {
                c
            } else {
                '_'
            }
        })
        .collect();
    format!("<!-- refit plan {plain} -->\n")
}
