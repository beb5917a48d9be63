//! What was changed by hand in the static pods' manifests: each compared with the one that kubeadm itself writes for the
//! same release.
//!
//! Compared is what the manifests say, not how: order, comments and quoting are no edits. A manifest may hold anything, so
//! that values are shown only where they are no secret: flags (redacted), resources, volumes, probes and the like; of all
//! else only its place.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Sections;
use super::machine::redacted;
use crate::host::op::{AnswerError, Output};

/// Parts of a container or of a pod whose values are shown.
const SHOWN: [&str; 15] = [
    "dnsPolicy",
    "hostNetwork",
    "imagePullPolicy",
    "lifecycle",
    "livenessProbe",
    "ports",
    "priority",
    "priorityClassName",
    "readinessProbe",
    "resources",
    "securityContext",
    "startupProbe",
    "tolerations",
    "volumeMounts",
    "volumes",
];

/// Parts of them that may hold a secret all the same.
const HIDDEN: [&str; 3] = ["command", "httpHeaders", "value"];

/// Flags of etcd that kubeadm writes when a member joins, and never again: an upgrade writes them for a cluster of one, and a
/// member that has data does not read them.
///
/// Source: kubernetes/kubernetes `cmd/kubeadm/app/phases/etcd/local.go`, `getEtcdCommand`; etcd-io/website
/// `content/en/docs/v3.6/op-guide/configuration.md`.
const OF_THE_BEGINNING: [&str; 2] = ["--initial-cluster=", "--initial-cluster-state="];

/// A line that is longer is cut.
const LONGEST: usize = 160;

/// What a manifest says in one place: what is compared, and what is shown of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Fact {
    place: String,
    value: String,
    shown: String,
}

/// Reads the answer to `Query::Generated`: by file name, the lines that only the manifest has (`- `) or only kubeadm's
/// (`+ `). Files that are as kubeadm writes them are left out.
///
/// # Errors
/// If it is not the answer expected, or a manifest is not one.
pub fn hand_edits(output: &Output) -> Result<BTreeMap<String, Vec<String>>, AnswerError> {
    let sections = Sections::read("manifests that kubeadm would write", output)?;
    let mut edits = BTreeMap::new();
    let mut compared = 0_usize;
    for (index, section) in sections.sections.iter().enumerate() {
        if section.name != "path" {
            continue;
        }
        let file = sections.good(section)?;
        let text = |offset: usize, name: &str| {
            let section = sections
                .sections
                .get(index + offset)
                .filter(|section| section.name == name)
                .ok_or_else(|| sections.wrong(format!("no `{name}` after {file}")))?;
            // the error must not show the text: a manifest may hold anything
            serde_saphyr::from_str::<Value>(sections.good(section)?)
                .ok()
                .filter(|pod| pod.get("spec").is_some())
                .ok_or_else(|| sections.wrong(format!("{file} is not a pod's manifest")))
        };
        let lines = difference(file, &text(1, "present")?, &text(2, "generated")?);
        compared += 1;
        if !lines.is_empty() {
            edits.insert(file.to_owned(), lines);
        }
    }
    if compared == 0 {
        return Err(sections.wrong("there is no manifest of kubeadm"));
    }
    Ok(edits)
}

fn difference(file: &str, present: &Value, generated: &Value) -> Vec<String> {
    let (present, generated) = (facts(file, present), facts(file, generated));
    let only = |one: &BTreeSet<Fact>, other: &BTreeSet<Fact>, sign: char| -> Vec<(Fact, char)> {
        one.difference(other)
            .map(|fact| (fact.clone(), sign))
            .collect()
    };
    let mut lines = only(&present, &generated, '-');
    lines.extend(only(&generated, &present, '+'));
    // a value that was changed stands beside the one that kubeadm writes
    lines.sort_by(|(a, one), (b, other)| (&a.place, other).cmp(&(&b.place, one)));
    lines
        .into_iter()
        .map(|(fact, sign)| {
            let line = format!("{sign} {}", fact.shown);
            if line.chars().count() > LONGEST {
                line.chars().take(LONGEST).chain(['…']).collect()
            } else {
                line
            }
        })
        .collect()
}

fn facts(file: &str, pod: &Value) -> BTreeSet<Fact> {
    let component = file.strip_suffix(".yaml").unwrap_or(file);
    let mut found = BTreeSet::new();
    let main = format!("spec.containers[{component}].");
    walk(&mut found, &main, "", pod);
    found.retain(|fact| {
        let of_the_beginning = OF_THE_BEGINNING
            .iter()
            .any(|flag| fact.value.starts_with(flag));
        let asked = !fact.place.starts_with("status") && fact.place != "metadata.creationTimestamp";
        asked && !(component == "etcd" && of_the_beginning)
    });
    found
}

fn walk(found: &mut BTreeSet<Fact>, main: &str, place: &str, value: &Value) {
    match value {
        Value::Null => {}
        Value::Object(fields) => {
            for (key, value) in fields {
                let below = if place.is_empty() {
                    key.clone()
                } else {
                    format!("{place}.{key}")
                };
                let of_a_container = place.ends_with(']') && place.contains("ontainers[");
                match (key.as_str(), value) {
                    ("command" | "args", Value::Array(words)) if of_a_container => {
                        words
                            .iter()
                            .for_each(|word| argument(found, main, &below, word));
                    }
                    _ => walk(found, main, &below, value),
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                let name = ["mountPath", "name"]
                    .iter()
                    .find_map(|key| item.get(*key)?.as_str());
                let below = match (name, item) {
                    (Some(name), _) => format!("{place}[{name}]"),
                    (None, Value::Object(_) | Value::Array(_)) => format!("{place}[{index}]"),
                    (None, _) => place.to_owned(),
                };
                walk(found, main, &below, item);
            }
        }
        Value::Bool(_) | Value::Number(_) => {
            let text = value.to_string();
            put(found, main, place, &text, Some(&text));
        }
        Value::String(text) if place.ends_with(".image") => {
            // every upgrade writes another release; that it comes from somewhere else is an edit
            let name = text.split('@').next().unwrap_or(text);
            let repository = match name.rsplit_once(':') {
                Some((repository, tag)) if !tag.contains('/') => repository,
                Some(_) | None => name,
            };
            put(found, main, place, repository, Some(repository));
        }
        Value::String(text) => {
            let shown = harmless(main, place).then_some(text.as_str());
            put(found, main, place, text, shown);
        }
    }
}

fn harmless(main: &str, place: &str) -> bool {
    let inside = place
        .strip_prefix(main)
        .or_else(|| place.strip_prefix("spec."))
        .unwrap_or(place);
    let names = || inside.split(['.', '[']);
    names().next().is_some_and(|part| SHOWN.contains(&part))
        && !names().any(|part| HIDDEN.contains(&part))
}

/// A word of a container's command: flags are facts of their own, whatever their order.
fn argument(found: &mut BTreeSet<Fact>, main: &str, place: &str, word: &Value) {
    let word = match word {
        Value::String(word) => word.clone(),
        other => other.to_string(),
    };
    let inside = place.strip_prefix(main).is_none().then_some(place);
    let shown = if word.starts_with('-') {
        redacted(&word)
    } else {
        "an argument that is no flag".to_owned()
    };
    let name = word.split('=').next().unwrap_or(&word).to_owned();
    found.insert(Fact {
        place: format!("{place} {name}"),
        shown: inside.map_or_else(|| shown.clone(), |inside| format!("{inside} {shown}")),
        value: word,
    });
}

fn put(found: &mut BTreeSet<Fact>, main: &str, place: &str, value: &str, shown: Option<&str>) {
    let name = place.strip_prefix(main).unwrap_or(place);
    found.insert(Fact {
        place: place.to_owned(),
        value: value.to_owned(),
        shown: match shown {
            Some(shown) => format!("{name}: {shown}"),
            None => format!("{name} (its value is not shown)"),
        },
    });
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::testing::answer;
    use super::*;

    /// As kubeadm 1.34 writes it, shortened.
    const GENERATED: &str = "apiVersion: v1
kind: Pod
metadata:
  annotations:
    kubeadm.kubernetes.io/kube-apiserver.advertise-address.endpoint: 10.77.0.11:6443
  labels:
    component: kube-apiserver
  name: kube-apiserver
spec:
  containers:
  - command:
    - kube-apiserver
    - --advertise-address=10.77.0.11
    - --profiling=true
    image: registry.k8s.io/kube-apiserver:v1.34.4
    livenessProbe:
      httpGet:
        host: 10.77.0.11
        port: probe-port
      periodSeconds: 10
    name: kube-apiserver
    resources:
      requests:
        cpu: 250m
    volumeMounts:
    - mountPath: /etc/ssl/certs
      name: ca-certs
      readOnly: true
  hostNetwork: true
  volumes:
  - hostPath:
      path: /etc/ssl/certs
      type: DirectoryOrCreate
    name: ca-certs
status: {}
";

    fn edits(file: &str, present: &str, generated: &str) -> Vec<String> {
        let sections = [
            ("path", 0, file),
            ("present", 0, present),
            ("generated", 0, generated),
        ];
        let mut read = hand_edits(&answer(&sections)).unwrap();
        read.remove(file).unwrap_or_default()
    }

    fn after(changes: &[(&str, &str)]) -> Vec<String> {
        let present = changes
            .iter()
            .fold(GENERATED.to_owned(), |text, (from, to)| {
                assert!(text.contains(from), "{from}");
                text.replace(from, to)
            });
        edits("kube-apiserver.yaml", &present, GENERATED)
    }

    #[test]
    fn what_says_the_same_is_no_edit() {
        let none: &[String] = &[];
        assert_eq!(after(&[]), none);
        // order, quotes, comments, another release's image
        assert_eq!(
            after(&[
                (
                    "    - --advertise-address=10.77.0.11\n    - --profiling=true\n",
                    "    # ours\n    - \"--profiling=true\"\n    - --advertise-address=10.77.0.11\n"
                ),
                ("kube-apiserver:v1.34.4", "kube-apiserver:v1.34.2@sha256:0b"),
                ("status: {}\n", ""),
            ]),
            none
        );
        // kubeadm writes a joined member of etcd as if it were alone
        let etcd = |flags: &str| {
            format!("spec:\n  containers:\n  - name: etcd\n    command: [etcd{flags}]\n")
        };
        let joined = etcd(", --initial-cluster=a=https://x,--initial-cluster-state=existing");
        assert_eq!(
            edits(
                "etcd.yaml",
                &joined,
                &etcd(", --initial-cluster=b=https://y")
            ),
            none
        );
        assert_eq!(
            edits("etcd.yaml", &etcd(", --quota-backend-bytes=8"), &etcd("")),
            ["- --quota-backend-bytes=8"]
        );
    }

    #[test]
    fn each_edit_is_a_line_beside_what_kubeadm_writes() {
        assert_eq!(
            after(&[
                (
                    "--profiling=true",
                    "--profiling=false\n    - --audit-log-maxage=30"
                ),
                ("cpu: 250m", "cpu: 500m"),
                (
                    "registry.k8s.io/kube-apiserver:",
                    "mirror.example.org:5000/kube-apiserver:"
                ),
                ("  hostNetwork: true\n", ""),
            ]),
            [
                "- --audit-log-maxage=30",
                "- --profiling=false",
                "+ --profiling=true",
                "- image: mirror.example.org:5000/kube-apiserver",
                "+ image: registry.k8s.io/kube-apiserver",
                "- resources.requests.cpu: 500m",
                "+ resources.requests.cpu: 250m",
                "+ spec.hostNetwork: true",
            ]
        );
    }

    #[test]
    fn a_secret_in_a_manifest_is_never_shown() {
        let told = after(&[
            ("    name: kube-apiserver\n    resources", "    env:\n    - name: PROXY\n      value: http://me:hunter2@x\n    name: kube-apiserver\n    resources"),
            ("        host: 10.77.0.11\n", "        httpHeaders:\n        - name: Authorization\n          value: Bearer hunter2\n        host: 10.77.0.11\n"),
            ("    - --profiling=true", "    - --profiling=true\n    - --some-token=hunter2\n    - hunter2"),
            ("  labels:\n", "    note: hunter2\n  labels:\n"),
            ("  containers:\n", "  initContainers:\n  - name: x\n    command: [sh, -c, login hunter2]\n  containers:\n"),
        ])
        .join("\n");
        assert!(!told.contains("hunter2"), "{told}");
        assert!(told.contains("--some-token=<redacted>"), "{told}");
        assert!(
            told.contains("- env[PROXY].value (its value is not shown)"),
            "{told}"
        );
        assert!(
            told.contains("httpHeaders[Authorization].value (its value is not shown)"),
            "{told}"
        );
        let long = after(&[(
            "--profiling=true",
            &format!("--profiling={}", "x".repeat(500)),
        )]);
        assert!(
            long.iter().all(|line| line.chars().count() <= LONGEST + 1),
            "{long:?}"
        );
    }

    #[test]
    fn an_answer_without_both_manifests_is_an_error() {
        for sections in [
            vec![],
            vec![("path", 0, "etcd.yaml"), ("present", 0, GENERATED)],
            vec![
                ("path", 0, "etcd.yaml"),
                ("present", 0, GENERATED),
                ("generated", 1, ""),
            ],
            vec![
                ("path", 0, "etcd.yaml"),
                ("present", 0, "a: hunter2"),
                ("generated", 0, GENERATED),
            ],
        ] {
            let error = hand_edits(&answer(&sections)).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
