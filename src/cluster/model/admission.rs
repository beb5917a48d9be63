//! Admission webhooks, reduced to what they intercept and who answers.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::LabelSelector;

/// The label that every namespace has, with its name.
///
/// Source: kubernetes/api `core/v1/types.go`, `LabelMetadataName`.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// A webhook of a ValidatingWebhookConfiguration or a MutatingWebhookConfiguration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// What it does.
    pub kind: WebhookKind,
    /// The configuration's name.
    pub configuration: String,
    /// Its own name, unique within the configuration.
    pub name: String,
    /// `failurePolicy: Fail`: without an answer the request is refused.
    pub fails_closed: bool,
    /// Who answers.
    pub backend: Backend,
    /// What it intercepts.
    pub rules: Vec<Rule>,
    /// In which namespaces.
    #[serde(default)]
    pub namespaces: LabelSelector,
}

/// What a webhook does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WebhookKind {
    /// It admits or refuses.
    Validating,
    /// It may also change the object.
    Mutating,
}

/// Who answers a webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Backend {
    /// Something outside of the cluster's Services.
    Url,
    /// A Service.
    Service {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// What stands behind it.
        endpoints: Endpoints,
    },
}

/// What stands behind a Service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Endpoints {
    /// Pods with these labels, in its namespace.
    Pods(BTreeMap<String, String>),
    /// It selects no pods: someone else keeps its endpoints, or it is another name for something outside.
    Elsewhere,
    /// There is no such Service.
    Missing,
}

/// Requests that a webhook intercepts.
///
/// Source: kubernetes/api `admissionregistration/v1/types.go`, `RuleWithOperations`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// `CREATE`, `UPDATE`, `DELETE`, `CONNECT` or `*`.
    pub operations: Vec<String>,
    /// API groups, or `*`.
    pub groups: Vec<String>,
    /// `pods`, `pods/eviction`, `pods/*`, `*`, `*/status`, `*/*`.
    pub resources: Vec<String>,
}

/// A request, as rules see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// Such as `CREATE`.
    pub operation: &'static str,
    /// API group; empty for the core group.
    pub group: &'static str,
    /// `pods` or `pods/eviction`.
    pub resource: &'static str,
    /// The only namespace in which it matters; none when any does.
    pub namespace: Option<&'static str>,
}

impl fmt::Display for WebhookKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Validating => "validating",
            Self::Mutating => "mutating",
        })
    }
}

impl fmt::Display for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind,
            configuration,
            name,
            ..
        } = self;
        write!(f, "{kind} webhook {name} of {configuration}")
    }
}

impl Webhook {
    /// Whether it may be asked about such a request. Conditions on objects are taken to hold.
    #[must_use]
    pub fn intercepts(&self, request: Request) -> bool {
        let spared = request.namespace.is_some_and(|name| self.spares(name));
        !spared && self.rules.iter().any(|rule| rule.matches(request))
    }

    /// Whether its selector certainly leaves this namespace out; only the label with the name is known of it.
    fn spares(&self, namespace: &str) -> bool {
        let labels = BTreeMap::from([(NAMESPACE_NAME.to_owned(), namespace.to_owned())]);
        let about_the_name = LabelSelector {
            match_labels: only_the_name(&self.namespaces.match_labels),
            match_expressions: self
                .namespaces
                .match_expressions
                .iter()
                .filter(|wanted| wanted.key == NAMESPACE_NAME)
                .cloned()
                .collect(),
        };
        !about_the_name.matches(&labels)
    }
}

fn only_the_name(labels: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    labels
        .iter()
        .filter(|(key, _)| *key == NAMESPACE_NAME)
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

impl Rule {
    fn matches(&self, request: Request) -> bool {
        let has =
            |list: &[String], wanted: &str| list.iter().any(|one| one == "*" || one == wanted);
        has(&self.operations, request.operation)
            && has(&self.groups, request.group)
            && self
                .resources
                .iter()
                .any(|pattern| covers(pattern, request.resource))
    }
}

/// `*` is every resource and no subresource.
fn covers(pattern: &str, resource: &str) -> bool {
    let (name, sub) = match resource.split_once('/') {
        Some((name, sub)) => (name, Some(sub)),
        None => (resource, None),
    };
    match pattern.split_once('/') {
        None => sub.is_none() && (pattern == "*" || pattern == name),
        Some(("*", "*")) => true,
        Some((wanted, wanted_sub)) => sub.is_some_and(|sub| {
            (wanted == "*" || wanted == name) && (wanted_sub == "*" || wanted_sub == sub)
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::model::{Operator, Requirement};

    fn webhook(resources: &[&str]) -> Webhook {
        Webhook {
            kind: WebhookKind::Validating,
            configuration: "policy".to_owned(),
            name: "pods.policy.example.org".to_owned(),
            fails_closed: true,
            backend: Backend::Url,
            rules: vec![Rule {
                operations: vec!["CREATE".to_owned()],
                groups: vec![String::new()],
                resources: resources.iter().map(|one| (*one).to_owned()).collect(),
            }],
            namespaces: LabelSelector::default(),
        }
    }

    const fn create(resource: &'static str) -> Request {
        Request {
            operation: "CREATE",
            group: "",
            resource,
            namespace: None,
        }
    }

    #[test]
    fn a_star_is_no_subresource() {
        for (patterns, pods, eviction) in [
            (&["pods"][..], true, false),
            (&["*"], true, false),
            (&["pods/*"], false, true),
            (&["*/eviction"], false, true),
            (&["*/*"], true, true),
            (&["pods", "pods/eviction"], true, true),
            (&["services"], false, false),
        ] {
            let webhook = webhook(patterns);
            assert_eq!(webhook.intercepts(create("pods")), pods, "{patterns:?}");
            assert_eq!(
                webhook.intercepts(create("pods/eviction")),
                eviction,
                "{patterns:?}"
            );
        }
        let webhook = webhook(&["*/*"]);
        assert!(!webhook.intercepts(Request {
            operation: "UPDATE",
            ..create("pods")
        }));
        assert!(!webhook.intercepts(Request {
            group: "apps",
            ..create("pods")
        }));
    }

    #[test]
    fn a_namespace_is_left_out_only_where_that_is_certain() {
        let lease = Request {
            namespace: Some("kube-system"),
            ..create("pods")
        };
        let mut out = webhook(&["pods"]);
        out.namespaces.match_expressions = vec![Requirement {
            key: NAMESPACE_NAME.to_owned(),
            operator: Operator::NotIn,
            values: vec!["kube-system".to_owned()],
        }];
        assert!(!out.intercepts(lease) && out.intercepts(create("pods")));
        let mut unknown = webhook(&["pods"]);
        unknown.namespaces.match_labels = BTreeMap::from([("policy".to_owned(), "on".to_owned())]);
        assert!(unknown.intercepts(lease));
    }
}
