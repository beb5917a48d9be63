//! The simulation's time as refit's port sees it.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::Sim;
use crate::ports::Clock;

#[async_trait(?Send)]
impl Clock for Sim {
    fn now(&self) -> Timestamp {
        self.look(super::World::wall)
    }

    fn monotonic(&self) -> Duration {
        self.look(super::World::now)
    }

    async fn sleep(&self, duration: Duration) {
        Self::sleep(self, duration).await;
    }
}
