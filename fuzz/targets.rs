//! What is fed with whatever bytes: nothing may panic, and what is read must survive being written and read again.
//!
//! The fuzzers in `fuzz_targets/` and `tests/pure/hostile.rs` share these.

use std::path::Path;

use refit::cluster::facts::Facts;
use refit::documents::{Environment, kind_of, read_inventory, read_upgrade};
use refit::plan::data::Plan;
use refit::plan::verify::verify;
use refit::plan::{Inputs, plan as make};
use refit::rules::hazards::Catalogue;
use refit::run::journal;

use crate::build::World;

fn nowhere() -> Environment {
    Environment {
        home: None,
        names: None,
    }
}

/// As an inventory or an upgrade.
pub fn documents(bytes: &[u8]) {
    let path = Path::new("document.yaml");
    // Both ways, whatever kind it says it is: `apply` decides by the argument, not by the text.
    let _ = kind_of(path, bytes);
    let _ = read_inventory(path, bytes, &nowhere());
    let _ = read_upgrade(path, bytes, &nowhere());
}

/// As facts: read, planned from, and the plan judged.
pub fn facts(bytes: &[u8], world: &World) {
    let Ok(facts) = serde_json::from_slice::<Facts>(bytes) else {
        return;
    };
    let written = serde_json::to_string(&facts).expect("facts can be written");
    let again: Facts = serde_json::from_str(&written).expect("what was written can be read");
    assert_eq!(facts, again);
    let made = make(&Inputs {
        inventory: &world.inventory,
        upgrade: &world.upgrade,
        declaration_sha256: "d0c5",
        facts: &facts,
        key_text: None,
    });
    match made {
        Ok(plan) => {
            let wrong = verify(&plan, &facts);
            assert!(wrong.is_empty(), "{wrong:#?}");
            let text = plan.to_json().expect("a plan can be written");
            assert_eq!(
                Plan::from_json(&text).expect("what was written can be read"),
                plan
            );
        }
        Err(blocked) => {
            assert!(!blocked.reasons.is_empty());
            for reason in &blocked.reasons {
                // Each part is written by code of its own.
                let told = [
                    reason.to_string(),
                    reason.place(),
                    reason.next(),
                    reason.source().to_owned(),
                ];
                assert!(told.iter().all(|text| !text.is_empty()), "{reason:?}");
            }
        }
    }
}

/// As a plan, sealed or not: read, judged, and laid into its windows.
pub fn plan(bytes: &[u8], world: &World) {
    let text = String::from_utf8_lossy(bytes);
    let _ = Plan::from_json(&text);
    // Past the seal, which no change by chance would keep.
    let sealed: Option<serde_json::Value> = serde_json::from_str(&text).ok();
    let Some(plan) = sealed
        .as_ref()
        .and_then(|sealed| serde_json::from_value::<Plan>(sealed.get("plan")?.clone()).ok())
    else {
        return;
    };
    let _ = verify(&plan, &world.facts);
    let _ = plan.in_order();
    let _ = refit::plan::windows::schedule(&plan, world.facts.observed_at);
    let _ = plan.to_json();
}

/// As a team's own hazards.
pub fn hazards(bytes: &[u8]) {
    if let Ok(mut catalogue) = Catalogue::built_in() {
        let _ = catalogue.add("hazards.yaml", &String::from_utf8_lossy(bytes));
    }
}

/// As a run's journal.
pub fn journal(bytes: &[u8]) {
    let _ = journal::read(bytes);
}
