"""Does what a runbook says, to the letter, as a person would who types each block where it says.

follow.py RUNBOOK LOG (steps | back)

steps  all of it up to "The way back"
back   "The way back": the cluster from the snapshot, then the packages of workers, then other kubelets

A block fails when one of its commands does; a block that only looks is looked at again for a while, as a person would. Where
the text says what must be shown and that is one word, it is compared. Run it where `kubectl` and `ssh` reach the cluster.
"""

import re
import subprocess
import sys
import time

AGAIN_S = 180
TICK = re.compile(r"^- \[ \] (.*)")
WHERE = re.compile(r"^On (`[^`]+`(?:, `[^`]+`)*)(, to look)?:$")
STEP = re.compile(r"^### `(.+)`$")


class Failed(Exception):
    pass


class Page:
    """A runbook in pieces: (step or chapter, words before the block, block, words after it)."""

    def __init__(self, text):
        self.logins = dict(re.findall(r"^\| `(\S+)` \| `\S+` \| `(.+)` \|$", text, re.M))
        self.environment = None
        self.blocks = []
        chapter = before = ""
        block = None
        for line in text.splitlines():
            if block is not None:
                if line == "```":
                    self.blocks.append([chapter, before, "\n".join(block), ""])
                    block = None
                else:
                    block.append(line)
            elif line == "```sh":
                block = []
            elif line.startswith("#"):
                chapter = before = line.lstrip("# ")
                match = STEP.match(line)
                chapter = match.group(1) if match else chapter
            elif line.startswith("Must show: ") and self.blocks and self.blocks[-1][0] == chapter:
                self.blocks[-1][3] = line.removeprefix("Must show: ").removesuffix(".")
            elif line:
                before = line
        # the first block of all sets up a shell on a host
        self.environment = self.blocks.pop(0)[2]

    def root_shell(self, host):
        """The command of the table, without its terminal."""
        return self.logins[host].replace("ssh -t ", "ssh ", 1)


class Person:
    def __init__(self, page, log):
        self.page, self.log = page, log

    def run(self, block, host=None):
        """The block in a shell here, or in a root shell on a host. Returns what it printed."""
        if host is None:
            # a script, so that what reads standard input finds none of the lines that come after it
            argv, text = ["bash", "-e", "-c", block], None
        else:
            argv = ["bash", "-c", self.page.root_shell(host)]
            text = f"{self.page.environment}\nset -e\n{block}\n"
        print(f"--- {host or 'here'}\n{block}", file=self.log, flush=True)
        done = subprocess.run(argv, input=text, text=True, capture_output=True, timeout=1800,
                              stdin=subprocess.DEVNULL if text is None else None)
        print(done.stdout + done.stderr + f"--- exit {done.returncode}", file=self.log, flush=True)
        if done.returncode != 0:
            raise Failed(f"exit {done.returncode} of `{block.splitlines()[0][:100]}`: {done.stderr.strip()[-300:]}")
        return done.stdout

    def look(self, block, host, wanted):
        """Again and again until nothing fails, and the one word that must be shown is."""
        word = wanted if re.fullmatch(r"v[0-9.]+", wanted) else None
        until = time.monotonic() + AGAIN_S
        while True:
            try:
                shown = self.run(block, host)
                if word is None or shown.split()[-1:] == [word]:
                    return
                raise Failed(f"`{block.splitlines()[-1]}` shows {shown.split()[-1:]} and not {word}")
            except Failed:
                if time.monotonic() > until:
                    raise
            time.sleep(2)


def steady(person, blocks):
    """What `await-static-pods` says: nothing fails for 20 s without a break."""
    until, since = time.monotonic() + AGAIN_S, None
    while since is None or time.monotonic() - since < 20:
        try:
            for _, before, block, _ in blocks:
                where = WHERE.match(before)
                if "--watch" in block:
                    block = block.replace(" --watch", "")
                person.run(block, where.group(1).strip("`") if where else None)
            since = since or time.monotonic()
        except Failed:
            since = None
            if time.monotonic() > until:
                raise
        time.sleep(2)


def steps(page, person):
    done = []
    chapters = []
    for entry in page.blocks:
        if entry[0] in ("Packages of a host", "The cluster, from the snapshot"):
            break
        if not chapters or chapters[-1][0] != entry[0]:
            chapters.append((entry[0], []))
        chapters[-1][1].append(entry)
    for name, blocks in chapters:
        if "/await-static-pods@" in name:
            steady(person, blocks)
        else:
            for _, before, block, after in blocks:
                where = WHERE.match(before)
                host = where.group(1).strip("`") if where else None
                looks = bool(where and where.group(2)) or bool(re.search(r"/(await-|verify|check-)", name))
                person.look(block, host, after) if looks else person.run(block, host)
        done.append(name)
        print(f"      {name}", file=sys.stderr, flush=True)
    return f"{len(done) - 1} steps of the runbook, each command as it stands there"


def back(page, person):
    packages = {}
    for chapter, before, block, _ in page.blocks:
        if chapter == "Packages of a host":
            for host in re.findall(r"`([^`]+)`", before):
                packages[host] = block
    cluster = [entry for entry in page.blocks if entry[0] == "The cluster, from the snapshot"]
    planes = [host for host in packages if host.startswith("cp")]
    workers = [host for host in packages if host not in planes]
    for _, before, block, _ in cluster:
        words = TICK.match(before).group(1)
        if "put the restored data" in words:
            for host in planes:
                person.run(packages[host], host)
        person.look(block, None, "") if words.startswith("Here: look") else person.run(block)
        print(f"      {words.split('.')[0]}", file=sys.stderr, flush=True)
    for host in workers:
        person.run(packages[host], host)
    return f"{len(cluster)} blocks, packages of {len(planes)} control planes and {len(workers)} workers"


def main():
    path, log, what = sys.argv[1:4]
    with open(path) as file:
        page = Page(file.read())
    with open(log, "a") as log:
        try:
            told = {"steps": steps, "back": back}[what](page, Person(page, log))
            print(f"ok    the runbook, followed ({what}): {told}")
        except Failed as why:
            print(f"FAIL  the runbook, followed ({what}): {why}")


main()
