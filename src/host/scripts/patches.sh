# $1: the directory
[ -d "$1" ] || die "$1 does not exist"
emit all ls -A "$1"
for file in "$1"/*; do
  [ -f "$file" ] || continue
  emit path printf '%s' "${file##*/}"
  emit sha256 sha256sum "$file"
  emit text cat "$file"
done
