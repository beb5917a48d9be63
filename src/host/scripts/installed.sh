# $1: apt, dnf or yum
names='kubeadm kubectl kubelet'
kubelet_state() { # whether the kubelet that runs is the one that is installed
  pid=$(systemctl show -p MainPID --value kubelet.service) || return 1
  if [ -z "$pid" ] || [ "$pid" = 0 ]; then echo stopped; return 0; fi
  exe=$(readlink "/proc/$pid/exe") || return 1
  case $exe in *' (deleted)') echo replaced ;; *) echo installed ;; esac
}
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
