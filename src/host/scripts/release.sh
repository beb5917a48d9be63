# $1: apt, dnf or yum; then the packages
manager=$1; shift
case $manager in
  apt) patiently apt-mark unhold "$@" ;;
  *) if "$manager" -q versionlock list >/dev/null 2>&1; then "$manager" -q versionlock delete "$@"; fi ;;
esac
