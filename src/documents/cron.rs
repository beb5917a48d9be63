//! Cron expressions: five fields as in crontab(5), and a day on which they come true.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

/// From here on it is looked for a time; which one does not matter, as calendars repeat.
const SINCE: jiff::civil::DateTime = jiff::civil::date(2026, 1, 1).at(0, 0, 0, 0);

/// Whether the text is `minute hour day month weekday`, one space between them, and some time is so.
pub(super) fn is_cron(text: &str) -> bool {
    let alone =
        text.split(' ').count() == 5 && !text.contains(|c: char| c.is_whitespace() && c != ' ');
    let written = |c: char| c.is_ascii_alphanumeric() || " */,-".contains(c);
    alone
        && text.chars().all(written)
        && parse(text).is_some_and(|cron| cron.find_next_occurrence(&SINCE, true).is_ok())
}

fn parse(text: &str) -> Option<Cron> {
    let parser = CronParser::builder()
        .seconds(Seconds::Disallowed)
        .year(Year::Disallowed)
        .build();
    parser.parse(text).ok()
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
            "0 2 30 2 *",
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
