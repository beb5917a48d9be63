# $1: start, wait or state; $2, $3: run and step as they are; $4, $5: the same as file names; $6: seconds to wait;
# to start also $7: the token; $8: one line for the log; $9: the runner; then the command
unit=refit-op.service
mode=$1 run=$2 op=$3 dir=$home/runs/$4 base=$home/runs/$4/$5 wait=$6
umask 077
active() {
  case $(systemctl show -p ActiveState --value $unit) in
    active|activating|deactivating|reloading) return 0 ;;
    inactive|failed) return 1 ;;
    *) die 'systemd does not say whether an operation is under way' ;;
  esac
}
peek() { # sets state, and other: what else is under way
  state=absent other=
  # whether it runs comes first: an operation that ended in between has its outcome on disk by then
  if active; then
    IFS='	' read -r now_run now_op now_base < $home/current || die "$home/current cannot be read"
    if [ "$now_run" = "$run" ] && [ "$now_op" = "$op" ]; then state=running
    elif [ ! -f "$now_base.outcome" ]; then other="$now_run $now_op"
    else other=ending
    fi
  fi
  if [ -f "$base.outcome" ]; then state=ended
  elif [ $state = absent ] && [ -f "$base.started" ]; then state=lost
  fi
}
look() { # as peek; what is just being started is not lost
  peek
  if [ $state = lost ] && [ -e $home/start ]; then
    flock -s -w 20 $home/start true
    peek
  fi
}
tell() {
  emit state echo $state
  if [ $state = ended ]; then
    emit outcome cat "$base.outcome"
    emit output tail -c 16384 "$base.log"
  fi
  exit 0
}
uptime_s() { cut -d. -f1 /proc/uptime; }
await_end() {
  until=$(($(uptime_s) + wait))
  while look; [ $state = running ]; do
    left=$((until - $(uptime_s)))
    [ $left -gt 0 ] || break
    flock -s -w $left $home/lock true
    [ -f "$base.outcome" ] || sleep 0.05 # the runner does not have the lock yet, or has just ended
  done
  tell
}
case $mode in
  state) look; tell ;;
  wait) await_end ;;
esac
[ "$(id -u)" = 0 ] || die 'we are not root here'
command -v systemd-run >/dev/null 2>&1 || die 'systemd-run is not installed here'
token=$7 label=$8 runner=$9
shift 9
mkdir -p "$dir" && chmod 700 $home $home/runs "$dir" || die "$dir cannot be made"
exec 8>>$home/start
flock -w 30 8 || die 'another start is under way and does not end'
tries=0
while peek; [ "$other" = ending ] && [ $tries -lt 200 ]; do tries=$((tries + 1)); sleep 0.05; done
case $state in
  ended) tell ;;
  running) exec 8>&-; await_end ;;
esac
know
if [ "$token" -lt "$known" ]; then emit state echo overtaken; emit token echo "$known"; exit 0; fi
if [ -n "$other" ]; then emit state echo busy; emit other printf '%s' "$other"; exit 0; fi
learn "$token"
if [ $state = lost ]; then
  printf '%s\tlost\t%s\t%s\n' "$(date -u +%Y-%m-%dT%H:%M:%S.%3NZ)" "$run" "$op" >> $home/log
fi
whole() { cat > "$1.new" && sync "$1.new" && mv -f "$1.new" "$1"; }
printf '%s' "$runner" | whole $home/runner &&
  printf '%s\n' "$label" | whole "$base.label" &&
  printf '%s\0' "$#" "$@" | whole "$base.argv" &&
  printf '%s\t%s\t%s\n' "$run" "$op" "$base" | whole $home/current &&
  cat /proc/sys/kernel/random/boot_id | whole "$base.started" &&
  : >> "$base.log" && sync "$dir" || die "$dir cannot be written: nothing was started"
# systemd expands $ and % in what it is given: it is given two file names of ours, made of letters, digits and . _ - =
if ! systemd-run --quiet --collect --unit=$unit --service-type=exec --description='A change by refit' \
  /bin/sh $home/runner "$base" >&2; then
  rm -f "$base.started"
  die 'systemd did not start the operation'
fi
exec 8>&-
await_end
