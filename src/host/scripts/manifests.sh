dir=/etc/kubernetes/manifests
[ -d "$dir" ] || die "$dir does not exist: this host runs no control plane of kubeadm"
for file in etcd.yaml kube-apiserver.yaml kube-controller-manager.yaml kube-scheduler.yaml; do
  [ -f "$dir/$file" ] || continue
  emit path printf '%s' "$file"
  emit sha256 sha256sum "$dir/$file"
  emit text cat "$dir/$file"
done
emit all ls -A "$dir"
