//! Where a hop's hooks stand, and what they are told.
//!
//! Hooks of one point follow each other in the order in which they are declared, and one of the whole hop goes through its
//! machines one after another: nobody knows which of them may run side by side. Before what they prepare for, gates come
//! first; after what they complete, gates come after them, to judge what they did.

use std::collections::BTreeMap;

use super::data::{Action, Step, StepId};
use super::draft::Draft;
use super::pace::{self, Pace};
use super::reason::as_declared;
use super::view::{HostView, View};
use crate::cluster::durations::Durations;
use crate::cluster::model::HostName;
use crate::documents::settings::{Hook, HookPlace, HookPoint, Upgrade};

/// The place of hooks that are about the hop as a whole.
const HOOK: &str = "hook";

/// What hooks of a hop are made from.
#[derive(Debug, Clone, Copy)]
pub struct Hooks<'p, 'a> {
    /// The cluster.
    pub view: &'p View<'a>,
    /// The first control plane.
    pub first: &'p HostView<'a>,
    /// The declaration.
    pub upgrade: &'p Upgrade,
}

/// Whether a hook runs on this host at a point of the whole hop, whatever is to be done there.
#[must_use]
pub fn touches(upgrade: &Upgrade, host: &HostView<'_>, first: &HostView<'_>) -> bool {
    upgrade.hooks.iter().any(|hook| match hook.at {
        HookPoint::BeforeHop | HookPoint::BeforeWorkers | HookPoint::AfterHop => {
            hook.on.is_on(host.host.role, host.name() == first.name())
        }
        // The workers of a wave are touched in any case.
        HookPoint::AfterEachWave => match hook.on {
            HookPlace::EachControlPlane | HookPlace::FirstControlPlane => {
                hook.on.is_on(host.host.role, host.name() == first.name())
            }
            HookPlace::ThisMachine | HookPlace::EachWorker | HookPlace::EachNode => false,
        },
        HookPoint::AfterControlPlane | HookPoint::Drained | HookPoint::BeforeUncordon => false,
    })
}

/// A wave of workers.
#[derive(Debug, Clone, Copy)]
pub struct Wave<'w, 'a> {
    /// Tells it from the hop's other waves.
    pub name: &'w str,
    /// Its workers.
    pub workers: &'w [&'w HostView<'a>],
}

impl<'a> Hooks<'_, 'a> {
    /// Adds the hooks of a point of the whole hop after this step, on each host after what was `prepared` there. Returns the
    /// step that what comes next waits for.
    pub fn of_hop(
        &self,
        draft: &mut Draft<'_>,
        point: HookPoint,
        wave: Option<Wave<'_, 'a>>,
        prepared: &BTreeMap<&HostName, StepId>,
        after: &StepId,
    ) -> StepId {
        let mut last = after.clone();
        for hook in self.upgrade.hooks.iter().filter(|hook| hook.at == point) {
            let stem = match wave {
                None => hook.name.clone(),
                Some(wave) => format!("{}/{}", hook.name, wave.name),
            };
            if hook.on == HookPlace::ThisMachine {
                let action = action(draft, hook, None, None);
                last = add(draft, HOOK, &stem, hook, action, &[&last]);
                continue;
            }
            for host in self.hosts(hook, wave) {
                let name = host.name();
                let action = action(draft, hook, Some(name), Some(host));
                let verb = format!("{stem}/{name}");
                let after: Vec<&StepId> = [&last].into_iter().chain(prepared.get(name)).collect();
                last = add(draft, HOOK, &verb, hook, action, &after);
            }
        }
        last
    }

    /// The hosts on which a hook runs at a point of the whole hop, by name.
    fn hosts<'s>(&'s self, hook: &Hook, wave: Option<Wave<'s, 'a>>) -> Vec<&'s HostView<'a>> {
        match (hook.on, wave) {
            (HookPlace::EachWorker, Some(wave)) => {
                let mut workers = wave.workers.to_vec();
                workers.sort_by_key(|host| host.name());
                workers
            }
            (_, _) => {
                let all = self.view.hosts.iter();
                all.filter(|host| {
                    hook.on
                        .is_on(host.host.role, host.name() == self.first.name())
                })
                .collect()
            }
        }
    }
}

/// Adds the hooks of a point where it is this node's turn. Returns the step that what comes next waits for.
pub fn of_node(
    draft: &mut Draft<'_>,
    upgrade: &Upgrade,
    point: HookPoint,
    on: &HostView<'_>,
    is_first: bool,
    after: &StepId,
) -> StepId {
    let mut last = after.clone();
    for hook in upgrade.hooks.iter().filter(|hook| hook.at == point) {
        let here = hook.on == HookPlace::ThisMachine;
        if !(here || hook.on.is_on(on.host.role, is_first)) {
            continue;
        }
        let host = (!here).then(|| on.name());
        let action = action(draft, hook, host, Some(on));
        let verb = format!("{HOOK}/{}", hook.name);
        last = add(draft, on.name(), &verb, hook, action, &[&last]);
    }
    last
}

/// What the hook does on this host, or on this machine, about this node.
fn action(
    draft: &Draft<'_>,
    hook: &Hook,
    host: Option<&HostName>,
    about: Option<&HostView<'_>>,
) -> Action {
    let node = about.map(|about| &about.node.name);
    let filled = hook.filled(
        draft.target(),
        about.map(|about| (about.name(), &about.node.name)),
    );
    Action::Hook {
        name: hook.name.clone(),
        at: hook.at,
        host: host.cloned(),
        node: node.cloned(),
        run: filled.run,
        check: filled.check,
        env: filled.env,
        directory: host.is_none().then(|| hook.directory.clone()),
        reboots: hook.reboots,
        rerun: hook.rerun,
    }
}

fn add(
    draft: &mut Draft<'_>,
    place: impl std::fmt::Display,
    verb: &str,
    hook: &Hook,
    action: Action,
    after: &[&StepId],
) -> StepId {
    draft.step(
        place,
        verb,
        action,
        after,
        pace(hook),
        format!("hook `{}`, declared at {}", hook.name, hook.at.as_str()),
    )
}

/// Never tried again by itself: what may be done again is the declaration's to say, once somebody has looked.
fn pace(hook: &Hook) -> Pace {
    Pace {
        timeout_s: hook.timeout_s,
        expected_s: hook.expected_s.unwrap_or_else(|| guess(hook)),
        retries: 0,
    }
}

/// The seconds that are assumed of a hook of which nobody has said how long it takes.
fn guess(hook: &Hook) -> u64 {
    let assumed = match hook.reboots {
        false => pace::HOOK_EXPECTED_S,
        true => pace::HOOK_WITH_REBOOT_EXPECTED_S,
    };
    assumed.min(hook.timeout_s)
}

/// Where windows are filled by what steps should take: the hooks among them of which that is only assumed.
pub fn guessed(upgrade: &Upgrade, steps: &[Step], durations: Option<&Durations>) -> Vec<String> {
    if upgrade.windows.is_empty() {
        return Vec::new();
    }
    let is_step = |hook: &Hook| {
        let of_it =
            |step: &Step| matches!(&step.action, Action::Hook { name, .. } if *name == hook.name);
        steps.iter().any(of_it)
    };
    let seen = |hook: &Hook| durations.is_some_and(|seen| seen.hooks.contains_key(&hook.name));
    upgrade
        .hooks
        .iter()
        .filter(|hook| hook.expected_s.is_none() && !seen(hook) && is_step(hook))
        .map(|hook| {
            format!(
                "hook `{}` is assumed to take {}: no run has shown how long it takes, and windows are filled by that; `expected` declares it",
                hook.name,
                as_declared(guess(hook))
            )
        })
        .collect()
}
