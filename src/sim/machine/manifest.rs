//! Manifests of static pods, as texts: what the facts keep of one, and pairs that differ as the facts say.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::cluster::facts::Manifest;

const ENDPOINT: &str = "kubeadm.kubernetes.io/kube-apiserver.advertise-address.endpoint";

/// What kubeadm calls the component of a file.
pub(super) fn component(file: &str) -> &str {
    file.strip_suffix(".yaml").unwrap_or(file)
}

/// A manifest's text; JSON is YAML.
pub(super) fn text(file: &str, manifest: &Manifest, endpoint: Option<&str>) -> String {
    let component = component(file);
    let command: Vec<&str> = std::iter::once(component)
        .chain(manifest.flags.iter().map(String::as_str))
        .collect();
    let mut metadata = json!({"name": component, "namespace": "kube-system"});
    if let (Some(endpoint), "kube-apiserver", Some(metadata)) =
        (endpoint, component, metadata.as_object_mut())
    {
        metadata.insert("annotations".to_owned(), json!({ENDPOINT: endpoint}));
    }
    let container = json!({"name": component, "image": manifest.image, "command": command});
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}});
    format!("{pod:#}")
}

/// The manifest that is there and the one that kubeadm writes, which differ by these lines of the facts: `- ` what only the
/// first has, `+ ` what only the second has. Values that the facts do not show are others than they were.
pub(super) fn differing(file: &str, lines: &[String]) -> (String, String) {
    let component = component(file);
    let base = || json!({"spec": {"containers": [{"name": component, "image": component, "command": [component]}]}});
    let (mut present, mut generated) = (base(), base());
    let parsed: Vec<(bool, Line)> = lines
        .iter()
        .filter_map(|line| {
            let (sign, rest) = line.split_at_checked(2)?;
            Some((sign == "- ", Line::of(component, rest)))
        })
        .collect();
    // What only one side has is named there in a line of its own; every other named item is on both sides.
    let one_sided: BTreeSet<(bool, String)> = parsed
        .iter()
        .filter_map(|(here, line)| {
            let item = line
                .place
                .strip_suffix(".name")
                .or_else(|| line.place.strip_suffix(".mountPath"))?;
            Some((*here, item.to_owned()))
        })
        .collect();
    for (here, line) in &parsed {
        let (side, other) = match here {
            true => (&mut present, &mut generated),
            false => (&mut generated, &mut present),
        };
        line.put(side);
        line.skeleton(other, |item| one_sided.contains(&(*here, item.to_owned())));
    }
    (format!("{present:#}"), format!("{generated:#}"))
}

/// A line of a difference.
struct Line {
    place: String,
    value: Value,
    argument: bool,
}

impl Line {
    fn of(component: &str, rest: &str) -> Self {
        let main = format!("spec.containers[{component}]");
        if let Some((place, flag)) = rest
            .split_once(" -")
            .filter(|(place, _)| !place.starts_with('-'))
        {
            // of a container beside the main one
            return Self {
                place: place.to_owned(),
                value: json!(format!("-{flag}")),
                argument: true,
            };
        }
        if rest.starts_with('-') {
            return Self {
                place: format!("{main}.command"),
                value: json!(rest),
                argument: true,
            };
        }
        let hidden = rest.strip_suffix(" (its value is not shown)");
        let (place, value) = match (hidden, rest.split_once(": ")) {
            (Some(place), _) => (place, json!(item_named_by(place).unwrap_or("not shown"))),
            (None, Some((place, value))) => (place, scalar(place, value)),
            (None, None) => (rest, Value::Null),
        };
        let of_the_pod = ["spec.", "metadata.", "apiVersion", "kind", "status"]
            .iter()
            .any(|begin| place.starts_with(begin));
        Self {
            place: match of_the_pod {
                true => place.to_owned(),
                false => format!("{main}.{place}"),
            },
            value,
            argument: false,
        }
    }

    fn put(&self, pod: &mut Value) {
        let Some((place, key)) = self.place.rsplit_once('.') else {
            if let Some(fields) = pod.as_object_mut() {
                fields.insert(self.place.clone(), self.value.clone());
            }
            return;
        };
        let Some(fields) = walk(pod, place, &|_| true) else {
            return;
        };
        if self.argument {
            if let Value::Array(words) = fields.entry(key.to_owned()).or_insert_with(|| json!([])) {
                words.push(self.value.clone());
            }
        } else {
            fields.insert(key.to_owned(), self.value.clone());
        }
    }

    /// The items that the place goes through, on the side that lacks the value.
    fn skeleton(&self, pod: &mut Value, only_there: impl Fn(&str) -> bool) {
        if let Some((place, _)) = self.place.rsplit_once('.') {
            walk(pod, place, &|item| !only_there(item));
        }
    }
}

/// The item whose own name stands at this place: `PROXY` of `env[PROXY].name`.
fn item_named_by(place: &str) -> Option<&str> {
    let item = place.strip_suffix("].name")?;
    item.rsplit_once('[').map(|(_, name)| name)
}

/// A value as it was written: what reads as a number or a switch was one.
fn scalar(place: &str, value: &str) -> Value {
    if place.ends_with("image") {
        return json!(format!("{value}:of-the-release"));
    }
    match serde_json::from_str(value) {
        Ok(plain @ (Value::Bool(_) | Value::Number(_))) => plain,
        Ok(_) | Err(_) => json!(value),
    }
}

/// The fields at a place such as `spec.volumes[ca-certs].hostPath`, made where they are missing; none where an item on the way
/// is missing and may not be made.
fn walk<'v>(
    value: &'v mut Value,
    place: &str,
    may_make: &dyn Fn(&str) -> bool,
) -> Option<&'v mut Map<String, Value>> {
    let mut at = value;
    let mut been = String::new();
    for part in parts(place) {
        let (key, item) = match part.split_once('[') {
            Some((key, item)) => (key, Some(item.trim_end_matches(']'))),
            None => (part, None),
        };
        if !been.is_empty() {
            been.push('.');
        }
        been.push_str(part);
        let fields = at.as_object_mut()?;
        let Some(item) = item else {
            at = fields.entry(key.to_owned()).or_insert_with(|| json!({}));
            continue;
        };
        let items = fields.entry(key.to_owned()).or_insert_with(|| json!([]));
        let items = items.as_array_mut()?;
        let name = if item.starts_with('/') {
            "mountPath"
        } else {
            "name"
        };
        let number = item.parse::<usize>().ok();
        let found = match number {
            Some(number) => (number < items.len()).then_some(number),
            None => items
                .iter()
                .position(|known| known.get(name).and_then(Value::as_str) == Some(item)),
        };
        let index = match (found, number) {
            (Some(index), _) => index,
            (None, _) if !may_make(&been) => return None,
            (None, Some(number)) => {
                while items.len() <= number {
                    items.push(json!({}));
                }
                number
            }
            (None, None) => {
                items.push(json!({name: item}));
                items.len() - 1
            }
        };
        at = items.get_mut(index)?;
    }
    at.as_object_mut()
}

/// The parts of a place: dots within brackets separate nothing.
fn parts(place: &str) -> Vec<&str> {
    let mut depth = 0_u32;
    place
        .split(|c: char| {
            match c {
                '[' => depth += 1,
                ']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            c == '.' && depth == 0
        })
        .collect()
}
