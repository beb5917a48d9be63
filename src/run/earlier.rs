//! How long steps took in runs that have ended, from their plans and journals.
//!
//! Only what was really done counts: a step that was done already, or whose end was found later by another process, tells
//! nothing about how long it takes.

use std::collections::BTreeMap;

use super::event::{Event, How, Stamped};
use crate::cluster::durations::{Durations, Origins};
use crate::plan::data::{Action, Plan, StepId};
use crate::plan::earlier::kind;

/// So many of the newest runs are looked at: durations change with the cluster.
pub const RUNS: usize = 3;

/// Of these runs, each a plan with all that happened; none where there are none.
#[must_use]
pub fn durations<'r>(
    runs: impl IntoIterator<Item = (&'r Plan, &'r [Stamped])>,
) -> Option<Durations> {
    let mut found: Option<Durations> = None;
    for (plan, events) in runs {
        let Some(ended) = events.last().map(|last| last.at) else {
            continue;
        };
        let all = found.get_or_insert_with(|| Durations {
            runs: 0,
            newest: ended,
            kinds: BTreeMap::new(),
            drains: BTreeMap::new(),
            hooks: BTreeMap::new(),
            origins: Origins::default(),
        });
        all.runs += 1;
        all.newest = all.newest.max(ended);
        let actions: BTreeMap<&StepId, &Action> = plan
            .steps
            .iter()
            .map(|step| (&step.id, &step.action))
            .collect();
        let run = events.iter().find_map(|stamped| match &stamped.event {
            Event::RunStarted { run, .. } => Some(run.as_str()),
            Event::RunResumed { .. }
            | Event::StepStarted { .. }
            | Event::StepWaiting { .. }
            | Event::StepDone { .. }
            | Event::StepTakenBack { .. }
            | Event::StepDeferring { .. }
            | Event::StepDeferred { .. }
            | Event::StepFailed { .. }
            | Event::Halted { .. }
            | Event::Finished { .. } => None,
        });
        let run = run.unwrap_or_default();
        let origins = &mut all.origins;
        for stamped in events {
            let Event::StepDone {
                step,
                how: How::Acted,
                took_ms,
                ..
            } = &stamped.event
            else {
                continue;
            };
            let Some(&action) = actions.get(step) else {
                continue;
            };
            let took_s = took_ms.div_ceil(1000).max(1);
            if let Some(kind) = kind(action) {
                let kind = kind.to_owned();
                longest(&mut all.kinds, &mut origins.kinds, kind, (took_s, run));
            }
            if let Action::Drain { node, .. } = action {
                let node = node.clone();
                longest(&mut all.drains, &mut origins.drains, node, (took_s, run));
            }
            if let Action::Hook { name, .. } = action {
                let name = name.clone();
                longest(&mut all.hooks, &mut origins.hooks, name, (took_s, run));
            }
        }
    }
    found
}

fn longest<K: Ord + Clone>(
    all: &mut BTreeMap<K, u64>,
    runs: &mut BTreeMap<K, String>,
    of: K,
    (took_s, run): (u64, &str),
) {
    if all.get(&of).is_none_or(|&most| most < took_s) {
        all.insert(of.clone(), took_s);
        runs.insert(of, run.to_owned());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::cluster::model::NodeName;
    use crate::plan::data::Step;

    fn drain(node: &str) -> Step {
        Step {
            id: StepId::new(format!("{node}/drain@1.35.4")),
            action: Action::Drain {
                node: NodeName::new(node),
                grace_period_s: None,
                delete_empty_dir_data: false,
                evict_unmanaged_pods: false,
                rules: Vec::new(),
                others_timeout_s: None,
                deferral: None,
            },
            after: Vec::new(),
            timeout_s: 900,
            retries: 0,
            because: String::new(),
            expected_s: 20,
        }
    }

    fn barrier() -> Step {
        let action = Action::Barrier {
            holds: String::new(),
        };
        let id = StepId::new("barrier/nodes@1.35");
        Step {
            id,
            action,
            ..drain("w1")
        }
    }

    fn hook() -> Step {
        let action = serde_json::from_value(serde_json::json!({
            "kind": "hook",
            "name": "patches",
            "at": "drained",
            "host": "w1",
            "node": "w1",
            "run": ["patch"],
            "reboots": false,
            "rerun": "safe",
        }));
        Step {
            id: StepId::new("w1/hook/patches@1.35.4"),
            action: action.unwrap(),
            ..drain("w1")
        }
    }

    fn done(step: &Step, how: How, took_ms: u64) -> Stamped {
        let event = Event::StepDone {
            step: step.id.clone(),
            how,
            note: None,
            took_ms,
        };
        stamped(event, "2026-10-01T00:00:00Z")
    }

    fn stamped(event: Event, at: &str) -> Stamped {
        let at: Timestamp = at.parse().unwrap();
        Stamped { at, event }
    }

    fn began(run: &str) -> Stamped {
        let event = Event::RunStarted {
            run: run.to_owned(),
            plan_sha256: "p".to_owned(),
            refit: "0.1.0".to_owned(),
            pid: 1,
        };
        stamped(event, "2026-09-01T00:00:00Z")
    }

    fn finished(at: &str) -> Stamped {
        let event = Event::Finished {
            own_ms: 1,
            wall_ms: 1,
        };
        stamped(event, at)
    }

    #[test]
    fn the_longest_of_all_that_was_done_counts() {
        let steps = [drain("w1"), drain("w2"), barrier(), hook()];
        let plan: Plan = serde_json::from_value(serde_json::json!({
            "format": "refit.plan/v1",
            "upgrade": "up",
            "inventory": "lab",
            "cluster_uid": "b0a4",
            "target": "1.35.4",
            "declaration_sha256": "d0c5",
            "limits": {
                "workers_out_of_service": 1,
                "control_planes_drained": true,
                "workers_skip_minors": false,
                "left_out": [],
            },
            "facts_at": "2026-10-01T00:00:00Z",
            "facts_fingerprint": "fac7",
            "basis": {},
            "notes": [],
            "steps": steps,
        }))
        .unwrap();
        let [w1, w2, barrier, hook] = &steps;
        let newer = [
            began("r2"),
            done(w1, How::Acted, 12_001),
            done(w2, How::Already, 900_000),
            done(barrier, How::Acted, 5),
            done(hook, How::Acted, 40_100),
            finished("2026-10-02T00:00:00Z"),
        ];
        let older = [
            began("r1"),
            done(w1, How::Acted, 9_000),
            done(w2, How::Recovered, 800_000),
            done(w2, How::Acted, 30_000),
            finished("2026-09-02T00:00:00Z"),
        ];
        assert_eq!(
            durations([(&plan, &newer[..]), (&plan, &older[..])]),
            Some(Durations {
                runs: 2,
                newest: "2026-10-02T00:00:00Z".parse().unwrap(),
                kinds: BTreeMap::from([("drain".to_owned(), 30)]),
                drains: BTreeMap::from([(NodeName::new("w1"), 13), (NodeName::new("w2"), 30)]),
                hooks: BTreeMap::from([("patches".to_owned(), 41)]),
                origins: Origins {
                    kinds: BTreeMap::from([("drain".to_owned(), "r1".to_owned())]),
                    drains: BTreeMap::from([
                        (NodeName::new("w1"), "r2".to_owned()),
                        (NodeName::new("w2"), "r1".to_owned()),
                    ]),
                    hooks: BTreeMap::from([("patches".to_owned(), "r2".to_owned())]),
                },
            })
        );
        assert_eq!(durations([]), None);
    }
}
