//! Times and counts in the words of people.

use jiff::Timestamp;

use crate::plan::data::Plan;
use crate::plan::purpose::Purpose;

/// `45 s`, `3 min 5 s`, `2 h 10 min`; what is negative (a clock that jumped) is `0 s`.
#[must_use]
pub fn duration(seconds: i64) -> String {
    match seconds.max(0) {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..3600 if seconds % 60 == 0 => format!("{} min", seconds / 60),
        seconds @ 60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        seconds => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// To the second, in UTC: everyone on call reads the same.
#[must_use]
pub fn clock(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// `12 s ago`.
#[must_use]
pub fn ago(at: Timestamp, now: Timestamp) -> String {
    format!("{} ago", duration(now.duration_since(at).as_secs()))
}

/// When facts were observed and how old they are: `observed at …, 3 min 5 s before`.
#[must_use]
pub fn observed(observed: Timestamp, at: Timestamp) -> String {
    let age = at.duration_since(observed).as_secs();
    if age < 0 {
        format!("observed at {observed}, which is after {at}")
    } else {
        format!("observed at {observed}, {} before {at}", duration(age))
    }
}

/// Milliseconds as `0.3 s`, `12 s`, `3 min 5 s`.
#[must_use]
pub fn took(milliseconds: u64) -> String {
    if milliseconds < 10_000 {
        format!("{}.{} s", milliseconds / 1000, milliseconds % 1000 / 100)
    } else {
        duration(i64::try_from(milliseconds / 1000).unwrap_or(i64::MAX))
    }
}

/// `the next one opens 2026-11-22T01:00:00Z`.
#[must_use]
pub fn next_window(opens: Option<Timestamp>) -> String {
    match opens {
        Some(opens) => format!("the next one opens {opens}"),
        None => "no other one comes".to_owned(),
    }
}

/// `3 wave(s), at most 2 out of service at once`.
#[must_use]
pub fn waves(waves: usize, at_once: usize) -> String {
    format!("{waves} wave(s), at most {at_once} out of service at once")
}

/// `lab-to-1.35 to 1.35.4` of an upgrade; what else a plan is for says so by its name.
#[must_use]
pub fn heading(plan: &Plan, name: &str) -> String {
    match plan.purpose() {
        Purpose::Upgrade => format!("{name} to {}", plan.target),
        Purpose::Snapshot => format!("{name}: a snapshot of etcd"),
        Purpose::Restore => name.to_owned(),
        Purpose::Rollback => format!("{name} to {}", plan.target),
    }
}

/// Why a plan that was asked for is not compared with an earlier one.
#[must_use]
pub fn not_compared(earlier: &Plan) -> String {
    format!(
        "Not compared with the earlier plan (to {}, {} steps, facts of {}): what is blocked gives no plan to compare it with.",
        earlier.target,
        earlier.steps.len(),
        earlier.facts_at
    )
}

/// `alice`, `alice or bob`, `alice, bob or carol`.
#[must_use]
pub fn any_of(names: &[String]) -> String {
    match names {
        [] => "nobody".to_owned(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        assert_eq!(duration(-3), "0 s");
        assert_eq!(duration(59), "59 s");
        assert_eq!(duration(60), "1 min");
        assert_eq!(duration(185), "3 min 5 s");
        assert_eq!(duration(7800), "2 h 10 min");
        assert_eq!(took(340), "0.3 s");
        assert_eq!(took(12_900), "12 s");
    }
}
