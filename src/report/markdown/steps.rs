//! The steps: each in a row, or each kind of step in a row with how many there are.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::text::{clip, code, folded, prose};
use crate::plan::data::{Plan, Step};
use crate::report::parts::{Hop, Part, Section};
use crate::report::step::{after, duration, limits, what};

/// How much is said of the steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// Each step has a row.
    Steps,
    /// Each step of what is not one of many: of the waves only the first; the rest in sums.
    FirstWave,
    /// Sums only.
    Sums,
}

/// Characters of what a step does.
const WHAT: usize = 200;

/// Steps that a sum names.
const STEPS_NAMED: usize = 3;

/// Reasons that are told: a plan has one for each kind of step.
const REASONS_SHOWN: usize = 60;

/// All parts of all hops, each folded.
pub(super) fn steps(text: &mut String, hops: &[Hop<'_>], level: Level) {
    for hop in hops {
        let prefix = match hops {
            [_, _, ..] => format!("To {}: ", hop.to),
            _ => String::new(),
        };
        let mut waves: Vec<&Section<'_>> = Vec::new();
        for section in &hop.sections {
            let in_full = match (level, section.part) {
                (Level::Steps, _) | (Level::FirstWave, Part::Wave(..=1)) => true,
                (Level::FirstWave, Part::Wave(_)) | (Level::Sums, _) => false,
                (
                    Level::FirstWave,
                    Part::Preflight
                    | Part::Snapshot
                    | Part::Preparation
                    | Part::ControlPlanes
                    | Part::ControlPlaneKubelets
                    | Part::Passing
                    | Part::Outage
                    | Part::End,
                ) => section.steps.len() <= FEW,
            };
            match section.part {
                Part::Wave(_) if !in_full => waves.push(section),
                Part::Wave(_)
                | Part::Preflight
                | Part::Snapshot
                | Part::Preparation
                | Part::ControlPlanes
                | Part::ControlPlaneKubelets
                | Part::Passing
                | Part::Outage
                | Part::End => {
                    merged(text, &prefix, &mut waves);
                    let title = title(&prefix, &section.part.title(), section.steps.len());
                    let body = if in_full {
                        rows(&section.steps)
                    } else {
                        sums(&section.steps)
                    };
                    text.push_str(&folded(&title, &body));
                }
            }
        }
        merged(text, &prefix, &mut waves);
    }
}

/// A part of more steps than this is one of many.
const FEW: usize = 60;

fn title(prefix: &str, part: &str, steps: usize) -> String {
    let noun = if steps == 1 { "step" } else { "steps" };
    format!("{prefix}{part} ({steps} {noun})")
}

fn merged(text: &mut String, prefix: &str, waves: &mut Vec<&Section<'_>>) {
    let steps: Vec<&Step> = waves
        .iter()
        .flat_map(|section| section.steps.iter().copied())
        .collect();
    let part = match (waves.first(), waves.last()) {
        (Some(first), Some(last)) => match (first.part, last.part) {
            (Part::Wave(first), Part::Wave(last)) if first < last => {
                format!("Workers, waves {first} to {last}")
            }
            (part, _) => part.title(),
        },
        (_, _) => return,
    };
    waves.clear();
    text.push_str(&folded(&title(prefix, &part, steps.len()), &sums(&steps)));
}

fn rows(steps: &[&Step]) -> String {
    let mut text = "| Step | Takes | What | After |\n|---|--:|---|---|\n".to_owned();
    for step in steps {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} |",
            code(step.id.as_str()),
            duration(step.expected_s),
            prose(&clip(&what(&step.action), WHAT)),
            prose(&after(step)),
        );
    }
    text
}

fn sums(steps: &[&Step]) -> String {
    let mut kinds: Vec<(&str, Vec<&Step>)> = Vec::new();
    let mut index = BTreeMap::new();
    for step in steps {
        // waves differ in their number only
        let verb = if step.id.wave().is_some() {
            "wave"
        } else {
            step.id.verb()
        };
        let at = *index.entry(verb).or_insert(kinds.len());
        match kinds.get_mut(at) {
            Some((_, of_kind)) => of_kind.push(step),
            None => kinds.push((verb, vec![step])),
        }
    }
    let mut text =
        "| Steps | Each takes | What the first does | Named |\n|---|--:|---|---|\n".to_owned();
    for (verb, steps) in kinds {
        let times: BTreeSet<u64> = steps.iter().map(|step| step.expected_s).collect();
        let takes = match (times.first(), times.last()) {
            (Some(least), Some(most)) if least < most => {
                format!("{} to {}", duration(*least), duration(*most))
            }
            (Some(only), _) => duration(*only),
            (None, _) => String::new(),
        };
        let mut named: Vec<String> = steps
            .iter()
            .take(STEPS_NAMED)
            .map(|step| code(&clip(step.id.place(), 63)))
            .collect();
        if steps.len() > STEPS_NAMED {
            named.push(format!("{} more", steps.len() - STEPS_NAMED));
        }
        let first = steps.first().map(|step| what(&step.action));
        let _ = writeln!(
            text,
            "| {} {} | {takes} | {} | {} |",
            steps.len(),
            code(verb),
            prose(&clip(&first.unwrap_or_default(), WHAT)),
            named.join(", ")
        );
    }
    text
}

/// Why steps are where they are, and how long they may take: each reason once.
pub(super) fn reasons(text: &mut String, plan: &Plan) {
    let mut told = BTreeSet::new();
    let mut body = String::new();
    let mut left = 0;
    for step in &plan.steps {
        let verb = if step.id.wave().is_some() {
            "wave"
        } else {
            step.id.verb()
        };
        let limits = limits(step);
        if !told.insert((verb, &step.because, limits.clone())) {
            continue;
        }
        if told.len() > REASONS_SHOWN {
            left += 1;
            continue;
        }
        let _ = write!(body, "- {}: {}", code(verb), prose(&step.because));
        if let Some(limits) = limits {
            let _ = write!(body, "; {limits}");
        }
        body.push('\n');
    }
    if left > 0 {
        let _ = writeln!(body, "- and {left} more");
    }
    text.push_str(&folded("Why each step is where it is", &body));
}
