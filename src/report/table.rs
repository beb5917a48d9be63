//! A plan as a table for a terminal: what will happen, in which order and why.
//!
//! Machines read the plan itself ([`Plan::to_json`]).

use std::collections::BTreeSet;
use std::fmt::Write as _;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, Width};

use super::look::{Look, wrapped};
use super::parts::hops;
use super::step::{after, duration, limits, what};
use super::words;
use crate::plan::citations::cited;
use crate::plan::data::{Action, Plan, Step};

/// The plan as a table, `width` columns wide.
#[must_use]
pub fn table(plan: &Plan, width: u16, look: &Look) -> String {
    let mut text = summary(plan, look);
    let ids = plan.steps.iter().map(|step| step.id.as_str().len()).max();
    let ids = u16::try_from(ids.unwrap_or(0)).unwrap_or(u16::MAX);
    let mut told = BTreeSet::new();
    let hops = hops(plan);
    let heading = look.heading;
    for (at, hop) in hops.iter().enumerate() {
        if hops.len() > 1 {
            let (number, all) = (at + 1, hops.len());
            let _ = writeln!(
                text,
                "\n{heading}Hop {number} of {all}: to {}{heading:#}",
                hop.to
            );
        }
        for section in &hop.sections {
            let _ = writeln!(text, "\n{heading}{}{heading:#}", section.part.title());
            text.push_str(&rows(&section.steps, ids, width));
            reasons(&mut text, &section.steps, &mut told, width, look);
        }
    }
    rules(&mut text, plan, width, look);
    text
}

/// The rules that the reasons cite.
fn rules(text: &mut String, plan: &Plan, width: u16, look: &Look) {
    let cited = cited(plan);
    if cited.is_empty() {
        return;
    }
    let Look { heading, faint, .. } = look;
    let _ = writeln!(text, "\n{heading}Rules{heading:#}");
    for rule in cited {
        let line = format!("rule {}: {}", rule.number, rule.text);
        for line in wrapped(&line, usize::from(width), 2) {
            let _ = writeln!(text, "{line}");
        }
        let _ = writeln!(text, "    {faint}{}{faint:#}", rule.source);
    }
}

/// From where to where, how many steps, how long, what else to know.
#[must_use]
pub fn summary(plan: &Plan, look: &Look) -> String {
    let heading = look.heading;
    if plan.is_empty() {
        return format!(
            "{heading}{}: nothing to do{heading:#}, everything is at {}\n",
            plan.upgrade, plan.target
        );
    }
    let hosts = plan
        .steps
        .iter()
        .filter(|step| matches!(step.action, Action::CheckHost { .. }))
        .map(|step| step.id.place())
        .collect::<BTreeSet<_>>()
        .len();
    let mut text = format!(
        "{heading}{}{heading:#}: {} steps on {hosts} host(s), about {}\n",
        words::heading(plan, &plan.upgrade),
        plan.steps.len(),
        duration(plan.expected_s())
    );
    for note in &plan.notes {
        let _ = writeln!(text, "  - {note}");
    }
    text
}

fn rows(steps: &[&Step], ids: u16, width: u16) -> String {
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(width)
        .set_header(["  STEP", "TAKES", "WHAT", "AFTER"]);
    for step in steps {
        table.add_row([
            format!("  {}", step.id),
            duration(step.expected_s),
            what(&step.action),
            after(step),
        ]);
    }
    if let Some(column) = table.column_mut(0) {
        // Ids are pointed at and searched for: never broken, and aligned throughout.
        column.set_padding((0, 1));
        column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(
            ids.saturating_add(3),
        )));
    }
    if let Some(column) = table.column_mut(1) {
        column.set_cell_alignment(CellAlignment::Right);
        column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(12)));
    }
    let mut text = table.trim_fmt();
    text.push('\n');
    text
}

/// Each reason where it is met first, by what it is a reason for, with the step's limits.
fn reasons<'p>(
    text: &mut String,
    steps: &[&'p Step],
    told: &mut BTreeSet<(&'p str, &'p str, Option<String>)>,
    width: u16,
    look: &Look,
) {
    let faint = look.faint;
    for step in steps {
        let verb = step.id.verb();
        // Waves differ in their number only.
        let verb = if step.id.wave().is_some() {
            "wave"
        } else {
            verb
        };
        let limits = limits(step);
        let reason = match &limits {
            Some(limits) => format!("{verb}: {}; {limits}", step.because),
            None => format!("{verb}: {}", step.because),
        };
        if told.insert((verb, step.because.as_str(), limits)) {
            for line in wrapped(&reason, usize::from(width), 4) {
                let _ = writeln!(text, "{faint}{line}{faint:#}");
            }
        }
    }
}
