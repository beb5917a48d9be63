# Holds the packages that were held before: an installation of a held package ends its hold.
set -eu
before=/root/refit-runbook/before
[ -e "$before/holds" ] || { echo "$before/holds does not say what was held" >&2; exit 1; }
xargs -r apt-mark hold <"$before/holds"
