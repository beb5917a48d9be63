//! Documents as users write them: the shipped ones, one that uses every field, and malformed ones kept as files.
//!
//! `REFIT_BLESS=1 cargo test --test pure documents` rewrites the expected texts and the JSON Schemas; read the difference.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use refit::documents::{
    Environment, Kind, MAX_BYTES, Problem, Style, hazards_schema, json_schema, kind_of,
    load_upgrade, read_inventory, read_upgrade, validate,
};

/// Far more than any document takes, even on a busy machine; far less than one that expands or backtracks.
const LONGEST: Duration = Duration::from_secs(20);

fn home() -> Environment {
    Environment {
        home: Some("/home/ops".into()),
        names: None,
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?
        .take(MAX_BYTES as u64 + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Compares with a committed file, or rewrites it.
fn expect_file(path: &Path, actual: &str) -> bool {
    if std::env::var_os("REFIT_BLESS").is_some() {
        std::fs::write(path, actual).unwrap();
    }
    std::fs::read_to_string(path).is_ok_and(|expected| expected == actual)
}

fn malformed() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir("tests/documents/bad")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_none_or(|extension| extension != "stderr")
        })
        .collect();
    files.sort();
    files
}

#[test]
fn every_malformed_document_is_refused_with_its_errors() {
    let files = malformed();
    assert!(files.len() >= 30, "{} files", files.len());
    let mut wrong = Vec::new();
    for file in files {
        let started = Instant::now();
        let validation = validate(std::slice::from_ref(&file), &home(), &read, Style::Plain);
        assert!(
            started.elapsed() < LONGEST,
            "{} took {:?}",
            file.display(),
            started.elapsed()
        );
        assert!(!validation.is_valid(), "{} is valid", file.display());
        assert_eq!(validation.valid, "", "{}", file.display());
        if !expect_file(&file.with_extension("stderr"), &validation.errors) {
            wrong.push(format!("{}:\n{}", file.display(), validation.errors));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_shipped_documents_are_valid() {
    let files = ["inventories/lab.yaml", "plans/to-1.35.yaml"].map(PathBuf::from);
    let validation = validate(&files, &home(), &read, Style::Plain);
    assert_eq!(validation.errors, "");
    assert_eq!(
        validation.valid,
        "inventories/lab.yaml: ok, inventory `lab` of 5 hosts\nplans/to-1.35.yaml: ok, upgrade `lab-to-1.35` to 1.35.4 of 5 hosts\n"
    );
}

#[test]
fn every_field_is_known_and_what_is_not_built_is_refused() {
    let inventory = Path::new("tests/documents/full/inventory.yaml");
    assert_eq!(
        read_inventory(inventory, &read(inventory).unwrap(), &home())
            .unwrap()
            .hosts
            .len(),
        7
    );
    let upgrade = Path::new("tests/documents/full/upgrade.yaml");
    let errors = read_upgrade(upgrade, &read(upgrade).unwrap(), &home()).unwrap_err();
    assert!(
        errors
            .errors
            .iter()
            .all(|error| error.problem == Problem::NotSupportedYet),
        "{errors}"
    );
    let refused: Vec<&str> = errors
        .errors
        .iter()
        .filter_map(|error| error.message.split('`').nth(1))
        .collect();
    assert_eq!(refused, ["notify"]);
}

#[test]
fn rules_of_the_drain_are_read_as_written() {
    use refit::rules::eviction::Behavior;
    let head = "apiVersion: refit/v1alpha1\nkind: Upgrade\nmetadata: {name: x}\ninventory: i.yaml\ntarget: 1.36.3\n";
    let upgrade = |rules: &str| {
        let text = format!("{head}drain: {{rules: [{rules}]}}\n");
        read_upgrade(Path::new("plans/x.yaml"), text.as_bytes(), &home())
    };
    let read = upgrade(
        "{selector: 'app in (a, b)', namespace: shop, behavior: wait-completed, order: 3, deleteEmptyDirData: false, gracePeriod: 2m}, {}",
    )
    .unwrap();
    let [rule, all] = read.drain.rules.as_slice() else {
        panic!("{:?}", read.drain.rules)
    };
    assert_eq!(
        rule.to_string(),
        "app in (a, b) in shop: wait-completed, order 3, emptyDir data may not go, 120 s to end"
    );
    assert_eq!(all.behavior, Behavior::Drain);
    assert_eq!(all.to_string(), "all pods: drain");
    let own = upgrade("{selector: app=db, timeout: 30m}").unwrap();
    assert_eq!(own.drain.rules[0].timeout_s, Some(1800));
    assert_eq!(
        own.drain.rules[0].to_string(),
        "app=db: drain, gone within 1800 s"
    );
    let errors = upgrade("{behavior: skip, timeout: 5m}")
        .unwrap_err()
        .to_string();
    assert!(
        errors.contains("`timeout` has no meaning for pods that stay"),
        "{errors}"
    );
    let errors = upgrade("{timeout: 0s}, {behavior: ignore}, {selector: 'a b'}")
        .unwrap_err()
        .to_string();
    for part in [
        "drain.rules[0].timeout",
        "drain.rules[1].behavior",
        "drain.rules[2].selector",
    ] {
        assert!(errors.contains(part), "{part}: {errors}");
    }
}

#[test]
fn the_full_upgrade_without_what_is_not_built_is_read_as_written() {
    use refit::documents::settings::{KeySource, Share};
    let path = Path::new("plans/full.yaml");
    let text = std::fs::read_to_string("tests/documents/full/upgrade.yaml").unwrap();
    let text = text
        .replace("maxDeferred: 1", "maxDeferred: 0")
        .replace("blocked: defer", "blocked: halt");
    let end = text.find("gates:").unwrap();
    let upgrade = read_upgrade(path, &text.as_bytes()[..end], &home())
        .unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(upgrade.inventory, Path::new("plans/inventory.yaml"));
    assert_eq!(upgrade.target.to_string(), "1.36.3");
    assert_eq!(
        upgrade
            .via
            .iter()
            .map(|(minor, release)| format!("{minor}={release}"))
            .collect::<Vec<_>>(),
        ["1.35=1.35.4"]
    );
    assert_eq!(upgrade.max_facts_age, Duration::from_secs(86_400));
    assert_eq!(
        upgrade.packages.key,
        KeySource::Url(
            "https://pkgs.k8s.io/core:/stable:/v{minor}/{format}/Release.key".to_owned()
        )
    );
    assert_eq!(upgrade.workers.max_unavailable, Share::Percent(20));
    let soaks = upgrade
        .workers
        .order
        .iter()
        .map(|group| group.soak.as_secs());
    assert_eq!(soaks.collect::<Vec<_>>(), [600, 0]);
    assert_eq!(upgrade.control_plane.pause, Duration::ZERO);
    assert_eq!(upgrade.drain.timeout, Duration::from_secs(900));
    assert_eq!(upgrade.snapshot.directory, Path::new(".refit/snapshots"));
    let [window] = upgrade.windows.as_slice() else {
        panic!("{:?}", upgrade.windows)
    };
    assert_eq!(
        (
            window.start.as_str(),
            window.duration_s,
            window.timezone.as_str()
        ),
        ("0 2 * * SUN", 4 * 3600, "Europe/Berlin")
    );
    // The same values are the defaults, but for the target, the order, `via` and the windows.
    let short = "apiVersion: refit/v1alpha1\nkind: Upgrade\nmetadata: {name: lab-to-1.36}\ninventory: inventory.yaml\ntarget: 1.36.3\n";
    let mut defaults = read_upgrade(path, short.as_bytes(), &home()).unwrap();
    defaults.via = upgrade.via.clone();
    defaults.workers.order = upgrade.workers.order.clone();
    defaults.windows = upgrade.windows.clone();
    assert_eq!(defaults, upgrade);
}

#[test]
fn gates_are_read_as_written() {
    use refit::documents::settings::{Condition, Gate, GatePoint};
    let text = "apiVersion: refit/v1alpha1\nkind: Upgrade\nmetadata: {name: u}\ninventory: inventory.yaml\ntarget: 1.36.3\n\
        gates:\n  - {name: smoke, at: after-control-plane, for: 2m, command: [./smoke.sh, --all]}\n\
        \x20 - {name: sign-off, at: before-workers, approval: {by: [alice, bob]}}\n";
    let gates = |path: &str| {
        let read = read_upgrade(Path::new(path), text.as_bytes(), &home());
        read.unwrap_or_else(|errors| panic!("{errors}")).gates
    };
    let smoke = |directory: &str| Gate {
        name: "smoke".into(),
        at: GatePoint::AfterControlPlane,
        condition: Condition::Command {
            run: vec!["./smoke.sh".into(), "--all".into()],
            directory: directory.into(),
            for_s: 120,
            timeout_s: 600,
        },
    };
    let sign_off = Gate {
        name: "sign-off".into(),
        at: GatePoint::BeforeWorkers,
        condition: Condition::Approval {
            by: vec!["alice".into(), "bob".into()],
            expires_s: 12 * 3600,
        },
    };
    assert_eq!(gates("plans/u.yaml"), [smoke("plans"), sign_off.clone()]);
    assert_eq!(gates("u.yaml"), [smoke("."), sign_off]);
}

#[test]
fn queries_of_gates_are_read_as_written() {
    use refit::documents::settings::{Condition, NoData, PrometheusServer, SecretSource};
    let head = "apiVersion: refit/v1alpha1\nkind: Upgrade\nmetadata: {name: u}\ninventory: inventory.yaml\ntarget: 1.36.3\ngates:\n";
    let gates = |text: &str| {
        let text = format!("{head}{text}");
        let read = read_upgrade(Path::new("plans/u.yaml"), text.as_bytes(), &home());
        read.unwrap_or_else(|errors| panic!("{errors}")).gates
    };
    let full = gates(
        "  - {name: e, at: after-each-wave, for: 2m, prometheus: {url: 'https://prom:9090/x/', query: 'up{a=\"b\"}', \
         expect: '>=0.5', noData: pass, tokenFrom: {file: ./token}, caFile: ~/ca.pem}}\n",
    );
    let condition = Condition::Prometheus {
        server: PrometheusServer {
            url: "https://prom:9090/x".into(),
            token: Some(SecretSource::File("plans/token".into())),
            ca_file: Some("/home/ops/ca.pem".into()),
        },
        query: "up{a=\"b\"}".into(),
        expect: ">= 0.5".parse().unwrap(),
        no_data: NoData::Pass,
        for_s: 120,
        timeout_s: 600,
    };
    assert_eq!(full[0].condition, condition);
    let text = serde_json::to_string(&condition).unwrap();
    assert_eq!(serde_json::from_str::<Condition>(&text).unwrap(), condition);
    assert_eq!(full[0].shows_its_token(), None);

    let short = gates(
        "  - {name: e, at: after-hop, prometheus: {url: 'http://[::1]', query: up, expect: < 1, tokenFrom: {env: T}}}\n",
    );
    let Condition::Prometheus {
        server, no_data, ..
    } = &short[0].condition
    else {
        panic!("{short:?}")
    };
    assert_eq!(server.token, Some(SecretSource::Env("T".into())));
    assert_eq!((*no_data, &server.ca_file), (NoData::Fail, &None));
    // A token that stays here, or goes by https, is shown to nobody.
    for (url, shown) in [
        ("http://prom.example.org:9090", Some("prom.example.org")),
        ("http://10.0.0.7/x", Some("10.0.0.7")),
        ("http://[fd00::1]:9090", Some("fd00::1")),
        (
            "http://localhost.example.org",
            Some("localhost.example.org"),
        ),
        ("http://localhost:9090", None),
        ("http://127.0.0.2", None),
        ("http://[::1]:9090", None),
        ("https://prom.example.org", None),
    ] {
        let server = |token| PrometheusServer {
            url: url.into(),
            token,
            ca_file: None,
        };
        let env = Some(SecretSource::Env("T".into()));
        assert_eq!(server(env).shows_its_token_to_the_way(), shown, "{url}");
        assert_eq!(server(None).shows_its_token_to_the_way(), None);
    }
}

#[test]
fn hooks_are_read_as_written() {
    use refit::documents::settings::{Hook, HookPlace, HookPoint, Rerun};
    let head = "apiVersion: refit/v1alpha1\nkind: Upgrade\nmetadata: {name: u}\ninventory: inventory.yaml\ntarget: 1.36.3\n";
    let full = std::fs::read_to_string("tests/documents/full/upgrade.yaml").unwrap();
    let (from, to) = (full.find("hooks:"), full.find("acceptRisks:"));
    let text = format!(
        "{head}{}  - {{name: tell, at: drained, on: this-machine, run: [./tell.sh, \"{{node}}\"]}}\n",
        &full[from.unwrap()..to.unwrap()]
    );
    let read = read_upgrade(Path::new("plans/u.yaml"), text.as_bytes(), &home());
    let hooks = read.unwrap_or_else(|errors| panic!("{errors}")).hooks;
    let words = |words: &[&str]| -> Vec<String> { words.iter().map(|&word| word.into()).collect() };
    let tell = Hook {
        name: "tell".into(),
        at: HookPoint::Drained,
        on: HookPlace::ThisMachine,
        run: words(&["./tell.sh", "{node}"]),
        check: None,
        env: BTreeMap::new(),
        directory: "plans".into(),
        timeout_s: 600,
        expected_s: None,
        reboots: false,
        rerun: Rerun::Never,
    };
    let cni = Hook {
        name: "cni".into(),
        at: HookPoint::AfterControlPlane,
        on: HookPlace::FirstControlPlane,
        run: words(&["kubectl", "apply", "-f", "/opt/cni-{minor}.yaml"]),
        env: [(
            "KUBECONFIG".to_owned(),
            "/etc/kubernetes/admin.conf".to_owned(),
        )]
        .into(),
        timeout_s: 300,
        rerun: Rerun::Safe,
        ..tell.clone()
    };
    let patches = Hook {
        name: "os-patches".into(),
        on: HookPlace::EachWorker,
        run: words(&["/usr/local/sbin/patch-os"]),
        check: Some(words(&["/usr/local/sbin/patch-os", "--done"])),
        timeout_s: 1800,
        expected_s: Some(720),
        reboots: true,
        rerun: Rerun::Check,
        ..tell.clone()
    };
    assert_eq!(hooks, [cni, patches, tell]);
}

/// Each pair of `at` and `on` is read or refused as `documents::hook` says, which has the table.
#[test]
fn pairs_of_hooks_without_a_meaning_are_refused() {
    use refit::documents::settings::{Hook, HookPlace, HookPoint};
    let head = "apiVersion: refit/v1alpha1\nkind: Upgrade\nmetadata: {name: u}\ninventory: inventory.yaml\ntarget: 1.36.3\n";
    let mut refused = 0;
    for at in HookPoint::ALL {
        for on in HookPlace::ALL {
            let text = format!(
                "{head}hooks: [{{name: x, at: {}, on: {}, run: [x]}}]\n",
                at.as_str(),
                on.as_str()
            );
            let read = read_upgrade(Path::new("u.yaml"), text.as_bytes(), &home());
            match (Hook::refused(at, on), read) {
                (None, Ok(read)) => assert_eq!((read.hooks[0].at, read.hooks[0].on), (at, on)),
                (Some(why), Err(errors)) => {
                    refused += 1;
                    let [error] = errors.errors.as_slice() else {
                        panic!("{errors}")
                    };
                    assert_eq!(error.help.as_deref(), Some(why));
                }
                (expected, read) => panic!("{at:?} {on:?}: {expected:?} {read:?}"),
            }
        }
    }
    assert_eq!(refused, 5);
}

#[test]
fn the_full_inventory_is_read_as_written() {
    use refit::documents::settings::Become;
    let path = Path::new("inventories/full.yaml");
    let inventory = read_inventory(
        path,
        &read(Path::new("tests/documents/full/inventory.yaml")).unwrap(),
        &home(),
    )
    .unwrap();
    assert_eq!(inventory.kubeconfig, Path::new("inventories/kubeconfig"));
    let hosts: Vec<String> = inventory
        .hosts
        .values()
        .map(|host| {
            format!(
                "{} {} {} {:?} {}",
                host.name,
                host.address,
                host.node,
                host.role,
                host.labels.get("pool").map_or("-", String::as_str)
            )
        })
        .collect();
    assert_eq!(
        hosts,
        [
            "cp1 10.77.0.11 cp1 ControlPlane -",
            "cp2 10.77.0.12 cp2 ControlPlane -",
            "cp3 10.77.0.13 cp3 ControlPlane -",
            "host-04 10.77.0.24 w4 Worker general",
            "w1 10.77.0.21 w1 Worker canary",
            "w2 10.77.0.22 w2 Worker general",
            "w3 10.77.0.23 w3 Worker general",
        ]
    );
    for host in inventory.hosts.values() {
        assert_eq!(
            host.ssh.identity_file.as_deref(),
            Some(Path::new("/home/ops/.ssh/lab_ed25519"))
        );
        assert_eq!(
            host.ssh.known_hosts.as_deref(),
            Some(Path::new("inventories/known_hosts"))
        );
        assert_eq!(
            (
                host.ssh.user.as_str(),
                host.ssh.port,
                host.ssh.jump.as_ref(),
                host.ssh.become_root
            ),
            ("ops", 22, None, Become::Sudo)
        );
    }
}

#[test]
fn a_document_of_50_mb_is_refused_before_it_is_read() {
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    file.as_file().set_len(50_000_000).unwrap();
    let started = Instant::now();
    let validation = validate(&[file.path().to_owned()], &home(), &read, Style::Plain);
    assert!(started.elapsed() < LONGEST);
    assert!(
        validation
            .errors
            .contains("larger than 1024 KiB: this is no document of refit"),
        "{}",
        validation.errors
    );
    // The same through memory, where nobody has limited the reading.
    assert_eq!(
        kind_of(file.path(), &vec![b'#'; 50_000_000])
            .unwrap_err()
            .errors[0]
            .problem,
        Problem::TooLarge
    );
}

#[test]
fn an_inventory_of_5000_nodes_is_read() {
    let mut text = String::from(
        "apiVersion: refit/v1alpha1\nkind: Inventory\nmetadata: {name: large}\nssh: {user: ops}\ngroups:\n  cp: {role: control-plane, hosts: [{name: cp1}]}\n  w:\n    role: worker\n    hosts:\n",
    );
    for at in 0..5000 {
        text.push_str(&format!("    - {{name: worker-{at:04}, address: 10.{}.{}.7, nodeName: worker-{at:04}.example.org}}\n", at / 250, at % 250));
    }
    let started = Instant::now();
    assert_eq!(
        read_inventory(Path::new("large.yaml"), text.as_bytes(), &home())
            .unwrap_or_else(|errors| panic!("{errors}"))
            .hosts
            .len(),
        5001
    );
    assert!(started.elapsed() < LONGEST, "{:?}", started.elapsed());
}

#[test]
fn the_committed_json_schemas_are_the_generated_ones() {
    for (schema, file) in [
        (
            json_schema(Kind::Inventory),
            "inventories/inventory.schema.json",
        ),
        (json_schema(Kind::Upgrade), "plans/upgrade.schema.json"),
        (hazards_schema(), "plans/hazards.schema.json"),
    ] {
        assert!(
            expect_file(Path::new(file), &schema),
            "{file} is out of date: REFIT_BLESS=1 cargo test --test pure documents"
        );
    }
}

#[test]
fn an_upgrade_comes_with_the_hazards_that_it_names() {
    let upgrade = Path::new("tests/documents/upgrade.yaml");
    let text = "apiVersion: refit/v1alpha1\nkind: Upgrade\nmetadata: {name: x}\ninventory: full/inventory.yaml\ntarget: 1.35.4\nhazards: [./hazards/good.yaml]\n";
    let asked = std::cell::RefCell::new(Vec::new());
    let disk = |path: &Path| {
        asked.borrow_mut().push(path.to_owned());
        if path == upgrade {
            Ok(text.as_bytes().to_vec())
        } else {
            read(path)
        }
    };
    let (upgrade, _) =
        load_upgrade(upgrade, &home(), &disk).unwrap_or_else(|errors| panic!("{errors}"));
    let ids: Vec<&str> = upgrade
        .own_hazards
        .iter()
        .map(|hazard| hazard.id.as_str())
        .collect();
    assert_eq!(ids, ["cni-mesh-minimum", "registry-proxy"]);
    assert!(upgrade.own_hazards[1].patches && !upgrade.own_hazards[1].acceptable);
    // each once, and in this order: what is judged is what is digested
    let asked: Vec<String> = asked
        .into_inner()
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    assert_eq!(
        asked,
        [
            "tests/documents/upgrade.yaml",
            "tests/documents/full/inventory.yaml",
            "tests/documents/hazards/good.yaml"
        ]
    );
}

const HEAD: &str = "apiVersion: refit/v1alpha1\nkind: Inventory\nmetadata: {name: x}\n";

fn inventory(rest: &str) -> refit::documents::settings::Inventory {
    let text = format!("{HEAD}{rest}");
    read_inventory(Path::new("i/x.yaml"), text.as_bytes(), &home())
        .unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn ssh_settings_come_from_the_host_then_the_group_then_the_inventory() {
    use refit::documents::settings::Become;
    let inventory = inventory(
        "ssh: {user: ops, port: 2222, identityFile: ~/.ssh/id, jump: {address: bastion, port: 23}, become: none}
groups:
  c:
    role: control-plane
    ssh: {user: admin, become: sudo}
    hosts:
      - {name: a}
      - {name: b, ssh: {user: root, jump: null, identityFile: null, knownHosts: /etc/known, become: none}}
      - {name: c, address: c.example.org, ssh: {jump: {address: other, user: me}}}
",
    );
    let ssh = |name: &str| {
        inventory
            .hosts
            .values()
            .find(|host| host.name.as_str() == name)
            .unwrap()
            .ssh
            .clone()
    };
    let jump = |name: &str| {
        ssh(name)
            .jump
            .map(|jump| format!("{}@{}:{}", jump.user, jump.address, jump.port))
    };
    let a = ssh("a");
    assert_eq!(
        (a.user.as_str(), a.port, a.become_root),
        ("admin", 2222, Become::Sudo)
    );
    assert_eq!(
        a.identity_file.as_deref(),
        Some(Path::new("/home/ops/.ssh/id"))
    );
    assert_eq!(jump("a").as_deref(), Some("admin@bastion:23"));
    let b = ssh("b");
    assert_eq!(
        (b.user.as_str(), b.identity_file, b.become_root),
        ("root", None, Become::None)
    );
    assert_eq!(b.known_hosts.as_deref(), Some(Path::new("/etc/known")));
    assert_eq!(jump("b"), None);
    assert_eq!(jump("c").as_deref(), Some("me@other:22"));
}

#[test]
fn the_shortest_inventory_has_defaults() {
    let text = "ssh: {user: ops}\ngroups: {c: {role: control-plane, hosts: [{name: a}]}}\n";
    let inventory = inventory(text);
    assert_eq!(inventory.kubeconfig, Path::new("/home/ops/.kube/config"));
    let host = inventory.hosts.values().next().unwrap();
    assert_eq!(
        (host.address.as_str(), host.node.as_str(), host.ssh.port),
        ("a", "a", 22)
    );
    let errors = read_inventory(
        Path::new("x.yaml"),
        format!("{HEAD}{text}").as_bytes(),
        &Environment::default(),
    )
    .unwrap_err();
    assert_eq!(errors.errors.len(), 1, "{errors}");
    assert!(
        errors.errors[0].message.contains("no home folder"),
        "{errors}"
    );
}

#[test]
fn line_ends_and_byte_order_marks_of_other_systems_are_read() {
    let text = std::fs::read_to_string("plans/to-1.35.yaml").unwrap();
    let path = Path::new("plans/x.yaml");
    let unix = read_upgrade(path, text.as_bytes(), &home()).unwrap();
    let windows = format!("\u{feff}{}", text.replace('\n', "\r\n"));
    assert_eq!(
        read_upgrade(path, windows.as_bytes(), &home()).unwrap(),
        unix
    );
}

#[test]
fn the_other_document_is_one_error() {
    let path = Path::new("inventories/lab.yaml");
    let errors = read_upgrade(path, &read(path).unwrap(), &home()).unwrap_err();
    assert_eq!(errors.errors.len(), 1, "{errors}");
    assert_eq!(errors.errors[0].message, "this file holds an Inventory");
}

#[test]
fn a_file_of_errors_costs_neither_time_nor_memory() {
    for line in ["x: 1\n", "- *a\n", "- {}\n", "? {}\n: 1\n", "? [a]\n"] {
        let text = line.repeat(MAX_BYTES / 4 / line.len());
        check_hostile(text.as_bytes());
    }
    let keys: String = (0..30_000).map(|at| format!("k{at}: 1\n")).collect();
    check_hostile(keys.as_bytes());
    let hosts = format!(
        "{HEAD}groups: {{w: {{role: worker, hosts: [{}]}}}}",
        "{name: \"w[0-9999]\"},".repeat(10_000)
    );
    check_hostile(hosts.as_bytes());
}

fn check_hostile(bytes: &[u8]) {
    let started = Instant::now();
    for errors in [
        read_inventory(Path::new("x.yaml"), bytes, &home()).unwrap_err(),
        read_upgrade(Path::new("x.yaml"), bytes, &home()).unwrap_err(),
    ] {
        assert!(errors.errors.len() <= 1010, "{}", errors.errors.len());
        assert!(errors.render(Style::Plain).len() < 100_000);
    }
    assert!(started.elapsed() < LONGEST, "{:?}", started.elapsed());
}

#[test]
fn an_upgrade_and_its_inventory_are_told_together_and_only_once() {
    let files = [
        "broken-inventory.yaml",
        "no-control-plane.yaml",
        "missing-keys.yaml",
    ]
    .map(|file| Path::new("tests/documents/bad").join(file));
    let validation = validate(&files, &home(), &read, Style::Plain);
    assert_eq!(
        validation.errors.matches("no control plane").count(),
        1,
        "{}",
        validation.errors
    );
    for expected in [
        "broken-inventory.yaml: 1 error",
        "no-control-plane.yaml: 1 error",
        "missing-keys.yaml: 3 errors",
    ] {
        assert!(
            validation.errors.contains(expected),
            "{}",
            validation.errors
        );
    }
    let coloured = validate(&files, &home(), &read, Style::Coloured);
    assert!(coloured.errors.contains("\u{1b}["));
}
