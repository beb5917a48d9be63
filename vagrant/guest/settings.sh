# shellcheck shell=bash
# What the guest scripts agree on. The Vagrantfile sets the first group; the rest has defaults, which a site with mirrors
# of its own, or another kind of machine, overrides in the environment.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive

: "${NAME:?this machine}" "${ADDRESS:?its address}" "${BALANCER:?address of the balancer}" "${NODES:?NAME=ADDRESS of all nodes}"

RELEASE=${RELEASE:-1.35.4}                                              # the release to upgrade from
REPOSITORY=${REPOSITORY:-https://pkgs.k8s.io/core:/stable:}             # /vMINOR/deb/ is appended
PAUSE=${PAUSE:-registry.k8s.io/pause:3.10.1}
CGROUP_DRIVER=${CGROUP_DRIVER:-systemd}                                 # or cgroupfs
RESTRICT_OOM_SCORE_ADJ=${RESTRICT_OOM_SCORE_ADJ:-false}                 # true where CAP_SYS_RESOURCE is missing
KERNEL_MODULES=${KERNEL_MODULES-overlay br_netfilter}                   # empty where they are somebody else's
IGNORE_PREFLIGHT_ERRORS=${IGNORE_PREFLIGHT_ERRORS:-}                    # kubeadm's names, separated by spaces
KUBEADM_EXTRA=${KUBEADM_EXTRA:-}                                        # a file of further documents for kubeadm init

# Pods of a node have addresses after its own: 192.168.56.21 carries 10.244.21.0/24.
pods_of() { echo "10.244.${1##*.}.0/24"; }

packages() { apt-get update -q && apt-get install -qy --no-install-recommends "$@"; }

# The person, or refit, who comes to upgrade: by key only, root through sudo.
operator() {
  [[ -n ${OPERATOR_KEY:-} ]] || return 0
  id ops >/dev/null 2>&1 || useradd --create-home --shell /bin/bash ops
  install -d -o ops -g ops -m 700 /home/ops/.ssh
  install -o ops -g ops -m 600 /dev/stdin /home/ops/.ssh/authorized_keys <<<"$OPERATOR_KEY"
  install -m 440 /dev/stdin /etc/sudoers.d/ops <<<'ops ALL=(ALL) NOPASSWD:ALL'
}

registration() {
  local name
  cat <<YAML
nodeRegistration:
  name: $NAME
  criSocket: unix:///run/containerd/containerd.sock
  kubeletExtraArgs:
    - {name: node-ip, value: "$ADDRESS"}      # machines of Vagrant share the address of their first interface
YAML
  [[ -z $IGNORE_PREFLIGHT_ERRORS ]] || echo "  ignorePreflightErrors:"
  for name in $IGNORE_PREFLIGHT_ERRORS; do echo "    - $name"; done
}
