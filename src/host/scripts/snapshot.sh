# $1: the snapshot; the archive of what belongs to it has the same name, with .tar instead of .db
file=$1
archive=${file%.db}.tar
digest() { if [ -f "$1" ]; then sha256sum "$1"; fi; }
size() { if [ -f "$1" ]; then stat -c %s "$1"; fi; }
verdict() { if [ -f "$file" ]; then in_etcd etcdutl snapshot status "$file" -w json; fi; }
release() { if [ -f "$file" ]; then in_etcd etcdutl version; fi; }
emit sha256 digest "$file"
emit size size "$file"
emit archive-sha256 digest "$archive"
emit archive-size size "$archive"
if [ -f "$file" ]; then api_endpoint; etcd_open; fi
emit verdict verdict
emit release release
emit authority digest /etc/kubernetes/pki/ca.crt
