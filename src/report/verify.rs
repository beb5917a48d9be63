//! What is wrong with a plan, for people and for machines.

use std::fmt::Write as _;

use super::plan::Look;
use crate::plan::data::Plan;
use crate::plan::verify::{Told, Violation};

/// For people: each violation, the invariant it breaks, and where upstream demands that.
#[must_use]
pub fn violations(found: &[Violation], look: &Look) -> String {
    let mut text = String::new();
    for violation in found {
        let _ = writeln!(
            text,
            "{}{}{:#}: {violation}",
            look.wrong,
            violation.code(),
            look.wrong
        );
        let _ = writeln!(text, "  {}", violation.invariant());
        if let Some(source) = violation.invariant().source() {
            let _ = writeln!(text, "  {}{source}{:#}", look.faint, look.faint);
        }
    }
    text
}

/// For machines: what is wrong with which plan, nothing when it may be carried out.
///
/// # Errors
/// Never in practice: all of it is plain text.
pub fn violations_json(plan: &Plan, found: &[Violation]) -> Result<String, serde_json::Error> {
    #[derive(serde::Serialize)]
    struct Document<'a> {
        format: &'static str,
        upgrade: &'a str,
        inventory: &'a str,
        steps: usize,
        violations: Vec<Told>,
    }
    let mut text = serde_json::to_string_pretty(&Document {
        format: "refit.verified/v1",
        upgrade: &plan.upgrade,
        inventory: &plan.inventory,
        steps: plan.steps.len(),
        violations: found.iter().map(Told::from).collect(),
    })?;
    text.push('\n');
    Ok(text)
}
