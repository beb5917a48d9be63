//! Runs that another build of refit left on disk: finished ones are nobody's concern, unfinished ones get a clear word.

use refit::plan::file::sha256;
use refit::run::event::Event;

use crate::desk::{Desk, RUN, all_done, cut_off};

/// How another build's run differs from ours.
const FOREIGN: [Foreign; 5] = [
    // the plan of a build whose plans did not say their limits yet
    Foreign {
        plan: |plan| without(plan, "limits"),
        record: |_| {},
        says: &["`refit.plan/v1`", "missing field `limits`", "Another build"],
    },
    // of one that says more
    Foreign {
        plan: |plan| {
            plan["waves"] = serde_json::json!([]);
        },
        record: |_| {},
        says: &["unknown field `waves`", "Another build"],
    },
    Foreign {
        plan: |plan| plan["format"] = "refit.plan/v0".into(),
        record: |_| {},
        says: &[
            "`refit.plan/v0`, an older one",
            "this refit knows `refit.plan/v1`",
        ],
    },
    Foreign {
        plan: |plan| {
            plan["format"] = "refit.plan/v2".into();
            without(plan, "basis");
        },
        record: |_| {},
        says: &[
            "`refit.plan/v2`, a newer one",
            "this refit knows `refit.plan/v1`",
        ],
    },
    Foreign {
        plan: |_| {},
        record: |record| record["format"] = "refit.run/v7".into(),
        says: &["`refit.run/v7`", "this refit knows `refit.run/v1`"],
    },
];

struct Foreign {
    plan: fn(&mut serde_json::Value),
    record: fn(&mut serde_json::Value),
    says: &'static [&'static str],
}

fn without(value: &mut serde_json::Value, key: &str) {
    value.as_object_mut().unwrap().remove(key).unwrap();
}

impl Foreign {
    /// A desk with a run that the other build left there.
    fn desk(&self, happened: impl Fn(&refit::plan::data::Plan) -> Vec<Event>) -> Desk {
        let desk = Desk::new();
        desk.record_as(happened, |sealed| {
            let plan = &mut sealed["plan"];
            (self.plan)(plan);
            // sealed by that build as it should be
            sealed["sha256"] = sha256(sealed["plan"].to_string().as_bytes()).into();
        });
        let path = desk.path(".refit/runs").join(RUN).join("run.json");
        let mut record = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        (self.record)(&mut record);
        std::fs::write(path, record.to_string()).unwrap();
        desk
    }
}

#[test]
fn a_finished_run_blocks_nothing_whatever_wrote_it() {
    for foreign in &FOREIGN {
        let desk = foreign.desk(all_done);
        // as far as the kubeconfig, which is not there
        desk.refit(&["apply", "upgrade.yaml", "--yes"])
            .ends(1, &["cannot read kubeconfig"]);
        for resume in [&["resume"][..], &["resume", RUN]] {
            desk.refit(resume).ends(0, &["nothing is left to do"]);
        }
        let ran = desk.refit(&["status"]);
        let ran = ran.ends(1, &["is finished, and another refit wrote it"]);
        ran.ends(1, foreign.says);
    }
}

#[test]
fn an_unfinished_run_of_another_build_says_what_was_found_what_is_known_and_what_to_do() {
    for foreign in &FOREIGN {
        let desk = foreign.desk(cut_off);
        let resume = format!("`refit resume {RUN}`");
        for command in [
            &["apply", "upgrade.yaml", "--yes"][..],
            &["resume", "--yes"],
            &["status"],
        ] {
            let ran = desk.refit(command).ends(
                1,
                &[
                    "is not finished, and this refit cannot go on with it",
                    "with the build of refit that began it",
                    &resume,
                    "--new-run",
                    "nothing was changed",
                ],
            );
            ran.ends(1, foreign.says);
        }
        // as far as the kubeconfig, which is not there
        desk.refit(&["apply", "upgrade.yaml", "--yes", "--new-run"])
            .ends(1, &["cannot read kubeconfig"]);
    }
}

#[test]
fn the_version_that_can_finish_a_run_is_named() {
    let desk = FOREIGN[0].desk(cut_off);
    let text = std::fs::read_to_string(desk.journal()).unwrap();
    desk.rewrite_journal(&text.replacen("\"refit\":\"0.1.0\"", "\"refit\":\"0.0.9\"", 1));
    desk.refit(&["resume", "--yes"])
        .ends(1, &["with refit 0.0.9, which began it"]);
}

/// Another cluster's run in the same state directory is no reason to stop, whether it can be read or not.
#[test]
fn a_run_of_another_inventory_and_cluster_is_not_in_the_way() {
    let other = Foreign {
        plan: |plan| {
            plan["inventory"] = "elsewhere".into();
            without(plan, "limits");
        },
        record: |_| {},
        says: &[],
    };
    let desk = other.desk(cut_off);
    desk.refit(&["apply", "upgrade.yaml", "--yes"])
        .ends(1, &["cannot read kubeconfig"]);
    // and where it does not tell whose it is, it may be this one's
    let untold = Foreign {
        plan: |plan| without(plan, "inventory"),
        ..other
    };
    let desk = untold.desk(cut_off);
    desk.refit(&["apply", "upgrade.yaml", "--yes"])
        .ends(1, &["missing field `inventory`", "--new-run"]);
}

#[test]
fn a_journal_with_events_of_a_newer_refit_is_told_as_such() {
    let paused =
        |text: String| text.replacen("\"event\":\"step-waiting\"", "\"event\":\"run-paused\"", 1);
    let desk = Desk::new();
    desk.record(cut_off);
    let text = std::fs::read_to_string(desk.journal()).unwrap();
    desk.rewrite_journal(&paused(text));
    desk.refit(&["apply", "upgrade.yaml", "--yes"]).ends(
        1,
        &[
            "line 5 of the journal was written by another refit",
            "run-paused",
            "--new-run",
        ],
    );
}
