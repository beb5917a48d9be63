//! What a number must be: `< 1`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A comparison with a number.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Comparison {
    operator: Operator,
    /// Finite.
    number: f64,
}

/// A finite number equals itself.
impl Eq for Comparison {}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    AtMost,
    AtLeast,
    Is,
    IsNot,
    Less,
    More,
}

/// Longer ones first, so that `<=` is not read as `<`.
const OPERATORS: [(&str, Operator); 6] = [
    ("<=", Operator::AtMost),
    (">=", Operator::AtLeast),
    ("==", Operator::Is),
    ("!=", Operator::IsNot),
    ("<", Operator::Less),
    (">", Operator::More),
];

/// The text is no comparison with a finite number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no comparison with a number, such as `< 1`")]
pub struct NoComparison;

impl Comparison {
    /// Whether it is true of a value. Nothing is true of what is not a number, `!=` included: a rate without any request is
    /// such a one, and says nothing.
    #[must_use]
    pub fn holds(self, value: f64) -> bool {
        // Numbers are compared as PromQL compares them, exactly.
        #[allow(clippy::float_cmp)]
        let holds = match self.operator {
            Operator::AtMost => value <= self.number,
            Operator::AtLeast => value >= self.number,
            Operator::Is => value == self.number,
            Operator::IsNot => value != self.number,
            Operator::Less => value < self.number,
            Operator::More => value > self.number,
        };
        holds && !value.is_nan()
    }
}

impl FromStr for Comparison {
    type Err = NoComparison;

    fn from_str(text: &str) -> Result<Self, NoComparison> {
        let (operator, number) = OPERATORS
            .into_iter()
            .find_map(|(sign, operator)| Some((operator, text.strip_prefix(sign)?)))
            .ok_or(NoComparison)?;
        let number: f64 = number.trim_start().parse().map_err(|_| NoComparison)?;
        match number.is_finite() {
            true => Ok(Self { operator, number }),
            false => Err(NoComparison),
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = OPERATORS
            .iter()
            .find_map(|(sign, operator)| (*operator == self.operator).then_some(*sign))
            .unwrap_or_default();
        write!(f, "{sign} {}", self.number)
    }
}

impl From<Comparison> for String {
    fn from(comparison: Comparison) -> Self {
        comparison.to_string()
    }
}

impl TryFrom<String> for Comparison {
    type Error = NoComparison;

    fn try_from(text: String) -> Result<Self, NoComparison> {
        text.parse()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn values_are_compared_as_written() {
        for (text, holds, fails) in [
            (
                "< 1",
                [0.99, -5.0, f64::NEG_INFINITY],
                [1.0, 2.0, f64::INFINITY],
            ),
            ("<=1", [1.0, 0.5, -1.0], [1.01, 2.0, f64::INFINITY]),
            (">  0.5", [0.6, 1.0, f64::INFINITY], [0.5, 0.0, -1.0]),
            (">= 1e3", [1000.0, 1001.0, 1e9], [999.9, 0.0, -1000.0]),
            ("== 0", [0.0, -0.0, 0.0], [0.1, -0.1, 1.0]),
            ("!= -2", [2.0, 0.0, f64::INFINITY], [-2.0, -2.0, -2.0]),
        ] {
            let comparison: Comparison = text.parse().unwrap();
            for value in holds {
                assert!(comparison.holds(value), "{value} {text}");
            }
            for value in fails {
                assert!(!comparison.holds(value), "{value} {text}");
            }
            assert!(!comparison.holds(f64::NAN), "{text}");
            assert_eq!(comparison.to_string().parse(), Ok(comparison));
        }
    }

    #[test]
    fn other_texts_are_none() {
        for text in ["", "1", "<", "< x", "<> 1", "< inf", "== NaN", "= 1"] {
            assert_eq!(text.parse::<Comparison>(), Err(NoComparison), "{text}");
        }
        let text = serde_json::to_string(&"< 0.5".parse::<Comparison>().unwrap()).unwrap();
        assert_eq!(text, "\"< 0.5\"");
    }
}
