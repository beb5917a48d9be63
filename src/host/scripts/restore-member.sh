# Restores a snapshot into a new directory beside the data in use; nothing uses it yet.
# $1: etcd's data directory; $2: where it is restored to, in there; $3: the snapshot, in there; $4: its SHA-256; $5: the member's
# name; $6: its peer URL; $7: all members as NAME=PEER_URL, with commas between; $8: the new cluster's token; $9: etcd's minor
data=$1 restored=$2 snapshot=$3 sha256=$4 name=$5 peer=$6 cluster=$7 token=$8 minor=$9
umask 077
for path in "$restored" "$snapshot"; do
  case $path in
    *..*) die "$path: not a plain path" ;;
    "$data"/?*) ;;
    *) die "$path is outside of etcd's data directory $data, the only one that its pod shares with this host" ;;
  esac
done
came=$(sha256sum <"$snapshot") || die "$snapshot cannot be read"
[ "${came%% *}" = "$sha256" ] || die "$snapshot is not the snapshot of the plan: its SHA-256 is ${came%% *}, not $sha256"
# the member's own etcdutl: in its container; where none runs, in a new one of its image
member_tool() {
  id=$(running etcd) || die 'which containers run here cannot be told'
  id=$(printf '%s\n' "$id" | head -n 1)
  if [ -z "$id" ]; then
    command -v ctr >/dev/null 2>&1 || die 'etcd does not run here, and there is no ctr to run its etcdutl with'
    image=$(sed -n 's/^[ -]*image: *//p' /etc/kubernetes/manifests/etcd.yaml | head -n 1 | tr -d "\"'")
    ctr -n k8s.io run --rm --mount "type=bind,src=$data,dst=$data,options=rbind:rw" "$image" "refit-etcdutl-$$" etcdutl "$@"
  elif command -v crictl >/dev/null 2>&1; then
    crictl exec "$id" etcdutl "$@"
  else
    ctr -n k8s.io tasks exec --exec-id "refit-$$-$(date +%s%N)" "$id" etcdutl "$@"
  fi
}
release=$(member_tool version) || die 'the etcdutl of this member cannot be run'
case $release in
  *"etcdutl version: $minor".*) ;;
  *) die "the etcdutl of this member is not of $minor: $release" ;;
esac
# revisions must not repeat, or watches and controllers trust what they saw before
member_tool snapshot restore --help 2>&1 | grep -q -e --bump-revision ||
  die "the etcdutl of this member cannot raise revisions: $release"
rm -rf -- "$restored" || die "what an earlier try left in $restored cannot be removed"
member_tool snapshot restore "$snapshot" --data-dir "$restored" --name "$name" --initial-cluster "$cluster" \
  --initial-cluster-token "$token" --initial-advertise-peer-urls "$peer" --bump-revision 1000000000 --mark-compacted ||
  die "$snapshot cannot be restored"
[ -s "$restored/member/snap/db" ] || die 'the restore left no database'
# its mark comes once all of it is on disk
sync -f "$restored" && printf '%s\n' "$sha256" >"$restored/whole.new" && sync "$restored/whole.new" &&
  mv -f -- "$restored/whole.new" "$restored/whole" && sync "$restored" || die "$restored is not safe on disk"
echo "restored into $restored; nothing uses it yet"
