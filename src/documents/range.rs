//! Ranges in names and addresses: `w[2-3]` is `w2` and `w3`, `n[08-11]` keeps its leading zeros.

/// More hosts than twice the largest cluster that Kubernetes supports are a slip of the keyboard.
///
/// Source: <https://kubernetes.io/docs/setup/best-practices/cluster-large/>, 5,000 nodes.
pub(super) const MOST_HOSTS: usize = 10_000;

/// A text with at most one range in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pattern<'a> {
    before: &'a str,
    numbers: Option<Numbers>,
    after: &'a str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Numbers {
    first: u64,
    last: u64,
    width: usize,
}

/// Why a text is not a pattern.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RangeError {
    #[error("a bracket of the range is missing")]
    Bracket,
    #[error("more than one range")]
    Several,
    #[error("a range goes from one number to another")]
    Numbers,
    #[error("the range goes backwards")]
    Backwards,
    #[error("the range holds more than {MOST_HOSTS} hosts")]
    TooMany,
}

impl<'a> Pattern<'a> {
    pub fn parse(text: &'a str) -> Result<Self, RangeError> {
        let (before, rest) = match text.split_once('[') {
            None if text.contains(']') => return Err(RangeError::Bracket),
            None => {
                return Ok(Self {
                    before: text,
                    numbers: None,
                    after: "",
                });
            }
            Some(parts) => parts,
        };
        let (inside, after) = rest.split_once(']').ok_or(RangeError::Bracket)?;
        if after.contains('[') {
            return Err(RangeError::Several);
        }
        if before.contains(']') || inside.contains('[') || after.contains(']') {
            return Err(RangeError::Bracket);
        }
        let (first, last) = inside.split_once('-').ok_or(RangeError::Numbers)?;
        let number = |text: &str| match text.bytes().all(|b| b.is_ascii_digit()) {
            true => text.parse::<u64>().map_err(|_| RangeError::Numbers),
            false => Err(RangeError::Numbers),
        };
        let numbers = Numbers {
            first: number(first)?,
            last: number(last)?,
            width: if first.starts_with('0') {
                first.len()
            } else {
                0
            },
        };
        match numbers.last.checked_sub(numbers.first) {
            None => Err(RangeError::Backwards),
            Some(more) if more >= MOST_HOSTS as u64 => Err(RangeError::TooMany),
            Some(_) => Ok(Self {
                before,
                numbers: Some(numbers),
                after,
            }),
        }
    }

    /// How many texts this stands for.
    pub fn len(&self) -> usize {
        self.numbers
            .map_or(1, |numbers| (numbers.last - numbers.first + 1) as usize)
    }

    /// The text at a place, counted from 0.
    pub fn get(&self, at: usize) -> String {
        match self.numbers {
            None => self.before.to_owned(),
            Some(Numbers { first, width, .. }) => {
                format!("{}{:0width$}{}", self.before, first + at as u64, self.after)
            }
        }
    }

    /// Whether every text is right. The first and the last speak for all: those between differ in digits only.
    pub fn all(&self, right: impl Fn(&str) -> bool) -> bool {
        right(&self.get(0)) && right(&self.get(self.len() - 1))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn expand(text: &str) -> Vec<String> {
        let pattern = Pattern::parse(text).unwrap();
        (0..pattern.len()).map(|at| pattern.get(at)).collect()
    }

    #[test]
    fn a_range_expands_in_order_and_keeps_leading_zeros() {
        assert_eq!(expand("w1"), ["w1"]);
        assert_eq!(expand("w[2-3].x"), ["w2.x", "w3.x"]);
        assert_eq!(expand("n[09-10]"), ["n09", "n10"]);
        assert_eq!(expand("n[9-10]"), ["n9", "n10"]);
    }

    #[test]
    fn bad_ranges_say_why() {
        for (text, error) in [
            ("w[3-1]", RangeError::Backwards),
            ("w[a-b]", RangeError::Numbers),
            ("w[1]", RangeError::Numbers),
            ("w[]", RangeError::Numbers),
            ("w[-1]", RangeError::Numbers),
            ("w[1-99999999999999999999]", RangeError::Numbers),
            ("w[1-10001]", RangeError::TooMany),
            ("w[1-3", RangeError::Bracket),
            ("w1-3]", RangeError::Bracket),
            ("w[[1-3]]", RangeError::Bracket),
            ("w[1-2][1-2]", RangeError::Several),
        ] {
            assert_eq!(Pattern::parse(text), Err(error), "{text}");
        }
        assert_eq!(Pattern::parse("w[1-10000]").unwrap().len(), MOST_HOSTS);
    }
}
