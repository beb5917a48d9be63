//! What a Prometheus server says: numbers, or what it has to complain of.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Deserialize;

use crate::host::clause::brief;
use crate::ports::{MetricsError, Sample};

/// prometheus/prometheus `docs/querying/api.md`, "Format overview". Other keys (`infos`) are of no concern here.
#[derive(Deserialize)]
struct Answer {
    status: Status,
    data: Option<Data>,
    #[serde(default)]
    warnings: Vec<String>,
    #[serde(default, rename = "errorType")]
    error_type: String,
    #[serde(default)]
    error: String,
}

#[derive(PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Success,
    Error,
}

#[derive(Deserialize)]
struct Data {
    #[serde(rename = "resultType")]
    kind: String,
    result: serde_json::Value,
}

#[derive(Deserialize)]
struct Series {
    #[serde(default)]
    metric: BTreeMap<String, String>,
    /// The time and the value, as text because JSON has no NaN; none for a native histogram.
    value: Option<(f64, String)>,
}

/// What a server complains of.
pub struct Complaint {
    /// In its words.
    pub words: String,
    /// It is the query that is wrong, so that asking again is of no use.
    pub of_the_query: bool,
}

/// The values of a successful answer.
pub fn samples(body: &[u8]) -> Result<Vec<Sample>, MetricsError> {
    let answer: Answer = serde_json::from_slice(body).map_err(|_| {
        MetricsError::Unanswered("its answer is not that of a Prometheus API".to_owned())
    })?;
    let (Status::Success, Some(data)) = (answer.status, answer.data) else {
        let why = format!("it failed: {}: {}", answer.error_type, answer.error);
        return Err(MetricsError::Unanswered(brief(&why)));
    };
    // What lacks a part, such as one of several servers behind Thanos, says less than was asked.
    if let Some(warning) = answer.warnings.first() {
        return Err(MetricsError::Unanswered(format!(
            "its answer comes with a warning: {}",
            brief(warning)
        )));
    }
    let odd = || MetricsError::Unanswered("its answer makes no sense".to_owned());
    match data.kind.as_str() {
        "scalar" => {
            let (_, value): (f64, String) =
                serde_json::from_value(data.result).map_err(|_| odd())?;
            let value = number(&value).ok_or_else(odd)?;
            Ok(vec![Sample {
                series: String::new(),
                value,
            }])
        }
        "vector" => {
            let all: Vec<Series> = serde_json::from_value(data.result).map_err(|_| odd())?;
            all.into_iter()
                .map(|series| {
                    let name = name(&series.metric);
                    let Some((_, value)) = &series.value else {
                        return Err(MetricsError::Unusable(format!(
                            "{name} is a histogram, where a number is needed"
                        )));
                    };
                    let value = number(value).ok_or_else(odd)?;
                    Ok(Sample {
                        series: name,
                        value,
                    })
                })
                .collect()
        }
        other => Err(MetricsError::Unusable(format!(
            "its answer is a {}, where a scalar or an instant vector is needed",
            brief(other)
        ))),
    }
}

/// What an unsuccessful answer says, as far as it is one of the API.
pub fn complaint(body: &[u8]) -> Option<Complaint> {
    let answer: Answer = serde_json::from_slice(body).ok()?;
    (answer.status == Status::Error).then(|| Complaint {
        words: format!("{}: {}", answer.error_type, answer.error),
        of_the_query: answer.error_type == "bad_data",
    })
}

/// Go writes `+Inf`, `-Inf` and `NaN`.
fn number(text: &str) -> Option<f64> {
    text.parse().ok()
}

/// A series as PromQL writes it, its own name first; nothing where it has no label at all.
fn name(labels: &BTreeMap<String, String>) -> String {
    let own = labels.get("__name__").map(String::as_str);
    let mut text = own.unwrap_or_default().to_owned();
    let mut separator = '{';
    for (key, value) in labels.iter().filter(|(key, _)| *key != "__name__") {
        let _ = write!(text, "{separator}{key}={value:?}");
        separator = ',';
    }
    if separator == ',' {
        text.push('}');
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn said(result: &str) -> Result<Vec<Sample>, MetricsError> {
        let body = format!(r#"{{"status":"success","data":{result}}}"#);
        samples(body.as_bytes())
    }

    #[test]
    fn vectors_and_scalars_are_read() {
        let vector = r#"{"resultType":"vector","result":[
            {"metric":{"__name__":"up","job":"api","pod":"a\"b"},"value":[1795000000.123,"1"]},
            {"metric":{},"value":[1795000000,"NaN"]},
            {"metric":{"code":"500"},"value":[1795000000,"-Inf"]}]}"#;
        let found = said(vector).unwrap();
        let names: Vec<&str> = found.iter().map(|sample| sample.series.as_str()).collect();
        assert_eq!(
            names,
            [r#"up{job="api",pod="a\"b"}"#, "", r#"{code="500"}"#]
        );
        assert_eq!(found[0].value, 1.0);
        assert!(found[1].value.is_nan());
        assert_eq!(found[2].value, f64::NEG_INFINITY);
        let scalar = said(r#"{"resultType":"scalar","result":[1795000000,"+Inf"]}"#).unwrap();
        assert_eq!(scalar[0].value, f64::INFINITY);
        assert_eq!(said(r#"{"resultType":"vector","result":[]}"#), Ok(vec![]));
    }

    #[test]
    fn what_is_no_number_is_no_answer() {
        let unusable = |result: &str| match said(result) {
            Err(MetricsError::Unusable(why)) => why,
            other => unreachable!("{other:?}"),
        };
        assert!(unusable(r#"{"resultType":"matrix","result":[]}"#).contains("a matrix"));
        assert!(unusable(r#"{"resultType":"string","result":[1,"x"]}"#).contains("a string"));
        let histogram =
            r#"{"resultType":"vector","result":[{"metric":{"a":"b"},"histogram":[1,{}]}]}"#;
        assert!(unusable(histogram).starts_with(r#"{a="b"} is a histogram"#));
        for odd in [
            r#"{"resultType":"vector","result":[{"metric":{},"value":[1,"x"]}]}"#,
            r#"{"resultType":"vector","result":{}}"#,
            r#"{"resultType":"scalar","result":["1","2"]}"#,
        ] {
            assert!(
                matches!(said(odd), Err(MetricsError::Unanswered(_))),
                "{odd}"
            );
        }
    }

    #[test]
    fn a_part_of_an_answer_is_none() {
        let body = r#"{"status":"success","warnings":["store 10.0.0.2: no answer"],
            "data":{"resultType":"vector","result":[]}}"#;
        let Err(MetricsError::Unanswered(why)) = samples(body.as_bytes()) else {
            unreachable!()
        };
        assert!(why.contains("store 10.0.0.2"), "{why}");
        for body in [
            r#"{"status":"error","errorType":"timeout","error":"too slow"}"#,
            r#"{"status":"success"}"#,
            "<html>hello</html>",
            "",
        ] {
            let answer = samples(body.as_bytes());
            assert!(matches!(answer, Err(MetricsError::Unanswered(_))), "{body}");
        }
    }

    #[test]
    fn complaints_are_told_apart() {
        let of = |body: &str| complaint(body.as_bytes());
        let bad =
            of(r#"{"status":"error","errorType":"bad_data","error":"parse error at 3"}"#).unwrap();
        assert!(bad.of_the_query && bad.words == "bad_data: parse error at 3");
        let slow = of(r#"{"status":"error","errorType":"timeout","error":"too slow"}"#).unwrap();
        assert!(!slow.of_the_query);
        assert!(of("<html>").is_none());
    }
}
