# Puts what was restored in the place of the data in use, which is kept. Only while no control plane runs here.
# $1: etcd's data directory; $2: what was restored; $3: where the data in use goes; $4: the snapshot, which goes;
# $5: its SHA-256
data=$1 restored=$2 before=$3 snapshot=$4 sha256=$5
# shellcheck disable=SC2086 # they are words
left=$(running $components) || die 'which containers run here cannot be told'
[ -z "$left" ] || die 'the control plane of this host runs: stop it first'
for name in $components; do
  [ ! -e "/etc/kubernetes/manifests/$name.yaml" ] || die "$name.yaml is in /etc/kubernetes/manifests: its pod may start at any moment"
done
if [ -d "$restored/member" ]; then
  whole=$(cat "$restored/whole") || die "$restored is not whole"
  [ "$whole" = "$sha256" ] || die "$restored was restored from another snapshot"
  if [ ! -e "$before" ]; then
    # a member that lost all of its data has none to keep
    if [ -d "$data/member" ]; then mv -- "$data/member" "$before"; else mkdir -m 700 "$before"; fi || die "$before cannot be made"
    sync "$data"
  fi
  [ ! -e "$data/member" ] || die "$data/member and $before are both there: someone else put one there"
  mv -- "$restored/member" "$data/member" && sync "$data" || die "$data/member cannot be replaced"
fi
[ -d "$data/member" ] && [ -d "$before" ] || die "$restored holds nothing that was restored"
rm -rf -- "$restored" "$snapshot" || die "$restored cannot be removed"
echo "the member has what was restored; what it had is in $before"
