//! Label selectors in kubectl's syntax: `pool=canary,zone in (a, b),!spot`.
//!
//! Source: kubernetes/apimachinery `pkg/labels/selector.go`, `Parse`; without its `<` and `>`, which nodes rarely need.

use crate::cluster::model::{LabelSelector, Operator, Requirement};

use super::names::{is_label_key, is_label_value};

/// The selector, or why the text is none. An empty text would select everything and is refused.
pub(super) fn parse(text: &str) -> Result<LabelSelector, &'static str> {
    let mut selector = LabelSelector::default();
    for part in split(text)? {
        let (key, operator, values) = requirement(part.trim())?;
        if !is_label_key(key) {
            return Err("not a label's key");
        }
        if !values.iter().all(|value| is_label_value(value)) {
            return Err("not a label's value");
        }
        match (operator, values.as_slice()) {
            (Operator::In, [value]) if !selector.match_labels.contains_key(key) => {
                selector
                    .match_labels
                    .insert(key.to_owned(), (*value).to_owned());
            }
            _ => selector.match_expressions.push(Requirement {
                key: key.to_owned(),
                operator,
                values: values.into_iter().map(str::to_owned).collect(),
            }),
        }
    }
    Ok(selector)
}

/// At the commas that are not in parentheses.
fn split(text: &str) -> Result<Vec<&str>, &'static str> {
    let mut parts = Vec::new();
    let (mut start, mut open) = (0, false);
    for (at, c) in text.char_indices() {
        match (c, open) {
            ('(', true) | (')', false) => return Err("the parentheses do not match"),
            ('(', false) => open = true,
            (')', true) => open = false,
            (',', false) => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    if open {
        return Err("the parentheses do not match");
    }
    parts.push(&text[start..]);
    Ok(parts)
}

fn requirement(part: &str) -> Result<(&str, Operator, Vec<&str>), &'static str> {
    if part.is_empty() {
        return Err("a requirement is missing");
    }
    if let Some((head, values)) = part.split_once('(') {
        let values = values
            .strip_suffix(')')
            .ok_or("text after the closing parenthesis")?;
        let mut words = head.split_whitespace();
        let (key, operator) = match (words.next(), words.next(), words.next()) {
            (Some(key), Some("in"), None) => (key, Operator::In),
            (Some(key), Some("notin"), None) => (key, Operator::NotIn),
            _ => return Err("only `in` and `notin` take a list"),
        };
        return Ok((key, operator, values.split(',').map(str::trim).collect()));
    }
    if let Some((key, value)) = part.split_once("!=") {
        return Ok((key.trim(), Operator::NotIn, vec![value.trim()]));
    }
    if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return Ok((key.trim(), Operator::In, vec![value.trim()]));
    }
    Ok(match part.strip_prefix('!') {
        Some(key) => (key.trim(), Operator::DoesNotExist, Vec::new()),
        None => (part, Operator::Exists, Vec::new()),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn every_form_of_kubectl_matches_as_kubectl_does() {
        let labels: BTreeMap<String, String> = [("pool", "canary"), ("zone", "a"), ("empty", "")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into();
        for yes in [
            "pool=canary",
            "pool==canary",
            "zone in (a, b)",
            "zone notin (b,c)",
            "pool",
            "!spot",
            "pool!=general",
            "spot!=x",
            "empty=",
            "pool=canary,zone=a, !spot",
        ] {
            assert!(parse(yes).unwrap().matches(&labels), "{yes}");
        }
        for no in [
            "pool=general",
            "zone in (b)",
            "zone notin (a)",
            "spot",
            "!pool",
            "pool=canary,pool=general",
        ] {
            assert!(!parse(no).unwrap().matches(&labels), "{no}");
        }
    }

    #[test]
    fn broken_selectors_are_refused() {
        for wrong in [
            "",
            "=",
            "=x",
            "pool=canary,",
            "zone in a",
            "zone in (a",
            "zone in a)",
            "zone in (a) b",
            "zone among (a)",
            "p ool=x",
            "pool=$(x)",
            "pool=a b",
            "!",
            "a=b=c",
            "a in ((b))",
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
