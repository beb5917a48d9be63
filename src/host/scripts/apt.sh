export DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l NEEDRESTART_SUSPEND=1 APT_LISTCHANGES_FRONTEND=none UCF_FORCE_CONFFOLD=1
apt() { # apt-get without a question, patient with other users of the package database
  apt-get -q -y -o DPkg::Lock::Timeout=120 -o Dpkg::Options::=--force-confold -o Dpkg::Options::=--force-confdef \
    -o Dpkg::Use-Pty=0 -o Acquire::Retries=3 -o Acquire::EnableSrvRecords=false "$@"
}
