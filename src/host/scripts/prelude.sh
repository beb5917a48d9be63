set -u
# emit NAME COMMAND...: one line: the name, the exit status, standard output in base64. Standard error passes through.
emit() {
  emit_name=$1; shift
  if emit_out=$("$@" </dev/null); then emit_status=0; else emit_status=$?; fi
  printf '%s\t%s\t%s\n' "$emit_name" "$emit_status" "$(printf '%s' "$emit_out" | base64 -w0)"
}
die() { echo "refit: $*" >&2; exit 70; }
