//! `refit snapshot`: a snapshot of etcd now.

use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};

use super::begin::{Beginning, Claim};
use super::carry_out::Output;
use super::connect::{Connection, block_on, cluster_uid, look};
use super::inputs::Given;
use super::runs::Runs;
use super::{CommandError, Exit, Global, lease, ui};
use crate::adapters::clock::RealClock;
use crate::plan::data::{Action, Plan};
use crate::plan::saved::Names;
use crate::plan::snapshot_now;
use crate::ports::Clock as _;
use crate::report::plan::{Look, summary};

/// Take a snapshot of etcd now
///
/// The same that an upgrade begins with: taken from a control plane's member, judged by etcdutl, restored for trial with the
/// member's own etcdutl, brought here and compared, old ones pruned. Beside it comes an archive of /etc/kubernetes/pki and of the
/// API server's encryption configuration, without which it is of no use, and a record of whose it is. An upgrade says where it is
/// kept, how many are, and to whom both are encrypted (`snapshot:`); with an inventory alone what holds by default does.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  refit snapshot inventories/lab.yaml
  refit snapshot plans/to-1.35.yaml    # as its `snapshot:` declares

The path of the snapshot is printed; `refit restore` takes it.")]
pub struct SnapshotArgs {
    /// The upgrade, or the inventory
    #[arg(value_hint = ValueHint::FilePath)]
    document: PathBuf,
    /// How progress is told
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Output,
}

pub fn run(args: &SnapshotArgs, global: &Global) -> Result<Exit, CommandError> {
    let given = Given::load(&args.document)?;
    let clock = RealClock::new();
    let runs = Runs::of(global)?;
    let again = format!("{} snapshot {}", runs.refit(), args.document.display());
    let mut lock = runs.lock("refit snapshot", clock.now())?;
    let policy = given
        .upgrade
        .as_ref()
        .map(|upgrade| upgrade.snapshot.clone())
        .unwrap_or_default();
    block_on(async {
        let connection = Connection::open(&given.inventory).await?;
        let seen = lease::look(&connection, &runs, &again).await?;
        let facts = look(connection.world(), &given.inventory, None, &runs).await?;
        cluster_uid(&facts)?;
        let plan = snapshot_now::plan(&snapshot_now::Inputs {
            inventory: &given.inventory,
            name: given.name(),
            policy: &policy,
            declaration_sha256: &given.sha256(),
            facts: &facts,
        })
        .map_err(|why| {
            CommandError::new("no snapshot can be taken")
                .because(&why)
                .exits(Exit::Blocked)
                .nothing_changed()
                .next(format!("mend what it says, then `{again}`"))
        })?;
        ui::say(&summary(&plan, &Look::TERMINAL));
        let begun = Beginning {
            runs: &runs,
            lock: &mut lock,
            connection: &connection,
            inventory: &given.inventory,
            origin: given.origin(),
            facts: &facts,
            plan: &plan,
            displaced: Vec::new(),
            claim: Claim::Seen(seen),
            again: &again,
        };
        let end = begun.go(args.output).await;
        connection.close().await;
        let (run, exit) = end?;
        if let (Exit::Done, Output::Text) = (exit, args.output) {
            for path in kept(&plan, &run) {
                ui::data(&format!("{}\n", path.display()))?;
            }
        }
        Ok(exit)
    })
}

/// Where a run's snapshots are kept.
fn kept(plan: &Plan, run: &str) -> Vec<PathBuf> {
    let of = |action: &Action| match action {
        Action::SnapshotEtcd {
            file,
            directory,
            encrypt_to,
            ..
        } => {
            let names = Names::of(&plan.inventory, run, file, !encrypt_to.is_empty());
            Some(Path::new(directory).join(names.database()))
        }
        _ => None,
    };
    plan.steps
        .iter()
        .filter_map(|step| of(&step.action))
        .collect()
}
