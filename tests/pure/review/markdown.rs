//! The comment for a pull request.

use refit::cluster::model::NodeName;
use refit::documents::settings::Share;
use refit::plan::diff::PlanDiff;
use refit::plan::reason::{Blocked, Reason};
use refit::report::markdown::{blocked, plan};

use super::fixture::{at, blocked_shop, golden, planned, shop, two_hops};
use crate::build::World;

/// GitHub takes 65,536.
const CHARACTERS: usize = 65_000;

#[test]
fn a_plan_against_an_earlier_one() {
    let mut earlier = shop();
    earlier.upgrade.workers.max_unavailable = Share::Count(1);
    earlier.node("w6").unschedulable = true;
    let new = planned(&shop());
    let diff = PlanDiff::of(&planned(&earlier), &new);
    golden("plan.md", &plan(&new, at(), Some(&diff)));
}

#[test]
fn why_there_is_no_plan() {
    let world = blocked_shop();
    let why = world.plan().unwrap_err();
    golden(
        "blocked.md",
        &blocked("to-1.35", &why, world.facts.observed_at, at(), None),
    );
}

#[test]
fn each_hop_is_told_apart() {
    let text = plan(&two_hops(), at(), None);
    for part in [
        "| hops | `1.35.4`, `1.36.2` |",
        "    section to 1.35.4\n",
        "    section to 1.36.2\n",
        "<summary>To 1.35.4: Workers, wave 3 (",
        "<summary>To 1.36.2: Workers, wave 1 (",
    ] {
        assert!(text.contains(part), "`{part}` is missing:\n{text}");
    }
}

#[test]
fn nothing_to_do_is_said_in_a_few_lines() {
    let mut world = World::new(1, 1, "1.34.4", "1.35.4");
    let done = world.planned();
    world.carry_out(&done);
    let text = plan(&planned(&world), at(), None);
    assert!(
        text.contains("nothing to do") && text.lines().count() < 15,
        "{text}"
    );
}

/// What is too long is said in sums, and every folded part is closed.
#[track_caller]
fn fits(text: &str) {
    assert!(
        text.chars().count() < CHARACTERS,
        "{}",
        text.chars().count()
    );
    let text = without_code(text);
    assert_eq!(
        text.matches("<details>").count(),
        text.matches("</details>").count()
    );
}

#[test]
fn a_comment_takes_a_plan_of_any_size() {
    for (workers, at_once) in [(30, 3), (300, 1), (2000, 1)] {
        let mut world = World::new(5, workers, "1.34.4", "1.35.4");
        world.upgrade.workers.max_unavailable = Share::Count(at_once);
        let new = planned(&world);
        world.upgrade.workers.max_unavailable = Share::Count(at_once * 3);
        world.upgrade.name = "other".to_owned();
        let diff = PlanDiff::of(&planned(&world), &new);
        let text = plan(&new, at(), Some(&diff));
        fits(&text);
        for word in [
            "```mermaid",
            "maxUnavailable",
            "Against the earlier plan",
            "w1",
        ] {
            assert!(
                text.contains(word),
                "{workers} workers: `{word}` is missing"
            );
        }
    }
}

#[test]
fn a_comment_takes_any_number_of_reasons() {
    let reasons: Vec<Reason> = (0..5000)
        .map(|at| match at % 3 {
            0 => Reason::NodeNotListed {
                node: NodeName::new(format!("w{at}")),
            },
            1 => Reason::Unknown {
                place: format!("w{at}"),
                what: "the host".to_owned(),
                error: format!("{at} {}", "no route to host ".repeat(200)),
            },
            _ => Reason::EtcdExternal,
        })
        .collect();
    let text = blocked("to-1.35", &Blocked { reasons }, at(), at(), None);
    fits(&text);
    assert!(text.contains("blocked for 5000 reasons"), "{text}");
    assert!(text.contains("× `unknown`"), "{text}");
}

#[test]
fn what_a_cluster_says_does_nothing_in_a_comment() {
    let hostile = "x|y `z` <img src=x onerror=alert(1)> </details> @org/team #1 [a](b)\n```\n# h";
    let mut new = planned(&shop());
    new.notes.push(hostile.to_owned());
    new.upgrade = hostile.to_owned();
    new.inventory = hostile.to_owned();
    let mut old = planned(&shop());
    old.basis.insert(hostile.to_owned(), hostile.to_owned());
    let diff = PlanDiff::of(&old, &new);
    let reasons = vec![Reason::Unknown {
        place: hostile.to_owned(),
        what: hostile.to_owned(),
        error: hostile.to_owned(),
    }];
    for text in [
        plan(&new, at(), Some(&diff)),
        blocked(hostile, &Blocked { reasons }, at(), at(), Some(&new)),
    ] {
        fits(&text);
        let outside = without_code(&text);
        for bad in ["<img", "@org", "#1", "[a](b)", "\n# h", "-->\n-->"] {
            assert!(!outside.contains(bad), "`{bad}` is live in:\n{outside}");
        }
    }
}

/// Takes code spans out, as GitHub Flavored Markdown finds them (section 6.3): from a run of backticks to the next run of
/// the same length.
fn without_code(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('`') {
        out.push_str(&rest[..at]);
        if out.ends_with('\\') {
            out.push('`');
            rest = &rest[at + 1..];
            continue;
        }
        let run = rest[at..].len() - rest[at..].trim_start_matches('`').len();
        let inside = &rest[at + run..];
        let mut end = None;
        let mut from = 0;
        while let Some(next) = inside[from..].find('`') {
            let start = from + next;
            let length = inside[start..].len() - inside[start..].trim_start_matches('`').len();
            if length == run {
                end = Some(start + length);
                break;
            }
            from = start + length;
        }
        match end {
            Some(end) => rest = &inside[end..],
            None => {
                out.push_str(&rest[at..at + run]);
                rest = inside;
            }
        }
    }
    out.push_str(rest);
    out
}
