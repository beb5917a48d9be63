# shellcheck shell=bash
# What every part of the lab agrees on: versions, places, addresses, and where it cannot run.

# The releases the lab can make: those of an upgrade by minors, then one to begin a patch upgrade from. For each Kubernetes
# release: the etcd, CoreDNS and pause releases that kubeadm of its minor asks for (kubernetes/kubernetes
# cmd/kubeadm/app/constants/constants.go). Every one of them is published as Go modules.
RELEASES=(
  "1.34.4 3.6.5 1.12.1 3.10.1"
  "1.35.4 3.6.6 1.13.1 3.10.1"
  "1.36.3 3.6.8 1.14.2 3.10.2"
  "1.34.3 3.6.5 1.12.1 3.10.1"
)

LAB=${REFIT_LAB:-/var/lib/refit-lab}   # all that is built and all that runs; outside the work tree, kept between runs
NETNS=refit-lab                        # the nodes' network is one namespace with one bridge
SUBNET=10.77.0                         # .1 the hub (packages, images, balancer), .11-.19 control planes, .21-.29 workers
HUB=$SUBNET.1
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export PATH=$LAB/bin:/usr/local/sbin:/usr/sbin:/sbin:$PATH

die() { printf 'lab: %s\n' "$*" >&2; exit 1; }
say() { printf 'lab: %s\n' "$*" >&2; }

# The number of a node is the last part of its address: cp2 is 12, w1 is 21.
number() {
  case $1 in
    cp[1-9]) echo "1${1#cp}" ;;
    w[1-9]) echo "2${1#w}" ;;
    *) die "no node can be called '$1': control planes are cp1 to cp9, workers w1 to w9" ;;
  esac
}
address() { echo "$SUBNET.$(number "$1")"; }

# release WANTED: its line of RELEASES, the first one when nothing is wanted.
release() {
  local line
  for line in "${RELEASES[@]}"; do
    [[ -z ${1:-} || ${line%% *} == "$1" ]] && { echo "$line"; return; }
  done
  die "release '$1' is not one the lab makes; it makes: $(printf '%s ' "${RELEASES[@]%% *}")"
}

# refuse_where_it_cannot_run: every reason at once, each with what would help.
refuse_where_it_cannot_run() {
  local why=()
  [[ $(uname -s) == Linux ]] || why+=("this is $(uname -s); nodes are systemd-nspawn containers, which are Linux's")
  [[ $(id -u) == 0 ]] || why+=("not root; it makes a network namespace, mounts and cgroups (run it with sudo)")
  [[ $(uname -m) == x86_64 ]] || why+=("this is $(uname -m); packages and images are made for x86_64")
  command -v apt-get >/dev/null || why+=("no apt-get; the nodes are Debian, bootstrapped by Debian's own tools")
  command -v go >/dev/null || why+=("no Go in PATH; Kubernetes is compiled from its modules (https://go.dev/doc/install, or golang from backports)")
  command -v python3 >/dev/null || why+=("no python3; it serves packages and reads the results")
  if [[ ${#why[@]} == 0 ]]; then
    # What a container without privileges lacks, tried rather than guessed.
    unshare --mount --net --pid --fork true 2>/dev/null || why+=("namespaces are not allowed here (an unprivileged container?); systemd-nspawn needs them")
    grep -qw overlay /proc/filesystems || modprobe overlay 2>/dev/null || why+=("the kernel has no overlayfs")
    [[ -d /sys/fs/cgroup ]] && ! { mkdir -p "$(cgroup_probe)" && rmdir "$(cgroup_probe)"; } 2>/dev/null && why+=("/sys/fs/cgroup is read-only")
  fi
  [[ ${#why[@]} == 0 ]] && return
  printf 'lab: cannot run here:\n' >&2
  printf '  - %s\n' "${why[@]}" >&2
  exit 69   # EX_UNAVAILABLE
}
cgroup_probe() {
  local top=/sys/fs/cgroup
  [[ -d $top/pids ]] && top=$top/pids
  echo "$top/refit-lab-probe.$$"
}

# debian_packages NAME...: installs those of them that are missing, asking for each by itself.
debian_packages() {
  local missing=() name
  for name in "$@"; do
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null) == installed ]] || missing+=("$name")
  done
  [[ ${#missing[@]} == 0 ]] && return
  say "installing ${missing[*]}"
  { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${missing[@]}"; } >"$LAB/apt.log" 2>&1 ||
    die "apt-get could not install ${missing[*]}: $(tail -n 3 "$LAB/apt.log")"
}

in_network() { nsenter --net=/run/netns/$NETNS "$@"; }
network_is_up() { [[ -e /run/netns/$NETNS ]]; }

# The lab's own process with this id? Only what runs inside its network is, so that a stale pid file ends nobody else.
is_ours() { network_is_up && ip netns pids $NETNS 2>/dev/null | grep -qx "$1"; }
stop_by_file() {
  local pid
  [[ -e $1 ]] || return 0
  pid=$(<"$1")
  if is_ours "$pid"; then
    kill "$pid" 2>/dev/null || true
    while kill -0 "$pid" 2>/dev/null && [[ $(ps -o stat= -p "$pid") != Z* ]]; do sleep 0.05; done
  fi
  rm -f "$1"
}
