//! `refit apply --new-run`: hooks that were cut short in the run which is put aside must not begin again unseen.

use super::runs::{Approvals, ReadRun, RunFolder};
use super::{CommandError, Exit, ui};
use crate::plan::data::{Action, Plan, StepId};
use crate::ports::Hosts;
use crate::run::left_hooks::{LeftEnd, LeftHook, left_hooks};

/// Refuses a plan that would begin a hook with `rerun: never` again which was cut short in one of these runs, or any that goes on
/// still on this machine. What somebody has said to be done, and a run that cannot be read, is told.
///
/// # Errors
/// Which hooks, where, of which run, and what to do.
pub async fn refuse_begun(
    plan: &Plan,
    displaced: &[RunFolder],
    hosts: &dyn Hosts,
    upgrade: &str,
    refit: &str,
) -> Result<(), CommandError> {
    let hook = |action: &Action| matches!(action, Action::Hook { .. });
    if !plan.steps.iter().any(|step| hook(&step.action)) {
        return Ok(());
    }
    let mut found = Vec::new();
    for folder in displaced {
        let run = match folder.read() {
            Ok(run) => run,
            Err(error) => {
                ui::line(&format!(
                    "whether a hook of run {} was cut short is not known: {}",
                    folder.id,
                    error.render()
                ));
                continue;
            }
        };
        let people: Approvals = folder.approvals(&run.plan_sha256, false);
        let (programs, state) = (folder.programs(), &run.past.state);
        let left = left_hooks(hosts, &people, &programs, &folder.id, &run.plan, state).await;
        for hook in left {
            let again = plan
                .steps
                .iter()
                .find(|step| hook.begins_again(&step.action));
            let Some(again) = again else { continue };
            match &hook.end {
                LeftEnd::SaidDone(given) => ui::line(&format!(
                    "hook {} was cut short in run {}; {} said at {} that it is done. This plan runs it again, as {}",
                    place(&hook),
                    folder.id,
                    given.by,
                    given.at,
                    again.id
                )),
                LeftEnd::GoesOn | LeftEnd::CutShort | LeftEnd::Untold(_) => {
                    found.push(Found::of(hook, folder, &run, again.id.clone()));
                }
            }
        }
    }
    if found.is_empty() {
        return Ok(());
    }
    let mut error = CommandError::new(match &found[..] {
        [_] => "the new run would begin a hook again of which nobody knows how it ended",
        _ => "the new run would begin hooks again of which nobody knows how they ended",
    });
    for found in &found {
        error = error.detail(found.told());
    }
    error = error.exits(Exit::Blocked).nothing_changed();
    for found in &found {
        error = error.next(found.next(refit, upgrade));
    }
    Err(error.next(format!(
        "or, if a hook may be run again from its beginning, declare it with `rerun: safe`; if it may not, take it out of {upgrade}; \
         then `{refit} apply {upgrade} --new-run`"
    )))
}

/// A hook that would begin again.
struct Found {
    hook: LeftHook,
    run: String,
    /// What the new plan calls it.
    again: StepId,
    /// `refit approve` takes somebody's word for it as the run stands.
    approvable: bool,
}

impl Found {
    fn of(hook: LeftHook, folder: &RunFolder, run: &ReadRun, again: StepId) -> Self {
        Self {
            approvable: run.past.state.was_cut_short(&hook.step),
            hook,
            run: folder.id.clone(),
            again,
        }
    }

    fn told(&self) -> String {
        let how = match &self.hook.end {
            LeftEnd::GoesOn => "it goes on still".to_owned(),
            LeftEnd::CutShort => "it was cut short, and has `rerun: never`".to_owned(),
            LeftEnd::Untold(why) => format!("how it ended cannot be asked: {why}"),
            LeftEnd::SaidDone(given) => format!("{} says that it is done", given.by),
        };
        format!(
            "hook {}, step {} of run {}: {how}; the new run would begin it as {}",
            place(&self.hook),
            self.hook.step,
            self.run,
            self.again
        )
    }

    fn next(&self, refit: &str, upgrade: &str) -> String {
        let (run, step) = (&self.run, &self.hook.step);
        let at = match &self.hook.host {
            Some(host) => format!("on host {host}"),
            None => "on this machine".to_owned(),
        };
        match (&self.hook.end, self.approvable) {
            (LeftEnd::CutShort, true) => format!(
                "look {at} how far it came; once it is done, by itself or by your hand, `{refit} approve {run} {step} --by NAME` \
                 says so; then `{refit} resume {run}` goes on without running it again, and `{refit} apply {upgrade} --new-run` \
                 runs it from its beginning"
            ),
            (
                LeftEnd::GoesOn | LeftEnd::CutShort | LeftEnd::Untold(_) | LeftEnd::SaidDone(_),
                _,
            ) => format!(
                "`{refit} resume {run}` finds out how {step} ended, and halts there where that is not to be found out"
            ),
        }
    }
}

/// Which hook, and where.
fn place(hook: &LeftHook) -> String {
    match (&hook.host, &hook.node) {
        (Some(host), _) => format!("`{}` on host {host}", hook.name),
        (None, Some(node)) => format!("`{}` on this machine for node {node}", hook.name),
        (None, None) => format!("`{}` on this machine", hook.name),
    }
}
