# $1: the release, with v; then what kubeadm is told. kubeadm's own release decides what `upgrade node` upgrades to.
have=$(kubeadm version -o short) || die 'kubeadm does not run'
[ "$have" = "$1" ] || die "kubeadm here is $have, the plan is for $1: install the planned kubeadm first"
shift
exec kubeadm "$@"
