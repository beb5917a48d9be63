# The control plane's containers on this host, by the names that they have in their pods, whichever tool is there to ask.
components='kube-apiserver kube-controller-manager kube-scheduler etcd'
running() { # NAME...: the ids of those that run; fails where that cannot be told
  if command -v crictl >/dev/null 2>&1; then
    for name in "$@"; do crictl ps -q --name "^$name\$" || return 1; done
  elif command -v ctr >/dev/null 2>&1; then
    tasks=$(ctr -n k8s.io tasks ls) || return 1
    for name in "$@"; do
      ids=$(ctr -n k8s.io containers ls -q "labels.\"io.kubernetes.container.name\"==$name") || return 1
      for id in $ids; do
        printf '%s\n' "$tasks" | awk -v id="$id" '$1 == id && $3 == "RUNNING" { print $1 }'
      done
    done
  else
    echo 'neither crictl nor ctr is installed here' >&2
    return 1
  fi
}
