//! What killed runs left of their snapshots: copies cut off on their way here, and the files in etcd's data directory, which
//! take room where etcd needs it.
//!
//! Only what is named as this run's own would be is touched, and of that only what is another run's and has been left alone for
//! longer than any run keeps it: a snapshot lies on its host, and a copy grows here, within one step. What cannot be swept is
//! told and left; it is no reason to fail.

use std::time::Duration;

use super::snapshot::{Wanted, same_shape, without_hop};
use super::step::{Trouble, Try};
use super::{host_step, look};
use crate::host::op::Mutation;

/// What is younger is left alone, however short the step's own time.
const YOUNG: Duration = Duration::from_secs(3600);

/// Sweeps, where `kept` is the name of this run's own snapshot here. What was removed and what could not be, for the reader.
pub(super) async fn sweep(
    attempt: &Try<'_, '_>,
    wanted: &Wanted<'_>,
    inventory: &str,
    kept: &str,
) -> Result<Option<String>, Trouble> {
    let step = attempt.step;
    let tries = u64::from(step.retries) + 1;
    let alone = YOUNG.max(Duration::from_secs(step.timeout_s.saturating_mul(tries)));
    let here = here(attempt, wanted, inventory, kept, alone);
    let there = match there(attempt, wanted, alone).await {
        Ok(told) => told,
        Err(Trouble::Failed(why) | Trouble::Hopeless(why)) => Some(format!(
            "what earlier runs left on {} stays: {why}",
            wanted.host
        )),
        Err(
            trouble @ (Trouble::Stuck(_)
            | Trouble::CutShort(_)
            | Trouble::Deferred
            | Trouble::LetGo
            | Trouble::Unrecorded),
        ) => {
            return Err(trouble);
        }
    };
    let told: Vec<String> = [here, there].into_iter().flatten().collect();
    Ok((!told.is_empty()).then(|| told.join("; ")))
}

/// Cut-off copies of other runs on this machine.
fn here(
    attempt: &Try<'_, '_>,
    wanted: &Wanted<'_>,
    inventory: &str,
    kept: &str,
    alone: Duration,
) -> Option<String> {
    let store = attempt.cx.run.store;
    let now = attempt.cx.world.clock.now();
    let prefix = format!("{inventory}-");
    let this_run = format!("{inventory}-{}", attempt.cx.run.id);
    let stays = |error: std::io::Error| Some(format!("cut-off copies here stay: {error}"));
    let files = match store.list(wanted.directory) {
        Ok(files) => files,
        Err(error) => return stays(error),
    };
    let mut removed = Vec::new();
    for file in files {
        let whole = file.name.trim_end_matches(".partial");
        let old = now.duration_since(file.modified).unsigned_abs() >= alone && file.modified < now;
        let cut_off = whole != file.name && !file.name.starts_with(&this_run);
        let same = || same_shape(without_hop(whole), without_hop(kept));
        if !(cut_off && old && whole.starts_with(&prefix) && same()) {
            continue;
        }
        if let Err(error) = store.remove(&wanted.directory.join(&file.name)) {
            return stays(error);
        }
        removed.push(file.name);
    }
    (!removed.is_empty()).then(|| format!("removed cut-off copies here: {}", removed.join(", ")))
}

/// Snapshots of other runs on the host.
async fn there(
    attempt: &Try<'_, '_>,
    wanted: &Wanted<'_>,
    alone: Duration,
) -> Result<Option<String>, Trouble> {
    let Some((directory, own)) = wanted.file.rsplit_once('/') else {
        return Ok(None);
    };
    let found = attempt
        .within(look::left_snapshots(
            attempt.cx.world,
            wanted.host,
            directory,
        ))
        .await
        .ok_or_else(|| attempt.timed_out())?
        .map_err(|problem| Trouble::Failed(problem.to_string()))?;
    let files: Vec<String> = found
        .into_iter()
        .filter(|(name, age)| {
            let whole = name.trim_end_matches(".part").trim_end_matches(".new");
            !name.contains(attempt.cx.run.id)
                && same_shape(without_hop(whole), without_hop(own))
                && *age >= alone
        })
        .map(|(name, _)| name)
        .collect();
    if files.is_empty() {
        return Ok(None);
    }
    let told = format!(
        "removed what earlier runs left in {directory} of {}: {}",
        wanted.host,
        files.join(", ")
    );
    let remove = Mutation::RemoveLeftSnapshots {
        directory: directory.to_owned(),
        files,
    };
    host_step::run(attempt, wanted.host, Some("sweep"), &remove).await?;
    Ok(Some(told))
}
