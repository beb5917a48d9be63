//! The lease on the cluster, for commands that carry a run out.

use super::connect::Connection;
use super::runs::{RunFolder, Runs};
use super::{CommandError, Exit, operator, ui};
use crate::cluster::model::Role;
use crate::documents::settings::Inventory;
use crate::plan::data::Plan;
use crate::plan::purpose::Purpose;
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
    let me = claimant(runs, run)?;
    // all of them, also where this plan has nothing to do: another one may
    let hosts = inventory.hosts.keys().collect();
    Lease::take(connection.world(), &me, seen, &hosts, &mut ui::line)
        .await
        .map_err(|refusal| told(&refusal, again))
}

/// Takes the cluster over for a run that restores it: by the lease where an API answers, else by the control planes alone.
///
/// # Errors
/// If another refit has it, or nobody can tell.
pub async fn take_over<'a>(
    connection: &'a Connection,
    runs: &Runs,
    run: &str,
    inventory: &Inventory,
    again: &str,
) -> Result<Lease<'a>, CommandError> {
    let world = connection.world();
    match lease::look(world, &runs.place()?, &mut ui::line).await {
        Ok(seen) => take(connection, runs, run, inventory, seen, again).await,
        Err(Refusal::Unknown(failure)) => {
            ui::line(&format!(
                "no API answers ({failure}): the cluster is taken over by its control planes alone"
            ));
            let control_planes = inventory.hosts.values();
            let control_planes = control_planes
                .filter(|host| host.role == Role::ControlPlane)
                .map(|host| &host.name)
                .collect();
            Lease::take_by_hosts(world, &claimant(runs, run)?, &control_planes)
                .await
                .map_err(|refusal| told(&refusal, again))
        }
        Err(refusal @ (Refusal::Held { .. } | Refusal::Changed { .. })) => {
            Err(told(&refusal, again))
        }
    }
}

/// Takes the cluster for a run that has begun before, as its purpose asks for.
///
/// # Errors
/// If another refit has it, or nobody can tell.
pub async fn take_again<'a>(
    connection: &'a Connection,
    runs: &Runs,
    run: &RunFolder,
    plan: &Plan,
    inventory: &Inventory,
    again: &str,
) -> Result<Lease<'a>, CommandError> {
    match plan.purpose() {
        Purpose::Restore => take_over(connection, runs, &run.id, inventory, again).await,
        Purpose::Upgrade | Purpose::Snapshot | Purpose::Rollback => {
            let seen = look(connection, runs, again).await?;
            take(connection, runs, &run.id, inventory, seen, again).await
        }
    }
}

fn claimant(runs: &Runs, run: &str) -> Result<Claimant, CommandError> {
    Ok(Claimant {
        run: run.to_owned(),
        // a slash separates the parts of the Lease's holder
        who: format!("{} (process {})", operator(), std::process::id()).replace('/', "_"),
        place: runs.place()?,
    })
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
