//! What is different for some pods when their node is drained: the rules of the declaration, in its order. The first that
//! matches a pod counts for it.
//!
//! After Cluster API's `MachineDrainRule` (kubernetes-sigs/cluster-api `api/core/v1beta2/machinedrainrules_types.go`), whose
//! behaviors have the same names.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::cluster::model::{LabelSelector, Operator, Pod};

/// What is different for some pods.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exception {
    /// The pods, by their labels; any when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// Their namespace; any when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// What happens to them.
    pub behavior: Behavior,
    /// Of the pods that are evicted, those of a lower number leave first, and are gone before others are asked to. Without
    /// a rule it is 0.
    #[serde(default)]
    pub order: u32,
    /// Whether emptyDir data may go with them; as for all pods when nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_empty_dir_data: Option<bool>,
    /// Seconds for each pod's end; as for all pods when nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_period_s: Option<u64>,
    /// Seconds that each of them may take to leave, from when it was first asked to go, or first awaited where it ends by
    /// itself; the drain's own time when nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<u64>,
}

/// What happens to pods when their node is drained.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Behavior {
    /// They are evicted.
    #[default]
    Drain,
    /// They stay, and nobody waits for them.
    Skip,
    /// They are not evicted, and the drain waits until they have ended by themselves.
    WaitCompleted,
}

impl Exception {
    /// Whether it is about this pod.
    #[must_use]
    pub fn covers(&self, pod: &Pod) -> bool {
        let namespace = self.namespace.as_ref();
        let selector = self.selector.as_ref();
        namespace.is_none_or(|namespace| *namespace == pod.namespace)
            && selector.is_none_or(|selector| selector.matches(&pod.labels))
    }
}

impl fmt::Display for Behavior {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Drain => "drain",
            Self::Skip => "skip",
            Self::WaitCompleted => "wait-completed",
        })
    }
}

/// `app=db in shop: drain, order 5`.
impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let selector = self.selector.as_ref().map(words).unwrap_or_default();
        f.write_str(if selector.is_empty() {
            "all pods"
        } else {
            &selector
        })?;
        if let Some(namespace) = &self.namespace {
            write!(f, " in {namespace}")?;
        }
        write!(f, ": {}", self.behavior)?;
        if self.order > 0 {
            write!(f, ", order {}", self.order)?;
        }
        match self.delete_empty_dir_data {
            Some(true) => f.write_str(", emptyDir data may go")?,
            Some(false) => f.write_str(", emptyDir data may not go")?,
            None => {}
        }
        if let Some(seconds) = self.grace_period_s {
            write!(f, ", {seconds} s to end")?;
        }
        match self.timeout_s {
            Some(seconds) => write!(f, ", gone within {seconds} s"),
            None => Ok(()),
        }
    }
}

/// The most seconds that a drain by these rules takes where each pod leaves in its time: `others_s` is that of the pods
/// without a time of their own.
///
/// Pods of one order are asked together, so theirs count once, and those of the next order may have to wait for them to the
/// last second. Where all have the same order nobody waits for anybody.
#[must_use]
pub fn longest_s(others_s: u64, rules: &[Exception]) -> u64 {
    let of = |behavior| {
        rules
            .iter()
            .filter(move |rule| rule.behavior == behavior)
            .filter_map(|rule| Some((rule.order, rule.timeout_s?)))
    };
    let mut turns: BTreeMap<u32, u64> = BTreeMap::new();
    for (order, timeout_s) in of(Behavior::Drain) {
        let turn = turns.entry(order).or_default();
        *turn = timeout_s.max(*turn);
    }
    let ordered = rules
        .iter()
        .any(|rule| rule.behavior == Behavior::Drain && rule.order > 0);
    let asked = if ordered {
        turns
            .values()
            .fold(others_s, |sum, one| sum.saturating_add(*one))
    } else {
        turns.values().fold(others_s, |most, one| most.max(*one))
    };
    of(Behavior::WaitCompleted).fold(asked, |most, (_, timeout_s)| most.max(timeout_s))
}

/// A selector as `kubectl` takes it.
fn words(selector: &LabelSelector) -> String {
    let labels = selector.match_labels.iter();
    let mut words: Vec<String> = labels
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    for wanted in &selector.match_expressions {
        let (key, values) = (&wanted.key, wanted.values.join(", "));
        words.push(match wanted.operator {
            Operator::In => format!("{key} in ({values})"),
            Operator::NotIn => format!("{key} notin ({values})"),
            Operator::Exists => key.clone(),
            Operator::DoesNotExist => format!("!{key}"),
            Operator::Gt => format!("{key} > {values}"),
            Operator::Lt => format!("{key} < {values}"),
        });
    }
    words.join(",")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::{Fate, KeepReason, Loss, Policy, RefuseReason, fate};
    use super::*;
    use crate::cluster::model::{Controller, PodPhase};

    /// `app=db` in `shop`, of a ReplicaSet, with emptyDir data.
    fn pod() -> Pod {
        Pod {
            namespace: "shop".to_owned(),
            name: "db-0".to_owned(),
            uid: "u".to_owned(),
            node: None,
            labels: BTreeMap::from([("app".to_owned(), "db".to_owned())]),
            phase: PodPhase::Running,
            ready: true,
            deletion_timestamp: None,
            controller: Some(Controller {
                api_version: "apps/v1".to_owned(),
                kind: "ReplicaSet".to_owned(),
                name: "db".to_owned(),
            }),
            mirror: false,
            empty_dir: true,
            images: BTreeMap::new(),
            placement: None,
        }
    }

    fn of(pod: &Pod, behavior: Behavior, data: Option<bool>) -> Fate {
        let rules = [
            Exception {
                namespace: Some("other".to_owned()),
                behavior: Behavior::Skip,
                ..Exception::default()
            },
            Exception {
                behavior,
                delete_empty_dir_data: data,
                ..Exception::default()
            },
            Exception {
                behavior: Behavior::Skip,
                ..Exception::default()
            },
        ];
        let policy = Policy {
            rules: &rules,
            ..Policy::default()
        };
        fate(pod, &policy)
    }

    #[test]
    fn a_drain_takes_as_long_as_its_turns_one_after_the_other() {
        use Behavior::{Drain, Skip, WaitCompleted};

        let longest = |rules: &[(Behavior, u32, Option<u64>)]| {
            let rules: Vec<Exception> = rules
                .iter()
                .map(|&(behavior, order, timeout_s)| Exception {
                    behavior,
                    order,
                    timeout_s,
                    ..Exception::default()
                })
                .collect();
            longest_s(900, &rules)
        };
        assert_eq!(longest(&[]), 900);
        assert_eq!(
            longest(&[(Drain, 0, None), (Drain, 3, None), (Skip, 0, None)]),
            900
        );
        // side by side
        assert_eq!(longest(&[(Drain, 0, Some(60)), (Drain, 0, Some(300))]), 900);
        assert_eq!(
            longest(&[(Drain, 0, Some(60)), (Drain, 0, Some(1800))]),
            1800
        );
        assert_eq!(
            longest(&[(WaitCompleted, 0, Some(7200)), (Drain, 0, Some(60))]),
            7200
        );
        // one after the other; one order counts once
        assert_eq!(
            longest(&[
                (Drain, 1, Some(60)),
                (Drain, 1, Some(300)),
                (Drain, 2, Some(5))
            ]),
            1205
        );
        assert_eq!(longest(&[(Drain, 0, Some(600)), (Drain, 1, None)]), 1500);
        assert_eq!(
            longest(&[(WaitCompleted, 5, Some(60)), (Drain, 1, None)]),
            900
        );
        assert_eq!(longest(&[(Drain, 1, Some(u64::MAX))]), u64::MAX);
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        use Behavior::{Drain, Skip, WaitCompleted};

        let evicted = |warnings: &[Loss]| Fate::Evict {
            warnings: warnings.to_vec(),
        };
        let kept = Fate::Keep(KeepReason::Rule);
        let refused = Fate::Refuse(RefuseReason::LocalStorageByRule);
        assert_eq!(of(&pod(), Skip, None), kept);
        assert_eq!(of(&pod(), WaitCompleted, None), Fate::Complete);
        assert_eq!(
            of(&pod(), Drain, Some(true)),
            evicted(&[Loss::EmptyDirData])
        );
        assert_eq!(of(&pod(), Drain, Some(false)), refused);
        let all = Fate::Refuse(RefuseReason::LocalStorage);
        assert_eq!(of(&pod(), Drain, None), all);

        // what has ended goes, unless it is to stay
        let mut ended = pod();
        ended.phase = PodPhase::Succeeded;
        assert_eq!(of(&ended, WaitCompleted, None), evicted(&[]));
        assert_eq!(of(&ended, Skip, None), kept);
        let mut leaving = pod();
        leaving.deletion_timestamp = Some(1_795_000_000);
        assert_eq!(of(&leaving, WaitCompleted, None), Fate::Await);
        assert_eq!(of(&leaving, Drain, Some(false)), Fate::Await);
        assert_eq!(of(&leaving, Skip, None), kept);
        // no rule makes a DaemonSet's pod or a static one go, or be waited for
        let mut daemon = pod();
        daemon.controller.as_mut().unwrap().kind = "DaemonSet".to_owned();
        let mut mirror = pod();
        mirror.mirror = true;
        for behavior in [Drain, WaitCompleted] {
            let fate = of(&daemon, behavior, None);
            assert_eq!(fate, Fate::Keep(KeepReason::DaemonSet));
            assert_eq!(of(&mirror, behavior, None), Fate::Keep(KeepReason::Mirror));
        }
    }
}
