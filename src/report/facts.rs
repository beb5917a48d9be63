//! What was observed, in a few lines, and everything that could not be.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use serde_json::Value;

use crate::cluster::facts::{Facts, Observed};
use crate::plan::reason::bytes;

/// What could not be observed: places by the reason, which many places may share.
#[must_use]
pub fn unknowns(facts: &Facts) -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::new();
    // facts are made of strings, numbers and string keys only, so that this cannot fail
    if let Ok(value) = serde_json::to_value(facts) {
        walk(&value, "", &mut found);
    }
    found
}

/// `Observed::Unknown` is an object whose only key is `unknown`.
fn walk(value: &Value, place: &str, found: &mut BTreeMap<String, Vec<String>>) {
    match value {
        Value::Object(map) => {
            if map.len() == 1
                && let Some(Value::String(why)) = map.get("unknown")
            {
                found.entry(why.clone()).or_default().push(place.to_owned());
                return;
            }
            for (key, value) in map {
                let below = if map.len() == 1 && key == "known" {
                    place.to_owned()
                } else if place.is_empty() {
                    key.clone()
                } else {
                    format!("{place}/{key}")
                };
                walk(value, &below, found);
            }
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                walk(item, &format!("{place}/{at}"), found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// For people.
#[must_use]
pub fn summary(facts: &Facts) -> String {
    let bold = Style::new().bold();
    let yellow = AnsiColor::Yellow.on_default().bold();
    let mut text = String::new();
    let cluster = &facts.cluster;
    let _ = writeln!(
        text,
        "{bold}cluster{bold:#}  {} nodes, {} pods, {} budgets",
        or_unknown(&cluster.nodes, |nodes| nodes.len().to_string()),
        or_unknown(&cluster.pods, |pods| pods.len().to_string()),
        or_unknown(&cluster.budgets, |budgets| budgets.len().to_string()),
    );
    let _ = writeln!(
        text,
        "{bold}etcd{bold:#}     {}",
        or_unknown(&facts.etcd, |etcd| {
            let healthy = etcd.members.iter().filter(|member| member.healthy).count();
            let alarms = if etcd.alarms.is_empty() {
                "no alarms".to_owned()
            } else {
                format!("alarms: {}", etcd.alarms.join(", "))
            };
            let largest = etcd
                .members
                .iter()
                .filter_map(|member| member.db_size)
                .max();
            let size = largest.map_or_else(|| "unknown".to_owned(), bytes);
            format!(
                "{healthy} of {} members healthy, {alarms}, largest database {size}",
                etcd.members.len()
            )
        })
    );
    let width = facts.hosts.keys().map(|host| host.as_str().len()).max();
    for (name, host) in &facts.hosts {
        let words = or_unknown(host, |host| {
            let kubelet = or_unknown(&host.packages, |packages| {
                packages
                    .installed
                    .get("kubelet")
                    .cloned()
                    .unwrap_or_else(|| "not installed".to_owned())
            });
            let os = or_unknown(&host.identity, |identity| identity.os.clone());
            let kubeadm = or_unknown(&host.kubeadm, ToString::to_string);
            let server = host
                .control_plane
                .as_ref()
                .map_or_else(String::new, |facts| {
                    let release = or_unknown(&facts.api_server, ToString::to_string);
                    format!("API server {release}, ")
                });
            format!("{server}kubelet {kubelet}, kubeadm {kubeadm}, {os}")
        });
        let _ = writeln!(
            text,
            "{bold}host{bold:#}     {name:width$}  {words}",
            width = width.unwrap_or_default()
        );
    }
    let unknowns = unknowns(facts);
    if !unknowns.is_empty() {
        let count: usize = unknowns.values().map(Vec::len).sum();
        let _ = writeln!(
            text,
            "\n{yellow}{count} unknown{yellow:#}, which stops a plan that needs them:"
        );
        for (why, places) in unknowns {
            let _ = writeln!(
                text,
                "  {}\n      {}",
                places.join(", "),
                why.replace('\n', "\n      ")
            );
        }
    }
    text
}

fn or_unknown<T>(observed: &Observed<T>, words: impl Fn(&T) -> String) -> String {
    observed.known().map_or_else(|| "unknown".to_owned(), words)
}
