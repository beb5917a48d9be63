# Stops the control plane of this host: its static pods end when their manifests are gone.
set -eu
. /root/refit-runbook/containers
umask 077
mkdir -p /root/refit-runbook/stopped
for name in kube-apiserver kube-controller-manager kube-scheduler etcd; do
  file=/etc/kubernetes/manifests/$name.yaml
  if [ -e "$file" ]; then mv "$file" /root/refit-runbook/stopped/; fi
done
for _ in $(seq 60); do
  left=$(running kube-apiserver kube-controller-manager kube-scheduler etcd)
  if [ -z "$left" ]; then echo 'the control plane of this host has stopped'; exit 0; fi
  sleep 2
done
echo 'containers of the control plane still run' >&2
exit 1
