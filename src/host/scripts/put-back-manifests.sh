# Puts manifests back that kubeadm replaced. $1: where it kept them; then for each its name and its SHA-256
backup=$1 manifests=/etc/kubernetes/manifests
shift
case $backup in
  *..*) die "$backup: not a plain path" ;;
  /etc/kubernetes/tmp/kubeadm-backup-manifests-?*) ;;
  *) die "$backup is not where kubeadm keeps manifests" ;;
esac
! pgrep -x kubeadm >/dev/null || die 'kubeadm runs here'
[ $# -gt 0 ] && [ $(($# % 2)) = 0 ] || die 'nothing to put back'
list="$*"
while [ $# -gt 0 ]; do
  came=$(sha256sum <"$backup/$1.yaml") || die "$backup/$1.yaml cannot be read"
  [ "${came%% *}" = "$2" ] || die "$backup/$1.yaml is not as the plan has it"
  shift 2
done
umask 077
# shellcheck disable=SC2086 # names and digests, without spaces
set -- $list
while [ $# -gt 0 ]; do
  # beside it first, under a name that the kubelet does not read, then in its place at once
  cp -- "$backup/$1.yaml" "$manifests/.$1.yaml.refit" && sync "$manifests/.$1.yaml.refit" &&
    mv -f -- "$manifests/.$1.yaml.refit" "$manifests/$1.yaml" || die "$manifests/$1.yaml cannot be put back"
  shift 2
done
sync "$manifests" || die "$manifests is not safe on disk"
echo "put back from $backup"
