//! Workers that are put off to the end of their hop: on the cluster in memory, with budgets that let nobody go.

use std::time::Duration;

use refit::cluster::model::{Budget, LabelSelector, NodeName, Role};
use refit::documents::settings::WhenBlocked;
use refit::plan::data::{Action, StepId};
use refit::report::status::{Around, RunStatus, status};
use refit::run::event::{Event, Halt, Stamped};
use refit::run::executor::Outcome;
use refit::run::journal::{Past, read};
use refit::sim::Sim;
use refit::sim::effect::Effect;

use super::build;
use super::play::{Process, Stage, staged};

/// A budget that never lets a pod of `app` go.
pub fn never(app: &str, namespace: &str, pods: i32) -> Budget {
    Budget {
        namespace: namespace.into(),
        selector: Some(LabelSelector {
            match_labels: [("app".to_owned(), app.to_owned())].into(),
            match_expressions: vec![],
        }),
        ..build::budget(app, pods, pods)
    }
}

fn forbid(stage: &mut Stage, budget: Budget) {
    stage.world.with_api(|api| api.put_budget(budget));
}

/// One control plane and three workers, one of which may be put off; `db`, on w2, has since got a budget that lets nobody go.
fn stuck() -> Stage {
    let mut stage = staged(1, 3, "1.35.4", |built| {
        built.upgrade.drain.blocked = WhenBlocked::Defer { at_most: 1 };
    });
    forbid(&mut stage, never("db", "shop", 1));
    stage
}

/// The same, and somebody removes the budget once every other worker is done.
pub fn put_off() -> Stage {
    Stage {
        meddle: |sim, journal| {
            let put_off = String::from_utf8_lossy(journal).contains("step-deferred");
            let others_done = |sim: &Sim| {
                sim.look(|world| {
                    let mut others = world.api.nodes().filter(|node| node.name.as_str() != "w2");
                    others.all(|node| node.kubelet_version == "1.35.4")
                })
            };
            let there = sim.look(|world| world.api.guard("shop", "db").is_some());
            if there && put_off && others_done(sim) {
                sim.act(|world| world.with_api(|api| api.remove_budget("shop", "db")));
            }
        },
        ..stuck()
    }
}

async fn run(stage: &Stage, sim: &Sim, journal: Vec<u8>) -> (Outcome, Vec<u8>) {
    let alive = Box::new(|_: &Sim, _: &[u8], _: &'static str| false);
    let process = Process::new(sim, journal, alive).beside(stage.meddle);
    let (ended, journal) = process.run(&stage.plan).await;
    let violations = sim.look(|world| world.violations().to_vec());
    assert_eq!(violations, Vec::<String>::new());
    (ended.unwrap(), journal)
}

fn past(journal: &[u8]) -> Past {
    read(journal).unwrap()
}

/// Where the first such event stands.
fn place(events: &[Stamped], what: impl Fn(&Event) -> bool) -> usize {
    let found = events.iter().position(|stamped| what(&stamped.event));
    found.unwrap_or_else(|| panic!("{events:#?}"))
}

fn done(events: &[Stamped], id: &str) -> usize {
    let done = |event: &Event| matches!(event, Event::StepDone { step, .. } if step.as_str() == id);
    place(events, done)
}

fn is_deferred(event: &Event) -> bool {
    matches!(event, Event::StepDeferred { .. })
}

fn shown(stage: &Stage, journal: &[u8]) -> RunStatus {
    let around = Around {
        refit: "refit".into(),
        run: "r1".into(),
        process: None,
        put_aside: false,
    };
    status(&stage.plan, &past(journal).state, around)
}

fn cordoned(sim: &Sim, node: &str) -> bool {
    let name = NodeName::new(node);
    sim.look(|world| world.api.node(&name).unwrap().node.unschedulable)
}

#[test]
fn the_plan_says_who_may_be_put_off_and_what_then_happens() {
    let stage = stuck();
    let of = |node: &str| {
        let drain = stage.plan.steps.iter().find_map(|step| match &step.action {
            Action::Drain {
                node: of, deferral, ..
            } if of.as_str() == node => Some(deferral),
            _ => None,
        });
        drain.unwrap().clone()
    };
    let deferral = of("w2").unwrap();
    assert_eq!(deferral.until.as_str(), "barrier/deferred@1.35");
    let steps: Vec<&str> = deferral.steps.iter().map(StepId::as_str).collect();
    let expected = [
        "w2/cordon@1.35.4",
        "w2/drain@1.35.4",
        "w2/install-kubelet@1.35.4",
        "w2/await-node@1.35.4",
        "w2/uncordon@1.35.4",
    ];
    assert_eq!(steps, expected);
    // cordoned by someone else: it does not come back into service either way
    assert_eq!(of("w3"), None);
    assert_eq!(stage.plan.limits.workers_deferred, 1);
    assert!(
        stage
            .plan
            .notes
            .iter()
            .any(|note| note.contains("strategy.workers.maxDeferred")),
        "{:?}",
        stage.plan.notes
    );
    // and nobody where nothing of it was declared
    let halts = staged(1, 3, "1.35.4", |_| ());
    let text = serde_json::to_string(&halts.plan).unwrap();
    assert!(!text.contains("defer"), "{text}");
}

#[test]
fn workers_that_are_watched_before_others_go_are_not_put_off() {
    use refit::documents::settings::OrderGroup;
    let stage = staged(1, 3, "1.35.4", |built| {
        built.upgrade.drain.blocked = WhenBlocked::Defer { at_most: 1 };
        built.upgrade.workers.order = vec![OrderGroup {
            selector: LabelSelector {
                match_labels: [("pool".to_owned(), "canary".to_owned())].into(),
                match_expressions: vec![],
            },
            soak: Duration::from_secs(60),
        }];
        built
            .node("w2")
            .labels
            .insert("pool".into(), "canary".into());
    });
    let put_off: Vec<&str> = stage
        .plan
        .steps
        .iter()
        .filter_map(|step| match &step.action {
            Action::Drain {
                node,
                deferral: Some(_),
                ..
            } => Some(node.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(put_off, ["w1"]);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_cannot_be_drained_is_tried_again_when_all_others_are_done() {
    let stage = put_off();
    let sim = Sim::new(stage.world.clone(), 1);
    let (ended, journal) = run(&stage, &sim, Vec::new()).await;
    assert!(matches!(ended, Outcome::Finished { .. }), "{ended:#?}");
    let events = past(&journal).events;
    let off = place(&events, is_deferred);
    let Event::StepDeferring {
        error, blockers, ..
    } = &events[off - 1].event
    else {
        panic!("{:?}", events[off - 1])
    };
    assert!(
        error.starts_with("node w2 is not drained. ") && !error.contains("stays cordoned"),
        "{error}"
    );
    let named: Vec<_> = blockers
        .iter()
        .map(|on| (&*on.pod, on.budget.as_deref()))
        .collect();
    assert_eq!(named, [("shop/db-0", Some("shop/db"))]);
    // the others did not wait for it, and it waited for all of them
    let begun = |stamped: &Stamped| matches!(&stamped.event, Event::StepStarted { step, .. } if step.as_str() == "w2/cordon@1.35.4");
    let again = events.iter().rposition(begun).unwrap();
    assert!(off < again);
    let mut waves = [1, 2, 3].map(|wave| done(&events, &format!("barrier/wave-{wave}@1.35")));
    waves.sort_unstable();
    assert!(
        off < waves[2] && waves[2] < again,
        "{off} {waves:?} {again}"
    );
    let back = done(&events, "w2/uncordon@1.35.4");
    assert!(again < back && back < done(&events, "barrier/deferred@1.35"));
    assert!(!cordoned(&sim, "w2"));
    assert!(shown(&stage, &journal).deferred.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_second_try_that_fails_halts_the_run_and_names_pod_and_budget() {
    let stage = stuck();
    let sim = Sim::new(stage.world.clone(), 1);
    let (ended, journal) = run(&stage, &sim, Vec::new()).await;
    let Outcome::Halted { why, failures, .. } = ended else {
        panic!("{ended:#?}")
    };
    let drain = StepId::new("w2/drain@1.35.4");
    assert_eq!(
        why,
        Halt::Failed {
            steps: vec![drain.clone()]
        }
    );
    let (_, why) = &failures[0];
    for part in [
        "node w2 is not drained; it stays cordoned. ",
        "shop/db-0",
        "budget shop/db",
        "its second try",
    ] {
        assert!(why.contains(part), "{part}: {why}");
    }
    assert!(cordoned(&sim, "w2"));
    let status = shown(&stage, &journal);
    assert_eq!(status.deferred[0].node.as_str(), "w2");
    let text = status.render(sim_now(&sim));
    for part in [
        "put off to the end of their hop",
        "shop/db-0",
        "budget shop/db",
        "barrier/deferred@1.35",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // whoever mends it and resumes finds it done
    sim.act(|world| world.with_api(|api| api.remove_budget("shop", "db")));
    let (ended, _) = run(&stage, &sim, journal).await;
    assert!(matches!(ended, Outcome::Finished { .. }), "{ended:#?}");
    assert!(!cordoned(&sim, "w2"));
}

fn sim_now(sim: &Sim) -> jiff::Timestamp {
    refit::ports::Clock::now(sim)
}

#[tokio::test(start_paused = true)]
async fn more_nodes_than_declared_are_not_put_off() {
    let mut stage = stuck();
    forbid(&mut stage, never("web", "shop", 3));
    let sim = Sim::new(stage.world.clone(), 1);
    let (ended, journal) = run(&stage, &sim, Vec::new()).await;
    let Outcome::Halted { failures, .. } = ended else {
        panic!("{ended:#?}")
    };
    let [(step, why)] = &failures[..] else {
        panic!("{failures:#?}")
    };
    let first = past(&journal);
    let first = first
        .events
        .iter()
        .find_map(|stamped| match &stamped.event {
            Event::StepDeferred { step, .. } => Some(step.as_str()),
            _ => None,
        });
    let first = first.unwrap().split('/').next().unwrap().to_owned();
    assert!(!step.as_str().starts_with(&first), "{step}");
    let told = format!(
        "It is not put off as well: {first} is already, and strategy.workers.maxDeferred is 1"
    );
    assert!(why.contains(&told) && why.contains("budget "), "{why}");
    assert!(!cordoned(&sim, &first));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_put_off_that_was_not_declared() {
    let mut stage = staged(1, 3, "1.35.4", |_| ());
    forbid(&mut stage, never("db", "shop", 1));
    let sim = Sim::new(stage.world.clone(), 1);
    let (ended, journal) = run(&stage, &sim, Vec::new()).await;
    let Outcome::Halted { failures, .. } = ended else {
        panic!("{ended:#?}")
    };
    // at once, and before anybody had to leave in vain
    let why = &failures[0].1;
    assert!(
        why.contains("Nothing was evicted: shop/db-0: budget shop/db"),
        "{why}"
    );
    let w2 = NodeName::new("w2");
    let web = sim.look(|world| {
        let on = world.api.pods().on(&w2);
        on.filter(|(_, held)| held.pod.labels.get("app").is_some_and(|app| app == "web"))
            .count()
    });
    assert!(web > 0);
    assert!(past(&journal).state.deferred.is_empty());
    assert!(cordoned(&sim, "w2"));
}

/// The kubelet of w1 stops as soon as its drain has begun, and answers again once the node was put off.
#[tokio::test(start_paused = true)]
async fn a_node_that_does_not_answer_any_more_is_put_off_and_tried_again() {
    let mut stage = staged(1, 3, "1.35.4", |built| {
        built.upgrade.drain.blocked = WhenBlocked::Defer { at_most: 1 };
    });
    stage.meddle = |sim, journal| {
        let journal = String::from_utf8_lossy(journal);
        let w1 = NodeName::new("w1");
        let runs = sim.look(|world| world.api.node(&w1).unwrap().kubelet);
        let draining = journal.contains(r#""step-started","step":"w1/drain@1.35.4""#);
        let put_off = journal.contains(r#""step-deferred","step":"w1/drain@1.35.4""#);
        if runs && draining && !put_off {
            sim.act(|world| {
                world.with_api(|api| api.apply(&w1, Role::Worker, Effect::KubeletStopped));
            });
        } else if !runs && put_off {
            let started = Effect::KubeletStarted {
                version: "1.34.4".parse().unwrap(),
                ready_after: Duration::from_secs(2),
            };
            sim.act(|world| world.with_api(|api| api.apply(&w1, Role::Worker, started)));
        }
    };
    let sim = Sim::new(stage.world.clone(), 1);
    let (ended, journal) = run(&stage, &sim, Vec::new()).await;
    assert!(matches!(ended, Outcome::Finished { .. }), "{ended:?}");
    let past = past(&journal);
    let Event::StepDeferring {
        error, blockers, ..
    } = &past.events[place(&past.events, |event| {
        matches!(event, Event::StepDeferring { .. })
    })]
    .event
    else {
        unreachable!()
    };
    assert!(
        error.starts_with("node w1 is unreachable: its kubelet has not answered since "),
        "{error}"
    );
    assert!(error.contains("nothing was deleted by force"), "{error}");
    assert_eq!(*blockers, []);
    assert!(done(&past.events, "w2/uncordon@1.35.4") < done(&past.events, "w1/drain@1.35.4"));
}
