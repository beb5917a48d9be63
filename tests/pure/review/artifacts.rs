//! `refit artifacts`.

use refit::plan::artifacts::Artifacts;
use refit::report::artifacts::{artifacts, artifacts_json};
use refit::report::plan::Look;

use super::fixture::{golden, planned, shop, two_hops};
use crate::build::{World, pod};

#[test]
fn what_a_plan_needs_with_digests_that_the_facts_name() {
    let mut world = shop();
    let mut image = pod("kube-system", "early", "w1");
    image.images.insert(
        "proxy".to_owned(),
        "registry.k8s.io/kube-proxy:v1.35.4@sha256:0123456789abcdef".to_owned(),
    );
    world.pods().push(image);
    let needed = Artifacts::of(&planned(&world), Some(&world.facts));
    golden("artifacts.txt", &artifacts(&needed, 120, &Look::PLAIN));
    golden("artifacts.json", &artifacts_json(&needed).unwrap());
}

#[test]
fn each_hop_has_its_own() {
    let needed = Artifacts::of(&two_hops(), None);
    let minors: Vec<&str> = needed.hops.iter().map(|hop| hop.minor.as_str()).collect();
    assert_eq!(minors, ["1.35", "1.36"]);
    for hop in &needed.hops {
        assert_eq!(hop.packages.len(), 3, "{hop:#?}");
        assert_eq!(hop.images.len(), 7, "{hop:#?}");
    }
    // tags were read in 1.36.3, and the plan is for 1.36.2
    let etcd = needed.hops[1]
        .images
        .iter()
        .find(|image| image.reference.contains("/etcd:"));
    assert!(
        etcd.unwrap()
            .tag_from
            .as_ref()
            .unwrap()
            .contains("kubeadm 1.36.3")
    );
}

#[test]
fn a_minor_that_is_not_known_is_said_to_be() {
    let plan = planned(&World::new(1, 0, "1.32.1", "1.33.2"));
    let needed = Artifacts::of(&plan, None);
    assert_eq!(needed.hops[0].images.len(), 4);
    assert!(needed.hops[0].unknown[0].contains("kubeadm config images list"));
}
