# $1: apt, dnf or yum; $2: how many packages; their names; then as many packages at exact revisions
manager=$1 count=$2; shift 2
names=; while [ "$count" -gt 0 ]; do names="$names $1"; shift; count=$((count - 1)); done
case $manager in
  apt)
    mend || die "what was left half installed here cannot be ended: see dpkg --audit"
    foreseen "$@"
    patiently apt install --allow-change-held-packages "$@" || die 'apt did not install the packages'
    patiently apt-mark hold $names ;;
  *)
    past_holds -y install "$@" ||
      die "$manager did not install the packages"
    if "$manager" -q versionlock list >/dev/null 2>&1; then
      "$manager" -q versionlock delete $names >/dev/null 2>&1
      "$manager" -q -y versionlock add $names
    fi ;;
esac || die 'the packages are installed but not held'
