# $1: the node's name, $2: the directory of patches or nothing; both as YAML writes text
dir=/etc/kubernetes/manifests
api_endpoint
umask 077
tmp=$(mktemp -d /tmp/refit-generated.XXXXXXXX) || die 'no temporary directory'
trap 'rm -rf "$tmp"' EXIT
trap 'exit 70' HUP INT TERM
release=$(sed -n 's#^ *image: .*/kube-apiserver:\(v[0-9][0-9A-Za-z.-]*\).*#\1#p' "$manifest" | head -n 1)
[ -n "$release" ] || die "$manifest does not say which release its API server is"
kube --request-timeout=30s -n kube-system get configmap kubeadm-config -o 'jsonpath={.data.ClusterConfiguration}' \
  >"$tmp/cluster.yaml" || die 'kubeadm-config cannot be read'
format=$(sed -n 's/^apiVersion: *//p' "$tmp/cluster.yaml" | head -n 1 | tr -d "\"' ")
case $format in
  kubeadm.k8s.io/v1|kubeadm.k8s.io/v1beta[0-9]) ;;
  *) die "kubeadm-config is of no format that is known" ;;
esac
address=${api%:*} port=${api##*:}
address=${address#[} address=${address%]}
{
  sed "s/^kubernetesVersion:.*/kubernetesVersion: $release/" "$tmp/cluster.yaml"
  # the socket is not in a manifest; that it is given keeps kubeadm from looking for one
  printf '\n---\napiVersion: %s\nkind: InitConfiguration\nlocalAPIEndpoint: {advertiseAddress: "%s", bindPort: %s}\n' \
    "$format" "$address" "$port"
  printf 'nodeRegistration: {name: %s, criSocket: "unix:///run/containerd/containerd.sock"}\n' "$1"
  if [ -n "$2" ]; then printf 'patches: {directory: %s}\n' "$2"; fi
} >"$tmp/config.yaml"
# as in the unit that runs kubeadm later: nothing of this session's environment, of which kubeadm would copy proxies
generate() {
  env -i PATH="$PATH" KUBEADM_INIT_DRYRUN_DIR="$tmp/out" \
    kubeadm init phase "$@" --config "$tmp/config.yaml" --dry-run >/dev/null </dev/null
}
# side by side, and both over before anything is said: the directory goes with this script
mkdir "$tmp/out"
generate control-plane all &
asked=$!
if [ -f "$dir/etcd.yaml" ]; then generate etcd local; else true; fi
etcd=$?
wait "$asked" || die 'kubeadm does not say which manifests it would write'
[ "$etcd" = 0 ] || die 'kubeadm does not say which manifest of etcd it would write'
for file in etcd.yaml kube-apiserver.yaml kube-controller-manager.yaml kube-scheduler.yaml; do
  [ -f "$dir/$file" ] || continue
  emit path printf '%s' "$file"
  emit present cat "$dir/$file"
  emit generated cat "$tmp/out/$file"
done
