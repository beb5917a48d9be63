//! The graph of a plan's steps, drawn: for Graphviz and for Mermaid.
//!
//! A drawing of every step is readable for a handful of nodes. With more, steps are taken together: those of one host in one
//! part, then whole parts, then waves.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::parts::{Part, hops};
use super::step::{duration, what};
use super::timeline::Timeline;
use crate::plan::data::{Plan, Step, StepId};

/// Boxes that Graphviz lays out within seconds.
const BOXES_DOT: usize = 400;

/// Boxes that are read in a web page.
const BOXES_MERMAID: usize = 40;

/// Waves that have a box of their own when parts are drawn.
const WAVES: usize = 12;

/// Verbs that a box lists.
const VERBS: usize = 8;

/// How steps are taken together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grain {
    Step,
    Place,
    Part,
    Waves,
}

/// One box.
struct Node<'p> {
    title: String,
    steps: Vec<&'p Step>,
}

/// Boxes with the arrows between them, by cluster (a part of a hop).
struct Drawing<'p> {
    clusters: Vec<(String, Vec<usize>)>,
    nodes: Vec<Node<'p>>,
    arrows: BTreeSet<(usize, usize)>,
}

impl<'p> Drawing<'p> {
    /// The finest that has at most so many boxes.
    fn of(plan: &'p Plan, boxes: usize, finest: Grain) -> (Self, Grain) {
        let mut grain = finest;
        loop {
            let drawing = Self::at(plan, grain);
            let coarser = match grain {
                Grain::Step => Grain::Place,
                Grain::Place => Grain::Part,
                Grain::Part => Grain::Waves,
                Grain::Waves => return (drawing, grain),
            };
            if drawing.nodes.len() <= boxes {
                return (drawing, grain);
            }
            grain = coarser;
        }
    }

    fn at(plan: &'p Plan, grain: Grain) -> Self {
        let mut drawing = Drawing {
            clusters: Vec::new(),
            nodes: Vec::new(),
            arrows: BTreeSet::new(),
        };
        let mut boxes: BTreeMap<&StepId, usize> = BTreeMap::new();
        let all = hops(plan);
        for hop in &all {
            let together = match grain {
                Grain::Waves => hop.waves().div_ceil(WAVES).max(1),
                Grain::Step | Grain::Place | Grain::Part => 1,
            };
            for section in &hop.sections {
                let (cluster, part) = match section.part {
                    Part::Wave(number) if together > 1 => {
                        let first = (number.saturating_sub(1) / together) * together + 1;
                        let name = format!("waves {first} to {}", first + together - 1);
                        (name.clone(), name)
                    }
                    part => (part.title(), part.short()),
                };
                let cluster = if all.len() > 1 {
                    format!("to {}: {cluster}", hop.to)
                } else {
                    cluster
                };
                if drawing
                    .clusters
                    .last()
                    .is_none_or(|(last, _)| *last != cluster)
                {
                    drawing.clusters.push((cluster, Vec::new()));
                }
                let mut here: BTreeMap<&str, usize> = BTreeMap::new();
                for step in &section.steps {
                    let key = match grain {
                        Grain::Step => step.id.as_str(),
                        Grain::Place if section.part != Part::Preflight => step.id.place(),
                        Grain::Place | Grain::Part | Grain::Waves => "",
                    };
                    let title = match grain {
                        Grain::Step => step.id.to_string(),
                        Grain::Place if !key.is_empty() && key != "barrier" => key.to_owned(),
                        Grain::Place | Grain::Part | Grain::Waves => part.clone(),
                    };
                    let cluster = drawing.clusters.last_mut();
                    let merged = cluster
                        .as_ref()
                        .and_then(|(_, nodes)| nodes.first().copied());
                    let at = match (here.get(key), merged) {
                        (Some(at), _) => *at,
                        // a wave that is taken together with the ones before
                        (None, Some(first)) if grain == Grain::Waves => first,
                        (None, _) => {
                            drawing.nodes.push(Node {
                                title,
                                steps: Vec::new(),
                            });
                            let at = drawing.nodes.len() - 1;
                            if let Some((_, nodes)) = cluster {
                                nodes.push(at);
                            }
                            at
                        }
                    };
                    here.insert(key, at);
                    boxes.insert(&step.id, at);
                    if let Some(node) = drawing.nodes.get_mut(at) {
                        node.steps.push(step);
                    }
                }
            }
        }
        for step in &plan.steps {
            for before in &step.after {
                if let (Some(from), Some(to)) = (boxes.get(before), boxes.get(&step.id))
                    && from != to
                {
                    drawing.arrows.insert((*from, *to));
                }
            }
        }
        drawing
    }
}

impl Node<'_> {
    /// What stands below the title.
    fn lines(&self, timeline: &Timeline<'_>) -> Vec<String> {
        let (start, end) = timeline.span(&self.steps);
        let when = format!("after {} for {}", duration(start), duration(end - start));
        if let [only] = self.steps.as_slice() {
            return vec![what(&only.action), when];
        }
        let places: BTreeSet<&str> = self.steps.iter().map(|step| step.id.place()).collect();
        if places.len() > 2 {
            return vec![
                format!("{} steps on {} places", self.steps.len(), places.len()),
                when,
            ];
        }
        let mut verbs = Vec::new();
        for step in &self.steps {
            if !verbs.contains(&step.id.verb()) {
                verbs.push(step.id.verb());
            }
        }
        let mut lines: Vec<String> = verbs
            .iter()
            .take(VERBS)
            .map(|verb| (*verb).to_owned())
            .collect();
        if verbs.len() > VERBS {
            lines.push(format!("and {} more", verbs.len() - VERBS));
        }
        lines.push(when);
        lines
    }
}

/// For Graphviz: <https://graphviz.org/doc/info/lang.html>.
#[must_use]
pub fn dot(plan: &Plan) -> String {
    let timeline = Timeline::of(plan);
    let (drawing, _) = Drawing::of(plan, BOXES_DOT, Grain::Step);
    let mut text = format!(
        "digraph {} {{\n  rankdir=LR;\n  node [shape=box, style=rounded, fontname=\"sans-serif\", fontsize=10];\n  graph [fontname=\"sans-serif\", fontsize=11, compound=true];\n",
        dot_text(&plan.upgrade)
    );
    for (number, (title, nodes)) in drawing.clusters.iter().enumerate() {
        let _ = writeln!(
            text,
            "  subgraph cluster_{number} {{\n    label={};",
            dot_text(title)
        );
        for at in nodes {
            if let Some(node) = drawing.nodes.get(*at) {
                let mut label = node.title.clone();
                for line in node.lines(&timeline) {
                    label.push('\n');
                    label.push_str(&line);
                }
                let _ = writeln!(text, "    n{at} [label={}];", dot_text(&label));
            }
        }
        text.push_str("  }\n");
    }
    for (from, to) in &drawing.arrows {
        let _ = writeln!(text, "  n{from} -> n{to};");
    }
    text.push_str("}\n");
    text
}

/// A quoted string of DOT; lines of a label are ended by `\n`.
fn dot_text(text: &str) -> String {
    let mut out = "\"".to_owned();
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// For Mermaid: <https://mermaid.js.org/syntax/flowchart.html>.
#[must_use]
pub fn mermaid(plan: &Plan) -> String {
    let timeline = Timeline::of(plan);
    let (drawing, _) = Drawing::of(plan, BOXES_MERMAID, Grain::Place);
    let mut text = "flowchart TD\n".to_owned();
    for (number, (title, nodes)) in drawing.clusters.iter().enumerate() {
        let _ = writeln!(text, "    subgraph c{number}[{}]", mermaid_text(title));
        for at in nodes {
            if let Some(node) = drawing.nodes.get(*at) {
                let mut label = mermaid_text(&node.title);
                // the closing quote comes last
                label.pop();
                for line in node.lines(&timeline) {
                    label.push_str("<br/>");
                    label.push_str(mermaid_text(&line).trim_matches('"'));
                }
                let _ = writeln!(text, "        n{at}[{label}\"]");
            }
        }
        text.push_str("    end\n");
    }
    for (from, to) in &drawing.arrows {
        let _ = writeln!(text, "    n{from} --> n{to}");
    }
    text
}

/// A quoted string of Mermaid: what could end it, or means something to Markdown or HTML inside of it, is an entity code.
fn mermaid_text(text: &str) -> String {
    let mut out = "\"".to_owned();
    for c in text.chars() {
        match c {
            'a'..='z'
            | 'A'..='Z'
            | '0'..='9'
            | ' '
            | '.'
            | ','
            | '-'
            | '/'
            | '@'
            | ':'
            | '='
            | '\'' => out.push(c),
            '(' | ')' if !text.contains("](") => out.push(c),
            c if c.is_control() => out.push(' '),
            c => {
                let _ = write!(out, "#{};", u32::from(c));
            }
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_cannot_be_left() {
        assert_eq!(dot_text("a\"]; b\\ \n<b>"), "\"a\\\"]; b\\\\ \\n<b>\"");
        assert_eq!(
            mermaid_text("a\"] --> `b`; <i>%%{"),
            "\"a#34;#93; --#62; #96;b#96;#59; #60;i#62;#37;#37;#123;\""
        );
    }
}
