//! What a pod asks of a node, from the API's objects: requests, selectors, tolerations, and where its volumes can be attached.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::convert::{operator, selector};
use crate::cluster::model::{NodeTerm, Placement, PodTerm, Quantities, Requirement, Toleration};

/// Where volumes can be attached.
#[derive(Debug, Default)]
pub struct Volumes {
    /// For each claim, by namespace and name: what a node must be for its volume.
    terms: BTreeMap<(String, String), Vec<NodeTerm>>,
}

impl Volumes {
    /// Whether any of these pods uses a claim.
    pub fn matter(pods: &[core::Pod]) -> bool {
        pods.iter().any(|pod| claims(pod).next().is_some())
    }

    /// From claims and volumes; a claim without a volume, and a volume that can be attached anywhere, ask for nothing.
    ///
    /// # Errors
    /// If a volume's node affinity has an operator that this build does not know.
    pub fn of(
        claims: Vec<core::PersistentVolumeClaim>,
        volumes: Vec<core::PersistentVolume>,
    ) -> Result<Self, String> {
        let mut by_name = BTreeMap::new();
        for volume in volumes {
            let name = volume.metadata.name.unwrap_or_default();
            let required = volume
                .spec
                .and_then(|spec| spec.node_affinity)
                .and_then(|affinity| affinity.required);
            if let Some(required) = required {
                let terms =
                    terms(required).map_err(|error| format!("PersistentVolume {name}: {error}"))?;
                by_name.insert(name, terms);
            }
        }
        let terms = claims
            .into_iter()
            .filter_map(|claim| {
                let key = (claim.metadata.namespace?, claim.metadata.name?);
                let terms = by_name.get(&claim.spec?.volume_name?)?;
                Some((key, terms.clone()))
            })
            .collect();
        Ok(Self { terms })
    }

    fn of_pod(&self, pod: &core::Pod) -> Vec<Vec<NodeTerm>> {
        let namespace = pod.metadata.namespace.clone().unwrap_or_default();
        claims(pod)
            .filter_map(|claim| self.terms.get(&(namespace.clone(), claim)).cloned())
            .collect()
    }
}

/// The claims that a pod uses: by name, or its own generic ephemeral ones.
///
/// Source: kubernetes/component-helpers `storage/ephemeral/ephemeral.go`, `VolumeClaimName`.
pub fn claims(pod: &core::Pod) -> impl Iterator<Item = String> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.as_ref());
    volumes.into_iter().flatten().filter_map(move |volume| {
        let named = volume
            .persistent_volume_claim
            .as_ref()
            .map(|claim| claim.claim_name.clone());
        named.or_else(|| {
            volume
                .ephemeral
                .as_ref()
                .map(|_| format!("{name}-{}", volume.name))
        })
    })
}

/// What the pod asks of a node; none where it says something that cannot be read.
pub fn placement(pod: &core::Pod, volumes: &Volumes) -> Option<Placement> {
    let spec = pod.spec.clone().unwrap_or_default();
    let mut not_judged = Vec::new();
    let requests = requests(&spec)?;
    let ports = spec
        .containers
        .iter()
        .flat_map(|container| container.ports.iter().flatten());
    if ports
        .into_iter()
        .any(|port| port.host_port.is_some_and(|port| port > 0))
    {
        not_judged.push("host ports".to_owned());
    }
    let spread = spec.topology_spread_constraints.unwrap_or_default();
    if spread
        .iter()
        .any(|constraint| constraint.when_unsatisfiable == "DoNotSchedule")
    {
        not_judged.push("topology spread".to_owned());
    }
    let affinity = spec.affinity.unwrap_or_default();
    let node_affinity = affinity
        .node_affinity
        .and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution)
        .map(terms)
        .transpose()
        .ok()?;
    let beside = affinity
        .pod_affinity
        .and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution)
        .unwrap_or_default();
    if !beside.is_empty() {
        not_judged.push("pod affinity".to_owned());
    }
    let namespace = pod.metadata.namespace.clone().unwrap_or_default();
    let mut apart_from = Vec::new();
    let apart = affinity
        .pod_anti_affinity
        .and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution);
    for term in apart.unwrap_or_default() {
        let more = [&term.match_label_keys, &term.mismatch_label_keys];
        if term.namespace_selector.is_some()
            || more
                .iter()
                .any(|keys| keys.as_ref().is_some_and(|keys| !keys.is_empty()))
        {
            not_judged.push("pod anti-affinity".to_owned());
            continue;
        }
        // No selector matches no pod.
        let Some(wanted) = term.label_selector else {
            continue;
        };
        let mut namespaces = term.namespaces.unwrap_or_default();
        if namespaces.is_empty() {
            namespaces.push(namespace.clone());
        }
        apart_from.push(PodTerm {
            topology_key: term.topology_key,
            namespaces,
            selector: selector(wanted).ok()?,
        });
    }
    Some(Placement {
        requests,
        node_selector: spec.node_selector.unwrap_or_default(),
        node_affinity,
        tolerations: spec
            .tolerations
            .unwrap_or_default()
            .into_iter()
            .map(toleration)
            .collect(),
        apart_from,
        volumes: volumes.of_pod(pod),
        not_judged,
    })
}

fn toleration(toleration: core::Toleration) -> Toleration {
    let exists = toleration.operator.as_deref() == Some("Exists");
    Toleration {
        key: toleration.key.filter(|key| !key.is_empty()),
        value: (!exists).then(|| toleration.value.unwrap_or_default()),
        effect: toleration.effect.filter(|effect| !effect.is_empty()),
    }
}

fn terms(selector: core::NodeSelector) -> Result<Vec<NodeTerm>, String> {
    let requirements = |list: Option<Vec<core::NodeSelectorRequirement>>| {
        list.unwrap_or_default()
            .into_iter()
            .map(requirement)
            .collect::<Result<Vec<_>, _>>()
    };
    selector
        .node_selector_terms
        .into_iter()
        .map(|term| {
            Ok(NodeTerm {
                labels: requirements(term.match_expressions)?,
                name: requirements(term.match_fields)?,
            })
        })
        .collect()
}

fn requirement(requirement: core::NodeSelectorRequirement) -> Result<Requirement, String> {
    Ok(Requirement {
        operator: operator(&requirement.operator)?,
        key: requirement.key,
        values: requirement.values.unwrap_or_default(),
    })
}

/// What there is for pods on a node; none where an amount cannot be read.
pub fn allocatable(amounts: Option<BTreeMap<String, Quantity>>) -> Option<Quantities> {
    quantities(amounts?)
}

fn quantities(amounts: BTreeMap<String, Quantity>) -> Option<Quantities> {
    amounts
        .into_iter()
        .map(|(name, amount)| {
            let amount = read(&amount.0, if name == "cpu" { 1_000 } else { 1 })?;
            Some((name, amount))
        })
        .collect()
}

/// The most that a pod needs at once: its containers and sidecars together, or an init container beside the sidecars that
/// were started before it; what is set for the pod as a whole counts instead; the runtime's overhead on top.
///
/// Source: kubernetes/component-helpers `resource/helpers.go`, `PodRequests`.
fn requests(spec: &core::PodSpec) -> Option<Quantities> {
    let of = |resources: &Option<core::ResourceRequirements>| {
        let requests = resources
            .as_ref()
            .and_then(|resources| resources.requests.clone());
        quantities(requests.unwrap_or_default())
    };
    let mut most = Quantities::new();
    let mut running = Quantities::new();
    for container in spec.init_containers.iter().flatten() {
        let own = of(&container.resources)?;
        if container.restart_policy.as_deref() == Some("Always") {
            add(&mut running, &own);
        } else {
            let mut beside = running.clone();
            add(&mut beside, &own);
            raise(&mut most, &beside);
        }
    }
    for container in &spec.containers {
        add(&mut running, &of(&container.resources)?);
    }
    raise(&mut most, &running);
    most.extend(of(&spec.resources)?);
    add(
        &mut most,
        &quantities(spec.overhead.clone().unwrap_or_default())?,
    );
    most.retain(|_, amount| *amount > 0);
    Some(most)
}

fn add(sum: &mut Quantities, more: &Quantities) {
    for (name, amount) in more {
        let sum = sum.entry(name.clone()).or_default();
        *sum = sum.saturating_add(*amount);
    }
}

fn raise(most: &mut Quantities, other: &Quantities) {
    for (name, amount) in other {
        let most = most.entry(name.clone()).or_default();
        *most = (*most).max(*amount);
    }
}

/// A quantity times `scale`, rounded up.
///
/// Source: kubernetes/apimachinery `pkg/api/resource/quantity.go`, the format.
fn read(text: &str, scale: u64) -> Option<u64> {
    let end = text
        .find(|letter: char| !(letter.is_ascii_digit() || letter == '.' || letter == '+'))
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let power = |base: u128, exponent: u32| base.checked_pow(exponent);
    let (times, over): (u128, u128) = match suffix {
        "" => (1, 1),
        "n" => (1, power(10, 9)?),
        "u" => (1, power(10, 6)?),
        "m" => (1, power(10, 3)?),
        "k" => (power(10, 3)?, 1),
        "M" => (power(10, 6)?, 1),
        "G" => (power(10, 9)?, 1),
        "T" => (power(10, 12)?, 1),
        "P" => (power(10, 15)?, 1),
        "E" => (power(10, 18)?, 1),
        "Ki" => (power(1024, 1)?, 1),
        "Mi" => (power(1024, 2)?, 1),
        "Gi" => (power(1024, 3)?, 1),
        "Ti" => (power(1024, 4)?, 1),
        "Pi" => (power(1024, 5)?, 1),
        "Ei" => (power(1024, 6)?, 1),
        exponent => {
            let exponent: i32 = exponent.strip_prefix(['e', 'E'])?.parse().ok()?;
            let size = power(10, exponent.unsigned_abs())?;
            if exponent < 0 { (1, size) } else { (size, 1) }
        }
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits: u128 = format!("{whole}{fraction}")
        .trim_start_matches('+')
        .parse()
        .ok()?;
    let over = over.checked_mul(power(10, u32::try_from(fraction.len()).ok()?)?)?;
    let amount = digits.checked_mul(times)?.checked_mul(u128::from(scale))?;
    u64::try_from(amount.div_ceil(over)).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn quantities_in_every_form() {
        for (text, scale, amount) in [
            ("100m", 1_000, Some(100)),
            ("2", 1_000, Some(2_000)),
            ("0.5", 1_000, Some(500)),
            (".5", 1_000, Some(500)),
            ("1500u", 1_000, Some(2)),
            ("128Mi", 1, Some(128 << 20)),
            ("1.5Gi", 1, Some(3 << 29)),
            ("1G", 1, Some(1_000_000_000)),
            ("1e3", 1, Some(1_000)),
            ("12E2", 1, Some(1_200)),
            ("5e-1", 1, Some(1)),
            ("1E", 1, Some(1_000_000_000_000_000_000)),
            ("0", 1, Some(0)),
            ("", 1, None),
            ("x", 1, None),
            ("1Zi", 1, None),
            ("-1", 1, None),
            ("99999999999E", 1, None),
        ] {
            assert_eq!(read(text, scale), amount, "{text}");
        }
    }

    fn pod(spec: serde_json::Value) -> core::Pod {
        serde_json::from_value(
            json!({"metadata": {"namespace": "shop", "name": "web-0"}, "spec": spec}),
        )
        .unwrap()
    }

    #[test]
    fn a_pod_needs_the_most_that_runs_at_once() {
        let resources = |cpu: &str| json!({"requests": {"cpu": cpu}});
        let seen = placement(
            &pod(json!({
                "initContainers": [
                    {"name": "early", "resources": resources("900m")},
                    {"name": "mesh", "restartPolicy": "Always", "resources": resources("100m")},
                    {"name": "late", "resources": resources("750m")}],
                "containers": [
                    {"name": "a", "resources": {"requests": {"cpu": "500m", "memory": "1Gi", "example.com/gpu": "1"}}},
                    {"name": "b", "resources": resources("100m")}],
                "overhead": {"cpu": "50m"}})),
            &Volumes::default(),
        )
        .unwrap();
        let requests: Vec<_> = seen
            .requests
            .iter()
            .map(|(name, amount)| (name.as_str(), *amount))
            .collect();
        assert_eq!(
            requests,
            [("cpu", 950), ("example.com/gpu", 1), ("memory", 1 << 30)]
        );
        let odd = pod(json!({"containers": [{"name": "a", "resources": resources("a lot")}]}));
        assert_eq!(placement(&odd, &Volumes::default()), None);
    }

    #[test]
    fn a_pods_demands_keep_what_must_hold() {
        let term = |key: &str| json!({"topologyKey": key, "labelSelector": {"matchLabels": {"app": "web"}}});
        let seen = placement(
            &pod(json!({
                "containers": [{"name": "a", "ports": [{"containerPort": 80, "hostPort": 80}]}],
                "nodeSelector": {"pool": "a"},
                "tolerations": [{"key": "x", "operator": "Exists"}, {"key": "y", "value": "1", "effect": "NoSchedule"}],
                "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "z", "whenUnsatisfiable": "DoNotSchedule"}],
                "affinity": {
                    "nodeAffinity": {
                        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                            {"matchExpressions": [{"key": "cores", "operator": "Gt", "values": ["4"]}],
                             "matchFields": [{"key": "metadata.name", "operator": "In", "values": ["w1"]}]}]},
                        "preferredDuringSchedulingIgnoredDuringExecution": [
                            {"weight": 1, "preference": {"matchExpressions": [{"key": "p", "operator": "Exists"}]}}]},
                    "podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term("kubernetes.io/hostname")]},
                    "podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term("zone")]}}})),
            &Volumes::default(),
        )
        .unwrap();
        assert_eq!(seen.node_selector["pool"], "a");
        assert_eq!(
            seen.not_judged,
            ["host ports", "topology spread", "pod affinity"]
        );
        assert_eq!(seen.apart_from[0].topology_key, "zone");
        assert_eq!(seen.apart_from[0].namespaces, ["shop"]);
        let terms = seen.node_affinity.unwrap();
        assert_eq!(
            terms[0].labels[0].operator,
            crate::cluster::model::Operator::Gt
        );
        assert_eq!(terms[0].name[0].values, ["w1"]);
        assert_eq!(seen.tolerations[0].value, None);
        assert_eq!(seen.tolerations[1].value.as_deref(), Some("1"));
    }

    #[test]
    fn volumes_are_found_through_their_claims() {
        let mounted = pod(json!({"containers": [{"name": "a"}], "volumes": [
            {"name": "data", "persistentVolumeClaim": {"claimName": "data-web-0"}},
            {"name": "tmp", "ephemeral": {}}, {"name": "none", "emptyDir": {}}]}));
        let claim = |name: &str, volume: &str| json!({"metadata": {"namespace": "shop", "name": name}, "spec": {"volumeName": volume}});
        let volume = |name: &str, zone: &str| {
            json!({"metadata": {"name": name}, "spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": [
                {"matchExpressions": [{"key": "zone", "operator": "In", "values": [zone]}]}]}}}})
        };
        let volumes = Volumes::of(
            serde_json::from_value(json!([claim("data-web-0", "v1"), claim("web-0-tmp", "v2"), claim("other", "v3")])).unwrap(),
            serde_json::from_value(json!([volume("v1", "a"), volume("v2", "b"), volume("v3", "c"), {"metadata": {"name": "v4"}}])).unwrap(),
        )
        .unwrap();
        assert!(Volumes::matter(std::slice::from_ref(&mounted)));
        let seen = placement(&mounted, &volumes).unwrap();
        let zones: Vec<&str> = seen
            .volumes
            .iter()
            .map(|terms| terms[0].labels[0].values[0].as_str())
            .collect();
        assert_eq!(zones, ["a", "b"]);
        assert!(!Volumes::matter(&[pod(json!({"containers": []}))]));
    }
}
