# $1: apt, dnf or yum; then the packages at exact revisions
manager=$1; shift
case $manager in
  apt)
    mend || die "what was left half installed here cannot be ended: see dpkg --audit"
    # the plan was made from a fresh look at the repository; the host's own lists may be older than the release
    if ! apt -s install --allow-change-held-packages "$@" >/dev/null 2>&1; then
      patiently apt update || echo 'refit: not all lists could be fetched'
    fi
    foreseen "$@"
    patiently apt install --download-only --allow-change-held-packages "$@" ;;
  *)
    "$manager" -q clean expire-cache
    past_holds -y install --downloadonly "$@" ;;
esac
