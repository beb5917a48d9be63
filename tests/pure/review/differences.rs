//! `refit diff`.

use refit::documents::settings::Share;
use refit::plan::diff::PlanDiff;
use refit::report::diff::{differences, differences_json};
use refit::report::plan::Look;

use super::fixture::{golden, planned, shop};
use crate::build::{World, v};

#[test]
fn a_plan_does_not_differ_from_itself_observed_later() {
    let old = planned(&shop());
    let mut later = shop();
    later.facts.observed_at = "2026-11-21T10:30:00Z".parse().unwrap();
    let diff = PlanDiff::of(&old, &planned(&later));
    assert!(diff.is_empty() && diff.same_steps(), "{diff:#?}");
    assert!(diff.observed.is_some());
    let text = differences(&diff, 120, &Look::PLAIN);
    assert!(
        text.starts_with("nothing changed; facts of 2026-11-21T10:30:00Z"),
        "{text}"
    );
}

#[test]
fn steps_gone_new_and_changed() {
    let old = planned(&shop());
    let mut world = shop();
    world.upgrade.workers.max_unavailable = Share::Count(3);
    world.node("w6").unschedulable = true;
    world.install_kubeadm("w1", &v("1.35.4"));
    let diff = PlanDiff::of(&old, &planned(&world));
    golden("diff.txt", &differences(&diff, 120, &Look::PLAIN));
    golden("diff.json", &differences_json(&diff).unwrap());
}

#[test]
fn another_patch_release_changes_the_steps_and_does_not_replace_them() {
    let old = planned(&World::new(3, 2, "1.34.4", "1.35.4"));
    let new = planned(&World::new(3, 2, "1.34.4", "1.35.5"));
    let diff = PlanDiff::of(&old, &new);
    assert!(
        diff.added.is_empty() && diff.removed.is_empty(),
        "{diff:#?}"
    );
    let text = differences(&diff, 120, &Look::PLAIN);
    assert!(
        text.contains("kubelet.revision: 1.35.4-2.1 -> 1.35.5-2.1"),
        "{text}"
    );
}

/// Both ways round, what one gains the other loses.
#[test]
fn a_difference_has_two_directions() {
    let (old, new) = (
        planned(&World::new(3, 2, "1.34.4", "1.35.4")),
        planned(&shop()),
    );
    let (there, back) = (PlanDiff::of(&old, &new), PlanDiff::of(&new, &old));
    let sorted = |ids: &[refit::plan::data::StepId]| {
        let mut ids = ids.to_vec();
        ids.sort();
        ids
    };
    assert_eq!(sorted(&there.added), sorted(&back.removed));
    assert_eq!(sorted(&there.removed), sorted(&back.added));
    assert_eq!(there.changed.len(), back.changed.len());
    assert!(!there.added.is_empty());
}
