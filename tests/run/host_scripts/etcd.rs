//! The snapshot.

use super::*;

const FILE: &str = "/var/lib/etcd/refit-r1.db";
const ARCHIVE: &str = "/var/lib/etcd/refit-r1.tar";

/// `kubectl`, which runs the tools of etcd's pod; `$ROOT/broken` names the one that fails.
const KUBECTL: &str = r#"
while [ "$1" != -- ]; do shift; done; shift
note "$@"
if [ -e "$ROOT/broken" ] && echo "$*" | grep -q "$(cat "$ROOT/broken")"; then echo 'it is broken' >&2; exit 1; fi
for last; do :; done
case "$*" in
  *'snapshot save'*) echo data > "$last" ;;
  *'snapshot status'*) echo '{"hash":1,"revision":42,"totalKey":8,"totalSize":5}' ;;
  *version*) printf 'etcdutl version: 3.6.5\nAPI version: 3.6\n' ;;
  *'snapshot restore'*) mkdir -p "$last/member/snap" && echo db > "$last/member/snap/db" ;;
esac
"#;

fn control_plane() -> Machine {
    let machine = Machine::new(&[("kubectl", KUBECTL)]);
    let root = machine.root.path().display();
    machine.write(
        "/etc/kubernetes/manifests/kube-apiserver.yaml",
        &format!(
            "    kubeadm.kubernetes.io/kube-apiserver.advertise-address.endpoint: 10.77.0.11:6443\n\
             \x20   - --encryption-provider-config={root}/etc/kubernetes/enc.yaml\n"
        ),
    );
    machine.write(
        "/etc/kubernetes/enc.yaml",
        "kind: EncryptionConfiguration\n",
    );
    machine.write("/etc/kubernetes/pki/ca.crt", "authority\n");
    machine.write("/etc/kubernetes/pki/sa.key", "key\n");
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
    assert_eq!(
        left_in_data_directory(&machine),
        ["refit-r1.db", "refit-r1.tar"]
    );
    for file in [FILE, ARCHIVE] {
        let mode = fs::metadata(machine.path(file))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let status = match parse::snapshot(&machine.run(&save.probe().unwrap().command())).unwrap() {
        parse::Snapshot::Good(status) => status,
        other => unreachable!("{other:?}"),
    };
    let sha256 = |file: &str| refit::host::judge::sha256(&fs::read(machine.path(file)).unwrap());
    assert_eq!(status.sha256, sha256(FILE));
    assert_eq!(status.archive.1, sha256(ARCHIVE));
    assert_eq!(
        status.authority_sha256,
        sha256("/etc/kubernetes/pki/ca.crt")
    );
    assert_eq!(status.release, "3.6.5");
    let remove = Mutation::RemoveSnapshot {
        file: machine.path(FILE).to_str().unwrap().to_owned(),
    };
    assert_eq!(machine.standing(&remove), Standing::Ready);
    assert_eq!(machine.act(&remove).status, 0);
    assert_eq!(machine.standing(&remove), Standing::Done);
    assert_eq!(left_in_data_directory(&machine), Vec::<String>::new());
}

#[test]
fn what_a_snapshot_is_nothing_without_comes_in_its_archive() {
    let machine = control_plane();
    assert_eq!(machine.act(&save(&machine)).status, 0);
    let list = std::process::Command::new("tar")
        .args(["-tf", machine.path(ARCHIVE).to_str().unwrap()])
        .output()
        .unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    for file in ["pki/ca.crt", "pki/sa.key", "enc.yaml"] {
        let named = format!("/etc/kubernetes/{file}");
        assert!(list.lines().any(|line| line.ends_with(&named)), "{list}");
    }
    assert!(!list.contains("manifests"), "{list}");

    // without its archive it is not there, and one that cannot be made is no archive
    fs::remove_file(machine.path(ARCHIVE)).unwrap();
    assert_eq!(machine.standing(&save(&machine)), Standing::Ready);
    fs::remove_file(machine.path("/etc/kubernetes/enc.yaml")).unwrap();
    let output = machine.act(&save(&machine));
    assert_eq!(output.status, 70, "{output:?}");
    assert!(output.stderr.contains("enc.yaml"), "{output:?}");
    assert_eq!(left_in_data_directory(&machine), Vec::<String>::new());
}

#[test]
fn a_file_that_is_sent_has_its_name_only_when_it_is_whole() {
    let machine = control_plane();
    let file = machine.path("/var/lib/etcd/refit-r1.db");
    let sha256 = refit::host::judge::sha256(b"all of it");
    let send = |text: &str| {
        let command = refit::host::command::receive(file.to_str().unwrap(), &sha256);
        let mut child = std::process::Command::new(&command.argv[0])
            .args(&command.argv[1..])
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        std::io::Write::write_all(&mut input, text.as_bytes()).unwrap();
        drop(input);
        child.wait().unwrap().success()
    };
    assert!(!send("all"), "as when the connection breaks");
    assert_eq!(left_in_data_directory(&machine), Vec::<String>::new());
    assert!(send("all of it"));
    assert_eq!(fs::read_to_string(&file).unwrap(), "all of it");
    let mode = fs::metadata(&file).unwrap().permissions().mode();
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
