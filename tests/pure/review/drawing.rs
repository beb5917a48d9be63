//! The graph for Graphviz and for Mermaid.

use refit::report::drawing::{dot, mermaid};

use super::fixture::{golden, planned, two_hops};
use crate::build::World;

#[test]
fn five_nodes() {
    let plan = planned(&World::new(3, 2, "1.34.4", "1.35.4"));
    golden("graph.dot", &dot(&plan));
    golden("graph.mmd", &mermaid(&plan));
}

/// Mermaid refuses texts of more than 50,000 characters and more than 500 arrows (`maxTextSize`, `maxEdges`).
#[test]
fn many_nodes_are_drawn_together() {
    let plan = planned(&World::new(5, 500, "1.34.4", "1.35.4"));
    let text = mermaid(&plan);
    assert!(
        text.len() < 50_000 && text.matches("-->").count() < 500,
        "{}",
        text.len()
    );
    assert!(text.contains("waves 1 to 42"), "{text}");
    let boxes = dot(&plan).matches("[label=").count();
    assert!(boxes <= 600, "{boxes}");
}

#[test]
fn hops_are_drawn_apart() {
    let plan = two_hops();
    for text in [dot(&plan), mermaid(&plan)] {
        assert!(
            text.contains("to 1.35.4: Workers, wave 1")
                && text.contains("to 1.36.2: Workers, wave 1"),
            "{text}"
        );
    }
}
