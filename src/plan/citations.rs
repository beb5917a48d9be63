//! The rules that a plan's reasons cite by number, in full.

use super::data::Plan;
use crate::rules::skew::Rule;

/// A rule that a plan cites.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Citation {
    /// Its number.
    pub number: u8,
    /// What it demands.
    pub text: &'static str,
    /// Where upstream says so.
    pub source: &'static str,
}

/// The rules that the plan cites as `(rule N)`, by number.
#[must_use]
pub fn cited(plan: &Plan) -> Vec<Citation> {
    Rule::ALL
        .into_iter()
        .filter(|rule| {
            let mark = format!("(rule {})", rule.number());
            plan.steps.iter().any(|step| step.because.contains(&mark))
        })
        .map(|rule| Citation {
            number: rule.number(),
            text: rule.text(),
            source: rule.source(),
        })
        .collect()
}
