//! What went wrong, in the words of whoever has to act: what happened, why, what state things are in, what to run next.

use std::error::Error;
use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use super::Exit;

const NOTHING_CHANGED: &str = "nothing was changed";

/// A command's failure.
#[derive(Debug)]
pub struct CommandError {
    exit: Exit,
    what: String,
    details: Vec<String>,
    state: Option<String>,
    next: Vec<String>,
    /// `what` says everything.
    worded: bool,
}

impl CommandError {
    /// An error.
    pub fn new(what: impl Into<String>) -> Self {
        Self {
            exit: Exit::Error,
            what: what.into(),
            details: Vec::new(),
            state: None,
            next: Vec::new(),
            worded: false,
        }
    }

    /// Documents' errors, which are text already and say everything.
    pub fn documents(rendered: &str) -> Self {
        Self {
            worded: true,
            ..Self::new(rendered.trim_end())
        }
    }

    /// With its causes, each in a line.
    #[must_use]
    pub fn because(mut self, error: &(dyn Error + 'static)) -> Self {
        let mut cause = Some(error);
        while let Some(error) = cause {
            let text = error.to_string();
            // some libraries repeat their cause in their own text
            if !self.what.contains(&text) && !self.details.iter().any(|line| line.contains(&text)) {
                self.details.push(text);
            }
            cause = error.source();
        }
        self
    }

    /// With a line of detail.
    #[must_use]
    pub fn detail(mut self, line: impl Into<String>) -> Self {
        self.details.push(line.into());
        self
    }

    /// Ends with this code.
    #[must_use]
    pub const fn exits(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// What state things are in.
    #[must_use]
    pub fn state(mut self, state: impl Into<String>) -> Self {
        self.state = Some(state.into());
        self
    }

    /// The cluster and its hosts are as they were.
    #[must_use]
    pub fn nothing_changed(self) -> Self {
        self.state(NOTHING_CHANGED)
    }

    /// What to do next; may be said several times.
    #[must_use]
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next.push(next.into());
        self
    }

    /// How the process ends.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        self.exit
    }

    /// For stderr.
    #[must_use]
    pub fn render(&self) -> String {
        let label = match self.exit {
            Exit::Done | Exit::Error | Exit::Changes | Exit::Usage => "error",
            Exit::Blocked => "blocked",
            Exit::Halted => "halted",
            Exit::OutsideWindow => "stopped",
        };
        let red = AnsiColor::Red.on_default().bold();
        let bold = Style::new().bold();
        let mut text = if self.worded {
            format!("{}\n", self.what)
        } else {
            format!("{red}{label}{red:#}: {}\n", self.what)
        };
        for line in self.details.iter().flat_map(|detail| detail.lines()) {
            let _ = writeln!(text, "  {line}");
        }
        if let Some(state) = &self.state {
            let _ = writeln!(text, "{bold}state{bold:#}: {state}");
        }
        for next in &self.next {
            let _ = writeln!(text, "{bold}next{bold:#}:  {next}");
        }
        text
    }
}
