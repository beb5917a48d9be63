//! How the simulation's time passes: as fast as everybody waits, or in a fixed proportion to true time.
//!
//! The only place of the simulation that touches a timer, and it is always tokio's. Under a runtime whose time is paused
//! virtual time jumps to the next timer whenever nothing else can go on; there is no I/O driver, so that a stray socket
//! panics instead of making a run depend on the machine it runs on.

use std::time::Duration;

use tokio::time::Instant;

/// A pace, and when it began.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    began: Instant,
    /// What the simulation's clock showed then.
    from: Duration,
    /// How much faster than the runtime's time it passes.
    times: u32,
}

impl Pace {
    /// As the runtime's own time, which is virtual where the runtime is paused. The clock shows `from` now.
    #[must_use]
    pub fn of_runtime(from: Duration) -> Self {
        Self::scaled(from, 1)
    }

    /// So many times faster than the runtime's time; the clock shows `from` now.
    #[must_use]
    pub fn scaled(from: Duration, times: u32) -> Self {
        Self {
            began: Instant::now(),
            from,
            times: times.max(1),
        }
    }

    /// What the simulation's clock shows.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.from + self.began.elapsed().saturating_mul(self.times)
    }

    /// Returns when the simulation's clock has moved on so far.
    #[allow(clippy::disallowed_methods)] // the simulation's one place
    pub async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration / self.times).await;
    }
}
