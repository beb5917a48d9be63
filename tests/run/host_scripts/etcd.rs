//! The snapshot.

use super::*;

const FILE: &str = "/var/lib/etcd/refit-r1.db";

/// `kubectl`, which runs the tools of etcd's pod; `$ROOT/broken` names the one that fails.
const KUBECTL: &str = r#"
while [ "$1" != -- ]; do shift; done; shift
note "$@"
if [ -e "$ROOT/broken" ] && echo "$*" | grep -q "$(cat "$ROOT/broken")"; then echo 'it is broken' >&2; exit 1; fi
for last; do :; done
case "$*" in
  *'snapshot save'*) echo data > "$last" ;;
  *'snapshot status'*) echo '{"hash":1,"revision":42,"totalKey":8,"totalSize":5}' ;;
  *'snapshot restore'*) mkdir -p "$last/member/snap" && echo db > "$last/member/snap/db" ;;
esac
"#;

fn control_plane() -> Machine {
    let machine = Machine::new(&[("kubectl", KUBECTL)]);
    let root = machine.root.path().display();
    machine.write(
        "/etc/kubernetes/manifests/kube-apiserver.yaml",
        "    kubeadm.kubernetes.io/kube-apiserver.advertise-address.endpoint: 10.77.0.11:6443\n",
    );
    let flags = [
        "name=cp1".to_owned(),
        format!("data-dir={root}/var/lib/etcd"),
        "advertise-client-urls=https://10.77.0.11:2379".to_owned(),
        "trusted-ca-file=/etc/kubernetes/pki/etcd/ca.crt".to_owned(),
        "cert-file=/etc/kubernetes/pki/etcd/server.crt".to_owned(),
    ];
    let manifest: String = flags
        .iter()
        .map(|flag| format!("    - --{flag}\n"))
        .collect();
    machine.write("/etc/kubernetes/manifests/etcd.yaml", &manifest);
    fs::create_dir_all(machine.path("/var/lib/etcd")).unwrap();
    machine
}

fn save(machine: &Machine) -> Mutation {
    Mutation::SaveSnapshot {
        file: machine.path(FILE).to_str().unwrap().to_owned(),
        trial_restore: true,
    }
}

fn left_in_data_directory(machine: &Machine) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(machine.path("/var/lib/etcd"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_snapshot_is_there_once_it_has_passed_every_check() {
    let machine = control_plane();
    let save = save(&machine);
    assert_eq!(machine.standing(&save), Standing::Ready);
    let output = machine.act(&save);
    assert_eq!(output.status, 0, "{output:?}");
    assert_eq!(machine.standing(&save), Standing::Done);
    assert_eq!(left_in_data_directory(&machine), ["refit-r1.db"]);
    let mode = fs::metadata(machine.path(FILE))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn what_other_runs_left_is_found_with_its_age_and_removed_by_name() {
    let machine = control_plane();
    for name in [
        "refit-r0.db",
        "refit-q1.db.new",
        "refit-q1.db.new.part",
        "other.db",
    ] {
        machine.write(&format!("/var/lib/etcd/{name}"), "x");
    }
    fs::create_dir(machine.path("/var/lib/etcd/refit-dir.db")).unwrap();
    let directory = machine.path("/var/lib/etcd").to_str().unwrap().to_owned();
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(7200);
    fs::File::options()
        .write(true)
        .open(machine.path("/var/lib/etcd/refit-r0.db"))
        .unwrap()
        .set_modified(old)
        .unwrap();
    let query = Query::LeftSnapshots {
        directory: directory.clone(),
    };
    let left = parse::left_snapshots(&machine.run(&query.command())).unwrap();
    let names: Vec<_> = left.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["refit-q1.db.new", "refit-q1.db.new.part", "refit-r0.db"]
    );
    let age = left["refit-r0.db"].as_secs();
    assert!((7200..7300).contains(&age), "{age}");
    assert!(left["refit-q1.db.new"].as_secs() < 100);

    let remove = Mutation::RemoveLeftSnapshots {
        directory,
        files: vec!["refit-r0.db".to_owned(), "refit-q1.db.new".to_owned()],
    };
    assert_eq!(machine.standing(&remove), Standing::Ready);
    assert_eq!(machine.act(&remove).status, 0);
    assert_eq!(machine.standing(&remove), Standing::Done);
    assert_eq!(
        left_in_data_directory(&machine),
        ["other.db", "refit-dir.db", "refit-q1.db.new.part"]
    );
}

/// What the first try left must not look like a snapshot that passed, or the second one would take it for one.
#[test]
fn a_snapshot_that_fails_a_check_is_not_there() {
    for broken in ["snapshot restore", "snapshot status", "snapshot save"] {
        let machine = control_plane();
        let save = save(&machine);
        machine.write("/broken", broken);
        let output = machine.act(&save);
        assert_eq!(output.status, 70, "{output:?}");
        fs::remove_file(machine.path("/broken")).unwrap();
        assert_eq!(machine.standing(&save), Standing::Ready, "{broken}");
        assert_eq!(
            left_in_data_directory(&machine),
            Vec::<String>::new(),
            "{broken}"
        );
    }
}
