# shellcheck shell=bash
# How tests/lab/run and tests/lab/full try things and keep count. Needs LAB, WORK, HERE, PROJECT, RESULTS, REFIT.

# built_here: sets REFIT to the refit of this tree, unless one is given.
built_here() {
  if [[ -z ${REFIT:-} ]]; then
    cargo build --quiet --manifest-path "$PROJECT/Cargo.toml" || exit
    REFIT=${CARGO_TARGET_DIR:-$PROJECT/target}/debug/refit
  fi
  REFIT=$(realpath "$REFIT")
}

# documents DIRECTORY UPGRADE: the committed inventory, with what its paths lead to, and an upgrade.
documents() {
  mkdir -p "$1/inventories" "$1/plans"
  cp "$PROJECT/inventories/lab.yaml" "$1/inventories/"
  cp "$2" "$1/plans/"
  cp "$LAB/kubeconfig" "$LAB/known_hosts" "$LAB/id_ed25519" "$1/inventories/"
}

# verdict WHAT CONDITION [OTHERWISE]: evaluates the condition and prints the line for it.
verdict() {
  if eval "$2" >/dev/null 2>&1; then
    printf 'ok    %s\n' "$1"
  else
    printf 'FAIL  %s: %s\n' "$1" "${3:-$2}"
  fi | tee -a "$RESULTS"
}

# A check of checks/ prints such lines itself; one that breaks off without a verdict has failed.
python_check() {
  local printed
  printed=$("$HERE/lab" exec python3 "$HERE/checks/$1" "${@:2}" 2>&1)
  local status=$?
  if [[ $status != 0 ]] && ! grep -q '^FAIL' <<<"$printed"; then printed+=$'\n'"FAIL  $1 did not finish"; fi
  tee -a "$RESULTS" <<<"$printed"
}

closing_line() {
  local passed failed
  passed=$(grep -c '^ok ' "$RESULTS")
  failed=$(grep -c '^FAIL' "$RESULTS")
  echo "$passed passed, $failed failed"
  [[ $failed == 0 && $passed -gt 0 ]]
}

address() {
  case $1 in
    cp*) echo "10.77.0.1${1#cp}" ;;
    w*) echo "10.77.0.2${1#w}" ;;
  esac
}

# background NAME COMMAND...: until end_background NAME, which ends it with SIGTERM and waits for it.
declare -A BACKGROUND=()
background() {
  local name=$1
  shift
  "$@" >"$WORK/log/$name.out" 2>"$WORK/log/$name.err" &
  BACKGROUND[$name]=$!
}
end_background() {
  local name pid
  for name in "$@"; do
    pid=${BACKGROUND[$name]:-}
    [[ -n $pid ]] || continue
    kill "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
    unset "BACKGROUND[$name]"
  done
}
end_all_background() { end_background "${!BACKGROUND[@]}"; }

# refit_in_background ARGUMENTS...: sets REFIT_PID (the process itself, which `lab exec` becomes) and REFIT_LOG.
refit_in_background() {
  REFIT_LOG=$WORK/log/$(date +%H%M%S)-$1
  cd "$WORK" || return
  "$HERE/lab" exec "$REFIT" "$@" >"$REFIT_LOG.out" 2>"$REFIT_LOG.err" &
  REFIT_PID=$!
  cd - >/dev/null || return
}

the_run() { local runs=("$WORK"/.refit/runs/*); [[ ${#runs[@]} == 1 ]] && echo "${runs[0]}"; }

# status_now: milliseconds and exit code of one `refit status`. It goes before the nodes: where refit is really used, its machine
# does not carry five of them.
status_now() {
  local began=${EPOCHREALTIME/./} code
  (cd "$WORK" && nice -n -10 "$REFIT" status --output json >"$WORK/log/status.json" 2>"$WORK/log/status.err")
  code=$?
  echo "$(((${EPOCHREALTIME/./} - began) / 1000)) $code"
}
status_loop() {
  : >"$WORK/statuses"
  while sleep 10; do status_now >>"$WORK/statuses"; done
}
statuses_seen() { echo "$(wc -l <"$WORK/statuses") times, $(sort -n "$WORK/statuses" | tail -n 1 | cut -d' ' -f1) ms at most"; }
statuses_in_time() { [[ -s $WORK/statuses ]] && awk '$1 >= 1000 {slow = 1} END {exit slow}' "$WORK/statuses"; }

# hosts_state: everything on the hosts that a mutating command would change, one line a file; read from this machine, so
# that looking leaves no trace there.
hosts_state() {
  local root
  for root in "$LAB"/nodes/*/root; do
    (cd "$root" && sha256sum var/lib/dpkg/status var/lib/refit/log etc/apt/sources.list.d/* etc/apt/keyrings/* \
      etc/kubernetes/manifests/* 2>/dev/null | sed "s#  #  $(basename "${root%/root}"):#")
  done
  "$HERE/lab" kubectl get nodes -o custom-columns=NAME:.metadata.name,CORDONED:.spec.unschedulable,TAINTS:.spec.taints --no-headers
}
