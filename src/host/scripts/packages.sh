names='kubeadm kubectl kubelet'
files() { # each file: its path, its SHA-256 and its text, so that what configures Kubernetes can be told apart
  for file in "$@"; do
    [ -f "$file" ] || continue
    emit source-path printf '%s' "$file"
    emit source-sha256 sha256sum "$file"
    emit source-text cat "$file"
  done
}
if command -v apt-get >/dev/null 2>&1; then
  emit manager echo apt
  emit installed dpkg-query -W -f '${Package}\t${Version}\t${db:Status-Abbrev}\n' $names
  emit audit dpkg --audit
  emit offered apt-cache madison $names
  files /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources
elif command -v dnf >/dev/null 2>&1 || command -v yum >/dev/null 2>&1; then
  if command -v dnf >/dev/null 2>&1; then manager=dnf; else manager=yum; fi
  emit manager echo $manager
  emit installed rpm -q --qf '%{NAME}\t%{VERSION}-%{RELEASE}\n' $names
  emit locked $manager -q versionlock list
  emit audit rpm -q rpm
  emit offered past_holds -q list --showduplicates $names
  files /etc/yum.repos.d/*.repo
else
  die 'neither apt-get nor dnf nor yum is installed here'
fi
