//! `refit rehearse`: a plan carried out on a simulation of the very facts that it was made from.
//!
//! The executor is the true one; hosts, API, time and disk are the simulation's ([`crate::sim`]). The runtime has no I/O driver
//! and its time is paused, so that hours pass in a moment and nothing but memory can be reached.

mod around;
mod told;

pub(super) use self::around::Rehearsed;
pub(super) use self::told::Told;

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};
use jiff::Timestamp;

use super::plan::read_facts;
use super::verify::{read_plan, refuse_unfit};
use super::{CommandError, Exit, Global, ui};
use crate::adapters::disk::{self, Access};
use crate::cluster::facts::Facts;
use crate::plan::data::{Action, Plan};
use crate::plan::file::sha256;
use crate::plan::windows::{Calendar, Now};
use crate::ports::{Clock as _, World as Ports};
use crate::report::progress::{Format, Progress};
use crate::run::event::{Halt, Stamped};
use crate::run::executor::{Outcome, Run, execute};
use crate::run::journal::{Journal, Memory, read};
use crate::run::lease::{self, Claimant, Lease, Refusal};
use crate::sim::api::Options;
use crate::sim::fault::Fault;
use crate::sim::machine::Durations;
use crate::sim::setup::Setup;
use crate::sim::{Sim, World};

/// By how many hundredths phases differ when a seed is given.
const SPREAD: u64 = 20;
/// The run's name.
const RUN: &str = "rehearsal";
/// More sittings than anyone waits for.
const SITTINGS: usize = 1000;

/// Carry a plan out on a simulation of its own facts
///
/// Nothing is reached, no credentials are needed, and hours pass in a moment: hosts, kubeadm, the API with its budgets and
/// controllers, and time itself are simulated from the facts that the plan was made from; the executor is the one of `apply`.
/// Shows how long it takes, what each window holds, and what gets stuck. What goes wrong on the way is up to you: a fault is
/// `WHAT[=DURATION]:WHERE[@WHEN][*TIMES]`. WHAT is ssh-drop, host-gone, max-sessions, reboot, power-cut, apt-lock,
/// unattended-upgrades, dpkg-interrupted, held-package, key-expired, image-pull, static-pod-hash, create-job, kubelet-down,
/// node-not-ready, cni-not-ready, etcd-unhealthy, certificate-expired, disk-full, clock-jump, or (WHERE is `cluster`) api-403,
/// api-429, api-500, api-timeout, webhook-denial, or (WHERE is `here`, the machine that runs refit) disk-full-here. WHEN is the verb of a step
/// (`drain`), a phase of it (`kubeadm-node/etcd`), or a time (`+10m`). Gates, approvals, and hooks on this machine count as
/// passed. How long things take was measured on true clusters; yours differ.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  refit rehearse lab.plan.json --facts lab.facts.json
  refit rehearse lab.plan.json --facts lab.facts.json --fault ssh-drop:w3@drain --fault reboot=90s:cp2@kubeadm-node/etcd
  refit rehearse lab.plan.json --facts lab.facts.json --seed 7 -o json | jq .took_s

Exits with 0 when the rehearsal ends well, with 4 when it halts.")]
pub struct RehearseArgs {
    /// The plan that `refit plan --out` wrote
    #[arg(value_hint = ValueHint::FilePath)]
    plan: PathBuf,
    /// The facts that it was made from
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    facts: PathBuf,
    /// What goes wrong; repeatable
    #[arg(long, value_name = "SPEC")]
    fault: Vec<Fault>,
    /// Let each phase take up to a fifth longer or shorter, as this number decides
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Where to write the rehearsal's journal, for whoever wants to hold it against a run's
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    journal: Option<PathBuf>,
    /// Lines for people or JSON
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Output,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Output {
    Text,
    Json,
}

pub fn run(args: &RehearseArgs, global: &Global) -> Result<Exit, CommandError> {
    let plan = read_plan(&args.plan)?;
    let facts = read_facts(&args.facts)?;
    let again = "`refit plan UPGRADE --facts FACTS --out FILE` makes a plan of these facts";
    refuse_unfit(&plan, &facts, again.to_owned())?;
    let world = world(args, &plan, &facts)?;
    let refit = global.refit();
    // No I/O driver: what would reach out of memory panics.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .map_err(|error| CommandError::new("cannot start").because(&error))?;
    let mut journal = Memory::default();
    let told = runtime.block_on(rehearse(&plan, world, &refit, &mut journal))?;
    if let Some(path) = &args.journal {
        disk::write(path, &journal.text, Access::Shared).map_err(|error| {
            CommandError::new(format!("cannot write {}", path.display())).because(&error)
        })?;
    }
    let text = match args.output {
        Output::Text => told.text(RUN, "windows"),
        Output::Json => told
            .json()
            .map_err(|error| CommandError::new("cannot write").because(&error))?,
    };
    ui::data(&text)?;
    Ok(if told.finished() {
        Exit::Done
    } else {
        Exit::Halted
    })
}

fn world(args: &RehearseArgs, plan: &Plan, facts: &Facts) -> Result<World, CommandError> {
    let nodes = plan.steps.iter().filter_map(|step| match &step.action {
        Action::CheckHost { host, node, .. } => Some((host.clone(), node.clone())),
        _ => None,
    });
    let spared = plan.steps.iter().find_map(|step| match &step.action {
        Action::Drain { rules, .. } => Some(rules.clone()),
        _ => None,
    });
    let durations = match args.seed {
        None => Durations::default(),
        Some(seed) => Durations {
            spread: SPREAD,
            seed,
            ..Durations::default()
        },
    };
    World::set_up(Setup {
        facts,
        nodes: nodes.collect(),
        durations,
        options: Options {
            spared: spared.unwrap_or_default(),
            ..Options::default()
        },
        faults: args.fault.clone(),
    })
    .map_err(|error| {
        CommandError::new(error.to_string())
            .exits(Exit::Usage)
            .nothing_changed()
    })
}

/// The lease on the simulated cluster, which nobody else wants.
pub(super) async fn take<'s>(
    ports: Ports<'s>,
    plan: &Plan,
    run: &str,
) -> Result<Lease<'s>, CommandError> {
    let refused = |refusal: Refusal| CommandError::new(refusal.to_string()).nothing_changed();
    let me = Claimant {
        run: run.to_owned(),
        who: run.to_owned(),
        place: run.to_owned(),
    };
    let hosts = plan.steps.iter().filter_map(|step| step.action.host());
    let mut tell = |_: &str| {};
    let seen = lease::look(ports, &me.place, &mut tell)
        .await
        .map_err(refused)?;
    Lease::take(ports, &me, seen, &hosts.collect(), &mut tell)
        .await
        .map_err(refused)
}

/// Carries the plan out, one sitting for each window that it takes.
async fn rehearse(
    plan: &Plan,
    world: World,
    refit: &str,
    file: &mut Memory,
) -> Result<Told, CommandError> {
    let sim = Sim::new(world, 1);
    let around = Rehearsed::new(plan, refit, &sim);
    let plan_sha256 = plan
        .to_json()
        .map(|text| sha256(text.as_bytes()))
        .map_err(|error| CommandError::new("the plan cannot be written").because(&error))?;
    let ports = Ports {
        api: &sim,
        hosts: &sim,
        clock: &sim,
    };
    let lease = take(ports, plan, RUN).await?;
    let run = Run {
        id: RUN,
        plan,
        plan_sha256: &plan_sha256,
        refit: env!("CARGO_PKG_VERSION"),
        pid: 1,
        world: ports,
        lease: &lease,
        store: &sim,
        people: &around,
        programs: &around,
        metrics: &around,
    };
    until_open(plan, &sim).await?;
    let mut told = Told::new(plan);
    loop {
        let past = read(&file.text).map_err(|damage| {
            CommandError::new("the rehearsal's own journal cannot be read").because(&damage)
        })?;
        let mut lines = Progress::new(plan, past.state.clone(), Format::Text);
        let began = sim.now();
        let mut journal = Journal::after(&past, file);
        let mut tell = |stamped: &Stamped| {
            ui::say(&lines.line(stamped));
            told.happened(stamped);
        };
        let state = past.state.clone();
        let outcome = execute(&run, state, &mut journal, &mut tell, std::future::pending()).await;
        told.sat(began, sim.now());
        let opens = match &outcome {
            Outcome::Halted {
                why: Halt::WindowOver { opens: Some(opens) },
                ..
            } if told.sittings() < SITTINGS => *opens,
            Outcome::Halted { .. }
            | Outcome::Finished { .. }
            | Outcome::Unrecorded(_)
            | Outcome::BadPlan(_) => {
                told.end(&outcome, &sim);
                return Ok(told);
            }
        };
        sleep_until(&sim, opens).await;
    }
}

/// A run begins in a window.
async fn until_open(plan: &Plan, sim: &Sim) -> Result<(), CommandError> {
    let Some(windows) = &plan.windows else {
        return Ok(());
    };
    let calendar = Calendar::of(&windows.declared)
        .map_err(|bad| CommandError::new(bad.to_string()).nothing_changed())?;
    match calendar.at(sim.now()) {
        Now::Open { .. } | Now::Closed { opens: None } => {}
        Now::Closed { opens: Some(opens) } => sleep_until(sim, opens).await,
    }
    Ok(())
}

async fn sleep_until(sim: &Sim, then: Timestamp) {
    let left = then.duration_since(sim.now());
    sim.sleep(left.unsigned_abs()).await;
}
