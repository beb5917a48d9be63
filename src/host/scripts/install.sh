# $1: apt, dnf or yum; $2: how many packages; their names; then as many packages at exact revisions
manager=$1 count=$2; shift 2
names=; while [ "$count" -gt 0 ]; do names="$names $1"; shift; count=$((count - 1)); done
case $manager in
  apt)
    # nothing of Kubernetes may change, and nothing may go, that the plan does not name
    simulated=$(apt -s install --allow-change-held-packages "$@") || { echo "$simulated"; die 'apt cannot install this'; }
    surprise=$(echo "$simulated" | awk -v names="$names " '
      $1 == "Remv" || ($1 == "Inst" && $2 ~ /^kube(adm|let|ctl)$/ && !index(names, " " $2 " "))')
    [ -z "$surprise" ] || die "apt would also do this, which the plan does not say: $surprise"
    apt install --allow-change-held-packages "$@" || die 'apt did not install the packages'
    apt-mark hold $names ;;
  *)
    "$manager" -y --disableplugin=versionlock --disableexcludes=all install "$@" ||
      die "$manager did not install the packages"
    if "$manager" -q versionlock list >/dev/null 2>&1; then
      "$manager" -q versionlock delete $names >/dev/null 2>&1
      "$manager" -q -y versionlock add $names
    fi ;;
esac || die 'the packages are installed but not held'
