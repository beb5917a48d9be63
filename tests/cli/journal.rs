//! `refit journal`: what it shows, and what it makes of a journal that is cut, changed, or another plan's.

use crate::desk::{Desk, RUN, all_done, cut_off};

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_sound_journal_is_shown_and_verified() {
    let desk = Desk::new();
    desk.refit(&["journal", "verify"])
        .ends(1, &["there is no run"]);
    desk.record(cut_off);
    let shown = desk.refit(&["journal", "show"]).ends(
        0,
        &[
            "run-started",
            "by refit 0.1.0, process 4711",
            "step-done",
            "done, 1.2 s",
            "for shop/web-w1 (budget web)",
        ],
    );
    assert_eq!(shown.out.lines().count(), 6, "{shown:#?}");
    let shown = json(
        &desk
            .refit(&["journal", "show", RUN, "-o", "json"])
            .ends(0, &[])
            .out,
    );
    assert_eq!(shown["records"].as_array().unwrap().len(), 5);
    assert_eq!(shown["records"][2]["line"], 3);
    assert_eq!(shown["records"][2]["event"], "step-done");
    assert!(shown["damage"].is_null());
    desk.refit(&["journal", "verify"]).ends(
        0,
        &[
            "5, from 2026-11-21T11:00:00Z",
            "every record is as it was written",
            "a whole line",
            "under way or cut off, in 1 sitting",
            "1 of ",
            "1 without an outcome",
        ],
    );

    let desk = Desk::new();
    desk.record(all_done);
    let told = json(
        &desk
            .refit(&["journal", "verify", "-o", "json"])
            .ends(0, &[])
            .out,
    );
    assert_eq!(told["state"], "finished");
    assert_eq!(told["sound"], true);
    assert_eq!(told["steps"]["done"], told["steps"]["planned"]);
}

#[test]
fn a_line_that_was_never_finished_is_no_damage() {
    let desk = Desk::new();
    desk.record(cut_off);
    let text = std::fs::read(desk.journal()).unwrap();
    std::fs::write(desk.journal(), &text[..text.len() - 10]).unwrap();
    desk.refit(&["journal", "show"])
        .ends(0, &["the last line was cut off in the middle"]);
    let told = json(
        &desk
            .refit(&["journal", "verify", "-o", "json"])
            .ends(0, &[])
            .out,
    );
    assert_eq!(told["records"], 4);
    assert!(told["torn_bytes"].as_u64().unwrap() > 0);
    desk.refit(&["journal", "verify"])
        .ends(0, &["never finished", "`refit resume` removes it"]);
    let now = std::fs::read(desk.journal()).unwrap();
    assert_eq!(now.len(), text.len() - 10, "it is only looked at");
}

#[test]
fn damage_is_told_with_its_line_and_what_to_do() {
    let desk = Desk::new();
    desk.record(cut_off);
    let text = std::fs::read_to_string(desk.journal()).unwrap();
    std::fs::write(desk.journal(), text.replacen("1200", "1201", 1)).unwrap();
    let what = [
        "line 3 of the journal is damaged: its text was changed after it was written",
        "restore ",
        "--new-run",
    ];
    let shown = desk.refit(&["journal", "show"]).ends(1, &what);
    assert_eq!(shown.out.lines().count(), 3, "{shown:#?}");
    let told = desk
        .refit(&["journal", "verify", "-o", "json"])
        .ends(1, &what);
    let told = json(&told.out);
    assert_eq!(
        (&told["sound"], &told["records"]),
        (&false.into(), &2.into())
    );
    assert_eq!(told["steps"]["open"], 1);
    // Whole, and of another plan than the one that lies beside it.
    std::fs::write(desk.journal(), text).unwrap();
    let plan = desk.journal().with_file_name("plan.json");
    let other = std::fs::read_to_string(&plan).unwrap() + "\n";
    std::fs::write(&plan, other).unwrap();
    desk.refit(&["journal", "verify"]).ends(
        1,
        &[
            "plan.json is not the one that the run began with",
            "restore ",
        ],
    );
    std::fs::remove_file(&plan).unwrap();
    desk.refit(&["journal", "verify"])
        .ends(1, &["plan.json cannot be read"]);
}
