//! Whether a node that was drained is out of service still.

use super::gone;
use crate::cluster::model::NodeName;
use crate::plan::data::Action;
use crate::ports::Failure;
use crate::run::step::{Trouble, Try};

/// That a node which was drained is still out of service: a halted run may be resumed long after its drain.
pub(in crate::run) async fn still_cordoned(
    attempt: &Try<'_, '_>,
    node: &NodeName,
) -> Result<(), Trouble> {
    let found = attempt
        .within(attempt.cx.world.api.node(node))
        .await
        .ok_or_else(|| attempt.timed_out())?;
    match found {
        Ok(found) if found.unschedulable => Ok(()),
        Ok(_) => {
            let again = attempt.cx.drain_of(node).and_then(kubectl_drain);
            let again = again.map_or_else(
                || {
                    format!(
                        "`kubectl drain` does not know the declaration's drain.rules; `{} apply UPGRADE --new-run` puts this run \
                         aside and drains the node by them again",
                        attempt.cx.run.people.refit()
                    )
                },
                |command| format!("Drain it with `{command}` and run `refit resume`"),
            );
            Err(Trouble::Hopeless(format!(
                "node {node} is not cordoned any more, so pods may have come back to it since it was drained; nothing was \
                 changed. {again}"
            )))
        }
        Err(Failure::NotFound(why)) => Err(gone(node, &why)),
        Err(failure @ (Failure::NotSent(_) | Failure::MaybeDone(_) | Failure::Refused(_))) => {
            Err(Trouble::Failed(format!(
                "whether node {node} is still out of service cannot be told: {failure}"
            )))
        }
    }
}

/// The command that drains a node as the plan does; none where it does so by rules, which kubectl does not know.
fn kubectl_drain(action: &Action) -> Option<String> {
    let Action::Drain {
        node,
        grace_period_s,
        delete_empty_dir_data,
        evict_unmanaged_pods,
        rules,
        others_timeout_s: _,
        deferral: _,
    } = action
    else {
        return None;
    };
    if !rules.is_empty() {
        return None;
    }
    let mut command = format!("kubectl drain {node} --ignore-daemonsets");
    if *delete_empty_dir_data {
        command.push_str(" --delete-emptydir-data");
    }
    if *evict_unmanaged_pods {
        command.push_str(" --force");
    }
    if let Some(seconds) = grace_period_s {
        command.push_str(&format!(" --grace-period={seconds}"));
    }
    Some(command)
}
