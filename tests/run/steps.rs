//! Steps and their order: halting, interruption, retries, cordons that are not ours, a journal that cannot be written.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::collections::BTreeSet;
use std::time::Duration;

use crate::world::plans::{
    drain, fails, finishes, go, go_on, install_kubeadm, install_kubelet, never, once, plan, settle,
    step, whole,
};
use crate::world::{Memory, OPERATION, Sim};
use refit::cluster::model::{HostName, NodeName};
use refit::plan::data::{Action, StepId};
use refit::ports::{Failure, JournalFile};
use refit::run::event::{Event, Halt, How, Stamped};
use refit::run::executor::Outcome;
use refit::run::extent::remaining;
use refit::run::journal::read;

fn statuses(sim: &Sim, host: &str, statuses: &[i32]) {
    sim.inner
        .borrow_mut()
        .hosts
        .get_mut(&HostName::new(host))
        .unwrap()
        .statuses = statuses.iter().copied().collect();
}

fn done(events: &[Stamped], id: &str) -> Option<(How, Option<String>)> {
    events.iter().find_map(|event| match &event.event {
        Event::StepDone {
            step, how, note, ..
        } if step.as_str() == id => Some((*how, note.clone())),
        _ => None,
    })
}

#[tokio::test(start_paused = true)]
async fn every_step_starts_after_all_that_must_come_before_it() {
    let sim = Sim::usual();
    let whole = whole();
    let mut memory = Memory::default();
    let (outcome, events) = go_on(&whole, &sim, &mut memory).await;
    let Outcome::Finished { own_ms, wall_ms } = outcome else {
        unreachable!("{outcome:?}")
    };
    // Nothing in memory takes time but what was waited for.
    assert_eq!(own_ms, 0);
    assert!(wall_ms > 100_000);
    let mut over: BTreeSet<&StepId> = BTreeSet::new();
    for event in &events {
        match &event.event {
            Event::StepStarted { step, .. } => {
                let planned = whole.steps.iter().find(|known| known.id == *step).unwrap();
                for before in &planned.after {
                    assert!(
                        over.contains(before),
                        "{step} began before {before} was done"
                    );
                }
            }
            Event::StepDone { step, .. } => {
                over.insert(step);
            }
            _ => {}
        }
    }
    assert_eq!(over.len(), whole.steps.len());
    let past = read(&memory.text).unwrap();
    assert_eq!(past.events, events);
    assert!(remaining(&past.state, &whole).is_empty());
    let progress = refit::run::extent::progress(&past.state, &whole);
    assert_eq!(progress.all.done, whole.steps.len());
    assert_eq!(progress.nodes[&NodeName::new("w1")].total, 11);
}

#[tokio::test(start_paused = true)]
async fn a_foreign_cordon_stays_and_ours_goes() {
    let sim = Sim::usual();
    let (_, events) = once(&whole(), &sim).await;
    let foreign = Some((
        How::Already,
        Some("cordoned by someone else; stays so".into()),
    ));
    assert_eq!(done(&events, "w3/cordon"), foreign);
    assert_eq!(done(&events, "w3/uncordon"), foreign);
    assert_eq!(done(&events, "w1/uncordon"), Some((How::Acted, None)));
    let inner = sim.inner.borrow();
    assert!(inner.nodes[&NodeName::new("w3")].unschedulable);
    assert!(!inner.nodes[&NodeName::new("w1")].unschedulable);
}

#[tokio::test(start_paused = true)]
async fn refusals_after_an_api_servers_restart_do_not_eat_an_uncordon() {
    let sim = Sim::usual();
    sim.cordon_as("w1", Some("an-earlier-run"));
    sim.inner.borrow_mut().refusals = 5;
    let action = Action::Uncordon {
        outdated: false,
        node: NodeName::new("w1"),
    };
    let plan = plan(vec![step("w1/uncordon", &[], action)]);
    let events = finishes(&plan, &sim).await;
    assert_eq!(done(&events, "w1/uncordon"), Some((How::Acted, None)));
    assert_eq!(sim.inner.borrow().changes, ["uncordon w1"]);
}

#[tokio::test(start_paused = true)]
async fn refusals_that_stay_are_an_error_within_bounds() {
    let sim = Sim::usual();
    sim.inner.borrow_mut().refusals = u32::MAX;
    let action = Action::Cordon {
        node: NodeName::new("w1"),
    };
    let plan = plan(vec![step("w1/cordon", &[], action)]);
    let began = sim.now();
    let failures = fails(&plan, &sim).await;
    assert!(failures[0].1.contains("refused for 90 s"), "{failures:?}");
    let took = sim.now() - began;
    assert!(took >= Duration::from_secs(90) && took < Duration::from_secs(95));
}

#[tokio::test(start_paused = true)]
async fn a_cordon_that_someone_undoes_all_the_time_is_not_fought_over() {
    let sim = Sim::usual();
    sim.inner.borrow_mut().stubborn = true;
    let action = Action::Cordon {
        node: NodeName::new("w1"),
    };
    let plan = plan(vec![step("w1/cordon", &[], action)]);
    let failures = fails(&plan, &sim).await;
    assert!(failures[0].1.contains("someone undoes"), "{failures:?}");
    assert!(sim.inner.borrow().changes.len() < 200);
}

/// A run was halted between a node's drain and its kubelet, and somebody made use of the node meanwhile.
#[tokio::test(start_paused = true)]
async fn a_kubelet_is_not_replaced_on_a_node_that_is_back_in_service() {
    let plan = plan(vec![
        step("w1/drain", &[], drain("w1")),
        step("w1/kubelet", &["w1/drain"], install_kubelet("w1")),
    ]);
    let sim = Sim::usual();
    sim.cordon_as("w1", Some("r1"));
    statuses(&sim, "w1", &[100]);
    let mut memory = Memory::default();
    let (outcome, _) = go_on(&plan, &sim, &mut memory).await;
    assert!(matches!(outcome, Outcome::Halted { .. }), "{outcome:?}");
    let in_service = |yes: bool| {
        let mut inner = sim.inner.borrow_mut();
        inner
            .nodes
            .get_mut(&NodeName::new("w1"))
            .unwrap()
            .unschedulable = !yes;
    };
    in_service(true);
    let (outcome, _) = go_on(&plan, &sim, &mut memory).await;
    let Outcome::Halted { failures, .. } = outcome else {
        unreachable!("{outcome:?}")
    };
    let why = &failures[0].1;
    assert!(
        why.contains("not cordoned any more")
            && why.contains("`kubectl drain w1 --ignore-daemonsets --delete-emptydir-data`"),
        "{why}"
    );
    // kubectl knows no rules: it would evict what is to stay.
    let mut by_rules = plan.clone();
    for step in &mut by_rules.steps {
        if let Action::Drain { rules, .. } = &mut step.action {
            rules.push(refit::rules::eviction::Exception::default());
        }
    }
    let mut other = Memory {
        text: memory.text.clone(),
    };
    let (outcome, _) = go_on(&by_rules, &sim, &mut other).await;
    let Outcome::Halted { failures, .. } = outcome else {
        unreachable!("{outcome:?}")
    };
    let why = &failures[0].1;
    assert!(
        why.contains(
            "does not know the declaration's drain.rules; `refit apply UPGRADE --new-run`"
        ),
        "{why}"
    );
    assert_eq!(sim.inner.borrow().changes, ["w1 w1/kubelet"]);
    in_service(false);
    let (outcome, _) = go_on(&plan, &sim, &mut memory).await;
    assert!(matches!(outcome, Outcome::Finished { .. }), "{outcome:?}");
    assert_eq!(sim.inner.borrow().violations, Vec::<String>::new());
}

/// Two hosts side by side, and a step after each.
fn two_by_two() -> refit::plan::data::Plan {
    let hold = |host: &str| Action::HoldPackages {
        host: HostName::new(host),
        manager: refit::cluster::facts::PackageManager::Apt,
        packages: vec!["kubeadm".into()],
    };
    plan(vec![
        step("w1/kubeadm", &[], install_kubeadm("w1")),
        step("w1/hold", &["w1/kubeadm"], hold("w1")),
        step("w2/kubeadm", &[], install_kubeadm("w2")),
        step("w2/hold", &["w2/kubeadm"], hold("w2")),
    ])
}

#[tokio::test(start_paused = true)]
async fn a_failure_halts_while_running_steps_end_and_a_resumed_run_tries_again() {
    let sim = Sim::usual();
    statuses(&sim, "w1", &[100]);
    let plan = two_by_two();
    let mut memory = Memory::default();
    let (outcome, events) = go_on(&plan, &sim, &mut memory).await;
    let Outcome::Halted { why, failures, .. } = outcome else {
        unreachable!("{outcome:?}")
    };
    assert_eq!(
        why,
        Halt::Failed {
            steps: vec![StepId::new("w1/kubeadm")]
        }
    );
    assert!(failures[0].1.contains("status 100") && failures[0].1.contains("something is wrong"));
    assert!(done(&events, "w2/kubeadm").is_some());
    assert!(done(&events, "w2/hold").is_none());

    let (outcome, events) = go_on(&plan, &sim, &mut memory).await;
    assert!(matches!(outcome, Outcome::Finished { .. }), "{outcome:?}");
    assert!(events.iter().any(|event| matches!(
        &event.event,
        Event::StepStarted { step, attempt: 2 } if step.as_str() == "w1/kubeadm"
    )));
    assert_eq!(
        sim.inner.borrow().changes,
        ["w1 w1/kubeadm", "w2 w2/kubeadm", "w1 w1/kubeadm#2"]
    );
}

#[tokio::test(start_paused = true)]
async fn the_plans_retries_are_made_under_new_names() {
    let sim = Sim::usual();
    statuses(&sim, "w1", &[100, 100, 0]);
    let mut only = step("w1/kubeadm", &[], install_kubeadm("w1"));
    only.retries = 2;
    let plan = plan(vec![only]);
    finishes(&plan, &sim).await;
    assert_eq!(
        sim.inner.borrow().changes,
        ["w1 w1/kubeadm", "w1 w1/kubeadm#2", "w1 w1/kubeadm#3"]
    );
}

#[tokio::test(start_paused = true)]
async fn asked_to_stop_it_finishes_what_runs_and_starts_nothing() {
    let sim = Sim::usual();
    let plan = two_by_two();
    let mut memory = Memory::default();
    let stop = tokio::time::sleep(OPERATION / 2);
    let (outcome, events) = go(&plan, sim.world(), &sim, &[], &mut memory, stop).await;
    assert!(matches!(
        outcome,
        Outcome::Halted {
            why: Halt::Interrupted,
            ..
        }
    ));
    assert!(done(&events, "w1/kubeadm").is_some() && done(&events, "w2/kubeadm").is_some());
    assert!(done(&events, "w1/hold").is_none());
    let (outcome, _) = go_on(&plan, &sim, &mut memory).await;
    assert!(matches!(outcome, Outcome::Finished { .. }), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn a_second_run_changes_nothing() {
    let sim = Sim::usual();
    let plan = two_by_two();
    finishes(&plan, &sim).await;
    let changes = sim.inner.borrow().changes.len();
    let events = finishes(&plan, &sim).await;
    assert_eq!(done(&events, "w1/kubeadm"), Some((How::Already, None)));
    assert_eq!(sim.inner.borrow().changes.len(), changes);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_is_ahead_of_the_plan_is_left_alone() {
    let sim = Sim::usual();
    sim.inner
        .borrow_mut()
        .hosts
        .get_mut(&HostName::new("w1"))
        .unwrap()
        .revisions
        .insert("kubeadm".into(), "1.36.0-1.1".into());
    let mut only = step("w1/kubeadm", &[], install_kubeadm("w1"));
    only.retries = 3;
    let plan = plan(vec![only]);
    let failures = fails(&plan, &sim).await;
    assert!(failures[0].1.contains("1.36.0-1.1"), "{failures:?}");
    assert!(sim.inner.borrow().changes.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_operation_that_outlives_the_timeout_is_joined_later() {
    let sim = Sim::usual();
    let mut only = step("w1/kubeadm", &[], install_kubeadm("w1"));
    only.timeout_s = 5;
    let plan = plan(vec![only]);
    let mut memory = Memory::default();
    let (outcome, _) = go_on(&plan, &sim, &mut memory).await;
    let Outcome::Halted { failures, .. } = outcome else {
        unreachable!("{outcome:?}")
    };
    assert!(
        failures[0].1.contains("may be going on there"),
        "{failures:?}"
    );
    tokio::time::sleep(OPERATION - Duration::from_secs(7)).await;
    let (outcome, events) = go_on(&plan, &sim, &mut memory).await;
    assert!(matches!(outcome, Outcome::Finished { .. }), "{outcome:?}");
    assert_eq!(done(&events, "w1/kubeadm"), Some((How::Recovered, None)));
    assert_eq!(sim.inner.borrow().changes, ["w1 w1/kubeadm"]);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_does_not_come_back_is_told_with_where_to_look() {
    let sim = Sim::usual();
    let action = Action::AwaitNode {
        node: NodeName::new("w1"),
        version: crate::world::plans::new(),
    };
    let plan = plan(vec![step("w1/await-node", &[], action)]);
    let failures = fails(&plan, &sim).await;
    let why = &failures[0].1;
    assert!(
        why.contains("kubelet at 1.34.4, not 1.35.4") && why.contains("journalctl -u kubelet"),
        "{why}"
    );
}

/// How long the static pods of `cp1` are waited for where kube-controller-manager's leader dies after so long.
async fn settled(leader_dies: Option<Duration>) -> (Duration, Vec<String>) {
    let sim = Sim::usual();
    {
        let mut inner = sim.inner.borrow_mut();
        inner.leader_dies = leader_dies;
        let cp1 = inner.hosts.get_mut(&HostName::new("cp1")).unwrap();
        cp1.static_pods = crate::world::plans::new();
    }
    let settle = settle(20, Some("kube-system/kube-controller-manager"));
    let plan = plan(vec![step("cp1/settle", &[], settle)]);
    let events = finishes(&plan, &sim).await;
    let waiting = |event: &Stamped| match &event.event {
        Event::StepWaiting { on, .. } => Some(on.clone()),
        _ => None,
    };
    (sim.now(), events.iter().filter_map(waiting).collect())
}

#[tokio::test(start_paused = true)]
async fn a_control_plane_has_settled_once_it_was_well_for_long_under_one_leader() {
    let within = |least: u64, took: Duration| {
        let least = Duration::from_secs(least);
        assert!(
            (least..least + Duration::from_secs(5)).contains(&took),
            "{took:?}"
        );
    };
    let lease = "lease kube-system/kube-controller-manager";
    let well = "20 s without a break; all is well so far".to_owned();
    let first = format!("{lease}: no leader has renewed it yet");
    let (took, said) = settled(None).await;
    within(20, took);
    assert_eq!(said, [first.clone(), well.clone()]);

    // Whoever leads next begins 16 s later, and its time begins anew.
    let (took, said) = settled(Some(Duration::from_secs(7))).await;
    within(7 + 16 + 20, took);
    let silent = format!("{lease}: cp1_1 does not renew it");
    assert_eq!(said, [first.clone(), well.clone(), silent, first, well]);
}

/// Not when a control plane has its new kubelet already.
#[tokio::test(start_paused = true)]
async fn a_lease_that_cannot_be_read_is_told_before_anything_changes() {
    let sim = Sim::usual();
    let mut plan = whole();
    for step in &mut plan.steps {
        if let Action::AwaitStaticPods { lease, .. } = &mut step.action {
            *lease = Some("kube-system/other".to_owned());
        }
    }
    let failures = fails(&plan, &sim).await;
    assert_eq!(failures[0].0.as_str(), "check-cluster");
    assert!(
        failures[0]
            .1
            .contains("reading Lease kube-system/other: not found"),
        "{failures:?}"
    );
    assert_eq!(sim.inner.borrow().changes, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn an_unfit_cluster_or_host_is_named_in_full() {
    let sim = Sim::usual();
    {
        let mut inner = sim.inner.borrow_mut();
        inner.nodes.get_mut(&NodeName::new("w2")).unwrap().ready = false;
        inner
            .hosts
            .get_mut(&HostName::new("w1"))
            .unwrap()
            .machine_id = "another".into();
    }
    let mut plan = whole();
    for step in &mut plan.steps {
        if let Action::CheckHost {
            host,
            disk_free,
            patches,
            ..
        } = &mut step.action
        {
            disk_free.insert("/var/lib/etcd".into(), 9000);
            let none = host.as_str() == "w1";
            *patches = Some(if none { "/none" } else { crate::world::PATCHES }.to_owned());
        }
    }
    let failures = fails(&plan, &sim).await;
    let of = |id: &str| {
        &failures
            .iter()
            .find(|(step, _)| step.as_str() == id)
            .unwrap()
            .1
    };
    assert!(of("check-cluster").contains("w2: not ready"));
    assert!(of("w1/check").contains("it is not node w1: its machine id is another"));
    assert!(of("w1/check").contains("/var/lib/etcd has 0 MiB free, and 1 MiB are needed"));
    assert!(
        of("w1/check").contains("/none, where kubeadm is told to find patches, is no directory")
    );
    assert!(!of("w3/check").contains("patches"));
    assert!(sim.inner.borrow().changes.is_empty());
}

/// A run whose end depended on it could never be finished.
#[tokio::test(start_paused = true)]
async fn what_others_did_with_their_cordons_is_told_at_the_end_and_no_failure() {
    let sim = Sim::usual();
    let mut plan = whole();
    for step in &mut plan.steps {
        if let Action::Verify { cordoned, .. } = &mut step.action {
            *cordoned = vec![NodeName::new("w1")];
        }
    }
    let events = finishes(&plan, &sim).await;
    assert_eq!(
        done(&events, "verify").unwrap().1.as_deref(),
        Some(
            "w1: was cordoned before the run, and someone else uncordoned it meanwhile; w3: cordoned by someone else \
             meanwhile; stays so"
        )
    );
}

#[tokio::test(start_paused = true)]
async fn what_only_takes_its_time_after_the_last_node_is_waited_for_and_no_longer() {
    let plan = || {
        let mut plan = whole();
        plan.steps.retain(|step| step.id.as_str() == "verify");
        plan.steps[0].after.clear();
        if let Action::Verify { version, .. } = &mut plan.steps[0].action {
            *version = crate::world::OLD.parse().unwrap();
        }
        if let Action::Verify { kube_proxy, .. } = &mut plan.steps[0].action {
            *kube_proxy = None;
        }
        plan
    };
    for (back_after, ends_well) in [(20, true), (600, false)] {
        let sim = Sim::usual();
        sim.unready_for(&NodeName::new("w2"), Duration::from_secs(back_after));
        let began = tokio::time::Instant::now();
        let (outcome, _) = once(&plan(), &sim).await;
        let finished = matches!(outcome, Outcome::Finished { .. });
        assert_eq!(finished, ends_well, "{outcome:?}");
        let took = began.elapsed().as_secs();
        assert!((20..=75).contains(&took), "{took} s");
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_look_sees_a_kube_proxy_at_another_release() {
    let sim = Sim::usual();
    let mut plan = whole();
    for step in &mut plan.steps {
        if let Action::Verify { kube_proxy, .. } = &mut step.action {
            *kube_proxy = Some("1.36.0".parse().unwrap());
        }
    }
    let failures = fails(&plan, &sim).await;
    let (step, why) = &failures[0];
    assert_eq!(step.as_str(), "verify");
    assert!(
        why.contains("kube-proxy: not at 1.36.0 yet. This step only looks"),
        "{why}"
    );
}

#[tokio::test(start_paused = true)]
async fn another_cluster_is_not_touched() {
    let sim = Sim::usual();
    let mut plan = whole();
    if let Action::CheckCluster { cluster_uid, .. } = &mut plan.steps[0].action {
        *cluster_uid = "cluster-2".into();
    }
    let failures = fails(&plan, &sim).await;
    assert!(
        failures[0].1.contains("this is another cluster"),
        "{failures:?}"
    );
    assert!(sim.inner.borrow().changes.is_empty());
}

/// A disk that is full after some lines.
struct Full {
    memory: Memory,
    room: usize,
}

impl JournalFile for Full {
    fn append(&mut self, line: &str) -> std::io::Result<()> {
        if self.room == 0 {
            return Err(std::io::Error::other("no space left on device"));
        }
        self.room -= 1;
        self.memory.append(line)
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_begins_that_could_not_be_recorded() {
    for room in 0..6 {
        let sim = Sim::usual();
        let mut file = Full {
            memory: Memory::default(),
            room,
        };
        let (outcome, _) = go(&two_by_two(), sim.world(), &sim, &[], &mut file, never()).await;
        assert!(matches!(outcome, Outcome::Unrecorded(_)), "{outcome:?}");
        let past = read(&file.memory.text).unwrap();
        let started = past
            .events
            .iter()
            .filter(|event| matches!(event.event, Event::StepStarted { .. }))
            .count();
        assert_eq!(
            sim.inner.borrow().changes.len(),
            started,
            "with room for {room} lines"
        );
    }
}

/// A host that is lost again while its operation goes on has not been lost before it began.
#[tokio::test(start_paused = true)]
async fn an_operation_that_has_begun_is_awaited_whatever_the_connection_does() {
    let sim = Sim::usual();
    sim.inner.borrow_mut().cuts = [
        Failure::MaybeDone("w1: connection cut".to_owned()),
        Failure::NotSent("w1: no route to host".to_owned()),
        Failure::NotSent("w1: no route to host".to_owned()),
    ]
    .into();
    let plan = plan(vec![step("w1/kubeadm", &[], install_kubeadm("w1"))]);
    let events = finishes(&plan, &sim).await;
    assert_eq!(done(&events, "w1/kubeadm").unwrap().0, How::Acted);
    assert_eq!(sim.inner.borrow().changes, ["w1 w1/kubeadm"]);
}

#[tokio::test(start_paused = true)]
async fn what_killed_runs_left_of_their_snapshots_is_swept_and_told() {
    let sim = Sim::usual();
    let long_ago = 1_794_000_000;
    let just_now = 1_795_000_000 - 100;
    for (name, modified) in [
        ("lab-r0.db.partial", long_ago),
        ("lab-q9.db.partial.partial", long_ago),
        // another run may be at it
        ("lab-q8.db.partial", just_now),
        ("lab-r0.db", long_ago),
        ("lab-2-r0.db.partial", long_ago),
        ("other-r0.db.partial", long_ago),
        ("notes.partial", long_ago),
    ] {
        let path = std::path::Path::new("snapshots").join(name);
        let file = (1, "x".to_owned(), modified);
        sim.inner.borrow_mut().files.insert(path, file);
    }
    sim.inner
        .borrow_mut()
        .hosts
        .get_mut(&HostName::new("cp1"))
        .unwrap()
        .left = [
        ("refit-r0.db", 90_000),
        ("refit-q9.db.new.part", 90_000),
        ("refit-p9-before-1.35.db", 90_000),
        // of this run, before another of its hops
        ("refit-r1-before-1.36.db", 90_000),
        ("refit-q8.db", 100),
        ("refit-by-hand.db", 90_000),
    ]
    .map(|(name, age)| (name.to_owned(), age))
    .into();
    let mut plan = whole();
    plan.steps.retain(|step| step.id.as_str() == "cp1/snapshot");
    plan.steps[0].after.clear();
    let events = finishes(&plan, &sim).await;
    let note = done(&events, "cp1/snapshot").unwrap().1.unwrap();
    assert!(
        note.ends_with(
            "; removed cut-off copies here: lab-q9.db.partial.partial, lab-r0.db.partial; removed what earlier runs left in \
             /var/lib/etcd of cp1: refit-p9-before-1.35.db, refit-q9.db.new.part, refit-r0.db"
        ),
        "{note}"
    );
    let inner = sim.inner.borrow();
    let left: Vec<&String> = inner.hosts[&HostName::new("cp1")].left.keys().collect();
    assert_eq!(
        left,
        ["refit-by-hand.db", "refit-q8.db", "refit-r1-before-1.36.db"]
    );
    let files: Vec<_> = inner
        .files
        .keys()
        .map(|path| path.file_name().unwrap().to_str().unwrap())
        .collect();
    assert_eq!(
        files,
        [
            "lab-2-r0.db.partial",
            "lab-q8.db.partial",
            "lab-r0.db",
            "lab-r1.db",
            "lab-r1.json",
            "lab-r1.tar",
            "notes.partial",
            "other-r0.db.partial"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn old_snapshots_of_this_inventory_go_and_no_others() {
    let sim = Sim::usual();
    for (name, modified) in [
        ("lab-r0.db", 1),
        ("lab-r0.json", 1),
        ("lab-r0.tar", 1),
        ("lab-q9.db.age", 2),
        ("lab-q9.tar.age", 2),
        ("lab-q8.db", 3),
        ("lab-q8.json", 3),
        ("lab-q8.tar", 3),
        // of a run that was killed before it had its snapshot, and of one that may be at it
        ("lab-q7.tar.age", 1),
        ("lab-q6.tar", 1_795_000_000 - 100),
        ("lab-2-r1.db", 1),
        ("other-r1.db", 1),
        ("lab-r0.txt", 1),
    ] {
        let file = (1, "x".to_owned(), modified);
        let path = std::path::Path::new("snapshots").join(name);
        sim.inner.borrow_mut().files.insert(path, file);
    }
    let mut plan = whole();
    plan.steps.retain(|step| step.id.as_str() == "cp1/snapshot");
    plan.steps[0].after.clear();
    let events = finishes(&plan, &sim).await;
    let (how, note) = done(&events, "cp1/snapshot").unwrap();
    assert_eq!(how, How::Acted);
    assert!(
        note.unwrap()
            .contains("snapshots/lab-r1.db (7462944 bytes, sha256 d7adf89c")
    );
    let inner = sim.inner.borrow();
    let left: Vec<_> = inner
        .files
        .keys()
        .filter_map(|path| path.file_name()?.to_str())
        .collect();
    assert_eq!(
        left,
        [
            "lab-2-r1.db",
            "lab-q6.tar",
            "lab-q8.db",
            "lab-q8.json",
            "lab-q8.tar",
            "lab-r0.txt",
            "lab-r1.db",
            "lab-r1.json",
            "lab-r1.tar",
            "other-r1.db"
        ]
    );
    assert!(
        !inner.hosts[&HostName::new("cp1")].snapshot,
        "removed on the host"
    );
}

#[tokio::test(start_paused = true)]
async fn a_plan_whose_order_makes_no_sense_is_not_begun() {
    let sim = Sim::usual();
    let plan = plan(vec![step(
        "w1/kubeadm",
        &["w9/nothing"],
        install_kubeadm("w1"),
    )]);
    let mut memory = Memory::default();
    let (outcome, _) = go_on(&plan, &sim, &mut memory).await;
    assert!(matches!(outcome, Outcome::BadPlan(why) if why.contains("w9/nothing")));
    assert!(memory.text.is_empty());
}
