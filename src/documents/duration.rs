//! Durations as people write them: `15m`, `24h`, `1h30m`, `0s`.

use std::time::Duration;

/// Longer than this is a slip of the keyboard; it also keeps every later sum far from overflowing.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// Whole numbers with the units `h`, `m`, `s` and `ms`, each at most once and in this order.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    let mut units = [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)].into_iter();
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = rest
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (_, millis) = units.find(|(name, _)| *name == &rest[..unit])?;
        rest = &rest[unit..];
        total = total.checked_add(Duration::from_millis(number.checked_mul(millis)?))?;
    }
    (!text.is_empty() && total <= LONGEST).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_add_up() {
        for (text, seconds) in [
            ("0s", 0),
            ("15m", 900),
            ("24h", 86_400),
            ("1h30m", 5400),
            ("90s", 90),
            ("1h1s", 3601),
        ] {
            assert_eq!(parse(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(parse("1s500ms"), Some(Duration::from_millis(1500)));
    }

    #[test]
    fn anything_else_is_refused() {
        for wrong in [
            "",
            "15",
            "m",
            "15 m",
            "15min",
            "1.5h",
            "-1s",
            "1m1h",
            "1m1m",
            "٣m",
            "9999999h",
            "99999999999999999999s",
            "1d",
        ] {
            assert_eq!(parse(wrong), None, "{wrong:?}");
        }
    }
}
