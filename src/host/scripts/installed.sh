# $1: apt, dnf or yum
names='kubeadm kubectl kubelet'
emit manager echo "$1"
case $1 in
  apt) emit installed dpkg-query -W -f '${Package}\t${Version}\t${db:Status-Abbrev}\n' $names ;;
  *) emit installed rpm -q --qf '%{NAME}\t%{VERSION}-%{RELEASE}\n' $names
     emit locked "$1" -q versionlock list
     for file in /etc/yum.repos.d/*.repo; do
       [ -f "$file" ] || continue
       emit source-path printf '%s' "$file"
       emit source-sha256 sha256sum "$file"
       emit source-text cat "$file"
     done ;;
esac
emit kubelet kubelet_state
