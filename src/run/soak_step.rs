//! Time that must pass while nodes stay ready.
//!
//! It counts from when the journal first has the step's beginning, by the wall clock, so that a killed and resumed run waits
//! for the rest only. While a process waits it goes by a clock that never jumps. A wall clock that went back makes a resumed
//! soak begin anew; it never takes longer than its whole time from now. One that a node's state ended begins anew as well.

use std::time::Duration;

use jiff::Timestamp;

use super::event::How;
use super::health;
use super::state::StepState;
use super::step::{Finished, Trouble, Try};
use crate::cluster::model::NodeName;
use crate::ports::Failure;

/// Between two looks at the nodes. The API learns only after some 40 s that a node is gone.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// The same, once the time is over and only the last look is missing.
const ONCE_OVER: Duration = Duration::from_secs(1);

/// Waits until the time has passed and the nodes are seen ready after it.
pub(super) async fn run(
    attempt: &Try<'_, '_>,
    for_s: u64,
    nodes: &[NodeName],
) -> Result<Finished, Trouble> {
    let clock = attempt.cx.world.clock;
    attempt.start()?;
    let now = clock.now();
    let left = left(
        began(attempt).unwrap_or(now),
        now,
        Duration::from_secs(for_s),
    );
    let ends = clock.monotonic() + left;
    let until = now.saturating_add(left).unwrap_or(now);
    let until = format!("soaks until {}", until.strftime("%Y-%m-%d %H:%M:%SZ"));
    attempt.waiting(&format!("time to pass: {until}"))?;
    let mut look_at = clock.monotonic();
    loop {
        let over = clock.monotonic() >= ends;
        if over || clock.monotonic() >= look_at {
            match attempt.within(look(attempt, nodes)).await {
                None => return Err(attempt.timed_out()),
                Some(Ok(Seen::Deleted(names))) => {
                    return Err(Trouble::Hopeless(deleted(&names, for_s)));
                }
                Some(Ok(Seen::NotReady(missing))) => {
                    return Err(Trouble::Hopeless(turned(&missing, for_s)));
                }
                Some(Ok(Seen::Ready)) if over => {
                    return Ok(Finished {
                        how: How::Acted,
                        note: None,
                    });
                }
                Some(Ok(Seen::Ready)) => attempt.waiting(&format!("time to pass: {until}"))?,
                Some(Err(why)) => {
                    attempt.waiting(&format!("a look at its nodes: {why}; {until}"))?;
                }
            }
            look_at = clock.monotonic() + LOOK_AGAIN;
        }
        if attempt.cx.resting() {
            return Err(Trouble::LetGo);
        }
        if attempt.left().is_zero() {
            return Err(attempt.timed_out());
        }
        // Its end may come before the next look; where the look at its end failed, only that is waited for.
        let until = match ends.saturating_sub(clock.monotonic()) {
            left if left.is_zero() => ONCE_OVER,
            left => left.min(look_at.saturating_sub(clock.monotonic())),
        };
        attempt.idle(until).await?;
    }
}

/// What a look at the nodes came to.
enum Seen {
    /// All of them are ready.
    Ready,
    /// These are gone, which no waiting changes.
    Deleted(Vec<NodeName>),
    /// What is not ready, in words.
    NotReady(Vec<String>),
}

/// When this try first began, as the journal has it.
fn began(attempt: &Try<'_, '_>) -> Option<Timestamp> {
    match attempt.cx.step_state(&attempt.step.id) {
        Some(StepState::Started { began, .. }) => Some(began),
        None | Some(StepState::Done { .. } | StepState::Failed { .. }) => None,
    }
}

/// What is left of it.
fn left(began: Timestamp, now: Timestamp, whole: Duration) -> Duration {
    match Duration::try_from(now.duration_since(began)) {
        Ok(passed) => whole.saturating_sub(passed),
        // The clock went back: how much has passed is not known.
        Err(_) => whole,
    }
}

async fn look(attempt: &Try<'_, '_>, nodes: &[NodeName]) -> Result<Seen, String> {
    let api = attempt.cx.world.api;
    let all = match nodes {
        [name] => match api.node(name).await {
            Ok(node) => vec![node],
            Err(Failure::NotFound(_)) => Vec::new(),
            Err(failure @ (Failure::NotSent(_) | Failure::MaybeDone(_) | Failure::Refused(_))) => {
                return Err(failure.to_string());
            }
        },
        _ => api.nodes().await.map_err(|failure| failure.to_string())?,
    };
    let mut deleted = nodes.to_vec();
    deleted.retain(|name| all.iter().all(|node| node.name != *name));
    if !deleted.is_empty() {
        return Ok(Seen::Deleted(deleted));
    }
    let (found, _) = health::select(&all, nodes);
    let missing: Vec<String> = found.into_iter().flat_map(health::not_ready).collect();
    Ok(match missing.is_empty() {
        true => Seen::Ready,
        false => Seen::NotReady(missing),
    })
}

fn deleted(names: &[NodeName], for_s: u64) -> String {
    let names: Vec<&str> = names.iter().map(NodeName::as_str).collect();
    format!(
        "the cluster has no node {} any more: deleted within the {for_s} s in which it should have stayed ready. Nothing that \
         waits for it was begun. Where it comes back under its name, `refit resume` lets the whole time pass anew; where it does \
         not, take it out of the inventory and `refit apply UPGRADE --new-run` plans what is left",
        names.join(", ")
    )
}

fn turned(missing: &[String], for_s: u64) -> String {
    format!(
        "{}. It should have stayed ready for {for_s} s. Nothing that waits for it was begun. `kubectl describe \
         node` tells why; once all are ready again, `refit resume` lets the whole time pass anew",
        missing.join("; ")
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_never_more_than_the_whole_nor_less_than_asked_for() {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let whole = Duration::from_secs(600);
        for (began, now, expected) in [
            (1000, 1000, 600),
            (1000, 1100, 500),
            (1000, 1600, 0),
            (1000, 90_000, 0),
            // the clock went back
            (1000, 999, 600),
            (1000, 0, 600),
        ] {
            assert_eq!(
                left(at(began), at(now), whole),
                Duration::from_secs(expected),
                "{began} {now}"
            );
        }
    }
}
