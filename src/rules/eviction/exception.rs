//! What is different for some pods when their node is drained: the rules of the declaration, in its order. The first that
//! matches a pod counts for it.
//!
//! After Cluster API's `MachineDrainRule` (kubernetes-sigs/cluster-api `api/core/v1beta2/machinedrainrules_types.go`), whose
//! behaviors have the same names.

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
        match self.grace_period_s {
            Some(seconds) => write!(f, ", {seconds} s to end"),
            None => Ok(()),
        }
    }
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
    use std::collections::BTreeMap;

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
