//! What an API server's metrics say about deprecated APIs.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::Sections;
use crate::cluster::model::api_use::{ApiUse, DeprecatedApi};
use crate::host::op::{AnswerError, Output};

/// The gauge, as far as its labels.
const GAUGE: &str = "apiserver_requested_deprecated_apis{";

/// When the process began, in seconds since the epoch.
///
/// Source: prometheus/client_golang `prometheus/process_collector.go`.
const STARTED: &str = "process_start_time_seconds ";

/// Reads the answer to `Query::ApiUse`. APIs that are deprecated and that no release removes are left out.
///
/// # Errors
/// If it is not the answer expected, or not all of it.
pub fn api_use(output: &Output) -> Result<ApiUse, AnswerError> {
    let sections = Sections::read("/metrics of this API server", output)?;
    let text = sections.text("counted")?;
    let (mut since, mut whole) = (None, false);
    let mut requested = BTreeSet::new();
    for line in text.lines() {
        if let Some(series) = line.strip_prefix(GAUGE) {
            let api = series_of(series).map_err(|problem| sections.wrong(problem))?;
            requested.extend(api);
        } else if let Some(seconds) = line.strip_prefix(STARTED) {
            since = seconds.trim().parse().ok().and_then(time);
        } else if line == "# whole" {
            whole = true;
        }
    }
    if !whole {
        return Err(sections.wrong("it did not give all of its metrics"));
    }
    let since = since.ok_or_else(|| sections.wrong("it does not say since when it counts"))?;
    Ok(ApiUse { since, requested })
}

/// Whole seconds are enough, and a float's own digits would make two recordings of one process differ.
fn time(seconds: f64) -> Option<Timestamp> {
    let whole = seconds.floor();
    let in_range = whole.is_finite() && (0.0..=253_402_300_799.0).contains(&whole);
    #[allow(clippy::cast_possible_truncation)] // within the range just checked
    in_range
        .then(|| Timestamp::from_second(whole as i64).ok())
        .flatten()
}

/// One series, from its first label on.
fn series_of(series: &str) -> Result<Option<DeprecatedApi>, String> {
    let wrong = || format!("`{GAUGE}{series}` is not a series of that gauge");
    let (labels, value) = series.rsplit_once("} ").ok_or_else(wrong)?;
    if value.trim() != "1" {
        return Ok(None);
    }
    let mut values: BTreeMap<&str, &str> = BTreeMap::new();
    for label in labels.split("\",").filter(|label| !label.is_empty()) {
        let (name, value) = label.split_once("=\"").ok_or_else(wrong)?;
        values.insert(name, value.trim_end_matches('"'));
    }
    let mut label = |name: &str| values.remove(name).map(str::to_owned).ok_or_else(wrong);
    let removed_in = label("removed_release")?;
    let (group, version) = (label("group")?, label("version")?);
    let (resource, subresource) = (label("resource")?, label("subresource")?);
    if removed_in.is_empty() {
        return Ok(None);
    }
    Ok(Some(DeprecatedApi {
        group,
        version,
        resource,
        subresource,
        removed_in: removed_in.parse().map_err(|_| wrong())?,
    }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::testing::answer;
    use super::*;

    const FLOW: &str = r#"apiserver_requested_deprecated_apis{group="flowcontrol.apiserver.k8s.io",removed_release="1.32",resource="flowschemas",subresource="status",version="v1beta3"} 1"#;
    const ENDPOINTS: &str = r#"apiserver_requested_deprecated_apis{group="",removed_release="",resource="endpoints",subresource="",version="v1"} 1"#;

    fn read(lines: &[&str]) -> Result<ApiUse, AnswerError> {
        api_use(&answer(&[("counted", 0, &lines.join("\n"))]))
    }

    #[test]
    fn only_what_some_release_removes_is_kept() {
        let read = read(&[
            FLOW,
            ENDPOINTS,
            "process_start_time_seconds 1.79524803557e+09",
            "# whole",
        ])
        .unwrap();
        assert_eq!(read.since.to_string(), "2026-11-21T08:00:35Z");
        let told: Vec<String> = read.requested.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            ["flowschemas/status of flowcontrol.apiserver.k8s.io/v1beta3 (removed in 1.32)"]
        );
    }

    #[test]
    fn metrics_that_were_cut_off_or_make_no_sense_are_an_error() {
        let start = "process_start_time_seconds 1.79524803557e+09";
        for lines in [
            vec![FLOW, start],
            vec![FLOW, "# whole"],
            vec![],
            vec![
                "apiserver_requested_deprecated_apis{group=\"x\"} 1",
                start,
                "# whole",
            ],
            vec![
                "apiserver_requested_deprecated_apis{group",
                start,
                "# whole",
            ],
            vec!["process_start_time_seconds NaN", "# whole"],
        ] {
            assert!(read(&lines).is_err(), "{lines:?}");
        }
    }
}
