api_endpoint
etcd_open
# side by side: each is a session in the pod, and most of its time is the way there
umask 077
tmp=$(mktemp -d /tmp/refit-etcd.XXXXXXXX) || die 'no temporary directory'
trap 'rm -rf "$tmp"' EXIT
trap 'exit 70' HUP INT TERM
emit members etcdctl member list -w json >"$tmp/1" &
emit health etcdctl endpoint health --cluster -w json >"$tmp/2" &
emit status etcdctl endpoint status --cluster -w json >"$tmp/3" &
emit alarms etcdctl alarm list -w json >"$tmp/4" &
wait
cat "$tmp/1" "$tmp/2" "$tmp/3" "$tmp/4"
