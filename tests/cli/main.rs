//! The binary as its users meet it: help, usage, plans from recorded facts, runs on disk, and bad luck.
#![allow(clippy::unwrap_used, clippy::panic)]

mod approve;
#[path = "../pure/build.rs"]
#[allow(dead_code)]
mod build;
mod dead_hosts;
mod demo;
mod desk;
mod examples;
mod journal;
mod learned;
mod leaving;
mod rehearse;
mod restore;
mod review;
mod stored;
mod times;
mod verify;
mod windows;
mod words;

use std::io::{Read as _, Write as _};
use std::path::Path;

use desk::{Desk, RUN, all_done, cut_off, done, started};
use refit::plan::data::Plan;
use refit::run::event::{Event, Halt, How};

#[test]
fn help_says_how_each_command_is_used() {
    let desk = Desk::new();
    desk.refit(&["--help"])
        .ends(0, &["Exit codes:", "apply", "resume", "status"]);
    for command in [
        "validate",
        "inspect",
        "plan",
        "diff",
        "verify",
        "rehearse",
        "artifacts",
        "apply",
        "resume",
        "approve",
        "status",
        "snapshot",
        "restore",
        "rollback",
        "journal",
        "schema",
        "completions",
    ] {
        let ran = desk.refit(&[command, "--help"]).ends(0, &["Examples:"]);
        assert!(ran.err.is_empty(), "{ran:#?}");
    }
}

#[test]
fn a_senseless_command_line_ends_with_64() {
    let desk = Desk::new();
    for args in [
        &["plan", "upgrade.yaml", "--no-such-flag"][..],
        &["no-such-command"],
        &["plan"],
        &[],
        &["plan", "upgrade.yaml", "--at", "tomorrow"],
    ] {
        let ran = desk.refit(args);
        assert_eq!(ran.code, 64, "{args:?}: {ran:#?}");
        assert!(ran.out.is_empty(), "{ran:#?}");
    }
}

#[test]
fn completions_and_schemas_are_data() {
    let desk = Desk::new();
    for shell in ["bash", "zsh", "fish"] {
        desk.refit(&["completions", shell])
            .ends(0, &["refit", "resume"]);
    }
    for document in ["inventory", "upgrade"] {
        let ran = desk.refit(&["schema", document]).ends(0, &[]);
        let schema: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        assert!(schema["properties"]["metadata"].is_object());
    }
}

#[test]
fn documents_are_validated_offline() {
    let desk = Desk::new();
    desk.refit(&["validate", "upgrade.yaml", "inventory.yaml"])
        .ends(0, &["of 5 hosts"]);
    desk.write("clear.yaml", "apiVersion: refit/v1alpha1\nkind: Upgrade\nmetadata: {name: x}\ninventory: inventory.yaml\ntarget: 1.35.4\n\
        gates: [{name: e, at: after-hop, prometheus: {url: 'http://prom.example.org', query: up, expect: '== 1', tokenFrom: {env: T}}}]\n");
    desk.refit(&["validate", "clear.yaml"]).ends(
        0,
        &["gate `e` sends its token to prom.example.org without encryption"],
    );
    desk.write("bad.yaml", "apiVersion: refit/v1alpha1\nkind: Upgrade\nmetadata: {name: x}\ninventory: inventory.yaml\ntarget: soon\nstrateggy: {}\n");
    let ran = desk
        .refit(&["validate", "bad.yaml"])
        .ends(1, &["bad.yaml:5", "strateggy"]);
    assert!(
        ran.out.is_empty() && !ran.err.contains('\u{1b}'),
        "{ran:#?}"
    );
    desk.refit(&["--color", "always", "validate", "bad.yaml"])
        .ends(1, &["\u{1b}["]);
    desk.refit(&["validate", "none.yaml"])
        .ends(1, &["none.yaml", "cannot be read"]);
}

#[test]
fn a_plan_from_recorded_facts_needs_nothing_else_and_is_the_same_each_time() {
    let desk = Desk::new();
    let first = desk
        .plan(&[])
        .ends(0, &["kubeadm upgrade apply v1.35.4", "w2/drain@1.35.4"]);
    assert_eq!(first.out, desk.plan(&[]).out);
    desk.plan(&["--detailed-exitcode"]).ends(2, &[]);
    let json = desk
        .plan(&["-o", "json", "--out", "plan.json"])
        .ends(0, &[])
        .out;
    assert_eq!(
        json,
        std::fs::read_to_string(desk.path("plan.json")).unwrap()
    );
    Plan::from_json(&json).unwrap();
    assert!(
        !desk.path(".refit").exists(),
        "a plan leaves nothing behind"
    );
}

#[test]
fn facts_that_cannot_be_used_are_refused() {
    let desk = Desk::new();
    desk.refit(&[
        "plan",
        "upgrade.yaml",
        "--facts",
        "facts.json",
        "--at",
        "2026-12-24T00:00:00Z",
    ])
    .ends(3, &["facts-too-old", "refit inspect"]);
    let text = std::fs::read_to_string(desk.path("facts.json")).unwrap();
    desk.write(
        "facts.json",
        &text.replace("refit.facts/v1", "refit.facts/v9"),
    );
    desk.plan(&[])
        .ends(1, &["refit.facts/v9", "refit.facts/v1", "refit inspect"]);
    desk.write("facts.json", &text[..text.len() / 2]);
    desk.plan(&[]).ends(1, &["facts.json does not hold facts"]);
    desk.refit(&["plan", "upgrade.yaml", "--facts", "none.json"])
        .ends(1, &["none.json cannot be read"]);
}

#[test]
fn a_target_that_cannot_be_reached_blocks_with_every_reason() {
    let desk = Desk::new();
    for target in ["1.36.3", "1.33.9"] {
        let text = std::fs::read_to_string(desk.path("upgrade.yaml")).unwrap();
        desk.write("upgrade.yaml", &text.replace("1.35.4", target));
        desk.plan(&["--out", "plan.json"])
            .ends(3, &["blocked", "next:", "nothing was changed"]);
        let json = desk.plan(&["-o", "json"]).ends(3, &[]).out;
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert!(!json["blocked"].as_array().unwrap().is_empty());
        assert!(!desk.path("plan.json").exists());
        desk.write("upgrade.yaml", &text);
    }
}

#[test]
fn status_tells_where_a_run_stands_from_the_disk_alone() {
    let desk = Desk::new();
    desk.refit(&["status"])
        .ends(1, &["there is no run", "refit apply"]);
    desk.record(cut_off);
    let ran = desk.refit(&["status"]).ends(
        0,
        &[
            RUN,
            "cut off",
            "1 of ",
            "outcome unknown",
            "shop/web-w1",
            "refit resume",
        ],
    );
    assert!(ran.err.is_empty(), "{ran:#?}");
    let json = desk.refit(&["status", RUN, "-o", "json"]).ends(0, &[]).out;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["doing"], "cut-off");
    assert_eq!(json["phase"], "preflight");
    assert_eq!(json["steps"]["done"], 1);
    assert_eq!(json["nodes"].as_array().unwrap().len(), 5);
    assert_eq!(json["running"].as_array().unwrap().len(), 1);

    let lock = desk.hold_lock(Some(RUN));
    desk.refit(&["status"])
        .ends(0, &["running (process 4711 on bastion)"]);
    drop(lock);
    desk.refit(&["status", "r9"])
        .ends(1, &["there is no run `r9`", RUN]);
}

#[test]
fn status_tells_whose_cordon_it_is() {
    let desk = Desk::new();
    let at = |plan: &Plan, id: &str| {
        plan.steps
            .iter()
            .position(|step| step.id.as_str() == id)
            .unwrap()
    };
    desk.record(|plan| {
        let mut events = Vec::new();
        for (id, note) in [
            ("cp1/cordon@1.35.4", None),
            (
                "w1/cordon@1.35.4",
                Some("cordoned by someone else; stays so"),
            ),
        ] {
            let step = at(plan, id);
            events.push(started(plan, step));
            let Event::StepDone { step, .. } = done(plan, step) else {
                panic!("not done");
            };
            events.push(Event::StepDone {
                step,
                how: How::Already,
                note: note.map(str::to_owned),
                took_ms: 5,
            });
        }
        events
    });
    let json = desk.refit(&["status", "-o", "json"]).ends(0, &[]).out;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let cordoned: Vec<&str> = json["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|node| node["cordoned"] == true)
        .map(|node| node["node"].as_str().unwrap())
        .collect();
    assert_eq!(cordoned, ["cp1"]);
}

#[test]
fn a_halted_run_says_why_and_a_finished_one_has_nothing_left() {
    let desk = Desk::new();
    desk.record(|plan| {
        let step = plan.steps[0].id.clone();
        let failed = Event::StepFailed {
            step: step.clone(),
            error: "disk full".to_owned(),
        };
        let halted = Event::Halted {
            why: Halt::Failed { steps: vec![step] },
            own_ms: 1,
            wall_ms: 1,
        };
        vec![started(plan, 0), failed, halted]
    });
    desk.refit(&["status"]).ends(
        0,
        &["halted: a step failed", "disk full", "remove the cause"],
    );

    let desk = Desk::new();
    desk.record(all_done);
    desk.refit(&["status"]).ends(0, &["finished"]);
    desk.refit(&["resume"]).ends(0, &["nothing is left to do"]);
}

#[test]
fn a_journal_whose_last_line_was_cut_is_gone_on_with() {
    let desk = Desk::new();
    desk.record(cut_off);
    let text = std::fs::read(desk.journal()).unwrap();
    std::fs::write(desk.journal(), &text[..text.len() - 10]).unwrap();
    desk.refit(&["status"]).ends(0, &["1 of "]);
    // as far as the kubeconfig, which is not there
    desk.refit(&["resume", "--yes"]).ends(
        1,
        &[
            "cut off in the middle",
            "cannot read kubeconfig",
            "nothing was changed",
        ],
    );
}

#[test]
fn a_journal_with_a_changed_byte_is_refused() {
    let desk = Desk::new();
    desk.record(cut_off);
    let text = std::fs::read_to_string(desk.journal()).unwrap();
    std::fs::write(desk.journal(), text.replacen("1200", "1201", 1)).unwrap();
    for command in [
        &["status"][..],
        &["resume", "--yes"],
        &["apply", "upgrade.yaml", "--yes"],
    ] {
        desk.refit(command)
            .ends(1, &["line 3 of the journal is damaged", "refit inspect"]);
    }
}

#[test]
fn a_plan_that_is_not_the_runs_own_is_refused() {
    let desk = Desk::new();
    desk.record(cut_off);
    let path = desk.path(".refit/runs").join(RUN).join("plan.json");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(
        &path,
        text.replacen("\"timeout_s\": ", "\"timeout_s\": 9", 1),
    )
    .unwrap();
    desk.refit(&["resume", "--yes"]).ends(
        1,
        &["plan.json cannot be used", "changed after it was made"],
    );
}

#[test]
fn one_at_a_time_changes_a_cluster() {
    let desk = Desk::new();
    let _lock = desk.hold_lock(Some(RUN));
    desk.refit(&["apply", "upgrade.yaml", "--yes"]).ends(
        1,
        &[
            "`refit apply` (run",
            "process 4711 on bastion",
            "nothing was changed",
            "refit status",
        ],
    );
}

#[test]
fn an_unfinished_run_comes_first() {
    let desk = Desk::new();
    desk.record(cut_off);
    desk.refit(&["apply", "upgrade.yaml", "--yes"]).ends(
        1,
        &[
            "is not finished: 1 of",
            &format!("refit resume {RUN}"),
            "--new-run",
        ],
    );
}

#[test]
fn nobody_to_ask_is_told_before_anything_happens() {
    let desk = Desk::new();
    desk.record(cut_off);
    desk.refit(&["resume"])
        .ends(64, &["not a terminal", "--yes", "nothing was changed"]);
}

#[test]
fn a_plan_of_other_documents_or_changed_by_hand_is_not_applied() {
    let desk = Desk::new();
    desk.plan(&["--out", "plan.json"]).ends(0, &[]);
    let plan = std::fs::read_to_string(desk.path("plan.json")).unwrap();
    let upgrade = std::fs::read_to_string(desk.path("upgrade.yaml")).unwrap();
    desk.write(
        "upgrade.yaml",
        &format!("{upgrade}drain: {{timeout: 1h}}\n"),
    );
    let apply = ["apply", "upgrade.yaml", "--plan", "plan.json", "--yes"];
    desk.refit(&apply).ends(
        3,
        &[
            "was made from other texts",
            "refit plan",
            "nothing was changed",
        ],
    );
    desk.write("upgrade.yaml", &upgrade);
    desk.write(
        "plan.json",
        &plan.replacen("\"retries\": ", "\"retries\": 9", 1),
    );
    desk.refit(&apply)
        .ends(3, &["changed after it was made", "refit plan"]);
}

#[test]
fn a_kubeconfig_that_is_missing_or_has_expired_is_told_as_such() {
    let desk = Desk::new();
    desk.refit(&["plan", "upgrade.yaml"]).ends(
        1,
        &["cannot read kubeconfig", "nothing was changed", "next"],
    );

    let address = serve_401();
    desk.write(
        "kubeconfig",
        &format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: lab\nclusters: [{{name: c, cluster: {{server: 'http://{address}'}}}}]\n\
             contexts: [{{name: lab, context: {{cluster: c, user: u}}}}]\nusers: [{{name: u, user: {{token: old}}}}]\n"
        ),
    );
    desk.refit(&["plan", "upgrade.yaml"]).ends(
        3,
        &[
            "does not accept the credentials",
            "may have expired",
            "nothing was changed",
        ],
    );
    let ran = desk
        .refit(&["inspect", "upgrade.yaml"])
        .ends(1, &["unknown, which stops a plan"]);
    let facts: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert!(facts["cluster"]["uid"]["unknown"].is_string());
}

/// An API server that accepts nobody; ends with the test.
fn serve_401() -> std::net::SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let body = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","message":"Unauthorized","reason":"Unauthorized","code":401}"#;
                let mut buffer = [0; 8192];
                while stream.read(&mut buffer).is_ok_and(|read| read > 0) {
                    let answer = format!(
                        "HTTP/1.1 401 Unauthorized\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                        body.len()
                    );
                    if stream.write_all(answer.as_bytes()).is_err() {
                        break;
                    }
                }
            });
        }
    });
    address
}

#[test]
fn the_state_directory_stays_out_of_git() {
    let desk = Desk::new();
    // as far as the kubeconfig, which is not there
    desk.refit(&["apply", "upgrade.yaml", "--yes", "--state-dir", "state"])
        .ends(1, &["cannot read kubeconfig"]);
    assert_eq!(
        std::fs::read_to_string(desk.path("state/.gitignore")).unwrap(),
        "*\n"
    );
    assert!(!Path::new(&desk.path("state/runs")).exists());
}
