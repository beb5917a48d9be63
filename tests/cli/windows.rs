//! Windows, as whoever declares them sees them.

use refit::run::event::{Event, Halt};

use crate::desk::{Desk, RUN};

/// The usual desk, with a declaration that has this window.
fn desk(start: &str, duration: &str) -> Desk {
    let desk = Desk::new();
    let upgrade = std::fs::read_to_string(desk.path("upgrade.yaml")).unwrap();
    let window = format!(
        "windows: [{{start: \"{start}\", duration: {duration}, timezone: Europe/Berlin}}]\n"
    );
    desk.write("upgrade.yaml", &(upgrade + &window));
    desk
}

#[test]
fn a_plan_tells_what_falls_into_which_window() {
    // The lab's hop takes some 13 minutes.
    desk("0 2 * * SUN", "4h").plan(&[]).ends(
        0,
        &[
            "changes only within `0 2 * * SUN` for 4h (Europe/Berlin)",
            "Fits into one window",
            "Sun 2026-11-22 02:00 to 06:00 CET",
            "control planes cp1 cp2 cp3, kubelets cp1 cp2 cp3 w1 w2",
        ],
    );
    desk("0 2 * * *", "6m").plan(&[]).ends(
        0,
        &[
            "Takes 3 windows",
            "Sun 2026-11-22 02:00",
            "Mon 2026-11-23 02:00",
        ],
    );
    desk("0 2 * * *", "2m")
        .plan(&[])
        .ends(3, &["no-window", "cp1/kubeadm-apply@1.35.4", "has 120 s"]);
}

#[test]
fn outside_of_a_window_nothing_is_done_and_the_exit_code_tells() {
    // Four hours of the year: whoever runs the tests in them may run them again.
    let desk = desk("0 0 1 1 *", "4h");
    desk.refit(&["apply", "upgrade.yaml", "--yes"]).ends(
        5,
        &[
            "stopped: no window is open",
            "the next one opens 20",
            "nothing was changed",
        ],
    );
    assert!(!desk.path(".refit").exists());
    desk.record(|_| {
        vec![Event::Halted {
            why: Halt::WindowOver {
                opens: Some("2026-12-31T23:00:00Z".parse().unwrap()),
            },
            own_ms: 1,
            wall_ms: 1,
        }]
    });
    desk.refit(&["status"])
        .ends(0, &["stopped: the window is over", "in the next window"]);
    desk.refit(&["resume", "--yes"])
        .ends(5, &["no window is open", RUN]);
}
