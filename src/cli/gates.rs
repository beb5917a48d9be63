//! What the gates of a plan need of this machine, looked at before anything changes: nobody wants to learn in the middle of the
//! night that a token was never set.

use std::path::Path;

use super::CommandError;
use crate::adapters::{program, prometheus};
use crate::plan::data::{Action, Condition, Plan, StepId};
use crate::run::metrics_step::port;

/// Refuses a plan with gates that could not be asked from here. Asks none of them.
///
/// # Errors
/// What is missing, gate by gate.
pub fn refuse_unready(
    plan: &Plan,
    is_done: impl Fn(&StepId) -> bool,
    again: &str,
) -> Result<(), CommandError> {
    let mut wrong: Vec<String> = Vec::new();
    for step in plan.steps.iter().filter(|step| !is_done(&step.id)) {
        let Action::Gate { gate } = &step.action else {
            continue;
        };
        let ready = match &gate.condition {
            Condition::Approval { .. } => Ok(()),
            Condition::Command { run, directory, .. } => program::ready(Path::new(directory), run),
            Condition::Prometheus { server, .. } => prometheus::ready(port(server)),
        };
        // A gate stands in every hop.
        if let Err(why) = ready.map_err(|why| format!("gate `{}`: {why}", gate.name))
            && !wrong.contains(&why)
        {
            wrong.push(why);
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    let what = "the run would come to gates that cannot be asked from here";
    Err(wrong
        .into_iter()
        .fold(CommandError::new(what), CommandError::detail)
        .state("nothing was changed now")
        .next(format!("mend what it says, then `{again}`")))
}
