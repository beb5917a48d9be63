//! How a command ends, as scripts see it.

use std::process::ExitCode;

/// The meaning of refit's exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done, or there was nothing to do.
    Done,
    /// An error.
    Error,
    /// `plan --detailed-exitcode`: there is something to do; `diff --detailed-exitcode`: the plans differ.
    Changes,
    /// The plan is blocked, or is not for the cluster as it is now. Nothing was changed.
    Blocked,
    /// The run stopped before its end; `refit resume` goes on.
    Halted,
    /// No window is open, or what is left of it is too short. What was begun is finished; the rest is for the next window.
    OutsideWindow,
    /// The command line makes no sense.
    Usage,
}

/// For `--help`.
pub const HELP: &str = "\
Exit codes:
  0   done, or nothing to do
  1   an error
  2   `plan --detailed-exitcode`: there are steps to do; `diff --detailed-exitcode`: the plans differ
  3   blocked: there is no plan, or the given one does not fit the cluster any more; nothing was changed
  4   halted or paused: the run stopped before its end; `refit resume` goes on
  5   no window is open, or the window is over: nothing is half done, and `refit resume` goes on in the next one
  64  usage";

impl Exit {
    /// As a number.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Error => 1,
            Self::Changes => 2,
            Self::Blocked => 3,
            Self::Halted => 4,
            Self::OutsideWindow => 5,
            Self::Usage => 64,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
