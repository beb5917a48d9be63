"""times.py JOURNAL: where the time of a run went: by kind of step, and refit's own share where it was not killed."""

import collections
import sys

from common import journal

events = journal(sys.argv[1])
took = collections.Counter()
count = collections.Counter()
for event in events:
    if event["event"] == "step-done":
        kind = event["step"].split("/")[-1].split("@")[0]
        took[kind] += event["took_ms"]
        count[kind] += 1
for kind, milliseconds in took.most_common(8):
    print(f"      {kind}: {milliseconds / 1000:.1f} s in {count[kind]} steps")
for event in events:
    if event["event"] in ("finished", "halted") and event.get("wall_ms"):
        print(f"      {event['event']}: wall {event['wall_ms'] / 1000:.1f} s, own {event['own_ms']} ms, {100 * event['own_ms'] / event['wall_ms']:.2f} %")
