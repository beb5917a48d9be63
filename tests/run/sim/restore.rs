//! The way back on the cluster in memory: a snapshot is taken, what it holds is lost, and it is brought back; refit is killed at
//! every moment of it, resumed, and ends in the same cluster.

use std::cell::Cell;
use std::path::Path;
use std::time::Duration;

use refit::cluster::facts::{Manifest, Observed};
use refit::cluster::members::{self, Members};
use refit::cluster::model::HostName;
use refit::documents::settings::SnapshotPolicy;
use refit::plan::data::Plan;
use refit::plan::restore::{self, Refusal};
use refit::plan::saved::Saved;
use refit::plan::snapshot_now;
use refit::plan::verify::way_back;
use refit::ports::{Store as _, World as Ports};
use refit::run::executor::Outcome;
use refit::sim::api::Options;
use refit::sim::machine::{Durations, machines};
use refit::sim::{Sim, World};

use super::build;
use super::play::{Process, Stage, outcome};

/// A cluster whose control planes run stacked etcd, as kubeadm sets it up.
pub(super) fn stage(control_planes: usize) -> Stage {
    stage_with(control_planes, &[])
}

/// As [`stage`], where this goes wrong on the first control plane.
pub(super) fn stage_with(control_planes: usize, faults: &[&str]) -> Stage {
    let mut stage = with_etcd(super::play::stage(control_planes, 3, "1.35.4"));
    for fault in faults {
        stage.world.strike(fault.parse().unwrap()).unwrap();
    }
    stage
}

/// Its control planes run stacked etcd, as kubeadm sets it up.
pub(super) fn with_etcd(mut stage: Stage) -> Stage {
    let facts = &mut stage.built.facts;
    let all: Vec<String> = facts
        .hosts
        .keys()
        .filter(|host| host.as_str().starts_with("cp"))
        .map(|host| format!("{host}=https://{host}:2380"))
        .collect();
    for (host, seen) in &mut facts.hosts {
        let own = match seen {
            Observed::Known(seen) => seen.control_plane.as_mut(),
            Observed::Unknown(_) => None,
        };
        if let Some(Observed::Known(manifests)) = own.map(|own| &mut own.manifests) {
            let etcd = Manifest {
                sha256: format!("etcd-{host}"),
                image: "registry.k8s.io/etcd:3.6.5-0".to_owned(),
                flags: vec![
                    format!("--name={host}"),
                    format!("--initial-advertise-peer-urls=https://{host}:2380"),
                    "--data-dir=/var/lib/etcd".to_owned(),
                    format!("--initial-cluster={}", all.join(",")),
                ],
            };
            manifests.insert("etcd.yaml".to_owned(), etcd);
        }
    }
    let nodes = stage
        .built
        .inventory
        .hosts
        .values()
        .map(|host| (host.name.clone(), host.node.clone()))
        .collect();
    let machines = machines(facts, &nodes, Durations::default());
    stage.world = World::of(facts, machines, Options::default());
    stage
}

/// As true recipients are written.
const RECIPIENT: &str = "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa";

fn ports(sim: &Sim) -> Ports<'_> {
    Ports {
        api: sim,
        hosts: sim,
        clock: sim,
    }
}

async fn carried_out(sim: &Sim, plan: &Plan) {
    let never = Box::new(|_: &Sim, _: &[u8], _: &'static str| false);
    let (ended, journal) = Process::new(sim, Vec::new(), never).run(plan).await;
    assert!(
        matches!(ended, Some(Outcome::Finished { .. })),
        "{ended:#?}\n{}",
        String::from_utf8_lossy(&journal)
    );
}

/// Takes a snapshot; what is written about it, and its file.
async fn snapshot(sim: &Sim, built: &build::World, encrypt_to: Vec<String>) -> (Saved, String) {
    let policy = SnapshotPolicy {
        encrypt_to,
        ..SnapshotPolicy::default()
    };
    let plan = snapshot_now::plan(&snapshot_now::Inputs {
        inventory: &built.inventory,
        name: "now",
        policy: &policy,
        declaration_sha256: "d",
        facts: &built.facts,
    })
    .unwrap();
    carried_out(sim, &plan).await;
    let names: Vec<String> = sim
        .list(&policy.directory)
        .unwrap()
        .into_iter()
        .map(|file| file.name)
        .collect();
    let record = names.iter().find(|name| name.ends_with(".json")).unwrap();
    let text = sim.look(|world| {
        let path = policy.directory.join(record);
        world.disk.text(&path).unwrap().to_owned()
    });
    let saved = Saved::from_json(text.as_bytes()).unwrap();
    let file = policy.directory.join(&saved.database.name);
    (saved, file.to_str().unwrap().to_owned())
}

fn planned(
    sim: &Sim,
    saved: &Saved,
    from: &str,
    members: &Members,
    identity: Option<&str>,
) -> Result<Plan, Vec<Refusal>> {
    let (_, kept_sha256) = sim.digest(Path::new(from)).unwrap().unwrap();
    restore::plan(&restore::Inputs {
        inventory: "lab",
        declaration_sha256: "d",
        saved,
        from,
        kept_sha256: &kept_sha256,
        identity,
        members,
    })
}

fn wanted(sim: &Sim) -> Vec<(String, i32)> {
    sim.look(|world| {
        let all = world.api.workloads();
        all.into_iter().map(|one| (one.name, one.desired)).collect()
    })
}

/// A cluster of which a snapshot was taken before its CoreDNS was scaled away, and the plan that brings it back.
async fn lost(control_planes: usize) -> (build::World, World, Plan) {
    let stage = stage(control_planes);
    let sim = Sim::new(stage.world, 1);
    let (saved, from) = snapshot(&sim, &stage.built, Vec::new()).await;
    sim.sleep(Duration::from_secs(60)).await;
    sim.act(|world| world.with_api(|api| api.scale_to("Deployment", "kube-system", "coredns", 0)))
        .unwrap();
    sim.sleep(Duration::from_secs(60)).await;
    let members = members::look(ports(&sim), &stage.built.inventory).await;
    let plan = planned(&sim, &saved, &from, &members, None).unwrap();
    assert_eq!(way_back::judge(&plan), []);
    (stage.built, sim.snapshot(), plan)
}

#[tokio::test(start_paused = true)]
async fn what_was_lost_is_back_and_the_lease_goes_on() {
    for control_planes in [1, 3] {
        let (_, world, plan) = lost(control_planes).await;
        let sim = Sim::new(world, 1);
        assert!(wanted(&sim).contains(&("coredns".to_owned(), 0)));
        carried_out(&sim, &plan).await;
        assert!(wanted(&sim).contains(&("coredns".to_owned(), 2)));
        let sha256 = plan.basis["snapshot/sha256"].clone();
        let back = sim.look(|world| world.api.went_back_to().map(str::to_owned));
        assert_eq!(back, Some(sha256));
        let violations = sim.look(|world| world.violations().to_vec());
        assert_eq!(violations, Vec::<String>::new());
        // the lease that the snapshot held is older than the run's own, which takes its place
        let claim = refit::ports::ClusterApi::claim(&sim)
            .await
            .unwrap()
            .unwrap();
        assert!(claim.token.0 >= 2, "{claim:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_encrypted_snapshot_is_opened_on_its_way() {
    let stage = stage(3);
    let sim = Sim::new(stage.world, 1);
    let (saved, from) = snapshot(&sim, &stage.built, vec![RECIPIENT.to_owned()]).await;
    assert!(from.ends_with(".db.age"));
    assert_ne!(saved.database.sha256, saved.database.kept_sha256);
    let members = members::look(ports(&sim), &stage.built.inventory).await;
    let refused = planned(&sim, &saved, &from, &members, None).unwrap_err();
    assert_eq!(refused, [Refusal::Sealed(vec![RECIPIENT.to_owned()])]);
    let plan = planned(&sim, &saved, &from, &members, Some("/home/ops/key.txt")).unwrap();
    carried_out(&sim, &plan).await;
    let back = sim.look(|world| world.api.went_back_to().map(str::to_owned));
    assert_eq!(back, Some(saved.database.sha256));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_safe_is_refused_with_its_reason() {
    let stage = stage(3);
    let sim = Sim::new(stage.world, 1);
    let (saved, from) = snapshot(&sim, &stage.built, Vec::new()).await;
    let members = members::look(ports(&sim), &stage.built.inventory).await;
    let refusals = |saved: &Saved, members: &Members| {
        let refused = planned(&sim, saved, &from, members, None).unwrap_err();
        let told: Vec<String> = refused.iter().map(ToString::to_string).collect();
        told.join("\n")
    };

    let mut other = saved.clone();
    other.cluster_uid = "another".to_owned();
    assert!(refusals(&other, &members).contains("another cluster: kube-system has UID"));

    let mut other = saved.clone();
    other.authority_sha256 = "0".repeat(64);
    let told = refusals(&other, &members);
    assert_eq!(told.matches("the authority on cp").count(), 3, "{told}");

    let mut other = saved.clone();
    other.etcd = "3.5.24".to_owned();
    assert!(refusals(&other, &members).contains("was taken by etcd 3.5.24, and the member on cp1"));

    let mut other = saved.clone();
    other.database.kept_sha256 = "0".repeat(64);
    assert!(refusals(&other, &members).contains("it was changed or is damaged"));

    let cp2 = HostName::new("cp2");
    let mut silent = members.clone();
    silent.hosts.insert(
        cp2.clone(),
        Observed::Unknown("cp2: no answer in time".to_owned()),
    );
    let told = refusals(&saved, &silent);
    assert!(
        told.contains("control plane cp2 is not known: cp2: no answer"),
        "{told}"
    );

    // a member that the inventory does not know, told by etcd, and by manifests where no member answers
    let mut fewer = members.clone();
    fewer.hosts.remove(&cp2);
    assert!(
        refusals(&saved, &fewer)
            .contains("no control plane of the inventory runs: cp2. So says etcd")
    );
    fewer.members = Observed::Unknown("connection refused".to_owned());
    for facts in fewer.hosts.values_mut() {
        if let Observed::Known(facts) = facts {
            facts.initial_cluster = vec!["cp1".to_owned(), "cp2".to_owned()];
        }
    }
    assert!(refusals(&saved, &fewer).contains("inventory runs: cp2. So say the manifests"));

    let mut full = members.clone();
    for facts in full.hosts.values_mut() {
        if let Observed::Known(facts) = facts {
            facts.free = 1 << 20;
        }
    }
    assert!(refusals(&saved, &full).contains("has 1048576 bytes free"));
}

#[tokio::test(start_paused = true)]
async fn a_broken_way_back_is_found_by_verify() {
    let (_, _, plan) = lost(3).await;
    let code = |plan: &Plan| -> Vec<&'static str> {
        let found = way_back::judge(plan);
        found.iter().map(|violation| violation.code()).collect()
    };
    // every step is needed
    for at in 0..plan.steps.len() {
        let id = plan.steps[at].id.clone();
        if id.verb() == "check-host" {
            continue;
        }
        let mut other = plan.clone();
        let gone = other.steps.remove(at);
        for step in &mut other.steps {
            if let Some(place) = step.after.iter().position(|before| *before == gone.id) {
                step.after.remove(place);
                step.after.extend(gone.after.iter().cloned());
                step.after.sort();
                step.after.dedup();
            }
        }
        if gone.id.place() == "barrier" {
            // what it joined is still in order
            assert_eq!(code(&other), Vec::<&str>::new(), "{id}");
        } else {
            assert!(!code(&other).is_empty(), "{id}");
        }
    }
    // no member is replaced before all have stopped
    let mut early = plan.clone();
    for step in &mut early.steps {
        if step.id.verb() == "replace-member" {
            step.after = vec![refit::plan::data::StepId::new(
                step.id
                    .as_str()
                    .replace("replace-member", "stop-control-plane"),
            )];
        }
    }
    assert!(code(&early).contains(&"unordered"));
}

#[tokio::test(start_paused = true)]
async fn a_way_back_is_shown_and_read_again_like_any_plan() {
    let (_, _, plan) = lost(3).await;
    let read = Plan::from_json(&plan.to_json().unwrap()).unwrap();
    assert_eq!(read, plan);
    let at = plan.facts_at;
    let runbook = refit::report::runbook::runbook(&plan, &Default::default(), at);
    let parts = [
        "## Look at everything; nothing changes",
        "`cp1/restore-member@1.34.4`",
        "## Stop every control plane, replace every member, start again; no API answers",
        "`cp3/stop-control-plane@1.34.4`",
        "`barrier/stopped@1.34`: go on only when no control plane runs anywhere",
        "`cp1/replace-member@1.34.4`",
        "`cp2/start-control-plane@1.34.4`",
        "## Tidy up and look again",
    ];
    let mut from = 0;
    for part in parts {
        let found = runbook[from..].find(part);
        from += found.unwrap_or_else(|| panic!("{part} is not there, or not in order:\n{runbook}"));
    }
    assert!(!runbook.contains("{run}") && !runbook.contains("## The way back"));
    let markdown = refit::report::markdown::plan(&plan, at, None);
    let lead = "everything written to the API since";
    assert!(
        markdown.contains("restore of test-r1.db") && markdown.contains(lead),
        "{markdown}"
    );
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
}

#[test]
fn killed_at_every_moment_it_is_brought_back_all_the_same() {
    let runtime = runtime();
    let (built, world, plan) = runtime.block_on(lost(3));
    // the undisturbed way
    let mut kept = Vec::new();
    let expected = runtime.block_on(async {
        let sim = Sim::new(world.clone(), 1);
        let kept = &mut kept;
        let watch = Box::new(|sim: &Sim, journal: &[u8], what: &'static str| {
            kept.push((sim.snapshot(), journal.to_vec(), what));
            false
        });
        let (ended, journal) = Process::new(&sim, Vec::new(), watch).run(&plan).await;
        let told = String::from_utf8_lossy(&journal).into_owned();
        assert!(
            matches!(ended, Some(Outcome::Finished { .. })),
            "{ended:#?}\n{told}"
        );
        outcome(&sim, &built).await
    });
    let moments = kept.len();
    assert!(moments > 150, "{moments}");
    let mut wrong = Vec::new();
    for (number, (world, journal, what)) in kept.into_iter().enumerate() {
        let said = runtime.block_on(async {
            let sim = Sim::new(world, 1);
            sim.sleep(Duration::from_secs([0, 7, 1000][number % 3]))
                .await;
            let second = Cell::new(1 + (number * 37) % 60);
            let kill = Box::new(|_: &Sim, _: &[u8], _: &'static str| {
                second.set(second.get() - 1);
                second.get() == 0
            });
            let (mut ended, mut journal) = Process::new(&sim, journal, kill).run(&plan).await;
            if ended.is_none() {
                let never = Box::new(|_: &Sim, _: &[u8], _: &'static str| false);
                (ended, journal) = Process::new(&sim, journal, never).run(&plan).await;
            }
            if !matches!(ended, Some(Outcome::Finished { .. })) {
                let lines = String::from_utf8_lossy(&journal).into_owned();
                let last: Vec<&str> = lines.lines().rev().take(8).collect();
                return Some(format!("{ended:#?}\n{}", last.join("\n")));
            }
            let violations = sim.look(|world| world.violations().to_vec());
            if !violations.is_empty() {
                return Some(format!("{violations:#?}"));
            }
            let found = outcome(&sim, &built).await;
            let differs = found
                .lines()
                .zip(expected.lines())
                .find(|(is, was)| is != was);
            differs.map(|(is, was)| format!("`{is}` instead of `{was}`"))
        });
        wrong.extend(said.map(|said| format!("killed at {number} ({what}): {said}")));
    }
    println!("killed at {moments} moments of a way back and once more on the way");
    assert!(
        wrong.is_empty(),
        "{} of {moments}:\n{}",
        wrong.len(),
        wrong
            .iter()
            .take(5)
            .cloned()
            .collect::<Vec<_>>()
            .join("\n\n")
    );
}
