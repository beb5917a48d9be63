# $1: apt, dnf or yum; $2: file; $3: its text; $4: key file; $5: the key's SHA-256; $6: its URL, or empty; $7: else the key
manager=$1 file=$2 text=$3 key_file=$4 want=$5 key_url=$6
umask 022
tmp=$(mktemp -d /tmp/refit-key.XXXXXXXX) || die 'no temporary directory'
trap 'rm -rf "$tmp"' EXIT
trap 'exit 70' HUP INT TERM
chmod 755 "$tmp"
if [ -n "$key_url" ]; then
  fetch "$key_url" "$tmp/key" || die "the key cannot be fetched from $key_url"
else
  printf '%s' "$7" > "$tmp/key"
fi
got=$(sha256sum < "$tmp/key") got=${got%% *}
[ "$got" = "$want" ] || die "the repository's key has SHA-256 $got, the plan was made with $want: nothing was changed"
put() { # SOURCE DESTINATION: whole or not at all
  mkdir -p "$(dirname "$2")" && cp "$1" "$2.refit-new" && chmod 644 "$2.refit-new" && sync "$2.refit-new" &&
    mv -f "$2.refit-new" "$2" && sync "$(dirname "$2")"
}
printf '%s' "$text" > "$tmp/text"
put "$tmp/key" "$key_file" || die "$key_file cannot be written"
put "$tmp/text" "$file" || die "$file cannot be written"
case $manager in
  apt)
    patiently apt update -o Dir::Etc::sourcelist="$file" -o Dir::Etc::sourceparts=- -o APT::Get::List-Cleanup=0 \
      -o APT::Update::Error-Mode=any || die "the lists of $file cannot be fetched" ;;
  *) "$manager" -q -y makecache || die "the metadata of $file cannot be fetched" ;;
esac
