//! The whole document for a plan.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::changes::changes;
use super::steps::{Level, reasons, steps};
use super::text::{clip, code, folded, prose};
use super::{LIMIT, marker};
use crate::plan::citations::cited;
use crate::plan::data::{Action, Plan};
use crate::plan::diff::PlanDiff;
use crate::report::chart;
use crate::report::parts::{Hop, Part, hops};
use crate::report::schedule::windows;
use crate::report::step::duration;
use crate::report::timeline::Timeline;
use crate::report::words;

/// Notes that are shown, and characters of each: a plan has a dozen.
const NOTES_SHOWN: usize = 30;
const NOTE: usize = 500;

/// Bytes for what changed.
const CHANGES: usize = 16_000;

/// Windows that are shown.
const WINDOWS_SHOWN: usize = 10;

/// Rows of the table of waves.
const WAVES_SHOWN: usize = 60;

/// Nodes that a wave names; more are counted.
const NODES_NAMED: usize = 12;

/// A row of a step has no fewer bytes.
const LEAST_ROW: usize = 16;

/// The plan at `at`, with what changed against an earlier one.
#[must_use]
pub fn plan(plan: &Plan, at: Timestamp, against: Option<&PlanDiff>) -> String {
    let hops = hops(plan);
    let beginning = beginning(plan, &hops, at, against);
    if plan.is_empty() {
        return beginning;
    }
    let waves = waves(plan, &hops);
    let mut end = String::new();
    reasons(&mut end, plan);
    rules(&mut end, plan);
    let many = plan.steps.len() * LEAST_ROW > LIMIT;
    for level in [Level::Steps, Level::FirstWave, Level::Sums] {
        if level == Level::Steps && many {
            continue;
        }
        let mut text = format!("{beginning}{waves}");
        steps(&mut text, &hops, level);
        text.push_str(&end);
        match level {
            Level::Steps => {}
            Level::FirstWave | Level::Sums => text.push_str(
                "This plan has too many steps for a comment to name each; `refit plan` shows them all, as does the plan file.\n\n",
            ),
        }
        if text.len() <= LIMIT {
            return text;
        }
    }
    format!(
        "{beginning}This plan is too large for a comment; `refit plan` shows it, as does the plan file.\n\n"
    )
}

/// What is told at every length.
fn beginning(plan: &Plan, hops: &[Hop<'_>], at: Timestamp, against: Option<&PlanDiff>) -> String {
    let mut text = marker(&plan.upgrade);
    head(&mut text, plan, hops, at);
    if let Some(diff) = against {
        text.push_str("#### Against the earlier plan\n\n");
        text.push_str(&changes(diff, CHANGES));
    }
    if plan.is_empty() {
        return text;
    }
    sittings(&mut text, plan, at);
    if let Some(chart) = chart::waves(plan) {
        let _ = write!(text, "```mermaid\n{chart}```\n\n");
    }
    text
}

fn head(text: &mut String, plan: &Plan, hops: &[Hop<'_>], at: Timestamp) {
    if plan.is_empty() {
        let _ = write!(
            text,
            "### {}: nothing to do\n\nEverything is at {}.\n\n",
            code(&plan.upgrade),
            plan.target
        );
    } else {
        let hosts = plan
            .steps
            .iter()
            .filter(|step| matches!(step.action, Action::CheckHost { .. }))
            .map(|step| step.id.place())
            .collect::<std::collections::BTreeSet<_>>()
            .len();
        let _ = write!(
            text,
            "### {}: {} steps on {hosts} host(s), about {}\n\n",
            words::heading(plan, &code(&plan.upgrade)),
            plan.steps.len(),
            duration(plan.expected_s())
        );
    }
    text.push_str("| | |\n|---|---|\n");
    let mut row = |name: &str, value: &str| {
        let _ = writeln!(text, "| {name} | {value} |");
    };
    row("cluster", &code(&clip(&plan.inventory, 253)));
    row("facts", &prose(&words::observed(plan.facts_at, at)));
    if let [_, _, ..] = hops {
        let way: Vec<String> = hops.iter().map(|hop| code(&hop.to)).collect();
        row("hops", &way.join(", "));
    }
    let waves: usize = hops.iter().map(Hop::waves).sum();
    if waves > 0 {
        row(
            "workers",
            &words::waves(waves, plan.limits.workers_out_of_service),
        );
    }
    row(
        "rests on",
        &format!(
            "declaration {}, facts {}",
            code(&clip(&plan.declaration_sha256, 12)),
            code(&clip(&plan.facts_fingerprint, 12))
        ),
    );
    text.push('\n');
    for note in plan.notes.iter().take(NOTES_SHOWN) {
        let _ = writeln!(text, "- {}", prose(&clip(note, NOTE)));
    }
    if plan.notes.len() > NOTES_SHOWN {
        let _ = writeln!(text, "- and {} more notes", plan.notes.len() - NOTES_SHOWN);
    }
    if !plan.notes.is_empty() {
        text.push('\n');
    }
}

/// Which window takes what, where the declaration has windows.
fn sittings(text: &mut String, plan: &Plan, at: Timestamp) {
    let told = windows(plan, at);
    let lines: Vec<&str> = told.lines().filter(|line| !line.is_empty()).collect();
    if let Some((first, rest)) = lines.split_first() {
        let _ = write!(text, "{}\n\n", prose(first));
        for line in rest.iter().take(WINDOWS_SHOWN) {
            let _ = writeln!(text, "- {}", prose(&clip(line.trim(), NOTE)));
        }
        if rest.len() > WINDOWS_SHOWN {
            let _ = writeln!(text, "- and {} more windows", rest.len() - WINDOWS_SHOWN);
        }
        text.push('\n');
    }
}

/// Which nodes go when.
fn waves(plan: &Plan, hops: &[Hop<'_>]) -> String {
    let timeline = Timeline::of(plan);
    let mut body = "| | Begins after | Takes | Nodes |\n|---|--:|--:|---|\n".to_owned();
    let mut rows = 0;
    let mut left = 0;
    for hop in hops {
        for section in &hop.sections {
            let Part::Wave(number) = section.part else {
                continue;
            };
            if rows == WAVES_SHOWN {
                left += 1;
                continue;
            }
            rows += 1;
            let places = section.places();
            let mut nodes: Vec<String> = places
                .iter()
                .take(NODES_NAMED)
                .map(|node| code(node))
                .collect();
            if places.len() > NODES_NAMED {
                nodes.push(format!("and {} more", places.len() - NODES_NAMED));
            }
            let (start, end) = timeline.span(&section.steps);
            let _ = writeln!(
                body,
                "| {} wave {number} | {} | {} | {} |",
                code(&hop.to),
                duration(start),
                duration(end - start),
                nodes.join(", ")
            );
        }
    }
    if rows == 0 {
        return String::new();
    }
    if left > 0 {
        let _ = writeln!(body, "\nand {left} more waves");
    }
    folded(&format!("Waves: {}", rows + left), &body)
}

fn rules(text: &mut String, plan: &Plan) {
    let cited = cited(plan);
    if cited.is_empty() {
        return;
    }
    let mut body = String::new();
    for rule in cited {
        let _ = writeln!(
            body,
            "- rule {}: {} (<{}>)",
            rule.number,
            prose(rule.text),
            rule.source
        );
    }
    text.push_str(&folded("Rules that the reasons cite", &body));
}
