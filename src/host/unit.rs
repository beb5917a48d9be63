//! Mutations as systemd knows them: one fixed transient unit per host, with an outcome that outlives everything.
//!
//! Every mutation of a host runs in the unit `refit-op`, so that two can never run at once, and so that one goes on when
//! refit or the connection ends. What it is to run is written to files first, and the unit is given file names only: no
//! value passes through systemd, which would expand it. Its end is recorded on disk before anyone is told:
//!
//! ```text
//! /var/lib/refit/             0700, root
//!   log                       one line per start and end: time, event, run, step, what
//!   current                   the operation that the unit was last started for
//!   lock                      held while it runs; whoever waits for the end waits for this
//!   token                     the highest that a refit has shown: nothing is started for a lower one
//!   runs/RUN/STEP.argv        the command;  .log: its output;  .started: the boot it began in
//!   runs/RUN/STEP.outcome     exit status, milliseconds, boot, time
//! ```
//!
//! An operation that ended is never run again under its name: its recorded end is the answer. An operation that began,
//! has no outcome and does not run is lost (the host was cut off); starting it again is the caller's decision. Nothing
//! here is ever removed: a run leaves some tens of kilobytes.

use std::time::Duration;

use super::command::{PRELUDE, shorten};
use super::op::{AnswerError, Command, OpEnd, OpRef, OpState, Output};
use super::parse::Sections;

/// How the host's token is read and written.
const TOKEN: &str = include_str!("scripts/token.sh");

/// The unit's name.
pub const UNIT: &str = "refit-op.service";

/// What the host answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// How the operation stands.
    State(OpState),
    /// Not started: another operation is under way, of this run and step.
    Busy(String),
    /// Not started: the host was told this higher token.
    Overtaken(u64),
}

/// Starts the operation unless it has begun already, and waits for its end for at most `wait`.
#[must_use]
pub fn start(op: &OpRef, command: &Command, token: u64, wait: Duration) -> Command {
    let mut parameters = vec![
        token.to_string(),
        shorten(&command.argv),
        include_str!("scripts/unit-runner.sh").to_owned(),
    ];
    parameters.extend(command.argv.iter().cloned());
    unit("start", op, wait, parameters)
}

/// Tells the host a token. Answered by the highest that it knows: see [`read_token`].
#[must_use]
pub fn fence(token: u64) -> Command {
    let script = format!("{PRELUDE}{TOKEN}{}", include_str!("scripts/fence.sh"));
    Command {
        argv: ["sh", "-c", &script, "refit-fence", &token.to_string()]
            .map(str::to_owned)
            .into(),
        stdin: Vec::new(),
        root: true,
    }
}

/// Waits for the end of the operation for at most `wait`; starts nothing.
#[must_use]
pub fn wait(op: &OpRef, wait: Duration) -> Command {
    unit("wait", op, wait, Vec::new())
}

/// Asks how the operation stands.
#[must_use]
pub fn state(op: &OpRef) -> Command {
    unit("state", op, Duration::ZERO, Vec::new())
}

fn unit(mode: &str, op: &OpRef, wait: Duration, parameters: Vec<String>) -> Command {
    let mut argv = vec![
        "sh".to_owned(),
        "-c".to_owned(),
        format!("{PRELUDE}{TOKEN}{}", include_str!("scripts/unit.sh")),
        "refit-unit".to_owned(),
        mode.to_owned(),
        one_line(&op.run),
        one_line(&op.op),
        slug(&op.run),
        slug(&op.op),
        wait.as_secs().to_string(),
    ];
    argv.extend(parameters);
    Command {
        argv,
        stdin: Vec::new(),
        root: true,
    }
}

/// The file on the host that has all of what the operation printed.
#[must_use]
pub fn log_file(op: &OpRef) -> String {
    format!("/var/lib/refit/runs/{}/{}.log", slug(&op.run), slug(&op.op))
}

/// For the tab-separated log.
fn one_line(text: &str) -> String {
    text.replace(|c: char| c.is_control(), " ")
}

/// A file name for a run or a step: different texts get different names, of letters, digits and `. _ - =` only.
#[must_use]
pub fn slug(text: &str) -> String {
    let mut name = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => name.push(char::from(byte)),
            b'.' if !name.is_empty() => name.push('.'),
            _ => name.push_str(&format!("={byte:02x}")),
        }
    }
    // a file name has room for 255 bytes, endings included
    if name.len() > 200 {
        let digest = super::judge::sha256(text.as_bytes());
        name.truncate(120);
        name.push('=');
        name.push_str(&digest);
    }
    name
}

/// Reads what [`start`], [`wait`] and [`state`] print.
///
/// # Errors
/// If it is not the answer expected; then it is not known how the operation stands.
pub fn read(output: &Output) -> Result<Answer, AnswerError> {
    let sections = Sections::read("refit-op", output)?;
    Ok(Answer::State(match sections.text("state")? {
        "absent" => OpState::Absent,
        "running" => OpState::Running,
        "lost" => OpState::Lost,
        "ended" => {
            let outcome = sections.text("outcome")?;
            let fields: Vec<&str> = outcome.split('\t').collect();
            let end = match fields.as_slice() {
                [status, took, _boot, _time] => status.parse().ok().zip(took.parse().ok()),
                _ => None,
            };
            let (status, took_ms) =
                end.ok_or_else(|| sections.wrong(format!("`{outcome}` is no outcome")))?;
            OpState::Ended(OpEnd {
                status,
                output: sections.text("output")?.to_owned(),
                took_ms,
            })
        }
        "busy" => return Ok(Answer::Busy(sections.text("other")?.to_owned())),
        "overtaken" => return Ok(Answer::Overtaken(token(&sections)?)),
        other => return Err(sections.wrong(format!("`{other}` is no state"))),
    }))
}

/// Reads what [`fence`] prints: the highest token that the host knows.
///
/// # Errors
/// If it is not the answer expected; then the host may know it or not.
pub fn read_token(output: &Output) -> Result<u64, AnswerError> {
    token(&Sections::read("refit-fence", output)?)
}

fn token(sections: &Sections<'_>) -> Result<u64, AnswerError> {
    let text = sections.text("token")?;
    text.parse()
        .map_err(|_| sections.wrong(format!("`{text}` is no token")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::parse::testing::answer;
    use super::*;

    fn op() -> OpRef {
        OpRef {
            run: "20261121-1".to_owned(),
            op: "w3/install-kubelet@1.35.4".to_owned(),
        }
    }

    #[test]
    fn file_names_are_safe_and_never_meet() {
        assert_eq!(slug(&op().op), "w3=2finstall-kubelet=401.35.4");
        assert_eq!(slug("../x"), "=2e.=2fx");
        assert_ne!(slug("a=2fb"), slug("a/b"));
        let (long, other) = ("x".repeat(300), format!("{}y", "x".repeat(299)));
        assert!(slug(&long).len() < 200 && slug(&long) != slug(&other));
        for hostile in ["$HOME %h `id` \"'", "\n\t", "ä", ""] {
            assert!(
                slug(hostile)
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"._-=".contains(&b))
            );
        }
    }

    #[test]
    fn the_command_goes_as_arguments_and_the_log_gets_one_line() {
        let command = Command {
            argv: vec![
                "rm".to_owned(),
                "-f".to_owned(),
                "--".to_owned(),
                "$(x)\n'".to_owned(),
            ],
            stdin: vec![],
            root: true,
        };
        let argv = start(&op(), &command, 1, Duration::from_secs(20)).argv;
        assert_eq!(
            argv[4..10],
            [
                "start",
                "20261121-1",
                "w3/install-kubelet@1.35.4",
                "20261121-1",
                "w3=2finstall-kubelet=401.35.4",
                "20"
            ]
        );
        assert_eq!(
            (argv[10].as_str(), argv[11].as_str()),
            ("1", "rm -f -- $(x)…")
        );
        assert_eq!(argv[13..], command.argv);
        assert_eq!(wait(&op(), Duration::from_secs(5)).argv[4], "wait");
    }

    #[test]
    fn answers_are_read() {
        let ended = [
            ("state", 0, "ended"),
            ("outcome", 0, "1\t4210\tboot\t2026-11-21T12:00:00.000Z\n"),
            ("output", 0, "E: no\n"),
        ];
        assert_eq!(
            read(&answer(&ended)),
            Ok(Answer::State(OpState::Ended(OpEnd {
                status: 1,
                output: "E: no".to_owned(),
                took_ms: 4210
            })))
        );
        assert_eq!(
            read(&answer(&[("state", 0, "lost")])),
            Ok(Answer::State(OpState::Lost))
        );
        let busy = [("state", 0, "busy"), ("other", 0, "run w1/x")];
        assert_eq!(
            read(&answer(&busy)),
            Ok(Answer::Busy("run w1/x".to_owned()))
        );
        for wrong in [
            vec![
                ("state", 0, "ended"),
                ("outcome", 0, "1"),
                ("output", 0, ""),
            ],
            vec![("state", 0, "?")],
            vec![],
        ] {
            assert!(read(&answer(&wrong)).is_err());
        }
    }
}
