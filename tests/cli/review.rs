//! What reviewers get: Markdown, and the difference between two plans.

use crate::desk::Desk;

#[test]
fn a_comment_states_the_age_of_the_facts_and_what_changed() {
    let desk = Desk::new();
    desk.plan(&["--out", "old.plan.json"])
        .ends(0, &["facts observed at", "1 h 0 min before"]);
    let upgrade = std::fs::read_to_string(desk.path("upgrade.yaml")).unwrap();
    desk.write(
        "upgrade.yaml",
        &format!("{upgrade}strategy: {{workers: {{maxUnavailable: 2}}}}\n"),
    );
    let more = ["-o", "markdown", "--against", "old.plan.json"];
    let ran = desk.plan(&more).ends(
        0,
        &[
            "observed at 2026-11-21T10:00:00Z, 1 h 0 min before 2026-11-21T11:00:00Z",
            "workers_out_of_service: 1 -> 2",
            "```mermaid",
        ],
    );
    assert_eq!(
        ran.out,
        desk.plan(&more).out,
        "the same input gives the same bytes"
    );
    desk.plan(&["-o", "markdown", "--against", "facts.json"])
        .ends(1, &["facts.json cannot be used", "nothing was changed"]);
}

#[test]
fn two_plans_are_compared() {
    let desk = Desk::new();
    desk.plan(&["--out", "old.plan.json"]).ends(0, &[]);
    desk.refit(&[
        "diff",
        "old.plan.json",
        "old.plan.json",
        "--detailed-exitcode",
    ])
    .ends(0, &["nothing changed"]);
    let upgrade = std::fs::read_to_string(desk.path("upgrade.yaml")).unwrap();
    desk.write("upgrade.yaml", &upgrade.replace("1.35.4", "1.35.4 # soon"));
    desk.plan(&["--out", "new.plan.json"]).ends(0, &[]);
    desk.refit(&["diff", "old.plan.json", "new.plan.json"])
        .ends(0, &["the same steps in the same order", "declaration: "]);
    let ran = desk
        .refit(&[
            "diff",
            "old.plan.json",
            "new.plan.json",
            "--detailed-exitcode",
            "-o",
            "json",
        ])
        .ends(2, &[]);
    let diff: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(diff["purpose"][0]["what"], "declaration");
    desk.write("edited.plan.json", "{}");
    desk.refit(&["diff", "old.plan.json", "edited.plan.json"])
        .ends(1, &["edited.plan.json cannot be used"]);
}

#[test]
fn a_plan_is_shown_in_every_form_and_needs_nothing_for_it() {
    let desk = Desk::new();
    for (form, says) in [
        ("dot", "digraph"),
        ("mermaid", "flowchart TD"),
        ("html", "<!doctype html>"),
        ("runbook", "ssh -p 1 ops@127.0.0.21 sudo"),
    ] {
        let first = desk.plan(&["-o", form]).ends(0, &[says]);
        assert_eq!(first.out, desk.plan(&["-o", form]).out, "{form}");
    }
    desk.plan(&["--out", "plan.json"]).ends(0, &[]);
    desk.refit(&["artifacts", "plan.json", "--facts", "facts.json"])
        .ends(0, &["image       registry.k8s.io/kube-apiserver:v1.35.4"]);
    desk.refit(&["artifacts", "plan.json", "-o", "json"])
        .ends(0, &["refit.artifacts/v1"]);
}
