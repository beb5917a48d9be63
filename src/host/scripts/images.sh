# $1: the release, with v; $2: the repository of images
emit wanted kubeadm config images list --kubernetes-version "$1" --image-repository "$2"
if command -v crictl >/dev/null 2>&1; then emit present-crictl crictl images -o json
elif command -v ctr >/dev/null 2>&1; then emit present-ctr ctr -n k8s.io images ls -q
else die 'neither crictl nor ctr is installed here'
fi
