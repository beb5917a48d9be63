//! The taint of workers that are yet to be drained: put on all of a hop's, and taken off where the run rests.
//!
//! Each worker's goes with its own uncordon (`cordon`). A run that pauses, leaves its window or waits for somebody's word with
//! nobody at work takes the rest of them off, and writes that down first: the step counts as not done then, so that whoever
//! takes the run up carries it out again, before any of its workers is cordoned. Where the run halts for another reason the
//! taint stays, as a cordon does: it keeps no pod out, somebody is about to look, and `refit status` names the nodes.

use std::time::Duration;

use futures::stream::{self, StreamExt, TryStreamExt};

use super::cordon;
use super::event::{Event, How};
use super::executor::{Context, Unrecorded};
use super::lease::{Denied, Lease};
use super::state::StepState;
use super::step::{Finished, Trouble, Try};
use crate::cluster::model::NodeName;
use crate::plan::data::StepId;
use crate::ports::{Failure, World};

/// Nodes that are changed side by side.
const AT_ONCE: usize = 10;

/// How long refusals and broken connections are taken for an API server's restart.
const RESTARTING: Duration = Duration::from_secs(60);

/// Between two attempts.
const AGAIN: Duration = Duration::from_secs(2);

/// Puts the taint on those of the workers that are yet to be brought back.
pub(super) async fn put_on(attempt: &Try<'_, '_>) -> Result<Finished, Trouble> {
    let left = attempt.cx.outdated(|taints, state| {
        let own = taints.iter().find(|taint| taint.step.id == attempt.step.id);
        own.map_or_else(Vec::new, |taint| taint.left(state))
    });
    let ends: Vec<Finished> = stream::iter(left)
        .map(|node| async move {
            match cordon::taint(attempt, node).await {
                // One that is gone attracts no pods; what it means for the run is not this step's to say.
                Err(Trouble::Hopeless(gone)) => Ok(Finished {
                    how: How::Already,
                    note: Some(gone),
                }),
                ended => ended,
            }
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    let acted = ends.iter().any(|end| end.how == How::Acted);
    let mut notes: Vec<String> = ends.into_iter().filter_map(|end| end.note).collect();
    notes.sort();
    Ok(Finished {
        how: if acted {
            How::Acted
        } else {
            attempt.found_done()
        },
        note: (!notes.is_empty()).then(|| notes.join("; ")),
    })
}

/// Takes the taint off all workers that have it, because the run rests.
pub(super) async fn rest(cx: &Context<'_>) -> Result<(), Unrecorded> {
    let resting: Vec<(StepId, bool, Vec<&NodeName>)> = cx.outdated(|taints, state| {
        let begun = taints.iter().filter_map(|taint| {
            let done = match state.steps.get(&taint.step.id)? {
                StepState::Done { .. } => true,
                StepState::Started { .. } | StepState::Failed { .. } => false,
            };
            Some((taint.step.id.clone(), done, taint.left(state)))
        });
        begun.filter(|(_, _, left)| !left.is_empty()).collect()
    });
    for (step, done, nodes) in resting {
        if done {
            cx.record(Event::StepTakenBack { step: step.clone() })?;
        }
        let stays = take_off(cx.world, cx.run.lease, &nodes).await;
        if !stays.is_empty() {
            let error = format!(
                "the run rests, and its taint could not be taken off: {}. It keeps no pod out, and goes with the run's end",
                stays.join("; ")
            );
            cx.record(Event::StepFailed { step, error })?;
        }
    }
    Ok(())
}

/// Takes the taint off these nodes, where they have it. What stays, and why.
pub(super) async fn take_off(
    world: World<'_>,
    lease: &Lease<'_>,
    nodes: &[&NodeName],
) -> Vec<String> {
    let until = world.clock.monotonic() + RESTARTING;
    let mut stays: Vec<String> = stream::iter(nodes)
        .map(|node| async move {
            loop {
                let sent = match lease.permit().await {
                    Ok(permit) => world.api.taint_outdated(permit, node, false).await,
                    Err(Denied::NotNow(failure)) => Err(failure),
                    Err(Denied::Lost) => {
                        return Some(format!("{node}: another refit has the cluster"));
                    }
                };
                match sent {
                    Ok(()) | Err(Failure::NotFound(_)) => return None,
                    Err(failure) if world.clock.monotonic() >= until => {
                        return Some(format!("{node}: {failure}"));
                    }
                    Err(Failure::NotSent(_) | Failure::MaybeDone(_) | Failure::Refused(_)) => {
                        world.clock.sleep(AGAIN).await;
                    }
                }
            }
        })
        .buffer_unordered(AT_ONCE)
        .filter_map(|stays| async move { stays })
        .collect()
        .await;
    stays.sort();
    stays
}
