# $1: the file; $2: its SHA-256. It comes on standard input, and has its name only once all of it is on disk
file=$1 sha256=$2
umask 077
rm -f -- "$file.part" || die "$file.part cannot be removed"
cat >"$file.part" && sync "$file.part" || { rm -f -- "$file.part"; die "$file.part cannot be written"; }
came=$(sha256sum <"$file.part")
if [ "${came%% *}" != "$sha256" ]; then
  rm -f -- "$file.part"
  die "what came is not whole: its SHA-256 is ${came%% *}, not $sha256"
fi
mv -f -- "$file.part" "$file" && sync "$(dirname "$file")" || die "$file is not safe on disk"
