//! The lease on the cluster, for commands that carry a run out.

use super::connect::Connection;
use super::runs::Runs;
use super::{CommandError, Exit, ui};
use crate::adapters::disk;
use crate::documents::settings::Inventory;
use crate::run::lease::{self, Claimant, Lease, Refusal, Seen};

/// Looks whether another refit has the cluster, before the cluster itself is looked at.
///
/// # Errors
/// If another one has, or nobody can tell.
pub async fn look(connection: &Connection, runs: &Runs, again: &str) -> Result<Seen, CommandError> {
    lease::look(connection.world(), &runs.place()?, &mut ui::line)
        .await
        .map_err(|refusal| told(&refusal, again))
}

/// Takes the lease for a run on these hosts, if nobody has since it was `seen`.
///
/// # Errors
/// If somebody has, or nobody can tell.
pub async fn take<'a>(
    connection: &'a Connection,
    runs: &Runs,
    run: &str,
    inventory: &Inventory,
    seen: Seen,
    again: &str,
) -> Result<Lease<'a>, CommandError> {
    let user = std::env::var("USER").unwrap_or_else(|_| "someone".to_owned());
    let me = Claimant {
        run: run.to_owned(),
        // a slash separates the parts of the Lease's holder
        who: format!(
            "{user}@{} (process {})",
            disk::machine(),
            std::process::id()
        )
        .replace('/', "_"),
        place: runs.place()?,
    };
    // all of them, also where this plan has nothing to do: another one may
    let hosts = inventory.hosts.keys().collect();
    Lease::take(connection.world(), &me, seen, &hosts, &mut ui::line)
        .await
        .map_err(|refusal| told(&refusal, again))
}

fn told(refusal: &Refusal, again: &str) -> CommandError {
    let error = CommandError::new(refusal.to_string()).nothing_changed();
    match refusal {
        Refusal::Held { .. } => error
            .exits(Exit::Blocked)
            .next("wait for its end, or stop it there")
            .next(format!("then `{again}`")),
        Refusal::Changed { .. } => error
            .exits(Exit::Blocked)
            .next(format!("`{again}` looks at the cluster afresh")),
        Refusal::Unknown(_) => error.exits(Exit::Blocked).next(format!("mend what it says, then `{again}`")).next(
            "the credentials need get, create and update of leases.coordination.k8s.io in namespace kube-system",
        ),
    }
}
