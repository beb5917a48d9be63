# Keeps what the upgrade changes on this host and the way back needs. Says so and keeps the first copy when run again.
set -eu
umask 077
to=/root/refit-runbook/before
if [ -e "$to" ]; then echo "$to is there already: kept as it is"; exit 0; fi
rm -rf "$to.new" && mkdir "$to.new"
for path in /etc/kubernetes /var/lib/kubelet/config.yaml /var/lib/kubelet/instance-config.yaml \
  /var/lib/kubelet/kubeadm-flags.env /etc/apt/sources.list.d /etc/apt/keyrings /etc/yum.repos.d; do
  [ -e "$path" ] || continue
  mkdir -p "$to.new$(dirname "$path")"
  cp -a "$path" "$to.new$path"
done
sync && mv "$to.new" "$to"
echo "saved in $to"
