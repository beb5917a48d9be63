# Stops the control plane of this host: its static pods end when their manifests are gone. $1: where these are put aside
aside=$1 manifests=/etc/kubernetes/manifests
umask 077
mkdir -p "$aside" || die "$aside cannot be made"
for name in $components; do
  [ -e "$manifests/$name.yaml" ] || continue
  [ ! -e "$aside/$name.yaml" ] || die "$name.yaml is in $manifests again, and in $aside: someone else put it there"
  mv -- "$manifests/$name.yaml" "$aside/$name.yaml" || die "$name.yaml cannot be put aside"
done
sync "$aside" "$manifests" || die "$aside is not safe on disk"
tries=0
while
  # shellcheck disable=SC2086 # they are words
  left=$(running $components) || die 'which containers run here cannot be told'
  [ -n "$left" ]
do
  tries=$((tries + 1))
  [ "$tries" -lt 120 ] || die 'containers of the control plane still run: does the kubelet?'
  sleep 2
done
echo 'the control plane of this host has stopped'
