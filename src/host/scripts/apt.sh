export DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l NEEDRESTART_SUSPEND=1 APT_LISTCHANGES_FRONTEND=none UCF_FORCE_CONFFOLD=1
apt() { # apt-get without a question
  apt-get -q -y -o DPkg::Lock::Timeout=5 -o Dpkg::Options::=--force-confold -o Dpkg::Options::=--force-confdef \
    -o Dpkg::Use-Pty=0 -o Acquire::Retries=3 -o Acquire::EnableSrvRecords=false "$@"
}
# apt waits for dpkg's lock by itself, but not for those of the lists and of the cache, and apt-mark and dpkg wait for none;
# whoever waits longer than a step's time could not say for what
patiently() { # COMMAND...: again for four minutes (eight where apt waits as well) while someone else has the lock that it needs
  tries=0
  while :; do
    # a file, not a pipe, whose end a daemon that was started meanwhile would keep open
    said=$(mktemp /tmp/refit-apt.XXXXXXXX) || return 70
    "$@" 2>"$said"
    status=$?
    cat "$said" >&2
    if grep -Eqs 'Could not get lock|locked by another process' "$said"; then tries=$((tries + 1)); else tries=48; fi
    rm -f "$said"
    if [ $status -eq 0 ] || [ $tries -ge 48 ]; then return $status; fi
    sleep 5
  done
}
mend() { # ends what a power cut left half done: apt refuses to begin while dpkg's journal has entries
  for update in /var/lib/dpkg/updates/[0-9]*; do
    if [ -e "$update" ]; then
      patiently dpkg --force-confold --force-confdef --configure --pending
      return
    fi
  done
}
foreseen() { # NAME=REVISION...: dies if apt would also change what the plan does not name
  simulated=$(apt -s install --allow-change-held-packages "$@") || { printf '%s\n' "$simulated"; die 'apt cannot install this'; }
  planned=' '
  for word; do planned="$planned${word%%=*} "; done
  # nothing may go, and nothing of Kubernetes and nothing that someone holds may change
  surprise=$(printf '%s\n' "$simulated" | awk -v planned="$planned" -v held=" $(apt-mark showhold | tr '\n' ' ') " '
    $1 == "Remv" ||
      ($1 == "Inst" && !index(planned, " " $2 " ") && ($2 ~ /^kube(adm|let|ctl)$/ || index(held, " " $2 " ")))')
  [ -z "$surprise" ] || die "apt would also do this, which the plan does not say: $surprise"
}
