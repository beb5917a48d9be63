//! Random schedules: a small cluster, faults at random places and moments, and a process that dies at random moments, all drawn
//! from a seed. Whatever happens, nothing happens that must never happen, every halt says why, and once everything that went
//! wrong is over the cluster is at the new release.
//!
//! 300 seeds by default; `REFIT_SEED=n` is one of them with its story, `REFIT_SEEDS=from..to` so many others.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use refit::cluster::model::{HostName, NodeName};
use refit::documents::settings::{HookPlace, HookPoint, Share, WhenBlocked};
use refit::run::event::Halt;
use refit::run::executor::Outcome;
use refit::sim::api::Options;
use refit::sim::fault::{Fault, Moment, Place, VERBS, What};
use refit::sim::machine::Durations;
use refit::sim::setup::Setup;
use refit::sim::{Sim, World};

use super::deferral::never;
use super::everywhere::runtime;
use super::play::{Fine, Process, Stage, hook, staged};

/// Seeds that are tried each time.
const SEEDS: u64 = 300;

/// Sittings after which somebody would have given up.
const SITTINGS: usize = 24;

/// Small numbers from a seed.
#[path = "../../pure/dice.rs"]
mod dice;
use dice::Dice;

/// What tells small clusters apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Shape {
    control_planes: usize,
    workers: usize,
    at_once: u32,
    defers: bool,
    hook: bool,
    /// Nobody lets `db` go until somebody has halted for it.
    stuck: bool,
    /// Nothing is held before.
    unheld: bool,
}

fn shape(dice: &mut Dice) -> Shape {
    Shape {
        control_planes: *dice.of(&[1, 1, 1, 1, 1, 1, 1, 3]),
        workers: *dice.of(&[2, 2, 3]),
        at_once: *dice.of(&[1, 2]),
        defers: dice.below(2) == 0,
        hook: dice.below(4) == 0,
        stuck: dice.below(6) == 0,
        unheld: dice.below(4) == 0,
    }
}

fn built(shape: Shape) -> Stage {
    let stage = staged(shape.control_planes, shape.workers, "1.35.4", |built| {
        built.upgrade.workers.max_unavailable = Share::Count(shape.at_once);
        if shape.defers {
            built.upgrade.drain.blocked = WhenBlocked::Defer { at_most: 1 };
        }
        if shape.unheld {
            built.packages("w1").held.clear();
        }
        if shape.hook {
            built.upgrade.hooks = vec![hook("patch", HookPoint::Drained, HookPlace::EachWorker)];
        }
    });
    super::restore::with_etcd(stage)
}

fn fault(dice: &mut Dice, hosts: &[String]) -> Fault {
    let s = |dice: &mut Dice| Duration::from_secs(*dice.of(&[5, 20, 60, 150, 400]));
    let lasts = s(dice);
    let what = *dice.of(&[
        What::SshDrop(lasts),
        What::SshDrop(lasts),
        What::HostGone,
        What::MaxSessions(lasts),
        What::Reboot(lasts),
        What::PowerCut(lasts),
        What::PowerCut(lasts),
        What::AptLock(lasts),
        What::UnattendedUpgrades(lasts),
        What::DpkgInterrupted,
        What::HeldPackage,
        What::KeyExpired,
        What::ImagePull,
        What::StaticPodHash,
        What::CreateJob,
        What::KubeletDown,
        What::NodeNotReady(lasts),
        What::CniNotReady(lasts),
        What::EtcdUnhealthy(lasts),
        What::CertificateExpired(lasts),
        What::DiskFull(lasts),
        What::DiskFullHere(lasts),
        What::Api403(lasts),
        What::Api429(lasts),
        What::Api500(lasts),
        What::ApiTimeout(lasts),
        What::WebhookDenial(lasts),
    ]);
    let at = match what.place() {
        Place::Api => "cluster".to_owned(),
        Place::Here => "here".to_owned(),
        Place::Host => dice.of(hosts).clone(),
    };
    let when = match dice.below(4) {
        0 => Moment::First,
        1 => Moment::After(Duration::from_secs(dice.next() % 900)),
        _ => Moment::Step((*dice.of(&VERBS)).to_owned()),
    };
    // a disk that is full here from the beginning keeps a run from beginning
    let when = match (when, what.place()) {
        (Moment::First, Place::Here) => Moment::After(Duration::from_secs(1)),
        (when, _) => when,
    };
    Fault {
        what,
        at,
        when,
        times: *dice.of(&[1, 1, 1, 2]),
    }
}

/// What a seed stands for.
struct Story {
    shape: Shape,
    faults: Vec<Fault>,
    /// After so many moments of each sitting the process dies.
    kills: Vec<u64>,
    away: Duration,
}

fn story(seed: u64) -> Story {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5eed);
    let shape = shape(&mut dice);
    let hosts: Vec<String> = (1..=shape.control_planes)
        .map(|number| format!("cp{number}"))
        .chain((1..=shape.workers).map(|number| format!("w{number}")))
        .collect();
    let number = *dice.of(&[0, 1, 1, 2, 2, 3, 4]);
    let faults = (0..number).map(|_| fault(&mut dice, &hosts)).collect();
    let number = *dice.of(&[0, 1, 1, 2, 3]);
    let kills = (0..number).map(|_| 1 + dice.next() % 500).collect();
    Story {
        shape,
        faults,
        kills,
        away: Duration::from_secs(*dice.of(&[0, 7, 90, 1000])),
    }
}

fn told(story: &Story) -> String {
    let faults: Vec<String> = story.faults.iter().map(ToString::to_string).collect();
    format!(
        "{:?}; faults {}; killed after {:?} moments, back after {} s",
        story.shape,
        faults.join(" "),
        story.kills,
        story.away.as_secs()
    )
}

/// Carries a story out; how many sittings it took.
async fn carried_out(stage: &Stage, story: &Story, tell: bool) -> Result<usize, String> {
    let nodes: BTreeMap<HostName, NodeName> = stage
        .built
        .inventory
        .hosts
        .values()
        .map(|host| (host.name.clone(), host.node.clone()))
        .collect();
    let mut world = World::set_up(Setup {
        facts: &stage.built.facts,
        nodes,
        durations: Durations::default(),
        options: Options::default(),
        faults: story.faults.clone(),
    })
    .map_err(|error| error.to_string())?;
    if story.shape.stuck {
        world.with_api(|api| api.put_budget(never("db", "shop", 1)));
    }
    let before = marks(&world);
    let sim = Sim::new(world, 1);
    let mut kills = story.kills.iter();
    let mut journal = Vec::new();
    let mut halts = 0;
    for sitting in 1..=SITTINGS {
        let left = Cell::new(kills.next().copied());
        let dies = |_: &Sim, _: &[u8], _: &'static str| {
            left.set(left.get().map(|left| left.saturating_sub(1)));
            left.get() == Some(0)
        };
        let process = Process::new(&sim, journal, Box::new(dies)).with_programs(&Fine);
        let ended;
        (ended, journal) = process.try_run(&stage.plan).await;
        if tell {
            println!("sitting {sitting} ends with {ended:?}");
        }
        let violations = sim.look(|world| world.violations().to_vec());
        if !violations.is_empty() {
            return Err(format!("sitting {sitting}: {violations:#?}"));
        }
        match ended {
            None => sim.sleep(story.away).await,
            Some(Ok(Outcome::Finished { .. })) => {
                let after = sim.look(marks);
                let expected: BTreeMap<String, String> = before
                    .iter()
                    .map(|(node, marks)| (node.clone(), marks.replace("1.34.4", "1.35.4")))
                    .collect();
                if after != expected {
                    return Err(format!("it ends with {after:#?} instead of {expected:#?}"));
                }
                return Ok(sitting);
            }
            Some(Ok(Outcome::Halted { why, failures, .. })) => {
                match &why {
                    Halt::Failed { .. } if failures.iter().all(|(_, why)| why.len() > 20) => {}
                    _ => {
                        return Err(format!(
                            "sitting {sitting} halts for {why:?}: {failures:#?}"
                        ));
                    }
                }
                halts += 1;
                // what passes by itself has its time; what does not is mended, and `db` may go
                sim.sleep(Duration::from_secs(600)).await;
                if halts > 1 {
                    sim.act(World::mend);
                    sim.act(|world| {
                        world.with_api(|api| {
                            if api.guard("shop", "db").is_some() {
                                api.remove_budget("shop", "db");
                            }
                        });
                    });
                    sim.sleep(Duration::from_secs(120)).await;
                }
            }
            Some(Ok(Outcome::Unrecorded(_))) => sim.sleep(Duration::from_secs(600)).await,
            Some(Ok(Outcome::BadPlan(problem))) => return Err(problem),
            // the lease cannot be taken while the API does not answer
            Some(Err(_)) => {
                halts += 1;
                sim.sleep(Duration::from_secs(600)).await;
                if halts > 1 {
                    sim.act(World::mend);
                    sim.sleep(Duration::from_secs(120)).await;
                }
            }
        }
    }
    let lines = String::from_utf8_lossy(&journal);
    let last: Vec<&str> = lines.lines().rev().take(6).collect();
    Err(format!(
        "not at its end after {SITTINGS} sittings\n{}",
        last.join("\n")
    ))
}

/// What a run must leave as it was, or bring to its release, by node.
fn marks(world: &World) -> BTreeMap<String, String> {
    let nodes = world.api.nodes();
    let mark = |node: &refit::cluster::model::Node| {
        let host = HostName::new(node.name.as_str());
        let holds = world.machine(&host).map(|machine| machine.holds());
        format!(
            "kubelet {}, unschedulable {}, cordoned by {:?}, taints {:?}, holds {holds:?}",
            node.kubelet_version, node.unschedulable, node.cordoned_by, node.taints
        )
    };
    nodes
        .map(|node| (node.name.to_string(), mark(node)))
        .collect()
}

fn tried(seed: u64, stages: &mut BTreeMap<Shape, Stage>, tell: bool) -> Result<usize, String> {
    let story = story(seed);
    let stage = stages
        .entry(story.shape)
        .or_insert_with(|| built(story.shape));
    let run = AssertUnwindSafe(|| runtime().block_on(carried_out(stage, &story, tell)));
    let ended = catch_unwind(run).unwrap_or_else(|_| Err("it panicked".to_owned()));
    ended.map_err(|why| {
        format!(
            "REFIT_SEED={seed} cargo test --test run schedules -- --nocapture\n{}\n{why}",
            told(&story)
        )
    })
}

#[test]
fn random_schedules_end_well() {
    if let Ok(seed) = std::env::var("REFIT_SEED") {
        let seed = seed.parse().unwrap();
        println!("{}", told(&story(seed)));
        let ended = tried(seed, &mut BTreeMap::new(), true);
        assert!(ended.is_ok(), "{}", ended.unwrap_err());
        return;
    }
    let (from, to) = match std::env::var("REFIT_SEEDS") {
        Ok(range) => {
            let (from, to) = range.split_once("..").unwrap();
            (from.parse().unwrap(), to.parse().unwrap())
        }
        Err(_) => (0, SEEDS),
    };
    let next = AtomicU64::new(from);
    let wrong: Mutex<Vec<String>> = Mutex::default();
    let sittings = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut stages = BTreeMap::new();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= to || wrong.lock().unwrap().len() >= 5 {
                        return;
                    }
                    match tried(seed, &mut stages, false) {
                        Ok(sat) => {
                            sittings.fetch_add(sat as u64, Ordering::Relaxed);
                        }
                        Err(why) => wrong.lock().unwrap().push(why),
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    println!("{} seeds in {} sittings", to - from, sittings.into_inner());
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
