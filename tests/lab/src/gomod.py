"""gomod.py PUBLISHED-GO-MOD VERSION: the go.mod of a program that links a published Kubernetes release.

Kubernetes' own go.mod replaces each of its staging modules by a folder; the same module is published as v0.MINOR.PATCH.
"""

import re
import sys

path, version = sys.argv[1:]
published = open(path, encoding="utf-8").read()
_, minor, patch = version.split(".")
toolchain = re.search(r"^go (\S+)", published, re.MULTILINE).group(1)
staging = re.findall(r"^\s+(k8s\.io/\S+) => \./staging/", published, re.MULTILINE)

print("module refit.lab/kubernetes\n")
print(f"go {toolchain}\n")
print(f"require k8s.io/kubernetes v{version}\n")
print("replace (")
for module in staging:
    print(f"\t{module} => {module} v0.{minor}.{patch}")
print(")")
