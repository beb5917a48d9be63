# Puts back this host's repositories, its versionlocks and the files that kubeadm wrote for its kubelet, as they were saved.
set -eu
before=/root/refit-runbook/before
[ -d "$before/var/lib/kubelet" ] || { echo "$before does not hold what was saved" >&2; exit 1; }
for directory in /etc/apt/sources.list.d /etc/apt/keyrings /etc/yum.repos.d; do
  if [ -d "$before$directory" ]; then cp -a "$before$directory/." "$directory/"; fi
done
for path in /etc/dnf/plugins/versionlock.list /etc/dnf/versionlock.toml /etc/yum/pluginconf.d/versionlock.list \
  /var/lib/kubelet/config.yaml /var/lib/kubelet/instance-config.yaml /var/lib/kubelet/kubeadm-flags.env; do
  if [ -e "$before$path" ]; then cp -a "$before$path" "$path"; fi
done
echo 'repositories and the kubelet have their earlier files'
