//! A condition that is looked at again and again until it holds, perhaps for a while without a break.

use std::time::Duration;

use super::event::How;
use super::step::{Finished, Trouble, Try};

/// Between two looks.
const AGAIN: Duration = Duration::from_secs(10);

/// What a look at the condition came to.
pub(super) enum Look {
    /// It holds.
    Holds {
        /// What goes on being so: `every value to stay < 1`.
        going_on: String,
        /// What was seen of it, for the record.
        note: Option<String>,
    },
    /// It does not, or nobody can tell.
    Not {
        /// What is waited for, in a line.
        waiting: String,
        /// All that is known, for whoever reads why the run was halted.
        whole: String,
    },
}

/// Looks until it has held for so long. A look that it does not pass begins the time anew.
pub(super) async fn until(
    attempt: &Try<'_, '_>,
    for_s: u64,
    mut look: impl AsyncFnMut() -> Result<Look, Trouble>,
) -> Result<Finished, Trouble> {
    let clock = attempt.cx.world.clock;
    attempt.start()?;
    let mut held_since: Option<Duration> = None;
    let mut broke: Option<String> = None;
    loop {
        let (last, pause) = match look().await? {
            Look::Holds { going_on, note } => {
                let now = clock.monotonic();
                let since = *held_since.get_or_insert(now);
                let left = Duration::from_secs(for_s).saturating_sub(now.saturating_sub(since));
                if left.is_zero() {
                    let how = How::Acted;
                    return Ok(Finished { how, note });
                }
                attempt.waiting(&format!("{going_on} for {for_s} s"))?;
                let short = format!("It should have been so for {for_s} s without a break");
                let last = match &broke {
                    None => short,
                    Some(broke) => format!("{short}. The last break: {broke}"),
                };
                (last, left.min(AGAIN))
            }
            Look::Not { waiting, whole } => {
                held_since = None;
                broke = Some(whole.clone());
                attempt.waiting(&waiting)?;
                (whole, AGAIN)
            }
        };
        if attempt.cx.resting() {
            return Err(Trouble::LetGo);
        }
        // One that is given no time at all would only hide what the last one saw.
        attempt.idle(pause).await?;
        if attempt.left().is_zero() {
            return Err(Trouble::Failed(format!(
                "it does not hold after {} s. {last}\nNothing that waits for it was begun; `refit resume` asks again",
                attempt.step.timeout_s
            )));
        }
    }
}
