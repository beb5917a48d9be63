"""kubeadm_plan.py KUBEADM PLAN ARTIFACTS: does `kubeadm upgrade plan -o json` of the target's own kubeadm want what refit's plan does?

Each row of kubeadm's table, a component of a node and its release now and then, against what refit saw and will install.
"""

import json
import sys

from common import check

kubeadm, plan, artifacts = (json.load(open(path, encoding="utf-8")) for path in sys.argv[1:])
basis, target = plan["basis"], plan["target"]
planes = sorted(key.split("/")[1] for key, role in basis.items() if key.endswith("/role") and role == "control plane")
nodes = sorted(key.split("/")[1] for key in basis if key.startswith("node/") and key.endswith("/kubelet"))


def tag(image):
    return image.split()[0].rsplit(":", 1)[1]


def ships(name):
    """The tag that refit lists for an image of this hop."""
    images = [image["reference"] for hop in artifacts["hops"] for image in hop["images"]]
    return tag(next(image for image in images if image.rsplit(":", 1)[0].endswith(f"/{name}")))


def plain(version):
    return version.removeprefix("v")


ours = {("kubelet", node): (basis[f"node/{node}/kubelet"], target) for node in nodes}
for node in planes:
    manifest = {name: tag(basis[f"host/{node}/manifest/{name}.yaml"]) for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd")}
    for name, now in manifest.items():
        ours[name, node] = (plain(now), plain(ships("etcd")) if name == "etcd" else target)
offered = [upgrade for upgrade in kubeadm["availableUpgrades"] if any(plain(row["newVersion"]) == target for row in upgrade["components"])]
theirs, cluster_wide = {}, {}
for row in offered[0]["components"] if offered else []:
    versions = (plain(row["currentVersion"]), plain(row["newVersion"]))
    if row.get("nodeName"):
        theirs[row["name"], row["nodeName"]] = versions
    else:
        cluster_wide[row["name"]] = versions[1]
own = {"kubeadm": target, "kube-proxy": target, "CoreDNS": plain(ships("coredns"))}
good = check("kubeadm offers the plan's target", len(offered) == 1, f"{kubeadm}")
differ = {row: (theirs.get(row), ours.get(row)) for row in {**theirs, **ours} if theirs.get(row) != ours.get(row)}
good &= check(f"kubeadm's own table and the plan agree on {len(ours)} components of nodes, now and then", bool(theirs) and not differ, f"kubeadm's and ours differ: {differ}")
differ = {name: (cluster_wide.get(name), own.get(name)) for name in {**cluster_wide, **own} if cluster_wide.get(name) != own.get(name)}
good &= check(f"and on {', '.join(own)}", not differ, f"kubeadm's and ours differ: {differ}")
sys.exit(not good)
