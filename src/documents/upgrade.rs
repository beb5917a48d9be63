//! The upgrade: what its values must agree on, and the settings made of it.

mod hooks;

use std::collections::BTreeMap;

use crate::rules::eviction::{Behavior, Exception};
use crate::rules::hazards::Acceptance;
use crate::rules::version::{Minor, Version};

use super::error::{DocumentError, Problem, Span};
use super::settings::{
    Condition, ControlPlaneStrategy, DrainPolicy, Gate, GatePoint, KeySource, Kubeadm, NoData,
    OrderGroup, Packages, PrometheusServer, SecretSource, SnapshotPolicy, UnmanagedPods, Upgrade,
    WhenBlocked, Window, WorkerStrategy,
};
use super::table::METADATA;
use super::table::upgrade::{
    APPROVAL, CONTROL_PLANE, DRAIN, GATE, KUBEADM, ORDER, PACKAGES, PROMETHEUS, RISK, RULE, SECRET,
    SNAPSHOT, STRATEGY, UPGRADE, WINDOW, WORKERS,
};
use super::tree::Node;
use super::view::{Paths, View};
use super::{format, selector, url};

/// What the upgrade's values must agree on.
pub(super) fn check_across(root: &Node, paths: Paths<'_>, errors: &mut Vec<DocumentError>) {
    let view = View {
        node: Some(root),
        object: &UPGRADE,
    };
    paths.check(view.node("inventory"), errors);
    if let Some(key) = view
        .sub("packages", &PACKAGES)
        .node("key")
        .filter(|key| key.text().is_some_and(|text| !url::is_url(text)))
    {
        paths.check(Some(key), errors);
    }
    paths.check(view.sub("snapshot", &SNAPSHOT).node("directory"), errors);
    for file in view.items("hazards") {
        paths.check(Some(file), errors);
    }
    via(view, errors);
    drain_rules(view, errors);
    deferral(view, errors);
    gates(view, paths, errors);
    hooks::check(view, errors);
}

fn via(view: View<'_>, errors: &mut Vec<DocumentError>) {
    let target = view
        .node("target")
        .and_then(|node| Some((node.span, node.text()?.parse::<Version>().ok()?)));
    for entry in view.node("via").map(Node::entries).unwrap_or_default() {
        let Some(release) = entry
            .value
            .text()
            .and_then(|text| text.parse::<Version>().ok())
        else {
            continue;
        };
        if let Ok(minor) = entry.key.parse::<Minor>()
            && release.minor() != minor
        {
            errors.push(
                DocumentError::at(
                    Problem::Conflict,
                    entry.value.span,
                    format!("{release} is not a release of {minor}"),
                    format!("expected a release of {minor}"),
                )
                .also(entry.key_span, "the minor"),
            );
        }
        let Some((span, target)) = &target else {
            continue;
        };
        let conflict = |message: String, expected: String| {
            DocumentError::at(Problem::Conflict, entry.value.span, message, expected)
                .also(*span, "the target")
        };
        if release > *target {
            errors.push(conflict(
                format!("{release} is above the target"),
                format!("expected a release before {target}"),
            ));
        } else if release.minor() == target.minor() && release != *target {
            errors.push(conflict(
                format!(
                    "{release} is on the way to {}, where the target is",
                    target.minor()
                ),
                "leave it out: the target says which release of its own minor".to_owned(),
            ));
        }
    }
}

fn drain_rules(view: View<'_>, errors: &mut Vec<DocumentError>) {
    for rule in view.sub("drain", &DRAIN).items("rules") {
        let set = |name: &str| rule.get(name).filter(|entry| !entry.value.is_null());
        if let (Some(behavior), Some(timeout)) = (set("behavior"), set("timeout"))
            && behavior.value.text() == Some("skip")
        {
            errors.push(
                DocumentError::at(
                    Problem::Conflict,
                    timeout.key_span,
                    "`timeout` has no meaning for pods that stay",
                    "leave it out: nobody waits for them",
                )
                .also(behavior.value.span, "they stay"),
            );
        }
    }
}

/// Of the two keys that put nodes off, each alone would do nothing.
fn deferral(view: View<'_>, errors: &mut Vec<DocumentError>) {
    let drain = view.sub("drain", &DRAIN);
    let workers = view.sub("strategy", &STRATEGY).sub("workers", &WORKERS);
    let defers = drain.text("blocked") == Some("defer");
    match (defers, workers.count("maxDeferred")) {
        (true, Some(0)) => errors.extend(drain.node("blocked").map(|blocked| {
            DocumentError::at(
                Problem::Conflict,
                blocked.span,
                "no node may be put off: `strategy.workers.maxDeferred` is 0",
                "expected `halt`, or a `strategy.workers.maxDeferred` of at least 1",
            )
        })),
        (false, Some(count)) if count > 0 => {
            errors.extend(workers.node("maxDeferred").map(|deferred| {
                DocumentError::at(
                    Problem::Conflict,
                    deferred.span,
                    "no node is ever put off: `drain.blocked` is `halt`",
                    "leave it out, or write `blocked: defer` in `drain`",
                )
            }));
        }
        (true | false, _) => {}
    }
}

fn gates(view: View<'_>, paths: Paths<'_>, errors: &mut Vec<DocumentError>) {
    let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
    for gate in view.items("gates") {
        let name = gate.get("name").map(|entry| &entry.value);
        if let Some((name, text)) = name.and_then(|node| Some((node, node.text()?))) {
            if let Some(first) = seen.get(text) {
                errors.push(
                    DocumentError::at(
                        Problem::Conflict,
                        name.span,
                        format!("there is another gate `{text}`"),
                        "expected a name of its own, by which plans and `refit approve` know it",
                    )
                    .also(*first, "the first"),
                );
            }
            seen.entry(text).or_insert(name.span);
        }
        let set = |name: &str| gate.get(name).filter(|entry| !entry.value.is_null());
        if let Some(command) = set("command") {
            if command.value.items().is_empty() {
                errors.push(DocumentError::at(
                    Problem::BadValue,
                    command.value.span,
                    "the command has no words",
                    "expected at least the program's name",
                ));
            }
            holds_in_time(gate, errors);
        }
        if let Some(prometheus) = set("prometheus") {
            holds_in_time(gate, errors);
            asks(&prometheus.value, paths, errors);
        }
        let Some(approval) = set("approval") else {
            continue;
        };
        if let Some(by) = approval.value.get("by")
            && by.value.items().is_empty()
        {
            errors.push(DocumentError::at(
                Problem::BadValue,
                by.value.span,
                "nobody may give the approval",
                "expected at least one name",
            ));
        }
        for key in ["for", "timeout"] {
            if let Some(entry) = set(key) {
                errors.push(
                    DocumentError::at(
                        Problem::Conflict,
                        entry.key_span,
                        format!("`{key}` has no meaning for an approval"),
                        "leave it out; `approval.expires` says how long an approval counts",
                    )
                    .also(approval.key_span, "the approval"),
                );
            }
        }
    }
}

/// What a query takes besides its words.
fn asks(prometheus: &Node, paths: Paths<'_>, errors: &mut Vec<DocumentError>) {
    let view = View {
        node: Some(prometheus),
        object: &PROMETHEUS,
    };
    paths.check(view.sub("tokenFrom", &SECRET).node("file"), errors);
    paths.check(view.node("caFile"), errors);
    if let (Some(file), Some(url)) = (view.node("caFile"), view.node("url"))
        && url.text().is_some_and(|url| url.starts_with("http://"))
    {
        errors.push(
            DocumentError::at(
                Problem::Conflict,
                file.span,
                "a server without a certificate needs no authority for it",
                "leave it out, or write https",
            )
            .also(url.span, "the server"),
        );
    }
}

/// What must hold for longer than it is waited for never does.
fn holds_in_time(gate: &Node, errors: &mut Vec<DocumentError>) {
    let view = View {
        node: Some(gate),
        object: &GATE,
    };
    if let (Some(holds), Some(waits)) = (view.duration("for"), view.duration("timeout"))
        && holds >= waits
    {
        let span = gate.get("for").map_or(gate.span, |entry| entry.value.span);
        errors.push(DocumentError::at(
            Problem::Conflict,
            span,
            format!(
                "it must hold for {} s and is waited for {} s",
                holds.as_secs(),
                waits.as_secs()
            ),
            "expected a `timeout` that is longer than `for`",
        ));
    }
}

/// The settings; none when the tree has errors.
pub(super) fn build(root: &Node, paths: Paths<'_>) -> Option<Upgrade> {
    let view = View {
        node: Some(root),
        object: &UPGRADE,
    };
    let strategy = view.sub("strategy", &STRATEGY);
    Some(Upgrade {
        name: view.sub("metadata", &METADATA).text("name")?.to_owned(),
        inventory: paths.resolve(view.text("inventory")?)?,
        target: view.text("target")?.parse().ok()?,
        via: releases(view)?,
        max_facts_age: view.duration("maxFactsAge")?,
        packages: packages(view.sub("packages", &PACKAGES), paths)?,
        kubeadm: kubeadm(view.sub("kubeadm", &KUBEADM))?,
        control_plane: control_plane(strategy.sub("controlPlane", &CONTROL_PLANE))?,
        workers: workers(strategy.sub("workers", &WORKERS))?,
        drain: drain(view.sub("drain", &DRAIN), strategy.sub("workers", &WORKERS))?,
        snapshot: snapshot(view.sub("snapshot", &SNAPSHOT), paths)?,
        windows: windows(view)?,
        gates: gate_list(view, paths)?,
        hooks: hooks::build(view, &folder(paths))?,
        accepted_risks: risks(view)?,
        own_hazards: Vec::new(),
    })
}

fn releases(view: View<'_>) -> Option<BTreeMap<Minor, Version>> {
    let entries = view.node("via").map(Node::entries).unwrap_or_default();
    entries
        .iter()
        .map(|entry| Some((entry.key.parse().ok()?, entry.value.text()?.parse().ok()?)))
        .collect()
}

fn packages(view: View<'_>, paths: Paths<'_>) -> Option<Packages> {
    let key = view.text("key")?;
    Some(Packages {
        repository: view.text("repository")?.to_owned(),
        key: if url::is_url(key) {
            KeySource::Url(key.to_owned())
        } else {
            KeySource::File(paths.resolve(key)?)
        },
        repo_file: view.text("repoFile").map(str::to_owned),
    })
}

fn kubeadm(view: View<'_>) -> Option<Kubeadm> {
    let mut ignored = view.texts("ignorePreflightErrors");
    ignored.sort();
    ignored.dedup();
    Some(Kubeadm {
        ignore_preflight_errors: ignored,
        patches: view.text("patches").map(str::to_owned),
        skip_phases: view.texts("skipPhases"),
        etcd_upgrade: view.flag("etcdUpgrade")?,
        certificate_renewal: view.flag("certificateRenewal")?,
    })
}

fn control_plane(view: View<'_>) -> Option<ControlPlaneStrategy> {
    Some(ControlPlaneStrategy {
        drain: view.flag("drain")?,
        pause: view.duration("pause")?,
    })
}

fn workers(view: View<'_>) -> Option<WorkerStrategy> {
    let order = view.items("order").iter().map(|node| {
        let group = View {
            node: Some(node),
            object: &ORDER,
        };
        Some(OrderGroup {
            selector: selector::parse(group.text("selector")?).ok()?,
            soak: group.duration("soak")?,
        })
    });
    Some(WorkerStrategy {
        max_unavailable: format::share(view.text("maxUnavailable")?)?,
        topology_key: view.text("topologyKey").map(str::to_owned),
        order: order.collect::<Option<_>>()?,
        skip_level: view.flag("skipLevel")?,
    })
}

fn drain(view: View<'_>, workers: View<'_>) -> Option<DrainPolicy> {
    let grace_period = match view.node("gracePeriod") {
        Some(_) => Some(view.duration("gracePeriod")?),
        None => None,
    };
    Some(DrainPolicy {
        timeout: view.duration("timeout")?,
        grace_period,
        delete_empty_dir_data: view.flag("deleteEmptyDirData")?,
        unmanaged_pods: match view.text("unmanagedPods")? {
            "refuse" => UnmanagedPods::Refuse,
            "evict" => UnmanagedPods::Evict,
            _ => return None,
        },
        blocked: match view.text("blocked")? {
            "defer" => WhenBlocked::Defer {
                at_most: workers.count("maxDeferred")?,
            },
            "halt" => WhenBlocked::Halt,
            _ => return None,
        },
        avoid_outdated: view.flag("avoidOutdated")?,
        rules: view
            .items("rules")
            .iter()
            .map(drain_rule)
            .collect::<Option<_>>()?,
    })
}

fn drain_rule(node: &Node) -> Option<Exception> {
    let rule = View {
        node: Some(node),
        object: &RULE,
    };
    Some(Exception {
        selector: match rule.text("selector") {
            Some(text) => Some(selector::parse(text).ok()?),
            None => None,
        },
        namespace: rule.text("namespace").map(str::to_owned),
        behavior: match rule.text("behavior")? {
            "drain" => Behavior::Drain,
            "skip" => Behavior::Skip,
            "wait-completed" => Behavior::WaitCompleted,
            _ => return None,
        },
        order: rule.count("order")?,
        delete_empty_dir_data: match rule.node("deleteEmptyDirData") {
            Some(_) => Some(rule.flag("deleteEmptyDirData")?),
            None => None,
        },
        grace_period_s: match rule.node("gracePeriod") {
            Some(_) => Some(rule.duration("gracePeriod")?.as_secs()),
            None => None,
        },
        timeout_s: match rule.node("timeout") {
            Some(_) => Some(rule.duration("timeout")?.as_secs()),
            None => None,
        },
    })
}

fn windows(view: View<'_>) -> Option<Vec<Window>> {
    let windows = view.items("windows").iter().map(|node| {
        let window = View {
            node: Some(node),
            object: &WINDOW,
        };
        Some(Window {
            start: window.text("start")?.to_owned(),
            duration_s: window.duration("duration")?.as_secs(),
            timezone: window.text("timezone")?.to_owned(),
        })
    });
    windows.collect()
}

/// The document's folder, to run things in.
fn folder(paths: Paths<'_>) -> String {
    let folder = paths.folder.to_string_lossy();
    if folder.is_empty() {
        ".".to_owned()
    } else {
        folder.into_owned()
    }
}

fn gate_list(view: View<'_>, paths: Paths<'_>) -> Option<Vec<Gate>> {
    view.items("gates")
        .iter()
        .map(|node| {
            let gate = View {
                node: Some(node),
                object: &GATE,
            };
            let (for_s, timeout_s) = (gate.duration("for")?, gate.duration("timeout")?);
            let (for_s, timeout_s) = (for_s.as_secs(), timeout_s.as_secs());
            let condition = if gate.node("approval").is_some() {
                let approval = gate.sub("approval", &APPROVAL);
                Condition::Approval {
                    by: approval.texts("by"),
                    expires_s: approval.duration("expires")?.as_secs(),
                }
            } else if gate.node("prometheus").is_some() {
                let asked = gate.sub("prometheus", &PROMETHEUS);
                Condition::Prometheus {
                    server: server(asked, paths)?,
                    query: asked.text("query")?.to_owned(),
                    expect: asked.text("expect")?.parse().ok()?,
                    no_data: match asked.text("noData")? {
                        "fail" => NoData::Fail,
                        "pass" => NoData::Pass,
                        _ => return None,
                    },
                    for_s,
                    timeout_s,
                }
            } else {
                Condition::Command {
                    run: gate.texts("command"),
                    directory: folder(paths),
                    for_s,
                    timeout_s,
                }
            };
            Some(Gate {
                name: gate.text("name")?.to_owned(),
                at: match gate.text("at")? {
                    "before-hop" => GatePoint::BeforeHop,
                    "after-control-plane" => GatePoint::AfterControlPlane,
                    "before-workers" => GatePoint::BeforeWorkers,
                    "after-each-wave" => GatePoint::AfterEachWave,
                    "after-hop" => GatePoint::AfterHop,
                    _ => return None,
                },
                condition,
            })
        })
        .collect()
}

fn server(view: View<'_>, paths: Paths<'_>) -> Option<PrometheusServer> {
    let file = |text: &str| Some(paths.resolve(text)?.to_string_lossy().into_owned());
    let token = view.sub("tokenFrom", &SECRET);
    Some(PrometheusServer {
        url: view.text("url")?.trim_end_matches('/').to_owned(),
        token: match (token.text("env"), token.text("file")) {
            (Some(variable), _) => Some(SecretSource::Env(variable.to_owned())),
            (None, Some(path)) => Some(SecretSource::File(file(path)?)),
            (None, None) => None,
        },
        ca_file: match view.text("caFile") {
            Some(path) => Some(file(path)?),
            None => None,
        },
    })
}

fn risks(view: View<'_>) -> Option<Vec<Acceptance>> {
    view.items("acceptRisks")
        .iter()
        .map(|node| {
            let risk = View {
                node: Some(node),
                object: &RISK,
            };
            Some(Acceptance {
                id: risk.text("id")?.to_owned(),
                hop: risk.text("hop")?.parse().ok()?,
                reason: risk.text("reason")?.to_owned(),
                until: risk.text("until")?.parse().ok()?,
            })
        })
        .collect()
}

fn snapshot(view: View<'_>, paths: Paths<'_>) -> Option<SnapshotPolicy> {
    let directory = view.text("directory")?;
    Some(SnapshotPolicy {
        // Snapshots belong to the run, not to the document: relative to where refit works.
        directory: if directory.starts_with('~') {
            paths.resolve(directory)?
        } else {
            directory.into()
        },
        keep: view.count("keep")?,
        trial_restore: view.flag("trialRestore")?,
        encrypt_to: view.texts("encryptTo"),
    })
}
