# $1: the repository file; $2: the key file
digest() { if [ -f "$1" ]; then sha256sum "$1"; fi; }
lists() { # for apt: whether each index of this file has been fetched
  command -v apt-get >/dev/null 2>&1 || { echo fetched; return 0; }
  listed=$(apt-get indextargets --format '$(SOURCESENTRY)	$(FILENAME)' 'Identifier: Packages' |
    awk -F '\t' -v file="$1" 'index($1, file ":") == 1 { print $2 }') || return 1
  [ -n "$listed" ] || { echo missing; return 0; }
  printf '%s\n' "$listed" | while IFS= read -r list; do
    for found in "$list" "$list".*; do [ -e "$found" ] && continue 2; done
    echo missing; break
  done | grep -q missing && { echo missing; return 0; }
  echo fetched
}
emit file digest "$1"
emit key digest "$2"
emit lists lists "$1"
