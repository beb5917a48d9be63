//! A snapshot of etcd: saved on a control plane, copied to this machine, compared, removed there, old ones pruned here.
//!
//! ```text
//! INVENTORY-RUN.db        the snapshot
//! INVENTORY-RUN.tar       what it is nothing without: /etc/kubernetes/pki, the encryption configuration
//! INVENTORY-RUN.json      whose it is, and what both must be (plan::saved)
//! ```
//!
//! All are 0600. Encrypted to age recipients, the first two end with `.age`, and what they hold is never on this machine's disk
//! in the clear. The snapshot gets its final name last, after both digests were compared, so a file of that name is a whole
//! snapshot with all that belongs to it, whenever the run was cut off.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::event::How;
use super::step::{Finished, Trouble, Try};
use super::{host_step, look, sweep};
use crate::cluster::model::HostName;
use crate::host::op::{Mutation, archive_of};
use crate::plan::saved::{BEFORE, FORMAT, Names, Saved, SavedFile, bare, is_database};

/// What has no snapshot beside it for so long was left by a run that was killed.
const FORSAKEN: Duration = Duration::from_secs(3600);

/// The step's arguments.
pub(super) struct Wanted<'a> {
    pub(super) host: &'a HostName,
    /// On the host, with the run's id in its name.
    pub(super) file: String,
    /// On this machine.
    pub(super) directory: &'a Path,
    pub(super) keep: u32,
    pub(super) trial_restore: bool,
    /// age recipients.
    pub(super) encrypt_to: &'a [String],
}

/// Takes the snapshot, unless this run has it.
pub(super) async fn run(attempt: &Try<'_, '_>, wanted: &Wanted<'_>) -> Result<Finished, Trouble> {
    let store = attempt.cx.run.store;
    let inventory = &attempt.cx.run.plan.inventory;
    let sealed = !wanted.encrypt_to.is_empty();
    let kept = Names::of(inventory, attempt.cx.run.id, &wanted.file, sealed);
    let name = kept.database();
    let database = wanted.directory.join(&name);
    let here = |error: std::io::Error| {
        Trouble::Failed(format!(
            "snapshots in {}: {error}",
            wanted.directory.display()
        ))
    };
    let (how, size, digest) = match store.digest(&database).map_err(here)? {
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
    let sealed = if sealed { ", encrypted" } else { "" };
    let mut note = format!(
        "{} ({size} bytes, sha256 {digest}{sealed})",
        database.display()
    );
    if let Some(swept) = sweep::sweep(attempt, wanted, inventory, &name).await? {
        note.push_str("; ");
        note.push_str(&swept);
    }
    Ok(Finished {
        how,
        note: Some(note),
    })
}

/// Saves it on the host if it is not there, copies it here, compares; size and SHA-256 of the file here.
async fn take(
    attempt: &Try<'_, '_>,
    wanted: &Wanted<'_>,
    kept: &Names,
) -> Result<(u64, String), Trouble> {
    let run = attempt.cx.run;
    let host = wanted.host;
    let save = Mutation::SaveSnapshot {
        file: wanted.file.clone(),
        trial_restore: wanted.trial_restore,
    };
    host_step::run(attempt, host, None, &save).await?;
    attempt.start()?;
    let there = look::snapshot(attempt.cx.world, host, &wanted.file)
        .await
        .map_err(|problem| {
            Trouble::Failed(format!("host {host}: snapshot {}: {problem}", wanted.file))
        })?;
    let database = Copy {
        from: wanted.file.clone(),
        name: kept.database(),
        size: there.size,
        sha256: there.sha256,
    };
    let archive = Copy {
        from: archive_of(&wanted.file),
        name: kept.archive(),
        size: there.archive.0,
        sha256: there.archive.1,
    };
    let (database, size) = database.bring(attempt, wanted).await?;
    let (archive, _) = archive.bring(attempt, wanted).await?;
    let digest = database.kept_sha256.clone();
    let (last, before) = (database.name.clone(), archive.name.clone());
    let saved = Saved {
        format: FORMAT.to_owned(),
        inventory: run.plan.inventory.clone(),
        cluster_uid: run.plan.cluster_uid.clone(),
        authority_sha256: there.authority_sha256,
        run: run.id.to_owned(),
        host: host.clone(),
        taken_at: attempt.cx.world.clock.now(),
        etcd: there.release,
        revision: there.revision,
        keys: there.keys,
        encrypted_to: wanted.encrypt_to.to_vec(),
        database,
        archive,
    };
    let cannot = |name: &str, why: &dyn std::fmt::Display| {
        let path = wanted.directory.join(name);
        Trouble::Failed(format!("the snapshot {}: {why}", path.display()))
    };
    let named = |name: &str| {
        let path = wanted.directory.join(name);
        run.store
            .rename(&partial(&path), &path)
            .map_err(|error| cannot(name, &error))
    };
    named(&before)?;
    let record = kept.record();
    let text = saved.to_json().map_err(|error| cannot(&record, &error))?;
    run.store
        .write(&wanted.directory.join(&record), &text)
        .map_err(|error| cannot(&record, &error))?;
    named(&last)?;
    Ok((size, digest))
}

/// A file of the snapshot on its way here.
struct Copy {
    from: String,
    name: String,
    /// In the clear, as its host says.
    size: u64,
    sha256: String,
}

impl Copy {
    /// Copies it beside its final name and compares; with the size that it has here.
    async fn bring(
        self,
        attempt: &Try<'_, '_>,
        wanted: &Wanted<'_>,
    ) -> Result<(SavedFile, u64), Trouble> {
        let host = wanted.host;
        let partial = partial(&wanted.directory.join(&self.name));
        let hosts = attempt.cx.world.hosts;
        let download = hosts.download(host, &self.from, &partial, wanted.encrypt_to);
        let (size, sha256) = attempt
            .within(download)
            .await
            .ok_or_else(|| attempt.timed_out())?
            .map_err(|failure| {
                Trouble::Failed(format!(
                    "host {host}: snapshot {} could not be copied here: {failure}",
                    self.from
                ))
            })?;
        if (size, &sha256) != (self.size, &self.sha256) {
            return Err(Trouble::Failed(format!(
                "the snapshot changed on its way from {host}: there {} bytes, sha256 {}; here {size} bytes, sha256 {sha256}",
                self.size, self.sha256
            )));
        }
        let (kept_size, kept_sha256) = attempt
            .cx
            .run
            .store
            .digest(&partial)
            .map_err(|error| Trouble::Failed(format!("{}: {error}", partial.display())))?
            .ok_or_else(|| Trouble::Failed(format!("{} is gone", partial.display())))?;
        let file = SavedFile {
            name: self.name,
            size,
            sha256,
            kept_sha256,
        };
        Ok((file, kept_size))
    }
}

fn partial(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    PathBuf::from(name)
}

/// Removes the oldest snapshots of this inventory beyond those kept, with all that belongs to them; never this run's, and
/// nothing that is not named like it: another inventory's name may begin with this one's. What killed runs left without a
/// snapshot goes too.
fn prune(
    attempt: &Try<'_, '_>,
    wanted: &Wanted<'_>,
    inventory: &str,
    ours: &str,
) -> std::io::Result<()> {
    let store = attempt.cx.run.store;
    let now = attempt.cx.world.clock.now();
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
    let snapshots: Vec<&str> = others
        .iter()
        .filter(|file| is_database(&file.name))
        .map(|file| bare(&file.name))
        .collect();
    let whole: BTreeSet<&str> = snapshots.iter().copied().collect();
    let keep = (wanted.keep as usize).saturating_sub(1);
    let gone: BTreeSet<&str> = snapshots.into_iter().skip(keep).collect();
    let forsaken = |file: &crate::ports::StoredFile| {
        let age = now.duration_since(file.modified);
        !whole.contains(bare(&file.name)) && age.unsigned_abs() >= FORSAKEN && file.modified < now
    };
    let goes = |file: &&crate::ports::StoredFile| {
        bare(&file.name) != file.name && (gone.contains(bare(&file.name)) || forsaken(file))
    };
    // the snapshot itself last, so that what is left of it when this is cut off goes the next time
    let (last, first): (Vec<_>, Vec<_>) = others
        .iter()
        .filter(goes)
        .partition(|file| is_database(&file.name));
    for file in first.into_iter().chain(last) {
        store.remove(&wanted.directory.join(&file.name))?;
    }
    Ok(())
}

/// The name without the hop, and without what tells a snapshot's files apart.
pub(super) fn without_hop(name: &str) -> &str {
    let name = bare(name);
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
    fn a_snapshots_files_are_told_from_those_of_others_by_the_shape_of_their_names() {
        let names = |file, sealed| Names::of("lab", "20261121-101112-ab", file, sealed);
        let first = names("/var/lib/etcd/refit-20261121-101112-ab.db", false);
        let second = names(
            "/var/lib/etcd/refit-20261121-101112-ab-before-1.36.db",
            true,
        );
        let all = [first.database(), first.archive(), first.record()]
            .into_iter()
            .chain([second.database(), second.archive(), second.record()]);
        for name in all {
            assert_eq!(without_hop(&name), "lab-20261121-101112-ab", "{name}");
        }
        assert!(!same_shape(
            without_hop("lab-2-x.db"),
            without_hop(&first.database())
        ));
    }
}
