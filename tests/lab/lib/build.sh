# shellcheck shell=bash
# Makes, once, what the lab runs: the nodes' disk, and for each release its packages and images.
# What is made is left in $LAB and found again: base/done, releases/VERSION/done (compiled) and /packed.

build() {
  local count=${1:-${#RELEASES[@]}} line
  [[ $count =~ ^[1-9]$ ]] || die "build: '$count' is not a number of releases"
  mkdir -p "$LAB"/{bin,nodes,run,www,registry,releases}
  exec 9>"$LAB/build.lock"
  flock -n 9 || { say "another build is running; waiting for it"; flock 9; }
  host_tools
  build_base
  for line in "${RELEASES[@]:0:count}"; do
    read -r k8s etcd coredns pause <<<"$line"
    compile_release
    pack_release
  done
  exec 9>&-
}

host_tools() {
  debian_packages systemd-container debootstrap iproute2 haproxy docker-registry dpkg-dev gnupg openssh-client openssl curl procps util-linux
  [[ -x $LAB/bin/crane ]] ||
    GOBIN=$LAB/bin CGO_ENABLED=0 go install github.com/google/go-containerregistry/cmd/crane@v0.20.6
}

# The disk all nodes start from: Debian with systemd, sshd and containerd, nothing of Kubernetes yet.
build_base() {
  local base=$LAB/base
  [[ -e $base/done ]] && return
  say "building the nodes' disk"
  rm -rf "$base"
  local packages=(
    systemd systemd-sysv dbus openssh-server sudo ca-certificates curl gpg
    containerd runc containernetworking-plugins iptables conntrack ethtool socat
    iproute2 iputils-ping kmod procps util-linux busybox-static
  )
  debootstrap --variant=minbase --include="$(IFS=,; echo "${packages[*]}")" bookworm "$base" >"$LAB/debootstrap.log" ||
    die "debootstrap failed: $(tail -n 3 "$LAB/debootstrap.log")"

  install -D -m 644 "$HERE/files/containerd.toml" "$base/etc/containerd/config.toml"
  install -d "$base/etc/containerd/certs.d/registry.k8s.io" "$base/etc/cni/net.d" "$base/etc/apt/keyrings"
  cat >"$base/etc/containerd/certs.d/registry.k8s.io/hosts.toml" <<TOML
server = "http://$HUB:5000"
[host."http://$HUB:5000"]
  capabilities = ["pull", "resolve"]
TOML

  # root is the lab's own way in; ops is how a person, and refit, comes in.
  [[ -e $LAB/id_ed25519 ]] || ssh-keygen -q -t ed25519 -N '' -C refit-lab -f "$LAB/id_ed25519"
  chroot "$base" useradd --create-home --shell /bin/bash ops
  echo 'ops ALL=(ALL) NOPASSWD:ALL' >"$base/etc/sudoers.d/ops"
  install -D -m 600 "$LAB/id_ed25519.pub" "$base/root/.ssh/authorized_keys"
  install -D -m 600 "$LAB/id_ed25519.pub" "$base/home/ops/.ssh/authorized_keys"
  chroot "$base" chown -R ops:ops /home/ops/.ssh
  rm -f "$base"/etc/ssh/ssh_host_*   # each node has keys of its own
  : >"$base/etc/machine-id"

  install -m 644 "$HERE/files/lab-setup.service" "$base/etc/systemd/system/"
  chroot "$base" systemctl enable lab-setup containerd ssh >/dev/null 2>&1
  touch "$base/done"
}

# A Kubernetes release is a set of Go modules: k8s.io/kubernetes at v1.X.Y, and each k8s.io/NAME it replaces by a folder
# of its own repository, which is published as v0.X.Y. etcd, CoreDNS and pause are compiled beside it.
compile_release() {
  local out=$LAB/releases/$k8s
  [[ -e $out/done ]] && return
  say "compiling Kubernetes $k8s, etcd $etcd, CoreDNS $coredns"
  mkdir -p "$out/bin" "$out/src/kubernetes" "$out/src/etcd"

  local published
  published=$(go mod download -json "k8s.io/kubernetes@v$k8s" | python3 -c 'import json, sys; print(json.load(sys.stdin)["GoMod"])')
  cp "$HERE/src/kubernetes.go" "$out/src/kubernetes/main.go"
  python3 "$HERE/src/gomod.py" "$published" "$k8s" >"$out/src/kubernetes/go.mod"
  local v=k8s.io/component-base/version minor=${k8s#*.}
  (
    cd "$out/src/kubernetes"
    go mod tidy
    CGO_ENABLED=0 go build -trimpath -o "$out/bin/hyperkube" -ldflags "-s -w
      -X $v.gitVersion=v$k8s -X $v.gitMajor=1 -X $v.gitMinor=${minor%.*}
      -X $v.gitTreeState=clean -X $v.gitCommit=0000000000000000000000000000000000000000" .
  ) >"$out/compile.log" 2>&1 || die "Kubernetes $k8s does not compile, see $out/compile.log"

  (
    cd "$out/src/etcd"
    printf 'module refit.lab/etcd\n\ngo 1.24\n' >go.mod
    go get -tool "go.etcd.io/etcd/server/v3@v$etcd" "go.etcd.io/etcd/etcdctl/v3@v$etcd" "go.etcd.io/etcd/etcdutl/v3@v$etcd"
    for program in server:etcd etcdctl:etcdctl etcdutl:etcdutl; do
      CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o "$out/bin/${program#*:}" "go.etcd.io/etcd/${program%:*}/v3"
    done
    GOBIN=$out/bin CGO_ENABLED=0 go install -trimpath -ldflags '-s -w' "github.com/coredns/coredns@v$coredns"
    CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o "$out/bin/pause" "$HERE/src/pause.go"
  ) >>"$out/compile.log" 2>&1 || die "etcd $etcd, CoreDNS $coredns or pause does not compile, see $out/compile.log"
  touch "$out/done"
}

pack_release() {
  [[ -e $LAB/releases/$k8s/packed ]] && return
  say "packing Kubernetes $k8s"
  pack_packages
  pack_images
  touch "$LAB/releases/$k8s/packed"
}

# Debian packages in a signed repository with the paths, names and revisions of pkgs.k8s.io.
pack_packages() {
  local repository=$LAB/www/core:/stable:/v${k8s%.*}/deb
  mkdir -p "$repository/amd64"
  package kubectl 'ca-certificates'
  package kubelet 'iptables (>= 1.4.21), iproute2, mount, util-linux, ethtool, socat, conntrack'
  package kubeadm 'kubelet, kubectl, iptables, iproute2, mount, util-linux, ethtool, socat'
  (
    cd "$repository"
    dpkg-scanpackages --multiversion . >Packages 2>/dev/null
    cat >Release <<RELEASE
Origin: refit-lab
Suite: stable
Architectures: amd64
Date: $(date -Ru)
SHA256:
 $(sha256sum Packages | cut -d' ' -f1) $(stat -c %s Packages) Packages
RELEASE
    export GNUPGHOME=$LAB/gpg
    if [[ ! -d $GNUPGHOME ]]; then
      mkdir -m 700 "$GNUPGHOME"
      gpg --batch --quiet --passphrase '' --quick-gen-key 'refit lab <lab@refit.lab>' ed25519 sign never
    fi
    gpg --batch --yes --quiet --clearsign -o InRelease Release
    gpg --batch --yes --armor --export >Release.key
  )
}

package() { # NAME DEPENDS, of $k8s into $repository
  local tree=$LAB/releases/$k8s/deb
  rm -rf "$tree"
  mkdir -p "$tree/DEBIAN"
  install -D "$LAB/releases/$k8s/bin/hyperkube" "$tree/usr/bin/$1"
  cat >"$tree/DEBIAN/control" <<CONTROL
Package: $1
Version: $k8s-1.1
Architecture: amd64
Maintainer: lab <lab@refit.lab>
Depends: $2
Description: $1, compiled for the lab
CONTROL
  if [[ $1 == kubelet ]]; then
    local units=$tree/usr/lib/systemd/system
    install -D -m 644 "$HERE/files/kubelet.service" "$units/kubelet.service"
    install -D -m 644 "$HERE/files/10-kubeadm.conf" "$units/kubelet.service.d/10-kubeadm.conf"
    install -m 755 "$HERE/files/kubelet.postinst" "$tree/DEBIAN/postinst"
  fi
  dpkg-deb --root-owner-group -Znone --build "$tree" "$repository/amd64/$1_$k8s-1.1_amd64.deb" >/dev/null
  rm -rf "$tree"
}

# Images, pushed to the hub's registry under the names that kubeadm asks registry.k8s.io for.
pack_images() {
  hub_up
  local layers=$LAB/releases/$k8s/layers bin=$LAB/releases/$k8s/bin name
  rm -rf "$layers"
  mkdir -p "$layers"/{kube,etcd}/usr/local/bin "$layers/coredns" "$layers/pause" "$layers/app/bin"

  cp "$bin/hyperkube" "$layers/kube/usr/local/bin/"
  for name in kube-apiserver kube-controller-manager kube-scheduler kube-proxy; do
    ln -s hyperkube "$layers/kube/usr/local/bin/$name"
  done
  iptables_into "$layers/kube"
  cp "$bin"/etcd "$bin"/etcdctl "$bin"/etcdutl "$layers/etcd/usr/local/bin/"
  cp "$bin/coredns" "$layers/coredns/"
  cp "$bin/pause" "$layers/pause/"
  # app: what the tests' workload runs.
  cp "$LAB/base/bin/busybox" "$layers/app/bin/"
  for name in sh httpd sleep hostname mkdir cat echo; do ln -s busybox "$layers/app/bin/$name"; done

  for name in kube etcd coredns pause app; do
    tar -C "$layers/$name" --owner=0 --group=0 --sort=name --mtime=@0 -cf "$layers/$name.tar" .
  done
  for name in kube-apiserver kube-controller-manager kube-scheduler kube-proxy; do
    image kube "$name:v$k8s" "/usr/local/bin/$name"
  done
  image etcd "etcd:$etcd-0" /usr/local/bin/etcd
  image coredns "coredns/coredns:v$coredns" /coredns
  image pause "pause:$pause" /pause
  image app app:1 /bin/sh
  rm -rf "$layers"
}

image() { # LAYER NAME:TAG ENTRYPOINT
  local to=127.0.0.1:5000/$2
  {
    in_network crane append --insecure -f "$layers/$1.tar" -t "$to" &&
      in_network crane mutate --insecure --set-platform linux/amd64 --entrypoint "$3" "$to" -t "$to"
  } >"$LAB/run/image.log" 2>&1 || die "the registry did not take $2: $(tail -n 1 "$LAB/run/image.log")"
}

# kube-proxy calls iptables: the nodes' own, with every library it loads.
iptables_into() {
  local modules=/usr/lib/x86_64-linux-gnu/xtables program file name
  for program in /usr/sbin/xtables-nft-multi /usr/sbin/conntrack $modules/libxt_statistic.so; do
    for file in "$program" $(chroot "$LAB/base" ldd "$program" | grep -oE '/[^ ]+\.so[^ ]*'); do
      install -D "$(realpath "$LAB/base$file")" "$1$file"
    done
  done
  cp -r "$LAB/base$modules" "$1${modules%/*}/"
  for name in iptables iptables-save iptables-restore ip6tables ip6tables-save ip6tables-restore; do
    ln -s xtables-nft-multi "$1/usr/sbin/$name"
  done
}
