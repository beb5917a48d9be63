//! What the gates and hooks of a plan need of this machine, looked at before anything changes: nobody wants to learn in the middle of the
//! night that a token was never set, or that a script is not there.

use std::path::Path;

use super::CommandError;
use crate::adapters::{program, prometheus};
use crate::plan::data::{Action, Condition, Plan, StepId};
use crate::run::metrics_step::port;

/// Refuses a plan with gates that could not be asked from here, or hooks that could not be run. Asks and runs none of them.
///
/// # Errors
/// What is missing, one by one.
pub fn refuse_unready(
    plan: &Plan,
    is_done: impl Fn(&StepId) -> bool,
    again: &str,
) -> Result<(), CommandError> {
    let mut wrong: Vec<String> = Vec::new();
    for step in plan.steps.iter().filter(|step| !is_done(&step.id)) {
        // One stands in every hop.
        if let Err(why) = ready(&step.action)
            && !wrong.contains(&why)
        {
            wrong.push(why);
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    let what = "the run would come to gates or hooks that cannot be asked or run from here";
    Err(wrong
        .into_iter()
        .fold(CommandError::new(what), CommandError::detail)
        .state("nothing was changed now")
        .next(format!("mend what it says, then `{again}`")))
}

/// What a step needs of this machine is there, as far as that can be told without asking or running anything.
fn ready(action: &Action) -> Result<(), String> {
    if let Action::Gate { gate } = action {
        let ready = match &gate.condition {
            Condition::Approval { .. } => Ok(()),
            Condition::Command { run, directory, .. } => {
                program::ready(Path::new(directory), run, None)
            }
            Condition::Prometheus { server, .. } => prometheus::ready(port(server)),
        };
        return ready.map_err(|why| format!("gate `{}`: {why}", gate.name));
    }
    if let Action::Hook {
        name,
        host: None,
        run,
        check,
        env,
        directory,
        ..
    } = action
    {
        let directory = Path::new(directory.as_deref().unwrap_or("."));
        // env(1) looks for the program, in the PATH that it was given.
        let path = env.get("PATH").map(String::as_str);
        return [Some(run), check.as_ref()]
            .into_iter()
            .flatten()
            .try_for_each(|words| program::ready(directory, words, path))
            .map_err(|why| format!("hook `{name}`: {why}"));
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::cluster::model::HostName;
    use crate::plan::data::{HookPoint, Rerun};

    fn hook(host: Option<&str>, run: &str, check: Option<&str>, env: &[(&str, &str)]) -> Action {
        let pairs = env
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()));
        Action::Hook {
            name: "patch".into(),
            at: HookPoint::Drained,
            host: host.map(HostName::new),
            node: None,
            run: vec![run.into(), "a b".into()],
            check: check.map(|check| vec![check.into()]),
            env: pairs.collect(),
            directory: Some("/".into()),
            reboots: false,
            rerun: Rerun::Never,
        }
    }

    #[test]
    fn hooks_on_this_machine_are_there() {
        assert_eq!(ready(&hook(None, "sh", Some("bin/sh"), &[])), Ok(()));
        assert_eq!(ready(&hook(Some("w1"), "./none.sh", None, &[])), Ok(()));
        for missing in [
            hook(None, "./none.sh", None, &[]),
            hook(None, "./none.sh", None, &[("TO", "1.35")]),
            hook(None, "sh", Some("./none.sh"), &[]),
            hook(None, "sh", None, &[("PATH", "/none")]),
        ] {
            let why = ready(&missing).unwrap_err();
            assert!(why.starts_with("hook `patch`: "), "{why}");
        }
    }
}
