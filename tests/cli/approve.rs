//! `refit approve`: who, what, which run, and what is written.

use std::os::unix::fs::PermissionsExt as _;

use refit::plan::data::Plan;
use refit::run::event::{Event, Halt};

use crate::desk::{Desk, RUN, all_done, done, started};

const STEP: &str = "gate/sign-off@1.35.4";

fn desk() -> Desk {
    let desk = Desk::new();
    desk.write(
        "upgrade.yaml",
        "apiVersion: refit/v1alpha1\nkind: Upgrade\nmetadata: {name: to-1.35}\ninventory: inventory.yaml\ntarget: 1.35.4\n\
         gates:\n  - {name: sign-off, at: before-workers, approval: {by: [alice, bob]}}\n",
    );
    desk
}

fn at(plan: &Plan) -> usize {
    plan.steps
        .iter()
        .position(|step| step.id.as_str() == STEP)
        .unwrap()
}

/// The run has stopped for want of an approval.
fn unapproved(plan: &Plan) -> Vec<Event> {
    let halted = Event::Halted {
        why: Halt::Unapproved {
            steps: vec![plan.steps[at(plan)].id.clone()],
        },
        own_ms: 1,
        wall_ms: 1,
    };
    vec![started(plan, at(plan)), halted]
}

fn records(desk: &Desk) -> Vec<std::path::PathBuf> {
    let folder = desk.path(".refit/runs").join(RUN).join("approvals");
    std::fs::read_dir(folder).map_or(Vec::new(), |files| {
        files.map(|file| file.unwrap().path()).collect()
    })
}

#[test]
fn one_of_those_declared_approves_by_run_or_by_upgrade() {
    for named in [RUN, "upgrade.yaml", "./upgrade.yaml"] {
        let desk = desk();
        desk.record(unapproved);
        desk.refit(&["status"]).ends(
            0,
            &[
                "an approval is missing",
                &format!("`refit approve {RUN} {STEP} --by NAME`, then `refit resume {RUN}`"),
            ],
        );
        // While another process holds the run.
        let _lock = desk.hold_lock(Some(RUN));
        desk.refit(&["approve", named, STEP, "--by", "bob"]).ends(
            0,
            &["is approved by bob", "counts for 12 h", "refit resume"],
        );
        let records = records(&desk);
        assert_eq!(records.len(), 1);
        let mode = std::fs::metadata(&records[0]).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o644, "the run may be another user's");
        let text = std::fs::read_to_string(&records[0]).unwrap();
        let record: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(record["step"], STEP);
        assert_eq!(record["by"], "bob");
        assert_eq!(record["run"], RUN);
        assert_eq!(record["plan_sha256"].as_str().unwrap().len(), 64);
    }
}

#[test]
fn nothing_is_written_for_what_cannot_be_approved() {
    let desk = desk();
    desk.refit(&["approve", "upgrade.yaml", STEP, "--by", "alice"])
        .ends(1, &["neither a run nor an upgrade", "refit apply"]);
    desk.record(unapproved);
    desk.refit(&["approve", RUN, STEP, "--by", "carol"])
        .ends(1, &["carol may not approve", "alice or bob"]);
    desk.refit(&["approve", RUN, "w1/drain@1.35.4", "--by", "alice"])
        .ends(1, &["no step `w1/drain@1.35.4`", STEP]);
    desk.refit(&["approve", "other.yaml", STEP, "--by", "alice"])
        .ends(1, &["neither a run nor an upgrade"]);
    assert_eq!(records(&desk).len(), 0);
}

#[test]
fn what_is_over_needs_no_approval() {
    let desk = desk();
    desk.record(|plan| vec![started(plan, at(plan)), done(plan, at(plan))]);
    desk.refit(&["approve", RUN, STEP, "--by", "alice"])
        .ends(0, &["nothing waits for it"]);
    let desk = self::desk();
    desk.record(all_done);
    desk.refit(&["approve", RUN, STEP, "--by", "alice"])
        .ends(1, &["finished or was put aside"]);
    assert_eq!(records(&desk).len(), 0);
}

#[test]
fn gates_that_could_not_be_asked_from_here_are_told_before_anything_else() {
    let desk = Desk::new();
    desk.write(
        "upgrade.yaml",
        "apiVersion: refit/v1alpha1\nkind: Upgrade\nmetadata: {name: to-1.35}\ninventory: inventory.yaml\ntarget: 1.35.4\n\
         gates:\n  - {name: rate, at: after-hop, prometheus: {url: 'https://127.0.0.1:1', query: up, expect: '== 1', tokenFrom: {env: REFIT_TEST_UNSET}}}\n\
         \x20 - {name: ca, at: after-hop, prometheus: {url: 'https://127.0.0.1:1', query: up, expect: '== 1', caFile: none.pem}}\n\
         \x20 - {name: smoke, at: after-hop, command: [./smoke.sh]}\n",
    );
    desk.record(|plan| vec![started(plan, 0), done(plan, 0)]);
    let missing = [
        "gate `rate`: the environment variable REFIT_TEST_UNSET is not set",
        "gate `ca`: the authorities in none.pem cannot be read",
        "gate `smoke`: ./smoke.sh cannot be run in .: No such file",
        "nothing was changed now",
    ];
    let resume = format!("then `refit resume {RUN}`");
    let resumed = [&missing[..], &[&resume]].concat();
    desk.refit(&["resume", "--yes"]).ends(1, &resumed);
    // There is no kubeconfig: the cluster is not even looked at.
    desk.plan(&["--out", "plan.json"]).ends(0, &[]);
    let apply = [
        "apply",
        "upgrade.yaml",
        "--plan",
        "plan.json",
        "--yes",
        "--new-run",
    ];
    let applied = [
        &missing[..],
        &["then `refit apply upgrade.yaml --plan plan.json`"],
    ]
    .concat();
    desk.refit(&apply).ends(1, &applied);
}

/// A hook on a host was cut short, and its declaration lets nobody run it again.
#[test]
fn anybody_may_say_that_a_hook_is_done_which_was_cut_short() {
    const HOOK: &str = "w1/hook/os-patches@1.35.4";
    let of_hook = |plan: &Plan| {
        let step = plan.steps.iter().position(|step| step.id.as_str() == HOOK);
        step.unwrap()
    };
    let desk = || {
        let desk = Desk::new();
        desk.write(
            "upgrade.yaml",
            "apiVersion: refit/v1alpha1\nkind: Upgrade\nmetadata: {name: to-1.35}\ninventory: inventory.yaml\ntarget: 1.35.4\n\
             hooks:\n  - {name: os-patches, at: drained, on: each-worker, run: [patch-os]}\n",
        );
        desk
    };
    let halted = |plan: &Plan| Event::Halted {
        why: Halt::Failed {
            steps: vec![plan.steps[of_hook(plan)].id.clone()],
        },
        own_ms: 1,
        wall_ms: 1,
    };
    let cut_short = desk();
    cut_short.record(|plan| {
        let waiting = Event::StepWaiting {
            step: plan.steps[of_hook(plan)].id.clone(),
            on: "somebody to look whether it is done: it was cut short".to_owned(),
        };
        vec![started(plan, of_hook(plan)), waiting, halted(plan)]
    });
    cut_short
        .refit(&["status"])
        .ends(0, &[HOOK, "it was cut short", "refit resume"]);
    cut_short
        .refit(&["approve", RUN, HOOK, "--by", "whoever"])
        .ends(0, &["whoever says that", "is done", "refit resume"]);
    assert_eq!(records(&cut_short).len(), 1);
    // While it may be under way, before it began and once it has failed there is nothing to say.
    let under_way = desk();
    under_way.record(|plan| vec![started(plan, of_hook(plan))]);
    let failed = desk();
    failed.record(|plan| {
        let failed = Event::StepFailed {
            step: plan.steps[of_hook(plan)].id.clone(),
            error: "status 3".to_owned(),
        };
        vec![started(plan, of_hook(plan)), failed, halted(plan)]
    });
    for desk in [under_way, failed] {
        desk.refit(&["approve", RUN, HOOK, "--by", "whoever"])
            .ends(1, &["waits for an approval"]);
        assert_eq!(records(&desk).len(), 0);
    }
}
