//! Real time, behind [`Clock`].

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::time::Instant;

use crate::ports::Clock;

/// The machine's clocks.
#[derive(Debug, Clone, Copy)]
pub struct RealClock {
    begun: Instant,
}

impl RealClock {
    /// A clock whose monotonic time begins now.
    #[must_use]
    pub fn new() -> Self {
        Self {
            begun: Instant::now(),
        }
    }
}

impl Default for RealClock {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait(?Send)]
impl Clock for RealClock {
    #[allow(clippy::disallowed_methods)] // this is the port's one place
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn monotonic(&self) -> Duration {
        self.begun.elapsed()
    }

    #[allow(clippy::disallowed_methods)] // this is the port's one place
    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}
