//! What kubeadm kept, and putting it back.

use refit::host::parse::LastKubeadm;
use refit::host::rollback::PutBack;

use super::*;

const BACKUP: &str = "/etc/kubernetes/tmp/kubeadm-backup-manifests-2026-11-22-08-00-00";

fn manifest(name: &str, tag: &str) -> String {
    format!("spec:\n  containers:\n  - image: registry.k8s.io/{name}:{tag}\n")
}

/// Cut off after the API server was replaced.
fn control_plane() -> Machine {
    let machine = Machine::new(&[(
        "pgrep",
        "if [ -e \"$ROOT/busy\" ]; then echo 42; else exit 1; fi",
    )]);
    let older = "/etc/kubernetes/tmp/kubeadm-backup-manifests-2026-10-01-08-00-00";
    for (directory, tag) in [
        (older, "v1.33.1"),
        (BACKUP, "v1.34.4"),
        ("/etc/kubernetes/manifests", "v1.35.4"),
    ] {
        machine.write(
            &format!("{directory}/kube-apiserver.yaml"),
            &manifest("kube-apiserver", tag),
        );
    }
    machine.write(
        "/etc/kubernetes/manifests/kube-scheduler.yaml",
        &manifest("kube-scheduler", "v1.34.4"),
    );
    machine.write(
        "/var/lib/refit/log",
        "2026-11-22T07:00:00.000Z\tstart\tr0\tcp1/kubeadm-node@1.34.4\trefit-kubeadm\n\
         2026-11-22T07:01:00.000Z\tend\tr0\tcp1/kubeadm-node@1.34.4\texit=0\n\
         2026-11-22T08:00:00.000Z\tstart\tr1\tcp1/kubeadm-apply@1.35.4\trefit-kubeadm v1.35.4\n\
         2026-11-22T08:09:00.000Z\tstart\tr1\tcp1/hold-packages@1.35.4\trefit-hold\n",
    );
    machine
}

fn found(machine: &Machine) -> parse::KubeadmBackups {
    parse::kubeadm_backups(&machine.run(&Query::KubeadmBackups.command())).unwrap()
}

#[test]
fn the_newest_backup_is_found_with_how_kubeadm_ended() {
    let machine = control_plane();
    let seen = found(&machine);
    let kept = &seen.kept["kube-apiserver"];
    assert_eq!(kept.image, "registry.k8s.io/kube-apiserver:v1.34.4");
    assert_eq!(
        kept.sha256,
        refit::host::judge::sha256(manifest("kube-apiserver", "v1.34.4").as_bytes())
    );
    assert_eq!(seen.there.len(), 2);
    assert!(!seen.busy);
    let op = "cp1/kubeadm-apply@1.35.4".to_owned();
    assert_eq!(
        seen.last,
        Some(LastKubeadm {
            op: op.clone(),
            status: None
        })
    );
    let log = fs::read_to_string(machine.path("/var/lib/refit/log")).unwrap();
    machine.write(
        "/var/lib/refit/log",
        &format!("{log}2026-11-22T08:10:00.000Z\tend\tr1\tcp1/kubeadm-apply@1.35.4\texit=1\n"),
    );
    assert_eq!(
        found(&machine).last,
        Some(LastKubeadm {
            op,
            status: Some(1)
        })
    );
    machine.write("/busy", "");
    assert!(found(&machine).busy);
    fs::remove_dir_all(machine.path("/etc/kubernetes/tmp")).unwrap();
    fs::remove_file(machine.path("/var/lib/refit/log")).unwrap();
    let nothing = found(&machine);
    assert_eq!((nothing.backup, nothing.last), (None, None));
}

#[test]
fn manifests_are_put_back_as_the_plan_has_them_and_not_beside_kubeadm() {
    let machine = control_plane();
    let seen = found(&machine);
    let put_back = |sha256: &str| {
        Mutation::PutBack(PutBack {
            // the harness puts its root before this place by itself
            backup: BACKUP.to_owned(),
            manifests: [("kube-apiserver".to_owned(), sha256.to_owned())].into(),
        })
    };
    let wrong = machine.act(&put_back(&"0".repeat(64)));
    assert_eq!(wrong.status, 70);
    assert!(wrong.stderr.contains("not as the plan has it"), "{wrong:?}");
    let right = put_back(&seen.kept["kube-apiserver"].sha256);
    assert_eq!(machine.standing(&right), Standing::Ready);
    machine.write("/busy", "");
    assert_eq!(machine.act(&right).status, 70);
    assert!(matches!(machine.standing(&right), Standing::Mismatch(_)));
    fs::remove_file(machine.path("/busy")).unwrap();
    let output = machine.act(&right);
    assert_eq!(output.status, 0, "{output:?}");
    assert_eq!(machine.standing(&right), Standing::Done);
    let names: Vec<_> = fs::read_dir(machine.path("/etc/kubernetes/manifests"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names.len(), 2, "{names:?}");
}
