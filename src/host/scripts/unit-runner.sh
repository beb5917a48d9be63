# Runs one mutation inside the unit refit-op. $1: where its files are, without their endings.
base=$1 home=/var/lib/refit
umask 077
export HOME=/root LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
now() { date -u +%Y-%m-%dT%H:%M:%S.%3NZ; }
uptime_ms() { awk '{ printf "%d", $1 * 1000 }' /proc/uptime; }
exec 9>>"$home/lock"
flock 9 # held as long as this runs: whoever waits for the end waits for it
IFS='	' read -r run op _ < "$home/current"
printf '%s\tstart\t%s\t%s\t%s\n' "$(now)" "$run" "$op" "$(cat "$base.label")" >> "$home/log"
sync "$home/log"
began=$(uptime_ms)
rm -f "$base.status"
# the arguments come NUL-separated, their count first, so that xargs cannot have split them
xargs -0 -a "$base.argv" sh -c '
  base=$0 want=$1; shift
  if [ $# = "$want" ]; then umask 022; "$@"; status=$?; else echo "refit: too many arguments"; status=70; fi
  umask 077; echo $status > "$base.status"' "$base" >> "$base.log" 2>&1 < /dev/null 9>&-
status=$(cat "$base.status" 2>/dev/null)
case $status in '' | *[!0-9]*) status=255 ;; esac
took=$(($(uptime_ms) - began))
# whole or not at all, and on disk, before anyone is told: without an outcome it counts as lost
printf '%s\t%s\t%s\t%s\n' "$status" "$took" "$(cat /proc/sys/kernel/random/boot_id)" "$(now)" > "$base.outcome.new" &&
  sync "$base.log" "$base.outcome.new" && mv -f "$base.outcome.new" "$base.outcome" && sync "$(dirname "$base")"
printf '%s\tend\t%s\t%s\texit=%s\n' "$(now)" "$run" "$op" "$status" >> "$home/log"
sync "$home/log"
