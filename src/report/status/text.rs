//! The status in words.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use jiff::Timestamp;

use super::{Doing, NodeStatus, RunStatus};
use crate::cluster::model::{NodeName, OUTDATED};
use crate::plan::data::StepId;
use crate::plan::purpose::Purpose;
use crate::report::words::{ago, clock, duration, took};

impl RunStatus {
    /// For people; `now` for how long things have taken.
    #[must_use]
    pub fn render(&self, now: Timestamp) -> String {
        let bold = Style::new().bold();
        let red = AnsiColor::Red.on_default();
        let mut text = String::new();
        let _ = writeln!(text, "{bold}run {}{bold:#}: {}", self.run, self.what());
        let _ = write!(text, "{bold}{}{bold:#}", self.doing.words());
        if let Some(process) = &self.process {
            let _ = write!(text, " (process {} on {})", process.pid, process.machine);
        }
        if let Some(phase) = self.phase {
            let _ = write!(text, ", phase: {}", phase.words());
        }
        let _ = writeln!(
            text,
            "\n{} of {} steps done",
            self.steps.done, self.steps.total
        );
        if let (Some(started), Some(last)) = (self.started_at, self.last_at) {
            let _ = writeln!(
                text,
                "began {} ({}), last event {} ({})",
                clock(started),
                ago(started, now),
                clock(last),
                ago(last, now)
            );
        }
        if let Some(line) = self.time() {
            let _ = writeln!(text, "{line}");
        }
        if !self.failed.is_empty() {
            let _ = writeln!(text, "\n{bold}failed{bold:#}");
            for failed in &self.failed {
                let _ = writeln!(
                    text,
                    "  {red}{}{red:#} at {}: {}",
                    failed.step,
                    clock(failed.at),
                    indent(&failed.error)
                );
            }
        }
        if !self.running.is_empty() {
            let heading = if self.process.is_some() {
                "running"
            } else if self.doing == Doing::Unapproved {
                "waiting"
            } else if self.doing == Doing::Abandoned {
                "started, and no outcome was found before the run was abandoned"
            } else {
                "started, outcome unknown: resume looks before it does anything"
            };
            let _ = writeln!(text, "\n{bold}{heading}{bold:#}");
            for running in &self.running {
                let _ = write!(
                    text,
                    "  {} since {} ({})",
                    running.step,
                    clock(running.since),
                    duration(now.duration_since(running.since).as_secs())
                );
                if running.attempt > 1 {
                    let _ = write!(text, ", try {}", running.attempt);
                }
                if let Some(on) = &running.waiting_on {
                    let _ = write!(text, ", waiting on {}", indent(on));
                }
                text.push('\n');
            }
        }
        if !self.deferred.is_empty() {
            let _ = writeln!(
                text,
                "\n{bold}put off to the end of their hop{bold:#}: the next one does not begin while one is left"
            );
            for node in &self.deferred {
                let _ = writeln!(
                    text,
                    "  {} at {}, tried again before {}: {}",
                    node.step,
                    clock(node.at),
                    node.until,
                    indent(&node.error)
                );
            }
        }
        if self.doing != Doing::Running && !self.tainted.is_empty() {
            let names: Vec<&str> = self.tainted.iter().map(NodeName::as_str).collect();
            let _ = writeln!(
                text,
                "\n{bold}stays{bold:#}: {OUTDATED} on {}; it keeps no pod out, and goes when the run goes on or is abandoned",
                names.join(", ")
            );
        }
        if !self.stays.is_empty() {
            let _ = writeln!(text, "\n{bold}stays{bold:#}, as it could not be taken off:");
            for what in &self.stays {
                let _ = writeln!(text, "  {}", indent(what));
            }
        }
        if !self.nodes.is_empty() {
            let _ = writeln!(text, "\n{bold}nodes{bold:#}");
            let width = self.nodes.iter().map(|node| node.node.as_str().len()).max();
            for node in &self.nodes {
                let _ = writeln!(
                    text,
                    "  {:width$}  {:>2}/{:<2} {}",
                    node.node,
                    node.steps.done,
                    node.steps.total,
                    node.words(
                        self.process.is_some(),
                        self.deferred.iter().any(|off| off.node == node.node)
                    ),
                    width = width.unwrap_or_default(),
                );
            }
        }
        let _ = writeln!(text, "\n{bold}next{bold:#}: {}", self.next);
        text
    }

    fn what(&self) -> String {
        let (name, inventory) = (&self.upgrade, &self.inventory);
        match self.purpose {
            Purpose::Upgrade => format!("upgrade `{name}` of `{inventory}` to {}", self.target),
            Purpose::Snapshot => format!("a snapshot of `{inventory}`"),
            Purpose::Restore => format!("{name}, for `{inventory}`"),
            Purpose::Rollback => format!(
                "a control plane of `{inventory}` goes back to {}",
                self.target
            ),
        }
    }

    /// How long it took or has taken, with the processes that carried it out where they were several.
    fn time(&self) -> Option<String> {
        let several = || {
            format!(
                "{} of it at work, in {} sittings",
                took(self.worked_ms),
                self.sittings
            )
        };
        match self.doing {
            Doing::Finished => match self.sittings {
                0 => None,
                1 => Some(format!("took {}", took(self.elapsed_ms))),
                _ => Some(format!("took {}, {}", took(self.elapsed_ms), several())),
            },
            Doing::Running
            | Doing::Halted
            | Doing::Interrupted
            | Doing::Paused
            | Doing::Abandoned
            | Doing::Unapproved
            | Doing::OutsideWindow
            | Doing::Overtaken
            | Doing::CutOff
            | Doing::PutAside => (self.sittings > 1)
                .then(|| format!("so far {}, {}", took(self.elapsed_ms), several())),
        }
    }

    /// For programs.
    ///
    /// # Errors
    /// Never in practice.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self).map(|text| text + "\n")
    }
}

impl NodeStatus {
    fn words(&self, alive: bool, put_off: bool) -> String {
        let list = |steps: &[StepId]| {
            let steps: Vec<_> = steps.iter().map(StepId::as_str).collect();
            steps.join(", ")
        };
        let mut words = if !self.failed.is_empty() {
            format!("failed: {}", list(&self.failed))
        } else if !self.running.is_empty() {
            let what = if alive { "running" } else { "outcome unknown" };
            format!("{what}: {}", list(&self.running))
        } else if self.steps.done == self.steps.total {
            "done".to_owned()
        } else if self.steps.done == 0 {
            "not begun".to_owned()
        } else if put_off {
            "put off".to_owned()
        } else {
            "waits for its turn".to_owned()
        };
        if self.cordoned {
            words.push_str(", cordoned by this run");
        }
        words
    }
}

fn indent(text: &str) -> String {
    text.trim_end().replace('\n', "\n      ")
}
