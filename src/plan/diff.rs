//! What changed from one plan to another, as data.
//!
//! Steps are matched by what they do to whom in which hop, so that another patch release of the same minor is a change of
//! the steps and not a plan of new ones. When the facts were observed is told and is no difference by itself: a plan that
//! is made again from newer facts of the same cluster is the same plan.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::data::{Plan, Step, StepId};
use crate::cluster::drift::{Difference, drift};

/// The format of the JSON of [`PlanDiff`].
pub const FORMAT: &str = "refit.diff/v1";

/// Everything that differs between two plans.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlanDiff {
    /// [`FORMAT`].
    pub format: &'static str,
    /// What the plans are for: upgrade, inventory, cluster, target, the declaration's digest.
    pub purpose: Vec<Change>,
    /// What the declaration lets the steps do.
    pub limits: Vec<Change>,
    /// What was observed and the plans rest on.
    pub basis: Vec<Difference>,
    /// Notes for the reader.
    pub notes: Vec<Change>,
    /// Steps that only the new plan has, in its order.
    pub added: Vec<StepId>,
    /// Steps that only the old plan has, in its order.
    pub removed: Vec<StepId>,
    /// Steps that both have, not alike; in the new plan's order.
    pub changed: Vec<StepChange>,
    /// When the facts were observed, where that differs. No difference by itself.
    pub observed: Option<Observations>,
}

/// When the facts of the two plans were observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Observations {
    /// The old plan's.
    pub old: Timestamp,
    /// The new plan's.
    pub new: Timestamp,
}

/// A value that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Change {
    /// Which, such as `packages.kubelet`.
    pub what: String,
    /// In the old plan; none where it was not there.
    pub old: Option<String>,
    /// In the new plan; none where it is gone.
    pub new: Option<String>,
}

/// A step that both plans have, not alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StepChange {
    /// Its id in the new plan.
    pub id: StepId,
    /// What is different; never empty.
    pub changes: Vec<Change>,
}

impl PlanDiff {
    /// From the old plan to the new one.
    #[must_use]
    pub fn of(old: &Plan, new: &Plan) -> Self {
        let keys = Keys::of(old, new);
        let before: BTreeMap<String, &Step> = old
            .steps
            .iter()
            .map(|step| (keys.key(&step.id), step))
            .collect();
        let mut left: BTreeSet<&String> = before.keys().collect();
        let mut added = Vec::new();
        let mut changed = Vec::new();
        for step in &new.steps {
            let key = keys.key(&step.id);
            left.remove(&key);
            let Some(was) = before.get(&key) else {
                added.push(step.id.clone());
                continue;
            };
            let changes = keys.step(was, step);
            if !changes.is_empty() {
                changed.push(StepChange {
                    id: step.id.clone(),
                    changes,
                });
            }
        }
        let removed = old
            .steps
            .iter()
            .filter(|step| left.contains(&keys.key(&step.id)))
            .map(|step| step.id.clone())
            .collect();
        Self {
            format: FORMAT,
            purpose: purpose(old, new),
            limits: [
                values("", &json(&old.limits), &json(&new.limits)),
                values("windows", &json(&old.windows), &json(&new.windows)),
            ]
            .concat(),
            basis: drift(&old.basis, &new.basis),
            notes: listed("", &old.notes, &new.notes),
            added,
            removed,
            changed,
            observed: (old.facts_at != new.facts_at).then_some(Observations {
                old: old.facts_at,
                new: new.facts_at,
            }),
        }
    }

    /// The plans are alike, but for when their facts were observed.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.purpose.is_empty()
            && self.limits.is_empty()
            && self.basis.is_empty()
            && self.notes.is_empty()
            && self.same_steps()
    }

    /// What forbids that the old plan is carried out where the new one would be made, and what a reader is only told: notes,
    /// reasons, and how long steps should take. What is done to whom, in which order, on which conditions and on the
    /// strength of which observations binds. How much of a window the old plan keeps is the reviewers' number, and it counts
    /// whatever was learned since; that it is enough by the plan's own durations is [`too_little`](super::windows::too_little)'s.
    #[must_use]
    pub fn split(self) -> (Self, Self) {
        let told = |change: &Change| matches!(change.what.as_str(), "because" | "expected");
        // How much of a window a step needs is the sum of what steps are expected to take. Whether it needs any binds.
        let room = |change: &Change| {
            let both = change.old.is_some() && change.new.is_some();
            both && change.what.starts_with("windows.room_s.")
        };
        let (rooms, limits): (Vec<Change>, Vec<Change>) =
            self.limits.iter().cloned().partition(room);
        let changed = |keep: &dyn Fn(&Change) -> bool| -> Vec<StepChange> {
            self.changed
                .iter()
                .map(|step| StepChange {
                    id: step.id.clone(),
                    changes: step
                        .changes
                        .iter()
                        .filter(|change| keep(change))
                        .cloned()
                        .collect(),
                })
                .filter(|step| !step.changes.is_empty())
                .collect()
        };
        let rest = Self {
            format: FORMAT,
            purpose: Vec::new(),
            limits: rooms,
            basis: Vec::new(),
            notes: self.notes.clone(),
            added: Vec::new(),
            removed: Vec::new(),
            changed: changed(&told),
            observed: self.observed,
        };
        let binding = Self {
            limits,
            notes: Vec::new(),
            observed: None,
            changed: changed(&|change| !told(change)),
            ..self
        };
        (binding, rest)
    }

    /// Exactly the same is done in the same order.
    #[must_use]
    pub const fn same_steps(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

fn purpose(old: &Plan, new: &Plan) -> Vec<Change> {
    let of = |plan: &Plan| {
        [
            ("upgrade", plan.upgrade.clone()),
            ("inventory", plan.inventory.clone()),
            ("cluster", plan.cluster_uid.clone()),
            ("target", plan.target.to_string()),
            ("declaration", plan.declaration_sha256.clone()),
        ]
    };
    of(old)
        .into_iter()
        .zip(of(new))
        .filter(|((_, old), (_, new))| old != new)
        .map(|((what, old), (_, new))| Change {
            what: what.to_owned(),
            old: Some(old),
            new: Some(new),
        })
        .collect()
}

/// How steps of the two plans find each other.
struct Keys {
    /// Stems that a plan has more than once in one hop: these are told apart by their whole ids.
    ambiguous: BTreeSet<String>,
}

impl Keys {
    fn of(old: &Plan, new: &Plan) -> Self {
        let mut ambiguous = BTreeSet::new();
        for plan in [old, new] {
            let mut seen = BTreeSet::new();
            for step in &plan.steps {
                let key = in_hop(&step.id);
                if !seen.insert(key.clone()) {
                    ambiguous.insert(key);
                }
            }
        }
        Self { ambiguous }
    }

    fn key(&self, id: &StepId) -> String {
        let key = in_hop(id);
        if self.ambiguous.contains(&key) {
            id.to_string()
        } else {
            key
        }
    }

    fn step(&self, old: &Step, new: &Step) -> Vec<Change> {
        let mut changes = Vec::new();
        if old.id != new.id {
            changes.push(Change {
                what: "release".to_owned(),
                old: Some(old.id.release().to_owned()),
                new: Some(new.id.release().to_owned()),
            });
        }
        changes.extend(values("", &json(&old.action), &json(&new.action)));
        let after =
            |step: &Step| -> Vec<String> { step.after.iter().map(|id| self.key(id)).collect() };
        changes.extend(listed("after", &after(old), &after(new)));
        let rest = |step: &Step| {
            [
                ("timeout", format!("{} s", step.timeout_s)),
                ("retries", step.retries.to_string()),
                ("because", step.because.clone()),
                ("expected", format!("{} s", step.expected_s)),
            ]
        };
        for ((what, old), (_, new)) in rest(old).into_iter().zip(rest(new)) {
            if old != new {
                changes.push(Change {
                    what: what.to_owned(),
                    old: Some(old),
                    new: Some(new),
                });
            }
        }
        changes
    }
}

fn in_hop(id: &StepId) -> String {
    match id.minor() {
        Some(minor) => format!("{}@{minor}", id.stem()),
        None => id.to_string(),
    }
}

/// What one list has and the other has not.
fn listed(what: &str, old: &[String], new: &[String]) -> Vec<Change> {
    let change = |old: Option<&String>, new: Option<&String>| Change {
        what: what.to_owned(),
        old: old.cloned(),
        new: new.cloned(),
    };
    let (before, now): (BTreeSet<_>, BTreeSet<_>) = (old.iter().collect(), new.iter().collect());
    let gone = old.iter().filter(|item| !now.contains(item));
    let come = new.iter().filter(|item| !before.contains(item));
    gone.map(|item| change(Some(item), None))
        .chain(come.map(|item| change(None, Some(item))))
        .collect()
}

/// Plans hold strings, numbers and string keys only, so that this cannot fail.
fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

/// What differs between two JSON values, by path.
fn values(path: &str, old: &Value, new: &Value) -> Vec<Change> {
    let (mut before, mut now) = (BTreeMap::new(), BTreeMap::new());
    flatten(path, old, &mut before);
    flatten(path, new, &mut now);
    let paths: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    paths
        .into_iter()
        .filter(|path| before.get(*path) != now.get(*path))
        .map(|path| Change {
            what: path.clone(),
            old: before.get(path).cloned(),
            new: now.get(path).cloned(),
        })
        .collect()
}

fn flatten(path: &str, value: &Value, into: &mut BTreeMap<String, String>) {
    let below = |key: &str| match path {
        "" => key.to_owned(),
        path => format!("{path}.{key}"),
    };
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                flatten(&below(key), value, into);
            }
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                match (item.get("name").and_then(Value::as_str), item.as_str()) {
                    // What has a name is found by it, wherever it stands.
                    (Some(name), _) => flatten(&below(name), &without_name(item), into),
                    (None, Some(text)) => {
                        into.insert(below(text), String::new());
                    }
                    (None, None) => flatten(&below(&at.to_string()), item, into),
                }
            }
        }
        Value::Null => {}
        Value::Bool(_) | Value::Number(_) => {
            into.insert(path.to_owned(), value.to_string());
        }
        Value::String(text) => {
            into.insert(path.to_owned(), text.clone());
        }
    }
}

fn without_name(item: &Value) -> Value {
    let mut item = item.clone();
    if let Value::Object(map) = &mut item {
        map.remove("name");
    }
    item
}
