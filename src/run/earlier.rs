//! How long steps took in runs that have ended, from their plans and journals.
//!
//! Only what was really done counts: a step that was done already, or whose end was found later by another process, tells
//! nothing about how long it takes.

use std::collections::BTreeMap;

use super::event::{Event, How, Stamped};
use crate::cluster::durations::Durations;
use crate::cluster::model::NodeName;
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
        });
        all.runs += 1;
        all.newest = all.newest.max(ended);
        let actions: BTreeMap<&StepId, &Action> = plan
            .steps
            .iter()
            .map(|step| (&step.id, &step.action))
            .collect();
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
                longest(&mut all.kinds, kind.to_owned(), took_s);
            }
            if let Action::Drain { node, .. } = action {
                longest::<NodeName>(&mut all.drains, node.clone(), took_s);
            }
            if let Action::Hook { name, .. } = action {
                longest(&mut all.hooks, name.clone(), took_s);
            }
        }
    }
    found
}

fn longest<K: Ord>(all: &mut BTreeMap<K, u64>, of: K, took_s: u64) {
    let most = all.entry(of).or_default();
    *most = took_s.max(*most);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use jiff::Timestamp;

    use super::*;
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
            done(w1, How::Acted, 12_001),
            done(w2, How::Already, 900_000),
            done(barrier, How::Acted, 5),
            done(hook, How::Acted, 40_100),
            finished("2026-10-02T00:00:00Z"),
        ];
        let older = [
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
            })
        );
        assert_eq!(durations([]), None);
    }
}
