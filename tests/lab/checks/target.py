"""Is every component at its release, every node ready, and nothing cordoned but what was?"""

import argparse
import ssl
import sys
import urllib.request
import json

from common import Api, check

arguments = argparse.ArgumentParser(description=__doc__)
for name in ("kubeconfig", "version", "etcd", "coredns"):
    arguments.add_argument(name)
arguments.add_argument("cordoned", nargs="*", help="cordoned by the operator")
arguments.add_argument("--nodes", type=int, default=5, help="so many nodes there are")
wanted = arguments.parse_args()
version, etcd, coredns, cordoned = wanted.version, wanted.etcd, wanted.coredns, wanted.cordoned
api = Api(wanted.kubeconfig)
nodes = api.patiently("/api/v1/nodes")["items"]
pods = api.patiently("/api/v1/namespaces/kube-system/pods")["items"]
planes = {n["metadata"]["name"]: n for n in nodes if "node-role.kubernetes.io/control-plane" in n["metadata"]["labels"]}
good = True


def all_at(what, found, wanted, count):
    global good
    wrong = {name: at for name, at in found.items() if at != wanted}
    good &= check(f"{what} at {wanted} ({count})", not wrong and len(found) == count, f"{found}")


def instance(address):
    """What one API server says of itself, asked at its own address."""
    anyone = ssl._create_unverified_context()  # /version is public; the name in the certificate is the balancer's
    with urllib.request.urlopen(f"https://{address}:6443/version", timeout=10, context=anyone) as answer:
        return json.load(answer)["gitVersion"]


def address(node):
    return next(a["address"] for a in node["status"]["addresses"] if a["type"] == "InternalIP")


def running(label, value):
    """Image tags of what really runs, by pod."""
    return {
        pod["metadata"]["name"]: pod["status"]["containerStatuses"][0]["image"].rsplit(":", 1)[1]
        for pod in pods
        if pod["metadata"]["labels"].get(label) == value and pod["status"].get("containerStatuses") and pod["status"]["containerStatuses"][0]["ready"]
    }


all_at("API servers, each asked itself,", {name: instance(address(node)) for name, node in planes.items()}, f"v{version}", 3)
for component in ("kube-apiserver", "kube-controller-manager", "kube-scheduler"):
    all_at(component, running("component", component), f"v{version}", 3)
all_at("etcd", running("component", "etcd"), f"{etcd}-0", 3)
all_at("kube-proxy", running("k8s-app", "kube-proxy"), f"v{version}", wanted.nodes)
all_at("CoreDNS", running("k8s-app", "kube-dns"), f"v{coredns}", 2)
all_at("kubelets", {n["metadata"]["name"]: n["status"]["nodeInfo"]["kubeletVersion"] for n in nodes}, f"v{version}", wanted.nodes)
ready = {n["metadata"]["name"]: next(c["status"] for c in n["status"]["conditions"] if c["type"] == "Ready") for n in nodes}
good &= check("every node is ready", set(ready.values()) == {"True"} and len(ready) == wanted.nodes, f"{ready}")
held_back = sorted(n["metadata"]["name"] for n in nodes if n["spec"].get("unschedulable"))
good &= check(f"cordoned are those that the operator had cordoned, and no other ({', '.join(cordoned) or 'none'})", held_back == sorted(cordoned), f"cordoned: {held_back}")
marks = {n["metadata"]["name"]: [k for k in {**n["metadata"].get("annotations", {}), **n["metadata"]["labels"]} if "refit" in k] for n in nodes}
taints = {n["metadata"]["name"]: [t["key"] for t in n["spec"].get("taints", []) if "refit" in t["key"]] for n in nodes}
good &= check("no mark or taint of refit is left on a node", not any(marks.values()) and not any(taints.values()), f"{marks} {taints}")
web = api.patiently("/apis/apps/v1/namespaces/default/deployments/web")["status"]
good &= check("the workload has all its replicas", web.get("availableReplicas") == 4, f"{web}")
sys.exit(not good)
