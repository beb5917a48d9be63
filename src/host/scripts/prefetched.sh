# $1: apt, dnf or yum; then NAME=REVISION (apt) or NAME-REVISION
manager=$1; shift
export DEBIAN_FRONTEND=noninteractive
missing() {
  case $manager in
    # what an installation would still have to download: nothing, once the packages are in the cache. Where apt cannot tell,
    # its lists may be older than the release: to be fetched with the packages.
    apt) if apt-get install --print-uris -q -y --allow-change-held-packages "$@" > "$tmp"
      then grep -c "^'" "$tmp" || :; else echo $#; fi ;;
    *) if past_holds -q -y -C install --downloadonly "$@" >&2
      then echo 0; else echo 1; fi ;;
  esac
}
tmp=$(mktemp /tmp/refit-prefetched.XXXXXXXX) || die 'no temporary file'
trap 'rm -f "$tmp"' EXIT
emit missing missing "$@"
