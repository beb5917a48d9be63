//! One refit at a time: who gets the cluster, who keeps it, and who learns that it is lost.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::collections::BTreeSet;
use std::time::Duration;

use crate::world::plans::{drain, go_on, plan, step};
use crate::world::{Memory, Sim};
use refit::cluster::model::{HostName, NodeName};
use refit::host::op::{Mutation, OpRef};
use refit::plan::data::Action;
use refit::ports::{Claim, Failure, Hosts as _, Permit, Token};
use refit::run::event::Halt;
use refit::run::executor::Outcome;
use refit::run::lease::{Claimant, Denied, Lease, Refusal, Seen, look};

fn at(place: &str) -> Claimant {
    Claimant {
        run: format!("run-{place}"),
        who: format!("ops@{place}"),
        place: place.to_owned(),
    }
}

async fn looks(sim: &Sim, place: &str) -> Result<Seen, Refusal> {
    look(sim.world(), place, &mut |_| {}).await
}

async fn takes<'a>(sim: &'a Sim, place: &str, seen: Seen) -> Result<Lease<'a>, Refusal> {
    let (cp1, w1) = (HostName::new("cp1"), HostName::new("w1"));
    let hosts = BTreeSet::from([&cp1, &w1]);
    Lease::take(sim.world(), &at(place), seen, &hosts, &mut |_| {}).await
}

async fn holds<'a>(sim: &'a Sim, place: &str) -> Lease<'a> {
    let seen = looks(sim, place).await.unwrap();
    takes(sim, place, seen).await.unwrap()
}

fn token_of(sim: &Sim, host: &str) -> u64 {
    sim.inner.borrow().hosts[&HostName::new(host)].token
}

async fn passes(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

const A_MINUTE: Permit = Permit {
    within: Duration::from_secs(60),
};

#[tokio::test(start_paused = true)]
async fn a_free_cluster_is_taken_and_its_hosts_learn_the_token() {
    let sim = Sim::usual();
    let lease = holds(&sim, "here").await;
    assert_eq!(lease.token(), Token(1));
    assert_eq!(lease.permit().await, Ok(A_MINUTE));
    assert_eq!((token_of(&sim, "cp1"), token_of(&sim, "w1")), (1, 1));
    lease.give_back().await;
    assert_eq!(sim.inner.borrow().claim.as_ref().unwrap().holder, None);
    let began = sim.now();
    assert_eq!(holds(&sim, "there").await.token(), Token(2));
    assert!(
        sim.now() - began < Duration::from_secs(1),
        "nobody is waited for"
    );
}

#[tokio::test(start_paused = true)]
async fn who_renews_keeps_it_and_is_named() {
    let sim = Sim::usual();
    let lease = holds(&sim, "here").await;
    let refused = tokio::select! {
        () = lease.keep() => unreachable!("nobody else has it"),
        seen = looks(&sim, "there") => seen.unwrap_err(),
    };
    let by = "run run-here of ops@here".to_owned();
    assert_eq!(refused, Refusal::Held { by });
    assert!(sim.now() < Duration::from_secs(30), "{:?}", sim.now());
}

#[tokio::test(start_paused = true)]
async fn who_was_killed_elsewhere_is_waited_for_and_in_the_same_place_is_not() {
    let sim = Sim::usual();
    drop(holds(&sim, "here").await);
    let began = sim.now();
    assert_eq!(holds(&sim, "here").await.token(), Token(2));
    assert!(sim.now() - began < Duration::from_secs(1));
    let began = sim.now();
    assert_eq!(holds(&sim, "there").await.token(), Token(3));
    let waited = sim.now() - began;
    assert!(waited >= Duration::from_secs(120), "{waited:?}");
    assert!(waited < Duration::from_secs(125), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn who_took_it_since_it_was_looked_at_changed_what_was_planned_from() {
    let sim = Sim::usual();
    let seen = looks(&sim, "there").await.unwrap();
    let lease = holds(&sim, "here").await;
    lease.give_back().await;
    let by = "a run that has ended since".to_owned();
    let refused = takes(&sim, "there", seen).await.err();
    assert_eq!(refused, Some(Refusal::Changed { by }));
}

/// A laptop that slept, or a process that was stopped: whatever it wakes up to do is refused, by itself and by the hosts.
#[tokio::test(start_paused = true)]
async fn who_was_overtaken_asleep_cannot_act_late() {
    let sim = Sim::usual();
    let sleeper = holds(&sim, "here").await;
    let next = holds(&sim, "there").await;
    assert_eq!(sleeper.permit().await, Err(Denied::Lost));
    let by = Some("run run-there of ops@there".to_owned());
    assert_eq!(sleeper.lost_to(), by);
    let (host, op) = (
        HostName::new("w1"),
        OpRef {
            run: "run-here".into(),
            op: "w1/x".into(),
        },
    );
    let mutation = Mutation::RemoveSnapshot { file: "x".into() };
    let late = sim.mutate(
        &host,
        &op,
        &mutation,
        sleeper.token(),
        Duration::from_secs(60),
    );
    assert!(matches!(late.await, Err(Failure::Refused(_))));
    sleeper.give_back().await;
    assert_eq!(
        next.permit().await,
        Ok(A_MINUTE),
        "what is another's is not given back"
    );
}

/// A change that takes as long as it may must end before the lease does, and a clock that has jumped ahead may be right.
#[tokio::test(start_paused = true)]
async fn a_change_begins_only_with_enough_of_the_lease_left() {
    let sim = Sim::usual();
    let lease = holds(&sim, "here").await;
    let written = |sim: &Sim| sim.inner.borrow().claims;
    passes(50).await;
    assert_eq!(lease.permit().await, Ok(A_MINUTE));
    assert_eq!(written(&sim), 1);
    passes(6).await;
    assert_eq!(lease.permit().await, Ok(A_MINUTE));
    assert_eq!(written(&sim), 2, "renewed first");
    sim.inner.borrow_mut().wall_ahead_s = 3600;
    assert_eq!(lease.permit().await, Ok(A_MINUTE));
    assert_eq!(
        written(&sim),
        3,
        "renewed once the wall clock says that it is over"
    );
}

#[tokio::test(start_paused = true)]
async fn an_api_that_is_away_is_no_lost_lease() {
    let sim = Sim::usual();
    let lease = holds(&sim, "here").await;
    sim.inner.borrow_mut().api_down = true;
    tokio::select! {
        () = lease.keep() => unreachable!("nobody else has it"),
        () = passes(600) => {}
    }
    assert!(matches!(lease.permit().await, Err(Denied::NotNow(_))));
    sim.inner.borrow_mut().api_down = false;
    assert_eq!(lease.permit().await, Ok(A_MINUTE));
    assert_eq!((lease.token(), lease.lost_to()), (Token(1), None));
}

/// An etcd that was restored has the Lease of an earlier day.
#[tokio::test(start_paused = true)]
async fn a_lease_that_a_restored_etcd_rewound_is_written_anew_and_never_goes_below_what_hosts_know()
{
    let sim = Sim::usual();
    let rewind = |token: u64| {
        let mut inner = sim.inner.borrow_mut();
        inner.claim = Some(Claim {
            holder: Some("run-old/ops@old/old".into()),
            token: Token(token),
            version: Some("old".into()),
        });
    };
    sim.change_host("w1", |host| host.token = 8);
    let lease = holds(&sim, "here").await;
    assert_eq!(lease.token(), Token(9), "hosts know of 8");
    rewind(3);
    passes(60).await;
    assert_eq!(lease.permit().await, Ok(A_MINUTE));
    let claim = sim.inner.borrow().claim.clone().unwrap();
    assert_eq!(claim.token, Token(9));
    assert_eq!(claim.holder.as_deref(), Some("run-here/ops@here/here"));
    rewind(3);
    assert_eq!(holds(&sim, "there").await.token(), Token(10));
    assert_eq!((token_of(&sim, "cp1"), token_of(&sim, "w1")), (10, 10));
}

/// Whoever is overtaken in the middle of a drain leaves it, and says who has the cluster.
#[tokio::test(start_paused = true)]
async fn a_run_that_is_overtaken_halts_and_leaves_at_once() {
    let sim = Sim::usual();
    // their budget allows one at a time, and each takes its time to become ready elsewhere
    for _ in 0..20 {
        sim.pod("web", "w1");
    }
    sim.inner.borrow_mut().sets.insert("web".into(), 24);
    sim.inner.borrow_mut().budgets[0].min_available = 23;
    let node = NodeName::new("w1");
    let cordon = Action::Cordon { node: node.clone() };
    let steps = vec![
        step("w1/cordon", &[], cordon),
        step("w1/drain", &["w1/cordon"], drain("w1")),
    ];
    let plan = plan(steps);
    let mut memory = Memory::default();
    let other = async {
        passes(10).await;
        // as one does that has waited for the lease's end while this process was stopped
        let mut inner = sim.inner.borrow_mut();
        inner.claims += 1;
        let version = Some(inner.claims.to_string());
        inner.claim = Some(Claim {
            holder: Some("run-there/ops@there/there".into()),
            token: Token(2),
            version,
        });
        inner.evictions.len()
    };
    let began = sim.now();
    let ((outcome, _), before) = futures::join!(go_on(&plan, &sim, &mut memory), other);
    let by = "run run-there of ops@there".to_owned();
    let Outcome::Halted { why, failures, .. } = outcome else {
        unreachable!("{outcome:?}")
    };
    assert_eq!((why, failures.len()), (Halt::Overtaken { by }, 0));
    assert!(sim.now() - began < Duration::from_secs(60));
    assert!(before > 0);
    assert!(!sim.pods_of("w1").is_empty(), "it had not come to its end");
    assert!(sim.inner.borrow().nodes[&node].unschedulable);
}

/// Whoever resumes does so right when an API server restarts.
#[tokio::test(start_paused = true)]
async fn an_api_server_that_restarts_is_waited_for_when_the_lease_is_taken() {
    let sim = Sim::usual();
    let seen = looks(&sim, "here").await.unwrap();
    sim.inner.borrow_mut().claim_refusals = 7;
    assert_eq!(takes(&sim, "here", seen).await.unwrap().token(), Token(1));
    assert_eq!(sim.now().as_secs(), 14);

    let seen = looks(&sim, "here").await.unwrap();
    sim.inner.borrow_mut().claim_refusals = u32::MAX;
    let refused = takes(&sim, "here", seen).await.err();
    assert!(matches!(refused, Some(Refusal::Unknown(_))), "{refused:?}");
    assert!(sim.now().as_secs() < 80, "{:?}", sim.now());
}
