//! A new run: its folder, its claim on the cluster, and then its steps.

use serde::Serialize;

use super::carry_out::{Job, Output, carry_out};
use super::connect::Connection;
use super::inputs::Origin;
use super::runs::{RunFolder, Runs};
use super::{CommandError, Exit, lease, ui};
use crate::adapters::clock::RealClock;
use crate::adapters::disk::Lock;
use crate::documents::settings::Inventory;
use crate::plan::data::Plan;
use crate::ports::Clock as _;
use crate::run::journal::Past;
use crate::run::lease::Seen;

/// What begins.
pub struct Beginning<'a, F> {
    pub runs: &'a Runs,
    /// This command's, which is told the run's name.
    pub lock: &'a mut Lock,
    pub connection: &'a Connection,
    pub inventory: &'a Inventory,
    /// The documents, as they are kept with the run.
    pub origin: Origin<'a>,
    /// What was seen of the cluster, to be kept with the run.
    pub facts: &'a F,
    pub plan: &'a Plan,
    /// Unfinished runs that it takes the place of.
    pub displaced: Vec<RunFolder>,
    pub claim: Claim,
    /// The command that tries again.
    pub again: &'a str,
}

/// How the run comes to be the one that may change the cluster.
pub enum Claim {
    /// By the lease, if nobody has taken it since it was seen.
    Seen(Seen),
    /// As a restore does, where no API may answer.
    TakeOver,
}

impl<F: Serialize> Beginning<'_, F> {
    /// Writes the run down, claims the cluster and carries the plan out as far as it goes. Returns the run's name with its end.
    ///
    /// # Errors
    /// If it cannot begin, or does not come to its end.
    pub async fn go(self, output: Output) -> Result<(String, Exit), CommandError> {
        let Self {
            runs,
            connection,
            plan,
            again,
            ..
        } = self;
        let now = RealClock::new().now();
        let (folder, plan_sha256) = runs.make(now, &self.origin, self.facts, plan)?;
        let id = &folder.id;
        let lease = match self.claim {
            Claim::Seen(seen) => {
                lease::take(connection, runs, id, self.inventory, seen, again).await?
            }
            Claim::TakeOver => {
                lease::take_over(connection, runs, id, self.inventory, again).await?
            }
        };
        let file = folder.begin()?;
        // in this order: killed in between, two runs are unfinished and the newest has not begun
        for older in self.displaced {
            older.put_aside(now)?;
            ui::line(&format!("run {} is put aside", older.id));
        }
        self.lock.name_run(id).map_err(|error| {
            CommandError::new("cannot write the lock")
                .because(&error)
                .nothing_changed()
        })?;
        let people = folder.approvals(&plan_sha256, ui::interactive());
        let job = Job {
            id,
            refit: runs.refit(),
            plan,
            plan_sha256: &plan_sha256,
            people: &people,
            programs: &folder.programs(),
            past: Past::none(),
            file,
            lease,
        };
        let exit = carry_out(job, connection, output).await?;
        Ok((folder.id, exit))
    }
}
