//! Packages on hosts with dnf, its fifth version, whose versionlock is built in, and the one before.

use super::*;

/// `dnf` as far as the scripts use it. Locked packages are lines of `$ROOT/locks`, installed ones of `$ROOT/installed`.
const DNF: &str = r#"
note "$@"
past=
for word; do case $word in
  --version) echo "$SAYS"; exit 0 ;;
  --disableexcludes=*|--disableplugin=*) [ "$FIVE" = no ] || { echo "Unknown argument \"$word\"" >&2; exit 2; }; past=yes ;;
  --setopt=disable_excludes=*) [ "$FIVE" = yes ] || exit 1; past=yes ;;
esac; done
while [ "${1#-}" != "$1" ]; do shift; done
case $1 in
  versionlock)
    verb=$2; shift 2
    while [ "${1#-}" != "$1" ]; do shift; done
    for name; do case $verb in
      delete) grep -v "^$name " "$ROOT/locks" > "$ROOT/left"; mv "$ROOT/left" "$ROOT/locks" ;;
      add) grep "^$name " "$ROOT/installed" >> "$ROOT/locks" ;;
    esac; done
    [ $verb != list ] || while read -r name revision; do
      if [ $FIVE = yes ]; then printf 'Package name: %s\nevr = %s\n\n' $name $revision
      else echo "$name-0:$revision.*"; fi
    done < "$ROOT/locks" ;;
  install)
    for word; do case $word in kube*)
      name=${word%%-*} revision=${word#*-}
      if [ -z "$past" ] && grep -q "^$name " "$ROOT/locks"; then echo 'All matches were filtered out' >&2; exit 1; fi
      grep -v "^$name " "$ROOT/installed" > "$ROOT/left"; echo "$name $revision" >> "$ROOT/left"
      mv "$ROOT/left" "$ROOT/installed" ;;
    esac; done ;;
esac
"#;

const RPM: &str = r#"tr ' ' '\t' < "$ROOT/installed""#;

fn machine(five: bool) -> Machine {
    let (says, five) = if five {
        ("dnf5 version 5.2.10.0", "yes")
    } else {
        ("4.14.0", "no")
    };
    let dnf = format!("SAYS='{says}' FIVE={five}\n{DNF}");
    let machine = Machine::new(&[
        ("dnf", dnf.as_str()),
        ("rpm", RPM),
        ("systemctl", "note \"$@\""),
        ("pidof", "exit 1"),
    ]);
    machine.write("/locks", "");
    machine.write("/installed", "kubeadm 1.34.4-1.1\nkubelet 1.34.4-1.1\n");
    machine
}

#[test]
fn a_held_package_is_upgraded_and_held_again() {
    let manager = PackageManager::Dnf;
    let names = vec!["kubeadm".to_owned()];
    for five in [true, false] {
        let machine = machine(five);
        let hold = Mutation::HoldPackages {
            manager,
            packages: names.clone(),
        };
        assert_eq!(machine.standing(&hold), Standing::Ready, "dnf 5: {five}");
        let output = machine.act(&hold);
        assert_eq!(output.status, 0, "{output:?}");
        assert_eq!(machine.standing(&hold), Standing::Done, "dnf 5: {five}");

        let install = Mutation::InstallPackages {
            manager,
            packages: packages(&["kubeadm"]),
        };
        assert_eq!(machine.standing(&install), Standing::Ready);
        let output = machine.act(&install);
        assert_eq!(output.status, 0, "{output:?}");
        assert_eq!(machine.standing(&install), Standing::Done, "dnf 5: {five}");
        assert_eq!(
            fs::read_to_string(machine.path("/locks")).unwrap(),
            "kubeadm 1.35.4-1.1\n"
        );

        let release = Mutation::ReleaseHolds {
            manager,
            packages: names.clone(),
        };
        assert_eq!(machine.act(&release).status, 0);
        assert_eq!(machine.standing(&release), Standing::Done, "dnf 5: {five}");
    }
}
