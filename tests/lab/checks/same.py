"""same.py PLAN JOURNAL REHEARSED: did the run go as the rehearsal of its plan on its own facts did?

Each step must have ended in the same way. A wait that found what it waits for at once, and one that had to wait, are the
same: how long things take on the lab is chance. So are a step that acted and one whose process was killed while it did.
"""

import json
import sys

from common import check, journal

plan = json.load(open(sys.argv[1], encoding="utf-8"))["plan"]
run, rehearsed = (journal(path) for path in sys.argv[2:])
waits = {"check-cluster", "check-host", "await-control-plane", "await-node", "await-static-pods"}


def outcomes(events):
    return {event["step"]: event["how"] for event in events if event["event"] == "step-done"}


def same(step, one, other):
    verb = step.split("/", 1)[1].split("@", 1)[0]
    return one == other or {one, other} == {"acted", "recovered"} or (verb in waits and None not in (one, other))


ours, theirs = outcomes(run), outcomes(rehearsed)
ids = [step["id"] for step in plan["steps"]]
different = [f"{step}: {ours.get(step)}, rehearsed: {theirs.get(step)}" for step in ids if not same(step, ours.get(step), theirs.get(step))]
acted = sum(theirs.get(step) == "acted" for step in ids)
good = check(
    f"each step ended as its rehearsal on the simulation did ({len(ids)} steps, {acted} of them acted there)",
    acted and not different,
    f"{len(different)} did not, such as {'; '.join(different[:3])}",
)
sys.exit(not good)
