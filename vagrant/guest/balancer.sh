#!/bin/bash
# The control plane's one address: haproxy, which sends nobody to an API server that is not ready, and ends the connections
# of one that has become so: while kubeadm replaces a member of etcd, the API server beside it answers nobody for most of a
# minute, and kubelets that hold on to it would be taken for dead.
# shellcheck source=settings.sh
. "$(dirname "$0")/settings.sh"

packages haproxy
{
  cat <<CONF
global
  log /dev/log local0
defaults
  mode tcp
  timeout connect 2s
  timeout client 10m
  timeout server 10m
frontend kubernetes
  bind *:6443
  default_backend control-planes
backend control-planes
  option httpchk GET /readyz
  http-check expect status 200
  default-server check check-ssl verify none inter 1s fall 2 rise 1 on-marked-down shutdown-sessions
CONF
  for node in $NODES; do
    [[ $node != cp* ]] || echo "  server ${node%=*} ${node#*=}:6443"
  done
} >/etc/haproxy/haproxy.cfg
haproxy -c -q -f /etc/haproxy/haproxy.cfg
systemctl enable --quiet haproxy
systemctl restart haproxy
