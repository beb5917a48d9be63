//! Whether a node may run a pod: what the scheduler must not overlook.
//!
//! The planner asks it to tell in advance whether evicted pods find another node. Preferences are left out, and so is what
//! the scheduler would weigh: the answer is whether there is a way, not which one is taken.
//!
//! Sources: kubernetes/component-helpers `scheduling/corev1/nodeaffinity/nodeaffinity.go` (`RequiredNodeAffinity`);
//! kubernetes/api `core/v1/toleration.go`, `ToleratesTaint`; kubernetes/kubernetes
//! `pkg/scheduler/framework/plugins/{tainttoleration,volumebinding}`.

use std::fmt;

use crate::cluster::model::{Node, NodeTerm, Placement, Toleration};

/// Why a node may not run a pod, whatever else runs there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Misfit {
    /// It is cordoned.
    Cordoned,
    /// It is not ready.
    NotReady,
    /// It has a taint that the pod does not tolerate.
    Taint,
    /// It is not what the pod's node selector or affinity asks for.
    Selector,
    /// A volume of the pod cannot be attached there.
    Volume,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cordoned => "cordoned",
            Self::NotReady => "not ready",
            Self::Taint => "tainted",
            Self::Selector => "other than its node selector or affinity asks for",
            Self::Volume => "out of reach of its volume",
        })
    }
}

/// What keeps the pod from this node, looked for in the order of [`Misfit`].
#[must_use]
pub fn misfit(pod: &Placement, node: &Node) -> Option<Misfit> {
    if node.unschedulable {
        return Some(Misfit::Cordoned);
    }
    misfit_uncordoned(pod, node)
}

/// The taint of every cordoned node, which goes with the cordon.
///
/// Source: kubernetes/kubernetes `staging/src/k8s.io/api/core/v1/well_known_taints.go`, `TaintNodeUnschedulable`.
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable:NoSchedule";

/// As [`misfit`], once the node is not cordoned any more.
#[must_use]
pub fn misfit_uncordoned(pod: &Placement, node: &Node) -> Option<Misfit> {
    if !node.ready {
        return Some(Misfit::NotReady);
    }
    if node
        .taints
        .iter()
        .filter(|taint| taint.as_str() != UNSCHEDULABLE)
        .any(|taint| !tolerated(taint, &pod.tolerations))
    {
        return Some(Misfit::Taint);
    }
    let selected = pod
        .node_selector
        .iter()
        .all(|(key, value)| node.labels.get(key) == Some(value));
    let affine = pod
        .node_affinity
        .as_ref()
        .is_none_or(|terms| terms.iter().any(|term| matches(term, node)));
    if !(selected && affine) {
        return Some(Misfit::Selector);
    }
    let reachable = pod
        .volumes
        .iter()
        .all(|terms| terms.iter().any(|term| matches(term, node)));
    (!reachable).then_some(Misfit::Volume)
}

fn matches(term: &NodeTerm, node: &Node) -> bool {
    let empty = term.labels.is_empty() && term.name.is_empty();
    !empty
        && term
            .labels
            .iter()
            .all(|wanted| wanted.holds(node.labels.get(&wanted.key).map(String::as_str)))
        && term
            .name
            .iter()
            .all(|wanted| wanted.holds(Some(node.name.as_str())))
}

/// How many of the node's `PreferNoSchedule` taints the pod does not tolerate: of nodes that may run it, those with fewer are
/// preferred.
///
/// Source: kubernetes/kubernetes `pkg/scheduler/framework/plugins/tainttoleration/taint_toleration.go`, `Score`.
#[must_use]
pub fn unwelcome(pod: &Placement, node: &Node) -> usize {
    node.taints
        .iter()
        .filter(|taint| taint.ends_with(":PreferNoSchedule"))
        .filter(|taint| !tolerates(taint, &pod.tolerations))
        .count()
}

/// `PreferNoSchedule` keeps nobody away.
fn tolerated(taint: &str, tolerations: &[Toleration]) -> bool {
    taint.ends_with(":PreferNoSchedule") || tolerates(taint, tolerations)
}

/// Of a taint `key=value:Effect` or `key:Effect`.
fn tolerates(taint: &str, tolerations: &[Toleration]) -> bool {
    let (rest, effect) = taint.rsplit_once(':').unwrap_or((taint, ""));
    let (key, value) = rest.split_once('=').unwrap_or((rest, ""));
    tolerations.iter().any(|toleration| {
        let same =
            |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|wanted| wanted == is);
        same(&toleration.key, key)
            && same(&toleration.value, value)
            && same(&toleration.effect, effect)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::cluster::model::{NodeName, Operator, Requirement};

    fn node(labels: &[(&str, &str)], taints: &[&str]) -> Node {
        Node {
            name: NodeName::new("w1"),
            uid: "u".into(),
            labels: labels
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
            unschedulable: false,
            cordoned_by: None,
            ready: true,
            kubelet_version: "1.34.4".into(),
            container_runtime: String::new(),
            machine_id: String::new(),
            not_ready_because: None,
            system_uuid: String::new(),
            internal_ips: vec![],
            taints: taints.iter().map(|taint| (*taint).to_owned()).collect(),
            allocatable: None,
        }
    }

    fn requirement(key: &str, operator: Operator, values: &[&str]) -> Requirement {
        Requirement {
            key: key.into(),
            operator,
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        }
    }

    fn term(key: &str, operator: Operator, values: &[&str]) -> NodeTerm {
        NodeTerm {
            labels: vec![requirement(key, operator, values)],
            name: vec![],
        }
    }

    #[test]
    fn cordons_and_readiness_come_first() {
        let mut away = node(&[], &["a:NoSchedule"]);
        away.ready = false;
        assert_eq!(misfit(&Placement::default(), &away), Some(Misfit::NotReady));
        away.unschedulable = true;
        assert_eq!(misfit(&Placement::default(), &away), Some(Misfit::Cordoned));
        assert_eq!(misfit(&Placement::default(), &node(&[], &[])), None);
    }

    #[test]
    fn taints_need_a_toleration_each() {
        let of = |key: Option<&str>, value: Option<&str>, effect: Option<&str>| Toleration {
            key: key.map(str::to_owned),
            value: value.map(str::to_owned),
            effect: effect.map(str::to_owned),
        };
        let tainted = node(
            &[],
            &["a=1:NoExecute", "b:NoSchedule", "c:PreferNoSchedule"],
        );
        for (tolerations, fits) in [
            (vec![], false),
            (vec![of(Some("a"), Some("1"), None)], false),
            (
                vec![of(Some("a"), Some("1"), None), of(Some("b"), None, None)],
                true,
            ),
            (
                vec![of(Some("a"), Some("2"), None), of(Some("b"), None, None)],
                false,
            ),
            (
                vec![
                    of(Some("a"), None, Some("NoSchedule")),
                    of(Some("b"), None, None),
                ],
                false,
            ),
            (
                vec![of(Some("a"), None, None), of(Some("b"), Some(""), None)],
                true,
            ),
            (vec![of(None, None, None)], true),
        ] {
            let pod = Placement {
                tolerations,
                ..Placement::default()
            };
            let expected = (!fits).then_some(Misfit::Taint);
            assert_eq!(misfit(&pod, &tainted), expected, "{pod:?}");
        }
    }

    #[test]
    fn a_taint_that_only_prefers_is_counted_and_keeps_nobody_away() {
        let tainted = node(&[], &["a:PreferNoSchedule", "b=1:PreferNoSchedule"]);
        let plain = Placement::default();
        assert_eq!(misfit(&plain, &tainted), None);
        assert_eq!(unwelcome(&plain, &tainted), 2);
        let tolerant = Placement {
            tolerations: vec![Toleration {
                key: Some("b".into()),
                ..Toleration::default()
            }],
            ..Placement::default()
        };
        assert_eq!(unwelcome(&tolerant, &tainted), 1);
        assert_eq!(unwelcome(&plain, &node(&[], &["a:NoSchedule"])), 0);
    }

    #[test]
    fn selectors_affinity_and_volumes_ask_for_labels_and_names() {
        let here = node(&[("zone", "a"), ("cores", "8")], &[]);
        let selector = |value: &str| Placement {
            node_selector: BTreeMap::from([("zone".to_owned(), value.to_owned())]),
            ..Placement::default()
        };
        assert_eq!(misfit(&selector("a"), &here), None);
        assert_eq!(misfit(&selector("b"), &here), Some(Misfit::Selector));
        let affinity = |terms: Vec<NodeTerm>| Placement {
            node_affinity: Some(terms),
            ..Placement::default()
        };
        let named = NodeTerm {
            labels: vec![],
            name: vec![requirement("metadata.name", Operator::In, &["w1"])],
        };
        for (terms, fits) in [
            (vec![], false),
            (vec![NodeTerm::default()], false),
            (vec![term("cores", Operator::Gt, &["7"])], true),
            (vec![term("cores", Operator::Gt, &["8"])], false),
            (vec![term("cores", Operator::Gt, &["x"])], false),
            (vec![term("cores", Operator::Lt, &["9"])], true),
            (vec![term("absent", Operator::Lt, &["9"])], false),
            (
                vec![term("zone", Operator::NotIn, &["a"]), named.clone()],
                true,
            ),
            (vec![term("zone", Operator::Exists, &[])], true),
        ] {
            let expected = (!fits).then_some(Misfit::Selector);
            assert_eq!(
                misfit(&affinity(terms.clone()), &here),
                expected,
                "{terms:?}"
            );
        }
        let volumes = |values: &[&str]| Placement {
            volumes: vec![
                vec![named.clone()],
                vec![term("zone", Operator::In, values)],
            ],
            ..Placement::default()
        };
        assert_eq!(misfit(&volumes(&["a", "b"]), &here), None);
        assert_eq!(misfit(&volumes(&["b"]), &here), Some(Misfit::Volume));
    }
}
