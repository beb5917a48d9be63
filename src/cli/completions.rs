//! `refit completions`: for shells.

use clap::Args;
use clap_complete::Shell;

use super::{CommandError, Exit, ui};

/// Print a shell's completions
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  refit completions bash > /etc/bash_completion.d/refit
  refit completions zsh > \"${fpath[1]}/_refit\"")]
pub struct CompletionsArgs {
    /// Which shell
    shell: Shell,
}

pub fn run(args: &CompletionsArgs, command: &mut clap::Command) -> Result<Exit, CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, command, "refit", &mut script);
    ui::data(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
