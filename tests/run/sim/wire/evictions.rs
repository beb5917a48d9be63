//! E rows: what the real client makes of what the server says, by id.

use std::time::Duration;

use refit::ports::{ClusterApi as _, Eviction, Permit};
use refit::sim::Sim;

use super::Wire;
use crate::sim::rules;

const PERMIT: Permit = Permit {
    within: Duration::from_secs(60),
};

#[tokio::test(start_paused = true)]
async fn answers() {
    for (id, pod, budgets, code, words, retry_after) in rules::rows() {
        let sim = Sim::new(rules::world(vec![pod.clone()], budgets, 1), 1);
        let wire = Wire::new(&sim);
        let answer = wire
            .serve(wire.kube.evict(PERMIT, &pod, None))
            .await
            .unwrap();
        match (code, &answer) {
            (201, Eviction::Granted) => {}
            (
                429,
                Eviction::Blocked {
                    message,
                    retry_after: after,
                },
            ) => {
                assert!(message.contains(words), "{id}: {message}");
                assert_eq!(*after, retry_after.map(Duration::from_secs), "{id}");
            }
            (403 | 500, Eviction::Denied(message)) => {
                assert!(message.contains(words), "{id}: {message}");
            }
            _ => panic!("{id}: {code} is taken for {answer:?}"),
        }
        let leaves = sim.look(|world| rules::is_leaving(world, "web-1"));
        assert_eq!(leaves, code == 201, "{id}");
        assert_eq!(
            wire.asked().iter().filter(|asked| asked.evicts()).count(),
            1,
            "{id}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn e3_the_second_of_two_meets_what_the_first_has_used_up() {
    let pods: Vec<_> = (1..=3).map(rules::pod).collect();
    let sim = Sim::new(
        rules::world(pods.clone(), vec![rules::budget(1, 3, 2)], 3),
        1,
    );
    let wire = Wire::new(&sim);
    let both = async {
        let first = wire.kube.evict(PERMIT, &pods[0], None).await;
        (first, wire.kube.evict(PERMIT, &pods[1], None).await)
    };
    let (first, second) = wire.serve(both).await;
    assert_eq!(first, Ok(Eviction::Granted));
    assert!(matches!(second, Ok(Eviction::Blocked { .. })), "{second:?}");
}

#[tokio::test(start_paused = true)]
async fn e25_another_pod_of_the_same_name_is_left_alone() {
    let sim = Sim::new(rules::world(vec![rules::pod(1)], vec![], 1), 1);
    let wire = Wire::new(&sim);
    let mut before = rules::pod(1);
    before.uid = "of the one before".into();
    let answer = wire.serve(wire.kube.evict(PERMIT, &before, None)).await;
    assert_eq!(answer, Ok(Eviction::Gone));
    assert!(!sim.look(|world| rules::is_leaving(world, "web-1")));
}
