//! The HTML page.

use refit::plan::reason::{Blocked, Reason};
use refit::report::html::{blocked, page};

use super::fixture::{at, blocked_shop, golden, planned, shop};
use crate::build::World;

#[test]
fn a_small_plan() {
    let plan = planned(&World::new(1, 1, "1.34.4", "1.35.4"));
    golden("page.html", &page(&plan, at()));
    let world = blocked_shop();
    let why = world.plan().unwrap_err();
    golden(
        "blocked.html",
        &blocked("to-1.35", &why, world.facts.observed_at, at()),
    );
}

/// Links to sources may be followed by whoever reads; nothing is fetched by itself.
#[test]
fn no_request_leaves_the_page() {
    let text = page(&planned(&shop()), at());
    for word in [
        " src=", "url(", "@import", "<link", "<img", "<iframe", "fetch(", "XMLHttp", " style=",
    ] {
        assert!(!text.contains(word), "`{word}`");
    }
    assert!(text.contains("default-src 'none'"));
}

#[test]
fn what_a_cluster_says_does_nothing_in_a_page() {
    let hostile = "</style></script><script>alert(1)</script>\"' onload=x <img>";
    let mut plan = planned(&shop());
    plan.upgrade = hostile.to_owned();
    plan.inventory = hostile.to_owned();
    plan.notes.push(hostile.to_owned());
    plan.steps[0].because = hostile.to_owned();
    let reasons = vec![Reason::Unknown {
        place: hostile.to_owned(),
        what: hostile.to_owned(),
        error: hostile.to_owned(),
    }];
    for text in [
        page(&plan, at()),
        blocked(hostile, &Blocked { reasons }, at(), at()),
    ] {
        assert_eq!(text.matches("<script>").count(), 1);
        assert_eq!(text.matches("</style>").count(), 1);
        assert!(!text.contains("<img"));
    }
}
