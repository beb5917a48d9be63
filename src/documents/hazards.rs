//! Files of hazards that a team wrote, read as strictly as the documents that name them.
//!
//! The format is that of the files that come with refit. The table finds what is wrong with keys and scalars, all of it at
//! once; what an entry must agree on is for `rules::hazards` to say, and its words are put to the place they speak of.

use std::path::Path;

use serde_json::Value as Json;

use super::check;
use super::error::{DocumentError, DocumentErrors, Problem};
use super::source::Source;
use super::table::hazards::HAZARDS;
use super::tree::{Entry, Kind, Node, Value};
use crate::rules::hazards::{Catalogue, Hazard};

/// Adds the hazards in `bytes`, which come from `path`, to a catalogue.
///
/// # Errors
/// Everything that is wrong with them; then the catalogue may have some of them.
pub fn read_hazards(
    path: &Path,
    bytes: &[u8],
    catalogue: &mut Catalogue,
) -> Result<(), DocumentErrors> {
    let source = Source::new(path, bytes)?;
    let mut errors = Vec::new();
    let Some(root) = source.tree(&mut errors) else {
        return Err(source.errors(errors));
    };
    check::check(&root, &HAZARDS, &mut errors);
    if !errors.is_empty() {
        return Err(source.errors(errors));
    }
    let entries = root.get("hazards").map(|entry| entry.value.items());
    for entry in entries.unwrap_or_default() {
        let added = read(entry).and_then(|hazard| catalogue.insert(hazard));
        if let Err(problem) = added {
            errors.push(placed(entry, &problem));
        }
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(source.errors(errors))
    }
}

fn read(entry: &Node) -> Result<Hazard, String> {
    let hazard: Hazard = serde_json::from_value(json(entry)).map_err(|error| error.to_string())?;
    // serde passes over keys that a kind without parameters does not have
    let meant = serde_json::to_value(&hazard.detector).map_err(|error| error.to_string())?;
    let given = entry.get("detector").map(|entry| entry.value.entries());
    match given
        .unwrap_or_default()
        .iter()
        .find(|given| meant.get(&given.key).is_none())
    {
        Some(strange) => Err(format!("`{}` means nothing to this detector", strange.key)),
        None => Ok(hazard),
    }
}

/// The error at the key or the value that it names between backticks, else at the detector's kind, whose keys are what the
/// table leaves open.
fn placed(entry: &Node, problem: &str) -> DocumentError {
    let detector = entry.get("detector").map(|entry| &entry.value);
    let named = problem.split('`').skip(1).step_by(2).find_map(|word| {
        [detector, Some(entry)]
            .into_iter()
            .flatten()
            .find_map(|node| {
                let by_key = node.get(word);
                by_key.or_else(|| {
                    let is_it = |entry: &&Entry| entry.value.text() == Some(word);
                    node.entries().iter().find(is_it)
                })
            })
    });
    let kind = detector.and_then(|detector| detector.get("kind"));
    let span = named.or(kind).map_or(entry.span, |found| found.value.span);
    let id = entry
        .get("id")
        .and_then(|id| id.value.text())
        .unwrap_or_default();
    let message = format!("hazard `{id}`: {problem}");
    DocumentError::at(Problem::BadValue, span, message, "not usable here")
}

fn json(node: &Node) -> Json {
    match &node.value {
        Value::Unreadable => Json::Null,
        Value::List(items) => items.iter().map(json).collect(),
        Value::Mapping(entries) => entries
            .iter()
            .filter(|entry| !entry.value.is_null())
            .map(|entry| (entry.key.clone(), json(&entry.value)))
            .collect(),
        Value::Scalar(scalar) => match scalar.kind {
            Kind::Null => Json::Null,
            Kind::Text => Json::from(scalar.text.clone()),
            Kind::Flag => Json::from(scalar.text.eq_ignore_ascii_case("true")),
            Kind::Number => scalar
                .text
                .parse::<u64>()
                .map_or_else(|_| Json::from(scalar.text.clone()), Json::from),
        },
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::table::hazards::{DETECTOR, KINDS};
    use super::*;
    use crate::rules::hazards::Detector;

    /// Without its parameters a kind is told by what it misses; an unknown one by being unknown.
    #[test]
    fn the_table_has_every_kind_of_detector_and_every_key() {
        for kind in KINDS {
            let read = serde_json::from_value::<Detector>(serde_json::json!({"kind": kind}));
            let unknown = read.is_err_and(|error| error.to_string().contains("unknown variant"));
            assert!(!unknown, "{kind}");
        }
        let error =
            serde_json::from_value::<Detector>(serde_json::json!({"kind": "none"})).unwrap_err();
        let told = error.to_string();
        let (_, list) = told.split_once("expected one of ").unwrap();
        let known: BTreeSet<&str> = list.split('`').skip(1).step_by(2).collect();
        assert_eq!(known, KINDS.iter().copied().collect());
        for hazard in Catalogue::built_in().unwrap().iter() {
            let value = serde_json::to_value(&hazard.detector).unwrap();
            for key in value.as_object().unwrap().keys() {
                assert!(DETECTOR.field(key).is_some(), "{key}");
            }
        }
    }
}
