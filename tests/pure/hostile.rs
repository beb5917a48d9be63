//! Facts, plans, documents, hazards and journals edited by hand, half written, or made to hurt: nothing panics, nothing is
//! taken for what it is not, and what no longer says what it said gives no plan.
//!
//! `REFIT_CHANGES=100000 cargo test --test pure hostile` tries more.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::print_stdout
)]

use crate::build::World;
use crate::dice::Dice;
use crate::targets;
use serde_json::{Value, json};

fn changes() -> u64 {
    let set = std::env::var("REFIT_CHANGES").ok();
    set.and_then(|count| count.parse().ok()).unwrap_or(600)
}

/// Tries every seed, and tells all that panic, not only the first.
fn each_seed(count: u64, mut target: impl FnMut(u64)) {
    let failed: Vec<u64> = (0..count)
        .filter(|seed| {
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| target(*seed))).is_err()
        })
        .collect();
    assert_eq!(failed, Vec::<u64>::new(), "the seeds that panic");
}

/// Every place in a tree, as a JSON pointer.
fn places(value: &Value) -> Vec<String> {
    fn walk(value: &Value, at: String, places: &mut Vec<String>) {
        match value {
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    walk(item, format!("{at}/{index}"), places);
                }
            }
            Value::Object(entries) => {
                for (key, item) in entries {
                    let key = key.replace('~', "~0").replace('/', "~1");
                    walk(item, format!("{at}/{key}"), places);
                }
            }
            _ => {}
        }
        places.push(at);
    }
    let mut places = Vec::new();
    walk(value, String::new(), &mut places);
    places
}

/// What may stand in a place instead.
fn instead(old: &Value, dice: &mut Dice) -> Value {
    let others = [
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(i64::MAX),
        json!(u64::MAX),
        json!(1.5e300),
        json!(""),
        json!("\u{0}\u{1b}[31m`$(reboot)`"),
        json!("1.34.99999999999999999999"),
        json!("1.36.0"),
        json!("v1.35.4"),
        json!("9".repeat(400)),
        json!([]),
        json!({}),
    ];
    match (dice.below(3), old) {
        (0, Value::Number(number)) => json!(
            number
                .as_i64()
                .unwrap_or(0)
                .wrapping_mul(-7)
                .wrapping_add(3)
        ),
        (0, Value::Bool(value)) => json!(!value),
        (0, Value::String(text)) => json!(text.chars().rev().collect::<String>()),
        (0, Value::Array(items)) => {
            let mut items = items.clone();
            items.extend(items.clone());
            json!(items)
        }
        (1, Value::Array(items)) if !items.is_empty() => {
            let mut items = items.clone();
            items.remove(dice.below(items.len()));
            json!(items)
        }
        (0 | 1, Value::Object(entries)) if !entries.is_empty() => {
            let mut entries = entries.clone();
            let key = entries
                .keys()
                .nth(dice.below(entries.len()))
                .cloned()
                .unwrap();
            entries.remove(&key);
            json!(entries)
        }
        _ => others[dice.below(others.len())].clone(),
    }
}

/// The tree with one to three changes.
fn changed(tree: &Value, places: &[String], dice: &mut Dice) -> Value {
    let mut tree = tree.clone();
    for _ in 0..=dice.below(3) {
        if let Some(value) = tree.pointer_mut(&places[dice.below(places.len())]) {
            *value = instead(value, dice);
        }
    }
    tree
}

#[test]
fn facts_changed_by_hand_give_a_plan_that_is_right_or_reasons() {
    let world = World::new(3, 2, "1.34.4", "1.35.4");
    let tree = serde_json::to_value(&world.facts).unwrap();
    let places = places(&tree);
    each_seed(changes(), |seed| {
        let text = changed(&tree, &places, &mut Dice(seed)).to_string();
        targets::facts(text.as_bytes(), &world);
    });
}

#[test]
fn plans_changed_by_hand_are_judged_or_refused() {
    let world = World::new(3, 2, "1.34.4", "1.35.4");
    let planned = world.planned();
    let tree: Value = serde_json::from_str(&planned.to_json().unwrap()).unwrap();
    let places = places(&tree);
    each_seed(changes(), |seed| {
        let other = changed(&tree, &places, &mut Dice(seed));
        let text = other.to_string();
        let read = refit::plan::data::Plan::from_json(&text);
        // What is left out where nothing stood says the same.
        assert!(
            read.is_err() || read.is_ok_and(|read| read == planned),
            "the seal"
        );
        targets::plan(text.as_bytes(), &world);
    });
}

/// A file of the repository, with bytes changed, cut out, doubled or cut off.
fn bytes_changed(file: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = file.to_vec();
    for _ in 0..=dice.below(4) {
        if bytes.is_empty() {
            break;
        }
        let at = dice.below(bytes.len());
        let end = (at + 1 + dice.below(40)).min(bytes.len());
        match dice.below(5) {
            0 => bytes[at] = b" :-[]{}\"'\n\t#&*|>%@`\\\xff\x00"[dice.below(22)],
            1 => drop(bytes.drain(at..end)),
            2 => {
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            3 => bytes.truncate(at),
            _ => {
                let from = dice.below(bytes.len());
                bytes[at] = bytes[from];
            }
        }
    }
    bytes
}

fn each_change(files: &[&str], target: impl Fn(&[u8])) {
    for file in files {
        let whole = std::fs::read(file).unwrap();
        each_seed(changes() / 8, |seed| {
            target(&bytes_changed(&whole, &mut Dice(seed)))
        });
    }
}

#[test]
fn documents_damaged_by_chance_are_read_or_refused() {
    each_change(
        &[
            "tests/documents/full/upgrade.yaml",
            "tests/documents/full/inventory.yaml",
            "plans/to-1.35.yaml",
        ],
        targets::documents,
    );
}

#[test]
fn hazards_damaged_by_chance_are_read_or_refused() {
    let mut files: Vec<String> = std::fs::read_dir("src/rules/hazards/data")
        .unwrap()
        .map(|entry| entry.unwrap().path().to_str().unwrap().to_owned())
        .collect();
    files.sort();
    let first: Vec<&str> = files.iter().map(String::as_str).take(2).collect();
    each_change(&first, targets::hazards);
}

#[test]
fn journals_damaged_by_chance_are_read_or_refused() {
    let line = br#"{"at":"2026-11-21T11:00:00Z","event":"run-started","run":"r","plan_sha256":"p","refit":"0.1.0","pid":1}"#;
    each_seed(changes(), |seed| {
        targets::journal(&bytes_changed(line, &mut Dice(seed)))
    });
}

/// 100 MB of brackets: refused by depth, long before memory or the stack run out.
#[test]
fn nesting_without_end_is_refused() {
    let deep = "[".repeat(100 << 20);
    assert!(serde_json::from_str::<refit::cluster::facts::Facts>(&deep).is_err());
    assert!(refit::plan::data::Plan::from_json(&deep).is_err());
    let inside = format!("{{\"format\":\"refit.facts/v1\",\"observed_at\":{deep}");
    assert!(serde_json::from_str::<refit::cluster::facts::Facts>(&inside).is_err());
}

/// Where fuzzers begin: one valid input for each target.
fn plant(world: &World) {
    let small = World::new(1, 1, "1.34.4", "1.35.4");
    let upgrade = std::fs::read_to_string("plans/to-1.35.yaml").unwrap();
    let hazards = std::fs::read_to_string("src/rules/hazards/data/etcd.yaml").unwrap();
    let journal = r#"{"at":"2026-11-21T11:00:00Z","event":"run-started","run":"r","plan_sha256":"p","refit":"0.1.0","pid":1}"#;
    for (target, seed) in [
        ("documents", upgrade),
        ("facts", serde_json::to_string(&world.facts).unwrap()),
        ("plan", small.planned().to_json().unwrap()),
        ("hazards", hazards),
        ("journal", journal.to_owned()),
    ] {
        let folder = std::path::Path::new("fuzz/corpus").join(target);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("seed"), seed).unwrap();
    }
}

/// Every corpus file that a fuzzer has kept is tried by each test run.
#[test]
fn what_fuzzers_have_found_stays_mended() {
    let world = World::new(3, 2, "1.34.4", "1.35.4");
    if std::env::var_os("REFIT_BLESS").is_some() {
        plant(&world);
    }
    let mut tried = 0;
    for target in ["documents", "facts", "plan", "hazards", "journal"] {
        let Ok(corpus) = std::fs::read_dir(format!("fuzz/corpus/{target}")) else {
            panic!("fuzz/corpus/{target} is missing");
        };
        for entry in corpus {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            match target {
                "documents" => targets::documents(&bytes),
                "facts" => targets::facts(&bytes, &world),
                "plan" => targets::plan(&bytes, &world),
                "hazards" => targets::hazards(&bytes),
                "journal" => targets::journal(&bytes),
                other => unreachable!("{other}"),
            }
            tried += 1;
        }
    }
    assert!(tried >= 5, "{tried}");
}
