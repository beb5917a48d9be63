# The control plane's containers on this host, by the names that they have in their pods, whichever tool is there to ask.
if command -v crictl >/dev/null 2>&1; then
  running() { for name in "$@"; do crictl ps -q --name "^$name\$"; done; }
  within() { crictl exec "$@"; }
elif command -v ctr >/dev/null 2>&1; then
  running() {
    tasks=$(ctr -n k8s.io tasks ls) # a plain assignment, so that a failure ends the script
    for name in "$@"; do
      for id in $(ctr -n k8s.io containers ls -q "labels.\"io.kubernetes.container.name\"==$name"); do
        printf '%s\n' "$tasks" | awk -v id="$id" '$1 == id && $3 == "RUNNING" { print $1 }'
      done
    done
  }
  within() { id=$1; shift; ctr -n k8s.io tasks exec --exec-id "refit-$$-$(date +%s%N)" "$id" "$@"; }
else
  echo 'neither crictl nor ctr is installed here' >&2; exit 1
fi
