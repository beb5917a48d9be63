//! Accepted risks: somebody answers for a hazard, on one hop, until a day.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::catalogue::Hazard;
use crate::rules::version::Minor;

/// A risk that somebody answers for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acceptance {
    /// The hazard's id.
    pub id: String,
    /// The minor on the way to which it is accepted.
    pub hop: Minor,
    /// Why it is no danger here.
    pub reason: String,
    /// The last day on which this counts, in UTC.
    pub until: Date,
}

/// What the accepted risks say about a hazard that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// Nobody answers for it.
    Open,
    /// Somebody does.
    Accepted(&'a Acceptance),
    /// Somebody did, until a day that has passed.
    Ended(&'a Acceptance),
    /// Somebody would, but the upgrade could not succeed.
    NotAcceptable(&'a Acceptance),
}

impl Acceptance {
    fn covers(&self, hazard: &Hazard, hop: Minor) -> bool {
        self.id == hazard.id && self.hop == hop
    }

    /// Whether its last day has passed.
    #[must_use]
    pub fn ended(&self, at: Timestamp) -> bool {
        at.to_zoned(TimeZone::UTC).date() > self.until
    }
}

/// What they say about a hazard found on the way to `hop`, at a time.
#[must_use]
pub fn judge<'a>(
    hazard: &Hazard,
    hop: Minor,
    at: Timestamp,
    accepted: &'a [Acceptance],
) -> Verdict<'a> {
    let mut covering = accepted.iter().filter(|risk| risk.covers(hazard, hop));
    let Some(first) = covering.clone().next() else {
        return Verdict::Open;
    };
    if !hazard.acceptable {
        return Verdict::NotAcceptable(first);
    }
    covering
        .find(|risk| !risk.ended(at))
        .map_or(Verdict::Ended(first), Verdict::Accepted)
}

/// The accepted risks that none of these hazards, found on the way to `hop`, needs.
pub fn idle<'a>(
    found: &[&Hazard],
    hop: Minor,
    accepted: &'a [Acceptance],
) -> impl Iterator<Item = &'a Acceptance> {
    accepted
        .iter()
        .filter(move |risk| !found.iter().any(|hazard| risk.covers(hazard, hop)))
}
