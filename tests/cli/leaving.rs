//! `refit pause` and `refit abandon`: which run they mean, and what they refuse before anything is asked for.

use refit::plan::data::Plan;
use refit::run::event::{Event, Halt};

use crate::desk::{Desk, RUN, all_done, cut_off};

fn request(desk: &Desk) -> Option<String> {
    let file = desk
        .path(".refit/runs")
        .join(RUN)
        .join("approvals/pause.json");
    std::fs::read_to_string(file).ok()
}

#[test]
fn only_a_run_under_way_is_asked_to_pause() {
    let desk = Desk::new();
    desk.refit(&["pause"]).ends(1, &["there is no run"]);
    desk.record(cut_off);
    let idle = format!("run {RUN} is not under way");
    desk.refit(&["pause"])
        .ends(1, &[&idle, "nothing was changed", "refit status"]);
    {
        let _other = desk.hold_lock(Some("20261121-090000-0000"));
        desk.refit(&["pause", RUN]).ends(1, &[&idle]);
    }
    assert_eq!(request(&desk), None);

    let _its_own = desk.hold_lock(Some(RUN));
    for args in [&["pause"][..], &["pause", RUN]] {
        let resume = format!("refit resume {RUN}");
        desk.refit(args).ends(
            0,
            &["process 4711 on bastion", "is asked to pause", &resume],
        );
        let written = request(&desk).unwrap();
        assert!(written.contains(RUN), "{written}");
    }
}

#[test]
fn a_run_that_has_ended_is_not_abandoned() {
    let desk = Desk::new();
    desk.refit(&["abandon", "--yes"])
        .ends(1, &["there is no run"]);
    desk.record(all_done);
    desk.refit(&["abandon", RUN, "--yes"])
        .ends(0, &["is finished: nothing of it is left to take off"]);
}

#[test]
fn nothing_is_abandoned_without_a_word_a_lock_or_the_cluster() {
    let desk = Desk::new();
    desk.record(cut_off);
    let before = std::fs::read_to_string(desk.journal()).unwrap();
    desk.refit(&["abandon"])
        .ends(64, &["nobody is here to confirm", "--yes"]);
    {
        let _held = desk.hold_lock(Some(RUN));
        desk.refit(&["abandon", "--yes"])
            .ends(1, &["4711", "bastion"]);
    }
    // no kubeconfig is there that could reach the cluster
    let ran = desk.refit(&["abandon", "--yes"]);
    assert_ne!(ran.code, 0, "{ran:#?}");
    assert!(ran.err.contains("kubeconfig"), "{ran:#?}");
    assert_eq!(std::fs::read_to_string(desk.journal()).unwrap(), before);
}

fn abandoned(plan: &Plan) -> Vec<Event> {
    let mut events = cut_off(plan);
    events.push(Event::Halted {
        why: Halt::Abandoned {
            by: "alice@desk".to_owned(),
            stays: vec!["node w1 stays cordoned: it is not ready".to_owned()],
        },
        own_ms: 0,
        wall_ms: 0,
    });
    events
}

#[test]
fn an_abandoned_run_is_neither_resumed_nor_abandoned_again() {
    let desk = Desk::new();
    desk.record(abandoned);
    desk.refit(&["status"]).ends(0, &["abandoned"]);
    let ran = desk.refit(&["resume", RUN, "--yes"]);
    assert_ne!(ran.code, 0, "{ran:#?}");
    assert!(ran.err.contains("abandoned"), "{ran:#?}");
    for _ in 0..2 {
        desk.refit(&["abandon", RUN, "--yes"])
            .ends(0, &["is abandoned already"]);
    }
}
