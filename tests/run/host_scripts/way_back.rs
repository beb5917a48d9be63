//! The way back of a control plane, by its scripts.

use refit::host::way_back::{Change, Member, Places};

use super::*;

/// Containers that run are files in `$ROOT/containers`; a kubelet that does its work ends those without a manifest.
const CRICTL: &str = r#"
note "$@"
[ ! -e "$ROOT/no-runtime" ] || { echo 'connection refused' >&2; exit 1; }
case $1 in
  ps)
    for name; do :; done
    name=${name#^}; name=${name%\$}
    if [ ! -e "$ROOT/stuck" ] && [ ! -e "$ROOT/etc/kubernetes/manifests/$name.yaml" ]; then rm -f "$ROOT/containers/$name"; fi
    if [ -e "$ROOT/containers/$name" ]; then echo "id-of-$name"; fi ;;
  exec)
    shift 2
    if [ -e "$ROOT/broken" ] && echo "$*" | grep -q "$(cat "$ROOT/broken")"; then echo 'it is broken' >&2; exit 1; fi
    case "$*" in
      *version*) printf 'etcdutl version: 3.6.5\nAPI version: 3.6\n' ;;
      *--help*) if [ ! -e "$ROOT/old" ]; then echo '      --bump-revision uint'; fi ;;
      *'snapshot restore'*)
        while [ "$1" != --data-dir ]; do shift; done
        mkdir -p "$2/member/snap" && echo restored > "$2/member/snap/db" ;;
    esac ;;
esac
"#;

const NAMES: [&str; 4] = [
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "etcd",
];

fn control_plane() -> Machine {
    let machine = Machine::new(&[("crictl", CRICTL)]);
    for name in NAMES {
        machine.write(&format!("/etc/kubernetes/manifests/{name}.yaml"), "pod\n");
        machine.write(&format!("/containers/{name}"), "");
    }
    machine.write("/etc/kubernetes/pki/ca.crt", "authority\n");
    machine.write("/var/lib/etcd/member/snap/db", "in use\n");
    machine.write("/var/lib/etcd/refit-r1.db", "snapshot\n");
    machine
}

fn places(machine: &Machine) -> Places {
    Places {
        // the harness puts its root before this place by itself
        aside: "/etc/kubernetes/refit-aside-{run}".to_owned(),
        ..Places::within(machine.path("/var/lib/etcd").to_str().unwrap())
    }
    .of_run("r1")
}

fn sha256() -> String {
    refit::host::judge::sha256(b"snapshot\n")
}

/// Restore, stop, replace, start.
fn changes(machine: &Machine) -> [Mutation; 4] {
    let at = || places(machine);
    let member = |name: &str| Member {
        name: name.to_owned(),
        peer_url: format!("https://{name}:2380"),
    };
    [
        Change::Restore {
            at: at(),
            member: member("cp1"),
            cluster: vec![member("cp1"), member("cp2")],
            sha256: sha256(),
            etcd: "3.6".to_owned(),
        },
        Change::Stop { at: at() },
        Change::Replace {
            at: at(),
            sha256: sha256(),
        },
        Change::Start { at: at() },
    ]
    .map(Mutation::WayBack)
}

fn fine(machine: &Machine, mutation: &Mutation) {
    let output = machine.act(mutation);
    assert_eq!(output.status, 0, "{output:?}");
    assert_eq!(machine.standing(mutation), Standing::Done);
}

fn data(machine: &Machine, directory: &str) -> String {
    fs::read_to_string(machine.path(&format!("/var/lib/etcd/{directory}/snap/db"))).unwrap()
}

#[test]
fn a_member_gets_what_was_restored_and_keeps_what_it_had() {
    let machine = control_plane();
    let [restore, stop, replace, start] = changes(&machine);
    for mutation in [&restore, &stop] {
        assert_eq!(machine.standing(mutation), Standing::Ready);
    }
    fine(&machine, &restore);
    let told = machine.calls().join("\n");
    assert!(
        told.contains("--name cp1 --initial-cluster cp1=https://cp1:2380,cp2=https://cp2:2380"),
        "{told}"
    );
    assert!(
        told.contains("--bump-revision 1000000000 --mark-compacted"),
        "{told}"
    );
    assert_eq!(data(&machine, "member"), "in use\n");
    fine(&machine, &stop);
    assert!(!machine.path("/containers/etcd").exists());
    fine(&machine, &replace);
    assert_eq!(data(&machine, "member"), "restored\n");
    assert_eq!(data(&machine, "member.before-r1"), "in use\n");
    assert!(!machine.path("/var/lib/etcd/refit-r1.db").exists());
    // again, as by a run that was cut off
    fine(&machine, &replace);
    assert_eq!(data(&machine, "member"), "restored\n");
    fine(&machine, &start);
    for name in NAMES {
        assert!(
            machine
                .path(&format!("/etc/kubernetes/manifests/{name}.yaml"))
                .exists()
        );
    }
    fine(&machine, &start);
}

#[test]
fn no_member_is_replaced_while_its_control_plane_runs_or_cannot_be_asked_for() {
    let machine = control_plane();
    let [restore, stop, replace, _] = changes(&machine);
    fine(&machine, &restore);
    let output = machine.act(&replace);
    assert_eq!(output.status, 70);
    assert!(output.stderr.contains("stop it first"), "{output:?}");

    machine.write("/stuck", "");
    let output = machine.act(&stop);
    assert_eq!(output.status, 70);
    assert!(output.stderr.contains("still run"), "{output:?}");
    fs::remove_file(machine.path("/stuck")).unwrap();

    machine.write("/no-runtime", "");
    let output = machine.act(&stop);
    assert_eq!(output.status, 70);
    assert!(output.stderr.contains("cannot be told"), "{output:?}");
    assert_eq!(machine.act(&replace).status, 70);
    let probe = machine.run(&stop.probe().unwrap().command());
    assert!(stop.judge(&probe).is_err(), "{probe:?}");
    fs::remove_file(machine.path("/no-runtime")).unwrap();
    assert_eq!(data(&machine, "member"), "in use\n");
    fine(&machine, &stop);
    fine(&machine, &replace);
}

#[test]
fn a_member_that_was_cut_off_between_its_two_renames_is_replaced() {
    let machine = control_plane();
    let [restore, stop, replace, _] = changes(&machine);
    fine(&machine, &restore);
    fine(&machine, &stop);
    fs::rename(
        machine.path("/var/lib/etcd/member"),
        machine.path("/var/lib/etcd/member.before-r1"),
    )
    .unwrap();
    assert_eq!(machine.standing(&replace), Standing::Ready);
    fine(&machine, &replace);
    assert_eq!(data(&machine, "member"), "restored\n");
    assert_eq!(data(&machine, "member.before-r1"), "in use\n");
}

#[test]
fn what_cannot_be_restored_whole_leaves_no_restored_member() {
    for (file, text, words) in [
        ("/broken", "data-dir", "cannot be restored"),
        ("/old", "", "cannot raise revisions"),
        (
            "/var/lib/etcd/refit-r1.db",
            "another",
            "not the snapshot of the plan",
        ),
    ] {
        let machine = control_plane();
        let [restore, ..] = changes(&machine);
        machine.write(file, text);
        let output = machine.act(&restore);
        assert_eq!(output.status, 70, "{output:?}");
        assert!(output.stderr.contains(words), "{output:?}");
        assert_eq!(machine.standing(&restore), Standing::Ready);
        assert_eq!(data(&machine, "member"), "in use\n");
    }
}

#[test]
fn a_manifest_that_someone_else_put_there_is_not_overwritten() {
    let machine = control_plane();
    let [_, stop, _, start] = changes(&machine);
    fine(&machine, &stop);
    machine.write("/etc/kubernetes/manifests/etcd.yaml", "another\n");
    for mutation in [&stop, &start] {
        let output = machine.act(mutation);
        assert_eq!(output.status, 70, "{output:?}");
        assert!(output.stderr.contains("someone else"), "{output:?}");
    }
    let kept = fs::read_to_string(machine.path("/etc/kubernetes/manifests/etcd.yaml"));
    assert_eq!(kept.unwrap(), "another\n");
}
