//! The plans that are shown, and the files that they are compared with.

use std::path::Path;

use jiff::Timestamp;
use refit::documents::settings::Share;
use refit::plan::data::Plan;
use refit::plan::{Inputs, plan};

use crate::build::{World, budget};

/// One hour after the facts of every fixture were observed.
pub fn at() -> Timestamp {
    "2026-11-21T11:00:00Z".parse().unwrap()
}

/// Three control planes and six workers, two of which may be out of service at once.
pub fn shop() -> World {
    let mut world = World::new(3, 6, "1.34.4", "1.35.4");
    world.upgrade.name = "to-1.35".to_owned();
    world.upgrade.workers.max_unavailable = Share::Count(2);
    world
}

/// The same with what stops it.
pub fn blocked_shop() -> World {
    let mut world = shop();
    world.node("w1").ready = false;
    world.etcd().members[2].healthy = false;
    world.budgets().push(budget("web", 6, 6));
    world
        .offer("w2")
        .revisions
        .insert("kubelet".to_owned(), vec!["1.35.3-1.1".to_owned()]);
    world
}

/// A plan without the judgement of `verify`, which is not what is tested here and takes long for thousands of nodes.
pub fn planned(world: &World) -> Plan {
    let plan = plan(&Inputs {
        inventory: &world.inventory,
        upgrade: &world.upgrade,
        declaration_sha256: "d0c5d0c5d0c5d0c5",
        facts: &world.facts,
        key_text: world.key_text.clone(),
    })
    .unwrap();
    Plan {
        // the files are about what is shown, not about what plans rest on
        facts_fingerprint: "fac7fac7fac7fac7".to_owned(),
        ..plan
    }
}

/// Two hops in one plan.
pub fn two_hops() -> Plan {
    planned(&World::new(1, 3, "1.34.4", "1.36.2"))
}

/// Compares with a committed file, or rewrites it.
#[track_caller]
pub fn golden(name: &str, actual: &str) {
    let path = Path::new("tests/pure/review/golden").join(name);
    if std::env::var_os("REFIT_BLESS").is_some() {
        std::fs::write(&path, actual).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        expected == actual,
        "{} is not what was made: REFIT_BLESS=1 cargo test --test pure review rewrites it",
        path.display()
    );
}
