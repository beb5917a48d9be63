//! kubeadm's patches: what of them hazards are looked for in.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Sections;
use super::machine::redacted;
use crate::cluster::facts::PatchFile;
use crate::host::op::{AnswerError, Output};

/// What kubeadm patches, by the beginning of a file's name.
///
/// Source: kubernetes/kubernetes `cmd/kubeadm/app/util/patches/patches.go`.
const TARGETS: [&str; 6] = [
    "corednsdeployment",
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubeletconfiguration",
];

/// Reads the answer to `Query::Patches`, by file name. Files that kubeadm passes over are left out.
///
/// # Errors
/// If it is not the answer expected, or a patch is none.
pub fn patches(output: &Output) -> Result<BTreeMap<String, PatchFile>, AnswerError> {
    let sections = Sections::read("patches of kubeadm", output)?;
    sections.text("all")?;
    let mut files = BTreeMap::new();
    for file in sections.files("path", "sha256", "text")? {
        let known = file.path.ends_with(".yaml") || file.path.ends_with(".json");
        let Some(target) = TARGETS.iter().find(|target| file.path.starts_with(*target)) else {
            continue;
        };
        if !known {
            continue;
        }
        // the error must not show the text: a patch may hold anything
        let patch: Value = serde_saphyr::from_str(&file.text)
            .map_err(|_| sections.wrong(format!("{} is not YAML", file.path)))?;
        let mut read = PatchFile {
            sha256: file.sha256,
            target: (*target).to_owned(),
            flags: Vec::new(),
            feature_gates: BTreeMap::new(),
        };
        walk(&mut read, &patch);
        files.insert(file.path, read);
    }
    Ok(files)
}

/// Flags and feature gates wherever they stand: a patch may be a part of the object, or a list of changes with paths.
fn walk(read: &mut PatchFile, value: &Value) {
    match value {
        Value::String(text) if text.starts_with("--") => read.flags.push(redacted(text)),
        Value::Array(items) => items.iter().for_each(|item| walk(read, item)),
        Value::Object(fields) => {
            let path = fields
                .get("path")
                .and_then(Value::as_str)
                .unwrap_or_default();
            if let Some(gates) = path.strip_prefix("/featureGates") {
                match (gates.strip_prefix('/'), fields.get("value")) {
                    (Some(name), Some(Value::Bool(on))) => {
                        read.feature_gates.insert(name.to_owned(), *on);
                    }
                    (None, Some(all)) => gates_of(read, all),
                    (Some(_) | None, _) => {}
                }
            }
            for (key, value) in fields {
                if key == "featureGates" {
                    gates_of(read, value);
                } else {
                    walk(read, value);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn gates_of(read: &mut PatchFile, gates: &Value) {
    for (name, on) in gates.as_object().into_iter().flatten() {
        if let Some(on) = on.as_bool() {
            read.feature_gates.insert(name.clone(), on);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::testing::answer;
    use super::*;

    const SHA: &str = "d7adf89cbf90a86bdeea00ec08e74ec66acabc372d0cdc7ce2054b9da02b3fbe  /x";

    fn read(file: &str, text: &str) -> Result<BTreeMap<String, PatchFile>, AnswerError> {
        patches(&answer(&[
            ("all", 0, file),
            ("path", 0, file),
            ("sha256", 0, SHA),
            ("text", 0, text),
        ]))
    }

    #[test]
    fn flags_and_gates_are_found_in_every_form_of_a_patch() {
        let json = r#"[{"op": "add", "path": "/spec/containers/0/command/-", "value": "--feature-gates=A=true"}, {"op": "add", "path": "/spec/containers/0/command/-", "value": "--some-token=hunter2"}]"#;
        let patch = &read("kube-apiserver0+json.json", json).unwrap()["kube-apiserver0+json.json"];
        assert_eq!(patch.target, "kube-apiserver");
        assert_eq!(
            patch.flags,
            ["--feature-gates=A=true", "--some-token=<redacted>"]
        );
        let merge =
            "spec:\n  containers:\n  - name: etcd\n    command: [etcd, --quota-backend-bytes=8]\n";
        assert_eq!(
            read("etcd+strategic.yaml", merge).unwrap()["etcd+strategic.yaml"].flags,
            ["--quota-backend-bytes=8"]
        );
        let gates = BTreeMap::from([("NodeSwap".to_owned(), false)]);
        for text in [
            "featureGates: {NodeSwap: false}",
            "- {op: add, path: /featureGates/NodeSwap, value: false}",
            "- {op: add, path: /featureGates, value: {NodeSwap: false}}",
        ] {
            let file = "kubeletconfiguration+merge.yaml";
            assert_eq!(
                read(file, text).unwrap()[file].feature_gates,
                gates,
                "{text}"
            );
        }
    }

    #[test]
    fn what_kubeadm_passes_over_is_left_out_and_what_is_no_patch_is_an_error() {
        assert!(read("README.md", "password: hunter2").unwrap().is_empty());
        assert!(read("etcd.txt", "x").unwrap().is_empty());
        let error = read("etcd.yaml", "a: [hunter2").unwrap_err().to_string();
        assert!(
            error.contains("etcd.yaml") && !error.contains("hunter2"),
            "{error}"
        );
        assert!(patches(&answer(&[])).is_err());
    }
}
