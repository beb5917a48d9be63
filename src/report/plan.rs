//! A plan for people and machines, or every reason why there is none: one module for each output.

pub use super::blocked::{blocked, blocked_json};
pub use super::look::Look;
pub use super::outline::outline;
pub use super::step::what;
pub use super::table::{summary, table};
