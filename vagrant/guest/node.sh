#!/bin/bash
# What every node has before it belongs to a cluster: containerd, a pod network, kubeadm, kubelet and kubectl.
#
# Source: kubernetes/website content/en/docs/setup/production-environment/container-runtimes.md and
# tools/kubeadm/install-kubeadm.md.
# shellcheck source=settings.sh
. "$(dirname "$0")/settings.sh"

operator
for node in $NODES; do
  grep -qE "[[:space:]]${node%=*}( |$)" /etc/hosts || echo "${node#*=} ${node%=*}" >>/etc/hosts
done

# Swap off, forwarding on, bridges seen by iptables.
swapoff -a
sed -i '/^[^#].*[[:space:]]swap[[:space:]]/s/^/#/' /etc/fstab 2>/dev/null || true
for module in $KERNEL_MODULES; do
  modprobe "$module"
  echo "$module"
done >/etc/modules-load.d/kubernetes.conf
echo net.ipv4.ip_forward=1 >/etc/sysctl.d/90-kubernetes.conf
sysctl -q -p /etc/sysctl.d/90-kubernetes.conf

packages containerd containernetworking-plugins ca-certificates curl gpg iptables conntrack ethtool socat
systemd_cgroup=false
[[ $CGROUP_DRIVER != systemd ]] || systemd_cgroup=true
mkdir -p /etc/containerd
cat >/etc/containerd/config.toml <<TOML
version = 2

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "$PAUSE"
  restrict_oom_score_adj = $RESTRICT_OOM_SCORE_ADJ

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"

  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "/etc/containerd/certs.d"

  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"

    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = $systemd_cgroup
TOML
systemctl enable --quiet containerd
systemctl restart containerd

# The pod network: this node's pods behind a bridge, every other node's behind a route.
mkdir -p /etc/cni/net.d
cat >/etc/cni/net.d/10-pods.conflist <<JSON
{
  "cniVersion": "0.4.0",
  "name": "pods",
  "plugins": [
    {
      "type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
      "ipam": {
        "type": "host-local",
        "ranges": [[{"subnet": "$(pods_of "$ADDRESS")"}]],
        "routes": [{"dst": "0.0.0.0/0"}]
      }
    },
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
JSON
{
  printf '[Unit]\nDescription=Routes to the pods of other nodes\nWants=network-online.target\nAfter=network-online.target\n'
  printf '[Service]\nType=oneshot\nRemainAfterExit=yes\n'
  for node in $NODES; do
    [[ ${node#*=} == "$ADDRESS" ]] || echo "ExecStart=ip route replace $(pods_of "${node#*=}") via ${node#*=}"
  done
  printf '[Install]\nWantedBy=multi-user.target\n'
} >/etc/systemd/system/pod-routes.service
systemctl daemon-reload
systemctl enable --quiet pod-routes
systemctl restart pod-routes

# Kubernetes' packages, of the minor that the cluster starts at, held.
minor=${RELEASE%.*}
mkdir -p /etc/apt/keyrings
curl -fsSL "$REPOSITORY/v$minor/deb/Release.key" | gpg --batch --yes --dearmor -o /etc/apt/keyrings/kubernetes-apt-keyring.gpg
echo "deb [signed-by=/etc/apt/keyrings/kubernetes-apt-keyring.gpg] $REPOSITORY/v$minor/deb/ /" >/etc/apt/sources.list.d/kubernetes.list
packages "kubelet=$RELEASE-*" "kubeadm=$RELEASE-*" "kubectl=$RELEASE-*"
apt-mark hold kubelet kubeadm kubectl
