# $1: the directory
dir=$1
left() { # each of refit's files there: for how many seconds nobody has written to it, and its name
  now=$(date +%s)
  for file in "$dir"/refit-*.db "$dir"/refit-*.db.new "$dir"/refit-*.db.new.part \
    "$dir"/refit-*.tar "$dir"/refit-*.tar.new; do
    if [ -f "$file" ] && [ ! -L "$file" ]; then
      changed=$(stat -c %Y -- "$file") || return 1
      printf '%s\t%s\n' "$((now - changed))" "${file##*/}"
    fi
  done
}
emit left left
