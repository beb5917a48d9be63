//! `refit restore` and `refit rollback`, as far as they come without a cluster.

use crate::desk::Desk;

#[test]
fn a_snapshot_of_which_nothing_is_known_is_not_restored() {
    let desk = Desk::new();
    desk.write("lab.db", "snapshot");
    let restore = ["restore", "lab.db", "inventory.yaml", "--confirm", "test"];
    desk.refit(&restore).ends(
        1,
        &[
            "whose snapshot lab.db is, is not known: lab.json cannot be read",
            "nothing was changed",
        ],
    );
    desk.write("lab.json", "{\"format\": \"refit.snapshot/v0\"}");
    desk.refit(&restore).ends(
        1,
        &["its format is `refit.snapshot/v0`, and this refit knows `refit.snapshot/v1`"],
    );
    assert!(!desk.path(".refit").exists());
}

#[test]
fn only_a_control_plane_is_rolled_back() {
    let desk = Desk::new();
    desk.refit(&["rollback", "w1", "inventory.yaml", "--yes"])
        .ends(3, &["w1 is a worker", "nothing was changed"]);
    desk.refit(&["rollback", "w9", "inventory.yaml", "--yes"])
        .ends(64, &["has neither a host nor a node `w9`"]);
}

#[test]
fn an_upgrades_plan_is_verified_against_facts_only() {
    let desk = Desk::new();
    desk.plan(&["--out", "plan.json"]).ends(0, &[]);
    desk.refit(&["verify", "plan.json"]).ends(
        64,
        &["which facts the plan was made from is not said", "--facts"],
    );
}
