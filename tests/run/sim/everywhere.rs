//! refit is killed before and after every line of its journal and every call that it makes, while a plan of two hops upgrades
//! three control planes and six workers. From each such moment a clone of the world lives on; the run is resumed there, killed
//! once more on the way, resumed again, and ends in the same cluster as the run that nobody disturbed, without anything
//! having happened that must never happen.
//!
//! A sample of 60 moments, chosen by `REFIT_SEED`, is resumed; `REFIT_KILLS=N` resumes about so many, `REFIT_KILLS=all` all of
//! them.

use std::cell::Cell;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use refit::run::executor::Outcome;
use refit::sim::{Sim, World};

use super::play::{Process, Stage, outcome, stage};

/// How many of the moments are resumed by default.
const SAMPLE: u64 = 60;

/// A moment of the golden run.
struct Moment {
    number: u64,
    what: &'static str,
    world: World,
    journal: Vec<u8>,
}

/// The same numbers for the same seed (splitmix64).
fn random(seed: u64, number: u64) -> u64 {
    let mut state = seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

fn two_hops() -> Stage {
    stage(3, 6, "1.36.3")
}

pub fn runtime() -> tokio::runtime::Runtime {
    // no I/O driver: a stray socket panics
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
}

/// Resumes from a moment, with one more kill on the way. Says what went wrong, if something did.
async fn resumed(stage: &Stage, moment: Moment, seed: u64, expected: &str) -> Result<(), String> {
    let sim = Sim::new(moment.world, 1);
    let drawn = random(seed, moment.number);
    // back at once, while operations run; when some have ended; when all have
    let away = [0, 7, 1000][usize::try_from(drawn % 3).unwrap()];
    let second = Cell::new(1 + (drawn >> 8) % 400);
    let told = format!(
        "killed at {} ({}), back after {away} s, killed again after {} moments",
        moment.number,
        moment.what,
        second.get()
    );
    sim.sleep(Duration::from_secs(away)).await;
    let mut journal = moment.journal;
    let kill = Box::new(|_: &Sim, _: &[u8], _: &'static str| {
        second.set(second.get() - 1);
        second.get() == 0
    });
    let mut ended;
    (ended, journal) = Process::new(&sim, journal, kill)
        .beside(stage.meddle)
        .run(&stage.plan)
        .await;
    if ended.is_none() {
        let never = Box::new(|_: &Sim, _: &[u8], _: &'static str| false);
        (ended, journal) = Process::new(&sim, journal, never)
            .beside(stage.meddle)
            .run(&stage.plan)
            .await;
    }
    if !matches!(ended, Some(Outcome::Finished { .. })) {
        let lines = String::from_utf8_lossy(&journal);
        let last: Vec<&str> = lines.lines().rev().take(12).collect();
        return Err(format!("{told}: {ended:#?}\n{}", last.join("\n")));
    }
    let violations = sim.look(|world| world.violations().to_vec());
    if !violations.is_empty() {
        return Err(format!("{told}: {violations:#?}"));
    }
    let found = outcome(&sim, &stage.built).await;
    let differs = found
        .lines()
        .zip(expected.lines())
        .find(|(is, was)| is != was);
    match differs {
        Some((is, was)) => Err(format!("{told}: `{is}` instead of `{was}`")),
        None if found != expected => Err(format!("{told}: another length")),
        None => Ok(()),
    }
}

fn worker(
    here: fn() -> Stage,
    moments: &Mutex<Receiver<Moment>>,
    seed: u64,
    expected: &str,
) -> (u64, Vec<String>) {
    let stage = here();
    let runtime = runtime();
    let (mut done, mut wrong) = (0, Vec::new());
    loop {
        let next = moments.lock().unwrap().recv();
        let Ok(moment) = next else {
            return (done, wrong);
        };
        done += 1;
        wrong.extend(
            runtime
                .block_on(resumed(&stage, moment, seed, expected))
                .err(),
        );
    }
}

/// The undisturbed run: how it ends, and how many moments it has.
fn golden(here: fn() -> Stage, mut at: impl FnMut(&Sim, &[u8], &'static str)) -> (String, u64) {
    let stage = here();
    runtime().block_on(async {
        let sim = Sim::new(stage.world.clone(), 1);
        let mut moments = 0;
        let watch = Box::new(|sim: &Sim, journal: &[u8], what: &'static str| {
            moments += 1;
            at(sim, journal, what);
            false
        });
        let (ended, journal) = Process::new(&sim, Vec::new(), watch)
            .beside(stage.meddle)
            .run(&stage.plan)
            .await;
        let told = String::from_utf8_lossy(&journal).into_owned();
        assert!(
            matches!(ended, Some(Outcome::Finished { .. })),
            "{ended:#?}\n{told}"
        );
        let violations = sim.look(|world| world.violations().to_vec());
        assert_eq!(violations, Vec::<String>::new());
        (outcome(&sim, &stage.built).await, moments)
    })
}

#[test]
fn killed_at_every_moment_it_is_resumed_to_the_same_end() {
    killed(two_hops, SAMPLE, 1000);
}

#[test]
fn killed_while_a_node_is_put_off_it_is_resumed_to_the_same_end() {
    killed(super::deferral::put_off, SAMPLE / 2, 200);
}

/// Kills a run at so many of its moments, or as many as the environment says, of which there are `at_least`.
fn killed(here: fn() -> Stage, sample: u64, at_least: u64) {
    let seed: u64 = std::env::var("REFIT_SEED").map_or(1, |seed| seed.parse().unwrap());
    let (expected, moments) = golden(here, |_, _, _| ());
    let wanted = match std::env::var("REFIT_KILLS").as_deref() {
        Ok("all") => moments,
        Ok(number) => number.parse().unwrap(),
        Err(_) => sample,
    };
    let every = moments.div_ceil(wanted).max(1);
    let first = random(seed, 0) % every;
    let (send, receive) = sync_channel::<Moment>(2);
    let receive = Arc::new(Mutex::new(receive));
    let workers: Vec<_> = (0..2)
        .map(|_| {
            let (receive, expected) = (Arc::clone(&receive), expected.clone());
            std::thread::spawn(move || worker(here, &receive, seed, &expected))
        })
        .collect();
    let mut number = 0;
    let (again, counted) = golden(here, |sim, journal, what| {
        if number % every == first {
            let moment = Moment {
                number,
                what,
                world: sim.snapshot(),
                journal: journal.to_vec(),
            };
            send.send(moment).unwrap();
        }
        number += 1;
    });
    drop(send);
    assert_eq!(
        (&again, counted),
        (&expected, moments),
        "the golden run is not the same twice"
    );
    let (mut done, mut wrong) = (0, Vec::new());
    for worker in workers {
        let (of_worker, problems) = worker.join().unwrap();
        done += of_worker;
        wrong.extend(problems);
    }
    println!(
        "killed at {done} of {moments} moments of a run and once more on the way, seed {seed}"
    );
    assert!(
        wrong.is_empty(),
        "{} of {done}:\n{}",
        wrong.len(),
        wrong.join("\n\n")
    );
    assert!(moments > at_least, "only {moments} moments");
    assert!(
        done >= wanted.min(moments) / 2,
        "only {done} of {moments} were resumed"
    );
}
