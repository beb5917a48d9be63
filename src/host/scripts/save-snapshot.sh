# $1: the file; $2: true to restore it into a scratch directory. Beside it comes an archive of what a snapshot does not hold
file=$1 trial=$2
umask 077
api_endpoint
etcd_open
case $file in
  *..*) die "$file: not a plain path" ;;
  "$etcd_data"/?*) ;;
  *) die "$file is outside etcd's data directory $etcd_data, the only one that its pod shares with this host" ;;
esac
for tool in etcdctl etcdutl; do
  in_etcd $tool version >/dev/null || die "$tool cannot be run in the pod etcd-$etcd_name"
done
# it gets its name only once it has passed every check: what has the name is taken for a good snapshot
archive=${file%.db}.tar pki=/etc/kubernetes/pki
new=$file.new scratch=$etcd_data/refit-trial
clean() { rm -rf -- "$new" "$new.part" "$archive.new" "$scratch"; }
clean && rm -f -- "$file" "$archive" || die "what an earlier try left beside $file cannot be removed"
trap clean EXIT
trap 'exit 70' HUP INT TERM
etcd_timeout=10m etcdctl snapshot save "$new" || die "etcd did not give a snapshot"
chmod 600 -- "$new" && sync "$new" || die "$new is not safe on disk"
in_etcd etcdutl snapshot status "$new" -w json || die "etcdutl does not accept $new"
if [ "$trial" = true ]; then
  in_etcd etcdutl snapshot restore "$new" --data-dir "$scratch" || die "the trial restore of $new failed"
  [ -s "$scratch/member/snap/db" ] || die "the trial restore of $new left no database"
  echo "trial restore: $(stat -c %s "$scratch/member/snap/db") bytes"
fi
# without the keys, what the snapshot holds can neither be decrypted nor be served to anybody
encryption=$(sed -n 's/^ *- --encryption-provider-config=//p' "$manifest" | head -n 1 | tr -d "\"'")
set -- "${pki#/}"
if [ -n "$encryption" ]; then
  [ -r "$encryption" ] || die "$encryption, by which this API server encrypts what is in etcd, cannot be read"
  set -- "$@" "${encryption#/}"
fi
tar -C / -cf "$archive.new" -- "$@" || die "$pki${encryption:+ and $encryption} cannot be archived"
chmod 600 -- "$archive.new" && sync "$archive.new" && mv -f -- "$archive.new" "$archive" || die "$archive is not safe on disk"
# what has the snapshot's name has all of it: it comes last
mv -f -- "$new" "$file" && sync "$(dirname "$file")" || die "$file is not safe on disk"
