# $1: apt, dnf or yum; then the packages at exact revisions
manager=$1; shift
case $manager in
  apt) apt install --download-only --allow-change-held-packages "$@" ;;
  *) "$manager" -y --downloadonly --disableplugin=versionlock --disableexcludes=all install "$@" ;;
esac
