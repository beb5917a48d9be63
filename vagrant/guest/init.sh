#!/bin/bash
# The first control plane. Done once: on a node that has a cluster already it does nothing.
# shellcheck source=settings.sh
. "$(dirname "$0")/settings.sh"
: "${TOKEN:?what nodes join with}" "${CERTIFICATE_KEY:?what certificates travel under}"

[[ ! -e /etc/kubernetes/admin.conf ]] || exit 0
umask 077
{
  cat <<YAML
apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
bootstrapTokens:
  - {token: $TOKEN, ttl: 24h}
certificateKey: $CERTIFICATE_KEY
localAPIEndpoint:
  advertiseAddress: $ADDRESS
$(registration)
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: v$RELEASE
controlPlaneEndpoint: $BALANCER:6443
networking:
  podSubnet: 10.244.0.0/16
  serviceSubnet: 10.96.0.0/16
YAML
  if [[ -n $KUBEADM_EXTRA ]]; then
    echo ---
    cat "$KUBEADM_EXTRA"
  fi
} >/root/kubeadm-init.yaml
kubeadm init --config /root/kubeadm-init.yaml --upload-certs
