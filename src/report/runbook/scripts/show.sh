# Shows what the scripts that look at a host say: each answer under its name, with its exit status.
while IFS='	' read -r name status answer; do
  printf -- '-- %s (exit %s)\n' "$name" "$status"
  printf '%s' "$answer" | base64 -d
  echo
done
