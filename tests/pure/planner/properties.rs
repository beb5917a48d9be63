//! What holds for every cluster: mixed versions, roles, cordons, holds.

use std::collections::{BTreeMap, BTreeSet};

use super::declared::declared;
use crate::build::{World, v};
use proptest::prelude::*;
use refit::cluster::facts::{Facts, Observed};
use refit::documents::settings::Share;
use refit::plan::data::{Action, Plan, Step, StepId};
use refit::rules::version::Version;

/// What is odd about one node.
#[derive(Debug, Clone)]
struct Oddity {
    cordon: u8,
    kubeadm: bool,
    instance: bool,
    kubelet: bool,
    held: bool,
    kubectl: bool,
}

fn oddity() -> impl Strategy<Value = Oddity> {
    let mostly_not = prop::bool::weighted(0.25);
    (
        0_u8..8,
        mostly_not,
        mostly_not,
        mostly_not,
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(
            |(cordon, kubeadm, instance, kubelet, held, kubectl)| Oddity {
                cordon,
                kubeadm,
                instance,
                kubelet,
                held,
                kubectl,
            },
        )
}

fn worlds() -> impl Strategy<Value = World> {
    let from = prop::sample::select(vec!["1.34.4", "1.35.1", "1.35.4"]);
    (
        from,
        1_usize..6,
        0_usize..9,
        1_u32..5,
        any::<(bool, bool)>(),
        prop::collection::vec(oddity(), 16),
        declared(),
    )
        .prop_map(
            |(
                from,
                control_planes,
                workers,
                unavailable,
                (written, kubelets),
                oddities,
                declared,
            )| {
                let target = v("1.35.4");
                let mut world = World::new(control_planes, workers, from, "1.35.4");
                world.upgrade.workers.max_unavailable = Share::Count(unavailable);
                let hosts: Vec<String> = world
                    .inventory
                    .hosts
                    .keys()
                    .map(ToString::to_string)
                    .collect();
                for (host, odd) in hosts.iter().zip(oddities) {
                    let is_control_plane = world.host(host).control_plane.is_some();
                    if odd.kubeadm || odd.instance {
                        world.install_kubeadm(host, &target);
                    }
                    if odd.instance && is_control_plane {
                        world.upgrade_instance(host, &target);
                    }
                    if odd.kubelet && kubelets {
                        world.install_kubelet(host, &target);
                    }
                    if !odd.held {
                        world.packages(host).held.clear();
                    }
                    if !odd.kubectl {
                        world.packages(host).installed.remove("kubectl");
                    }
                    let node = world.node(host);
                    node.unschedulable = odd.cordon < 2;
                    node.cordoned_by = (odd.cordon == 1).then(|| "earlier".to_owned());
                }
                if written {
                    let some_done = world.facts.hosts.values().any(|host| {
                        host.known()
                            .and_then(|host| host.control_plane.as_ref())
                            .is_some_and(|facts| facts.api_server.known() == Some(&target))
                    });
                    if some_done {
                        world.config().kubernetes_version = target;
                    }
                }
                declared.of(&mut world);
                world
            },
        )
}

/// For every step, all steps that come before it.
fn ancestors(plan: &Plan) -> BTreeMap<&StepId, BTreeSet<&StepId>> {
    let mut all: BTreeMap<&StepId, BTreeSet<&StepId>> = BTreeMap::new();
    for step in &plan.steps {
        let mut before = BTreeSet::new();
        for id in &step.after {
            before.insert(id);
            before.extend(all[id].iter().copied());
        }
        all.insert(&step.id, before);
    }
    all
}

fn step<'p>(plan: &'p Plan, host: &str, verb: &str) -> Option<&'p Step> {
    plan.step(&StepId::new(format!("{host}/{verb}@{}", plan.target)))
}

/// Whether the step changes the host or what runs there.
fn acts_on_host(action: &Action) -> bool {
    match action {
        Action::SnapshotEtcd { .. }
        | Action::HoldPackages { .. }
        | Action::SwitchRepository { .. }
        | Action::PrefetchPackages { .. }
        | Action::InstallKubeadm { .. }
        | Action::PullImages { .. }
        | Action::KubeadmApply { .. }
        | Action::KubeadmNode { .. }
        | Action::InstallKubelet { .. }
        | Action::ReleaseHolds { .. }
        | Action::Hook { .. } => true,
        Action::CheckHost { .. }
        | Action::CheckCluster { .. }
        | Action::AwaitControlPlane { .. }
        | Action::AwaitAddons { .. }
        | Action::TaintOutdated { .. }
        | Action::Cordon { .. }
        | Action::Drain { .. }
        | Action::AwaitNode { .. }
        | Action::AwaitStaticPods { .. }
        | Action::Uncordon { .. }
        | Action::Verify { .. }
        | Action::Soak { .. }
        | Action::Gate { .. }
        | Action::WayBack { .. }
        | Action::Barrier { .. } => false,
    }
}

fn first_and_last<'p>(plan: &'p Plan, host: &str) -> Option<(&'p StepId, &'p StepId)> {
    let first = [
        "kubeadm-node",
        "cordon",
        "drain",
        "install-kubelet",
        "await-node",
    ];
    let first = first.iter().find_map(|verb| step(plan, host, verb))?;
    let last = ["uncordon", "await-static-pods", "await-node"];
    let last = last.iter().find_map(|verb| step(plan, host, verb))?;
    Some((&first.id, &last.id))
}

fn hold(world: &World, plan: &Plan) -> Result<(), TestCaseError> {
    prop_assert!(plan.in_order().is_ok());
    let before = ancestors(plan);
    let target = &plan.target;

    // Each node's own order, and all API servers before any kubelet.
    let servers: Vec<&StepId> = plan
        .steps
        .iter()
        .filter(|step| matches!(step.action, Action::AwaitControlPlane { .. }))
        .map(|step| &step.id)
        .collect();
    for host in world.inventory.hosts.keys() {
        let order: Vec<&StepId> = [
            "cordon",
            "drain",
            "install-kubelet",
            "await-node",
            "await-static-pods",
            "uncordon",
        ]
        .iter()
        .filter_map(|verb| step(plan, host.as_str(), verb))
        .map(|step| &step.id)
        .collect();
        for pair in order.windows(2) {
            prop_assert!(
                before[pair[1]].contains(pair[0]),
                "{} before {}",
                pair[0],
                pair[1]
            );
        }
        if let Some(kubelet) = step(plan, host.as_str(), "install-kubelet") {
            prop_assert!(
                servers
                    .iter()
                    .all(|server| before[&kubelet.id].contains(server))
            );
            prop_assert!(step(plan, host.as_str(), "drain").is_some());
        }
    }

    // Control planes one at a time, in both passes.
    let upgrades: Vec<&StepId> = plan
        .steps
        .iter()
        .filter(|step| match &step.action {
            Action::KubeadmApply { .. } => true,
            Action::KubeadmNode { role, .. } => *role == refit::cluster::model::Role::ControlPlane,
            _ => false,
        })
        .map(|step| &step.id)
        .collect();
    for pair in upgrades.windows(2) {
        prop_assert!(before[pair[1]].contains(pair[0]));
    }

    // Operations on one host never run beside each other, and nothing is changed before the snapshot.
    let snapshot = plan
        .steps
        .iter()
        .find(|step| matches!(step.action, Action::SnapshotEtcd { .. }));
    for host in world.inventory.hosts.keys() {
        let acts: Vec<&StepId> = plan
            .steps
            .iter()
            .filter(|step| step.action.host() == Some(host) && acts_on_host(&step.action))
            .map(|step| &step.id)
            .collect();
        for pair in acts.windows(2) {
            prop_assert!(
                before[pair[1]].contains(pair[0]),
                "{} beside {}",
                pair[0],
                pair[1]
            );
        }
        if let (Some(snapshot), Some(first)) = (
            snapshot,
            acts.iter().find(|id| !id.as_str().contains("snapshot")),
        ) {
            prop_assert!(before[first].contains(&snapshot.id));
        }
    }

    // Workers that may be out of service together.
    let intervals: Vec<(&StepId, &StepId)> = world
        .inventory
        .hosts
        .keys()
        .filter(|host| host.as_str().starts_with('w'))
        .filter(|host| step(plan, host.as_str(), "install-kubelet").is_some())
        .filter_map(|host| first_and_last(plan, host.as_str()))
        .collect();
    let size = usize::try_from(match world.upgrade.workers.max_unavailable {
        Share::Count(count) => count,
        Share::Percent(_) => unreachable!("only counts are generated"),
    })
    .unwrap();
    for (first, last) in &intervals {
        let together = intervals
            .iter()
            .filter(|(other_first, other_last)| {
                !before[first].contains(other_last) && !before[other_first].contains(last)
            })
            .count();
        prop_assert!(together <= size, "{together} workers beside {first}");
    }

    // The last step waits for everything.
    if let Some(last) = plan.steps.last() {
        prop_assert_eq!(last.id.as_str(), format!("cluster/verify@{target}"));
        prop_assert_eq!(before[&last.id].len(), plan.steps.len() - 1);
    }
    Ok(())
}

fn cordons(world: &mut World) -> Vec<(String, bool)> {
    world
        .nodes()
        .iter()
        .map(|node| {
            let by_others = node.unschedulable && node.cordoned_by.is_none();
            (node.name.to_string(), by_others)
        })
        .collect()
}

/// Several minors to go, workers skipping or not, begun by hand or left in the middle.
fn far_worlds() -> impl Strategy<Value = World> {
    let way = prop::sample::select(vec![
        ("1.34.4", "1.36.3", false),
        ("1.34.4", "1.36.3", true),
        ("1.33.5", "1.36.3", false),
        ("1.33.5", "1.36.3", true),
    ]);
    (
        way,
        1_usize..4,
        0_usize..4,
        any::<bool>(),
        prop::collection::vec(oddity(), 8),
        declared(),
    )
        .prop_map(
            |((from, target, skips), control_planes, workers, flag, oddities, declared)| {
                let mut world = World::new(control_planes, workers, from, target);
                world.upgrade.workers.skip_level = skips;
                let first = Version::new(1, v(from).minor().minor + 1, 4);
                let hosts: Vec<String> = world
                    .inventory
                    .hosts
                    .keys()
                    .map(ToString::to_string)
                    .collect();
                for (host, odd) in hosts.iter().zip(oddities) {
                    if flag {
                        let pause = "--pod-infra-container-image=registry.k8s.io/pause:3.10";
                        world.host(host).kubelet_flags = Observed::Known(vec![pause.to_owned()]);
                    }
                    let is_control_plane = world.host(host).control_plane.is_some();
                    if odd.kubeadm || odd.instance {
                        world.install_kubeadm(host, &first);
                    }
                    if odd.instance && is_control_plane {
                        world.upgrade_instance(host, &first);
                    }
                    if !odd.held {
                        world.packages(host).held.clear();
                    }
                    let node = world.node(host);
                    node.unschedulable = odd.cordon < 2;
                    node.cordoned_by = (odd.cordon == 1).then(|| "earlier".to_owned());
                }
                declared.of(&mut world);
                world
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    /// However far the way and wherever a run stops: the same bytes, one minor at a time, and the rest after any prefix.
    #[test]
    fn a_far_way_is_planned_from_wherever_it_was_left(mut world in far_worlds(), at in 0.0_f64..1.0) {
        let Ok(plan) = world.plan() else {
            let reasons = world.reasons();
            prop_assert!(reasons.iter().all(|reason| reason.code() == "skew"), "{:#?}", world.told());
            return Ok(());
        };
        prop_assert_eq!(plan.to_json().unwrap(), world.planned().to_json().unwrap());
        hold(&world, &plan)?;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let cut = (plan.steps.len() as f64 * at) as usize;
        let before = cordons(&mut world);
        let mut done = plan.clone();
        done.steps.truncate(cut);
        world.carry_out(&done);
        let Ok(rest) = world.plan() else {
            return Err(TestCaseError::fail(format!("{cut}: {:#?}", world.told())));
        };
        hold(&world, &rest)?;
        let repeated: Vec<&StepId> = rest
            .steps
            .iter()
            .filter(|step| matches!(
                step.action,
                Action::InstallKubeadm { .. } | Action::InstallKubelet { .. } | Action::KubeadmApply { .. }
            ))
            .map(|step| &step.id)
            .filter(|id| done.step(id).is_some())
            .collect();
        prop_assert!(repeated.is_empty(), "{repeated:?}");
        world.carry_out(&rest);
        prop_assert_eq!(cordons(&mut world), before);
        prop_assert!(world.planned().is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_plan_is_safe_repeatable_and_sufficient(mut world in worlds()) {
        let Ok(plan) = world.plan() else {
            // Kubelets that were upgraded before their API servers: refused for good reason.
            let reasons = world.reasons();
            prop_assert!(reasons.iter().all(|reason| reason.code() == "skew"), "{reasons:?}");
            return Ok(());
        };
        prop_assert_eq!(plan.to_json().unwrap(), world.planned().to_json().unwrap());
        let read = Plan::from_json(&plan.to_json().unwrap()).unwrap();
        prop_assert_eq!(&read, &plan);
        let facts = serde_json::to_string(&world.facts).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Facts>(&facts).unwrap(), &world.facts);
        hold(&world, &plan)?;

        let held: Vec<_> = world.clone().facts.hosts.values().map(|host| {
            host.known().unwrap().packages.known().unwrap().held.clone()
        }).collect();
        let before = cordons(&mut world);
        world.carry_out(&plan);
        prop_assert_eq!(cordons(&mut world), before);
        let held_now: Vec<_> = world.facts.hosts.values().map(|host| {
            host.known().unwrap().packages.known().unwrap().held.clone()
        }).collect();
        prop_assert_eq!(held_now, held);
        let again = world.planned();
        prop_assert!(again.is_empty(), "{:#?}", again.steps.iter().map(|step| &step.id).collect::<Vec<_>>());
    }

    /// Wherever a run stops, what is left is planned, and no step of it is one that was done, checks and waits aside.
    #[test]
    fn a_run_that_stops_anywhere_is_planned_on(mut world in worlds(), at in 0.0_f64..1.0) {
        let Ok(plan) = world.plan() else { return Ok(()) };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let cut = (plan.steps.len() as f64 * at) as usize;
        let mut done = plan.clone();
        done.steps.truncate(cut);
        world.carry_out(&done);
        let rest = world.planned();
        hold(&world, &rest)?;
        let repeated: Vec<&StepId> = rest
            .steps
            .iter()
            .filter(|step| matches!(
                step.action,
                Action::InstallKubeadm { .. } | Action::InstallKubelet { .. } | Action::KubeadmApply { .. }
            ))
            .map(|step| &step.id)
            .filter(|id| done.step(id).is_some())
            .collect();
        prop_assert!(repeated.is_empty(), "{repeated:?}");
        world.carry_out(&rest);
        prop_assert!(world.planned().is_empty());
    }
}

/// Not a limit: how long a large plan takes, for whoever runs `cargo test -- --nocapture large`.
#[test]
fn a_large_cluster_is_planned() {
    let mut world = World::new(5, 500, "1.34.4", "1.35.4");
    world.upgrade.workers.max_unavailable = Share::Percent(10);
    let plan = world.planned();
    assert_eq!(plan.target, Version::new(1, 35, 4));
    let edges: usize = plan.steps.iter().map(|step| step.after.len()).sum();
    // Edges stay linear in steps: waves meet at barriers.
    assert!(
        edges < 2 * plan.steps.len(),
        "{edges} edges, {} steps",
        plan.steps.len()
    );
}
