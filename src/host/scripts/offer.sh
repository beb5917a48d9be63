# $1: apt, dnf or yum; $2: the repository's URL; $3: the key's URL, or empty; $4: else the key itself
names='kubeadm kubectl kubelet'
manager=$1 url=$2 key_url=$3
umask 022
tmp=$(mktemp -d /tmp/refit-offer.XXXXXXXX) || die 'no temporary directory'
trap 'rm -rf "$tmp"' EXIT
trap 'exit 70' HUP INT TERM
chmod 755 "$tmp" # apt reads the key and the lists as a user of its own
if [ -n "$key_url" ]; then
  fetch "$key_url" "$tmp/key.asc" || die "the key cannot be fetched from $key_url"
else
  printf '%s' "$4" > "$tmp/key.asc"
fi
emit key-sha256 sha256sum "$tmp/key.asc"
case $manager in
  apt)
    mkdir -p "$tmp/lists/partial" "$tmp/cache/archives/partial" "$tmp/empty"
    if id _apt >/dev/null 2>&1; then chown _apt "$tmp/lists/partial"; fi
    printf 'deb [signed-by=%s] %s /\n' "$tmp/key.asc" "$url" > "$tmp/refit.list"
    set -- -o Dir::State::lists="$tmp/lists" -o Dir::Cache="$tmp/cache" -o Dir::Etc::sourcelist="$tmp/refit.list" \
      -o Dir::Etc::sourceparts="$tmp/empty" -o Dir::Etc::preferencesparts="$tmp/empty" -o Dir::Etc::preferences=/dev/null \
      -o APT::Update::Error-Mode=any -o Acquire::EnableSrvRecords=false -o Acquire::Retries=3 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20 \
      -o Acquire::Languages=none
    apt-get update -q "$@" >&2 || die "the repository $url cannot be read"
    emit offered apt-cache madison $names "$@" ;;
  *)
    mkdir -p "$tmp/repos" "$tmp/cache"
    printf '[refit-offer]\nname=refit-offer\nbaseurl=%s\nenabled=1\ngpgcheck=1\nrepo_gpgcheck=1\ngpgkey=file://%s\n' \
      "$url" "$tmp/key.asc" > "$tmp/repos/refit-offer.repo"
    emit offered past_holds -q -y --setopt=reposdir="$tmp/repos" --setopt=cachedir="$tmp/cache" \
      list --showduplicates $names ;;
esac
