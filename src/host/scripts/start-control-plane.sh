# Starts the control plane of this host again. $1: where its manifests were put aside
aside=$1 manifests=/etc/kubernetes/manifests
for name in etcd kube-apiserver kube-controller-manager kube-scheduler; do
  [ -e "$aside/$name.yaml" ] || continue
  [ ! -e "$manifests/$name.yaml" ] || die "$name.yaml is in $manifests already, and in $aside: someone else put it there"
  mv -- "$aside/$name.yaml" "$manifests/$name.yaml" || die "$name.yaml cannot be put back"
done
for name in etcd kube-apiserver; do
  [ -e "$manifests/$name.yaml" ] || die "there is no $name.yaml, neither in $manifests nor in $aside"
done
if [ -d "$aside" ]; then rmdir -- "$aside" || die "$aside holds more than was put there"; fi
sync "$manifests" || die "$manifests is not safe on disk"
echo 'the kubelet starts the control plane of this host'
