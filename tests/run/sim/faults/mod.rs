//! Every fault at every kind of step that it can hit: the run goes on by itself where it passes, and where it stays the run
//! halts with the cause, the state of things and what to do; once somebody has done that, `resume` ends it well. Whatever
//! happens, nothing happens that must never happen, the skew of versions at any instant included.
//!
//! What an operator reads is in `golden/`, a file for each fault, renewed with `REFIT_BLESS=1` and read before it is committed.

mod kinds;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use refit::cluster::model::HostName;
use refit::documents::settings::{Condition, Gate, GatePoint, HookPlace, HookPoint, OrderGroup};
use refit::plan::data::{Action, Plan, Step};
use refit::run::executor::Outcome;
use refit::run::journal::read;
use refit::sim::fault::{Fault, Moment, Place, What};
use refit::sim::{Sim, World};

use self::kinds::{Kind, hits, kind, operates};
use super::everywhere::runtime;
use super::play::{Fine, Process, Stage, hook, staged};

/// Of so many pairs one is carried on to the run's end; the others until the step that was struck is done. All are with
/// `REFIT_FAULTS=all`; `REFIT_FAULT=NAME` tries one fault only.
const WHOLE: usize = 5;

/// Until somebody does something about it.
const STAYS: Duration = Duration::from_secs(10 * 3600);

/// Every fault: as it passes, and as it stays.
fn faults() -> Vec<(What, What)> {
    let s = Duration::from_secs;
    vec![
        (What::SshDrop(s(60)), What::SshDrop(STAYS)),
        (What::HostGone, What::HostGone),
        (What::MaxSessions(s(60)), What::MaxSessions(STAYS)),
        (What::Reboot(s(60)), What::Reboot(STAYS)),
        (What::PowerCut(s(120)), What::PowerCut(STAYS)),
        (What::AptLock(s(60)), What::AptLock(STAYS)),
        (
            What::UnattendedUpgrades(s(600)),
            What::UnattendedUpgrades(STAYS),
        ),
        (What::DpkgInterrupted, What::DpkgInterrupted),
        (What::HeldPackage, What::HeldPackage),
        (What::KeyExpired, What::KeyExpired),
        (What::ImagePull, What::ImagePull),
        (What::StaticPodHash, What::StaticPodHash),
        (What::CreateJob, What::CreateJob),
        (What::KubeletDown, What::KubeletDown),
        (What::NodeNotReady(s(60)), What::NodeNotReady(STAYS)),
        (What::CniNotReady(s(60)), What::CniNotReady(STAYS)),
        (What::EtcdUnhealthy(s(60)), What::EtcdUnhealthy(STAYS)),
        (
            What::CertificateExpired(s(60)),
            What::CertificateExpired(STAYS),
        ),
        (What::DiskFull(s(20)), What::DiskFull(STAYS)),
        (What::DiskFullHere(s(20)), What::DiskFullHere(STAYS)),
        (What::ClockJump(s(2)), What::ClockJump(s(3600))),
        (What::Api403(s(20)), What::Api403(STAYS)),
        (What::Api429(s(20)), What::Api429(STAYS)),
        (What::Api500(s(20)), What::Api500(STAYS)),
        (What::ApiTimeout(s(60)), What::ApiTimeout(STAYS)),
        (What::WebhookDenial(s(60)), What::WebhookDenial(STAYS)),
    ]
}

/// Three control planes and two workers, with everything that a plan can have.
fn everything() -> Stage {
    let stage = staged(3, 2, "1.35.4", |built| {
        built.packages("w1").held.clear();
        built.upgrade.hooks = vec![
            hook("patch", HookPoint::Drained, HookPlace::EachWorker),
            hook("tell", HookPoint::BeforeWorkers, HookPlace::ThisMachine),
        ];
        built.upgrade.gates = vec![Gate {
            name: "ask".to_owned(),
            at: GatePoint::BeforeWorkers,
            condition: Condition::Command {
                run: vec!["ask".to_owned()],
                directory: "plans".to_owned(),
                for_s: 0,
                timeout_s: 300,
            },
        }];
        let labels = &mut built.node("w1").labels;
        labels.insert("pool".to_owned(), "canary".to_owned());
        built.upgrade.workers.order = vec![OrderGroup {
            selector: refit::cluster::model::LabelSelector {
                match_labels: [("pool".to_owned(), "canary".to_owned())].into(),
                match_expressions: Vec::new(),
            },
            soak: Duration::from_secs(60),
        }];
    });
    super::restore::with_etcd(stage)
}

/// A kind of step, the plan's first of it, and the moment at which nothing but that step is missing for it to begin.
struct Before {
    kind: Kind,
    step: Step,
    world: World,
    journal: Vec<u8>,
}

/// Which step stands for a kind: one in the middle of things, where there is one.
fn chosen(plan: &Plan) -> BTreeMap<Kind, Step> {
    let mut chosen: BTreeMap<Kind, Step> = BTreeMap::new();
    for step in &plan.steps {
        if let Some(kind) = kind(&step.action) {
            chosen.entry(kind).or_insert_with(|| step.clone());
        }
    }
    chosen
}

/// The undisturbed run, kept right before each of the chosen steps.
fn befores(stage: &Stage) -> Vec<Before> {
    let mut wanted = chosen(&stage.plan);
    let found = RefCell::new(Vec::new());
    let watch = |sim: &Sim, journal: &[u8], what: &'static str| {
        let fresh = journal.is_empty() || what == "after a line of the journal";
        if fresh && !wanted.is_empty() {
            let done = read(journal).map(|past| past.state).unwrap_or_default();
            let ready: Vec<Kind> = wanted
                .iter()
                .filter(|(_, step)| step.after.iter().all(|before| done.is_done(before)))
                .map(|(kind, _)| *kind)
                .collect();
            for kind in ready {
                let step = wanted.remove(&kind).unwrap();
                found.borrow_mut().push(Before {
                    kind,
                    step,
                    world: sim.snapshot(),
                    journal: journal.to_vec(),
                });
            }
        }
        false
    };
    runtime().block_on(async {
        let sim = Sim::new(stage.world.clone(), 1);
        let process = Process::new(&sim, Vec::new(), Box::new(watch)).with_programs(&Fine);
        let (ended, journal) = process.run(&stage.plan).await;
        assert!(
            matches!(ended, Some(Outcome::Finished { .. })),
            "{ended:#?}\n{}",
            String::from_utf8_lossy(&journal)
        );
    });
    let mut found = found.into_inner();
    found.sort_by_key(|before| before.kind);
    found
}

/// Whom the fault befalls at this step.
fn place(what: What, plan: &Plan, step: &Step) -> String {
    match what.place() {
        Place::Api => "cluster".to_owned(),
        Place::Here => "here".to_owned(),
        Place::Host => {
            let by_node = || {
                let node = match &step.action {
                    Action::Soak { nodes, .. } | Action::Verify { nodes, .. } => nodes.first(),
                    Action::AwaitAddons { .. } => None,
                    action => action.node(),
                };
                plan.steps.iter().find_map(|check| match &check.action {
                    Action::CheckHost { host, node: of, .. } if Some(of) == node => Some(host),
                    _ => None,
                })
            };
            let any = HostName::new("cp1");
            let host = step.action.host().or_else(by_node).unwrap_or(&any);
            host.to_string()
        }
    }
}

/// What an operator is told of a run's end.
fn told(outcome: Option<Outcome>) -> Option<String> {
    match outcome {
        Some(Outcome::Finished { .. }) => None,
        Some(Outcome::Halted { why, failures, .. }) => {
            let mut text = String::new();
            for (step, why) in &failures {
                let _ = writeln!(text, "{step}: {why}");
            }
            if failures.is_empty() {
                let _ = writeln!(text, "{why:?}");
            }
            Some(text)
        }
        Some(Outcome::Unrecorded(error)) => {
            let mut text = error.to_string();
            let mut source = std::error::Error::source(&error);
            while let Some(error) = source {
                let _ = write!(text, ": {error}");
                source = error.source();
            }
            text.push('\n');
            Some(text)
        }
        Some(Outcome::BadPlan(problem)) => Some(format!("bad plan: {problem}\n")),
        // it was enough
        None => None,
    }
}

/// One fault at one step: how the run ends, and what it waited for on the way.
async fn struck(
    stage: &Stage,
    before: &Before,
    what: What,
    times: u32,
    whole: bool,
) -> Result<(Option<String>, Vec<String>, Duration), String> {
    let sim = Sim::new(before.world.clone(), 1);
    let fault = Fault {
        what,
        at: place(what, &stage.plan, &before.step),
        when: if operates(before.kind) && what.place() == Place::Host {
            let verb = match before.kind {
                Kind::HookThere => "hook",
                _ => before.step.id.verb(),
            };
            Moment::Step(verb.to_owned())
        } else {
            Moment::First
        },
        times,
    };
    let began = sim.look(World::now);
    // once the run has taken up where it was
    let mut strikes = Some(fault);
    let done = format!("\"step-done\",\"step\":\"{}\"", before.step.id);
    let is_done = |journal: &[u8]| String::from_utf8_lossy(last_line(journal)).contains(&done);
    let strike = |sim: &Sim, journal: &[u8], what: &'static str| {
        if !whole && times == 1 && strikes.is_none() && is_done(journal) {
            return true;
        }
        if what == "after a line of the journal"
            && let Some(fault) = strikes.take()
        {
            sim.act(|world| world.strike(fault)).unwrap();
        }
        false
    };
    let process = Process::new(&sim, before.journal.clone(), Box::new(strike)).with_programs(&Fine);
    let (ended, mut journal) = process.run(&stage.plan).await;
    let took = sim.look(World::now).saturating_sub(began);
    let told = told(ended);
    let new = String::from_utf8_lossy(&journal[before.journal.len()..]).into_owned();
    let of_step = format!("\"step\":\"{}\"", before.step.id);
    let waits = new
        .lines()
        .filter(|line| line.contains("step-waiting") && line.contains(&of_step))
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let on = line["on"].as_str().or_else(|| line["event"]["on"].as_str());
            on.unwrap_or_default().to_owned()
        })
        .collect();
    let wrong = |what: &str, sim: &Sim| {
        let violations = sim.look(|world| world.violations().to_vec());
        if violations.is_empty() {
            return Ok(());
        }
        Err(format!("{what}: {violations:#?}"))
    };
    wrong("when it was struck", &sim)?;
    if told.is_some() {
        sim.act(World::mend);
        // what needs its time to be well again
        sim.sleep(Duration::from_secs(60)).await;
        let enough = |_: &Sim, journal: &[u8], _: &'static str| !whole && is_done(journal);
        let ended;
        (ended, journal) = Process::new(&sim, journal, Box::new(enough))
            .with_programs(&Fine)
            .run(&stage.plan)
            .await;
        if !matches!(ended, None | Some(Outcome::Finished { .. })) {
            let lines = String::from_utf8_lossy(&journal);
            let last: Vec<&str> = lines.lines().rev().take(3).collect();
            return Err(format!("resumed: {ended:#?}\n{}", last.join("\n")));
        }
        wrong("when it was resumed", &sim)?;
    }
    Ok((told, waits, took))
}

fn minutes(took: Duration) -> String {
    match took.as_secs() {
        seconds if seconds < 120 => format!("{seconds} s"),
        seconds => format!("{} min", seconds / 60),
    }
}

fn indented(text: &str) -> String {
    let lines = text.trim_end().lines();
    lines.map(|line| format!("    {line}\n")).collect()
}

/// One pair in words; what went wrong, if something did.
fn pair(
    stage: &Stage,
    before: &Before,
    (passes, stays): (What, What),
    whole: bool,
) -> Result<String, String> {
    let mut texts = Vec::new();
    for (what, times) in [(passes, 1), (stays, 1000)] {
        let mut text = String::new();
        let (told, waits, took) = runtime().block_on(struck(stage, before, what, times, whole))?;
        match told {
            None => {
                let _ = writeln!(text, "goes on");
                for wait in waits.iter().take(2) {
                    let _ = write!(text, "{}", indented(&format!("waits for {wait}")));
                }
            }
            Some(told) => {
                let _ = writeln!(text, "halts after {}", minutes(took));
                text.push_str(&indented(&told));
            }
        }
        texts.push(text);
    }
    Ok(match &texts[..] {
        [one, other] if one == other => format!("  passes or stays: {one}"),
        [one, other] => format!("  passes: {one}  stays: {other}"),
        _ => String::new(),
    })
}

fn last_line(journal: &[u8]) -> &[u8] {
    let journal = journal.strip_suffix(b"\n").unwrap_or(journal);
    let from = journal.iter().rposition(|byte| *byte == b'\n');
    &journal[from.map_or(0, |from| from + 1)..]
}

#[test]
fn every_fault_at_every_kind_of_step() {
    let stage = everything();
    let befores = befores(&stage);
    let kinds: Vec<Kind> = befores.iter().map(|before| before.kind).collect();
    let faults = faults();
    let all = std::env::var("REFIT_FAULTS").is_ok_and(|which| which == "all");
    let only = std::env::var("REFIT_FAULT").unwrap_or_default();
    let pairs: Vec<(usize, usize)> = (0..faults.len())
        .filter(|fault| only.is_empty() || faults[*fault].0.parts().0 == only)
        .flat_map(|fault| (0..befores.len()).map(move |kind| (fault, kind)))
        .filter(|(fault, kind)| hits(faults[*fault].0, befores[*kind].kind).is_ok())
        .collect();
    let next = AtomicUsize::new(0);
    let done: Mutex<BTreeMap<(usize, usize), Result<String, String>>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(at) = pairs.get(number) else {
                        return;
                    };
                    let whole = all || number.is_multiple_of(WHOLE);
                    let found = pair(&stage, &befores[at.1], faults[at.0], whole);
                    done.lock().unwrap().insert(*at, found);
                }
            });
        }
    });
    let done = done.into_inner().unwrap();
    let mut wrong = Vec::new();
    for (number, (passes, _)) in faults.iter().enumerate() {
        let name = passes.parts().0;
        if !only.is_empty() && only != name {
            continue;
        }
        // kinds of which the same is to be said stand together
        let mut blocks: Vec<(Vec<String>, &String)> = Vec::new();
        for (at, found) in done.range((number, 0)..(number + 1, 0)) {
            match found {
                Ok(pair) => {
                    let before = &befores[at.1];
                    match blocks.iter_mut().find(|(_, text)| *text == pair) {
                        Some((steps, _)) => steps.push(before.step.id.to_string()),
                        None => blocks.push((vec![before.step.id.to_string()], pair)),
                    }
                }
                Err(why) => wrong.push(format!("{name} at {:?}: {why}", befores[at.1].kind)),
            }
        }
        let mut text = String::new();
        for (steps, pair) in blocks {
            let _ = writeln!(text, "{}\n{pair}", steps.join(", "));
        }
        let mut spared: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for kind in &kinds {
            if let Err(why) = hits(*passes, *kind) {
                spared.entry(why).or_default().push(format!("{kind:?}"));
            }
        }
        for (why, kinds) in spared {
            let _ = writeln!(text, "cannot hit what {why}: {}", kinds.join(", "));
        }
        if let Err(differs) = golden(name, &text) {
            wrong.push(differs);
        }
    }
    println!("{} pairs of faults and kinds of steps", pairs.len());
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n\n"));
}

fn golden(name: &str, found: &str) -> Result<(), String> {
    let file = PathBuf::from("tests/run/sim/faults/golden").join(format!("{name}.txt"));
    if std::env::var_os("REFIT_BLESS").is_some() {
        std::fs::write(&file, found).unwrap();
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    let differs = found
        .lines()
        .zip(expected.lines().chain(std::iter::repeat("")))
        .find(|(is, was)| is != was);
    match differs {
        Some((is, was)) => Err(format!("{}: `{is}` instead of `{was}`", file.display())),
        None if found != expected => Err(format!("{}: it is shorter now", file.display())),
        None => Ok(()),
    }
}

/// Every kind of step is in the plan on which faults are tried, but for the taint: a single worker is left to be drained there, and
/// its pods have nowhere else to prefer.
#[test]
fn the_plan_has_every_kind_of_step() {
    let stage = everything();
    let found: Vec<Kind> = chosen(&stage.plan).into_keys().collect();
    assert_eq!(found.len(), 26, "{found:?}");
}
