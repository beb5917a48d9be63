dir=/etc/kubernetes/manifests
[ -d "$dir" ] || die "$dir does not exist: this host runs no control plane of kubeadm"
for file in etcd.yaml kube-apiserver.yaml kube-controller-manager.yaml kube-scheduler.yaml; do
  [ -f "$dir/$file" ] || continue
  emit path printf '%s' "$file"
  emit sha256 sha256sum "$dir/$file"
  emit text cat "$dir/$file"
done
emit all ls -A "$dir"
# Of a kubeconfig only the server is read: it holds a key.
for name in controller-manager scheduler; do
  file=/etc/kubernetes/$name.conf
  [ -f "$file" ] || continue
  emit client printf '%s' "kube-$name"
  emit server sed -n 's/^ *server: *//p' "$file"
done
