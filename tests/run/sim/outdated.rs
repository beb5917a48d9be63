//! The taint of workers that are yet to be drained: what it spares pods, and where it goes.
#![allow(clippy::print_stdout)]

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use refit::cluster::model::{Controller, NodeName, OUTDATED, Pod};
use refit::documents::settings::{Condition, Gate, GatePoint};
use refit::plan::data::{Action, StepId};
use refit::report::status::{Around, status};
use refit::run::event::{Event, Halt};
use refit::run::executor::Outcome;
use refit::run::journal::read;
use refit::sim::Sim;

use super::build;
use super::play::{Process, Stage, staged};

fn never(_: &Sim, _: &[u8], _: &'static str) -> bool {
    false
}

fn tainted(sim: &Sim) -> Vec<String> {
    sim.look(|world| {
        let nodes = world.api.nodes().filter(|node| node.is_outdated());
        nodes.map(|node| node.name.to_string()).collect()
    })
}

/// Six workers with three pods each, of six workloads.
fn busy(avoid: bool) -> Stage {
    staged(1, 6, "1.35.4", move |built| {
        for place in 0..18 {
            let set = format!("app-{}", place % 6);
            built.pods().push(Pod {
                controller: Some(Controller {
                    api_version: "apps/v1".into(),
                    kind: "ReplicaSet".into(),
                    name: set.clone(),
                }),
                labels: [("app".to_owned(), set.clone())].into(),
                ..build::pod(
                    "shop",
                    &format!("{set}-{place}"),
                    &format!("w{}", place / 3 + 1),
                )
            });
        }
        built
            .pods()
            .sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        built.node("w6").unschedulable = false;
        built.upgrade.drain.avoid_outdated = avoid;
    })
}

/// Every pod that was evicted, and the evictions of pods that had taken the place of an evicted one.
async fn evictions(avoid: bool) -> (usize, usize) {
    let stage = busy(avoid);
    let at_first: Vec<String> = stage
        .built
        .clone()
        .pods()
        .iter()
        .map(|pod| pod.uid.clone())
        .collect();
    let sim = Sim::new(stage.world.clone(), 1);
    let seen: Rc<RefCell<BTreeMap<String, bool>>> = Rc::default();
    let noted = Rc::clone(&seen);
    let look = Box::new(move |sim: &Sim, _: &[u8], what: &'static str| {
        if what == "pods_on" || what == "evict" {
            sim.look(|world| {
                for (_, held) in world.api.pods().all() {
                    let pod = &held.pod;
                    let on_worker = pod
                        .node
                        .as_ref()
                        .is_some_and(|node| node.as_str().starts_with('w'));
                    if pod.deletion_timestamp.is_some() && on_worker {
                        let again = !at_first.contains(&pod.uid);
                        noted.borrow_mut().insert(pod.uid.clone(), again);
                    }
                }
            });
        }
        false
    });
    let (ended, _) = Process::new(&sim, Vec::new(), look).run(&stage.plan).await;
    assert!(
        matches!(ended, Some(Outcome::Finished { .. })),
        "{ended:#?}"
    );
    assert_eq!(tainted(&sim), Vec::<String>::new());
    assert_eq!(
        sim.look(|world| world.violations().to_vec()),
        Vec::<String>::new()
    );
    let seen = seen.borrow();
    (seen.len(), seen.values().filter(|again| **again).count())
}

#[tokio::test(start_paused = true)]
async fn fewer_pods_are_evicted_twice_than_without() {
    let (with, again) = evictions(true).await;
    let (without, again_without) = evictions(false).await;
    println!(
        "six workers, one at a time: {with} evictions, {again} of pods evicted before; without the taint {without}, {again_without}"
    );
    assert!(
        with < without && again < again_without,
        "{with} {again} {without} {again_without}"
    );
}

fn three() -> Stage {
    staged(1, 4, "1.35.4", |built| {
        built.node("w2").taints = vec!["example.com/other:PreferNoSchedule".into()];
        built.node("w4").unschedulable = false;
    })
}

fn place(events: &[refit::run::event::Stamped], what: impl Fn(&Event) -> bool) -> usize {
    events
        .iter()
        .position(|stamped| what(&stamped.event))
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn while_the_run_is_paused_it_is_off_and_it_comes_back_before_the_next_worker_goes() {
    let stage = three();
    let Some(step) = stage
        .plan
        .steps
        .iter()
        .find(|step| matches!(step.action, Action::TaintOutdated { .. }))
    else {
        panic!("{:#?}", stage.plan.steps)
    };
    let taint = step.id.clone();
    let sim = Sim::new(stage.world.clone(), 1);
    let process = Process::new(&sim, Vec::new(), Box::new(never));
    let process = process.asked_to_pause(r#""step-started","step":"w1/drain@1.35.4""#);
    let (ended, journal) = process.run(&stage.plan).await;
    assert!(
        matches!(
            &ended,
            Some(Outcome::Halted {
                why: Halt::Paused { .. },
                ..
            })
        ),
        "{ended:#?}"
    );
    assert_eq!(tainted(&sim), Vec::<String>::new());
    let past = read(&journal).unwrap();
    assert!(!past.state.is_done(&taint));
    let shown = status(&stage.plan, &past.state, around());
    assert_eq!(shown.tainted, []);

    // Somebody's own taint is left alone, all the time.
    let others = |sim: &Sim| {
        let w2 = NodeName::new("w2");
        sim.look(|world| world.api.node(&w2).unwrap().node.taints.clone())
    };
    assert_eq!(others(&sim), ["example.com/other:PreferNoSchedule"]);
    let on: Rc<Cell<bool>> = Rc::default();
    let was_on = Rc::clone(&on);
    let at = Box::new(move |sim: &Sim, _: &[u8], what: &'static str| {
        if what == "cordon" && !was_on.get() {
            assert_eq!(tainted(sim), ["w2", "w3", "w4"]);
            was_on.set(true);
        }
        false
    });
    let (ended, journal) = Process::new(&sim, journal, at).run(&stage.plan).await;
    assert!(
        matches!(ended, Some(Outcome::Finished { .. })),
        "{ended:#?}"
    );
    assert!(on.get());
    assert_eq!(tainted(&sim), Vec::<String>::new());
    assert_eq!(others(&sim), ["example.com/other:PreferNoSchedule"]);
    let events = read(&journal).unwrap().events;
    let back = place(
        &events,
        |event| matches!(event, Event::StepTakenBack { step } if *step == taint),
    );
    let paused = place(&events, |event| matches!(event, Event::Halted { .. }));
    assert!(back < paused);
    let again = place(
        &events[paused..],
        |event| matches!(event, Event::StepDone { step, .. } if *step == taint),
    );
    let next = place(
        &events[paused..],
        |event| matches!(event, Event::StepStarted { step, .. } if step.as_str().contains("/cordon@")),
    );
    assert!(again < next);
}

fn around() -> Around {
    Around {
        refit: "refit".into(),
        run: "r1".into(),
        process: None,
        put_aside: false,
    }
}

/// Nobody is here to wait for the word.
#[tokio::test(start_paused = true)]
async fn while_a_word_is_awaited_with_nobody_at_work_it_is_off() {
    let stage = staged(1, 4, "1.35.4", |built| {
        built.node("w4").unschedulable = false;
        built.upgrade.gates = vec![Gate {
            name: "people".into(),
            at: GatePoint::AfterEachWave,
            condition: Condition::Approval {
                by: Vec::new(),
                expires_s: 3600,
            },
        }];
    });
    let sim = Sim::new(stage.world.clone(), 1);
    let (ended, _) = Process::new(&sim, Vec::new(), Box::new(never))
        .run(&stage.plan)
        .await;
    assert!(
        matches!(
            &ended,
            Some(Outcome::Halted {
                why: Halt::Unapproved { .. },
                ..
            })
        ),
        "{ended:#?}"
    );
    assert_eq!(tainted(&sim), Vec::<String>::new());
}

/// Killed in the middle it stays where it is, and the status names the workers; `refit abandon` takes it off.
#[tokio::test(start_paused = true)]
async fn a_run_that_is_cut_off_leaves_it_and_abandoning_takes_it_off() {
    let stage = three();
    let sim = Sim::new(stage.world.clone(), 1);
    let kill = Box::new(|_: &Sim, journal: &[u8], _: &'static str| {
        String::from_utf8_lossy(journal).contains(r#""step-done","step":"w1/uncordon@1.35.4""#)
    });
    let (ended, journal) = Process::new(&sim, Vec::new(), kill).run(&stage.plan).await;
    assert!(ended.is_none());
    assert_eq!(tainted(&sim), ["w2", "w3", "w4"]);
    let past = read(&journal).unwrap();
    let shown = status(&stage.plan, &past.state, around());
    assert_eq!(shown.tainted, ["w2", "w3", "w4"].map(NodeName::new));
    let text = anstream::adapter::strip_str(&shown.render(past.state.last_at.unwrap())).to_string();
    let stays = format!(
        "stays: {OUTDATED} on w2, w3, w4; it keeps no pod out, and goes when the run goes on or is abandoned\n"
    );
    assert!(text.contains(&stays), "{text}");

    let left = Process::new(&sim, journal, Box::new(never))
        .abandon(&stage.plan)
        .await;
    let left = left.unwrap().unwrap();
    assert_eq!(left.untainted, ["w2", "w3", "w4"].map(NodeName::new));
    assert_eq!(tainted(&sim), Vec::<String>::new());
}

/// A plan made from what a killed run left takes the taints over, and goes through to its end.
#[tokio::test(start_paused = true)]
async fn a_second_plan_takes_over_what_a_first_run_left() {
    let stage = staged(1, 3, "1.35.4", |built| {
        built.node("w3").unschedulable = false;
        for name in ["w1", "w2", "w3"] {
            built.node(name).taints = vec![OUTDATED.to_owned()];
        }
    });
    let sim = Sim::new(stage.world.clone(), 1);
    let (ended, journal) = Process::new(&sim, Vec::new(), Box::new(never))
        .run(&stage.plan)
        .await;
    assert!(
        matches!(ended, Some(Outcome::Finished { .. })),
        "{ended:#?}"
    );
    assert_eq!(tainted(&sim), Vec::<String>::new());
    let done = read(&journal).unwrap().events;
    let taint = StepId::new("cluster/taint-outdated@1.35.4");
    place(
        &done,
        |event| matches!(event, Event::StepDone { step, how: refit::run::event::How::Already, .. } if *step == taint),
    );
}
