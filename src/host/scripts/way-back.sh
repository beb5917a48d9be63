# $1: where manifests are put aside; $2: etcd's data directory; $3: what is restored; $4: the data that was in use before;
# $5: the snapshot
aside=$1 data=$2 restored=$3 before=$4 snapshot=$5
there() { for name in $components; do if [ -e "$1/$name.yaml" ]; then echo "$name"; fi; done; }
run_here() {
  for name in $components; do
    ids=$(running "$name") || return 1
    if [ -n "$ids" ]; then echo "$name"; fi
  done
}
digest() { if [ -f "$1" ]; then sha256sum "$1"; fi; }
whole() { if [ -f "$restored/whole" ]; then cat "$restored/whole"; fi; }
is() { if [ -d "$1" ]; then echo yes; else echo no; fi; }
free() { df -P -B1 "$data" | awk 'NR == 2 { print $4 }'; }
emit manifests there /etc/kubernetes/manifests
emit aside there "$aside"
emit running run_here
emit snapshot digest "$snapshot"
emit restored whole
emit member is "$data/member"
emit before is "$before"
emit authority digest /etc/kubernetes/pki/ca.crt
emit free free
