//! Packages on Debian.

use super::*;

/// `apt-get` as far as the scripts use it. `$ROOT/lists` holds the releases that the lists know; `$ROOT/simulated` what a
/// simulation says besides; while `$ROOT/busy` has lines, each call that needs a lock takes one off and fails for want of it.
const APT_GET: &str = r#"
note "$@"
case " $* " in *' update '*)
  echo 1.35.4-1.1 > "$ROOT/lists"; exit 0 ;;
esac
for word; do case $word in kube*=*)
  grep -qsx "${word#*=}" "$ROOT/lists" || { echo "E: Version '${word#*=}' for '${word%%=*}' was not found" >&2; exit 100; } ;;
esac; done
case " $* " in
  *' -s '*) cat "$ROOT/simulated" 2>/dev/null; exit 0 ;;
  *' --print-uris '*) [ -e "$ROOT/cached" ] || echo "'http://x/kubelet.deb' kubelet.deb 1"; exit 0 ;;
esac
for file in "$ROOT"/var/lib/dpkg/updates/[0-9]*; do
  [ ! -e "$file" ] || { echo "E: dpkg was interrupted, you must manually run 'dpkg --configure -a'" >&2; exit 100; }
done
case " $* " in *' --download-only '*) touch "$ROOT/cached" ;; esac
"#;

/// `apt-mark`, and `dpkg` beneath it.
const APT_MARK: &str = r#"
note "$@"
case $1 in
  showhold) cat "$ROOT/held" 2>/dev/null; exit 0 ;;
esac
if [ -s "$ROOT/busy" ]; then
  sed -i 1d "$ROOT/busy"
  echo 'dpkg: error: dpkg frontend lock was locked by another process with pid 7' >&2
  echo 'E: Executing dpkg failed. Are you root?' >&2
  exit 100
fi
"#;

const DPKG: &str = r#"
note "$@"
rm -f "$ROOT"/var/lib/dpkg/updates/*
"#;

const DPKG_QUERY: &str = "exit 0";

fn debian() -> Machine {
    let machine = Machine::new(&[
        ("apt-get", APT_GET),
        ("apt-mark", APT_MARK),
        ("dpkg", DPKG),
        ("dpkg-query", DPKG_QUERY),
        ("systemctl", "note \"$@\""),
    ]);
    machine.write("/lists", "1.35.4-1.1\n");
    machine
}

fn prefetch() -> Mutation {
    Mutation::PrefetchPackages {
        manager: PackageManager::Apt,
        packages: packages(&["kubeadm", "kubelet"]),
    }
}

fn install_kubelet() -> Mutation {
    Mutation::InstallKubelet {
        manager: PackageManager::Apt,
        packages: packages(&["kubectl", "kubelet"]),
    }
}

fn count(machine: &Machine, what: &str) -> usize {
    let calls = machine.calls();
    calls.iter().filter(|call| call.contains(what)).count()
}

/// A patch of the minor that the host is at already switches no repository, so nothing else has refreshed its lists.
#[test]
fn lists_older_than_the_release_are_fetched_before_its_packages() {
    let machine = debian();
    machine.write("/lists", "1.35.2-1.1\n");
    let prefetch = prefetch();
    assert_eq!(machine.standing(&prefetch), Standing::Ready);
    let output = machine.act(&prefetch);
    assert_eq!(output.status, 0, "{output:?}");
    assert_eq!(machine.standing(&prefetch), Standing::Done);
    assert_eq!(count(&machine, " update"), 1);
}

#[test]
fn lists_that_know_the_release_are_left_alone() {
    let machine = debian();
    let output = machine.act(&prefetch());
    assert_eq!(output.status, 0, "{output:?}");
    assert_eq!(count(&machine, " update"), 0);
}

#[test]
fn what_a_power_cut_left_half_done_is_ended_first() {
    let machine = debian();
    machine.write("/var/lib/dpkg/updates/0001", "Package: kubelet\n");
    let output = machine.act(&install_kubelet());
    assert_eq!(output.status, 0, "{output:?}");
    assert_eq!(count(&machine, "--configure --pending"), 1);
    let calls = machine.calls();
    assert!(
        calls.iter().any(|call| call.contains("--force-confold")),
        "no question may be asked: {calls:?}"
    );
}

#[test]
fn a_whole_database_is_not_touched_by_dpkg() {
    let machine = debian();
    let output = machine.act(&install_kubelet());
    assert_eq!(output.status, 0, "{output:?}");
    assert_eq!(count(&machine, "--configure"), 0);
}

#[test]
fn what_the_plan_does_not_name_stays_as_it_is() {
    for (simulated, held, named) in [
        (
            "Inst kubeadm [1.34.4-1.1] (1.35.4-1.1 x [amd64])\n",
            "",
            "kubeadm",
        ),
        ("Remv docker [1]\n", "", "docker"),
        (
            "Inst containerd [1.7] (2.0 Debian [amd64])\n",
            "containerd\n",
            "containerd",
        ),
    ] {
        for mutation in [
            install_kubelet(),
            Mutation::PrefetchPackages {
                manager: PackageManager::Apt,
                packages: packages(&["kubectl", "kubelet"]),
            },
        ] {
            let machine = debian();
            machine.write("/simulated", simulated);
            machine.write("/held", held);
            let output = machine.act(&mutation);
            assert_eq!(output.status, 70, "{output:?}");
            assert!(
                output.stderr.contains("which the plan does not say")
                    && output.stderr.contains(named),
                "{output:?}"
            );
            assert_eq!(count(&machine, "--download-only"), 0);
            assert_eq!(count(&machine, "hold"), count(&machine, "showhold"));
        }
    }
}

#[test]
fn a_dependency_that_nobody_holds_may_come_along() {
    let machine = debian();
    machine.write(
        "/simulated",
        "Inst kubernetes-cni [1.4] (1.5 x [amd64])\nInst kubelet [1.34.4-1.1] (1.35.4-1.1 x [amd64])\n",
    );
    machine.write("/held", "kubelet\nkubectl\n");
    let output = machine.act(&install_kubelet());
    assert_eq!(output.status, 0, "{output:?}");
}

/// apt waits for a lock by itself, `apt-mark` does not.
#[test]
fn holds_wait_for_whoever_changes_packages_meanwhile() {
    let manager = PackageManager::Apt;
    let names = vec!["kubelet".to_owned()];
    for mutation in [
        Mutation::HoldPackages {
            manager,
            packages: names.clone(),
        },
        Mutation::ReleaseHolds {
            manager,
            packages: names.clone(),
        },
        install_kubelet(),
    ] {
        let machine = debian();
        machine.write("/busy", "1\n2\n3\n");
        let output = machine.act(&mutation);
        assert_eq!(output.status, 0, "{output:?}");
        let machine = debian();
        machine.write("/busy", &"1\n".repeat(1000));
        let output = machine.act(&mutation);
        assert_ne!(output.status, 0, "{output:?}");
        assert!(
            output
                .stderr
                .contains("locked by another process with pid 7"),
            "{output:?}"
        );
    }
}
