"""undisturbed.py PROBER-RESULT BUDGET-RESULT: was the workload ever hurt?"""

import json
import sys

from common import check

probes, budget = (json.load(open(path, encoding="utf-8")) for path in sys.argv[1:])
tries, failures = probes["tries"], probes["failures"]
good = check(
    f"no probe of the Service failed ({tries} probes, {probes['over_a_second']} slower than a second, "
    f"slowest {probes['slowest_ms']} ms, longest gap {probes['longest_gap_ms']} ms)",
    tries > 100 and not failures,
    f"{len(failures)} of {tries} failed, such as {failures[:3]}",
)
good &= check(
    f"the budget was never broken (at least {budget['lowest_healthy']} healthy of {budget['desired']} wanted, {budget['events']} changes seen)",
    budget["events"] > 2 and not budget["violations"],
    f"{len(budget['violations'])} times, such as {budget['violations'][:3]}; {budget['events']} changes seen",
)
sys.exit(not good)
