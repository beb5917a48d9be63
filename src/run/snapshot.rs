//! A snapshot of etcd: saved on a control plane, copied to this machine, compared, removed there, old ones pruned here.
//!
//! The copy gets its final name only after its digest was compared, so a file of that name is a whole snapshot, whenever
//! the run was cut off.

use std::path::Path;

use super::event::How;
use super::step::{Finished, Trouble, Try};
use super::{host_step, look, sweep};
use crate::cluster::model::HostName;
use crate::host::op::Mutation;

/// The step's arguments.
pub(super) struct Wanted<'a> {
    pub(super) host: &'a HostName,
    /// On the host, with the run's id in its name.
    pub(super) file: String,
    /// On this machine.
    pub(super) directory: &'a Path,
    pub(super) keep: u32,
    pub(super) trial_restore: bool,
}

/// Takes the snapshot, unless this run has it.
pub(super) async fn run(attempt: &Try<'_, '_>, wanted: &Wanted<'_>) -> Result<Finished, Trouble> {
    let store = attempt.cx.run.store;
    let inventory = &attempt.cx.run.plan.inventory;
    let name = name(inventory, attempt.cx.run.id, &wanted.file);
    let kept = wanted.directory.join(&name);
    let here = |error: std::io::Error| {
        Trouble::Failed(format!(
            "snapshots in {}: {error}",
            wanted.directory.display()
        ))
    };
    let (how, size, digest) = match store.digest(&kept).map_err(here)? {
        Some((size, digest)) => (How::Recovered, size, digest),
        None => {
            let (size, digest) = take(attempt, wanted, &kept).await?;
            (How::Acted, size, digest)
        }
    };
    let remove = Mutation::RemoveSnapshot {
        file: wanted.file.clone(),
    };
    attempt.start()?;
    host_step::run(attempt, wanted.host, Some("remove"), &remove).await?;
    prune(attempt, wanted, inventory, &name).map_err(here)?;
    let mut note = format!("{} ({size} bytes, sha256 {digest})", kept.display());
    if let Some(swept) = sweep::sweep(attempt, wanted, inventory, &name).await? {
        note.push_str("; ");
        note.push_str(&swept);
    }
    Ok(Finished {
        how,
        note: Some(note),
    })
}

/// Saves it on the host if it is not there, copies it here, compares.
async fn take(
    attempt: &Try<'_, '_>,
    wanted: &Wanted<'_>,
    kept: &Path,
) -> Result<(u64, String), Trouble> {
    let store = attempt.cx.run.store;
    let host = wanted.host;
    let save = Mutation::SaveSnapshot {
        file: wanted.file.clone(),
        trial_restore: wanted.trial_restore,
    };
    host_step::run(attempt, host, None, &save).await?;
    attempt.start()?;
    let (size, digest) = look::snapshot(attempt.cx.world, host, &wanted.file)
        .await
        .map_err(|problem| {
            Trouble::Failed(format!("host {host}: snapshot {}: {problem}", wanted.file))
        })?;
    let partial = kept.with_extension("db.partial");
    let download = attempt
        .cx
        .world
        .hosts
        .download(host, &wanted.file, &partial);
    let (received_size, received_digest) = attempt
        .within(download)
        .await
        .ok_or_else(|| attempt.timed_out())?
        .map_err(|failure| {
            Trouble::Failed(format!(
                "host {host}: snapshot {} could not be copied here: {failure}",
                wanted.file
            ))
        })?;
    if (received_size, &received_digest) != (size, &digest) {
        return Err(Trouble::Failed(format!(
            "the snapshot changed on its way from {host}: there {size} bytes, sha256 {digest}; here {received_size} bytes, \
             sha256 {received_digest}"
        )));
    }
    store
        .rename(&partial, kept)
        .map_err(|error| Trouble::Failed(format!("the snapshot {}: {error}", kept.display())))?;
    Ok((size, digest))
}

/// Removes the oldest snapshots of this inventory beyond those kept; never this run's, and nothing that is not named like
/// it: another inventory's name may begin with this one's.
fn prune(
    attempt: &Try<'_, '_>,
    wanted: &Wanted<'_>,
    inventory: &str,
    ours: &str,
) -> std::io::Result<()> {
    let store = attempt.cx.run.store;
    let prefix = format!("{inventory}-");
    let this_run = format!("{inventory}-{}", attempt.cx.run.id);
    let mut others: Vec<_> = store
        .list(wanted.directory)?
        .into_iter()
        .filter(|file| {
            !file.name.starts_with(&this_run)
                && file.name.starts_with(&prefix)
                && same_shape(without_hop(&file.name), without_hop(ours))
        })
        .collect();
    others.sort_by(|one, other| (other.modified, &other.name).cmp(&(one.modified, &one.name)));
    let keep = (wanted.keep as usize).saturating_sub(1);
    for file in others.into_iter().skip(keep) {
        store.remove(&wanted.directory.join(file.name))?;
    }
    Ok(())
}

/// What a run has more than one snapshot for: the minor that one was taken before.
const BEFORE: &str = "-before-";

/// `INVENTORY-RUN.db`; where the file on the host is one of several of this run, with the hop that it is for.
fn name(inventory: &str, run: &str, file: &str) -> String {
    let file = file.strip_suffix(".db").unwrap_or(file);
    let hop = file
        .rsplit_once('/')
        .and_then(|(_, file)| Some(file.split_once(BEFORE)?.1))
        .map(|minor| format!("{BEFORE}{minor}"))
        .unwrap_or_default();
    format!("{inventory}-{run}{hop}.db")
}

/// The name without the hop.
pub(super) fn without_hop(name: &str) -> &str {
    let name = name.strip_suffix(".db").unwrap_or(name);
    name.split_once(BEFORE).map_or(name, |(name, _)| name)
}

/// As long, with dashes and dots at the same places.
pub(super) fn same_shape(one: &str, other: &str) -> bool {
    let shape = |name: &str| -> Vec<Option<char>> {
        name.chars()
            .map(|c| (!c.is_ascii_alphanumeric()).then_some(c))
            .collect()
    };
    shape(one) == shape(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_hop_of_a_run_has_a_snapshot_of_its_own() {
        let of = |file| name("lab", "20261121-101112-ab", file);
        let first = of("/var/lib/etcd/refit-20261121-101112-ab.db");
        let second = of("/var/lib/etcd/refit-20261121-101112-ab-before-1.36.db");
        assert_eq!(first, "lab-20261121-101112-ab.db");
        assert_eq!(second, "lab-20261121-101112-ab-before-1.36.db");
        assert!(same_shape(without_hop(&first), without_hop(&second)));
        assert!(!same_shape(without_hop("lab-2-x.db"), without_hop(&first)));
    }
}
