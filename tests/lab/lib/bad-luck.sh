# shellcheck shell=bash
# What goes wrong on real sites, before an upgrade: refit must say what, by name, and must not have touched anything.

# bad NAME EXIT WORDS [SETTING...]: applies in $CASE, and wants this exit code, an error with each of the words
# (extended regular expressions, separated by spaces), and hosts as they were.
bad() {
  local name=$1 code=$2 words=$3 status word missing='' log=$WORK/log/bad-${1//[^a-z0-9]/-}
  (cd "$CASE" && timeout 180 "$HERE/lab" exec "$REFIT" apply plans/to-1.35.yaml --yes >"$log.out" 2>"$log.err" </dev/null)
  status=$?
  for word in $words; do grep -qE -- "$word" "$log.out" "$log.err" || missing+=" $word"; done
  verdict "$name: exit $code, an error that names it" "[[ $status == $code && -z '$missing' ]]" \
    "exit $status, without:${missing:- nothing}; $(tail -n 4 "$log.err" | tr '\n' ' ')"
  verdict "$name: nothing changed" "[[ \$(hosts_state) == \"\$UNTOUCHED\" ]]" "$(diff <(echo "$UNTOUCHED") <(hosts_state) | head -n 4)"
}

# a_case: a fresh pair of documents to spoil, in $CASE.
a_case() {
  CASE=$WORK/case
  rm -rf "$CASE"
  documents "$CASE" "$PROJECT/plans/to-1.35.yaml"
  inventory=$CASE/inventories/lab.yaml
  plan=$CASE/plans/to-1.35.yaml
  export inventory plan
}

# workers HOST...: the inventory with these in place of its workers, which stand last in it.
workers() {
  sed -i '/role: worker/q' "$inventory"
  { echo "    hosts:"; printf '      - %s\n' "$@"; } >>"$inventory"
}

stage_bad_luck() {
  UNTOUCHED=$(hosts_state)
  export UNTOUCHED

  a_case
  workers '{name: w1, address: 10.77.0.21}' '{name: w2, address: 10.77.0.99}'
  bad "an unreachable host" 3 'w2 10\.77\.0\.99'

  a_case
  sed -i "s#^cp2,10.77.0.12 .*#cp2,10.77.0.12 $(cut -d' ' -f1,2 "$LAB/id_ed25519.pub")#" "$CASE/inventories/known_hosts"
  bad "a wrong host key" 3 'cp2 [Hh]ost.key'

  a_case
  "$HERE/lab" node w1 'id guest >/dev/null 2>&1 || useradd --create-home guest; install -D -o guest -g guest -m 600 /root/.ssh/authorized_keys /home/guest/.ssh/authorized_keys; chown guest: /home/guest/.ssh'
  workers '{name: w1, address: 10.77.0.21, ssh: {user: guest}}' '{name: w2, address: 10.77.0.22}'
  bad "no sudo right" 3 'w1 sudo|root'

  a_case
  workers '{name: w1, address: 10.77.0.22}' '{name: w2, address: 10.77.0.21}'
  bad "hosts that are each other's node" 3 'w1 w2 machine'

  a_case
  workers '{name: w1, address: 10.77.0.21}'
  bad "a node that is not in the inventory" 3 'w2 ignoreNodes'

  a_case
  expired_kubeconfig >"$CASE/inventories/kubeconfig"
  bad "an expired kubeconfig" 3 'expired|[Uu]nauthorized'

  a_case
  sed -i 's/^target: .*/target: 1.36.77/' "$plan"
  bad "a target two minors away that nobody offers" 3 'v1\.36|1\.36\.77'

  a_case
  sed -i 's/^target: .*/target: 1.34.3/' "$plan"
  bad "a downgrade" 3 '1\.34\.4 1\.34\.3'

  a_case
  sed -i 's/^target: .*/target: 1.35.77/' "$plan"
  bad "a package that does not exist" 3 '1\.35\.77 kubeadm'

  a_case
  # The same files on a disk of one MiB, without a byte left, where kubeadm would write its backups.
  "$HERE/lab" node cp2 'mkdir /tmp/full && mount -t tmpfs -o size=1m tmpfs /tmp/full && cp -a /etc/kubernetes/. /tmp/full &&
    { cat /dev/zero >/tmp/full/filler; } 2>/dev/null; mount --bind /tmp/full /etc/kubernetes'
  bad "a full disk on a host" 3 'cp2 /etc/kubernetes|disk'
  "$HERE/lab" node cp2 'umount /etc/kubernetes /tmp/full && rmdir /tmp/full'
}

# expired_kubeconfig: the administrator's, with a certificate of the cluster's own CA that ended yesterday.
expired_kubeconfig() {
  local d
  d=$(mktemp -d)
  "$HERE/lab" node cp1 'cat /etc/kubernetes/pki/ca.crt' >"$d/ca.crt"
  "$HERE/lab" node cp1 'cat /etc/kubernetes/pki/ca.key' >"$d/ca.key"
  (
    cd "$d" || exit
    : >index
    printf '[ca]\ndefault_ca=c\n[c]\nnew_certs_dir=.\ndatabase=index\nrand_serial=yes\ndefault_md=sha256\npolicy=p\nx509_extensions=x\n[p]\norganizationName=optional\ncommonName=supplied\n[x]\nextendedKeyUsage=clientAuth\n' >ca.cnf
    openssl req -new -newkey rsa:2048 -nodes -keyout key -out csr -subj '/O=kubeadm:cluster-admins/CN=kubernetes-admin'
    openssl ca -batch -config ca.cnf -cert ca.crt -keyfile ca.key -in csr -out crt -notext -startdate 20250101000000Z \
      -enddate "$(date -u -d yesterday +%Y%m%d%H%M%SZ)"
  ) >"$WORK/log/expired" 2>&1
  sed "s#client-certificate-data: .*#client-certificate-data: $(base64 -w0 "$d/crt")#; s#client-key-data: .*#client-key-data: $(base64 -w0 "$d/key")#" "$LAB/kubeconfig"
  rm -rf "$d"
}
