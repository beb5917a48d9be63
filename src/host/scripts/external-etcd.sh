# external-etcd.sh CA CERT KEY ENDPOINT...: what each endpoint says of its release
command -v curl >/dev/null || die 'curl is not installed here, and external etcd is asked with it'
ca=$1 cert=$2 key=$3
shift 3
for endpoint; do
  set -- -sS --noproxy '*' --fail --connect-timeout 5 --max-time 10
  [ -z "$ca" ] || set -- "$@" --cacert "$ca"
  [ -z "$cert" ] || set -- "$@" --cert "$cert"
  [ -z "$key" ] || set -- "$@" --key "$key"
  emit endpoint printf %s "$endpoint"
  emit version curl "$@" -- "${endpoint%/}/version"
done
