# $1: the snapshot
file=$1
digest() { if [ -f "$file" ]; then sha256sum "$file"; fi; }
size() { if [ -f "$file" ]; then stat -c %s "$file"; fi; }
verdict() { if [ -f "$file" ]; then in_etcd etcdutl snapshot status "$file" -w json; fi; }
emit sha256 digest
emit size size
if [ -f "$file" ]; then api_endpoint; etcd_open; fi
emit verdict verdict
