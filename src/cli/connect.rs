//! The real world for a command: the cluster's API, the hosts, the clock.

use std::future::Future;

use super::runs::Runs;
use super::{CommandError, Exit, ui};
use crate::adapters::clock::RealClock;
use crate::adapters::disk;
use crate::adapters::kube::Kube;
use crate::adapters::ssh::Ssh;
use crate::cluster::facts::{Facts, Observed};
use crate::cluster::observe::observe;
use crate::documents::settings::{Inventory, KeySource, Upgrade};
use crate::ports::World;

/// A signing key is smaller than this.
const KEY_LIMIT: u64 = 64 * 1024;

/// Runs a command's future on this thread.
///
/// # Errors
/// What the future says, or that there is no runtime.
pub fn block_on<T>(
    future: impl Future<Output = Result<T, CommandError>>,
) -> Result<T, CommandError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CommandError::new("cannot start").because(&error))?
        .block_on(future)
}

/// The adapters, kept for as long as a command talks to the world.
pub struct Connection {
    kube: Kube,
    ssh: Ssh,
    clock: RealClock,
}

impl Connection {
    /// Opens the kubeconfig and prepares SSH; talks to nobody yet.
    ///
    /// # Errors
    /// If the kubeconfig cannot be used, or SSH cannot be prepared.
    pub async fn open(inventory: &Inventory) -> Result<Self, CommandError> {
        let kube = Kube::open(&inventory.kubeconfig, inventory.context.as_deref())
            .await
            .map_err(|error| {
                CommandError::new(error.to_string())
                    .nothing_changed()
                    .next(format!(
                        "mend `kubernetes.kubeconfig` or `kubernetes.context` of inventory `{}`, then run this again",
                        inventory.name
                    ))
            })?;
        let ssh = Ssh::new(inventory)
            .map_err(|failure| CommandError::new(failure.to_string()).nothing_changed())?;
        Ok(Self {
            kube,
            ssh,
            clock: RealClock::new(),
        })
    }

    /// As ports.
    pub fn world(&self) -> World<'_> {
        World {
            api: &self.kube,
            hosts: &self.ssh,
            clock: &self.clock,
        }
    }

    /// Ends all connections.
    pub async fn close(self) {
        self.ssh.close().await;
    }
}

/// Looks at everything.
pub async fn look(
    world: World<'_>,
    inventory: &Inventory,
    upgrade: Option<&Upgrade>,
    runs: &Runs,
) -> Result<Facts, CommandError> {
    ui::line(&format!(
        "looking at the API and {} hosts of `{}`; nothing is changed",
        inventory.hosts.len(),
        inventory.name
    ));
    let key_text = upgrade.map(key_text).transpose()?.flatten();
    let mut facts = observe(world, inventory, upgrade, key_text).await;
    if let Observed::Known(uid) = &facts.cluster.uid {
        match runs.durations(uid) {
            Ok(durations) => facts.durations = durations,
            Err(error) => ui::line(&format!(
                "how long steps took in earlier runs is not known: {}",
                error.render()
            )),
        }
    }
    Ok(facts)
}

/// The cluster's UID, without which nothing is known of the cluster: planning is blocked then, as by a host that does not
/// answer.
///
/// # Errors
/// If it was not observed.
pub fn cluster_uid(facts: &Facts) -> Result<&str, CommandError> {
    match &facts.cluster.uid {
        Observed::Known(uid) => Ok(uid),
        Observed::Unknown(why) => Err(CommandError::new("the cluster's API could not be asked")
            .detail(why)
            .exits(Exit::Blocked)
            .nothing_changed()
            .next("mend what it says, then run this again")),
    }
}

/// The signing key, where it is a file beside the declaration.
///
/// # Errors
/// If it cannot be read.
pub fn key_text(upgrade: &Upgrade) -> Result<Option<String>, CommandError> {
    match &upgrade.packages.key {
        KeySource::Url(_) => Ok(None),
        KeySource::File(path) => {
            let wrong = |why: &str| {
                CommandError::new(format!("packages.key: {} {why}", path.display()))
                    .nothing_changed()
            };
            let bytes = disk::read_up_to(path, KEY_LIMIT)
                .map_err(|error| wrong("cannot be read").because(&error))?;
            if bytes.len() as u64 > KEY_LIMIT {
                return Err(wrong("is too long for a signing key"));
            }
            String::from_utf8(bytes)
                .map(Some)
                .map_err(|_| wrong("is not ASCII-armoured"))
        }
    }
}
