//! The volumes of pods that have left: a drain is over once they are detached, or their pods cannot start anywhere else.
//!
//! A volume that a pod uses which stays is none of them. Where the node does not answer nobody unmounts its volumes, so that
//! there they are not waited for.
//!
//! Source: kubernetes-sigs/cluster-api, `shouldWaitForNodeVolumes` of its machine controller, which waits before it deletes a
//! node.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{AT_LEAST, Drain, LOOK_AGAIN, gone, in_short};
use crate::ports::{Attached, Failure};
use crate::run::event::Blocker;
use crate::run::step::{Stuck, Trouble};

/// The longest time between two looks: a change of any attachment wakes.
const LOOK_AT_LEAST: Duration = Duration::from_secs(10);

/// Pods by the volume that they use.
pub(super) type Users = BTreeMap<String, Vec<String>>;

impl Drain<'_, '_, '_> {
    /// Who uses what is attached to the node, to be told later; nothing where that cannot be read.
    pub(super) async fn users(&self) -> Users {
        let api = self.attempt.cx.world.api;
        match self.attempt.within(api.attached(self.node)).await {
            Some(Ok(list)) => list
                .volumes
                .into_iter()
                .map(|volume| (volume.volume, volume.pods))
                .collect(),
            Some(Err(_)) | None => Users::new(),
        }
    }

    /// Waits until nothing is attached to the node but what pods use that stay. Whether it had to, and what the reader should
    /// know.
    pub(super) async fn detach(&self, users: &Users) -> Result<(bool, Option<String>), Trouble> {
        let api = self.attempt.cx.world.api;
        let mut last: Vec<Blocker> = Vec::new();
        loop {
            let read = async { futures::try_join!(api.node(self.node), api.attached(self.node)) };
            let Some(read) = self.attempt.within(read).await else {
                return Err(self.still_attached(last));
            };
            let waited = !last.is_empty();
            match read {
                Ok((node, list)) => {
                    last = left(&list.volumes)
                        .map(|volume| told(volume, users.get(&volume.volume)))
                        .collect();
                    if last.is_empty() {
                        return Ok((waited, None));
                    }
                    let lines: Vec<String> = last.iter().map(|one| one.why.clone()).collect();
                    if node.is_unreachable() {
                        let named = lines.join("; ");
                        let note = format!(
                            "node {} is unreachable, so nobody waits for the detaching of {named}",
                            self.node
                        );
                        return Ok((waited, Some(note)));
                    }
                    self.attempt
                        .waiting(&format!("the detaching of {}", in_short(lines)))?;
                    if self.attempt.left().is_zero() {
                        return Err(self.still_attached(last));
                    }
                    self.attempt.pause(AT_LEAST).await;
                    let at_most = LOOK_AT_LEAST.min(self.attempt.left());
                    let changed = api.attached_changed(&list, at_most);
                    self.attempt.unless_stopping(changed).await?;
                }
                Err(Failure::NotFound(why)) => return Err(gone(self.node, &why)),
                Err(
                    failure @ (Failure::NotSent(_) | Failure::MaybeDone(_) | Failure::Refused(_)),
                ) => {
                    let what = format!("the volumes of {} to be read: {failure}", self.node);
                    self.attempt.waiting(&what)?;
                    if self.attempt.left().is_zero() {
                        return Err(self.attempt.timed_out());
                    }
                    self.attempt.idle(LOOK_AGAIN).await?;
                }
            }
        }
    }

    /// That the drain's time is over while these are attached still.
    fn still_attached(&self, blockers: Vec<Blocker>) -> Trouble {
        if blockers.is_empty() {
            return self.attempt.timed_out();
        }
        let lines: Vec<&str> = blockers.iter().map(|one| one.why.as_str()).collect();
        Trouble::Stuck(Stuck {
            what: format!(
                "node {} is not drained after {} s",
                self.node, self.attempt.step.timeout_s
            ),
            left: format!(
                "Its pods have left, and it still has: {}. `kubectl get volumeattachments` shows why they are not detached",
                lines.join("; ")
            ),
            blockers,
        })
    }
}

/// Those that no pod of the node uses any more.
fn left(volumes: &[Attached]) -> impl Iterator<Item = &Attached> {
    volumes.iter().filter(|volume| volume.pods.is_empty())
}

/// A volume and who used it: `volume pvc-1 of shop/db-0 (claim shop/data-db-0)`.
fn told(volume: &Attached, pods: Option<&Vec<String>>) -> Blocker {
    let pods = pods.map_or_else(String::new, |pods| pods.join(", "));
    let mut why = format!("volume {}", volume.volume);
    if !pods.is_empty() {
        why.push_str(&format!(" of {pods}"));
    }
    if let Some(claim) = &volume.claim {
        why.push_str(&format!(" (claim {claim})"));
    }
    Blocker {
        pod: if pods.is_empty() {
            "a pod that is gone".to_owned()
        } else {
            pods
        },
        budget: None,
        why,
    }
}
