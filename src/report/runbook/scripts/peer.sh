# Prints this host's member of etcd as NAME=PEER_URL, from its manifest.
set -eu
manifest=/etc/kubernetes/manifests/etcd.yaml
[ -r "$manifest" ] || manifest=/root/refit-runbook/stopped/etcd.yaml
flag() { sed -n "s/^ *- --$1=//p" "$manifest" | head -n 1 | tr -d "\"'"; }
printf '%s=%s\n' "$(flag name)" "$(flag initial-advertise-peer-urls)"
