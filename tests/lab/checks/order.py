"""order.py PLAN JOURNAL: is what the journal shows an order that the plan allows, and is it all of the plan?"""

import json
import sys

from common import check, journal

plan = json.load(open(sys.argv[1], encoding="utf-8"))["plan"]
events = journal(sys.argv[2])
after = {step["id"]: step["after"] for step in plan["steps"]}
done, early, unknown, again = set(), [], [], []
for event in events:
    step = event.get("step")
    if step is None:
        continue
    if step not in after:
        unknown.append(step)
        continue
    if event["event"] == "step-started":
        if step in done:
            again.append(step)
        early += [f"{step} before {needed}" for needed in after[step] if needed not in done]
    elif event["event"] == "step-done":
        early += [f"{step} done before {needed}" for needed in after[step] if needed not in done]
        done.add(step)

kinds = [event["event"] for event in events]
good = check(f"the journal's order is one that the plan allows ({len(after)} steps, {len(events)} events)", not early, "; ".join(early[:3]))
good &= check("the journal shows every step of the plan done, no other, none again", done == set(after) and not unknown and not again, f"not done: {sorted(set(after) - done)[:3]}, not in the plan: {unknown[:3]}, again: {again[:3]}")
good &= check(
    f"the journal shows the run taken up again after each SIGKILL ({kinds.count('run-resumed')} times)",
    kinds[0] == "run-started" and kinds[-1] == "finished" and kinds.count("run-resumed") == int(sys.argv[3]),
    f"first {kinds[0]}, last {kinds[-1]}, run-resumed {kinds.count('run-resumed')} times",
)
sys.exit(not good)
