# the API server of this very host, whichever one the balancer would choose
api_endpoint() {
  manifest=/etc/kubernetes/manifests/kube-apiserver.yaml
  [ -r "$manifest" ] || die "$manifest cannot be read: no API server of kubeadm runs here"
  api=$(sed -n 's#^ *kubeadm\.kubernetes\.io/kube-apiserver\.advertise-address\.endpoint: *##p' "$manifest" |
    head -n 1 | tr -d "\"'")
  [ -n "$api" ] || die "$manifest does not say where its API server listens"
}
kube() {
  kubectl --kubeconfig /etc/kubernetes/admin.conf --server "https://$api" "$@"
}
