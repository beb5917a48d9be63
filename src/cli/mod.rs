//! The commands, one file each; the only place that wires adapters to the rest.
//!
//! Data goes to stdout and progress to stderr. A command returns how it ended ([`Exit`]) or what went wrong
//! ([`CommandError`]), which is put in words in one place: what happened, why, what state things are in, which command
//! comes next.

mod abandon;
mod apply;
mod approve;
mod artifacts;
mod begin;
mod carry_out;
mod completions;
mod connect;
mod demo;
mod diff;
mod error;
mod exit;
mod gates;
mod inputs;
mod inspect;
mod journal;
mod lease;
mod left_hooks;
mod login;
mod pause;
mod plan;
mod rehearse;
mod restore;
mod resume;
mod rollback;
mod runs;
mod schema;
mod snapshot;
mod status;
mod ui;
mod validate;
mod verify;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand, ValueEnum};

pub use error::CommandError;
pub use exit::Exit;

use crate::adapters::disk;

/// Declarative upgrades for kubeadm clusters
///
/// An inventory says how to reach the hosts, an upgrade what the cluster should become. `plan` shows every step and why;
/// `apply` carries out exactly these, over SSH and the Kubernetes API, and `resume` goes on after whatever stopped it.
#[derive(Debug, Parser)]
#[command(name = "refit", version, after_help = exit::HELP, max_term_width = 110)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, clap::Args)]
struct Global {
    /// Where runs, their journals and the lock are kept
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        default_value = STATE_DIR,
        env = "REFIT_STATE_DIR"
    )]
    state_dir: PathBuf,
    /// Say more on stderr; twice for everything. RUST_LOG is honoured
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// When to use colours
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    color: Color,
}

/// Where runs are kept unless the operator says otherwise.
const STATE_DIR: &str = ".refit";

impl Global {
    /// How the next command must begin to find the same runs: `refit`, with `--state-dir` where another one was named.
    fn refit(&self) -> String {
        if self.state_dir == Path::new(STATE_DIR) {
            return "refit".to_owned();
        }
        let directory = self.state_dir.to_string_lossy();
        let plain = |c: char| c.is_alphanumeric() || "/._-+~".contains(c);
        if directory.chars().all(plain) {
            format!("refit --state-dir {directory}")
        } else {
            format!("refit --state-dir '{}'", directory.replace('\'', r"'\''"))
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::DemoArgs),
    Validate(validate::ValidateArgs),
    Inspect(inspect::InspectArgs),
    Plan(plan::PlanArgs),
    Diff(diff::DiffArgs),
    Verify(verify::VerifyArgs),
    Rehearse(rehearse::RehearseArgs),
    Artifacts(artifacts::ArtifactsArgs),
    Apply(apply::ApplyArgs),
    Resume(resume::ResumeArgs),
    Approve(approve::ApproveArgs),
    Pause(pause::PauseArgs),
    Abandon(abandon::AbandonArgs),
    Status(status::StatusArgs),
    Snapshot(snapshot::SnapshotArgs),
    Restore(restore::RestoreArgs),
    Rollback(rollback::RollbackArgs),
    Journal(journal::JournalArgs),
    Schema(schema::SchemaArgs),
    Completions(completions::CompletionsArgs),
}

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> ExitCode {
    run(std::env::args_os()).into()
}

/// Runs a command line and says how it ended.
pub fn run(args: impl IntoIterator<Item = OsString>) -> Exit {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // nobody is left to tell when this fails
            let _ = error.print();
            return if error.use_stderr() {
                Exit::Usage
            } else {
                Exit::Done
            };
        }
    };
    ui::begin(cli.global.color, cli.global.verbose);
    let result = match &cli.command {
        Command::Demo(args) => demo::run(args, &cli.global),
        Command::Validate(args) => validate::run(args),
        Command::Inspect(args) => inspect::run(args, &cli.global),
        Command::Plan(args) => plan::run(args, &cli.global),
        Command::Diff(args) => diff::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Rehearse(args) => rehearse::run(args, &cli.global),
        Command::Artifacts(args) => artifacts::run(args),
        Command::Apply(args) => apply::run(args, &cli.global),
        Command::Resume(args) => resume::run(args, &cli.global),
        Command::Approve(args) => approve::run(args, &cli.global),
        Command::Pause(args) => pause::run(args, &cli.global),
        Command::Abandon(args) => abandon::run(args, &cli.global),
        Command::Status(args) => status::run(args, &cli.global),
        Command::Restore(args) => restore::run(args, &cli.global),
        Command::Rollback(args) => rollback::run(args, &cli.global),
        Command::Snapshot(args) => snapshot::run(args, &cli.global),
        Command::Journal(args) => journal::run(args, &cli.global),
        Command::Schema(args) => schema::run(args),
        Command::Completions(args) => completions::run(args, &mut Cli::command()),
    };
    match result {
        Ok(exit) => exit,
        Err(error) => {
            ui::say(&error.render());
            error.exit()
        }
    }
}

/// Who gives this command, for people.
fn operator() -> String {
    let user = std::env::var("USER").unwrap_or_else(|_| "someone".to_owned());
    format!("{user}@{}", disk::machine())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
