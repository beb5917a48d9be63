//! What a plan needs from outside, for people and for machines.

use std::fmt::Write as _;

use super::look::{Look, wrapped};
use crate::plan::artifacts::Artifacts;

/// For people.
#[must_use]
pub fn artifacts(artifacts: &Artifacts, width: u16, look: &Look) -> String {
    let Look { heading, faint, .. } = look;
    let width = usize::from(width);
    if artifacts.hops.is_empty() {
        return format!("{}: nothing to do, nothing to fetch\n", artifacts.upgrade);
    }
    let mut text = String::new();
    for hop in &artifacts.hops {
        let _ = writeln!(text, "{heading}To {}{heading:#}", hop.minor);
        for repository in &hop.repositories {
            let _ = writeln!(text, "  repository  {repository}");
        }
        for package in &hop.packages {
            let _ = writeln!(
                text,
                "  package     {} {} ({}, {} host(s))",
                package.name,
                package.revision,
                package.manager.format(),
                package.hosts
            );
        }
        for image in &hop.images {
            let digest = image
                .digest
                .as_ref()
                .map_or_else(String::new, |digest| format!("@{digest}"));
            let _ = writeln!(text, "  image       {}{digest}", image.reference);
            if let Some(from) = &image.tag_from {
                let line = format!("its tag is that of {from}");
                for line in wrapped(&line, width, 14) {
                    let _ = writeln!(text, "{faint}{line}{faint:#}");
                }
            }
        }
        for unknown in &hop.unknown {
            for line in wrapped(&format!("unknown     {unknown}"), width, 2) {
                let _ = writeln!(text, "{line}");
            }
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// For machines.
///
/// # Errors
/// Never in practice: all of it is plain text.
pub fn artifacts_json(artifacts: &Artifacts) -> Result<String, serde_json::Error> {
    let mut text = serde_json::to_string_pretty(artifacts)?;
    text.push('\n');
    Ok(text)
}
