# shellcheck shell=bash
# One node: a systemd-nspawn container with systemd as its first process, on an overlay over the base disk. Its state is
# in $LAB/nodes/NAME and outlives a power cut.

# node_disk NAME: the disk as a node of this name and number finds it at its first boot.
node_disk() {
  local name=$1 d=$LAB/nodes/$1 root=$LAB/nodes/$1/root n i
  n=$(number "$name")
  # An overlay cannot hold the upper directory of another overlay, so what containers are made in is a plain directory.
  mkdir -p "$d"/{upper,work,root,containerd,kubelet,etcd}
  mountpoint -q "$root" ||
    mount -t overlay overlay -o "lowerdir=$LAB/base,upperdir=$d/upper,workdir=$d/work" "$root"

  echo "$name" >"$root/etc/hostname"
  # A machine of its own: left empty, every node would take over this machine's id. It stays over reboots.
  [[ -s $root/etc/machine-id ]] || tr -d - </proc/sys/kernel/random/uuid >"$root/etc/machine-id"
  {
    echo "127.0.0.1 localhost"
    echo "$HUB hub pkgs.lab api.lab"
    for i in {1..9}; do printf '%s\n' "$SUBNET.1$i cp$i" "$SUBNET.2$i w$i"; done
  } >"$root/etc/hosts"

  # The node's key is known before anyone connects to it, so nobody ever has to trust a first use.
  local key=$root/etc/ssh/ssh_host_ed25519_key
  [[ -e $key ]] || ssh-keygen -q -t ed25519 -N '' -C "$name" -f "$key"
  touch "$LAB/known_hosts"
  sed -i "/^$name,/d" "$LAB/known_hosts"
  echo "$name,$SUBNET.$n $(cut -d' ' -f1,2 "$key.pub")" >>"$LAB/known_hosts"

  node_setup "$n" >"$root/usr/local/sbin/lab-setup"
  chmod 755 "$root/usr/local/sbin/lab-setup"
}

# The pod network is the plainest there is: Debian's CNI plugins, a bridge on each node and a static route to each other.
node_network() { # NAME
  local n
  n=$(number "$1")
  cat >"$LAB/nodes/$1/root/etc/cni/net.d/10-lab.conflist" <<JSON
{
  "cniVersion": "0.4.0",
  "name": "lab",
  "plugins": [
    {
      "type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false, "hairpinMode": true,
      "ipam": {
        "type": "host-local",
        "ranges": [[{"subnet": "10.244.$n.0/24"}]],
        "routes": [{"dst": "0.0.0.0/0"}]
      }
    },
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
JSON
}

node_setup() { # NUMBER: the program that lab-setup.service runs at each boot
  local tens i
  cat <<SH
#!/bin/sh
# Made by tests/lab. systemd-networkd leaves host0 alone when /sys is writable, so the address is set here.
sysctl -qw net.ipv4.ip_forward=1
ip link set lo up
ip addr replace $SUBNET.$1/24 dev host0
ip link set host0 up
ip route replace default via $HUB
SH
  for tens in 1 2; do
    for i in {1..9}; do
      [[ $tens$i == "$1" ]] || echo "ip route replace 10.244.$tens$i.0/24 via $SUBNET.$tens$i"
    done
  done
  cat <<'SH'
# cgroup v1 is mounted read-only inside; the node's own part of it is made writable again for kubelet and runc.
for hierarchy in /sys/fs/cgroup/*; do
  mountpoint -q "$hierarchy" && mount -o remount,rw,bind "$hierarchy" 2>/dev/null
done
mount --make-rshared /
exit 0
SH
}

# node_cgroups NAME: the directories of the node's own cgroup: one in every v1 hierarchy, or one in the v2 tree.
node_cgroups() {
  local top=/sys/fs/cgroup hierarchy own
  if [[ -e $top/cgroup.controllers ]]; then
    echo "$top/refit-lab/$1"
    return
  fi
  while IFS=: read -r _ hierarchy own; do
    [[ $own == / ]] && own=
    case $hierarchy in
      name=systemd) hierarchy=systemd ;;
      '') hierarchy=unified ;;
    esac
    # Controllers that share a hierarchy (cpu,cpuacct) are found under either name.
    [[ -d $top/$hierarchy ]] || hierarchy=${hierarchy%%,*}
    [[ -d $top/$hierarchy ]] && echo "$top/$hierarchy$own/refit-lab/$1"
  done </proc/self/cgroup
}

make_cgroups() { # NAME
  local group parent top
  while read -r group; do
    mkdir -p "$group"
    parent=${group%/*}
    if [[ $group == /sys/fs/cgroup/refit-lab/* ]]; then
      # v2: a controller reaches a cgroup only where every parent passes it on.
      for top in /sys/fs/cgroup "$parent"; do
        sed 's/\b\([a-z]\)/+\1/g' "$top/cgroup.controllers" >"$top/cgroup.subtree_control" 2>/dev/null || true
      done
    elif [[ -e $group/cpuset.cpus ]]; then
      # v1: a new cpuset is empty and takes no process before it has processors and memory.
      for top in "$parent" "$group"; do
        cat "${parent%/*}/cpuset.cpus" >"$top/cpuset.cpus"
        cat "${parent%/*}/cpuset.mems" >"$top/cpuset.mems"
      done
    fi
  done < <(node_cgroups "$1")
}

# boot NAME: switches a node on. It comes back by itself when it reboots (systemd-nspawn then ends with 133).
boot() {
  local name=$1 d=$LAB/nodes/$1
  [[ -d $d ]] || die "there is no node $name"
  [[ -e $d/pid ]] && is_ours "$(<"$d/pid")" && die "$name is running"
  mountpoint -q "$d/root" || node_disk "$name"   # after a restart of the machine only the files are left
  make_cgroups "$name"
  local groups command
  mapfile -t groups < <(node_cgroups "$name")
  command=(
    systemd-nspawn --quiet --boot --directory="$d/root" --machine="$name" --keep-unit --register=no
    --network-bridge=lab0 --private-users=no --capability=all --system-call-filter=@known
    --bind-ro=/dev/kmsg --bind="$d/containerd:/var/lib/containerd" --bind="$d/kubelet:/var/lib/kubelet"
    --bind="$d/etcd:/var/lib/etcd"
  )
  # nsenter, not `ip netns exec`, which would put another /sys, without cgroups, over this one.
  # shellcheck disable=SC2016
  SYSTEMD_NSPAWN_API_VFS_WRITABLE=yes setsid nsenter --net=/run/netns/$NETNS bash -c '
    count=$1; shift
    groups=("${@:1:count}"); shift "$count"
    while (for g in "${groups[@]}"; do echo "$BASHPID" >"$g/cgroup.procs"; done; exec "$@"); [[ $? == 133 ]]; do :; done
  ' "node-$name" "${#groups[@]}" "${groups[@]}" "${command[@]}" >>"$d/console.log" 2>&1 </dev/null 9>&- &
  echo $! >"$d/pid"
}

# power_cut NAME: every process of the node ends at once; nothing is written back, nobody is told.
power_cut() {
  local d=$LAB/nodes/$1 group pids
  [[ -d $d ]] || die "there is no node $1"
  if [[ -e $d/pid ]]; then
    pids=$(<"$d/pid")
    is_ours "$pids" && kill -KILL "$pids" 2>/dev/null
    rm -f "$d/pid"
  fi
  for _ in {1..100}; do
    # A cgroup that is not there, or goes while it is read, holds no process: the node of a machine that was restarted.
    pids=$(while read -r group; do
      find "$group" -name cgroup.procs -exec cat {} + 2>/dev/null || true
    done < <(node_cgroups "$1") | sort -u)
    [[ -n $pids ]] || break
    # shellcheck disable=SC2086
    kill -KILL $pids 2>/dev/null || true
    sleep 0.1
  done
  [[ -z $pids ]] || die "$1 does not stop: processes $(echo "$pids" | tr '\n' ' ')"
  while read -r group; do
    [[ -d $group ]] && find "$group" -depth -type d -exec rmdir {} + 2>/dev/null
  done < <(node_cgroups "$1")
  return 0
}

# scrap NAME: power cut, and the disk is gone.
scrap() {
  local d=$LAB/nodes/$1 mounted
  power_cut "$1"
  while read -r mounted; do umount -l "$mounted"; done < <(
    awk -v under="$(realpath "$d")/" 'index($2, under) == 1 {print $2}' /proc/mounts | sort -r)
  rm -rf "$d"
  [[ ! -e $LAB/known_hosts ]] || sed -i "/^$1,/d" "$LAB/known_hosts"
}

# on NAME [COMMAND]: as root on a node.
on() {
  local name=$1
  shift
  in_network ssh -q -i "$LAB/id_ed25519" -o UserKnownHostsFile="$LAB/known_hosts" -o StrictHostKeyChecking=yes \
    -o ConnectTimeout=5 -o BatchMode=yes "root@$(address "$name")" "$@"
}

names() { local d; for d in "$LAB"/nodes/*/; do [[ -d $d ]] && basename "$d"; done; return 0; }
