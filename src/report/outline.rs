//! A plan in a dozen lines: its parts, who is in them, and when they begin.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};

use super::look::Look;
use super::parts::hops;
use super::step::duration;
use super::timeline::Timeline;
use crate::plan::data::Plan;

/// The parts of each hop, with the time that they begin at, were nothing to wait for but the steps before.
#[must_use]
pub fn outline(plan: &Plan, look: &Look) -> String {
    let heading = look.heading;
    let timeline = Timeline::of(plan);
    let mut text = String::new();
    for hop in hops(plan) {
        text.push_str(&format!("\n{heading}to {}{heading:#}\n", hop.to));
        let mut table = Table::new();
        table
            .load_style(NOTHING)
            .set_header(["  BEGINS", "TAKES", "STEPS", "WHAT", "WHERE"]);
        for section in &hop.sections {
            let (from, to) = timeline.span(&section.steps);
            table.add_row([
                format!("  {}", duration(from)),
                duration(to.saturating_sub(from)),
                section.steps.len().to_string(),
                section.part.title(),
                section.places().join(" "),
            ]);
        }
        for right in 0..3 {
            if let Some(column) = table.column_mut(right) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        text.push_str(&table.trim_fmt());
        text.push('\n');
    }
    text
}
