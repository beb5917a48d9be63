# $1: the file; $2: true to restore it into a scratch directory
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
rm -f -- "$file" "$file.part"
etcd_timeout=10m etcdctl snapshot save "$file" || die "etcd did not give a snapshot"
chmod 600 -- "$file" && sync "$file" || die "$file is not safe on disk"
in_etcd etcdutl snapshot status "$file" -w json || die "etcdutl does not accept $file"
if [ "$trial" = true ]; then
  scratch=$etcd_data/refit-trial
  rm -rf -- "$scratch"
  trap 'rm -rf -- "$scratch"' EXIT
  trap 'exit 70' HUP INT TERM
  in_etcd etcdutl snapshot restore "$file" --data-dir "$scratch" || die "the trial restore of $file failed"
  [ -s "$scratch/member/snap/db" ] || die "the trial restore of $file left no database"
  echo "trial restore: $(stat -c %s "$scratch/member/snap/db") bytes"
fi
