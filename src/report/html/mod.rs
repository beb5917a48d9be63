//! A plan, or why there is none, as one HTML page that needs nothing else: no request leaves it, which its own policy holds,
//! and it can be read without its script.
//!
//! What comes from documents or the cluster is escaped; the policy names the digests of the page's one style and one script,
//! so that nothing else would run even if something slipped through.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine as _;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::blocked::told_once;
use super::parts::{Hop, Part, Section, hops};
use super::runbook;
use super::schedule::windows;
use super::step::{duration, limits, what};
use super::timeline::Timeline;
use super::words;
use crate::plan::citations::cited;
use crate::plan::data::{Plan, Step, StepId};
use crate::plan::reason::Blocked;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Steps up to which each shows its commands: with more the page would have hundreds of megabytes, and the runbook has them.
const COMMANDS_UP_TO: usize = 3_000;

/// Steps before that are linked; more are counted.
const AFTER_LINKED: usize = 6;

/// Bars of waves; further waves are taken together.
const BARS: usize = 60;

/// Places of a reason.
const PLACES_NAMED: usize = 60;

/// The page of a plan.
#[must_use]
pub fn page(plan: &Plan, at: Timestamp) -> String {
    let hops = hops(plan);
    let timeline = Timeline::of(plan);
    let ids: BTreeMap<&StepId, usize> = plan
        .steps
        .iter()
        .enumerate()
        .map(|(at, step)| (&step.id, at))
        .collect();
    let mut body = String::new();
    head(&mut body, plan, &hops, at);
    if !plan.is_empty() {
        chart(&mut body, plan, &hops, &timeline);
        tools(&mut body, "steps");
        body.push_str("<main>\n");
        for (number, hop) in hops.iter().enumerate() {
            if hops.len() > 1 {
                let _ = writeln!(
                    body,
                    "<h2>Hop {} of {}: to {}</h2>",
                    number + 1,
                    hops.len(),
                    text(&hop.to)
                );
            }
            for section in &hop.sections {
                part(
                    &mut body,
                    plan,
                    section,
                    &timeline,
                    &ids,
                    part_id(number, section.part),
                );
            }
        }
        rules(&mut body, plan);
        body.push_str("</main>\n");
    }
    foot(&mut body, plan.facts_at, at);
    document(&plan.upgrade, &body)
}

/// The page of what blocks a plan.
#[must_use]
pub fn blocked(upgrade: &str, blocked: &Blocked, observed: Timestamp, at: Timestamp) -> String {
    let count = blocked.reasons.len();
    let noun = if count == 1 { "reason" } else { "reasons" };
    let mut body = format!(
        "<header>\n<h1>{}: blocked</h1>\n<p class=\"lead\">{count} {noun}; there is no plan, and nothing was changed</p>\n</header>\n",
        text(upgrade)
    );
    tools(&mut body, "reasons");
    body.push_str("<main>\n");
    for told in told_once(&blocked.reasons) {
        let _ = writeln!(
            body,
            "<section class=\"reason\" tabindex=\"-1\"><h3>{} <span class=\"code\">{}</span></h3><p>{}</p><p><strong>next</strong>: {}</p><p><strong>source</strong>: {}</p></section>",
            text(&told.place(PLACES_NAMED)),
            text(told.code),
            text(&told.what),
            text(&told.next),
            text(&told.source)
        );
    }
    body.push_str("</main>\n");
    foot(&mut body, observed, at);
    document(upgrade, &body)
}

fn document(title: &str, body: &str) -> String {
    let digest = |text: &str| {
        base64::engine::general_purpose::STANDARD.encode(Sha256::digest(text.as_bytes()))
    };
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'\">\n\
         <title>{}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}<script>{SCRIPT}</script>\n</body>\n</html>\n",
        digest(STYLE),
        digest(SCRIPT),
        text(title)
    )
}

fn head(body: &mut String, plan: &Plan, hops: &[Hop<'_>], at: Timestamp) {
    let lead = if plan.is_empty() {
        format!("nothing to do, everything is at {}", plan.target)
    } else {
        format!(
            "to {}: {} steps, about {}",
            plan.target,
            plan.steps.len(),
            duration(plan.expected_s())
        )
    };
    let _ = write!(
        body,
        "<header>\n<h1>{}</h1>\n<p class=\"lead\">{}</p>\n<dl class=\"facts\">\n",
        text(&plan.upgrade),
        text(&lead)
    );
    let mut row = |name: &str, value: &str| {
        let _ = writeln!(body, "<dt>{name}</dt><dd>{}</dd>", text(value));
    };
    row("Cluster", &plan.inventory);
    row("Facts", &words::observed(plan.facts_at, at));
    let waves: usize = hops.iter().map(Hop::waves).sum();
    if waves > 0 {
        row(
            "Workers",
            &words::waves(waves, plan.limits.workers_out_of_service),
        );
    }
    row("Declaration", &plan.declaration_sha256);
    row("Rests on facts", &plan.facts_fingerprint);
    body.push_str("</dl>\n<ul class=\"notes\">\n");
    for note in &plan.notes {
        let _ = writeln!(body, "<li>{}</li>", text(note));
    }
    body.push_str("</ul>\n");
    let sittings = windows(plan, at);
    let mut lines = sittings.lines().filter(|line| !line.is_empty());
    if let Some(first) = lines.next() {
        let _ = writeln!(body, "<p>{}</p>\n<ul class=\"notes\">", text(first));
        for line in lines {
            let _ = writeln!(body, "<li>{}</li>", text(line.trim()));
        }
        body.push_str("</ul>\n");
    }
    body.push_str("</header>\n");
}

fn tools(body: &mut String, what: &str) {
    let _ = writeln!(
        body,
        "<div class=\"tools\"><form role=\"search\"><input id=\"filter\" type=\"search\" placeholder=\"Filter {what}: a node, a verb, a word\" \
         aria-label=\"Filter {what}\"><button id=\"open\" type=\"button\">Open all</button>\
         <button id=\"close\" type=\"button\">Close all</button><span><output id=\"count\" for=\"filter\"></output> {what}</span></form></div>"
    );
}

/// Percent with two digits.
fn share(part: u64, whole: u64) -> String {
    let hundredths = part * 10_000 / whole.max(1);
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// The parts over time. Positions are those of an SVG's attributes: a style would need the policy's leave.
fn chart(body: &mut String, plan: &Plan, hops: &[Hop<'_>], timeline: &Timeline<'_>) {
    let whole = plan.expected_s();
    body.push_str("<main><h2>When what should happen</h2>\n<div class=\"chart\">\n");
    for (number, hop) in hops.iter().enumerate() {
        let together = hop.waves().div_ceil(BARS).max(1);
        for sections in grouped(hop, together) {
            let (Some(first), Some(last)) = (sections.first(), sections.last()) else {
                continue;
            };
            let steps: Vec<&Step> = sections
                .iter()
                .flat_map(|section| section.steps.iter().copied())
                .collect();
            let (start, end) = timeline.span(&steps);
            let (name, class) = match (first.part, last.part) {
                (Part::Wave(first), Part::Wave(last)) if first < last => {
                    (format!("waves {first} to {last}"), "wave")
                }
                (part @ Part::Wave(_), _) => (part.short(), "wave"),
                (part, _) => (part.short(), "other"),
            };
            let places: usize = sections.iter().map(|section| section.places().len()).sum();
            let whom = match places {
                0 => String::new(),
                1..=3 => format!(
                    " ({})",
                    sections
                        .iter()
                        .flat_map(|section| section.places())
                        .collect::<Vec<_>>()
                        .join(", ")
                ),
                many => format!(" ({many} nodes)"),
            };
            let hop_name = if hops.len() > 1 {
                format!("{}: ", hop.to)
            } else {
                String::new()
            };
            let width = (end - start).max(1);
            // the words stand on a long bar, else behind it, or before it where there is no room behind
            let (anchor, x, dx) = if width * 4 > whole {
                ("start", share(start, whole), "8")
            } else if start + width > whole * 7 / 10 {
                ("end", share(start, whole), "-6")
            } else {
                ("start", share(start + width, whole), "6")
            };
            let _ = writeln!(
                body,
                "<a class=\"{class}\" href=\"#{}\"><span class=\"name\">{}</span><svg class=\"lane\" role=\"img\" aria-label=\"after {from} for {takes}\" width=\"100%\" height=\"20\">\
                 <rect class=\"bar\" x=\"{}%\" width=\"{}%\" height=\"20\" rx=\"3\"/><text x=\"{x}%\" dx=\"{dx}\" y=\"14\" text-anchor=\"{anchor}\">{takes}</text></svg></a>",
                part_id(number, first.part),
                text(&format!("{hop_name}{name}{whom}")),
                share(start, whole),
                share(width, whole),
                from = duration(start),
                takes = duration(end - start),
            );
        }
    }
    body.push_str("</div></main>\n");
}

fn grouped<'h, 'p>(hop: &'h Hop<'p>, together: usize) -> Vec<Vec<&'h Section<'p>>> {
    let mut groups: Vec<Vec<&Section<'p>>> = Vec::new();
    for section in &hop.sections {
        let joins = matches!(section.part, Part::Wave(_))
            && groups.last().is_some_and(|group| {
                group.len() < together
                    && group
                        .iter()
                        .all(|other| matches!(other.part, Part::Wave(_)))
            });
        match groups.last_mut() {
            Some(group) if joins => group.push(section),
            _ => groups.push(vec![section]),
        }
    }
    groups
}

fn part_id(hop: usize, part: Part) -> String {
    let part: String = part
        .short()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    format!("hop-{}-{part}", hop + 1)
}

fn part(
    body: &mut String,
    plan: &Plan,
    section: &Section<'_>,
    timeline: &Timeline<'_>,
    ids: &BTreeMap<&StepId, usize>,
    id: String,
) {
    let (start, end) = timeline.span(&section.steps);
    let count = section.steps.len();
    let noun = if count == 1 { "step" } else { "steps" };
    let _ = writeln!(
        body,
        "<details class=\"part\" id=\"{id}\"><summary>{} <span class=\"sum\">{count} {noun}, after {} for {}</span></summary>",
        text(&section.part.title()),
        duration(start),
        duration(end - start)
    );
    for step in &section.steps {
        one(body, plan, step, timeline, ids);
    }
    body.push_str("</details>\n");
}

fn one(
    body: &mut String,
    plan: &Plan,
    step: &Step,
    timeline: &Timeline<'_>,
    ids: &BTreeMap<&StepId, usize>,
) {
    let number = ids.get(&step.id).copied().unwrap_or_default();
    let (start, _) = timeline.step(&step.id);
    let _ = write!(
        body,
        "<article class=\"step\" id=\"step-{number}\" tabindex=\"-1\"><header><a class=\"id\" href=\"#step-{number}\"><code>{}</code></a><span class=\"when\">after {}, takes {}</span></header><p>{}</p><p class=\"why\">{}",
        text(step.id.as_str()),
        duration(start),
        duration(step.expected_s),
        text(&what(&step.action)),
        text(&step.because)
    );
    if let Some(limits) = limits(step) {
        let _ = write!(body, "; {}", text(&limits));
    }
    body.push_str("</p>");
    if !step.after.is_empty() {
        body.push_str("<p class=\"after\">after ");
        for before in step.after.iter().take(AFTER_LINKED) {
            let to = ids.get(before).copied().unwrap_or_default();
            let _ = write!(
                body,
                "<a href=\"#step-{to}\"><code>{}</code></a> ",
                text(before.stem())
            );
        }
        if step.after.len() > AFTER_LINKED {
            let _ = write!(body, "and {} more", step.after.len() - AFTER_LINKED);
        }
        body.push_str("</p>");
    }
    if plan.steps.len() <= COMMANDS_UP_TO {
        let blocks = runbook::blocks(plan, step);
        if !blocks.is_empty() {
            body.push_str("<details><summary>Commands, if done by hand</summary>");
            for (place, commands) in blocks {
                let _ = write!(
                    body,
                    "<p class=\"where\">{}</p><pre>{}</pre>",
                    text(&place),
                    text(&commands)
                );
            }
            body.push_str("</details>");
        }
    }
    body.push_str("</article>\n");
}

fn rules(body: &mut String, plan: &Plan) {
    let cited = cited(plan);
    if cited.is_empty() {
        return;
    }
    body.push_str("<h2>Rules that the reasons cite</h2>\n<ul class=\"notes\">\n");
    for rule in cited {
        let _ = writeln!(
            body,
            "<li>rule {}: {} (<a href=\"{}\" rel=\"noreferrer\">source</a>)</li>",
            rule.number,
            text(rule.text),
            text(rule.source)
        );
    }
    body.push_str("</ul>\n");
}

fn foot(body: &mut String, observed: Timestamp, at: Timestamp) {
    let _ = writeln!(
        body,
        "<footer><p>Facts {}. Made by refit {}. The commands call the scripts of the runbook (<code>refit plan -o runbook</code>).</p><p class=\"keys\"><kbd>/</kbd> filters, <kbd>Esc</kbd> ends it, <kbd>j</kbd> and <kbd>k</kbd> go through the steps, <kbd>Enter</kbd> shows a step's commands.</p></footer>",
        text(&words::observed(observed, at)),
        env!("CARGO_PKG_VERSION")
    );
}

/// Text inside an element or a quoted attribute.
fn text(words: &str) -> String {
    let mut out = String::with_capacity(words.len());
    for c in words.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => out.push('\u{fffd}'),
            c if c.is_control() && c != '\n' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
