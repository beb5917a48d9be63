//! How long pods may take to leave: each pod of a rule with a timeout its own time, the others the drain's together.
//!
//! The drain's time does not run while all that it waits for are pods with a time of their own that hold up those of a higher
//! order: the others cannot leave any sooner.

use std::time::Duration;

use super::answer::Progress;

/// What the plan says of time.
#[derive(Debug, Clone, Copy)]
pub(in crate::run) struct Limits {
    /// For each pod's end once it was told to; its own when none is given.
    pub(in crate::run) grace: Option<Duration>,
    /// For the pods without a time of their own; that of the step when none is given.
    pub(in crate::run) others: Option<Duration>,
}

/// The drain's time.
#[derive(Debug)]
pub(super) struct Time {
    /// For the pods without a time of their own.
    others: Option<Duration>,
    /// So much of it has run.
    run: Duration,
    /// The last look, and whether it has run since.
    last: (Duration, bool),
}

impl Time {
    pub(super) const fn new(now: Duration, others: Option<Duration>) -> Self {
        Self {
            others,
            run: Duration::ZERO,
            last: (now, true),
        }
    }

    /// Takes in what has passed since the last look.
    pub(super) fn goes_on(&mut self, now: Duration) {
        let (then, runs) = self.last;
        if runs {
            self.run += now.saturating_sub(then);
        }
        self.last.0 = now;
    }

    /// From this look on it runs, or it does not.
    pub(super) fn looked(&mut self, now: Duration, runs: bool) {
        self.goes_on(now);
        self.last.1 = runs;
    }

    /// That a pod has taken longer than it may, if so.
    pub(super) fn late(
        &self,
        own: Option<Duration>,
        progress: &Progress,
        now: Duration,
    ) -> Option<String> {
        let text = match (own, self.others) {
            (Some(own), _) => {
                let since = progress.awaited_since?;
                (now.saturating_sub(since) >= own).then(|| {
                    format!(
                        "still there after the {} s that its rule of drain.rules gives it",
                        own.as_secs()
                    )
                })
            }
            (None, Some(others)) => (self.run >= others)
                .then(|| format!("still there after {} s (drain.timeout)", others.as_secs())),
            (None, None) => None,
        }?;
        Some(match &progress.why {
            Some(why) => format!("{text}: {why}"),
            None => text,
        })
    }
}
