//! Facts that may be shown to others: names, addresses, ids and images of a cluster replaced, its structure kept.
//!
//! The same text becomes the same pseudonym wherever it stands, and pseudonyms of one kind sort as what they stand for, so
//! that a plan made from redacted facts has the shape of the true one. What is kept is listed in `rules`, path by path; whatever
//! is not listed is replaced, so that a fact that is new to refit is hidden until someone decides otherwise. Numbers and
//! truth values are kept: sizes, counts, times.
//!
//! Two things are lost. Texts of errors and lines of manifests changed by hand are withheld, as they may hold anything.
//! URLs of package repositories other than Kubernetes' own are replaced, and a declaration that names the true one is then
//! told that the facts are of another repository.

mod rules;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use self::rules::{COMMON, KEYS, PLAIN_FLAGS, PLAIN_PATHS, PUBLIC, RULES, Rule, fits};
use super::facts::Facts;
use super::model::{HostName, NodeName, OUTDATED};

/// What takes the place of a text that may hold anything.
const WITHHELD: &str = "withheld";

/// The inventory's name in redacted facts.
pub const INVENTORY: &str = "redacted";

/// Redacted facts, and who is who in them.
#[derive(Debug)]
pub struct Redacted {
    /// The facts.
    pub facts: Facts,
    names: Names,
}

impl Redacted {
    /// A host's pseudonym.
    #[must_use]
    pub fn host(&self, host: &HostName) -> String {
        self.names.get("node", host.as_str())
    }

    /// A node's pseudonym.
    #[must_use]
    pub fn node(&self, node: &NodeName) -> String {
        self.names.get("node", node.as_str())
    }
}

/// Facts with whatever tells which cluster it is replaced.
///
/// # Errors
/// If a fact that is not known here cannot be replaced without losing its form.
pub fn redact(facts: &Facts) -> Result<Redacted, serde_json::Error> {
    let value = serde_json::to_value(facts)?;
    let mut names = Names::default();
    // first every name is seen, so that they can be numbered in their order
    names.value(&mut Vec::new(), &value);
    names.number();
    let mut value = names.value(&mut Vec::new(), &value);
    if let Some(name) = value.get_mut("inventory") {
        *name = Value::String(INVENTORY.to_owned());
    }
    Ok(Redacted {
        facts: serde_json::from_value(value)?,
        names,
    })
}

/// Pseudonyms by kind and text.
#[derive(Debug, Default)]
struct Names {
    seen: BTreeMap<&'static str, BTreeSet<String>>,
    numbers: BTreeMap<&'static str, BTreeMap<String, usize>>,
}

impl Names {
    fn number(&mut self) {
        for (kind, texts) in &self.seen {
            let numbered = texts.iter().cloned().zip(1..).collect();
            self.numbers.insert(kind, numbered);
        }
    }

    /// The pseudonym; the text itself while names are still gathered.
    fn get(&self, kind: &'static str, text: &str) -> String {
        let Some(numbers) = self.numbers.get(kind) else {
            return text.to_owned();
        };
        let width = numbers.len().to_string().len();
        match numbers.get(text) {
            Some(number) => format!("{kind}-{number:0width$}"),
            None => WITHHELD.to_owned(),
        }
    }

    fn of(&mut self, kind: &'static str, text: &str) -> String {
        if text.is_empty() || COMMON.contains(&text) {
            return text.to_owned();
        }
        // a requirement may name a node by its label
        let a_node = || {
            self.seen
                .get("node")
                .is_some_and(|nodes| nodes.contains(text))
        };
        let kind = if kind == "value" && a_node() {
            "node"
        } else {
            kind
        };
        if self.numbers.is_empty() {
            self.seen.entry(kind).or_default().insert(text.to_owned());
        }
        self.get(kind, text)
    }

    fn value(&mut self, path: &mut Vec<String>, value: &Value) -> Value {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
            Value::String(text) => Value::String(self.text(path, text)),
            Value::Array(items) => {
                path.push("*".to_owned());
                let items = items.iter().map(|item| self.value(path, item)).collect();
                path.pop();
                Value::Array(items)
            }
            Value::Object(map) => match (map.len(), map.get("known"), map.get("unknown")) {
                (1, Some(known), _) => one("known", self.value(path, known)),
                (1, _, Some(_)) => one("unknown", Value::String(WITHHELD.to_owned())),
                (_, _, _) => Value::Object(self.map(path, map)),
            },
        }
    }

    fn map(&mut self, path: &mut Vec<String>, map: &Map<String, Value>) -> Map<String, Value> {
        let labels = match path.as_slice() {
            [.., last] if matches!(last.as_str(), "labels" | "matchLabels" | "node_selector") => {
                true
            }
            [.., above, last] => above == "endpoints" && last == "pods",
            _ => false,
        };
        map.iter()
            .map(|(key, value)| {
                if labels {
                    let text = value.as_str().unwrap_or_default();
                    let (key, value) = self.label(key, text);
                    return (key, Value::String(value));
                }
                let shown = match KEYS.iter().find(|(pattern, _)| fits(pattern, path)) {
                    Some((_, rule)) => self.by(*rule, key),
                    None => key.clone(),
                };
                path.push(key.clone());
                let value = self.value(path, value);
                path.pop();
                (shown, value)
            })
            .collect()
    }

    fn text(&mut self, path: &[String], text: &str) -> String {
        let rule = RULES
            .iter()
            .find(|(pattern, _)| fits(pattern, path))
            .map_or(Rule::Other("text"), |(_, rule)| *rule);
        self.by(rule, text)
    }

    fn by(&mut self, rule: Rule, text: &str) -> String {
        match rule {
            Rule::Keep => text.to_owned(),
            Rule::Withhold => WITHHELD.to_owned(),
            Rule::Machine => self.of("node", text),
            Rule::Address => self.address(text),
            Rule::Image => self.image(text),
            Rule::Flag => self.flag(text),
            Rule::Taint => self.taint(text),
            Rule::Api => {
                let own = !text.contains('.')
                    || text.ends_with("k8s.io")
                    || text.contains(".k8s.io/")
                    || text.chars().all(|c| c.is_ascii_digit() || c == '.');
                if own {
                    text.to_owned()
                } else {
                    self.of("api", text)
                }
            }
            Rule::Name => self.name(text),
            Rule::LabelKey => self.label(text, "").0,
            Rule::Other(kind) => self.of(kind, text),
        }
    }

    /// Pods of kubeadm's components keep the component's name: it tells what they are.
    fn name(&mut self, text: &str) -> String {
        let component = COMMON.iter().find_map(|component| {
            let rest = text.strip_prefix(component)?.strip_prefix('-')?;
            Some((*component, rest))
        });
        match component {
            Some((component, rest)) => {
                let known = self
                    .seen
                    .get("node")
                    .is_some_and(|nodes| nodes.contains(rest));
                let rest = self.of(if known { "node" } else { "name" }, rest);
                format!("{component}-{rest}")
            }
            None => self.of("name", text),
        }
    }

    fn address(&mut self, text: &str) -> String {
        if PUBLIC.iter().any(|public| {
            let rest = text.strip_prefix("https://").unwrap_or(text);
            rest.strip_prefix(public)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        }) {
            return text.to_owned();
        }
        match text.split_once("://") {
            // the host's own, whichever it is
            Some((_, rest))
                if ["127.0.0.1:", "localhost:", "[::1]:"]
                    .iter()
                    .any(|own| rest.starts_with(own)) =>
            {
                text.to_owned()
            }
            Some((scheme, rest)) => format!("{scheme}://{}.invalid", self.of("address", rest)),
            None => format!("{}.invalid", self.of("address", text)),
        }
    }

    /// Kubernetes' own images keep name and tag, which say the release; others keep nothing.
    fn image(&mut self, text: &str) -> String {
        let (reference, digest) = text
            .split_once('@')
            .map_or((text, None), |(reference, digest)| {
                (reference, Some(digest))
            });
        let (repository, name) = reference.rsplit_once('/').unwrap_or(("", reference));
        let component = name
            .split_once(':')
            .map_or(name, |(component, _)| component);
        if !COMMON.contains(&component) && component != "pause" {
            return self.of("image", text);
        }
        let repository = match repository {
            "" => String::new(),
            repository => format!("{}/", self.address(repository)),
        };
        let digest = digest.map_or_else(String::new, |digest| {
            format!("@{}", self.of("digest", digest))
        });
        format!("{repository}{name}{digest}")
    }

    fn flag(&mut self, text: &str) -> String {
        let plain = |value: &str| {
            value.is_empty()
                || matches!(value, "true" | "false")
                || value.chars().all(|c| c.is_ascii_digit() || c == '.')
                    && value.matches('.').count() < 3
                || PLAIN_PATHS.iter().any(|path| value.starts_with(path))
        };
        match text.split_once('=') {
            Some((name, value)) if name.starts_with("--") => {
                if plain(value) || PLAIN_FLAGS.contains(&name) {
                    text.to_owned()
                } else {
                    format!("{name}={}", self.of("value", value))
                }
            }
            _ if text.starts_with("--") || plain(text) => text.to_owned(),
            _ => self.of("value", text),
        }
    }

    fn taint(&mut self, text: &str) -> String {
        if text == OUTDATED {
            return text.to_owned();
        }
        let (rest, effect) = text.rsplit_once(':').unwrap_or((text, ""));
        let (key, value) = rest.split_once('=').unwrap_or((rest, ""));
        let (key, value) = self.label(key, value);
        let value = if value.is_empty() {
            value
        } else {
            format!("={value}")
        };
        format!("{key}{value}:{effect}")
    }

    /// Kubernetes' own labels keep their keys, and their values where these are the same in every cluster.
    fn label(&mut self, key: &str, value: &str) -> (String, String) {
        let own = matches!(key, "k8s-app" | "component" | "tier")
            || key.split_once('/').is_some_and(|(domain, _)| {
                ["kubernetes.io", "k8s.io"].iter().any(|own| {
                    domain == *own
                        || domain
                            .strip_suffix(own)
                            .is_some_and(|rest| rest.ends_with('.'))
                })
            });
        if !own {
            return (self.of("label", key), self.of("value", value));
        }
        let value = match key {
            "kubernetes.io/os" | "kubernetes.io/arch" | "tier" => value.to_owned(),
            "kubernetes.io/hostname" => self.of("node", value),
            "kubernetes.io/metadata.name" => self.of("namespace", value),
            _ => self.of("value", value),
        };
        (key.to_owned(), value)
    }
}

fn one(key: &str, value: Value) -> Value {
    Value::Object(std::iter::once((key.to_owned(), value)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(texts: &[(Rule, &str)]) -> Vec<String> {
        let mut names = Names::default();
        for (rule, text) in texts {
            names.by(*rule, text);
        }
        names.number();
        texts
            .iter()
            .map(|(rule, text)| names.by(*rule, text))
            .collect()
    }

    #[test]
    fn what_says_which_cluster_it_is_goes_and_the_rest_stays() {
        let texts = [
            (Rule::Machine, "zebra-2"),
            (Rule::Machine, "zebra-1"),
            (Rule::Address, "https://10.0.0.1:6443"),
            (
                Rule::Address,
                "https://pkgs.k8s.io/core:/stable:/v1.35/deb/",
            ),
            (Rule::Address, "https://pkgs.k8s.io.zebra.example/x"),
            (Rule::Image, "registry.k8s.io/kube-proxy:v1.34.4"),
            (
                Rule::Image,
                "zebra.example/k8s/kube-proxy:v1.34.4@sha256:00",
            ),
            (Rule::Image, "zebra.example/shop:v7"),
            (Rule::Flag, "--feature-gates=A=true"),
            (Rule::Flag, "--node-ip=10.0.0.1"),
            (Rule::Flag, "--v=2"),
            (Rule::Flag, "--data-dir=/var/lib/etcd"),
            (Rule::Taint, "zebra.example/team=red:NoSchedule"),
            (
                Rule::Taint,
                "node-role.kubernetes.io/control-plane:NoSchedule",
            ),
            (Rule::Name, "kube-apiserver-zebra-1"),
            (Rule::Api, "apps/v1"),
            (Rule::Api, "zebra.example/v1"),
        ];
        assert_eq!(
            shown(&texts),
            [
                "node-2",
                "node-1",
                "https://address-1.invalid",
                "https://pkgs.k8s.io/core:/stable:/v1.35/deb/",
                "https://address-2.invalid",
                "registry.k8s.io/kube-proxy:v1.34.4",
                "address-3.invalid/kube-proxy:v1.34.4@digest-1",
                "image-1",
                "--feature-gates=A=true",
                "--node-ip=value-1",
                "--v=2",
                "--data-dir=/var/lib/etcd",
                "label-1=value-2:NoSchedule",
                "node-role.kubernetes.io/control-plane:NoSchedule",
                "kube-apiserver-node-1",
                "apps/v1",
                "api-1",
            ]
        );
    }
}
