//! For each invariant a plan that breaks it, made by hand from a valid one, and what is said of it.

use std::time::Duration;

use refit::cluster::facts::{Facts, Observed};
use refit::cluster::model::{HostName, LabelSelector, NodeName, OUTDATED, Role};
use refit::documents::settings::{Condition, Gate, GatePoint, OrderGroup, Share, WhenBlocked};
use refit::plan::data::{Action, Deferral, Plan, SoakingGroup, Step, StepId};
use refit::plan::verify::{Invariant, verify};
use refit::rules::eviction::Exception;

use crate::build::{World, budget, v};

/// Two control planes, three workers in waves of one, which are not tainted meanwhile: that is a test of its own.
fn world() -> World {
    let mut world = World::new(2, 3, "1.34.4", "1.35.4");
    world.upgrade.drain.avoid_outdated = false;
    world
}

/// `w1/drain` stands for `w1/drain@1.35.4`, `barrier/nodes` for `barrier/nodes@1.35`.
fn id(short: &str) -> StepId {
    let release = if short.starts_with("barrier/") {
        "1.35"
    } else {
        "1.35.4"
    };
    StepId::new(format!("{short}@{release}"))
}

trait Edit {
    fn at(&mut self, short: &str) -> &mut Step;
    fn does(&mut self, short: &str) -> &mut Action;
    fn unwait(&mut self, then: &str, first: &str);
    fn wait(&mut self, then: &str, first: &str);
    /// What waited for it waits for what it waited for.
    fn cut(&mut self, short: &str);
}

impl Edit for Plan {
    fn at(&mut self, short: &str) -> &mut Step {
        let id = id(short);
        let found = self.steps.iter_mut().find(|step| step.id == id);
        found.unwrap_or_else(|| panic!("{short}"))
    }

    fn does(&mut self, short: &str) -> &mut Action {
        &mut self.at(short).action
    }

    fn unwait(&mut self, then: &str, first: &str) {
        let first = id(first);
        let after = &mut self.at(then).after;
        assert!(after.contains(&first), "{then} {first}");
        after.retain(|id| *id != first);
    }

    fn wait(&mut self, then: &str, first: &str) {
        let first = id(first);
        self.at(then).after.push(first);
    }

    fn cut(&mut self, short: &str) {
        let gone = self.at(short).clone();
        self.steps.retain(|step| step.id != gone.id);
        for step in &mut self.steps {
            if step.after.contains(&gone.id) {
                step.after.retain(|id| *id != gone.id);
                step.after.extend(gone.after.iter().cloned());
            }
        }
    }
}

fn told(plan: &Plan, facts: &Facts) -> Vec<String> {
    verify(plan, facts)
        .iter()
        .map(|violation| format!("{}: {violation}", violation.code()))
        .collect()
}

/// After the edit this is among what is told.
#[track_caller]
fn breaks(edit: impl FnOnce(&mut Plan), said: &str) {
    breaks_in(&world(), edit, said);
}

#[track_caller]
fn breaks_in(world: &World, edit: impl FnOnce(&mut Plan), said: &str) {
    let mut plan = world.planned();
    edit(&mut plan);
    let told = told(&plan, &world.facts);
    assert!(told.iter().any(|line| line == said), "{said}\n{told:#?}");
}

#[test]
fn steps_make_an_order() {
    breaks(
        |plan| plan.at("w1/drain").id = id("w1/cordon"),
        "same-id: step w1/cordon@1.35.4 is there twice",
    );
    breaks(
        |plan| plan.wait("w1/drain", "w9/drain"),
        "unknown-step: w1/drain@1.35.4 comes after w9/drain@1.35.4, which is not in the plan",
    );
    breaks(
        |plan| plan.wait("w1/cordon", "w1/drain"),
        "cycle: steps wait for each other: w1/cordon@1.35.4, w1/drain@1.35.4",
    );
}

#[test]
fn the_facts_are_the_plans() {
    let plan = world().planned();
    let mut other = world();
    other.node("w1").kubelet_version = "1.34.5".to_owned();
    assert_eq!(
        told(&plan, &other.facts),
        [
            "other-facts: the plan was made from other facts; 1 difference(s): node/w1/kubelet: was 1.34.4, is 1.34.5"
        ]
    );
    let mut other = world();
    other.facts.cluster.nodes = Observed::Unknown("forbidden".to_owned());
    assert_eq!(
        told(&plan, &other.facts),
        ["unknown: the facts do not say the cluster's nodes: forbidden"]
    );
    breaks(
        |plan| plan.limits.left_out = vec![NodeName::new("w9")],
        "left-out: the plan leaves out [w9], and of the nodes of the facts no host that was seen is []",
    );
    breaks(
        |plan| plan.limits.left_out = vec![NodeName::new("cp2")],
        "argument: the plan's left_out is cp2 and should be workers only",
    );
    breaks(
        |plan| plan.cluster_uid = "other".to_owned(),
        "argument: the plan's cluster is other and should be b0a4",
    );
}

#[test]
fn arguments_are_what_the_facts_say() {
    breaks(
        |plan| match plan.does("w1/check-host") {
            Action::CheckHost { machine_id, .. } => *machine_id = "machine-w2".to_owned(),
            other => panic!("{other:?}"),
        },
        "argument: w1/check-host@1.35.4: machine_id is machine-w2 and should be machine-w1",
    );
    breaks(
        |plan| match plan.does("w1/install-kubelet") {
            Action::InstallKubelet { host, .. } => *host = HostName::new("w9"),
            other => panic!("{other:?}"),
        },
        "argument: w1/install-kubelet@1.35.4: host is w9 and should be a host of the facts",
    );
    breaks(
        |plan| match plan.does("w1/install-kubelet") {
            Action::InstallKubelet { packages, .. } => {
                packages[1].revision = "1.35.9-1.1".to_owned()
            }
            other => panic!("{other:?}"),
        },
        "argument: w1/install-kubelet@1.35.4: packages is 1.35.9-1.1 and should be a kubelet that is offered to w1",
    );
    breaks(
        |plan| match plan.does("w1/kubeadm-node") {
            Action::KubeadmNode { role, .. } => *role = Role::ControlPlane,
            other => panic!("{other:?}"),
        },
        "argument: w1/kubeadm-node@1.35.4: role is a control plane and should be a worker",
    );
    breaks(
        |plan| match plan.does("w1/switch-repository") {
            Action::SwitchRepository { content, .. } => {
                *content = content.replace("pkgs.k8s.io", "pkgs.example.org")
            }
            other => panic!("{other:?}"),
        },
        "argument: w1/switch-repository@1.35.4: content is another repository and should be \
         https://pkgs.k8s.io/core:/stable:/v1.35/deb/",
    );
    breaks(
        |plan| match plan.does("w1/await-node") {
            Action::AwaitNode { version, .. } => *version = v("1.35.3"),
            other => panic!("{other:?}"),
        },
        "argument: w1/await-node@1.35.4: version is 1.35.3 and should be 1.35.4, which may run then",
    );
    breaks(
        |plan| match plan.does("w3/drain") {
            Action::Drain {
                delete_empty_dir_data,
                ..
            } => *delete_empty_dir_data ^= true,
            other => panic!("{other:?}"),
        },
        "argument: w3/drain@1.35.4: drain is grace None, emptyDir data false, unmanaged pods false, rules [], 900 s and should be \
         done as the plan's other drains are",
    );
    breaks(
        |plan| match plan.does("cp1/await-static-pods") {
            Action::AwaitStaticPods { steady_s, .. } => *steady_s = 5,
            other => panic!("{other:?}"),
        },
        "argument: cp1/await-static-pods@1.35.4: steady_s is 5 and should be 20 or more",
    );
    breaks(
        |plan| match plan.does("cp1/await-static-pods") {
            Action::AwaitStaticPods { lease, .. } => *lease = None,
            other => panic!("{other:?}"),
        },
        "argument: cp1/await-static-pods@1.35.4: lease is none and should be kube-system/kube-controller-manager",
    );
    breaks(
        |plan| match plan.does("cluster/await-addons") {
            Action::AwaitAddons { kube_proxy } => *kube_proxy = None,
            other => panic!("{other:?}"),
        },
        "argument: cluster/await-addons@1.35.4: kube_proxy is none and should be 1.35.4",
    );
    breaks(
        |plan| match plan.does("cluster/verify") {
            Action::Verify { kube_proxy, .. } => *kube_proxy = None,
            other => panic!("{other:?}"),
        },
        "argument: cluster/verify@1.35.4: kube_proxy is none and should be 1.35.4",
    );
    breaks(
        |plan| match plan.does("w1/kubeadm-node") {
            Action::KubeadmNode { options, .. } => {
                options.patches = Some("/etc/kubernetes/patches".to_owned());
            }
            other => panic!("{other:?}"),
        },
        "argument: w1/check-host@1.35.4: patches is none and should be /etc/kubernetes/patches",
    );
}

#[test]
fn nothing_changes_before_the_checks_and_the_snapshot() {
    breaks(
        |plan| plan.unwait("w1/switch-repository", "cluster/snapshot-etcd"),
        "unordered: w1/switch-repository@1.35.4 may begin before cluster/snapshot-etcd@1.35.4 has ended",
    );
    breaks(
        |plan| plan.unwait("barrier/preflight", "w2/check-host"),
        "unordered: cluster/snapshot-etcd@1.35.4 may begin before w2/check-host@1.35.4 has ended",
    );
    breaks(
        |plan| plan.cut("w2/check-host"),
        "missing: w2 has no check-host where cluster/snapshot-etcd@1.35.4 needs it",
    );
    breaks(
        |plan| plan.cut("cluster/check-cluster"),
        "missing: cluster has no check-cluster where cluster/snapshot-etcd@1.35.4 needs it",
    );
    breaks(
        |plan| plan.cut("cluster/snapshot-etcd"),
        "missing: cluster has no snapshot-etcd where cp1/switch-repository@1.35.4 needs it",
    );
}

#[test]
fn packages_are_held_served_and_downloaded() {
    breaks(
        |plan| plan.cut("w1/switch-repository"),
        "missing: w1 has no switch-repository where w1/prefetch-packages@1.35.4 needs it",
    );
    breaks(
        |plan| plan.cut("w1/prefetch-packages"),
        "missing: w1 has no prefetch-packages where w1/install-kubeadm@1.35.4 needs it",
    );
    breaks(
        |plan| {
            plan.unwait("w1/install-kubeadm", "w1/prefetch-packages");
            plan.wait("w1/install-kubeadm", "cluster/snapshot-etcd");
            plan.wait("barrier/nodes", "w1/prefetch-packages");
        },
        "unordered: w1/prefetch-packages@1.35.4 may begin before w1/install-kubeadm@1.35.4 has ended",
    );
    let mut loose = world();
    loose.packages("w1").held.clear();
    breaks_in(
        &loose,
        |plan| plan.cut("w1/hold-packages"),
        "missing: w1 has no hold-packages where w1/switch-repository@1.35.4 needs it",
    );
    breaks_in(
        &loose,
        |plan| plan.cut("w1/release-holds"),
        "missing: w1 has no release-holds",
    );
    breaks_in(
        &loose,
        |plan| {
            plan.unwait("w1/release-holds", "barrier/nodes");
            plan.wait("w1/release-holds", "w1/install-kubeadm");
        },
        "unordered: w1/kubeadm-node@1.35.4 may begin before w1/release-holds@1.35.4 has ended",
    );
}

#[test]
fn kubeadm_runs_at_its_own_release_and_after_apply() {
    breaks(
        |plan| match plan.does("w1/kubeadm-node") {
            Action::KubeadmNode { version, .. } => *version = v("1.35.3"),
            other => panic!("{other:?}"),
        },
        "argument: w1/kubeadm-node@1.35.4: version is 1.35.3 and should be 1.35.4, the release of the installed kubeadm",
    );
    breaks(
        |plan| {
            plan.unwait("w1/kubeadm-node", "w1/install-kubeadm");
            plan.wait("barrier/nodes", "w1/install-kubeadm");
        },
        "unordered: w1/kubeadm-node@1.35.4 may begin before w1/install-kubeadm@1.35.4 has ended",
    );
    breaks(
        |plan| plan.cut("cp1/kubeadm-apply"),
        "missing: cluster has no kubeadm-apply where cp2/kubeadm-node@1.35.4 needs it",
    );
    breaks(
        |plan| {
            plan.unwait("w1/kubeadm-node", "cp2/uncordon");
            plan.wait("w1/cordon", "cluster/await-addons");
        },
        "unordered: w1/kubeadm-node@1.35.4 may begin before cp1/kubeadm-apply@1.35.4 has ended",
    );
}

#[test]
fn control_planes_go_one_at_a_time() {
    breaks(
        |plan| plan.unwait("cp2/kubeadm-node", "cp1/await-control-plane"),
        "unordered: cp2/kubeadm-node@1.35.4 may begin before cp1/await-control-plane@1.35.4 has ended",
    );
    breaks(
        |plan| plan.cut("cp1/await-control-plane"),
        "missing: cp1 has no await-control-plane where cp1/kubeadm-apply@1.35.4 needs it",
    );
    breaks(
        |plan| {
            plan.unwait("w1/kubeadm-node", "cp2/uncordon");
            plan.wait("w1/kubeadm-node", "cp2/await-control-plane");
        },
        "unordered: w1/cordon@1.35.4 may begin before cluster/await-addons@1.35.4 has ended",
    );
}

/// Two minutes between control planes; `w1` first, then ten minutes, then the others.
fn soaking() -> World {
    let mut world = world();
    world.upgrade.control_plane.pause = Duration::from_secs(120);
    world.upgrade.workers.order = vec![OrderGroup {
        selector: LabelSelector {
            match_labels: [("kubernetes.io/hostname".to_owned(), "w1".to_owned())].into(),
            match_expressions: Vec::new(),
        },
        soak: Duration::from_secs(600),
    }];
    world
}

#[test]
fn pauses_and_soaks_are_where_they_were_declared() {
    let broken = |edit: &dyn Fn(&mut Plan), said: &str| breaks_in(&soaking(), edit, said);
    let shorter = |plan: &mut Plan, step: &str| match plan.does(step) {
        Action::Soak { for_s, .. } => *for_s -= 1,
        other => panic!("{other:?}"),
    };
    let unwatched = |plan: &mut Plan, step: &str| match plan.does(step) {
        Action::Soak { nodes, .. } => *nodes = vec![NodeName::new("w3")],
        other => panic!("{other:?}"),
    };
    for (step, said) in [
        (
            "cp1/pause",
            "missing: cp2 has no soak where cp2/kubeadm-node@1.35.4 needs it",
        ),
        (
            "cp1/pause-kubelet",
            "missing: cp2 has no soak where cp2/cordon@1.35.4 needs it",
        ),
        (
            "cluster/soak-group-1",
            "missing: w2 has no soak where w2/cordon@1.35.4 needs it",
        ),
    ] {
        broken(&|plan| plan.cut(step), said);
        broken(&|plan| shorter(plan, step), said);
        broken(&|plan| unwatched(plan, step), said);
    }
    // Beside what it should come after, or beside what should come after it.
    broken(
        &|plan| {
            plan.unwait("cluster/soak-group-1", "barrier/wave-1");
            plan.wait("cluster/soak-group-1", "cluster/await-addons");
            plan.wait("w2/kubeadm-node", "barrier/wave-1");
        },
        "missing: w2 has no soak where w2/cordon@1.35.4 needs it",
    );
    broken(
        &|plan| {
            plan.unwait("w2/kubeadm-node", "cluster/soak-group-1");
            plan.wait("w2/kubeadm-node", "barrier/wave-1");
            plan.wait("barrier/wave-2", "cluster/soak-group-1");
        },
        "missing: w2 has no soak where w2/cordon@1.35.4 needs it",
    );
    broken(
        &|plan| {
            plan.unwait("cp2/kubeadm-node", "cp1/pause");
            plan.wait("cp2/kubeadm-node", "cp1/await-control-plane");
            plan.wait("barrier/control-planes", "cp1/pause");
        },
        "missing: cp2 has no soak where cp2/kubeadm-node@1.35.4 needs it",
    );
    broken(
        &|plan| plan.at("cp1/pause").timeout_s = 120,
        "argument: cp1/pause@1.35.4: timeout_s is 120 and should be more than 120",
    );
    broken(
        &|plan| match plan.does("cp1/pause") {
            Action::Soak { nodes, .. } => nodes.push(NodeName::new("w9")),
            other => panic!("{other:?}"),
        },
        "argument: cp1/pause@1.35.4: node is w9 and should be a node that the plan does not leave out",
    );
}

/// A gate at each place there is.
fn gated() -> World {
    let mut world = world();
    let at = |at: GatePoint| Gate {
        name: at.as_str().to_owned(),
        at,
        condition: Condition::Approval {
            by: vec!["alice".to_owned()],
            expires_s: 3600,
        },
    };
    world.upgrade.gates = vec![
        at(GatePoint::BeforeHop),
        at(GatePoint::AfterControlPlane),
        at(GatePoint::BeforeWorkers),
        at(GatePoint::AfterEachWave),
        at(GatePoint::AfterHop),
    ];
    world
}

#[test]
fn gates_are_where_they_were_declared() {
    let broken = |edit: &dyn Fn(&mut Plan), said: &str| breaks_in(&gated(), edit, said);
    let missing = |at: &str, step: &str| {
        format!("missing: {at} of the hop to 1.35.4 has no gate where {step}@1.35.4 needs it")
    };
    for (gate, at, needs) in [
        ("before-hop", "before-hop", "cluster/check-cluster"),
        (
            "after-control-plane/cp1",
            "after-control-plane",
            "cp2/kubeadm-node",
        ),
        (
            "after-control-plane/cp2",
            "after-control-plane",
            "cp1/cordon",
        ),
        ("before-workers", "before-workers", "w1/kubeadm-node"),
        ("after-each-wave/wave-1", "after-each-wave", "w2/cordon"),
        ("after-each-wave/wave-3", "after-each-wave", "w3/cordon"),
        ("after-hop", "after-hop", "cluster/verify"),
    ] {
        let step = format!("gate/{gate}");
        broken(&|plan| plan.cut(&step), &missing(at, needs));
        // One that asks for something else is another gate.
        let other = |plan: &mut Plan| match plan.does(&step) {
            Action::Gate { gate } => gate.name.push('x'),
            other => panic!("{other:?}"),
        };
        broken(&other, &missing(at, needs));
        broken(
            &other,
            &format!("argument: {step}@1.35.4: gate is {at}x and should be as it is declared"),
        );
    }
    // Beside what should wait for it.
    broken(
        &|plan| {
            plan.unwait("cp2/kubeadm-node", "gate/after-control-plane/cp1");
            plan.wait("cp2/kubeadm-node", "cp1/await-control-plane");
            plan.wait("barrier/control-planes", "gate/after-control-plane/cp1");
        },
        &missing("after-control-plane", "cp2/kubeadm-node"),
    );
    broken(
        &|plan| {
            plan.unwait("w2/kubeadm-node", "gate/after-each-wave/wave-1");
            plan.wait("w2/kubeadm-node", "barrier/wave-1");
            plan.wait("barrier/wave-2", "gate/after-each-wave/wave-1");
        },
        &missing("after-each-wave", "w2/cordon"),
    );
    broken(
        &|plan| {
            plan.unwait("w1/kubeadm-node", "gate/before-workers");
            plan.wait("w1/kubeadm-node", "cluster/await-addons");
            plan.wait("w1/cordon", "gate/before-workers");
        },
        &missing("before-workers", "w1/kubeadm-node"),
    );
    // After a look, which may be days old once it is passed.
    broken(
        &|plan| plan.unwait("w2/check-host", "gate/before-hop"),
        &missing("before-hop", "w2/check-host"),
    );
    // Before what should come before it.
    broken(
        &|plan| {
            plan.unwait("gate/after-hop", "barrier/nodes");
            plan.wait("gate/after-hop", "cluster/await-addons");
            plan.wait("cluster/verify", "barrier/nodes");
        },
        &missing("after-hop", "cluster/verify"),
    );
}

/// A new kubelet replaces its static pods, maybe kube-controller-manager's leader: no worker is drained meanwhile.
#[test]
fn workers_wait_until_control_planes_have_settled() {
    breaks(
        |plan| plan.cut("cp1/await-static-pods"),
        "missing: cp1 has no await-static-pods where cp1/install-kubelet@1.35.4 needs it",
    );
    breaks(
        |plan| {
            plan.unwait("w1/kubeadm-node", "cp2/uncordon");
            plan.wait("w1/kubeadm-node", "cp2/await-node");
        },
        "unordered: w1/cordon@1.35.4 may begin before cp2/await-static-pods@1.35.4 has ended",
    );
    breaks(
        |plan| {
            plan.unwait("cp2/uncordon", "cp2/await-static-pods");
            plan.wait("cp2/uncordon", "cp2/await-node");
        },
        "unordered: cp2/uncordon@1.35.4 may begin before cp2/await-static-pods@1.35.4 has ended",
    );
    // An earlier run put the new kubelet there, and was stopped before it had settled.
    let mut stopped = world();
    let mut part = stopped.planned();
    let kubelet = part
        .steps
        .iter()
        .position(|step| step.id == id("cp2/install-kubelet"));
    part.steps.truncate(kubelet.unwrap() + 1);
    stopped.carry_out(&part);
    breaks_in(
        &stopped,
        |plan| {
            plan.unwait("w1/kubeadm-node", "cp2/uncordon");
            plan.wait("w1/kubeadm-node", "barrier/preflight");
        },
        "unordered: w1/cordon@1.35.4 may begin before cp2/await-static-pods@1.35.4 has ended",
    );
    // Before the control planes it would be as well, were their kubelets not the first to go.
    let world = world();
    let mut plan = world.planned();
    plan.unwait("w1/kubeadm-node", "cp2/uncordon");
    plan.wait("w1/kubeadm-node", "cluster/await-addons");
    plan.unwait("cp1/cordon", "cluster/await-addons");
    plan.wait("cp1/cordon", "barrier/wave-3");
    plan.unwait("barrier/nodes", "barrier/wave-3");
    plan.wait("barrier/nodes", "cp2/uncordon");
    assert_eq!(told(&plan, &world.facts), Vec::<String>::new());
}

#[test]
fn skew_is_judged_in_every_order() {
    // A kubelet that may meet an API server that is still old, by any of the two.
    breaks(
        |plan| {
            plan.unwait("w1/kubeadm-node", "cp2/uncordon");
            plan.wait("w1/kubeadm-node", "cp1/await-control-plane");
        },
        "skew: kubelet 1.35.4 on w1 is one minor newer than kube-apiserver 1.34.4 on cp2 in some order of \
         cp2/kubeadm-node@1.35.4, w1/install-kubelet@1.35.4",
    );
    breaks(
        |plan| plan.cut("w1/drain"),
        "skew: kubelet 1.35.4 is one minor newer than kubelet 1.34.4 on w1 in some order of w1/install-kubelet@1.35.4",
    );
    let violation = {
        let world = world();
        let mut plan = world.planned();
        plan.cut("w1/drain");
        verify(&plan, &world.facts).remove(0)
    };
    assert!(matches!(violation.invariant(), Invariant::Skew(rule) if rule.number() == 7));
    assert_eq!(
        violation.invariant().source(),
        Some("https://kubernetes.io/releases/version-skew-policy/#kubelet-1")
    );
    assert_eq!(violation.steps(), [&id("w1/install-kubelet")]);
}

#[test]
fn a_node_goes_through_its_steps_in_order_and_once() {
    breaks(
        |plan| plan.cut("w1/uncordon"),
        "missing: w1 has no uncordon where w1/install-kubelet@1.35.4 needs it",
    );
    breaks(
        |plan| plan.cut("w1/cordon"),
        "missing: w1 has no cordon where w1/install-kubelet@1.35.4 needs it",
    );
    breaks(
        |plan| plan.cut("w1/kubeadm-node"),
        "missing: w1 has no kubeadm upgrade where w1/install-kubelet@1.35.4 needs it",
    );
    breaks(
        |plan| {
            plan.unwait("w1/install-kubelet", "w1/drain");
            plan.wait("w1/install-kubelet", "w1/cordon");
            plan.wait("w1/uncordon", "w1/drain");
        },
        "unordered: w1/install-kubelet@1.35.4 may begin before w1/drain@1.35.4 has ended",
    );
    breaks(
        |plan| match plan.does("w1/drain") {
            Action::Drain { node, .. } => *node = NodeName::new("w2"),
            other => panic!("{other:?}"),
        },
        "needless: w2/drain@1.35.4 must not be there: w2 has had w1/drain@1.35.4 already",
    );
    let mut stays = world();
    stays.node("w1").unschedulable = true;
    breaks_in(
        &stays,
        |plan| match plan.does("w2/cordon") {
            Action::Cordon { node } => *node = NodeName::new("w1"),
            other => panic!("{other:?}"),
        },
        "needless: w2/cordon@1.35.4 must not be there: someone else cordoned w1",
    );
    let patch = World::new(1, 1, "1.35.2", "1.35.4");
    breaks_in(
        &patch,
        |plan| plan.cut("cp1/drain"),
        "missing: cp1 has no drain where cp1/install-kubelet@1.35.4 needs it",
    );
}

#[test]
fn no_more_nodes_are_out_than_allowed() {
    // The second wave no longer waits for the first.
    breaks(
        |plan| {
            plan.unwait("w2/kubeadm-node", "barrier/wave-1");
            plan.wait("w2/kubeadm-node", "cluster/await-addons");
            plan.wait("barrier/nodes", "barrier/wave-1");
        },
        "too-many-out: 2 nodes can be out of service at once, and 1 may be: w1, w3",
    );
    let mut two = world();
    two.upgrade.workers.max_unavailable = Share::Count(2);
    breaks_in(
        &two,
        |plan| plan.limits.workers_out_of_service = 1,
        "too-many-out: 2 nodes can be out of service at once, and 1 may be: w1, w2",
    );
    breaks(
        |plan| {
            plan.unwait("cp2/cordon", "cp1/uncordon");
            plan.wait("cp2/cordon", "cluster/await-addons");
            plan.wait("barrier/nodes", "cp1/uncordon");
        },
        "unordered: cp2/cordon@1.35.4 may begin before cp1/uncordon@1.35.4 has ended",
    );
}

/// Two workers that a budget or a domain parts, put into one wave by hand.
fn together(plan: &mut Plan) {
    plan.limits.workers_out_of_service = 3;
    plan.unwait("w2/kubeadm-node", "barrier/wave-1");
    plan.wait("w2/kubeadm-node", "cluster/await-addons");
}

#[test]
fn budgets_keep_what_they_need_whatever_drains_meet() {
    let mut parted = world();
    parted.upgrade.workers.max_unavailable = Share::Count(3);
    parted.budgets().push(budget("web", 2, 3));
    breaks_in(
        &parted,
        together,
        "budget-exceeded: budget shop/web allows 1 of its pods to be away at once, and these nodes with more of them can be out together: w1, w3",
    );
    // Pods have moved since: the drains ask about each.
    let mut plan = parted.planned();
    together(&mut plan);
    parted.facts.observed_at = "2026-11-21T11:00:00Z".parse().unwrap();
    let told = told(&plan, &parted.facts);
    assert!(
        !told.iter().any(|line| line.starts_with("budget")),
        "{told:#?}"
    );
}

#[test]
fn workers_of_two_domains_are_never_out_together() {
    let mut zoned = world();
    zoned.upgrade.workers.max_unavailable = Share::Count(3);
    zoned.upgrade.workers.topology_key = Some("zone".to_owned());
    for (node, zone) in [("w1", "a"), ("w2", "b"), ("w3", "b")] {
        zoned
            .node(node)
            .labels
            .insert("zone".to_owned(), zone.to_owned());
    }
    breaks_in(
        &zoned,
        together,
        "two-domains: nodes with two values of zone can be out of service together: w1, w2",
    );
}

#[test]
fn everything_ends_at_the_target_and_is_looked_at_last() {
    breaks(
        |plan| {
            for step in [
                "kubeadm-node",
                "cordon",
                "drain",
                "install-kubelet",
                "await-node",
                "uncordon",
            ] {
                plan.cut(&format!("w3/{step}"));
            }
        },
        "not-at-target: kubelet on w3 ends at 1.34.4, not at 1.35.4",
    );
    breaks(
        |plan| plan.steps.clear(),
        "not-at-target: kubeadm-config ends at 1.34.4, not at 1.35.4",
    );
    breaks(
        |plan| plan.cut("cluster/verify"),
        "missing: cluster has no verify where barrier/nodes@1.35 needs it",
    );
    breaks(
        |plan| {
            plan.unwait("barrier/nodes", "barrier/wave-3");
        },
        "unordered: cluster/verify@1.35.4 may begin before barrier/wave-3@1.35 has ended",
    );
}

/// An earlier run was stopped with workers out of service. They are out already, so they come first.
#[test]
fn what_an_earlier_run_left_out_of_service_counts() {
    let mut world = world();
    for name in ["w2", "w3"] {
        world.node(name).unschedulable = true;
        world.node(name).cordoned_by = Some("earlier".to_owned());
    }
    let mut plan = world.planned();
    let first = plan.at("w1/kubeadm-node").after.clone();
    assert!(first.contains(&id("barrier/wave-2")), "{first:?}");
    // Side by side with them it would be one more than there were.
    plan.unwait("w1/kubeadm-node", "barrier/wave-2");
    plan.wait("w1/kubeadm-node", "cp2/uncordon");
    plan.wait("barrier/nodes", "barrier/wave-2");
    assert_eq!(
        told(&plan, &world.facts),
        ["too-many-out: 3 nodes can be out of service at once, and 2 may be: w1, w2, w3"]
    );
}

#[test]
fn a_drain_has_the_time_that_its_rules_give_to_pods() {
    let mut world = world();
    world.upgrade.drain.rules = vec![Exception {
        timeout_s: Some(1800),
        ..Exception::default()
    }];
    let shorter = |plan: &mut Plan| {
        let drain = plan
            .steps
            .iter_mut()
            .find(|step| step.id.as_str() == "w1/drain@1.35.4");
        drain.unwrap().timeout_s = 1799;
    };
    breaks_in(
        &world,
        shorter,
        "argument: w1/drain@1.35.4: timeout_s is 1799 and should be 1800 or more",
    );
    let others = |plan: &mut Plan| match plan.does("w1/drain") {
        Action::Drain {
            others_timeout_s, ..
        } => *others_timeout_s = Some(60),
        other => panic!("{other:?}"),
    };
    breaks_in(
        &world,
        others,
        "argument: w1/drain@1.35.4: drain is grace None, emptyDir data true, unmanaged pods false, rules [all pods: drain, gone \
         within 1800 s], 60 s and should be done as the plan's other drains are",
    );
}

#[test]
fn what_is_put_off_is_what_the_declaration_lets_be_put_off() {
    let mut world = world();
    world.upgrade.drain.blocked = WhenBlocked::Defer { at_most: 1 };
    let plan = world.planned();
    let deferral = |plan: &mut Plan, step: &str| match plan.does(step) {
        Action::Drain { deferral, .. } => deferral.clone(),
        other => panic!("{other:?}"),
    };
    let of_w1 = deferral(&mut plan.clone(), "w1/drain").unwrap();
    let change = |plan: &mut Plan, step: &str, edit: &dyn Fn(&mut Deferral)| match plan.does(step) {
        Action::Drain { deferral, .. } => edit(deferral.get_or_insert_with(|| of_w1.clone())),
        other => panic!("{other:?}"),
    };
    let broken = |edit: &dyn Fn(&mut Plan), said: &str| breaks_in(&world, edit, said);
    broken(
        &|plan| plan.limits.workers_deferred = 0,
        "argument: w1/drain@1.35.4: deferral is given and should be none: no node may be put off",
    );
    broken(
        &|plan| change(plan, "cp1/drain", &|_| ()),
        "argument: cp1/drain@1.35.4: deferral is given and should be none: only workers are put off",
    );
    let soak = |plan: &mut Plan| {
        plan.limits.soaks = vec![SoakingGroup {
            nodes: vec![NodeName::new("w1")],
            for_s: 60,
        }];
    };
    broken(
        &soak,
        "argument: w1/drain@1.35.4: deferral is given and should be none: others wait for what this node meets",
    );
    broken(
        &|plan| change(plan, "w1/drain", &|of| of.until = id("w3/uncordon")),
        "argument: w1/drain@1.35.4: deferral is w3/uncordon@1.35.4 and should be a barrier",
    );
    broken(
        &|plan| change(plan, "w1/drain", &|of| drop(of.steps.pop())),
        "argument: w1/drain@1.35.4: deferral is w1/await-node@1.35.4, w1/cordon@1.35.4, w1/drain@1.35.4, w1/install-kubelet@1.35.4 \
         and should be w1/await-node@1.35.4, w1/cordon@1.35.4, w1/drain@1.35.4, w1/install-kubelet@1.35.4, w1/uncordon@1.35.4",
    );
    broken(
        &|plan| change(plan, "w1/drain", &|of| drop(of.steps.remove(0))),
        "argument: w1/drain@1.35.4: deferral is without a cordon and should be from the node's cordon on",
    );
    // another node would be out of service beside those that are tried again
    broken(
        &|plan| {
            plan.unwait("barrier/deferred", "barrier/wave-3");
            plan.wait("barrier/deferred", "barrier/wave-1");
            plan.wait("barrier/nodes", "barrier/wave-3");
        },
        "argument: w1/drain@1.35.4: deferral is beside w2/cordon@1.35.4 and should be before or after every other node's change",
    );
}

#[test]
fn workers_are_tainted_before_the_first_of_them_is_drained() {
    let mut world = world();
    world.upgrade.drain.avoid_outdated = true;
    let told = |edit: &dyn Fn(&mut Plan)| {
        let mut plan = world.planned();
        edit(&mut plan);
        let wrong = verify(&plan, &world.facts);
        assert!(
            wrong
                .iter()
                .all(|violation| violation.invariant() == Invariant::Outdated),
            "{wrong:#?}"
        );
        wrong.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let taint = "cluster/taint-outdated";
    let mut plan = world.planned();
    let Action::TaintOutdated { nodes } = plan.does(taint) else {
        panic!("{taint}");
    };
    assert_eq!(
        nodes.iter().map(NodeName::as_str).collect::<Vec<_>>(),
        ["w1", "w2", "w3"]
    );
    assert_eq!(told(&|_| {}), [""; 0]);
    assert_eq!(
        told(&|plan| plan.cut(taint)),
        [
            "w1/uncordon@1.35.4 must not be there: w1 is not tainted then, and it takes the taint off",
            "w2/uncordon@1.35.4 must not be there: w2 is not tainted then, and it takes the taint off",
            "w3/uncordon@1.35.4 must not be there: w3 is not tainted then, and it takes the taint off",
            "w1 has no taint-outdated where w1/drain@1.35.4 needs it",
            "w2 has no taint-outdated where w2/drain@1.35.4 needs it",
            "w3 has no taint-outdated where w3/drain@1.35.4 needs it",
        ]
    );
    // Beside the first drain, it may come after it.
    assert_eq!(
        told(&|plan| {
            plan.unwait("w1/kubeadm-node", taint);
            plan.wait("w1/kubeadm-node", "cp2/uncordon");
            plan.wait("w2/kubeadm-node", taint);
        })
        .last()
        .unwrap(),
        "w1/drain@1.35.4 may begin before cluster/taint-outdated@1.35.4 has ended"
    );
    assert_eq!(
        told(&|plan| {
            if let Action::Uncordon { outdated, .. } = plan.does("w2/uncordon") {
                *outdated = false;
            }
        }),
        [
            "w2 has no uncordon that takes the taint off where cluster/taint-outdated@1.35.4, w2/uncordon@1.35.4 needs it"
        ]
    );
    assert_eq!(
        told(&|plan| {
            if let Action::TaintOutdated { nodes } = plan.does(taint) {
                nodes.remove(2);
            }
        }),
        [
            "w3/uncordon@1.35.4 must not be there: w3 is not tainted then, and it takes the taint off",
            "w3 has no taint-outdated where w3/drain@1.35.4 needs it",
        ]
    );
    assert_eq!(
        told(&|plan| plan.limits.outdated_avoided = false),
        ["cluster/taint-outdated@1.35.4 must not be there: drain.avoidOutdated is false"]
    );

    // With one worker left there is no next one; what an earlier run left on it goes all the same.
    let mut one = World::new(1, 1, "1.34.4", "1.35.4");
    assert_eq!(one.planned().step(&id(taint)), None);
    one.node("w1").taints = vec![OUTDATED.to_owned()];
    let mut plan = one.planned();
    assert_eq!(plan.step(&id(taint)), None);
    let off = Action::Uncordon {
        node: NodeName::new("w1"),
        outdated: true,
    };
    assert_eq!(*plan.does("w1/uncordon"), off);
    assert_eq!(verify(&plan, &one.facts), []);
}
