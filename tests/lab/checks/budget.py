"""budget.py RESULT KUBECONFIG NAMESPACE/NAME: watches a PodDisruptionBudget until SIGTERM; then writes what it saw to RESULT.

The watch goes on from the version it saw last, so that what happened while an API server restarted is seen as well.
"""

import http.client
import json
import signal
import sys
import time

from common import Api

result, kubeconfig, budget = sys.argv[1:]
namespace, name = budget.split("/")
base = f"/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets"
only = f"fieldSelector=metadata.name%3D{name}"
seen = {"events": 0, "lowest_healthy": None, "desired": None, "violations": [], "relists": 0}


class Stop(Exception):
    pass


def told(*_):
    raise Stop


def look(item):
    status = item.get("status", {})
    healthy, desired = status.get("currentHealthy", 0), status.get("desiredHealthy", 0)
    seen["events"] += 1
    seen["desired"] = desired
    if seen["lowest_healthy"] is None or healthy < seen["lowest_healthy"]:
        seen["lowest_healthy"] = healthy
    if healthy < desired:
        seen["violations"].append({"at": time.strftime("%H:%M:%SZ", time.gmtime()), "healthy": healthy, "desired": desired})


signal.signal(signal.SIGTERM, told)
try:
    api = Api(kubeconfig)
    version = None
    while True:
        try:
            if version is None:
                listed = api.get(f"{base}?{only}")
                version = listed["metadata"]["resourceVersion"]
                seen["relists"] += 1
                for item in listed["items"]:
                    look(item)
            for event in api.watch(f"{base}?{only}&watch=true&allowWatchBookmarks=true&resourceVersion={version}"):
                if event["type"] == "ERROR":
                    version = None
                    break
                version = event["object"]["metadata"]["resourceVersion"]
                if event["type"] in ("ADDED", "MODIFIED"):
                    look(event["object"])
        except (OSError, ValueError, http.client.HTTPException):
            time.sleep(0.3)
except Stop:
    with open(result, "w", encoding="utf-8") as file:
        json.dump(seen, file, indent=1)
