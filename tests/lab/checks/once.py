"""From the hosts' own logs: did a mutating command run beside another, or again after its success?"""

import argparse
import glob
import sys

from common import check, host_log

arguments = argparse.ArgumentParser(description=__doc__)
arguments.add_argument("nodes", help="the lab's directory of nodes")
arguments.add_argument("--reboots", metavar="NAME", help="an operation with this in its name restarts its host and never comes to its end there")
arguments.add_argument("--cut-off", metavar="NODE", nargs="*", default=[], help="these restart or lose power in the middle of an operation")
arguments.add_argument("--hosts", type=int, default=5, help="so many hosts have a log")
arguments.add_argument("--commands", type=int, default=15, help="and so many commands at least")
wanted = arguments.parse_args()

overlaps, repeats, open_ends, lost, commands = [], [], [], [], 0
paths = sorted(glob.glob(f"{wanted.nodes}/*/root/var/lib/refit/log"))
for path in paths:
    node = path.split("/")[-6]
    running, succeeded = None, set()
    for at, kind, run, operation, rest in host_log(path):
        if kind == "start":
            commands += 1
            if running and wanted.reboots and wanted.reboots in running[0]:
                running = None
            if running:
                overlaps.append(f"{node} {at}: {operation} began while {running[0]} ran")
            # A retry is another operation of the same step: the step and the command line tell a repetition. A new run, of
            # another plan, may do again what leaves no trace, such as `kubeadm upgrade node` on a worker.
            running = (operation, (run, operation.split("#")[0], rest))
            if running[1] in succeeded:
                repeats.append(f"{node} {at}: {operation} again")
        elif kind == "end":
            if not running or running[0] != operation:
                overlaps.append(f"{node} {at}: {operation} ended, which was not running")
            elif rest.strip() == "exit=0":
                succeeded.add(running[1])
            running = None
        else:  # lost: the host was cut off in between
            lost.append(node)
            if node not in wanted.cut_off:
                overlaps.append(f"{node} {at}: {operation} was {kind}")
            running = None
    if running:
        open_ends.append(f"{node}: {running[0]}")

good = check(f"every host has a log of what was done to it ({len(paths)} hosts, {commands} commands)", len(paths) == wanted.hosts and commands >= wanted.commands, f"{paths}, {commands} commands")
good &= check("no mutating command ran beside another on a host", not overlaps, "; ".join(overlaps[:3]))
good &= check("no mutating command ran again after its success", not repeats, "; ".join(repeats[:3]))
good &= check("every mutating command has an end", not open_ends, "; ".join(open_ends))
if wanted.cut_off:
    good &= check(f"where a host was cut off in the middle of a command, its log says so ({', '.join(lost) or 'nowhere'})", set(lost) == set(wanted.cut_off), f"{lost}")
sys.exit(not good)
