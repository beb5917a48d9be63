//! A query whose every value must be as declared, perhaps for a while without a break.
//!
//! What is not known does not hold: no answer, half an answer, no data unless the declaration lets it pass, and NaN. A server
//! that refuses us is given some time, as one that is restarted, or asked through an API server that is, may do so for a while.

use std::path::Path;
use std::time::Duration;

use super::hold::{self, Look};
use super::step::{Finished, Trouble, Try};
use crate::plan::data::{Comparison, NoData, PrometheusServer, SecretSource};
use crate::ports::{MetricsError, MetricsServer, Sample, SecretFrom};

/// Series that are named with their values.
const SHOWN: usize = 5;

/// The most characters of a series' labels that are shown.
const LABELS: usize = 120;

/// How long a server may refuse without a break before it is believed.
const REFUSED_FOR: Duration = Duration::from_secs(60);

/// What is asked, and what the answer must be.
pub(super) struct Asked<'g> {
    pub(super) server: &'g PrometheusServer,
    /// PromQL.
    pub(super) query: &'g str,
    pub(super) expect: Comparison,
    pub(super) no_data: NoData,
}

/// Asks until the answer has been as expected for so long.
pub(super) async fn run(
    attempt: &Try<'_, '_>,
    asked: &Asked<'_>,
    for_s: u64,
) -> Result<Finished, Trouble> {
    let clock = attempt.cx.world.clock;
    let metrics = attempt.cx.run.metrics;
    let Asked { server, query, .. } = asked;
    let hopeless = |why: String| {
        Trouble::Hopeless(format!(
            "`{query}` cannot be asked of {}: {why}. Nothing that waits for it was begun; mend it, then `refit resume`",
            server.url
        ))
    };
    let mut refused_since: Option<Duration> = None;
    hold::until(attempt, for_s, async || {
        let answer = metrics.query(port(server), query, attempt.left());
        let why = match attempt.unless_stopping(answer).await? {
            Ok(samples) => {
                refused_since = None;
                return Ok(asked.judge(&samples));
            }
            Err(MetricsError::Unusable(why)) => return Err(hopeless(why)),
            Err(MetricsError::Unanswered(why)) => {
                refused_since = None;
                why
            }
            Err(MetricsError::Refused(why)) => {
                let now = clock.monotonic();
                let since = *refused_since.get_or_insert(now);
                if now.saturating_sub(since) >= REFUSED_FOR {
                    return Err(hopeless(why));
                }
                why
            }
        };
        Ok(Look::Not {
            waiting: format!("an answer of {}: {why}", server.url),
            whole: format!("`{query}` has no answer of {}: {why}", server.url),
        })
    })
    .await
}

/// A declared server, as it is asked.
#[must_use]
pub fn port(server: &PrometheusServer) -> MetricsServer<'_> {
    MetricsServer {
        url: &server.url,
        token: server.token.as_ref().map(|from| match from {
            SecretSource::Env(name) => SecretFrom::Variable(name),
            SecretSource::File(path) => SecretFrom::File(Path::new(path)),
        }),
        ca_file: server.ca_file.as_deref().map(Path::new),
    }
}

impl Asked<'_> {
    /// What an answer says of the condition.
    fn judge(&self, samples: &[Sample]) -> Look {
        let Self {
            server,
            query,
            expect,
            no_data,
        } = self;
        let failing: Vec<&Sample> = samples
            .iter()
            .filter(|sample| !expect.holds(sample.value))
            .collect();
        if !failing.is_empty() {
            let shown = shown(&failing);
            let now = match samples.len() {
                1 => shown,
                all => format!("{} of {all} are not: {shown}", failing.len()),
            };
            return Look::Not {
                waiting: format!("values {expect}; {now}"),
                whole: format!(
                    "`{query}`, asked of {}, should be {expect}; {now}",
                    server.url
                ),
            };
        }
        let now = match (samples.is_empty(), no_data) {
            (true, NoData::Fail) => {
                return Look::Not {
                    waiting: format!("values {expect}; there is no data"),
                    whole: format!(
                        "`{query}`, asked of {}, should be {expect}, and has no data. Where that is well, `noData: pass` says so",
                        server.url
                    ),
                };
            }
            (true, NoData::Pass) => "no data".to_owned(),
            (false, _) => range(samples),
        };
        Look::Holds {
            going_on: format!("values to stay {expect} (now {now})"),
            note: Some(format!("{now}; expected {expect}")),
        }
    }
}

/// The first of the values with their series.
fn shown(samples: &[&Sample]) -> String {
    let mut parts: Vec<String> = samples
        .iter()
        .take(SHOWN)
        .map(|sample| match plain(&sample.series) {
            series if series.is_empty() => format!("it is {}", number(sample.value)),
            series => format!("{series} is {}", number(sample.value)),
        })
        .collect();
    if samples.len() > SHOWN {
        parts.push(format!("and {} more", samples.len() - SHOWN));
    }
    parts.join("; ")
}

/// The values that were seen, none of which is NaN.
fn range(samples: &[Sample]) -> String {
    let values = || samples.iter().map(|sample| sample.value);
    match samples {
        [one] => number(one.value),
        _ => format!(
            "{} values, {} to {}",
            samples.len(),
            number(values().fold(f64::INFINITY, f64::min)),
            number(values().fold(f64::NEG_INFINITY, f64::max))
        ),
    }
}

/// What a server calls a series, in one line of bounded length and without anything that a terminal would obey.
fn plain(series: &str) -> String {
    let mut text: String = series
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(LABELS + 1)
        .collect();
    if text.chars().count() > LABELS {
        text.pop();
        text.push('…');
    }
    text
}

fn number(value: f64) -> String {
    let size = value.abs();
    if value.is_finite() && size != 0.0 && !(1e-6..1e15).contains(&size) {
        format!("{value:e}")
    } else {
        value.to_string()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn server() -> PrometheusServer {
        PrometheusServer {
            url: "https://prom".to_owned(),
            token: None,
            ca_file: None,
        }
    }

    fn told(expect: &str, no_data: NoData, values: &[(&str, f64)]) -> (bool, String) {
        let samples: Vec<Sample> = values
            .iter()
            .map(|(series, value)| Sample {
                series: (*series).to_owned(),
                value: *value,
            })
            .collect();
        let server = server();
        let asked = Asked {
            server: &server,
            query: "sum(x)",
            expect: expect.parse().unwrap(),
            no_data,
        };
        match asked.judge(&samples) {
            Look::Holds { note, .. } => (true, note.unwrap()),
            Look::Not { whole, .. } => (false, whole),
        }
    }

    #[test]
    fn every_value_must_be_as_expected() {
        let fail = NoData::Fail;
        let (one, two) = (("{a=\"1\"}", 0.5), ("{a=\"2\"}", 3.25));
        assert_eq!(
            told("< 1", fail, &[("", 0.5)]),
            (true, "0.5; expected < 1".into())
        );
        assert_eq!(
            told("< 4", fail, &[one, two]),
            (true, "2 values, 0.5 to 3.25; expected < 4".into())
        );
        let (holds, why) = told("< 1", fail, &[one, two]);
        assert!(!holds);
        assert_eq!(
            why,
            "`sum(x)`, asked of https://prom, should be < 1; 1 of 2 are not: {a=\"2\"} is 3.25"
        );
        for expect in ["< 1", "!= 1", "== 0"] {
            let (holds, why) = told(expect, NoData::Pass, &[("", f64::NAN)]);
            assert!(!holds && why.ends_with("; it is NaN"), "{why}");
        }
        let (holds, why) = told("< 1", fail, &[two; 7]);
        assert!(!holds && why.ends_with("and 2 more"), "{why}");
    }

    #[test]
    fn no_data_means_what_is_declared() {
        let (holds, why) = told("< 1", NoData::Fail, &[]);
        assert!(!holds && why.contains("has no data"), "{why}");
        assert_eq!(
            told("< 1", NoData::Pass, &[]),
            (true, "no data; expected < 1".into())
        );
    }

    #[test]
    fn what_a_server_says_is_shown_in_a_line() {
        assert_eq!(plain("a\n\u{1b}[31m"), "a  [31m");
        assert_eq!(plain(&"é".repeat(500)).chars().count(), LABELS + 1);
        for (value, text) in [
            (0.0, "0"),
            (0.25, "0.25"),
            (1e300, "1e300"),
            (f64::NEG_INFINITY, "-inf"),
            (1e-9, "1e-9"),
        ] {
            assert_eq!(number(value), text);
        }
    }
}
