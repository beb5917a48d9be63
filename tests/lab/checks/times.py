"""times.py JOURNAL NODES-DIRECTORY: where the time of a run went, and refit's own share of it where it was not killed."""

import collections
import glob
import statistics
import sys
from datetime import datetime

from common import check, host_log, journal

events = journal(sys.argv[1])
done = {event["step"]: event for event in events if event["event"] == "step-done"}

took = collections.Counter()
count = collections.Counter()
for step, event in done.items():
    kind = step.split("/")[-1].split("@")[0]
    took[kind] += event["took_ms"]
    count[kind] += 1
print("      " + ", ".join(f"{kind} {ms / 1000:.0f} s in {count[kind]}" for kind, ms in took.most_common(7)))


def seconds(stamp):
    return datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()


# What a step on a host takes beyond the command itself: connection, probes, the unit, its durable outcome.
on_host = collections.Counter()
for path in glob.glob(f"{sys.argv[2]}/*/root/var/lib/refit/log"):
    began = None
    for at, kind, _run, operation, _rest in host_log(path):
        if kind == "start":
            began = seconds(at)
        elif began is not None:
            on_host[operation] += int(1000 * (seconds(at) - began))
beyond = [done[op]["took_ms"] - ms for op, ms in on_host.items() if op in done and done[op]["how"] == "acted"]
if beyond:
    print(f"      beyond its command, a step on a host takes {statistics.median(beyond):.0f} ms (median of {len(beyond)}, at most {max(beyond)} ms)")

ends = [event for event in events if event["event"] in ("finished", "halted")]
for event in ends:
    print(f"      {event['event']}: {event['wall_ms'] / 1000:.0f} s, refit's own {event['own_ms']} ms")
if not any(event["event"] == "run-resumed" for event in events) and ends:
    own, wall = ends[-1]["own_ms"], ends[-1]["wall_ms"]
    check(f"refit's own share of the hop is at most 1 % ({100 * own / wall:.2f} %)", own <= wall / 100, f"{own} ms of {wall} ms")
