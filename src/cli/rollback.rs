//! `refit rollback`: a control plane whose upgrade by kubeadm did not end well, from kubeadm's own backup.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::begin::{Beginning, Claim};
use super::carry_out::{Output, confirm};
use super::connect::{Connection, block_on};
use super::inputs::Given;
use super::runs::Runs;
use super::{CommandError, Exit, Global, lease, ui};
use crate::adapters::clock::RealClock;
use crate::cluster::backups;
use crate::cluster::model::Role;
use crate::documents::settings::Host;
use crate::plan::rollback::{self, Refusal};
use crate::ports::Clock as _;
use crate::report::plan::{Look, table};

/// Put back what kubeadm replaced on a control plane, where its upgrade did not end well
///
/// kubeadm keeps the manifests of static pods that it replaces. Where it failed, or was cut off, those of the API server, the
/// controller manager and the scheduler are put back, and awaited. etcd stays as it is, and packages too. Refused where kubeadm's
/// last operation there ended well, where that is not known, and where a kubelet is newer than the API server that would come back.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  refit rollback cp2 inventories/lab.yaml --show    # only shows the plan
  refit rollback cp2 inventories/lab.yaml")]
pub struct RollbackArgs {
    /// The control plane, as node or host
    node: String,
    /// The inventory, or an upgrade that names it
    #[arg(value_hint = ValueHint::FilePath)]
    document: PathBuf,
    /// Only show the plan
    #[arg(long)]
    show: bool,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// How progress is told
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Output,
}

pub fn run(args: &RollbackArgs, global: &Global) -> Result<Exit, CommandError> {
    let given = Given::load(&args.document)?;
    let host = find(args, &given)?;
    if host.role == Role::Worker {
        return Err(refused(&[Refusal::Worker(host.node.clone())]));
    }
    let clock = RealClock::new();
    let runs = Runs::of(global)?;
    let again = format!(
        "{} rollback {} {}",
        runs.refit(),
        args.node,
        args.document.display()
    );
    let mut lock = runs.lock("refit rollback", clock.now())?;
    block_on(async {
        let connection = Connection::open(&given.inventory).await?;
        let seen = lease::look(&connection, &runs, &again).await?;
        let found = backups::look(connection.world(), &host.name)
            .await
            .map_err(|why| {
                CommandError::new("what there is to go back to is not known")
                    .detail(why)
                    .exits(Exit::Blocked)
                    .nothing_changed()
                    .next(format!("mend what it says, then `{again}`"))
            })?;
        let plan = rollback::plan(&rollback::Inputs {
            inventory: &given.inventory.name,
            declaration_sha256: &given.sha256(),
            node: &host.node,
            role: host.role,
            backups: &found,
        })
        .map_err(|refusals| refused(&refusals))?;
        let shown = table(&plan, ui::width(), &Look::TERMINAL);
        if args.show {
            connection.close().await;
            ui::data(&shown)?;
            return Ok(Exit::Done);
        }
        ui::say(&shown);
        if !confirm(&format!("Put these back on `{}`?", host.node), args.yes)? {
            connection.close().await;
            return Err(CommandError::new("not confirmed").nothing_changed());
        }
        let begun = Beginning {
            runs: &runs,
            lock: &mut lock,
            connection: &connection,
            inventory: &given.inventory,
            origin: given.origin(),
            facts: &found,
            plan: &plan,
            displaced: Vec::new(),
            claim: Claim::Seen(seen),
            again: &again,
        };
        let end = begun.go(args.output).await;
        connection.close().await;
        end.map(|(_, exit)| exit)
    })
}

fn find<'g>(args: &RollbackArgs, given: &'g Given) -> Result<&'g Host, CommandError> {
    let named = |host: &&Host| host.node.as_str() == args.node || host.name.as_str() == args.node;
    given.inventory.hosts.values().find(named).ok_or_else(|| {
        CommandError::new(format!(
            "the inventory `{}` has neither a host nor a node `{}`",
            given.inventory.name, args.node
        ))
        .exits(Exit::Usage)
        .nothing_changed()
    })
}

fn refused(refusals: &[Refusal]) -> CommandError {
    let error = CommandError::new("nothing is put back")
        .exits(Exit::Blocked)
        .nothing_changed();
    refusals
        .iter()
        .fold(error, |error, refusal| error.detail(refusal.to_string()))
}
