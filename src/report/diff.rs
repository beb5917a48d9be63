//! What changed from one plan to another, in words.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::look::{Look, wrapped};
use crate::plan::data::StepId;
use crate::plan::diff::{Change, PlanDiff};

/// Characters of a value: texts of files and keys are compared as a whole and not read here.
const VALUE: usize = 80;

/// Steps that changed alike.
#[derive(Debug)]
pub(super) struct Group<'d> {
    /// What they do.
    pub(super) verb: &'d str,
    /// Where, in the plan's order.
    pub(super) places: Vec<&'d str>,
    /// What is different.
    pub(super) changes: &'d [Change],
}

/// The changed steps, those that changed alike together.
pub(super) fn grouped(diff: &PlanDiff) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut index = BTreeMap::new();
    for step in &diff.changed {
        let verb = step.id.verb();
        let at = *index
            .entry((verb, step.changes.as_slice()))
            .or_insert(groups.len());
        match groups.get_mut(at) {
            Some(group) => group.places.push(step.id.place()),
            None => groups.push(Group {
                verb,
                places: vec![step.id.place()],
                changes: &step.changes,
            }),
        }
    }
    groups
}

/// A change in words.
pub(super) fn told(change: &Change) -> String {
    let what = match change.what.as_str() {
        "" => String::new(),
        what => format!("{what}: "),
    };
    // what stands in a list has no value of its own
    match (change.old.as_deref(), change.new.as_deref()) {
        (Some(""), None) => return format!("not any more: {}", change.what),
        (None, Some("")) => return format!("now also: {}", change.what),
        (_, _) => {}
    }
    let short = |value: &String| {
        let line = value.lines().next().unwrap_or_default();
        let mut text: String = line.chars().take(VALUE).collect();
        if text.len() < value.len() {
            text.push('…');
        }
        text
    };
    match (&change.old, &change.new) {
        (Some(old), Some(new)) => match (short(old), short(new)) {
            (old, new) if old == new => format!("{what}another text"),
            (old, new) => format!("{what}{old} -> {new}"),
        },
        (Some(old), None) => format!("{what}not any more: {}", short(old)),
        (None, Some(new)) => format!("{what}now also: {}", short(new)),
        (None, None) => what,
    }
}

/// How much changed.
pub(super) fn headline(diff: &PlanDiff) -> String {
    let mut text = if diff.is_empty() {
        "nothing changed".to_owned()
    } else if diff.same_steps() {
        "the same steps in the same order".to_owned()
    } else {
        format!(
            "steps: {} gone, {} new, {} changed",
            diff.removed.len(),
            diff.added.len(),
            diff.changed.len()
        )
    };
    if !diff.basis.is_empty() {
        let _ = write!(text, "; {} observation(s) differ", diff.basis.len());
    }
    if let Some(observed) = &diff.observed {
        let _ = write!(
            text,
            "; facts of {} instead of {}",
            observed.new, observed.old
        );
    }
    text
}

/// All differences, one a line, without headings.
#[must_use]
pub fn lines(diff: &PlanDiff) -> Vec<String> {
    let mut lines: Vec<String> = diff.purpose.iter().chain(&diff.limits).map(told).collect();
    lines.extend(diff.basis.iter().map(ToString::to_string));
    lines.extend(
        diff.removed
            .iter()
            .map(|id| format!("{id}: would not be done any more")),
    );
    lines.extend(
        diff.added
            .iter()
            .map(|id| format!("{id}: would be done as well")),
    );
    for step in &diff.changed {
        let changes: Vec<String> = step.changes.iter().map(told).collect();
        lines.push(format!("{}: {}", step.id, changes.join("; ")));
    }
    lines.extend(diff.notes.iter().map(told));
    lines
}

/// For people.
#[must_use]
pub fn differences(diff: &PlanDiff, width: u16, look: &Look) -> String {
    let heading = look.heading;
    let width = usize::from(width);
    let mut text = format!("{heading}{}{heading:#}\n", headline(diff));
    let mut part = |title: &str, lines: Vec<String>| {
        if lines.is_empty() {
            return;
        }
        let _ = writeln!(text, "\n{heading}{title}{heading:#}");
        for line in lines.iter().flat_map(|line| wrapped(line, width, 2)) {
            let _ = writeln!(text, "{line}");
        }
    };
    part(
        "Upgrade and limits",
        diff.purpose.iter().chain(&diff.limits).map(told).collect(),
    );
    part(
        "Observed",
        diff.basis.iter().map(ToString::to_string).collect(),
    );
    let ids = |ids: &[StepId], sign: &str| -> Vec<String> {
        ids.iter().map(|id| format!("{sign} {id}")).collect()
    };
    part("Steps gone", ids(&diff.removed, "-"));
    part("Steps new", ids(&diff.added, "+"));
    part(
        "Steps changed",
        grouped(diff)
            .into_iter()
            .map(|group| {
                let changes: Vec<String> = group.changes.iter().map(told).collect();
                format!(
                    "~ {} of {}: {}",
                    group.verb,
                    group.places.join(", "),
                    changes.join("; ")
                )
            })
            .collect(),
    );
    part("Notes", diff.notes.iter().map(told).collect());
    text
}

/// For machines.
///
/// # Errors
/// Never in practice: all of it is plain text.
pub fn differences_json(diff: &PlanDiff) -> Result<String, serde_json::Error> {
    let mut text = serde_json::to_string_pretty(diff)?;
    text.push('\n');
    Ok(text)
}
