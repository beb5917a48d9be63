//! What should fall into which window, for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::words::duration;
use crate::plan::data::{Action, Plan, StepId};
use crate::plan::windows::{Sitting, Trouble, schedule};

/// Names that are told one by one; the rest is counted.
const NAMED: usize = 12;

/// One line a window, in the time zone of the first that is declared; empty for a plan without windows.
#[must_use]
pub fn windows(plan: &Plan, at: Timestamp) -> String {
    let Some(declared) = plan.windows.as_ref().map(|windows| &windows.declared) else {
        return String::new();
    };
    let zone = declared
        .first()
        .and_then(|window| TimeZone::get(&window.timezone).ok())
        .unwrap_or(TimeZone::UTC);
    let sittings = match schedule(plan, at) {
        Ok(sittings) => sittings.unwrap_or_default(),
        Err(Trouble::Window(bad)) => return format!("{bad}\n"),
        Err(Trouble::Steps(bad)) => return format!("{bad}\n"),
        Err(Trouble::NoRoom(room)) => {
            return format!(
                "no window from {at} on is long enough for {}, which takes {}\n",
                room.step,
                duration(room.needs_s.try_into().unwrap_or(i64::MAX))
            );
        }
    };
    let mut text = match sittings.len() {
        1 => "\nFits into one window, if every step takes as long as expected:\n".to_owned(),
        count => format!("\nTakes {count} windows, if every step takes as long as expected:\n"),
    };
    let actions: BTreeMap<&StepId, &Action> = plan
        .steps
        .iter()
        .map(|step| (&step.id, &step.action))
        .collect();
    for sitting in &sittings {
        let _ = writeln!(text, "  {}", line(&actions, sitting, &zone));
    }
    text
}

fn line(actions: &BTreeMap<&StepId, &Action>, sitting: &Sitting, zone: &TimeZone) -> String {
    let local =
        |time: Timestamp, format: &str| time.to_zoned(zone.clone()).strftime(format).to_string();
    let (mut instances, mut nodes) = (Vec::new(), Vec::new());
    for action in sitting.steps.iter().filter_map(|id| actions.get(id)) {
        match action {
            Action::AwaitControlPlane { node, .. } => instances.push(node.as_str()),
            Action::AwaitNode { node, .. } => nodes.push(node.as_str()),
            _ => {}
        }
    }
    let mut holds = Vec::new();
    for (what, names) in [("control planes", instances), ("kubelets", nodes)] {
        if !names.is_empty() {
            holds.push(format!("{what} {}", named(&names)));
        }
    }
    if holds.is_empty() {
        holds.push("no node".to_owned());
    }
    format!(
        "{} to {}: {} step(s), {}; done about {}",
        local(sitting.from, "%a %Y-%m-%d %H:%M"),
        local(sitting.closes, "%H:%M %Z"),
        sitting.steps.len(),
        holds.join(", "),
        local(sitting.done, "%H:%M"),
    )
}

fn named(names: &[&str]) -> String {
    let mut text = names
        .iter()
        .take(NAMED)
        .copied()
        .collect::<Vec<_>>()
        .join(" ");
    if names.len() > NAMED {
        let _ = write!(text, " and {} more", names.len() - NAMED);
    }
    text
}
