//! Cordon and uncordon, with respect for whose cordon it is, and the taint of nodes that are yet to be drained.
//!
//! A node that someone else cordoned stays cordoned: the mark that refit writes with its own cordons tells them apart. Both
//! changes are safe to decide again from a fresh read, so they are repeated while the API server's answers may be due to
//! its restart, and never without reading first.

use std::time::Duration;

use super::event::How;
use super::step::{Finished, Trouble, Try};
use crate::cluster::model::{Node, NodeName};
use crate::ports::Failure;

/// How long refusals, 403 among them, and broken connections are taken for an API server's restart: for some seconds after
/// one its authorizer answers 403 to an administrator, and while an etcd member restarts requests hang for up to 34 s.
const RESTARTING: Duration = Duration::from_secs(90);

/// Between two attempts.
const AGAIN: Duration = Duration::from_secs(2);

const FOREIGN: &str = "cordoned by someone else; stays so";

/// What a change is after.
#[derive(Clone, Copy)]
enum Wanted {
    Cordoned,
    Uncordoned,
    Tainted,
    Untainted,
}

/// Where a node stands with respect to it.
enum Found {
    /// There is nothing to change; says why when that is not plain.
    Settled(Option<&'static str>),
    /// It is to be changed.
    Open,
}

impl Wanted {
    fn judge(self, node: &Node) -> Found {
        match self {
            Self::Cordoned => match (node.unschedulable, &node.cordoned_by) {
                (true, Some(_)) => Found::Settled(None),
                (true, None) => Found::Settled(Some(FOREIGN)),
                (false, _) => Found::Open,
            },
            Self::Uncordoned => match (node.unschedulable, &node.cordoned_by) {
                (false, None) => Found::Settled(None),
                (true, None) => Found::Settled(Some(FOREIGN)),
                // A mark without a cordon is taken off too: with it, the next cordon of someone else would look like ours.
                (_, Some(_)) => Found::Open,
            },
            Self::Tainted | Self::Untainted => {
                if node.is_outdated() == matches!(self, Self::Tainted) {
                    Found::Settled(None)
                } else {
                    Found::Open
                }
            }
        }
    }
}

/// Cordons the node.
pub(super) async fn cordon(attempt: &Try<'_, '_>, node: &NodeName) -> Result<Finished, Trouble> {
    settle(attempt, node, Wanted::Cordoned).await
}

/// Makes the node schedulable, if refit cordoned it.
pub(super) async fn uncordon(attempt: &Try<'_, '_>, node: &NodeName) -> Result<Finished, Trouble> {
    settle(attempt, node, Wanted::Uncordoned).await
}

/// Taints the node as one that is yet to be drained.
pub(super) async fn taint(attempt: &Try<'_, '_>, node: &NodeName) -> Result<Finished, Trouble> {
    settle(attempt, node, Wanted::Tainted).await
}

/// Takes the taint off and makes the node schedulable, in this order: what is schedulable again is outdated no more, whenever
/// the run is killed.
pub(super) async fn back(attempt: &Try<'_, '_>, node: &NodeName) -> Result<Finished, Trouble> {
    let untainted = settle(attempt, node, Wanted::Untainted).await?;
    let uncordoned = uncordon(attempt, node).await?;
    Ok(match untainted.how {
        How::Acted => Finished {
            how: How::Acted,
            ..uncordoned
        },
        How::Already | How::Recovered => uncordoned,
    })
}

async fn settle(
    attempt: &Try<'_, '_>,
    node: &NodeName,
    wanted: Wanted,
) -> Result<Finished, Trouble> {
    let cx = attempt.cx;
    let mut acted = false;
    let mut trouble_since: Option<Duration> = None;
    loop {
        let problem = match attempt.within(cx.world.api.node(node)).await {
            None => return Err(attempt.timed_out()),
            Some(Ok(found)) => match wanted.judge(&found) {
                Found::Settled(note) => {
                    let how = if acted {
                        How::Acted
                    } else {
                        attempt.found_done()
                    };
                    let note = note.map(str::to_owned);
                    return Ok(Finished { how, note });
                }
                Found::Open => {
                    if acted && trouble_since.is_none() {
                        attempt
                            .waiting(&format!("the change of {node} to last: someone undoes it"))?;
                        attempt.pause(AGAIN).await;
                    }
                    attempt.start()?;
                    acted = true;
                    let api = cx.world.api;
                    let change = async {
                        let sent = match attempt.permit().await? {
                            Err(failure) => Err(failure),
                            Ok(permit) => match wanted {
                                Wanted::Cordoned => api.cordon(permit, node, cx.run.id).await,
                                Wanted::Uncordoned => api.uncordon(permit, node).await,
                                Wanted::Tainted => api.taint_outdated(permit, node, true).await,
                                Wanted::Untainted => api.taint_outdated(permit, node, false).await,
                            },
                        };
                        Ok::<_, Trouble>(sent)
                    };
                    match attempt.within(change).await {
                        None => return Err(attempt.timed_out()),
                        // The next read confirms it.
                        Some(sent) => sent?.err(),
                    }
                }
            },
            Some(Err(failure)) => Some(failure),
        };
        match problem {
            None => {}
            Some(Failure::NotFound(why)) => {
                return Err(Trouble::Hopeless(format!(
                    "node {node} does not exist any more: {why}"
                )));
            }
            Some(failure @ (Failure::NotSent(_) | Failure::MaybeDone(_) | Failure::Refused(_))) => {
                let now = cx.world.clock.monotonic();
                let since = *trouble_since.get_or_insert(now);
                if now.saturating_sub(since) >= RESTARTING {
                    return Err(Trouble::Failed(format!(
                        "node {node} is as it was: its change has been refused for {} s: {failure}",
                        RESTARTING.as_secs()
                    )));
                }
                attempt.waiting(&format!(
                    "the API server to take the change of {node}: {failure}"
                ))?;
            }
        }
        if attempt.left().is_zero() {
            return Err(attempt.timed_out());
        }
        if trouble_since.is_some() {
            attempt.pause(AGAIN).await;
        }
    }
}
