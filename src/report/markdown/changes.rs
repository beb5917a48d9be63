//! What changed from one plan to another: sums first, then each, as far as there is room.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::text::{clip, code, folded, prose};
use crate::plan::data::StepId;
use crate::plan::diff::{Change, PlanDiff};
use crate::report::diff::{grouped, headline, told};

/// Characters of a value.
const VALUE: usize = 160;

/// Steps of one place that are named.
const STEPS_NAMED: usize = 20;

/// What changed, in at most about `room` bytes.
#[must_use]
pub fn changes(diff: &PlanDiff, room: usize) -> String {
    let mut text = format!("{}\n\n", prose(&headline(diff)));
    let mut room = room.saturating_sub(text.len());
    let heads: Vec<String> = diff.purpose.iter().chain(&diff.limits).map(line).collect();
    let basis: Vec<String> = diff
        .basis
        .iter()
        .map(|difference| format!("- {}", code(&clip(&difference.to_string(), VALUE))))
        .collect();
    let notes: Vec<String> = diff.notes.iter().map(line).collect();
    let changed: Vec<String> = grouped(diff)
        .into_iter()
        .map(|group| {
            let changes: Vec<String> = group
                .changes
                .iter()
                .map(|change| code(&clip(&told(change), VALUE)))
                .collect();
            format!(
                "- {} {}: {}",
                code(group.verb),
                places(&group.places),
                changes.join(", ")
            )
        })
        .collect();
    for (title, lines) in [
        ("Upgrade and limits", heads),
        ("Observed", basis),
        ("Steps gone", by_place(&diff.removed)),
        ("Steps new", by_place(&diff.added)),
        ("Steps changed", changed),
        ("Notes", notes),
    ] {
        if lines.is_empty() {
            continue;
        }
        let mut body = String::new();
        let mut shown = 0;
        for line in &lines {
            if body.len() + line.len() > room {
                break;
            }
            body.push_str(line);
            body.push('\n');
            shown += 1;
        }
        if shown < lines.len() {
            let _ = writeln!(
                body,
                "- and {} more; `refit diff` shows them all",
                lines.len() - shown
            );
        }
        room = room.saturating_sub(body.len());
        text.push_str(&folded(&format!("{title}: {}", lines.len()), &body));
    }
    text
}

fn line(change: &Change) -> String {
    format!("- {}", code(&clip(&told(change), VALUE)))
}

fn places(places: &[&str]) -> String {
    let mut named: Vec<String> = places
        .iter()
        .take(STEPS_NAMED)
        .map(|place| code(place))
        .collect();
    if places.len() > STEPS_NAMED {
        named.push(format!("and {} more", places.len() - STEPS_NAMED));
    }
    named.join(", ")
}

/// One line for each place.
fn by_place(ids: &[StepId]) -> Vec<String> {
    let mut places: Vec<(&str, Vec<String>)> = Vec::new();
    let mut index = BTreeMap::new();
    for id in ids {
        let at = *index.entry(id.place()).or_insert(places.len());
        let verb = code(&format!("{}@{}", id.verb(), id.release()));
        match places.get_mut(at) {
            Some((_, verbs)) => verbs.push(verb),
            None => places.push((id.place(), vec![verb])),
        }
    }
    places
        .into_iter()
        .map(|(place, verbs)| {
            let mut named: Vec<String> = verbs.iter().take(STEPS_NAMED).cloned().collect();
            if verbs.len() > STEPS_NAMED {
                named.push(format!("and {} more", verbs.len() - STEPS_NAMED));
            }
            format!("- {}: {}", code(place), named.join(", "))
        })
        .collect()
}
