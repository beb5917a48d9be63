//! What a drain waits for besides its pods: their volumes, and a node that does not answer any more.

use std::time::Duration;

use refit::cluster::model::{Controller, Pod, Role};
use refit::sim::Sim;
use refit::sim::api::{Options, Timing};
use refit::sim::effect::Effect;

use super::drain::{SECOND, carry_out, cordoned, drain_w1, evictions, w1};
use super::{Asked, Wire};
use crate::sim::rules::{pod, world, world_with};
use crate::world::plans::never;

fn with_volume(sim: &Sim, volume: &str, pod: &str) {
    sim.act(|world| {
        world.with_api(|api| api.attach(volume, &format!("data-{pod}"), ("shop", pod)));
    });
}

fn of_attachments(asked: &Asked, watches: bool) -> bool {
    asked.path.ends_with("/volumeattachments") && asked.has("watch").is_some() == watches
}

#[tokio::test(start_paused = true)]
async fn volumes_of_pods_that_left_are_awaited_and_told_with_pod_and_claim() {
    let sim = cordoned(world(vec![pod(1)], vec![], 1));
    with_volume(&sim, "pvc-1", "web-1");
    let wire = Wire::new(&sim);
    let ended = carry_out(&wire, &drain_w1(60), never()).await;
    ended.well();
    // the pod ends within 2 s, its volume is detached 6 s later
    assert!(ended.took >= 8 * SECOND, "{:?}", ended.took);
    assert!(ended.took < 9 * SECOND, "{:?}", ended.took);
    assert_eq!(
        ended.waited_for.last().unwrap(),
        "the detaching of volume pvc-1 of shop/web-1 (claim shop/data-web-1)"
    );
    let asked = wire.asked();
    let watches = asked.iter().filter(|asked| of_attachments(asked, true));
    let looks = asked.iter().filter(|asked| of_attachments(asked, false));
    // who uses what, what is left, and what is left when something has changed
    assert_eq!((watches.count(), looks.count()), (1, 3));
}

#[tokio::test(start_paused = true)]
async fn a_volume_that_is_never_detached_is_named_when_the_time_is_over() {
    let options = Options {
        timing: Timing {
            detaches: None,
            ..Timing::default()
        },
        ..Options::default()
    };
    let sim = cordoned(world_with(vec![pod(1), pod(2)], vec![], 2, options));
    with_volume(&sim, "pvc-2", "web-2");
    let wire = Wire::new(&sim);
    let ended = carry_out(&wire, &drain_w1(30), never()).await;
    let told = ended.badly();
    assert_eq!(
        told,
        "w1/drain: node w1 is not drained after 30 s; it stays cordoned. Its pods have left, and it still has: volume pvc-2 of \
         shop/web-2 (claim shop/data-web-2). `kubectl get volumeattachments` shows why they are not detached"
    );
    assert!(ended.took <= 35 * SECOND, "{:?}", ended.took);
    assert_eq!(evictions(&wire).len(), 2);

    // Whoever takes the run up finds no pod, and the volume still there.
    let ended = carry_out(&wire, &drain_w1(30), never()).await;
    let told = ended.badly();
    assert!(
        told.contains("it still has: volume pvc-2 (claim shop/data-web-2)"),
        "{told}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_volume_of_a_pod_that_stays_is_not_awaited() {
    let stays = Pod {
        controller: Some(Controller {
            api_version: "apps/v1".into(),
            kind: "DaemonSet".into(),
            name: "store".into(),
        }),
        ..pod(2)
    };
    let sim = cordoned(world(vec![pod(1), stays], vec![], 1));
    with_volume(&sim, "pvc-2", "web-2");
    let wire = Wire::new(&sim);
    let ended = carry_out(&wire, &drain_w1(60), never()).await;
    ended.well();
    assert!(ended.took < 4 * SECOND, "{:?}", ended.took);
    assert_eq!(evictions(&wire), ["web-1"]);
}

/// After 50 s without a word the node is unreachable; pods that were asked to go never end there.
#[tokio::test(start_paused = true)]
async fn a_node_whose_kubelet_stops_in_the_middle_is_named_and_nothing_is_deleted_by_force() {
    let sim = cordoned(world(vec![pod(1)], vec![], 1));
    with_volume(&sim, "pvc-1", "web-1");
    let wire = Wire::new(&sim);
    let plan = drain_w1(120);
    let stops = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        sim.act(|world| {
            world.with_api(|api| api.apply(&w1(), Role::Worker, Effect::KubeletStopped));
        });
        std::future::pending::<()>().await;
    };
    let ended = tokio::select! {
        ended = carry_out(&wire, &plan, never()) => ended,
        () = stops => unreachable!(),
    };
    let told = ended.badly();
    assert!(
        told.starts_with("w1/drain: node w1 is unreachable: its kubelet has not answered since "),
        "{told}"
    );
    let rest = " or longer; it stays cordoned. Its pods cannot end without it, and 1 of them are left; nothing was deleted by \
                force. Bring its kubelet back and run `refit resume`";
    assert!(told.ends_with(rest), "{told}");
    let waited = ended.waited_for.last().unwrap();
    assert!(
        waited.starts_with("node w1, which is unreachable: its kubelet has not answered since "),
        "{waited}"
    );
    assert!(
        !wire
            .asked()
            .iter()
            .any(|asked| asked.method == http::Method::DELETE)
    );
    assert!(ended.took <= 125 * SECOND, "{:?}", ended.took);

    // It answers again: its pods end, their volumes are detached, and the drain goes on to its end.
    sim.act(|world| {
        world.with_api(|api| {
            let version = api
                .node(&w1())
                .unwrap()
                .node
                .kubelet_version
                .parse()
                .unwrap();
            let started = Effect::KubeletStarted {
                version,
                ready_after: SECOND,
            };
            api.apply(&w1(), Role::Worker, started);
        });
    });
    carry_out(&wire, &drain_w1(120), never()).await.well();
}
