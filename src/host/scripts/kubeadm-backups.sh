# What kubeadm kept of the static pods' manifests when it last replaced some, what is there now, and how its last operation ended.
manifests=/etc/kubernetes/manifests
backup=
# their names end with the time at which they were made
for dir in /etc/kubernetes/tmp/kubeadm-backup-manifests-*; do
  if [ -d "$dir" ]; then backup=$dir; fi
done
each() { # $1: a directory: of each static pod's manifest there its name, digest and image
  for name in kube-apiserver kube-controller-manager kube-scheduler etcd; do
    [ -f "$1/$name.yaml" ] || continue
    sha256=$(sha256sum <"$1/$name.yaml") || return 1
    printf '%s\t%s\t%s\n' "$name" "${sha256%% *}" \
      "$(sed -n 's/^[ -]*image: *//p' "$1/$name.yaml" | head -n 1 | tr -d "\"'")"
  done
}
kept() { if [ -n "$backup" ]; then each "$backup"; fi; }
# the line of the last operation of kubeadm here: its start, or its end with the exit status
last() {
  if [ -f /var/lib/refit/log ]; then
    awk -F '\t' '$4 ~ /\/kubeadm-(apply|node)@/ { line = $0 } END { if (line != "") print line }' /var/lib/refit/log
  fi
}
busy() { pgrep -x kubeadm || [ $? = 1 ]; }
emit backup printf '%s' "$backup"
emit kept kept
emit there each "$manifests"
emit last last
emit busy busy
