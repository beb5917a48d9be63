//! What a declaration may ask for beside a target: gates, hooks, soaks, pauses, windows, rules about pods. At random, for clusters that
//! are at random as well.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use refit::cluster::model::LabelSelector;
use refit::documents::settings::{
    Comparison, Condition, Gate, GatePoint, Hook, HookPlace, HookPoint, NoData, OrderGroup,
    PrometheusServer, Rerun, SecretSource, Window,
};
use refit::rules::eviction::{Behavior, Exception};

use crate::build::World;

const POINTS: [GatePoint; 5] = [
    GatePoint::BeforeHop,
    GatePoint::AfterControlPlane,
    GatePoint::BeforeWorkers,
    GatePoint::AfterEachWave,
    GatePoint::AfterHop,
];
const POOLS: [&str; 3] = ["canary", "early", "rest"];

/// What a declaration asks for.
#[derive(Debug, Clone)]
pub struct Declared {
    gates: Vec<Gate>,
    hooks: Vec<Hook>,
    pause: Duration,
    /// Soaks of the pools.
    groups: Vec<u64>,
    /// The pool of each worker in turn; none for the last number.
    pools: Vec<usize>,
    windows: Vec<Window>,
    rules: Vec<Exception>,
}

fn condition() -> impl Strategy<Value = Condition> {
    prop_oneof![
        (1_u64..100).prop_map(|hours| Condition::Approval {
            by: vec!["alice".to_owned()],
            expires_s: hours * 3600,
        }),
        (0_u64..600, 600_u64..3600).prop_map(|(for_s, timeout_s)| Condition::Command {
            run: vec!["./healthy".to_owned()],
            directory: "plans".to_owned(),
            for_s,
            timeout_s,
        }),
        (any::<bool>(), 0_u64..600, 600_u64..3600).prop_map(|(plain, for_s, timeout_s)| {
            Condition::Prometheus {
                server: PrometheusServer {
                    url: if plain { "http://prom" } else { "https://prom" }.to_owned(),
                    token: Some(SecretSource::Env("TOKEN".to_owned())),
                    ca_file: (!plain).then(|| "ca.pem".to_owned()),
                },
                query: "up".to_owned(),
                expect: "== 1".parse::<Comparison>().unwrap(),
                no_data: if plain { NoData::Pass } else { NoData::Fail },
                for_s,
                timeout_s,
            }
        }),
    ]
}

fn gates() -> impl Strategy<Value = Vec<Gate>> {
    let one = (prop::sample::select(POINTS.to_vec()), condition());
    prop::collection::vec(one, 0..5).prop_map(|gates| {
        let named = gates.into_iter().enumerate();
        named
            .map(|(index, (at, condition))| Gate {
                name: format!("gate-{index}"),
                at,
                condition,
            })
            .collect()
    })
}

/// Every point with every machine that has a meaning there.
pub fn meaningful() -> Vec<(HookPoint, HookPlace)> {
    let all = HookPoint::ALL
        .into_iter()
        .flat_map(|at| HookPlace::ALL.map(|on| (at, on)));
    all.filter(|(at, on)| Hook::refused(*at, *on).is_none())
        .collect()
}

/// A hook that is told whatever it may be told.
pub fn hook(name: &str, at: HookPoint, on: HookPlace) -> Hook {
    let mut hook = Hook {
        name: name.to_owned(),
        at,
        on,
        run: vec!["./do".to_owned(), "{minor}".to_owned()],
        check: None,
        env: BTreeMap::from([("TO".to_owned(), "{release}".to_owned())]),
        directory: "plans".to_owned(),
        timeout_s: 600,
        expected_s: None,
        reboots: false,
        rerun: Rerun::Never,
    };
    if hook.is_about_a_node() {
        hook.run.push("{host}/{node}".to_owned());
    }
    hook
}

fn hooks() -> impl Strategy<Value = Vec<Hook>> {
    let one = (
        prop::sample::select(meaningful()),
        any::<bool>(),
        any::<bool>(),
        1_u64..3600,
        0_usize..3,
    );
    prop::collection::vec(one, 0..5).prop_map(|hooks| {
        let named = hooks.into_iter().enumerate();
        named
            .map(|(index, ((at, on), checked, reboots, timeout_s, rerun))| {
                let rerun = [Rerun::Never, Rerun::Safe, Rerun::Check][rerun];
                Hook {
                    check: checked.then(|| vec!["./done".to_owned(), "{release}".to_owned()]),
                    reboots: reboots
                        && checked
                        && at == HookPoint::Drained
                        && on != HookPlace::ThisMachine,
                    rerun: match rerun {
                        Rerun::Check if !checked => Rerun::Safe,
                        Rerun::Never | Rerun::Safe | Rerun::Check => rerun,
                    },
                    timeout_s,
                    ..hook(&format!("hook-{index}"), at, on)
                }
            })
            .collect()
    })
}

fn windows() -> impl Strategy<Value = Vec<Window>> {
    let one = (
        0_u8..24,
        prop::sample::select(vec!["*", "1-5", "SUN"]),
        4_u64..12,
        prop::sample::select(vec!["UTC", "Europe/Berlin", "America/New_York"]),
    );
    let one = one.prop_map(|(hour, days, hours, timezone)| Window {
        start: format!("30 {hour} * * {days}"),
        duration_s: hours * 3600,
        timezone: timezone.to_owned(),
    });
    prop::collection::vec(one, 0..3)
}

fn rule() -> impl Strategy<Value = Exception> {
    let behavior = prop::sample::select(vec![
        Behavior::Drain,
        Behavior::Skip,
        Behavior::WaitCompleted,
    ]);
    (
        any::<bool>(),
        any::<bool>(),
        behavior,
        0_u32..4,
        prop::option::of(0_u64..90),
        prop::option::of(1_u64..7200),
    )
        .prop_map(
            |(selects, in_shop, behavior, order, grace_period_s, timeout_s)| Exception {
                selector: selects.then(|| LabelSelector {
                    match_labels: BTreeMap::from([("app".to_owned(), "web".to_owned())]),
                    match_expressions: Vec::new(),
                }),
                namespace: in_shop.then(|| "shop".to_owned()),
                behavior,
                order,
                delete_empty_dir_data: None,
                grace_period_s,
                timeout_s,
            },
        )
}

/// Half of them ask for nothing of a kind.
pub fn declared() -> impl Strategy<Value = Declared> {
    let seconds = || prop::sample::select(vec![0_u64, 0, 60, 600]);
    (
        gates(),
        prop_oneof![Just(Vec::new()), hooks()],
        seconds(),
        prop::collection::vec(seconds(), 0..=POOLS.len()),
        prop::collection::vec(0..=POOLS.len(), 8),
        windows(),
        prop::collection::vec(rule(), 0..3),
    )
        .prop_map(
            |(gates, hooks, pause, groups, pools, windows, rules)| Declared {
                gates,
                hooks,
                pause: Duration::from_secs(pause),
                groups,
                pools,
                windows,
                rules,
            },
        )
}

impl Declared {
    /// Asks for it.
    pub fn of(self, world: &mut World) {
        let workers: Vec<String> = world
            .inventory
            .hosts
            .keys()
            .map(ToString::to_string)
            .filter(|name| name.starts_with('w'))
            .collect();
        for (name, pool) in workers.iter().zip(self.pools) {
            if let Some(pool) = POOLS.get(pool) {
                let labels = &mut world.node(name).labels;
                labels.insert("pool".to_owned(), (*pool).to_owned());
            }
        }
        let upgrade = &mut world.upgrade;
        upgrade.gates = self.gates;
        upgrade.hooks = self.hooks;
        upgrade.control_plane.pause = self.pause;
        upgrade.workers.order = POOLS
            .iter()
            .zip(self.groups)
            .map(|(pool, soak_s)| group(pool, soak_s))
            .collect();
        upgrade.windows = self.windows;
        upgrade.drain.rules = self.rules;
    }
}

/// The workers of a pool.
pub fn group(pool: &str, soak_s: u64) -> OrderGroup {
    OrderGroup {
        selector: LabelSelector {
            match_labels: BTreeMap::from([("pool".to_owned(), pool.to_owned())]),
            match_expressions: Vec::new(),
        },
        soak: Duration::from_secs(soak_s),
    }
}

/// A gate at each place.
pub fn everywhere() -> Vec<Gate> {
    let named = |at: GatePoint| Gate {
        name: at.as_str().to_owned(),
        at,
        condition: Condition::Approval {
            by: vec!["alice".to_owned(), "bob".to_owned()],
            expires_s: 12 * 3600,
        },
    };
    POINTS.map(named).into()
}
