# Restores a snapshot into a new data directory beside the one in use, with the etcdutl of the running member.
# $1: the snapshot, inside etcd's data directory; $2: all members as NAME=PEER_URL, with commas between
set -eu
. /root/refit-runbook/containers
snapshot=$1 cluster=$2
manifest=/etc/kubernetes/manifests/etcd.yaml
flag() { sed -n "s/^ *- --$1=//p" "$manifest" | head -n 1 | tr -d "\"'"; }
name=$(flag name) data=$(flag data-dir) peer=$(flag initial-advertise-peer-urls)
case $snapshot in
  "$data"/?*) ;;
  *) echo "$snapshot is outside of $data, the only directory that etcd's pod shares with this host" >&2; exit 1 ;;
esac
case ",$cluster," in
  *",$name=$peer,"*) ;;
  *) echo "$cluster does not hold this host's member, $name=$peer" >&2; exit 1 ;;
esac
etcd=$(running etcd | head -n 1)
[ -n "$etcd" ] || { echo 'etcd does not run here: use the etcdutl of its release with the same arguments' >&2; exit 1; }
# Revisions must not repeat, or controllers trust what they saw before (etcd-io/etcd#16028); etcdutl knows how from 3.6 on.
bump=''
if within "$etcd" etcdutl snapshot restore --help 2>&1 | grep -q -e --bump-revision; then
  bump='--bump-revision 1000000000 --mark-compacted'
fi
rm -rf "$data/refit-restored"
# $bump is words.
within "$etcd" etcdutl snapshot restore "$snapshot" --data-dir "$data/refit-restored" --name "$name" \
  --initial-cluster "$cluster" --initial-cluster-token refit-restored --initial-advertise-peer-urls "$peer" $bump
[ -s "$data/refit-restored/member/snap/db" ] || { echo 'the restore left no database' >&2; exit 1; }
echo "restored into $data/refit-restored; nothing uses it yet"
