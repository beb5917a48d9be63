//! The waves over time, as a Gantt chart in Mermaid: <https://mermaid.js.org/syntax/gantt.html>.
//!
//! Mermaid has no way to quote the name of a task, so whatever is not plain is taken out of it.

use std::fmt::Write as _;

use super::parts::{Hop, Part, Section, hops};
use super::step::duration;
use super::timeline::Timeline;
use crate::plan::data::{Plan, Step};

/// Bars of one hop's waves: more of them and each is thinner than its name.
const WAVES_SHOWN: usize = 20;

/// Nodes that a bar names; more are counted.
const NODES_NAMED: usize = 3;

/// Characters of a name.
const NAME: usize = 60;

/// The chart, without a fence; none for a plan without steps.
#[must_use]
pub fn waves(plan: &Plan) -> Option<String> {
    if plan.is_empty() {
        return None;
    }
    let timeline = Timeline::of(plan);
    let mut text = format!(
        "gantt\n    title {} to {}, predicted {}\n    dateFormat YYYY-MM-DD HH:mm:ss\n    axisFormat %H:%M\n",
        plain(&plan.upgrade),
        plan.target,
        duration(plan.expected_s())
    );
    for hop in hops(plan) {
        let _ = writeln!(text, "    section to {}", plain(&hop.to));
        for (name, steps) in bars(&hop) {
            let (start, end) = timeline.span(&steps);
            let _ = writeln!(
                text,
                "    {name} :{}, {}s",
                clock(start),
                (end - start).max(1)
            );
        }
    }
    Some(text)
}

/// What each bar is called and covers; waves are taken together where there are too many.
fn bars<'p>(hop: &Hop<'p>) -> Vec<(String, Vec<&'p Step>)> {
    let together = hop.waves().div_ceil(WAVES_SHOWN).max(1);
    let mut bars: Vec<(String, Vec<&Step>)> = Vec::new();
    let mut open: Vec<&Section<'p>> = Vec::new();
    for section in &hop.sections {
        match section.part {
            Part::Wave(_) => {
                open.push(section);
                if open.len() == together {
                    bars.push(bar(&open));
                    open.clear();
                }
            }
            Part::Preflight
            | Part::Snapshot
            | Part::Preparation
            | Part::ControlPlanes
            | Part::ControlPlaneKubelets
            | Part::Passing
            | Part::Outage
            | Part::End => {
                if !open.is_empty() {
                    bars.push(bar(&open));
                    open.clear();
                }
                bars.push(bar(&[section]));
            }
        }
    }
    if !open.is_empty() {
        bars.push(bar(&open));
    }
    bars
}

fn bar<'p>(sections: &[&Section<'p>]) -> (String, Vec<&'p Step>) {
    let names = match sections {
        [first, .., last] => match (first.part, last.part) {
            (Part::Wave(first), Part::Wave(last)) => format!("waves {first} to {last}"),
            (first, _) => first.short(),
        },
        [only] => only.part.short(),
        [] => String::new(),
    };
    let places: Vec<&str> = sections
        .iter()
        .flat_map(|section| section.places())
        .collect();
    let whom = match places.len() {
        0 => String::new(),
        1..=NODES_NAMED => format!(" ({})", places.join(" ")),
        many => format!(" ({many} nodes)"),
    };
    let steps = sections
        .iter()
        .flat_map(|section| section.steps.iter().copied())
        .collect();
    (plain(&format!("{names}{whom}")), steps)
}

/// Seconds from the start as a time of a day without meaning: the axis shows hours and minutes only, in the reader's own
/// time zone, which is also the one that the time is read in.
fn clock(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    format!(
        "2000-01-{:02} {:02}:{:02}:{:02}",
        (days + 1).min(31),
        rest / 3600,
        rest % 3600 / 60,
        rest % 60
    )
}

fn plain(text: &str) -> String {
    text.chars()
        .take(NAME)
        .map(|c| match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | ' ' | '.' | '-' | '_' | '(' | ')' => c,
            _ => '_',
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_hold_nothing_that_means_something() {
        assert_eq!(plain("a:b;c#d\n`%%{init}%%`"), "a_b_c_d_____init____");
        assert_eq!(clock(90_061), "2000-01-02 01:01:01");
    }
}
