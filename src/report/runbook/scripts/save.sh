# Keeps what the upgrade changes on this host and the way back needs. Says so and keeps the first copy when run again.
set -eu
umask 077
to=/root/refit-runbook/before
if [ -e "$to" ]; then echo "$to is there already: kept as it is"; exit 0; fi
rm -rf "$to.new" && mkdir "$to.new"
for path in /etc/kubernetes /var/lib/kubelet/config.yaml /var/lib/kubelet/instance-config.yaml \
  /var/lib/kubelet/kubeadm-flags.env /etc/apt/sources.list.d /etc/apt/keyrings /etc/yum.repos.d \
  /etc/dnf/plugins/versionlock.list /etc/dnf/versionlock.toml /etc/yum/pluginconf.d/versionlock.list; do
  [ -e "$path" ] || continue
  mkdir -p "$to.new$(dirname "$path")"
  cp -a "$path" "$to.new$path"
done
if command -v apt-mark >/dev/null 2>&1; then apt-mark showhold >"$to.new/holds"; fi
sync && mv "$to.new" "$to"
echo "saved in $to"
