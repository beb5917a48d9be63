#!/bin/bash
# A further control plane, or a worker, by its name. Done once.
# shellcheck source=settings.sh
. "$(dirname "$0")/settings.sh"
: "${TOKEN:?what nodes join with}" "${CERTIFICATE_KEY:?what certificates travel under}"

[[ ! -e /etc/kubernetes/kubelet.conf ]] || exit 0
umask 077
{
  cat <<YAML
apiVersion: kubeadm.k8s.io/v1beta4
kind: JoinConfiguration
discovery:
  bootstrapToken:
    apiServerEndpoint: $BALANCER:6443
    token: $TOKEN
    # The cluster's CA is not known before the cluster is; what the balancer shows is signed with the token, which only
    # these machines have.
    unsafeSkipCAVerification: true
$(registration)
YAML
  [[ $NAME != cp* ]] || cat <<YAML
controlPlane:
  certificateKey: $CERTIFICATE_KEY
  localAPIEndpoint:
    advertiseAddress: $ADDRESS
YAML
} >/root/kubeadm-join.yaml
kubeadm join --config /root/kubeadm-join.yaml
