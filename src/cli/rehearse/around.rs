//! Who and what is around a rehearsal: people who have approved everything, and programs and measurements that count as well.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;

use crate::documents::settings::Condition;
use crate::plan::data::{Action, Plan};
use crate::ports::{
    Approval, Clock as _, Ended, Metrics, MetricsError, MetricsServer, People, Programs, Sample,
};
use crate::sim::Sim;

/// What is not simulated, and counts as passed.
pub(in crate::cli) struct Rehearsed<'r> {
    plan: &'r Plan,
    refit: &'r str,
    sim: &'r Sim,
}

impl<'r> Rehearsed<'r> {
    pub(in crate::cli) const fn new(plan: &'r Plan, refit: &'r str, sim: &'r Sim) -> Self {
        Self { plan, refit, sim }
    }

    fn conditions(&self) -> impl Iterator<Item = (&str, &Condition)> {
        self.plan
            .steps
            .iter()
            .filter_map(|step| match &step.action {
                Action::Gate { gate } => Some((step.id.as_str(), &gate.condition)),
                _ => None,
            })
    }
}

impl People for Rehearsed<'_> {
    fn approval(&self, step: &str) -> std::io::Result<Option<Approval>> {
        let by = self
            .conditions()
            .find_map(|(id, condition)| match condition {
                Condition::Approval { by, .. } if id == step => by.first(),
                Condition::Approval { .. }
                | Condition::Command { .. }
                | Condition::Prometheus { .. } => None,
            });
        Ok(by.map(|by| Approval {
            by: by.clone(),
            at: self.sim.now(),
        }))
    }

    fn present(&self) -> bool {
        false
    }

    fn refit(&self) -> &str {
        self.refit
    }
}

#[async_trait(?Send)]
impl Programs for Rehearsed<'_> {
    async fn run(&self, _: &Path, words: &[String], _: Duration) -> std::io::Result<Ended> {
        Ok(Ended {
            status: Some(0),
            output: format!("{} is not run in a rehearsal", words.join(" ")),
        })
    }

    async fn run_alone(
        &self,
        _: &str,
        directory: &Path,
        words: &[String],
        at_most: Duration,
    ) -> std::io::Result<Ended> {
        self.run(directory, words, at_most).await
    }

    fn goes_on(&self, _: &str) -> std::io::Result<Option<PathBuf>> {
        Ok(None)
    }
}

#[async_trait(?Send)]
impl Metrics for Rehearsed<'_> {
    async fn query(
        &self,
        _: MetricsServer<'_>,
        asked: &str,
        _: Duration,
    ) -> Result<Vec<Sample>, MetricsError> {
        let expected = self
            .conditions()
            .find_map(|(_, condition)| match condition {
                Condition::Prometheus { query, expect, .. } if query == asked => Some(*expect),
                Condition::Approval { .. }
                | Condition::Command { .. }
                | Condition::Prometheus { .. } => None,
            });
        let Some(expected) = expected else {
            return Err(MetricsError::Unusable("no gate asks this".to_owned()));
        };
        // a value that is as expected, near the one that it is compared with
        let text = expected.to_string();
        let number = text
            .split_whitespace()
            .last()
            .and_then(|number| number.parse().ok());
        let number: f64 = number.unwrap_or(0.0);
        let value = [number, number - 1.0, number + 1.0]
            .into_iter()
            .find(|value| expected.holds(*value));
        let value =
            value.ok_or_else(|| MetricsError::Unanswered("no value would do".to_owned()))?;
        Ok(vec![Sample {
            series: String::new(),
            value,
        }])
    }
}
