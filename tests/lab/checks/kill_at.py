"""kill_at.py PID MOMENT NODES-DIRECTORY KUBECONFIG: sends SIGKILL to refit in the middle of something, and says in what.

MOMENT is kubeadm-apply, drain or install-kubelet. Exits 1 if refit has ended before that moment came.
"""

import glob
import http.client
import os
import signal
import sys
import time

from common import Api, fail, host_log

pid, moment, nodes, kubeconfig = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]


def under_way(wanted):
    """An operation that a host's log shows begun and not ended, whose name or command line holds the words."""
    for path in sorted(glob.glob(f"{nodes}/*/root/var/lib/refit/log")):
        lines = host_log(path)
        if lines and lines[-1][1] == "start" and all(word in f"{lines[-1][3]} {lines[-1][4]}" for word in wanted):
            return f"{lines[-1][3]} on {path.split('/')[-6]}"
    return None


def draining(api):
    """A pod of the workload on its way out of a node that is cordoned."""
    cordoned = {n["metadata"]["name"] for n in api.get("/api/v1/nodes")["items"] if n["spec"].get("unschedulable")}
    for pod in api.get("/api/v1/namespaces/default/pods?labelSelector=app%3Dweb")["items"]:
        if "deletionTimestamp" in pod["metadata"] and pod["spec"].get("nodeName") in cordoned:
            return f"the drain of {pod['spec']['nodeName']} while {pod['metadata']['name']} ends"
    return None


api = Api(kubeconfig)
while True:
    try:
        os.kill(pid, 0)
        with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
            if stat.read().rsplit(")", 1)[1].split()[0] == "Z":
                raise ProcessLookupError
    except (ProcessLookupError, FileNotFoundError):
        fail(f"refit ended before it came to: {moment}")
    try:
        found = {
            "kubeadm-apply": lambda: under_way(["kubeadm", "upgrade", "apply"]),
            "install-kubelet": lambda: under_way(["install-kubelet"]),
            "drain": lambda: draining(api),
        }[moment]()
    except (OSError, ValueError, http.client.HTTPException):
        found = None
    if found:
        # Into the middle of it, not at its edge.
        time.sleep({"kubeadm-apply": 20, "install-kubelet": 1, "drain": 1}[moment])
        os.kill(pid, signal.SIGKILL)
        print(found)
        sys.exit(0)
    time.sleep(0.2)
