//! A working directory with documents, facts and runs, and the binary run in it.

use std::path::PathBuf;

use assert_cmd::Command;
use refit::adapters::disk::{AppendFile, Holder, Lock};
use refit::plan::data::Plan;
use refit::plan::file::sha256;
use refit::run::event::{Event, How, Stamped};
use refit::run::journal::{Journal, Past};

use crate::build;

pub const AT: &str = "2026-11-21T11:00:00Z";
pub const RUN: &str = "20261121-110000-abcd";

/// A working directory with documents and facts.
pub struct Desk(pub tempfile::TempDir);

impl Desk {
    pub fn new() -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        let hosts = |names: &[(&str, u8)]| {
            names
                .iter()
                .map(|(name, last)| format!("      - {{name: {name}, address: 127.0.0.{last}}}\n"))
                .collect::<String>()
        };
        desk.write(
            "inventory.yaml",
            &format!(
                "apiVersion: refit/v1alpha1\nkind: Inventory\nmetadata: {{name: test}}\n\
                 kubernetes: {{kubeconfig: ./kubeconfig}}\nssh: {{user: ops, port: 1}}\ngroups:\n\
                 \x20 control-plane:\n    role: control-plane\n    hosts:\n{}\
                 \x20 workers:\n    role: worker\n    hosts:\n{}",
                hosts(&[("cp1", 11), ("cp2", 12), ("cp3", 13)]),
                hosts(&[("w1", 21), ("w2", 22)]),
            ),
        );
        desk.write(
            "upgrade.yaml",
            "apiVersion: refit/v1alpha1\nkind: Upgrade\nmetadata: {name: to-1.35}\ninventory: inventory.yaml\ntarget: 1.35.4\n",
        );
        let facts = build::World::new(3, 2, "1.34.4", "1.35.4").facts;
        desk.write("facts.json", &serde_json::to_string_pretty(&facts).unwrap());
        desk
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub fn refit(&self, args: &[&str]) -> Ran {
        let output = Command::new(env!("CARGO_BIN_EXE_refit"))
            .current_dir(self.0.path())
            .env_remove("RUST_LOG")
            .env_remove("REFIT_STATE_DIR")
            .args(args)
            .output()
            .unwrap();
        Ran {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    pub fn plan(&self, more: &[&str]) -> Ran {
        let mut args = vec!["plan", "upgrade.yaml", "--facts", "facts.json", "--at", AT];
        args.extend(more);
        self.refit(&args)
    }

    /// A run as `apply` leaves it, with the events that `happened` makes of its plan.
    pub fn record(&self, happened: impl Fn(&Plan) -> Vec<Event>) {
        self.record_as(happened, |_| {});
    }

    /// As [`Self::record`], with what the plan's file holds altered before the run begins.
    pub fn record_as(
        &self,
        happened: impl Fn(&Plan) -> Vec<Event>,
        alter: impl Fn(&mut serde_json::Value),
    ) {
        let at_once = |plan: &Plan| happened(plan).into_iter().map(|event| (0, event)).collect();
        self.record_at(at_once, alter);
    }

    /// As [`Self::record_as`], with the seconds after the beginning at which each event happened.
    pub fn record_at(
        &self,
        happened: impl Fn(&Plan) -> Vec<(i64, Event)>,
        alter: impl Fn(&mut serde_json::Value),
    ) {
        let folder = self.path(".refit/runs").join(RUN);
        std::fs::create_dir_all(&folder).unwrap();
        let text = self.plan(&["-o", "json"]).out;
        let plan = Plan::from_json(&text).unwrap();
        let mut sealed: serde_json::Value = serde_json::from_str(&text).unwrap();
        let before = sealed.clone();
        alter(&mut sealed);
        // the file as it was written, unless it was to be altered: the digest is of its text
        let text = if sealed == before {
            text
        } else {
            sealed.to_string()
        };
        std::fs::write(folder.join("plan.json"), &text).unwrap();
        for name in ["inventory.yaml", "upgrade.yaml"] {
            std::fs::copy(self.path(name), folder.join(name)).unwrap();
        }
        let record = serde_json::json!({
            "format": "refit.run/v1",
            "made_at": AT,
            "upgrade": self.path("upgrade.yaml"),
            "inventory": self.path("inventory.yaml"),
            "working_directory": self.0.path(),
        });
        std::fs::write(folder.join("run.json"), record.to_string()).unwrap();
        let mut file = AppendFile::create(&folder.join("journal.jsonl")).unwrap();
        let mut journal = Journal::after(&Past::none(), &mut file);
        let begin = Event::RunStarted {
            run: RUN.to_owned(),
            plan_sha256: sha256(text.as_bytes()),
            refit: "0.1.0".to_owned(),
            pid: 4711,
        };
        for (second, event) in std::iter::once((0, begin)).chain(happened(&plan)) {
            let began: jiff::Timestamp = AT.parse().unwrap();
            let at = began + jiff::SignedDuration::from_secs(second);
            journal.append(&Stamped { at, event }).unwrap();
        }
    }

    pub fn journal(&self) -> PathBuf {
        self.path(".refit/runs").join(RUN).join("journal.jsonl")
    }

    /// Replaces the journal with one whose lines say what `text`'s say, chained anew.
    pub fn rewrite_journal(&self, text: &str) {
        let mut prev = "0".repeat(64);
        let mut chained = String::new();
        for line in text.lines() {
            let (line, _) = line.rsplit_once(",\"hash\":\"").unwrap();
            let (before, rest) = line.split_once("\"prev\":\"").unwrap();
            let line = format!("{before}\"prev\":\"{prev}{}", &rest[64..]);
            prev = sha256(format!("{line}}}").as_bytes());
            chained.push_str(&format!("{line},\"hash\":\"{prev}\"}}\n"));
        }
        std::fs::write(self.journal(), chained).unwrap();
    }

    pub fn hold_lock(&self, run: Option<&str>) -> Lock {
        std::fs::create_dir_all(self.path(".refit")).unwrap();
        let holder = Holder {
            pid: 4711,
            machine: "bastion".to_owned(),
            since: AT.parse().unwrap(),
            command: "refit apply".to_owned(),
            run: run.map(str::to_owned),
        };
        Lock::take(&self.path(".refit/lock"), holder).unwrap()
    }
}

#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    #[track_caller]
    pub fn ends(self, code: i32, says: &[&str]) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        for text in says {
            assert!(
                self.out.contains(text) || self.err.contains(text),
                "`{text}` is missing: {self:#?}"
            );
        }
        self
    }
}

pub fn started(plan: &Plan, at: usize) -> Event {
    Event::StepStarted {
        step: plan.steps[at].id.clone(),
        attempt: 1,
    }
}

pub fn done(plan: &Plan, at: usize) -> Event {
    Event::StepDone {
        step: plan.steps[at].id.clone(),
        how: How::Acted,
        note: None,
        took_ms: 1200,
    }
}

/// The first step is done, the second one was under way when the process was killed.
pub fn cut_off(plan: &Plan) -> Vec<Event> {
    let waiting = Event::StepWaiting {
        step: plan.steps[1].id.clone(),
        on: "shop/web-w1 (budget web)".to_owned(),
    };
    vec![started(plan, 0), done(plan, 0), started(plan, 1), waiting]
}

pub fn all_done(plan: &Plan) -> Vec<Event> {
    let mut events = Vec::new();
    for at in 0..plan.steps.len() {
        events.push(started(plan, at));
        events.push(done(plan, at));
    }
    events.push(Event::Finished {
        own_ms: 10,
        wall_ms: 1000,
    });
    events
}
