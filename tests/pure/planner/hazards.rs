//! From facts to hazards: what of the cluster the planner hands to the detectors, and what it rests on afterwards.

use std::collections::{BTreeMap, BTreeSet};

use refit::cluster::drift::{basis, drift};
use refit::cluster::facts::*;
use refit::cluster::model::admission::{Backend, Endpoints, Rule, Webhook, WebhookKind};
use refit::cluster::model::api_use::DeprecatedApi;
use refit::cluster::model::{LabelSelector, Node};

use crate::build::*;

fn world() -> World {
    World::new(1, 3, "1.34.4", "1.35.4")
}

/// It intercepts pods, fails closed, and the pods of `app: web` in `shop` answer.
fn webhook() -> Webhook {
    Webhook {
        kind: WebhookKind::Mutating,
        configuration: "inject".to_owned(),
        name: "pods.example.org".to_owned(),
        fails_closed: true,
        backend: Backend::Service {
            namespace: "shop".to_owned(),
            name: "answers".to_owned(),
            endpoints: Endpoints::Pods(BTreeMap::from([("app".to_owned(), "web".to_owned())])),
        },
        rules: vec![Rule {
            operations: vec!["*".to_owned()],
            groups: vec![String::new()],
            resources: vec!["pods".to_owned()],
        }],
        namespaces: LabelSelector::default(),
    }
}

fn hooked() -> World {
    let mut world = world();
    *known(&mut world.facts.cluster.surroundings.webhooks) = vec![webhook()];
    world
}

#[test]
fn a_webhook_stays_answered_where_pods_are_spread_or_kept() {
    // a pod on each of three workers, one of which is drained at a time
    hooked().planned();
    let mut alone = hooked();
    alone
        .pods()
        .retain(|pod| pod.namespace != "shop" || pod.name == "web-w2");
    let told = alone.told();
    assert!(
        told[0].starts_with("webhook-drained-away: mutating webhook pods.example.org of inject, which intercepts pods: all ready pods behind it are on w2, and no budget keeps one: "),
        "{told:?}"
    );
    // a budget that keeps one, and has one to give
    let mut kept = hooked();
    kept.pods()
        .retain(|pod| pod.namespace != "shop" || pod.name == "web-w2");
    kept.pods().push(pod("shop", "web-2", "w2"));
    kept.budgets().push(budget("web", 1, 2));
    kept.planned();
    // a DaemonSet's pod is not evicted
    let mut stays = hooked();
    stays
        .pods()
        .retain(|pod| pod.namespace != "shop" || pod.name == "web-w2");
    for pod in stays
        .pods()
        .iter_mut()
        .filter(|pod| pod.namespace == "shop")
    {
        pod.controller.as_mut().unwrap().kind = "DaemonSet".to_owned();
    }
    stays.planned();
    let mut unready = hooked();
    for pod in unready
        .pods()
        .iter_mut()
        .filter(|pod| pod.namespace == "shop")
    {
        pod.ready = false;
    }
    let told = unready.told();
    assert!(
        told[0].contains("Service shop/answers has no ready pod"),
        "{told:?}"
    );
}

#[test]
fn patches_count_only_as_the_declaration_has_them() {
    let patch = PatchFile {
        sha256: "p".to_owned(),
        target: "kube-apiserver".to_owned(),
        flags: vec!["--cloud-provider=external".to_owned()],
        feature_gates: BTreeMap::new(),
    };
    let directory = Some("/etc/kubernetes/patches".to_owned());
    let mut world = world();
    world.upgrade.kubeadm.patches.clone_from(&directory);
    let told = world.told().join("\n");
    assert!(told.contains("hazards-unchecked: could not be checked on cp1 (the facts were observed with another `kubeadm.patches`") && told.contains("apiserver-cloud-flags, ") && told.ends_with(", hand-edits"), "{told}");
    for host in ["cp1", "w1", "w2", "w3"] {
        let files = BTreeMap::from([("kube-apiserver+json.yaml".to_owned(), patch.clone())]);
        world.host(host).patches = Observed::Known(Patches {
            directory: directory.clone(),
            files,
        });
    }
    known(&mut world.control_plane("cp1").hand_edits).patches = directory;
    let told = world.told();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("apiserver-cloud-flags: --cloud-provider in kubeadm's patch kube-apiserver+json.yaml on cp1: "), "{told:?}");
}

#[test]
fn the_difference_of_each_control_plane_is_shown() {
    let mut world = World::new(3, 1, "1.34.4", "1.35.4");
    for (host, line) in [
        ("cp1", "- --profiling=false"),
        ("cp2", "- --profiling=false"),
        ("cp3", "- --v=4"),
    ] {
        known(&mut world.control_plane(host).hand_edits)
            .files
            .insert("kube-scheduler.yaml".to_owned(), vec![line.to_owned()]);
    }
    let told = world.told();
    assert!(told[0].starts_with("hand-edits: kube-scheduler.yaml is not as kubeadm writes it: `- --profiling=false` on cp1, cp2: "), "{told:?}");
    assert!(
        told[1].starts_with(
            "hand-edits: kube-scheduler.yaml is not as kubeadm writes it: `- --v=4` on cp3: "
        ),
        "{told:?}"
    );
}

#[test]
fn facts_of_an_older_refit_are_not_taken_for_fine() {
    let mut value = serde_json::to_value(&world().facts).unwrap();
    value["cluster"]
        .as_object_mut()
        .unwrap()
        .remove("surroundings");
    let host = value["hosts"]["cp1"]["known"].as_object_mut().unwrap();
    host.remove("patches");
    let control_plane = host["control_plane"].as_object_mut().unwrap();
    control_plane.remove("api_use");
    control_plane.remove("hand_edits");
    let mut world = world();
    world.facts = serde_json::from_value(value).unwrap();
    world.upgrade.kubeadm.patches = None;
    let told = world.told();
    let unchecked: Vec<&String> = told
        .iter()
        .filter(|text| text.starts_with("hazards-unchecked: could not be checked"))
        .collect();
    assert_eq!(unchecked.len(), told.len(), "{told:?}");
    for id in [
        "removed-apis",
        "hand-edits",
        "webhook-drained-away",
        "webhook-without-backend",
        "coredns-plugins",
    ] {
        let told = unchecked
            .iter()
            .any(|text| text.contains(id) && text.contains("run `refit inspect` again"));
        assert!(told, "{id}: {unchecked:?}");
    }
}

#[test]
fn a_risk_that_has_ended_is_told_even_where_the_hazard_is_gone() {
    let mut world = world();
    world.upgrade.accepted_risks = vec![refit::rules::hazards::Acceptance {
        id: "stray-manifest".to_owned(),
        hop: "1.35".parse().unwrap(),
        reason: "CHG-1".to_owned(),
        until: "2026-11-01".parse().unwrap(),
    }];
    let notes = world.planned().notes.join("\n");
    let told = "the accepted risk stray-manifest on the way to 1.35 does not apply: the facts do not show it, and it was accepted until 2026-11-01 only";
    assert!(notes.contains(told), "{notes}");
}

#[test]
fn over_several_hops_each_hazard_is_told_where_it_strikes() {
    let world = || World::new(1, 1, "1.34.4", "1.36.3");
    let count = |told: &[String], id: &str| told.iter().filter(|text| text.contains(id)).count();
    let mut edited = world();
    known(&mut edited.control_plane("cp1").hand_edits)
        .files
        .insert("kube-scheduler.yaml".to_owned(), vec!["- --v=4".to_owned()]);
    assert_eq!(count(&edited.told(), "hand-edits"), 1);
    for removed_in in ["1.35", "1.36"] {
        let mut asked = world();
        known(&mut asked.control_plane("cp1").api_use)
            .requested
            .insert(api(removed_in));
        assert_eq!(count(&asked.told(), "removed-apis"), 1, "{removed_in}");
    }
    let mut later = world();
    known(&mut later.control_plane("cp1").api_use)
        .requested
        .insert(api("1.37"));
    later.planned();
    let mut young = world();
    known(&mut young.control_plane("cp1").api_use).since = "2026-11-21T09:00:00Z".parse().unwrap();
    assert_eq!(count(&young.planned().notes, "api-server-young"), 1);
}

/// What follows from it is the same for each control plane.
#[test]
fn an_advisory_hazard_is_told_once_with_all_that_it_was_seen_by() {
    let mut world = World::new(3, 1, "1.34.4", "1.35.4");
    for (host, hour) in [("cp1", 7), ("cp2", 8), ("cp3", 9)] {
        known(&mut world.control_plane(host).api_use).since =
            format!("2026-11-21T0{hour}:00:00Z").parse().unwrap();
        known(&mut world.control_plane(host).stray_files).push("kube-vip.yaml".to_owned());
    }
    let notes = world.planned().notes;
    let young: Vec<&String> = notes
        .iter()
        .filter(|note| note.contains("api-server-young"))
        .collect();
    assert_eq!(young.len(), 1, "{notes:#?}");
    assert!(
        young[0].starts_with("hazard api-server-young: an API server that was started at 2026-11-21T07:00:00Z on cp1; an API server that was started at 2026-11-21T08:00:00Z on cp2; an API server that was started at 2026-11-21T09:00:00Z on cp3: requests for removed APIs are counted"),
        "{young:#?}"
    );
    let strays = "cp1, cp2, cp3 have other static pods, which are left alone: kube-vip.yaml";
    assert!(notes.iter().any(|note| note == strays), "{notes:#?}");
    // however many there are
    let mut world = World::new(9, 1, "1.34.4", "1.35.4");
    for number in 1..=9 {
        let since = format!("2026-11-21T09:00:0{number}Z").parse().unwrap();
        known(&mut world.control_plane(&format!("cp{number}")).api_use).since = since;
    }
    let notes = world.planned().notes.join("\n");
    assert!(notes.contains("on cp5; and 4 more: requests"), "{notes}");
}

fn api(removed_in: &str) -> DeprecatedApi {
    DeprecatedApi {
        group: String::new(),
        version: "v1".to_owned(),
        resource: "x".to_owned(),
        subresource: String::new(),
        removed_in: removed_in.parse().unwrap(),
    }
}

#[test]
fn a_teams_own_hazard_blocks_like_ours() {
    let text = "hazards:\n  - {id: cni-flag, hops: \"1.35..\", severity: blocking, breaks: our CNI does not start, remedy: mend it, source: \"https://wiki.example.org/cni\", detector: {kind: flags, places: [kubelet-command], flags: [--mtu]}}\n";
    let mut own = refit::rules::hazards::Catalogue::default();
    refit::documents::read_hazards(std::path::Path::new("cni.yaml"), text.as_bytes(), &mut own)
        .unwrap();
    let mut world = world();
    world.upgrade.own_hazards = own.iter().cloned().collect();
    world.planned();
    world.host("w2").kubelet_command = Observed::Known(vec!["--mtu=9000".to_owned()]);
    assert_eq!(
        world.told(),
        ["cni-flag: --mtu in the kubelet's command line on w2: our CNI does not start"]
    );
    world.upgrade.own_hazards.extend(own.iter().cloned());
    assert!(
        world.told()[0].starts_with("catalogue: "),
        "an id is taken once"
    );
}

type Change = fn(&mut World);

fn any_node(world: &mut World) -> &mut Node {
    &mut world.nodes()[1]
}

/// What hazards and the plan rest on, and the line of the basis that tells of its change.
#[rustfmt::skip]
const RESTS_ON: &[(&str, Change)] = &[
    ("budget/shop/web", |w| w.budgets().push(budget("web", 1, 3))),
    ("webhook/mutating/inject/pods.example.org", |w| *known(&mut w.facts.cluster.surroundings.webhooks) = vec![webhook()]),
    ("in-tree-volumes/rbd", |w| known(&mut w.facts.cluster.surroundings.storage).uses("rbd", "x".to_owned())),
    ("csi-driver/x", |w| known(&mut w.facts.cluster.surroundings.storage).csi_drivers = BTreeSet::from(["x".to_owned()])),
    ("corefile-plugins", |w| { known(&mut w.facts.cluster.surroundings.corefile_plugins).insert("file".to_owned()); }),
    ("kube-proxy", |w| known(&mut w.facts.cluster.workloads).clear()),
    ("kubeadm-config/extra-args/etcd", |w| { w.config().extra_args = Some(BTreeMap::from([("etcd".to_owned(), vec!["--x=1".to_owned()])])); }),
    ("kubeadm-config/custom-dns-image", |w| w.config().custom_dns_image = Some("x".to_owned())),
    ("kubeadm-config/proxy-disabled", |w| w.config().proxy_disabled = true),
    ("etcd-alarm/NOSPACE", |w| w.etcd().alarms.push("NOSPACE".to_owned())),
    ("node/w1/container-runtime", |w| any_node(w).container_runtime = "containerd://1.7.2".to_owned()),
    ("host/w1/cgroup", |w| w.host("w1").cgroup = Observed::Known(CgroupMode::V1)),
    ("host/w1/kubelet-flags", |w| w.host("w1").kubelet_flags = Observed::Known(vec!["--v=2".to_owned()])),
    ("host/w1/kubelet-command", |w| w.host("w1").kubelet_command = Observed::Unknown("gone".to_owned())),
    ("host/w1/kubelet-config", |w| w.host("w1").kubelet_config = Observed::Known("other".to_owned())),
    ("host/w1/instance-config", |w| w.host("w1").instance_config = Observed::Known(false)),
    ("host/w1/patch", |w| w.host("w1").patches = Observed::Unknown("gone".to_owned())),
    ("host/cp1/certificate/apiserver", |w| { known(&mut w.control_plane("cp1").certificates).insert("apiserver".to_owned(), "2026-12-01T00:00:00Z".parse().unwrap()); }),
    ("host/cp1/hand-edits/etcd.yaml", |w| { known(&mut w.control_plane("cp1").hand_edits).files.insert("etcd.yaml".to_owned(), vec!["- --x".to_owned()]); }),
    ("host/cp1/stray-files", |w| known(&mut w.control_plane("cp1").stray_files).push("x".to_owned())),
    ("host/cp1/manifest/kube-apiserver.yaml", |w| known(&mut w.control_plane("cp1").manifests).get_mut("kube-apiserver.yaml").unwrap().sha256 = "x".to_owned()),
    ("host/cp1/api-use", |w| { known(&mut w.control_plane("cp1").api_use).requested.insert(api("1.40")); }),
];

#[test]
fn a_plan_rests_on_what_hazards_are_looked_for_in() {
    let before = basis(&world().facts);
    for (key, change) in RESTS_ON {
        let mut world = world();
        change(&mut world);
        let told = drift(&before, &basis(&world.facts));
        let keys: Vec<&str> = told.iter().map(|line| line.key.as_str()).collect();
        assert_eq!(keys, [*key]);
    }
    // what a budget allows, and who has asked since when, moves by itself
    let mut one = world();
    one.budgets().push(budget("web", 1, 3));
    let mut other = one.clone();
    other.budgets()[0].disruptions_allowed = 0;
    known(&mut other.control_plane("cp1").api_use).since = "2026-11-20T00:00:00Z".parse().unwrap();
    assert_eq!(basis(&one.facts), basis(&other.facts));
}
