# shellcheck shell=bash
# The hub: the nodes' network and, at its .1, what they would otherwise reach outside of it.

hub_up() {
  mkdir -p "$LAB/run" "$LAB/registry" "$LAB/www"
  if ! network_is_up; then
    ip netns add $NETNS
    ip -n $NETNS link set lo up
    ip -n $NETNS link add lab0 type bridge
    ip -n $NETNS addr add $HUB/24 dev lab0
    ip -n $NETNS link set lab0 up
    in_network sysctl -qw net.ipv4.ip_forward=1
  fi
  kernel_settings
  registry_config >"$LAB/run/registry.yml"
  balancer_config >"$LAB/run/haproxy.cfg"
  service registry docker-registry serve "$LAB/run/registry.yml"
  service packages python3 -m http.server --directory "$LAB/www" 80
  service balancer haproxy -db -f "$LAB/run/haproxy.cfg"
  wait_for 20 "the registry at $HUB:5000" in_network curl -fsS -o /dev/null http://$HUB:5000/v2/
  wait_for 20 "the package repository at $HUB:80" in_network curl -fsS -o /dev/null http://$HUB/
}

hub_down() {
  local file
  for file in "$LAB"/run/*.pid; do stop_by_file "$file"; done
  network_is_up && ip netns del $NETNS
  return 0
}

# service NAME COMMAND...: runs it in the nodes' network, its process id kept so that it alone is ended later.
service() {
  local name=$1
  shift
  [[ -e $LAB/run/$name.pid ]] && is_ours "$(<"$LAB/run/$name.pid")" && return
  setsid nsenter --net=/run/netns/$NETNS "$@" >"$LAB/run/$name.log" 2>&1 </dev/null 9>&- &
  echo $! >"$LAB/run/$name.pid"
}

# What kubelets expect of a kernel and cannot set from inside, and what five systemds need of one machine. A setting
# that this kernel does not have is no reason to stop.
kernel_settings() {
  local setting
  for setting in vm.overcommit_memory=1 kernel.panic=10 kernel.panic_on_oops=1 \
    kernel.keys.root_maxkeys=1000000 kernel.keys.root_maxbytes=25000000 \
    fs.inotify.max_user_instances=8192 fs.inotify.max_user_watches=1048576; do
    sysctl -qw "$setting" 2>/dev/null || true
  done
}

registry_config() {
  cat <<YAML
version: 0.1
log: {level: warn, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: "$LAB/registry"}}
http: {addr: ":5000"}
YAML
}

# The control plane's balancer sends nobody to an API server that is not ready, and ends the connections of one that has
# become so: while kubeadm replaces an etcd member, the API server beside it answers nobody for most of a minute, and kubelets
# that hold on to it would be taken for dead.
balancer_config() {
  local i
  cat <<CONF
defaults
  mode tcp
  timeout connect 2s
  timeout client 10m
  timeout server 10m
frontend api
  bind $HUB:6443
  default_backend control-planes
backend control-planes
  option httpchk GET /readyz
  http-check expect status 200
  default-server check check-ssl verify none inter 1s fall 2 rise 1 on-marked-down shutdown-sessions
CONF
  for i in 1 2 3 4 5; do echo "  server cp$i $SUBNET.1$i:6443"; done
}

# wait_for SECONDS WHAT COMMAND...: until the command succeeds.
wait_for() {
  local until=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" </dev/null >/dev/null 2>&1; do
    ((SECONDS < until)) || die "waited in vain for $what"
    sleep 0.2
  done
}
