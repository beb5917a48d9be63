# Puts the restored data and the saved configuration in place and starts the control plane of this host as it was before.
# Only when the control planes of all hosts have stopped.
set -eu
. /root/refit-runbook/containers
before=/root/refit-runbook/before
[ -d "$before/etc/kubernetes" ] || { echo "$before does not hold what was saved" >&2; exit 1; }
left=$(running kube-apiserver etcd)
if [ -n "$left" ]; then
  echo 'the control plane of this host still runs: stop it first' >&2; exit 1
fi
data=$(sed -n 's/^ *- --data-dir=//p' "$before/etc/kubernetes/manifests/etcd.yaml" | head -n 1 | tr -d "\"'")
[ -d "$data/refit-restored/member" ] || { echo "$data/refit-restored does not hold restored data" >&2; exit 1; }
mv "$data/member" "$data/member.before-restore-$(date +%s)"
mv "$data/refit-restored/member" "$data/member"
cp -a "$before/etc/kubernetes/." /etc/kubernetes/
sh /root/refit-runbook/files
systemctl restart kubelet.service
echo 'the kubelet starts the control plane as it was before'
