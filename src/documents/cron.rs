//! The shape of a cron expression: five fields of numbers, names, ranges, lists and steps, as in crontab(5).

struct Field {
    low: u32,
    high: u32,
    names: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field {
        low: 0,
        high: 59,
        names: &[],
    },
    Field {
        low: 0,
        high: 23,
        names: &[],
    },
    Field {
        low: 1,
        high: 31,
        names: &[],
    },
    Field {
        low: 1,
        high: 12,
        names: &[
            "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
        ],
    },
    Field {
        low: 0,
        high: 7,
        names: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
    },
];

/// Whether the text is `minute hour day month weekday`.
pub(super) fn is_cron(text: &str) -> bool {
    let parts: Vec<&str> = text.split(' ').collect();
    parts.len() == FIELDS.len()
        && FIELDS
            .iter()
            .zip(parts)
            .all(|(field, part)| part.split(',').all(|item| field.allows(item)))
}

impl Field {
    fn allows(&self, item: &str) -> bool {
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => (range, Some(step)),
            None => (item, None),
        };
        let step_is_right = step
            .is_none_or(|step| number(step).is_some_and(|step| (1..=self.high).contains(&step)));
        let range_is_right = match range.split_once('-') {
            _ if range == "*" => true,
            Some((first, last)) => self
                .value(first)
                .zip(self.value(last))
                .is_some_and(|(first, last)| first <= last),
            None => self.value(range).is_some() && step.is_none(),
        };
        step_is_right && range_is_right
    }

    fn value(&self, text: &str) -> Option<u32> {
        let named = self
            .names
            .iter()
            .position(|name| name.eq_ignore_ascii_case(text))
            .map(|at| at as u32 + self.low);
        named
            .or_else(|| number(text))
            .filter(|value| (self.low..=self.high).contains(value))
    }
}

fn number(text: &str) -> Option<u32> {
    text.bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_fields_within_their_limits() {
        for right in [
            "0 2 * * SUN",
            "*/15 0-6 1,15 JAN-MAR 1-5",
            "59 23 31 12 7",
            "0 0-12/2 * * *",
        ] {
            assert!(is_cron(right), "{right}");
        }
        for wrong in [
            "",
            "0 2 * *",
            "0 2 * * * *",
            "60 2 * * *",
            "0 24 * * *",
            "0 2 0 * *",
            "0 2 * 13 *",
            "0 2 * * 8",
            "0 2 * * SUNDAY",
            "5-1 * * * *",
            "*/0 * * * *",
            "5/2 * * * *",
            "0  2 * * *",
            "- * * * *",
            "@daily",
        ] {
            assert!(!is_cron(wrong), "{wrong:?}");
        }
    }
}
