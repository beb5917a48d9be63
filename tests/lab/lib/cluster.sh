# shellcheck shell=bash
# A cluster out of nodes, made as the kubeadm documentation makes a highly available one.

up() {
  local planes=${1:-} workers=${2:-} line i all=() rest=()
  [[ $planes =~ ^[1-5]$ && $workers =~ ^[0-9]$ ]] || die "usage: lab up CONTROL-PLANES(1-5) WORKERS(0-9) [RELEASE]"
  line=$(release "${3:-}")
  local version=${line%% *}
  [[ -e $LAB/releases/$version/packed ]] || die "release $version is not built: run '$HERE/lab build' first"
  down
  machines_up "$planes" "$workers"
  mapfile -t all < <(names)

  say "installing kubeadm, kubelet and kubectl $version"
  in_parallel install_kubernetes "${all[@]}"

  say "making the first control plane"
  { init_config "$version"; cat "$HERE/files/components.yaml"; } >"$LAB/nodes/cp1/init.yaml"
  on cp1 'cat >/root/init.yaml && kubeadm init --config /root/init.yaml' \
    <"$LAB/nodes/cp1/init.yaml" >"$LAB/nodes/cp1/init.log" 2>&1 || die "kubeadm init failed: see $LAB/nodes/cp1/init.log"
  on cp1 'install -D -m 600 /etc/kubernetes/admin.conf /root/.kube/config'
  kubeconfig >"$LAB/kubeconfig"
  chmod 600 "$LAB/kubeconfig"
  echo "$version" >"$LAB/started-at"

  read -r token hash certificates < <(invitation) || die "cp1 cannot invite other nodes"
  # Control planes one after another: each becomes a member of etcd. Workers all at once, beside them.
  for ((i = 1; i <= workers; i++)); do rest+=("w$i"); done
  say "joining"
  in_parallel join_cluster "${rest[@]}" &
  for ((i = 2; i <= planes; i++)); do join_cluster "cp$i"; done
  wait $!
  kubectl wait --for=condition=Ready node --all --timeout=180s >/dev/null || die "not all nodes became ready: $(kubectl get nodes)"
  say "up: $planes control planes and $workers workers at $version"
}

# machines_up PLANES WORKERS: nodes that boot, with a network for pods and nothing of Kubernetes.
machines_up() {
  local i name started=()
  hub_up
  for ((i = 1; i <= $1; i++)); do started+=("cp$i"); done
  for ((i = 1; i <= $2; i++)); do started+=("w$i"); done
  say "booting ${started[*]}"
  for name in "${started[@]}"; do
    node_disk "$name"
    node_network "$name"
    boot "$name"
  done
  for name in "${started[@]}"; do wait_for 60 "$name to boot (see $LAB/nodes/$name/console.log)" on "$name" true; done
}

down() {
  local name
  for name in $(names); do scrap "$name"; done
  hub_down
  rm -f "$LAB/kubeconfig" "$LAB/known_hosts" "$LAB/started-at"
}

in_parallel() { # FUNCTION NAME...: fails if one of them fails
  local function=$1 name jobs=() failed=0
  shift
  for name in "$@"; do "$function" "$name" & jobs+=($!); done
  for name in "${jobs[@]}"; do wait "$name" || failed=1; done
  [[ $failed == 0 ]] || die "$function failed on at least one node: see the logs below $LAB/nodes"
}

# Packages from the repository of the release's minor, held, as kubernetes/website
# content/en/docs/setup/production-environment/tools/kubeadm/install-kubeadm.md says.
install_kubernetes() { # NAME, of $version
  # shellcheck disable=SC2154
  on "$1" "REPOSITORY=http://pkgs.lab/core:/stable:/v${version%.*}/deb/ VERSION=$version bash -eu" >"$LAB/nodes/$1/install.log" 2>&1 <<'SH'
export DEBIAN_FRONTEND=noninteractive
keyring=/etc/apt/keyrings/kubernetes-apt-keyring.gpg
curl -fsS "${REPOSITORY}Release.key" | gpg --batch --yes --dearmor -o $keyring
echo "deb [signed-by=$keyring] $REPOSITORY ./" >/etc/apt/sources.list.d/kubernetes.list
: >/etc/apt/sources.list   # Debian's own archive is out of reach in here
apt-get update -q
apt-get install -qy "kubelet=$VERSION-*" "kubeadm=$VERSION-*" "kubectl=$VERSION-*"
apt-mark hold kubelet kubeadm kubectl
SH
}

node_registration() {
  cat <<'YAML'
nodeRegistration:
  criSocket: unix:///run/containerd/containerd.sock
  ignorePreflightErrors:
    - SystemVerification                                          # cgroup v1, on some machines
    - Swap
    - FileContent--proc-sys-net-bridge-bridge-nf-call-iptables    # bridge netfilter belongs to the machine
YAML
}

init_config() { # VERSION
  cat <<YAML
apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
localAPIEndpoint:
  advertiseAddress: $(address cp1)
$(node_registration)
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: v$1
controlPlaneEndpoint: api.lab:6443
networking:
  podSubnet: 10.244.0.0/16
  serviceSubnet: 10.96.0.0/16
---
YAML
}

# What a node needs to join: a token, the hash of the cluster's CA, the key of the uploaded certificates.
invitation() {
  on cp1 bash -eu <<'SH'
export KUBECONFIG=/etc/kubernetes/admin.conf
token=$(kubeadm token create --ttl 1h)
hash=$(openssl x509 -pubkey -in /etc/kubernetes/pki/ca.crt | openssl pkey -pubin -outform der | sha256sum | cut -d' ' -f1)
certificates=$(kubeadm init phase upload-certs --upload-certs 2>/dev/null | tail -n 1)
echo "$token $hash $certificates"
SH
}

join_cluster() { # NAME, with $token $hash $certificates
  {
    cat <<YAML
apiVersion: kubeadm.k8s.io/v1beta4
kind: JoinConfiguration
discovery:
  bootstrapToken:
    apiServerEndpoint: api.lab:6443
    token: $token
    caCertHashes: ["sha256:$hash"]
$(node_registration)
YAML
    # shellcheck disable=SC2154
    [[ $1 != cp* ]] || cat <<YAML
controlPlane:
  certificateKey: $certificates
  localAPIEndpoint:
    advertiseAddress: $(address "$1")
YAML
  } | on "$1" 'cat >/root/join.yaml && kubeadm join --config /root/join.yaml' >"$LAB/nodes/$1/join.log" 2>&1 ||
    die "$1 did not join: see $LAB/nodes/$1/join.log"
}

# The administrator's kubeconfig, through the balancer by its address: this machine does not know the name api.lab.
kubeconfig() {
  on cp1 cat /etc/kubernetes/admin.conf |
    sed "s#^\( *\)server: https://api.lab:6443#\1server: https://$HUB:6443\n\1tls-server-name: api.lab#"
}

# kubectl of the release that the cluster started with, on this machine, inside the nodes' network: it works whichever
# node is down. One minor older than an API server is within its skew.
kubectl() {
  local version
  version=$(cat "$LAB/started-at" 2>/dev/null) || die "no cluster is up"
  # shellcheck disable=SC2016
  in_network env KUBECONFIG="$LAB/kubeconfig" bash -c 'exec -a kubectl "$0" "$@"' "$LAB/releases/$version/bin/hyperkube" "$@"
}
