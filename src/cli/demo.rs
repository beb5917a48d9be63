//! `refit demo`: the main job with nothing installed, on a cluster in memory.
//!
//! What is shown is what the true commands show, from the true planner and the true executor; only hosts, API, disk and the
//! pace of time are the simulation's ([`crate::sim`]). Nothing is reached and nothing is written.

mod shop;

use std::cell::Cell;
use std::convert::Infallible;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use clap::Args;
use tokio::sync::Notify;

use super::plan::make;
use super::rehearse::{Rehearsed, Told, take};
use super::{CommandError, Exit, Global, ui};
use crate::cluster::observe::observe;
use crate::documents::settings::Inventory;
use crate::plan::data::Plan;
use crate::plan::file::sha256;
use crate::ports::{Clock as _, World as Ports};
use crate::report::facts::summary as observed;
use crate::report::plan::{Look, blocked, outline, summary};
use crate::report::progress::{Format, Progress};
use crate::report::status::{Around, status};
use crate::run::event::{Event, Stamped};
use crate::run::executor::{Outcome, Run, execute};
use crate::run::journal::{Journal, Memory, read};
use crate::sim::api::Options;
use crate::sim::fault::{Fault, FaultError};
use crate::sim::machine::Durations;
use crate::sim::setup::Setup;
use crate::sim::{Sim, World};

/// The run's name.
const RUN: &str = "demo";
/// What a flaky worker does: its connection drops in the middle of one thing, it reboots in the middle of another.
const FLAKY: [&str; 2] = [
    "ssh-drop=15s:w4@install-kubeadm",
    "reboot=40s:w4@install-kubelet",
];
/// Killed so long after this step has begun.
const KILLED_AT: &str = "cp2/kubeadm-node@1.35.4";
const KILLED_AFTER: Duration = Duration::from_secs(40);
/// The ledger may leave so long after its worker was put off.
const FROZEN: Duration = Duration::from_secs(30);

/// See an upgrade, killed and resumed, on a cluster in memory
///
/// Three control planes and six workers in memory, with workloads and budgets, are looked at, planned for and upgraded from
/// 1.34 to 1.35. One worker is flaky, one pod may not leave, and refit is killed in the middle of a control plane's upgrade. Planner and
/// executor are the true ones; nothing is reached, nothing is written, and no cluster is needed.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  refit demo
  refit demo --speed 60")]
pub struct DemoArgs {
    /// So many times faster than on true machines; 0 is as fast as this one can
    #[arg(long, value_name = "TIMES", default_value_t = 20)]
    speed: u32,
}

pub fn run(args: &DemoArgs, global: &Global) -> Result<Exit, CommandError> {
    // No I/O driver: what would reach out of memory panics.
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime
        .enable_time()
        .start_paused(args.speed == 0)
        .build()
        .map_err(|error| CommandError::new("cannot start").because(&error))?;
    runtime.block_on(demo(args, &global.refit()))
}

async fn demo(args: &DemoArgs, refit: &str) -> Result<Exit, CommandError> {
    aside(&format!(
        "A cluster in memory: nothing is reached and nothing is written. Time passes {}. What is shown is what\n\
         the true commands show; a flaky worker, a pod that may not leave, and a kill -9 are part of it.",
        match args.speed {
            0 => "as fast as this machine can".to_owned(),
            times => format!("{times} times faster than on true machines"),
        }
    ))?;
    let declaration = shop::declaration()?;
    let sim = Sim::new(world(&declaration.inventory)?, args.speed);
    let ports = Ports {
        api: &sim,
        hosts: &sim,
        clock: &sim,
    };
    typed(&format!("cat {}", shop::UPGRADE))?;
    ui::data(shop::UPGRADE_TEXT)?;

    typed(&format!("refit inspect {} -o text", shop::UPGRADE))?;
    let facts = observe(
        ports,
        &declaration.inventory,
        Some(&declaration.upgrade),
        None,
    )
    .await;
    ui::data(&observed(&facts))?;

    typed(&format!(
        "refit plan {} --out shop.plan.json",
        shop::UPGRADE
    ))?;
    let plan = match make(&declaration, &facts)? {
        Ok(plan) => plan,
        Err(reasons) => {
            ui::data(&blocked(&reasons, ui::width(), &Look::TERMINAL))?;
            return Ok(Exit::Blocked);
        }
    };
    ui::data(&summary(&plan, &Look::TERMINAL))?;
    ui::data(&outline(&plan, &Look::TERMINAL))?;
    aside(
        "Only the outline: on a true cluster every step is listed, with its reason, for a reviewer of a pull request.",
    )?;

    aside("The team of payments freezes its ledger meanwhile: its pod may not leave.")?;
    sim.act(|world| world.with_api(|api| api.put_budget(shop::freeze())));
    Show::new(&sim, &plan, refit)?.all().await
}

fn world(inventory: &Inventory) -> Result<World, CommandError> {
    let facts = shop::facts()?;
    let faults: Result<Vec<Fault>, FaultError> = FLAKY.iter().map(|fault| fault.parse()).collect();
    let hosts = inventory.hosts.values();
    World::set_up(Setup {
        facts: &facts,
        nodes: hosts
            .map(|host| (host.name.clone(), host.node.clone()))
            .collect(),
        durations: Durations::default(),
        options: Options::default(),
        faults: faults.map_err(|error| CommandError::new(error.to_string()))?,
    })
    .map_err(|error| CommandError::new(error.to_string()))
}

/// The run, in two sittings.
struct Show<'s> {
    sim: &'s Sim,
    plan: &'s Plan,
    plan_sha256: String,
    around: Rehearsed<'s>,
    told: Told,
    /// It is time to kill.
    kill: Notify,
    /// A worker is put off.
    put_off: Notify,
    /// What was to happen has.
    killed: Cell<bool>,
}

impl<'s> Show<'s> {
    fn new(sim: &'s Sim, plan: &'s Plan, refit: &'s str) -> Result<Self, CommandError> {
        let text = plan
            .to_json()
            .map_err(|error| CommandError::new("the plan cannot be written").because(&error))?;
        Ok(Self {
            sim,
            plan,
            plan_sha256: sha256(text.as_bytes()),
            around: Rehearsed::new(plan, refit, sim),
            told: Told::new(plan),
            kill: Notify::new(),
            put_off: Notify::new(),
            killed: Cell::new(false),
        })
    }

    async fn all(mut self) -> Result<Exit, CommandError> {
        let mut file = Memory::default();
        typed(&format!(
            "refit apply {} --plan shop.plan.json --yes",
            shop::UPGRADE
        ))?;
        let mut outcome = self.sitting(&mut file).await?;
        if outcome.is_none() {
            aside(
                "kill -9: refit is gone in the middle of a control plane's upgrade. kubeadm goes on there.",
            )?;
            typed("refit status")?;
            self.status(&file)?;
            typed("refit resume")?;
            outcome = self.sitting(&mut file).await?;
        }
        typed("refit status")?;
        self.status(&file)?;
        if let Some(outcome) = outcome {
            self.told.end(&outcome, self.sim);
        }
        aside("What has happened:")?;
        ui::data(&self.told.text("demonstration", "sittings"))?;
        if !self.told.finished() {
            return Ok(Exit::Halted);
        }
        aside(
            "Budgets, cordons and the versions' skew were watched at every instant, and kept.\n\
             Next: write an inventory and an upgrade of your own (`refit schema` describes both), then `refit plan UPGRADE`.",
        )?;
        Ok(Exit::Done)
    }
}

impl Show<'_> {
    /// Carries the plan out from where the journal ends; no outcome where refit was killed.
    async fn sitting(&mut self, file: &mut Memory) -> Result<Option<Outcome>, CommandError> {
        let Self {
            sim,
            plan,
            plan_sha256,
            around,
            told,
            kill,
            put_off,
            killed,
        } = self;
        let (sim, plan) = (*sim, *plan);
        let ports = Ports {
            api: sim,
            hosts: sim,
            clock: sim,
        };
        let lease = take(ports, plan, RUN).await?;
        let run = Run {
            id: RUN,
            plan,
            plan_sha256,
            refit: env!("CARGO_PKG_VERSION"),
            pid: 1,
            world: ports,
            lease: &lease,
            store: sim,
            people: around,
            programs: around,
            metrics: around,
        };
        let past = read(&file.text)
            .map_err(|damage| CommandError::new("the journal cannot be read").because(&damage))?;
        let mut lines = Progress::new(plan, past.state.clone(), Format::Text);
        let began = sim.now();
        let mut journal = Journal::after(&past, file);
        let mut tell = |stamped: &Stamped| {
            // a reader that has gone is no reason to stop
            drop(ui::data(&lines.line(stamped)));
            told.happened(stamped);
            if matches!(&stamped.event, Event::StepStarted { step, .. } if step.as_str() == KILLED_AT)
            {
                kill.notify_one();
            }
            if let Event::StepDeferred { .. } = &stamped.event {
                put_off.notify_one();
            }
        };
        let outcome = {
            let stop = std::future::pending();
            let work = execute(&run, past.state.clone(), &mut journal, &mut tell, stop);
            tokio::select! {
                outcome = work => Some(outcome),
                () = death(sim, kill, killed) => None,
                never = thaw(sim, put_off) => match never {},
            }
        };
        told.sat(began, sim.now());
        Ok(outcome)
    }

    fn status(&self, file: &Memory) -> Result<(), CommandError> {
        let past = read(&file.text)
            .map_err(|damage| CommandError::new("the journal cannot be read").because(&damage))?;
        let around = Around {
            run: RUN.to_owned(),
            refit: "refit".to_owned(),
            process: None,
            put_aside: false,
        };
        ui::data(&status(self.plan, &past.state, around).render(self.sim.now()))
    }
}

/// Comes once, a while after it was asked for.
async fn death(sim: &Sim, asked: &Notify, died: &Cell<bool>) {
    if died.get() {
        return std::future::pending().await;
    }
    asked.notified().await;
    sim.sleep(KILLED_AFTER).await;
    died.set(true);
}

/// The team of payments lets its ledger go, once refit has told what it waits for.
async fn thaw(sim: &Sim, put_off: &Notify) -> Infallible {
    put_off.notified().await;
    sim.sleep(FROZEN).await;
    let budget = shop::freeze();
    sim.act(|world| world.with_api(|api| api.remove_budget(&budget.namespace, &budget.name)));
    drop(aside(
        "The team of payments has read whose pod holds the worker up, and lets its ledger go.",
    ));
    std::future::pending().await
}

/// What would be typed.
fn typed(command: &str) -> Result<(), CommandError> {
    let bold = Style::new().bold();
    ui::data(&format!("\n{bold}$ {command}{bold:#}\n"))
}

/// What is said beside it.
fn aside(text: &str) -> Result<(), CommandError> {
    let cyan = AnsiColor::Cyan.on_default();
    let lines: Vec<String> = text
        .lines()
        .map(|line| format!("{cyan}# {line}{cyan:#}\n"))
        .collect();
    ui::data(&format!("\n{}", lines.concat()))
}
