etcd_manifest=/etc/kubernetes/manifests/etcd.yaml
etcd_flag() { sed -n "s/^ *- --$1=//p" "$etcd_manifest" | head -n 1 | tr -d "\"'"; }
etcd_open() { # reads how this host's member is reached, from its manifest
  [ -r "$etcd_manifest" ] || die "$etcd_manifest cannot be read: no stacked etcd runs here"
  etcd_name=$(etcd_flag name) etcd_data=$(etcd_flag data-dir)
  etcd_url=$(etcd_flag advertise-client-urls) etcd_url=${etcd_url%%,*}
  etcd_ca=$(etcd_flag trusted-ca-file) etcd_pki=$(dirname "$(etcd_flag cert-file)")
  if [ -z "$etcd_name" ] || [ -z "$etcd_data" ] || [ -z "$etcd_url" ] || [ -z "$etcd_ca" ]; then
    die "$etcd_manifest lacks --name, --data-dir, --advertise-client-urls or --trusted-ca-file"
  fi
}
in_etcd() { kube -n kube-system exec "etcd-$etcd_name" -c etcd -- "$@"; }
etcdctl() {
  in_etcd etcdctl --endpoints="$etcd_url" --cacert="$etcd_ca" --cert="$etcd_pki/healthcheck-client.crt" \
    --key="$etcd_pki/healthcheck-client.key" --command-timeout="${etcd_timeout:-10s}" "$@"
}
