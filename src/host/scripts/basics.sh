os_name() { . /etc/os-release && printf '%s' "$PRETTY_NAME"; }
disk_free() {
  for dir in /etc/kubernetes /usr /var/cache /var/lib /var/lib/containerd /var/lib/etcd /var/lib/kubelet; do
    [ -d "$dir" ] || continue
    bytes=$(df -P -B1 "$dir" | awk 'NR == 2 { print $4 }') || return 1
    printf '%s\t%s\n' "$dir" "$bytes"
  done
}
operation() {
  case $(systemctl show -p ActiveState --value refit-op.service) in
    active|activating|deactivating|reloading) cat /var/lib/refit/current ;;
    inactive|failed) : ;;
    *) return 1 ;;
  esac
}
emit uid id -u
emit hostname uname -n
emit machine-id cat /etc/machine-id
emit boot-id cat /proc/sys/kernel/random/boot_id
emit os os_name
emit cgroup stat -f -c %T /sys/fs/cgroup
emit disk disk_free
emit operation operation
emit clock-ms date +%s%3N
