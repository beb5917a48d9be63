# $1: apt, dnf or yum; then the packages
manager=$1; shift
case $manager in
  apt) patiently apt-mark hold "$@" && dpkg-query -W -f '${Package}\t${db:Status-Abbrev}\n' "$@" ;;
  *)
    if "$manager" -q versionlock list >/dev/null 2>&1; then
      "$manager" -q versionlock delete "$@" >/dev/null 2>&1
      "$manager" -q -y versionlock add "$@"
    else
      for name; do
        grep -Eqs "^(exclude|excludepkgs)=.*(^|[=, ])$name([, ]|\$)" /etc/yum.repos.d/*.repo ||
          die "$name cannot be held: install the versionlock plugin, or list it under exclude= in its repository file"
      done
    fi ;;
esac
